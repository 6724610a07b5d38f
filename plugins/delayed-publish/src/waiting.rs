//! Messages that wait, in `kv`: in the order in which they are due, then in the order in which they came.
//!
//! A message's key is `m/DUE COUNT`, in milliseconds and in hexadecimal. Its value is until when somebody is at it (8 bytes), its head, and its
//! payload.

use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};
use tidegate_plugin::{
    Property, PropertyValue, QoS,
    broker::{self, Outgoing},
    clock, kv, metrics, warn,
};

const MESSAGES: &str = "m/";
const COUNT: &str = "count";
const WAITING: &str = "waiting";
/// Message Expiry Interval (section 3.3.2.3.3).
const EXPIRY: u8 = 0x02;
/// Who is at a message longer than this has failed: then another may try.
const AT_IT: Duration = Duration::from_secs(10);

/// Milliseconds since 1970.
pub(crate) type Millis = u64;

pub(crate) fn now() -> Millis {
    millis(clock::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

fn millis(duration: Duration) -> Millis {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A message to be published later.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Delayed {
    pub(crate) topic: String,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    /// Without its expiry.
    pub(crate) properties: Vec<Property>,
    expires: Option<Millis>,
    #[serde(skip)]
    pub(crate) payload: Vec<u8>,
}

impl Delayed {
    /// What is to go to `topic`. Its expiry runs while it waits [MQTT-3.3.2-6].
    pub(crate) fn new(topic: &str, mut properties: Vec<Property>, payload: &[u8]) -> Self {
        let seconds = properties.iter().find_map(|property| match (property.id, &property.value) {
            (EXPIRY, PropertyValue::Number(seconds)) => Some(u64::from(*seconds)),
            _ => None,
        });
        properties.retain(|property| property.id != EXPIRY);
        let expires = seconds.map(|seconds| now() + seconds * 1000);
        Self { topic: topic.into(), qos: 0, retain: false, properties, expires, payload: payload.into() }
    }

    /// Whether nobody would get it at that time.
    pub(crate) fn is_over(&self, at: Millis) -> bool {
        self.expires.is_some_and(|expires| expires <= at)
    }

    fn outgoing(self, now: Millis) -> Outgoing {
        let left = self.expires.map(|expires| expires.saturating_sub(now).div_ceil(1000));
        let left = left.map(|left| PropertyValue::Number(u32::try_from(left).unwrap_or(u32::MAX)));
        let mut properties = self.properties;
        properties.extend(left.map(|value| Property { id: EXPIRY, value }));
        let qos = QoS::try_from(self.qos).unwrap_or_default();
        Outgoing { topic: self.topic, payload: self.payload, qos, retain: self.retain, properties }
    }
}

/// What has become of an attempt to publish a message.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Attempt {
    /// It does not wait any more.
    Done,
    /// Another instance is at it.
    Others,
    /// The broker takes none now.
    Busy,
}

/// A message by its key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Place(String);

impl Place {
    /// Keeps a message. None: as many wait as may.
    pub(crate) fn keep(delayed: &Delayed, due: Millis, most: u32) -> Result<Option<Self>, kv::Error> {
        let mut value = 0_u64.to_le_bytes().to_vec();
        value.extend(postcard::to_allocvec(delayed).map_err(|why| kv::Error::Failed(why.to_string()))?);
        value.extend(&delayed.payload);
        // Before it is counted among those that wait: that one is not used matters to nobody.
        let count = kv::add(COUNT, 1, None)?;
        if waiting(1)? > i64::from(most) {
            waiting(-1)?;
            return Ok(None);
        }
        let place = Self(format!("{MESSAGES}{due:016x}{count:016x}"));
        kv::set(&place.0, &value, None).inspect_err(|_| _ = waiting(-1))?;
        Ok(Some(place))
    }

    /// The message that is due first.
    pub(crate) fn first() -> Result<Option<Self>, kv::Error> {
        Ok(Self::next(None, 1)?.pop())
    }

    /// In order.
    pub(crate) fn next(after: Option<&Self>, most: u32) -> Result<Vec<Self>, kv::Error> {
        Ok(kv::keys(MESSAGES, after.map(|place| place.0.as_str()), most)?.into_iter().map(Self).collect())
    }

    pub(crate) fn due(&self) -> Millis {
        let due = self.0.get(MESSAGES.len()..MESSAGES.len() + 16);
        due.and_then(|due| u64::from_str_radix(due, 16).ok()).unwrap_or_default()
    }

    /// Forgets the message.
    pub(crate) fn leave(&self) -> Result<(), kv::Error> {
        if kv::delete(&self.0)? {
            waiting(-1)?;
        }
        Ok(())
    }

    /// Publishes the message, unless another instance does.
    pub(crate) fn publish(&self, now: Millis) -> Result<Attempt, kv::Error> {
        let Some(value) = kv::get(&self.0)? else { return Ok(Attempt::Done) };
        let (until, message) = value.split_first_chunk().unwrap_or((&[0; 8], &value));
        if u64::from_le_bytes(*until) > now {
            return Ok(Attempt::Others);
        }
        let until = (now + millis(AT_IT)).to_le_bytes();
        let claimed = [&until, message].concat();
        if !kv::swap(&self.0, Some(&value), &claimed)? {
            return Ok(Attempt::Others);
        }
        let sent = match read(message) {
            None => Err(("unreadable", None)),
            Some(delayed) if delayed.is_over(now) => Err(("expired", None)),
            Some(delayed) => {
                let topic = delayed.topic.clone();
                match broker::publish(delayed.outgoing(now)) {
                    Ok(()) => Ok(()),
                    Err(broker::Error::Busy) => {
                        kv::swap(&self.0, Some(&claimed), &value)?;
                        return Ok(Attempt::Busy);
                    }
                    Err(error) => Err(("refused", Some((topic, error)))),
                }
            }
        };
        self.leave()?;
        match sent {
            Ok(()) => metrics::count("delayed_published", 1, &[]),
            Err((why, refused)) => {
                metrics::count("delayed_dropped", 1, &[("why", why)]);
                if let Some((topic, why)) = refused {
                    warn!(
                        "a message that waited is dropped: does `grants.publish` hold its topic?",
                        topic, why
                    );
                }
            }
        }
        Ok(Attempt::Done)
    }
}

fn read(message: &[u8]) -> Option<Delayed> {
    let (head, payload) = postcard::take_from_bytes::<Delayed>(message).ok()?;
    Some(Delayed { payload: payload.into(), ..head })
}

/// Counts those that wait: after a kill the number that was kept may be another.
pub(crate) fn count() -> Result<(), kv::Error> {
    let (mut number, mut last) = (0_i64, None);
    loop {
        let mut part = Place::next(last.as_ref(), 1000)?;
        let Some(end) = part.pop() else { break };
        number += i64::try_from(part.len()).unwrap_or(i64::MAX).saturating_add(1);
        last = Some(end);
    }
    let kept = waiting(0)?;
    waiting(number - kept).map(drop)
}

/// How many wait, with so many more.
fn waiting(more: i64) -> Result<i64, kv::Error> {
    let number = kv::add(WAITING, more, None)?;
    metrics::gauge("delayed_waiting", number as f64, &[]);
    Ok(number)
}

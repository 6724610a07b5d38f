//! Messages that are published later: `$delayed/SECONDS/TOPIC`.
//!
//! Reading order: `config`: what the operator writes; `address`: where a message goes, and when; here: when it is kept, and when it is
//! published; `waiting`: how it is kept.

mod address;
mod config;
mod waiting;

use address::Address;
use config::Config;
use std::{fmt, time::Duration};
use tidegate_plugin::{
    Field, Message, OnPublish, OnTimer, Plugin, ReasonCode, Scope, Start, Verdict,
    broker::{self, Outgoing},
    info, kv, metrics, timers, warn,
};
use waiting::{Attempt, Delayed, Millis, Place, now};

/// The timer for the message that is due first.
const ALARM: u64 = 1;
/// A timer that comes all the time: should the call of another have failed, nothing waits for longer than this.
const ROUND: u64 = 2;
const MINUTE: Duration = Duration::from_secs(60);
/// The broker takes no message, or another instance has not ended yet: tried again after this.
const RETRY: Duration = Duration::from_millis(100);
/// Looked at once.
const AT_ONCE: u32 = 100;

/// What may wait.
pub struct DelayedPublish {
    config: Config,
}

impl Plugin for DelayedPublish {
    type Config = Config;

    fn new(_: Start, config: Config) -> Result<Self, String> {
        kv::require("16MiB")?;
        // No topic at all: nothing is published, but a grant that is missing comes first.
        if broker::publish(Outgoing::default()) == Err(broker::Error::Denied) {
            return Err("it needs the grant `publish`; add `grants.publish = [\"#\"]`, or the topics where messages may go, to its table".into());
        }
        if let Err(why) = waiting::count() {
            warn!("what waits cannot be counted; `max_messages` may be off", why);
        }
        timers::every(ROUND, MINUTE).map_err(Failure::from)?;
        // Messages that were due meanwhile are published as soon as there is somebody to publish them.
        set_alarm(Duration::ZERO)?;
        Ok(Self { config })
    }

    fn scopes(&self) -> Vec<Scope> {
        vec![Scope::publish(["$delayed/#"]).wanting(Field::Payload).wanting(Field::Properties)]
    }
}

impl OnPublish for DelayedPublish {
    fn on_publish(&mut self, message: Message) -> Verdict {
        let Address { delay, topic } = match Address::new(&message.topic, &self.config) {
            Ok(address) => address,
            Err(why) => {
                info!("refused", topic = message.topic, why);
                return Verdict::Refuse(ReasonCode::TopicNameInvalid);
            }
        };
        let due = now() + delay.as_secs() * 1000;
        let mut delayed = Delayed::new(topic, message.properties.clone(), &message.payload());
        (delayed.qos, delayed.retain) = (message.qos as u8, message.retain);
        if delayed.is_over(due) {
            metrics::count("delayed_dropped", 1, &[("why", "expired")]);
            return Verdict::Swallow;
        }
        match keep(&delayed, due, self.config.max_messages) {
            Ok(true) => Verdict::Swallow,
            Ok(false) | Err(Failure::Kv(kv::Error::Full)) => {
                info!("refused: too much waits", topic = message.topic);
                Verdict::Refuse(ReasonCode::QuotaExceeded)
            }
            Err(why) => {
                warn!("refused: it cannot be kept", topic = message.topic, why);
                Verdict::Refuse(ReasonCode::ImplementationSpecificError)
            }
        }
    }
}

impl OnTimer for DelayedPublish {
    fn on_timer(&mut self, _token: u64) {
        let again = publish_due().and_then(set_alarm);
        if let Err(why) = again {
            warn!("what waits is looked at again in a minute", why);
        }
    }
}

/// False: as many wait as may.
fn keep(delayed: &Delayed, due: Millis, most: u32) -> Result<bool, Failure> {
    let Some(place) = Place::keep(delayed, due, most)? else { return Ok(false) };
    let alarmed = match Place::first() {
        Ok(first) if first.as_ref() == Some(&place) => set_alarm(Duration::ZERO),
        // The alarm is set for it by whoever kept it.
        Ok(_) => Ok(()),
        Err(why) => Err(why.into()),
    };
    match alarmed {
        Ok(()) => Ok(true),
        Err(why) => {
            place.leave()?;
            Err(why)
        }
    }
}

/// Publishes what is due. How long to wait at least until the next time.
fn publish_due() -> Result<Duration, Failure> {
    let (mut last, mut wait) = (None, Duration::ZERO);
    loop {
        let places = Place::next(last.as_ref(), AT_ONCE)?;
        for place in &places {
            let now = now();
            if place.due() > now {
                return Ok(wait);
            }
            match place.publish(now)? {
                Attempt::Done => {}
                Attempt::Others => wait = RETRY,
                Attempt::Busy => return Ok(RETRY),
            }
        }
        last = places.into_iter().last();
        if last.is_none() {
            return Ok(wait);
        }
    }
}

/// Sets the alarm for the message that is due first, but no sooner than `least` from now.
fn set_alarm(least: Duration) -> Result<(), Failure> {
    let mut set_for = None;
    loop {
        let first = Place::first()?;
        // Another instance may have set it for a later message just now: who sets it last has looked after that.
        if first == set_for {
            return Ok(());
        }
        if let Some(first) = &first {
            let wait = Duration::from_millis(first.due().saturating_sub(now()));
            timers::after(ALARM, wait.max(least))?;
        }
        set_for = first;
    }
}

/// Why a message cannot be kept, or published in time.
enum Failure {
    Kv(kv::Error),
    Timer(timers::Refused),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kv(why) => why.fmt(f),
            Self::Timer(_) => f.write_str("the plugin may set no timer; it needs two in `limits.timers`"),
        }
    }
}

impl From<kv::Error> for Failure {
    fn from(why: kv::Error) -> Self {
        Self::Kv(why)
    }
}

impl From<timers::Refused> for Failure {
    fn from(why: timers::Refused) -> Self {
        Self::Timer(why)
    }
}

impl From<Failure> for String {
    fn from(why: Failure) -> Self {
        why.to_string()
    }
}

tidegate_plugin::export!(DelayedPublish: on_publish, on_timer);

#[cfg(test)]
mod tests;

//! What was sent, acknowledged and received, kept where no crash of the broker can reach it, and what follows from it: the checks.
//!
//! A message is a number on a topic. Everything that happens ticks one clock, so that "before" has a meaning.

use super::wire::Publish;
use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write,
};

/// The broker did what it must not: what, and the history of the message.
#[derive(Clone, Debug)]
pub(crate) struct Violation(pub(crate) String);

pub(crate) type Clock = u64;

/// A topic with one publisher and one QoS; its messages are numbered from 0 in the order in which they are sent.
pub(crate) type StreamId = usize;
pub(crate) type ReaderId = usize;

#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) clock: Clock,
    pub(crate) round: u32,
    streams: Vec<Stream>,
    readers: Vec<Reader>,
    wills: BTreeMap<(usize, u64), Will>,
    /// For the last line of a test.
    pub(crate) arrivals: u64,
    pub(crate) acknowledged: u64,
}

#[derive(Debug)]
struct Stream {
    topic: String,
    qos: u8,
    /// Number of the first of `messages`; those before are forgotten, everybody is done with them.
    first: u64,
    messages: VecDeque<Message>,
    /// The last message of the last drain and of the one before it.
    marks: [u64; 2],
}

#[derive(Debug, Default)]
struct Message {
    first_sent: Clock,
    times_sent: u32,
    /// PUBACK or PUBREC came.
    acknowledged: bool,
    history: Vec<Event>,
}

#[derive(Clone, Debug)]
struct Event {
    clock: Clock,
    round: u32,
    what: String,
}

/// A persistent session that receives.
#[derive(Debug)]
struct Reader {
    name: String,
    qos: u8,
    identifier: Option<u8>,
    /// Readers of the same shared subscription have the same.
    group: Option<&'static str>,
    filters: BTreeMap<String, Subscription>,
    seen: Vec<Seen>,
    /// A SUBACK came: the session must not be lost.
    safe: bool,
    /// What it did at last.
    log: VecDeque<Event>,
}

/// Events of a reader that are told of when something is wrong.
const LOG: usize = 80;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Subscription {
    /// Wanted, but there was no SUBACK.
    Subscribing,
    /// SUBACK came.
    Active { since: Clock },
    /// Not wanted any more, but there was no UNSUBACK.
    Unsubscribing,
    /// UNSUBACK came.
    Gone { at: Clock },
}

/// What a reader has seen of a stream.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// All below were there or never will be, and the broker knows.
    finished: u64,
    arrived: BTreeMap<u64, u32>,
    /// The last that came for the first time, of those that must come in order.
    latest: Option<u64>,
}

#[derive(Debug)]
struct Will {
    qos: u8,
    fate: Fate,
    arrivals: u32,
    history: Vec<Event>,
}

/// What must become of a will.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fate {
    /// Its client is connected, or nobody can tell: published at most once.
    Open,
    /// Published once.
    Due,
    /// Not published, or not any more.
    Never,
}

/// Bytes of a message: its name, then padding that can be told from that of any other.
pub(crate) fn payload(topic: &str, number: u64) -> Vec<u8> {
    let mut payload = format!("{topic} {number} ").into_bytes();
    let mut mixed = (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ topic.len() as u64;
    let length = match mixed >> 56 {
        0..=200 => mixed >> 32 & 0xFF,
        201..=250 => mixed >> 32 & 0xFFF,
        _ => mixed >> 32 & 0x3FFF,
    };
    for _ in 0..length {
        mixed = mixed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        payload.push(b'a' + (mixed >> 60) as u8);
    }
    payload
}

/// The number in a payload, if it is whole and has this topic.
fn number_of(publish: &Publish) -> Option<u64> {
    let text = std::str::from_utf8(&publish.payload).ok()?;
    let number = text.strip_prefix(&publish.topic)?.split(' ').nth(1)?.parse().ok()?;
    (publish.payload == payload(&publish.topic, number)).then_some(number)
}

/// Section 4.7.
fn matches(filter: &str, topic: &str) -> bool {
    let filter =
        filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/')).map_or(filter, |(_, f)| f);
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        match (wanted, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (wanted, Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

impl Record {
    pub(crate) fn add_stream(&mut self, topic: String, qos: u8) -> StreamId {
        self.streams.push(Stream { topic, qos, first: 0, messages: VecDeque::new(), marks: [0; 2] });
        for reader in &mut self.readers {
            reader.seen.push(Seen::default());
        }
        self.streams.len() - 1
    }

    /// All of its subscriptions have this QoS and, in MQTT 5, this identifier.
    pub(crate) fn add_reader(
        &mut self,
        name: &str,
        qos: u8,
        identifier: Option<u8>,
        group: Option<&'static str>,
    ) -> ReaderId {
        self.readers.push(Reader {
            name: name.to_owned(),
            qos,
            identifier,
            group,
            filters: BTreeMap::new(),
            seen: vec![Seen::default(); self.streams.len()],
            safe: false,
            log: VecDeque::new(),
        });
        self.readers.len() - 1
    }

    /// What a reader does, for whoever looks for a mistake.
    pub(crate) fn does(&mut self, reader: ReaderId, what: String) {
        let event = self.event(what);
        let log = &mut self.readers[reader].log;
        log.push_back(event);
        if log.len() > LOG {
            log.pop_front();
        }
    }

    pub(crate) fn tick(&mut self) -> Clock {
        self.clock += 1;
        self.clock
    }

    fn event(&mut self, what: String) -> Event {
        Event { clock: self.tick(), round: self.round, what }
    }

    // What publishers do.

    /// The next message of a stream is about to be sent.
    pub(crate) fn sends(&mut self, stream: StreamId, who: &str, id: u16) -> u64 {
        let event = self.event(format!("{who} sends it with packet identifier {id}"));
        let stream = &mut self.streams[stream];
        stream.messages.push_back(Message {
            first_sent: event.clock,
            times_sent: 1,
            acknowledged: false,
            history: vec![event],
        });
        stream.first + stream.messages.len() as u64 - 1
    }

    pub(crate) fn topic(&self, stream: StreamId) -> (&str, u8) {
        (&self.streams[stream].topic, self.streams[stream].qos)
    }

    pub(crate) fn sends_again(&mut self, (stream, number): (StreamId, u64), who: &str) {
        self.note((stream, number), format!("{who} sends it again (DUP)"));
        if let Some(message) = self.message_mut(stream, number) {
            message.times_sent += 1;
        }
    }

    /// PUBACK or PUBREC came.
    pub(crate) fn acknowledged(&mut self, (stream, number): (StreamId, u64), what: &str) {
        self.note((stream, number), what.to_owned());
        self.acknowledged += 1;
        if let Some(message) = self.message_mut(stream, number) {
            message.acknowledged = true;
        }
    }

    /// For its history.
    pub(crate) fn note(&mut self, (stream, number): (StreamId, u64), what: String) {
        let event = self.event(what);
        if let Some(message) = self.message_mut(stream, number) {
            message.history.push(event);
        }
    }

    fn message(&self, stream: StreamId, number: u64) -> Option<&Message> {
        let stream = &self.streams[stream];
        stream.messages.get(number.checked_sub(stream.first)? as usize)
    }

    fn message_mut(&mut self, stream: StreamId, number: u64) -> Option<&mut Message> {
        let stream = &mut self.streams[stream];
        stream.messages.get_mut(number.checked_sub(stream.first)? as usize)
    }

    // What subscribers do.

    /// CONNACK came.
    pub(crate) fn reader_connected(
        &mut self,
        reader: ReaderId,
        session_present: bool,
    ) -> Result<(), Violation> {
        self.does(reader, format!("CONNACK, session present: {session_present}"));
        let reader = &mut self.readers[reader];
        if !session_present && reader.safe {
            return Err(Violation(format!(
                "{}: Session Present is 0, but SUBACK had come [MQTT-3.2.2-3]",
                reader.name
            )));
        }
        if !session_present {
            for subscription in reader.filters.values_mut() {
                *subscription = match subscription {
                    Subscription::Subscribing | Subscription::Active { .. } => Subscription::Subscribing,
                    Subscription::Unsubscribing | Subscription::Gone { .. } => {
                        Subscription::Gone { at: self.clock }
                    }
                };
            }
        }
        Ok(())
    }

    /// SUBSCRIBE is about to be sent, or is wanted.
    pub(crate) fn subscribes(&mut self, reader: ReaderId, filter: &str) {
        self.tick();
        self.readers[reader].filters.insert(filter.to_owned(), Subscription::Subscribing);
    }

    /// UNSUBSCRIBE is about to be sent.
    pub(crate) fn unsubscribes(&mut self, reader: ReaderId, filter: &str) {
        self.tick();
        self.readers[reader].filters.insert(filter.to_owned(), Subscription::Unsubscribing);
    }

    /// SUBACK or UNSUBACK came.
    pub(crate) fn changed(&mut self, reader: ReaderId, filter: &str) {
        let now = self.tick();
        let reader = &mut self.readers[reader];
        reader.safe = true;
        let Some(subscription) = reader.filters.get_mut(filter) else { return };
        *subscription = match *subscription {
            Subscription::Subscribing => Subscription::Active { since: now },
            Subscription::Unsubscribing => Subscription::Gone { at: now },
            settled => settled,
        };
    }

    /// What was asked for and is not answered: filter, and whether it is to be subscribed.
    pub(crate) fn unsettled(&self, reader: ReaderId) -> Vec<(String, bool)> {
        let asked = self.readers[reader].filters.iter().filter_map(|(filter, subscription)| {
            let subscribe = match subscription {
                Subscription::Subscribing => true,
                Subscription::Unsubscribing => false,
                Subscription::Active { .. } | Subscription::Gone { .. } => return None,
            };
            Some((filter.clone(), subscribe))
        });
        asked.collect()
    }

    pub(crate) fn is_subscribed(&self, reader: ReaderId, filter: &str) -> bool {
        matches!(self.readers[reader].filters.get(filter), Some(Subscription::Active { .. }))
    }

    /// A PUBLISH came that the reader has not got with this packet identifier before.
    pub(crate) fn arrived(&mut self, reader: ReaderId, publish: &Publish) -> Result<(), Violation> {
        self.arrivals += 1;
        let fine = self.well_formed(reader, publish).map_err(Violation)?;
        if let Some(rest) = publish.topic.strip_prefix("wills/") {
            return self.will_arrived(rest, fine, publish);
        }
        let Some(stream) = self.streams.iter().position(|stream| stream.topic == publish.topic) else {
            return Err(Violation(format!("a message on {}, where nobody publishes", publish.topic)));
        };
        self.message_arrived(reader, stream, fine, publish)
    }

    /// Checks what every message must be like, and returns its number.
    fn well_formed(&self, reader: ReaderId, publish: &Publish) -> Result<u64, String> {
        let reader = &self.readers[reader];
        let name = &reader.name;
        let Some(number) = number_of(publish) else {
            let text = String::from_utf8_lossy(&publish.payload);
            return Err(format!("{name}: nobody sent this to {}: {text:?}", publish.topic));
        };
        if publish.retain {
            return Err(format!("{name}: {} {number} has RETAIN 1", publish.topic));
        }
        let wanted: Vec<u32> = reader.identifier.map(u32::from).into_iter().collect();
        let mut identifiers = publish.identifiers.clone();
        identifiers.dedup();
        if identifiers != wanted {
            return Err(format!(
                "{name}: {} {number} has the subscription identifiers {:?}, not {wanted:?} [MQTT-3.3.4-3]",
                publish.topic, publish.identifiers
            ));
        }
        Ok(number)
    }

    fn message_arrived(
        &mut self,
        reader: ReaderId,
        stream: StreamId,
        number: u64,
        publish: &Publish,
    ) -> Result<(), Violation> {
        let name = self.readers[reader].name.clone();
        let text = format!(
            "arrives at {name}, packet identifier {}, QoS {}{}",
            publish.id,
            publish.qos,
            if publish.dup { ", DUP" } else { "" }
        );
        self.does(reader, format!("{} {number} {text}", publish.topic));
        self.note((stream, number), text);
        let wrong = |what: &str| Err(self.violation(&format!("{name}: {what}"), stream, number));
        let qos = self.streams[stream].qos.min(self.readers[reader].qos);
        if number >= self.streams[stream].first + self.streams[stream].messages.len() as u64 {
            return wrong("a message arrives that was never sent");
        }
        if publish.qos != qos {
            return wrong(&format!("arrives with QoS {}, not {qos} [MQTT-3.8.4-8]", publish.qos));
        }
        let group = self.readers[reader].group;
        let seen = &self.readers[reader].seen[stream];
        // QoS 1 may come twice to a group at any time: what one member has not acknowledged goes to another.
        if number < seen.finished && (group.is_none() || qos == 2) {
            return wrong("a finished message comes back: all acknowledgements were through");
        }
        if qos == 2 {
            let others = self.readers.iter().enumerate();
            let twice = others.filter(|(other, _)| *other == reader || group.is_some());
            let twice = twice.filter(|(_, other)| other.group == group);
            for (_, other) in twice {
                if other.seen[stream].arrived.contains_key(&number) {
                    let other = &other.name;
                    return wrong(&format!(
                        "a QoS 2 message is delivered again, {other} had it [MQTT-4.3.3]"
                    ));
                }
            }
        }
        let since = self.since(reader, stream);
        let Some(message) = self.message(stream, number) else {
            // Of a group, and long finished.
            return Ok(());
        };
        let sent = message.first_sent;
        let may = self.readers[reader].filters.iter().any(|(filter, subscription)| {
            let in_time = match subscription {
                Subscription::Gone { at } => *at > sent,
                _ => true,
            };
            in_time && matches(filter, &self.streams[stream].topic)
        });
        if !may {
            return wrong("sent after UNSUBACK had come, and delivered all the same [MQTT-3.10.4-2]");
        }
        let in_order = group.is_none() && since.is_some_and(|since| since < sent);
        let first = !seen.arrived.contains_key(&number);
        if let (true, true, Some(latest)) = (in_order, first, seen.latest)
            && number < latest
        {
            let what =
                format!("{name}: arrives for the first time, but {latest} was there before [MQTT-4.6.0-6]");
            let Violation(text) = self.violation(&what, stream, number);
            let other = self.message(stream, latest).map_or(&[][..], |message| &message.history);
            let log: Vec<Event> = self.readers[reader].log.iter().cloned().collect();
            return Err(Violation(format!(
                "{text}\nmessage {latest}{}\n{name}, at last{}",
                told(other),
                told(&log)
            )));
        }
        let seen = &mut self.readers[reader].seen[stream];
        *seen.arrived.entry(number).or_default() += 1;
        if in_order && first {
            seen.latest = Some(number);
        }
        Ok(())
    }

    /// From when on one subscription of the reader that still holds brings this stream.
    fn since(&self, reader: ReaderId, stream: StreamId) -> Option<Clock> {
        let matching = self.readers[reader].filters.iter();
        let matching = matching.filter(|(filter, _)| matches(filter, &self.streams[stream].topic));
        matching
            .filter_map(|(_, subscription)| match subscription {
                Subscription::Active { since } => Some(*since),
                _ => None,
            })
            .min()
    }

    /// How often the publisher has sent it: no connection brings it more often.
    pub(crate) fn times_sent(&self, publish: &Publish) -> u32 {
        let stream = self.streams.iter().position(|stream| stream.topic == publish.topic);
        let message = stream.and_then(|stream| self.message(stream, number_of(publish)?));
        message.map_or(u32::MAX, |message| message.times_sent)
    }

    /// Acknowledged messages that the reader must have and has not; of a group, those that no member has.
    pub(crate) fn missing(&self, reader: ReaderId) -> Vec<(StreamId, u64)> {
        let me = &self.readers[reader];
        let mut missing = Vec::new();
        for (index, stream) in self.streams.iter().enumerate() {
            let Some(since) = self.since(reader, index) else { continue };
            let begin = me.seen[index].finished.max(stream.first);
            for (offset, message) in stream.messages.iter().enumerate().skip((begin - stream.first) as usize)
            {
                let number = stream.first + offset as u64;
                let has = |reader: &Reader| reader.seen[index].arrived.contains_key(&number);
                let there = match me.group {
                    None => has(me),
                    group => self.readers.iter().filter(|reader| reader.group == group).any(has),
                };
                if message.acknowledged && message.first_sent > since && !there {
                    missing.push((index, number));
                }
            }
        }
        missing
    }

    /// What to say when `missing` does not get empty.
    pub(crate) fn lost(&self) -> Option<Violation> {
        let mut all = (0..self.readers.len()).map(|reader| (reader, self.missing(reader)));
        let (reader, missing) = all.find(|(_, missing)| !missing.is_empty())?;
        let (stream, number) = missing[0];
        let what = format!(
            "{}: {} acknowledged messages do not arrive; the first",
            self.readers[reader].name,
            missing.len()
        );
        Some(self.violation(&what, stream, number))
    }

    /// All is settled: every publisher has sent and completed a last message on every stream, every reader has got it and has had an
    /// answer to a request after its last acknowledgement. What was there before must not come again.
    pub(crate) fn drained(&mut self) -> Result<(), Violation> {
        if let Some(lost) = self.lost() {
            return Err(lost);
        }
        for (index, stream) in self.streams.iter_mut().enumerate() {
            let mark = stream.first + stream.messages.len() as u64;
            let Some(last_sent) = stream.messages.back().map(|message| message.first_sent) else { continue };
            for reader in &mut self.readers {
                let active = reader.filters.iter().any(|(filter, subscription)| {
                    matches!(subscription, Subscription::Active { since } if *since < last_sent)
                        && matches(filter, &stream.topic)
                });
                if active {
                    let seen = &mut reader.seen[index];
                    (seen.finished, seen.arrived) = (mark, BTreeMap::new());
                }
            }
            // The history of what was finished in this drain and in the last one is kept for who complains.
            let [last, before] = stream.marks;
            stream.marks = [mark, last];
            while stream.first < before {
                stream.messages.pop_front();
                stream.first += 1;
            }
            for reader in &mut self.readers {
                let seen = &mut reader.seen[index];
                seen.finished = seen.finished.max(stream.first);
                seen.arrived = seen.arrived.split_off(&seen.finished);
            }
        }
        if let Some(((who, number), _)) = self.wills.iter().find(|(_, will)| will.missing()) {
            return Err(self.will_violation("a will is due and was not published", *who, *number));
        }
        self.wills.retain(|_, will| will.fate == Fate::Open);
        Ok(())
    }

    // Wills.

    /// CONNECT with this will is about to be sent.
    pub(crate) fn will_armed(&mut self, who: usize, number: u64, qos: u8, what: String) {
        let history = vec![self.event(what)];
        self.wills.insert((who, number), Will { qos, fate: Fate::Open, arrivals: 0, history });
    }

    pub(crate) fn will_fate(
        &mut self,
        who: usize,
        number: u64,
        fate: Fate,
        what: &str,
    ) -> Result<(), Violation> {
        let event = self.event(what.to_owned());
        let Some(will) = self.wills.get_mut(&(who, number)) else { return Ok(()) };
        will.history.push(event);
        will.fate = fate;
        if fate == Fate::Never && will.arrivals > 0 {
            return Err(self.will_violation("a will was published that had no reason to be", who, number));
        }
        Ok(())
    }

    /// Wills of this client that are due and not there.
    pub(crate) fn wills_missing(&self, who: usize) -> bool {
        self.wills.range((who, 0)..=(who, u64::MAX)).any(|(_, will)| will.missing())
    }

    pub(crate) fn any_will_missing(&self) -> Option<Violation> {
        let ((who, number), _) = self.wills.iter().find(|(_, will)| will.missing())?;
        Some(self.will_violation("a will is due and is not published", *who, *number))
    }

    fn will_arrived(&mut self, who: &str, number: u64, publish: &Publish) -> Result<(), Violation> {
        let who: usize = who.parse().map_err(|_| Violation(format!("a will of {who}, who has none")))?;
        let event = self.event(format!("arrives, packet identifier {}, QoS {}", publish.id, publish.qos));
        let Some(will) = self.wills.get_mut(&(who, number)) else {
            return Err(self.will_violation("a finished will comes back", who, number));
        };
        will.history.push(event);
        will.arrivals += 1;
        let (fate, qos, arrivals) = (will.fate, will.qos, will.arrivals);
        if publish.qos != qos {
            return Err(self.will_violation("a will arrives with another QoS", who, number));
        }
        if fate == Fate::Never {
            return Err(self.will_violation(
                "a will is published that must not be [MQTT-3.14.4-3]",
                who,
                number,
            ));
        }
        // At QoS 1 the watcher may get it twice.
        if arrivals > 1 && qos == 2 {
            return Err(self.will_violation("a will is published twice", who, number));
        }
        Ok(())
    }

    fn will_violation(&self, what: &str, who: usize, number: u64) -> Violation {
        let history = self.wills.get(&(who, number)).map(|will| &will.history[..]);
        Violation(format!("{what}: will {number} of client will-{who}{}", told(history.unwrap_or_default())))
    }

    fn violation(&self, what: &str, stream: StreamId, number: u64) -> Violation {
        let history = self.message(stream, number).map(|message| &message.history[..]);
        let (topic, qos) = self.topic(stream);
        let history = told(history.unwrap_or_default());
        Violation(format!("{what}: message {number} on {topic}, published with QoS {qos}{history}"))
    }
}

impl Will {
    fn missing(&self) -> bool {
        self.fate == Fate::Due && self.arrivals == 0
    }
}

fn told(history: &[Event]) -> String {
    history.iter().fold(String::new(), |mut text, Event { clock, round, what }| {
        // Writing to a text cannot fail.
        let _ = write!(text, "\n  round {round}, event {clock}: {what}");
        text
    })
}

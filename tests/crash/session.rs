//! What a client remembers between its connections, as section 4.1 asks: packet identifiers and how far each handshake has come.

use super::{
    record::{StreamId, Violation},
    wire::{Connect, Connection, DAY, Gone, PUBACK, PUBCOMP, PUBREC, PUBREL, Packet, Publish, Version},
};
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;

/// Why an actor stops.
#[derive(Debug)]
pub(crate) enum Ended {
    /// Its connection ended. Whether that is fine only the driver knows.
    Gone(Gone),
    Violation(Violation),
}

impl From<Gone> for Ended {
    fn from(gone: Gone) -> Self {
        Self::Gone(gone)
    }
}

impl From<Violation> for Ended {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

impl Ended {
    pub(crate) fn wrong(what: String) -> Self {
        Self::Violation(Violation(what))
    }
}

/// A message by its publisher's own name for it.
pub(crate) type Tag = (StreamId, u64);

/// Connects somebody who publishes, and whether its session is there. `safe`: something of it was acknowledged, so it must be.
pub(crate) fn connect_to_publish(
    (name, version): (&str, Version),
    address: SocketAddr,
    safe: bool,
) -> Result<(Connection, bool), Ended> {
    let connect = Connect {
        version,
        client_id: name,
        clean_start: false,
        expiry: DAY,
        receive_maximum: None,
        will: None,
    };
    let (connection, session_present) = Connection::open(address, &connect)?;
    match session_present || !safe {
        true => Ok((connection, session_present)),
        false => Err(Ended::wrong(format!(
            "{name}: Session Present is 0, but messages had been acknowledged [MQTT-3.2.2-3]"
        ))),
    }
}

/// Messages on their way to the broker, in the order in which they were sent.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    open: VecDeque<Open>,
    /// PUBRELs that are held back, in the order of their PUBRECs.
    held: VecDeque<u16>,
    last_id: u16,
    /// It takes the lowest packet identifier that is free, so that each is used again soon. Others go round.
    thrifty: bool,
}

#[derive(Debug)]
struct Open {
    publish: Publish,
    tag: Tag,
    /// PUBREC came.
    received: bool,
    /// PUBREL was sent on another connection: its PUBCOMP may have been lost.
    released_before: bool,
    released: bool,
}

/// What an acknowledgement means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Progress {
    /// PUBACK: accepted, and over.
    Acknowledged(Tag),
    /// PUBREC: accepted.
    Received(Tag),
    /// PUBCOMP: over.
    Completed(Tag),
}

impl Outbox {
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn thrifty() -> Self {
        Self { thrifty: true, ..Self::default() }
    }

    /// A packet identifier that is not in use.
    pub(crate) fn next_id(&mut self) -> u16 {
        if self.thrifty {
            self.last_id = 0;
        }
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if self.open.iter().all(|open| open.publish.id != self.last_id) {
                return self.last_id;
            }
        }
    }

    /// Remembers it, then sends it. Its identifier is from [`Outbox::next_id`].
    pub(crate) fn publish(
        &mut self,
        connection: &mut Connection,
        publish: Publish,
        tag: Tag,
    ) -> Result<(), Gone> {
        let sent = connection.send_publish(&publish);
        self.open.push_back(Open { publish, tag, received: false, released_before: false, released: false });
        sent
    }

    /// Messages that [`Outbox::resend`] is going to publish again.
    pub(crate) fn unacknowledged(&self) -> impl Iterator<Item = Tag> {
        self.open.iter().filter(|open| !open.received).map(|open| open.tag)
    }

    /// On a new connection of the same session: what is not acknowledged, with the same identifiers, in the same order [MQTT-4.4.0-1].
    pub(crate) fn resend(&mut self, connection: &mut Connection) -> Result<(), Gone> {
        self.held.clear();
        for open in &mut self.open {
            if open.received {
                open.released_before |= open.released;
                open.released = true;
                connection.send_ack(PUBREL, open.publish.id)?;
            } else {
                open.publish.dup = true;
                connection.send_publish(&open.publish)?;
            }
        }
        Ok(())
    }

    /// The session is gone: so is all that was on its way.
    pub(crate) fn forget(&mut self) -> Vec<Tag> {
        self.held.clear();
        self.open.drain(..).map(|open| open.tag).collect()
    }

    /// An acknowledgement. PUBREL is held back until [`Outbox::release`].
    pub(crate) fn hear(&mut self, who: &str, packet: &Packet) -> Result<Progress, Ended> {
        let (id, reason, is_ack) = match packet {
            Packet::PubAck(id, reason) | Packet::PubRec(id, reason) | Packet::PubComp(id, reason) => {
                (*id, *reason, matches!(packet, Packet::PubAck(..)))
            }
            other => return Err(Ended::wrong(format!("{who}: what does the broker mean by {other:?}?"))),
        };
        let Some(position) = self.open.iter().position(|open| open.publish.id == id) else {
            return Err(Ended::wrong(format!("{who}: no message is open for {packet:?}")));
        };
        let open = &mut self.open[position];
        let tag = open.tag;
        // 0x10: nobody is subscribed. 0x92: PUBCOMP was lost, and the broker has forgotten the identifier, as it may.
        let unknown = reason == 0x92 && open.released_before && matches!(packet, Packet::PubComp(..));
        if reason != 0 && reason != 0x10 && !unknown {
            return Err(Ended::wrong(format!("{who}: the broker refuses {open:?}: {packet:?}")));
        }
        match packet {
            Packet::PubRec(..) if open.publish.qos == 2 && !open.released => {
                open.received = true;
                self.held.push_back(id);
                Ok(Progress::Received(tag))
            }
            Packet::PubAck(..) | Packet::PubComp(..)
                if is_ack == (open.publish.qos == 1) && (is_ack || open.released) =>
            {
                self.open.remove(position);
                Ok(if is_ack { Progress::Acknowledged(tag) } else { Progress::Completed(tag) })
            }
            _ => Err(Ended::wrong(format!("{who}: {packet:?} does not answer {open:?}"))),
        }
    }

    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    /// Sends the oldest PUBREL that was held back.
    pub(crate) fn release(&mut self, connection: &mut Connection) -> Result<(), Gone> {
        let Some(id) = self.held.pop_front() else { return Ok(()) };
        if let Some(open) = self.open.iter_mut().find(|open| open.publish.id == id) {
            open.released = true;
        }
        connection.send_ack(PUBREL, id)
    }
}

/// Messages that came from the broker and are not over.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    /// QoS 2 messages, from PUBLISH to PUBREL.
    incoming: HashMap<u16, Publish>,
    /// QoS 1 messages that came on this connection and have no PUBACK yet.
    unacknowledged: HashSet<u16>,
    /// Acknowledgements that are held back, in the order of what they acknowledge [MQTT-4.6.0-2, MQTT-4.6.0-3].
    held: VecDeque<(u8, u16)>,
}

impl Inbox {
    /// A PUBLISH: true if it is new to the client, false if it has it already. The acknowledgement is held back until
    /// [`Inbox::acknowledge`].
    pub(crate) fn publish(&mut self, who: &str, publish: &Publish) -> Result<bool, Violation> {
        match publish.qos {
            0 => Ok(true),
            1 => {
                if self.incoming.contains_key(&publish.id) || !self.unacknowledged.insert(publish.id) {
                    return Err(reused(who, publish));
                }
                self.held.push_back((PUBACK, publish.id));
                Ok(true)
            }
            _ => {
                if self.unacknowledged.contains(&publish.id) {
                    return Err(reused(who, publish));
                }
                self.held.push_back((PUBREC, publish.id));
                let Some(before) = self.incoming.get(&publish.id) else {
                    self.incoming.insert(publish.id, publish.clone());
                    return Ok(true);
                };
                if (&before.topic, &before.payload) != (&publish.topic, &publish.payload) {
                    return Err(reused(who, publish));
                }
                if !publish.dup {
                    return Err(Violation(format!(
                        "{who}: {} with packet identifier {} comes again without DUP [MQTT-3.3.1-1]",
                        publish.topic, publish.id
                    )));
                }
                Ok(false)
            }
        }
    }

    /// PUBREL: its PUBCOMP goes out at once.
    pub(crate) fn released(&mut self, connection: &mut Connection, id: u16) -> Result<(), Gone> {
        match self.incoming.remove(&id) {
            Some(_) => connection.send_ack(PUBCOMP, id),
            // PUBCOMP was lost.
            None => connection.send_unknown(id),
        }
    }

    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    /// Nothing is on its way.
    pub(crate) fn is_quiet(&self) -> bool {
        self.incoming.is_empty() && self.held.is_empty()
    }

    /// Sends the oldest PUBACK or PUBREC that was held back, and returns its packet identifier.
    pub(crate) fn acknowledge(&mut self, connection: &mut Connection) -> Result<Option<u16>, Gone> {
        let Some((first_byte, id)) = self.held.pop_front() else { return Ok(None) };
        if first_byte == PUBACK {
            self.unacknowledged.remove(&id);
        }
        connection.send_ack(first_byte, id)?;
        Ok(Some(id))
    }

    /// The connection has ended. What was not acknowledged comes again; QoS 2 identifiers are kept if the session is.
    pub(crate) fn reconnected(&mut self, session_present: bool) {
        self.held.clear();
        self.unacknowledged.clear();
        if !session_present {
            self.incoming.clear();
        }
    }
}

fn reused(who: &str, publish: &Publish) -> Violation {
    Violation(format!(
        "{who}: packet identifier {} is in use and comes with another message, on {} [MQTT-2.2.1-4]",
        publish.id, publish.topic
    ))
}

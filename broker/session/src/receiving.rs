//! Messages from the client: QoS 1 and 2 up to their last acknowledgement (section 4.3).

use crate::{session::Violation, shared_keys::SharedKeys};
use std::collections::{BTreeSet, HashMap};
use tidegate_mqtt::{PacketId, QoS};

/// Says which acknowledgement a message from the client waits for. Handed out once, given back once.
#[derive(Debug, Eq, PartialEq)]
#[must_use]
pub struct PublishToken(pub(crate) Waiting);

impl PublishToken {
    /// The packet identifier of a QoS 2 message: the client may repeat it until PUBREL.
    pub fn exactly_once(&self) -> Option<PacketId> {
        match self.0 {
            Waiting::PubRec(packet_id) => Some(packet_id),
            Waiting::Nothing | Waiting::PubAck(_) => None,
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Waiting {
    Nothing,
    PubAck(PacketId),
    PubRec(PacketId),
}

/// A QoS 2 message from its PUBLISH to its PUBREL.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Receiving {
    /// Hooks and store are deciding; PUBREC waits.
    Publishing,
    /// PUBREC is out. A repeat gets PUBREC again and is not delivered [MQTT-4.3.3-10].
    AwaitingRelease,
}

/// What a PUBLISH is.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Arrival {
    /// A message of its own.
    New(PublishToken),
    /// A repeat whose PUBREC is to be sent again.
    Acknowledged(PacketId),
    /// A repeat of what is being decided; its PUBREC will come.
    Undecided,
    /// QoS 1, but a QoS 2 message has the packet identifier.
    IdentifierInUse(PacketId),
}

/// The window of messages from the client.
#[derive(Debug)]
pub(crate) struct ReceivingWindow {
    /// QoS 1 and 2 messages the client may have open at once; None: not told (before MQTT 5).
    maximum: Option<u16>,
    /// QoS 1 messages whose PUBACK is not out.
    unacknowledged: usize,
    exactly_once: HashMap<PacketId, Receiving, SharedKeys>,
}

impl ReceivingWindow {
    pub(crate) fn new(maximum: Option<u16>, awaiting_release: BTreeSet<PacketId>) -> Self {
        let exactly_once = awaiting_release.into_iter().map(|id| (id, Receiving::AwaitingRelease)).collect();
        Self { maximum, unacknowledged: 0, exactly_once }
    }

    /// `packet_id`: there exactly at QoS 1 and 2.
    #[inline]
    pub(crate) fn publish(&mut self, qos: QoS, packet_id: Option<PacketId>) -> Result<Arrival, Violation> {
        let Some(packet_id) = packet_id else {
            return Ok(Arrival::New(PublishToken(Waiting::Nothing)));
        };
        if qos == QoS::ExactlyOnce {
            match self.exactly_once.get(&packet_id) {
                Some(Receiving::Publishing) => return Ok(Arrival::Undecided),
                Some(Receiving::AwaitingRelease) => return Ok(Arrival::Acknowledged(packet_id)),
                None => {}
            }
        }
        // Only MQTT 5, which has a maximum, has a word for it.
        if qos == QoS::AtLeastOnce && self.maximum.is_some() && self.exactly_once.contains_key(&packet_id) {
            return Ok(Arrival::IdentifierInUse(packet_id));
        }
        if self.maximum.is_some_and(|maximum| self.open() >= usize::from(maximum)) {
            return Err(Violation::ReceiveMaximumExceeded); // [MQTT-3.3.4-7]
        }
        let waiting = if qos == QoS::ExactlyOnce {
            self.exactly_once.insert(packet_id, Receiving::Publishing);
            Waiting::PubRec(packet_id)
        } else {
            self.unacknowledged += 1;
            Waiting::PubAck(packet_id)
        };
        Ok(Arrival::New(PublishToken(waiting)))
    }

    /// The broker has decided; `accepted` false frees the packet identifier of a QoS 2 message at once [MQTT-4.3.3-9].
    pub(crate) fn decided(&mut self, waiting: Waiting, accepted: bool) {
        match waiting {
            Waiting::Nothing => {}
            Waiting::PubAck(_) => self.unacknowledged -= 1,
            Waiting::PubRec(id) if accepted => {
                self.exactly_once.insert(id, Receiving::AwaitingRelease);
            }
            Waiting::PubRec(id) => {
                self.exactly_once.remove(&id);
            }
        }
    }

    /// PUBREL; false if the packet identifier is not known.
    pub(crate) fn release(&mut self, packet_id: PacketId) -> bool {
        if self.exactly_once.get(&packet_id) != Some(&Receiving::AwaitingRelease) {
            return false;
        }
        self.exactly_once.remove(&packet_id).is_some()
    }

    /// QoS 1 and 2 messages not acknowledged to their end.
    pub(crate) fn open(&self) -> usize {
        self.unacknowledged + self.exactly_once.len()
    }

    /// What a resumed session must still know. What was being decided is not acknowledged: the client sends it again.
    pub(crate) fn into_awaiting_release(self) -> BTreeSet<PacketId> {
        let released = |(id, stage)| (stage == Receiving::AwaitingRelease).then_some(id);
        self.exactly_once.into_iter().filter_map(released).collect()
    }
}

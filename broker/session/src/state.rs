//! What outlives a connection, as plain data: the same for takeover, restart and backup.

use crate::{
    sending::{Delivery, Stored},
    subscriptions::Subscriptions,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
};
use tidegate_mqtt::{
    ClientId, MessageId, Origin, PacketId, SessionId, SubscriptionFilter, SubscriptionOptions,
};

/// A session between two connections.
#[derive(Clone, Debug)]
pub struct SessionState {
    /// Its number for life.
    pub id: SessionId,
    /// Whose it is.
    pub client_id: ClientId,
    /// Seconds it outlives its connection; `u32::MAX` for ever (section 3.1.2.11.2).
    pub expiry: u32,
    /// Its subscriptions.
    pub subscriptions: Subscriptions,
    /// Filters the client asked for, of which a plugin made others: UNSUBSCRIBE names what was asked for.
    pub rewritten: BTreeMap<SubscriptionFilter, SubscriptionFilter>,
    /// QoS 1 and 2 messages on their way to the client, in the order they were first sent [MQTT-4.6.0-1].
    pub inflight: Vec<Inflight>,
    /// Where the search for a free packet identifier goes on.
    pub next_packet_id: u16,
    /// QoS 2 messages from the client whose PUBREL is missing.
    pub awaiting_release: BTreeSet<PacketId>,
}

impl SessionState {
    /// A session that has just begun.
    pub fn new(id: SessionId, client_id: ClientId, expiry: u32) -> Self {
        Self {
            id,
            client_id,
            expiry,
            subscriptions: Subscriptions::default(),
            rewritten: BTreeMap::new(),
            inflight: Vec::new(),
            next_packet_id: 1,
            awaiting_release: BTreeSet::new(),
        }
    }
}

/// One subscription of a session.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Subscribed {
    /// As granted.
    pub options: SubscriptionOptions,
    /// Returned with every message it brings.
    pub identifier: Option<NonZeroU32>,
}

/// A QoS 1 or 2 message on its way to the client.
#[derive(Clone, Debug)]
pub struct Inflight {
    /// Not given to another message until the client is done with this one [MQTT-2.2.1-4].
    pub packet_id: PacketId,
    /// How far it has come.
    pub stage: Stage,
}

/// A message whose text is not needed any more.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    /// Its name.
    pub id: MessageId,
    /// The plugin that published it, if one did.
    pub origin: Option<Box<Origin>>,
    /// Where it is stored, if it is.
    pub stored: Option<Stored>,
}

impl From<&Delivery> for Finished {
    fn from(delivery: &Delivery) -> Self {
        let message = &*delivery.message;
        Self { id: message.id, origin: message.origin.clone(), stored: delivery.stored }
    }
}

/// How far a message to the client has come.
#[derive(Clone, Debug)]
pub enum Stage {
    /// PUBLISH is out.
    Published(Delivery),
    /// QoS 2: PUBREC came, PUBREL is out.
    Released(Finished),
}

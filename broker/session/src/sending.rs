//! Messages to the client: the window of QoS 1 and 2 messages that it has not acknowledged to their end (section 4.3, 4.9).

use crate::{
    session::Terms,
    state::{Finished, Inflight, Stage},
    topic_alias::{Aliased, OutgoingAliases},
};
use std::{collections::VecDeque, num::NonZeroU64, sync::Arc, time::Duration};
use tidegate_mqtt::{
    Message, Outgoing, PacketId, PacketType, Publish, QoS, ReasonCode, SubscriptionFilter, SubscriptionIds,
    Timestamp, Version,
};

/// A message on its way to one client.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Shared with all others who get it.
    pub message: Arc<Message>,
    /// The lower of the message's and the subscription's.
    pub qos: QoS,
    /// RETAIN flag as this client sees it.
    pub retain: bool,
    /// Of the subscriptions that brought it.
    pub identifiers: SubscriptionIds,
    /// The shared subscription that brought it, if one did: then another of its group may get it instead.
    pub group: Option<Arc<SubscriptionFilter>>,
    /// Where it is stored, if it is.
    pub stored: Option<Stored>,
}

/// Where a store keeps what a session waits for: given by the store, of no meaning to the session.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Stored(NonZeroU64);

impl Stored {
    const SHARED: u64 = 1 << 63;

    /// `position`: rises with each delivery of a session; not 0, below 2^63. `shared`: others wait for the same message.
    pub fn new(position: u64, shared: bool) -> Self {
        Self(NonZeroU64::new(position | if shared { Self::SHARED } else { 0 }).unwrap_or(NonZeroU64::MIN))
    }

    /// Its place in the queue of its session.
    pub fn position(self) -> u64 {
        self.0.get() & !Self::SHARED
    }

    /// Whether, when it was stored, others waited for the same message.
    pub fn is_shared(self) -> bool {
        self.0.get() & Self::SHARED != 0
    }
}

/// How messages reach this client.
pub(crate) struct Outlet<'a> {
    pub(crate) terms: &'a Terms,
    pub(crate) mount_point: Option<&'a str>,
    pub(crate) aliases: Option<&'a mut OutgoingAliases>,
}

/// Why a [`Delivery`] cannot go out, now or later.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Undelivered {
    /// Larger than the client's Maximum Packet Size: dropped for it alone [MQTT-3.1.2-25].
    TooLarge,
    /// Its time had passed [MQTT-3.3.2-5].
    Expired,
}

/// The window of messages to the client.
#[derive(Debug)]
pub(crate) struct SendingWindow {
    /// QoS 1 and 2 messages that may be open at once: the client's Receive Maximum or ours, the lower.
    maximum: usize,
    /// In the order they were first sent [MQTT-4.6.0-1].
    inflight: VecDeque<Inflight>,
    /// How many of them, from the front, were sent on this connection. The others are left from an earlier one.
    sent: usize,
    next_packet_id: u16,
    /// Packet identifiers in flight rise from the front to the next one, so that it is free. Not so if they are left from an earlier connection.
    rising: bool,
}

/// What a PUBREC that accepts did.
#[derive(Debug, PartialEq)]
pub(crate) enum Received {
    /// The message is the client's from now on, but for its name.
    Released(Finished),
    /// It did so before.
    Again,
    /// No message has that packet identifier in that state.
    Unknown,
}

impl SendingWindow {
    pub(crate) fn new(maximum: u16, inflight: Vec<Inflight>, next_packet_id: u16) -> Self {
        Self { maximum: maximum.into(), inflight: inflight.into(), sent: 0, next_packet_id, rising: false }
    }

    /// Whether another QoS 1 or 2 message may be sent now [MQTT-4.9.0-2].
    pub(crate) fn has_room(&self) -> bool {
        self.inflight.len() < self.maximum && self.sent == self.inflight.len()
    }

    /// Whether something from an earlier connection is to be sent again, and there is room for it.
    pub(crate) fn must_resend(&self) -> bool {
        self.sent < self.inflight.len() && self.sent < self.maximum
    }

    pub(crate) fn len(&self) -> usize {
        self.inflight.len()
    }

    pub(crate) fn stored(&self) -> impl Iterator<Item = Stored> {
        self.inflight.iter().filter_map(|inflight| match &inflight.stage {
            Stage::Published(delivery) => delivery.stored,
            Stage::Released(finished) => finished.stored,
        })
    }

    /// The caller has asked [`SendingWindow::has_room`] if the delivery needs a packet identifier.
    pub(crate) fn deliver(
        &mut self,
        delivery: Delivery,
        outlet: &mut Outlet<'_>,
        now: Timestamp,
        out: &mut Outgoing,
    ) -> Result<Option<PacketId>, (Delivery, Undelivered)> {
        let packet_id = (delivery.qos > QoS::AtMostOnce).then(|| self.free_packet_id());
        if let Err(why) = write(&delivery, packet_id, false, outlet, now, out) {
            return Err((delivery, why));
        }
        if let Some(packet_id) = packet_id {
            self.inflight.push_back(Inflight { packet_id, stage: Stage::Published(delivery) });
            self.sent += 1;
        }
        Ok(packet_id)
    }

    /// Sends again what the client has not acknowledged [MQTT-4.4.0-1], as far as the window goes [MQTT-3.3.4-9]; returns the messages that
    /// can no longer be sent.
    pub(crate) fn resend(
        &mut self,
        outlet: &mut Outlet<'_>,
        now: Timestamp,
        out: &mut Outgoing,
    ) -> Vec<(Delivery, Undelivered)> {
        let mut gone = Vec::new();
        while self.must_resend() {
            let Inflight { packet_id, stage } = &self.inflight[self.sent];
            match stage {
                Stage::Released(_) => {
                    outlet.terms.acknowledge(PacketType::PubRel, *packet_id, ReasonCode::Success, out);
                }
                Stage::Published(delivery) => {
                    if let Err(why) = write(delivery, Some(*packet_id), true, outlet, now, out) {
                        gone.push((delivery.clone(), why));
                        self.inflight.remove(self.sent);
                        continue;
                    }
                }
            }
            self.sent += 1;
        }
        gone
    }

    /// See [`Session::hand_over`](crate::Session::hand_over).
    pub(crate) fn hand_over(&mut self, mut taken: impl FnMut(&Delivery) -> bool) {
        let mut gone_of_sent = 0;
        let mut index = 0;
        let sent = self.sent;
        self.inflight.retain(|inflight| {
            let goes = match &inflight.stage {
                Stage::Published(delivery)
                    if delivery.qos == QoS::AtLeastOnce && delivery.group.is_some() =>
                {
                    taken(delivery)
                }
                _ => false,
            };
            gone_of_sent += usize::from(goes && index < sent);
            index += 1;
            !goes
        });
        self.sent -= gone_of_sent;
    }

    /// PUBACK [MQTT-4.3.2-3]. Returns the message that the client is done with.
    pub(crate) fn puback(&mut self, packet_id: PacketId) -> Option<Finished> {
        self.done(packet_id, QoS::AtLeastOnce)
    }

    /// PUBREC with an error: the client does not take the message [MQTT-4.3.3-4].
    pub(crate) fn refused(&mut self, packet_id: PacketId) -> Option<Finished> {
        self.done(packet_id, QoS::ExactlyOnce)
    }

    /// Whether PUBREL is out for it.
    pub(crate) fn is_released(&self, packet_id: PacketId) -> bool {
        let index = self.position(packet_id);
        index.is_some_and(|index| matches!(self.inflight[index].stage, Stage::Released(_)))
    }

    /// PUBREC: the message is the client's now, only its PUBCOMP is missing [MQTT-4.3.3-4].
    pub(crate) fn pubrec(&mut self, packet_id: PacketId) -> Received {
        let Some(index) = self.position(packet_id) else { return Received::Unknown };
        let stage = &mut self.inflight[index].stage;
        match stage {
            Stage::Published(delivery) if delivery.qos == QoS::ExactlyOnce => {
                let finished = Finished::from(&*delivery);
                *stage = Stage::Released(finished.clone());
                Received::Released(finished)
            }
            Stage::Published(_) => Received::Unknown,
            Stage::Released(_) => Received::Again,
        }
    }

    /// PUBCOMP. Returns the message that the client is done with.
    pub(crate) fn pubcomp(&mut self, packet_id: PacketId) -> Option<Finished> {
        let index = self.position(packet_id)?;
        let Stage::Released(_) = self.inflight[index].stage else { return None };
        match self.remove(index)?.stage {
            Stage::Released(finished) => Some(finished),
            Stage::Published(_) => None,
        }
    }

    fn done(&mut self, packet_id: PacketId, qos: QoS) -> Option<Finished> {
        let index = self.position(packet_id)?;
        let Stage::Published(delivery) = &self.inflight[index].stage else { return None };
        if delivery.qos != qos {
            return None;
        }
        let finished = Finished::from(delivery);
        self.remove(index);
        Some(finished)
    }

    fn remove(&mut self, index: usize) -> Option<Inflight> {
        self.sent -= usize::from(index < self.sent);
        if index == 0 { self.inflight.pop_front() } else { self.inflight.remove(index) }
    }

    /// Identifiers are given one after the other, nearly always, and acknowledged in that order: one look is enough.
    fn position(&self, packet_id: PacketId) -> Option<usize> {
        let likely = packet_id.get().wrapping_sub(self.inflight.front()?.packet_id.get());
        if self.inflight.get(usize::from(likely)).is_some_and(|inflight| inflight.packet_id == packet_id) {
            return Some(likely.into());
        }
        self.inflight.iter().position(|inflight| inflight.packet_id == packet_id)
    }

    /// The window is smaller than the number of packet identifiers, so one is free.
    fn free_packet_id(&mut self) -> PacketId {
        // They may have gone round: then the front could have the next one.
        let since_front = |front: &Inflight| self.next_packet_id.wrapping_sub(front.packet_id.get());
        self.rising = match self.inflight.front() {
            None => true,
            Some(front) => self.rising && since_front(front) < u16::MAX / 2,
        };
        loop {
            let candidate = PacketId::new(self.next_packet_id).unwrap_or(PacketId::MIN);
            self.next_packet_id = candidate.get().wrapping_add(1);
            if self.rising || self.position(candidate).is_none() {
                return candidate;
            }
        }
    }

    pub(crate) fn into_parts(self) -> (Vec<Inflight>, u16) {
        (self.inflight.into(), self.next_packet_id)
    }
}

fn write(
    delivery: &Delivery,
    packet_id: Option<PacketId>,
    dup: bool,
    outlet: &mut Outlet<'_>,
    now: Timestamp,
    out: &mut Outgoing,
) -> Result<(), Undelivered> {
    let message = &*delivery.message;
    let terms = outlet.terms;
    let expires_at = message.expires_at();
    // What was sent once does not expire any more [MQTT-4.3.3-7].
    if !dup && expires_at.is_some_and(|at| at <= now) {
        return Err(Undelivered::Expired);
    }
    let maximum = terms.client_maximum_packet_size as usize;
    let flags = (dup, delivery.qos, delivery.retain);
    let own_properties =
        terms.version == Version::V5 && (expires_at.is_some() || !delivery.identifiers.is_empty());
    if outlet.mount_point.is_none() && outlet.aliases.is_none() && !own_properties {
        let tail = out.tail();
        let start = tail.len();
        let written = message.write_head(terms.version, flags, packet_id, tail);
        if written.is_err() || tail.len() - start + message.payload.len() > maximum {
            tail.truncate(start);
            return Err(Undelivered::TooLarge);
        }
        out.push_shared(&message.payload);
        out.count_packet();
        return Ok(());
    }
    let properties = own_properties.then(|| {
        let mut own = message.properties.clone().unwrap_or_default();
        own.subscription_identifiers.clone_from(&delivery.identifiers); // [MQTT-3.3.4-3]
        own.message_expiry_interval = expires_at.map(|at| seconds_left(at.since(now))); // [MQTT-3.3.2-6]
        own
    });
    let topic = outlet.mount_point.and_then(|mount_point| message.topic.strip_prefix(mount_point));
    let topic = topic.unwrap_or(&message.topic);
    let mut publish = Publish {
        dup,
        qos: delivery.qos,
        retain: delivery.retain,
        topic,
        packet_id,
        properties: properties.or_else(|| message.properties.clone()),
        payload: &message.payload,
    };
    let aliased = outlet.aliases.as_mut().and_then(|aliases| aliases.choose(&message.topic));
    if let Some(Aliased::AliasOnly(alias) | Aliased::TopicAndAlias(alias)) = aliased {
        publish.properties.get_or_insert_default().topic_alias = Some(alias);
        if matches!(aliased, Some(Aliased::AliasOnly(_))) {
            publish.topic = "";
        }
    }
    let mut fits = publish.encoded_len(terms.version).is_ok_and(|len| len <= maximum);
    if let Some(Aliased::TopicAndAlias(alias)) = aliased {
        if fits {
            if let Some(aliases) = &mut outlet.aliases {
                aliases.remember(&message.topic, alias);
            }
        } else {
            // Those three bytes shall not be what makes it too large.
            publish.properties.get_or_insert_default().topic_alias = None;
            fits = publish.encoded_len(terms.version).is_ok_and(|len| len <= maximum);
        }
    }
    if !fits || publish.encode_head(terms.version, out.tail()).is_err() {
        return Err(Undelivered::TooLarge);
    }
    out.push_shared(&message.payload);
    out.count_packet();
    Ok(())
}

/// At least 1: what has not expired yet must not look as if it had.
fn seconds_left(left: Duration) -> u32 {
    u32::try_from(left.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1)
}

//! A session while its client is connected.

use crate::{
    authentication::{AuthStep, Authentication},
    receiving::{Arrival, PublishToken, ReceivingWindow, Waiting},
    sending::{Delivery, Outlet, Received, SendingWindow, Stored, Undelivered},
    state::{Finished, SessionState, Subscribed},
    subscriptions::Subscriptions,
    topic_alias::{OutgoingAliases, ResolvedTopic, TopicAliases},
};
use bytes::Bytes;
use std::collections::BTreeMap;
use tidegate_mqtt::{
    Ack, AckProperties, ClientId, Disconnect, DisconnectProperties, Outgoing, Packet, PacketId, PacketType,
    Publish, QoS, ReasonCode, SessionId, SubAck, Subscribe, SubscriptionFilter, Timestamp, TopicName,
    UnsubAck, Unsubscribe, Version, encode_short_ack,
};

/// What CONNECT and CONNACK agreed on.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// What the connection speaks.
    pub version: Version,
    /// QoS 1 and 2 messages the broker takes at once, as announced.
    pub receive_maximum: u16,
    /// QoS 1 and 2 messages the client takes at once, or fewer if the broker wants to.
    pub client_receive_maximum: u16,
    /// Bytes of the largest packet the client takes; `u32::MAX` if it did not say.
    pub client_maximum_packet_size: u32,
    /// Aliases the broker accepts, as announced.
    pub topic_alias_maximum: u16,
    /// Aliases the broker assigns at most: never more than the client takes [MQTT-3.1.2-26].
    pub outgoing_topic_aliases: u16,
    /// Highest QoS of a PUBLISH from the client, as announced.
    pub maximum_qos: QoS,
    /// Whether the client may send retained messages, as announced.
    pub retain_available: bool,
    /// User properties of one packet from the client at most.
    pub max_user_properties: usize,
    /// Seconds that a session may outlive its connection at most.
    pub max_session_expiry: u32,
    /// Whether acknowledgements may carry reason strings and user properties [MQTT-3.1.2-29].
    pub problem_information: bool,
}

impl Terms {
    /// Writes an acknowledgement without properties.
    pub(crate) fn acknowledge(
        &self,
        packet: PacketType,
        packet_id: PacketId,
        reason: ReasonCode,
        out: &mut Outgoing,
    ) {
        let tail = out.tail();
        let start = tail.len();
        let written = encode_short_ack(packet, packet_id, reason, self.version, tail);
        if written.is_err() || tail.len() - start > self.client_maximum_packet_size as usize {
            tail.truncate(start); // [MQTT-3.1.2-24]
        } else {
            out.count_packet();
        }
    }

    /// Writes a packet, without its reason string and user properties where the client does not want or cannot take them.
    pub fn write(&self, packet: &Packet<'_>, out: &mut Outgoing) {
        let stripped;
        let mut packet = packet;
        if self.version == Version::V5 && !self.problem_information {
            stripped = packet.clone().without_problem_information();
            packet = &stripped;
        }
        // What the version cannot say (DISCONNECT before MQTT 5), or the client cannot take, is not said [MQTT-3.1.2-24].
        if packet.encode_within(self.version, self.client_maximum_packet_size, out.tail()).is_ok() {
            out.count_packet();
        }
    }
}

/// What the broker has to do about a packet.
#[derive(Debug)]
pub enum Request<'a> {
    /// Nothing: the session has answered by itself.
    None,
    /// Ask hooks, store and routes, then call [`Session::published`].
    Publish(Incoming<'a>),
    /// Ask hooks and routes, then call [`Session::subscribed`].
    Subscribe(Subscribe),
    /// Then call [`Session::unsubscribed`].
    Unsubscribe(Unsubscribe),
    /// The client is done with this message.
    Done(Finished),
    /// The client has this message. What follows PUBREL may go out when that is stored.
    Released {
        /// Of the message, until PUBCOMP.
        packet_id: PacketId,
        /// Which message.
        finished: Finished,
    },
    /// A QoS 2 message of the client came to its end. PUBCOMP may go out when that is stored.
    Completed(PacketId),
    /// The client leaves.
    Disconnect(Disconnect),
    /// Ask hooks, then call [`Session::challenge`], [`Session::authenticated`] or [`Session::disconnect`].
    Authenticate(AuthStep),
}

/// A message from the client.
#[derive(Debug)]
pub struct Incoming<'a> {
    /// Goes back with the decision.
    pub token: PublishToken,
    /// The packet.
    pub publish: Publish<'a>,
    /// Its topic.
    pub topic: ResolvedTopic<'a>,
}

/// The client broke the protocol. The connection ends with the reason code.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Violation {
    /// [MQTT-3.1.0-2]
    #[error("a second CONNECT")]
    SecondConnect,
    /// Only servers send it.
    #[error("a packet that only servers send")]
    ServerPacket,
    /// [MQTT-3.3.4-7]
    #[error("more QoS 1 and 2 messages at once than the Receive Maximum")]
    ReceiveMaximumExceeded,
    /// [MQTT-3.3.2-8], [MQTT-3.3.2-9]
    #[error("a topic alias above the Topic Alias Maximum")]
    TopicAliasTooLarge,
    /// An alias that was never set.
    #[error("a topic alias that stands for nothing yet")]
    TopicAliasUnknown,
    /// [MQTT-3.3.4-6]
    #[error("a subscription identifier in a PUBLISH from a client")]
    SubscriptionIdentifier,
    /// Section 3.14.2.2.2: a session that was to end with its connection cannot be prolonged.
    #[error("a session expiry in DISCONNECT though CONNECT had none")]
    SessionExpiryProlonged,
    /// [MQTT-3.2.2-11]
    #[error("a QoS above the Maximum QoS")]
    QosNotSupported,
    /// [MQTT-3.2.2-14]
    #[error("a retained message, though Retain Available is 0")]
    RetainNotSupported,
    /// Our own limit.
    #[error("more user properties in a packet than are allowed")]
    TooManyUserProperties,
    /// [MQTT-4.12.0-7]
    #[error("AUTH, though CONNECT named no authentication method")]
    NoAuthenticationMethod,
    /// [MQTT-4.12.0-5], [MQTT-4.12.1-1]
    #[error("AUTH with another authentication method than CONNECT")]
    OtherAuthenticationMethod,
    /// [MQTT-4.12.0-3]
    #[error("AUTH out of turn")]
    AuthenticationOutOfTurn,
}

impl Violation {
    /// What the client is told.
    pub fn reason_code(self) -> ReasonCode {
        match self {
            Self::SecondConnect
            | Self::ServerPacket
            | Self::SubscriptionIdentifier
            | Self::TopicAliasUnknown
            | Self::SessionExpiryProlonged
            | Self::NoAuthenticationMethod
            | Self::OtherAuthenticationMethod
            | Self::AuthenticationOutOfTurn => ReasonCode::ProtocolError,
            Self::QosNotSupported => ReasonCode::QosNotSupported,
            Self::RetainNotSupported => ReasonCode::RetainNotSupported,
            Self::TooManyUserProperties => ReasonCode::QuotaExceeded,
            Self::ReceiveMaximumExceeded => ReasonCode::ReceiveMaximumExceeded,
            Self::TopicAliasTooLarge => ReasonCode::TopicAliasInvalid,
        }
    }
}

/// A session while its client is connected. Packets, answers and time go in; bytes and [`Request`]s come out.
#[derive(Debug)]
pub struct Session {
    id: SessionId,
    client_id: ClientId,
    terms: Terms,
    expiry: u32,
    subscriptions: Subscriptions,
    rewritten: BTreeMap<SubscriptionFilter, SubscriptionFilter>,
    aliases: TopicAliases,
    outgoing_aliases: Option<Box<OutgoingAliases>>,
    /// Stands before every topic, unseen by the client.
    mount_point: Option<TopicName>,
    /// None if CONNECT named no method.
    authentication: Option<Box<Authentication>>,
    receiving: ReceivingWindow,
    sending: SendingWindow,
}

impl Session {
    /// A connection takes up a session, new or resumed.
    pub fn new(terms: Terms, state: SessionState) -> Self {
        let SessionState {
            id,
            client_id,
            expiry,
            subscriptions,
            rewritten,
            inflight,
            next_packet_id,
            awaiting_release,
        } = state;
        let receive_maximum = (terms.version == Version::V5).then_some(terms.receive_maximum);
        Self {
            id,
            client_id,
            terms,
            expiry,
            subscriptions,
            rewritten,
            aliases: TopicAliases::new(terms.topic_alias_maximum),
            outgoing_aliases: (terms.outgoing_topic_aliases > 0)
                .then(|| Box::new(OutgoingAliases::new(terms.outgoing_topic_aliases))),
            mount_point: None,
            authentication: None,
            receiving: ReceivingWindow::new(receive_maximum, awaiting_release),
            sending: SendingWindow::new(terms.client_receive_maximum, inflight, next_packet_id),
        }
    }

    /// What stands before the topics of messages to the client, and is not sent. Subscriptions and messages come with it already.
    pub fn set_mount_point(&mut self, mount_point: Option<TopicName>) {
        self.mount_point = mount_point;
    }

    /// The client was let in by enhanced authentication, and may re-authenticate.
    pub fn set_authentication(&mut self, authentication: Authentication) {
        self.authentication = Some(Box::new(authentication));
    }

    /// After CONNACK, and for as long as [`Session::must_resume`]: sends again what the client had not acknowledged [MQTT-4.4.0-1], as far
    /// as its window goes. Returns messages that the client cannot take any more, and why.
    pub fn resume(&mut self, now: Timestamp, out: &mut Outgoing) -> Vec<(Delivery, Undelivered)> {
        let mut outlet = Outlet {
            terms: &self.terms,
            mount_point: self.mount_point.as_deref(),
            aliases: self.outgoing_aliases.as_deref_mut(),
        };
        self.sending.resend(&mut outlet, now, out)
    }

    /// Whether something is to be sent again, and there is room for it. Nothing new is sent before.
    pub fn must_resume(&self) -> bool {
        self.sending.must_resend()
    }

    /// A packet from the client.
    ///
    /// # Errors
    /// [`Violation`]: tell the client and close.
    pub fn receive<'a>(&mut self, packet: Packet<'a>, out: &mut Outgoing) -> Result<Request<'a>, Violation> {
        if packet.user_properties() > self.terms.max_user_properties {
            return Err(Violation::TooManyUserProperties);
        }
        match packet {
            Packet::Publish(publish) => self.receive_publish(publish, out),
            Packet::PubAck(ack) => Ok(self.puback(ack.packet_id).map_or(Request::None, Request::Done)),
            Packet::PubRec(ack) if ack.reason.is_error() => {
                // A refusal ends the exchange, known or not [MQTT-4.3.3-4].
                let refused = self.sending.refused(ack.packet_id);
                if refused.is_none() && self.sending.is_released(ack.packet_id) {
                    self.acknowledge(PacketType::PubRel, ack.packet_id, ReasonCode::Success, out);
                }
                Ok(refused.map_or(Request::None, Request::Done))
            }
            Packet::PubRec(Ack { packet_id, .. }) => Ok(match self.pubrec(packet_id, out) {
                Some(finished) => Request::Released { packet_id, finished },
                None => Request::None,
            }),
            Packet::PubRel(Ack { packet_id, .. }) => {
                Ok(if self.pubrel(packet_id, out) { Request::Completed(packet_id) } else { Request::None })
            }
            Packet::PubComp(ack) => Ok(self.pubcomp(ack.packet_id).map_or(Request::None, Request::Done)),
            Packet::Subscribe(subscribe) => Ok(Request::Subscribe(subscribe)),
            Packet::Unsubscribe(unsubscribe) => Ok(Request::Unsubscribe(unsubscribe)),
            Packet::PingReq => {
                self.write(&Packet::PingResp, out); // [MQTT-3.12.4-1]
                Ok(Request::None)
            }
            Packet::Disconnect(disconnect) => {
                if let Some(expiry) = disconnect.properties.session_expiry_interval {
                    if self.expiry == 0 && expiry != 0 {
                        return Err(Violation::SessionExpiryProlonged);
                    }
                    self.expiry = expiry.min(self.terms.max_session_expiry);
                }
                Ok(Request::Disconnect(disconnect))
            }
            Packet::Auth(auth) => match &mut self.authentication {
                Some(authentication) => authentication.receive(auth).map(Request::Authenticate),
                None => Err(Violation::NoAuthenticationMethod),
            },
            Packet::Connect(_) => Err(Violation::SecondConnect),
            Packet::ConnAck(_) | Packet::SubAck(_) | Packet::UnsubAck(_) | Packet::PingResp => {
                Err(Violation::ServerPacket)
            }
        }
    }

    fn receive_publish<'a>(
        &mut self,
        publish: Publish<'a>,
        out: &mut Outgoing,
    ) -> Result<Request<'a>, Violation> {
        if publish.properties.as_ref().is_some_and(|p| !p.subscription_identifiers.is_empty()) {
            return Err(Violation::SubscriptionIdentifier);
        }
        if publish.retain && !self.terms.retain_available {
            return Err(Violation::RetainNotSupported);
        }
        let topic = self.aliases.resolve(&publish)?;
        let token = self.arrives(publish.qos, publish.packet_id, out)?;
        Ok(token.map_or(Request::None, |token| Request::Publish(Incoming { token, publish, topic })))
    }

    /// A message from the client, as far as quality of service goes: for one whose topic is known and that is not to be retained, this is all
    /// there is to [`Session::receive`]. Call [`Session::published`] with the token; None: it came before, and was answered. `packet_id` is
    /// there exactly at QoS 1 and 2.
    ///
    /// # Errors
    /// [`Violation`]: tell the client and close.
    #[inline]
    pub fn arrives(
        &mut self,
        qos: QoS,
        packet_id: Option<PacketId>,
        out: &mut Outgoing,
    ) -> Result<Option<PublishToken>, Violation> {
        if qos > self.terms.maximum_qos {
            return Err(Violation::QosNotSupported);
        }
        match self.receiving.publish(qos, packet_id)? {
            Arrival::New(token) => return Ok(Some(token)),
            Arrival::Acknowledged(packet_id) => {
                self.acknowledge(PacketType::PubRec, packet_id, ReasonCode::Success, out);
            }
            Arrival::Undecided => {}
            // Optional, and helps a client that lost count [MQTT-2.2.1-3].
            Arrival::IdentifierInUse(packet_id) => {
                self.acknowledge(PacketType::PubAck, packet_id, ReasonCode::PacketIdentifierInUse, out);
            }
        }
        Ok(None)
    }

    /// PUBACK. Returns the message that the client is done with.
    #[inline]
    pub fn puback(&mut self, packet_id: PacketId) -> Option<Finished> {
        self.sending.puback(packet_id)
    }

    /// PUBREC that accepts: PUBREL follows. Returns the message that the client has now; what follows may go out when that is stored.
    pub fn pubrec(&mut self, packet_id: PacketId, out: &mut Outgoing) -> Option<Finished> {
        let (reason, released) = match self.sending.pubrec(packet_id) {
            Received::Released(finished) => (ReasonCode::Success, Some(finished)),
            Received::Again => (ReasonCode::Success, None),
            Received::Unknown => (ReasonCode::PacketIdentifierNotFound, None),
        };
        self.acknowledge(PacketType::PubRel, packet_id, reason, out);
        released
    }

    /// PUBREL: PUBCOMP follows [MQTT-4.3.3-11]. Whether a QoS 2 message of the client came to its end; PUBCOMP may go out when that is stored.
    pub fn pubrel(&mut self, packet_id: PacketId, out: &mut Outgoing) -> bool {
        let known = self.receiving.release(packet_id);
        let reason = if known { ReasonCode::Success } else { ReasonCode::PacketIdentifierNotFound };
        self.acknowledge(PacketType::PubComp, packet_id, reason, out);
        known
    }

    /// PUBCOMP. Returns the message that the client is done with.
    pub fn pubcomp(&mut self, packet_id: PacketId) -> Option<Finished> {
        self.sending.pubcomp(packet_id)
    }

    /// The broker accepted a message (a reason below 0x80) or refused it, and what it promises is safe: PUBACK or PUBREC goes out.
    /// Decisions are given in the order the messages came [MQTT-4.6.0-2], [MQTT-4.6.0-3].
    pub fn published(
        &mut self,
        token: PublishToken,
        reason: ReasonCode,
        text: Option<&str>,
        out: &mut Outgoing,
    ) {
        self.receiving.decided(token.0, !reason.is_error());
        let (kind, packet_id) = match token.0 {
            Waiting::Nothing => return,
            Waiting::PubAck(id) => (PacketType::PubAck, id),
            Waiting::PubRec(id) => (PacketType::PubRec, id),
        };
        match text {
            None => self.acknowledge(kind, packet_id, reason, out),
            Some(text) => {
                let ack = Ack { packet_id, reason, properties: Some(Box::new(explanation(text))) };
                let is_puback = kind == PacketType::PubAck;
                self.write(&if is_puback { Packet::PubAck(ack) } else { Packet::PubRec(ack) }, out);
            }
        }
    }

    /// Remembers a granted subscription; true if the session had one with that filter already.
    pub fn subscribe(&mut self, filter: SubscriptionFilter, subscribed: Subscribed) -> bool {
        self.subscriptions.insert(filter, subscribed).is_some()
    }

    /// Answers a SUBSCRIBE: one reason for each filter, in order [MQTT-3.8.4-6].
    pub fn subscribed(
        &self,
        packet_id: PacketId,
        reasons: Vec<ReasonCode>,
        text: Option<&str>,
        out: &mut Outgoing,
    ) {
        let properties = text.map(explanation).unwrap_or_default();
        self.write(&Packet::SubAck(SubAck { packet_id, properties, reasons }), out);
    }

    /// Forgets a subscription; false if there was none.
    pub fn unsubscribe(&mut self, filter: &SubscriptionFilter) -> bool {
        self.subscriptions.remove(filter).is_some()
    }

    /// Remembers what a plugin made of a filter that the client asked for.
    pub fn rewrite(&mut self, asked: SubscriptionFilter, granted: SubscriptionFilter) {
        if asked == granted {
            self.rewritten.remove(&asked);
        } else {
            self.rewritten.insert(asked, granted);
        }
    }

    /// What a filter in UNSUBSCRIBE ends: itself, or what a plugin made of it. None: the client asked for the same by another filter too.
    pub fn ended_by(&mut self, asked: SubscriptionFilter) -> Option<SubscriptionFilter> {
        let Some(granted) = self.rewritten.remove(&asked) else { return Some(asked) };
        let still_asked_for = self.rewritten.values().any(|other| *other == granted);
        (!still_asked_for).then_some(granted)
    }

    /// Answers an UNSUBSCRIBE: one reason for each filter, in order [MQTT-3.11.3-1].
    pub fn unsubscribed(&self, packet_id: PacketId, reasons: Vec<ReasonCode>, out: &mut Outgoing) {
        self.write(
            &Packet::UnsubAck(UnsubAck { packet_id, properties: AckProperties::default(), reasons }),
            out,
        );
    }

    /// Sends a message to the client. For QoS 1 and 2 ask [`Session::has_room`] first; returns the packet identifier they got.
    ///
    /// # Errors
    /// The delivery, if it cannot go out to this client.
    pub fn deliver(
        &mut self,
        delivery: Delivery,
        now: Timestamp,
        out: &mut Outgoing,
    ) -> Result<Option<PacketId>, (Delivery, Undelivered)> {
        let mut outlet = Outlet {
            terms: &self.terms,
            mount_point: self.mount_point.as_deref(),
            aliases: self.outgoing_aliases.as_deref_mut(),
        };
        self.sending.deliver(delivery, &mut outlet, now, out)
    }

    /// Whether the client takes another QoS 1 or 2 message now [MQTT-4.9.0-2].
    pub fn has_room(&self) -> bool {
        self.sending.has_room()
    }

    /// Offers each message of a shared subscription that the client has not acknowledged to others of its group; those that `taken` says
    /// yes to are no longer the client's. QoS 2 messages stay: the client may have them already [MQTT-4.8.2-4], [MQTT-4.8.2-5].
    pub fn hand_over(&mut self, taken: impl FnMut(&Delivery) -> bool) {
        self.sending.hand_over(taken);
    }

    /// Asks the client for the next step of its authentication [MQTT-4.12.0-2].
    pub fn challenge(&mut self, data: Option<Bytes>, out: &mut Outgoing) {
        if let Some(authentication) = &mut self.authentication {
            let packet = authentication.challenge(data);
            self.terms.write(&packet, out);
        }
    }

    /// The client has proved itself again.
    pub fn authenticated(&mut self, data: Option<Bytes>, out: &mut Outgoing) {
        if let Some(authentication) = &mut self.authentication {
            let packet = authentication.succeed(data);
            self.terms.write(&packet, out);
        }
    }

    /// Tells an MQTT 5 client why the connection ends, and perhaps where else to go; others are just closed.
    pub fn disconnect(
        &self,
        reason: ReasonCode,
        text: Option<&str>,
        server_reference: Option<&str>,
        out: &mut Outgoing,
    ) {
        let properties = DisconnectProperties {
            reason_string: text.map(Into::into),
            server_reference: server_reference.map(Into::into),
            ..DisconnectProperties::default()
        };
        if self.terms.version == Version::V5 {
            self.write(&Packet::Disconnect(Disconnect { reason, properties }), out);
        }
    }

    /// The connection is over; this is what is left.
    pub fn end(self) -> SessionState {
        let (inflight, next_packet_id) = self.sending.into_parts();
        SessionState {
            id: self.id,
            client_id: self.client_id,
            expiry: self.expiry,
            subscriptions: self.subscriptions,
            rewritten: self.rewritten,
            inflight,
            next_packet_id,
            awaiting_release: self.receiving.into_awaiting_release(),
        }
    }

    /// Its number for life.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Whose it is.
    pub fn client_id(&self) -> &ClientId {
        &self.client_id
    }

    /// What was agreed.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Seconds it outlives its connection.
    pub fn expiry(&self) -> u32 {
        self.expiry
    }

    /// Its subscriptions.
    pub fn subscriptions(&self) -> &Subscriptions {
        &self.subscriptions
    }

    /// QoS 1 and 2 messages the client has not acknowledged to their end.
    pub fn inflight(&self) -> usize {
        self.sending.len()
    }

    /// Where those of them are stored that are.
    pub fn stored(&self) -> impl Iterator<Item = Stored> {
        self.sending.stored()
    }

    /// Filters the client asked for, of which a plugin made others.
    pub fn rewritten(&self) -> &BTreeMap<SubscriptionFilter, SubscriptionFilter> {
        &self.rewritten
    }

    /// QoS 1 and 2 messages from the client that are not acknowledged to their end.
    pub fn receiving(&self) -> usize {
        self.receiving.open()
    }

    fn acknowledge(&self, packet: PacketType, packet_id: PacketId, reason: ReasonCode, out: &mut Outgoing) {
        self.terms.acknowledge(packet, packet_id, reason, out);
    }

    fn write(&self, packet: &Packet<'_>, out: &mut Outgoing) {
        self.terms.write(packet, out);
    }
}

fn explanation(text: &str) -> AckProperties {
    AckProperties { reason_string: Some(text.into()), ..AckProperties::default() }
}

#[cfg(test)]
mod tests;

//! From the first packet to CONNACK: who is it, may it come in, and which session does it get?

use crate::{
    clients::{Parked, Subscriber, TakenUp},
    clock,
    config::Limits,
    door::{Counted, Door},
    publish::Publisher,
    shared::Shared,
};
use std::{num::NonZeroU32, sync::Arc};
use tidegate_hooks::{Authenticated, ConnectRequest};
use tidegate_mqtt::{
    ClientId, ConnAck, ConnAckProperties, Connect, DecodeError, Outgoing, Packet, ReasonCode, SessionId,
    Timestamp, Version,
};
use tidegate_session::{KeepAlive, PendingWill, Session, SessionState, Terms};
use tracing::{debug, warn};

/// A client that is in.
pub(crate) struct Connected {
    pub(crate) session: Session,
    pub(crate) subscriber: Arc<Subscriber>,
    pub(crate) publisher: Publisher,
    pub(crate) will: PendingWill,
    pub(crate) keep_alive: KeepAlive,
    /// When the grant ends.
    pub(crate) expires_at: Option<Timestamp>,
    /// As long as it is in.
    pub(crate) counted: Counted,
}

/// A client that stays out. What it is told is in the outgoing bytes already.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) reason: ReasonCode,
}

/// What came through the door.
pub(crate) struct Visitor<'a> {
    pub(crate) door: &'a Arc<Door>,
    pub(crate) peer: &'a str,
}

/// Authenticates, takes the session up and writes CONNACK.
pub(crate) async fn connect(
    broker: &Arc<Shared>,
    visitor: Visitor<'_>,
    mut connect: Connect,
    out: &mut Outgoing,
) -> Result<Connected, Refused> {
    let version = connect.version;
    let session = broker.clients.next_session();
    let assigned = assign_client_id(&mut connect, session);
    if let Err(reason) = acceptable(&connect, &visitor.door.limits) {
        return Err(refuse(version, reason, None, out));
    }
    let full = broker.clients.connected() >= broker.config.limits.max_connections;
    let Some(counted) = visitor.door.enter().filter(|_| !full) else {
        return Err(refuse(version, ReasonCode::QuotaExceeded, None, out));
    };
    let granted = match authenticate(broker, session, &visitor, &connect).await {
        Ok(granted) => granted,
        Err((reason, text)) => return Err(refuse(version, reason, text.as_deref(), out)),
    };
    if granted.client_id.is_empty() {
        return Err(refuse(version, ReasonCode::ClientIdentifierNotValid, None, out));
    }
    tracing::Span::current().record("client_id", &*granted.client_id);

    let now = clock::now();
    let limits = &visitor.door.limits;
    let agreed = Agreed::new(&connect, limits);
    let (subscriber, state, session_present) =
        take_up(broker, &granted.client_id, session, &connect, agreed.expiry).await;
    subscriber.set_persistent(agreed.expiry > 0);
    let mut session = Session::new(agreed.terms, SessionState { expiry: agreed.expiry, ..state });
    let properties = agreed.announce(&connect, limits, assigned.then(|| granted.client_id.clone()));
    let connack = ConnAck { session_present, reason: ReasonCode::Success, properties };
    agreed.terms.write(&Packet::ConnAck(Box::new(connack)), out);
    for gone in session.resume(now, out) {
        broker.done(&subscriber, gone);
    }
    broker.counters.connections.add(1);
    debug!(version = ?version, session_present, "connected");
    Ok(Connected {
        publisher: Publisher::new(session.id(), granted.client_id, granted.username, granted.permissions),
        will: PendingWill::new(connect.will),
        keep_alive: KeepAlive::new(agreed.keep_alive, now),
        expires_at: granted.expires.map(|after| now.after(after)),
        session,
        subscriber,
        counted,
    })
}

/// Gives a client without an identifier one [MQTT-3.1.3-6]; true if it did.
fn assign_client_id(connect: &mut Connect, session: SessionId) -> bool {
    let may = connect.version == Version::V5 || connect.clean_start;
    if !connect.client_id.is_empty() || !may {
        return false;
    }
    // Hard to guess, so that nobody takes the session over by name.
    let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), session.0);
    connect.client_id = ClientId::new(&format!("auto-{:x}-{random:016x}", session.0));
    true
}

fn acceptable(connect: &Connect, limits: &Limits) -> Result<(), ReasonCode> {
    if connect.client_id.is_empty() {
        return Err(ReasonCode::ClientIdentifierNotValid); // [MQTT-3.1.3-8] (3.1.1)
    }
    if connect.properties.authentication_method.is_some() {
        return Err(ReasonCode::BadAuthenticationMethod); // [MQTT-4.12.0-1]
    }
    if connect.will.as_ref().is_some_and(|will| levels(&will.topic) > limits.max_topic_levels) {
        return Err(ReasonCode::TopicNameInvalid);
    }
    Ok(())
}

/// Levels of a topic or filter.
pub(crate) fn levels(topic: &str) -> usize {
    topic.bytes().filter(|byte| *byte == b'/').count() + 1
}

async fn authenticate(
    broker: &Shared,
    session: SessionId,
    visitor: &Visitor<'_>,
    connect: &Connect,
) -> Result<Authenticated, (ReasonCode, Option<Box<str>>)> {
    let request = ConnectRequest {
        session,
        client_id: &connect.client_id,
        username: connect.username.as_deref(),
        password: connect.password.as_deref(),
        version: connect.version,
        clean_start: connect.clean_start,
        keep_alive: connect.keep_alive,
        listener: &visitor.door.name,
        peer: visitor.peer,
        allow_anonymous: visitor.door.allow_anonymous,
        tls_subject: None,
        properties: &connect.properties,
    };
    // The answer may take seconds: the chain is kept, not the registry's guard.
    let chain = broker.hooks.chain_full();
    chain.authenticate(&request).await.map_err(|refusal| {
        let client_id = &connect.client_id;
        if let Some(fault) = &refusal.fault {
            broker.counters.plugin_faults.add(1);
            warn!(%client_id, peer = visitor.peer, %fault, "refused: authentication failed");
        } else {
            debug!(%client_id, peer = visitor.peer, %refusal, "refused");
        }
        (refusal.refusal.code, refusal.refusal.text)
    })
}

fn refuse(version: Version, reason: ReasonCode, text: Option<&str>, out: &mut Outgoing) -> Refused {
    let properties =
        ConnAckProperties { reason_string: text.map(Into::into), ..ConnAckProperties::default() };
    let connack = Packet::ConnAck(Box::new(ConnAck { session_present: false, reason, properties }));
    // A CONNACK always has a form for an error; if not, closing says enough.
    let _ = connack.encode(version, out.tail());
    Refused { reason }
}

/// Answers a CONNECT that did not decode, where the standard has a form for it: MQTT 5 names the reason (section 4.13), older versions
/// only say that a level is not served [MQTT-3.1.2-2].
pub(crate) fn refuse_malformed(packet: &[u8], error: &DecodeError, out: &mut Outgoing) -> Refused {
    let version = match error {
        DecodeError::ProtocolLevel { answer_as, .. } => Some(*answer_as),
        DecodeError::ProtocolName => None,
        // The protocol name and level 5 lie at the beginning of the variable header.
        _ => packet.windows(7).take(5).any(|bytes| bytes == b"\x00\x04MQTT\x05").then_some(Version::V5),
    };
    match version {
        Some(version) => refuse(version, error.reason_code(), Some(&error.to_string()), out),
        None => Refused { reason: error.reason_code() },
    }
}

/// What comes of the client's wishes and the broker's limits.
struct Agreed {
    terms: Terms,
    expiry: u32,
    keep_alive: u16,
}

impl Agreed {
    fn new(connect: &Connect, limits: &Limits) -> Self {
        let properties = &connect.properties;
        let wished_expiry = match connect.version {
            Version::V5 => properties.session_expiry_interval.unwrap_or(0),
            // A session without `clean session` lives on [MQTT-3.1.2-4] (3.1.1).
            _ if connect.clean_start => 0,
            _ => u32::MAX,
        };
        let capped = limits.max_keep_alive > 0
            && connect.version == Version::V5
            && (connect.keep_alive == 0 || connect.keep_alive > limits.max_keep_alive);
        let client_receive_maximum = properties.receive_maximum.map_or(u16::MAX, std::num::NonZeroU16::get);
        let terms = Terms {
            version: connect.version,
            receive_maximum: limits.receive_maximum.get(),
            client_receive_maximum: client_receive_maximum.min(limits.max_inflight.get()),
            client_maximum_packet_size: properties.maximum_packet_size.map_or(u32::MAX, NonZeroU32::get),
            topic_alias_maximum: if connect.version == Version::V5 { limits.topic_alias_maximum } else { 0 },
            max_session_expiry: limits.max_session_expiry,
            problem_information: properties.request_problem_information.unwrap_or(true),
        };
        Self {
            terms,
            expiry: wished_expiry.min(limits.max_session_expiry),
            keep_alive: if capped { limits.max_keep_alive } else { connect.keep_alive },
        }
    }

    fn announce(&self, connect: &Connect, limits: &Limits, assigned: Option<ClientId>) -> ConnAckProperties {
        let wished_expiry = connect.properties.session_expiry_interval.unwrap_or(0);
        ConnAckProperties {
            session_expiry_interval: (self.expiry != wished_expiry).then_some(self.expiry),
            receive_maximum: Some(limits.receive_maximum),
            maximum_packet_size: Some(limits.max_packet_size),
            topic_alias_maximum: Some(self.terms.topic_alias_maximum),
            assigned_client_identifier: assigned, // [MQTT-3.2.2-16]
            server_keep_alive: (self.keep_alive != connect.keep_alive).then_some(self.keep_alive), // [MQTT-3.2.2-21]
            ..ConnAckProperties::default()
        }
    }
}

/// The client's session: resumed, new, or new in place of an old one [MQTT-3.1.2-4], [MQTT-3.1.2-5], [MQTT-3.1.2-6].
async fn take_up(
    broker: &Arc<Shared>,
    client_id: &ClientId,
    session: SessionId,
    connect: &Connect,
    expiry: u32,
) -> (Arc<Subscriber>, SessionState, bool) {
    let fresh = || SessionState::new(session, client_id.clone(), expiry);
    match broker.clients.take_up(client_id, session, connect.clean_start).await {
        TakenUp::New(subscriber) => (subscriber, fresh(), false),
        // A delayed will goes with `parked`: the client is back in time [MQTT-3.1.3-9].
        TakenUp::Resumed(subscriber, parked) => (subscriber, parked.state, true),
        TakenUp::Replaced { old: (old, parked), new } => {
            end_parked(broker, &old, *parked);
            (new, fresh(), false)
        }
    }
}

/// A parked session ends because its client wants a new one; so does the delay of its will. Nobody waits for that: from the moment the
/// session is taken up nothing may hold its connection up, or be cancelled with it.
fn end_parked(broker: &Arc<Shared>, subscriber: &Subscriber, parked: Parked) {
    broker.forget_parked(subscriber, &parked.state);
    if let Some(mut will) = parked.will {
        let broker = broker.clone();
        tokio::spawn(async move { broker.publish_will(&mut will.publisher, will.will).await });
    }
}

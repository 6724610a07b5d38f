//! From the first packet to CONNACK: who is it, may it come in, and which session does it get?

use crate::{
    clients::{DelayedWill, Presence, Subscriber, TakenUp},
    clock,
    config::{Limits, UsernameFrom},
    connection::Socket,
    door::{Counted, Door},
    publish::{Publisher, may_publish},
    shared::Shared,
};
use bytes::Bytes;
use std::{
    num::{NonZeroU16, NonZeroU32},
    sync::Arc,
};
use tidegate_hooks::{AuthOutcome, AuthRefusal, AuthStep, Authenticated, ConnectRequest, EventKind, Quotas};
use tidegate_mqtt::{
    ClientId, ConnAck, ConnAckProperties, Connect, DecodeError, Outgoing, Packet, PacketType, QoS,
    ReasonCode, SessionId, Timestamp, TopicName, Version,
};
use tidegate_session::{Authentication, KeepAlive, PendingWill, Session, SessionState, Terms};
use tidegate_store::{StoredWill, Ticket};
use tidegate_transport::Certificate;
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
    /// For its re-authentication, if it came in by a method.
    pub(crate) login: Option<Box<Login>>,
    /// From its grant.
    pub(crate) quotas: Quotas,
    /// What was before it.
    pub(crate) predecessor: Predecessor,
}

/// What a client left the last time, and that comes to its end now that it is back.
#[derive(Default)]
pub(crate) struct Predecessor {
    /// It is due.
    will: Option<DelayedWill>,
    /// A session that the client did not want any more.
    ended: Option<(Arc<Subscriber>, SessionState)>,
}

impl Connected {
    /// Ends what was before, and stores that the client is here. CONNACK may go out when the ticket is settled.
    ///
    /// Not to be given up halfway: from the moment the session is taken up nothing may be cancelled with its connection.
    pub(crate) async fn settle_in(&mut self, broker: &Arc<Shared>) -> Option<Ticket> {
        let Predecessor { will, ended } = std::mem::take(&mut self.predecessor);
        // The will first: what is stored of it goes with what follows.
        if let Some(mut will) = will {
            broker.publish_will(&mut will.publisher, will.will).await;
        }
        let durability = self.publisher.durability;
        let forgotten = ended.and_then(|(old, state)| broker.forget_session(&old, &state, durability));
        let expiry = self.session.expiry();
        if expiry == 0 && !self.subscriber.is_stored() {
            return forgotten;
        }
        let will = match self.will.will() {
            Some(will) if may_publish(broker, &mut self.publisher, will).await => Some(StoredWill {
                will: will.clone(),
                username: self.publisher.presence.username.clone(),
                due_at: None,
            }),
            _ => None,
        };
        self.publisher.is_stored = true;
        // What is given later settles later.
        Some(broker.save_session(&self.subscriber, expiry, None, will.as_ref(), durability))
    }
}

/// A client that stays out. What it is told is in the outgoing bytes already.
#[derive(Debug)]
pub(crate) struct Refused;

/// Why a client stays out.
#[derive(Debug)]
struct Refusal {
    reason: ReasonCode,
    text: Option<Box<str>>,
}

impl Refusal {
    fn new(reason: ReasonCode, text: impl Into<Box<str>>) -> Self {
        Self { reason, text: Some(text.into()) }
    }
}

/// What came through the door.
#[derive(Clone, Copy)]
pub(crate) struct Visitor<'a> {
    pub(crate) door: &'a Arc<Door>,
    pub(crate) peer: &'a str,
    /// Verified.
    pub(crate) certificate: Option<&'a Certificate>,
}

/// What hooks are told of a client that authenticates in steps, at each step.
pub(crate) struct Login {
    session: SessionId,
    /// Once the client is in without password and will, and with the user name that it came in under.
    connect: Connect,
    /// Which plugin goes on.
    by: Arc<str>,
    /// As its last challenge left it.
    state: Bytes,
}

/// Authenticates, takes the session up and writes CONNACK. Whatever ends it is said in the outgoing bytes and in the log.
pub(crate) async fn connect(
    broker: &Arc<Shared>,
    visitor: Visitor<'_>,
    socket: &mut Socket,
    mut connect: Connect,
    out: &mut Outgoing,
) -> Result<Connected, Refused> {
    let session = broker.clients.next_session();
    let limits = &visitor.door.limits;
    let assigned = limits.assign_client_id && assign_client_id(&mut connect, session);
    let (counted, login, granted) =
        match admit(broker, visitor, socket, session, (&mut connect, assigned), out).await {
            Ok(admitted) => admitted,
            Err(refusal) => {
                let Refusal { reason, text } = &refusal;
                let (client_id, peer, text) = (&connect.client_id, visitor.peer, text.as_deref());
                debug!(%client_id, peer, %reason, text, "refused");
                broker.events.tell(EventKind::Refused, |event| {
                    let event = event.of(session, client_id).because(*reason);
                    event.with("peer", peer).with("listener", &*visitor.door.name)
                });
                let maximum = connect.properties.maximum_packet_size.map_or(u32::MAX, NonZeroU32::get);
                refuse((connect.version, maximum), broker, reason, text, out);
                return Err(Refused);
            }
        };
    tracing::Span::current().record("client_id", &*granted.client_id);
    broker.events.tell(EventKind::Authenticated, |event| {
        let event =
            event.of(session, &granted.client_id).with("by", granted.by.as_deref().unwrap_or("nobody"));
        event.with("username", granted.username.as_deref().unwrap_or_default())
    });

    let now = clock::now();
    let agreed = Agreed::new(&connect, limits, granted.quotas);
    let durability = visitor.door.durability;
    let (subscriber, state, session_present, predecessor) =
        take_up(broker, &granted.client_id, session, &connect, agreed.expiry).await;
    subscriber.set_persistent(agreed.expiry > 0);
    let mut session = Session::new(agreed.terms, SessionState { expiry: agreed.expiry, ..state });
    session.set_mount_point(visitor.door.mount_point.clone());
    let mut properties = agreed.announce(&connect, limits, assigned.then(|| granted.client_id.clone()));
    if connect.properties.request_response_information == Some(true) {
        properties.response_information = response_information(broker, &granted);
    }
    if let Some(authentication) = login.as_ref().map(|_| connect.properties.authentication_method.clone()) {
        properties.authentication_method.clone_from(&authentication); // [MQTT-4.12.0-5]
        properties.authentication_data = granted.data;
        let mut authentication = Authentication::new(authentication);
        authentication.settle();
        session.set_authentication(authentication);
    }
    let connack = ConnAck { session_present, reason: ReasonCode::Success, properties };
    agreed.terms.write(&Packet::ConnAck(Box::new(connack)), out);
    for (delivery, why) in session.resume(now, out) {
        broker.dropped_on_the_way(&subscriber, &delivery, why);
    }
    broker.counters.connections.add(1);
    debug!(version = ?connect.version, session_present, "connected");
    let presence = Arc::new(Presence {
        username: granted.username,
        attributes: granted.attributes,
        peer: visitor.peer.into(),
        listener: visitor.door.name.clone(),
        since: now,
    });
    subscriber.set_presence(Some(presence.clone()));
    broker.events.tell(EventKind::Connected, |event| {
        let event = event.of(session.id(), &granted.client_id).with("peer", visitor.peer);
        let event = event.with("listener", &*visitor.door.name).with("version", version(connect.version));
        let event = event.with("username", presence.username.as_deref().unwrap_or_default());
        event.with("session-present", session_present.to_string())
    });
    let mount_point = visitor.door.mount_point.clone();
    let will = connect.will.take();
    connect.password = None;
    // Whoever authenticates again is asked to be who it is, not who it said it was.
    connect.username = presence.username.as_deref().map(Into::into);
    let publisher = Publisher::new(
        session.id(),
        granted.client_id,
        presence,
        granted.permissions,
        mount_point,
        durability,
    );
    Ok(Connected {
        publisher,
        predecessor,
        quotas: granted.quotas,
        will: PendingWill::new(will),
        keep_alive: KeepAlive::new(agreed.keep_alive, now),
        expires_at: granted.expires.map(|after| now.after(after)),
        session,
        subscriber,
        counted,
        login: login.map(|(by, session)| Box::new(Login { session, connect, by, state: Bytes::new() })),
    })
}

/// The word for events.
fn version(version: Version) -> &'static str {
    match version {
        Version::V3_1 => "3.1",
        Version::V3_1_1 => "3.1.1",
        Version::V5 => "5",
    }
}

/// Who let a client in by a method, and the session it asked for.
type ByMethod = (Arc<str>, SessionId);

/// Checks the CONNECT and asks the hooks.
async fn admit(
    broker: &Arc<Shared>,
    visitor: Visitor<'_>,
    socket: &mut Socket,
    session: SessionId,
    (connect, assigned): (&mut Connect, bool),
    out: &mut Outgoing,
) -> Result<(Counted, Option<ByMethod>, Authenticated), Refusal> {
    acceptable(connect, assigned, visitor.door)?;
    take_name_of_certificate(visitor, connect)?;
    let full = broker.clients.connected() >= broker.config.limits.max_connections;
    let Some(counted) = visitor.door.enter().filter(|_| !full) else {
        return Err(match &broker.config.server_reference {
            Some(other) => Refusal::new(ReasonCode::UseAnotherServer, format!("full; try {other}")),
            None => Refusal::new(ReasonCode::QuotaExceeded, "too many connections"),
        });
    };
    if broker.store.figures().is_failing() && wished_expiry(connect) > 0 {
        return Err(Refusal::new(ReasonCode::ServerUnavailable, "the store cannot be written"));
    }
    let chain = broker.hooks.chain_full();
    let outcome = chain.authenticate(&request(session, visitor, connect)).await;
    let mut outcome = outcome.map_err(|refusal| refused_by_hooks(broker, visitor, connect, refusal))?;
    drop(chain);
    let mut authentication = Authentication::new(connect.properties.authentication_method.clone());
    let granted = loop {
        let (by, challenge) = match outcome {
            AuthOutcome::In(granted) => break *granted,
            AuthOutcome::Challenge { by, challenge } => (by, challenge),
        };
        let data = answer(visitor, socket, &mut authentication, challenge.data, out).await?;
        // The answer may take seconds: the chain is kept only while it is asked.
        let chain = broker.hooks.chain_full();
        let step = AuthStep { state: &challenge.state, data: data.as_deref(), again: false };
        let proceeded = chain.proceed(&by, &request(session, visitor, connect), &step).await;
        outcome = proceeded.map_err(|refusal| refused_by_hooks(broker, visitor, connect, refusal))?;
    };
    if granted.client_id.is_empty() {
        return Err(Refusal::new(
            ReasonCode::ClientIdentifierNotValid,
            "the plugin gave an empty client identifier",
        ));
    }
    let by_method = authentication.method().and(granted.by.clone()).map(|by| (by, session));
    Ok((counted, by_method, granted))
}

/// Asks the client for the next step of its authentication [MQTT-4.12.0-2], and waits for it [MQTT-4.12.0-3], [MQTT-3.1.2-30].
async fn answer(
    visitor: Visitor<'_>,
    socket: &mut Socket,
    authentication: &mut Authentication,
    data: Option<Bytes>,
    out: &mut Outgoing,
) -> Result<Option<Bytes>, Refusal> {
    let closed = || Refusal { reason: ReasonCode::UnspecifiedError, text: None };
    let question = authentication.challenge(data);
    question.encode(Version::V5, out.tail()).map_err(|_| closed())?;
    socket.flush(out).await.map_err(|_| closed())?;
    let max_packet_size = visitor.door.limits.max_packet_size.get();
    loop {
        match socket.first_packet(max_packet_size) {
            Ok(Some(Packet::Auth(auth))) => {
                let step = authentication.receive(auth);
                return step
                    .map(|step| step.data)
                    .map_err(|violation| Refusal::new(violation.reason_code(), violation.to_string()));
            }
            Ok(Some(Packet::Disconnect(_))) => return Err(closed()),
            Ok(Some(_)) => {
                return Err(Refusal::new(
                    ReasonCode::ProtocolError,
                    "only AUTH or DISCONNECT may come before CONNACK",
                ));
            }
            Ok(None) => {}
            Err(error) => return Err(Refusal::new(error.reason_code(), error.to_string())),
        }
        socket.fill().await.map_err(|_| closed())?;
    }
}

/// Where certificates name clients, CONNECT does not. A client without a certificate is whoever the hooks take it for.
fn take_name_of_certificate(visitor: Visitor<'_>, connect: &mut Connect) -> Result<(), Refusal> {
    let (Some(what), Some(certificate)) = (visitor.door.username_from, visitor.certificate) else {
        return Ok(());
    };
    let name = match what {
        UsernameFrom::Subject => Some(&certificate.subject).filter(|subject| !subject.is_empty()),
        UsernameFrom::CommonName => certificate.common_name.as_ref(),
        UsernameFrom::San => certificate.sans.first(),
    };
    let name = name.ok_or_else(|| Refusal::new(ReasonCode::NotAuthorized, "the certificate has no name"))?;
    connect.username = Some(name.as_str().into());
    Ok(())
}

fn request<'a>(session: SessionId, visitor: Visitor<'a>, connect: &'a Connect) -> ConnectRequest<'a> {
    ConnectRequest {
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
        tls_subject: visitor.certificate.map(|certificate| &*certificate.subject),
        tls_sans: visitor.certificate.map_or(&[], |certificate| &*certificate.sans),
        tls_username: visitor.door.username_from.is_some() && visitor.certificate.is_some(),
        properties: &connect.properties,
    }
}

fn refused_by_hooks(
    broker: &Shared,
    visitor: Visitor<'_>,
    connect: &Connect,
    refusal: AuthRefusal,
) -> Refusal {
    let client_id = &connect.client_id;
    if let Some(fault) = &refusal.fault {
        broker.counters.plugin_faults.add(1);
        warn!(%client_id, peer = visitor.peer, %fault, "refused: authentication failed");
    } else {
        debug!(%client_id, peer = visitor.peer, %refusal, "refused");
    }
    let code = refusal.refusal.code;
    // Not a word about who knows what: the same for a wrong name and a wrong password.
    let text = refusal.refusal.text.unwrap_or_else(|| code.text().into());
    Refusal { reason: code, text: Some(text) }
}

impl Login {
    /// A step of a re-authentication. The client stays who it is.
    pub(crate) async fn proceed(
        &mut self,
        broker: &Shared,
        visitor: Visitor<'_>,
        client_id: &ClientId,
        step: tidegate_session::AuthStep,
    ) -> Result<Step, (ReasonCode, Box<str>)> {
        if step.begins {
            self.state = Bytes::new();
        }
        let state = std::mem::take(&mut self.state);
        let step = AuthStep { state: &state, data: step.data.as_deref(), again: true };
        let chain = broker.hooks.chain_full();
        let proceeded = chain.proceed(&self.by, &request(self.session, visitor, &self.connect), &step).await;
        let outcome = proceeded.map_err(|refusal| {
            let Refusal { reason, text } = refused_by_hooks(broker, visitor, &self.connect, refusal);
            (reason, text.unwrap_or_default())
        })?;
        match outcome {
            AuthOutcome::Challenge { challenge, .. } => {
                self.state = challenge.state;
                Ok(Step::Challenge(challenge.data))
            }
            AuthOutcome::In(granted)
                if (granted.client_id == *client_id || granted.client_id == self.connect.client_id)
                    && granted.username.as_deref() == self.connect.username.as_deref() =>
            {
                Ok(Step::In(granted))
            }
            AuthOutcome::In(_) => Err((ReasonCode::NotAuthorized, "proved to be somebody else".into())),
        }
    }
}

/// How a re-authentication goes on.
pub(crate) enum Step {
    /// The client is to answer.
    Challenge(Option<Bytes>),
    /// It has proved itself again, perhaps under other terms.
    In(Box<Authenticated>),
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

/// What can be said without asking anybody. Brings the will in the form in which it is published.
fn acceptable(connect: &mut Connect, assigned: bool, door: &Door) -> Result<(), Refusal> {
    let limits = &door.limits;
    if connect.client_id.is_empty() {
        // [MQTT-3.1.3-8] (3.1.1)
        return Err(Refusal::new(ReasonCode::ClientIdentifierNotValid, "the client identifier is empty"));
    }
    if !assigned && connect.client_id.len() > limits.max_client_id_length {
        let text = format!("a client identifier has at most {} bytes", limits.max_client_id_length);
        return Err(Refusal::new(ReasonCode::ClientIdentifierNotValid, text));
    }
    let will_properties =
        connect.will.as_ref().map_or(0, |will| will.properties.publish.user_properties.len());
    if connect.properties.user_properties.len() + will_properties > limits.max_user_properties {
        let text = format!("at most {} user properties in a packet", limits.max_user_properties);
        return Err(Refusal::new(ReasonCode::QuotaExceeded, text));
    }
    let Some(will) = &mut connect.will else { return Ok(()) };
    if will.qos > limits.maximum_qos {
        return Err(Refusal::new(ReasonCode::QosNotSupported, "the QoS of the will")); // [MQTT-3.2.2-12]
    }
    if will.retain && !limits.retain_available {
        return Err(Refusal::new(ReasonCode::RetainNotSupported, "a retained will")); // [MQTT-3.2.2-13]
    }
    if levels(&will.topic) > limits.max_topic_levels || will.topic.len() > limits.max_topic_length {
        return Err(Refusal::new(ReasonCode::TopicNameInvalid, "the will's topic is too long"));
    }
    if will.payload.len() > limits.max_will_size {
        let text = format!("a will has at most {} bytes", limits.max_will_size);
        return Err(Refusal::new(ReasonCode::PacketTooLarge, text));
    }
    if let Some(delay) = &mut will.properties.will_delay_interval {
        *delay = (*delay).min(limits.max_will_delay);
    }
    if let Some(mount_point) = &door.mount_point {
        let mounted = TopicName::new(&format!("{mount_point}{}", will.topic));
        will.topic = mounted
            .map_err(|_| Refusal::new(ReasonCode::TopicNameInvalid, "the will's topic is too long"))?;
    }
    Ok(())
}

/// Levels of a topic or filter.
pub(crate) fn levels(topic: &str) -> usize {
    topic.bytes().filter(|byte| *byte == b'/').count() + 1
}

/// What the config says, for this client.
fn response_information(broker: &Shared, client: &Authenticated) -> Option<Box<str>> {
    let text = broker.config.response_information.as_ref()?;
    let username = client.username.as_deref().unwrap_or_default();
    Some(text.replace("%c", &client.client_id).replace("%u", username).into())
}

fn refuse(
    (version, maximum): (Version, u32),
    broker: &Shared,
    reason: &ReasonCode,
    text: Option<&str>,
    out: &mut Outgoing,
) {
    let elsewhere = *reason == ReasonCode::UseAnotherServer;
    let properties = ConnAckProperties {
        reason_string: text.map(Into::into),
        server_reference: broker.config.server_reference.as_deref().filter(|_| elsewhere).map(Into::into),
        ..ConnAckProperties::default()
    };
    let connack = ConnAck { session_present: false, reason: *reason, properties };
    // Where the version has no word for it [MQTT-3.2.2-6] (3.1.1), or the client no room [MQTT-3.1.2-24], closing says enough.
    let _ = Packet::ConnAck(Box::new(connack)).encode_within(version, maximum, out.tail());
}

/// Answers a CONNECT that did not decode, where the standard has a form for it: MQTT 5 names the reason (section 4.13), older versions
/// only say that a level is not served [MQTT-3.1.2-2].
pub(crate) fn refuse_malformed(broker: &Shared, packet: &[u8], error: &DecodeError, out: &mut Outgoing) {
    let version = match error {
        DecodeError::ProtocolLevel { answer_as, .. } => Some(*answer_as),
        DecodeError::ProtocolName => None,
        // What does not even claim to be a CONNECT gets no answer [MQTT-3.1.0-1].
        _ if packet.first().is_none_or(|byte| byte >> 4 != PacketType::Connect as u8) => None,
        // The protocol name and level 5 lie at the beginning of the variable header.
        _ => packet.windows(7).take(5).any(|bytes| bytes == b"\x00\x04MQTT\x05").then_some(Version::V5),
    };
    if let Some(version) = version {
        refuse((version, u32::MAX), broker, &error.reason_code(), Some(&error.to_string()), out);
    }
}

/// Seconds that the session is to outlive its connection.
fn wished_expiry(connect: &Connect) -> u32 {
    match connect.version {
        Version::V5 => connect.properties.session_expiry_interval.unwrap_or(0),
        // A session without `clean session` lives on [MQTT-3.1.2-4] (3.1.1).
        _ if connect.clean_start => 0,
        _ => u32::MAX,
    }
}

/// What comes of the client's wishes and the broker's limits.
struct Agreed {
    terms: Terms,
    expiry: u32,
    keep_alive: u16,
}

impl Agreed {
    fn new(connect: &Connect, limits: &Limits, quotas: Quotas) -> Self {
        let properties = &connect.properties;
        let wished_expiry = wished_expiry(connect);
        let capped = limits.max_keep_alive > 0
            && connect.version == Version::V5
            && (connect.keep_alive == 0 || connect.keep_alive > limits.max_keep_alive);
        let client_receive_maximum = properties.receive_maximum.map_or(u16::MAX, std::num::NonZeroU16::get);
        // Nobody can do without one at least.
        let inflight = quotas.inflight.map_or(u16::MAX, |most| most.max(1));
        let terms = Terms {
            version: connect.version,
            receive_maximum: limits.receive_maximum.get().min(inflight),
            client_receive_maximum: client_receive_maximum.min(limits.max_inflight.get()).min(inflight),
            client_maximum_packet_size: properties.maximum_packet_size.map_or(u32::MAX, NonZeroU32::get),
            topic_alias_maximum: if connect.version == Version::V5 { limits.topic_alias_maximum } else { 0 },
            outgoing_topic_aliases: properties
                .topic_alias_maximum
                .unwrap_or(0)
                .min(limits.outgoing_topic_aliases),
            maximum_qos: limits.maximum_qos,
            retain_available: limits.retain_available,
            max_user_properties: limits.max_user_properties,
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
            receive_maximum: NonZeroU16::new(self.terms.receive_maximum),
            maximum_qos: Some(limits.maximum_qos).filter(|qos| *qos < QoS::ExactlyOnce), // [MQTT-3.2.2-9]
            retain_available: not(limits.retain_available),
            wildcard_subscription_available: not(limits.wildcard_subscription_available),
            subscription_identifiers_available: not(limits.subscription_identifiers_available),
            shared_subscription_available: not(limits.shared_subscription_available),
            maximum_packet_size: Some(limits.max_packet_size),
            topic_alias_maximum: Some(self.terms.topic_alias_maximum),
            assigned_client_identifier: assigned, // [MQTT-3.2.2-16]
            server_keep_alive: (self.keep_alive != connect.keep_alive).then_some(self.keep_alive), // [MQTT-3.2.2-21]
            ..ConnAckProperties::default()
        }
    }
}

/// What is available is not said.
fn not(available: bool) -> Option<bool> {
    (!available).then_some(false)
}

/// The client's session: resumed, new, or new in place of an old one [MQTT-3.1.2-4], [MQTT-3.1.2-5], [MQTT-3.1.2-6].
async fn take_up(
    broker: &Arc<Shared>,
    client_id: &ClientId,
    session: SessionId,
    connect: &Connect,
    expiry: u32,
) -> (Arc<Subscriber>, SessionState, bool, Predecessor) {
    let fresh = || SessionState::new(session, client_id.clone(), expiry);
    match broker.clients.take_up(client_id, session, connect.clean_start).await {
        TakenUp::New(subscriber) => (subscriber, fresh(), false, Predecessor::default()),
        TakenUp::Resumed(subscriber, mut parked) => {
            // A will whose delay has not passed goes: the client is back in time [MQTT-3.1.3-9].
            let will = parked.will.take_if(|will| will.at <= clock::now());
            (subscriber, parked.state, true, Predecessor { will, ended: None })
        }
        TakenUp::Replaced { old: (old, parked), new } => {
            // So does the delay, with the session.
            let predecessor = Predecessor { will: parked.will, ended: Some((old, parked.state)) };
            (new, fresh(), false, predecessor)
        }
    }
}

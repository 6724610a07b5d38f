//! A session between a client that sends anything, a broker that decides anything, and time.

use super::{input::Input, packets};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io::IoSlice,
    sync::Arc,
    time::Duration,
};
use tidegate_mqtt::{
    Auth, ClientId, HomeId, Message, MessageId, Outgoing, Packet, PacketType, Publish, QoS, ReasonCode,
    SessionId, SubscriptionFilter, Timestamp, Version, next_frame,
};
use tidegate_session::{
    Authentication, Delivery, PublishToken, Request, Session, SessionState, Stage, Subscribed, Terms,
};

/// Steps after which a script ends; longer ones show nothing new.
const STEPS: usize = 300;

/// Stands before topics, on some connections.
const MOUNT_POINT: &str = "m/";

/// The authentication method: the text that choices make first.
const METHOD: &str = "";

/// Plays the script that `data` is.
///
/// # Panics
/// If the session breaks a promise.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let terms = terms(&mut input);
    let state = SessionState::new(SessionId(1), ClientId::new("c"), 60);
    let mut script = Script::connected(terms, state, World::default(), &mut input);
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        script = script.step(&mut input);
    }
    script.ends();
}

/// What a connection agrees on. Windows are small, so that they fill.
fn terms(input: &mut Input<'_>) -> Terms {
    let version = packets::version(input);
    Terms {
        version,
        receive_maximum: 4,
        client_receive_maximum: 1 + u16::from(input.below(4)),
        client_maximum_packet_size: input.option(|input| 2 + u32::from(input.byte())).unwrap_or(u32::MAX),
        topic_alias_maximum: input.below(4).into(),
        // Before MQTT 5 there are none.
        outgoing_topic_aliases: if version == Version::V5 { input.below(4).into() } else { 0 },
        maximum_qos: input.pick(&[QoS::ExactlyOnce, QoS::AtLeastOnce, QoS::AtMostOnce]),
        retain_available: !input.flag(),
        max_user_properties: 3 - usize::from(input.below(3)),
        max_session_expiry: 1000,
        problem_information: !input.flag(),
    }
}

/// What goes on from one connection to the next.
#[derive(Default)]
struct World {
    now: Timestamp,
    /// Of the last message.
    sequence: u64,
    /// Kept to be delivered again, as to another client.
    last: Option<Arc<Message>>,
    /// QoS 1 and 2 messages that the client has not acknowledged to their end, in the order they were first sent.
    open: Vec<MessageId>,
}

impl World {
    fn closes(&mut self, id: MessageId) {
        let index = self.open.iter().position(|open| *open == id);
        self.open.remove(index.expect("a message ends once"));
    }
}

/// A connection, and what its client knows.
struct Script {
    session: Session,
    out: Outgoing,
    world: World,
    /// Messages from the client that the broker has not decided about.
    undecided: VecDeque<PublishToken>,
    /// Packet identifiers of the QoS 1 and 2 PUBLISHes that came on this connection and are not acknowledged to their end.
    window: BTreeSet<u16>,
    /// What the broker's aliases stand for.
    aliases: BTreeMap<u16, String>,
    /// Not seen by the client.
    mount_point: &'static str,
    /// QoS 2 messages from the client that were open when the connection began: they may be more than this one allows.
    receiving: usize,
}

impl Script {
    fn connected(terms: Terms, state: SessionState, world: World, input: &mut Input<'_>) -> Self {
        let receiving = state.awaiting_release.len();
        let inflight: BTreeSet<_> = state.inflight.iter().map(|inflight| inflight.packet_id).collect();
        assert_eq!(inflight.len(), state.inflight.len(), "no two messages have one packet identifier");
        let mut script = Self {
            session: Session::new(terms, state),
            out: Outgoing::new(),
            world,
            undecided: VecDeque::new(),
            window: BTreeSet::new(),
            aliases: BTreeMap::new(),
            mount_point: if input.flag() { MOUNT_POINT } else { "" },
            receiving,
        };
        if !script.mount_point.is_empty() {
            script.session.set_mount_point(Some(packets::topic_name(MOUNT_POINT)));
        }
        if terms.version == Version::V5 && input.flag() {
            let mut authentication = Authentication::new(Some(METHOD.into()));
            authentication.settle();
            script.session.set_authentication(authentication);
        }
        script.resumes();
        script
    }

    fn step(mut self, input: &mut Input<'_>) -> Self {
        match input.below(8) {
            0..=2 => return self.receives(input),
            3 => self.decides(input),
            4 | 5 => self.delivers(input),
            6 => self.world.now = self.world.now.after(Duration::from_millis(input.u16().into())),
            _ => {
                let terms = terms(input);
                let next_packet_id = input.option(|input| input.below(8).into());
                self.hands_over(input);
                let (mut state, world) = self.ends();
                // As if all the others had been used in between.
                state.next_packet_id = next_packet_id.unwrap_or(state.next_packet_id);
                return Self::connected(terms, state, world, input);
            }
        }
        self.resumes();
        self
    }

    /// A packet from the client.
    fn receives(mut self, input: &mut Input<'_>) -> Self {
        let packet = packets::packet(input);
        let answers = answers(&packet);
        let acknowledged = acknowledged(&packet);
        let request = match self.session.receive(packet, &mut self.out) {
            Ok(request) => request,
            Err(violation) => {
                assert!(violation.reason_code().is_error(), "{violation}");
                assert!(self.taken().is_empty(), "a violation is not answered but by its end");
                let elsewhere = input.option(Input::text);
                self.session.disconnect(violation.reason_code(), Some("no"), elsewhere, &mut self.out);
                self.look(&[PacketType::Disconnect]);
                return self.reconnects(input);
            }
        };
        match request {
            Request::None | Request::Released { .. } | Request::Completed(_) => {}
            Request::Publish(incoming) => {
                assert!(!incoming.topic.as_str().is_empty(), "an alias is resolved");
                self.undecided.push_back(incoming.token);
            }
            Request::Subscribe(subscribe) => {
                let subscribed = Subscribed {
                    identifier: subscribe.properties.subscription_identifier,
                    ..Default::default()
                };
                for (filter, options) in &subscribe.subscriptions {
                    let had = self.session.subscriptions().get(filter).is_some();
                    let again = self
                        .session
                        .subscribe(filter.clone(), Subscribed { options: *options, ..subscribed });
                    assert_eq!(had, again);
                }
                let reasons = subscribe
                    .subscriptions
                    .iter()
                    .map(|_| packets::reason(input, PacketType::SubAck))
                    .collect();
                self.session.subscribed(
                    subscribe.packet_id,
                    reasons,
                    input.option(Input::text),
                    &mut self.out,
                );
                self.look(&[PacketType::SubAck]);
            }
            Request::Unsubscribe(unsubscribe) => {
                for filter in &unsubscribe.filters {
                    let had = self.session.subscriptions().get(filter).is_some();
                    assert_eq!(self.session.unsubscribe(filter), had);
                }
                let reasons = unsubscribe
                    .filters
                    .iter()
                    .map(|_| packets::reason(input, PacketType::UnsubAck))
                    .collect();
                self.session.unsubscribed(unsubscribe.packet_id, reasons, &mut self.out);
                self.look(&[PacketType::UnsubAck]);
            }
            Request::Done(finished) => {
                self.world.closes(finished.id);
                // It may be left from an earlier connection, and not sent again on this one yet.
                self.window.remove(&acknowledged.expect("only acknowledgements end a message"));
            }
            Request::Disconnect(_) => {
                assert!(self.session.expiry() <= self.session.terms().max_session_expiry);
                return self.reconnects(input);
            }
            Request::Authenticate(step) => {
                let data = step.data;
                match input.below(3) {
                    0 => self.session.authenticated(data, &mut self.out),
                    1 => self.session.challenge(data, &mut self.out),
                    // Hooks are still deciding.
                    _ => {}
                }
                self.look(&[PacketType::Auth]);
            }
        }
        self.look(answers);
        self.resumes();
        self
    }

    /// The broker accepts or refuses the oldest message that waits.
    fn decides(&mut self, input: &mut Input<'_>) {
        let Some(token) = self.undecided.pop_front() else { return };
        let reason = packets::reason(input, PacketType::PubAck);
        self.session.published(token, reason, input.option(Input::text), &mut self.out);
        for (packet, _) in self.taken() {
            assert!(matches!(packet, PacketType::PubAck | PacketType::PubRec), "{packet:?}");
        }
    }

    /// A message for the client. QoS 1 and 2 only if there is room, as the broker does.
    fn delivers(&mut self, input: &mut Input<'_>) {
        let qos = packets::qos(input);
        if qos > QoS::AtMostOnce && !self.session.has_room() {
            return;
        }
        let again = self.world.last.clone().filter(|_| input.flag());
        let message = again.unwrap_or_else(|| Arc::new(self.message(input)));
        // A session gets a message once, so this is another one of its own if it is open.
        let message = if self.world.open.contains(&message.id) {
            self.world.sequence += 1;
            let id = MessageId { home: HomeId::LOCAL, sequence: self.world.sequence };
            Arc::new(Message { id, ..Message::clone(&message) })
        } else {
            message
        };
        self.world.last = input.flag().then(|| message.clone());
        let delivery = Delivery {
            message: message.clone(),
            qos,
            retain: input.flag(),
            identifiers: input.list(0, 2, packets::subscription_id).into(),
            group: input.option(|_| Arc::new(SubscriptionFilter::new("$share/g/#").expect("a filter"))),
            stored: None,
        };
        let had = self.session.inflight();
        let delivered = self.session.deliver(delivery, self.world.now, &mut self.out);
        let sent = self.taken();
        if delivered.is_err() {
            assert!(sent.is_empty() && self.session.inflight() == had, "{delivered:?} leaves nothing");
            return;
        }
        let [(PacketType::Publish, Some(sent))] = &sent[..] else { panic!("{sent:?}") };
        assert_eq!((sent.qos, sent.dup), (qos, false));
        let topic = message.topic.strip_prefix(self.mount_point).unwrap_or(&message.topic);
        assert_eq!((&*sent.topic, &*sent.payload), (topic, &*message.payload));
        if qos > QoS::AtMostOnce {
            assert_eq!(self.session.inflight(), had + 1);
            self.world.open.push(message.id);
        }
    }

    fn message(&mut self, input: &mut Input<'_>) -> Message {
        self.world.sequence += 1;
        Message {
            id: MessageId { home: HomeId::LOCAL, sequence: self.world.sequence },
            topic: packets::topic_name(&format!("{}{}", self.mount_point, packets::topic(input))),
            payload: Bytes::copy_from_slice(input.bytes()).into(),
            qos: packets::qos(input),
            retain: input.flag(),
            properties: input.option(|input| Box::new(packets::publish_properties(input))),
            publisher: None,
            origin: None,
            accepted_at: self.world.now,
            heads: Default::default(),
        }
    }

    /// Sends again what is left from earlier connections, as far as the window goes.
    fn resumes(&mut self) {
        while self.session.must_resume() {
            assert!(!self.session.has_room(), "nothing new goes before what is sent again");
            for (gone, _) in self.session.resume(self.world.now, &mut self.out) {
                self.world.closes(gone.message.id);
            }
            for (packet, publish) in self.taken() {
                match publish {
                    Some(publish) => assert!(publish.dup, "what was sent before says so"),
                    None => assert_eq!(packet, PacketType::PubRel),
                }
            }
        }
    }

    /// What others of a group may have goes to them, as when a connection ends.
    fn hands_over(&mut self, input: &mut Input<'_>) {
        let mut gone = Vec::new();
        self.session.hand_over(|delivery| {
            assert!(delivery.qos == QoS::AtLeastOnce && delivery.group.is_some(), "QoS 2 stays");
            let goes = input.flag();
            gone.extend(goes.then_some(delivery.message.id));
            goes
        });
        gone.into_iter().for_each(|id| self.world.closes(id));
    }

    /// The connection ends, the client comes back on the same terms.
    fn reconnects(mut self, input: &mut Input<'_>) -> Self {
        let terms = *self.session.terms();
        self.hands_over(input);
        let (state, world) = self.ends();
        Self::connected(terms, state, world, input)
    }

    fn ends(self) -> (SessionState, World) {
        assert!(self.out.is_empty());
        let state = self.session.end();
        let open: Vec<MessageId> = state
            .inflight
            .iter()
            .map(|inflight| match &inflight.stage {
                Stage::Published(delivery) => delivery.message.id,
                Stage::Released(finished) => finished.id,
            })
            .collect();
        assert_eq!(open, self.world.open, "a session keeps what is not done, in its order");
        (state, self.world)
    }

    /// What came out is one packet of these types at most.
    fn look(&mut self, allowed: &[PacketType]) {
        let sent = self.taken();
        assert!(sent.len() <= 1, "{sent:?}");
        for (packet, _) in sent {
            assert!(allowed.contains(&packet), "{packet:?}");
        }
    }

    /// Everything that came out, as the client reads it. Counts its window.
    fn taken(&mut self) -> Vec<(PacketType, Option<Sent>)> {
        let terms = *self.session.terms();
        let bytes = drain(&mut self.out);
        let mut rest = &bytes[..];
        let mut taken = Vec::new();
        while !rest.is_empty() {
            let frame = next_frame(rest, terms.client_maximum_packet_size);
            let frame = frame.unwrap_or_else(|error| panic!("{error}: {rest:?}")).expect("a whole packet");
            let packet = frame.decode(terms.version).unwrap_or_else(|error| panic!("{error}: {rest:?}"));
            rest = &rest[frame.len()..];
            taken.push((packet.packet_type(), self.reads(&terms, &packet)));
        }
        self.bounds_hold(&terms);
        taken
    }

    fn reads(&mut self, terms: &Terms, packet: &Packet<'_>) -> Option<Sent> {
        if !terms.problem_information {
            assert_eq!(packet.clone().without_problem_information(), *packet);
        }
        match packet {
            Packet::Publish(publish) => {
                if let Some(id) = publish.packet_id {
                    assert!(self.window.insert(id.get()), "packet identifier {id} is in use");
                }
                Some(self.resolves(terms, publish))
            }
            Packet::PubAck(_) | Packet::PubRec(_) | Packet::PubRel(_) | Packet::PubComp(_) => None,
            Packet::SubAck(_) | Packet::UnsubAck(_) | Packet::PingResp => None,
            Packet::Disconnect(_) if terms.version == Version::V5 => None,
            Packet::Auth(Auth {
                reason: ReasonCode::Success | ReasonCode::ContinueAuthentication, ..
            }) => None,
            other => panic!("a session does not send {other:?}"),
        }
    }

    /// A PUBLISH with its topic, wherever that stands.
    fn resolves(&mut self, terms: &Terms, publish: &Publish<'_>) -> Sent {
        let alias = publish.properties.as_ref().and_then(|properties| properties.topic_alias);
        assert!(alias.is_none_or(|alias| alias.get() <= terms.outgoing_topic_aliases), "{alias:?}");
        let topic = match alias {
            Some(alias) if publish.topic.is_empty() => self.aliases[&alias.get()].clone(),
            Some(alias) => {
                self.aliases.insert(alias.get(), publish.topic.to_owned());
                publish.topic.to_owned()
            }
            None => publish.topic.to_owned(),
        };
        Sent { topic, qos: publish.qos, dup: publish.dup, payload: publish.payload.to_vec() }
    }

    fn bounds_hold(&self, terms: &Terms) {
        assert!(self.window.len() <= terms.client_receive_maximum.into(), "the client's Receive Maximum");
        if terms.version == Version::V5 {
            let most = self.receiving.max(terms.receive_maximum.into());
            assert!(self.session.receiving() <= most, "the broker's Receive Maximum");
        }
        if self.session.has_room() {
            assert!(self.session.inflight() < terms.client_receive_maximum.into());
        }
    }
}

/// A PUBLISH as its client sees it.
#[derive(Debug)]
struct Sent {
    topic: String,
    qos: QoS,
    dup: bool,
    payload: Vec<u8>,
}

/// What the session itself may answer to a packet.
fn answers(packet: &Packet<'_>) -> &'static [PacketType] {
    match packet {
        // A repeat, or a packet identifier in use.
        Packet::Publish(_) => &[PacketType::PubRec, PacketType::PubAck],
        Packet::PubRec(_) => &[PacketType::PubRel],
        Packet::PubRel(_) => &[PacketType::PubComp],
        Packet::PingReq => &[PacketType::PingResp],
        _ => &[],
    }
}

fn acknowledged(packet: &Packet<'_>) -> Option<u16> {
    match packet {
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubComp(ack) => Some(ack.packet_id.get()),
        _ => None,
    }
}

/// All that waits, written as a socket would take it.
fn drain(out: &mut Outgoing) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !out.is_empty() {
        let mut slices = [IoSlice::new(&[]); 4];
        let used = out.fill_slices(&mut slices);
        assert!(used > 0, "what waits can be written");
        let written = slices[..used].iter().map(|slice| slice.len()).sum();
        slices[..used].iter().for_each(|slice| bytes.extend_from_slice(slice));
        out.consume(written);
    }
    bytes
}

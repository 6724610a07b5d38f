//! Work whose instructions are counted, so that none of it becomes dearer unseen: `cargo xtask counts` runs each under callgrind.
//!
//! Instructions are the same on a busy machine, and nearly so on another; times are not. What a stalled load costs they do not tell: `messages` and
//! `compare` do.

use std::{collections::BTreeMap, hint::black_box, sync::Arc, time::Duration};
use tidegate_hooks::{HookRegistry, NO_ATTRIBUTES, PublishOutcome, PublishRequest};
use tidegate_mqtt::{
    ClientId, Frame, Heads, HomeId, Message, MessageId, Outgoing, PacketId, Payload, Publish,
    PublishProperties, QoS, ReasonCode, SessionId, SubscriptionFilter, SubscriptionIds, Timestamp, TopicName,
    Version, next_frame,
};
use tidegate_plugin_host::{Access, HostOptions, Limits, PluginConfig, PluginHost, WaitFor};
use tidegate_routing::{Routes, Subscription};
use tidegate_session::{Delivery, Session, SessionState, Terms};
use tidegate_tests::guest;

/// Something done so many times.
type Work = fn(u32);

/// What is counted, by name.
const WORK: [(&str, Work); 8] = [
    ("decode-publish", decode_publish),
    ("decode-plain-publish", decode_plain_publish),
    ("encode-publish", encode_publish),
    ("encode-properties", encode_properties),
    ("match", matching),
    ("session-qos1-round", session_round),
    ("fan-out-100", fan_out),
    ("hook-call", hook_call),
];

/// Does it. Without a name: says which there are.
///
/// # Panics
/// If there is no such work, or it goes wrong.
pub(crate) fn run(name: Option<&str>, times: u32) {
    match name {
        None => WORK.iter().for_each(|(name, _)| println!("{name}")),
        Some(name) => WORK.iter().find(|(one, _)| *one == name).map(|(_, work)| work(times)).unwrap(),
    }
}

const TOPIC: &str = "devices/17/temperature";

fn message(properties: Option<Box<PublishProperties>>) -> Arc<Message> {
    Arc::new(Message {
        id: MessageId { home: HomeId::LOCAL, sequence: 1 },
        topic: TopicName::new(TOPIC).unwrap(),
        payload: Payload::copied(&[b'x'; 64]),
        qos: QoS::AtLeastOnce,
        retain: false,
        properties,
        publisher: Some(SessionId(1)),
        origin: None,
        accepted_at: Timestamp(0),
        heads: Heads::default(),
    })
}

fn some_properties() -> Box<PublishProperties> {
    let user_properties = vec![("unit".into(), "celsius".into())];
    Box::new(PublishProperties {
        user_properties,
        content_type: Some("text/plain".into()),
        ..Default::default()
    })
}

fn packet(version: Version) -> Vec<u8> {
    let packet_id = Some(PacketId::MIN);
    let message = message(None);
    let publish = Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: TOPIC,
        packet_id,
        properties: None,
        payload: &message.payload,
    };
    let mut bytes = Vec::new();
    publish.encode(version, &mut bytes).unwrap();
    bytes
}

fn frame(bytes: &[u8]) -> Frame<'_> {
    next_frame(black_box(bytes), u32::MAX).unwrap().unwrap()
}

fn decode_publish(times: u32) {
    let bytes = packet(Version::V5);
    for _ in 0..times {
        black_box(frame(&bytes).decode_from_client(Version::V5).unwrap());
    }
}

fn decode_plain_publish(times: u32) {
    let bytes = packet(Version::V5);
    for _ in 0..times {
        black_box(frame(&bytes).plain_publish(Version::V5).unwrap());
    }
}

fn encode(message: &Message, times: u32) {
    let (mut out, flags) = (Vec::with_capacity(256), (false, QoS::AtLeastOnce, false));
    for _ in 0..times {
        out.clear();
        message.write_head(Version::V5, flags, Some(PacketId::MIN), black_box(&mut out)).unwrap();
        out.extend_from_slice(&message.payload);
    }
}

fn encode_publish(times: u32) {
    encode(&message(None), times);
}

/// As each but the first receiver gets them.
fn encode_properties(times: u32) {
    encode(&message(Some(some_properties())), times);
}

/// 1,000 exact filters and as many with `+` and `#`; three match. Another topic each time: where one lies in the tables is a matter of luck.
fn matching(times: u32) {
    let routes = Routes::<()>::new();
    let mut topics = Vec::new();
    for n in 0..1_000 {
        let topic = format!("devices/{n}/temperature");
        for filter in [topic.clone(), format!("devices/{n}/+"), format!("devices/{n}/#")] {
            let filter = SubscriptionFilter::new(&filter).unwrap();
            routes.subscribe(HomeId::LOCAL, SessionId(n), &(), &filter, Subscription::default());
        }
        topics.push(TopicName::new(&topic).unwrap());
    }
    for topic in topics.iter().cycle().take(times as usize) {
        assert_eq!(black_box(routes.matching(black_box(topic), None)).direct.len(), 1);
    }
}

fn session(id: u64) -> Session {
    let terms = Terms {
        version: Version::V5,
        receive_maximum: 100,
        client_receive_maximum: 100,
        client_maximum_packet_size: u32::MAX,
        topic_alias_maximum: 0,
        outgoing_topic_aliases: 0,
        maximum_qos: QoS::ExactlyOnce,
        retain_available: true,
        max_user_properties: 16,
        max_session_expiry: 100,
        problem_information: true,
    };
    Session::new(terms, SessionState::new(SessionId(id), ClientId::new("c"), 0))
}

fn delivery(message: &Arc<Message>, qos: QoS) -> Delivery {
    let (message, identifiers) = (message.clone(), SubscriptionIds::new());
    Delivery { message, qos, retain: false, identifiers, group: None, stored: None }
}

fn sent(out: &mut Outgoing) {
    out.consume(usize::MAX);
    out.release();
}

/// PUBLISH from one, PUBACK to it, PUBLISH to another, PUBACK from it.
fn session_round(times: u32) {
    let (mut publisher, mut subscriber, mut out) = (session(1), session(2), Outgoing::new());
    let (message, now) = (message(None), Timestamp(0));
    for _ in 0..times {
        let token = publisher.arrives(QoS::AtLeastOnce, Some(PacketId::MIN), &mut out).unwrap().unwrap();
        publisher.published(token, ReasonCode::Success, None, &mut out);
        let id = subscriber.deliver(delivery(&message, QoS::AtLeastOnce), now, &mut out).unwrap().unwrap();
        assert!(black_box(subscriber.puback(id)).is_some());
        sent(&mut out);
    }
}

/// A message to a hundred sessions, encoded for each.
fn fan_out(times: u32) {
    let mut sessions: Vec<_> = (0..100).map(session).collect();
    let (message, now, mut out) = (message(None), Timestamp(0), Outgoing::new());
    for _ in 0..times {
        for session in &mut sessions {
            session.deliver(delivery(&message, QoS::AtMostOnce), now, &mut out).unwrap();
            sent(&mut out);
        }
    }
}

/// `on-publish` of a plugin that lets the message pass.
fn hook_call(times: u32) {
    let folder = tempfile::tempdir().unwrap();
    let plugins = folder.path().join("plugins");
    std::fs::create_dir(&plugins).unwrap();
    std::fs::copy(guest("probe-publish"), plugins.join("probe.wasm")).unwrap();
    let registry = Arc::new(HookRegistry::new());
    // Never asked how long a call has run: how often that is depends on the machine, and the clock for it is not there under valgrind.
    let limits = Limits { deadline: Duration::from_secs(3600), ..Limits::default() };
    let unhurried = PluginConfig { limits, ..PluginConfig::default() };
    let options = HostOptions {
        plugin_dir: plugins,
        // Compiled once and kept: it takes 20 s under callgrind.
        data_dir: std::env::current_exe().unwrap().with_file_name("tidegate-counts"),
        plugins: BTreeMap::from([("probe".to_owned(), unhurried)]),
        registry: registry.clone(),
        broker_version: env!("CARGO_PKG_VERSION").into(),
        workers: 1,
        access: Access::default(),
        engines: None,
        wait_for: WaitFor::All,
    };
    let request = PublishRequest {
        session: SessionId(7),
        client_id: "client",
        username: None,
        topic: "probe/a",
        qos: QoS::AtMostOnce,
        retain: false,
        payload: &[b'x'; 64],
        properties: None,
        attributes: &NO_ATTRIBUTES,
        origin: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let _host = PluginHost::start(options).await.unwrap();
        let chain = registry.chain_full();
        let scope = chain.publish_scope("probe/a");
        for _ in 0..times {
            let outcome = chain.on_publish(&scope, black_box(&request)).await.unwrap();
            assert!(matches!(outcome, PublishOutcome::Unchanged));
        }
    });
}

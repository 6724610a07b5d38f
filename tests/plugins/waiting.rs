//! Hooks that wait for an HTTP server: others go on meanwhile, even on the same thread; an answer is what counts, and where none comes the
//! hook's deadline cuts the call off and it is a fault.
//!
//! Two plugins wait in the same hook, about what is called after them: `patient` for as long as the test wants, `hasty` for half a second.

use tidegate_mqtt::{Packet, Publish, QoS, ReasonCode, Version};
use tidegate_tests::{
    BOTH, Backend, Broker, Client, Folder, PATIENCE, Question, Received, connect, guest, publish,
};

/// Messages that each pair exchanges while a call hangs.
const MEANWHILE: usize = 20;

struct Scene {
    broker: Broker,
    backend: Backend,
    /// Publisher and subscriber of every version, whom no hook asks the server about.
    pairs: Vec<(Client, Client)>,
    /// Requests that nobody has looked for yet.
    held: Vec<Question>,
    /// Lines of the log, when the last call was cut off.
    seen: usize,
}

impl Scene {
    fn new(hook: &str, hasty: &str) -> Self {
        let backend = Backend::start();
        let clients = hook == "authenticate";
        // What has no name to go by asks every time.
        let mode = match hook {
            "events" => "\"fetch\"",
            "timer" => "\"fetch\"\ntimer_ms = 1000",
            _ => "\"asked\"",
        };
        let table = |plugin: &str, order: u8, timeout: &str, allow: bool, more: &str| {
            let origin = backend.origin();
            let prefix = if clients { plugin } else { "" };
            format!(
                "[plugin.{plugin}]\nrequired = true\norder = {order}\ngrants.http = [\"{origin}\"]\n{more}\n\
                 [plugin.{plugin}.limits]\nauth_timeout = \"{timeout}\"\nwait_timeout = \"{timeout}\"\n\
                 event_timeout = \"{timeout}\"\ntimer_timeout = \"{timeout}\"\nhttp_timeout = \"100s\"\n\
                 [plugin.{plugin}.config]\nhook = \"{hook}\"\nmode = {mode}\nurl = \"{origin}/{plugin}\"\n\
                 topics = [\"{plugin}/#\"]\nclients = \"{prefix}\"\nallow = {allow}\nkinds = [\"unsubscribed\"]\n"
            )
        };
        let folder = Folder::new(&format!(
            "workers = 1\nallow_anonymous = true\nlimits.connect_timeout = \"100s\"\n{}{}",
            table("hasty", 0, "500ms", false, hasty),
            table("patient", 1, "100s", true, "")
        ));
        for plugin in ["hasty", "patient"] {
            folder.install_plugin(plugin, &guest("abuse"));
        }
        let broker = folder.start();
        let pair = |version: Version| {
            let topic = format!("free/{version:?}");
            let mut subscriber = Client::connect(&broker, version, &format!("subscriber {version:?}"));
            subscriber.subscribe(&topic, QoS::AtLeastOnce);
            (Client::connect(&broker, version, &format!("publisher {version:?}")), subscriber)
        };
        let pairs = BOTH.map(pair).into();
        Self { broker, backend, pairs, held: Vec::new(), seen: 0 }
    }

    fn client(&self, version: Version) -> Client {
        Client::connect(&self.broker, version, &format!("client {version:?}"))
    }

    /// What the server is asked by this plugin next.
    fn asked_by(&mut self, plugin: &str) -> Question {
        let path = format!("/{plugin}");
        loop {
            let question = match self.held.iter().position(|question| question.path() == path) {
                Some(at) => self.held.remove(at),
                None => self.backend.asked(),
            };
            if question.path() == path {
                return question;
            }
            self.held.push(question);
        }
    }

    /// Others go on.
    fn exchange(&mut self) {
        for (publisher, _) in &mut self.pairs {
            for n in 0..MEANWHILE {
                let topic = if n % 2 == 0 { "free/V3_1_1" } else { "free/V5" };
                let reason = publisher.publish(topic, &n.to_string(), QoS::AtLeastOnce);
                assert_eq!(reason, ReasonCode::Success);
            }
        }
        for (_, subscriber) in &mut self.pairs {
            let got = subscriber.payloads(MEANWHILE);
            let expected = |odd: usize| (0..MEANWHILE).filter(move |n| n % 2 == odd).map(|n| n.to_string());
            let both = |odd| expected(odd).chain(expected(odd)).collect::<Vec<_>>();
            assert!(got == both(0) || got == both(1), "lost, doubled or reordered: {got:?}");
        }
    }

    /// The server is asked, and answers when others have exchanged messages.
    fn answered(&mut self) {
        let question = self.asked_by("patient");
        self.exchange();
        question.still_waited_for();
        assert!(question.answer(200));
    }

    /// The server is asked, and never answers.
    fn cut_off(&mut self) {
        let question = self.asked_by("hasty");
        self.exchange();
        question.given_up();
        let log = self.broker.log();
        log.wait_for_after(self.seen, "plugin hasty: call failed: deadline passed", PATIENCE);
        self.seen = log.len();
    }
}

/// Sends a PUBLISH at QoS 1, and does not wait.
fn send(client: &mut Client, topic: &str, payload: &str) {
    let packet_id = Some(client.packet_id());
    client.send(&Packet::Publish(Publish { packet_id, ..publish(topic, payload, QoS::AtLeastOnce) }));
}

/// The reason of the next PUBACK.
fn acknowledged(client: &mut Client) -> ReasonCode {
    client.find("PUBACK", |packet| match packet {
        Received::Packet(Packet::PubAck(ack)) => Some(ack.reason),
        _ => None,
    })
}

#[test]
fn authenticate() {
    let mut scene = Scene::new("authenticate", "");
    for version in BOTH {
        let begin = |scene: &Scene, id: &str| {
            let mut client = Client::open(scene.broker.address(), version);
            client.send(&Packet::Connect(Box::new(connect(version, id))));
            client
        };
        let mut patient = begin(&scene, "patient/fetch");
        scene.answered();
        assert_eq!(patient.expect_connack().reason, ReasonCode::Success);
        patient.ping();
        let mut hasty = begin(&scene, "hasty/fetch");
        scene.cut_off();
        hasty.expect_refused(ReasonCode::NotAuthorized);
    }
}

#[test]
fn acl() {
    let mut scene = Scene::new("acl", "");
    for version in BOTH {
        let mut client = scene.client(version);
        send(&mut client, "patient/fetch", "x");
        scene.answered();
        assert!(!acknowledged(&mut client).is_error());
        send(&mut client, "hasty/fetch", "x");
        scene.cut_off();
        refused_as_a_fault(&mut client, version);
    }
}

/// MQTT 5 is told; older versions are not acknowledged, and the connection ends.
fn refused_as_a_fault(client: &mut Client, version: Version) {
    match version {
        Version::V5 => assert_eq!(acknowledged(client), ReasonCode::ImplementationSpecificError),
        _ => client.expect_closed(),
    }
}

#[test]
fn on_publish() {
    let mut scene = Scene::new("publish", "");
    let mut reader = scene.client(Version::V5);
    reader.subscribe("patient/#", QoS::AtLeastOnce);
    reader.subscribe("hasty/#", QoS::AtLeastOnce);
    for version in BOTH {
        let mut client = Client::connect(&scene.broker, version, "writer");
        send(&mut client, "patient/fetch", "x");
        // Held behind it, and in order.
        send(&mut client, "patient/next", "y");
        scene.answered();
        assert_eq!([acknowledged(&mut client), acknowledged(&mut client)], [ReasonCode::Success; 2]);
        assert_eq!(reader.payloads(2), ["x", "y"]);
        send(&mut client, "hasty/fetch", "x");
        scene.cut_off();
        refused_as_a_fault(&mut client, version);
        reader.expect_nothing();
    }
}

#[test]
fn on_publish_as_if_not_asked_where_a_fault_means_next() {
    let mut scene = Scene::new("publish", "on_fault = \"next\"");
    for version in BOTH {
        let mut client = scene.client(version);
        client.subscribe("hasty/#", QoS::AtLeastOnce);
        send(&mut client, "hasty/fetch", "x");
        scene.cut_off();
        assert_eq!(acknowledged(&mut client), ReasonCode::Success);
        assert_eq!(client.accept().payload, "x");
    }
}

#[test]
fn on_subscribe() {
    let mut scene = Scene::new("subscribe", "");
    for version in BOTH {
        // A SUBSCRIBE waits for its SUBACK: in a thread of its own.
        let subscribed = |scene: &mut Scene, filter: &'static str, then: fn(&mut Scene)| {
            let mut client = scene.client(version);
            let waiting = std::thread::spawn(move || client.subscribe(filter, QoS::AtLeastOnce));
            then(scene);
            waiting.join().unwrap()
        };
        assert_eq!(subscribed(&mut scene, "patient/fetch", Scene::answered), ReasonCode::GrantedQos1);
        let refused = match version {
            Version::V5 => ReasonCode::ImplementationSpecificError,
            _ => ReasonCode::UnspecifiedError,
        };
        assert_eq!(subscribed(&mut scene, "hasty/fetch", Scene::cut_off), refused);
    }
}

#[test]
fn select() {
    chosen_as_if_not_asked("select", "");
}

#[test]
fn pick() {
    chosen_as_if_not_asked("pick", "$share/group/");
}

fn chosen_as_if_not_asked(hook: &str, before: &str) {
    let mut scene = Scene::new(hook, "");
    for version in BOTH {
        let mut reader = Client::connect(&scene.broker, version, "reader");
        let mut writer = Client::connect(&scene.broker, version, "writer");
        for (plugin, then) in [("patient", Scene::answered as fn(&mut Scene)), ("hasty", Scene::cut_off)] {
            reader.subscribe(&format!("{before}{plugin}/#"), QoS::AtLeastOnce);
            send(&mut writer, &format!("{plugin}/fetch"), plugin);
            then(&mut scene);
            assert_eq!(acknowledged(&mut writer), ReasonCode::Success);
            assert_eq!(reader.accept().payload, plugin);
        }
    }
}

#[test]
fn on_deliver() {
    let mut scene = Scene::new("deliver", "");
    for version in BOTH {
        let mut reader = Client::connect(&scene.broker, version, "reader");
        let mut writer = Client::connect(&scene.broker, version, "writer");
        for (plugin, then) in [("patient", Scene::answered as fn(&mut Scene)), ("hasty", Scene::cut_off)] {
            reader.subscribe(&format!("{plugin}/#"), QoS::AtLeastOnce);
            assert_eq!(
                writer.publish(&format!("{plugin}/fetch"), "x", QoS::AtLeastOnce),
                ReasonCode::Success,
                "the publisher waits for no recipient"
            );
            writer.publish(&format!("{plugin}/next"), "y", QoS::AtLeastOnce);
            then(&mut scene);
            assert_eq!(reader.payloads(2), ["x", "y"], "{plugin}");
        }
    }
}

#[test]
fn on_deliver_drops_where_a_fault_means_that() {
    let mut scene = Scene::new("deliver", "on_deliver_fault = \"drop\"");
    let mut client = scene.client(Version::V5);
    client.subscribe("hasty/#", QoS::AtLeastOnce);
    client.publish("hasty/fetch", "x", QoS::AtLeastOnce);
    client.publish("hasty/next", "y", QoS::AtLeastOnce);
    scene.cut_off();
    assert_eq!(client.accept().payload, "y");
}

#[test]
fn on_events() {
    let mut scene = Scene::new("events", "");
    let mut client = scene.client(Version::V5);
    let mut happens = || {
        client.subscribe("x", QoS::AtMostOnce);
        client.unsubscribe(&["x"]);
    };
    // Both are told. The next events come after the last ones, whatever became of those.
    for _ in 0..2 {
        happens();
        scene.answered();
        scene.cut_off();
    }
}

#[test]
fn on_timer() {
    let mut scene = Scene::new("timer", "");
    for _ in 0..2 {
        scene.answered();
        scene.cut_off();
    }
}

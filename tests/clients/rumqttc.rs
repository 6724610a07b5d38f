//! rumqttc, whose clients for the two versions are two sets of types: `peer` makes one of them.

mod peer;

use super::site::{BURST, LARGE, RECEIVE_MAXIMUM, Site, run_each};
use peer::{Options, Peer, Seen, Will};
use rumqttc::v5::mqttbytes::v5::PublishProperties;

on_each_site!(scenarios: over_tcp Tcp, over_tls Tls, over_ws Ws, over_wss Wss, over_unix Unix);

fn scenarios(site: &Site) {
    run_each(
        site,
        &[
            ("QoS 0, 1 and 2 round trips", round_trips),
            ("bursts", bursts),
            ("retained messages", retained),
            ("wills", wills),
            ("resumed sessions with queued messages", resumed_sessions),
            ("unacknowledged messages come again", unacknowledged),
            ("shared subscriptions", shared_subscriptions),
            ("large payloads", large_payloads),
        ],
    );
    if site.is_v5() {
        run_each(
            site,
            &[
                ("user properties and others", properties),
                ("request and response", requests),
                ("flow control by receive maximum", receive_maximum),
                ("topic aliases to the broker", aliases_to_the_broker),
                ("topic aliases from the broker", aliases_from_the_broker),
            ],
        );
    }
    if site.is_secure() {
        run_each(site, &[("client certificates", client_certificates)]);
    }
}

fn round_trips(site: &Site) {
    let mut receiver = Peer::subscribed(site, "receiver", "round/#", 2);
    let mut sender = Peer::connect(site, "sender");
    for qos in 0..=2 {
        for n in 0..10 {
            sender.publish("round/trip", n.to_string(), qos);
        }
        for n in 0..10 {
            let message = receiver.message();
            let seen = (&message.topic[..], message.text(), message.qos, message.retain, message.dup);
            assert_eq!(seen, ("round/trip", n.to_string(), qos, false, false));
        }
    }
    receiver.nothing_more("each message comes once");
    receiver.leave();
    sender.leave();
}

/// More at once than may be open: the client keeps to what CONNACK says.
fn bursts(site: &Site) {
    let mut receiver = Peer::subscribed(site, "receiver", "burst", 2);
    let mut sender = Peer::connect(site, "sender");
    if site.is_v5() {
        assert_eq!(sender.connack().receive_max, Some(RECEIVE_MAXIMUM));
    }
    for qos in 1..=2 {
        for n in 0..BURST {
            sender.send("burst", n.to_string(), qos);
        }
        for _ in 0..BURST {
            sender.acknowledged();
        }
        for n in 0..BURST {
            assert_eq!(receiver.message().text(), n.to_string(), "QoS {qos}");
        }
    }
    receiver.nothing_more("each message comes once");
}

fn retained(site: &Site) {
    let mut sender = Peer::connect(site, "sender");
    let mut there = Peer::subscribed(site, "there", "kept/#", 2);
    for qos in 0..=2 {
        let topic = format!("kept/{qos}");
        sender.retain(&topic, "old", 1);
        sender.retain(&topic, &qos.to_string(), qos);
        for _ in 0..2 {
            assert!(!there.message().retain, "who was subscribed is not told of RETAIN");
        }
    }
    let mut late = Peer::subscribed(site, "late", "kept/#", 2);
    let mut got: Vec<_> = (0..3).map(|_| late.message()).map(|it| (it.text(), it.qos, it.retain)).collect();
    got.sort();
    assert_eq!(got, [("0".to_owned(), 0, true), ("1".to_owned(), 1, true), ("2".to_owned(), 2, true)]);
    for qos in 0..=2 {
        sender.retain(&format!("kept/{qos}"), "", 1);
        assert_eq!(late.message().text(), "");
    }
    let mut later = Peer::subscribed(site, "later", "kept/#", 2);
    later.nothing_more("an empty message clears what is retained");
}

fn wills(site: &Site) {
    let mut witness = Peer::subscribed(site, "witness", "will/#", 2);
    for qos in 0..=2 {
        let topic = format!("will/{qos}");
        let will = |payload| {
            let will = Will { topic: topic.clone(), payload, qos, user_property: ("cause", "cut") };
            Options { will: Some(will), ..Options::default() }
        };
        Peer::connect_with(site, "leaves", will("never")).leave();
        Peer::connect_with(site, "lost", will("lost")).cut();
        let message = witness.message();
        assert_eq!((&message.topic, &message.text()[..], message.qos), (&topic, "lost", qos));
        if site.is_v5() {
            assert_eq!(message.properties.user_properties, [("cause".to_owned(), "cut".to_owned())]);
        }
    }
}

fn resumed_sessions(site: &Site) {
    let session = || Options { session: true, ..Options::default() };
    let mut sleeper = Peer::connect_with(site, "sleeper", session());
    assert!(!sleeper.session_present());
    sleeper.subscribe("sleep", 2);
    sleeper.leave();
    let mut sender = Peer::connect(site, "waker");
    for n in 0..10 {
        sender.publish("sleep", n.to_string(), 1 + n % 2);
    }
    let mut awake = Peer::connect_with(site, "sleeper", session());
    assert!(awake.session_present());
    for n in 0..10 {
        let message = awake.message();
        assert_eq!((message.text(), message.qos), (n.to_string(), 1 + n % 2));
    }
    sender.publish("sleep", "live", 1);
    assert_eq!(awake.message().text(), "live");
    awake.leave();
    let mut fresh = Peer::connect(site, "sleeper");
    assert!(!fresh.session_present());
    sender.publish("sleep", "lost", 1);
    fresh.nothing_more("a clean start ends the subscriptions");
}

fn unacknowledged(site: &Site) {
    let careful = || Options { session: true, manual_acks: true, ..Options::default() };
    let mut peer = Peer::connect_with(site, "careful", careful());
    peer.subscribe("again", 1);
    let mut sender = Peer::connect(site, "sender");
    sender.publish("again", "first", 1);
    sender.publish("again", "second", 1);
    let (first, second) = (peer.message(), peer.message());
    peer.acknowledge(&first);
    // The acknowledgement has arrived before the connection ends.
    peer.nothing_more("two messages were sent");
    peer.cut();
    let mut peer = Peer::connect_with(site, "careful", careful());
    assert!(peer.session_present());
    let message = peer.message();
    assert_eq!((message.text(), message.dup, message.id), ("second".to_owned(), true, second.id));
    peer.acknowledge(&message);
    peer.nothing_more("the first was acknowledged");
}

fn shared_subscriptions(site: &Site) {
    let mut members: Vec<Peer> =
        (0..3).map(|n| Peer::subscribed(site, &format!("member-{n}"), "$share/crew/work/#", 2)).collect();
    let mut other = Peer::subscribed(site, "other", "$share/spare/work/#", 2);
    let mut sender = Peer::connect(site, "foreman");
    let mut sent: Vec<String> = (0..30).map(|n| n.to_string()).collect();
    for (n, payload) in (0..).zip(&sent) {
        sender.publish("work/now", payload.clone(), 1 + n % 2);
    }
    for payload in &sent {
        assert_eq!(other.message().text(), *payload, "the other group gets all");
    }
    // In turn: each has a third.
    let mut got: Vec<String> = Vec::new();
    for member in &mut members {
        got.extend((0..10).map(|_| member.message().text()));
        member.nothing_more("each message goes to one member");
    }
    got.sort();
    sent.sort();
    assert_eq!(got, sent, "each message to one member");
}

fn large_payloads(site: &Site) {
    let mut receiver = Peer::subscribed(site, "receiver", "large", 2);
    let mut sender = Peer::connect(site, "sender");
    for qos in 0..=2 {
        // No two stretches of it are the same.
        let payload: Vec<u8> = (0..LARGE as u32 / 4).flat_map(u32::to_be_bytes).collect();
        sender.publish("large", payload.clone(), qos);
        let got = receiver.message().payload;
        assert!(got == payload, "QoS {qos}: {} bytes, or others than {LARGE}", got.len());
    }
}

fn properties(site: &Site) {
    let mut receiver = Peer::subscribed(site, "receiver", "told", 2);
    let mut sender = Peer::connect(site, "sender");
    let pairs = [("a", "1"), ("b", "2"), ("a", "3"), ("", ""), ("ключ", "значение 🌊")];
    let told = PublishProperties {
        user_properties: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        content_type: Some("text/plain".to_owned()),
        payload_format_indicator: Some(1),
        response_topic: Some("answer".to_owned()),
        correlation_data: Some(vec![0, 255].into()),
        ..PublishProperties::default()
    };
    for qos in 0..=2 {
        sender.publish_with("told", "x", qos, told.clone());
        assert_eq!(receiver.message().properties, told, "QoS {qos}");
    }
}

fn requests(site: &Site) {
    let asks = Options { request_response_information: true, ..Options::default() };
    let mut requester = Peer::connect_with(site, "requester", asks);
    let answers = requester.connack().response_information.clone().expect("Response Information");
    assert_eq!(answers, "responses/requester");
    requester.subscribe(&format!("{answers}/#"), 2);
    let mut responder = Peer::subscribed(site, "responder", "service", 2);
    for qos in 0..=2 {
        let token = vec![0, qos, 255];
        let asked = PublishProperties {
            response_topic: Some(format!("{answers}/{qos}")),
            correlation_data: Some(token.clone().into()),
            ..PublishProperties::default()
        };
        requester.publish_with("service", "question", qos, asked);
        let request = responder.message().properties;
        let to = request.response_topic.expect("a response topic");
        let answered =
            PublishProperties { correlation_data: request.correlation_data, ..PublishProperties::default() };
        responder.publish_with(&to, "answer", qos, answered);
        let answer = requester.message();
        let seen = (answer.topic, answer.properties.correlation_data);
        assert_eq!(seen, (format!("{answers}/{qos}"), Some(token.into())));
    }
}

/// The client's own: the broker never has more than three open.
fn receive_maximum(site: &Site) {
    let slow = Options { manual_acks: true, receive_maximum: Some(3), ..Options::default() };
    let mut slow = Peer::connect_with(site, "slow", slow);
    slow.subscribe("slow", 2);
    let mut sender = Peer::connect(site, "fast");
    for n in 0..10 {
        sender.publish("slow", n.to_string(), 1);
    }
    let mut open: Vec<_> = (0..3).map(|_| slow.message()).collect();
    for n in 0..10 {
        slow.nothing_more("three messages are open");
        let message = open.remove(0);
        assert_eq!(message.text(), n.to_string());
        slow.acknowledge(&message);
        if n + 3 < 10 {
            open.push(slow.message());
        }
    }
}

fn aliases_to_the_broker(site: &Site) {
    let mut receiver = Peer::subscribed(site, "receiver", "alias/#", 2);
    let mut sender = Peer::connect(site, "sender");
    assert_eq!(sender.connack().topic_alias_max, Some(32));
    for (alias, name) in [(1, "alias/one"), (32, "alias/two"), (1, "alias/three")] {
        let alias = PublishProperties { topic_alias: Some(alias), ..PublishProperties::default() };
        for (qos, topic) in (0..=2).zip([name, "", ""]) {
            sender.publish_with(topic, "x", qos, alias.clone());
        }
        for _ in 0..3 {
            let message = receiver.message();
            assert_eq!((&message.topic[..], message.properties.topic_alias), (name, None));
        }
    }
}

fn aliases_from_the_broker(site: &Site) {
    let takes = Options { topic_alias_maximum: Some(2), ..Options::default() };
    let mut receiver = Peer::connect_with(site, "receiver", takes);
    receiver.subscribe("from/#", 2);
    let mut sender = Peer::connect(site, "sender");
    let (mut names, mut shortened) = (vec![String::new(); 3], 0);
    for topic in ["from/a", "from/a", "from/b", "from/b", "from/c", "from/c", "from/a", "from/b"] {
        sender.publish(topic, "x", 1);
        // rumqttc shows messages as they came.
        let message = receiver.message();
        let alias = usize::from(message.properties.topic_alias.unwrap_or_default());
        assert!(alias <= 2, "Topic Alias Maximum is 2: {message:?}");
        if message.topic.is_empty() {
            assert_eq!(names[alias], topic);
            shortened += 1;
        } else {
            assert_eq!(message.topic, topic);
            names[alias] = message.topic;
        }
    }
    assert!(shortened > 0, "no message came with an alias only");
}

fn client_certificates(site: &Site) {
    let known = Options { mutual: true, identified: true, ..Options::default() };
    let mut known = Peer::connect_with(site, "known", known);
    known.subscribe("certified", 2);
    known.publish("certified", "yes", 2);
    assert_eq!(known.message().text(), "yes");
    let unknown = Options { mutual: true, ..Options::default() };
    let first = Peer::open(site, "unknown", unknown).next();
    assert!(matches!(first, Seen::Lost(_)), "a client without a certificate is let in: {first:?}");
}

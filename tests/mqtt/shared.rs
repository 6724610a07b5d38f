//! Shared subscriptions (section 4.8.2): of each group one member gets a message, and what one leaves behind goes to another.

use std::{collections::BTreeSet, num::NonZeroU16};
use tidegate_mqtt::{
    Ack, Connect, ConnectProperties, Packet, QoS, ReasonCode, SubscribeProperties, SubscriptionOptions,
    Version,
};
use tidegate_tests::{
    BOTH, Broker, Client, Message, ack, connect, each_ends_its_connection, field, request_frame,
};

use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use Version::{V3_1_1, V5};

fn payloads(messages: Vec<Message>) -> Vec<String> {
    messages.into_iter().map(|message| message.payload).collect()
}

/// A member of `$share/g/a` at QoS 2, with a session that stays.
fn member(broker: &Broker, version: Version, client_id: &str) -> Client {
    let (mut member, _) = Client::connect_session(broker, version, client_id, false);
    assert_eq!(member.subscribe("$share/g/a", ExactlyOnce), ReasonCode::GrantedQos2);
    member
}

/// Members `m0 VERSION`, `m1 VERSION`, and so on.
fn members<const N: usize>(broker: &Broker, version: Version) -> [Client; N] {
    std::array::from_fn(|n| member(broker, version, &format!("m{n} {version:?}")))
}

/// A member of MQTT 5 that takes one message at a time.
fn narrow(broker: &Broker, client_id: &str, expiry: u32) -> Client {
    let properties = ConnectProperties {
        session_expiry_interval: Some(expiry),
        receive_maximum: NonZeroU16::new(1),
        ..ConnectProperties::default()
    };
    let connect = Connect { clean_start: false, properties, ..connect(V5, client_id) };
    let (mut member, _) = Client::connect_with(broker, connect);
    member.subscribe("$share/g/a", ExactlyOnce);
    member
}

fn send(publisher: &mut Client, payloads: &[&str], qos: QoS) {
    for payload in payloads {
        assert_eq!(publisher.publish("a", payload, qos), ReasonCode::Success);
    }
}

/// Ends a group, so that the next begins from nothing.
fn leave<const N: usize>(members: [Client; N]) {
    for mut member in members {
        member.unsubscribe(&["$share/g/a"]);
        member.disconnect();
    }
}

#[test]
fn each_message_goes_to_one_member_of_each_group_in_turn() {
    let broker = Broker::start("");
    for version in BOTH {
        let mut members = members::<3>(&broker, version);
        let mut others = ["other 1", "other 2"].map(|id| Client::connect(&broker, version, id));
        for other in &mut others {
            other.subscribe("$share/h/+", AtLeastOnce);
        }
        let mut same_name = Client::connect(&broker, version, "same name");
        same_name.subscribe("$share/g/+", AtLeastOnce);
        let mut plain = Client::connect(&broker, version, "no group");
        plain.subscribe("a", AtLeastOnce);
        let mut publisher = Client::connect(&broker, version, "p");
        for qos in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
            let sent: Vec<_> = (0..30).map(|n| format!("{n:02}")).collect();
            for payload in &sent {
                publisher.publish("a", payload, qos);
            }
            let shares = members.each_mut().map(|member| payloads(member.drain()));
            assert!(shares.iter().all(|share| share.len() == 10), "{version:?}, ten each: {shares:?}");
            assert!(shares.iter().all(|share| share.is_sorted()), "in order: {shares:?}");
            let got: BTreeSet<_> = shares.concat().into_iter().collect();
            assert_eq!(got.len(), 30, "{version:?}: each once");
            let shares = others.each_mut().map(|member| payloads(member.drain()));
            assert!(shares.iter().all(|share| share.len() == 15), "{version:?}, 15 each: {shares:?}");
            // A group is a name and a filter.
            assert_eq!(payloads(same_name.drain()), sent);
            assert_eq!(payloads(plain.drain()), sent);
        }
        leave(members);
        for other in others {
            other.disconnect();
        }
        same_name.disconnect();
        plain.disconnect();
    }
}

#[test]
fn a_member_that_unsubscribes_gets_nothing_more() {
    let broker = Broker::start("");
    for version in BOTH {
        let [mut first, mut second, mut third] = members::<3>(&broker, version);
        let mut publisher = Client::connect(&broker, version, "p");
        first.unsubscribe(&["$share/g/a"]);
        second.unsubscribe(&["$share/g/a"]);
        send(&mut publisher, &["1", "2", "3"], AtLeastOnce);
        assert_eq!(payloads(third.drain()), ["1", "2", "3"]);
        third.unsubscribe(&["$share/g/a"]);
        publisher.publish("a", "nobody", AtLeastOnce);
        [first, second, third].iter_mut().for_each(Client::expect_nothing);
    }
}

#[test]
fn members_that_are_away_are_skipped_while_another_is_there() {
    let broker = Broker::start("");
    for version in BOTH {
        let [mut here, away] = members::<2>(&broker, version);
        away.disconnect();
        let mut publisher = Client::connect(&broker, version, "p");
        send(&mut publisher, &["1", "2", "3", "4", "5", "6"], AtLeastOnce);
        assert_eq!(payloads(here.drain()), ["1", "2", "3", "4", "5", "6"], "{version:?}");
        // If all are away, it waits for one of them.
        here.disconnect();
        send(&mut publisher, &["waits"], AtLeastOnce);
        let mut back = members::<2>(&broker, version);
        let got = back.each_mut().map(|member| payloads(member.drain())).concat();
        assert_eq!(got, ["waits"], "{version:?}");
        leave(back);
    }
}

#[test]
fn v5_4_8_2_3_a_shared_message_comes_at_the_qos_granted_to_its_receiver() {
    let broker = Broker::start("");
    let granted = [("zero", AtMostOnce), ("one", AtLeastOnce), ("two", ExactlyOnce)];
    let mut members = granted.map(|(id, qos)| {
        let mut member = Client::connect(&broker, V5, id);
        member.subscribe("$share/g/a", qos);
        (member, qos)
    });
    let mut publisher = Client::connect(&broker, V5, "p");
    for published in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
        send(&mut publisher, &["x"; 9], published);
        for (member, granted) in &mut members {
            let got: Vec<_> = member.drain().into_iter().map(|message| message.qos).collect();
            assert_eq!(got, [published.min(*granted); 3]);
        }
    }
}

#[test]
fn shared_subscriptions_bring_nothing_retained() {
    let broker = Broker::start("");
    for version in BOTH {
        let mut publisher = Client::connect(&broker, version, "p");
        publisher.publish_retained("a", "kept", AtLeastOnce);
        let mut client = Client::connect(&broker, version, "c");
        for filter in ["$share/g/a", "$share/g/#", "$queue/a", "$queue/#"] {
            client.subscribe(filter, AtLeastOnce);
            client.subscribe(filter, AtLeastOnce);
            client.expect_nothing();
            client.unsubscribe(&[filter]);
        }
        // What comes new is shared, with or without the flag of its publisher.
        client.subscribe("$share/g/a", AtLeastOnce);
        publisher.publish_retained("a", "new", AtLeastOnce);
        let new = client.accept();
        assert_eq!((new.payload.as_str(), new.retain), ("new", false));
        client.disconnect();
    }
}

#[test]
fn v5_3_8_3_4_no_local_on_a_shared_subscription_ends_the_connection_with_0x82() {
    let broker = Broker::start("");
    let subscribe = |filters: &[(&str, u8)]| {
        let payload: Vec<u8> =
            filters.iter().flat_map(|(text, options)| [&field(text)[..], &[*options]].concat()).collect();
        request_frame(V5, 0x82, &payload)
    };
    let error = ReasonCode::ProtocolError;
    let cases = [
        ("alone", subscribe(&[("$share/g/a", 4)]), error),
        ("with all other options", subscribe(&[("$share/g/a", 0x2E)]), error),
        ("the second filter", subscribe(&[("a", 4), ("$share/g/a", 4)]), error),
        ("the queue", subscribe(&[("$queue/a", 4)]), error),
    ];
    each_ends_its_connection(&broker, V5, &cases);
}

#[test]
fn v5_4_8_2_1_and_v5_4_8_2_2_malformed_shared_filters_end_the_connection() {
    let broker = Broker::start("");
    for version in BOTH {
        let wrong = [
            "$share",
            "$share/",
            "$share//a",
            "$share//",
            "$share/g",
            "$share/g/",
            "$share/+/a",
            "$share/#",
            "$share/#/a",
            "$share/g+/a",
            "$share/g#/a",
            "$queue",
            "$queue/",
        ];
        let error = ReasonCode::ProtocolError;
        let subscribe =
            wrong.map(|text| (text, request_frame(version, 0x82, &[&field(text)[..], &[1]].concat()), error));
        each_ends_its_connection(&broker, version, &subscribe);
        let unsubscribe = wrong.map(|text| (text, request_frame(version, 0xA2, &field(text)), error));
        each_ends_its_connection(&broker, version, &unsubscribe);
        // What is behind the name is a filter as any other.
        let malformed = ["$share/g/a#", "$share/g/#/a", "$share/g/a+", "$queue/a#"];
        let cases = malformed.map(|text| {
            let reason = ReasonCode::MalformedPacket;
            (text, request_frame(version, 0x82, &[&field(text)[..], &[1]].concat()), reason)
        });
        each_ends_its_connection(&broker, version, &cases);
        let mut client = Client::connect(&broker, version, "c");
        for right in [
            "$share/g/a",
            "$share/g/#",
            "$share/g//",
            "$share/ /+",
            "$share/$share/a",
            "$queue/a",
            "$queue/#",
        ] {
            assert_eq!(client.subscribe(right, AtLeastOnce), ReasonCode::GrantedQos1, "{right}");
        }
    }
}

#[test]
fn the_queue_is_a_group_of_its_own() {
    let broker = Broker::start("");
    for version in BOTH {
        let subscribed = |id: &str, filter: &str| {
            let mut client = Client::connect(&broker, version, id);
            assert_eq!(client.subscribe(filter, AtLeastOnce), ReasonCode::GrantedQos1);
            client
        };
        let mut queue = ["q1", "q2"].map(|id| subscribed(id, "$queue/a"));
        let mut group = ["g1", "g2"].map(|id| subscribed(id, "$share/g/a"));
        // A name that looks like it is another one.
        let mut named = subscribed("named", "$share/$queue/a");
        let mut plain = subscribed("plain", "a");
        let mut publisher = Client::connect(&broker, version, "p");
        let sent = ["1", "2", "3", "4"];
        send(&mut publisher, &sent, AtLeastOnce);
        for members in [&mut queue, &mut group] {
            let shares = members.each_mut().map(|member| payloads(member.drain()));
            assert!(shares.iter().all(|share| share.len() == 2), "{version:?}: {shares:?}");
            assert_eq!(shares.concat().into_iter().collect::<BTreeSet<_>>().len(), 4);
        }
        assert_eq!(payloads(named.drain()), sent);
        assert_eq!(payloads(plain.drain()), sent);
        // It is unsubscribed by its own text.
        let [mut q1, mut q2] = queue;
        for other in ["a", "$share/queue/a", "$share/$queue/a"] {
            q1.unsubscribe(&[other]);
        }
        send(&mut publisher, &sent, AtLeastOnce);
        assert_eq!(payloads(q1.drain()).len(), 2);
        q1.unsubscribe(&["$queue/a"]);
        q2.drain();
        send(&mut publisher, &sent, AtLeastOnce);
        assert_eq!(payloads(q2.drain()), sent);
        q1.expect_nothing();
        publisher.disconnect();
    }
}

#[test]
fn a_shared_and_a_plain_subscription_of_one_client_are_two() {
    let broker = Broker::start("");
    let mut client = Client::connect(&broker, V5, "c");
    client.subscribe("a", AtLeastOnce);
    client.subscribe("$share/g/a", AtLeastOnce);
    client.publish("a", "x", AtLeastOnce);
    assert_eq!(payloads(client.drain()), ["x", "x"]);
    client.unsubscribe(&["a"]);
    client.publish("a", "y", AtLeastOnce);
    assert_eq!(payloads(client.drain()), ["y"]);
}

#[test]
fn shared_messages_name_their_subscription_and_replace_it_as_others_do() {
    let broker = Broker::start("");
    let mut client = Client::connect(&broker, V5, "c");
    for identifier in [3, 4] {
        let properties = SubscribeProperties {
            subscription_identifier: std::num::NonZeroU32::new(identifier),
            ..SubscribeProperties::default()
        };
        let options = SubscriptionOptions { maximum_qos: AtLeastOnce, ..SubscriptionOptions::default() };
        client.subscribe_with(&[("$share/g/a", options)], properties);
        client.publish("a", "x", ExactlyOnce);
        let message = client.accept();
        assert_eq!((message.identifiers(), message.qos), (vec![identifier], AtLeastOnce));
        client.expect_nothing();
    }
}

#[test]
fn v5_4_8_2_4_a_qos_2_message_that_was_begun_is_finished_with_the_same_client() {
    let broker = Broker::start("");
    for version in BOTH {
        for recorded in [false, true] {
            let [mut one, mut two] = members::<2>(&broker, version);
            let mut publisher = Client::connect(&broker, version, "p");
            send(&mut publisher, &["1", "2"], ExactlyOnce);
            let (first, second) = (one.message(), two.message());
            assert_ne!(first.payload, second.payload);
            if recorded {
                one.send(&Packet::PubRec(ack(first.id())));
                one.expect_packet(&Packet::PubRel(ack(first.id())));
            }
            one.break_off();
            two.expect_nothing();
            let (mut one, present) =
                Client::connect_session(&broker, version, &format!("m0 {version:?}"), false);
            assert!(present);
            if recorded {
                one.expect_packet(&Packet::PubRel(ack(first.id())));
                one.send(&Packet::PubComp(ack(first.id())));
            } else {
                let again = one.accept();
                let expected = (&first.payload, true, first.packet_id);
                assert_eq!((&again.payload, again.dup, again.packet_id), expected);
            }
            one.expect_nothing();
            two.acknowledge(&second);
            two.expect_nothing();
            leave([one, two]);
        }
    }
}

#[test]
fn v5_4_8_2_5_a_qos_2_message_that_was_begun_dies_with_its_session() {
    let broker = Broker::start("");
    for version in BOTH {
        let [mut one, mut two] = members::<2>(&broker, version);
        let mut publisher = Client::connect(&broker, version, "p");
        send(&mut publisher, &["1", "2"], ExactlyOnce);
        let _open = one.message();
        two.accept();
        one.break_off();
        Client::connect(&broker, version, &format!("m0 {version:?}")).disconnect(); // With clean start.
        two.expect_nothing();
        leave([two]);
    }
}

#[test]
fn v5_4_8_2_6_a_shared_message_that_is_refused_goes_to_nobody_else() {
    let broker = Broker::start("");
    let [mut one, mut two] = members::<2>(&broker, V5);
    let mut publisher = Client::connect(&broker, V5, "p");
    for qos in [AtLeastOnce, ExactlyOnce] {
        for reason in [ReasonCode::ImplementationSpecificError, ReasonCode::QuotaExceeded] {
            send(&mut publisher, &["1", "2"], qos);
            for member in [&mut one, &mut two] {
                let refusal = Ack { reason, ..ack(member.message().id()) };
                member.send(&if qos == AtLeastOnce {
                    Packet::PubAck(refusal)
                } else {
                    Packet::PubRec(refusal)
                });
            }
            one.expect_nothing();
            two.expect_nothing();
        }
    }
    // Not when the one that refused leaves, either.
    one.break_off();
    two.expect_nothing();
}

#[test]
fn a_member_whose_window_is_full_is_passed_over() {
    let broker = Broker::start("");
    for qos in [AtLeastOnce, ExactlyOnce] {
        let mut slow = narrow(&broker, "slow", 0);
        let mut quick = Client::connect(&broker, V5, "quick");
        quick.subscribe("$share/g/a", ExactlyOnce);
        let mut publisher = Client::connect(&broker, V5, "p");
        // Whoever has the first turn, the slow one has one message after two.
        send(&mut publisher, &["1", "2"], qos);
        let open = slow.message();
        assert_eq!(quick.drain().len(), 1);
        // One may wait for it before it is known that its window is full. The others do not.
        send(&mut publisher, &["x"; 20], qos);
        let passed = quick.drain().len();
        assert!(passed >= 19, "{passed} of 20");
        slow.expect_nothing();
        slow.acknowledge(&open);
        assert_eq!(slow.drain().len() + passed, 20);
        slow.ping();
        // With room again it has its turn again.
        send(&mut publisher, &["3", "4"], qos);
        assert_eq!((slow.drain().len(), quick.drain().len()), (1, 1));
        slow.disconnect();
        quick.disconnect();
    }
}

#[test]
fn a_member_whose_queue_is_full_is_passed_over() {
    let broker = Broker::start("[limits]\nmax_inflight = 1\nmax_queued_messages = 2\n");
    for version in BOTH {
        let [mut slow, mut quick] = members::<2>(&broker, version);
        // Its own subscription fills window and queue.
        slow.subscribe("b", AtLeastOnce);
        let mut publisher = Client::connect(&broker, version, "p");
        for payload in ["b1", "b2", "b3"] {
            publisher.publish("b", payload, AtLeastOnce);
        }
        let open = slow.message();
        slow.expect_nothing();
        for payload in ["1", "2", "3", "4", "5", "6"] {
            send(&mut publisher, &[payload], AtLeastOnce);
            assert_eq!(quick.payloads(1), [payload], "{version:?}");
        }
        slow.acknowledge(&open);
        assert_eq!(slow.payloads(2), ["b2", "b3"]);
        slow.expect_nothing();
        slow.unsubscribe(&["b"]);
        leave([slow, quick]);
    }
}

/// How a member goes.
#[derive(Clone, Copy, Debug)]
enum Going {
    Breaks,
    SaysGoodbye,
}

const GOING: [Going; 2] = [Going::Breaks, Going::SaysGoodbye];

fn go(member: Client, how: Going) {
    match how {
        Going::Breaks => member.break_off(),
        Going::SaysGoodbye => member.disconnect(),
    }
}

#[test]
fn unacknowledged_qos_1_messages_of_a_member_that_goes_reach_another() {
    let broker = Broker::start("");
    for version in BOTH {
        for how in GOING {
            let [mut one, mut two] = members::<2>(&broker, version);
            let mut publisher = Client::connect(&broker, version, "p");
            send(&mut publisher, &["1", "2", "3", "4"], AtLeastOnce);
            let open = [one.message(), one.message()];
            two.drain();
            one.acknowledge(&open[0]);
            one.ping();
            go(one, how);
            let moved = two.accept();
            // To this client it is sent for the first time.
            assert_eq!(
                (&moved.payload, moved.qos, moved.dup),
                (&open[1].payload, AtLeastOnce, false),
                "{version:?}"
            );
            two.expect_nothing();
            // It is settled, so the first does not get it again.
            let mut one = member(&broker, version, &format!("m0 {version:?}"));
            one.expect_nothing();
            leave([one, two]);
        }
    }
}

#[test]
fn messages_that_a_member_was_not_sent_reach_another_when_it_goes() {
    let broker = Broker::start("");
    for how in GOING {
        for expiry in [0, u32::MAX] {
            for qos in [AtLeastOnce, ExactlyOnce] {
                let mut one = narrow(&broker, "one", expiry);
                let mut publisher = Client::connect(&broker, V5, "p");
                // Nobody else is there: all but the first wait for it.
                send(&mut publisher, &["1", "2", "3"], qos);
                let open = one.message();
                assert_eq!(open.payload, "1");
                one.expect_nothing();
                let mut two = member(&broker, V5, "two");
                go(one, how);
                // At QoS 2 the first was begun and stays [MQTT-4.8.2-4], [MQTT-4.8.2-5].
                let moved: &[&str] = if qos == AtLeastOnce { &["1", "2", "3"] } else { &["2", "3"] };
                assert_eq!(two.payloads(moved.len()), moved, "{how:?} {expiry} {qos:?}");
                two.expect_nothing();
                let mut one = narrow(&broker, "one", expiry);
                if qos == ExactlyOnce && expiry > 0 {
                    assert_eq!(one.payloads(1), ["1"]);
                }
                one.expect_nothing();
                leave([one, two]);
            }
        }
    }
}

#[test]
fn what_a_member_leaves_behind_waits_for_it_if_nobody_else_is_there() {
    let broker = Broker::start("");
    for version in BOTH {
        let [mut only] = members::<1>(&broker, version);
        let mut publisher = Client::connect(&broker, version, "p");
        send(&mut publisher, &["1"], AtLeastOnce);
        let open = only.message();
        only.break_off();
        let mut only = member(&broker, version, &format!("m0 {version:?}"));
        let again = only.accept();
        assert_eq!((again.payload, again.packet_id, again.dup), (open.payload, open.packet_id, true));
        only.expect_nothing();
        leave([only]);
    }
}

#[test]
fn what_waits_for_a_member_whose_session_ends_goes_to_one_that_lives_on() {
    let broker = Broker::start("");
    for version in BOTH {
        for qos in [AtLeastOnce, ExactlyOnce] {
            let [one] = members::<1>(&broker, version);
            one.disconnect();
            let mut publisher = Client::connect(&broker, version, "p");
            send(&mut publisher, &["waits"], qos);
            let two = member(&broker, version, "two");
            two.disconnect();
            // With clean start, and without a word of the group.
            Client::connect(&broker, version, &format!("m0 {version:?}")).disconnect();
            let mut two = member(&broker, version, "two");
            assert_eq!(two.payloads(1), ["waits"], "{version:?} {qos:?}");
            two.expect_nothing();
            leave([two]);
            Client::connect(&broker, version, "two").disconnect();
        }
    }
}

#[test]
fn what_moves_goes_to_members_of_the_same_group_only() {
    let broker = Broker::start("");
    let mut one = Client::connect(&broker, V5, "one");
    one.subscribe("$share/g/a", AtLeastOnce);
    one.subscribe("a", AtLeastOnce);
    let mut other = Client::connect(&broker, V5, "other");
    other.subscribe("$share/h/a", AtLeastOnce);
    let mut publisher = Client::connect(&broker, V5, "p");
    send(&mut publisher, &["x"], AtLeastOnce);
    // Twice, for its two subscriptions; none is acknowledged.
    one.message();
    one.message();
    assert_eq!(other.payloads(1), ["x"]);
    let mut two = Client::connect(&broker, V5, "two");
    two.subscribe("$share/g/a", AtMostOnce);
    one.break_off();
    // Of the two only the shared one moves, at the QoS granted to its new receiver.
    let moved = two.accept();
    assert_eq!((moved.payload.as_str(), moved.qos), ("x", AtMostOnce));
    two.expect_nothing();
    other.expect_nothing();
}

#[test]
fn members_of_all_versions_share_one_group() {
    let broker = Broker::start("");
    let mut members = [("old", V3_1_1), ("new", V5)].map(|(id, version)| {
        let mut member = Client::connect(&broker, version, id);
        member.subscribe("$share/g/a", AtLeastOnce);
        member
    });
    let mut publisher = Client::connect(&broker, V5, "p");
    send(&mut publisher, &["1", "2", "3", "4"], AtLeastOnce);
    let shares = members.each_mut().map(|member| member.drain().len());
    assert_eq!(shares, [2, 2]);
}

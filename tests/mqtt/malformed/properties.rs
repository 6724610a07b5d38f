//! Properties of MQTT 5: where they stand, how often, and what they may say.

use super::*;
use ReasonCode::TopicAliasInvalid;

/// Packets of a client that have properties.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    Connect,
    Will,
    Publish,
    PubAck,
    PubRec,
    PubRel,
    PubComp,
    Subscribe,
    Unsubscribe,
    Disconnect,
    Auth,
}

use Place::{Auth, Disconnect, Publish, Subscribe, Unsubscribe};

const PLACES: [Place; 11] = [
    Place::Connect,
    Place::Will,
    Publish,
    Place::PubAck,
    Place::PubRec,
    Place::PubRel,
    Place::PubComp,
    Subscribe,
    Unsubscribe,
    Disconnect,
    Auth,
];

/// What may carry a reason string.
const ANSWERS: [Place; 6] = [Place::PubAck, Place::PubRec, Place::PubRel, Place::PubComp, Disconnect, Auth];

/// Every property: its name, its bytes with a value that is allowed, and where a client may send it (table 2-4).
fn all() -> Vec<(&'static str, Vec<u8>, Vec<Place>)> {
    let text = |id: u8| [&[id][..], &field("x")].concat();
    let number = |id: u8| vec![id, 0, 0, 0, 1];
    vec![
        ("Payload Format Indicator", vec![0x01, 1], vec![Publish, Place::Will]),
        ("Message Expiry Interval", number(0x02), vec![Publish, Place::Will]),
        ("Content Type", text(0x03), vec![Publish, Place::Will]),
        ("Response Topic", text(0x08), vec![Publish, Place::Will]),
        ("Correlation Data", text(0x09), vec![Publish, Place::Will]),
        ("Subscription Identifier", vec![0x0B, 1], vec![Publish, Subscribe]),
        ("Session Expiry Interval", number(0x11), vec![Place::Connect, Disconnect]),
        ("Assigned Client Identifier", text(0x12), vec![]),
        ("Server Keep Alive", vec![0x13, 0, 1], vec![]),
        ("Authentication Method", text(0x15), vec![Place::Connect, Auth]),
        ("Authentication Data", text(0x16), vec![Place::Connect, Auth]),
        ("Request Problem Information", vec![0x17, 1], vec![Place::Connect]),
        ("Will Delay Interval", number(0x18), vec![Place::Will]),
        ("Request Response Information", vec![0x19, 1], vec![Place::Connect]),
        ("Response Information", text(0x1A), vec![]),
        // A client may not send it, but its packet has it.
        ("Server Reference", text(0x1C), vec![Disconnect]),
        ("Reason String", text(0x1F), ANSWERS.to_vec()),
        ("Receive Maximum", vec![0x21, 0, 1], vec![Place::Connect]),
        ("Topic Alias Maximum", vec![0x22, 0, 1], vec![Place::Connect]),
        ("Topic Alias", vec![0x23, 0, 1], vec![Publish]),
        ("Maximum QoS", vec![0x24, 1], vec![]),
        ("Retain Available", vec![0x25, 1], vec![]),
        ("User Property", [&[0x26][..], &field("x"), &field("y")].concat(), PLACES.to_vec()),
        ("Maximum Packet Size", vec![0x27, 0, 0, 1, 0], vec![Place::Connect]),
        ("Wildcard Subscription Available", vec![0x28, 1], vec![]),
        ("Subscription Identifiers Available", vec![0x29, 1], vec![]),
        ("Shared Subscription Available", vec![0x2A, 1], vec![]),
    ]
}

/// A packet with these properties.
fn packet(place: Place, properties: &[u8]) -> Vec<u8> {
    let set = [&[u8::try_from(properties.len()).unwrap()][..], properties].concat();
    let answer = |first_byte| frame(first_byte, &[&[0, 1, 0][..], &set].concat());
    match place {
        Place::Connect => connect_frame("MQTT", 5, 0b0010, &[&set[..], &field("c")].concat()),
        Place::Will => {
            let rest = [&[0][..], &field("c"), &set, &field("will"), &field("gone")].concat();
            connect_frame("MQTT", 5, 0b0110, &rest)
        }
        Publish => frame(0x30, &[&field("a")[..], &set].concat()),
        Place::PubAck => answer(0x40),
        Place::PubRec => answer(0x50),
        Place::PubRel => answer(0x62),
        Place::PubComp => answer(0x70),
        Subscribe => frame(0x82, &[&[0, 1][..], &set, &field("a"), &[0]].concat()),
        Unsubscribe => frame(0xA2, &[&[0, 1][..], &set, &field("a")].concat()),
        Disconnect => frame(0xE0, &[&[0][..], &set].concat()),
        Auth => frame(0xF0, &[&[0x19][..], &set].concat()),
    }
}

/// Sends each to a connection of its own: CONNECT is refused, all else ends it.
fn each_is_wrong(cases: Vec<(Place, Case)>) {
    let (first, later): (Vec<_>, Vec<_>) =
        cases.into_iter().partition(|(place, _)| matches!(place, Place::Connect | Place::Will));
    let cases = |cases: Vec<(Place, Case)>| cases.into_iter().map(|(_, case)| case).collect::<Vec<_>>();
    each_is_refused(V5, &cases(first));
    each_ends_its_connection(V5, &cases(later));
}

#[test]
fn v5_4_13_1_1_a_property_that_is_not_for_its_packet_is_malformed() {
    let mut cases = Vec::new();
    for (name, property, allowed) in all() {
        for place in PLACES.into_iter().filter(|place| !allowed.contains(place)) {
            cases.push((place, case(format!("{name} in {place:?}"), packet(place, &property), Malformed)));
        }
    }
    each_is_wrong(cases);
}

#[test]
fn v5_4_13_1_1_a_property_that_does_not_exist_is_malformed() {
    let known: Vec<u8> = all().iter().map(|(_, property, _)| property[0]).collect();
    let mut cases = Vec::new();
    for id in (0..=0x7F_u8).filter(|id| !known.contains(id)) {
        let place = PLACES[usize::from(id) % PLACES.len()];
        cases.push((
            place,
            case(format!("0x{id:02X} in {place:?}"), packet(place, &[id, 0, 0, 0, 0]), Malformed),
        ));
    }
    // An identifier may have two bytes by its layout; none has.
    cases.push((Publish, case("0x80", packet(Publish, &[0x80, 1, 0]), Malformed)));
    each_is_wrong(cases);
}

#[test]
fn v5_4_13_1_1_a_property_twice_is_a_protocol_error() {
    let mut cases = Vec::new();
    for (name, property, allowed) in all() {
        if name == "User Property" {
            continue;
        }
        for place in allowed {
            // A method goes with its data.
            let method: &[u8] = if name == "Authentication Data" { &[0x15, 0, 1, b'x'] } else { &[] };
            let bytes = packet(place, &[method, &property, &property].concat());
            cases.push((place, case(format!("{name} twice in {place:?}"), bytes, ProtocolError)));
        }
    }
    each_is_wrong(cases);
}

#[test]
fn v5_user_properties_may_repeat_everywhere() {
    let broker = Broker::start("");
    let pair = [&[0x26][..], &field("x"), &field("y")].concat();
    let pairs = pair.repeat(10);
    for place in [Place::Connect, Place::Will] {
        let mut client = Client::open(broker.address(), V5);
        client.send_bytes(&packet(place, &pairs));
        assert_eq!(client.expect_connack().reason, ReasonCode::Success, "{place:?}");
        for place in
            PLACES.into_iter().filter(|p| !matches!(p, Place::Connect | Place::Will | Disconnect | Auth))
        {
            client.send_bytes(&packet(place, &pairs));
            client.send(&Packet::PingReq);
            client.expect_packet(&Packet::PingResp);
        }
        client.send_bytes(&packet(Disconnect, &pairs));
    }
}

#[test]
fn v5_4_13_1_1_a_value_that_is_forbidden_is_a_protocol_error() {
    let wrong: [(&str, Place, &[u8]); 15] = [
        ("Receive Maximum 0", Place::Connect, &[0x21, 0, 0]),
        ("Maximum Packet Size 0", Place::Connect, &[0x27, 0, 0, 0, 0]),
        ("Request Problem Information 2", Place::Connect, &[0x17, 2]),
        ("Request Problem Information 255", Place::Connect, &[0x17, 255]),
        ("Request Response Information 2", Place::Connect, &[0x19, 2]),
        ("Authentication Data without method", Place::Connect, &[0x16, 0, 0]),
        ("Payload Format Indicator 2", Publish, &[0x01, 2]),
        ("Payload Format Indicator 255", Publish, &[0x01, 255]),
        ("Payload Format Indicator 2", Place::Will, &[0x01, 2]),
        ("Response Topic with wildcard", Place::Will, &[0x08, 0, 1, b'#']),
        ("Response Topic that is empty", Publish, &[0x08, 0, 0]),
        ("Subscription Identifier 0", Subscribe, &[0x0B, 0]),
        ("Session Expiry Interval that prolongs", Disconnect, &[0x11, 0, 0, 0, 1]),
        ("Server Reference of a client", Disconnect, &[0x1C, 0, 1, b'x']),
        ("Authentication Data without method", Auth, &[0x16, 0, 0]),
    ];
    each_is_wrong(
        wrong
            .into_iter()
            .map(|(what, place, property)| (place, case(what, packet(place, property), ProtocolError)))
            .collect(),
    );
}

#[test]
fn v5_3_3_2_8_and_v5_3_3_2_9_and_v5_3_2_2_17_a_topic_alias_of_0_or_above_the_maximum_is_invalid() {
    // 32 is what is announced unless the config says otherwise.
    let broker = Broker::start("");
    let (mut client, connack) = Client::connect_with(&broker, connect(V5, "c"));
    assert_eq!(connack.properties.topic_alias_maximum, Some(32));
    client.send_bytes(&packet(Publish, &[0x23, 0, 32]));
    client.ping();
    let cases = [[0, 0], [0, 33], [1, 0], [0xFF, 0xFF]].map(|[high, low]| {
        case(format!("{high:02X}{low:02X}"), packet(Publish, &[0x23, high, low]), TopicAliasInvalid)
    });
    each_ends_its_connection(V5, &cases);
}

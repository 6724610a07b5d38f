//! The first bytes of a packet: its type, its flags, its length; and lengths within.

use super::*;

/// A packet of every type a client may send, with flags as they must be.
fn ordinary(version: Version) -> Vec<(&'static str, Vec<u8>)> {
    let mut packets = vec![
        ("PUBACK", vec![0x40, 2, 0, 1]),
        ("PUBREC", vec![0x50, 2, 0, 1]),
        ("PUBREL", vec![0x62, 2, 0, 1]),
        ("PUBCOMP", vec![0x70, 2, 0, 1]),
        ("SUBSCRIBE", subscribe_bytes(version, b"a", 0)),
        ("UNSUBSCRIBE", unsubscribe_bytes(version, b"a")),
        ("PINGREQ", vec![0xC0, 0]),
    ];
    if version == V5 {
        // Each with reason code and properties, too.
        packets.extend([
            ("PUBACK", vec![0x40, 4, 0, 1, 0, 0]),
            ("PUBREC", vec![0x50, 4, 0, 1, 0, 0]),
            ("PUBREL", vec![0x62, 4, 0, 1, 0, 0]),
            ("PUBCOMP", vec![0x70, 4, 0, 1, 0, 0]),
        ]);
    }
    packets
}

#[test]
fn v5_2_1_3_1_and_v311_2_2_2_1_and_v311_2_2_2_2_reserved_flags_other_than_theirs_are_malformed() {
    for version in ALL {
        let broker = Broker::start("");
        let mut client = Client::connect(&broker, version, "c");
        let mut packets = ordinary(version);
        for (what, right) in &packets {
            eprintln!("{what}");
            client.send_bytes(right);
            client.send(&Packet::PingReq);
            client.expect_packet(&Packet::PingResp);
        }
        packets.push(("DISCONNECT", vec![0xE0, 0]));
        packets.push(("CONNECT", connect_bytes(version, 2, &field("again"))));
        packets.extend((version == V5).then(|| ("AUTH", vec![0xF0, 0])));
        let wrong: Vec<_> = packets
            .iter()
            .flat_map(|(what, right)| (0..16).map(move |flags| (what, right, flags)))
            .filter(|(_, right, flags)| right[0] & 0x0F != *flags)
            .map(|(what, right, flags)| {
                let bytes = [&[right[0] & 0xF0 | flags], &right[1..]].concat();
                case(format!("{what} with flags {flags:04b}"), bytes, Malformed)
            })
            .collect();
        each_ends_its_connection(version, &wrong);
    }
}

#[test]
fn v5_2_1_3_1_and_v311_2_2_2_1_a_connect_with_flags_is_refused() {
    for version in ALL {
        let right = connect_bytes(version, 2, &field("c"));
        let wrong = |flags: u8| [&[0x10 | flags], &right[1..]].concat();
        let cases: Vec<_> =
            (1..16).map(|flags| case(format!("{flags:04b}"), wrong(flags), Malformed)).collect();
        each_is_refused(version, &cases);
    }
}

#[test]
fn v5_3_3_1_2_and_v311_3_3_1_2_dup_at_qos_0_is_malformed() {
    for version in ALL {
        let cases = [0x38, 0x39]
            .map(|first| case(format!("{first:08b}"), publish_bytes(version, first, b"a"), Malformed));
        each_ends_its_connection(version, &cases);
    }
}

#[test]
fn v5_3_3_1_4_and_v311_3_3_1_4_qos_3_is_malformed() {
    for version in ALL {
        let cases = [0x36, 0x37, 0x3E, 0x3F]
            .map(|first| case(format!("{first:08b}"), publish_bytes(version, first, b"a"), Malformed));
        each_ends_its_connection(version, &cases);
    }
}

#[test]
fn v5_4_13_1_1_and_v311_4_8_0_1_packet_types_that_do_not_exist_end_the_connection() {
    for version in ALL {
        let mut types = vec![0x00, 0x01, 0x02, 0x0F];
        if version < V5 {
            types.extend([0xF0, 0xF2, 0xFF]);
        }
        let bodies: [&[u8]; 2] = [&[0], &[2, 0, 1]];
        let cases: Vec<_> = types
            .iter()
            .flat_map(|first| bodies.map(|body| [&[*first], body].concat()))
            .map(|bytes| case(format!("{bytes:02X?}"), bytes, Malformed))
            .collect();
        each_ends_its_connection(version, &cases);
    }
}

#[test]
fn v5_1_5_5_1_lengths_that_are_not_in_their_shortest_form_are_malformed() {
    for version in ALL {
        each_ends_its_connection(
            version,
            &[
                case("0 in two bytes", [0xC0, 0x80, 0], Malformed),
                case("0 in three bytes", [0xC0, 0x80, 0x80, 0], Malformed),
                case("0 in four bytes", [0xC0, 0x80, 0x80, 0x80, 0], Malformed),
                case("2 in two bytes", [0x40, 0x82, 0, 0, 1], Malformed),
                case("127 in four bytes", [&[0x30, 0xFF, 0x80, 0x80, 0][..], &[0; 127]].concat(), Malformed),
            ],
        );
    }
    let will = |length: &[u8]| {
        let payload = [&field("c")[..], length, &field("will"), &field("gone")].concat();
        connect_bytes(V5, 0b0110, &payload)
    };
    each_ends_its_connection(
        V5,
        &[
            case("properties of PUBLISH", frame(0x30, &[&field("a")[..], &[0x80, 0]].concat()), Malformed),
            case("properties of PUBACK", [0x40, 5, 0, 1, 0, 0x80, 0], Malformed),
            case("properties of DISCONNECT", [0xE0, 3, 0, 0x80, 0], Malformed),
            case("properties of SUBSCRIBE", frame(0x82, &[0, 1, 0x80, 0, 0, 1, b'a', 0]), Malformed),
            case("properties of UNSUBSCRIBE", frame(0xA2, &[0, 1, 0x80, 0, 0, 1, b'a']), Malformed),
            case("subscription identifier", frame(0x82, &[0, 1, 3, 0x0B, 0x81, 0, 0, 1, b'a', 0]), Malformed),
        ],
    );
    let connect = [&[0x80, 0][..], &field("c")].concat();
    each_is_refused(
        V5,
        &[
            case("properties of CONNECT", connect_frame("MQTT", 5, 2, &connect), Malformed),
            case("properties of a will", will(&[0x80, 0]), Malformed),
        ],
    );
}

#[test]
fn v5_1_5_5_1_lengths_of_five_bytes_are_malformed() {
    for version in ALL {
        each_ends_its_connection(
            version,
            &[
                case("more than there can be", [0xC0, 0x80, 0x80, 0x80, 0x80, 1], Malformed),
                case("all bits", [0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F], Malformed),
                case("all bits, without end", [0x30, 0xFF, 0xFF, 0xFF, 0xFF], Malformed),
                case("0", [0xC0, 0x80, 0x80, 0x80, 0x80, 0], Malformed),
            ],
        );
    }
    let five = [0x80, 0x80, 0x80, 0x80, 1];
    each_ends_its_connection(
        V5,
        &[
            case("properties", frame(0x30, &[&field("a")[..], &five].concat()), Malformed),
            case(
                "subscription identifier",
                frame(0x82, &[&[0, 1, 6, 0x0B][..], &five, &[0, 1, b'a', 0]].concat()),
                Malformed,
            ),
        ],
    );
    let broker = Broker::start("");
    let mut client = Client::open(broker.address(), V5);
    client.send_bytes(&[0x10, 0xFF, 0xFF, 0xFF, 0xFF]);
    client.expect_closed();
}

#[test]
fn v5_2_2_2_1_a_property_length_that_is_left_out_is_malformed() {
    each_ends_its_connection(
        V5,
        &[
            case("PUBLISH", frame(0x30, &field("a")), Malformed),
            case("PUBLISH at QoS 1", frame(0x32, &[0, 1, b'a', 0, 1]), Malformed),
            case("SUBSCRIBE", frame(0x82, &[0, 1, 0, 1, b'a', 0]), Malformed),
            case("UNSUBSCRIBE", frame(0xA2, &[0, 1, 0, 1, b'a']), Malformed),
        ],
    );
    let will = [&[0][..], &field("c"), &field("will"), &field("gone")].concat();
    each_is_refused(
        V5,
        &[
            case("CONNECT", connect_frame("MQTT", 5, 2, &field("client")), Malformed),
            case("the will", connect_frame("MQTT", 5, 0b0110, &will), Malformed),
        ],
    );
}

#[test]
fn v5_4_13_1_1_and_v311_4_8_0_1_fields_that_do_not_fill_their_packet_or_overrun_it_are_malformed() {
    for version in ALL {
        let mut cases = vec![
            case("PINGREQ with a body", [0xC0, 1, 0], Malformed),
            case("PUBLISH without topic", [0x30, 0], Malformed),
            case("PUBLISH with half a topic length", [0x30, 1, 0], Malformed),
            case("PUBLISH whose topic ends behind it", [0x30, 3, 0, 9, b'a'], Malformed),
            case("PUBLISH without packet identifier", frame(0x32, &field("a")), Malformed),
            case("PUBLISH with half a packet identifier", [0x34, 4, 0, 1, b'a', 0], Malformed),
            case("SUBSCRIBE without packet identifier", [0x82, 0], Malformed),
            case("SUBSCRIBE with half a packet identifier", [0x82, 1, 0], Malformed),
            case("SUBSCRIBE with half a length", with_id(version, 0x82, 1, &[0]), Malformed),
            case(
                "SUBSCRIBE whose filter ends behind it",
                with_id(version, 0x82, 1, &[0, 9, b'a', 0]),
                Malformed,
            ),
            case("SUBSCRIBE without options", with_id(version, 0x82, 1, &[0, 1, b'a']), Malformed),
            case(
                "SUBSCRIBE without options of the second",
                with_id(version, 0x82, 1, &[0, 1, b'a', 0, 0, 1, b'b']),
                Malformed,
            ),
            case("UNSUBSCRIBE with half a packet identifier", [0xA2, 1, 0], Malformed),
            case(
                "UNSUBSCRIBE whose filter ends behind it",
                with_id(version, 0xA2, 1, &[0, 9, b'a']),
                Malformed,
            ),
            case("UNSUBSCRIBE with a byte too many", with_id(version, 0xA2, 1, &[0, 1, b'a', 0]), Malformed),
        ];
        for (what, first) in [("PUBACK", 0x40), ("PUBREC", 0x50), ("PUBREL", 0x62), ("PUBCOMP", 0x70)] {
            cases.push(case(format!("{what} without packet identifier"), [first, 0], Malformed));
            cases.push(case(format!("{what} with half a packet identifier"), [first, 1, 0], Malformed));
            let too_long: &[u8] =
                if version == V5 { &[first, 5, 0, 1, 0, 0, 0] } else { &[first, 3, 0, 1, 0] };
            cases.push(case(format!("{what} with a byte too many"), too_long, Malformed));
        }
        let too_long: &[u8] = if version == V5 { &[0xE0, 3, 0, 0, 0] } else { &[0xE0, 1, 0] };
        cases.push(case("DISCONNECT with a byte too many", too_long, Malformed));
        if version == V5 {
            let set_overruns = frame(0x30, &[&field("a")[..], &[9]].concat());
            let property_overruns = frame(0x30, &[&field("a")[..], &[2, 0x03, 0, 1, b'x']].concat());
            let half_a_number = frame(0x30, &[&field("a")[..], &[3, 0x02, 0, 0]].concat());
            cases.extend([
                case("properties end behind their packet", set_overruns, Malformed),
                case("a property ends behind its set", property_overruns, Malformed),
                case("half a number", half_a_number, Malformed),
                case("properties of PUBACK end behind it", [0x40, 4, 0, 1, 0, 1], Malformed),
                case("half a pair", frame(0xE0, &[0, 4, 0x26, 0, 1, b'a']), Malformed),
                case("AUTH without property length", [0xF0, 1, 0x18], Malformed),
            ]);
        }
        each_ends_its_connection(version, &cases);
    }
}

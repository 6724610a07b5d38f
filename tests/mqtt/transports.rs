//! Everything below MQTT: TLS, WebSocket, Unix sockets, the PROXY protocol, several listeners.

mod talk;

use rustls::version::{TLS12, TLS13};
use std::{
    fs,
    io::{Read, Write},
    net::SocketAddr,
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::PathBuf,
};
use talk::{Frames, Talk, request, tcp, tls, unix};
use tidegate_mqtt::{
    Connect, ConnectProperties, Packet, QoS, ReasonCode,
    Version::{self, V3_1_1, V5},
};
use tidegate_tests::{Authority, BOTH, Broker, Folder, PATIENCE, Pair, connect, mosquitto_pub};
use tungstenite::{
    Bytes, Message,
    http::StatusCode,
    protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    },
};

const JSON: &str = "[log]\nformat = \"json\"\nlevel = \"debug\"\n";

/// A folder with a certificate for the broker and one for a client, both signed by one authority.
struct Certified {
    folder: Folder,
    authority: Authority,
    client: Pair,
}

impl Certified {
    fn new(config: &str) -> Self {
        let folder = Folder::new(config);
        let authority = Authority::new("ca");
        let (broker, client) = (authority.sign("broker", 1), authority.sign("sensor-7", 7));
        let certified = Self { folder, authority, client };
        certified.write("cert.pem", &broker.cert);
        certified.write("key.pem", &broker.key);
        certified.write("ca.pem", certified.authority.pem());
        certified.write("client.pem", &certified.client.cert);
        certified.write("client-key.pem", &certified.client.key);
        certified
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn talk(&self, address: SocketAddr, version: Version, own: Option<&Pair>) -> Talk {
        Talk::new(tls(address, &self.authority.client(own, &[&TLS12, &TLS13])), version)
    }
}

fn listener(keys: &str) -> String {
    format!("[[listener]]\naddress = \"127.0.0.1:0\"\n{keys}\n")
}

fn tls_listener(keys: &str) -> String {
    listener(&format!("kind = \"tls\"\ncert = \"cert.pem\"\nkey = \"key.pem\"\n{keys}"))
}

/// The user name as the broker has it, told in Response Information.
const TELL_NAME: &str = "response_information = \"name:%u\"\n";

fn asking_for_name(client_id: &str) -> Connect {
    let properties =
        ConnectProperties { request_response_information: Some(true), ..ConnectProperties::default() };
    Connect { properties, username: Some("claimed".into()), ..connect(V5, client_id) }
}

fn name(talk: &mut Talk) -> String {
    let connack = talk.connect_with(asking_for_name("c"));
    connack.properties.response_information.unwrap().strip_prefix("name:").unwrap().to_owned()
}

#[test]
fn messages_go_from_every_kind_of_listener_to_every_other() {
    let certified = Certified::new(
        &[
            &listener("kind = \"tcp\""),
            &tls_listener(""),
            &listener("kind = \"ws\""),
            &listener("kind = \"wss\"\ncert = \"cert.pem\"\nkey = \"key.pem\""),
            "[[listener]]\nkind = \"tcp\"\naddress = \"[::1]:0\"\n",
            "[[listener]]\nkind = \"unix\"\npath = \"broker.sock\"\n",
        ]
        .concat(),
    );
    let broker = certified.folder.start();
    let [plain, over_tls, over_ws, over_wss, ipv6] = *broker.addresses() else {
        panic!("not all addresses are in the log: {:?}", broker.addresses())
    };
    assert!(ipv6.is_ipv6());
    let secure = certified.authority.client(None, &[&TLS12, &TLS13]);
    for version in BOTH {
        let mut clients = [
            Talk::new(tcp(plain), version),
            Talk::new(tls(over_tls, &secure), version),
            Talk::new(Frames::new(over_ws, tcp(over_ws)), version),
            Talk::new(Frames::new(over_wss, tls(over_wss, &secure)), version),
            Talk::new(tcp(ipv6), version),
            Talk::new(unix(&certified.path("broker.sock")), version),
        ];
        for (index, client) in clients.iter_mut().enumerate() {
            client.connect(&format!("c{index}"));
            client.subscribe("t");
        }
        for index in 0..clients.len() {
            clients[index].publish("t", &format!("from {index}"));
            for client in &mut clients {
                assert_eq!(client.message(), format!("from {index}"));
            }
        }
    }
}

#[test]
fn large_packets_go_over_every_kind_of_listener() {
    let certified = Certified::new(
        &[
            tls_listener(""),
            listener("kind = \"ws\""),
            listener("kind = \"wss\"\ncert = \"cert.pem\"\nkey = \"key.pem\""),
        ]
        .concat(),
    );
    let broker = certified.folder.start();
    let [over_tls, over_ws, over_wss] = *broker.addresses() else { panic!("{:?}", broker.addresses()) };
    let secure = certified.authority.client(None, &[&TLS13]);
    let payload: String = (0..150_000).map(|n| format!("{n:06}")).collect();
    for mut client in [
        Talk::new(tls(over_tls, &secure), V5),
        Talk::new(Frames::new(over_ws, tcp(over_ws)), V5),
        Talk::new(Frames::new(over_wss, tls(over_wss, &secure)), V5),
    ] {
        client.connect("c");
        client.subscribe("t");
        client.publish("t", &payload);
        assert!(client.message() == payload, "another payload came back");
    }
}

#[test]
fn each_listener_has_its_own_limits_and_rules() {
    let broker = Broker::start(
        &[
            &listener("allow_anonymous = false"),
            &listener("kind = \"ws\"\nmaximum_qos = 0\nallow_anonymous = true\nmount_point = \"inner/\""),
            "[[listener]]\nkind = \"unix\"\npath = \"broker.sock\"\nmaximum_qos = 1\nallow_anonymous = true\n",
        ]
        .concat(),
    );
    let [closed, open] = *broker.addresses() else { panic!("{:?}", broker.addresses()) };
    let refused = Talk::new(tcp(closed), V5).try_connect(connect(V5, "a")).unwrap();
    assert_eq!(refused.reason, ReasonCode::NotAuthorized);
    let mut mounted = Talk::new(Frames::new(open, tcp(open)), V5);
    assert_eq!(mounted.connect("b").properties.maximum_qos, Some(QoS::AtMostOnce));
    let mut whole = Talk::new(unix(&broker.folder().path().join("broker.sock")), V5);
    assert_eq!(whole.connect("c").properties.maximum_qos, Some(QoS::AtLeastOnce));
    whole.subscribe("inner/t");
    mounted.publish("t", "from within");
    assert_eq!(whole.message(), "from within");
}

#[test]
fn v5_6_0_0_1_and_v311_6_0_0_1_a_text_frame_ends_the_connection() {
    let broker = Broker::start(&listener("kind = \"ws\""));
    for version in BOTH {
        let (mut socket, _) = tungstenite::client(request(broker.address()), tcp(broker.address())).unwrap();
        let mut bytes = Vec::new();
        Packet::Connect(Box::new(connect(version, "c"))).encode(version, &mut bytes).unwrap();
        socket.send(Message::binary(bytes)).unwrap();
        assert!(matches!(socket.read(), Ok(Message::Binary(_))));
        // A PINGREQ, had it come in a binary frame.
        socket.send(Message::text("\u{40}\0")).unwrap();
        loop {
            match socket.read().unwrap() {
                // MQTT 5 clients may be told in MQTT too.
                Message::Binary(data) => assert_eq!(data[0], 0xE0),
                Message::Close(frame) => break assert_eq!(u16::from(frame.unwrap().code), 1003),
                other => panic!("neither Close nor DISCONNECT: {other:?}"),
            }
        }
    }
}

#[test]
fn v5_6_0_0_2_and_v311_6_0_0_2_packets_do_not_care_for_borders_of_frames() {
    let broker = Broker::start(&listener("kind = \"ws\""));
    for version in BOTH {
        let (mut socket, _) = tungstenite::client(request(broker.address()), tcp(broker.address())).unwrap();
        let mut connecting = Vec::new();
        Packet::Connect(Box::new(connect(version, "c"))).encode(version, &mut connecting).unwrap();
        // CONNECT in three messages, and a PINGREQ behind it in the last; then a PINGREQ in two frames of one message.
        let (one, rest) = connecting.split_at(1);
        let (two, three) = rest.split_at(5);
        for part in [one, two, &[three, &[0xC0, 0]].concat()] {
            socket.send(Message::binary(part.to_vec())).unwrap();
        }
        let piece = |opcode, last, byte| {
            Message::Frame(Frame::message(Bytes::copy_from_slice(&[byte]), OpCode::Data(opcode), last))
        };
        socket.write(piece(Data::Binary, false, 0xC0)).unwrap();
        socket.write(Message::Ping("between".into())).unwrap();
        socket.write(piece(Data::Continue, true, 0)).unwrap();
        socket.flush().unwrap();
        let (mut heard, mut ponged) = (Vec::new(), false);
        while !(heard.ends_with(&[0xD0, 0, 0xD0, 0]) && ponged) {
            match socket.read().unwrap() {
                Message::Binary(data) => heard.extend_from_slice(&data),
                Message::Pong(payload) => ponged = payload == "between".as_bytes(),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(heard[0], 0x20, "CONNACK comes first");
    }
}

#[test]
fn v5_6_0_0_4_and_v311_6_0_0_4_the_broker_selects_the_subprotocol_mqtt() {
    let broker = Broker::start(&listener("kind = \"ws\""));
    for offered in ["mqtt", "chat, mqtt", "mqttv3.1, mqtt"] {
        let mut request = request(broker.address());
        request.headers_mut().insert("Sec-WebSocket-Protocol", offered.parse().unwrap());
        let (_socket, response) = tungstenite::client(request, tcp(broker.address())).unwrap();
        assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "mqtt", "{offered}");
    }
}

#[test]
fn a_websocket_is_refused_by_http_unless_path_origin_and_subprotocol_fit() {
    let broker =
        Broker::start(&listener("kind = \"ws\"\nws_path = \"/broker\"\norigins = [\"https://example.org\"]"));
    let status = |path: &str, header: &'static str, value: &str| {
        let mut request = request(broker.address());
        *request.uri_mut() = format!("ws://{}{path}", broker.address()).parse().unwrap();
        request.headers_mut().insert(header, value.parse().unwrap());
        match tungstenite::client(request, tcp(broker.address())) {
            Ok(_) => StatusCode::SWITCHING_PROTOCOLS,
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response))) => {
                response.status()
            }
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(status("/broker", "Origin", "https://example.org"), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(status("/broker?token=x", "X-Other", "x"), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(status("/mqtt", "Origin", "https://example.org"), StatusCode::NOT_FOUND);
    assert_eq!(status("/broker", "Origin", "https://example.com"), StatusCode::FORBIDDEN);
    assert_eq!(status("/broker", "Sec-WebSocket-Protocol", "chat"), StatusCode::BAD_REQUEST);
    assert_eq!(status("/broker", "Sec-WebSocket-Version", "8"), StatusCode::UPGRADE_REQUIRED);
}

#[test]
fn the_broker_closes_a_websocket_with_1000_and_when_it_stops_with_1001() {
    let broker = Broker::start(&listener("kind = \"ws\""));
    let open = |client_id| {
        let (mut socket, _) = tungstenite::client(request(broker.address()), tcp(broker.address())).unwrap();
        let mut bytes = Vec::new();
        Packet::Connect(Box::new(connect(V3_1_1, client_id))).encode(V3_1_1, &mut bytes).unwrap();
        socket.send(Message::binary(bytes)).unwrap();
        assert!(matches!(socket.read(), Ok(Message::Binary(_))));
        socket
    };
    let (mut leaving, mut staying) = (open("a"), open("b"));
    // DISCONNECT
    leaving.send(Message::binary(vec![0xE0, 0])).unwrap();
    let Message::Close(Some(frame)) = leaving.read().unwrap() else { panic!("no Close") };
    assert_eq!(u16::from(frame.code), 1000);
    broker.terminate();
    let Message::Close(Some(frame)) = staying.read().unwrap() else { panic!("no Close") };
    assert_eq!(u16::from(frame.code), 1001);
}

#[test]
fn a_required_certificate_is_required_and_an_optional_one_may_be_missing_but_not_wrong() {
    let certified = Certified::new(
        &[
            tls_listener("client_ca = \"ca.pem\"\nclient_cert = \"required\""),
            tls_listener("client_ca = \"ca.pem\"\nclient_cert = \"optional\""),
            JSON.to_owned(),
        ]
        .concat(),
    );
    let broker = certified.folder.start();
    let [required, optional] = *broker.addresses() else { panic!("{:?}", broker.addresses()) };
    let strange = Authority::new("another ca").sign("sensor-7", 7);
    for version in BOTH {
        let try_in = |address, own: Option<&Pair>| {
            certified.talk(address, version, own).try_connect(connect(version, "c"))
        };
        try_in(required, Some(&certified.client)).unwrap();
        try_in(required, None).unwrap_err();
        try_in(required, Some(&strange)).unwrap_err();
        try_in(optional, Some(&certified.client)).unwrap();
        try_in(optional, None).unwrap();
        try_in(optional, Some(&strange)).unwrap_err();
    }
    let line = broker.wait_for_log("handshake failed", PATIENCE);
    assert!(line.contains("127.0.0.1:") && line.contains("TLS: "), "{line}");
}

#[test]
fn a_certificate_names_its_client_whatever_connect_says() {
    let cases =
        [("subject", "CN=sensor-7,O=Example\\, Inc."), ("common-name", "sensor-7"), ("san", "localhost")];
    for (from, expected) in cases {
        let keys = format!("client_ca = \"ca.pem\"\nclient_cert = \"optional\"\nusername_from = \"{from}\"");
        let certified = Certified::new(&[TELL_NAME, &tls_listener(&keys)].concat());
        let broker = certified.folder.start();
        let own = Some(&certified.client);
        assert_eq!(name(&mut certified.talk(broker.address(), V5, own)), expected, "{from}");
        assert_eq!(name(&mut certified.talk(broker.address(), V5, None)), "claimed");
    }
}

#[test]
fn a_revoked_certificate_is_refused_from_the_moment_the_list_is_read() {
    let certified = Certified::new(
        &[&tls_listener("client_ca = \"ca.pem\"\nclient_cert = \"required\"\ncrl = \"crl.pem\""), JSON]
            .concat(),
    );
    certified.write("crl.pem", &certified.authority.revoke(99));
    let broker = certified.folder.start();
    let mut inside = certified.talk(broker.address(), V5, Some(&certified.client));
    inside.connect("a");
    certified.write("crl.pem", &certified.authority.revoke(7));
    broker.wait_for_log("certificates read again", PATIENCE);
    certified.talk(broker.address(), V5, Some(&certified.client)).try_connect(connect(V5, "b")).unwrap_err();
    let other = certified.authority.sign("sensor-8", 8);
    certified.talk(broker.address(), V5, Some(&other)).connect("c");
    inside.round_trip("t");
}

#[test]
fn a_certificate_is_exchanged_under_a_connection_that_stays() {
    let certified = Certified::new(&[&tls_listener(""), JSON].concat());
    let broker = certified.folder.start();
    let mut old = certified.talk(broker.address(), V5, None);
    old.connect("old");

    certified.write("cert.pem", "not a certificate");
    broker.wait_for_log("the certificates stay as they were", PATIENCE);
    certified.talk(broker.address(), V5, None).connect("between");

    let next = Authority::new("next ca");
    let Pair { cert, key } = next.sign("broker", 2);
    certified.write("key.pem", &key);
    certified.write("cert.pem", &cert);
    broker.wait_for_log("certificates read again", PATIENCE);
    let trusting_next = next.client(None, &[&TLS13]);
    Talk::new(tls(broker.address(), &trusting_next), V5).connect("new");
    certified.talk(broker.address(), V5, None).try_connect(connect(V5, "late")).unwrap_err();
    old.round_trip("t");
}

#[test]
fn sighup_reads_certificates_again_at_once() {
    let certified = Certified::new(&tls_listener(""));
    let broker = certified.folder.start();
    let next = Authority::new("next ca");
    let Pair { cert, key } = next.sign("broker", 2);
    certified.write("key.pem", &key);
    certified.write("cert.pem", &cert);
    broker.hang_up();
    broker.wait_for_log("config read again", PATIENCE);
    Talk::new(tls(broker.address(), &next.client(None, &[&TLS12])), V5).connect("new");
}

#[test]
fn mosquitto_pub_comes_in_over_tls_with_a_certificate_of_its_own() {
    let certified =
        Certified::new(&[&tls_listener("client_ca = \"ca.pem\"\nclient_cert = \"required\""), JSON].concat());
    let broker = certified.folder.start();
    let path = |name| certified.path(name).display().to_string();
    let mut subscriber = certified.talk(broker.address(), V5, Some(&certified.client));
    subscriber.connect("s");
    subscriber.subscribe("t");
    for version in ["tlsv1.2", "tlsv1.3"] {
        let arguments = ["--cafile", &path("ca.pem"), "--tls-version", version, "-t", "t", "-m", version];
        let without = mosquitto_pub(&broker, &arguments);
        assert_ne!(without.code, Some(0), "{without:?}");
        let own = ["--cert", &path("client.pem"), "--key", &path("client-key.pem")];
        let with = mosquitto_pub(&broker, &[&arguments[..], &own].concat());
        assert_eq!(with.code, Some(0), "{with:?}");
        assert_eq!(subscriber.message(), version);
    }
}

#[test]
fn a_unix_socket_has_its_mode_and_goes_with_its_broker() {
    let folder = Folder::new("[[listener]]\nkind = \"unix\"\npath = \"broker.sock\"\nmode = \"600\"\n");
    let path = folder.path().join("broker.sock");
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
    let broker = folder.start();
    assert_eq!(mode(), 0o600);
    let line = broker.wait_for_log("listening: unix ", PATIENCE);
    assert!(line.contains(&format!("\"address\":\"{}\"", path.display())), "{line}");
    Talk::new(unix(&path), V3_1_1).connect("c");

    // What a killed broker leaves behind is in nobody's way.
    broker.kill();
    assert!(path.exists());
    let broker = folder.start();
    Talk::new(unix(&path), V5).connect("c");

    let text = "data_dir = \"other\"\n[[listener]]\nkind = \"unix\"\npath = \"broker.sock\"\n";
    fs::write(folder.path().join("second.toml"), text).unwrap();
    let second = folder.run(&["-c", "second.toml"]);
    let line = second.stderr.last().unwrap();
    assert!(line.contains("broker.sock: somebody listens there already; name a free path"), "{line}");
    assert_eq!(second.code, Some(1));

    broker.stop();
    assert!(!path.exists());
    fs::write(&path, "mine").unwrap();
    let refused = folder.run(&["-c", "tidegate.toml"]);
    let line = refused.stderr.last().unwrap();
    assert!(line.contains("a file that is no socket lies there"), "{line}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");

    folder.write_config("[[listener]]\nkind = \"unix\"\npath = \"other.sock\"\n");
    let _broker = folder.start();
    let mode = fs::metadata(folder.path().join("other.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o660);
}

#[test]
fn a_unix_socket_of_another_program_is_left_alone() {
    let folder = Folder::new("[[listener]]\nkind = \"unix\"\npath = \"broker.sock\"\n");
    let path = folder.path().join("broker.sock");
    let _other = UnixListener::bind(&path).unwrap();
    let refused = folder.run(&["-c", "tidegate.toml"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(path.exists());
}

/// A header in version 2: TCP over IPv4 from 192.0.2.1:4711, and what else.
fn proxy_v2(tlvs: &[u8]) -> Vec<u8> {
    let addresses = [192, 0, 2, 1, 192, 0, 2, 2, 0x12, 0x67, 0x07, 0x5B];
    let len = u16::try_from(addresses.len() + tlvs.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n\x21\x11", &len[..], &addresses, tlvs].concat()
}

#[test]
fn a_proxy_says_who_is_behind_it_in_both_versions() {
    let v1 = b"PROXY TCP6 2001:db8::7 ::1 4711 1883\r\n".to_vec();
    for (header, peer) in [(v1, "[2001:db8::7]:4711"), (proxy_v2(&[]), "192.0.2.1:4711")] {
        for kind in ["tcp", "ws"] {
            let keys = format!("kind = \"{kind}\"\nproxy_protocol = true");
            let broker = Broker::start(&[&listener(&keys), JSON].concat());
            let mut socket = tcp(broker.address());
            socket.write_all(&header).unwrap();
            let mut client = match kind {
                "tcp" => Talk::new(socket, V5),
                _ => Talk::new(Frames::new(broker.address(), socket), V5),
            };
            client.connect("behind");
            client.round_trip("t");
            let line = broker.wait_for_log("\"message\":\"connected\"", PATIENCE);
            assert!(line.contains(&format!("\"peer\":\"{peer}\"")), "{line}");
        }
    }
}

#[test]
fn without_its_header_nobody_comes_through_where_a_proxy_is_expected_and_with_one_nobody_elsewhere() {
    let broker = Broker::start(&[&listener("proxy_protocol = true"), &listener(""), JSON].concat());
    let [expected, unexpected] = *broker.addresses() else { panic!("{:?}", broker.addresses()) };
    for bytes in [&b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00"[..], b"PROXY TCP4 nonsense\r\n"] {
        let mut socket = tcp(expected);
        socket.write_all(bytes).unwrap();
        Talk::new(socket, V3_1_1).expect_closed();
    }
    broker.wait_for_log("no PROXY header", PATIENCE);
    broker.wait_for_log("the PROXY header is malformed", PATIENCE);
    let mut socket = tcp(unexpected);
    socket.write_all(b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 1883\r\n").unwrap();
    Talk::new(socket, V3_1_1).expect_closed();
}

#[test]
fn a_proxy_that_has_taken_tls_off_names_the_client() {
    let tlv = |kind: u8, value: &[u8]| {
        [&[kind][..], &u16::try_from(value.len()).unwrap().to_be_bytes(), value].concat()
    };
    // TLS, a certificate on this connection, verified.
    let ssl = tlv(0x20, &[&[0x07, 0, 0, 0, 0][..], &tlv(0x22, b"sensor-7")].concat());
    let keys = listener("proxy_protocol = true\nusername_from = \"common-name\"");
    let broker = Broker::start(&[TELL_NAME, &keys].concat());
    let mut socket = tcp(broker.address());
    socket.write_all(&proxy_v2(&ssl)).unwrap();
    assert_eq!(name(&mut Talk::new(socket, V5)), "sensor-7");
}

#[test]
fn who_stalls_in_a_handshake_is_closed_when_connect_timeout_is_over() {
    let certified = Certified::new(
        &[
            &tls_listener("connect_timeout = \"1s\""),
            &listener("kind = \"ws\"\nconnect_timeout = \"1s\""),
            &listener("proxy_protocol = true\nconnect_timeout = \"1s\""),
            JSON,
        ]
        .concat(),
    );
    let broker = certified.folder.start();
    let beginnings: [&[u8]; 3] = [b"\x16\x03\x01", b"GET /mqtt HT", b"PROXY TCP4 192."];
    for (address, beginning) in broker.addresses().iter().zip(beginnings) {
        for bytes in [&b""[..], beginning] {
            let mut socket = tcp(*address);
            socket.write_all(bytes).unwrap();
            let mut heard = Vec::new();
            socket.read_to_end(&mut heard).unwrap();
            assert_eq!(heard, b"");
        }
    }
    // A handshake that is whole takes nobody further without a CONNECT.
    let mut idle = Frames::new(broker.addresses()[1], tcp(broker.addresses()[1]));
    assert_eq!(idle.read(&mut [0; 16]).unwrap(), 0);
    broker.wait_for_log("no handshake in time", PATIENCE);
}

#[test]
fn handshakes_are_counted_and_bounded() {
    let broker = Broker::start(
        &["sys_interval = 1\n", &listener("kind = \"ws\"\nmax_handshakes = 1"), &listener(""), JSON].concat(),
    );
    let [bounded, free] = *broker.addresses() else { panic!("{:?}", broker.addresses()) };
    let _waiting = tcp(bounded);
    // Which of the two the broker sees first is its own business; the other is closed at once.
    let mut second = tcp(bounded);
    let mut third = tcp(bounded);
    broker.wait_for_log("too many handshakes at once", PATIENCE);
    let _ = (second.flush(), third.flush());
    let mut client = Talk::new(tcp(free), V5);
    client.connect("c");
    client.subscribe("$SYS/broker/connections/refused");
    while client.message().parse::<u32>().unwrap() == 0 {}
}

#[test]
fn files_that_tls_cannot_use_are_refused_with_listener_file_and_remedy() {
    let certified = Certified::new(&tls_listener(""));
    let refused = |arguments: &[&str]| {
        let refused = certified.folder.run(arguments);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        refused.stderr.last().unwrap().clone()
    };
    let Pair { key, .. } = certified.authority.sign("other", 2);
    certified.write("key.pem", &key);
    for arguments in [&["-c", "tidegate.toml"][..], &["check", "-c", "tidegate.toml"]] {
        let line = refused(arguments);
        assert!(line.contains("listener tls 127.0.0.1:0: key "), "{line}");
        assert!(line.contains("key.pem: does not belong to the certificate in "), "{line}");
    }
    fs::remove_file(certified.path("cert.pem")).unwrap();
    let line = refused(&["-c", "tidegate.toml"]);
    assert!(line.contains("cert.pem: cannot be read"), "{line}");
}

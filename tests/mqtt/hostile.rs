//! Abuse: an ordinary client is served meanwhile and afterwards, and what it cost in memory comes back.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};
use tidegate_mqtt::{
    Connect, ConnectProperties, Packet, PacketId, Publish, PublishProperties, QoS, ReasonCode,
    SubscribeProperties, SubscriptionOptions, UserProperties, Version,
};
use tidegate_tests::{BOTH, Broker, Client, PATIENCE, Received, connect, field, frame, publish};

use QoS::{AtLeastOnce, AtMostOnce};
use Version::{V3_1_1, V5};

const MIB: u64 = 1024 * 1024;

/// The largest packet there can be: 5 bytes of fixed header and 268,435,455 of body.
const HUGE: &str = "max_packet_size = 268435460";

/// How such a packet begins, after its first byte.
const HUGE_LENGTH: [u8; 4] = [0xFF, 0xFF, 0xFF, 0x7F];

/// What memory may be away from where it was, for what allocators keep.
const SLACK: u64 = 64 * MIB;

/// These tests use up descriptors and measure memory: one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// So many connections, or as many as half of our open files allow; the broker has the same limit.
fn at_most(wanted: usize) -> usize {
    let limits = fs::read_to_string("/proc/self/limits").expect("a process can read its limits");
    let open_files =
        limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("it is there");
    let soft = open_files.split_whitespace().next().expect("it has a value");
    wanted.min(soft.parse().map_or(usize::MAX, |soft: usize| soft / 2))
}

/// Bytes of the broker in memory.
fn resident(broker: &Broker) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", broker.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it is in memory");
    let kib = line.split_whitespace().next().expect("it has a value");
    kib.parse::<u64>().expect("it is a number") * 1024
}

/// One of each version comes in, hears what it says itself, and goes.
fn an_ordinary_client_is_served(broker: &Broker) {
    for version in BOTH {
        let mut client = Client::connect(broker, version, "ordinary");
        client.subscribe("ordinary", AtLeastOnce);
        client.publish("ordinary", "x", AtLeastOnce);
        assert_eq!(client.accept().payload, "x");
        client.disconnect();
    }
}

/// A broker under attack.
struct Attacked {
    broker: Broker,
    /// Bytes in memory before.
    before: u64,
}

impl Attacked {
    fn start(config: &str) -> Self {
        let broker = Broker::start(config);
        an_ordinary_client_is_served(&broker);
        let before = resident(&broker);
        Self { broker, before }
    }

    /// What it has cost so far.
    fn cost(&self) -> u64 {
        resident(&self.broker).saturating_sub(self.before)
    }

    /// Serves ordinary clients until memory is back.
    fn recovers(&self) {
        self.recovers_to_within(SLACK);
    }

    fn recovers_to_within(&self, slack: u64) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            an_ordinary_client_is_served(&self.broker);
            let cost = self.cost();
            if cost <= slack {
                return;
            }
            assert!(Instant::now() < deadline, "{} MiB more than before do not come back", cost / MIB);
        }
    }
}

/// Connections that have said this and nothing else.
fn opened(broker: &Broker, count: usize, bytes: &[u8]) -> Vec<Client> {
    (0..count)
        .map(|_| {
            let mut client = Client::open(broker.address(), V5);
            client.send_bytes(bytes);
            client
        })
        .collect()
}

/// Clients that are in, and have said this and nothing else; the broker has read it.
fn connected(broker: &Broker, count: usize, bytes: &[u8]) -> Vec<Client> {
    (0..count)
        .map(|n| {
            let mut client = Client::connect(broker, V5, &n.to_string());
            // The answer to a ping that came with it tells that it was read.
            client.send_bytes(&[&[0xC0, 0], bytes].concat());
            client.expect_packet(&Packet::PingResp);
            client
        })
        .collect()
}

/// The beginning of a packet that claims to be as large as there can be.
fn huge(first_byte: u8, body: &[u8]) -> Vec<u8> {
    [&[first_byte][..], &HUGE_LENGTH, body].concat()
}

#[test]
fn connections_that_say_nothing_or_one_byte_or_half_a_huge_packet_keep_nobody_out() {
    let _alone = alone();
    let attacked = Attacked::start(&format!("[limits]\n{HUGE}\nconnect_timeout = \"10m\"\n"));
    let broker = &attacked.broker;
    let each = at_most(3000) / 3;
    let half = huge(0x10, &[&field("MQTT")[..], &[5, 2, 0, 0, 0], &[0xFF; 4000]].concat());
    let silent = opened(broker, each, &[]);
    an_ordinary_client_is_served(broker);
    let one_byte = opened(broker, each, &[0x10]);
    an_ordinary_client_is_served(broker);
    let half_a_packet = opened(broker, each, &half);
    an_ordinary_client_is_served(broker);
    assert!(attacked.cost() < 2 * SLACK, "{} MiB", attacked.cost() / MIB);
    drop((silent, one_byte, half_a_packet));
    attacked.recovers();
}

#[test]
fn clients_that_send_half_a_huge_packet_keep_nobody_out() {
    let _alone = alone();
    let attacked = Attacked::start(&format!("[limits]\n{HUGE}\n"));
    let broker = &attacked.broker;
    let half = huge(0x30, &[&field("a")[..], &[0], &[b'x'; 8000]].concat());
    let clients = connected(broker, at_most(2000), &half);
    an_ordinary_client_is_served(broker);
    assert!(attacked.cost() < 2 * SLACK, "{} MiB", attacked.cost() / MIB);
    drop(clients);
    attacked.recovers();
}

#[test]
fn ten_thousand_clients_that_send_one_byte_of_256_mib_add_less_than_64_mib() {
    const WAVES: usize = 2;
    let _alone = alone();
    let attacked = Attacked::start(&format!("[limits]\n{HUGE}\n"));
    let broker = &attacked.broker;
    for _ in 0..WAVES {
        let mut clients = connected(broker, at_most(10_000), &[]);
        for client in &mut clients {
            client.send_bytes(&[&[0xC0, 0][..], &huge(0x30, &[0])].concat());
        }
        for client in &mut clients {
            client.expect_packet(&Packet::PingResp);
        }
        an_ordinary_client_is_served(broker);
        // The connections included.
        assert!(attacked.cost() < 64 * MIB, "{} MiB", attacked.cost() / MIB);
        clients.into_iter().for_each(Client::break_off);
        attacked.recovers_to_within(24 * MIB);
    }
}

#[test]
fn ten_thousand_connections_that_begin_a_connect_of_256_mib_add_less_than_64_mib() {
    let _alone = alone();
    let attacked =
        Attacked::start(&format!("[limits]\n{HUGE}\nmax_handshakes = 20000\nconnect_timeout = \"10m\"\n"));
    let broker = &attacked.broker;
    let mut strangers = opened(broker, at_most(10_000), &[]);
    // It came in last, so everybody before it is in.
    an_ordinary_client_is_served(broker);
    for stranger in &mut strangers {
        stranger.send_bytes(&huge(0x10, &[0]));
    }
    an_ordinary_client_is_served(broker);
    assert!(attacked.cost() < 64 * MIB, "{} MiB", attacked.cost() / MIB);
    strangers.into_iter().for_each(Client::break_off);
    attacked.recovers_to_within(24 * MIB);
}

/// Connects until it is let in, as handshakes that were broken off make room when the broker notices.
fn comes_in_at_last(broker: &Broker) {
    let mut hello = Vec::new();
    Packet::Connect(Box::new(connect(V5, "patient"))).encode(V5, &mut hello).unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut stream = TcpStream::connect(broker.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut first = [0];
        // Whoever is turned away may be closed before it has said a word.
        if stream.write_all(&hello).is_ok() && matches!(stream.read(&mut first), Ok(1)) {
            assert_eq!(first, [0x20]);
            return;
        }
        assert!(Instant::now() < deadline, "still turned away");
    }
}

#[test]
fn connections_beyond_max_handshakes_are_closed_at_once() {
    let _alone = alone();
    let broker = Broker::start("[limits]\nmax_handshakes = 10\nconnect_timeout = \"10m\"\n");
    let mut inside = Client::connect(&broker, V5, "inside");
    let strangers = opened(&broker, 10, &[0x10]);
    for _ in 0..20 {
        Client::open(broker.address(), V5).expect_closed();
    }
    // Who is in already is served.
    inside.subscribe("a", AtLeastOnce);
    inside.publish("a", "x", AtLeastOnce);
    assert_eq!(inside.payloads(1), ["x"]);
    drop(strangers);
    comes_in_at_last(&broker);
    inside.ping();
}

/// Whether the broker has answered or closed; waits for neither.
fn has_been_answered(client: &Client) -> bool {
    let stream = client.stream();
    stream.set_nonblocking(true).unwrap();
    let peeked = stream.peek(&mut [0]);
    stream.set_nonblocking(false).unwrap();
    !matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

/// Whether the broker has closed without a word; waits for that, or for a word.
fn is_closed(client: &Client) -> bool {
    let stream = client.stream();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    match stream.peek(&mut [0]) {
        Ok(n) => n == 0,
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
            true
        }
    }
}

#[test]
fn half_sent_packets_beyond_max_incoming_bytes_total_are_refused_and_others_go_on() {
    const SIZE: usize = 500 * 1024;
    const HALF: usize = 100 * 1024;
    const COUNT: usize = 32;
    let _alone = alone();
    let broker = Broker::start("[limits]\nmax_incoming_bytes_total = \"1MiB\"\n");
    for version in BOTH {
        let payload = "x".repeat(SIZE);
        let mut whole = Vec::new();
        Packet::Publish(Publish { packet_id: PacketId::new(1), ..publish("a", &payload, AtLeastOnce) })
            .encode(version, &mut whole)
            .unwrap();
        let mut clients: Vec<_> =
            (0..COUNT).map(|n| Client::connect(&broker, version, &n.to_string())).collect();
        for client in &mut clients {
            client.send_bytes_if_open(&whole[..HALF]);
        }
        // More than a MiB is on its way: sooner or later somebody hears of it.
        let deadline = Instant::now() + PATIENCE;
        while !clients.iter().any(has_been_answered) {
            assert!(Instant::now() < deadline, "{COUNT} halves are held");
            an_ordinary_client_is_served(&broker);
        }
        // The others end what they began, one after the other.
        let (mut refused, mut done) = (0, 0);
        for mut client in clients {
            if !has_been_answered(&client) {
                client.send_bytes_if_open(&whole[HALF..]);
            }
            if is_closed(&client) {
                assert_eq!(version, V3_1_1, "MQTT 5 is told");
                refused += 1;
                continue;
            }
            match client.receive() {
                Received::Packet(Packet::PubAck(_)) => done += 1,
                Received::Packet(Packet::Disconnect(disconnect)) => {
                    assert_eq!(disconnect.reason, ReasonCode::QuotaExceeded, "{disconnect:?}");
                    assert!(disconnect.properties.reason_string.is_some());
                    client.expect_closed();
                    refused += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(
            refused >= COUNT - 2 * 1024 / 100 && done >= 1,
            "{version:?}: {refused} refused, {done} done"
        );
        an_ordinary_client_is_served(&broker);
        // What was held is free again.
        let mut client = Client::connect(&broker, version, "again");
        assert!(!client.publish("a", &payload, AtLeastOnce).is_error());
    }
}

#[test]
fn half_sent_connects_beyond_max_incoming_bytes_total_keep_nobody_out() {
    let _alone = alone();
    let broker = Broker::start("[limits]\nmax_incoming_bytes_total = \"1MiB\"\nconnect_timeout = \"10m\"\n");
    let half = [&[0x10, 0x80, 0x80, 0x20][..], &field("MQTT"), &[5, 2, 0, 0], &[0xFF; 100 * 1024]].concat();
    let mut strangers = Vec::new();
    for _ in 0..32 {
        let mut stranger = Client::open(broker.address(), V5);
        stranger.send_bytes_if_open(&half);
        strangers.push(stranger);
    }
    let deadline = Instant::now() + PATIENCE;
    while !strangers.iter().any(has_been_answered) {
        assert!(Instant::now() < deadline, "all halves are held");
        an_ordinary_client_is_served(&broker);
    }
    an_ordinary_client_is_served(&broker);
    drop(strangers);
    an_ordinary_client_is_served(&broker);
}

#[test]
fn a_client_that_never_reads_costs_no_more_than_its_queue() {
    const COUNT: usize = 20_000;
    let _alone = alone();
    let attacked = Attacked::start("[limits]\nmax_queued_bytes = \"16MiB\"\n");
    let broker = &attacked.broker;
    let mut deaf = Vec::new();
    for (id, qos) in [("deaf 0", AtMostOnce), ("deaf 1", AtLeastOnce)] {
        let mut client = Client::connect(broker, V5, id);
        client.subscribe("flood", qos);
        deaf.push(client);
    }
    let mut publisher = Client::connect(broker, V5, "p");
    let payload = "x".repeat(4096);
    for n in 0..COUNT {
        publisher.send(&Packet::Publish(publish("flood", &payload, AtMostOnce)));
        if n % 100 == 0 {
            publisher.publish("flood", &payload, AtLeastOnce);
        }
        if n % 5000 == 0 {
            an_ordinary_client_is_served(broker);
        }
    }
    publisher.ping();
    an_ordinary_client_is_served(broker);
    assert!(attacked.cost() < 2 * 16 * MIB + SLACK, "{} MiB", attacked.cost() / MIB);
    drop(deaf);
    attacked.recovers();
}

/// A client that says the same again and again, and reads nothing.
struct Deaf {
    client: Client,
    request: Vec<u8>,
    /// Bytes of the request that are out already.
    begun: usize,
}

impl Deaf {
    /// Writes until the broker takes no more for now, or this much is written.
    fn flood(&mut self, at_most: usize) {
        const AT_ONCE: usize = 1000;
        let bytes = self.request.repeat(AT_ONCE);
        let mut stream = self.client.stream();
        stream.set_nonblocking(true).unwrap();
        let mut written = 0;
        while written < at_most {
            match stream.write(&bytes[self.begun..]) {
                Ok(n) => {
                    written += n;
                    self.begun = (self.begun + n) % self.request.len();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        stream.set_nonblocking(false).unwrap();
    }
}

#[test]
fn a_client_that_asks_and_never_reads_the_answers_is_not_read_either() {
    let _alone = alone();
    let attacked = Attacked::start("");
    let broker = &attacked.broker;
    let subscribe = frame(0x82, &[&[0, 1, 0][..], &field("a"), &[1]].concat());
    let publish = frame(0x32, &[&field("a")[..], &[0, 1, 0], b"x"].concat());
    let requests = [frame(0xC0, &[]), subscribe, publish];
    let mut deaf: Vec<_> = (0..30)
        .map(|n| Deaf {
            client: Client::connect(broker, V5, &n.to_string()),
            request: requests[n % requests.len()].clone(),
            begun: 0,
        })
        .collect();
    for round in 0..20 {
        deaf.iter_mut().for_each(|deaf| deaf.flood(4 * 1024 * 1024));
        an_ordinary_client_is_served(broker);
        assert!(attacked.cost() < 2 * SLACK, "{} MiB in round {round}", attacked.cost() / MIB);
    }
    drop(deaf);
    attacked.recovers();
}

#[test]
fn many_connects_that_come_byte_by_byte_keep_nobody_waiting() {
    let _alone = alone();
    let broker = Broker::start("[limits]\nconnect_timeout = \"10m\"\n");
    let mut slow: Vec<_> = (0..200)
        .map(|n| {
            let mut hello = Vec::new();
            let connect = connect(BOTH[n % 2], &format!("{n:03}"));
            Packet::Connect(Box::new(connect)).encode(BOTH[n % 2], &mut hello).unwrap();
            (Client::open(broker.address(), BOTH[n % 2]), hello)
        })
        .collect();
    let longest = slow.iter().map(|(_, hello)| hello.len()).max().unwrap();
    for at in 0..longest {
        for (client, hello) in &mut slow {
            client.send_bytes(hello.get(at..=at).unwrap_or_default());
        }
        an_ordinary_client_is_served(&broker);
    }
    for (client, _) in &mut slow {
        assert_eq!(client.expect_connack().reason, ReasonCode::Success);
        client.ping();
    }
}

#[test]
fn a_flood_of_subscriptions_is_refused_beyond_its_limit_and_forgotten_with_its_client() {
    const AT_ONCE: usize = 500;
    let _alone = alone();
    for (limit, granted) in [(1000, 1000), (1_000_000, 50_000)] {
        let attacked = Attacked::start(&format!("[limits]\nmax_subscriptions = {limit}\n"));
        let broker = &attacked.broker;
        let mut client = Client::connect(broker, V5, "greedy");
        let mut count = 0;
        for packet in 0..100 {
            let filters: Vec<_> =
                (0..AT_ONCE).map(|n| format!("{packet}/{n}/{}", ["x", "+", "#"][n % 3])).collect();
            let filters: Vec<_> =
                filters.iter().map(|filter| (filter.as_str(), SubscriptionOptions::default())).collect();
            let suback = client.subscribe_with(&filters, SubscribeProperties::default());
            count += suback.reasons.iter().filter(|reason| !reason.is_error()).count();
            assert!(
                suback.reasons.iter().all(|r| matches!(r, ReasonCode::Success | ReasonCode::QuotaExceeded)),
                "{:?}",
                suback.reasons
            );
            if packet % 20 == 0 {
                an_ordinary_client_is_served(broker);
            }
        }
        assert_eq!(count, granted);
        client.publish("99/0/x", "x", AtLeastOnce);
        client.break_off();
        attacked.recovers();
    }
}

/// A filter may stand in a SUBSCRIBE again and again, and each time its retained messages are asked for.
#[test]
fn a_subscribe_that_repeats_one_filter_keeps_nobody_waiting() {
    let _alone = alone();
    let attacked = Attacked::start("");
    let broker = &attacked.broker;
    let mut publisher = Client::connect(broker, V5, "p");
    for n in 0..100 {
        publisher.publish_retained(&format!("kept/{n}"), &"x".repeat(1000), AtLeastOnce);
    }
    let repeated = [&field("kept/#")[..], &[0]].concat().repeat(100_000);
    let mut deaf = Client::connect(broker, V5, "deaf");
    deaf.send_bytes_if_open(&frame(0x82, &[&[0, 1, 0][..], &repeated].concat()));
    for _ in 0..10 {
        an_ordinary_client_is_served(broker);
    }
    assert!(attacked.cost() < 2 * SLACK, "{} MiB", attacked.cost() / MIB);
    drop(deaf);
    attacked.recovers();
}

#[test]
fn thousands_of_user_properties_are_refused() {
    let _alone = alone();
    let attacked = Attacked::start("");
    let broker = &attacked.broker;
    let many: UserProperties = (0..50_000).map(|n| (n.to_string().into(), "x".into())).collect();
    let mut hello = Vec::new();
    let properties = ConnectProperties { user_properties: many.clone(), ..ConnectProperties::default() };
    Packet::Connect(Box::new(Connect { properties, ..connect(V5, "c") })).encode(V5, &mut hello).unwrap();
    let mut message = Vec::new();
    let properties = PublishProperties { user_properties: many, ..PublishProperties::default() };
    let properties = Some(Box::new(properties));
    Packet::Publish(Publish { properties, ..publish("a", "x", AtMostOnce) })
        .encode(V5, &mut message)
        .unwrap();
    for _ in 0..20 {
        let mut refused = Client::open(broker.address(), V5);
        refused.send_bytes_if_open(&hello);
        refused.expect_refused_in_words(ReasonCode::QuotaExceeded);
        let mut client = Client::connect(broker, V5, "c");
        client.send_bytes_if_open(&message);
        client.expect_disconnect_in_words(ReasonCode::QuotaExceeded);
        an_ordinary_client_is_served(broker);
    }
    attacked.recovers();
}

#[test]
fn a_client_that_connects_and_breaks_off_a_thousand_times_leaves_nothing_behind() {
    let _alone = alone();
    let attacked = Attacked::start("");
    let broker = &attacked.broker;
    let mut hello = Vec::new();
    // Of another name: what it said may be read after it has gone, and take over.
    Packet::Connect(Box::new(connect(V5, "hasty"))).encode(V5, &mut hello).unwrap();
    for n in 0..1000 {
        match n % 4 {
            // Before a word, within CONNECT, behind it, and with all that a client can leave behind.
            0 => drop(Client::open(broker.address(), V5)),
            1 => drop(opened(broker, 1, &hello[..hello.len() - 1])),
            2 => drop(opened(broker, 1, &hello)),
            _ => {
                let mut client = Client::connect(broker, BOTH[n % 2], "restless");
                client.subscribe(&format!("restless/{n}"), AtLeastOnce);
                client.publish(&format!("restless/{n}"), &"x".repeat(10_000), AtLeastOnce);
                drop(client);
            }
        }
        if n % 100 == 0 {
            an_ordinary_client_is_served(broker);
        }
    }
    attacked.recovers();
    // All places are free.
    let mut client = Client::connect(broker, V5, "restless");
    client.expect_nothing();
}

#[test]
fn a_client_identifier_that_is_fought_over_ends_with_the_last() {
    let _alone = alone();
    let attacked = Attacked::start("");
    let broker = &attacked.broker;
    let mut hello = Vec::new();
    Packet::Connect(Box::new(connect(V5, "mine"))).encode(V5, &mut hello).unwrap();
    let fighters = opened(broker, at_most(500), &hello);
    an_ordinary_client_is_served(broker);
    let mut last = Client::connect(broker, V5, "mine");
    drop(fighters);
    last.subscribe("a", AtLeastOnce);
    last.publish("a", "x", AtLeastOnce);
    assert_eq!(last.payloads(1), ["x"]);
    attacked.recovers();
}

/// Numbers that look like chance, the same every time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn byte(&mut self) -> u8 {
        self.below(256) as u8
    }
}

/// Packets as they should be, to be spoilt.
fn ordinary_packets(version: Version) -> Vec<Vec<u8>> {
    let none: &[u8] = if version == V5 { &[0] } else { &[] };
    let properties: &[u8] = if version == V5 { &[9, 0x01, 1, 0x26, 0, 1, b'k', 0, 1, b'v'] } else { &[] };
    vec![
        frame(0x30, &[&field("chance/a")[..], none, b"payload"].concat()),
        frame(0x3B, &[&field("chance/b")[..], &[0, 9], properties, b"payload"].concat()),
        frame(0x34, &[&field("chance/c")[..], &[0, 8], none, b"payload"].concat()),
        frame(
            0x82,
            &[&[0, 1][..], none, &field("chance/#"), &[2], &field("$share/g/chance/+"), &[1]].concat(),
        ),
        frame(0xA2, &[&[0, 2][..], none, &field("chance/+")].concat()),
        frame(0x40, &[0, 1]),
        frame(0x50, &[0, 1]),
        frame(0x62, &[0, 8]),
        frame(0x70, &[0, 1]),
        frame(0xC0, &[]),
    ]
}

#[test]
fn bytes_of_chance_harm_only_their_own_connection() {
    let _alone = alone();
    let attacked = Attacked::start("");
    let broker = &attacked.broker;
    let mut chance = Chance(0x5EED_CAFE_F00D_D00D);
    let mut inside = Client::connect(broker, V5, "inside");
    for n in 0..1500 {
        let version = BOTH[n % 2];
        let mut hello = Vec::new();
        Packet::Connect(Box::new(connect(version, "chance"))).encode(version, &mut hello).unwrap();
        let mut bytes: Vec<u8> = match n % 3 {
            // Noise from the beginning on, noise behind CONNECT, and packets.
            0 => Vec::new(),
            1 => hello.clone(),
            _ => [hello, ordinary_packets(version).concat()].concat(),
        };
        if n % 3 == 2 {
            for _ in 0..=chance.below(4) {
                let at = chance.below(bytes.len());
                match chance.below(4) {
                    0 => bytes[at] = chance.byte(),
                    1 => bytes[at] ^= 1 << chance.below(8),
                    2 => drop(bytes.remove(at)),
                    _ => bytes.insert(at, chance.byte()),
                }
            }
        } else {
            bytes.extend((0..chance.below(300)).map(|_| chance.byte()).collect::<Vec<_>>());
        }
        let mut client = Client::open(broker.address(), version);
        client.send_bytes_if_open(&bytes);
        if n % 50 == 0 {
            inside.ping();
        }
    }
    drop(inside);
    attacked.recovers();
}

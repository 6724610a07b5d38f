//! `tidegate bench` from outside: what it says of a broker that is well, and of brokers that are not.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod bench {
    pub(crate) mod relay;
}

use bench::relay::{Fault, Relay};
use serde_json::Value;
use std::{fs, net::TcpListener, process::Command};
use tidegate_mqtt::{QoS, ReasonCode, Version};
use tidegate_tests::{
    Authority, Broker, Client, Finished, Folder, PATIENCE, Process, broker_binary, connect, guest,
};

/// Short, and without a warm-up.
const SHORT: [&str; 4] = ["--duration", "300ms", "--warmup", "0s"];

/// Runs it to its end.
fn bench(arguments: &[&str]) -> Finished {
    Folder::new("").run(&[&["bench"], arguments].concat())
}

/// Runs a scenario against a broker of ours and returns the figures.
fn figures(broker: &Broker, arguments: &[&str]) -> Value {
    let url = format!("mqtt://{}", broker.address());
    figures_from(&[arguments, &["--url", &url]].concat())
}

/// All must be well.
fn figures_from(arguments: &[&str]) -> Value {
    let (figures, code) = figures_and_code(arguments);
    assert_eq!(code, Some(0), "{figures:#}");
    assert_eq!(figures["good"], true, "{figures:#}");
    figures
}

fn figures_and_code(arguments: &[&str]) -> (Value, Option<i32>) {
    let Finished { stdout, stderr, code } = bench(&[arguments, &["--json", "-"]].concat());
    let figures =
        serde_json::from_str(&stdout.join("\n")).unwrap_or_else(|_| panic!("{stdout:?} {stderr:?}"));
    (figures, code)
}

/// The sentence of a run that has no figures, and its exit code.
fn sentence(arguments: &[&str]) -> (String, Option<i32>) {
    let Finished { stdout, stderr, code } = bench(arguments);
    assert!(stdout.is_empty(), "no figures are made up: {stdout:?}");
    assert_eq!(stderr.len(), 1, "{stderr:?}");
    (stderr.concat(), code)
}

fn number(figures: &Value, path: &str) -> u64 {
    let value = figures.pointer(path).unwrap_or_else(|| panic!("no {path} in {figures:#}"));
    value.as_f64().unwrap_or_else(|| panic!("{path}: {value}")) as u64
}

fn all_well(figures: &Value, expected_of_each: u64) {
    let sent = number(figures, "/checks/sent");
    assert!(sent > 0, "{figures:#}");
    assert_eq!(number(figures, "/checks/expected"), sent * expected_of_each);
    assert_eq!(number(figures, "/checks/received"), sent * expected_of_each);
    for fault in ["lost", "duplicates", "out_of_order", "wrong", "foreign", "unsent", "unacknowledged"] {
        assert_eq!(number(figures, &format!("/checks/{fault}")), 0, "{figures:#}");
    }
}

#[test]
fn messages_of_every_quality_in_both_versions() {
    let broker = Broker::start("");
    for version in ["3.1.1", "5"] {
        for qos in ["0", "1", "2"] {
            let arguments = ["p2p", "--qos", qos, "--mqtt", version, "--publishers", "3", "--window", "5"];
            let figures = figures(&broker, &[&arguments[..], &SHORT].concat());
            all_well(&figures, 1);
            let acknowledged = figures["latency_us"]["acknowledgement"]["count"].as_u64();
            assert_eq!(acknowledged.is_some(), qos != "0", "{figures:#}");
            assert_eq!(figures["options"]["qos"].to_string(), qos);
        }
    }
}

#[test]
fn every_shape_of_exchange() {
    let broker = Broker::start("");
    let exchange = |arguments: &[&str]| figures(&broker, &[arguments, &SHORT].concat());
    all_well(&exchange(&["fanout", "--subscribers", "7"]), 7);
    all_well(&exchange(&["fanout", "--subscribers", "7", "--publishers", "2", "--threads", "2"]), 7);
    all_well(&exchange(&["fanin", "--publishers", "7", "--qos", "1"]), 1);
    all_well(&exchange(&["fanin", "--publishers", "7", "--subscribers", "2", "--threads", "2"]), 2);
    let shared = exchange(&["shared", "--publishers", "3", "--subscribers", "4", "--threads", "2"]);
    all_well(&shared, 1);
    let each =
        ["least", "mean", "most"].map(|which| number(&shared, &format!("/figures/{which}_of_a_member")));
    assert!(each.is_sorted() && each[2] > 0, "{each:?}");
}

#[test]
fn by_the_clock_every_message_that_is_due_is_sent() {
    let broker = Broker::start("");
    let rate = ["p2p", "--rate", "1000", "--publishers", "3", "--threads", "2"];
    let figures = figures(&broker, &[&rate[..], &SHORT].concat());
    all_well(&figures, 1);
    assert_eq!(number(&figures, "/checks/sent"), 300);
    assert_eq!(number(&figures, "/latency_us/delivery/count"), 300);
    assert_eq!(number(&figures, "/latency_us/sending/count"), 300);
}

#[test]
fn large_messages_come_whole() {
    let broker = Broker::start("");
    let large = ["p2p", "--size", "700000", "--publishers", "2", "--window", "2", "--qos", "1"];
    all_well(&figures(&broker, &[&large[..], &SHORT].concat()), 1);
}

#[test]
fn json_passes_every_scenario() {
    let broker = Broker::start("");
    let told = |arguments: &[&str]| figures(&broker, &[arguments, &["--payload", "json"]].concat());
    for scenario in [
        &["fanin", "--publishers", "3", "--qos", "2", "--mqtt", "3.1.1"][..],
        &["churn", "--clients", "2", "--bystanders", "2"],
        &["storm", "--clients", "5", "--bystanders", "2", "--threads", "2", "--qos", "1"],
    ] {
        let figures = told(&[scenario, &SHORT].concat());
        all_well(&figures, 1);
        assert_eq!(
            (&figures["options"]["payload"], number(&figures, "/options/size")),
            (&"json".into(), 128)
        );
    }
    all_well(&told(&["offline", "--clients", "3", "--messages", "20", "--size", "300"]), 1);
    let retained = told(&["retained", "--messages", "50", "--subscribers", "2"]);
    assert_eq!(number(&retained, "/checks/received"), 100);
}

#[test]
fn a_plugin_may_change_json_beside_what_is_checked() {
    for (name, config) in [("probe-json", ""), ("in-quickjs", "limits.deadline = \"200ms\"\n")] {
        let folder = Folder::new(&format!("[plugin.{name}]\nrequired = true\n{config}"));
        folder.install_plugin(name, &guest(name));
        let broker = folder.start();
        let mut client = Client::connect(&broker, Version::V5, "c");
        client.subscribe("json/#", QoS::AtMostOnce);
        let sent = ["p2p", "--payload", "json", "--topic", "json", "--rate", "100", "--publishers", "1"];
        all_well(&figures(&broker, &[&sent[..], &SHORT].concat()), 1);
        let seen: Value = serde_json::from_str(&client.message().payload).unwrap();
        assert_eq!((&seen["celsius"], &seen["fahrenheit"]), (&21.5.into(), &70.7.into()), "{name}: {seen}");
    }
}

#[test]
fn connections_are_counted_and_cost_something() {
    let broker = Broker::start("");
    let pid = broker.pid().to_string();
    let figures = figures(
        &broker,
        &["connect", "--clients", "60", "--at-once", "7", "--idle", "200ms", "--threads", "2", "--pid", &pid],
    );
    assert_eq!(number(&figures, "/rates/connections/count"), 60);
    assert_eq!(number(&figures, "/latency_us/until_connack/count"), 60);
    assert_eq!(number(&figures, "/latency_us/until_suback/count"), 60);
    assert!(figures["broker"]["cpu_us_per"]["connection"].as_f64().unwrap() > 0.0, "{figures:#}");
    assert!(number(&figures, "/broker/rss_mib/before") > 0);
    assert!(number(&figures, "/broker/threads") > 0);
    assert!(figures["figures"]["memory_per_connection_kib"].is_number());
    assert!(figures["figures"]["idle_cpu_percent"].is_number());
}

#[test]
fn clients_that_ask_for_a_keep_alive_are_heard_in_time() {
    let broker = Broker::start("");
    // Who says nothing for a second and a half is disconnected, and the bench ends with that.
    let figures = figures(&broker, &["connect", "--clients", "5", "--keep-alive", "1", "--idle", "3s"]);
    assert_eq!(number(&figures, "/rates/connections/count"), 5);
}

#[test]
fn retained_messages_come_to_each_and_are_cleared() {
    let broker = Broker::start("");
    for qos in ["0", "1", "2"] {
        let figures =
            figures(&broker, &["retained", "--messages", "150", "--subscribers", "3", "--qos", qos]);
        assert_eq!(number(&figures, "/rates/retained/count"), 150);
        assert_eq!(number(&figures, "/rates/replayed/count"), 450);
        assert_eq!(number(&figures, "/rates/cleared/count"), 150);
        assert_eq!(number(&figures, "/checks/received"), 450);
        assert_eq!(number(&figures, "/latency_us/until_the_last/count"), 3);
        let mut client = Client::connect(&broker, Version::V5, "after");
        client.subscribe("bench/#", QoS::AtMostOnce);
        client.expect_nothing();
    }
}

#[test]
fn subscriptions_come_and_go_beside_bystanders() {
    let broker = Broker::start("");
    let alone = figures(&broker, &[&["churn", "--clients", "4", "--filters", "3"], &SHORT[..]].concat());
    assert!(number(&alone, "/rates/operations/count") > 0);
    assert!(number(&alone, "/latency_us/unsubscribe/count") > 0);
    assert_eq!(number(&alone, "/checks/wrong"), 0);
    let arguments = ["churn", "--clients", "4", "--rate", "500", "--bystanders", "2", "--qos", "1"];
    let beside = figures(&broker, &[&arguments[..], &SHORT].concat());
    all_well(&beside, 1);
    let operations =
        ["subscribe", "unsubscribe"].map(|name| number(&beside, &format!("/latency_us/{name}/count")));
    // 500 a second in 0.3 s; each client begins with SUBSCRIBE.
    assert_eq!(operations.iter().sum::<u64>(), 150, "{beside:#}");
}

/// Whether a client has a session from earlier.
fn has_session(broker: &Broker, client_id: &str) -> bool {
    let hello = tidegate_mqtt::Connect { clean_start: false, ..connect(Version::V5, client_id) };
    Client::connect_with(broker, hello).1.session_present
}

#[test]
fn what_waited_comes_in_order_and_sessions_are_removed() {
    let broker = Broker::start("");
    for (qos, version) in [("1", "5"), ("2", "5"), ("1", "3.1.1")] {
        let arguments =
            ["offline", "--clients", "5", "--messages", "30", "--publishers", "2", "--threads", "2"];
        let more = ["--qos", qos, "--mqtt", version, "--client-id", "away-"];
        let figures = figures(&broker, &[&arguments[..], &more].concat());
        all_well(&figures, 1);
        assert_eq!(number(&figures, "/rates/queued/count"), 150);
        assert_eq!(number(&figures, "/rates/drained/count"), 150);
        assert_eq!(number(&figures, "/figures/sessions_lost"), 0);
        assert_eq!(number(&figures, "/latency_us/until_the_last/count"), 5);
        assert!(!has_session(&broker, "away-0"));
    }
}

#[test]
fn all_return_after_a_storm_and_bystanders_lose_nothing() {
    let broker = Broker::start("");
    let arguments =
        ["storm", "--clients", "40", "--threads", "2", "--bystanders", "3", "--client-id", "gone-{n}-x"];
    let figures = figures(&broker, &[&arguments[..], &SHORT].concat());
    all_well(&figures, 1);
    assert_eq!(number(&figures, "/rates/returned/count"), 40);
    assert_eq!(number(&figures, "/latency_us/until_back/count"), 40);
    assert_eq!(number(&figures, "/figures/sessions_lost"), 0);
    assert!(number(&figures, "/latency_us/delivery_before/count") > 0);
    // Bystanders are the first six.
    assert!(!has_session(&broker, "gone-6-x"));
}

#[test]
fn a_closed_port_is_a_sentence() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for scenario in ["p2p", "connect", "retained", "churn", "offline", "storm"] {
        let (line, code) = sentence(&[scenario, "--url", &format!("mqtt://{free}")]);
        assert_eq!(code, Some(1));
        assert!(line.contains(&free.to_string()) && line.contains("refused"), "{line}");
    }
}

#[test]
fn a_broker_that_says_no_is_told_with_its_reason() {
    let broker = Broker::start("allow_anonymous = false\n");
    let url = format!("mqtt://{}", broker.address());
    for scenario in ["p2p", "connect"] {
        for version in ["3.1.1", "5"] {
            let (line, code) = sentence(&[scenario, "--url", &url, "--mqtt", version]);
            assert_eq!(code, Some(1));
            assert!(line.contains("CONNECT") && line.contains("not authorized"), "{line}");
        }
    }
    let relay = Relay::start(Fault::Refuse(3, ReasonCode::QuotaExceeded));
    let url = format!("mqtt://{}", relay.address);
    let (line, code) = sentence(&["p2p", "--publishers", "1", "--qos", "1", "--url", &url]);
    assert_eq!(code, Some(1));
    assert!(line.contains("PUBLISH") && line.contains("0x97 quota exceeded"), "{line}");
}

#[test]
fn a_dropped_connection_is_a_sentence_and_no_table() {
    let relay = Relay::start(Fault::Cut(20));
    let url = format!("mqtt://{}", relay.address);
    let (line, code) = sentence(&["p2p", "--publishers", "2", "--url", &url]);
    assert_eq!(code, Some(1));
    assert!(line.contains("dropped the connection of client"), "{line}");
}

/// Two pairs that exchange messages over a relay, one of which is not as it should be.
fn over(fault: Fault, qos: &str) -> (Value, Option<i32>) {
    let relay = Relay::start(fault);
    let url = format!("mqtt://{}", relay.address);
    let arguments = ["p2p", "--publishers", "2", "--window", "4", "--qos", qos, "--url", &url];
    figures_and_code(&[&arguments[..], &SHORT].concat())
}

#[test]
fn a_faultless_relay_is_good() {
    let (figures, code) = over(Fault::None, "0");
    assert_eq!(code, Some(0));
    all_well(&figures, 1);
}

#[test]
fn a_lost_message_is_noticed() {
    for qos in ["0", "1"] {
        let (figures, code) = over(Fault::Lose(10), qos);
        assert_eq!((code, number(&figures, "/checks/lost")), (Some(3), 1), "{figures:#}");
        assert_eq!(figures["good"], false);
    }
    let relay = Relay::start(Fault::Lose(10));
    let url = format!("mqtt://{}", relay.address);
    let json = ["p2p", "--payload", "json", "--publishers", "1", "--url", &url];
    let (figures, code) = figures_and_code(&[&json[..], &SHORT].concat());
    assert_eq!((code, number(&figures, "/checks/lost")), (Some(3), 1), "{figures:#}");
}

#[test]
fn a_doubled_message_is_noticed_and_allowed_at_qos_1() {
    for (qos, allowed) in [("0", 3), ("1", 0)] {
        let (figures, code) = over(Fault::Double(10), qos);
        assert_eq!((code, number(&figures, "/checks/duplicates")), (Some(allowed), 1), "{figures:#}");
        assert_eq!(number(&figures, "/checks/lost"), 0);
    }
}

#[test]
fn a_message_out_of_order_is_noticed() {
    // One pair, so that the next message is the same publisher's.
    let relay = Relay::start(Fault::Late(10));
    let url = format!("mqtt://{}", relay.address);
    let arguments = ["p2p", "--publishers", "1", "--window", "4", "--url", &url];
    let (figures, code) = figures_and_code(&[&arguments[..], &SHORT].concat());
    assert_eq!((code, number(&figures, "/checks/out_of_order")), (Some(3), 1), "{figures:#}");
    assert_eq!(number(&figures, "/checks/lost"), 0);
}

#[test]
fn the_table_says_what_is_wrong() {
    let relay = Relay::start(Fault::Lose(10));
    let url = format!("mqtt://{}", relay.address);
    let arguments = ["p2p", "--publishers", "1", "--url", &url];
    let Finished { stdout, code, .. } = bench(&[&arguments[..], &SHORT].concat());
    assert_eq!(code, Some(3));
    let table = stdout.join("\n");
    assert!(table.contains("NOT GOOD") && table.contains(" 1 lost"), "{table}");
    assert!(table.contains("delivery") && table.contains("p99.9"), "{table}");
}

#[test]
fn clients_say_who_they_are() {
    let relay = Relay::start(Fault::None);
    let url = format!("mqtt://{}", relay.address);
    let folder = Folder::new("");
    let file = folder.path().join("secret");
    fs::write(&file, "from a file\r\n").unwrap();
    let run = |arguments: &[&str]| {
        let arguments = [&["bench", "p2p", "--publishers", "1", "--url", &url, "--user", "u-{n}"], arguments];
        let mut command = Command::new(broker_binary());
        command.args(arguments.concat()).args(SHORT).env("TIDEGATE_BENCH_PASSWORD", "from a variable");
        assert_eq!(Process::start(&mut command).finish().code, Some(0));
    };
    run(&["--client-id", "c-{n}-d"]);
    run(&["--password-file", file.to_str().unwrap(), "--mqtt", "3.1.1"]);
    let greetings = relay.greetings();
    let said = greetings.iter().map(|greeting| {
        let password = greeting.password.as_deref().map(String::from_utf8_lossy).unwrap().into_owned();
        (greeting.username.as_deref().unwrap(), password, greeting.version)
    });
    let mut said: Vec<_> = said.collect();
    said.sort();
    let variable = || "from a variable".to_owned();
    let file = || "from a file".to_owned();
    assert_eq!(
        said,
        [
            ("u-0", file(), Version::V3_1_1),
            ("u-0", variable(), Version::V5),
            ("u-1", file(), Version::V3_1_1),
            ("u-1", variable(), Version::V5),
        ]
    );
    assert!(greetings.iter().any(|greeting| greeting.client_id.as_str() == "c-1-d"), "{greetings:?}");
}

#[test]
fn over_every_transport() {
    let authority = Authority::new("bench");
    let (server, client) = (authority.sign("localhost", 1), authority.sign("client", 2));
    let listener = |kind: &str, more: &str| {
        format!("[[listener]]\nkind = \"{kind}\"\naddress = \"127.0.0.1:0\"\n{more}")
    };
    let keys = "cert = \"cert.pem\"\nkey = \"key.pem\"\n";
    let asks = format!("{keys}client_cert = \"required\"\nclient_ca = \"ca.pem\"\n");
    let folder = Folder::new(
        &[listener("ws", ""), listener("tls", keys), listener("wss", keys), listener("tls", &asks)].concat(),
    );
    let other = Authority::new("other");
    for (name, pem) in [
        ("ca.pem", authority.pem()),
        ("other.pem", other.pem()),
        ("cert.pem", &server.cert),
        ("key.pem", &server.key),
        ("client.pem", &client.cert),
        ("client.key", &client.key),
    ] {
        fs::write(folder.path().join(name), pem).unwrap();
    }
    let broker = folder.start();
    let [ws, tls, wss, asks] = *broker.addresses() else { panic!("{:?}", broker.addresses()) };
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (ca, other) = (file("ca.pem"), file("other.pem"));
    let own = ["--cert", &file("client.pem"), "--key", &file("client.key")];
    let pair = ["p2p", "--publishers", "2", "--window", "10", "--qos", "1"];
    let run = |url: String, more: &[&str]| {
        let size = if url.contains("ss://") { "40000" } else { "64" };
        all_well(&figures_from(&[&pair[..], &SHORT, &["--url", &url, "--size", size], more].concat()), 1);
    };
    run(format!("ws://{ws}"), &[]);
    run(format!("mqtts://{tls}"), &["--ca", &ca]);
    run(format!("mqtts://localhost:{}", tls.port()), &["--ca", &ca]);
    run(format!("mqtts://{tls}"), &["--insecure"]);
    run(format!("wss://{wss}/mqtt"), &["--ca", &ca]);
    run(format!("mqtts://{asks}"), &[&own[..], &["--ca", &ca]].concat());

    let refused = |url: String, more: &[&str]| {
        let (line, code) = sentence(&[&pair[..], &["--url", &url], more].concat());
        assert_eq!(code, Some(1));
        assert!(line.contains("cannot talk to"), "{line}");
        line
    };
    let line = refused(format!("mqtts://{tls}"), &["--ca", &other]);
    assert!(line.contains("UnknownIssuer"), "{line}");
    refused(format!("mqtts://{asks}"), &["--ca", &ca]);
    let line = refused(format!("ws://{ws}/elsewhere"), &[]);
    assert!(line.contains("404"), "{line}");
}

#[test]
fn who_has_had_enough_gets_what_was_measured() {
    let relay = Relay::start(Fault::None);
    let url = format!("mqtt://{}", relay.address);
    let mut command = Command::new(broker_binary());
    command.args(["bench", "p2p", "--url", &url, "--duration", "10m", "--warmup", "0s", "--progress"]);
    let bench = Process::start(&mut command);
    // It tells that it is at work.
    bench.stderr().wait_for("received", PATIENCE);
    bench.terminate();
    let Finished { stdout, code, .. } = bench.finish();
    assert_eq!(code, Some(130));
    let table = stdout.join("\n");
    assert!(table.contains("interrupted") && table.contains("delivery") && table.contains("good"), "{table}");
}

#[test]
fn who_has_had_enough_leaves_nothing_behind() {
    let broker = Broker::start("");
    let url = format!("mqtt://{}", broker.address());
    let mut command = Command::new(broker_binary());
    command.args([
        "bench",
        "offline",
        "--url",
        &url,
        "--clients",
        "20",
        "--messages",
        "1000000",
        "--progress",
    ]);
    command.args(["--client-id", "away-"]);
    let bench = Process::start(&mut command);
    bench.stderr().wait_for("queued", PATIENCE);
    bench.terminate();
    assert_eq!(bench.finish().code, Some(130));
    assert!(!has_session(&broker, "away-0"));
}

#[test]
fn wrong_options_are_refused() {
    for (arguments, why) in [
        (&["p2p", "--size", "23"][..], "24"),
        (&["p2p", "--size", "119", "--payload", "json"], "--size 119: JSON takes 120 bytes"),
        (&["offline", "--size", "24", "--payload", "json"], "120"),
        (&["p2p", "--payload", "xml"], "bytes, json"),
        (&["p2p", "--qos", "3"], "0, 1 or 2"),
        (&["p2p", "--rate", "5", "--window", "5"], "--window"),
        (&["p2p", "--rate", "0"], "--rate"),
        (&["p2p", "--publishers", "2", "--subscribers", "3"], "subscriber for each publisher"),
        (&["p2p", "--url", "http://127.0.0.1"], "scheme"),
        (&["p2p", "--url", "mqtt://a:b@127.0.0.1"], "--password-file"),
        (&["p2p", "--ca", "x.pem"], "--ca"),
        (&["p2p", "--cert", "x.pem"], "--key"),
        (&["p2p", "--duration", "5 days"], "ms, s, m and h"),
        (&["p2p", "--password", "secret"], "--password"),
        (&["offline", "--qos", "0"], "QoS 0"),
        (&["nothing"], "nothing"),
    ] {
        let Finished { stdout, stderr, code } = bench(arguments);
        assert_eq!((code, stdout.len()), (Some(2), 0), "{arguments:?}: {stderr:?}");
        assert!(stderr.concat().contains(why), "{arguments:?}: {stderr:?}");
    }
}

#[test]
fn a_process_that_is_not_there_is_a_sentence() {
    // Above what the kernel gives.
    let (line, code) = sentence(&["p2p", "--pid", "4294967295"]);
    assert_eq!(code, Some(1));
    assert!(line.contains("--pid"), "{line}");
}

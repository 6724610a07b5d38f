//! The binary by itself: what it says when it cannot start, and how it ends.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, net::TcpListener};
use tidegate_mqtt::{QoS, ReasonCode, Version};
use tidegate_tests::{BOTH, Broker, Client, Finished, Folder, PATIENCE, mosquitto_pub, plugin};

/// Runs a broker that does not start, and returns the one line that says why.
fn refusal(folder: &Folder) -> String {
    one_line(folder.run(&["-c", "tidegate.toml"]))
}

/// The one line behind the log, after which the binary ended with exit code 1.
fn one_line(Finished { stdout, mut stderr, code }: Finished) -> String {
    assert_eq!((code, stdout.len()), (Some(1), 0), "{stdout:?} {stderr:?}");
    let line = stderr.pop().expect("it says why");
    assert!(line.starts_with("tidegate: "), "{line}");
    assert!(stderr.iter().all(|line| line.starts_with('{')), "a log besides: {stderr:?}");
    assert!(!stderr.iter().any(|line| line.contains("\"ERROR\"")), "said once: {stderr:?}");
    line
}

#[test]
fn the_version_is_told() {
    let Finished { stdout, stderr, code } = Folder::new("").run(&["--version"]);
    assert_eq!((code, stderr.len()), (Some(0), 0));
    assert_eq!(stdout, [concat!("tidegate ", env!("CARGO_PKG_VERSION"))]);
}

#[test]
fn a_wrong_argument_is_refused() {
    let Finished { stderr, code, .. } = Folder::new("").run(&["--port", "1883"]);
    assert_eq!(code, Some(2));
    assert!(stderr[0].contains("--port"), "{stderr:?}");
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let line = refusal(&Folder::new(&format!("[[listener]]\naddress = \"{address}\"\n")));
    assert!(line.contains(&address.to_string()), "{line}");
    assert!(line.contains("in use") && line.contains("[[listener]]"), "{line}");
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_nearest_key() {
    let folder = Folder::new("plugin_dri = \"p\"\n");
    let line = refusal(&folder);
    // The harness puts a line before it.
    assert_eq!(line, "tidegate: tidegate.toml:2: unknown key \"plugin_dri\"; did you mean \"plugin_dir\"?");
    folder.write_config("[limits]\nmax_conections = 1\n");
    let line = refusal(&folder);
    assert_eq!(
        line,
        "tidegate: tidegate.toml:3: unknown key \"max_conections\"; did you mean \"max_connections\"?"
    );
}

#[test]
fn a_wrong_value_is_refused_with_its_line() {
    for (config, line) in [
        ("[limits]\nconnect_timeout = \"soon\"\n", 3),
        ("[limits]\nreceive_maximum = 0\n", 3),
        ("[limits]\nqueue_full = \"wait\"\n", 3),
        ("[limits]\nmax_queued_bytes = \"10XB\"\n", 3),
        ("[[listener]]\naddress = \"localhost\"\n", 3),
        ("workers = 0\n", 2),
        ("data_dir = \n", 2),
    ] {
        let said = refusal(&Folder::new(config));
        assert!(said.starts_with(&format!("tidegate: tidegate.toml:{line}: ")), "{config}: {said}");
    }
}

#[test]
fn a_missing_config_file_is_named() {
    let folder = Folder::new("");
    let line = one_line(folder.run(&["-c", "nowhere.toml"]));
    assert!(line.contains("nowhere.toml"), "{line}");
    let line = one_line(folder.run(&["check", "-c", "nowhere.toml"]));
    assert!(line.contains("nowhere.toml"), "{line}");
}

#[test]
fn a_missing_plugin_folder_is_named() {
    let folder = Folder::new("plugin_dir = \"nowhere\"\n");
    let line = refusal(&folder);
    assert!(line.contains("nowhere") && line.contains("plugin_dir"), "{line}");
}

#[test]
fn a_required_plugin_that_is_missing_is_named() {
    let line = refusal(&Folder::new("[plugin.passwd]\nrequired = true\n"));
    assert!(line.contains("passwd"), "{line}");
}

#[test]
fn a_listener_for_other_machines_is_refused_while_nobody_authenticates() {
    let folder = Folder::new("allow_anonymous = false\n[[listener]]\naddress = \"0.0.0.0:0\"\n");
    for line in [refusal(&folder), one_line(folder.run(&["check", "-c", "tidegate.toml"]))] {
        assert!(line.contains("0.0.0.0:0") && line.contains("allow_anonymous"), "{line}");
    }
    // Unless that is what is wanted.
    folder.write_config("allow_anonymous = true\n[[listener]]\naddress = \"0.0.0.0:0\"\n");
    folder.start().stop();
}

#[test]
fn check_says_what_a_start_would_say() {
    let folder = Folder::new("");
    folder.install_plugin("stamp", &plugin("stamp"));
    let Finished { stderr, code, .. } = folder.run(&["check", "-c", "tidegate.toml"]);
    assert_eq!((code, stderr.last().map(String::as_str)), (Some(0), Some("ok")), "{stderr:?}");
    assert!(stderr.iter().any(|line| line.starts_with("plugin stamp: ok, hooks ")), "{stderr:?}");
    assert!(stderr.iter().any(|line| line.starts_with("listener ")), "{stderr:?}");

    fs::write(folder.plugin_file("broken"), "no component").unwrap();
    let Finished { stderr, code, .. } = folder.run(&["check", "-c", "tidegate.toml"]);
    assert_eq!((code, stderr.last().map(String::as_str)), (Some(1), Some("not ok")), "{stderr:?}");
    assert!(stderr.iter().any(|line| line.starts_with("plugin broken: refused: ")), "{stderr:?}");
}

#[test]
fn v5_3_14_0_1_sigterm_says_goodbye_to_every_client_and_ends_well() {
    let broker = Broker::start("");
    let mut clients = BOTH.map(|version| Client::connect(&broker, version, &format!("{version:?}")));
    let (mut session, _) = Client::connect_session(&broker, Version::V5, "session", true);
    session.subscribe("a", QoS::AtLeastOnce);
    broker.terminate();
    for client in clients.iter_mut().chain([&mut session]) {
        client.expect_disconnect(ReasonCode::ServerShuttingDown);
    }
    broker.wait_for_log("stopped", PATIENCE);
    // Looks at the exit code. It asks once more, which changes nothing.
    broker.stop();
}

#[test]
fn a_stopped_broker_can_be_started_again_on_its_folder() {
    let broker = Broker::start("");
    Client::connect(&broker, Version::V5, "c").disconnect();
    let broker = broker.stop().start();
    Client::connect(&broker, Version::V5, "c").disconnect();
    let broker = broker.kill().start();
    Client::connect(&broker, Version::V5, "c").disconnect();
    broker.stop();
}

#[test]
fn several_listeners_serve_at_once() {
    let listener = "[[listener]]\naddress = \"127.0.0.1:0\"\n";
    let broker = Broker::start(&format!("{listener}name = \"one\"\n{listener}name = \"two\"\n"));
    let [one, two] = broker.addresses()[..] else { panic!("two listeners: {:?}", broker.addresses()) };
    assert_ne!(one, two);
    let [mut one, mut two] = [(one, "one"), (two, "two")].map(|(address, client_id)| {
        let mut client = Client::open(address, Version::V5);
        let connect = tidegate_tests::connect(Version::V5, client_id);
        client.send(&tidegate_mqtt::Packet::Connect(Box::new(connect)));
        assert_eq!(client.expect_connack().reason, ReasonCode::Success);
        client
    });
    one.subscribe("a", QoS::AtLeastOnce);
    two.publish("a", "x", QoS::AtLeastOnce);
    assert_eq!(one.payloads(1), ["x"]);
}

#[test]
fn a_connection_that_says_nothing_does_not_hold_the_stop_up() {
    let broker = Broker::start("");
    let _silent = Client::open(broker.address(), Version::V5);
    Client::connect(&broker, Version::V5, "c").ping(); // The silent one is accepted by now.
    broker.terminate();
    broker.wait_for_log("stopped", PATIENCE);
    assert!(!broker.log_contains("did not leave in time"));
}

#[test]
fn certificates_are_made_and_never_written_over() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("");
    let made = folder.run(&["self-signed", "--out", "certs", "localhost"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let certs = folder.path().join("certs");
    for (name, mode) in [("ca.pem", 0o644), ("ca.key", 0o600), ("server.pem", 0o644), ("server.key", 0o600)] {
        let mode_of = fs::metadata(certs.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode_of, mode, "{name}");
    }
    let authority = fs::read(certs.join("ca.pem")).unwrap();
    let client = folder.run(&["self-signed", "--out", "certs", "--client", "alice"]);
    assert_eq!(client.code, Some(0), "{client:?}");
    assert!(certs.join("alice.pem").is_file());
    assert_eq!(fs::read(certs.join("ca.pem")).unwrap(), authority, "one authority signs both");
    let again = folder.run(&["self-signed", "--out", "certs"]);
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.join("\n").contains("server.key is there already; remove it"), "{again:?}");
    let outside = folder.run(&["self-signed", "--out", "certs", "--client", "../alice"]);
    assert_eq!(outside.code, Some(1), "{outside:?}");
}

#[test]
fn certificates_that_were_made_let_in_whom_they_name_and_nobody_else() {
    let folder = Folder::new(
        "allow_anonymous = false\n[[listener]]\nkind = \"tls\"\naddress = \"127.0.0.1:0\"\ncert = \"certs/server.pem\"\n\
         key = \"certs/server.key\"\nclient_ca = \"certs/ca.pem\"\nclient_cert = \"optional\"\n\
         username_from = \"common-name\"\n",
    );
    for arguments in [&["self-signed"][..], &["self-signed", "--client", "alice"]] {
        assert_eq!(folder.run(arguments).code, Some(0));
    }
    let broker = folder.start();
    let file = |name: &str| folder.path().join("certs").join(name).display().to_string();
    let (ca, cert, key) = (file("ca.pem"), file("alice.pem"), file("alice.key"));
    let message = ["-V", "mqttv5", "-q", "1", "-t", "a", "-m", "x", "--cafile", &ca];
    let alice = mosquitto_pub(&broker, &[&message[..], &["--cert", &cert, "--key", &key]].concat());
    assert_eq!(alice.code, Some(0), "{alice:?}");
    let nobody = mosquitto_pub(&broker, &message);
    assert_ne!(nobody.code, Some(0));
    assert!(nobody.stderr.join("\n").contains("Not authorized"), "{nobody:?}");
    let liar = mosquitto_pub(&broker, &[&message[..], &["-u", "alice", "-P", "x"]].concat());
    assert_ne!(liar.code, Some(0), "a name alone is worth nothing");
}

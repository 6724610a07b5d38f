//! `tidegate plugin …` and the admin socket behind it, with a running broker.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::Path,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    thread,
    time::Instant,
};
use tidegate_mqtt::{QoS, ReasonCode, Version};
use tidegate_tests::{BOTH, Broker, Client, Finished, Folder, PATIENCE, guest, plugin};

/// A broker with the stamp plugin.
fn stamped() -> Broker {
    stamped_with("")
}

fn stamped_with(config: &str) -> Broker {
    let folder = Folder::new(&format!("{config}\n[plugin.stamp.config]\ntopics = [\"t/#\"]\n"));
    folder.install_plugin("stamp", &plugin("stamp"));
    folder.start()
}

/// Runs `tidegate plugin …`.
fn run(folder: &Folder, arguments: &[&str]) -> Finished {
    folder.run(&[&["-c", "tidegate.toml", "plugin"], arguments].concat())
}

/// What it said, having done what it was told.
fn done(broker: &Broker, arguments: &[&str]) -> String {
    let Finished { stdout, stderr, code } = run(broker.folder(), arguments);
    assert_eq!((code, stderr.len()), (Some(0), 0), "{arguments:?}: {stderr:?}");
    stdout.join("\n")
}

/// Why it did not do what it was told.
fn refused(broker: &Broker, arguments: &[&str]) -> String {
    let Finished { stderr, code, .. } = run(broker.folder(), arguments);
    assert_eq!(code, Some(1), "{arguments:?}");
    stderr.join("\n")
}

/// The only plugin, as `list --json` has it.
fn listed(broker: &Broker) -> Value {
    let mut plugins: Value = serde_json::from_str(&done(broker, &["list", "--json"])).unwrap();
    plugins[0].take()
}

/// The only plugin, once it is as wanted.
fn until(broker: &Broker, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let plugin = listed(broker);
        if wanted(&plugin) {
            return plugin;
        }
        assert!(Instant::now() < deadline, "still {plugin:#}");
    }
}

fn generation_of(payload: &str) -> u64 {
    serde_json::from_str::<Value>(payload).unwrap()["stamp"]["generation"].as_u64().unwrap()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn list_shows_every_plugin() {
    let folder = Folder::new("[plugin.absent]\norder = 3\n");
    folder.install_plugin("stamp", &plugin("stamp"));
    fs::write(folder.plugin_file("broken"), "no component").unwrap();
    let broker = folder.start();
    let table = done(&broker, &["list"]);
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        lines[0],
        ["PLUGIN", "GENERATION", "STATE", "HOOKS", "CALLS", "FAULTS", "P99", "BREAKER", "SHADOW", "PROBLEM"]
    );
    assert_eq!(lines[1], ["absent", "-", "waiting", "-", "0", "0", "-", "-", "-", "-"]);
    assert_eq!(lines[2][..7], ["broken", "-", "refused", "-", "0", "0", "-"]);
    assert!(table.contains("not a WebAssembly file"), "{table}");
    assert_eq!(lines[3], ["stamp", "1", "running", "publish", "0", "0", "-", "closed", "-", "-"]);
    let json: Value = serde_json::from_str(&done(&broker, &["list", "--json"])).unwrap();
    let calls = &json[2]["calls"][0];
    assert_eq!(
        (&calls["hook"], &calls["calls"], &calls["faults"]),
        (&json!("publish"), &json!(0), &json!(0))
    );
    assert_eq!((&json[0]["order"], &json[1]["state"]), (&json!(3), &json!("refused")));
    broker.stop();
}

#[test]
fn reload_starts_a_new_generation_of_the_same_file() {
    let broker = stamped();
    assert_eq!(done(&broker, &["reload", "stamp"]), "plugin stamp: generation 2 answers");
    assert_eq!(done(&broker, &["reload"]), "plugin stamp: generation 3 answers");
    assert_eq!(listed(&broker)["generation"], 3);
    broker.folder().install_plugin("stamp", &guest("stamp-two"));
    assert_eq!(done(&broker, &["reload", "stamp"]), "plugin stamp: generation 4 answers", "without waiting");
    fs::write(broker.folder().plugin_file("stamp"), "no component").unwrap();
    let error = refused(&broker, &["reload"]);
    assert!(error.contains("plugin stamp: ") && error.contains("not a WebAssembly file"), "{error}");
    let mut client = Client::connect(&broker, Version::V5, "c");
    client.subscribe("t/#", QoS::AtLeastOnce);
    client.publish("t/a", "{}", QoS::AtLeastOnce);
    assert_eq!(generation_of(&client.accept().payload), 4);
    broker.stop();
}

#[test]
fn a_shadow_is_compared_then_promoted() {
    let broker = stamped();
    let two = guest("stamp-two");
    let said = done(&broker, &["shadow", "stamp", path(&two)]);
    assert_eq!(said, "plugin stamp: generation 2 runs beside generation 1; compared: publish");
    let mut client = Client::connect(&broker, Version::V5, "watched");
    client.subscribe("t/#", QoS::AtLeastOnce);
    for _ in 0..5 {
        client.publish("t/a", "{}", QoS::AtLeastOnce);
        assert_eq!(generation_of(&client.accept().payload), 1, "the live one decides");
    }
    // Nothing to stamp: both say the same.
    client.publish("t/a", "text", QoS::AtLeastOnce);
    client.accept();
    let seen = until(&broker, |plugin| plugin["shadow"]["hooks"][0]["compared"] == 6);
    let shadow = &seen["shadow"];
    assert_eq!((&shadow["generation"], &shadow["against"]), (&json!(2), &json!(1)));
    assert_eq!(shadow["hooks"][0], json!({"hook": "publish", "compared": 6, "differences": 5, "faults": 0}));
    let sample = &shadow["samples"][0];
    assert_eq!((&sample["client_id"], &sample["topic"]), (&json!("watched"), &json!("t/a")));
    assert!(sample["live"].as_str().unwrap().starts_with("edit(payload of "), "{sample}");
    let line = broker.wait_for_log("the shadow, generation 2, answers otherwise", PATIENCE);
    assert!(line.contains("t/a") && !line.contains("stamp\\\":"), "no payloads: {line}");
    assert!(done(&broker, &["list"]).contains("2: 5 of 6 differ"));
    let shown = done(&broker, &["shadow", "stamp"]);
    assert!(shown.contains("publish: 5 of 6 answers differ, 0 faults"), "{shown}");
    assert!(shown.contains("publish \"watched\" \"t/a\": edit(payload of "), "{shown}");

    let file = broker.folder().plugin_file("stamp");
    let said = done(&broker, &["promote", "stamp"]);
    assert!(said.starts_with("plugin stamp: generation 3 answers; "), "{said}");
    client.publish("t/a", "{}", QoS::AtLeastOnce);
    assert_eq!(generation_of(&client.accept().payload), 3);
    assert_eq!(fs::read(&file).unwrap(), fs::read(&two).unwrap(), "the next start runs it");
    assert_eq!(listed(&broker)["shadow"], Value::Null);
    assert!(refused(&broker, &["promote", "stamp"]).contains("has no shadow"));
    broker.stop();
}

#[test]
fn a_shadow_is_dropped_without_a_trace() {
    let broker = stamped();
    // Relative to whoever asks.
    fs::copy(guest("stamp-two"), broker.folder().path().join("two.wasm")).unwrap();
    done(&broker, &["shadow", "stamp", "two.wasm", "--share", "0.5"]);
    let said = done(&broker, &["shadow", "stamp", "--drop"]);
    assert_eq!(said, "plugin stamp: shadow 2 dropped; 0 of 0 answers differed");
    assert!(refused(&broker, &["shadow", "stamp", "--drop"]).contains("has no shadow"));
    assert!(refused(&broker, &["shadow", "stamp"]).contains("has no shadow"));
    let missing = refused(&broker, &["shadow", "stamp", "missing.wasm"]);
    assert!(missing.contains("missing.wasm: cannot be read"), "{missing}");
    assert_eq!(listed(&broker)["generation"], 1);
    broker.stop();
}

#[test]
fn a_rollback_under_load_loses_nothing_and_is_undone_by_another() {
    let broker = stamped();
    broker.folder().rename_plugin("stamp", &guest("stamp-two"));
    broker.wait_for_log("plugin stamp: generation 2", PATIENCE);
    let stop = AtomicBool::new(false);
    let flow = |version: Version| {
        let id = format!("{version:?}");
        let topic = format!("t/{id}");
        let mut client = Client::connect(&broker, version, &id);
        client.subscribe(&topic, QoS::AtLeastOnce);
        let mut generations = Vec::new();
        while !stop.load(SeqCst) {
            assert_eq!(client.publish(&topic, "{}", QoS::AtLeastOnce), ReasonCode::Success);
            let generation = generation_of(&client.accept().payload);
            if generations.last() != Some(&generation) {
                generations.push(generation);
            }
        }
        generations
    };
    let generations = thread::scope(|scope| {
        let flows = BOTH.map(|version| scope.spawn(move || flow(version)));
        let watch = || {
            let before = until(&broker, |plugin| plugin["calls"][0]["calls"].as_u64() > Some(0));
            let calls = before["calls"][0]["calls"].as_u64().unwrap();
            until(&broker, |plugin| plugin["calls"][0]["calls"].as_u64() > Some(calls + 100));
        };
        watch();
        let said = done(&broker, &["rollback", "stamp"]);
        assert!(said.starts_with("plugin stamp: generation 1 answers again instead of 2; "), "{said}");
        assert!(said.contains("stamp.wasm and its configuration are not those of generation 1"), "{said}");
        watch();
        assert_eq!(
            done(&broker, &["rollback", "stamp"]),
            "plugin stamp: generation 2 answers again instead of 1"
        );
        watch();
        stop.store(true, SeqCst);
        flows.map(|flow| flow.join().unwrap())
    });
    for seen in generations {
        assert_eq!(seen, [2, 1, 2], "each takes over as a whole");
    }
    broker.stop();
}

#[test]
fn what_cannot_be_done_is_said_with_a_remedy() {
    let broker = stamped();
    for command in [&["reload", "stmp"][..], &["rollback", "stmp"], &["promote", "stmp"], &["shadow", "stmp"]]
    {
        assert!(
            refused(&broker, command).contains("there is no plugin stmp; there are stamp"),
            "{command:?}"
        );
    }
    assert!(refused(&broker, &["rollback", "stamp"]).contains("no generation to go back to"));
    assert!(
        refused(&broker, &["shadow", "stamp", path(&plugin("stamp")), "--share", "2"])
            .contains("2 is not a share")
    );
    let folder = broker.stop();
    let Finished { stderr, code, .. } = run(&folder, &["list"]);
    let line = stderr.join("\n");
    assert_eq!(code, Some(1));
    assert!(
        line.contains("no broker answers at data/admin.sock; start it, or name its config with -c"),
        "{line}"
    );
}

#[test]
fn the_broker_is_found_through_its_config_even_if_that_has_a_mistake() {
    let folder = Folder::new("data_dir = \"elsewhere\"\n");
    folder.install_plugin("stamp", &plugin("stamp"));
    let broker = folder.start();
    folder.write_config("data_dir = \"elsewhere\"\nplugin_dri = \"x\"\n");
    assert_eq!(listed(&broker)["name"], "stamp");
    let without = folder.run(&["plugin", "list"]);
    assert!(without.stderr.join("\n").contains("no broker answers at data/admin.sock"), "{without:?}");
    broker.stop();
}

#[test]
fn a_second_broker_on_the_same_data_folder_is_refused() {
    let broker = stamped();
    let second = broker.folder().run(&["-c", "tidegate.toml"]);
    assert_eq!(second.code, Some(1));
    let line = second.stderr.last().unwrap();
    assert!(line.contains("data_dir") && line.contains("another broker uses it"), "{line}");
    assert_eq!(listed(&broker)["generation"], 1, "the first one is as it was");
    let folder = broker.stop();
    assert!(!folder.data_dir().join("admin.sock").exists());

    // What a killed one left is taken over.
    let folder = folder.start().kill();
    assert!(folder.data_dir().join("admin.sock").exists());
    let broker = folder.start();
    assert_eq!(listed(&broker)["generation"], 1);
    broker.stop();
}

#[test]
fn the_socket_is_for_its_owner_and_speaks_json_lines() {
    let broker = stamped();
    let socket = broker.folder().data_dir().join("admin.sock");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let mut stream = UnixStream::connect(&socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap()).lines();
    let mut ask = |request: &str| -> Value {
        writeln!(stream, "{request}").unwrap();
        serde_json::from_str(&answers.next().unwrap().unwrap()).unwrap()
    };
    let list = ask(r#"{"tidegate":1,"command":"plugin-list"}"#);
    assert_eq!((&list["tidegate"], &list["plugins"][0]["name"]), (&json!(1), &json!("stamp")));
    let reload = ask(r#"{"tidegate":1,"command":"plugin-reload","plugin":"stamp"}"#);
    assert_eq!(reload, json!({"tidegate": 1, "said": ["plugin stamp: generation 2 answers"]}));
    assert!(ask("nonsense")["error"].as_str().unwrap().contains("not a request"));
    assert!(
        ask(r#"{"tidegate":7,"command":"plugin-list"}"#)["error"].as_str().unwrap().contains("version 1")
    );
    // Somebody who only listens holds nobody up.
    let _silent = UnixStream::connect(&socket).unwrap();
    assert_eq!(listed(&broker)["generation"], 2);
    broker.stop();
}

#[test]
fn every_number_is_told_as_open_metrics_and_has_its_line_in_the_docs() {
    let broker = stamped_with("workers = 1");
    let mut client = Client::connect(&broker, Version::V5, "c");
    client.publish("t/a", "{}", QoS::AtLeastOnce);
    client.publish("t/a", "{}", QoS::AtLeastOnce);
    let Finished { stdout, stderr, code } = broker.folder().run(&["-c", "tidegate.toml", "metrics"]);
    assert_eq!((code, stderr.len()), (Some(0), 0), "{stderr:?}");
    let value = |series: &str| stdout.iter().find_map(|line| line.strip_prefix(series)).map(str::trim);
    assert_eq!(value("tidegate_clients_connected "), Some("1"));
    assert_eq!(value("tidegate_publish_messages_received_total "), Some("2"));
    let of_hook = "{plugin=\"stamp\",hook=\"publish\"";
    assert_eq!(value(&format!("tidegate_hook_calls_total{of_hook}}} ")), Some("2"));
    assert_eq!(value(&format!("tidegate_hook_verdicts_total{of_hook},verdict=\"edit\"}} ")), Some("2"));
    // The first of the worker's calls is timed.
    let timed = format!("tidegate_hook_seconds_bucket{{le=\"+Inf\",{}}} ", &of_hook[1..]);
    assert_eq!(value(&timed), Some("1"));
    assert_eq!(value("tidegate_plugin_generation{plugin=\"stamp\"} "), Some("1"));
    assert_eq!(stdout.last().map(String::as_str), Some("# EOF"));
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let text = fs::read_to_string(docs).unwrap();
    let families: Vec<&str> = stdout.iter().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    assert!(families.len() > 30, "{families:?}");
    for family in families {
        let (name, kind) = family.split_once(' ').unwrap();
        let name = if kind == "counter" { format!("{name}_total") } else { name.to_owned() };
        assert!(text.contains(&format!("| `{name}` |")), "docs/metrics.md says nothing of {name}");
    }
    broker.stop();
}

#[test]
fn a_plugins_own_metrics_are_told_too() {
    let broker = obedient();
    let mut client = Client::connect(&broker, Version::V5, "c");
    client.publish("do/metrics/count", "{\"name\":\"seen\",\"delta\":3}", QoS::AtLeastOnce);
    client.publish("do/metrics/gauge", "{\"name\":\"level\",\"value\":1.5}", QoS::AtLeastOnce);
    client.publish("do/metrics/observe", "{\"name\":\"took\",\"value\":0.02}", QoS::AtLeastOnce);
    let text = broker.folder().run(&["-c", "tidegate.toml", "metrics"]).stdout.join("\n");
    assert!(text.contains("plugin_seen_total{plugin=\"every-hook\"} 3"), "{text}");
    assert!(text.contains("plugin_level{plugin=\"every-hook\"} 1.5"), "{text}");
    assert!(text.contains("plugin_took_count{plugin=\"every-hook\"} 1"), "{text}");
    broker.stop();
}

/// A broker with the guest that does what messages tell it.
fn obedient() -> Broker {
    let folder = Folder::new(
        "[plugin.every-hook]\nrequired = true\ngrants.publish = [\"#\"]\n[plugin.every-hook.config]\n\
         authenticate = [{ verdict = \"grant\" }]\nacl = [{ topic = \"#\", verdict = \"allow\" }]\n",
    );
    folder.install_plugin("every-hook", &guest("every-hook"));
    folder.start()
}

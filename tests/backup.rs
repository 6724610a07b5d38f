//! `tidegate store backup`: a copy of what a broker stores while it goes on, and what it is worth.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::{fs::PermissionsExt, net::UnixListener},
    sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    thread,
    time::Instant,
};
use tidegate_mqtt::{QoS::AtLeastOnce, QoS::ExactlyOnce, Version::V5};
use tidegate_tests::{Broker, Client, Folder, PATIENCE, guest};

fn command(folder: &Folder, arguments: &[&str]) -> (Option<i32>, String) {
    let ended = folder.run(&[&["-c", "tidegate.toml", "store"], arguments].concat());
    (ended.code, [ended.stdout, ended.stderr].concat().join("\n"))
}

/// What a command that must fail says.
fn refused(folder: &Folder, arguments: &[&str]) -> String {
    let (code, said) = command(folder, arguments);
    assert_eq!(code, Some(1), "{arguments:?}: {said}");
    said
}

fn session(broker: &Broker, client_id: &str) -> (Client, bool) {
    Client::connect_session(broker, V5, client_id, false)
}

/// A session that is subscribed and whose client is away.
fn away(broker: &Broker, client_id: &str, filter: &str) {
    let (mut client, _) = session(broker, client_id);
    client.subscribe(filter, ExactlyOnce);
    client.disconnect();
}

/// Until the other threads are so far.
fn until(number: &AtomicU64, at_least: u64) {
    let deadline = Instant::now() + PATIENCE;
    while number.load(SeqCst) < at_least {
        assert!(Instant::now() < deadline, "still {}", number.load(SeqCst));
        thread::yield_now();
    }
}

/// A folder into which this copy was read.
fn imported(copy: &str) -> Folder {
    let folder = Folder::new("");
    fs::write(folder.path().join("copy.jsonl"), copy).unwrap();
    let (code, said) = command(&folder, &["import", "copy.jsonl"]);
    assert!(code == Some(0) && said.contains("records read"), "{said}");
    folder
}

/// The last message for all that wait.
const END: &str = "end";

fn publish_end(broker: &Broker) {
    Client::connect(broker, V5, "ends").publish("a", END, AtLeastOnce);
}

/// What waits for a session before the end, in order.
fn waiting(broker: &Broker, client_id: &str) -> Vec<String> {
    let (mut client, present) = session(broker, client_id);
    assert!(present, "{client_id}");
    std::iter::repeat_with(|| client.accept().payload).take_while(|payload| payload != END).collect()
}

/// A broker on a copy, after the end of all that waits.
fn restored(copy: &str) -> Broker {
    let broker = imported(copy).start();
    publish_end(&broker);
    broker
}

/// Tells threads to stop, also if the test fails.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

fn retained(broker: &Broker, topic: &str) -> String {
    let mut client = Client::connect(broker, V5, "reader");
    client.subscribe(topic, ExactlyOnce);
    let message = client.accept();
    assert!(message.retain);
    message.payload
}

#[test]
fn a_backup_under_load_has_all_that_was_acknowledged_before_and_is_of_one_moment() {
    let broker = Broker::start("");
    for client_id in ["one", "two", "live"] {
        away(&broker, client_id, "a");
    }
    Client::connect(&broker, V5, "before").publish_retained("kept", "before", AtLeastOnce);
    let (acknowledged, received, stop) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let padding = "x".repeat(2_000);
    let backups: Vec<(u64, String)> = thread::scope(|scope| {
        scope.spawn(|| {
            let mut publisher = Client::connect(&broker, V5, "load");
            for number in 0_u64.. {
                publisher.publish("a", &format!("{number} {padding}"), AtLeastOnce);
                publisher.publish_retained("last", &number.to_string(), AtLeastOnce);
                acknowledged.store(number + 1, SeqCst);
                if stop.load(SeqCst) {
                    break;
                }
            }
            publisher.publish("a", END, AtLeastOnce);
        });
        // What is delivered goes from the store, all the time.
        scope.spawn(|| {
            let (mut live, _) = session(&broker, "live");
            while live.accept().payload != END {
                received.fetch_add(1, SeqCst);
            }
        });
        let _stops = Stops(&stop);
        let backups = (1..=3).map(|round: u64| {
            until(&acknowledged, round * 100);
            until(&received, round * 50);
            let before = acknowledged.load(SeqCst);
            let file = format!("copy-{round}.jsonl");
            let (code, said) = command(broker.folder(), &["backup", &file]);
            assert!(code == Some(0) && said.contains("records written"), "{said}");
            (before, fs::read_to_string(broker.folder().path().join(file)).unwrap())
        });
        let backups = backups.collect();
        // The broker goes on.
        until(&acknowledged, acknowledged.load(SeqCst) + 50);
        backups
    });
    broker.stop();

    let mut last = 0;
    for (before, copy) in backups {
        let folder = imported(&copy);
        assert_eq!(command(&folder, &["check"]), (Some(0), "ok".to_owned()));
        let broker = folder.start();
        publish_end(&broker);
        let one = waiting(&broker, "one");
        let two = waiting(&broker, "two");
        let messages = u64::try_from(one.len()).unwrap();
        assert!(messages >= before.max(last), "{messages} of {before}");
        last = messages;
        for (number, payload) in one.iter().enumerate() {
            assert_eq!(payload.split_once(' ').unwrap().0, number.to_string());
        }
        assert!(one == two, "one commit gave it to both");
        // Published after the message and before the next one.
        let number: u64 = retained(&broker, "last").parse().unwrap();
        assert!(number + 1 == messages || number + 2 == messages, "{number} of {messages}");
        assert_eq!(retained(&broker, "kept"), "before");
        let live = waiting(&broker, "live");
        assert!(
            one.ends_with(&live),
            "what was delivered does not come back, and nothing is missing behind it"
        );
        broker.stop();
    }
}

#[test]
fn a_backup_is_a_file_of_its_user_that_is_there_when_it_is_whole() {
    let broker = Broker::start("");
    away(&broker, "one", "a");
    Client::connect(&broker, V5, "p").publish("a", "x", AtLeastOnce);
    let folder = broker.folder();
    let file = folder.path().join("copy.jsonl");
    let (code, said) = command(folder, &["backup", "copy.jsonl"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let names = |folder: &Folder| {
        let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_str().unwrap().contains("copy")).collect::<Vec<_>>()
    };
    assert_eq!(names(folder), ["copy.jsonl"], "nothing else is left");
    let copy = fs::read_to_string(&file).unwrap();
    assert!(refused(folder, &["backup", "copy.jsonl"]).contains("copy.jsonl: is there already"));
    assert_eq!(fs::read_to_string(&file).unwrap(), copy, "nothing is written over");
    fs::write(folder.path().join("other.jsonl.partial"), "").unwrap();
    assert!(refused(folder, &["backup", "other.jsonl"]).contains("other.jsonl.partial is there"));
    // To standard output it is the same, but for the time of day.
    let ended = folder.run(&["-c", "tidegate.toml", "store", "backup", "-"]);
    assert_eq!(ended.code, Some(0), "{:?}", ended.stderr);
    assert_eq!(ended.stdout.len(), copy.lines().count());
    assert_eq!(ended.stdout.last().map(String::as_str), copy.lines().last());
    assert!(
        refused(folder, &["export", "-"]).contains("a broker uses it; `tidegate store backup` copies it")
    );
    assert_eq!(waiting(&restored(&ended.stdout.join("\n")), "one"), ["x"]);
    let stopped = broker.stop();
    let said = refused(&stopped, &["backup", "late.jsonl"]);
    assert!(said.contains("no broker answers") && said.contains("`tidegate store export`"), "{said}");
    assert_eq!(names(&stopped), ["copy.jsonl"]);
    let (code, said) = command(&stopped, &["export", "exported.jsonl"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(
        fs::metadata(stopped.path().join("exported.jsonl")).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn a_copy_whose_end_is_missing_is_refused() {
    // A broker that ends on the way, or cannot go on.
    let folder = Folder::new("");
    fs::create_dir_all(folder.data_dir()).unwrap();
    let socket = UnixListener::bind(folder.data_dir().join("admin.sock")).unwrap();
    let record = "{\"table\":\"meta\",\"key\":\"00\",\"value\":\"00\"}\n";
    let error = "{\"tidegate\":1,\"error\":\"the disk is gone\"}\n";
    for (rest, why) in [
        (String::new(), "it is not whole"),
        (record.to_owned(), "it is not whole"),
        (format!("{record}{{\"records\":2}}\n"), "it is not whole"),
        (format!("{record}{{\"records\":1}}"), "it is not whole"),
        (record[..20].to_owned(), "it is not whole"),
        (format!("{record}{error}"), "the broker broke it off: the disk is gone"),
    ] {
        for file in ["copy.jsonl", "-"] {
            let (socket, answer) = (socket.try_clone().unwrap(), format!("{{\"tidegate\":1}}\n{rest}"));
            thread::spawn(move || {
                let (mut stream, _) = socket.accept().unwrap();
                let mut request = String::new();
                BufReader::new(&stream).read_line(&mut request).unwrap();
                assert_eq!(request, "{\"tidegate\":1,\"command\":\"store-backup\"}\n");
                stream.write_all(answer.as_bytes()).unwrap();
            });
            let said = refused(&folder, &["backup", file]);
            assert!(said.contains(why), "{rest:?}: {said}");
            assert!(!said.contains("records\":1}"), "nothing says that it is whole: {said}");
        }
        for name in ["copy.jsonl", "copy.jsonl.partial"] {
            assert!(!folder.path().join(name).exists(), "{name} after {rest:?}");
        }
    }
    drop(socket);

    let broker = Broker::start("");
    away(&broker, "one", "a");
    let copy = broker.folder().run(&["-c", "tidegate.toml", "store", "backup", "-"]).stdout;
    let folder = Folder::new("");
    for cut in [&copy[..0], &copy[..1], &copy[..copy.len() - 1], &copy[1..]] {
        fs::write(folder.path().join("cut.jsonl"), cut.join("\n")).unwrap();
        let said = refused(&folder, &["import", "cut.jsonl"]);
        assert!(said.contains("cut.jsonl: it ends after"), "{said}");
    }
    // Nothing is left of them.
    fs::write(folder.path().join("copy.jsonl"), copy.join("\n")).unwrap();
    let (code, said) = command(&folder, &["import", "copy.jsonl"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(session(&folder.start(), "one").1);
}

#[test]
fn what_is_in_memory_can_be_backed_up_and_what_a_plugin_keeps_cannot() {
    let broker = Broker::start("[store]\nengine = \"memory\"\n");
    away(&broker, "one", "a");
    Client::connect(&broker, V5, "p").publish("a", "x", AtLeastOnce);
    let copy = broker.folder().run(&["-c", "tidegate.toml", "store", "backup", "-"]).stdout;
    assert_eq!(waiting(&restored(&copy.join("\n")), "one"), ["x"]);

    let folder = Folder::new("[store]\nengine = \"plugin\"\nplugin = \"store-memory\"\n");
    folder.install_plugin("store-memory", &guest("store-memory"));
    let broker = folder.start();
    let said = refused(broker.folder(), &["backup", "copy.jsonl"]);
    assert!(said.contains("back up the place where it keeps its records"), "{said}");
    assert!(!folder.path().join("copy.jsonl").exists());
}

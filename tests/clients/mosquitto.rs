//! Mosquitto's clients. Version 2.0 of them knows no WebSocket.

use super::{
    certificates,
    site::{BURST, LARGE, Site, Transport, run_each},
};
use std::{fs, process::Command};
use tidegate_tests::{Finished, PATIENCE, Process};

on_each_site!(scenarios: over_tcp Tcp, over_tls Tls, over_unix Unix);

fn scenarios(site: &Site) {
    run_each(
        site,
        &[
            ("QoS 0, 1 and 2 round trips", round_trips),
            ("bursts", bursts),
            ("retained messages", retained),
            ("wills", wills),
            ("resumed sessions with queued messages", resumed_sessions),
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
                // Not those from the broker: mosquitto_sub takes a message without a topic name for an error.
                ("topic aliases to the broker", aliases_to_the_broker),
            ],
        );
    }
    if site.is_secure() {
        run_each(site, &[("client certificates", client_certificates)]);
    }
}

/// How lines with messages begin.
const MARK: &str = "MESSAGE ";
/// Topic, QoS, retain, payload.
const MESSAGE: &str = "%t %q %r %p";

fn round_trips(site: &Site) {
    for qos in ["0", "1", "2"] {
        for payload in ["one", "two words", "{}"] {
            let sub = subscribe(site, MESSAGE, &["-q", "2", "-t", "round/+", "-C", "1"]);
            publish(site, &["-q", qos, "-t", "round/trip", "-m", payload]);
            assert_eq!(messages(sub), [format!("round/trip {qos} 0 {payload}")]);
        }
    }
}

/// More at once than may be open.
fn bursts(site: &Site) {
    for qos in ["1", "2"] {
        let count = BURST.to_string();
        let sub = subscribe(site, MESSAGE, &["-q", qos, "-t", "burst", "-C", &count]);
        publish(site, &["-q", qos, "-t", "burst", "-m", "x", "--repeat", &count]);
        assert_eq!(messages(sub), vec![format!("burst {qos} 0 x"); BURST]);
    }
}

fn retained(site: &Site) {
    publish(site, &["-r", "-q", "1", "-t", "kept/end", "-m", "end"]);
    for qos in ["0", "1", "2"] {
        let there = subscribe(site, MESSAGE, &["-q", "2", "-t", "kept", "-C", "1"]);
        publish(site, &["-r", "-q", qos, "-t", "kept", "-m", qos]);
        assert_eq!(
            messages(there),
            [format!("kept {qos} 0 {qos}")],
            "who was subscribed is not told of RETAIN"
        );
        let mut got = messages(subscribe(site, MESSAGE, &["-q", "2", "-t", "kept/#", "-C", "2"]));
        got.sort();
        assert_eq!(got, [format!("kept {qos} 1 {qos}"), "kept/end 1 1 end".to_owned()]);
        publish(site, &["-r", "-q", "1", "-t", "kept", "-n"]);
    }
    let got = messages(subscribe(site, MESSAGE, &["-q", "2", "-t", "kept/#", "-C", "1"]));
    assert_eq!(got, ["kept/end 1 1 end"], "an empty message clears what is retained");
}

fn wills(site: &Site) {
    let format = if site.is_v5() { "%t %q %r %p %P" } else { MESSAGE };
    let told = if site.is_v5() { " cause:cut" } else { "" };
    for qos in ["0", "1", "2"] {
        let witness = subscribe(site, format, &["-q", "2", "-t", "will/#", "-C", "1"]);
        let topic = format!("will/{qos}");
        let will = |payload| ["--will-topic", &topic, "--will-qos", qos, "--will-payload", payload];
        // It leaves with the first message, and with DISCONNECT.
        let leaves = subscribe(site, MESSAGE, &[&["-t", "leave", "-C", "1"][..], &will("never")].concat());
        publish(site, &["-q", "1", "-t", "leave", "-m", "now"]);
        assert_eq!(messages(leaves), ["leave 0 0 now"]);
        let properties: &[&str] =
            if site.is_v5() { &["-D", "will", "user-property", "cause", "cut"] } else { &[] };
        let mut killed = subscribe(site, MESSAGE, &[&["-t", "x"][..], &will("lost"), properties].concat());
        killed.kill();
        assert_eq!(messages(witness), [format!("{topic} {qos} 0 lost{told}")]);
    }
}

fn resumed_sessions(site: &Site) {
    let kept: &[&str] = if site.is_v5() { &["-x", "3600"] } else { &[] };
    let session = [&["-c", "-i", "sleeper", "-q", "2", "-t", "sleep"][..], kept].concat();
    // It subscribes, and leaves with the first message.
    let sub = subscribe(site, MESSAGE, &[&session[..], &["-C", "1"]].concat());
    publish(site, &["-q", "1", "-t", "sleep", "-m", "first"]);
    assert_eq!(messages(sub), ["sleep 1 0 first"]);
    for (qos, payload) in [("1", "a"), ("2", "b"), ("1", "c"), ("2", "d")] {
        publish(site, &["-q", qos, "-t", "sleep", "-m", payload]);
    }
    let sub = subscribe(site, MESSAGE, &[&session[..], &["-C", "5"]].concat());
    publish(site, &["-q", "1", "-t", "sleep", "-m", "live"]);
    let got = messages(sub);
    // A message at QoS 2 is shown when it is released, after those at QoS 1 that were sent behind it.
    for (qos, expected) in [(1, &["a", "c", "live"][..]), (2, &["b", "d"])] {
        let mark = format!("sleep {qos} 0 ");
        let seen: Vec<&str> = got.iter().filter_map(|line| line.strip_prefix(&mark)).collect();
        assert_eq!(seen, expected, "{got:?}");
    }
}

fn shared_subscriptions(site: &Site) {
    // Each leaves when it has what is its share in turn: a message too many for one is one that another waits for.
    let members: Vec<Process> =
        (0..3).map(|_| subscribe(site, MESSAGE, &["-q", "1", "-t", "$share/crew/work", "-C", "4"])).collect();
    let other = subscribe(site, MESSAGE, &["-q", "1", "-t", "$share/spare/work", "-C", "12"]);
    let sent: Vec<String> = (10..22).map(|n| format!("work 1 0 {n}")).collect();
    for n in 10..22 {
        publish(site, &["-q", "1", "-t", "work", "-m", &n.to_string()]);
    }
    assert_eq!(messages(other), sent, "the other group gets all");
    let mut got: Vec<String> = members.into_iter().flat_map(messages).collect();
    got.sort();
    assert_eq!(got, sent, "each message to one member");
}

fn large_payloads(site: &Site) {
    let payload = "abcdefgh".repeat(LARGE / 8);
    let file = site.file("payload");
    fs::write(&file, &payload).unwrap();
    for qos in ["0", "1", "2"] {
        let sub = subscribe(site, MESSAGE, &["-q", "2", "-t", "large", "-C", "1"]);
        publish(site, &["-q", qos, "-t", "large", "-f", file.to_str().unwrap()]);
        let got = messages(sub).concat();
        let start: String = got.chars().take(40).collect();
        assert!(got == format!("large {qos} 0 {payload}"), "QoS {qos}: {} bytes, {start}…", got.len());
    }
}

fn properties(site: &Site) {
    let format = "%P | %C | %F | %R | %D";
    let told = ["user-property a 1", "user-property b 2", "user-property a 3", "content-type text/plain"];
    let more = ["payload-format-indicator 1", "response-topic answer", "correlation-data token"];
    for qos in ["0", "1", "2"] {
        let sub = subscribe(site, format, &["-q", "2", "-t", "told", "-C", "1"]);
        let mut arguments = vec!["-q", qos, "-t", "told", "-m", "x"];
        for property in told.iter().chain(&more) {
            arguments.extend(["-D", "publish"]);
            arguments.extend(property.split(' '));
        }
        publish(site, &arguments);
        assert_eq!(messages(sub), ["a:1 b:2 a:3 | text/plain | 1 | answer | token"]);
    }
}

fn requests(site: &Site) {
    let responder = subscribe(site, "%R %D %p", &["-q", "1", "-t", "service", "-C", "1"]);
    let mut requester = command(site, "mosquitto_rr");
    requester.args(["-q", "1", "-t", "service", "-e", "answers/1", "-m", "question"]);
    requester.args(["-D", "publish", "correlation-data", "token", "-F", "%t %D %p"]);
    requester.args(["-W", &PATIENCE.as_secs().to_string()]);
    let requester = Process::start(&mut requester);
    let [request] = &messages(responder)[..] else { panic!("one request") };
    assert_eq!(request, "answers/1 token question");
    let (to, rest) = request.split_once(' ').unwrap();
    let (token, _) = rest.split_once(' ').unwrap();
    publish(site, &["-q", "1", "-t", to, "-m", "answer", "-D", "publish", "correlation-data", token]);
    let Finished { stdout, stderr, code } = requester.finish();
    assert_eq!((code, &stdout[..]), (Some(0), &["answers/1 token answer".to_owned()][..]), "{stderr:?}");
}

/// The client's own: it ends the connection if more are open.
fn receive_maximum(site: &Site) {
    let arguments = ["-D", "connect", "receive-maximum", "2", "-q", "2", "-t", "slow", "-C", "50"];
    let sub = subscribe(site, MESSAGE, &arguments);
    publish(site, &["-q", "2", "-t", "slow", "-m", "x", "--repeat", "50"]);
    assert_eq!(messages(sub), vec!["slow 2 0 x"; 50]);
}

fn aliases_to_the_broker(site: &Site) {
    for qos in ["0", "1", "2"] {
        let sub = subscribe(site, MESSAGE, &["-q", "2", "-t", "alias", "-C", "3"]);
        // The first has the name, the others the alias only.
        let alias = ["-D", "publish", "topic-alias", "32"];
        let repeat = ["-q", qos, "-t", "alias", "-m", "x", "--repeat", "3"];
        publish(site, &[&repeat[..], &alias].concat());
        assert_eq!(messages(sub), vec![format!("alias {qos} 0 x"); 3]);
    }
}

fn client_certificates(site: &Site) {
    let port = site.mutual_port().to_string();
    let (certificate, key) = certificates::CLIENT;
    let (certificate, key) = (site.file(certificate), site.file(key));
    let known = ["--cert", certificate.to_str().unwrap(), "--key", key.to_str().unwrap()];
    let message = ["-h", "localhost", "-p", &port, "-q", "1", "-t", "certified", "-m", "x"];
    let sub = subscribe(site, MESSAGE, &["-q", "1", "-t", "certified", "-C", "1"]);
    let finished = run(site, "mosquitto_pub", &message);
    assert_ne!(finished.code, Some(0), "a client without a certificate is let in");
    publish(site, &[&message[..], &known].concat());
    assert_eq!(messages(sub), ["certified 1 0 x"]);
}

fn publish(site: &Site, arguments: &[&str]) {
    let Finished { stdout, stderr, code } = run(site, "mosquitto_pub", arguments);
    let said = [stdout, stderr].concat().join("\n");
    assert_eq!(code, Some(0), "mosquitto_pub {}:\n{said}", arguments.join(" "));
    // A broken connection is tried again and ends well, but is said.
    assert!(!said.contains("rror"), "mosquitto_pub {}:\n{said}", arguments.join(" "));
}

fn run(site: &Site, program: &str, arguments: &[&str]) -> Finished {
    Process::start(command(site, program).args(arguments)).finish()
}

/// Starts `mosquitto_sub` and waits until it is subscribed.
fn subscribe(site: &Site, format: &str, arguments: &[&str]) -> Process {
    let (patience, format) = (PATIENCE.as_secs().to_string(), format!("{MARK}{format}"));
    let mut command = command(site, "mosquitto_sub");
    command.args(["-d", "-W", &patience, "-F", &format]).args(arguments);
    let sub = Process::start(&mut command);
    sub.stdout().wait_for("Subscribed (mid:", PATIENCE);
    sub
}

/// Line buffered, so that what it says is seen when it says it.
fn command(site: &Site, program: &str) -> Command {
    let mut command = Command::new("stdbuf");
    command.args(["-oL", program, "-V", if site.is_v5() { "mqttv5" } else { "mqttv311" }]);
    if site.transport == Transport::Unix {
        command.arg("--unix").arg(site.socket());
    } else {
        command.args(["-h", "127.0.0.1", "-p", &site.port().to_string()]);
    }
    if site.is_secure() {
        command.arg("--cafile").arg(site.file(certificates::CA));
    }
    command
}

/// Waits until a `mosquitto_sub` has what `-C` asked for; its messages, in order.
fn messages(sub: Process) -> Vec<String> {
    let Finished { stdout, stderr, code } = sub.finish();
    assert_eq!(code, Some(0), "mosquitto_sub:\n{}\n{}", stdout.join("\n"), stderr.join("\n"));
    stdout.iter().filter_map(|line| line.strip_prefix(MARK)).map(str::to_owned).collect()
}

//! A crowd connects at once, and an auth plugin asks an HTTP server about each.

use std::{
    collections::{BTreeSet, VecDeque},
    net::TcpStream,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    thread::{scope, sleep},
    time::{Duration, Instant},
};
use tidegate_mqtt::{Packet, QoS, ReasonCode, Version};
use tidegate_tests::{BOTH, Backend, Broker, Client, Folder, PATIENCE, Question, connect, guest};

/// How long the server takes.
const LATENCY: Duration = Duration::from_millis(200);

/// A broker whose plugin lets in whom the server says yes to; `pair-…` without a question.
fn broker(backend: &Backend, limits: &str) -> Broker {
    let origin = backend.origin();
    let folder = Folder::new(&format!(
        r##"
        limits.connect_timeout = "100s"
        [plugin.every-hook]
        required = true
        grants.http = ["{origin}"]
        [plugin.every-hook.limits]
        memory = "16MiB"
        auth_timeout = "100s"
        http_timeout = "100s"
        http_concurrent = 1000
        {limits}
        [plugin.every-hook.config]
        authenticate = [
            {{ client = "pair-", verdict = "grant" }},
            {{ if_backend = "{origin}", verdict = "grant" }},
            {{ verdict = "refuse", code = 0x86 }},
        ]
        acl = [{{ topic = "#", verdict = "allow", filter = "#", ttl_ms = 600000 }}]
        "##
    ));
    folder.install_plugin("every-hook", &guest("every-hook"));
    folder.start()
}

/// Messages that a client has packet identifiers for.
const MOST: u64 = 60_000;

/// Opens a connection and says CONNECT, without waiting.
fn begin(broker: &Broker, id: &str, version: Version) -> Client {
    let mut client = Client::open(broker.address(), version);
    client.send(&Packet::Connect(Box::new(connect(version, id))));
    client
}

/// Ends what goes on until it is told to, also when the test has failed.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// Two clients that exchange messages for as long as the crowd comes in.
struct Pair(Client, Client);

impl Pair {
    /// They have exchanged one already: what they may do is known.
    fn new(broker: &Broker) -> Self {
        let mut subscriber = Client::connect(broker, Version::V5, "pair-subscriber");
        subscriber.subscribe("pair", QoS::AtLeastOnce);
        let mut pair = Self(Client::connect(broker, Version::V5, "pair-publisher"), subscriber);
        pair.exchange(0);
        pair
    }

    fn exchange(&mut self, n: u64) {
        let payload = n.to_string();
        assert_eq!(self.0.publish("pair", &payload, QoS::AtLeastOnce), ReasonCode::Success);
        assert_eq!(self.1.accept().payload, payload, "lost, doubled or out of order");
    }

    /// How many messages there were until then, and at least one.
    fn exchange_until(mut self, stop: &AtomicBool) -> u64 {
        let mut n = 1;
        while n == 1 || (n < MOST && !stop.load(SeqCst)) {
            self.exchange(n);
            n += 1;
        }
        self.1.expect_nothing();
        n
    }
}

#[test]
fn a_thousand_come_in_at_once_and_nobody_else_notices() {
    const CROWD: usize = 1000;
    let backend = Backend::start();
    let broker = broker(&backend, "concurrent = 1000\nwaiting = 1000");
    let pair = Pair::new(&broker);
    let stop = AtomicBool::new(false);
    let (exchanged, asked) = scope(|scope| {
        let going_on = Stop(&stop);
        let exchanging = scope.spawn(|| pair.exchange_until(&stop));
        let answering = scope.spawn(|| {
            let mut asked = BTreeSet::new();
            for _ in 0..CROWD {
                let question = backend.asked();
                asked.insert(question.path().to_owned());
                sleep((question.since() + LATENCY).saturating_duration_since(Instant::now()));
                assert!(question.answer(200));
            }
            asked
        });
        let version = |n: usize| BOTH[n % BOTH.len()];
        let mut crowd: Vec<Client> =
            (0..CROWD).map(|n| begin(&broker, &format!("c{n}"), version(n))).collect();
        for client in &mut crowd {
            assert_eq!(client.expect_connack().reason, ReasonCode::Success);
        }
        drop(going_on);
        let done = (exchanging.join().unwrap(), answering.join().unwrap());
        crowd.iter_mut().for_each(Client::ping);
        done
    });
    assert_eq!(asked.len(), CROWD, "each was asked about once");
    println!("{CROWD} clients came in, {exchanged} messages meanwhile");
    assert!(backend.asked_already().is_none());
}

/// Whether the broker has said anything to it, or closed.
fn is_answered(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let peeked = stream.peek(&mut [0; 1]);
    stream.set_nonblocking(false).unwrap();
    peeked.is_ok()
}

#[test]
fn those_for_whom_there_is_no_place_to_wait_are_refused_and_the_rest_comes_in() {
    const AT_ONCE: usize = 20;
    const WAITING: usize = 30;
    const CROWD: usize = 100;
    let backend = Backend::start();
    let broker = broker(&backend, "concurrent = 20\nwaiting = 30");
    let pair = Pair::new(&broker);
    let stop = AtomicBool::new(false);
    scope(|scope| {
        let going_on = Stop(&stop);
        let exchanging = scope.spawn(|| pair.exchange_until(&stop));
        let mut crowd: Vec<Client> =
            (0..CROWD).map(|n| begin(&broker, &format!("c{n}"), BOTH[n % BOTH.len()])).collect();
        let mut questions: VecDeque<Question> = (0..AT_ONCE).map(|_| backend.asked()).collect();
        // Nobody is answered yet: whoever hears something is refused.
        let deadline = Instant::now() + PATIENCE;
        let mut refused = Vec::new();
        while refused.len() < CROWD - AT_ONCE - WAITING {
            assert!(Instant::now() < deadline, "{} are refused", refused.len());
            sleep(Duration::from_millis(5));
            let (answered, left) = crowd.into_iter().partition(|client| is_answered(&client.stream()));
            crowd = left;
            refused.extend::<Vec<Client>>(answered);
        }
        for mut client in refused {
            // "Come again", and before MQTT 5 "server unavailable".
            let reason = client.expect_connack().reason;
            assert!([ReasonCode::ServerBusy, ReasonCode::ServerUnavailable].contains(&reason), "{reason:?}");
            client.expect_closed();
        }
        assert!(!crowd.iter().any(|client| is_answered(&client.stream())));
        assert!(backend.asked_already().is_none(), "no more at once than may be");
        // Each that is done makes room for one that waits.
        for n in 0..AT_ONCE + WAITING {
            assert!(questions.pop_front().unwrap().answer(200));
            if n < WAITING {
                questions.push_back(backend.asked());
            }
        }
        for client in &mut crowd {
            assert_eq!(client.expect_connack().reason, ReasonCode::Success);
        }
        assert_eq!(crowd.len(), AT_ONCE + WAITING);
        drop(going_on);
        exchanging.join().unwrap();
    });
    assert!(!broker.log_contains("breaker open"), "too many at once are not the plugin's fault");
    // There is room again.
    let mut late = begin(&broker, "late", Version::V5);
    assert!(backend.asked().answer(200));
    assert_eq!(late.expect_connack().reason, ReasonCode::Success);
    // The server's no is a no, and not a fault.
    let mut stranger = begin(&broker, "stranger", Version::V5);
    assert!(backend.asked().answer(404));
    stranger.expect_refused(ReasonCode::BadUserNameOrPassword);
}

//! Callers and a candidate of native code.

use super::*;
use std::sync::{Barrier, mpsc};
use tidegate_hooks::FaultKind;
use tidegate_mqtt::{QoS, SessionId};

/// Waits for each call to be let through.
struct Slow {
    calls: Arc<AtomicU64>,
    wait: parking_lot::Mutex<mpsc::Receiver<()>>,
}

impl Hooks for Slow {
    fn kinds(&self) -> HookKinds {
        HookKinds { publish: true, publish_batch: true, ..HookKinds::default() }
    }

    fn on_publish<'a>(&'a self, _: &'a PublishRequest<'a>) -> Reply<'a, Result<PublishVerdict, HookFailed>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        // Ends with the test at the latest.
        _ = self.wait.lock().recv();
        Reply::Now(Ok(PublishVerdict::Next))
    }

    fn on_publish_batch<'a>(
        &'a self,
        requests: &'a [PublishRequest<'a>],
    ) -> Reply<'a, Result<Vec<PublishVerdict>, HookFailed>> {
        let verdict = |request: &PublishRequest<'_>| match request.topic {
            "accepted" => PublishVerdict::Accept,
            _ => PublishVerdict::Next,
        };
        Reply::Now(Ok(requests.iter().map(verdict).collect()))
    }
}

struct Live;

impl Hooks for Live {
    fn kinds(&self) -> HookKinds {
        HookKinds { publish: true, publish_batch: true, ..HookKinds::default() }
    }

    fn on_publish<'a>(
        &'a self,
        request: &'a PublishRequest<'a>,
    ) -> Reply<'a, Result<PublishVerdict, HookFailed>> {
        Reply::Now(match request.topic {
            "fails" => Err(HookFailed { plugin: "live".into(), kind: FaultKind::Deadline }),
            _ => Ok(PublishVerdict::Next),
        })
    }
}

fn message(topic: &str) -> PublishRequest<'_> {
    PublishRequest {
        session: SessionId(7),
        client_id: "client",
        username: None,
        topic,
        qos: QoS::AtMostOnce,
        retain: false,
        payload: &[1; 64],
        properties: None,
        attributes: &tidegate_hooks::NO_ATTRIBUTES,
        origin: None,
    }
}

/// A shadow, what lets its candidate's calls through, and how many came to it.
fn shadow() -> (Shadow, mpsc::Sender<()>, Arc<AtomicU64>) {
    let (let_through, wait) = mpsc::channel();
    let share = Share::new(1.0).unwrap();
    let about = About { plugin: "p".into(), generation: 2, file: "two.wasm".into(), share };
    let calls = Arc::new(AtomicU64::new(0));
    let candidate = Slow { calls: calls.clone(), wait: wait.into() };
    (Shadow::start(about, Member::new("p", Arc::new(candidate))).unwrap(), let_through, calls)
}

fn until_compared(shadow: &Shadow, answers: u64) -> ShadowReport {
    loop {
        let report = shadow.comparing().report();
        if report.compared() >= answers {
            return report;
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_candidate_that_stands_still_slows_nobody_and_what_it_misses_is_counted() {
    let (shadow, let_through, _) = shadow();
    let hooks = shadow.beside(Arc::new(Live), 1);
    let begin = Barrier::new(4);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                begin.wait();
                for _ in 0..1000 {
                    assert!(matches!(hooks.on_publish(&message("x")), Reply::Now(Ok(PublishVerdict::Next))));
                }
            });
        }
    });
    // One may be in the candidate's hands.
    let left_out = shadow.comparing().report().left_out;
    assert!((2975..=2976).contains(&left_out), "{left_out}");
    for _ in 0..4000 - left_out {
        let_through.send(()).unwrap();
    }
    let report = until_compared(&shadow, 4000 - left_out);
    assert_eq!((report.differences(), report.compared() + report.left_out), (0, 4000));
    // There is room again.
    _ = hooks.on_publish(&message("fails"));
    let_through.send(()).unwrap();
    let report = until_compared(&shadow, 4001 - left_out);
    assert_eq!(report.samples[0].live, "fault(deadline passed)");
}

#[test]
fn large_messages_are_bounded_by_their_bytes() {
    let (shadow, _let_through, _) = shadow();
    let hooks = shadow.beside(Arc::new(Live), 1);
    let payload = vec![0; 1 << 20];
    for _ in 0..20 {
        _ = hooks.on_publish(&PublishRequest { payload: &payload, ..message("x") });
    }
    let left_out = shadow.comparing().report().left_out;
    assert!((4..=5).contains(&left_out), "{left_out}");
}

#[test]
fn messages_of_a_batch_are_compared_one_by_one() {
    let (shadow, _let_through, _) = shadow();
    let hooks = shadow.beside(Arc::new(Live), 1);
    _ = hooks.on_publish_batch(&[message("a"), message("accepted"), message("b")]);
    let report = until_compared(&shadow, 3);
    assert_eq!(report.hooks[0].differences, 1);
    let Difference { topic, live, candidate, .. } = &report.samples[0];
    assert_eq!((topic.as_deref(), &**live, &**candidate), (Some("accepted"), "next", "accept"));
}

#[test]
fn what_waits_is_of_no_interest_once_the_live_generation_or_the_shadow_is_another() {
    let (shadow, let_through, calls) = shadow();
    let first = shadow.beside(Arc::new(Live), 1);
    for _ in 0..10 {
        _ = first.on_publish(&message("x"));
    }
    let second = shadow.beside(Arc::new(Live), 3);
    _ = second.on_publish(&message("fails"));
    let_through.send(()).unwrap();
    let_through.send(()).unwrap();
    while shadow.comparing().report().differences() == 0 {
        std::thread::yield_now();
    }
    // One of the first ten may have been in the candidate's hands already.
    assert!((1..=2).contains(&calls.load(Ordering::Relaxed)));

    for _ in 0..10 {
        _ = second.on_publish(&message("x"));
    }
    drop((shadow, first, second));
    // Until the candidate is gone.
    while let_through.send(()).is_ok() {
        std::thread::yield_now();
    }
    // Two were let through, and one more may have been in the candidate's hands.
    assert!(calls.load(Ordering::Relaxed) <= 3);
}

#[test]
fn a_share_is_spread_evenly() {
    let share = Share::new(0.3).unwrap();
    for begin in [0, 10, 1_000_000] {
        assert_eq!((begin..begin + 10).filter(|n| share.includes(*n)).count(), 3);
    }
    assert!((0..100).all(|n| Share::new(1.0).unwrap().includes(n)));
    assert!(Share::new(0.0).is_none() && Share::new(1.1).is_none() && Share::new(f64::NAN).is_none());
}

//! A candidate beside the live generation, and what becomes of it.

use crate::{
    guests, logs,
    place::{Place, generation},
};
use std::{fs, time::Duration};
use tidegate_hooks::{Action, PublishOutcome};
use tidegate_plugin_host::{ControlError, PluginHost, ShadowReport};

/// What the shadow of the only plugin has shown once that many answers were compared.
async fn compared(host: &PluginHost, answers: u64) -> ShadowReport {
    let look = async {
        loop {
            let shadow = host.reports().remove(0).shadow.unwrap();
            if shadow.compared() + shadow.left_out >= answers {
                return shadow;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), look)
        .await
        .unwrap_or_else(|_| panic!("{:#?}", host.reports()))
}

#[tokio::test]
async fn answers_are_compared_and_not_used() {
    let place = Place::with("shade.wasm", &guests::publish("one"));
    place.write("two", guests::publish("two"));
    let host = place.start().await;
    let started = host.control().shadow("shade", place.path("two"), 1.0).await.unwrap();
    assert_eq!(started.to_string(), "plugin shade: generation 2 runs beside generation 1; compared: publish");
    for topic in ["e", "x", "e", "s", "t"] {
        _ = place.publish(topic).await;
    }
    assert_eq!(place.edited("e").await, "one");
    let seen = compared(&host, 6).await;
    assert_eq!((seen.generation, seen.against, seen.left_out), (2, 1, 0));
    let counts = seen.hooks[0];
    assert_eq!((counts.hook, counts.compared, counts.differences, counts.faults), ("publish", 6, 3, 1));
    let sample = &seen.samples[0];
    assert_eq!((sample.topic.as_deref(), &*sample.client_id), (Some("e"), "client"));
    assert_eq!((&*sample.live, &*sample.candidate), ("edit(topic \"one\")", "edit(topic \"two\")"));
    assert_eq!(logs::lines("plugin shade: the shadow, generation 2, answers otherwise").len(), 3);

    let dropped = host.control().drop_shadow("shade").await.unwrap();
    assert_eq!(dropped.to_string(), "plugin shade: shadow 2 dropped; 3 of 6 answers differed");
    assert!(host.reports()[0].shadow.is_none());
    assert_eq!(host.reports()[0].calls[0].calls, 6, "the live generation's own calls");
    assert_eq!(place.edited("e").await, "one");
    let none = host.control().drop_shadow("shade").await.unwrap_err();
    assert!(none.to_string().contains("`tidegate plugin shadow shade FILE`"), "{none}");
}

#[tokio::test]
async fn a_candidate_that_fails_harms_nobody() {
    let place = Place::with("p.wasm", &guests::next());
    place.write("bad", guests::publish("two"));
    let host = place.start().await;
    host.control().shadow("p", place.path("bad"), 1.0).await.unwrap();
    for topic in ["t", "l", "g", "w", "t", "t", "t", "t"] {
        assert!(matches!(place.publish(topic).await, Ok(PublishOutcome::Unchanged)));
    }
    let seen = compared(&host, 8).await;
    assert_eq!((seen.differences(), seen.hooks[0].faults), (8, 8));
    assert!(seen.samples[0].candidate.starts_with("fault(trap: "), "{:?}", seen.samples[0]);
    let report = host.reports().remove(0);
    assert_eq!((report.generation, report.calls[0].faulty()), (1, 0), "its breaker is its own");
}

#[tokio::test]
async fn every_decision_is_compared() {
    let place = Place::with("p.wasm", &guests::access());
    place.write("same", guests::access());
    place.write("other", guests::next());
    let host = place.start().await;
    host.control().shadow("p", place.path("same"), 1.0).await.unwrap();
    assert!(place.authenticate("gina").await.is_ok());
    assert!(place.authenticate("rob").await.is_err());
    for topic in ["a/b", "d/b", "z"] {
        place.authorize(Action::Publish, topic).await.unwrap();
    }
    let seen = compared(&host, 5).await;
    assert_eq!((seen.compared(), seen.differences()), (5, 0), "{seen:#?}");
    let hooks: Vec<_> = seen.hooks.iter().map(|counts| (counts.hook, counts.compared)).collect();
    assert_eq!(hooks, [("auth", 2), ("acl", 3)]);

    // One with other hooks decides nothing, and there is nothing to compare.
    let other = host.control().shadow("p", place.path("other"), 1.0).await.unwrap();
    assert_eq!(
        other.to_string(),
        "plugin p: generation 3 runs beside generation 1; they have no hook in common, so nothing is compared; not \
         compared, since only one of them has it: auth, acl, publish"
    );
    assert!(place.authenticate("gina").await.is_ok());
    assert!(matches!(place.publish("x").await, Ok(PublishOutcome::Unchanged)));
    assert_eq!(host.reports()[0].calls.len(), 2);
}

#[tokio::test]
async fn a_share_of_the_calls_is_compared() {
    let place = Place::with("p.wasm", &guests::publish("one"));
    place.write("two", guests::publish("two"));
    let host = place.start().await;
    host.control().shadow("p", place.path("two"), 0.25).await.unwrap();
    for _ in 0..100 {
        place.publish("e").await.unwrap();
    }
    assert_eq!(compared(&host, 25).await.compared(), 25);
    for share in [0.0, -1.0, 1.5, f64::NAN] {
        let error = host.control().shadow("p", place.path("two"), share).await.unwrap_err();
        assert!(matches!(error, ControlError::Share(_)), "{error}");
    }
}

#[tokio::test]
async fn what_a_candidate_does_stays_in_its_box() {
    let place = Place::with("p.wasm", &guests::publish("one")).table("p", "grants.kv = '1KiB'");
    place.write("two", guests::publish("two"));
    let host = place.start().await;
    assert_eq!(place.edited("k").await, "1");
    host.control().shadow("p", place.path("two"), 1.0).await.unwrap();
    assert_eq!(place.edited("k").await, "2");
    compared(&host, 1).await;
    assert_eq!(place.edited("k").await, "3", "it counts for itself");
}

#[tokio::test]
async fn a_promoted_candidate_answers_and_stays() {
    let place = Place::with("p.wasm", &guests::publish("one"));
    let two = guests::publish("two");
    place.write("two", &two);
    let host = place.start().await;
    let control = host.control();
    assert!(matches!(control.promote("p").await.unwrap_err(), ControlError::NoShadow { .. }));
    control.shadow("p", place.path("two"), 1.0).await.unwrap();
    // It is what was shadowed that is promoted.
    place.write("two", "something else by now");
    let promoted = control.promote("p").await.unwrap();
    assert_eq!((promoted.generation, &promoted.not_written), (3, &None));
    let report = host.reports().remove(0);
    assert_eq!((report.generation, report.previous, report.shadow), (3, Some(1), None));
    assert_eq!(place.edited("e").await, "two");
    assert_eq!(place.edited("S").await, "left-one", "the state went from one to the next");
    assert_eq!(fs::read(place.path("p.wasm")).unwrap(), two);
    assert_eq!(control.rollback("p").await.unwrap().to, 1);
    assert_eq!(place.edited("e").await, "one");
    host.stop().await;
    let host = place.start().await;
    assert_eq!(place.edited("e").await, "two", "the next start runs it");
    host.stop().await;
}

#[tokio::test]
async fn a_candidate_is_promoted_even_if_its_file_cannot_be_written() {
    let place = Place::with("p.wasm", &guests::publish("one"));
    place.write("two", guests::publish("two"));
    // In the way of what is written.
    fs::create_dir(place.path(".p.promoted")).unwrap();
    let host = place.start().await;
    host.control().shadow("p", place.path("two"), 1.0).await.unwrap();
    let promoted = host.control().promote("p").await.unwrap();
    assert!(promoted.not_written.is_some());
    let said = promoted.to_string();
    assert!(said.contains("p.wasm could not be written") && said.contains("the next start runs the old one"));
    assert_eq!(place.edited("e").await, "two");
    assert!(host.reports()[0].problem.as_ref().unwrap().contains("could not be written"));
}

#[tokio::test]
async fn a_file_that_is_no_good_is_no_shadow() {
    let place = Place::with("p.wasm", &guests::publish("one"));
    place.write("bad", guests::publish("bad"));
    let host = place.start().await;
    for (file, why) in
        [("bad", "init failed: bad"), ("absent", "cannot be read"), ("p.wasm/x", "cannot be read")]
    {
        let error = host.control().shadow("p", place.path(file), 1.0).await.unwrap_err().to_string();
        assert!(error.contains(file) && error.contains(why), "{error}");
    }
    assert!(host.reports()[0].shadow.is_none());
    place.write("p.wasm", guests::publish("two"));
    generation(&host, "p", 2).await;
}

#[tokio::test]
async fn a_shadow_goes_on_beside_the_next_generation() {
    let place = Place::with("p.wasm", &guests::publish("one"));
    place.write("shadow", guests::publish("two"));
    let host = place.start().await;
    host.control().shadow("p", place.path("shadow"), 1.0).await.unwrap();
    place.publish("e").await.unwrap();
    assert_eq!(compared(&host, 1).await.differences(), 1);
    place.write("p.wasm", guests::publish("two"));
    generation(&host, "p", 3).await;
    place.publish("e").await.unwrap();
    let seen = compared(&host, 1).await;
    assert_eq!((seen.against, seen.compared(), seen.differences()), (3, 1, 0), "counted anew");
    fs::remove_file(place.path("p.wasm")).unwrap();
    crate::place::until(&host, <[_]>::is_empty).await;
}

//! Calls of all hooks: answers, faults, limits, imports.

use crate::{guests, logs, place::Place};
use std::time::{Duration, Instant};
use tidegate_hooks::{Action, Authorization, PublishOutcome};
use tidegate_mqtt::ReasonCode;

#[tokio::test]
async fn a_message_passes_is_edited_refused_or_swallowed() {
    let place = Place::with("p.wasm", &guests::publish("one"));
    let host = place.start().await;
    assert!(matches!(place.publish("x").await, Ok(PublishOutcome::Unchanged)));
    assert!(matches!(place.publish("s").await, Ok(PublishOutcome::Swallowed)));
    assert_eq!(place.edited("e").await, "one");
    let refusal = place.publish("r").await.unwrap_err();
    assert_eq!(refusal.code, ReasonCode::NotAuthorized);
    assert!(refusal.fault.is_none());
    let calls = host.reports()[0].calls.clone();
    assert_eq!((calls[0].hook, calls[0].calls, calls[0].faulty()), ("publish", 4, 0));
}

#[tokio::test]
async fn a_faulty_instance_is_replaced_at_once() {
    let place = Place::with("p.wasm", &guests::publish("one"));
    let host = place.start().await;
    for topic in ["t", "g", "l"] {
        assert_eq!(place.edited("n").await, "1", "a new instance");
        let began = Instant::now();
        let fault = place.fault(topic).await;
        let took = began.elapsed();
        match topic {
            "l" => {
                assert_eq!(fault, "deadline passed");
                assert!(took >= Duration::from_millis(9) && took < Duration::from_millis(500), "{took:?}");
            }
            "g" => assert!(fault.contains("memory beyond 64MiB was denied"), "{fault}"),
            _ => assert!(fault.contains("unreachable"), "{fault}"),
        }
    }
    assert_eq!(place.edited("n").await, "1");
    let calls = host.reports()[0].calls.clone();
    assert_eq!((calls[0].calls, calls[0].faulty()), (7, 3));
}

#[tokio::test]
async fn an_answer_outside_the_contract_is_a_fault_that_names_the_field() {
    let place = Place::with("p.wasm", &guests::publish("one"));
    let _host = place.start().await;
    assert!(place.fault("w").await.contains("edit.topic: a topic name cannot contain"));
    assert!(place.fault("q").await.contains("edit.qos: 3"));
    assert!(place.fault("R").await.contains("refuse: 0x00"));
    assert_eq!(place.edited("n").await, "4", "the instance itself is sound");
}

#[tokio::test]
async fn a_fault_may_be_passed_over_where_the_operator_says_so() {
    let place = Place::with("p.wasm", &guests::publish("one")).table("p", "on_fault = 'next'");
    let _host = place.start().await;
    assert!(matches!(place.publish("t").await, Ok(PublishOutcome::Unchanged)));
}

#[tokio::test]
async fn five_faults_open_the_breaker_and_it_is_logged() {
    let place = Place::with("breaks.wasm", &guests::publish("one"));
    let _host = place.start().await;
    for _ in 0..5 {
        assert!(place.fault("t").await.starts_with("trap"));
    }
    assert_eq!(place.fault("x").await, "breaker open");
    let lines = logs::lines("plugin breaks: too many faults, breaker open");
    assert_eq!(lines.len(), 1);
    assert!(lines[0].contains("unreachable") && lines[0].contains("generation=1"), "{}", lines[0]);
}

#[tokio::test]
async fn fields_come_where_the_scope_wants_them() {
    let place = Place::with("p.wasm", &guests::next_with_all_fields());
    let host = place.start().await;
    assert!(matches!(place.publish("x").await, Ok(PublishOutcome::Unchanged)));
    let scope = host.reports()[0].scopes[0].clone();
    assert_eq!(scope.wants, ["payload", "client-id", "username", "properties"]);
    assert_eq!(scope.filters, None);
}

#[tokio::test]
async fn the_operator_narrows_a_hook_to_topics() {
    let place = Place::with("p.wasm", &guests::publish("one")).table("p", "scopes.publish = ['e/+']");
    let host = place.start().await;
    assert_eq!(place.edited("e/x").await, "one");
    assert!(matches!(place.publish("e").await, Ok(PublishOutcome::Unchanged)));
    assert_eq!(host.reports()[0].calls[0].calls, 1);
}

#[tokio::test]
async fn guests_read_the_payload_and_their_configuration() {
    let place = Place::with("p.wasm", &guests::publish("one")).table("p", "config.greeting = 'good-day'");
    let _host = place.start().await;
    assert_eq!(place.edited("p").await, "hello");
    assert_eq!(place.edited("C").await, "good-day");
}

#[tokio::test]
async fn kv_is_denied_unless_granted_and_outlives_generations() {
    let place = Place::with("p.wasm", &guests::publish("one"));
    let host = place.start().await;
    assert_eq!(place.edited("k").await, "denied");
    host.configure([("p".to_owned(), toml::from_str("grants.kv = '1KiB'").unwrap())].into());
    let report = crate::place::generation(&host, "p", 2).await;
    assert_eq!(report.grants, ["kv 1KiB"]);
    assert_eq!(place.edited("k").await, "1");
    assert_eq!(place.edited("k").await, "2");
    host.configure([("p".to_owned(), toml::from_str("grants.kv = '2KiB'").unwrap())].into());
    crate::place::generation(&host, "p", 3).await;
    assert_eq!(place.edited("k").await, "3");
}

#[tokio::test]
async fn log_lines_bear_name_and_generation_and_are_bounded() {
    let place = Place::with("talks.wasm", &guests::publish("hear-me")).table("talks", "limits.log_lines = 3");
    let _host = place.start().await;
    for _ in 0..10 {
        place.publish("L").await.unwrap();
    }
    let lines = logs::lines("hear-me");
    assert!((3..=6).contains(&lines.len()), "{lines:?}");
    assert!(lines[0].contains("INFO plugin: hear-me plugin=\"talks\" generation=1"), "{}", lines[0]);
}

#[tokio::test]
async fn a_single_instance_keeps_its_state_and_threads_take_turns() {
    let place = Place::with("p.wasm", &guests::publish("one")).table("p", "limits.instances = 1");
    let _host = place.start().await;
    let chain = place.registry.chain_full();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                runtime.block_on(async {
                    place.publish("x").await.unwrap();
                    place.publish("x").await.unwrap();
                });
            });
        }
    });
    drop(chain);
    assert_eq!(place.edited("n").await, "9");
}

#[tokio::test]
async fn access_is_allowed_denied_or_passed_on() {
    let place = Place::with("p.wasm", &guests::access());
    let host = place.start().await;
    assert_eq!(host.reports()[0].hooks, ["auth", "acl"]);
    assert_eq!(place.authorize(Action::Publish, "a/b").await.unwrap(), Authorization::Allowed);
    assert_eq!(place.authorize(Action::Subscribe, "a/+").await.unwrap(), Authorization::Allowed);
    assert_eq!(place.authorize(Action::Publish, "d/b").await.unwrap(), Authorization::Denied);
    assert_eq!(place.authorize(Action::Publish, "z").await.unwrap(), Authorization::Denied, "nobody decided");
    let fault = place.authorize(Action::Publish, "x").await.unwrap_err().to_string();
    assert!(fault.contains("allow.filter"), "{fault}");
    assert!(place.authorize(Action::Publish, "t").await.is_err());
    assert_eq!(place.authorize(Action::Publish, "a/b").await.unwrap(), Authorization::Allowed);
}

#[tokio::test]
async fn a_client_is_granted_refused_or_passed_on() {
    let place = Place::with("p.wasm", &guests::access());
    let _host = place.start().await;
    let granted = place.authenticate("gina").await.unwrap();
    assert_eq!(&*granted.client_id, "granted");
    assert_eq!(granted.attributes.get("team"), Some("blue"));
    assert_eq!(granted.expires, Some(Duration::from_secs(60)));
    assert!(!granted.permissions.rules().is_empty());
    let refusal = place.authenticate("rob").await.unwrap_err();
    assert_eq!(refusal.refusal.code, ReasonCode::BadUserNameOrPassword);
    assert!(refusal.fault.is_none());
    assert!(place.authenticate("nobody").await.unwrap_err().by.is_none());
    let fault = place.authenticate("bad").await.unwrap_err().fault.unwrap().to_string();
    assert!(fault.contains("grant.rules"), "{fault}");
    assert!(place.authenticate("tom").await.unwrap_err().fault.unwrap().to_string().contains("unreachable"));
    assert!(place.authenticate("gina").await.is_ok());
}

#[tokio::test]
async fn a_slow_hash_holds_neither_the_thread_nor_the_hot_hooks() {
    // One thread for everything: what did not give way would be seen.
    let place = Place::with("p.wasm", &guests::access());
    let _host = place.start().await;
    let slow = place.authenticate("slow");
    tokio::pin!(slow);
    let mut meanwhile = 0;
    let slow = loop {
        tokio::select! {
            biased;
            done = &mut slow => break done,
            () = tokio::task::yield_now() => {
                assert_eq!(place.authorize(Action::Publish, "a/b").await.unwrap(), Authorization::Allowed);
                meanwhile += 1;
            }
        }
    };
    assert!(slow.unwrap_err().fault.is_none());
    assert!(meanwhile >= 10, "{meanwhile}");
}

#[tokio::test]
async fn authentication_is_bounded_in_time_and_number() {
    let table = "limits = { concurrent = 1, waiting = 1, auth_timeout = '100ms' }";
    let place = Place::with("p.wasm", &guests::access()).table("p", table);
    let _host = place.start().await;
    let fault = |refused: Result<_, tidegate_hooks::AuthRefusal>| {
        refused.unwrap_err().fault.unwrap().kind.to_string()
    };
    let (one, two, three) =
        tokio::join!(place.authenticate("loop"), place.authenticate("gina"), place.authenticate("gina"));
    assert_eq!(fault(one), "deadline passed");
    assert_eq!(fault(three), "too many calls waiting");
    // The second waited as long as the first worked.
    assert!(two.is_ok() || fault(two) == "too many calls waiting");
    assert!(place.authenticate("gina").await.is_ok());
}

#[tokio::test]
async fn a_call_whose_caller_left_ends_its_instance_only() {
    let place = Place::with("p.wasm", &guests::access()).table("p", "limits.concurrent = 1");
    let _host = place.start().await;
    let left = tokio::time::timeout(Duration::from_millis(20), place.authenticate("loop")).await;
    assert!(left.is_err());
    assert!(place.authenticate("gina").await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_init_is_slow_no_caller_waits_for_it() {
    let place = Place::with("p.wasm", &guests::publish("lazy"));
    let _host = place.start().await;
    let fault = place.fault("t").await;
    assert!(fault.starts_with("trap"), "{fault}");
    assert_eq!(place.edited("n").await, "1", "by another instance, made beforehand");
}

#[tokio::test]
async fn an_old_instance_is_replaced_and_a_single_one_hands_its_state_on() {
    let place = Place::with("p.wasm", &guests::publish("one")).table("p", "limits.instances = 1");
    let host = place.start().await;
    assert_eq!(place.edited("n").await, "1");
    // Every call of the first instance but its last.
    for _ in 1..999_999 {
        place.publish("x").await.unwrap();
    }
    assert!(place.publish("S").await.unwrap_err().fault.is_some(), "no state: an empty topic");
    assert_eq!(place.edited("S").await, "left-one");
    assert_eq!(place.edited("n").await, "2");
    assert_eq!(host.reports()[0].calls[0].calls, 1_000_002);
}

//! What a start waits for, and what holds up what.

use crate::{
    guests, logs,
    place::{Place, generation, until},
};
use tidegate_plugin_host::{PluginState, WaitFor};

#[tokio::test]
async fn a_start_waits_for_those_named_and_nothing_passes_the_others_unasked() {
    let mut place = Place::with("slow.wasm", &guests::slow_to_compile())
        .table("slow", "scopes.publish = ['e/+']")
        .table("needed", "required = true");
    for name in ["needed.wasm", "named.wasm", "other.wasm"] {
        place.write(name, guests::next());
    }
    place.wait_for = WaitFor::Named(["named".to_owned(), "absent".to_owned()].into());
    let (host, reports) = place.try_start().await.unwrap();
    let report = |name: &str| reports.iter().find(|report| report.name == name).unwrap();
    assert_eq!(report("named").state, PluginState::Running);
    assert_eq!(report("needed").state, PluginState::Running);
    assert_eq!(
        (&report("slow").state, &report("slow").hooks[..]),
        (&PluginState::Starting, &["publish"][..])
    );
    assert_eq!(place.fault("e/x").await, "no instance: still starting");
    assert!(host.when_up(["other".to_owned(), "named".to_owned()]).await);
    assert!(place.publish("elsewhere").await.is_ok(), "the operator narrowed it");
    assert_eq!(place.fault("e/x").await, "no instance: still starting");
    let slow = host.when_up(["slow".to_owned()]);
    host.stop().await;
    assert!(!slow.await, "it never was");
}

#[tokio::test]
async fn a_plugin_that_turns_out_bad_leaves_what_it_would_forbid_forbidden() {
    let place = Place::with("guard.wasm", &guests::access()).table("guard", "limits.memory = '1MiB'");
    let (_host, reports) = place.try_start().await.unwrap();
    assert!(matches!(reports[0].state, PluginState::Refused { .. }), "{reports:?}");
    assert!(place.registry.chain().members().is_empty());
    let allowed = place.authorize(tidegate_hooks::Action::Publish, "a/b").await.unwrap();
    assert_eq!(allowed, tidegate_hooks::Authorization::Denied);
    assert!(place.authenticate("gina").await.is_err());
}

#[tokio::test]
async fn messages_that_a_plugin_would_have_been_asked_about_fail_while_it_is_refused() {
    let place = Place::with("turned-away.wasm", &guests::next())
        .table("turned-away", "on_deliver_fault = 'drop'\nscopes.publish = ['e/+']");
    let (host, reports) = place.try_start().await.unwrap();
    assert!(matches!(reports[0].state, PluginState::Refused { .. }), "{reports:?}");
    assert_eq!(place.fault("e/x").await, "no instance: refused at the start");
    assert!(place.publish("elsewhere").await.is_ok(), "the operator narrowed it");
    // As if it had never been there.
    std::fs::remove_file(place.path("turned-away.wasm")).unwrap();
    until(&host, |reports| reports[0].state == PluginState::Waiting).await;
    assert!(place.publish("e/x").await.is_ok());
    // One that comes while messages flow was not asked before.
    place.write("turned-away.wasm", guests::next());
    until(&host, |reports| matches!(reports[0].state, PluginState::Refused { .. })).await;
    assert!(place.publish("e/x").await.is_ok());
    assert_eq!(logs::lines("plugin turned-away: what it would be asked about fails until").len(), 1);
}

#[tokio::test]
async fn a_plugin_that_compiles_holds_up_no_other_and_no_order() {
    let place = Place::with("quick.wasm", &guests::publish("one"));
    let host = place.start().await;
    place.write("quick.wasm", guests::publish("two"));
    generation(&host, "quick", 2).await;

    place.write("slow.wasm", guests::slow_to_compile());
    let starts = until(&host, |reports| reports.iter().any(|it| it.name == "slow" && it.loading)).await;
    assert_eq!(starts[1].state, PluginState::Starting);
    assert!(place.publish("x").await.is_ok(), "what comes while messages flow is not asked before it is up");
    place.write("quick.wasm", guests::publish("three"));
    generation(&host, "quick", 3).await;
    assert!(host.reports()[1].loading);

    // Another one under the same name.
    place.write("quick.wasm", guests::slow_to_compile());
    until(&host, |reports| reports[0].loading).await;
    let back = host.control().rollback("quick").await.unwrap();
    assert_eq!((back.from, back.to), (3, 2));
    assert_eq!(place.edited("e").await, "two");
    assert!(host.reports().iter().all(|report| report.loading));
    // Without waiting for the compiler.
    host.stop().await;
}

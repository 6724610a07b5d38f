//! Orders to the running plugins: reload, rollback.

use crate::{
    guests, logs,
    place::{Place, generation, until},
};
use std::fs;
use tidegate_plugin_host::ControlError;

#[tokio::test]
async fn a_reload_starts_what_lies_there_anew() {
    let place = Place::with("p.wasm", &guests::publish("one"));
    place.write("q.wasm", guests::next());
    let host = place.start().await;
    let control = host.control();
    let reloaded = control.reload("p").await.unwrap();
    assert_eq!(reloaded.to_string(), "plugin p: generation 2 answers");
    assert_eq!(host.reports()[0].generation, 2, "who has the answer sees it in the list");
    assert_eq!(place.edited("S").await, "left-one", "with the state of the one before");
    let all = control.reload_all().await.unwrap();
    let all: Vec<_> = all.into_iter().map(|reloaded| reloaded.unwrap().to_string()).collect();
    assert_eq!(all, ["plugin p: generation 3 answers", "plugin q: generation 2 answers"]);

    // What is there is taken at once, settled or not.
    place.write("p.wasm", guests::publish("two"));
    control.reload("p").await.unwrap();
    assert_eq!(place.edited("e").await, "two");
    place.write("p.wasm", b"rubbish, and no component");
    let error = control.reload("p").await.unwrap_err().to_string();
    assert!(error.starts_with("plugin p: ") && error.contains("not a WebAssembly file"), "{error}");
    assert_eq!(place.edited("e").await, "two");
}

#[tokio::test]
async fn orders_for_what_is_not_there_are_refused_with_the_names_there_are() {
    let place = Place::with("p.wasm", &guests::publish("one")).table("absent", "order = 1");
    let host = place.start().await;
    let control = host.control();
    let error = control.reload("x").await.unwrap_err();
    assert_eq!(error.to_string(), "there is no plugin x; there are absent, p");
    assert_eq!(control.rollback("x").await.unwrap_err(), error);
    assert!(matches!(control.reload("absent").await.unwrap_err(), ControlError::NoFile { .. }));
    assert_eq!(
        control.rollback("p").await.unwrap_err(),
        ControlError::NoPrevious { plugin: "p".into() },
        "there was none before"
    );
    assert_eq!(control.reload_all().await.unwrap().len(), 1);
    let file = place.path("p.wasm");
    assert!(matches!(
        control.shadow("absent", file, 1.0).await.unwrap_err(),
        ControlError::NotRunning { .. }
    ));
    let stopped = control.clone();
    host.stop().await;
    assert_eq!(stopped.reload("p").await.unwrap_err(), ControlError::Stopped);
}

#[tokio::test]
async fn a_rollback_brings_the_generation_before_back_with_its_own_state() {
    let place = Place::with("back.wasm", &guests::publish("one"));
    let host = place.start().await;
    let control = host.control();
    place.write("back.wasm", guests::publish("two"));
    generation(&host, "back", 2).await;
    assert_eq!(host.reports()[0].previous, Some(1));

    let back = control.rollback("back").await.unwrap();
    let file = place.path("back.wasm").display().to_string();
    assert_eq!(
        back.to_string(),
        format!(
            "plugin back: generation 1 answers again instead of 2; {file} and its configuration are not those of generation 1: \
             change them back, or the next start runs what lies there"
        )
    );
    assert_eq!(place.edited("e").await, "one");
    assert_eq!(place.edited("S").await, "left-one", "what it left when it went");
    let report = host.reports().remove(0);
    assert_eq!((report.generation, report.previous), (1, Some(2)));
    assert_eq!(report.problem.unwrap(), "generation 2 rolled back, back to generation 1");

    // Twice, and all is as it was.
    let again = control.rollback("back").await.unwrap();
    assert_eq!(again.to_string(), "plugin back: generation 2 answers again instead of 1");
    assert_eq!(place.edited("S").await, "left-two");
    assert_eq!(host.reports()[0].problem, None);
    assert_eq!(logs::lines("plugin back: generation 1 rolled back, back to generation 2").len(), 1);
}

#[tokio::test]
async fn what_was_rolled_back_does_not_come_again_by_itself() {
    let place = Place::with("p.wasm", &guests::publish("one"));
    let host = place.start().await;
    let control = host.control();
    let two = guests::publish("two");
    place.write("p.wasm", &two);
    generation(&host, "p", 2).await;
    control.rollback("p").await.unwrap();

    // Somebody copies the same file again.
    let mut changes = host.changes();
    changes.mark_unchanged();
    place.write("p.new", &two);
    fs::rename(place.path("p.new"), place.path("p.wasm")).unwrap();
    changes.changed().await.unwrap();
    place.write("p.wasm", guests::publish("three"));
    generation(&host, "p", 3).await;
    assert_eq!(place.edited("e").await, "three");
    assert_eq!(host.reports()[0].previous, Some(1));

    // Unless it is asked for.
    control.rollback("p").await.unwrap();
    control.reload("p").await.unwrap();
    assert_eq!(place.edited("e").await, "three");
}

#[tokio::test]
async fn a_configuration_is_rolled_back_too() {
    let place = Place::with("p.wasm", &guests::publish("one"));
    let host = place.start().await;
    place.write("p.toml", "config.greeting = 'hi'");
    generation(&host, "p", 2).await;
    let back = host.control().rollback("p").await.unwrap();
    assert!(back.file_is_other);
    assert!(place.publish("C").await.unwrap_err().fault.is_some(), "no greeting: an empty topic");
}

#[tokio::test]
async fn one_that_takes_long_to_start_is_back_at_once() {
    let place = Place::with("p.wasm", &guests::publish("lazy"));
    let host = place.start().await;
    place.write("p.wasm", guests::publish("two"));
    generation(&host, "p", 2).await;
    host.control().rollback("p").await.unwrap();
    assert_eq!(place.edited("e").await, "lazy");
    until(&host, |reports| reports[0].generation == 1).await;
}

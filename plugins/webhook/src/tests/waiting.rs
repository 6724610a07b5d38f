use super::*;
use tidegate_plugin::kv;

#[test]
fn what_waits_outlives_instances_and_generations() {
    let mut scene = Scene::new("");
    scene.answers(503);
    scene.connect(&["c1"]);
    scene.pass(SECOND);
    let id = |scene: &mut Scene| header(&scene.requests()[0], "Idempotency-Key").unwrap().to_owned();
    let first = id(&mut scene);
    scene.connect(&["c2"]);
    assert!(scene.plugin.drain().is_none());
    // As after a start of the broker: there is no timer any more.
    tidegate_plugin::timers::cancel(crate::SEND);
    scene.answers(204);
    scene.plugin = scene.host.start().unwrap();
    scene.pass(SECOND);
    assert_eq!(id(&mut scene), first);
    scene.pass(SECOND);
    assert_eq!(scene.told(), ["c2"]);
}

#[test]
fn an_empty_queue_sets_no_timer() {
    let mut scene = Scene::new("");
    assert!(kv::keys("batch/", None, 1).unwrap().is_empty());
    scene.pass(SECOND * 60);
    assert!(scene.requests().is_empty() && scene.host.logged().is_empty());
}

#[test]
fn too_many_events_push_out_the_oldest_and_the_next_batch_says_so() {
    let mut scene = Scene::new("max_batch = 2\nqueue = 4");
    scene.answers(503);
    scene.connect(&["c1"]);
    scene.pass(SECOND);
    scene.connect(&["c2", "c3", "c4", "c5", "c6"]);
    // c1, which is tried, was the oldest.
    scene.answers(204);
    scene.pass(SECOND * 10);
    assert_eq!(scene.told(), ["c1", "lost 1 c2 c3", "c4 c5", "c6"]);
    assert_eq!(scene.counted("webhook_lost"), 1);
    assert_eq!(scene.host.logged()[1].to_string(), "WARN events are lost events=1 why=too many wait");
}

#[test]
fn a_batch_that_is_under_way_is_not_pushed_out() {
    let mut scene = Scene::new("max_batch = 1\nqueue = 1");
    scene.connect(&["c1"]);
    // Another instance is told of more than there may be meanwhile.
    let mut other: Webhook = scene.host.start().unwrap();
    let mut events: Vec<_> =
        ["c2", "c3", "c4"].iter().map(|client| event(events::CONNECTED, client)).collect();
    scene.host.http(move |_| {
        other.on_events(std::mem::take(&mut events), 0);
        Ok(Response::new(204, ""))
    });
    scene.pass(SECOND * 2);
    assert_eq!(scene.told(), ["c1", "lost 2 c4"]);
    assert_eq!((scene.counted("webhook_delivered"), scene.counted("webhook_lost")), (2, 2));
}

#[test]
fn what_was_told_of_lost_events_and_lost_itself_is_told_again() {
    let mut scene = Scene::new("max_batch = 1\nqueue = 1");
    scene.answers(503);
    scene.connect(&["c1", "c2", "c3"]);
    // Tells that c1 is lost, in vain.
    scene.pass(SECOND);
    scene.connect(&["c4", "c5"]);
    scene.answers(204);
    scene.pass(SECOND * 10);
    let told = scene.told();
    assert_eq!(told.first().map(String::as_str), Some("lost 1 c2"));
    assert_eq!(told[told.len() - 2..], ["lost 3 c4", "c5"]);
    assert_eq!(scene.counted("webhook_lost"), 3);
    let lost = |line: &tidegate_plugin::testing::Line| line.text == "events are lost";
    assert_eq!(scene.host.logged().into_iter().filter(lost).count(), 2, "one line until somebody was told");
}

#[test]
fn events_that_the_broker_lost_are_told_of_too() {
    let mut scene = Scene::new("");
    scene.plugin.on_events(vec![event(events::CONNECTED, "c1")], 7);
    scene.pass(SECOND);
    scene.connect(&["c2"]);
    scene.pass(SECOND);
    assert_eq!(scene.told(), ["lost 7 c1", "c2"]);
}

#[test]
fn as_much_waits_as_kv_has_room_for() {
    let mut scene = Scene::on(Host::new().kv_room(1500), "max_batch = 2");
    scene.answers(503);
    for client in 0..20 {
        scene.connect(&[&format!("c{client}")]);
    }
    scene.answers(204);
    scene.pass(SECOND * 10);
    let told = scene.told();
    let (first, rest) = told.split_first().unwrap();
    assert_eq!(rest.last().map(String::as_str), Some("c18 c19"));
    let lost = scene.counted("webhook_lost");
    assert_eq!(lost + scene.counted("webhook_delivered"), 20);
    assert!(first.starts_with(&format!("lost {lost} c{lost} ")), "{told:?}");
}

#[test]
fn an_event_that_kv_has_no_room_for_at_all_is_lost() {
    let mut scene = Scene::on(Host::new().kv_room(400), "");
    scene.connect(&[&"x".repeat(300)]);
    assert_eq!(scene.counted("webhook_lost"), 1);
    scene.connect(&["c1"]);
    scene.pass(SECOND);
    assert_eq!(scene.told(), ["lost 1 c1"]);
}

#[test]
fn nonsense_in_kv_is_thrown_away() {
    let host = Host::new();
    kv::set("batch/0000000000000000", b"nonsense", None).unwrap();
    let mut scene = Scene::on(host, "");
    scene.connect(&["c1"]);
    scene.pass(SECOND);
    assert_eq!(scene.told(), ["c1"]);
}

#[test]
fn a_number_that_was_not_counted_is_left_alone() {
    let mut scene = Scene::new("max_batch = 1");
    scene.connect(&["c1"]);
    // As after a broker that was killed at the wrong moment.
    kv::delete("last").unwrap();
    scene.connect(&["c2"]);
    scene.pass(SECOND * 10);
    assert_eq!(scene.told(), ["c1", "c2"]);
}

#[test]
fn an_event_is_kept_once_even_if_there_is_no_room_to_count_its_batch() {
    let line = crate::line::line(&event(events::CONNECTED, "c1")).unwrap();
    let counters = 2 * (64 + 4 + 1);
    let batch = 64 + "batch/".len() + 16 + 1 + 32 + 20 + 1 + line.len() + 1;
    let host = Host::new().kv_room(counters + batch);
    // The next one has a digit more.
    kv::add("last", 9, None).unwrap();
    let mut scene = Scene::on(host, "");
    scene.connect(&["c1"]);
    scene.pass(SECOND);
    scene.connect(&["c2"]);
    scene.pass(SECOND);
    assert_eq!(scene.told(), ["c1", "c2"]);
    assert_eq!((scene.counted("webhook_delivered"), scene.counted("webhook_lost")), (2, 0));
}

use super::*;

#[test]
fn a_batch_is_sent_again_as_it_was_and_others_wait_behind_it() {
    let mut scene = Scene::new("max_batch = 2");
    scene.answers(503);
    scene.connect(&["c1"]);
    scene.pass(SECOND);
    scene.connect(&["c2", "c3", "c4"]);
    scene.pass(SECOND);
    scene.answers(204);
    scene.pass(SECOND * 10);
    let requests = scene.requests();
    let told: Vec<String> = requests.iter().map(|request| clients(request).join(" ")).collect();
    assert_eq!(told, ["c1", "c1", "c1", "c2 c3", "c4"]);
    let id = |at: usize| header(&requests[at], "Idempotency-Key").unwrap();
    assert!(id(0) == id(1) && id(1) == id(2) && id(2) != id(3));
    assert_eq!((scene.counted("webhook_failures"), scene.counted("webhook_delivered")), (2, 4));
    let lines: Vec<String> = scene.host.logged().iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "WARN events could not be delivered, they wait tries=1 seconds=1 why=status 503",
            "WARN events could not be delivered, they wait tries=2 seconds=2 why=status 503",
            "INFO the other side takes events again",
        ]
    );
}

#[test]
fn the_time_between_tries_doubles_up_to_the_longest() {
    let mut scene = Scene::new("retry_min = '2s'\nretry_max = '10s'");
    scene.fails(Error::Failed("connection refused".into()));
    scene.connect(&["c1"]);
    let mut tries = Vec::new();
    for second in 0..40 {
        scene.pass(SECOND);
        tries.extend(scene.told().iter().map(|_| second));
        // New events change nothing about it.
        scene.connect(&["c2"]);
    }
    assert_eq!(tries, [0, 2, 6, 14, 24, 34]);
}

#[test]
fn the_other_side_may_ask_for_more_time_but_not_for_ever() {
    for (wanted, waited) in [("5", 5), ("3600", 60), ("0", 1), ("soon", 1)] {
        let mut scene = Scene::new("");
        let headers = vec![("retry-after".to_owned(), wanted.to_owned())];
        *scene.answer.borrow_mut() = Ok(Response { headers, ..Response::new(429, "") });
        scene.connect(&["c1"]);
        scene.pass(SECOND);
        assert_eq!(scene.told(), ["c1"]);
        scene.pass(SECOND * waited - Duration::from_millis(1));
        assert!(scene.told().is_empty(), "{wanted}");
        scene.pass(Duration::from_millis(1));
        assert_eq!(scene.told(), ["c1"], "{wanted}");
    }
}

#[test]
fn every_error_without_a_status_is_tried_again() {
    for (error, why) in [
        (Error::Timeout, "no response in time"),
        (Error::TooLarge, "the response is larger than allowed"),
        (Error::Denied, "the origin of `url` is not granted; add it to `grants.http`"),
    ] {
        let mut scene = Scene::new("");
        scene.fails(error);
        scene.connect(&["c1"]);
        scene.pass(SECOND * 2);
        assert_eq!(scene.told(), ["c1", "c1"]);
        let line = scene.host.logged()[0].to_string();
        assert!(line.starts_with("WARN") && line.ends_with(&format!("why={why}")), "{line}");
    }
}

#[test]
fn what_is_refused_is_dropped_and_the_next_batch_goes() {
    let mut scene = Scene::new("max_batch = 1");
    scene.answers(400);
    scene.connect(&["c1", "c2"]);
    scene.pass(Duration::from_millis(10));
    scene.answers(200);
    scene.pass(SECOND);
    assert_eq!(scene.told(), ["c1", "c2"]);
    assert_eq!((scene.counted("webhook_refused"), scene.counted("webhook_delivered")), (1, 1));
    assert_eq!(
        scene.host.logged()[0].to_string(),
        "WARN events are refused, and dropped events=1 status=400"
    );
}

#[test]
fn a_call_that_comes_to_no_end_leaves_another_timer() {
    let mut scene = Scene::new("");
    scene.connect(&["c1"]);
    scene.host.http(|_| panic!("the instance is gone"));
    let call = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| scene.pass(SECOND)));
    assert!(call.is_err());
    scene.host.http(|_| Ok(Response::new(204, "")));
    assert_eq!(scene.told(), ["c1"]);
    scene.pass(SECOND * 29);
    assert!(scene.told().is_empty());
    scene.pass(SECOND);
    assert_eq!(scene.told(), ["c1"]);
}

use super::*;
use tidegate_plugin::ReasonCode;

#[test]
fn an_event_is_told_with_all_that_it_says() {
    let mut scene = Scene::new("");
    let mut first = event(events::DROPPED, "c\"1");
    first.at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
    first.reason = ReasonCode::QuotaExceeded;
    first.topic = Some("a/b".into());
    first.detail = vec![("why".into(), "queue-full".into()), ("plugin".into(), "x".into())];
    let mut second = event(events::STARTED, "");
    second.session = 0;
    scene.plugin.on_events(vec![first, second], 0);
    scene.pass(SECOND);
    let [request] = &scene.requests()[..] else { panic!("not one request") };
    assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", "http://hooks.example/a"));
    assert_eq!(request.timeout, Some(Duration::from_secs(3)));
    assert_eq!(header(request, "Content-Type"), Some("application/json"));
    assert_eq!(
        std::str::from_utf8(request.body.as_deref().unwrap()).unwrap(),
        r#"[{"kind":"dropped","at_ms":1700000000123,"client_id":"c\"1","session":1,"reason":151,"topic":"a/b","detail":{"plugin":"x","why":"queue-full"}},{"kind":"started","at_ms":0,"reason":0}]"#
    );
}

#[test]
fn lines_are_an_alternative() {
    let mut scene = Scene::new("format = 'ndjson'");
    scene.connect(&["c1", "c2"]);
    scene.pass(SECOND);
    let [request] = &scene.requests()[..] else { panic!("not one request") };
    assert_eq!(header(request, "Content-Type"), Some("application/x-ndjson"));
    let line = |client: &str| {
        format!(
            "{{\"kind\":\"connected\",\"at_ms\":0,\"client_id\":\"{client}\",\"session\":1,\"reason\":0}}\n"
        )
    };
    assert_eq!(std::str::from_utf8(request.body.as_deref().unwrap()).unwrap(), line("c1") + &line("c2"));
}

#[test]
fn url_headers_and_signature_have_secrets() {
    let host = Host::new().secret("path", "T0/B0").secret("token", "t0k3n").secret("key", "Jefe");
    let config = "url = 'http://hooks.example/${secret:path}'\nsigning_secret = 'key'\nformat = 'ndjson'
        headers = { Authorization = 'Bearer ${secret:token}', content-type = 'text/plain' }";
    let host = host.config(config);
    let mut plugin: Webhook = host.start().unwrap();
    host.http(|_| Ok(Response::new(200, "")));
    plugin.on_events(vec![event(events::CONNECTED, "c1")], 0);
    host.run_timers(&mut plugin, SECOND);
    let request = host.requested().remove(0);
    assert_eq!(request.url, "http://hooks.example/T0/B0");
    assert_eq!(header(&request, "Authorization"), Some("Bearer t0k3n"));
    assert_eq!(
        (header(&request, "content-type"), header(&request, "Content-Type")),
        (Some("text/plain"), None)
    );
    // printf '%s\n' BODY | openssl dgst -sha256 -hmac Jefe
    assert_eq!(
        header(&request, "X-Tidegate-Signature"),
        Some("sha256=13026a198dd1328f88a0d525b38e6efe8683f676e471d39b0931cd25b86b328e")
    );
}

#[test]
fn events_gather_for_a_second_from_the_first_on() {
    let mut scene = Scene::new("");
    for client in ["c1", "c2", "c3"] {
        scene.connect(&[client]);
        scene.pass(SECOND * 2 / 5);
    }
    assert_eq!(scene.told(), ["c1 c2 c3"]);
    scene.pass(SECOND * 60);
    assert!(scene.told().is_empty());
    scene.connect(&["c4"]);
    scene.pass(SECOND - Duration::from_millis(1));
    assert!(scene.told().is_empty());
    scene.pass(Duration::from_millis(1));
    assert_eq!(scene.told(), ["c4"]);
}

#[test]
fn a_full_batch_goes_at_once_and_the_rest_when_its_time_has_come() {
    let mut scene = Scene::new("max_batch = 2");
    scene.connect(&["c1"]);
    scene.connect(&["c2", "c3", "c4", "c5"]);
    scene.pass(Duration::from_millis(10));
    assert_eq!(scene.told(), ["c1 c2"]);
    scene.pass(Duration::from_millis(10));
    assert_eq!(scene.told(), ["c3 c4"]);
    scene.pass(SECOND / 2);
    assert!(scene.told().is_empty());
    scene.pass(SECOND / 2);
    assert_eq!(scene.told(), ["c5"]);
    assert_eq!(scene.counted("webhook_delivered"), 5);
    assert_eq!(scene.host.gauge("webhook_waiting_batches", &[]), Some(0.0));
}

#[test]
fn what_comes_while_a_batch_is_under_way_goes_into_the_next() {
    let mut scene = Scene::new("");
    scene.connect(&["c1"]);
    // Another instance is told of it meanwhile.
    let mut other: Webhook = scene.host.start().unwrap();
    let mut event = Some(event(events::CONNECTED, "c2"));
    scene.host.http(move |_| {
        other.on_events(event.take().into_iter().collect(), 0);
        Ok(Response::new(204, ""))
    });
    scene.pass(SECOND);
    assert_eq!(scene.told(), ["c1"]);
    scene.pass(SECOND);
    assert_eq!(scene.told(), ["c2"]);
}

#[test]
fn each_batch_has_an_identifier_of_its_own() {
    let mut scene = Scene::new("max_batch = 1");
    scene.connect(&["c1", "c2"]);
    scene.pass(SECOND);
    let requests = scene.requests();
    let ids: Vec<_> = requests.iter().map(|request| header(request, "Idempotency-Key").unwrap()).collect();
    assert!(ids.len() == 2 && ids[0] != ids[1] && ids.iter().all(|id| id.len() == 32), "{ids:?}");
}

#[test]
fn the_last_words_go_at_once() {
    let mut scene = Scene::new("max_batch = 2");
    scene.connect(&["c1", "c2"]);
    scene.plugin.on_events(vec![event(events::STOPPING, "stop")], 0);
    assert!(scene.told().is_empty(), "the call that tells of it does not wait for the other side");
    scene.pass(Duration::from_millis(20));
    assert_eq!(scene.told(), ["c1 c2", "stop"]);
    scene.pass(SECOND * 60);
    assert!(scene.told().is_empty());
}

#[test]
fn what_is_told_after_the_last_words_is_kept() {
    let mut scene = Scene::new("");
    scene.answers(503);
    scene.plugin.on_events(vec![event(events::STOPPING, "stop")], 0);
    scene.pass(Duration::from_millis(20));
    scene.plugin.on_events(vec![event(events::DISCONNECTED, "c1")], 0);
    assert_eq!(scene.told(), ["stop"]);
    // As after a start of the broker.
    tidegate_plugin::timers::cancel(crate::SEND);
    scene.answers(204);
    scene.plugin = scene.host.start().unwrap();
    scene.pass(SECOND);
    assert_eq!(scene.told(), ["stop"]);
    scene.pass(SECOND);
    assert_eq!(scene.told(), ["c1"]);
}

use super::*;
use tidegate_plugin::kv;

const LAST_GOOD: &str = "on_error = 'last_good'\n";

#[test]
fn an_allow_holds_for_a_minute_and_for_the_same_question_only() {
    let mut scene = Scene::new("");
    assert_eq!((scene.alice(), scene.alice(), scene.asked()), (granted(), granted(), 1));
    for other in [
        connect("c1", "alice", "guess"),
        connect("c1", "bob", "alice-secret"),
        connect("c2", "alice", "alice-secret"),
    ] {
        scene.plugin.authenticate(other);
        assert_eq!(scene.asked(), 1);
    }
    let mut from_elsewhere = alice();
    from_elsewhere.peer = "192.0.2.1:50001".into();
    scene.plugin.authenticate(from_elsewhere);
    assert_eq!(scene.asked(), 0, "another port is no other question");
    scene.host.advance(Duration::from_secs(60));
    scene.answers(401, "");
    assert_eq!((scene.alice(), scene.asked()), (refused(ReasonCode::BadUserNameOrPassword), 1));
    assert_eq!(
        (scene.host.counted("http_auth_calls", &[]), scene.host.counted("http_auth_hits", &[])),
        (5, 2)
    );
}

#[test]
fn a_refusal_holds_for_five_seconds() {
    for (status, body) in [(401, ""), (200, r#"{"result": "ignore"}"#)] {
        let mut scene = Scene::new("");
        let said = scene.answers(status, body).alice();
        assert_ne!(said, granted());
        scene.answers(204, "");
        assert_eq!((scene.alice(), scene.asked()), (said, 1));
        scene.host.advance(Duration::from_secs(5));
        assert_eq!((scene.alice(), scene.asked()), (granted(), 1));
    }
}

#[test]
fn with_zero_the_backend_is_asked_each_time() {
    let mut scene = Scene::new("cache = '0s'\ncache_denied = '0s'");
    assert_eq!((scene.alice(), scene.alice(), scene.asked()), (granted(), granted(), 2));
    scene.answers(401, "").alice();
    scene.alice();
    assert_eq!(scene.asked(), 2);
}

#[test]
fn what_is_kept_names_nobody() {
    let mut scene = Scene::new("");
    scene.alice();
    let keys = kv::keys("a/", None, 10).unwrap();
    assert_eq!((keys.len(), keys[0].len()), (1, 2 + 64));
    let kept = kv::get(&keys[0]).unwrap().unwrap();
    assert!(!kept.windows(5).any(|window| window == b"alice"));
    let key = kv::get("key").unwrap().unwrap();
    // Another plugin's key, so another place for the same question.
    let mut other = Scene::new("");
    other.alice();
    assert_ne!(kv::get("key").unwrap().unwrap(), key);
    assert_ne!(kv::keys("a/", None, 10).unwrap(), keys);
}

#[test]
fn all_instances_and_generations_know_what_one_has_asked() {
    let mut scene = Scene::new("");
    scene.alice();
    scene.plugin = scene.host.start().unwrap();
    assert_eq!((scene.alice(), scene.asked()), (granted(), 1));
}

#[test]
fn a_kept_grant_ends_when_it_was_said_to() {
    let mut scene = Scene::new("");
    scene.answers(200, r#"{"result": "allow", "expires_in": 30}"#).alice();
    scene.host.advance(Duration::from_secs(10));
    assert_eq!(scene.alice(), Grant::new().expires(Duration::from_secs(20)).into());
    assert_eq!(scene.asked(), 1);
    scene.host.advance(Duration::from_secs(20));
    scene.answers(401, "");
    assert_eq!((scene.alice(), scene.asked()), (refused(ReasonCode::BadUserNameOrPassword), 1));
}

#[test]
fn a_backend_that_is_down_lets_nobody_in() {
    let again = Error::Failed("connection refused".into());
    for (error, asked) in [(Error::Timeout, 2), (again, 2), (Error::TooLarge, 1), (Error::Denied, 1)] {
        let mut scene = Scene::new("");
        assert_eq!(scene.fails(error.clone()).alice(), refused(ReasonCode::ServerUnavailable), "{error}");
        assert_eq!((scene.asked(), scene.host.counted("http_auth_errors", &[])), (asked, 1), "{error}");
        scene.answers(204, "");
        assert_eq!(scene.alice(), granted(), "what is no verdict is not kept");
    }
    let mut scene = Scene::new("");
    scene.fails(Error::Denied).alice();
    assert!(scene.last_line().ends_with("why=the origin of `url` is not granted; add it to `grants.http`"));
}

#[test]
fn a_failure_is_tried_again_as_often_as_the_config_says() {
    let mut scene = Scene::new("retries = 2");
    let mut answers = vec![Ok(Response::new(204, "")), Ok(Response::new(503, "")), Err(Error::Timeout)];
    scene.host.http(move |_| answers.pop().unwrap());
    assert_eq!((scene.alice(), scene.host.requested().len()), (granted(), 3));
    let mut scene = Scene::new("retries = 0");
    scene.answers(503, "").alice();
    assert_eq!(scene.asked(), 1);
    let mut scene = Scene::new("");
    scene.answers(429, "").alice();
    assert_eq!(scene.asked(), 1, "who says that it is too much is not asked again");
}

#[test]
fn an_earlier_allow_may_stand_in_for_a_backend_that_is_down() {
    let mut scene = Scene::new(LAST_GOOD);
    let body = r#"{"result": "allow", "username": "al"}"#;
    let al = Outcome::from(Grant::new().username("al"));
    assert_eq!(scene.answers(200, body).alice(), al);
    scene.host.advance(Duration::from_secs(3599));
    assert_eq!(scene.fails(Error::Timeout).alice(), al);
    assert_eq!(
        scene.last_line(),
        "WARN no verdict, an earlier one lets in client=c1 peer=192.0.2.1:50000 seconds=3599 why=no response in time"
    );
    assert_eq!(
        scene.plugin.authenticate(connect("c1", "alice", "guess")),
        refused(ReasonCode::ServerUnavailable)
    );
    scene.host.advance(Duration::from_secs(1));
    assert_eq!(scene.alice(), refused(ReasonCode::ServerUnavailable));
}

#[test]
fn an_earlier_allow_is_asked_about_once_it_is_old_and_forgotten_when_it_is_taken_back() {
    for denied in ["cache_denied = '5s'", "cache_denied = '0s'"] {
        let mut scene = Scene::new(&(LAST_GOOD.to_owned() + denied));
        scene.alice();
        scene.host.advance(Duration::from_secs(60));
        assert_eq!(scene.answers(401, "").alice(), refused(ReasonCode::BadUserNameOrPassword));
        scene.host.advance(Duration::from_secs(5));
        assert_eq!(scene.fails(Error::Timeout).alice(), refused(ReasonCode::ServerUnavailable), "{denied}");
    }
}

#[test]
fn an_earlier_allow_that_is_over_stands_in_for_nothing() {
    let mut scene = Scene::new(LAST_GOOD);
    scene.answers(200, r#"{"result": "allow", "expires_in": 120}"#).alice();
    scene.host.advance(Duration::from_secs(119));
    assert!(matches!(scene.fails(Error::Timeout).alice(), Outcome::Grant(_)));
    scene.host.advance(Duration::from_secs(1));
    assert_eq!(scene.alice(), refused(ReasonCode::ServerUnavailable));
}

#[test]
fn without_room_the_backend_is_asked_each_time_and_one_line_says_so() {
    // Room for the key and the mark, not for an answer.
    let mut scene = Scene::on(Host::new().kv_room(64 + 3 + 32 + 64 + 4 + 8), "");
    assert_eq!((scene.alice(), scene.alice(), scene.asked()), (granted(), granted(), 2));
    scene.plugin = scene.host.start().unwrap();
    scene.alice();
    let lines: Vec<String> = scene.host.logged().iter().map(ToString::to_string).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("WARN verdicts are not kept, the backend is asked each time"), "{lines:?}");
}

#[test]
fn without_room_an_old_allow_does_not_outlive_a_new_refusal() {
    let room = 64 + 3 + 32 + 64 + 4 + 8 + 64 + 66 + 8 + 2;
    let mut scene = Scene::on(Host::new().kv_room(room), LAST_GOOD);
    scene.alice();
    scene.host.advance(Duration::from_secs(60));
    // One byte more than there is room for.
    assert_eq!(scene.answers(403, "!").alice(), refused(ReasonCode::NotAuthorized));
    assert!(kv::keys("a/", None, 1).unwrap().is_empty());
}

#[test]
fn nonsense_in_kv_is_asked_about_anew() {
    let mut scene = Scene::new("");
    scene.alice();
    let place = kv::keys("a/", None, 1).unwrap().remove(0);
    for nonsense in [&b""[..], b"too short", &[0xFF; 40]] {
        kv::set(&place, nonsense, None).unwrap();
        scene.asked();
        assert_eq!((scene.alice(), scene.asked()), (granted(), 1));
    }
    kv::set("key", b"short", None).unwrap();
    assert_eq!(scene.host.start::<HttpAuth>().err().as_deref(), Some("what lies in kv is not this plugin's"));
}

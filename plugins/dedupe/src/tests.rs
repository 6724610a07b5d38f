use crate::Dedupe;
use std::time::Duration;
use tidegate_plugin::{
    Field, Message, OnPublish, Plugin, Property, PropertyValue, ReasonCode, Scope, Verdict,
    testing::{Granted, Host, message},
};

const SECOND: Duration = Duration::from_secs(1);

fn started(config: &str) -> (Host, Dedupe) {
    let host = Host::new().config(config);
    let plugin = host.start().unwrap();
    (host, plugin)
}

/// Whether each of them passes, one after the other.
fn pass<const N: usize>(config: &str, messages: [Message; N]) -> [bool; N] {
    let (_host, mut plugin) = started(config);
    messages.map(|message| match plugin.on_publish(message) {
        Verdict::Next => true,
        Verdict::Swallow => false,
        other => panic!("{other:?}"),
    })
}

fn of(client_id: &str, topic: &str, payload: &str) -> Message {
    let mut message = message(topic, payload);
    message.client_id = Some(client_id.into());
    message
}

#[test]
fn a_message_that_came_before_is_swallowed_and_counted_until_its_time_is_over() {
    let (host, mut plugin) = started("key = 'payload'\nwindow = '10s'");
    let mut publish = || plugin.on_publish(message("a", "x"));
    assert_eq!([publish(), publish(), publish()], [Verdict::Next, Verdict::Swallow, Verdict::Swallow]);
    host.advance(9 * SECOND);
    assert_eq!(publish(), Verdict::Swallow);
    host.advance(SECOND);
    assert_eq!([publish(), publish()], [Verdict::Next, Verdict::Swallow], "repeats prolong nothing");
    assert_eq!(host.counted("dedupe_repeated", &[]), 4);
    assert_eq!(host.logged()[0].to_string(), "DEBUG came before topic=a session=1 times=2");
}

#[test]
fn the_key_tells_messages_apart() {
    let with = |property: Property, payload: &str| {
        let mut message = message("a", payload);
        message.properties = vec![property];
        message
    };
    let id = |id: &str, payload: &str| with(Property::user("message-id", id), payload);
    assert_eq!(
        pass("key = 'user-property:message-id'", [id("1", "x"), id("1", "y"), id("2", "x")]),
        [true, false, true]
    );
    let data = |data: &[u8]| with(Property { id: 0x09, value: PropertyValue::Bytes(data.into()) }, "");
    assert_eq!(pass("key = 'correlation-data'", [data(&[1]), data(&[1]), data(&[2])]), [true, false, true]);
    let json = |payload: &str| message("a", payload);
    assert_eq!(
        pass(
            "key = 'json:/id'",
            [json(r#"{"id": 1, "n": 1}"#), json(r#"{"n": 2, "id":1}"#), json(r#"{"id":"1"}"#)]
        ),
        [true, false, true]
    );
    assert_eq!(
        pass(
            "key = 'json:/id'",
            [json(r#"{"id": 12345678901234567890123}"#), json(r#"{"id": 12345678901234567890124}"#)]
        ),
        [true, true]
    );
}

#[test]
fn without_a_key_every_message_passes() {
    let plain = || message("a", "no json");
    assert_eq!(pass("key = 'json:/id'", [plain(), plain()]), [true, true]);
    assert_eq!(pass("key = 'user-property:id'", [plain(), plain()]), [true, true]);
    let sized = |bytes: usize| message("a", r#"{"id": 1}"#.to_owned() + &" ".repeat(bytes - 9));
    assert_eq!(pass("key = 'json:/id'", [sized(65_536), sized(65_536)]), [true, false]);
    assert_eq!(pass("key = 'json:/id'", [sized(65_537), sized(65_537)]), [true, true], "too large for JSON");
    assert_eq!(pass("key = 'payload'", [sized(65_537), sized(65_537)]), [true, false]);
}

#[test]
fn topics_and_clients_are_told_apart_as_configured() {
    let messages = || {
        [of("c1", "a", "x"), of("c1", "b", "x"), of("c2", "a", "x"), of("c2", "b", "x"), of("c1", "a", "x")]
    };
    for (config, expected) in [
        ("", [true, true, false, false, false]),
        ("per_topic = false", [true, false, false, false, false]),
        ("per_client = true", [true, true, true, true, false]),
        ("per_topic = false\nper_client = true", [true, false, true, false, false]),
    ] {
        assert_eq!(pass(&format!("key = 'payload'\n{config}"), messages()), expected, "{config}");
    }
    // Where one part ends and the next begins counts.
    let config = "key = 'payload'\nper_client = true";
    assert_eq!(
        pass(config, [of("c", "ab", "x"), of("bc", "a", "x"), of("c", "a", "bx")]),
        [true, true, true]
    );
}

#[test]
fn instances_know_together_and_another_key_knows_nothing() {
    let (host, mut first) = started("key = 'payload'");
    let mut second: Dedupe = host.start().unwrap();
    assert_eq!(first.on_publish(message("a", "x")), Verdict::Next);
    assert_eq!(second.on_publish(message("a", "x")), Verdict::Swallow);
    let host = host.config("key = 'topic'");
    let mut third: Dedupe = host.start().unwrap();
    assert_eq!(third.on_publish(message("a", "x")), Verdict::Next);
}

#[test]
fn what_cannot_be_looked_up_is_refused_unless_it_may_pass() {
    let verdicts = |on_error: &str| {
        let (host, mut plugin) = started(&format!("key = 'payload'\n{on_error}"));
        // Room for one.
        let host = host.kv_room(97);
        let verdicts = ["x", "y", "x"].map(|payload| plugin.on_publish(message("a", payload)));
        assert_eq!(host.counted("dedupe_errors", &[]), 1);
        let line =
            "WARN nobody knows whether a message came before topic=a why=the granted kv bytes are used up";
        assert_eq!(host.logged()[0].to_string(), line);
        verdicts
    };
    let refused = Verdict::Refuse(ReasonCode::ImplementationSpecificError);
    assert_eq!(verdicts(""), [Verdict::Next, refused, Verdict::Swallow]);
    assert_eq!(verdicts("on_error = 'pass'"), [Verdict::Next, Verdict::Next, Verdict::Swallow]);
}

#[test]
fn the_scope_is_the_configured_topics_and_what_the_key_needs() {
    let scopes = |config: &str| started(config).1.scopes();
    assert_eq!(scopes("key = 'topic'"), [Scope::publish([""; 0])]);
    assert_eq!(
        scopes("key = 'payload'\ntopics = ['a/#']\nper_client = true"),
        [Scope::publish(["a/#"]).wanting(Field::Payload).wanting(Field::ClientId)]
    );
    assert_eq!(scopes("key = 'correlation-data'"), [Scope::publish([""; 0]).wanting(Field::Properties)]);
}

#[test]
fn errors_name_the_key() {
    for (config, complaint) in [
        ("", "config: missing field `key`"),
        ("key = 'hash'", "config key `key`: \"hash\" is none of client-id, topic,"),
        ("key = 'topic'\nwindow = '0s'", "config key `window`: it must be more than nothing"),
        ("key = 'topic'\ntopics = ['a+']", "config key `topics[0]`: \"a+\" is not a topic filter"),
        (
            "key = 'topic'\non_error = 'drop'",
            "config key `on_error`: unknown variant `drop`, expected `refuse` or `pass`",
        ),
        ("key = 'topic'\nper_user = true", "config key `per_user`: unknown field `per_user`"),
    ] {
        let error = Host::new().config(config).start::<Dedupe>().err().expect(config);
        assert!(error.starts_with(complaint), "{config}:\n{error}\n{complaint}");
    }
    let without = Host::new().config("key = 'topic'").without(Granted::Kv);
    let complaint = "it needs the grant `kv`; add `grants.kv = \"16MiB\"` to its table";
    assert_eq!(without.start::<Dedupe>().err().as_deref(), Some(complaint));
}

#[test]
fn the_page_of_docs_has_a_line_for_every_key() {
    let host = Host::new();
    let keys = host.config_keys::<Dedupe>();
    assert!(keys.len() > 1, "{keys:?}");
    for key in keys {
        assert!(
            include_str!("../README.md").contains(&format!("\n| `{key}` |")),
            "README.md says nothing of {key}"
        );
    }
}

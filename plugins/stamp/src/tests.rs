use crate::{LABEL, Stamp, object::with_field};
use tidegate_plugin::{
    Edit, Field, OnPublish, Plugin, ReasonCode, Scope, Verdict,
    testing::{Host, message},
};

fn stamped(config: &str, payload: &str) -> Verdict {
    let mut plugin: Stamp = Host::new().config(config).generation(7).start().unwrap();
    plugin.on_publish(message("a", payload))
}

fn payload(payload: impl Into<Vec<u8>>) -> Verdict {
    Edit::new().payload(payload).into()
}

#[test]
fn the_stamp_names_generation_and_build() {
    let expected = format!(r#"{{"celsius":21,"stamp":{{"generation":7,"label":"{LABEL}"}}}}"#);
    assert_eq!(stamped("", r#"{"celsius":21}"#), payload(expected));
}

#[test]
fn field_and_value_are_the_operators() {
    let config = r#"
        field = "seen \"by\""
        value = "gate, generation {generation}"
    "#;
    assert_eq!(stamped(config, "{}"), payload(r#"{"seen \"by\"":"gate, generation 7"}"#));
}

#[test]
fn the_rest_of_the_text_stays_as_it_is() {
    let before = "{ \"z\" : 1.10e+2,\n\"a\": [ 12345678901234567890123, \"}\" ] } \n";
    let after = "{ \"z\" : 1.10e+2,\n\"a\": [ 12345678901234567890123, \"}\" ] ,\"s\":0} \n";
    assert_eq!(with_field(before.as_bytes(), "s", "0").as_deref(), Some(after));
}

#[test]
fn a_field_that_is_there_is_replaced_wherever_it_stands() {
    let before = r#"{"s": {"forged": 1}, "a": 1, "\u0073" :2}"#;
    assert_eq!(with_field(before.as_bytes(), "s", "0").as_deref(), Some(r#"{"s": 0, "a": 1, "\u0073" :0}"#));
}

#[test]
fn only_whole_json_objects_are_stamped() {
    for other in [
        "",
        "21",
        "[{}]",
        "\"{}\"",
        "null",
        "{",
        "{}}",
        "{} {}",
        "{\"a\":01}",
        "{\"a\":1,}",
        "{a:1}",
        "text {}",
    ] {
        assert_eq!(with_field(other.as_bytes(), "s", "0"), None, "{other}");
    }
    assert_eq!(with_field(b"{\"a\":\"\xff\"}", "s", "0"), None);
}

#[test]
fn what_is_no_object_passes_or_is_refused() {
    assert_eq!(stamped("", "21.5"), Verdict::Next);
    assert_eq!(stamped("on_other = 'refuse'", "21.5"), Verdict::Refuse(ReasonCode::PayloadFormatInvalid));
}

#[test]
fn v5_3_3_1_6_an_empty_payload_still_removes_a_retained_message() {
    assert_eq!(stamped("on_other = 'refuse'", ""), Verdict::Next);
}

#[test]
fn the_scope_is_the_configured_topics_and_all_by_default() {
    let scopes = |config: &str| Host::new().config(config).start::<Stamp>().unwrap().scopes();
    assert_eq!(scopes(""), [Scope::publish(Vec::<String>::new()).wanting(Field::Payload)]);
    assert_eq!(scopes("topics = ['a/#', 'b']"), [Scope::publish(["a/#", "b"]).wanting(Field::Payload)]);
}

#[test]
fn errors_name_the_key() {
    for (config, complaint) in [
        (
            "topics = ['a/#', 'b#']",
            "config key `topics[1]`: \"b#\" is not a topic filter: # must be the last level and fill it",
        ),
        ("on_other = 'drop'", "config key `on_other`: unknown variant `drop`, expected `pass` or `refuse`"),
        (
            "feild = 'x'",
            "config key `feild`: unknown field `feild`, expected one of `topics`, `field`, `value`, `on_other`",
        ),
    ] {
        assert_eq!(Host::new().config(config).start::<Stamp>().err().as_deref(), Some(complaint));
    }
}

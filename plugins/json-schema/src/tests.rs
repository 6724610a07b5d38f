use crate::JsonSchema;
use tidegate_plugin::{
    Edit, Field, Message, OnPublish, Plugin, Property, PropertyValue, ReasonCode, Scope, Verdict,
    testing::{Host, message},
};

const INVALID: Verdict = Verdict::Refuse(ReasonCode::PayloadFormatInvalid);
const SENSOR: &str = r#"
    [[check]]
    name = "sensor"
    topics = ["sensors/#"]
    schema = { type = "object", required = ["celsius"], properties = { celsius = { type = "number" } } }
"#;

fn started(config: &str) -> (Host, JsonSchema) {
    let host = Host::new().config(config);
    let plugin = host.start().unwrap();
    (host, plugin)
}

fn of(payload: &str, properties: &[(&str, &str)]) -> Message {
    let mut message = message("sensors/1", payload);
    message.properties = properties.iter().map(|(name, value)| Property::user(*name, *value)).collect();
    message
}

#[test]
fn payloads_that_are_as_the_schema_says_pass_and_others_are_refused_with_a_line() {
    let (host, mut plugin) = started(SENSOR);
    assert_eq!(plugin.on_publish(of(r#"{"celsius": 21.5, "more": "x"}"#, &[])), Verdict::Next);
    assert_eq!(plugin.on_publish(of(r#"{"celsius": "secret"}"#, &[])), INVALID);
    assert_eq!(plugin.on_publish(of(r#"{"fahrenheit": 70}"#, &[])), INVALID);
    assert_eq!(plugin.on_publish(of("21.5", &[])), INVALID);
    assert_eq!(plugin.on_publish(of("secret", &[])), INVALID);
    let lines: Vec<String> = host.logged().iter().map(ToString::to_string).collect();
    let invalid = "INFO payload is not as its schema says check=sensor topic=sensors/1";
    assert_eq!(
        lines,
        [
            format!("{invalid} at=/celsius keyword=/properties/celsius/type did=refuse"),
            format!("{invalid} at= keyword=/required did=refuse"),
            format!("{invalid} at= keyword=/type did=refuse"),
            "INFO payload is no JSON check=sensor topic=sensors/1 did=refuse".to_owned(),
        ]
    );
    assert_eq!(host.counted("schema_failures", &[("check", "sensor"), ("did", "refuse")]), 4);
}

#[test]
fn v5_3_3_1_6_an_empty_payload_still_removes_a_retained_message() {
    let (_host, mut plugin) = started(SENSOR);
    let mut removing = of("", &[]);
    removing.retain = true;
    assert_eq!(plugin.on_publish(removing), Verdict::Next);
    assert_eq!(plugin.on_publish(of("", &[])), INVALID);
}

#[test]
fn a_payload_must_be_as_every_schema_for_its_topic_says() {
    let config = r#"
        check = [
            { topics = ["a/#"], schema = { type = "object" } },
            { topics = ["a/b", "c"], schema = { required = ["id"] }, on_failure = "swallow" },
        ]
    "#;
    let (host, mut plugin) = started(config);
    let mut publish = |topic: &str, payload: &str| plugin.on_publish(message(topic, payload));
    assert_eq!(publish("a/b", r#"{"id": 1}"#), Verdict::Next);
    assert_eq!(publish("a/b", "1"), INVALID);
    assert_eq!(publish("a/b", "{}"), Verdict::Swallow);
    assert_eq!(publish("a/c", "{}"), Verdict::Next);
    assert_eq!(publish("c", "no json"), Verdict::Swallow);
    assert_eq!(publish("other", "no json"), Verdict::Next);
    assert_eq!(host.counted("schema_failures", &[("check", "1"), ("did", "swallow")]), 2);
}

#[test]
fn what_is_marked_goes_on_and_no_client_can_mark_by_itself() {
    let (host, mut plugin) = started(&format!("{SENSOR}on_failure = 'mark'"));
    let marked = |properties: &[(&str, &str)]| Edit::new().properties(of("", properties).properties).into();
    assert_eq!(
        plugin.on_publish(of("{}", &[("a", "1")])),
        marked(&[("a", "1"), ("schema-error", "sensor: \"\" is not as \"/required\" says")])
    );
    assert_eq!(
        plugin.on_publish(of("{", &[("schema-error", "forged")])),
        marked(&[("schema-error", "sensor: no JSON")])
    );
    let good = r#"{"celsius": 21}"#;
    assert_eq!(plugin.on_publish(of(good, &[("a", "1"), ("schema-error", "forged")])), marked(&[("a", "1")]));
    assert_eq!(plugin.on_publish(of(good, &[("a", "1")])), Verdict::Next);
    assert_eq!(host.counted("schema_failures", &[("check", "sensor"), ("did", "mark")]), 2);
}

#[test]
fn names_in_payloads_are_told_as_far_as_they_are_legible() {
    let (host, mut plugin) = started(
        "max_payload = '100KiB'\ncheck = [{ schema = { additionalProperties = false }, on_failure = 'mark' }]",
    );
    let payload = format!(r#"{{"a\u0000\nb{}": 1}}"#, "x".repeat(70_000));
    let Verdict::Edit(edit) = plugin.on_publish(message("a", payload)) else { panic!("no edit") };
    let Some(PropertyValue::Pair(_, mark)) = edit.properties.unwrap().pop().map(|mark| mark.value) else {
        panic!()
    };
    assert!(mark.starts_with("0: \"/a\u{FFFD}\u{FFFD}bxxx") && mark.len() < 300, "{mark}");
    assert!(!host.logged()[0].to_string().contains(['\0', '\n']));
}

#[test]
fn what_is_too_large_is_not_looked_into() {
    let (host, mut plugin) = started(&format!("max_payload = 20\n{SENSOR}"));
    assert_eq!(plugin.on_publish(of(r#"{"celsius": 1234567}"#, &[])), Verdict::Next);
    assert_eq!(plugin.on_publish(of(r#"{"celsius": 12345678}"#, &[])), INVALID);
    assert_eq!(plugin.on_publish(message("other", vec![b'x'; 21])), Verdict::Next);
    let line = "INFO payload is larger than `max_payload` check=sensor topic=sensors/1 did=refuse";
    assert_eq!(host.logged()[0].to_string(), line);
    assert_eq!(host.counted("schema_failures", &[("check", "sensor"), ("did", "refuse")]), 1);

    let (_host, mut plugin) = started("check = [{ schema = true }]");
    let sized = |bytes: usize| message("a", format!("\"{}\"", "x".repeat(bytes - 2)));
    assert_eq!(plugin.on_publish(sized(65_536)), Verdict::Next);
    assert_eq!(plugin.on_publish(sized(65_537)), INVALID);

    let (_host, mut plugin) = started("max_payload = '1B'\ncheck = [{ schema = true, on_failure = 'mark' }]");
    let mark = Property::user("schema-error", "0: larger than it may be");
    assert_eq!(plugin.on_publish(message("a", "10")), Edit::new().properties(vec![mark]).into());
}

#[test]
fn what_takes_too_long_is_as_no_schema_says_and_told_as_such() {
    let twice = "[{ items = { '$ref' = '#' } }, { items = { '$ref' = '#' } }]";
    let (host, mut plugin) = started(&format!("check = [{{ schema = {{ oneOf = {twice} }} }}]"));
    let nested = "[".repeat(100) + &"]".repeat(100);
    assert_eq!(plugin.on_publish(message("a", nested.as_str())), INVALID);
    let line = host.logged()[0].to_string();
    assert!(
        line.starts_with("INFO payload takes too long to check check=0 topic=a keyword=/oneOf"),
        "{line}"
    );
    assert!(line.ends_with(" did=refuse"), "{line}");
    let (_host, mut plugin) =
        started(&format!("check = [{{ schema = {{ oneOf = {twice} }}, on_failure = 'mark' }}]"));
    let Verdict::Edit(edit) = plugin.on_publish(message("a", nested)) else { panic!("no edit") };
    let PropertyValue::Pair(_, mark) = &edit.properties.unwrap()[0].value else { panic!("no pair") };
    assert!(mark.starts_with("0: takes too long to check at \"/oneOf"), "{mark}");
}

#[test]
fn schemas_are_tables_texts_or_secrets() {
    let verdict = |schema: &str| {
        let host = Host::new().secret("reading", r#"{"type": "integer"}"#);
        let mut plugin: JsonSchema = host.config(&format!("check = [{{ {schema} }}]")).start().unwrap();
        [plugin.on_publish(message("a", "1")), plugin.on_publish(message("a", "x"))]
    };
    for schema in
        [r#"schema = { type = "integer" }"#, r#"schema = '{"type": "integer"}'"#, r#"secret = "reading""#]
    {
        assert_eq!(verdict(schema), [Verdict::Next, INVALID], "{schema}");
    }
}

#[test]
fn keywords_that_nobody_knows_are_told_at_the_start() {
    let (host, _plugin) = started(r#"check = [{ schema = { requierd = ["a"] } }]"#);
    let line = "WARN nobody knows this keyword, so it checks nothing check=0 keyword=/requierd";
    assert_eq!(host.logged()[0].to_string(), line);
}

#[test]
fn the_scope_is_the_topics_of_the_checks() {
    let scopes = |checks: &str| started(&format!("check = [{checks}]")).1.scopes();
    assert_eq!(
        scopes("{ topics = ['a/#'], schema = true }, { topics = ['b'], schema = true }"),
        [Scope::publish(["a/#", "b"]).wanting(Field::Payload)]
    );
    assert_eq!(
        scopes("{ topics = ['a/#'], schema = true, on_failure = 'mark' }, { schema = true }"),
        [Scope::publish([""; 0]).wanting(Field::Payload).wanting(Field::Properties)]
    );
}

#[test]
fn errors_name_the_key() {
    for (config, complaint) in [
        ("", "config: missing field `check`"),
        ("check = []", "config key `check`: there is none"),
        ("check = [{ topics = ['a'] }]", "config key `check[0]`: it needs one of `schema` and `secret`"),
        (
            "check = [{ schema = { type = 'int' } }]",
            "config key `check[0].schema`: at /type: \"int\" is none of null,",
        ),
        ("check = [{ schema = '{' }]", "config key `check[0].schema`: it is not JSON: "),
        (
            "check = [{ schema = 'true', secret = 'x' }]",
            "config key `check[0].secret`: the plugin has no secret `x`; add `secrets.x = ",
        ),
        (
            "check = [{ schema = true, topics = ['a+'] }]",
            "config key `check[0].topics[0]`: \"a+\" is not a topic filter",
        ),
        (
            "check = [{ schema = true, on_failure = 'drop' }]",
            "config key `check[0].on_failure`: unknown variant `drop`, expected one of `refuse`, `swallow`, `mark`",
        ),
        (
            "max_payload = 'much'\ncheck = [{ schema = true }]",
            "config key `max_payload`: \"much\" is not a size",
        ),
        ("check = [{ schema = true, topic = 'a' }]", "config key `check[0].topic`: unknown field `topic`"),
    ] {
        let error = Host::new().config(config).start::<JsonSchema>().err().expect(config);
        assert!(error.starts_with(complaint), "{config}:\n{error}\n{complaint}");
    }
    let host = Host::new().secret("s", "true");
    let error = host.config("check = [{ schema = true, secret = 's' }]").start::<JsonSchema>().err();
    assert_eq!(error.as_deref(), Some("config key `check[0]`: it needs one of `schema` and `secret`"));
}

#[test]
fn the_page_of_docs_has_a_line_for_every_key() {
    let host = Host::new();
    let mut keys = host.config_keys::<JsonSchema>();
    keys.extend(host.table_keys::<JsonSchema>("check = [{ 'no key' = 0 }]"));
    assert!(keys.len() > 1, "{keys:?}");
    for key in keys {
        assert!(
            include_str!("../README.md").contains(&format!("\n| `{key}` |")),
            "README.md says nothing of {key}"
        );
    }
}

//! `tidegate plugin test` and `bench`.

use crate::{bad, folder, good, text, written};
use serde_json::Value;
use tidegate_tests::{guest, plugin};

#[test]
fn steps_that_are_as_expected_are_counted() {
    let folder = folder();
    let scenario = written(
        &folder,
        "good.jsonl",
        r#"
# Comments and empty lines are nothing.
{"publish": {"client": "c", "topic": "a", "json": {}}, "expect": {"edit": {"json": {"stamp": {"generation": 1}}}}, "note": "first"}
{"reload": {}, "expect": "loaded"}
{"publish": {"client": "c", "topic": "a", "json": {}}, "expect": {"edit": {"json": {"stamp": {"generation": 2}}}}}
{"publish": {"client": "c", "topic": "a", "payload": "no object"}}
"#,
    );
    let said = good(&folder, &["test", text(&plugin("stamp")), &scenario]);
    assert!(said.ends_with("1 file, 4 steps: 3 as expected, 0 wrong"), "{said}");
    assert!(said.contains("ok        3  publish c a → edit ") && said.contains("(first)"), "{said}");
    let lines = good(&folder, &["test", "--json", text(&plugin("stamp")), &scenario]);
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let results: Vec<&str> = lines.iter().map(|line| line["result"].as_str().unwrap()).collect();
    assert_eq!(results, ["as-expected", "as-expected", "as-expected", "done"]);
}

#[test]
fn what_is_not_as_expected_is_shown_with_line_step_and_what_it_was() {
    let folder = folder();
    let scenario = written(
        &folder,
        "bad.jsonl",
        r#"{"publish": {"client": "c", "topic": "a", "json": {}}, "expect": "pass"}
{"publish": {"client": "c", "topic": "a", "json": {}}, "expect": {"edit": {"json": {"stamp": {"label": "x"}}}}}
{"nothing": "published"}
{"published": {"topic": "b"}, "within": "10ms"}"#,
    );
    let (said, _) = bad(&folder, &["test", text(&plugin("stamp")), &scenario]);
    for part in [
        "WRONG     1  publish c a → edit ",
        "expected pass, it was edit ",
        "edit.json.stamp.label: expected \"x\", it was \"",
        "      step     {\"publish\": ",
        "WRONG     4  published",
        "nothing was published within 10ms",
        "1 file, 4 steps: 1 as expected, 3 wrong\n  bad.jsonl:1\n  bad.jsonl:2\n  bad.jsonl:4",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
}

#[test]
fn lines_that_make_no_sense_are_named_before_anything_runs() {
    let folder = folder();
    let right = written(&folder, "right.jsonl", r#"{"publish": {"topic": "a"}}"#);
    for (line, complaint) in [
        (
            "{\"publish\": {\"topic\": \"a\"}}\n{\"publsh\": {}}",
            "wrong.jsonl:2: there is no step `publsh`; known are plugin, ",
        ),
        ("{\"publish\": ", "wrong.jsonl:1: not a JSON object: "),
        (
            r#"{"recording": {"format": 9, "broker": "4.2.0"}}"#,
            "wrong.jsonl:1: this recording has format 9, made by tidegate 4.2.0, and this is tidegate ",
        ),
    ] {
        let wrong = written(&folder, "wrong.jsonl", line);
        let (said, complained) = bad(&folder, &["test", text(&plugin("stamp")), &right, &wrong]);
        assert_eq!(said, "");
        assert!(complained.starts_with(&format!("tidegate: {complaint}")), "{complained}");
    }
    let (_, complained) = bad(&folder, &["test", text(&plugin("stamp")), "none.jsonl"]);
    assert!(complained.starts_with("tidegate: none.jsonl: No such file"), "{complained}");
    let wrong = written(&folder, "topic.jsonl", r#"{"publish": {"topic": "a/#"}}"#);
    let (_, complained) = bad(&folder, &["test", text(&plugin("stamp")), &wrong]);
    assert!(complained.starts_with("tidegate: topic.jsonl:1: `topic`: \"a/#\": "), "{complained}");
    let table = written(&folder, "table.jsonl", r#"{"plugin": {"config": {"feild": "x"}}}"#);
    let (_, complained) = bad(&folder, &["test", text(&plugin("stamp")), &table]);
    assert!(
        complained.starts_with("tidegate: table.jsonl:1: ") && complained.contains("config key `feild`"),
        "{complained}"
    );
}

#[test]
fn a_fault_names_the_functions_of_the_guest_and_what_it_was_asked() {
    let folder = folder();
    let scenario = written(
        &folder,
        "trap.jsonl",
        r#"{"plugin": {"config": {"hook": "publish", "mode": "trap", "topics": ["t/#"], "allow": true}}}
{"publish": {"client": "c", "topic": "t/1", "payload": "x"}}
{"publish": {"client": "c", "topic": "t/1", "payload": "x"}, "expect": {"fault": "abuse::"}}
{"reload": {"config": {"hook": "publish", "mode": "loop", "topics": ["t/#"], "allow": true}}, "expect": "loaded"}
{"publish": {"client": "c", "topic": "t/1", "payload": "x"}, "expect": {"fault": "deadline passed"}}"#,
    );
    let (said, _) = bad(&folder, &["test", text(&guest("abuse")), &scenario]);
    assert!(said.contains("WRONG     2  publish c t/1 → fault "), "{said}");
    assert!(said.contains("3 as expected, 1 wrong\n  trap.jsonl:2"), "{said}");
    // Innermost first, without the way through the panic.
    let fault = said.lines().find(|line| line.contains("it was   {\"fault\"")).unwrap();
    assert!(fault.contains(", in abuse::") && fault.contains(" < "), "{fault}");
}

#[test]
fn bench_says_what_each_question_takes() {
    let folder = folder();
    let scenario = written(
        &folder,
        "ask.jsonl",
        r#"{"plugin": {"config": {"topics": ["t/#"]}}}
{"publish": {"client": "c", "topic": "t/1", "json": {"a": 1}}}
{"publish": {"client": "c", "topic": "other", "json": {"a": 1}}}"#,
    );
    let said = good(&folder, &["bench", text(&plugin("stamp")), &scenario, "--json", "--duration", "60ms"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    let file = &said["scenarios"][0];
    assert!(
        file["cold_load_ms"].as_f64() > Some(0.0) && file["instance_memory"].as_u64() > Some(0),
        "{said}"
    );
    // The other topic lies outside its scope.
    let questions = file["questions"].as_array().unwrap();
    assert_eq!(questions.len(), 1, "{said}");
    assert_eq!(
        (questions[0]["hook"].as_str(), questions[0]["outcome"].as_str()),
        (Some("publish"), Some("edit"))
    );
    assert!(
        questions[0]["cpu_ns"].as_f64() > Some(0.0) && questions[0]["calls"].as_u64() > Some(0),
        "{said}"
    );
    let said = good(&folder, &["bench", text(&plugin("stamp")), &scenario, "--duration", "60ms"]);
    assert!(said.contains("publish c t/1 → edit") && said.contains("an instance"), "{said}");
}

#[test]
fn bench_asks_all_hooks_that_a_step_comes_to() {
    let folder = folder();
    let hooks = |name: &str, lines: &str| {
        let scenario = written(&folder, &format!("{name}.jsonl"), lines);
        let said = good(&folder, &["bench", text(&plugin(name)), &scenario, "--json", "--duration", "60ms"]);
        let said: Value = serde_json::from_str(&said).unwrap();
        let questions = said["scenarios"][0]["questions"].as_array().unwrap();
        let of_line = |question: &Value| {
            assert_eq!(question["faults"], 0, "{said}");
            format!("{} {}", question["line"], question["hook"].as_str().unwrap())
        };
        questions.iter().map(of_line).collect::<Vec<_>>()
    };
    let lines = r#"{"plugin": {"config": {"acl": [{"deny": "all", "topic": "site/#"}]}}}
{"client": {"client": "c"}}
{"publish": {"client": "c", "topic": "site/x"}}
{"publish": {"client": "c", "topic": "other"}}
{"subscribe": {"client": "c", "filter": "site/+"}}"#;
    assert_eq!(hooks("acl-log", lines), ["3 acl", "5 acl"], "not what lies outside its scope");
    let lines = r#"{"plugin": {"config": {"users": {"user": "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="}}}}
{"connect": {"client": "c", "method": "SCRAM-SHA-256", "data": "n,,n=user,r=abc"}}
{"auth": {"client": "c", "data": "c=biws,r=abc,p=AAAA"}}"#;
    assert_eq!(hooks("scram", lines), ["2 auth", "3 enhanced-auth"]);
}

#[test]
fn a_line_that_expects_a_refusal_and_a_fault_beside_the_steps() {
    let folder = folder();
    // Only of the first `plugin` line a refusal is that of the start.
    let reload = written(
        &folder,
        "reload.jsonl",
        r#"{"reload": {"config": {"feild": 1}}, "expect": {"refused": "feild"}}
{"publish": {"client": "c", "topic": "t/1"}, "expect": "pass"}"#,
    );
    let table = written(&folder, "stamp.toml", "config.topics = [\"x/#\"]\n");
    good(&folder, &["test", text(&plugin("stamp")), &reload, "--table", &table]);
    let lines = "{\"publish\": {\"client\": \"c\", \"topic\": \"t/1\"}, \"expect\": \"refused\"}\n";
    let refused = written(&folder, "refused.jsonl", lines);
    let (_, complained) = bad(&folder, &["test", text(&plugin("jwt")), &refused]);
    assert!(complained.contains("jwt"), "it does not start, and that is no answer: {complained}");
    // An earlier fault is not told again, also after a reload that was refused.
    let again = written(
        &folder,
        "again.jsonl",
        r#"{"plugin": {"config": {"hook": "publish", "mode": "trap", "topics": ["trap/#"], "allow": true}}}
{"publish": {"client": "c", "topic": "trap/1"}, "expect": {"fault": ""}}
{"reload": {"config": {"mode": "nonsense"}}, "expect": "refused"}
{"publish": {"client": "c", "topic": "other"}, "expect": "pass"}"#,
    );
    good(&folder, &["test", text(&guest("abuse")), &again]);
}

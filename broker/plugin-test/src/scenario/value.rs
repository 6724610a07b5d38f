//! Values of scenarios: bytes as text or Base64, and whether what came is what was expected.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};
use tidegate_mqtt::ReasonCode;

/// Bytes that are given as `name` or as `name_base64`.
///
/// # Errors
/// If both are given, or the second is no Base64.
pub(crate) fn either(
    name: &str,
    text: Option<&str>,
    base64: Option<&str>,
) -> Result<Option<Vec<u8>>, String> {
    match (text, base64) {
        (Some(_), Some(_)) => Err(format!("give one of `{name}` and `{name}_base64`")),
        (Some(text), None) => Ok(Some(text.into())),
        (None, Some(base64)) => {
            STANDARD.decode(base64).map(Some).map_err(|why| format!("`{name}_base64` is no Base64: {why}"))
        }
        (None, None) => Ok(None),
    }
}

/// Bytes as text if they are, else as Base64.
pub(crate) fn apart(bytes: &[u8]) -> (Option<String>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(STANDARD.encode(bytes))),
    }
}

/// `name` or `name_base64` in an outcome.
pub(crate) fn insert_bytes(fields: &mut Map<String, Value>, name: &str, bytes: &[u8]) {
    match apart(bytes) {
        (Some(text), _) => fields.insert(name.to_owned(), text.into()),
        (None, base64) => fields.insert(format!("{name}_base64"), base64.into()),
    };
}

/// A reason code by its number, or by its name in the standard, however it is spelled.
///
/// # Errors
/// If there is none.
pub(crate) fn reason_code(value: &Value) -> Result<ReasonCode, String> {
    let found = match value {
        Value::Null => Some(ReasonCode::Success),
        Value::Number(number) => {
            number.as_u64().and_then(|n| u8::try_from(n).ok()).and_then(|n| ReasonCode::try_from(n).ok())
        }
        Value::String(name) => {
            let plain = |text: &str| {
                text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
            };
            let wanted = plain(name);
            (0..=u8::MAX)
                .filter_map(|n| ReasonCode::try_from(n).ok())
                .find(|code| plain(code.text()) == wanted)
        }
        _ => None,
    };
    found.ok_or_else(|| format!("{value} is no reason code; write one as 135 or \"NotAuthorized\""))
}

/// Whether an outcome is what was expected: a word, or a word with some of its fields.
///
/// # Errors
/// Where it is not, first.
pub(crate) fn as_expected(expected: &Value, found: &Value) -> Result<(), String> {
    match (expected, found) {
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            let mut pairs = expected.iter().zip(found).enumerate();
            pairs.try_for_each(|(at, (expected, found))| {
                as_expected(expected, found).map_err(|why| format!("{at}: {why}"))
            })
        }
        (Value::String(word), Value::Object(fields)) if fields.contains_key(word) => Ok(()),
        (Value::Object(expected), found) if expected.len() == 1 => {
            let (word, expected) = expected.iter().next().unwrap_or_else(|| unreachable!());
            let fields = match found {
                Value::String(found) if found == word => &Value::Null,
                Value::Object(found) => found.get(word).unwrap_or(&Value::Null),
                _ => &Value::Null,
            };
            if word_of(found) != Some(word) {
                return Err(format!("expected {word}, it was {}", in_words(found)));
            }
            match (expected, fields) {
                (Value::Object(expected), Value::Null) if expected.is_empty() => Ok(()),
                // A fault, or why something was refused.
                (Value::String(part), Value::String(text)) if text.contains(part.as_str()) => Ok(()),
                (expected, fields) => fits(word, expected, fields),
            }
        }
        (expected, found) if expected == found => Ok(()),
        (expected, found) => Err(format!("expected {}, it was {}", in_words(expected), in_words(found))),
    }
}

/// The word of an outcome.
pub(crate) fn word_of(outcome: &Value) -> Option<&String> {
    match outcome {
        Value::String(word) => Some(word),
        Value::Object(fields) => fields.keys().next(),
        _ => None,
    }
}

/// Short enough for a line.
pub(crate) fn in_words(outcome: &Value) -> String {
    match outcome {
        Value::String(word) => word.clone(),
        Value::Null => "null, nobody in particular".to_owned(),
        Value::Object(fields) if fields.len() == 1 => {
            let (word, fields) = fields.iter().next().unwrap_or_else(|| unreachable!());
            match fields {
                Value::Object(fields) if fields.is_empty() => word.clone(),
                fields => format!("{word} {fields}"),
            }
        }
        other => other.to_string(),
    }
}

/// Whether `found` has all that is `expected`, and possibly more.
///
/// # Errors
/// Where it has not, first.
pub(crate) fn fits(path: &str, expected: &Value, found: &Value) -> Result<(), String> {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            expected.iter().try_for_each(|(key, expected)| member_fits(path, key, expected, found))
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            let mut pairs = expected.iter().zip(found).enumerate();
            pairs.try_for_each(|(at, (expected, found))| fits(&format!("{path}[{at}]"), expected, found))
        }
        (expected, found) if expected == found || same_number(expected, found) => Ok(()),
        (expected, found) => Err(format!("{path}: expected {expected}, it was {found}")),
    }
}

/// 21 and 21.0: JSON does not tell them apart.
fn same_number(a: &Value, b: &Value) -> bool {
    a.is_number() && b.is_number() && !(a.is_i64() && b.is_i64()) && a.as_f64() == b.as_f64()
}

/// What an edit has that was not there `before`: of a recording everything is compared.
///
/// # Errors
/// The first such field.
pub(crate) fn nothing_more(before: &Value, found: &Value) -> Result<(), String> {
    let fields = |value: &Value| value.get("edit").and_then(Value::as_object).cloned();
    let (Some(before), Some(found)) = (fields(before), fields(found)) else { return Ok(()) };
    match found.iter().find(|(key, _)| !before.contains_key(*key)) {
        Some((key, value)) => Err(format!("edit.{key}: there was none, it was {value}")),
        None => Ok(()),
    }
}

fn member_fits(path: &str, key: &str, expected: &Value, all: &Map<String, Value>) -> Result<(), String> {
    let path = format!("{path}.{key}");
    if key == "json" && !all.contains_key("json") {
        let text = all.get("payload").or_else(|| all.get("body")).and_then(Value::as_str);
        let Some(text) = text else { return Err(format!("{path}: there is no text to read JSON from")) };
        let found: Value =
            serde_json::from_str(text).map_err(|why| format!("{path}: {text:?} is no JSON: {why}"))?;
        return fits(&path, expected, &found);
    }
    if let Some(plain) = key.strip_suffix("_base64").filter(|_| !all.contains_key(key)) {
        let text = expected.as_str().unwrap_or_default();
        let expected = STANDARD.decode(text).map_err(|why| format!("{path} is no Base64: {why}"))?;
        let same = all.get(plain).and_then(Value::as_str).is_some_and(|found| found.as_bytes() == expected);
        return same.then_some(()).ok_or_else(|| format!("{path}: it was {}", Value::from(all.clone())));
    }
    let Some(found) = all.get(key) else {
        return match expected {
            Value::Null => Ok(()),
            Value::Array(none) if none.is_empty() => Ok(()),
            _ => Err(format!("{path}: expected {expected}, there is none")),
        };
    };
    if ["refuse.code", "disconnected.code"].contains(&path.as_str()) {
        let (expected, found) = (reason_code(expected)?, reason_code(found)?);
        let differ = || {
            format!(
                "{path}: expected {} ({}), it was {} ({})",
                expected as u8,
                expected.text(),
                found as u8,
                found.text()
            )
        };
        return (expected == found).then_some(()).ok_or_else(differ);
    }
    fits(&path, expected, found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_word_expects_no_more_than_the_word() {
        assert_eq!(as_expected(&json!("edit"), &json!({"edit": {"topic": "a"}})), Ok(()));
        assert_eq!(as_expected(&json!("pass"), &json!("pass")), Ok(()));
        assert_eq!(as_expected(&json!({"pass": {}}), &json!("pass")), Ok(()));
        let wrong = as_expected(&json!("pass"), &json!({"refuse": {"code": 135}}));
        assert_eq!(wrong.unwrap_err(), "expected pass, it was refuse {\"code\":135}");
    }

    #[test]
    fn fields_that_are_named_must_be_equal_and_others_may_be_anything() {
        let found = json!({"edit": {"topic": "a", "payload": "{\"x\": 1, \"y\": [1, 2]}"}});
        assert_eq!(as_expected(&json!({"edit": {"json": {"x": 1}}}), &found), Ok(()));
        let wrong = as_expected(&json!({"edit": {"json": {"y": [1]}}}), &found).unwrap_err();
        assert_eq!(wrong, "edit.json.y: expected [1], it was [1,2]");
        let events = json!({"requested": {"body": "[{\"kind\": \"a\", \"at\": 1}]"}});
        assert_eq!(as_expected(&json!({"requested": {"json": [{"kind": "a"}]}}), &events), Ok(()));
        let wrong = as_expected(&json!({"requested": {"json": [{"kind": "b"}]}}), &events).unwrap_err();
        assert_eq!(wrong, "requested.json[0].kind: expected \"b\", it was \"a\"");
        assert_eq!(as_expected(&json!({"grant": {"rules": []}}), &json!({"grant": {}})), Ok(()));
        let wrong = as_expected(&json!({"edit": {"qos": 1}}), &found).unwrap_err();
        assert_eq!(wrong, "edit.qos: expected 1, there is none");
        assert_eq!(as_expected(&json!({"edit": {"qos": null}}), &found), Ok(()));
        let wrong = as_expected(&json!({"swallow": {}}), &found).unwrap_err();
        assert!(wrong.starts_with("expected swallow, it was edit {"), "{wrong}");
    }

    #[test]
    fn reason_codes_are_numbers_or_names() {
        let found = json!({"refuse": {"code": 0x87}});
        for code in [json!(135), json!("NotAuthorized"), json!("not authorized")] {
            assert_eq!(as_expected(&json!({"refuse": {"code": code}}), &found), Ok(()));
        }
        let wrong = as_expected(&json!({"refuse": {"code": "QuotaExceeded"}}), &found).unwrap_err();
        assert_eq!(wrong, "refuse.code: expected 151 (quota exceeded), it was 135 (not authorized)");
        assert!(reason_code(&json!("Nonsense")).unwrap_err().contains("no reason code"));
    }

    #[test]
    fn a_code_in_a_payload_is_a_number_like_any_other() {
        let found = json!({"edit": {"payload": "{\"code\": 500, \"reason\": 135}"}});
        assert_eq!(as_expected(&json!({"edit": {"json": {"code": 500, "reason": 135}}}), &found), Ok(()));
        assert!(as_expected(&json!({"edit": {"json": {"reason": "NotAuthorized"}}}), &found).is_err());
        assert!(as_expected(&json!({"edit": {"json": {"code": null}}}), &found).is_err());
    }

    #[test]
    fn numbers_are_compared_as_json_has_them() {
        let found = json!({"edit": {"payload": "{\"celsius\": 21.0, \"n\": 9007199254740993}"}});
        assert_eq!(as_expected(&json!({"edit": {"json": {"celsius": 21}}}), &found), Ok(()));
        assert!(as_expected(&json!({"edit": {"json": {"celsius": 21.5}}}), &found).is_err());
        assert!(as_expected(&json!({"edit": {"json": {"n": 9_007_199_254_740_992_u64}}}), &found).is_err());
    }

    #[test]
    fn bytes_may_be_expected_as_base64_whatever_they_are() {
        let found = json!({"challenge": {"data": "abc"}});
        assert_eq!(as_expected(&json!({"challenge": {"data_base64": "YWJj"}}), &found), Ok(()));
        assert!(as_expected(&json!({"challenge": {"data_base64": "YWJk"}}), &found).is_err());
    }

    #[test]
    fn an_edit_of_a_recording_is_compared_whole() {
        let before = json!({"edit": {"payload": "x"}});
        assert_eq!(nothing_more(&before, &json!({"edit": {"payload": "x"}})), Ok(()));
        let wrong = nothing_more(&before, &json!({"edit": {"payload": "x", "topic": "t"}})).unwrap_err();
        assert_eq!(wrong, "edit.topic: there was none, it was \"t\"");
        // Of a recording without payloads.
        assert_eq!(nothing_more(&json!("edit"), &json!({"edit": {"topic": "t"}})), Ok(()));
    }

    #[test]
    fn a_fault_is_found_by_a_part_of_its_text() {
        let found = json!({"fault": "deadline passed"});
        assert_eq!(as_expected(&json!({"fault": "deadline"}), &found), Ok(()));
        assert!(as_expected(&json!({"fault": "trap"}), &found).is_err());
        assert!(as_expected(&json!("pass"), &found).is_err());
    }

    #[test]
    fn lists_are_compared_whole() {
        assert_eq!(as_expected(&json!(["a", "b"]), &json!(["a", "b"])), Ok(()));
        assert!(as_expected(&json!(["a"]), &json!(["a", "b"])).is_err());
        let wrong = as_expected(&json!(["pass", "pass"]), &json!(["pass", "swallow"])).unwrap_err();
        assert_eq!(wrong, "1: expected pass, it was swallow");
    }

    #[test]
    fn bytes_are_text_or_base64_but_not_both() {
        assert_eq!(either("payload", None, Some("AP8=")), Ok(Some(vec![0, 255])));
        assert_eq!(either("payload", Some("a"), None), Ok(Some(b"a".to_vec())));
        assert!(either("payload", Some("a"), Some("AA==")).unwrap_err().contains("one of"));
        assert!(either("payload", None, Some("?")).unwrap_err().contains("no Base64"));
        let mut fields = Map::new();
        insert_bytes(&mut fields, "payload", &[0, 255]);
        insert_bytes(&mut fields, "data", b"x");
        assert_eq!(Value::from(fields), json!({"payload_base64": "AP8=", "data": "x"}));
    }
}

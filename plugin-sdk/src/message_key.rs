//! The words for what tells messages apart, in a config: `key = "json:/device/id"`.

use crate::{Field, Message, PropertyValue};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{borrow::Cow, collections::BTreeMap};

/// A part of a message: those that have the same there belong together.
///
/// | in a config | what it is |
/// |---|---|
/// | `"client-id"` | who publishes it |
/// | `"topic"` | its topic |
/// | `"topic-level:N"` | one level of its topic, counted from 1 |
/// | `"payload"` | all of its payload |
/// | `"json:POINTER"` | a value in its payload, by a JSON pointer (RFC 6901) such as `/device/id`; payloads of more than 64 KiB have none |
/// | `"user-property:NAME"` | the first user property of that name |
/// | `"correlation-data"` | its correlation data |
///
/// ```
/// use tidegate_plugin::{MessageKey, testing};
///
/// let key: MessageKey = "json:/device/id".to_owned().try_into()?;
/// let message = testing::message("a", r#"{"device": {"id": "d7"}, "celsius": 21}"#);
/// assert_eq!(key.of(&message).as_deref(), Some(&b"\"d7"[..]));
/// assert_eq!(key.of(&testing::message("a", "{}")), None);
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(try_from = "String")]
pub enum MessageKey {
    /// The publisher's client id.
    ClientId,
    /// All of the topic.
    Topic,
    /// A level of the topic, counted from 1.
    TopicLevel(usize),
    /// All of the payload.
    Payload,
    /// A value in the payload: the names and indexes that lead to it. Payloads that are larger than [`LARGEST_JSON`](Self::LARGEST_JSON)
    /// have none.
    Json(Vec<String>),
    /// The first user property of that name.
    UserProperty(String),
    /// Correlation data (section 3.3.2.3.6).
    CorrelationData,
}

/// Property identifier of correlation data.
const CORRELATION_DATA: u8 = 0x09;

impl MessageKey {
    /// Bytes of a payload that is looked into for a JSON value: once for each step of the pointer, by a hook that has 10 ms for its answer.
    pub const LARGEST_JSON: usize = 64 << 10;

    /// What a scope has to want for it.
    pub fn field(&self) -> Option<Field> {
        match self {
            Self::ClientId => Some(Field::ClientId),
            Self::Topic | Self::TopicLevel(_) => None,
            Self::Payload | Self::Json(_) => Some(Field::Payload),
            Self::UserProperty(_) | Self::CorrelationData => Some(Field::Properties),
        }
    }

    /// The part of this message; None if it has none, as a payload that is no JSON or too large, or a value that is `null`. Of a JSON text it is what it
    /// says, behind a `"` that tells it from a number; of any other JSON value the text as it stands there, every digit of it.
    pub fn of<'m>(&self, message: &'m Message) -> Option<Cow<'m, [u8]>> {
        match self {
            Self::ClientId => message.client_id.as_deref().map(bytes),
            Self::Topic => Some(bytes(&message.topic)),
            Self::TopicLevel(level) => message.topic.split('/').nth(level.checked_sub(1)?).map(bytes),
            Self::Payload => Some(message.payload()),
            Self::Json(_) if message.payload_len as usize > Self::LARGEST_JSON => None,
            Self::Json(path) => match message.payload() {
                Cow::Borrowed(payload) => value_at(payload, path),
                Cow::Owned(payload) => value_at(&payload, path).map(|value| Cow::Owned(value.into_owned())),
            },
            Self::UserProperty(name) => message.user_property(name).map(bytes),
            Self::CorrelationData => message.properties.iter().find_map(|property| match &property.value {
                PropertyValue::Bytes(data) if property.id == CORRELATION_DATA => Some(data.into()),
                _ => None,
            }),
        }
    }
}

fn bytes(text: &str) -> Cow<'_, [u8]> {
    Cow::Borrowed(text.as_bytes())
}

fn value_at<'p>(payload: &'p [u8], path: &[String]) -> Option<Cow<'p, [u8]>> {
    let document: &RawValue = serde_json::from_slice(payload).ok()?;
    let value = path.iter().try_fold(document, |value, step| member(value, step))?.get();
    if value == "null" {
        return None;
    }
    if value.starts_with('"') {
        // One text may be written in several ways.
        let text: String = serde_json::from_str(value).ok()?;
        return Some(Cow::Owned(format!("\"{text}").into()));
    }
    Some(bytes(value))
}

fn member<'p>(value: &'p RawValue, step: &str) -> Option<&'p RawValue> {
    let text = value.get();
    match text.as_bytes().first()? {
        b'{' => serde_json::from_str::<BTreeMap<String, &RawValue>>(text).ok()?.remove(step),
        b'[' => serde_json::from_str::<Vec<&RawValue>>(text).ok()?.get(step.parse::<usize>().ok()?).copied(),
        _ => None,
    }
}

impl TryFrom<String> for MessageKey {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let (word, rest) = text.split_once(':').map_or((&*text, None), |(word, rest)| (word, Some(rest)));
        match (word, rest) {
            ("client-id", None) => Ok(Self::ClientId),
            ("topic", None) => Ok(Self::Topic),
            ("payload", None) => Ok(Self::Payload),
            ("correlation-data", None) => Ok(Self::CorrelationData),
            ("topic-level", Some(level)) => match level.parse() {
                Ok(level) if level > 0 => Ok(Self::TopicLevel(level)),
                _ => Err(format!("{text:?}: levels are counted from 1")),
            },
            ("json", Some("")) => Ok(Self::Json(Vec::new())),
            ("json", Some(pointer)) => match pointer.strip_prefix('/') {
                Some(path) => Ok(Self::Json(
                    path.split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).collect(),
                )),
                None => Err(format!("{text:?}: a JSON pointer begins with /")),
            },
            ("user-property", Some(name)) if !name.is_empty() => Ok(Self::UserProperty(name.into())),
            _ => Err(format!(
                "{text:?} is none of client-id, topic, topic-level:N, payload, json:/POINTER, user-property:NAME and correlation-data"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Property, config, testing::message};

    fn key(text: &str) -> MessageKey {
        text.to_owned().try_into().unwrap()
    }

    fn of(key_text: &str, message: &Message) -> Option<String> {
        key(key_text).of(message).map(|part| String::from_utf8(part.into_owned()).unwrap())
    }

    fn in_json(pointer: &str, payload: &str) -> Option<String> {
        of(&format!("json:{pointer}"), &message("a", payload))
    }

    #[test]
    fn each_word_names_a_part_and_the_field_it_is_in() {
        let mut message = message("a/b//c", "x");
        message.client_id = Some("c1".into());
        let data = Property { id: CORRELATION_DATA, value: PropertyValue::Bytes(b"77".into()) };
        message.properties = vec![Property::user("id", "1"), data, Property::user("id", "2")];
        for (word, part, field) in [
            ("client-id", "c1", Some(Field::ClientId)),
            ("topic", "a/b//c", None),
            ("topic-level:1", "a", None),
            ("topic-level:3", "", None),
            ("topic-level:4", "c", None),
            ("payload", "x", Some(Field::Payload)),
            ("user-property:id", "1", Some(Field::Properties)),
            ("correlation-data", "77", Some(Field::Properties)),
        ] {
            assert_eq!((of(word, &message).as_deref(), key(word).field()), (Some(part), field), "{word}");
        }
        for missing in ["topic-level:5", "user-property:ID", "json:/a"] {
            assert_eq!(of(missing, &message), None, "{missing}");
        }
        let bare = self::message("a", "");
        assert_eq!([of("client-id", &bare), of("correlation-data", &bare)], [None, None]);
        assert_eq!(of("payload", &bare).as_deref(), Some(""));
    }

    #[test]
    fn json_values_keep_every_digit_and_texts_are_what_they_say() {
        let payload = r#" {"id": 12345678901234567890123.10, "t": "a\u0062", "n": {"a/b": [1, {"~": true}], "": 0}, "z": null} "#;
        for (pointer, part) in [
            ("/id", "12345678901234567890123.10"),
            ("/t", "\"ab"),
            ("/n/a~1b/0", "1"),
            ("/n/a~1b/1/~0", "true"),
            ("/n/", "0"),
            ("/n/a~1b", r#"[1, {"~": true}]"#),
        ] {
            assert_eq!(in_json(pointer, payload).as_deref(), Some(part), "{pointer}");
        }
        for missing in ["/z", "/x", "/id/0", "/n/a~1b/2", "/n/a~1b/-", "/t/0"] {
            assert_eq!(in_json(missing, payload), None, "{missing}");
        }
        assert_eq!(in_json("", "[1]").as_deref(), Some("[1]"));
        assert_ne!(in_json("/a", r#"{"a": 1}"#), in_json("/a", r#"{"a": "1"}"#));
        for no_json in ["", "{", "{\"a\": 1} x", "{\"a\": 01}"] {
            assert_eq!(in_json("/a", no_json), None, "{no_json}");
        }
        assert_eq!(key("json:/a").of(&message("a", b"{\"a\": \"\xff\"}".to_vec())), None);
        assert_eq!(in_json("", &"[".repeat(100_000)), None);
    }

    #[test]
    fn what_is_too_large_is_not_looked_into() {
        let sized = |bytes: usize| format!("{{\"a\": 1{}}}", " ".repeat(bytes - 8));
        assert_eq!(in_json("/a", &sized(MessageKey::LARGEST_JSON)).as_deref(), Some("1"));
        let larger = sized(MessageKey::LARGEST_JSON + 1);
        assert_eq!(in_json("/a", &larger), None);
        assert_eq!(of("payload", &message("a", larger.as_str())), Some(larger));
    }

    #[test]
    fn what_is_no_key_says_what_there_is() {
        for (text, complaint) in [
            ("clientid", "\"clientid\" is none of client-id, topic, topic-level:N, payload, json:/POINTER,"),
            ("topic:1", "\"topic:1\" is none of"),
            ("user-property:", "\"user-property:\" is none of"),
            ("user-property", "\"user-property\" is none of"),
            ("topic-level:0", "\"topic-level:0\": levels are counted from 1"),
            ("topic-level:x", "\"topic-level:x\": levels are counted from 1"),
            ("json:a", "\"json:a\": a JSON pointer begins with /"),
        ] {
            let error = config::parse::<MessageKey>(&format!("{text:?}")).unwrap_err();
            assert!(error.starts_with(&format!("config: {complaint}")), "{error}");
        }
    }
}

//! Where in the text of a JSON object a field goes. The rest of the text stays as it is: order, spaces, digits of numbers.

use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt, ops::Range};

/// The object with `field` set to `value` (JSON): in place of what the field was, or at the end. None if it is no JSON object.
pub(crate) fn with_field(payload: &[u8], field: &str, value: &str) -> Option<String> {
    let text = std::str::from_utf8(payload).ok()?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let found = deserializer.deserialize_map(Members { text, field }).ok()?;
    deserializer.end().ok()?;
    let mut stamped = String::with_capacity(text.len() + field.len() + value.len() + 4);
    if found.there.is_empty() {
        let end = text.rfind('}')?;
        stamped.push_str(&text[..end]);
        if !found.empty {
            stamped.push(',');
        }
        stamped.push_str(&serde_json::Value::from(field).to_string());
        stamped.push(':');
        stamped.push_str(value);
        stamped.push_str(&text[end..]);
    } else {
        let mut copied = 0;
        for there in found.there {
            stamped.push_str(&text[copied..there.start]);
            stamped.push_str(value);
            copied = there.end;
        }
        stamped.push_str(&text[copied..]);
    }
    Some(stamped)
}

struct Found {
    /// Whether the object has no member at all.
    empty: bool,
    /// Where the field's values stand. Several if the key is repeated: readers differ in which one counts.
    there: Vec<Range<usize>>,
}

struct Members<'a> {
    text: &'a str,
    field: &'a str,
}

impl<'de> Visitor<'de> for Members<'de> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let mut found = Found { empty: true, there: Vec::new() };
        while let Some((key, value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
            found.empty = false;
            if key.0 == self.field {
                let value = value.get();
                let start = (value.as_ptr() as usize).checked_sub(self.text.as_ptr() as usize);
                let start = start.ok_or_else(|| A::Error::custom("a value outside its text"))?;
                found.there.push(start..start + value.len());
            }
        }
        Ok(found)
    }
}

/// Borrowed unless it has escapes.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

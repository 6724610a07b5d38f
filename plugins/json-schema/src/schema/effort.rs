//! How much work one message may make: a schema that refers to itself may ask about a value in ever more ways, twice as many with each level of it.

use super::{Keyword, Measure};
use serde_json::Value;
use std::cell::Cell;

/// Far below what the deadline of a call has room for, and above what a payload of the default `max_payload` needs by an ordinary schema.
const MOST_STEPS: usize = 150_000;

/// What is left for one message, in all of its checks. A step is a keyword that is asked about a value, or what takes about as long.
#[derive(Debug)]
pub(crate) struct Effort(Cell<usize>);

impl Default for Effort {
    fn default() -> Self {
        Self(Cell::new(MOST_STEPS))
    }
}

impl Effort {
    /// Whether there is room for this keyword and this value. Once there is not, there is none for any other.
    pub(super) fn allows(&self, says: &Keyword, value: &Value) -> bool {
        let left = match self.0.get() {
            0 => None,
            left => left.checked_sub(1 + steps(says, value)),
        };
        self.0.set(left.unwrap_or_default());
        left.is_some()
    }
}

/// Beside the first, and beside what the keyword's subschemas take.
fn steps(says: &Keyword, value: &Value) -> usize {
    match (says, value) {
        (Keyword::Among(_), value) => copy(value),
        (Keyword::Unique, Value::Array(items)) => items.iter().map(|item| 16 + copy(item)).sum(),
        (Keyword::Pattern(pattern), Value::String(text)) => pattern.steps(text),
        (Keyword::AtMost(Measure::Length, _) | Keyword::AtLeast(Measure::Length, _), Value::String(text)) => {
            look(text)
        }
        (Keyword::Required(names), Value::Object(_)) => names.len(),
        (Keyword::DependentRequired(names), Value::Object(_)) => {
            names.values().map(|names| 1 + names.len()).sum()
        }
        (Keyword::DependentSchemas(schemas) | Keyword::Properties(schemas), Value::Object(_)) => {
            schemas.len()
        }
        (Keyword::PropertyNames(_), Value::Object(members)) => {
            members.keys().map(|name| 4 + look(name)).sum()
        }
        (Keyword::PatternProperties(patterns), Value::Object(members)) => {
            let each =
                patterns.iter().flat_map(|(pattern, _)| members.keys().map(move |name| pattern.steps(name)));
            each.sum()
        }
        (Keyword::Additional(others, _), Value::Object(members)) => {
            let each = others
                .patterns
                .iter()
                .flat_map(|pattern| members.keys().map(move |name| pattern.steps(name)));
            members.len() + each.sum::<usize>()
        }
        _ => 0,
    }
}

/// Of going through a text.
fn look(text: &str) -> usize {
    1 + text.len() / 64
}

/// Of writing a value anew.
fn copy(value: &Value) -> usize {
    4 + match value {
        Value::String(text) => look(text),
        Value::Array(items) => items.iter().map(copy).sum(),
        Value::Object(members) => members.iter().map(|(name, value)| look(name) + copy(value)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

//! When two values are the same: `1` and `1.0` are, and the order of members does not matter.

use serde_json::{Number, Value};
use std::cmp::Ordering;

/// The same text for values that are the same.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Canonical(String);

impl From<&Value> for Canonical {
    fn from(value: &Value) -> Self {
        // The members of an object are in order already: serde_json keeps them so.
        Self(canonical(value).to_string())
    }
}

fn canonical(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::Number(whole(number).unwrap_or_else(|| number.clone())),
        Value::Array(items) => items.iter().map(canonical).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), canonical(value))).collect()
        }
        Value::Null | Value::Bool(_) | Value::String(_) => value.clone(),
    }
}

/// A number without a fraction, without its point.
fn whole(number: &Number) -> Option<Number> {
    exact(number).and_then(Number::from_i128)
}

/// As an integer, if it is one.
pub(super) fn exact(number: &Number) -> Option<i128> {
    /// Integers are kept up to here.
    const MOST: f64 = 1e38;
    let whole = |float: &f64| float.fract() == 0.0 && float.abs() < MOST;
    number.as_i128().or_else(|| number.as_f64().filter(whole).map(|float| float as i128))
}

/// Whether it has no fraction.
pub(super) fn is_integer(number: &Number) -> bool {
    number.as_f64().is_some_and(|float| float.fract() == 0.0)
}

pub(super) fn compare(one: &Number, other: &Number) -> Option<Ordering> {
    match (exact(one), exact(other)) {
        (Some(one), Some(other)) => Some(one.cmp(&other)),
        _ => one.as_f64()?.partial_cmp(&other.as_f64()?),
    }
}

/// Whether `number` is so many times `unit`. Of fractions to within what their floats can tell.
pub(super) fn is_multiple(number: &Number, unit: &Number) -> bool {
    if let (Some(number), Some(unit)) = (exact(number), exact(unit)) {
        return number % unit == 0;
    }
    let (Some(number), Some(unit)) = (number.as_f64(), unit.as_f64()) else { return false };
    let times = number / unit;
    // As far as a float of that size is from the next.
    times.is_finite() && (times - times.round()).abs() <= times.abs().max(1.0) * f64::EPSILON * 4.0
}

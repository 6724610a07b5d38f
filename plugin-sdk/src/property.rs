//! MQTT 5 properties, as clients send them and plugins set them.

use crate::bindings::lifecycle::tidegate::plugin::types;
use serde::{Deserialize, Serialize};

/// An MQTT 5 property by its identifier (section 2.2.2.2), such as 0x26 for a user property. Plugins may keep it, by serde.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Property {
    /// The identifier.
    pub id: u8,
    /// Its value.
    pub value: PropertyValue,
}

impl Property {
    /// A user property.
    pub fn user(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { id: 0x26, value: PropertyValue::Pair(key.into(), value.into()) }
    }
}

/// The value of a [`Property`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum PropertyValue {
    /// Any of the integers.
    Number(u32),
    /// A UTF-8 string.
    Text(String),
    /// Binary data.
    Bytes(Vec<u8>),
    /// A user property.
    Pair(String, String),
}

impl From<Property> for types::Property {
    fn from(Property { id, value }: Property) -> Self {
        let value = match value {
            PropertyValue::Number(number) => types::PropValue::Number(number),
            PropertyValue::Text(text) => types::PropValue::Text(text),
            PropertyValue::Bytes(bytes) => types::PropValue::Bytes(bytes),
            PropertyValue::Pair(key, value) => types::PropValue::Pair((key, value)),
        };
        Self { id, value }
    }
}

impl From<types::Property> for Property {
    fn from(types::Property { id, value }: types::Property) -> Self {
        let value = match value {
            types::PropValue::Number(number) => PropertyValue::Number(number),
            types::PropValue::Text(text) => PropertyValue::Text(text),
            types::PropValue::Bytes(bytes) => PropertyValue::Bytes(bytes),
            types::PropValue::Pair((key, value)) => PropertyValue::Pair(key, value),
        };
        Self { id, value }
    }
}

/// A list in the interface's form.
pub(crate) fn to_list(properties: Vec<Property>) -> Vec<types::Property> {
    properties.into_iter().map(types::Property::from).collect()
}

/// A list from the interface's form.
pub(crate) fn from_list(properties: Vec<types::Property>) -> Vec<Property> {
    properties.into_iter().map(Property::from).collect()
}

/// The first user property of that name.
pub(crate) fn user_property<'a>(properties: &'a [Property], name: &str) -> Option<&'a str> {
    properties.iter().find_map(|property| match &property.value {
        PropertyValue::Pair(key, value) if key == name => Some(value.as_str()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value_crosses_the_border_and_back() {
        let all = [
            Property { id: 0x02, value: PropertyValue::Number(60) },
            Property { id: 0x03, value: PropertyValue::Text("text/plain".into()) },
            Property { id: 0x09, value: PropertyValue::Bytes(vec![1, 2]) },
            Property::user("a", "b"),
        ];
        assert_eq!(from_list(to_list(all.to_vec())), all);
    }
}

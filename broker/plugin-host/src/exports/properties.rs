//! MQTT 5 properties as guests see them: identifier and value (section 2.2.2.2).

use super::{broken, text};
use crate::wire::{NewPropValue, NewProperty, PropValue, Property};
use tidegate_hooks::FaultKind;
use tidegate_mqtt::{ConnectProperties, PublishProperties, SubscribeProperties, TopicName, UserProperties};

const PAYLOAD_FORMAT_INDICATOR: u8 = 0x01;
const MESSAGE_EXPIRY_INTERVAL: u8 = 0x02;
const CONTENT_TYPE: u8 = 0x03;
const RESPONSE_TOPIC: u8 = 0x08;
const CORRELATION_DATA: u8 = 0x09;
const SUBSCRIPTION_IDENTIFIER: u8 = 0x0B;
const SESSION_EXPIRY_INTERVAL: u8 = 0x11;
const AUTHENTICATION_METHOD: u8 = 0x15;
const AUTHENTICATION_DATA: u8 = 0x16;
const REQUEST_PROBLEM_INFORMATION: u8 = 0x17;
const REQUEST_RESPONSE_INFORMATION: u8 = 0x19;
const RECEIVE_MAXIMUM: u8 = 0x21;
const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
const USER_PROPERTY: u8 = 0x26;
const MAXIMUM_PACKET_SIZE: u8 = 0x27;

/// Collects what is there.
#[derive(Default)]
struct List<'a>(Vec<Property<'a>>);

impl<'a> List<'a> {
    fn number(&mut self, id: u8, number: Option<impl Into<u32>>) {
        self.0.extend(number.map(|number| Property { id, value: PropValue::Number(number.into()) }));
    }

    fn text(&mut self, id: u8, text: Option<&'a str>) {
        self.0.extend(text.map(|text| Property { id, value: PropValue::Text(text) }));
    }

    fn bytes(&mut self, id: u8, bytes: Option<&'a [u8]>) {
        self.0.extend(bytes.map(|bytes| Property { id, value: PropValue::Bytes(bytes) }));
    }

    fn pairs(&mut self, pairs: &'a UserProperties) {
        let pairs = pairs.iter().map(|(name, value)| PropValue::Pair((&**name, &**value)));
        self.0.extend(pairs.map(|value| Property { id: USER_PROPERTY, value }));
    }
}

/// Of a PUBLISH. Alias and subscription identifiers belong to one connection and are left out.
pub(super) fn of_publish(properties: &PublishProperties) -> Vec<Property<'_>> {
    let mut list = List::default();
    list.number(PAYLOAD_FORMAT_INDICATOR, properties.payload_format_indicator);
    list.number(MESSAGE_EXPIRY_INTERVAL, properties.message_expiry_interval);
    list.text(RESPONSE_TOPIC, properties.response_topic.as_deref());
    list.bytes(CORRELATION_DATA, properties.correlation_data.as_deref());
    list.text(CONTENT_TYPE, properties.content_type.as_deref());
    list.pairs(&properties.user_properties);
    list.0
}

/// Of a CONNECT.
pub(crate) fn of_connect(properties: &ConnectProperties) -> Vec<Property<'_>> {
    let mut list = List::default();
    list.number(SESSION_EXPIRY_INTERVAL, properties.session_expiry_interval);
    list.number(RECEIVE_MAXIMUM, properties.receive_maximum.map(u16::from));
    list.number(MAXIMUM_PACKET_SIZE, properties.maximum_packet_size.map(u32::from));
    list.number(TOPIC_ALIAS_MAXIMUM, properties.topic_alias_maximum);
    list.number(REQUEST_RESPONSE_INFORMATION, properties.request_response_information);
    list.number(REQUEST_PROBLEM_INFORMATION, properties.request_problem_information);
    list.text(AUTHENTICATION_METHOD, properties.authentication_method.as_deref());
    list.bytes(AUTHENTICATION_DATA, properties.authentication_data.as_deref());
    list.pairs(&properties.user_properties);
    list.0
}

/// Of a SUBSCRIBE.
pub(super) fn of_subscribe(properties: &SubscribeProperties) -> Vec<Property<'_>> {
    let mut list = List::default();
    list.number(SUBSCRIPTION_IDENTIFIER, properties.subscription_identifier);
    list.pairs(&properties.user_properties);
    list.0
}

/// Back into a PUBLISH, of which the guest may set only what [`of_publish`] shows.
pub(crate) fn to_publish(list: Vec<NewProperty>) -> Result<PublishProperties, FaultKind> {
    const FIELD: &str = "edit.properties";
    let mut properties = PublishProperties::default();
    for NewProperty { id, value } in list {
        let again = match (id, value) {
            (USER_PROPERTY, NewPropValue::Pair((name, value))) => {
                properties.user_properties.push((text(FIELD, name)?, text(FIELD, value)?));
                false
            }
            (PAYLOAD_FORMAT_INDICATOR, NewPropValue::Number(number @ (0 | 1))) => {
                properties.payload_format_indicator.replace(number == 1).is_some()
            }
            (MESSAGE_EXPIRY_INTERVAL, NewPropValue::Number(seconds)) => {
                properties.message_expiry_interval.replace(seconds).is_some()
            }
            (RESPONSE_TOPIC, NewPropValue::Text(topic)) => {
                let topic =
                    TopicName::new(&topic).map_err(|why| broken(FIELD, format_args!("0x08: {why}")))?;
                properties.response_topic.replace(topic).is_some()
            }
            (CORRELATION_DATA, NewPropValue::Bytes(bytes)) => {
                if bytes.len() > usize::from(u16::MAX) {
                    return Err(broken(FIELD, "0x09 is longer than 65,535 bytes"));
                }
                properties.correlation_data.replace(bytes.into()).is_some()
            }
            (CONTENT_TYPE, NewPropValue::Text(kind)) => {
                properties.content_type.replace(text(FIELD, kind)?).is_some()
            }
            (
                PAYLOAD_FORMAT_INDICATOR
                | MESSAGE_EXPIRY_INTERVAL
                | RESPONSE_TOPIC
                | CORRELATION_DATA
                | CONTENT_TYPE
                | USER_PROPERTY,
                _,
            ) => {
                return Err(broken(FIELD, format_args!("0x{id:02X} has a value of the wrong type or range")));
            }
            _ => return Err(broken(FIELD, format_args!("0x{id:02X} cannot be set on a PUBLISH"))),
        };
        if again {
            return Err(broken(FIELD, format_args!("0x{id:02X} stands there more than once")));
        }
    }
    Ok(properties)
}

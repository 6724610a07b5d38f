//! Which property stands in which packet, and how each is written (table 2-4). One list serves reading and writing.

use super::{
    AckProperties, AuthProperties, ConnAckProperties, ConnectProperties, DisconnectProperties,
    PublishProperties, SubscribeProperties, SubscriptionIds, UserProperties, WillProperties,
};
use crate::{
    error::{DecodeError, EncodeError, Malformed, ProtocolViolation},
    names::{ClientId, NameError, TopicName},
    packet::{QoS, Version},
    reader::Reader,
    writer::{Count, Sink},
};
use bytes::Bytes;
use std::num::{NonZeroU16, NonZeroU32};

/// The properties of one kind of packet.
pub(crate) trait PropertySet: Default {
    /// Reads the value of property `id`.
    fn read_value(&mut self, id: u8, reader: &mut Reader<'_>) -> Result<(), DecodeError>;
    /// Writes all properties, without their length.
    fn write(&self, out: &mut impl Sink) -> Result<(), EncodeError>;
}

/// Reads a property set and its length [MQTT-2.2.2-1]. None if it is empty, and before MQTT 5, which has none.
pub(crate) fn read_properties<P: PropertySet>(
    version: Version,
    reader: &mut Reader<'_>,
) -> Result<Option<P>, DecodeError> {
    if version < Version::V5 {
        return Ok(None);
    }
    let len = reader.var_int()? as usize;
    if len == 0 {
        return Ok(None);
    }
    let mut reader = Reader::new(reader.take(len)?);
    let mut properties = P::default();
    while !reader.is_empty() {
        // A variable byte integer, but all identifiers have one byte: a longer one is unknown.
        let id = reader.u8()?;
        properties.read_value(id, &mut reader)?;
    }
    Ok(Some(properties))
}

/// Writes a property set and its length; nothing before MQTT 5.
pub(crate) fn write_properties(
    version: Version,
    properties: &impl PropertySet,
    out: &mut impl Sink,
) -> Result<(), EncodeError> {
    if version < Version::V5 {
        return Ok(());
    }
    out.var_int(properties_len(properties)?)?;
    properties.write(out)
}

/// The Property Length.
pub(crate) fn properties_len(properties: &impl PropertySet) -> Result<usize, EncodeError> {
    let mut count = Count::default();
    properties.write(&mut count)?;
    Ok(count.0)
}

macro_rules! identifiers {
    ($($name:ident = $id:literal,)*) => { $(const $name: u8 = $id;)* };
}

identifiers! {
    PAYLOAD_FORMAT_INDICATOR = 0x01,
    MESSAGE_EXPIRY_INTERVAL = 0x02,
    CONTENT_TYPE = 0x03,
    RESPONSE_TOPIC = 0x08,
    CORRELATION_DATA = 0x09,
    SUBSCRIPTION_IDENTIFIER = 0x0B,
    SESSION_EXPIRY_INTERVAL = 0x11,
    ASSIGNED_CLIENT_IDENTIFIER = 0x12,
    SERVER_KEEP_ALIVE = 0x13,
    AUTHENTICATION_METHOD = 0x15,
    AUTHENTICATION_DATA = 0x16,
    REQUEST_PROBLEM_INFORMATION = 0x17,
    WILL_DELAY_INTERVAL = 0x18,
    REQUEST_RESPONSE_INFORMATION = 0x19,
    RESPONSE_INFORMATION = 0x1A,
    SERVER_REFERENCE = 0x1C,
    REASON_STRING = 0x1F,
    RECEIVE_MAXIMUM = 0x21,
    TOPIC_ALIAS_MAXIMUM = 0x22,
    TOPIC_ALIAS = 0x23,
    MAXIMUM_QOS = 0x24,
    RETAIN_AVAILABLE = 0x25,
    USER_PROPERTY = 0x26,
    MAXIMUM_PACKET_SIZE = 0x27,
    WILDCARD_SUBSCRIPTION_AVAILABLE = 0x28,
    SUBSCRIPTION_IDENTIFIERS_AVAILABLE = 0x29,
    SHARED_SUBSCRIPTION_AVAILABLE = 0x2A,
}

macro_rules! property_sets {
    ($($set:ty { $($id:ident => $($field:ident).+,)* })*) => {$(
        impl PropertySet for $set {
            fn read_value(&mut self, id: u8, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
                match id {
                    $($id => self.$($field).+.read(id, reader),)*
                    other => Err(Malformed::Property(other).into()),
                }
            }

            fn write(&self, out: &mut impl Sink) -> Result<(), EncodeError> {
                $(Property::write(&self.$($field).+, $id, out)?;)*
                Ok(())
            }
        }
    )*};
}

property_sets! {
    ConnectProperties {
        SESSION_EXPIRY_INTERVAL => session_expiry_interval,
        RECEIVE_MAXIMUM => receive_maximum,
        MAXIMUM_PACKET_SIZE => maximum_packet_size,
        TOPIC_ALIAS_MAXIMUM => topic_alias_maximum,
        REQUEST_RESPONSE_INFORMATION => request_response_information,
        REQUEST_PROBLEM_INFORMATION => request_problem_information,
        USER_PROPERTY => user_properties,
        AUTHENTICATION_METHOD => authentication_method,
        AUTHENTICATION_DATA => authentication_data,
    }
    WillProperties {
        WILL_DELAY_INTERVAL => will_delay_interval,
        PAYLOAD_FORMAT_INDICATOR => publish.payload_format_indicator,
        MESSAGE_EXPIRY_INTERVAL => publish.message_expiry_interval,
        RESPONSE_TOPIC => publish.response_topic,
        CORRELATION_DATA => publish.correlation_data,
        USER_PROPERTY => publish.user_properties,
        CONTENT_TYPE => publish.content_type,
    }
    ConnAckProperties {
        SESSION_EXPIRY_INTERVAL => session_expiry_interval,
        RECEIVE_MAXIMUM => receive_maximum,
        MAXIMUM_QOS => maximum_qos,
        RETAIN_AVAILABLE => retain_available,
        MAXIMUM_PACKET_SIZE => maximum_packet_size,
        ASSIGNED_CLIENT_IDENTIFIER => assigned_client_identifier,
        TOPIC_ALIAS_MAXIMUM => topic_alias_maximum,
        REASON_STRING => reason_string,
        USER_PROPERTY => user_properties,
        WILDCARD_SUBSCRIPTION_AVAILABLE => wildcard_subscription_available,
        SUBSCRIPTION_IDENTIFIERS_AVAILABLE => subscription_identifiers_available,
        SHARED_SUBSCRIPTION_AVAILABLE => shared_subscription_available,
        SERVER_KEEP_ALIVE => server_keep_alive,
        RESPONSE_INFORMATION => response_information,
        SERVER_REFERENCE => server_reference,
        AUTHENTICATION_METHOD => authentication_method,
        AUTHENTICATION_DATA => authentication_data,
    }
    PublishProperties {
        PAYLOAD_FORMAT_INDICATOR => payload_format_indicator,
        MESSAGE_EXPIRY_INTERVAL => message_expiry_interval,
        TOPIC_ALIAS => topic_alias,
        RESPONSE_TOPIC => response_topic,
        CORRELATION_DATA => correlation_data,
        USER_PROPERTY => user_properties,
        SUBSCRIPTION_IDENTIFIER => subscription_identifiers,
        CONTENT_TYPE => content_type,
    }
    AckProperties {
        REASON_STRING => reason_string,
        USER_PROPERTY => user_properties,
    }
    SubscribeProperties {
        SUBSCRIPTION_IDENTIFIER => subscription_identifier,
        USER_PROPERTY => user_properties,
    }
    DisconnectProperties {
        SESSION_EXPIRY_INTERVAL => session_expiry_interval,
        REASON_STRING => reason_string,
        USER_PROPERTY => user_properties,
        SERVER_REFERENCE => server_reference,
    }
    AuthProperties {
        AUTHENTICATION_METHOD => authentication_method,
        AUTHENTICATION_DATA => authentication_data,
        REASON_STRING => reason_string,
        USER_PROPERTY => user_properties,
    }
}

/// UNSUBSCRIBE has user properties and nothing else.
impl PropertySet for UserProperties {
    fn read_value(&mut self, id: u8, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        if id == USER_PROPERTY { self.read(id, reader) } else { Err(Malformed::Property(id).into()) }
    }

    fn write(&self, out: &mut impl Sink) -> Result<(), EncodeError> {
        Property::write(self, USER_PROPERTY, out)
    }
}

/// A field that holds one property: there or not, or any number of times.
trait Property {
    fn read(&mut self, id: u8, reader: &mut Reader<'_>) -> Result<(), DecodeError>;
    fn write(&self, id: u8, out: &mut impl Sink) -> Result<(), EncodeError>;
}

impl<V: Value> Property for Option<V> {
    fn read(&mut self, id: u8, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        if self.is_some() {
            return Err(ProtocolViolation::PropertyTwice(id).into());
        }
        *self = Some(V::read(id, reader)?);
        Ok(())
    }

    fn write(&self, id: u8, out: &mut impl Sink) -> Result<(), EncodeError> {
        let Some(value) = self else { return Ok(()) };
        out.u8(id);
        value.write(id, out)
    }
}

impl Property for UserProperties {
    fn read(&mut self, _: u8, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        self.push((reader.text()?.into(), reader.text()?.into()));
        Ok(())
    }

    fn write(&self, id: u8, out: &mut impl Sink) -> Result<(), EncodeError> {
        self.iter().try_for_each(|(name, value)| {
            out.u8(id);
            out.text(name)?;
            out.text(value)
        })
    }
}

impl Property for SubscriptionIds {
    fn read(&mut self, id: u8, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        self.push(NonZeroU32::read(id, reader)?);
        Ok(())
    }

    fn write(&self, id: u8, out: &mut impl Sink) -> Result<(), EncodeError> {
        self.iter().try_for_each(|value| {
            out.u8(id);
            value.write(id, out)
        })
    }
}

/// The value of a property that stands at most once.
trait Value: Sized {
    fn read(id: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError>;
    fn write(&self, id: u8, out: &mut impl Sink) -> Result<(), EncodeError>;
}

impl Value for bool {
    fn read(id: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(ProtocolViolation::PropertyValue(id).into()),
        }
    }

    fn write(&self, _: u8, out: &mut impl Sink) -> Result<(), EncodeError> {
        out.u8((*self).into());
        Ok(())
    }
}

/// Maximum QoS: 0 or 1 (section 3.2.2.3.4).
impl Value for QoS {
    fn read(id: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(if bool::read(id, reader)? { Self::AtLeastOnce } else { Self::AtMostOnce })
    }

    fn write(&self, id: u8, out: &mut impl Sink) -> Result<(), EncodeError> {
        (*self > Self::AtMostOnce).write(id, out)
    }
}

impl Value for u16 {
    fn read(_: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(reader.u16()?)
    }

    fn write(&self, _: u8, out: &mut impl Sink) -> Result<(), EncodeError> {
        out.u16(*self);
        Ok(())
    }
}

impl Value for NonZeroU16 {
    fn read(id: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::new(reader.u16()?).ok_or(match id {
            TOPIC_ALIAS => DecodeError::TopicAliasZero, // [MQTT-3.3.2-8]
            _ => ProtocolViolation::PropertyValue(id).into(),
        })
    }

    fn write(&self, id: u8, out: &mut impl Sink) -> Result<(), EncodeError> {
        self.get().write(id, out)
    }
}

impl Value for u32 {
    fn read(_: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(reader.u32()?)
    }

    fn write(&self, _: u8, out: &mut impl Sink) -> Result<(), EncodeError> {
        out.u32(*self);
        Ok(())
    }
}

/// Maximum Packet Size, four bytes, or Subscription Identifier, a variable byte integer.
impl Value for NonZeroU32 {
    fn read(id: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let value = if id == SUBSCRIPTION_IDENTIFIER { reader.var_int()? } else { reader.u32()? };
        Self::new(value).ok_or(ProtocolViolation::PropertyValue(id).into())
    }

    fn write(&self, id: u8, out: &mut impl Sink) -> Result<(), EncodeError> {
        if id == SUBSCRIPTION_IDENTIFIER {
            return out.var_int(self.get() as usize);
        }
        self.get().write(id, out)
    }
}

impl Value for Box<str> {
    fn read(_: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(reader.text()?.into())
    }

    fn write(&self, _: u8, out: &mut impl Sink) -> Result<(), EncodeError> {
        out.text(self)
    }
}

impl Value for Bytes {
    fn read(_: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self::copy_from_slice(reader.binary()?))
    }

    fn write(&self, _: u8, out: &mut impl Sink) -> Result<(), EncodeError> {
        out.binary(self)
    }
}

impl Value for ClientId {
    fn read(_: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self::new(reader.text()?))
    }

    fn write(&self, _: u8, out: &mut impl Sink) -> Result<(), EncodeError> {
        out.text(self)
    }
}

/// Response Topic.
impl Value for TopicName {
    fn read(_: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::new(reader.utf8()?).map_err(|error| match error {
            NameError::WildcardInTopicName => ProtocolViolation::ResponseTopicWildcard.into(), // [MQTT-3.3.2-14]
            other => DecodeError::name(other, Version::V5),
        })
    }

    fn write(&self, _: u8, out: &mut impl Sink) -> Result<(), EncodeError> {
        out.binary(self.as_bytes())
    }
}

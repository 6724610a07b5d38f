//! Bytes to packets, for all versions and both directions.

use crate::{
    error::{DecodeError, Malformed, ProtocolViolation},
    names::{ClientId, NameError, SubscriptionFilter, TopicName},
    packet::{
        Ack, Auth, ConnAck, Connect, Disconnect, Packet, PacketId, PacketType, Publish, QoS, RetainHandling,
        SubAck, Subscribe, SubscriptionOptions, UnsubAck, Unsubscribe, Version, Will,
    },
    properties::{
        AuthProperties, ConnAckProperties, ConnectProperties, PropertySet, PublishProperties, read_properties,
    },
    reader::{self, Reader},
    reason::ReasonCode,
};
use bytes::Bytes;

/// Finds a whole packet at the start of `buffer`; None if more bytes are needed. What the fixed header alone betrays is
/// refused before the body is there. `max_packet_size` counts the fixed header too.
///
/// # Errors
/// [`DecodeError::TooLarge`], or [`DecodeError::Malformed`] for a wrong fixed header.
pub fn next_frame(buffer: &[u8], max_packet_size: u32) -> Result<Option<Frame<'_>>, DecodeError> {
    let Some((&first_byte, rest)) = buffer.split_first() else { return Ok(None) };
    let packet_type = checked_type(first_byte)?;
    let Some((remaining, length_bytes)) = reader::var_int(rest)? else { return Ok(None) };
    let size = remaining + 1 + length_bytes as u32;
    if size > max_packet_size {
        return Err(DecodeError::TooLarge { size, limit: max_packet_size });
    }
    let len = size as usize;
    let body = buffer.get(1 + length_bytes..len);
    Ok(body.map(|body| Frame { packet_type, first_byte, body, len }))
}

/// A PUBLISH without properties.
#[derive(Clone, Copy, Debug)]
pub struct PlainPublish<'a> {
    /// Not checked. Empty ones are wrong, as there is no topic alias.
    pub topic: &'a [u8],
    /// As published.
    pub qos: QoS,
    /// As published.
    pub retain: bool,
    /// There exactly at QoS 1 and 2.
    pub packet_id: Option<PacketId>,
    /// All that is left.
    pub payload: &'a [u8],
}

/// A whole packet, not yet taken apart. Its fixed header is checked.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    packet_type: PacketType,
    first_byte: u8,
    body: &'a [u8],
    len: usize,
}

impl<'a> Frame<'a> {
    /// Which packet it is.
    pub fn packet_type(&self) -> PacketType {
        self.packet_type
    }

    /// Bytes of the whole packet, to be taken from the buffer when it is handled. At least two.
    #[expect(clippy::len_without_is_empty, reason = "no packet is empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// A PUBLISH without properties, as most are; None if it is anything else, or wrong: then [`Frame::decode`] says what. The topic is not
    /// checked: that is for whoever does not know it to be one.
    #[inline]
    pub fn plain_publish(&self, version: Version) -> Option<PlainPublish<'a>> {
        if self.packet_type != PacketType::Publish {
            return None;
        }
        let (length, rest) = self.body.split_first_chunk()?;
        let (topic, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        let qos = QoS::try_from(self.first_byte >> 1 & 0b11).ok()?;
        let (packet_id, rest) = if qos == QoS::AtMostOnce {
            (None, rest)
        } else {
            let (packet_id, rest) = rest.split_first_chunk()?;
            (Some(PacketId::new(u16::from_be_bytes(*packet_id))?), rest)
        };
        let payload = if version < Version::V5 { rest } else { rest.strip_prefix(&[0])? };
        Some(PlainPublish { topic, qos, retain: self.first_byte & 1 != 0, packet_id, payload })
    }

    /// The packet identifier of an acknowledgement that says no more than that, as most do; None if it is anything else.
    #[inline]
    pub fn plain_ack(&self) -> Option<PacketId> {
        use PacketType::{PubAck, PubComp, PubRec, PubRel};
        let packet_id = self.body.try_into().ok().map(u16::from_be_bytes)?;
        matches!(self.packet_type, PubAck | PubRec | PubRel | PubComp).then(|| PacketId::new(packet_id))?
    }

    /// Takes a packet apart as a broker does: as [`Frame::decode`], and refuses what only a server may send.
    ///
    /// # Errors
    /// As [`Frame::decode`].
    pub fn decode_from_client(self, version: Version) -> Result<Packet<'a>, DecodeError> {
        use PacketType::{ConnAck, PingResp, SubAck, UnsubAck};
        if matches!(self.packet_type, ConnAck | SubAck | UnsubAck | PingResp) {
            return Err(ProtocolViolation::OnlyFromServer.into());
        }
        let decoded = self.decode(version);
        let violation = match &decoded {
            // [MQTT-3.3.4-6]
            Ok(Packet::Publish(Publish { properties: Some(properties), .. }))
                if !properties.subscription_identifiers.is_empty() =>
            {
                ProtocolViolation::SubscriptionIdFromClient
            }
            // [MQTT-3.14.2-1]
            Ok(Packet::Disconnect(Disconnect { reason, .. })) if !client_disconnects_with(*reason) => {
                ProtocolViolation::ReasonCode(*reason as u8)
            }
            Ok(Packet::Disconnect(Disconnect { properties, .. }))
                if properties.server_reference.is_some() =>
            {
                ProtocolViolation::OnlyFromServer
            }
            // [MQTT-4.12.0-3]
            Ok(Packet::Auth(Auth { reason: ReasonCode::Success, .. })) => ProtocolViolation::ReasonCode(0),
            _ => return decoded,
        };
        Err(violation.into())
    }

    /// Takes the packet apart, whoever sent it. A CONNECT carries its own version and ignores `version`.
    ///
    /// # Errors
    /// Whatever is wrong with the packet by itself; nothing that depends on other packets of the connection.
    pub fn decode(self, version: Version) -> Result<Packet<'a>, DecodeError> {
        let mut reader = Reader::new(self.body);
        let body = &mut reader;
        let packet = match self.packet_type {
            // Its payload takes what is left.
            PacketType::Publish => return publish(self.first_byte, version, body).map(Packet::Publish),
            PacketType::PubAck => Packet::PubAck(ack(self.packet_type, version, body)?),
            PacketType::PubRec => Packet::PubRec(ack(self.packet_type, version, body)?),
            PacketType::PubRel => Packet::PubRel(ack(self.packet_type, version, body)?),
            PacketType::PubComp => Packet::PubComp(ack(self.packet_type, version, body)?),
            PacketType::PingReq => Packet::PingReq,
            PacketType::PingResp => Packet::PingResp,
            PacketType::Connect => Packet::Connect(Box::new(connect(body)?)),
            PacketType::ConnAck => Packet::ConnAck(Box::new(connack(version, body)?)),
            PacketType::Subscribe => Packet::Subscribe(subscribe(version, body)?),
            PacketType::SubAck => Packet::SubAck(suback(version, body)?),
            PacketType::Unsubscribe => Packet::Unsubscribe(unsubscribe(version, body)?),
            PacketType::UnsubAck => Packet::UnsubAck(unsuback(version, body)?),
            PacketType::Disconnect => Packet::Disconnect(disconnect(version, body)?),
            PacketType::Auth => Packet::Auth(auth(version, body)?),
        };
        reader.finish()?;
        Ok(packet)
    }
}

/// The packet type, if the flags go with it [MQTT-2.1.3-1].
fn checked_type(first_byte: u8) -> Result<PacketType, Malformed> {
    let packet_type = PacketType::try_from(first_byte >> 4).map_err(|_| Malformed::PacketType)?;
    match (packet_type, first_byte & 0x0F) {
        (PacketType::Publish, flags) if flags & 0b0110 == 0b0110 => Err(Malformed::QoS), // [MQTT-3.3.1-4]
        (PacketType::Publish, flags) if flags & 0b1110 == 0b1000 => Err(Malformed::DupAtQos0), // [MQTT-3.3.1-2]
        (PacketType::Publish, _) => Ok(packet_type),
        (_, flags) if flags == packet_type.reserved_flags() => Ok(packet_type),
        _ => Err(Malformed::Flags),
    }
}

fn publish<'a>(first_byte: u8, version: Version, body: &mut Reader<'a>) -> Result<Publish<'a>, DecodeError> {
    let topic = body.utf8()?;
    let qos = QoS::try_from(first_byte >> 1 & 0b11).map_err(|_| Malformed::QoS)?;
    let packet_id = if qos == QoS::AtMostOnce { None } else { Some(body.packet_id()?) };
    let properties = read_properties(version, body)?.map(Box::<PublishProperties>::new);
    match TopicName::check(topic) {
        // A topic alias may stand for an empty topic (section 3.3.2.3.4).
        Err(NameError::Empty) if properties.as_ref().is_some_and(|p| p.topic_alias.is_some()) => {}
        checked => checked.map_err(|error| DecodeError::name(error, version))?,
    }
    Ok(Publish {
        dup: first_byte & 0b1000 != 0,
        qos,
        retain: first_byte & 1 != 0,
        topic,
        packet_id,
        properties,
        payload: body.rest(),
    })
}

fn ack(packet: PacketType, version: Version, body: &mut Reader<'_>) -> Result<Ack, DecodeError> {
    let packet_id = body.packet_id()?;
    let (reason, properties) = reason_and_properties(packet, version, body)?;
    Ok(Ack { packet_id, reason, properties: properties.map(Box::new) })
}

fn disconnect(version: Version, body: &mut Reader<'_>) -> Result<Disconnect, DecodeError> {
    let (reason, properties) = reason_and_properties(PacketType::Disconnect, version, body)?;
    Ok(Disconnect { reason, properties: properties.unwrap_or_default() })
}

fn auth(version: Version, body: &mut Reader<'_>) -> Result<Auth, DecodeError> {
    if version < Version::V5 {
        return Err(Malformed::AuthBeforeV5.into());
    }
    if body.is_empty() {
        return Ok(Auth { reason: ReasonCode::Success, properties: AuthProperties::default() });
    }
    let reason = version.reason_from_wire(PacketType::Auth, body.u8()?)?;
    let properties: AuthProperties = read_properties(version, body)?.unwrap_or_default();
    // Section 3.15.2.2.2
    if properties.authentication_method.is_none() {
        return Err(ProtocolViolation::AuthenticationMethodMissing.into());
    }
    Ok(Auth { reason, properties })
}

/// The end of PUBACK, PUBREC, PUBREL, PUBCOMP and DISCONNECT: nothing at all before MQTT 5, which may leave out both the
/// properties and the reason (section 3.4.2.1).
fn reason_and_properties<P: PropertySet>(
    packet: PacketType,
    version: Version,
    body: &mut Reader<'_>,
) -> Result<(ReasonCode, Option<P>), DecodeError> {
    if version < Version::V5 || body.is_empty() {
        return Ok((ReasonCode::Success, None));
    }
    let reason = version.reason_from_wire(packet, body.u8()?)?;
    let properties = if body.is_empty() { None } else { read_properties(version, body)? };
    Ok((reason, properties))
}

fn connect(body: &mut Reader<'_>) -> Result<Connect, DecodeError> {
    let (name, level) = (body.binary()?, body.u8()?);
    let version = Version::from_protocol(name, level)?;
    let flags = body.u8()?;
    let has = |bit: u8| flags & (1 << bit) != 0;
    if has(0) {
        return Err(Malformed::ConnectFlags.into()); // [MQTT-3.1.2-3]
    }
    let keep_alive = body.u16()?;
    let properties: ConnectProperties = read_properties(version, body)?.unwrap_or_default();
    method_for_data(&properties.authentication_method, &properties.authentication_data)?;
    let client_id = ClientId::new(body.text()?);
    let will_qos = QoS::try_from(flags >> 3 & 0b11).map_err(|_| Malformed::QoS)?; // [MQTT-3.1.2-12]
    let will = if has(2) {
        Some(will(version, will_qos, has(5), body)?)
    } else if will_qos > QoS::AtMostOnce || has(5) {
        return Err(Malformed::WillFlags.into()); // [MQTT-3.1.2-11], [MQTT-3.1.2-13]
    } else {
        None
    };
    if has(6) && !has(7) && version < Version::V5 {
        return Err(Malformed::PasswordWithoutUserName.into()); // [MQTT-3.1.2-22] (3.1.1)
    }
    let username = if has(7) { Some(body.text()?.into()) } else { None };
    let password = if has(6) { Some(Bytes::copy_from_slice(body.binary()?)) } else { None };
    Ok(Connect { version, clean_start: has(1), keep_alive, client_id, properties, will, username, password })
}

fn will(version: Version, qos: QoS, retain: bool, body: &mut Reader<'_>) -> Result<Will, DecodeError> {
    let properties = read_properties(version, body)?.unwrap_or_default();
    let topic = TopicName::new(body.utf8()?).map_err(|error| DecodeError::name(error, version))?;
    let payload = Bytes::copy_from_slice(body.binary()?);
    Ok(Will { topic, payload, qos, retain, properties })
}

fn connack(version: Version, body: &mut Reader<'_>) -> Result<ConnAck, DecodeError> {
    let session_present = match body.u8()? {
        0 => false,
        1 => true,
        _ => return Err(Malformed::ConnectFlags.into()), // [MQTT-3.2.2-1]
    };
    let reason = version.reason_from_wire(PacketType::ConnAck, body.u8()?)?;
    if session_present && reason.is_error() {
        return Err(ProtocolViolation::SessionPresentWithRefusal.into()); // [MQTT-3.2.2-6]
    }
    let properties: ConnAckProperties = read_properties(version, body)?.unwrap_or_default();
    method_for_data(&properties.authentication_method, &properties.authentication_data)?;
    Ok(ConnAck { session_present, reason, properties })
}

fn method_for_data(method: &Option<Box<str>>, data: &Option<Bytes>) -> Result<(), ProtocolViolation> {
    if data.is_some() && method.is_none() {
        return Err(ProtocolViolation::AuthenticationDataWithoutMethod);
    }
    Ok(())
}

fn subscribe(version: Version, body: &mut Reader<'_>) -> Result<Subscribe, DecodeError> {
    let packet_id = body.packet_id()?;
    let properties = read_properties(version, body)?.unwrap_or_default();
    let subscriptions = list(body, |body| {
        let filter = subscription_filter(version, body)?;
        let options = subscription_options(version, body.u8()?)?;
        // [MQTT-3.8.3-4]
        if options.no_local && filter.share.is_some() {
            return Err(ProtocolViolation::NoLocalOnShared.into());
        }
        Ok((filter, options))
    })?;
    Ok(Subscribe { packet_id, properties, subscriptions })
}

fn unsubscribe(version: Version, body: &mut Reader<'_>) -> Result<Unsubscribe, DecodeError> {
    let packet_id = body.packet_id()?;
    let properties = read_properties(version, body)?.unwrap_or_default();
    let filters = list(body, |body| subscription_filter(version, body))?;
    Ok(Unsubscribe { packet_id, properties, filters })
}

fn subscription_filter(version: Version, body: &mut Reader<'_>) -> Result<SubscriptionFilter, DecodeError> {
    SubscriptionFilter::new(body.utf8()?).map_err(|error| DecodeError::name(error, version))
}

/// Section 3.8.3.1. Before MQTT 5 there is nothing but the QoS [MQTT-3.8.3-4] (3.1.1).
fn subscription_options(version: Version, byte: u8) -> Result<SubscriptionOptions, DecodeError> {
    let reserved = if version < Version::V5 { 0b1111_1100 } else { 0b1100_0000 };
    if byte & reserved != 0 {
        return Err(Malformed::SubscriptionOptions.into()); // [MQTT-3.8.3-5]
    }
    let maximum_qos = QoS::try_from(byte & 0b11).map_err(|_| match version {
        Version::V5 => DecodeError::from(ProtocolViolation::SubscriptionQos),
        _ => Malformed::QoS.into(),
    })?;
    let retain_handling = match byte >> 4 & 0b11 {
        0 => RetainHandling::SendAlways,
        1 => RetainHandling::SendIfNew,
        2 => RetainHandling::SendNever,
        _ => return Err(ProtocolViolation::RetainHandling.into()),
    };
    Ok(SubscriptionOptions {
        maximum_qos,
        no_local: byte & 0b100 != 0,
        retain_as_published: byte & 0b1000 != 0,
        retain_handling,
    })
}

fn suback(version: Version, body: &mut Reader<'_>) -> Result<SubAck, DecodeError> {
    let packet_id = body.packet_id()?;
    let properties = read_properties(version, body)?.unwrap_or_default();
    let reasons = list(body, |body| version.reason_from_wire(PacketType::SubAck, body.u8()?))?;
    Ok(SubAck { packet_id, properties, reasons })
}

fn unsuback(version: Version, body: &mut Reader<'_>) -> Result<UnsubAck, DecodeError> {
    let packet_id = body.packet_id()?;
    let properties = read_properties(version, body)?.unwrap_or_default();
    let reasons = if version < Version::V5 {
        Vec::new()
    } else {
        list(body, |body| version.reason_from_wire(PacketType::UnsubAck, body.u8()?))?
    };
    Ok(UnsubAck { packet_id, properties, reasons })
}

/// Items up to the end of the packet, at least one [MQTT-3.8.3-2], [MQTT-3.10.3-2].
fn list<'a, T>(
    body: &mut Reader<'a>,
    mut item: impl FnMut(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    if body.is_empty() {
        return Err(ProtocolViolation::EmptyList.into());
    }
    let mut items = Vec::new();
    while !body.is_empty() {
        items.push(item(body)?);
    }
    Ok(items)
}

/// The client's column of section 3.14.2.1.
fn client_disconnects_with(reason: ReasonCode) -> bool {
    use ReasonCode as R;
    matches!(
        reason,
        R::Success
            | R::DisconnectWithWill
            | R::UnspecifiedError
            | R::MalformedPacket
            | R::ProtocolError
            | R::ImplementationSpecificError
            | R::TopicNameInvalid
            | R::ReceiveMaximumExceeded
            | R::TopicAliasInvalid
            | R::PacketTooLarge
            | R::MessageRateTooHigh
            | R::QuotaExceeded
            | R::AdministrativeAction
            | R::PayloadFormatInvalid
    )
}

#[cfg(test)]
mod tests;

//! Packets to bytes, for all versions and both directions.

use crate::{
    error::EncodeError,
    packet::{
        Ack, Auth, ConnAck, Connect, Disconnect, Packet, PacketId, PacketType, Publish, QoS, SubAck,
        Subscribe, SubscriptionOptions, UnsubAck, Unsubscribe, Version,
    },
    properties::{AckProperties, PropertySet, properties_len, write_properties},
    reason::ReasonCode,
    writer::{Count, Head, Sink},
};

impl Packet<'_> {
    /// Appends the packet to `out`. What the version cannot say is left out (properties, reasons of acknowledgements) or
    /// mapped (return codes). A CONNECT goes by its own version.
    ///
    /// # Errors
    /// As [`EncodeError`] says; `out` is then as it was.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if let Self::Publish(publish) = self {
            return publish.encode(version, out).map(drop);
        }
        let remaining = self.body_len(version)?;
        out.reserve(whole_len(remaining)?);
        out.fixed_header(self.first_byte(), remaining)?;
        self.write_body(version, out)
    }

    /// As [`Packet::encode`], for a receiver that takes packets of `max_packet_size` bytes at most. Leaves out Reason String
    /// and User Properties if that helps [MQTT-3.2.2-19], [MQTT-3.4.2-2], [MQTT-3.14.2-3] and their like.
    ///
    /// # Errors
    /// [`EncodeError::TooLarge`] if it does not help [MQTT-3.1.2-24], else as [`Packet::encode`]; `out` is then as it was.
    pub fn encode_within(
        &self,
        version: Version,
        max_packet_size: u32,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let fits = |packet: &Self| packet.encoded_len(version).map(|len| len <= max_packet_size as usize);
        if fits(self)? {
            return self.encode(version, out);
        }
        let smaller = self.clone().without_optional_properties();
        if fits(&smaller)? { smaller.encode(version, out) } else { Err(EncodeError::TooLarge) }
    }

    /// Bytes that [`Packet::encode`] would append.
    ///
    /// # Errors
    /// As [`Packet::encode`].
    pub fn encoded_len(&self, version: Version) -> Result<usize, EncodeError> {
        whole_len(self.body_len(version)?)
    }

    /// For a client that asked for no problem information: without Reason String and User Properties where that forbids them,
    /// everywhere but in PUBLISH, CONNACK and DISCONNECT [MQTT-3.1.2-29]. Packets that only clients send stay as they are.
    #[must_use]
    pub fn without_problem_information(mut self) -> Self {
        match &mut self {
            Self::PubAck(ack) | Self::PubRec(ack) | Self::PubRel(ack) | Self::PubComp(ack) => {
                ack.properties = None;
            }
            Self::SubAck(SubAck { properties, .. }) | Self::UnsubAck(UnsubAck { properties, .. }) => {
                *properties = AckProperties::default();
            }
            Self::Auth(Auth { properties, .. }) => {
                properties.reason_string = None;
                properties.user_properties.clear();
            }
            _ => {}
        }
        self
    }

    /// Without every Reason String and User Property that the broker may drop to make a packet smaller: as
    /// [`Packet::without_problem_information`], and in CONNACK [MQTT-3.2.2-19], [MQTT-3.2.2-20] and DISCONNECT
    /// [MQTT-3.14.2-3], [MQTT-3.14.2-4]. Those of a PUBLISH belong to the message and stay [MQTT-3.3.2-17].
    #[must_use]
    pub fn without_optional_properties(mut self) -> Self {
        match &mut self {
            Self::ConnAck(connack) => {
                connack.properties.reason_string = None;
                connack.properties.user_properties.clear();
            }
            Self::Disconnect(Disconnect { properties, .. }) => {
                properties.reason_string = None;
                properties.user_properties.clear();
            }
            _ => return self.without_problem_information(),
        }
        self
    }

    fn first_byte(&self) -> u8 {
        match self {
            Self::Publish(publish) => publish.first_byte(),
            other => (other.packet_type() as u8) << 4 | other.packet_type().reserved_flags(),
        }
    }

    fn body_len(&self, version: Version) -> Result<usize, EncodeError> {
        let mut count = Count::default();
        self.write_body(version, &mut count)?;
        Ok(count.0)
    }

    /// All errors show when `out` only counts.
    fn write_body(&self, version: Version, out: &mut impl Sink) -> Result<(), EncodeError> {
        match self {
            Self::Connect(packet) => connect(packet, out),
            Self::ConnAck(packet) => connack(packet, version, out),
            Self::Publish(packet) => {
                packet.write_head(version, out)?;
                out.put(packet.payload);
                Ok(())
            }
            Self::PubAck(ack) | Self::PubRec(ack) | Self::PubRel(ack) | Self::PubComp(ack) => {
                acknowledge(self.packet_type(), ack, version, out)
            }
            Self::Subscribe(packet) => subscribe(packet, version, out),
            Self::SubAck(packet) => suback(packet, version, out),
            Self::Unsubscribe(packet) => unsubscribe(packet, version, out),
            Self::UnsubAck(packet) => unsuback(packet, version, out),
            Self::PingReq | Self::PingResp => Ok(()),
            Self::Disconnect(packet) => disconnect(packet, version, out),
            Self::Auth(packet) => auth(packet, version, out),
        }
    }
}

/// Where the parts of an encoded PUBLISH lie in the buffer it was appended to, to patch a copy of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PublishFrame {
    /// Of the first byte, which holds DUP, QoS and RETAIN.
    pub start: usize,
    /// Of the two bytes of the packet identifier, big-endian; None at QoS 0.
    pub packet_id: Option<usize>,
}

impl Publish<'_> {
    /// Appends the packet to `out`. 3.1 and 3.1.1 leave the properties out.
    ///
    /// # Errors
    /// As [`EncodeError`] says; `out` is then as it was.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<PublishFrame, EncodeError> {
        let frame = self.encode_head(version, out)?;
        out.put(self.payload);
        Ok(frame)
    }

    /// Appends all but the payload, which must follow: a large one is sent from where it lies, without a copy.
    ///
    /// # Errors
    /// As [`Publish::encode`].
    pub fn encode_head(&self, version: Version, out: &mut Vec<u8>) -> Result<PublishFrame, EncodeError> {
        let remaining = self.body_len(version)?;
        let start = out.len();
        out.fixed_header(self.first_byte(), remaining)?;
        let packet_id = self.packet_id.map(|_| out.len() + 2 + self.topic.len());
        self.write_head(version, out)?;
        Ok(PublishFrame { start, packet_id })
    }

    /// As [`Publish::encode_head`] for one without properties, which most are, in a third of the time. `payload`: its bytes follow.
    pub(crate) fn encode_plain_head(
        version: Version,
        (dup, qos, retain): (bool, QoS, bool),
        (topic, packet_id): (&str, Option<PacketId>),
        payload: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        if packet_id.is_some() != (qos > QoS::AtMostOnce) {
            return Err(EncodeError::PacketId); // [MQTT-2.2.1-2]
        }
        let topic_len = u16::try_from(topic.len()).map_err(|_| EncodeError::FieldTooLong)?;
        let properties = usize::from(version == Version::V5);
        let after_topic = 2 * usize::from(packet_id.is_some()) + properties;
        let remaining = 2 + topic.len() + after_topic + payload;
        let mut header = Head::default();
        header.fixed_header(publish_first_byte(dup, qos, retain), remaining)?;
        header.u16(topic_len);
        out.reserve(header.len + topic.len() + after_topic);
        out.extend_from_slice(header.bytes());
        out.extend_from_slice(topic.as_bytes());
        let mut end = Head::default();
        if let Some(packet_id) = packet_id {
            end.u16(packet_id.get());
        }
        // A property length of 0.
        end.put(&[0][..properties]);
        out.extend_from_slice(end.bytes());
        Ok(())
    }

    /// Bytes that [`Publish::encode`] would append.
    ///
    /// # Errors
    /// As [`Publish::encode`].
    pub fn encoded_len(&self, version: Version) -> Result<usize, EncodeError> {
        whole_len(self.body_len(version)?)
    }

    fn first_byte(&self) -> u8 {
        publish_first_byte(self.dup, self.qos, self.retain)
    }

    fn body_len(&self, version: Version) -> Result<usize, EncodeError> {
        let mut head = Count::default();
        self.write_head(version, &mut head)?;
        Ok(head.0 + self.payload.len())
    }

    /// The variable header.
    fn write_head(&self, version: Version, out: &mut impl Sink) -> Result<(), EncodeError> {
        // [MQTT-2.2.1-2]
        if self.packet_id.is_some() != (self.qos > QoS::AtMostOnce) {
            return Err(EncodeError::PacketId);
        }
        let properties = self.properties.as_deref().filter(|_| version == Version::V5);
        if self.topic.is_empty() && properties.is_none_or(|p| p.topic_alias.is_none()) {
            return Err(EncodeError::NoTopic);
        }
        out.binary(self.topic.as_bytes())?;
        if let Some(packet_id) = self.packet_id {
            out.u16(packet_id.get());
        }
        match properties {
            Some(properties) => write_properties(version, properties, out),
            None if version == Version::V5 => out.var_int(0),
            None => Ok(()),
        }
    }
}

fn publish_first_byte(dup: bool, qos: QoS, retain: bool) -> u8 {
    (PacketType::Publish as u8) << 4 | u8::from(dup) << 3 | (qos as u8) << 1 | u8::from(retain)
}

fn whole_len(remaining: usize) -> Result<usize, EncodeError> {
    let mut count = Count(remaining);
    count.fixed_header(0, remaining)?;
    Ok(count.0)
}

/// Appends a PUBACK, PUBREC, PUBREL or PUBCOMP without properties, five bytes at most: as [`Packet::encode`], at once.
///
/// # Errors
/// [`EncodeError::ReasonCode`] if that packet cannot say it; `out` is then as it was.
pub fn encode_short_ack(
    packet: PacketType,
    packet_id: PacketId,
    reason: ReasonCode,
    version: Version,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let first_byte = (packet as u8) << 4 | packet.reserved_flags();
    let [high, low] = packet_id.get().to_be_bytes();
    if version < Version::V5 || reason == ReasonCode::Success {
        out.extend_from_slice(&[first_byte, 2, high, low]);
    } else {
        let reason = version.reason_to_wire(packet, reason)?;
        out.extend_from_slice(&[first_byte, 3, high, low, reason]);
    }
    Ok(())
}

fn acknowledge(
    packet: PacketType,
    ack: &Ack,
    version: Version,
    out: &mut impl Sink,
) -> Result<(), EncodeError> {
    out.u16(ack.packet_id.get());
    if version < Version::V5 {
        return Ok(());
    }
    let none = AckProperties::default();
    reason_and_properties(packet, ack.reason, ack.properties.as_deref().unwrap_or(&none), out)
}

fn disconnect(packet: &Disconnect, version: Version, out: &mut impl Sink) -> Result<(), EncodeError> {
    match (version, packet.reason) {
        (Version::V5, reason) => {
            reason_and_properties(PacketType::Disconnect, reason, &packet.properties, out)
        }
        (_, ReasonCode::Success) => Ok(()),
        // Before MQTT 5 a client says goodbye only, and a server nothing.
        _ => Err(EncodeError::NotInThisVersion(PacketType::Disconnect)),
    }
}

/// The end of PUBACK, PUBREC, PUBREL, PUBCOMP and DISCONNECT in MQTT 5, in its shortest form (section 3.4.2.1).
fn reason_and_properties(
    packet: PacketType,
    reason: ReasonCode,
    properties: &impl PropertySet,
    out: &mut impl Sink,
) -> Result<(), EncodeError> {
    let has_properties = properties_len(properties)? > 0;
    if reason != ReasonCode::Success || has_properties {
        out.u8(Version::V5.reason_to_wire(packet, reason)?);
    }
    if has_properties { write_properties(Version::V5, properties, out) } else { Ok(()) }
}

fn auth(packet: &Auth, version: Version, out: &mut impl Sink) -> Result<(), EncodeError> {
    if version < Version::V5 {
        return Err(EncodeError::NotInThisVersion(PacketType::Auth));
    }
    // Section 3.15.2.1
    if packet.reason == ReasonCode::Success && properties_len(&packet.properties)? == 0 {
        return Ok(());
    }
    out.u8(version.reason_to_wire(PacketType::Auth, packet.reason)?);
    write_properties(version, &packet.properties, out)
}

fn connect(packet: &Connect, out: &mut impl Sink) -> Result<(), EncodeError> {
    let version = packet.version;
    if version < Version::V5 && packet.password.is_some() && packet.username.is_none() {
        return Err(EncodeError::NotInThisVersion(PacketType::Connect)); // [MQTT-3.1.2-22] (3.1.1)
    }
    out.text(version.protocol_name())?;
    out.u8(version.level());
    let will_flags =
        packet.will.as_ref().map_or(0, |w| 1 << 2 | (w.qos as u8) << 3 | u8::from(w.retain) << 5);
    out.u8(u8::from(packet.clean_start) << 1
        | will_flags
        | u8::from(packet.password.is_some()) << 6
        | u8::from(packet.username.is_some()) << 7);
    out.u16(packet.keep_alive);
    write_properties(version, &packet.properties, out)?;
    out.text(&packet.client_id)?;
    if let Some(will) = &packet.will {
        write_properties(version, &will.properties, out)?;
        out.binary(will.topic.as_bytes())?;
        out.binary(&will.payload)?;
    }
    if let Some(username) = &packet.username {
        out.text(username)?;
    }
    packet.password.as_ref().map_or(Ok(()), |password| out.binary(password))
}

fn connack(packet: &ConnAck, version: Version, out: &mut impl Sink) -> Result<(), EncodeError> {
    // [MQTT-3.2.2-6]
    out.u8((packet.session_present && !packet.reason.is_error()).into());
    out.u8(version.reason_to_wire(PacketType::ConnAck, packet.reason)?);
    write_properties(version, &packet.properties, out)
}

fn subscribe(packet: &Subscribe, version: Version, out: &mut impl Sink) -> Result<(), EncodeError> {
    out.u16(packet.packet_id.get());
    write_properties(version, &packet.properties, out)?;
    packet.subscriptions.iter().try_for_each(|(filter, options)| {
        out.binary(filter.to_string().as_bytes())?;
        out.u8(subscription_options(options, version));
        Ok(())
    })
}

/// Section 3.8.3.1
fn subscription_options(options: &SubscriptionOptions, version: Version) -> u8 {
    let v5_only = u8::from(options.no_local) << 2
        | u8::from(options.retain_as_published) << 3
        | (options.retain_handling as u8) << 4;
    options.maximum_qos as u8 | if version < Version::V5 { 0 } else { v5_only }
}

fn suback(packet: &SubAck, version: Version, out: &mut impl Sink) -> Result<(), EncodeError> {
    out.u16(packet.packet_id.get());
    write_properties(version, &packet.properties, out)?;
    reasons(PacketType::SubAck, &packet.reasons, version, out)
}

fn unsubscribe(packet: &Unsubscribe, version: Version, out: &mut impl Sink) -> Result<(), EncodeError> {
    out.u16(packet.packet_id.get());
    write_properties(version, &packet.properties, out)?;
    packet.filters.iter().try_for_each(|filter| out.binary(filter.to_string().as_bytes()))
}

fn unsuback(packet: &UnsubAck, version: Version, out: &mut impl Sink) -> Result<(), EncodeError> {
    out.u16(packet.packet_id.get());
    if version < Version::V5 {
        return Ok(());
    }
    write_properties(version, &packet.properties, out)?;
    reasons(PacketType::UnsubAck, &packet.reasons, version, out)
}

fn reasons(
    packet: PacketType,
    reasons: &[ReasonCode],
    version: Version,
    out: &mut impl Sink,
) -> Result<(), EncodeError> {
    reasons.iter().try_for_each(|&reason| {
        out.u8(version.reason_to_wire(packet, reason)?);
        Ok(())
    })
}

#[cfg(test)]
mod tests;

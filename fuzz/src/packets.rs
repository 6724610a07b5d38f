//! A packet from choices: every one that MQTT 5 can carry, in the form that decoding gives it.

use super::input::Input;
use bytes::Bytes;
use std::num::{NonZeroU16, NonZeroU32};
use tidegate_mqtt::{
    Ack, AckProperties, Auth, AuthProperties, ClientId, ConnAck, ConnAckProperties, Connect,
    ConnectProperties, Disconnect, DisconnectProperties, Packet, PacketId, PacketType, Publish,
    PublishProperties, QoS, ReasonCode, RetainHandling, SubAck, Subscribe, SubscribeProperties,
    SubscriptionFilter, SubscriptionOptions, TopicName, UnsubAck, Unsubscribe, UserProperties, Version, Will,
    WillProperties,
};

/// Any packet. A CONNECT is of any version, the others are of MQTT 5.
pub fn packet<'a>(input: &mut Input<'a>) -> Packet<'a> {
    match input.below(15) {
        0 => Packet::Publish(publish(input)),
        1 => Packet::PubAck(ack(input, PacketType::PubAck)),
        2 => Packet::PubRec(ack(input, PacketType::PubRec)),
        3 => Packet::PubRel(ack(input, PacketType::PubRel)),
        4 => Packet::PubComp(ack(input, PacketType::PubComp)),
        5 => Packet::Subscribe(subscribe(input)),
        6 => Packet::Unsubscribe(unsubscribe(input)),
        7 => Packet::PingReq,
        8 => Packet::Disconnect(disconnect(input)),
        9 => Packet::Auth(auth(input)),
        10 => Packet::Connect(Box::new(connect(input))),
        11 => Packet::ConnAck(Box::new(connack(input))),
        12 => Packet::SubAck(suback(input)),
        13 => Packet::UnsubAck(unsuback(input)),
        _ => Packet::PingResp,
    }
}

/// Any of the three.
pub fn version(input: &mut Input<'_>) -> Version {
    input.pick(&[Version::V5, Version::V3_1_1, Version::V3_1])
}

/// Any of the three.
pub fn qos(input: &mut Input<'_>) -> QoS {
    input.pick(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

/// A topic name.
pub fn topic<'a>(input: &mut Input<'a>) -> &'a str {
    let text = input.text().split(['+', '#']).next().unwrap_or_default();
    if text.is_empty() { "t" } else { text }
}

/// A reason that the packet may carry.
pub fn reason(input: &mut Input<'_>, packet: PacketType) -> ReasonCode {
    let all = (0..=u8::MAX).filter_map(|code| ReasonCode::try_from(code).ok());
    input.pick(&all.filter(|reason| reason.is_allowed_in(packet)).collect::<Vec<_>>())
}

/// What a PUBLISH carries besides topic alias and subscription identifiers.
pub fn publish_properties(input: &mut Input<'_>) -> PublishProperties {
    PublishProperties {
        payload_format_indicator: input.option(Input::flag),
        message_expiry_interval: input.option(Input::u32),
        response_topic: input.option(|input| topic_name(topic(input))),
        correlation_data: input.option(binary),
        user_properties: user_properties(input),
        content_type: input.option(text),
        ..PublishProperties::default()
    }
}

/// 1 to 268,435,455.
pub fn subscription_id(input: &mut Input<'_>) -> NonZeroU32 {
    NonZeroU32::new(input.u32() & 0x0FFF_FFFF).unwrap_or(NonZeroU32::MIN)
}

/// A topic name as the broker keeps it.
pub fn topic_name(topic: &str) -> TopicName {
    TopicName::new(topic).expect("a topic name")
}

/// Few, so that packets meet.
fn packet_id(input: &mut Input<'_>) -> PacketId {
    PacketId::MIN.saturating_add(input.below(12).into())
}

fn publish<'a>(input: &mut Input<'a>) -> Publish<'a> {
    let qos = qos(input);
    let packet_id = (qos > QoS::AtMostOnce).then(|| packet_id(input));
    // Small ones, most of which a session accepts.
    let topic_alias = input.option(|input| NonZeroU16::MIN.saturating_add(input.below(5).into()));
    let properties = if input.flag() { publish_properties(input) } else { PublishProperties::default() };
    let identifiers = if input.below(8) == 7 { input.list(1, 2, subscription_id) } else { Vec::new() };
    let properties =
        PublishProperties { topic_alias, subscription_identifiers: identifiers.into(), ..properties };
    let topic = if topic_alias.is_some() && input.flag() { "" } else { topic(input) };
    Publish {
        dup: input.flag() && qos > QoS::AtMostOnce,
        qos,
        retain: input.flag(),
        topic,
        packet_id,
        properties: unless_empty(properties),
        payload: input.bytes(),
    }
}

fn ack(input: &mut Input<'_>, packet: PacketType) -> Ack {
    let packet_id = packet_id(input);
    // The common form first: choices that run out give it.
    if !input.flag() {
        return Ack { packet_id, reason: ReasonCode::Success, properties: None };
    }
    Ack { packet_id, reason: reason(input, packet), properties: unless_empty(ack_properties(input)) }
}

fn subscribe(input: &mut Input<'_>) -> Subscribe {
    Subscribe {
        packet_id: packet_id(input),
        properties: SubscribeProperties {
            subscription_identifier: input.option(subscription_id),
            user_properties: user_properties(input),
        },
        subscriptions: input.list(1, 3, |input| {
            let filter = filter(input);
            let options = SubscriptionOptions {
                maximum_qos: qos(input),
                no_local: input.flag() && filter.share.is_none(),
                retain_as_published: input.flag(),
                retain_handling: input.pick(&[
                    RetainHandling::SendAlways,
                    RetainHandling::SendIfNew,
                    RetainHandling::SendNever,
                ]),
            };
            (filter, options)
        }),
    }
}

fn unsubscribe(input: &mut Input<'_>) -> Unsubscribe {
    Unsubscribe {
        packet_id: packet_id(input),
        properties: user_properties(input),
        filters: input.list(1, 3, filter),
    }
}

fn filter(input: &mut Input<'_>) -> SubscriptionFilter {
    let text = format!("{}{}", input.pick(&["", "$share/g/", "a/+/"]), input.text());
    SubscriptionFilter::new(&text)
        .or_else(|_| SubscriptionFilter::new(topic(input)))
        .or_else(|_| SubscriptionFilter::new("t"))
        .expect("t is a filter")
}

fn disconnect(input: &mut Input<'_>) -> Disconnect {
    Disconnect {
        reason: reason(input, PacketType::Disconnect),
        properties: DisconnectProperties {
            session_expiry_interval: input.option(Input::u32),
            reason_string: input.option(text),
            user_properties: user_properties(input),
            server_reference: input.option(text),
        },
    }
}

fn auth(input: &mut Input<'_>) -> Auth {
    let reason = reason(input, PacketType::Auth);
    if reason == ReasonCode::Success && input.flag() {
        return Auth { reason, properties: AuthProperties::default() };
    }
    Auth {
        reason,
        properties: AuthProperties {
            authentication_method: Some(text(input)),
            authentication_data: input.option(binary),
            reason_string: input.option(text),
            user_properties: user_properties(input),
        },
    }
}

fn connect(input: &mut Input<'_>) -> Connect {
    let version = version(input);
    let is_v5 = version == Version::V5;
    let authentication_method = input.option(text);
    let properties = ConnectProperties {
        session_expiry_interval: input.option(Input::u32),
        receive_maximum: NonZeroU16::new(input.u16()),
        maximum_packet_size: NonZeroU32::new(input.u32()),
        topic_alias_maximum: input.option(Input::u16),
        request_response_information: input.option(Input::flag),
        request_problem_information: input.option(Input::flag),
        user_properties: user_properties(input),
        authentication_data: input.option(binary).filter(|_| authentication_method.is_some()),
        authentication_method,
    };
    let will = input.option(|input| Will {
        topic: topic_name(topic(input)),
        payload: binary(input),
        qos: qos(input),
        retain: input.flag(),
        properties: if is_v5 {
            WillProperties {
                will_delay_interval: input.option(Input::u32),
                publish: publish_properties(input),
            }
        } else {
            WillProperties::default()
        },
    });
    let username = input.option(text);
    Connect {
        version,
        clean_start: input.flag(),
        keep_alive: input.u16(),
        client_id: ClientId::new(input.text()),
        properties: if is_v5 { properties } else { ConnectProperties::default() },
        will,
        password: input.option(binary).filter(|_| is_v5 || username.is_some()),
        username,
    }
}

fn connack(input: &mut Input<'_>) -> ConnAck {
    let reason = reason(input, PacketType::ConnAck);
    let authentication_method = input.option(text);
    ConnAck {
        session_present: input.flag() && !reason.is_error(),
        reason,
        properties: ConnAckProperties {
            session_expiry_interval: input.option(Input::u32),
            receive_maximum: NonZeroU16::new(input.u16()),
            maximum_qos: input.option(|input| input.pick(&[QoS::AtMostOnce, QoS::AtLeastOnce])),
            retain_available: input.option(Input::flag),
            maximum_packet_size: NonZeroU32::new(input.u32()),
            assigned_client_identifier: input.option(|input| ClientId::new(input.text())),
            topic_alias_maximum: input.option(Input::u16),
            reason_string: input.option(text),
            user_properties: user_properties(input),
            wildcard_subscription_available: input.option(Input::flag),
            subscription_identifiers_available: input.option(Input::flag),
            shared_subscription_available: input.option(Input::flag),
            server_keep_alive: input.option(Input::u16),
            response_information: input.option(text),
            server_reference: input.option(text),
            authentication_data: input.option(binary).filter(|_| authentication_method.is_some()),
            authentication_method,
        },
    }
}

fn suback(input: &mut Input<'_>) -> SubAck {
    SubAck {
        packet_id: packet_id(input),
        properties: ack_properties(input),
        reasons: input.list(1, 4, |input| reason(input, PacketType::SubAck)),
    }
}

fn unsuback(input: &mut Input<'_>) -> UnsubAck {
    UnsubAck {
        packet_id: packet_id(input),
        properties: ack_properties(input),
        reasons: input.list(1, 4, |input| reason(input, PacketType::UnsubAck)),
    }
}

fn ack_properties(input: &mut Input<'_>) -> AckProperties {
    AckProperties { reason_string: input.option(text), user_properties: user_properties(input) }
}

fn user_properties(input: &mut Input<'_>) -> UserProperties {
    input.list(0, 2, |input| (text(input), text(input)))
}

fn text(input: &mut Input<'_>) -> Box<str> {
    input.text().into()
}

fn binary(input: &mut Input<'_>) -> Bytes {
    Bytes::copy_from_slice(input.bytes())
}

fn unless_empty<P: Default + PartialEq>(properties: P) -> Option<Box<P>> {
    (properties != P::default()).then(|| Box::new(properties))
}

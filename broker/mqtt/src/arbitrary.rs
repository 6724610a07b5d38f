//! Any packet, for property tests.

use crate::*;
use bytes::Bytes;
use proptest::{collection::vec, option, prelude::*, sample::select};
use std::num::{NonZeroU16, NonZeroU32};

/// A packet and what it borrows.
#[derive(Clone, Debug)]
pub(crate) struct AnyPacket {
    /// A PUBLISH is without topic and payload here.
    packet: Packet<'static>,
    topic: String,
    payload: Vec<u8>,
}

impl AnyPacket {
    pub(crate) fn packet(&self) -> Packet<'_> {
        match self.packet.clone() {
            Packet::Publish(publish) => {
                Packet::Publish(Publish { topic: &self.topic, payload: &self.payload, ..publish })
            }
            other => other,
        }
    }
}

/// Any packet that MQTT 5 can carry in either direction, in the form that decoding gives it.
pub(crate) fn packet() -> impl Strategy<Value = AnyPacket> {
    prop_oneof![
        4 => publish(),
        2 => connect().prop_map(|p| plain(Packet::Connect(Box::new(p)))),
        1 => connack().prop_map(|p| plain(Packet::ConnAck(Box::new(p)))),
        1 => ack(PacketType::PubAck).prop_map(|p| plain(Packet::PubAck(p))),
        1 => ack(PacketType::PubRec).prop_map(|p| plain(Packet::PubRec(p))),
        1 => ack(PacketType::PubRel).prop_map(|p| plain(Packet::PubRel(p))),
        1 => ack(PacketType::PubComp).prop_map(|p| plain(Packet::PubComp(p))),
        2 => subscribe().prop_map(|p| plain(Packet::Subscribe(p))),
        1 => suback().prop_map(|p| plain(Packet::SubAck(p))),
        1 => unsubscribe().prop_map(|p| plain(Packet::Unsubscribe(p))),
        1 => unsuback().prop_map(|p| plain(Packet::UnsubAck(p))),
        1 => select(vec![Packet::PingReq, Packet::PingResp]).prop_map(plain),
        1 => disconnect().prop_map(|p| plain(Packet::Disconnect(p))),
        1 => auth().prop_map(|p| plain(Packet::Auth(p))),
    ]
}

/// Any of the three.
pub(crate) fn version() -> impl Strategy<Value = Version> {
    select(vec![Version::V3_1, Version::V3_1_1, Version::V5])
}

fn plain(packet: Packet<'static>) -> AnyPacket {
    AnyPacket { packet, topic: String::new(), payload: Vec::new() }
}

fn publish() -> impl Strategy<Value = AnyPacket> {
    let payload = prop_oneof![4 => vec(any::<u8>(), 0..200), 1 => vec(any::<u8>(), 16_300..16_500)];
    let properties = (publish_properties(), option::of(any::<NonZeroU16>()), vec(subscription_id(), 0..4));
    (any::<(bool, bool, bool, PacketId)>(), qos(), topic(), payload, properties).prop_map(
        |((dup, retain, only_alias, id), qos, topic, payload, (properties, topic_alias, ids))| {
            let subscription_identifiers = ids.into_iter().collect();
            let properties = PublishProperties { topic_alias, subscription_identifiers, ..properties };
            let above_0 = qos > QoS::AtMostOnce;
            let packet = Packet::Publish(Publish {
                dup: dup && above_0,
                qos,
                retain,
                topic: "",
                packet_id: above_0.then_some(id),
                properties: unless_empty(properties),
                payload: b"",
            });
            let topic = if only_alias && topic_alias.is_some() { String::new() } else { topic };
            AnyPacket { packet, topic, payload }
        },
    )
}

/// Those that a will has too.
fn publish_properties() -> impl Strategy<Value = PublishProperties> {
    let parts = (
        option::of(any::<bool>()),
        option::of(any::<u32>()),
        option::of(topic()),
        option::of(binary()),
        user_properties(),
        option::of(text()),
    );
    parts.prop_map(|(format, expiry, response_topic, correlation_data, user_properties, content_type)| {
        PublishProperties {
            payload_format_indicator: format,
            message_expiry_interval: expiry,
            response_topic: response_topic.map(|topic| TopicName::new(&topic).unwrap()),
            correlation_data,
            user_properties,
            content_type,
            ..PublishProperties::default()
        }
    })
}

fn connect() -> impl Strategy<Value = Connect> {
    let fields = (version(), any::<bool>(), any::<u16>(), text(), option::of(text()), option::of(binary()));
    (fields, connect_properties(), option::of(will())).prop_map(
        |((version, clean_start, keep_alive, client_id, username, password), properties, will)| {
            let v5 = version == Version::V5;
            let password = password.filter(|_| v5 || username.is_some());
            let client_id = ClientId::new(&client_id);
            let properties = if v5 { properties } else { ConnectProperties::default() };
            let will = will.map(|will: Will| match v5 {
                true => will,
                false => Will { properties: WillProperties::default(), ..will },
            });
            Connect { version, clean_start, keep_alive, client_id, properties, will, username, password }
        },
    )
}

fn will() -> impl Strategy<Value = Will> {
    let fields = (topic(), binary(), qos(), any::<bool>(), option::of(any::<u32>()), publish_properties());
    fields.prop_map(|(topic, payload, qos, retain, will_delay_interval, publish)| Will {
        topic: TopicName::new(&topic).unwrap(),
        payload,
        qos,
        retain,
        properties: WillProperties { will_delay_interval, publish },
    })
}

fn connect_properties() -> impl Strategy<Value = ConnectProperties> {
    let numbers = (
        option::of(any::<u32>()),
        option::of(any::<NonZeroU16>()),
        option::of(any::<NonZeroU32>()),
        option::of(any::<u16>()),
    );
    let rest = (option::of(any::<bool>()), option::of(any::<bool>()), user_properties(), authentication());
    (numbers, rest).prop_map(|(numbers, (response, problem, user_properties, (method, data)))| {
        ConnectProperties {
            session_expiry_interval: numbers.0,
            receive_maximum: numbers.1,
            maximum_packet_size: numbers.2,
            topic_alias_maximum: numbers.3,
            request_response_information: response,
            request_problem_information: problem,
            user_properties,
            authentication_method: method,
            authentication_data: data,
        }
    })
}

fn connack() -> impl Strategy<Value = ConnAck> {
    (any::<bool>(), reason(PacketType::ConnAck), connack_properties()).prop_map(
        |(session_present, reason, properties)| ConnAck {
            session_present: session_present && !reason.is_error(),
            reason,
            properties,
        },
    )
}

fn connack_properties() -> impl Strategy<Value = ConnAckProperties> {
    let numbers = (
        option::of(any::<u32>()),
        option::of(any::<NonZeroU16>()),
        option::of(any::<NonZeroU32>()),
        option::of(any::<u16>()),
        option::of(any::<u16>()),
        option::of(select(vec![QoS::AtMostOnce, QoS::AtLeastOnce])),
    );
    let flags = any::<[Option<bool>; 4]>();
    let texts = [option::of(text()), option::of(text()), option::of(text()), option::of(text())];
    (numbers, flags, texts, user_properties(), authentication()).prop_map(
        |(numbers, flags, [client_id, reason, response, server], user_properties, (method, data))| {
            ConnAckProperties {
                session_expiry_interval: numbers.0,
                receive_maximum: numbers.1,
                maximum_packet_size: numbers.2,
                topic_alias_maximum: numbers.3,
                server_keep_alive: numbers.4,
                maximum_qos: numbers.5,
                retain_available: flags[0],
                wildcard_subscription_available: flags[1],
                subscription_identifiers_available: flags[2],
                shared_subscription_available: flags[3],
                assigned_client_identifier: client_id.map(|id| ClientId::new(&id)),
                reason_string: reason,
                response_information: response,
                server_reference: server,
                user_properties,
                authentication_method: method,
                authentication_data: data,
            }
        },
    )
}

fn ack(packet: PacketType) -> impl Strategy<Value = Ack> {
    (any::<PacketId>(), reason(packet), ack_properties()).prop_map(|(packet_id, reason, properties)| Ack {
        packet_id,
        reason,
        properties: unless_empty(properties),
    })
}

fn ack_properties() -> impl Strategy<Value = AckProperties> {
    (option::of(text()), user_properties())
        .prop_map(|(reason_string, user_properties)| AckProperties { reason_string, user_properties })
}

fn subscribe() -> impl Strategy<Value = Subscribe> {
    let options = (qos(), any::<[bool; 2]>(), 0..3_u8).prop_map(|(maximum_qos, flags, handling)| {
        let retain_handling = match handling {
            0 => RetainHandling::SendAlways,
            1 => RetainHandling::SendIfNew,
            _ => RetainHandling::SendNever,
        };
        SubscriptionOptions {
            maximum_qos,
            no_local: flags[0],
            retain_as_published: flags[1],
            retain_handling,
        }
    });
    let subscription =
        (filter(), options).prop_map(|(filter, options): (SubscriptionFilter, SubscriptionOptions)| {
            let no_local = options.no_local && filter.share.is_none();
            (filter, SubscriptionOptions { no_local, ..options })
        });
    let properties = (option::of(subscription_id()), user_properties());
    (any::<PacketId>(), properties, vec(subscription, 1..5)).prop_map(
        |(packet_id, properties, subscriptions)| {
            let (subscription_identifier, user_properties) = properties;
            let properties = SubscribeProperties { subscription_identifier, user_properties };
            Subscribe { packet_id, properties, subscriptions }
        },
    )
}

fn suback() -> impl Strategy<Value = SubAck> {
    (any::<PacketId>(), ack_properties(), vec(reason(PacketType::SubAck), 1..5))
        .prop_map(|(packet_id, properties, reasons)| SubAck { packet_id, properties, reasons })
}

fn unsubscribe() -> impl Strategy<Value = Unsubscribe> {
    (any::<PacketId>(), user_properties(), vec(filter(), 1..5))
        .prop_map(|(packet_id, properties, filters)| Unsubscribe { packet_id, properties, filters })
}

fn unsuback() -> impl Strategy<Value = UnsubAck> {
    (any::<PacketId>(), ack_properties(), vec(reason(PacketType::UnsubAck), 1..5))
        .prop_map(|(packet_id, properties, reasons)| UnsubAck { packet_id, properties, reasons })
}

fn disconnect() -> impl Strategy<Value = Disconnect> {
    let properties = (option::of(any::<u32>()), option::of(text()), user_properties(), option::of(text()));
    (reason(PacketType::Disconnect), properties).prop_map(|(reason, properties)| {
        let (session_expiry_interval, reason_string, user_properties, server_reference) = properties;
        let properties = DisconnectProperties {
            session_expiry_interval,
            reason_string,
            user_properties,
            server_reference,
        };
        Disconnect { reason, properties }
    })
}

fn auth() -> impl Strategy<Value = Auth> {
    let parts = (reason(PacketType::Auth), any::<bool>(), text(), option::of(binary()), ack_properties());
    parts.prop_map(|(reason, shortest, method, authentication_data, texts)| {
        if shortest && reason == ReasonCode::Success {
            return Auth { reason, properties: AuthProperties::default() };
        }
        let AckProperties { reason_string, user_properties } = texts;
        let authentication_method = Some(method);
        let properties =
            AuthProperties { authentication_method, authentication_data, reason_string, user_properties };
        Auth { reason, properties }
    })
}

fn authentication() -> impl Strategy<Value = (Option<Box<str>>, Option<Bytes>)> {
    (option::of(text()), option::of(binary())).prop_map(|(method, data)| {
        let data = data.filter(|_| method.is_some());
        (method, data)
    })
}

fn reason(packet: PacketType) -> impl Strategy<Value = ReasonCode> {
    let all = (0..=u8::MAX).filter_map(|code| ReasonCode::try_from(code).ok());
    select(all.filter(|reason| reason.is_allowed_in(packet)).collect::<Vec<_>>())
}

fn qos() -> impl Strategy<Value = QoS> {
    select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

fn subscription_id() -> impl Strategy<Value = NonZeroU32> {
    (1..=268_435_455_u32).prop_map(|id| NonZeroU32::new(id).unwrap())
}

fn user_properties() -> impl Strategy<Value = UserProperties> {
    vec((text(), text()), 0..3)
}

/// Any text that may stand in a packet, often one that is easy to read.
fn text() -> impl Strategy<Value = Box<str>> {
    let anything = vec(any::<char>(), 0..12)
        .prop_map(|chars| chars.into_iter().filter(|&c| c != '\0').collect::<String>());
    prop_oneof!["[a-z]{0,8}", anything].prop_map(String::into_boxed_str)
}

fn binary() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..20).prop_map(Bytes::from)
}

fn topic() -> impl Strategy<Value = String> {
    text().prop_map(|text| format!("a/{}", text.replace(['+', '#'], "")))
}

fn filter() -> impl Strategy<Value = SubscriptionFilter> {
    let level = prop_oneof![3 => topic(), 1 => Just("+".to_owned())];
    let last = select(vec!["", "/#", "/"]);
    let share = select(vec!["", "$share/group/"]);
    (share, vec(level, 1..4), last).prop_map(|(share, levels, last)| {
        SubscriptionFilter::new(&format!("{share}{}{last}", levels.join("/"))).unwrap()
    })
}

fn unless_empty<P: Default + PartialEq>(properties: P) -> Option<Box<P>> {
    (properties != P::default()).then(|| Box::new(properties))
}

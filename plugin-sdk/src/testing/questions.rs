//! What the hooks are asked. Fields may be changed afterwards.

use crate::{
    AclRequest, Action, AuthStep, Candidate, Challenge, Connect, Event, Message, Property, PropertyValue,
    QoS, Recipient, SubscribeRequest,
    auth::{AUTHENTICATION_DATA, AUTHENTICATION_METHOD},
    broker::Client,
    host::fake,
};
use std::time::{Duration, SystemTime};

/// A MQTT 5 client with username and password.
pub fn connect(client_id: &str, username: &str, password: &str) -> Connect {
    Connect { username: Some(username.into()), password: Some(password.into()), ..anonymous(client_id) }
}

/// A MQTT 5 client without username and password.
pub fn anonymous(client_id: &str) -> Connect {
    Connect {
        session: 1,
        client_id: client_id.into(),
        protocol: 5,
        clean_start: true,
        keep_alive: Duration::from_secs(60),
        listener: "test".into(),
        peer: "192.0.2.1:50000".into(),
        ..Connect::default()
    }
}

/// A MQTT 5 client that names an authentication method.
pub fn enhanced(client_id: &str, method: &str, data: Option<&[u8]>) -> Connect {
    let mut connect = anonymous(client_id);
    let method = PropertyValue::Text(method.into());
    connect.properties.push(Property { id: AUTHENTICATION_METHOD, value: method });
    let data = data.map(|data| PropertyValue::Bytes(data.into()));
    connect.properties.extend(data.map(|value| Property { id: AUTHENTICATION_DATA, value }));
    connect
}

/// A client's answer to a challenge.
pub fn answer(challenge: &Challenge, data: impl Into<Vec<u8>>) -> AuthStep {
    AuthStep::new(challenge.state.clone(), Some(data.into()), false)
}

/// A client that is in, and begins to authenticate again.
pub fn again(data: Option<&[u8]>) -> AuthStep {
    AuthStep::new(Vec::new(), data.map(Into::into), true)
}

/// The client `c1`, logged in as `username`, asks at QoS 0.
pub fn request(username: Option<&str>, action: Action, topic: &str) -> AclRequest {
    AclRequest {
        session: 1,
        client_id: "c1".into(),
        username: username.map(Into::into),
        action,
        topic: topic.into(),
        qos: QoS::AtMostOnce,
        retain: false,
    }
}

/// A QoS 0 message; [`current::read`](crate::current::read) reads its payload from now on.
pub fn message(topic: &str, payload: impl Into<Vec<u8>>) -> Message {
    let payload = payload.into();
    fake::with(|fake| fake.current.payload.clone_from(&payload));
    Message {
        session: 1,
        topic: topic.into(),
        payload_len: u32::try_from(payload.len()).unwrap_or(u32::MAX),
        payload: Some(payload),
        ..Message::default()
    }
}

/// A subscription without options.
pub fn subscription(client_id: &str, filter: &str, qos: QoS) -> SubscribeRequest {
    SubscribeRequest {
        session: 1,
        client_id: client_id.into(),
        filter: filter.into(),
        qos,
        ..SubscribeRequest::default()
    }
}

/// One who would get a message at QoS 0.
pub fn candidate(client_id: &str, filter: &str) -> Candidate {
    Candidate { session: 1, client_id: client_id.into(), filter: Some(filter.into()), qos: QoS::AtMostOnce }
}

/// One who gets a message.
pub fn recipient(client_id: &str) -> Recipient {
    Recipient::new(1, client_id.into())
}

/// Something that has happened to a client, long ago.
pub fn event(kind: &str, client_id: &str) -> Event {
    Event::new(kind, 1, client_id)
}

/// A client that is connected.
pub fn client(session: u64, client_id: &str) -> Client {
    Client {
        session,
        client_id: client_id.into(),
        username: None,
        peer: "192.0.2.1:50000".into(),
        listener: "test".into(),
        since: SystemTime::UNIX_EPOCH,
    }
}

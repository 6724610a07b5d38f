//! What a question was about, in words for the author of a plugin that failed on it: who and where, and of payloads the length only.

use tidegate_hooks::{
    AclRequest, ConnectRequest, DeliverRequest, Event, PickRequest, PublishRequest, SelectRequest,
    SubscribeRequest,
};

pub(super) fn connect(request: &ConnectRequest<'_>) -> String {
    let ConnectRequest { client_id, username, peer, listener, .. } = request;
    match username {
        Some(username) => {
            format!("CONNECT of client {client_id:?}, user {username:?}, from {peer} through {listener}")
        }
        None => format!("CONNECT of client {client_id:?} from {peer} through {listener}"),
    }
}

pub(super) fn acl(request: &AclRequest<'_>) -> String {
    let AclRequest { client_id, action, topic, .. } = request;
    format!("may client {client_id:?} {} {topic:?}", action.name())
}

pub(super) fn message(request: &PublishRequest<'_>) -> String {
    let PublishRequest { client_id, topic, qos, payload, .. } = request;
    format!("PUBLISH of client {client_id:?} to {topic:?}, QoS {}, {} bytes", *qos as u8, payload.len())
}

pub(super) fn batch(requests: &[PublishRequest<'_>]) -> String {
    let first = requests.first().map(message).unwrap_or_default();
    format!("{} messages, the first of them {first}", requests.len())
}

pub(super) fn subscribe(requests: &[SubscribeRequest<'_>]) -> String {
    let filters: Vec<&str> = requests.iter().map(|request| request.filter).collect();
    let client = requests.first().map_or("", |request| request.client_id);
    format!("SUBSCRIBE of client {client:?} to {filters:?}")
}

pub(super) fn select(request: &SelectRequest<'_>) -> String {
    format!("{}, for {} subscribers", message(&request.message), request.candidates.len())
}

pub(super) fn pick(request: &PickRequest<'_>) -> String {
    format!("{}, for {} members of {:?}", message(&request.message), request.members.len(), request.group)
}

pub(super) fn deliver(request: &DeliverRequest<'_>) -> String {
    let PublishRequest { topic, payload, .. } = request.message;
    format!("delivery of {topic:?}, {} bytes, to client {:?}", payload.len(), request.client_id)
}

pub(super) fn events(batch: &[Event]) -> String {
    let first = batch.first().map_or("", |event| event.kind.name());
    format!("{} events, the first of them {first}", batch.len())
}

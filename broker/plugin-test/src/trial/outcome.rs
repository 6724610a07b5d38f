//! What came of a question, as JSON.

use crate::scenario::{step::Properties, value::insert_bytes};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tidegate_hooks::{
    AuthVerdict, Grant, Patch, PickRequest, Quotas, SelectRequest, Selected, SubscribeChange,
};
use tidegate_mqtt::{PublishProperties, ReasonCode};

pub(crate) fn refuse(code: ReasonCode) -> Value {
    json!({"refuse": {"code": code as u8}})
}

pub(crate) fn refuse_because(code: ReasonCode, text: &str) -> Value {
    json!({"refuse": {"code": code as u8, "text": text}})
}

/// Names of those who get it.
pub(crate) fn selected(request: &SelectRequest<'_>, selected: &Selected) -> Value {
    let all = request.candidates.iter().map(|candidate| candidate.client_id);
    match &selected.kept {
        None => all.collect(),
        Some(kept) => {
            let one = |at: &u32| Some(request.candidates.get(*at as usize)?.client_id);
            kept.iter().filter_map(one).collect()
        }
    }
}

/// The name of who gets it, or null.
pub(crate) fn picked(request: &PickRequest<'_>, member: Option<usize>) -> Value {
    member.and_then(|at| request.members.get(at)).map_or(Value::Null, |one| one.client_id.into())
}

pub(crate) fn delivered(outcome: &Result<Option<Box<Patch>>, Arc<str>>) -> Value {
    match outcome {
        Ok(None) => "pass".into(),
        Ok(Some(patch)) => edit(patch),
        Err(_) => "drop".into(),
    }
}

pub(crate) fn deny(by: &str, topic: &str) -> Value {
    json!({"deny": {"by": by, "topic": topic}})
}

pub(crate) fn edit(patch: &Patch) -> Value {
    let Patch { topic, payload, qos, retain, properties } = patch;
    let mut fields = Map::new();
    if let Some(topic) = topic {
        fields.insert("topic".to_owned(), topic.as_str().into());
    }
    if let Some(payload) = payload {
        insert_payload(&mut fields, payload);
    }
    if let Some(qos) = qos {
        fields.insert("qos".to_owned(), (*qos as u8).into());
    }
    if let Some(retain) = retain {
        fields.insert("retain".to_owned(), (*retain).into());
    }
    if let Some(of_publish) = properties {
        fields.insert("properties".to_owned(), self::properties(of_publish));
    }
    json!({ "edit": fields })
}

pub(crate) fn properties(properties: &PublishProperties) -> Value {
    serde_json::to_value(Properties::from(properties)).unwrap_or_default()
}

pub(crate) fn insert_payload(fields: &mut Map<String, Value>, payload: &[u8]) {
    insert_bytes(fields, "payload", payload);
}

/// None: as asked for.
pub(crate) fn subscribed(change: &SubscribeChange) -> Value {
    let mut fields = Map::new();
    if let Some(filter) = &change.filter {
        fields.insert("filter".to_owned(), filter.to_string().into());
    }
    if let Some(qos) = change.qos {
        fields.insert("qos".to_owned(), (qos as u8).into());
    }
    match fields.is_empty() {
        true => "pass".into(),
        false => json!({ "edit": fields }),
    }
}

pub(crate) fn authenticated(verdict: &AuthVerdict) -> Value {
    let mut fields = Map::new();
    match verdict {
        AuthVerdict::Next => "next".into(),
        AuthVerdict::Refuse(refusal) => {
            fields.insert("code".to_owned(), (refusal.code as u8).into());
            if let Some(text) = &refusal.text {
                fields.insert("text".to_owned(), (**text).into());
            }
            json!({ "refuse": fields })
        }
        AuthVerdict::Challenge(challenge) => {
            insert_bytes(&mut fields, "data", challenge.data.as_deref().unwrap_or_default());
            json!({ "challenge": fields })
        }
        AuthVerdict::Grant(grant) => granted(grant),
    }
}

fn granted(grant: &Grant) -> Value {
    let Grant { client_id, username, rules, attributes, quotas, expires, data } = grant;
    let mut fields = Map::new();
    if let Some(client_id) = client_id {
        fields.insert("client".to_owned(), (**client_id).into());
    }
    if let Some(username) = username {
        fields.insert("username".to_owned(), (**username).into());
    }
    if !rules.is_empty() {
        let rule = |rule: &tidegate_hooks::Rule| json!({"allow": rule.allow, "action": rule.action.name(), "filter": rule.filter, "max_qos": rule.max_qos as u8});
        fields.insert("rules".to_owned(), rules.iter().map(rule).collect());
    }
    let attributes: Map<String, Value> =
        attributes.iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    if !attributes.is_empty() {
        fields.insert("attributes".to_owned(), attributes.into());
    }
    if let Some(expires) = expires {
        fields.insert("expires_ms".to_owned(), u64::try_from(expires.as_millis()).unwrap_or(u64::MAX).into());
    }
    if *quotas != Quotas::default() {
        let Quotas { messages_per_second, bytes_per_second, subscriptions, inflight } = quotas;
        let quotas = json!({
            "messages_per_second": messages_per_second, "bytes_per_second": bytes_per_second,
            "subscriptions": subscriptions, "inflight": inflight,
        });
        fields.insert("quotas".to_owned(), quotas);
    }
    if let Some(data) = data {
        insert_bytes(&mut fields, "data", data);
    }
    json!({ "grant": fields })
}

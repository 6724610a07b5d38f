//! `[[plugin.every-hook.config.publish]]` and `deliver`.

use crate::words::{Code, Filter, Qos};
use serde::Deserialize;
use std::collections::BTreeMap;
use tidegate_plugin::{
    DeliverVerdict, Edit, Message, Property, Recipient, Verdict,
    broker::{self, Outgoing},
    current,
    logging::{self, Level},
};

/// Which messages it is about, and what is answered.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PublishCase {
    /// Topics that match this.
    pub(crate) topic: Filter,
    /// Clients whose identifier begins with this.
    #[serde(default)]
    client: String,
    /// Published too, to this topic: the payload, and a `+` behind it. Why that could not be done is logged.
    forward: Option<String>,

    verdict: PublishWord,
    /// Of a refusal.
    #[serde(default)]
    code: Code,
    #[serde(default)]
    edit: EditConfig,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum PublishWord {
    Next,
    Accept,
    Edit,
    Refuse,
    Swallow,
}

/// Which deliveries it is about, and what is answered.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeliverCase {
    /// Topics that match this.
    pub(crate) topic: Filter,
    /// Recipients whose identifier begins with this.
    #[serde(default)]
    client: String,

    verdict: DeliverWord,
    #[serde(default)]
    edit: EditConfig,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum DeliverWord {
    Next,
    Edit,
    Drop,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct EditConfig {
    topic: Option<String>,
    payload: Option<String>,
    /// Written behind the payload.
    append: Option<String>,
    qos: Option<Qos>,
    retain: Option<bool>,
    /// In place of all properties.
    user_properties: Option<BTreeMap<String, String>>,
}

/// What the first case that fits answers.
pub(crate) fn publish_verdict(cases: &[PublishCase], message: &Message) -> Verdict {
    let client_id = message.client_id.as_deref().unwrap_or_default();
    let fits =
        |case: &&PublishCase| case.topic.0.matches(&message.topic) && client_id.starts_with(&case.client);
    let Some(case) = cases.iter().find(fits) else { return Verdict::Next };
    if let Some(topic) = &case.forward {
        forward(message, topic);
    }
    match case.verdict {
        PublishWord::Next => Verdict::Next,
        PublishWord::Accept => Verdict::Accept,
        PublishWord::Edit => case.edit.of(message).into(),
        PublishWord::Refuse => Verdict::Refuse(case.code.0),
        PublishWord::Swallow => Verdict::Swallow,
    }
}

fn forward(message: &Message, topic: &str) {
    let payload = [&*message.payload(), b"+"].concat();
    let forwarded = Outgoing { qos: message.qos, ..Outgoing::new(topic, payload) };
    if let Err(why) = broker::publish(forwarded) {
        logging::log(
            Level::Warn,
            &format!("not forwarded to {topic} after {} hops: {why}", current::hops()),
            &[],
        );
    }
}

/// What the first case that fits answers.
pub(crate) fn deliver_verdict(
    cases: &[DeliverCase],
    message: &Message,
    recipient: &Recipient,
) -> DeliverVerdict {
    let fits = |case: &&DeliverCase| {
        case.topic.0.matches(&message.topic) && recipient.client_id.starts_with(&case.client)
    };
    let Some(case) = cases.iter().find(fits) else { return DeliverVerdict::Next };
    match case.verdict {
        DeliverWord::Next => DeliverVerdict::Next,
        DeliverWord::Edit => case.edit.of(message).into(),
        DeliverWord::Drop => DeliverVerdict::Drop,
    }
}

impl EditConfig {
    fn of(&self, message: &Message) -> Edit {
        let payload = self.payload.clone().map(String::into_bytes);
        let appended = self
            .append
            .as_ref()
            .map(|append| [payload.as_deref().unwrap_or(&message.payload()), append.as_bytes()].concat());
        let user = |(name, value): (&String, &String)| Property::user(name, value);
        Edit {
            topic: self.topic.clone(),
            payload: appended.or(payload),
            qos: self.qos.map(|qos| qos.0),
            retain: self.retain,
            properties: self.user_properties.as_ref().map(|all| all.iter().map(user).collect()),
        }
    }
}

//! What a running broker is asked and what it answers, as lines of a scenario.

use crate::scenario::{
    RECORDING_FORMAT,
    step::{Auth, Candidate, Client, Connect, Deliver, Message, Pick, Properties, Select, Subscribe},
    value::apart,
};
use crate::trial::outcome;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Value, json};
use std::{collections::HashMap, sync::Arc};
use tidegate_hooks::{
    AclRequest, Action, Attributes, AuthOutcome, AuthRefusal, AuthStep, Authorization,
    Candidate as HookCandidate, ConnectRequest, DeliverRequest, HookFailed, Observer, Patch, Permissions,
    PickRequest, PublishOutcome, PublishRefusal, PublishRequest, SelectRequest, Selected, SubscribeOutcome,
    SubscribeRequest,
};
use tidegate_mqtt::{SessionId, SubscriptionFilter, TopicFilter};

/// What of it is wanted.
#[derive(Clone, Debug, Default)]
pub struct RecordingOptions {
    /// Only about these topics; empty: all of them.
    pub topics: Vec<TopicFilter>,
    /// Only of these clients; empty: all of them.
    pub clients: Vec<String>,
    /// CONNECT as it was, with passwords and data of enhanced authentication. Otherwise only who came in.
    pub passwords: bool,
    /// Without payloads.
    pub no_payloads: bool,
}

/// Looks on at a chain, and hands on a line for each question.
pub struct Recorder<S> {
    options: RecordingOptions,
    /// Clients that stand in the recording, and as whom. None: by what they said at CONNECT.
    introduced: Mutex<HashMap<String, Option<Client>>>,
    /// Of sessions: filters of the last SUBSCRIBE that are still to be authorized.
    subscribing: Mutex<HashMap<SessionId, Vec<Subscribing>>>,
    sink: S,
}

/// A filter that nobody has refused.
struct Subscribing {
    /// As the chain has left it.
    topics: String,
    asked: Subscribe,
    was: Value,
}

/// The first line of a recording, with its end. `at_ms`: since 1970.
pub fn recording_header(options: &RecordingOptions, at_ms: u64) -> String {
    let broker = env!("CARGO_PKG_VERSION");
    let RecordingOptions { passwords, .. } = options;
    let header = json!({"recording": {
        "format": RECORDING_FORMAT, "broker": broker, "at_ms": at_ms, "passwords": passwords,
    }});
    format!("{header}\n")
}

impl<S: Fn(String) + Send + Sync> Recorder<S> {
    /// `sink` takes lines, with their ends; it must not wait.
    pub fn new(options: RecordingOptions, sink: S) -> Arc<Self> {
        Arc::new(Self { options, introduced: Mutex::default(), subscribing: Mutex::default(), sink })
    }

    fn line(&self, word: &str, step: impl Serialize, was: Option<Value>) {
        let mut line = json!({ word: step });
        if let (Some(was), Some(object)) = (was, line.as_object_mut()) {
            object.insert("was".to_owned(), was);
        }
        (self.sink)(format!("{line}\n"));
    }

    fn is_wanted(&self, client: &str, topic: Option<&str>) -> bool {
        let RecordingOptions { topics, clients, .. } = &self.options;
        (clients.is_empty() || clients.iter().any(|wanted| wanted == client))
            && (topics.is_empty()
                || topic.is_none_or(|topic| topics.iter().any(|filter| filter.overlaps(topic))))
    }

    /// Who it is, the first time, and whenever it is somebody else.
    fn introduce(&self, client: &str, username: Option<&str>, attributes: &Attributes) {
        let is_same = |known: &Client| {
            known.username.as_deref() == username
                && known.attributes.len() == attributes.iter().count()
                && attributes
                    .iter()
                    .all(|(name, value)| known.attributes.get(name).is_some_and(|it| it == value))
        };
        let mut introduced = self.introduced.lock();
        if introduced.get(client).is_some_and(|known| known.as_ref().is_none_or(is_same)) {
            return;
        }
        let attributes = attributes.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let step = Client { client: client.to_owned(), username: username.map(str::to_owned), attributes };
        introduced.insert(client.to_owned(), Some(step.clone()));
        drop(introduced);
        self.line("client", step, None);
    }

    /// Of who only receives no more is known.
    fn introduce_recipient(&self, request: &DeliverRequest<'_>) {
        if !self.introduced.lock().contains_key(request.client_id) {
            self.introduce(request.client_id, None, request.message.attributes);
        }
    }

    fn message(&self, request: &PublishRequest<'_>) -> Message {
        let (payload, payload_base64) = match self.options.no_payloads {
            true => (None, None),
            false => apart(request.payload),
        };
        Message {
            client: request.client_id.to_owned(),
            topic: request.topic.to_owned(),
            payload,
            payload_base64,
            json: None,
            qos: request.qos as u8,
            retain: request.retain,
            properties: request.properties.map(Properties::from).unwrap_or_default(),
            origin: request.origin.map(|origin| origin.plugin.to_string()),
        }
    }

    fn of_message(&self, request: &PublishRequest<'_>) -> bool {
        let wanted = self.is_wanted(request.client_id, Some(request.topic));
        // Of who published a message that is delivered, and of what plugins publish, no more is known.
        if wanted && !request.client_id.is_empty() && request.origin.is_none() {
            self.introduce(request.client_id, request.username, request.attributes);
        }
        wanted
    }

    /// A subscription, once it is known whether it is allowed.
    fn subscription(&self, request: &AclRequest<'_>, allowed: Option<Value>) {
        // The broker itself asks again when rules have changed: that is nothing that a client does.
        let asked = self.subscribing.lock().get_mut(&request.session).and_then(|waiting| {
            let at = waiting.iter().position(|one| one.topics == request.topic)?;
            Some(waiting.remove(at))
        });
        let Some(Subscribing { asked, was, .. }) = asked else { return };
        self.introduce(request.client_id, request.username, request.attributes);
        self.line("subscribe", asked, Some(allowed.unwrap_or(was)));
    }
}

fn candidates(candidates: &[HookCandidate<'_>]) -> Vec<Candidate> {
    let one = |candidate: &HookCandidate<'_>| Candidate {
        client: candidate.client_id.to_owned(),
        filter: candidate.filter.to_owned(),
        qos: candidate.qos as u8,
    };
    candidates.iter().map(one).collect()
}

fn fault(fault: &HookFailed) -> Value {
    json!({"fault": fault.kind.to_string()})
}

fn let_in(outcome: &Result<AuthOutcome, AuthRefusal>) -> Value {
    match outcome {
        Ok(AuthOutcome::In(inside)) if inside.by.is_none() => "next".into(),
        Ok(AuthOutcome::In(_)) => "grant".into(),
        Ok(AuthOutcome::Challenge { .. }) => "challenge".into(),
        Err(AuthRefusal { by: None, .. }) => "next".into(),
        Err(AuthRefusal { fault: Some(failed), .. }) => fault(failed),
        Err(AuthRefusal { refusal, .. }) => outcome::refuse(refusal.code),
    }
}

impl<S: Fn(String) + Send + Sync> Observer for Recorder<S> {
    fn authenticated(&self, request: &ConnectRequest<'_>, outcome: &Result<AuthOutcome, AuthRefusal>) {
        if !self.is_wanted(request.client_id, None) {
            return;
        }
        if !self.options.passwords {
            if let Ok(AuthOutcome::In(inside)) = outcome {
                self.introduce(&inside.client_id, inside.username.as_deref(), &inside.attributes);
            }
            return;
        }
        self.introduced.lock().insert(request.client_id.to_owned(), None);
        let (password, password_base64) = request.password.map_or((None, None), apart);
        let (data, data_base64) =
            request.properties.authentication_data.as_deref().map_or((None, None), apart);
        let connect = Connect {
            client: request.client_id.to_owned(),
            username: request.username.map(str::to_owned),
            password,
            password_base64,
            protocol: request.version as u8,
            clean_start: request.clean_start,
            keep_alive: request.keep_alive,
            listener: request.listener.to_owned(),
            peer: request.peer.to_owned(),
            tls_subject: request.tls_subject.map(str::to_owned),
            tls_sans: request.tls_sans.to_vec(),
            tls_username: request.tls_username,
            method: request.properties.authentication_method.as_deref().map(str::to_owned),
            data,
            data_base64,
            user_properties: request.properties.user_properties.clone(),
        };
        self.line("connect", connect, Some(let_in(outcome)));
    }

    fn proceeded(
        &self,
        request: &ConnectRequest<'_>,
        step: &AuthStep<'_>,
        outcome: &Result<AuthOutcome, AuthRefusal>,
    ) {
        if !self.options.passwords || !self.is_wanted(request.client_id, None) {
            return;
        }
        let (data, data_base64) = step.data.map_or((None, None), apart);
        // It begins with nothing to remember.
        let again = step.again && step.state.is_empty();
        let auth = Auth { client: request.client_id.to_owned(), data, data_base64, again };
        self.line("auth", auth, Some(let_in(outcome)));
    }

    fn authorized(
        &self,
        permissions: &Permissions,
        request: &AclRequest<'_>,
        answer: &Result<Authorization, HookFailed>,
    ) {
        let denied = matches!(answer, Ok(Authorization::Denied));
        // Rules are not part of a recording, so what they decide is not either.
        if denied && !permissions.rules().is_empty()
            || !self.is_wanted(request.client_id, Some(request.topic))
        {
            return;
        }
        let refused = match answer {
            Ok(Authorization::Allowed) => None,
            Ok(Authorization::Denied) => Some("deny".into()),
            Err(failed) => Some(fault(failed)),
        };
        match (request.action, refused) {
            (Action::Subscribe, refused) => self.subscription(request, refused),
            (Action::Publish, Some(was)) => {
                self.introduce(request.client_id, request.username, request.attributes);
                let message = Message {
                    client: request.client_id.to_owned(),
                    topic: request.topic.to_owned(),
                    qos: request.qos as u8,
                    retain: request.retain,
                    ..Message::default()
                };
                self.line("publish", message, Some(was));
            }
            // Those that are allowed come by as messages.
            (Action::Publish | Action::Receive, _) => {}
        }
    }

    fn published(&self, request: &PublishRequest<'_>, outcome: &Result<PublishOutcome, PublishRefusal>) {
        if !self.of_message(request) {
            return;
        }
        let was = match outcome {
            Ok(PublishOutcome::Unchanged) => "pass".into(),
            Ok(PublishOutcome::Swallowed) => "swallow".into(),
            Ok(PublishOutcome::Edited(_)) if self.options.no_payloads => "edit".into(),
            Ok(PublishOutcome::Edited(patch)) => outcome::edit(patch),
            Err(PublishRefusal { fault: Some(failed), .. }) => fault(failed),
            Err(PublishRefusal { code, .. }) => outcome::refuse(*code),
        };
        self.line("publish", self.message(request), Some(was));
    }

    fn subscribed(&self, requests: &[SubscribeRequest<'_>], outcomes: &[SubscribeOutcome]) {
        let mut allowed = Vec::new();
        for (request, outcome) in requests.iter().zip(outcomes) {
            let Ok(filter) = SubscriptionFilter::new(request.filter) else { continue };
            if !self.is_wanted(request.client_id, Some(&filter.filter)) {
                continue;
            }
            let asked = Subscribe {
                client: request.client_id.to_owned(),
                filter: request.filter.to_owned(),
                qos: request.qos as u8,
                no_local: request.options.no_local,
                retain_as_published: request.options.retain_as_published,
                retain_handling: request.options.retain_handling as u8,
                user_properties: request.properties.user_properties.clone(),
            };
            let refused = match outcome {
                Ok(change) => {
                    let topics = change.filter.as_ref().unwrap_or(&filter).filter.to_string();
                    allowed.push(Subscribing { topics, asked, was: outcome::subscribed(change) });
                    continue;
                }
                Err(refusal) => refusal.fault.as_ref().map_or_else(|| outcome::refuse(refusal.code), fault),
            };
            self.introduce(request.client_id, request.username, request.attributes);
            self.line("subscribe", asked, Some(refused));
        }
        if let Some(request) = requests.first() {
            self.subscribing.lock().insert(request.session, allowed);
        }
    }

    fn selected(&self, request: &SelectRequest<'_>, selected: &Selected) {
        if !self.of_message(&request.message) {
            return;
        }
        let select =
            Select { message: self.message(&request.message), candidates: candidates(request.candidates) };
        self.line("select", select, Some(outcome::selected(request, selected)));
    }

    fn picked(&self, request: &PickRequest<'_>, member: Option<usize>) {
        if !self.of_message(&request.message) {
            return;
        }
        let pick = Pick {
            message: self.message(&request.message),
            group: request.group.to_owned(),
            members: candidates(request.members),
        };
        self.line("pick", pick, Some(outcome::picked(request, member)));
    }

    fn delivered(&self, request: &DeliverRequest<'_>, outcome: &Result<Option<Box<Patch>>, Arc<str>>) {
        if !self.is_wanted(request.client_id, Some(request.message.topic)) {
            return;
        }
        self.introduce_recipient(request);
        let was = match outcome {
            Ok(Some(_)) if self.options.no_payloads => "edit".into(),
            outcome => outcome::delivered(outcome),
        };
        let deliver = Deliver { message: self.message(&request.message), to: request.client_id.to_owned() };
        self.line("deliver", deliver, Some(was));
    }
}

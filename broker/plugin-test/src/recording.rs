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
use std::{collections::HashSet, sync::Arc};
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
    /// Sessions whose client stands in the recording.
    introduced: Mutex<HashSet<SessionId>>,
    sink: S,
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
        Arc::new(Self { options, introduced: Mutex::default(), sink })
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

    /// Who it is, the first time.
    fn introduce(&self, session: SessionId, client: &str, username: Option<&str>, attributes: &Attributes) {
        if !self.introduced.lock().insert(session) {
            return;
        }
        let attributes = attributes.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let client = Client { client: client.to_owned(), username: username.map(str::to_owned), attributes };
        self.line("client", client, None);
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
            self.introduce(request.session, request.client_id, request.username, request.attributes);
        }
        wanted
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
                self.introduce(
                    request.session,
                    &inside.client_id,
                    inside.username.as_deref(),
                    &inside.attributes,
                );
            }
            return;
        }
        self.introduced.lock().insert(request.session);
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
        let auth = Auth { client: request.client_id.to_owned(), data, data_base64, again: step.again };
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
        let was = match answer {
            Ok(Authorization::Allowed) => "pass".into(),
            Ok(Authorization::Denied) => "deny".into(),
            Err(failed) => fault(failed),
        };
        match request.action {
            // Those that are allowed come by as messages.
            Action::Publish if matches!(answer, Ok(Authorization::Allowed)) => {}
            Action::Publish => {
                self.introduce(request.session, request.client_id, request.username, request.attributes);
                let message = Message {
                    client: request.client_id.to_owned(),
                    topic: request.topic.to_owned(),
                    qos: request.qos as u8,
                    retain: request.retain,
                    ..Message::default()
                };
                self.line("publish", message, Some(was));
            }
            Action::Subscribe => {
                self.introduce(request.session, request.client_id, request.username, request.attributes);
                let subscribe = Subscribe {
                    client: request.client_id.to_owned(),
                    filter: request.topic.to_owned(),
                    qos: request.qos as u8,
                    ..Subscribe::default()
                };
                self.line("subscribe", subscribe, Some(was));
            }
            Action::Receive => {}
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

    fn subscribed(&self, request: &SubscribeRequest<'_>, outcome: &SubscribeOutcome) {
        let topics = SubscriptionFilter::new(request.filter);
        let topic = topics.as_ref().map_or(request.filter, |filter| filter.filter.as_str());
        if !self.is_wanted(request.client_id, Some(topic)) {
            return;
        }
        let was = match outcome {
            // Comes by once more when it is authorized.
            Ok(change) if *change == Default::default() => return,
            Ok(change) => outcome::subscribed(change),
            Err(refusal) => match &refusal.fault {
                Some(failed) => fault(failed),
                None => outcome::refuse(refusal.code),
            },
        };
        self.introduce(request.session, request.client_id, request.username, request.attributes);
        let subscribe = Subscribe {
            client: request.client_id.to_owned(),
            filter: request.filter.to_owned(),
            qos: request.qos as u8,
            no_local: request.options.no_local,
            retain_as_published: request.options.retain_as_published,
            retain_handling: request.options.retain_handling as u8,
            user_properties: request.properties.user_properties.clone(),
        };
        self.line("subscribe", subscribe, Some(was));
    }

    fn selected(&self, request: &SelectRequest<'_>, selected: &Selected) {
        if !self.of_message(&request.message) {
            return;
        }
        let all = candidates(request.candidates);
        let kept: Vec<&str> = match &selected.kept {
            None => all.iter().map(|one| one.client.as_str()).collect(),
            Some(kept) => {
                kept.iter().filter_map(|at| all.get(*at as usize)).map(|one| one.client.as_str()).collect()
            }
        };
        let was = json!(kept);
        self.line("select", Select { message: self.message(&request.message), candidates: all }, Some(was));
    }

    fn picked(&self, request: &PickRequest<'_>, member: Option<usize>) {
        if !self.of_message(&request.message) {
            return;
        }
        let was =
            member.and_then(|at| request.members.get(at)).map_or(Value::Null, |one| one.client_id.into());
        let pick = Pick {
            message: self.message(&request.message),
            group: request.group.to_owned(),
            members: candidates(request.members),
        };
        self.line("pick", pick, Some(was));
    }

    fn delivered(&self, request: &DeliverRequest<'_>, outcome: &Result<Option<Box<Patch>>, Arc<str>>) {
        if !self.is_wanted(request.client_id, Some(request.message.topic)) {
            return;
        }
        let was = match outcome {
            Ok(None) => "pass".into(),
            Ok(Some(_)) if self.options.no_payloads => "edit".into(),
            Ok(Some(patch)) => outcome::edit(patch),
            Err(_) => "drop".into(),
        };
        let deliver = Deliver { message: self.message(&request.message), to: request.client_id.to_owned() };
        self.line("deliver", deliver, Some(was));
    }
}

//! Questions, asked as the broker asks them.

use super::{
    Trial,
    clients::{Answering, Client},
    now, outcome,
};
use crate::scenario::{
    Step,
    step::{Auth, Candidate, Connect, Deliver, Message, Pick, Receive, Select, Subscribe, qos},
};
use bytes::Bytes;
use serde_json::{Value, json};
use tidegate_hooks::{
    AclRequest, Action, AuthOutcome, AuthStep, Authorization, Candidate as HookCandidate, ConnectRequest,
    DeliverRequest, Member, PickRequest, PublishOutcome, PublishRefusal, PublishRequest, SelectRequest,
    SubscribeRequest,
};
use tidegate_mqtt::{
    ConnectProperties, NameError, Origin, PublishProperties, QoS, ReasonCode, SessionId, SubscribeProperties,
    SubscriptionFilter, SubscriptionOptions, TopicFilter, TopicName, Version,
};
use tidegate_plugin_host::ClientInfo;

/// A message of a scenario, as the broker has it.
pub(super) struct Published {
    pub(super) client: Client,
    pub(super) topic: String,
    qos: QoS,
    retain: bool,
    payload: Bytes,
    properties: Option<PublishProperties>,
    origin: Option<Origin>,
}

impl Published {
    pub(super) fn request(&self) -> PublishRequest<'_> {
        PublishRequest {
            session: self.client.session,
            client_id: &self.client.client_id,
            username: self.client.username.as_deref(),
            topic: &self.topic,
            qos: self.qos,
            retain: self.retain,
            payload: &self.payload,
            properties: self.properties.as_ref(),
            attributes: &self.client.attributes,
            origin: self.origin.as_ref(),
        }
    }
}

/// A client of a scenario that comes in, as the broker has it.
pub(super) struct Joining<'a> {
    connect: &'a Connect,
    session: SessionId,
    password: Option<Vec<u8>>,
    version: Version,
    properties: ConnectProperties,
}

impl Joining<'_> {
    pub(super) fn request(&self) -> ConnectRequest<'_> {
        let Self { connect, session, password, version, properties } = self;
        ConnectRequest {
            session: *session,
            client_id: &connect.client,
            username: connect.username.as_deref(),
            password: password.as_deref(),
            version: *version,
            clean_start: connect.clean_start,
            keep_alive: connect.keep_alive,
            listener: &connect.listener,
            peer: &connect.peer,
            allow_anonymous: false,
            tls_subject: connect.tls_subject.as_deref(),
            tls_sans: &connect.tls_sans,
            tls_username: connect.tls_username,
            properties,
        }
    }
}

/// A subscription of a scenario, as the broker has it.
pub(super) struct Subscribing<'a> {
    pub(super) client: Client,
    filter: &'a str,
    asked: SubscriptionFilter,
    options: SubscriptionOptions,
    properties: SubscribeProperties,
}

impl Subscribing<'_> {
    /// What it asks for, of a shared subscription too.
    pub(super) fn topics(&self) -> TopicFilter {
        self.asked.filter.clone()
    }

    pub(super) fn request(&self) -> SubscribeRequest<'_> {
        SubscribeRequest {
            session: self.client.session,
            client_id: &self.client.client_id,
            username: self.client.username.as_deref(),
            filter: self.filter,
            qos: self.options.maximum_qos,
            options: self.options,
            properties: &self.properties,
            attributes: &self.client.attributes,
        }
    }
}

impl Trial {
    /// What comes of a question.
    ///
    /// # Errors
    /// It makes no sense.
    pub(super) async fn ask(&mut self, step: &Step) -> Result<Value, String> {
        match step {
            Step::Connect(connect) => self.connect(connect).await,
            Step::Auth(auth) => self.auth(auth).await,
            Step::Publish(message) => self.publish(message).await,
            Step::PublishBatch(batch) => self.publish_batch(batch).await,
            Step::Subscribe(subscribe) => self.subscribe(subscribe).await,
            Step::Receive(receive) => self.receive(receive).await,
            Step::Select(select) => self.select(select).await,
            Step::Pick(pick) => self.pick(pick).await,
            Step::Deliver(deliver) => self.deliver(deliver).await,
            _ => Err("this is no question".to_owned()),
        }
    }

    pub(super) fn the_member(&self) -> Result<Member, String> {
        self.member().ok_or_else(|| "the plugin does not run".to_owned())
    }

    async fn connect(&mut self, connect: &Connect) -> Result<Value, String> {
        self.leaves(&connect.client);
        self.clients.named(&connect.client).connect = Some(connect.clone());
        self.authenticate(connect, None).await
    }

    async fn auth(&mut self, auth: &Auth) -> Result<Value, String> {
        let client = self.clients.named(&auth.client);
        let Some(mut connect) = client.connect.clone() else {
            return Err(format!("`client`: {:?} did not connect before", auth.client));
        };
        if auth.again {
            (client.is_renewing, client.challenge) = (true, Some(Vec::new()));
        }
        let again = client.is_renewing;
        if again {
            // As the broker knows it; it has no password any more.
            connect.username.clone_from(&client.username);
            (connect.password, connect.password_base64) = (None, None);
        }
        let state = client.challenge.take().ok_or_else(|| {
            format!("`client`: {:?} was asked nothing; `again` begins a re-authentication", auth.client)
        })?;
        let answering = Answering { connect: connect.clone(), state, again };
        client.answering = Some(answering.clone());
        self.authenticate(&connect, Some((auth, &answering))).await
    }

    async fn authenticate(
        &mut self,
        connect: &Connect,
        step: Option<(&Auth, &Answering)>,
    ) -> Result<Value, String> {
        let member = self.the_member()?;
        let joining = self.joining(connect)?;
        let request = joining.request();
        let verdict = match &step {
            None if !member.authenticates(&request) => {
                self.clients.named(&connect.client).username.clone_from(&connect.username);
                return Ok("next".into());
            }
            None => member.hooks.authenticate(&request).wait().await,
            Some(_) if !member.hooks.kinds().proceed => {
                return Err("the plugin does not export `enhanced-auth`".to_owned());
            }
            Some((auth, Answering { state, again, .. })) => {
                let data = auth.data_bytes()?;
                let step = AuthStep { state, data: data.as_deref(), again: *again };
                member.hooks.proceed(&request, &step).wait().await
            }
        };
        let answer = match &verdict {
            Ok(verdict) => outcome::authenticated(verdict),
            Err(fault) => json!({"fault": fault.kind.to_string()}),
        };
        match member.decided(&request, verdict) {
            Ok(Some(AuthOutcome::In(inside))) => {
                let client = self.clients.named(&connect.client);
                let is_itself = (*inside.client_id == *client.client_id
                    || *inside.client_id == *connect.client)
                    && inside.username == client.username.as_deref().map(Into::into);
                if std::mem::take(&mut client.is_renewing) && !is_itself {
                    return Ok(outcome::refuse_because(
                        ReasonCode::NotAuthorized,
                        "proved to be somebody else",
                    ));
                }
                client.client_id = inside.client_id.to_string();
                client.username = inside.username.as_deref().map(str::to_owned);
                client.attributes = inside.attributes;
                client.permissions = inside.permissions;
                client.challenge = None;
                let client = client.clone();
                self.broker.came(ClientInfo {
                    session: client.session,
                    client_id: client.client_id.as_str().into(),
                    username: client.username.as_deref().map(Into::into),
                    peer: connect.peer.as_str().into(),
                    listener: connect.listener.as_str().into(),
                    since_ms: now().0,
                });
                self.clients.known_as(&client.client_id.clone(), client);
            }
            Ok(Some(AuthOutcome::Challenge { challenge, .. })) => {
                self.clients.named(&connect.client).challenge = Some(challenge.state.to_vec());
            }
            Ok(None) => {
                // Whoever lets it in, it keeps its name.
                self.clients.named(&connect.client).username.clone_from(&connect.username);
            }
            Err(refusal) => {
                self.clients.named(&connect.client).is_renewing = false;
                if let Some(fault) = refusal.fault {
                    // Such as a rule that is none.
                    return Ok(json!({"fault": fault.kind.to_string()}));
                }
            }
        }
        Ok(answer)
    }

    pub(super) fn joining<'a>(&mut self, connect: &'a Connect) -> Result<Joining<'a>, String> {
        Ok(Joining {
            connect,
            session: self.clients.session(&connect.client),
            password: connect.password_bytes()?,
            version: connect.version()?,
            properties: ConnectProperties {
                user_properties: connect.user_properties.clone(),
                authentication_method: connect.method.as_deref().map(Into::into),
                authentication_data: connect.data_bytes()?.map(Bytes::from),
                ..ConnectProperties::default()
            },
        })
    }

    pub(super) fn published(&mut self, message: &Message) -> Result<Published, String> {
        TopicName::new(&message.topic).map_err(|why| wrong_name("topic", &message.topic, why))?;
        let client = self.clients.named(&message.client).clone();
        let origin = message.origin.as_deref().map(|plugin| Origin { plugin: plugin.into(), hops: 1 });
        Ok(Published {
            client,
            topic: message.topic.clone(),
            qos: qos(message.qos)?,
            retain: message.retain,
            payload: message.body().bytes()?,
            properties: message.properties.of_publish()?,
            origin,
        })
    }

    /// None: allowed.
    async fn authorize(
        &mut self,
        name: &str,
        action: Action,
        topic: &str,
        qos: QoS,
        retain: bool,
    ) -> Option<Value> {
        let chain = self.registry.chain_full();
        let denials = self.acl_denials();
        let client = self.clients.named(name);
        let (username, attributes) = (client.username.clone(), client.attributes.clone());
        let request = AclRequest {
            session: client.session,
            client_id: &client.client_id.clone(),
            username: username.as_deref(),
            action,
            topic,
            qos,
            retain,
            attributes: &attributes,
        };
        let by_rules = client.permissions.rules().decide(&request) == Some(false);
        match chain.authorize(&mut client.permissions, &request, now()).await {
            Ok(Authorization::Allowed) => None,
            Ok(Authorization::Denied) => {
                let by = match () {
                    () if by_rules => "rules",
                    () if self.acl_denials() > denials => "acl",
                    // Rules that allow something allow nothing else.
                    () if !self.hooks().contains(&"acl") => "rules",
                    () => "nobody",
                };
                Some(outcome::deny(by, topic))
            }
            Err(fault) => Some(json!({"fault": fault.kind.to_string()})),
        }
    }

    /// How often `acl` has said no, or was not asked because what it said before still holds.
    fn acl_denials(&self) -> u64 {
        let calls = self.report().map(|report| report.calls).unwrap_or_default();
        let acl = calls.iter().filter(|hook| hook.hook == "acl");
        acl.map(|hook| hook.verdicts.get("deny").copied().unwrap_or_default() + hook.remembered).sum()
    }

    async fn publish(&mut self, message: &Message) -> Result<Value, String> {
        let published = self.published(message)?;
        let Published { topic, qos, retain, .. } = &published;
        if let Some(denied) = self.may_publish(message, topic, *qos, *retain).await {
            return Ok(denied);
        }
        let chain = self.registry.chain_full();
        let scope = chain.publish_scope(&published.topic);
        let outcome = chain.on_publish(&scope, &published.request()).await;
        Ok(self.decided(&published, message, outcome).await)
    }

    async fn publish_batch(&mut self, batch: &[Message]) -> Result<Value, String> {
        let mut published = Vec::new();
        let mut outcomes = vec![Value::Null; batch.len()];
        for (at, message) in batch.iter().enumerate() {
            let one = self.published(message)?;
            match self.may_publish(message, &one.topic, one.qos, one.retain).await {
                Some(denied) => outcomes[at] = denied,
                None => published.push((at, one)),
            }
        }
        let chain = self.registry.chain_full();
        let questions: Vec<_> =
            published.iter().map(|(_, one)| (chain.publish_scope(&one.topic), one.request())).collect();
        let answers = chain.on_publish_batch(&questions).await;
        for ((at, one), answer) in published.iter().zip(answers) {
            outcomes[*at] = self.decided(one, &batch[*at], answer).await;
        }
        Ok(outcomes.into())
    }

    /// None: it may.
    async fn may_publish(&mut self, message: &Message, topic: &str, qos: QoS, retain: bool) -> Option<Value> {
        // The broker's own.
        if topic == "$SYS" || topic.starts_with("$SYS/") {
            return Some(outcome::deny("nobody", topic));
        }
        // What plugins publish was granted by the operator.
        if message.origin.is_some() {
            return None;
        }
        self.authorize(&message.client, Action::Publish, topic, qos, retain).await
    }

    async fn decided(
        &mut self,
        published: &Published,
        message: &Message,
        outcome: Result<PublishOutcome, PublishRefusal>,
    ) -> Value {
        match outcome {
            Ok(PublishOutcome::Unchanged) => "pass".into(),
            Ok(PublishOutcome::Swallowed) => "swallow".into(),
            Err(PublishRefusal { fault: Some(fault), .. }) => json!({"fault": fault.kind.to_string()}),
            Err(PublishRefusal { code, .. }) => outcome::refuse(code),
            Ok(PublishOutcome::Edited(patch)) => {
                if let Some(topic) = patch.topic.as_ref().filter(|topic| topic.as_str() != published.topic) {
                    let qos = patch.qos.map_or(published.qos, |qos| qos.min(published.qos));
                    let retain = patch.retain.unwrap_or(published.retain);
                    if let Some(denied) = self.may_publish(message, topic, qos, retain).await {
                        return denied;
                    }
                }
                outcome::edit(&patch)
            }
        }
    }

    async fn subscribe(&mut self, subscribe: &Subscribe) -> Result<Value, String> {
        let subscribing = self.subscribing(subscribe)?;
        let request = subscribing.request();
        let qos = request.qos;
        let chain = self.registry.chain_full();
        let outcome = chain.on_subscribe(&[request]).await.into_iter().next();
        let change = match outcome {
            None => return Err("no answer".to_owned()),
            Some(Err(refusal)) => {
                return Ok(match refusal.fault {
                    Some(fault) => json!({"fault": fault.kind.to_string()}),
                    None => outcome::refuse(refusal.code),
                });
            }
            Some(Ok(change)) => change,
        };
        let filter =
            change.filter.as_ref().map_or_else(|| subscribing.topics(), |edited| edited.filter.clone());
        let qos = change.qos.map_or(qos, |edited| edited.min(qos));
        let may = self.authorize(&subscribe.client, Action::Subscribe, filter.as_str(), qos, false);
        Ok(may.await.unwrap_or_else(|| outcome::subscribed(&change)))
    }

    pub(super) fn subscribing<'a>(&mut self, subscribe: &'a Subscribe) -> Result<Subscribing<'a>, String> {
        let asked = SubscriptionFilter::new(&subscribe.filter)
            .map_err(|why| wrong_name("filter", &subscribe.filter, why))?;
        Ok(Subscribing {
            asked,
            client: self.clients.named(&subscribe.client).clone(),
            filter: &subscribe.filter,
            options: SubscriptionOptions {
                maximum_qos: qos(subscribe.qos)?,
                no_local: subscribe.no_local,
                retain_as_published: subscribe.retain_as_published,
                retain_handling: subscribe.retain_handling()?,
            },
            properties: SubscribeProperties {
                user_properties: subscribe.user_properties.clone(),
                ..SubscribeProperties::default()
            },
        })
    }

    async fn receive(&mut self, receive: &Receive) -> Result<Value, String> {
        TopicName::new(&receive.topic).map_err(|why| wrong_name("topic", &receive.topic, why))?;
        let may = self.authorize(&receive.client, Action::Receive, &receive.topic, QoS::AtMostOnce, false);
        Ok(may.await.unwrap_or_else(|| "pass".into()))
    }

    async fn select(&mut self, select: &Select) -> Result<Value, String> {
        let published = self.published(&select.message)?;
        let sessions = self.sessions(&select.candidates);
        let candidates = candidates(&select.candidates, &sessions)?;
        let chain = self.registry.chain_full();
        let scope = chain.subscribers_scope(&published.topic);
        let request = SelectRequest { message: published.request(), candidates: &candidates };
        Ok(outcome::selected(&request, &chain.select(&scope, &request).await))
    }

    async fn pick(&mut self, pick: &Pick) -> Result<Value, String> {
        let published = self.published(&pick.message)?;
        let sessions = self.sessions(&pick.members);
        let members = candidates(&pick.members, &sessions)?;
        let chain = self.registry.chain_full();
        let scope = chain.subscribers_scope(&published.topic);
        let request = PickRequest { message: published.request(), group: &pick.group, members: &members };
        Ok(outcome::picked(&request, chain.pick(&scope, &request).await))
    }

    pub(super) fn sessions(&mut self, candidates: &[Candidate]) -> Vec<SessionId> {
        candidates.iter().map(|candidate| self.clients.session(&candidate.client)).collect()
    }

    /// What `deliver` is about: as in the broker, attributes are those of the recipient.
    pub(super) fn delivered(&mut self, deliver: &Deliver) -> Result<Published, String> {
        let mut published = self.published(&deliver.message)?;
        published.client.attributes = self.clients.named(&deliver.to).attributes.clone();
        Ok(published)
    }

    async fn deliver(&mut self, deliver: &Deliver) -> Result<Value, String> {
        let published = self.delivered(deliver)?;
        let Client { session, client_id, .. } = &*self.clients.named(&deliver.to);
        let request = DeliverRequest { message: published.request(), recipient: *session, client_id };
        let chain = self.registry.chain_full();
        let scope = chain.deliver_scope(&published.topic);
        Ok(outcome::delivered(&chain.on_deliver(&scope, &request).await))
    }
}

pub(super) fn candidates<'a>(
    candidates: &'a [Candidate],
    sessions: &[SessionId],
) -> Result<Vec<HookCandidate<'a>>, String> {
    let one = |(candidate, session): (&'a Candidate, &SessionId)| {
        Ok(HookCandidate {
            session: *session,
            client_id: &candidate.client,
            filter: &candidate.filter,
            qos: qos(candidate.qos)?,
        })
    };
    candidates.iter().zip(sessions).map(one).collect()
}

fn wrong_name(what: &str, text: &str, why: NameError) -> String {
    format!("`{what}`: {text:?}: {why}")
}

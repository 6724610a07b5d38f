//! Has every hook but `publish-batch` and `storage`, and answers what its config says: each hook has a list of cases, the first that
//! fits answers, and where none fits the answer is `next`.
//!
//! Reading order: `words`: what cases are made of; `auth`, `acl`, `messages`, `subscriptions`, `recipients`: the cases of each hook;
//! `events`: what has happened, published; `commands`: messages that make it call an import; `report`: what it was asked, published.

mod acl;
mod auth;
mod commands;
mod events;
mod messages;
mod recipients;
mod report;
mod subscriptions;
mod words;

use report::Report;
use serde_json::json;
use tidegate_plugin::{
    Acl, AclRequest, AuthStep, Authenticate, Candidate, Connect, Decision, DeliverVerdict, Event, Field,
    Message, OnDeliver, OnEvents, OnPublish, OnSubscribe, OnTimer, Outcome, Plugin, Proceed, Recipient,
    Scope, Selection, Start, SubscribeRequest, SubscribeVerdict, Subscribers, Verdict,
};
use words::{Filter, NOWHERE};

/// What the operator writes.
#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    authenticate: Vec<auth::Case>,
    proceed: Vec<auth::Case>,
    acl: Vec<acl::Case>,
    publish: Vec<messages::PublishCase>,
    subscribe: Vec<subscriptions::Case>,
    select: Vec<recipients::SelectCase>,
    pick: Vec<recipients::PickCase>,
    deliver: Vec<messages::DeliverCase>,
    /// Events are published; without this table they are not.
    events: Option<events::Config>,
    /// Hooks whose questions are published, as JSON on `saw/HOOK`.
    report: Vec<String>,
    /// What the plugin leaves for the next generation, if anything.
    drain: Option<String>,
}

/// The guest.
pub struct EveryHook {
    config: Config,
    report: Report,
}

impl Plugin for EveryHook {
    type Config = Config;

    fn new(start: Start, config: Config) -> Result<Self, String> {
        let report = Report::new(&config.report)?;
        report.started(&start);
        Ok(Self { config, report })
    }

    fn scopes(&self) -> Vec<Scope> {
        let config = &self.config;
        let mut publish = filters(config.publish.iter().map(|case| &case.topic));
        publish.push(format!("{}#", commands::PREFIX));
        let choosing = config.select.iter().map(|case| &case.topic);
        let subscribers = filters(choosing.chain(config.pick.iter().map(|case| &case.topic)));
        let everything = [Field::Payload, Field::ClientId, Field::Username, Field::Properties];
        let wanting = |scope| everything.into_iter().fold(scope, Scope::wanting);
        vec![
            Scope::acl(some(filters(config.acl.iter().map(|case| &case.topic)))),
            wanting(Scope::publish(publish)),
            Scope::subscribe(some(filters(config.subscribe.iter().map(|case| &case.filter)))),
            wanting(Scope::subscribers(some(subscribers))).wanting(Field::Filter),
            wanting(Scope::deliver(some(filters(config.deliver.iter().map(|case| &case.topic))))),
            config.events.as_ref().map_or_else(|| Scope::events(["stopping"]), events::Config::scope),
        ]
    }

    fn drain(&mut self) -> Option<Vec<u8>> {
        self.config.drain.clone().map(String::into_bytes)
    }
}

fn filters<'a>(filters: impl Iterator<Item = &'a Filter>) -> Vec<String> {
    filters.map(|filter| filter.0.to_string()).collect()
}

/// No filter would mean every topic.
fn some(filters: Vec<String>) -> Vec<String> {
    if filters.is_empty() { vec![NOWHERE.to_owned()] } else { filters }
}

impl Authenticate for EveryHook {
    fn authenticate(&mut self, client: Connect) -> Outcome {
        self.report.saw("authenticate", || report::connect(&client));
        auth::outcome(&self.config.authenticate, &client, None)
    }
}

impl Proceed for EveryHook {
    fn proceed(&mut self, client: Connect, step: AuthStep) -> Outcome {
        self.report.saw("proceed", || {
            let mut seen = report::connect(&client);
            seen["state"] = report::text(&step.state);
            seen["data"] = step.data.as_deref().map(report::text).into();
            seen["again"] = step.again.into();
            seen
        });
        auth::outcome(&self.config.proceed, &client, Some(&step))
    }
}

impl Acl for EveryHook {
    fn check(&mut self, request: AclRequest) -> Decision {
        self.report.saw("acl", || {
            json!({
                "session": request.session, "client_id": request.client_id, "username": request.username,
                "action": request.action.to_string(), "topic": request.topic, "qos": request.qos as u8,
                "retain": request.retain,
            })
        });
        acl::decision(&self.config.acl, &request)
    }
}

impl OnPublish for EveryHook {
    fn on_publish(&mut self, message: Message) -> Verdict {
        self.report.saw("publish", || report::message(&message));
        if let Some(command) = message.topic.strip_prefix(commands::PREFIX) {
            commands::run(command, &message.payload());
        }
        messages::publish_verdict(&self.config.publish, &message)
    }
}

impl OnSubscribe for EveryHook {
    fn on_subscribe(&mut self, request: SubscribeRequest) -> SubscribeVerdict {
        self.report.saw("subscribe", || {
            json!({
                "session": request.session, "client_id": request.client_id, "username": request.username,
                "filter": request.filter, "qos": request.qos as u8, "no_local": request.no_local,
                "retain_as_published": request.retain_as_published,
                "retain_handling": request.retain_handling as u8,
                "properties": report::properties(&request.properties),
            })
        });
        subscriptions::verdict(&self.config.subscribe, &request)
    }
}

impl Subscribers for EveryHook {
    fn select(&mut self, message: Message, candidates: Vec<Candidate>) -> Selection {
        self.report.saw("select", || {
            let mut seen = report::message(&message);
            seen["candidates"] = report::candidates(&candidates);
            seen
        });
        recipients::selection(&self.config.select, &message, &candidates)
    }

    fn pick(&mut self, message: Message, group: &str, members: Vec<Candidate>) -> Option<usize> {
        self.report.saw("pick", || {
            let mut seen = report::message(&message);
            seen["group"] = group.into();
            seen["members"] = report::candidates(&members);
            seen
        });
        recipients::picked(&self.config.pick, &message, members.len())
    }
}

impl OnDeliver for EveryHook {
    fn on_deliver(&mut self, message: Message, recipient: Recipient) -> DeliverVerdict {
        self.report.saw("deliver", || {
            let mut seen = report::message(&message);
            seen["recipient"] = recipient.session.into();
            seen["recipient_id"] = recipient.client_id.as_str().into();
            seen
        });
        messages::deliver_verdict(&self.config.deliver, &message, &recipient)
    }
}

impl OnEvents for EveryHook {
    fn on_events(&mut self, batch: Vec<Event>, lost: u64) {
        if let Some(config) = &self.config.events {
            config.publish(&batch, lost);
        }
    }
}

impl OnTimer for EveryHook {
    /// Published on `timers/TOKEN`.
    fn on_timer(&mut self, token: u64) {
        report::say(&format!("timers/{token}"), &json!({ "token": token }));
    }
}

tidegate_plugin::export!(
    EveryHook: authenticate, proceed, acl, on_publish, on_subscribe, subscribers, on_deliver, on_events, on_timer
);

#[cfg(test)]
mod tests;

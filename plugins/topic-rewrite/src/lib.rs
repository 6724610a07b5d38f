//! Other topics for what clients publish and subscribe, by rules of the operator.
//!
//! Reading order: `config`: what the operator writes; here: which rule is used; `rule`: what it fits; `template`: what it makes of it.

mod config;
mod rule;
mod template;

use config::Config;
use rule::Rule;
use template::{Client, Unfit};
use tidegate_plugin::{
    Edit, Field, Message, OnPublish, OnSubscribe, Plugin, ReasonCode, Scope, Start, SubscribeChange,
    SubscribeRequest, SubscribeVerdict, Verdict, info,
};

/// The rules, for each hook.
pub struct TopicRewrite {
    published: Rules,
    subscribed: Rules,
}

/// With their places in the config.
struct Rules(Vec<(usize, Rule)>);

impl Plugin for TopicRewrite {
    type Config = Config;

    fn new(_: Start, config: Config) -> Result<Self, String> {
        if config.rewrite.is_empty() {
            return Err(
                "config key `rewrite`: there is no rule, so there is nothing to ask this plugin".into()
            );
        }
        let rules = |concern: fn(&Rule) -> bool| {
            Rules(config.rewrite.iter().cloned().enumerate().filter(|(_, rule)| concern(rule)).collect())
        };
        Ok(Self {
            published: rules(|rule| rule.action.publishes()),
            subscribed: rules(|rule| rule.action.subscribes()),
        })
    }

    fn scopes(&self) -> Vec<Scope> {
        let mut published = Scope::publish(self.published.filters());
        for (name, field) in [("%c", Field::ClientId), ("%u", Field::Username)] {
            if self.published.0.iter().any(|(_, rule)| rule.to.names(name)) {
                published = published.wanting(field);
            }
        }
        vec![published, Scope::subscribe(self.subscribed.filters())]
    }
}

impl OnPublish for TopicRewrite {
    fn on_publish(&mut self, message: Message) -> Verdict {
        let client = Client {
            id: message.client_id.as_deref().unwrap_or_default(),
            username: message.username.as_deref(),
        };
        match self.published.rewritten(&message.topic, &client, "") {
            None => Verdict::Next,
            Some(Ok(topic)) => Edit::new().topic(topic).into(),
            Some(Err(_)) => Verdict::Refuse(ReasonCode::TopicNameInvalid),
        }
    }
}

impl OnSubscribe for TopicRewrite {
    fn on_subscribe(&mut self, request: SubscribeRequest) -> SubscribeVerdict {
        let client = Client { id: &request.client_id, username: request.username.as_deref() };
        let (share, filter) = share_and_filter(&request.filter);
        match self.subscribed.rewritten(filter, &client, share) {
            None => SubscribeVerdict::Next,
            Some(Ok(filter)) => SubscribeChange::new().filter(filter).into(),
            Some(Err(_)) => SubscribeVerdict::Refuse(ReasonCode::TopicFilterInvalid),
        }
    }
}

impl Rules {
    /// What the first rule that fits makes of it, behind `share`. None: no rule fits, or it stays as it is.
    fn rewritten(&self, text: &str, client: &Client<'_>, share: &str) -> Option<Result<String, Unfit>> {
        let (place, rule, captures) = self
            .0
            .iter()
            .find_map(|(place, rule)| rule.captures(text).map(|captures| (place, rule, captures)))?;
        match rule.to.fill(share, &captures, client) {
            Ok(rewritten) if rewritten.strip_prefix(share) == Some(text) => None,
            Ok(rewritten) => Some(Ok(rewritten)),
            Err(why) => {
                info!("refused: what the rule makes of it is no topic", rule = place, topic = text, why);
                Some(Err(why))
            }
        }
    }

    /// For a scope, in which no filter would stand for all topics.
    fn filters(&self) -> Vec<&str> {
        const NOWHERE: &str = "$nowhere";
        let mut filters: Vec<&str> = self.0.iter().map(|(_, rule)| rule.topic.as_str()).collect();
        filters.sort_unstable();
        filters.dedup();
        if filters.is_empty() { vec![NOWHERE] } else { filters }
    }
}

/// `$share/NAME/FILTER` is (`$share/NAME/`, `FILTER`).
fn share_and_filter(text: &str) -> (&str, &str) {
    let shared = |rest: &str| rest.find('/').map(|end| "$share/".len() + end + 1);
    let end = match text.strip_prefix("$share/") {
        Some(rest) => shared(rest),
        None => text.starts_with("$queue/").then_some("$queue/".len()),
    };
    text.split_at(end.unwrap_or_default())
}

tidegate_plugin::export!(TopicRewrite: on_publish, on_subscribe);

#[cfg(test)]
mod tests;

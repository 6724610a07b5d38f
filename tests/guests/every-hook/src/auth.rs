//! `[[plugin.every-hook.config.authenticate]]` and `proceed`.

use crate::words::{Code, Qos};
use serde::Deserialize;
use std::{collections::BTreeMap, time::Duration};
use tidegate_plugin::{
    Access, AuthStep, Challenge, Connect, Grant, Outcome, QoS, Quotas, Refusal, Rule, http::Request,
};

/// Whom it is about, and what is answered.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Case {
    /// Clients whose identifier begins with this.
    client: String,
    /// Clients that name this authentication method.
    if_method: Option<String>,
    /// Steps with this state.
    if_state: Option<String>,
    /// Steps with this data.
    if_data: Option<String>,
    /// Steps of clients that are in already, or of others.
    if_again: Option<bool>,
    /// Clients that this URL says yes (200) to. It is asked last.
    if_backend: Option<String>,

    verdict: Word,
    /// Of a refusal.
    code: Code,
    /// Of a refusal.
    text: Option<String>,
    /// Of a grant.
    client_id: Option<String>,
    /// Of a grant.
    username: Option<String>,
    /// Of a grant.
    rules: Vec<Rules>,
    /// Of a grant.
    attributes: BTreeMap<String, String>,
    /// Of a grant.
    quotas: QuotasConfig,
    /// Of a grant.
    expires_ms: Option<u64>,
    /// Of a grant or a challenge.
    data: Option<String>,
    /// Of a challenge.
    state: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    #[default]
    Next,
    Grant,
    Refuse,
    Challenge,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleConfig {
    allow: Option<Access>,
    deny: Option<Access>,
    /// Not checked here.
    filter: String,
    max_qos: Option<Qos>,
}

/// Rules on one filter: one for each action.
#[derive(Clone, Deserialize)]
#[serde(try_from = "RuleConfig")]
struct Rules(Vec<Rule>);

impl TryFrom<RuleConfig> for Rules {
    type Error = String;
    fn try_from(config: RuleConfig) -> Result<Self, String> {
        let RuleConfig { allow, deny, filter, max_qos } = config;
        let (allow, access) = Access::either(allow, deny)?;
        let max_qos = max_qos.map_or(QoS::ExactlyOnce, |qos| qos.0);
        let rule = |action| Rule { allow, action, filter: filter.clone(), max_qos };
        Ok(Self(access.actions().iter().copied().map(rule).collect()))
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct QuotasConfig {
    messages_per_second: Option<u32>,
    bytes_per_second: Option<u32>,
    subscriptions: Option<u32>,
    inflight: Option<u16>,
}

/// Asks `URL/CLIENT`.
fn says_yes(url: &str, client_id: &str) -> bool {
    Request::get(format!("{url}/{client_id}")).send().is_ok_and(|response| response.status == 200)
}

/// What the first case that fits answers.
pub(crate) fn outcome(cases: &[Case], client: &Connect, step: Option<&AuthStep>) -> Outcome {
    cases.iter().find(|case| case.fits(client, step)).map_or(Outcome::Next, Case::outcome)
}

impl Case {
    fn fits(&self, client: &Connect, step: Option<&AuthStep>) -> bool {
        let state = step.map(|step| step.state.as_slice()).unwrap_or_default();
        let data = step.and_then(|step| step.data.as_deref()).unwrap_or_default();
        client.client_id.starts_with(&self.client)
            && self.if_method.as_ref().is_none_or(|method| client.authentication_method() == Some(method))
            && self.if_state.as_ref().is_none_or(|wanted| wanted.as_bytes() == state)
            && self.if_data.as_ref().is_none_or(|wanted| wanted.as_bytes() == data)
            && self.if_again.is_none_or(|wanted| step.is_some_and(|step| step.again) == wanted)
            && self.if_backend.as_ref().is_none_or(|url| says_yes(url, &client.client_id))
    }

    fn outcome(&self) -> Outcome {
        match self.verdict {
            Word::Next => Outcome::Next,
            Word::Refuse => Outcome::Refuse(Refusal { code: self.code.0, text: self.text.clone() }),
            Word::Challenge => {
                Challenge::new(self.data.clone().unwrap_or_default()).state(self.state.clone()).into()
            }
            Word::Grant => self.grant().into(),
        }
    }

    fn grant(&self) -> Grant {
        let QuotasConfig { messages_per_second, bytes_per_second, subscriptions, inflight } = self.quotas;
        let attribute = |(name, value): (&String, &String)| (name.clone(), value.clone());
        Grant {
            client_id: self.client_id.clone(),
            username: self.username.clone(),
            rules: self.rules.iter().flat_map(|rules| rules.0.iter().cloned()).collect(),
            expires: self.expires_ms.map(Duration::from_millis),
            attributes: self.attributes.iter().map(attribute).collect(),
            data: self.data.clone().map(String::into_bytes),
            quotas: Quotas { messages_per_second, bytes_per_second, subscriptions, inflight },
        }
    }
}

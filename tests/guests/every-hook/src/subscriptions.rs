//! `[[plugin.every-hook.config.subscribe]]`

use crate::words::{Code, Filter, Qos};
use serde::Deserialize;
use tidegate_plugin::{SubscribeChange, SubscribeRequest, SubscribeVerdict};

/// Which subscriptions it is about, and what is answered.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// Subscriptions that lie within this, `$share/NAME/` aside.
    pub(crate) filter: Filter,
    /// Clients whose identifier begins with this.
    #[serde(default)]
    client: String,

    verdict: Word,
    /// Of a refusal.
    #[serde(default)]
    code: Code,
    #[serde(default)]
    edit: Change,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Next,
    Accept,
    Edit,
    Refuse,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Change {
    /// Not checked here.
    filter: Option<String>,
    qos: Option<Qos>,
}

/// What the first case that fits answers.
pub(crate) fn verdict(cases: &[Case], request: &SubscribeRequest) -> SubscribeVerdict {
    let filter = unshared(&request.filter);
    let fits = |case: &&Case| case.filter.0.covers(filter) && request.client_id.starts_with(&case.client);
    let Some(case) = cases.iter().find(fits) else { return SubscribeVerdict::Next };
    match case.verdict {
        Word::Next => SubscribeVerdict::Next,
        Word::Accept => SubscribeVerdict::Accept,
        Word::Refuse => SubscribeVerdict::Refuse(case.code.0),
        Word::Edit => {
            let Change { filter, qos } = &case.edit;
            SubscribeChange { filter: filter.clone(), qos: qos.map(|qos| qos.0) }.into()
        }
    }
}

/// Without `$share/NAME/`.
fn unshared(filter: &str) -> &str {
    let shared = filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/'));
    shared.map_or(filter, |(_, filter)| filter)
}

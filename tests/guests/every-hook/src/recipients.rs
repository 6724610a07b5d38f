//! `[[plugin.every-hook.config.select]]` and `pick`.

use crate::words::Filter;
use serde::Deserialize;
use std::time::Duration;
use tidegate_plugin::{Candidate, Message, Selection};

/// Which messages it is about, and who gets them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SelectCase {
    /// Topics that match this.
    pub(crate) topic: Filter,

    choice: ChoiceWord,
    /// Who is meant: identifiers that begin with this.
    #[serde(default)]
    clients: String,
    /// How long that holds.
    #[serde(default)]
    cache_ms: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ChoiceWord {
    All,
    Only,
    Except,
}

/// Which messages it is about, and which member gets them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PickCase {
    /// Topics that match this.
    pub(crate) topic: Filter,

    by: PickWord,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum PickWord {
    /// The broker chooses.
    None,
    First,
    Last,
    /// By a hash: the same member for the same topic, as long as the members are the same.
    Topic,
    /// By a hash of what stands before the first `:` of the payload.
    Key,
}

/// Who gets it by the first case that fits.
pub(crate) fn selection(cases: &[SelectCase], message: &Message, candidates: &[Candidate]) -> Selection {
    let Some(case) = cases.iter().find(|case| case.topic.0.matches(&message.topic)) else {
        return Selection::all();
    };
    let meant = |candidate: &Candidate| candidate.client_id.starts_with(&case.clients);
    let indexes = candidates.iter().enumerate().filter(|(_, candidate)| meant(candidate)).map(|(at, _)| at);
    let selection = match case.choice {
        ChoiceWord::All => Selection::all(),
        ChoiceWord::Only => Selection::only(indexes),
        ChoiceWord::Except => Selection::except(indexes),
    };
    selection.cached(Duration::from_millis(case.cache_ms))
}

/// Who gets it by the first case that fits.
pub(crate) fn picked(cases: &[PickCase], message: &Message, members: usize) -> Option<usize> {
    let case = cases.iter().find(|case| case.topic.0.matches(&message.topic))?;
    let last = members.checked_sub(1)?;
    match case.by {
        PickWord::None => None,
        PickWord::First => Some(0),
        PickWord::Last => Some(last),
        PickWord::Topic => Some(hash(message.topic.as_bytes()) % members),
        PickWord::Key => {
            let payload = message.payload();
            let key = payload.split(|byte| *byte == b':').next().unwrap_or_default();
            Some(hash(key) % members)
        }
    }
}

/// FNV-1a: the same in every instance.
fn hash(bytes: &[u8]) -> usize {
    bytes.iter().fold(0x811C_9DC5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
        as usize
}

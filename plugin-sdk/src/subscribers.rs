//! Who of those whose subscriptions match gets a message.

use crate::{Message, bindings::subscribers::exports::tidegate::plugin::subscribers};
use std::time::Duration;
use tidegate_mqtt::QoS;

/// The hook for messages that have been matched and are about to be delivered.
///
/// ```
/// use tidegate_plugin::{Candidate, Message, NoConfig, Plugin, Scope, Selection, Start, Subscribers};
///
/// /// Spares clients called `spare-…` as long as there are others.
/// struct Spares;
///
/// impl Plugin for Spares {
///     type Config = NoConfig;
///     fn new(_: Start, _: NoConfig) -> Result<Self, String> {
///         Ok(Self)
///     }
///     fn scopes(&self) -> Vec<Scope> {
///         vec![Scope::subscribers(["jobs/#"])]
///     }
/// }
///
/// impl Subscribers for Spares {
///     fn select(&mut self, _: Message, candidates: Vec<Candidate>) -> Selection {
///         let selection = Selection::of(&candidates, |candidate| !candidate.client_id.starts_with("spare-"));
///         if selection.is_nobody() { Selection::all() } else { selection }
///     }
/// }
///
/// tidegate_plugin::export!(Spares: subscribers);
///
/// use tidegate_plugin::testing::{self, Host};
///
/// let mut plugin: Spares = Host::new().start()?;
/// let candidates = || ["spare-1", "main"].map(|client_id| testing::candidate(client_id, "jobs/#")).to_vec();
/// assert_eq!(plugin.select(testing::message("jobs/1", ""), candidates()), Selection::only([1]));
/// assert_eq!(plugin.select(testing::message("jobs/1", ""), candidates()[..1].to_vec()), Selection::all());
/// # Ok::<(), String>(())
/// ```
pub trait Subscribers {
    /// Who gets this message, of those whose subscriptions are not shared? Must answer at once, unless the plugin was granted `http`.
    fn select(&mut self, message: Message, candidates: Vec<Candidate>) -> Selection;

    /// Which member of a shared subscription gets it, by index? None: the broker chooses, one after the other. `group` is
    /// `$share/NAME/FILTER`.
    fn pick(&mut self, _message: Message, _group: &str, _members: Vec<Candidate>) -> Option<usize> {
        None
    }
}

/// One who would get a message.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Candidate {
    /// Whose subscription matches, unique in the life of the broker.
    pub session: u64,
    /// Whose subscription matches.
    pub client_id: String,
    /// Which of its subscriptions. None unless the scope wants [`Field::Filter`](crate::Field::Filter).
    pub filter: Option<String>,
    /// At which it would get the message.
    pub qos: QoS,
}

impl From<subscribers::Candidate> for Candidate {
    fn from(candidate: subscribers::Candidate) -> Self {
        let subscribers::Candidate { session, client_id, filter, qos } = candidate;
        Self { session, client_id, filter, qos: QoS::try_from(qos).unwrap_or_default() }
    }
}

/// Some of the candidates, by index.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Choice {
    /// Each of them.
    All,
    /// These. Each below the number of candidates, none twice.
    Only(Vec<u32>),
    /// All but these. Each below the number of candidates, none twice.
    Except(Vec<u32>),
}

/// Answer to the question who gets a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Selection {
    /// Who gets it.
    pub choice: Choice,
    /// The answer holds for the same publisher and topic for as long as this, or until subscriptions change; zero: this once.
    pub cache: Duration,
}

impl Selection {
    /// Everybody gets it.
    pub fn all() -> Self {
        Self::new(Choice::All)
    }

    /// The candidates with these indexes get it.
    pub fn only(indexes: impl IntoIterator<Item = usize>) -> Self {
        Self::new(Choice::Only(numbers(indexes)))
    }

    /// All but the candidates with these indexes get it.
    pub fn except(indexes: impl IntoIterator<Item = usize>) -> Self {
        Self::new(Choice::Except(numbers(indexes)))
    }

    /// The candidates for which `gets_it` is true get it.
    pub fn of(candidates: &[Candidate], mut gets_it: impl FnMut(&Candidate) -> bool) -> Self {
        Self::only(
            candidates.iter().enumerate().filter(|(_, candidate)| gets_it(candidate)).map(|(index, _)| index),
        )
    }

    /// Whether it names nobody at all.
    pub fn is_nobody(&self) -> bool {
        matches!(&self.choice, Choice::Only(only) if only.is_empty())
    }

    /// The answer holds for the same publisher and topic for as long as `time`, or until subscriptions change.
    #[must_use]
    pub fn cached(mut self, time: Duration) -> Self {
        self.cache = time;
        self
    }

    fn new(choice: Choice) -> Self {
        Self { choice, cache: Duration::ZERO }
    }
}

fn numbers(indexes: impl IntoIterator<Item = usize>) -> Vec<u32> {
    indexes.into_iter().map(number).collect()
}

/// An index as the interface has it. What does not fit is out of range there too.
pub(crate) fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

impl From<Selection> for subscribers::Answer {
    fn from(Selection { choice, cache }: Selection) -> Self {
        let choice = match choice {
            Choice::All => subscribers::Choice::All,
            Choice::Only(only) => subscribers::Choice::Only(only),
            Choice::Except(except) => subscribers::Choice::Except(except),
        };
        Self { choice, cache_ms: u32::try_from(cache.as_millis()).unwrap_or(u32::MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::candidate;

    #[test]
    fn a_selection_names_indexes_and_time() {
        let candidates = ["a", "b", "c"].map(|client_id| candidate(client_id, "x/#"));
        let selection = Selection::of(&candidates, |candidate| candidate.client_id != "b");
        let answer = subscribers::Answer::from(selection.cached(Duration::MAX));
        assert!(matches!(answer.choice, subscribers::Choice::Only(only) if only == [0, 2]));
        assert_eq!(answer.cache_ms, u32::MAX);
        let answer = subscribers::Answer::from(Selection::except([1]));
        assert!(matches!(answer.choice, subscribers::Choice::Except(except) if except == [1]));
        assert_eq!(answer.cache_ms, 0);
        assert!(Selection::of(&candidates, |_| false).is_nobody() && !Selection::all().is_nobody());
    }
}

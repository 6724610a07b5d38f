//! `tidegate:plugin/subscribers`

use super::{broken, message::Wants};
use crate::wire;
use smallvec::SmallVec;
use std::time::Duration;
use tidegate_hooks::{Candidate, Choice, FaultKind, Selection};

/// As many as fit without memory of their own.
pub(crate) type Candidates<'a> = SmallVec<[wire::Candidate<'a>; 16]>;

/// Candidates, or members of a shared subscription, without a copy of their names.
pub(crate) fn candidates<'a>(candidates: &'a [Candidate<'a>], wants: Wants) -> Candidates<'a> {
    let candidate = |candidate: &'a Candidate<'a>| wire::Candidate {
        session: candidate.session.0,
        client_id: candidate.client_id,
        filter: wants.filter.then_some(candidate.filter),
        qos: candidate.qos as u8,
    };
    candidates.iter().map(candidate).collect()
}

/// What was chosen of so many candidates.
pub(crate) fn selected(answer: wire::Selection, candidates: usize) -> Result<Selection, FaultKind> {
    let choice = match answer.choice {
        wire::Choice::All => Choice::All,
        wire::Choice::Only(indexes) => {
            check("choice.only", &indexes, candidates)?;
            Choice::Only(indexes)
        }
        wire::Choice::Except(indexes) => {
            check("choice.except", &indexes, candidates)?;
            Choice::Except(indexes)
        }
    };
    Ok(Selection { choice, cache: Duration::from_millis(answer.cache_ms.into()) })
}

/// Who was chosen of so many members.
pub(crate) fn picked(answer: Option<u32>, members: usize) -> Result<Option<u32>, FaultKind> {
    answer.map(|index| within("index", index, members).map(|_| index)).transpose()
}

fn check(field: &str, indexes: &[u32], candidates: usize) -> Result<(), FaultKind> {
    let mut seen: SmallVec<[bool; 64]> = SmallVec::from_elem(false, candidates);
    for index in indexes {
        let at = within(field, *index, candidates)?;
        if std::mem::replace(&mut seen[at], true) {
            return Err(broken(field, format_args!("{index} stands there more than once")));
        }
    }
    Ok(())
}

fn within(field: &str, index: u32, count: usize) -> Result<usize, FaultKind> {
    let at = usize::try_from(index).ok().filter(|at| *at < count);
    at.ok_or_else(|| broken(field, format_args!("{index} is not below {count}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(choice: wire::Choice) -> Result<Selection, FaultKind> {
        selected(wire::Selection { choice, cache_ms: 5 }, 3)
    }

    #[test]
    fn a_choice_is_taken_over() {
        assert_eq!(answer(wire::Choice::All).unwrap().cache, Duration::from_millis(5));
        assert_eq!(answer(wire::Choice::Only(vec![2, 0])).unwrap().choice, Choice::Only(vec![2, 0]));
        assert_eq!(answer(wire::Choice::Except(vec![])).unwrap().choice, Choice::Except(vec![]));
        assert_eq!(picked(Some(1), 2).unwrap(), Some(1));
        assert_eq!(picked(None, 0).unwrap(), None);
    }

    #[test]
    fn nonsense_names_its_field() {
        let fault = |choice| answer(choice).unwrap_err().to_string();
        assert!(fault(wire::Choice::Only(vec![3])).contains("choice.only: 3 is not below 3"));
        assert!(fault(wire::Choice::Except(vec![1, 1])).contains("choice.except: 1 stands there"));
        assert!(picked(Some(2), 2).unwrap_err().to_string().contains("index: 2 is not below 2"));
    }
}

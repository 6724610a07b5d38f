//! Did everything come, once, and in order?

use std::ops::Range;

/// Gaps that are remembered; of older ones only the size.
const GAPS: usize = 4096;

/// What one receiver has of one publisher, whose messages are numbered from 0.
#[derive(Debug, Default)]
pub(crate) struct Sequence {
    /// One above the highest that has come.
    next: u64,
    /// What is missing below, in order.
    gaps: Vec<Range<u64>>,
    /// Gaps below this number are forgotten.
    forgotten: u64,
    /// Messages missing below `next`, forgotten ones too.
    missing: u64,
}

/// What an arrival is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Arrival {
    /// Higher than all before. The range ends with it, and begins with what was skipped.
    New(Range<u64>),
    /// Was missing, comes behind a later one.
    Late,
    /// Was here before.
    Duplicate,
}

impl Sequence {
    pub(crate) fn take(&mut self, number: u64) -> Arrival {
        if number >= self.next {
            let new = self.next..number + 1;
            if number > self.next {
                self.skip(self.next..number);
            }
            self.next = number + 1;
            return Arrival::New(new);
        }
        self.take_missing(number)
    }

    fn skip(&mut self, gap: Range<u64>) {
        self.missing += gap.end - gap.start;
        if self.gaps.len() == GAPS {
            self.forgotten = self.gaps[GAPS / 2 - 1].end;
            self.gaps.drain(..GAPS / 2);
        }
        self.gaps.push(gap);
    }

    fn take_missing(&mut self, number: u64) -> Arrival {
        let at = self.gaps.partition_point(|gap| gap.end <= number);
        let Some(gap) = self.gaps.get(at).filter(|gap| gap.contains(&number)).cloned() else {
            // A message from a forgotten gap cannot be told from a duplicate; that it comes behind is certain.
            return if number < self.forgotten { Arrival::Late } else { Arrival::Duplicate };
        };
        self.missing -= 1;
        let rests = [gap.start..number, number + 1..gap.end];
        self.gaps.splice(at..=at, rests.into_iter().filter(|rest| !rest.is_empty()));
        Arrival::Late
    }

    /// How many of the first `sent` have not come.
    pub(crate) fn lost(&self, sent: u64) -> u64 {
        self.missing + sent.saturating_sub(self.next)
    }
}

#[cfg(test)]
mod tests;

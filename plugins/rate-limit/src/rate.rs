//! So much in a time, counted by all instances together.
//!
//! Time is cut into windows. What is counted against a message is what came in the window it falls into, and of the window before as much
//! as lies within one window's length of now, taken as evenly spread and rounded down. So in any time `t` no more
//! passes than `most` and what the rate brings in `t`, which is what a bucket of `most` tokens allows, and one more by rounding.

use std::time::Duration;
use tidegate_plugin::kv;

/// So much in a window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    most: u64,
    window: Duration,
}

/// What a message has taken, to be given back if it does not pass after all.
pub(crate) struct Taken {
    key: String,
    cost: i64,
    time_to_live: Duration,
}

impl Taken {
    /// It counts no more.
    pub(crate) fn give_back(self) {
        // If this fails it counts until the window after its own is over.
        let _ = kv::add(&self.key, -self.cost, Some(self.time_to_live));
    }
}

/// Shorter windows would be a matter of the clock's ticks.
const SHORTEST: Duration = Duration::from_millis(10);
/// Counters of a window, the one before and the one after; one more, so that a clock that is a little ahead does no harm.
const SLOTS: u128 = 4;

impl Rate {
    /// `number` in `time` in the long run, and `burst` at once: as many in as much of the time.
    pub(crate) fn new(number: u64, time: Duration, burst: u64) -> Result<Self, String> {
        if number == 0 || burst == 0 {
            return Err("it must be more than nothing".into());
        }
        let nanos = time.as_nanos().saturating_mul(burst.into()) / u128::from(number);
        let window = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        if window < SHORTEST {
            return Err(format!(
                "that many come within {window:?} already, and less than {SHORTEST:?} are not counted; write more at once"
            ));
        }
        Ok(Self { most: burst, window })
    }

    /// Counts `cost` for the subject of `key`. None: it would be too much, and is not counted.
    pub(crate) fn take(&self, key: &str, cost: u64, now: Duration) -> Result<Option<Taken>, kv::Error> {
        if cost > self.most {
            return Ok(None);
        }
        let index = now.as_nanos() / self.window.as_nanos();
        let key_of = |index: u128| format!("{key}{}", index % SLOTS);
        // Gone before its slot is used again, and not before the window behind its own is over.
        let time_to_live = self.window * 2;
        let taken = Taken { key: key_of(index), cost: i64::try_from(cost).unwrap_or(i64::MAX), time_to_live };
        let current = kv::add(&taken.key, taken.cost, Some(time_to_live))?;
        match self.holds(current, &key_of(index + SLOTS - 1), now) {
            Ok(true) => Ok(Some(taken)),
            Ok(false) => {
                taken.give_back();
                Ok(None)
            }
            Err(error) => {
                taken.give_back();
                Err(error)
            }
        }
    }

    /// Whether there is room for what came in this window and what counts of the one before.
    fn holds(&self, current: i64, before: &str, now: Duration) -> Result<bool, kv::Error> {
        let Some(left) = self.most.checked_sub(u64::try_from(current).unwrap_or_default()) else {
            return Ok(false);
        };
        let before = u128::from(number(kv::get(before)?.as_deref()));
        let window = self.window.as_nanos();
        let of_it = before * (window - now.as_nanos() % window) / window;
        Ok(of_it <= u128::from(left))
    }
}

/// A counter is its number in decimal.
fn number(counter: Option<&[u8]>) -> u64 {
    counter
        .and_then(|text| std::str::from_utf8(text).ok())
        .and_then(|text| text.parse().ok())
        .unwrap_or_default()
}

//! `tidegate:plugin/logging`: lines in the broker's log, under the target `plugin`.

use super::Environment;
use crate::{instance::Guest, wire::Level};
use parking_lot::Mutex;
use std::{
    fmt::Write,
    time::{Duration, Instant},
};
use wasmtime::{StoreContextMut, component::LinkerInstance};

/// Bytes of a line; the rest is cut off.
pub(super) const LONGEST_LINE: usize = 4096;

pub(super) fn link(interface: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    interface
        .func_wrap("enabled", |_: StoreContextMut<'_, Guest>, (level,): (Level,)| Ok((enabled(level),)))?;
    interface.func_wrap(
        "log",
        |store: StoreContextMut<'_, Guest>, (level, text, fields): (Level, String, Vec<(String, String)>)| {
            if enabled(level) {
                store.data().environment.log(level, &text, &fields, Instant::now());
            }
            Ok(())
        },
    )
}

pub(super) fn enabled(level: Level) -> bool {
    match level {
        Level::Trace => tracing::enabled!(target: "plugin", tracing::Level::TRACE),
        Level::Debug => tracing::enabled!(target: "plugin", tracing::Level::DEBUG),
        Level::Info => tracing::enabled!(target: "plugin", tracing::Level::INFO),
        Level::Warn => tracing::enabled!(target: "plugin", tracing::Level::WARN),
        Level::Error => tracing::enabled!(target: "plugin", tracing::Level::ERROR),
    }
}

impl Environment {
    pub(super) fn log(&self, level: Level, text: &str, fields: &[(String, String)], now: Instant) {
        let (plugin, generation) = (&*self.plugin, self.generation);
        let Admitted { this, dropped } = self.log.admit(now);
        if dropped > 0 {
            tracing::warn!(target: "plugin", plugin, generation, "{dropped} log lines dropped, more than limits.log_lines a second");
        }
        if !this {
            return;
        }
        let line = line(text, fields);
        match level {
            Level::Trace => tracing::trace!(target: "plugin", plugin, generation, "{line}"),
            Level::Debug => tracing::debug!(target: "plugin", plugin, generation, "{line}"),
            Level::Info => tracing::info!(target: "plugin", plugin, generation, "{line}"),
            Level::Warn => tracing::warn!(target: "plugin", plugin, generation, "{line}"),
            Level::Error => tracing::error!(target: "plugin", plugin, generation, "{line}"),
        }
    }
}

/// Text and fields on one line, whatever the guest put into them.
fn line(text: &str, fields: &[(String, String)]) -> String {
    let mut line = String::with_capacity(text.len().min(LONGEST_LINE) + 32 * fields.len().min(16));
    let parts = fields.iter().flat_map(|(key, value)| [" ", key.as_str(), "=", value.as_str()]);
    for c in std::iter::once(text).chain(parts).flat_map(str::chars) {
        if line.len() >= LONGEST_LINE {
            line.push('…');
            break;
        }
        if c.is_control() {
            // No line may look like two, or colour the terminal.
            _ = write!(line, "{}", c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

/// Lines a plugin may write in the running second.
pub(super) struct LogBudget {
    lines: u32,
    second: Mutex<Option<Second>>,
}

struct Second {
    began: Instant,
    written: u32,
    dropped: u64,
}

#[derive(Debug, Eq, PartialEq)]
struct Admitted {
    /// Whether this line may be written.
    this: bool,
    /// Lines dropped in the second before, to be told now.
    dropped: u64,
}

impl LogBudget {
    pub(super) fn new(lines: u32) -> Self {
        Self { lines, second: Mutex::new(None) }
    }

    fn admit(&self, now: Instant) -> Admitted {
        let mut second = self.second.lock();
        let mut dropped = 0;
        if let Some(over) =
            second.take_if(|second| now.saturating_duration_since(second.began) >= Duration::from_secs(1))
        {
            dropped = over.dropped;
        }
        let second = second.get_or_insert(Second { began: now, written: 0, dropped: 0 });
        let this = second.written < self.lines;
        if this {
            second.written += 1;
        } else {
            second.dropped += 1;
        }
        Admitted { this, dropped }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_budget_are_dropped_and_told_later() {
        let (budget, start) = (LogBudget::new(2), Instant::now());
        let admitted = |this, dropped| Admitted { this, dropped };
        assert_eq!(budget.admit(start), admitted(true, 0));
        assert_eq!(budget.admit(start), admitted(true, 0));
        assert_eq!(budget.admit(start), admitted(false, 0));
        assert_eq!(budget.admit(start), admitted(false, 0));
        assert_eq!(budget.admit(start + Duration::from_secs(1)), admitted(true, 2));
        assert_eq!(budget.admit(start + Duration::from_secs(2)), admitted(true, 0));
    }

    #[test]
    fn a_line_stays_one_line_and_ends() {
        let fields = [("key".to_owned(), "a\nb".to_owned())];
        assert_eq!(line("hello\u{1b}[31m", &fields), "hello\\u{1b}[31m key=a\\nb");
        let long = line(&"ä".repeat(LONGEST_LINE), &[]);
        assert!(long.len() <= LONGEST_LINE + 4 && long.ends_with('…'));
    }
}

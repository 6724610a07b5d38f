//! `stdout` and `stderr`: every line that ends is a line of the log.

use crate::{
    imports::{
        Environment,
        logging::{LONGEST_LINE, enabled},
    },
    wire::Level,
};
use std::time::Instant;

/// One of the two.
pub(super) struct Lines {
    level: Level,
    /// Written, but not ended. Never longer than a line may be.
    begun: Vec<u8>,
}

impl Lines {
    pub(super) fn new(level: Level) -> Self {
        Self { level, begun: Vec::new() }
    }

    /// Logs what ends in `bytes`; one that does not end is logged in pieces.
    pub(super) fn write(&mut self, bytes: &[u8], environment: &Environment) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            for piece in part.chunks(LONGEST_LINE) {
                if self.begun.len() + piece.len() > LONGEST_LINE {
                    self.end(environment);
                }
                self.begun.extend_from_slice(piece);
            }
            if part.ends_with(b"\n") {
                self.end(environment);
            }
        }
    }

    /// Logs what was begun.
    pub(super) fn end(&mut self, environment: &Environment) {
        let line = String::from_utf8_lossy(self.begun.trim_ascii_end());
        if !line.is_empty() && enabled(self.level) {
            environment.log(self.level, &line, &[], Instant::now());
        }
        self.begun.clear();
    }
}

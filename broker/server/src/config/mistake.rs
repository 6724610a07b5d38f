//! Mistakes in a config file, said in one line: file, line, key, remedy.

use std::path::{Path, PathBuf};

/// The config cannot be used. One line that says what to change.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there, or may not be read.
    #[error("{}: cannot be read: {error}; name the file with -c FILE or TIDEGATE_CONFIG", .path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A key or value is not what it should be.
    #[error("{}:{line}: {what}", .path.display())]
    Mistake {
        /// Which file.
        path: PathBuf,
        /// Where in it, from 1.
        line: usize,
        /// What is wrong, and what would be right.
        what: String,
    },
    /// `listener = []`
    #[error("{}: no [[listener]]: nobody could come in; leave the key out for 127.0.0.1:1883", .path.display())]
    NoListener {
        /// Which file.
        path: PathBuf,
    },
}

impl ConfigError {
    pub(super) fn mistake(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        let start = error.span().map_or(0, |span| span.start);
        Self::at(path, text, start, remedy(&error.message().replace('\n', "; ")))
    }

    /// A mistake at the `start`th byte of the file.
    pub(super) fn at(path: &Path, text: &str, start: usize, what: String) -> Self {
        let line = text.as_bytes().iter().take(start).filter(|byte| **byte == b'\n').count() + 1;
        Self::Mistake { path: path.into(), line, what }
    }
}

/// serde says "unknown field `a`, expected one of `b`, `c`"; people want to know which they meant.
fn remedy(message: &str) -> String {
    let kinds = [("unknown field `", "key"), ("unknown variant `", "value")];
    for (beginning, kind) in kinds {
        let Some((wrong, expected)) = message.strip_prefix(beginning).and_then(|rest| rest.split_once('`'))
        else {
            continue;
        };
        let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        let nearest = known.iter().max_by(|a, b| strsim::jaro(wrong, a).total_cmp(&strsim::jaro(wrong, b)));
        return match nearest {
            Some(nearest) if strsim::jaro(wrong, nearest) > 0.75 => {
                format!("unknown {kind} {wrong:?}; did you mean {nearest:?}?")
            }
            _ => format!("unknown {kind} {wrong:?}; known here: {}", known.join(", ")),
        };
    }
    message.to_owned()
}

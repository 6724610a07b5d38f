//! Programs that must be there: found, old enough, or named with the command that brings them.

use crate::{Failure, command::succeeds};
use std::process::Command;

/// A program that is installed by the user, not by us.
pub struct Tool {
    /// In words, at the beginning of a sentence.
    pub what: &'static str,
    /// Prints its version, with the number as the first word that has one.
    pub version: &'static [&'static str],
    /// The oldest that will do: numbers and dots.
    pub least: &'static str,
    /// Sentences with commands.
    pub remedy: &'static str,
}

/// For Rust.
pub const RUST: Tool = Tool {
    what: "Rust (rustc)",
    version: &["rustc", "--version"],
    least: env!("CARGO_PKG_RUST_VERSION"),
    remedy: "Install it as https://rustup.rs says; if it is there by rustup already: `rustup update stable`.",
};

/// For Rust.
pub const CARGO: Tool = Tool { what: "Cargo", version: &["cargo", "--version"], ..RUST };

/// For JavaScript and TypeScript.
pub const NODE: Tool = Tool {
    what: "Node.js (node)",
    version: &["node", "--version"],
    least: "18.0",
    remedy: "On Debian and its kin: `sudo apt-get install nodejs npm`; with Homebrew: `brew install node`; \
             newer ones are at https://nodejs.org.",
};

/// Brings packages of JavaScript.
pub const NPM: Tool = Tool { what: "npm", version: &["npm", "--version"], least: "8.0", ..NODE };

/// For Python, and for C: its registry brings the compiler.
pub const PYTHON: Tool = Tool {
    what: "Python (python3)",
    version: &["python3", "--version"],
    least: "3.10",
    remedy: "On Debian and its kin: `sudo apt-get install python3 python3-venv`; with Homebrew: `brew install \
             python`; newer ones are at https://www.python.org.",
};

impl Tool {
    /// Whether it is there, and new enough.
    ///
    /// # Errors
    /// With what to do about it.
    pub fn find(&self) -> Result<(), Failure> {
        let missing = || Failure::Missing { what: self.what, remedy: self.remedy.to_owned() };
        let [program, arguments @ ..] = self.version else { return Ok(()) };
        let output = Command::new(program).args(arguments).output().map_err(|_| missing())?;
        let said = String::from_utf8_lossy(&output.stdout);
        let Some(found) = version_in(&said).filter(|_| output.status.success()) else {
            return Err(missing());
        };
        if numbers(found) < numbers(self.least) {
            let found = found.to_owned();
            let remedy = self.remedy.to_owned();
            return Err(Failure::TooOld { what: self.what, found, least: self.least, remedy });
        }
        Ok(())
    }
}

/// Debian's Python comes without what a virtual environment is made with.
///
/// # Errors
/// With what to do about it.
pub fn find_python_with_venv() -> Result<(), Failure> {
    PYTHON.find()?;
    if succeeds(Command::new("python3").args(["-c", "import ensurepip, venv"])) {
        return Ok(());
    }
    Err(Failure::Missing {
        what: "The module `venv` of Python",
        remedy: "On Debian and its kin: `sudo apt-get install python3-venv`.".into(),
    })
}

/// Whether a package of Debian is installed. Elsewhere none is.
pub fn debian_has(package: &str) -> bool {
    let query = Command::new("dpkg-query").args(["--show", "--showformat", "${Status}", package]).output();
    query.is_ok_and(|query| query.stdout.ends_with(b"ok installed"))
}

/// The first word that is a version: `1.95.0`, `v20.20.2`.
fn version_in(said: &str) -> Option<&str> {
    said.split_whitespace()
        .map(|word| word.strip_prefix('v').unwrap_or(word))
        .find(|word| word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit()))
}

/// `1.95.0-nightly` is 1, 95, 0.
fn numbers(version: &str) -> Vec<u32> {
    let parts = version.split(|c: char| !c.is_ascii_digit());
    parts.map_while(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_compared_by_their_numbers() {
        for (said, version) in [
            ("rustc 1.95.0 (59807616e 2026-04-14)", Some("1.95.0")),
            ("v20.20.2\n", Some("20.20.2")),
            ("Python 3.11.7", Some("3.11.7")),
            ("11.19.1", Some("11.19.1")),
            ("rustc 1.97.0-nightly (abc 2026-05-01)", Some("1.97.0-nightly")),
            ("no toolchain", None),
        ] {
            assert_eq!(version_in(said), version, "{said}");
        }
        assert!(numbers("3.9.20") < numbers("3.10"));
        assert!(numbers("3.10.0") >= numbers("3.10"));
        assert!(numbers("1.95.0-beta.2") >= numbers("1.95"));
        assert!(numbers("20.1") >= numbers("18.0"));
    }

    #[test]
    fn what_is_missing_or_too_old_is_named_with_its_remedy() {
        let missing = Tool { version: &["no-such-program-here", "--version"], ..PYTHON };
        let said = missing.find().expect_err("it is not there").to_string();
        assert!(
            said.starts_with("Python (python3) is missing. On Debian and its kin: `sudo apt-get install")
        );
        let old = Tool { version: &["echo", "Python 3.9.20"], ..PYTHON };
        let said = old.find().expect_err("it is too old").to_string();
        assert!(
            said.starts_with("Python (python3) 3.9.20 is too old: 3.10 or newer is needed. On"),
            "{said}"
        );
        let fails = Tool { version: &["false"], ..PYTHON };
        assert!(matches!(fails.find(), Err(Failure::Missing { .. })));
        let new = Tool { version: &["echo", "Python 3.14.0"], ..PYTHON };
        new.find().expect("it is new enough");
    }
}

//! A password hash for the `passwd` plugin.

use anyhow::{Context, bail};
use argon2::{Argon2, PasswordHasher};
use std::io::{self, IsTerminal, Write};

/// Reads one line from stdin, never an argument: arguments are seen by every user of the machine and stay in the shell's
/// history. Prints the hash as a PHC string.
///
/// # Errors
/// If there is no password.
pub(crate) fn from_stdin() -> anyhow::Result<()> {
    if io::stdin().is_terminal() {
        eprint!("Password (it is shown): ");
    }
    let mut password = String::new();
    io::stdin().read_line(&mut password).context("cannot read the password")?;
    let password = password.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        bail!("no password on stdin: printf %s PASSWORD | cargo xtask hash");
    }
    let hash = Argon2::default().hash_password(password.as_bytes()).context("cannot hash")?;
    writeln!(io::stdout(), "{hash}")?;
    Ok(())
}

//! What is kept of a password, for the plugins that check one.
//!
//! `scram`: a line for the `scram` plugin.

mod scram;

use anyhow::{Context, bail};
use argon2::{Argon2, PasswordHasher};
use std::{
    io::{self, IsTerminal, Write},
    num::NonZeroU32,
};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// A line for the `scram` plugin instead, by this hash
    #[arg(long, value_name = "HASH", num_args = 0..=1, default_missing_value = "sha-256")]
    scram: Option<scram::Hash>,
    /// Iterations of that hash: what a login costs the client, and a guess whoever steals the line
    #[arg(long, requires = "scram", default_value = "4096")]
    iterations: NonZeroU32,
}

/// Reads one line from stdin, never an argument: arguments are seen by every user of the machine and stay in the shell's
/// history. Prints what the plugin's config wants.
///
/// # Errors
/// If there is no password, or none that can be hashed that way.
pub(crate) fn from_stdin(options: &Options) -> anyhow::Result<()> {
    if io::stdin().is_terminal() {
        eprint!("Password (it is shown): ");
    }
    let mut password = String::new();
    io::stdin().read_line(&mut password).context("cannot read the password")?;
    let password = password.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        bail!("no password on stdin: printf %s PASSWORD | cargo xtask hash");
    }
    let kept = match options.scram {
        Some(hash) => scram::line(hash, password, options.iterations.get())?,
        None => Argon2::default().hash_password(password.as_bytes()).context("cannot hash")?.to_string(),
    };
    writeln!(io::stdout(), "{kept}")?;
    Ok(())
}

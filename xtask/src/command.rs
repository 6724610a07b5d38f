//! Other programs: said before they run, timed, and an error if they fail.

use std::{ffi::OsStr, process::Command};
use tidegate_plugin_build::command;

pub(crate) use command::{say, succeeds};

/// Cargo as it called us, in the root of the checkout.
pub(crate) fn cargo<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(crate::root());
    command
}

/// Runs to the end.
///
/// # Errors
/// If it does not start or does not succeed.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    Ok(command::run(command)?)
}

/// Standard output of a program that has nothing to say to the user.
///
/// # Errors
/// If it does not start or does not succeed.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    Ok(command::output(command)?)
}

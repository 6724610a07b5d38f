//! Other programs: said before they run, timed, and an error if they fail.

use anyhow::{Context, bail};
use std::{
    ffi::OsStr,
    process::{Command, Stdio},
    time::Instant,
};

/// Tells the user what happens next.
pub(crate) fn say(text: impl std::fmt::Display) {
    eprintln!("[xtask] {text}");
}

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
    let shown = shown(command);
    say(format_args!("$ {shown}"));
    let began = Instant::now();
    let status = command.status().with_context(|| format!("cannot start {shown}"))?;
    if !status.success() {
        bail!("{shown}: {status}");
    }
    say(format_args!("done in {:.1} s", began.elapsed().as_secs_f32()));
    Ok(())
}

/// Standard output of a program that has nothing to say to the user.
///
/// # Errors
/// If it does not start or does not succeed.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let shown = shown(command);
    let output =
        command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot start {shown}"))?;
    if !output.status.success() {
        bail!("{shown}: {}", output.status);
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program()).file_name().unwrap_or_default();
    let words: Vec<_> =
        std::iter::once(program).chain(command.get_args()).map(OsStr::to_string_lossy).collect();
    words.join(" ")
}

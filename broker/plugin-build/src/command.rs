//! Other programs: said before they run, timed, and a failure if they fail.

use crate::Failure;
use std::{
    ffi::OsStr,
    fmt,
    path::Path,
    process::{Command, Stdio},
    sync::LazyLock,
    time::Instant,
};

/// What this program is called.
static OWN_NAME: LazyLock<String> = LazyLock::new(|| {
    let own = std::env::current_exe().unwrap_or_default();
    own.file_name().unwrap_or_default().to_string_lossy().into_owned()
});

/// Tells the user what happens next.
pub fn say(text: impl fmt::Display) {
    eprintln!("[{}] {text}", *OWN_NAME);
}

/// Runs to the end.
///
/// # Errors
/// If it does not start or does not succeed.
pub fn run(command: &mut Command) -> Result<(), Failure> {
    let shown = announced(command);
    let began = Instant::now();
    let status = command.status().map_err(|source| Failure::Start { command: shown.clone(), source })?;
    if !status.success() {
        return Err(Failure::Command { command: shown, status });
    }
    say(format_args!("done in {:.1} s", began.elapsed().as_secs_f32()));
    Ok(())
}

/// As [`run`], and returns what it writes to standard output.
///
/// # Errors
/// As [`run`], or if it writes no text.
pub fn run_for_output(command: &mut Command) -> Result<String, Failure> {
    announced(command);
    let began = Instant::now();
    let output = output(command)?;
    say(format_args!("done in {:.1} s", began.elapsed().as_secs_f32()));
    Ok(output)
}

/// Standard output of a program that has nothing to say to the user.
///
/// # Errors
/// If it does not start or does not succeed, or writes no text.
pub fn output(command: &mut Command) -> Result<String, Failure> {
    let shown = shown(command);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| Failure::Start { command: shown.clone(), source })?;
    if !output.status.success() {
        return Err(Failure::Command { command: shown, status: output.status });
    }
    String::from_utf8(output.stdout).map_err(|_| Failure::Answer { command: shown, why: "it wrote no text" })
}

/// Runs it, unseen; whether it succeeds.
pub fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn announced(command: &Command) -> String {
    let shown = shown(command);
    say(format_args!("$ {shown}"));
    shown
}

/// Its name, and its arguments.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words: Vec<_> =
        std::iter::once(program).chain(command.get_args()).map(OsStr::to_string_lossy).collect();
    words.join(" ")
}

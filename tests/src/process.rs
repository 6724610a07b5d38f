//! A child process and what it writes.

use crate::{Lines, PATIENCE};
use std::process::{Child, Command, Stdio};

/// A running child process. Dropped, it is killed.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdout: Lines,
    stderr: Lines,
}

/// A process that has ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finished {
    /// What it wrote to stdout, line by line.
    pub stdout: Vec<String>,
    /// What it wrote to stderr, line by line.
    pub stderr: Vec<String>,
    /// None if a signal ended it.
    pub code: Option<i32>,
}

impl Process {
    /// Starts it, with nothing to read.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = Lines::collect(child.stdout.take().expect("stdout is a pipe"));
        let stderr = Lines::collect(child.stderr.take().expect("stderr is a pipe"));
        Self { child, stdout, stderr }
    }

    /// What it has written to stdout.
    pub fn stdout(&self) -> &Lines {
        &self.stdout
    }

    /// What it has written to stderr.
    pub fn stderr(&self) -> &Lines {
        &self.stderr
    }

    /// Its number, while it is ours to wait for.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by now.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Asks it to end (SIGTERM), without waiting.
    ///
    /// # Panics
    /// If that is not possible.
    pub fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Tells it to read its config again (SIGHUP), without waiting.
    ///
    /// # Panics
    /// If that is not possible.
    pub fn hang_up(&self) {
        self.signal("-HUP");
    }

    pub(crate) fn signal(&self, signal: &str) {
        // It is our child and not waited for yet: nobody else has its number.
        let told = Command::new("kill").args([signal, &self.pid().to_string()]).status();
        assert!(told.is_ok_and(|status| status.success()), "process {} cannot be sent {signal}", self.pid());
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// With what it wrote, if it does not end in time.
    pub fn finish(mut self) -> Finished {
        let (stdout, stderr) =
            (self.stdout.wait_for_end(3 * PATIENCE), self.stderr.wait_for_end(3 * PATIENCE));
        let code = self.child.wait().expect("it is our child").code();
        Finished { stdout, stderr, code }
    }

    /// Ends it at once (SIGKILL), and waits for that.
    pub fn kill(&mut self) {
        // Both fail if it has ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

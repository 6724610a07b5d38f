//! Threads that give way to those that serve clients.

use rustix::process::{getpriority_process, setpriority_process};

/// Makes the calling thread give way to all others. Without the right to it, the thread is as urgent as the rest.
pub(crate) fn lower() {
    // On Linux this is about the calling thread alone.
    let nice = getpriority_process(None).unwrap_or(0);
    _ = setpriority_process(None, nice.saturating_add(15));
}

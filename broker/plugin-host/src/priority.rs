//! Threads that give way to those that serve clients.

use rustix::process::{getpriority_process, setpriority_process};

/// How much nicer: about a tenth of what another thread gets of a full core, so that a plugin is compiled in some seconds even then.
const NICER: i32 = 10;

/// Makes the calling thread give way to all others. Without the right to it, the thread is as urgent as the rest.
pub(crate) fn lower() {
    // On Linux this is about the calling thread alone.
    let nice = getpriority_process(None).unwrap_or(0);
    _ = setpriority_process(None, nice.saturating_add(NICER));
}

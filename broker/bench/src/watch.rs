//! What happens beside the load: memory is looked at, progress is told, and the user may have had enough.

use crate::{failure::Failure, team::Team};
use std::{io, time::Duration};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};

/// Between two looks at the broker's memory.
const LOOK: Duration = Duration::from_millis(100);
/// Looks between two lines of progress.
const LOOKS: u32 = 10;

/// Watches until nobody holds the other end of `at_work`.
pub(crate) fn until_done(team: &Team, at_work: mpsc::Receiver<()>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let watched = runtime.and_then(|runtime| runtime.block_on(watch(team, at_work)));
    watched.map_err(|error| Failure::System("watch for signals", error))
}

async fn watch(team: &Team, mut at_work: mpsc::Receiver<()>) -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut looks = 0;
    loop {
        tokio::select! {
            _ = at_work.recv() => return Ok(()),
            _ = interrupt.recv() => team.meeting.interrupt(),
            _ = terminate.recv() => team.meeting.interrupt(),
            _ = look.tick() => {
                team.broker.look();
                looks += 1;
                if looks % LOOKS == 0 {
                    team.progress.tell(looks / LOOKS);
                }
            }
        }
    }
}

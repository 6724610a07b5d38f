//! What processes of this machine take: CPU time and memory, from `/proc`.

use crate::failure::Failure;
use parking_lot::Mutex;
use std::{fs, io, thread, time::Duration};

/// The broker's processes, and what was seen of them.
#[derive(Debug, Default)]
pub(crate) struct Broker {
    pids: Vec<u32>,
    seen: Mutex<Seen>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// Resident bytes before the first client came, the most while any was there, and after the last had gone.
    pub(crate) before: u64,
    pub(crate) peak: u64,
    pub(crate) after: u64,
    pub(crate) threads: u64,
    /// Nanoseconds of CPU between the marks: of the broker, and of this process.
    pub(crate) cpu: u64,
    pub(crate) own_cpu: u64,
}

/// CPU time until a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    broker: u64,
    own: u64,
}

/// How long after the last client has gone memory is looked at.
const TO_NOTICE: Duration = Duration::from_secs(1);

impl Broker {
    /// # Errors
    /// If one of the processes is not there.
    pub(crate) fn new(pids: &[u32]) -> Result<Self, Failure> {
        let broker = Self { pids: pids.to_owned(), seen: Mutex::default() };
        for pid in pids {
            let failure = |source| Failure::File { path: format!("/proc/{pid} (--pid)"), source };
            resident(*pid).map_err(failure)?;
        }
        broker.seen.lock().before = broker.resident();
        Ok(broker)
    }

    pub(crate) fn is_known(&self) -> bool {
        !self.pids.is_empty()
    }

    /// Looks at the memory.
    pub(crate) fn look(&self) {
        let (now, threads) = (self.resident(), self.threads());
        let mut seen = self.seen.lock();
        seen.peak = seen.peak.max(now);
        seen.threads = seen.threads.max(threads);
    }

    /// All clients have gone: waits until the broker had time to notice.
    pub(crate) fn look_after(&self) {
        if !self.is_known() {
            return;
        }
        thread::sleep(TO_NOTICE);
        let now = self.resident();
        self.seen.lock().after = now;
    }

    /// Resident bytes.
    pub(crate) fn resident(&self) -> u64 {
        self.pids.iter().filter_map(|pid| resident(*pid).ok()).sum()
    }

    fn threads(&self) -> u64 {
        let tasks = |pid| fs::read_dir(format!("/proc/{pid}/task"));
        self.pids.iter().filter_map(|pid| tasks(pid).ok()).map(|tasks| tasks.count() as u64).sum()
    }

    pub(crate) fn mark(&self) -> Mark {
        let broker = self.pids.iter().filter_map(|pid| cpu(&pid.to_string()).ok()).sum();
        Mark { broker, own: cpu("self").unwrap_or(0) }
    }

    /// What lies between the marks is what the figures are about.
    pub(crate) fn between(&self, from: Mark, to: Mark) {
        let mut seen = self.seen.lock();
        seen.cpu = to.broker.saturating_sub(from.broker);
        seen.own_cpu = to.own.saturating_sub(from.own);
    }

    pub(crate) fn seen(&self) -> Seen {
        *self.seen.lock()
    }
}

/// Nanoseconds that a process has run: to the nanosecond where the kernel keeps count for each thread, else to its tick.
fn cpu(pid: &str) -> io::Result<u64> {
    let mut total = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let Ok(line) = fs::read_to_string(task?.path().join("schedstat")) else { return ticks(pid) };
        total += line.split(' ').next().and_then(|first| first.parse::<u64>().ok()).unwrap_or(0);
    }
    if total == 0 { ticks(pid) } else { Ok(total) }
}

/// From `stat`, in nanoseconds.
fn ticks(pid: &str) -> io::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in brackets may hold anything; user and system time are the 12th and 13th field behind it.
    let (_, fields) = stat.rsplit_once(')').unwrap_or_default();
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
    Ok(ticks * 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1))
}

fn resident(pid: u32) -> io::Result<u64> {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm"))?;
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0);
    Ok(pages * rustix::param::page_size() as u64)
}

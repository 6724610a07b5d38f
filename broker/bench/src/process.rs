//! What processes of this machine take: CPU time and memory, from `/proc`; and what this one may take.

use crate::failure::Failure;
use parking_lot::Mutex;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{fs, io, thread, time::Duration};

/// The broker's processes, and what was seen of them.
#[derive(Debug, Default)]
pub(crate) struct Broker {
    pids: Vec<u32>,
    memory: Mutex<Memory>,
}

/// Resident bytes, and threads.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// Before the first client came.
    pub(crate) before: u64,
    /// The most that was seen.
    pub(crate) peak: u64,
    /// After the last client had gone.
    pub(crate) after: u64,
    /// The most that were seen.
    pub(crate) threads: u64,
}

/// Nanoseconds of CPU time: until a moment, or between two.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cpu {
    pub(crate) broker: u64,
    /// Of this process.
    pub(crate) own: u64,
}

impl Cpu {
    pub(crate) fn since(&self, before: &Self) -> Self {
        let broker = self.broker.saturating_sub(before.broker);
        Self { broker, own: self.own.saturating_sub(before.own) }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.broker += other.broker;
        self.own += other.own;
    }
}

/// How long after the last client has gone memory is looked at.
const TO_NOTICE: Duration = Duration::from_secs(1);

impl Broker {
    /// # Errors
    /// If one of the processes is not there.
    pub(crate) fn new(pids: &[u32]) -> Result<Self, Failure> {
        let broker = Self { pids: pids.to_owned(), memory: Mutex::default() };
        for pid in pids {
            let failure = |source| Failure::File { path: format!("/proc/{pid} (--pid)"), source };
            resident(*pid).map_err(failure)?;
        }
        broker.memory.lock().before = broker.resident();
        broker.look();
        Ok(broker)
    }

    pub(crate) fn is_known(&self) -> bool {
        !self.pids.is_empty()
    }

    /// Looks at the memory.
    pub(crate) fn look(&self) {
        if self.is_known() {
            let (now, threads) = (self.resident(), self.threads());
            let mut memory = self.memory.lock();
            memory.peak = memory.peak.max(now);
            memory.threads = memory.threads.max(threads);
        }
    }

    /// All clients have gone: waits until the broker had time to notice.
    pub(crate) fn look_after(&self) {
        if self.is_known() {
            thread::sleep(TO_NOTICE);
            let now = self.resident();
            self.memory.lock().after = now;
        }
    }

    pub(crate) fn memory(&self) -> Memory {
        *self.memory.lock()
    }

    /// Resident bytes.
    pub(crate) fn resident(&self) -> u64 {
        self.pids.iter().filter_map(|pid| resident(*pid).ok()).sum()
    }

    fn threads(&self) -> u64 {
        let tasks = |pid| fs::read_dir(format!("/proc/{pid}/task"));
        self.pids.iter().filter_map(|pid| tasks(pid).ok()).map(|tasks| tasks.count() as u64).sum()
    }

    /// CPU time until now.
    pub(crate) fn cpu(&self) -> Cpu {
        let broker = self.pids.iter().filter_map(|pid| cpu(&pid.to_string()).ok()).sum();
        Cpu { broker, own: cpu("self").unwrap_or(0) }
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

/// Open files besides those of clients.
const OTHER_FILES: u64 = 64;

/// Makes sure that so many clients may have a socket each.
///
/// # Errors
/// If the system's limit is lower and cannot be raised from here.
pub(crate) fn allow_sockets(clients: usize) -> Result<(), Failure> {
    let needed = clients as u64 + OTHER_FILES;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let raised = Rlimit { current: Some(needed), maximum };
    if maximum.is_some_and(|maximum| maximum < needed) || setrlimit(Resource::Nofile, raised).is_err() {
        let limit = maximum.or(current).unwrap_or(0);
        let what = format!(
            "{clients} clients need {needed} open files, the limit is {limit}: raise it, for example by ulimit -n {needed}"
        );
        return Err(Failure::Here(what));
    }
    Ok(())
}

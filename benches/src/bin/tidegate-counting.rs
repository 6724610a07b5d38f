//! The broker, with an allocator that counts. Told to read its config again (SIGHUP), it says how often memory was asked for so far.
//!
//! `tidegate-counting CONFIG EVERY`: of every so many allocations it says from where one came; of none if that is 0.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "for a bench, which reads what is printed")]

use std::{
    alloc::{GlobalAlloc, Layout},
    backtrace::Backtrace,
    cell::Cell,
    collections::BTreeMap,
    env,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use tidegate::{Broker, Config};
use tikv_jemallocator::Jemalloc;
use tokio::signal::unix::{SignalKind, signal};

/// The broker's own, counted.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static EVERY: AtomicU64 = AtomicU64::new(0);
static ORIGINS: Mutex<Vec<Backtrace>> = Mutex::new(Vec::new());

thread_local! {
    /// What looking itself allocates is not looked into.
    static IS_LOOKING: Cell<bool> = const { Cell::new(false) };
}

#[expect(unsafe_code, reason = "an allocator is unsafe to write; this one passes on what it is asked")]
// SAFETY: all that is promised is what jemalloc promises.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { Jemalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { Jemalloc.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { Jemalloc.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { Jemalloc.dealloc(at, layout) }
    }
}

fn count() {
    let number = ALLOCATIONS.fetch_add(1, Relaxed);
    let every = EVERY.load(Relaxed);
    if every > 0 && number.is_multiple_of(every) && !IS_LOOKING.replace(true) {
        ORIGINS.lock().unwrap().push(Backtrace::force_capture());
        IS_LOOKING.set(false);
    }
}

fn main() {
    let mut arguments = env::args().skip(1);
    let config = Config::read(Path::new(&arguments.next().unwrap())).unwrap();
    let every: u64 = arguments.next().unwrap().parse().unwrap();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(config.workers.get()).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut asked = signal(SignalKind::hangup()).unwrap();
        let _broker = Broker::start(config).await.unwrap();
        EVERY.store(every, Relaxed);
        while asked.recv().await.is_some() {
            // In one line, which is read as such.
            println!("{} {}", ALLOCATIONS.load(Relaxed), origins());
        }
    });
}

/// From where allocations came since this was asked last, the most frequent first.
fn origins() -> String {
    // Names are found under a lock that looking into an allocation would wait for.
    IS_LOOKING.set(true);
    let origins = std::mem::take(&mut *ORIGINS.lock().unwrap());
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for origin in &origins {
        *counts.entry(callers(&origin.to_string())).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let told = counts
        .iter()
        .take(12)
        .map(|(callers, count)| format!("; {:.1} % {callers}", 100.0 * *count as f64 / origins.len() as f64));
    let told = told.collect();
    IS_LOOKING.set(false);
    told
}

/// The broker's functions nearest to the allocation, each with its place.
fn callers(backtrace: &str) -> String {
    let lines: Vec<&str> = backtrace.lines().map(str::trim).collect();
    let ours = lines.windows(2).filter_map(|pair| {
        let (_, name) = pair[0].split_once(": ")?;
        let (_, place) = pair[1].strip_prefix("at ")?.split_once("/broker/")?;
        Some(format!("{name} ({})", place.rsplit_once(':')?.0))
    });
    ours.take(3).collect::<Vec<_>>().join(" < ")
}

//! How much of the disk and of memory a store takes while queues are filled and emptied.
//!
//! `cargo run --release -p tidegate-store --example churn -- FOLDER [churn|drain|keep] [MESSAGES] [BYTES] [LAG]`
//!
//! `churn`: every message is deleted when LAG more have come. `drain`: all come, then all go, oldest first. `keep`: as churn, over a
//! backlog that stays, of LAG messages.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use bytes::Bytes;
use std::{
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};
use tidegate_store::{Backend, Durability, Fjall, FjallOptions, Operation, Table};

const BATCH: u64 = 64;

struct Run {
    store: Fjall,
    body: usize,
    live: AtomicU64,
    over: AtomicU64,
    peak: AtomicU64,
    memory: AtomicU64,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap();
    let kind = arguments.next().unwrap_or_else(|| "churn".into());
    let mut number = |default: u64| arguments.next().map_or(default, |number| number.parse().unwrap());
    let (messages, body, lag) = (number(1_000_000), number(1_000) as usize, number(10_000));
    let store = Fjall::open(Path::new(&folder), FjallOptions::default()).unwrap();
    let zero = AtomicU64::default;
    let run = Run { store, body, live: zero(), over: zero(), peak: zero(), memory: zero() };
    let done = AtomicBool::new(false);
    let started = Instant::now();
    let mut slowest = Duration::ZERO;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                run.look();
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let mut timed = |operations: Vec<Operation>| {
            let at = Instant::now();
            run.store.commit(&operations, Durability::Os).unwrap();
            slowest = slowest.max(at.elapsed());
        };
        match kind.as_str() {
            "churn" => {
                for first in (0..messages).step_by(BATCH as usize) {
                    let mut operations = run.put(first);
                    if let Some(old) = first.checked_sub(lag / BATCH * BATCH) {
                        operations.extend(run.delete(old));
                    }
                    timed(operations);
                }
            }
            "keep" => {
                for first in (0..lag).step_by(BATCH as usize) {
                    timed(run.put(first));
                }
                println!("backlog of {lag} after {:?}", started.elapsed());
                let begin = lag.next_multiple_of(BATCH);
                for first in (begin..begin + messages).step_by(BATCH as usize) {
                    let mut operations = run.put(first);
                    if first >= begin + 10 * BATCH {
                        operations.extend(run.delete(first - 10 * BATCH));
                    }
                    timed(operations);
                }
            }
            _ => {
                for first in (0..messages).step_by(BATCH as usize) {
                    timed(run.put(first));
                }
                println!(
                    "filled after {:?}: {} MiB on disk",
                    started.elapsed(),
                    run.store.disk_bytes().unwrap() >> 20
                );
                for first in (0..messages).step_by(BATCH as usize) {
                    timed(run.delete(first));
                }
            }
        }
        println!(
            "{kind} of {messages} messages of {body} bytes: {:?}, slowest commit {slowest:?}",
            started.elapsed()
        );
        std::thread::sleep(Duration::from_secs(2));
        done.store(true, Relaxed);
    });
    let mib = |bytes: &AtomicU64| bytes.load(Relaxed) >> 20;
    println!(
        "most on disk {} MiB, most over twice the live bytes {} MiB, most memory {} MiB; at the end {} MiB live, {} MiB on disk",
        mib(&run.peak),
        mib(&run.over),
        mib(&run.memory),
        mib(&run.live),
        run.store.disk_bytes().unwrap() >> 20,
    );
}

impl Run {
    fn put(&self, first: u64) -> Vec<Operation> {
        self.live.fetch_add(BATCH * self.row(), Relaxed);
        let body = |id: u64| {
            // Not to be compressed.
            let mut seed = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let byte = |_| {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                seed as u8
            };
            (0..self.body).map(byte).collect::<Bytes>()
        };
        (first..first + BATCH)
            .flat_map(|id| {
                [
                    Operation::Put(Table::Messages, message(id), body(id)),
                    Operation::Put(Table::Queues, queue(id), Bytes::from_static(b"delivery")),
                ]
            })
            .collect()
    }

    fn delete(&self, first: u64) -> Vec<Operation> {
        self.live.fetch_sub(BATCH * self.row(), Relaxed);
        let of = |id| {
            [Operation::Delete(Table::Messages, message(id)), Operation::Delete(Table::Queues, queue(id))]
        };
        (first..first + BATCH).flat_map(of).collect()
    }

    fn row(&self) -> u64 {
        (self.body + 16 + 24 + 8) as u64
    }

    fn look(&self) {
        let on_disk = self.store.disk_bytes().unwrap();
        self.peak.fetch_max(on_disk, Relaxed);
        self.over.fetch_max(on_disk.saturating_sub(2 * self.live.load(Relaxed)), Relaxed);
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        let resident: u64 = pages.split(' ').nth(1).unwrap().parse().unwrap();
        self.memory.fetch_max(resident * 4096, Relaxed);
    }
}

fn message(id: u64) -> Bytes {
    [0_u64.to_be_bytes(), id.to_be_bytes()].concat().into()
}

/// One of 100 sessions.
fn queue(id: u64) -> Bytes {
    [(id % 100).to_be_bytes(), 0_u64.to_be_bytes(), id.to_be_bytes()].concat().into()
}

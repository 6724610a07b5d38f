//! `wasi:clocks`. Both clocks tell the time of the machine.

use super::{
    Wasi,
    bindings::wasi::clocks::{
        monotonic_clock,
        wall_clock::{self, Datetime},
    },
    poll::Pollable,
};
use std::{
    sync::LazyLock,
    time::{Duration, Instant, SystemTime},
};
use wasmtime::component::Resource;

/// Where the monotonic clock begins, for all guests.
static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

impl monotonic_clock::Host for Wasi {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(u64::try_from(BEGINNING.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(1)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<Pollable>> {
        self.lend(at(*BEGINNING, when))
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<Pollable>> {
        self.lend(at(Instant::now(), duration))
    }
}

fn at(begin: Instant, nanoseconds: u64) -> Pollable {
    begin.checked_add(Duration::from_nanos(nanoseconds)).map_or(Pollable::Never, Pollable::At)
}

impl wall_clock::Host for Wasi {
    fn now(&mut self) -> wasmtime::Result<Datetime> {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Ok(Datetime { seconds: now.as_secs(), nanoseconds: now.subsec_nanos() })
    }

    fn resolution(&mut self) -> wasmtime::Result<Datetime> {
        Ok(Datetime { seconds: 0, nanoseconds: 1 })
    }
}

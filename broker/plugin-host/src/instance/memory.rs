//! Bounds what one instance may hold, all its memories together.

use super::usage::Used;
use crate::units::ByteSize;
use wasmtime::ResourceLimiter;

/// Memories and tables of one store.
pub(super) struct MemoryMeter {
    all: Used,
    used: usize,
    limit: usize,
    table_elements: usize,
    table_limit: usize,
    denied: bool,
}

impl MemoryMeter {
    /// `all`: what it counts for, beside its own limit.
    pub(super) fn new(limit: usize, table_limit: usize, all: Used) -> Self {
        Self { all, used: 0, limit, table_elements: 0, table_limit, denied: false }
    }

    /// Above three quarters of the limit.
    pub(super) fn nearly_full(&self) -> bool {
        self.used > self.limit - self.limit / 4
    }

    /// The limit, if the guest ever wanted more.
    pub(super) fn denied(&self) -> Option<ByteSize> {
        self.denied.then_some(ByteSize(self.limit as u64))
    }
}

impl ResourceLimiter for MemoryMeter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        let granted = used <= self.limit && maximum.is_none_or(|maximum| desired <= maximum);
        if granted {
            self.all.grew(used - self.used);
            self.used = used;
        }
        self.denied |= used > self.limit;
        Ok(granted)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let elements = self.table_elements.saturating_add(desired.saturating_sub(current));
        let granted = elements <= self.table_limit && maximum.is_none_or(|maximum| desired <= maximum);
        if granted {
            self.table_elements = elements;
        }
        Ok(granted)
    }
}

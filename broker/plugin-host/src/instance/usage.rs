//! What the instances of one generation take up, all together. Written when they are made, grow and go; never by a call.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

/// See the module.
#[derive(Default)]
pub(crate) struct Usage {
    instances: AtomicUsize,
    memory: AtomicU64,
}

impl Usage {
    /// Instances alive, and bytes of their memories.
    pub(crate) fn read(&self) -> (usize, u64) {
        (self.instances.load(Ordering::Relaxed), self.memory.load(Ordering::Relaxed))
    }
}

/// One instance's part of it, for as long as it lives.
pub(super) struct Used {
    usage: Arc<Usage>,
    memory: u64,
}

impl Used {
    pub(super) fn new(usage: &Arc<Usage>) -> Self {
        usage.instances.fetch_add(1, Ordering::Relaxed);
        Self { usage: usage.clone(), memory: 0 }
    }

    /// Its memories have grown.
    pub(super) fn grew(&mut self, bytes: usize) {
        self.memory += bytes as u64;
        self.usage.memory.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Drop for Used {
    fn drop(&mut self) {
        self.usage.instances.fetch_sub(1, Ordering::Relaxed);
        self.usage.memory.fetch_sub(self.memory, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_instance_used_goes_with_it() {
        let usage = Arc::new(Usage::default());
        let mut one = Used::new(&usage);
        let two = Used::new(&usage);
        one.grew(100);
        assert_eq!(usage.read(), (2, 100));
        drop(one);
        assert_eq!(usage.read(), (1, 0));
        drop(two);
        assert_eq!(usage.read(), (0, 0));
    }
}

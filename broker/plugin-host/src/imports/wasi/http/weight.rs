//! What the requests and answers of one instance take up in the broker's memory, beside that of the instance.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// All of one instance together.
const MOST: usize = 32 << 20;

/// Where an instance's bytes are counted.
#[derive(Clone, Default)]
pub(in super::super) struct Scale(Arc<AtomicUsize>);

/// Bytes of one thing; no longer counted once it is dropped.
pub struct Weight {
    scale: Scale,
    bytes: usize,
}

impl Scale {
    pub(super) fn nothing(&self) -> Weight {
        Weight { scale: self.clone(), bytes: 0 }
    }
}

impl Weight {
    /// Counts more. False: the instance has too much already, and nothing was added.
    #[must_use]
    pub(super) fn add(&mut self, bytes: usize) -> bool {
        let more = |held: usize| held.checked_add(bytes).filter(|held| *held <= MOST);
        let added = self.scale.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok();
        if added {
            self.bytes += bytes;
        }
        added
    }

    pub(super) fn subtract(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.scale.0.fetch_sub(bytes, Ordering::Relaxed);
        self.bytes -= bytes;
    }

    /// Of something like it, which has nothing yet.
    pub(super) fn anew(&self) -> Self {
        self.scale.nothing()
    }

    /// Hands over what was counted so far.
    pub(super) fn take(&mut self) -> Self {
        std::mem::replace(self, self.anew())
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.subtract(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_makes_room() {
        let scale = Scale::default();
        let (mut one, mut other) = (scale.nothing(), scale.nothing());
        assert!(one.add(MOST - 10) && other.add(10));
        assert!(!other.add(1) && !other.add(usize::MAX));
        other.subtract(1);
        assert!(other.add(1));
        let taken = one.take();
        drop(one);
        assert!(!other.add(1));
        drop(taken);
        assert!(other.add(MOST - 10));
    }
}

//! One read buffer a thread, lent to the connection that is being served.

use std::{
    cell::Cell,
    ops::{Deref, DerefMut},
};

/// Bytes read at once.
const SIZE: usize = 64 * 1024;

thread_local! {
    static BUFFER: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// This thread's read buffer, or a new one if it is lent already. Given back to the thread it is dropped on.
pub(crate) struct Scratch(Option<Box<[u8]>>);

impl Scratch {
    pub(crate) fn take() -> Self {
        Self(Some(BUFFER.take().unwrap_or_else(|| vec![0; SIZE].into_boxed_slice())))
    }
}

impl Deref for Scratch {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.0.as_deref_mut().unwrap_or_default()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        BUFFER.set(self.0.take());
    }
}

//! A thousand clients at once against a backend that takes its time, while others exchange messages.

/// Prints how long they took, and what it meant for the messages.
pub(crate) fn bench() {}

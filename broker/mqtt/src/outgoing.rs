//! Bytes that wait to be written to one socket.

use crate::message::Payload;
use bytes::{Buf, Bytes};
use std::{cell::Cell, collections::VecDeque, io::IoSlice};

/// Shared frames below this size are copied: one more slice and one more reference cost more than the copy.
const COPY_BELOW: usize = 2 * 1024;

/// Bytes already sent that may lie in front of unsent ones before the latter move up.
const COMPACT_FROM: usize = 4 * 1024;

/// A buffer with more room than this is not kept for the next who needs one.
const SPARE_BELOW: usize = 64 * 1024;

thread_local! {
    /// Nobody needs it now: an idle connection holds none, and a busy one need not ask the allocator for ever larger ones.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A queue of bytes, in order. Small packets lie one after the other in one buffer; large shared frames are queued without a
/// copy. Not bounded: the connection fills it only up to its bound.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// Copied bytes, of which the first `sent` are gone.
    copied: Vec<u8>,
    sent: usize,
    /// In order, between the copied bytes; together `shared_len` bytes.
    shared: VecDeque<Shared>,
    shared_len: usize,
    /// Encoded since they were asked for.
    packets: u32,
}

/// Goes out when the copied bytes before `at` are gone.
#[derive(Debug)]
struct Shared {
    at: usize,
    bytes: Bytes,
}

impl Outgoing {
    /// An empty queue, which holds no memory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The buffer to append encoded packets to. Nothing but appending is allowed.
    pub fn tail(&mut self) -> &mut Vec<u8> {
        if self.copied.capacity() == 0 {
            self.copied = SPARE.take();
        }
        &mut self.copied
    }

    /// Queues what others send too: copied if it is small, else without a copy.
    pub fn push_shared(&mut self, payload: &Payload) {
        if payload.len() < COPY_BELOW {
            self.copied.extend_from_slice(payload);
        } else {
            self.shared_len += payload.len();
            self.shared.push_back(Shared { at: self.copied.len(), bytes: payload.to_bytes() });
        }
    }

    /// A whole packet was appended.
    pub fn count_packet(&mut self) {
        self.packets = self.packets.saturating_add(1);
    }

    /// How many packets were appended since the last time.
    pub fn take_packets(&mut self) -> u32 {
        std::mem::take(&mut self.packets)
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.copied.len() - self.sent + self.shared_len
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Points `slices` at the first waiting bytes, for one vectored write, and returns how many of them it used.
    pub fn fill_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut from = self.sent;
        let interleaved = self.shared.iter().flat_map(|shared| {
            let copied = self.copied.get(from..shared.at).unwrap_or_default();
            from = shared.at;
            [copied, &shared.bytes]
        });
        let last = self.shared.back().map_or(self.sent, |shared| shared.at);
        let waiting = interleaved.chain([self.copied.get(last..).unwrap_or_default()]);
        let mut used = 0;
        for (slice, bytes) in slices.iter_mut().zip(waiting.filter(|bytes| !bytes.is_empty())) {
            *slice = IoSlice::new(bytes);
            used += 1;
        }
        used
    }

    /// Forgets the first `n` bytes, which were written; all of them if `n` is larger.
    pub fn consume(&mut self, mut n: usize) {
        while n > 0 && !self.is_empty() {
            let until = self.shared.front().map_or(self.copied.len(), |shared| shared.at);
            let copied = n.min(until - self.sent);
            self.sent += copied;
            n -= copied;
            if let Some(shared) = self.shared.front_mut().filter(|_| n > 0) {
                let taken = n.min(shared.bytes.len());
                shared.bytes.advance(taken);
                n -= taken;
                self.shared_len -= taken;
                if shared.bytes.is_empty() {
                    self.shared.pop_front();
                }
            }
        }
        self.forget_sent();
    }

    /// Gives all memory back if nothing waits; for a connection that goes idle.
    pub fn release(&mut self) {
        if self.is_empty() {
            let mut copied = std::mem::take(&mut self.copied);
            if (1..=SPARE_BELOW).contains(&copied.capacity()) {
                copied.clear();
                SPARE.set(copied);
            }
            *self = Self { packets: self.packets, ..Self::default() };
        }
    }

    fn forget_sent(&mut self) {
        let all = self.sent == self.copied.len();
        // Moves no more bytes than were sent since the last time.
        let worth_it = self.sent >= COMPACT_FROM && self.sent >= self.copied.len() / 2;
        if all || worth_it {
            self.copied.drain(..self.sent);
            for shared in &mut self.shared {
                shared.at -= self.sent;
            }
            self.sent = 0;
        }
    }
}

#[cfg(test)]
mod tests;

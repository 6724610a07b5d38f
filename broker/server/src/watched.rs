//! Packets shown to native hooks that want to see every one of them. Nothing is kept, and nothing is done, where nobody does.

use std::io::IoSlice;
use tidegate_hooks::{HookRegistry, PacketClient};
use tidegate_mqtt::{Outgoing, Packet, PacketType, next_frame};

/// How much of what waits to be written has been shown.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    /// Bytes at the end of what the last turn left unwritten.
    shown: usize,
}

/// Slices of what waits that are looked at; a client reads no more at once.
const SLICES: usize = 1024;

impl Watched {
    /// Shows the packets that were appended since the last time; `out` has not been written to the socket since.
    pub(crate) fn show_sent(&mut self, hooks: &HookRegistry, client: &PacketClient<'_>, out: &Outgoing) {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let used = out.fill_slices(&mut slices);
        let waiting: Vec<u8> = slices[..used].iter().flat_map(|slice| slice.iter().copied()).collect();
        let mut rest = waiting.get(self.shown..).unwrap_or_default();
        let chain = hooks.chain();
        while let Ok(Some(frame)) = next_frame(rest, u32::MAX) {
            let (packet, after) = rest.split_at(frame.len());
            for member in chain.members().iter().filter(|member| member.hooks.kinds().packets) {
                member.hooks.packet_sent(client, packet);
            }
            rest = after;
        }
        self.shown = waiting.len() - rest.len();
    }

    /// So much of it was written.
    pub(crate) fn wrote(&mut self, bytes: usize) {
        self.shown = self.shown.saturating_sub(bytes);
    }
}

/// A packet came.
pub(crate) fn show_received(hooks: &HookRegistry, client: &PacketClient<'_>, packet: &Packet<'_>) {
    for member in hooks.chain().members().iter().filter(|member| member.hooks.kinds().packets) {
        member.hooks.packet_received(client, packet);
    }
}

/// A packet was handled.
pub(crate) fn show_processed(hooks: &HookRegistry, client: &PacketClient<'_>, kind: PacketType) {
    for member in hooks.chain().members().iter().filter(|member| member.hooks.kinds().packets) {
        member.hooks.packet_processed(client, kind);
    }
}

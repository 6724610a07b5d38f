//! Copies of what is stored, made while the broker goes on.
//!
//! A thread of its own reads the snapshot and writes lines; what it is ahead of the socket is a few pieces. When the socket is gone, or nobody
//! takes anything from it, the thread ends with its next piece, and the snapshot with it.

use super::{AdminAnswer, SILENCE, send};
use crate::clock;
use std::{
    io::{self, ErrorKind, Write},
    sync::Arc,
};
use tidegate_store::{
    Snapshot, Store,
    upkeep::{self, CopyError},
};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    sync::{Semaphore, mpsc},
    time::timeout,
};
use tracing::{info, warn};

/// Bytes that are sent at once.
const PIECE: usize = 64 << 10;
/// Pieces that may wait for the socket.
const AHEAD: usize = 4;

/// Makes them, one at a time: each keeps on the disk what would otherwise go.
#[derive(Debug)]
pub(crate) struct Backups {
    store: Arc<Store>,
    turn: Semaphore,
}

impl Backups {
    /// Of this store.
    pub(crate) fn of(store: Arc<Store>) -> Self {
        Self { store, turn: Semaphore::new(1) }
    }

    /// Answers [`AdminCommand::StoreBackup`](super::AdminCommand::StoreBackup).
    pub(super) async fn send(&self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let Ok(_turn) = self.turn.try_acquire() else {
            return send(to, AdminAnswer::error("another backup is being made; ask again after it")).await;
        };
        let snapshot = match self.store.snapshot().await {
            Ok(snapshot) => snapshot,
            Err(error) => return send(to, AdminAnswer::error(error)).await,
        };
        let began = clock::now();
        let copied = copy(snapshot, to).await;
        match &copied {
            Ok(Ok(records)) => {
                let milliseconds = clock::now().since(began).as_millis();
                info!(records, milliseconds, "backup made");
            }
            Ok(Err(error)) => {
                warn!(%error, "a backup was broken off");
                send(to, AdminAnswer::error(error)).await?;
            }
            Err(error) => warn!(%error, "a backup was broken off by whoever asked for it"),
        }
        copied.map(drop)
    }
}

/// How many records were sent, or why the store gave no more.
async fn copy(
    snapshot: Box<dyn Snapshot>,
    to: &mut (impl AsyncWrite + Unpin),
) -> io::Result<Result<u64, CopyError>> {
    let (sender, mut pieces) = mpsc::channel(AHEAD);
    let copying = tokio::task::spawn_blocking(move || {
        let mut lines = Pieces { sender, piece: Vec::with_capacity(PIECE) };
        let copied = upkeep::backup(snapshot, &mut lines);
        // An error is said in a line of its own.
        lines.flush()?;
        copied
    });
    send(to, AdminAnswer::done()).await?;
    while let Some(piece) = pieces.recv().await {
        match timeout(SILENCE, to.write_all(&piece)).await {
            Ok(written) => written?,
            Err(_) => {
                let why = format!("nothing was taken for {} s", SILENCE.as_secs());
                return Err(io::Error::new(ErrorKind::TimedOut, why));
            }
        }
    }
    Ok(copying.await.unwrap_or_else(|error| Err(io::Error::other(error).into())))
}

/// Collects what is written, and hands it on in pieces.
struct Pieces {
    sender: mpsc::Sender<Vec<u8>>,
    piece: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (fits, _) = bytes.split_at(bytes.len().min(PIECE - self.piece.len()));
        self.piece.extend(fits);
        if self.piece.len() == PIECE {
            self.flush()?;
        }
        Ok(fits.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        self.sender.blocking_send(piece).map_err(|_| ErrorKind::BrokenPipe.into())
    }
}

#[cfg(test)]
mod tests;

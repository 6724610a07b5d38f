//! What the hooks are asked, written down while it happens.
//!
//! Whoever asks a question makes a line of it; lines wait for the socket, and what does not fit there is left out and counted. When the socket is
//! gone nobody looks on any more.

use super::{AdminAnswer, SILENCE, send};
use crate::clock;
use std::{
    io::{self, ErrorKind},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};
use tidegate_hooks::HookRegistry;
use tidegate_plugin_test::{Recorder, RecordingOptions, recording_header};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::{Semaphore, mpsc},
    time::timeout,
};
use tracing::info;

/// Bytes of lines that may wait for the socket.
const WAITING: usize = 16 << 20;

/// Makes them, one at a time.
#[derive(Debug)]
pub(crate) struct Recordings {
    hooks: Arc<HookRegistry>,
    turn: Semaphore,
}

/// Lines that wait.
#[derive(Default)]
struct Waiting {
    bytes: AtomicUsize,
    left_out: AtomicU64,
}

/// Looks on as long as it lives.
struct Looking<'a>(&'a HookRegistry);

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        self.0.observe(None);
    }
}

impl Recordings {
    /// Of what this chain is asked.
    pub(crate) fn of(hooks: Arc<HookRegistry>) -> Self {
        Self { hooks, turn: Semaphore::new(1) }
    }

    /// Answers [`AdminCommand::Record`](super::AdminCommand::Record), until whoever asked has had enough.
    pub(super) async fn send(
        &self,
        options: RecordingOptions,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<()> {
        let Ok(_turn) = self.turn.try_acquire() else {
            return send(to, AdminAnswer::error("another recording is being made; ask again after it")).await;
        };
        let header = recording_header(&options, clock::now().0);
        let waiting = Arc::new(Waiting::default());
        let (sender, mut lines) = mpsc::unbounded_channel::<String>();
        let counted = waiting.clone();
        let recorder = Recorder::new(options, move |line: String| {
            let length = line.len();
            let bytes = counted.bytes.fetch_add(length, Ordering::Relaxed) + length;
            if bytes > WAITING || sender.send(line).is_err() {
                counted.bytes.fetch_sub(length, Ordering::Relaxed);
                counted.left_out.fetch_add(1, Ordering::Relaxed);
            }
        });
        let _looking = Looking(&self.hooks);
        self.hooks.observe(Some(recorder));
        info!("what the hooks are asked is being recorded");
        // Who sees this knows that everything from now on is seen.
        send(to, AdminAnswer::done()).await?;
        write(to, header.as_bytes()).await?;
        let mut nothing = [0];
        let mut recorded = 0_u64;
        let ended = loop {
            let line = tokio::select! {
                line = lines.recv() => line,
                // It has nothing more to say: it is gone, or has had enough.
                _ = from.read(&mut nothing) => break Ok(()),
            };
            let Some(line) = line else { break Ok(()) };
            waiting.bytes.fetch_sub(line.len(), Ordering::Relaxed);
            recorded += 1;
            if let Err(error) = write(to, line.as_bytes()).await {
                break Err(error);
            }
            let left_out = waiting.left_out.swap(0, Ordering::Relaxed);
            if left_out > 0 {
                let gap = format!(
                    "# {left_out} lines are missing about here: they came faster than they were taken\n"
                );
                if let Err(error) = write(to, gap.as_bytes()).await {
                    break Err(error);
                }
            }
        };
        info!(recorded, "the recording has ended");
        ended
    }
}

async fn write(to: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    match timeout(SILENCE, to.write_all(bytes)).await {
        Ok(written) => written,
        Err(_) => Err(io::Error::new(ErrorKind::TimedOut, "nothing was taken")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncBufReadExt, BufReader, duplex, split};

    #[tokio::test]
    async fn somebody_looks_on_from_the_first_line_until_nobody_reads() {
        let hooks = Arc::new(HookRegistry::new());
        let recordings = Recordings::of(hooks.clone());
        let looked_on = || !hooks.chain().publish_scope("any").is_empty();
        assert!(!looked_on());
        let (here, there) = duplex(4096);
        let (mut from, mut to) = split(there);
        let reader = async {
            let mut lines = BufReader::new(here).lines();
            assert!(lines.next_line().await.unwrap().is_some_and(|line| !line.contains("error")));
            assert!(looked_on(), "whoever has the answer may begin");
            assert!(lines.next_line().await.unwrap().is_some_and(|line| line.contains("recording")));
        };
        let (sent, ()) =
            tokio::join!(recordings.send(RecordingOptions::default(), &mut from, &mut to), reader);
        sent.unwrap();
        assert!(!looked_on());
    }
}

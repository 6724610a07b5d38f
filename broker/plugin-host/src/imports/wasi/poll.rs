//! `wasi:io/poll`: what a guest can wait for. Only a plugin that was granted `http` may; any other that would have to ends instead.

use super::{Wasi, bindings::wasi::io::poll, http::Exchange, linked};
use crate::instance::Guest;
use std::{
    future::{pending, poll_fn},
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};
use wasmtime::{
    StoreContextMut,
    component::{Linker, Resource},
};

const MAY_NOT_WAIT: &str = "it may not sleep or wait, since its hooks must answer at once; only a plugin that \
     imports HTTP and was granted `http` may";

/// What is no further away is over at once for those that may not wait. Language runtimes give way like that where they have no other
/// thread; Go's before it prints a panic.
const SOON: Duration = Duration::from_millis(1);

/// Something that is ready, or will be.
#[derive(Clone)]
pub enum Pollable {
    Now,
    At(Instant),
    /// Further away than the clock can tell.
    Never,
    Answer(Arc<Exchange>),
}

impl Pollable {
    fn is_ready(&self) -> bool {
        self.is_ready_within(Duration::ZERO)
    }

    fn is_ready_within(&self, time: Duration) -> bool {
        match self {
            Self::Now => true,
            Self::At(when) => when.saturating_duration_since(Instant::now()) <= time,
            Self::Never => false,
            Self::Answer(exchange) => exchange.is_answered(),
        }
    }

    async fn ready(&self) {
        match self {
            Self::Now => {}
            Self::At(when) => tokio::time::sleep_until((*when).into()).await,
            Self::Never => pending().await,
            Self::Answer(exchange) => exchange.answered().await,
        }
    }
}

impl poll::Host for Wasi {
    fn poll(&mut self, pollables: Vec<Resource<Pollable>>) -> wasmtime::Result<Vec<u32>> {
        let pollables = self.listed(&pollables)?;
        let now = ready(&pollables, Duration::ZERO);
        let ready = if now.is_empty() { ready(&pollables, SOON) } else { now };
        wasmtime::ensure!(!ready.is_empty(), "{MAY_NOT_WAIT}");
        Ok(ready)
    }
}

impl poll::HostPollable for Wasi {
    fn ready(&mut self, pollable: Resource<Pollable>) -> wasmtime::Result<bool> {
        Ok(self.resources.get(&pollable)?.is_ready())
    }

    fn block(&mut self, pollable: Resource<Pollable>) -> wasmtime::Result<()> {
        wasmtime::ensure!(self.resources.get(&pollable)?.is_ready_within(SOON), "{MAY_NOT_WAIT}");
        Ok(())
    }

    fn drop(&mut self, pollable: Resource<Pollable>) -> wasmtime::Result<()> {
        self.resources.delete(pollable)?;
        Ok(())
    }
}

/// Lets a guest wait, where that was granted.
pub(super) fn wait(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(&linked("wasi:io/poll"))?;
    interface.func_wrap_async(
        "[method]pollable.block",
        |store: StoreContextMut<'_, Guest>, (pollable,): (Resource<Pollable>,)| {
            Box::new(async move {
                let pollables = store.data().wasi.listed(&[pollable])?;
                first_ready(&pollables).await;
                Ok(())
            })
        },
    )?;
    interface.func_wrap_async(
        "poll",
        |store: StoreContextMut<'_, Guest>, (pollables,): (Vec<Resource<Pollable>>,)| {
            Box::new(async move {
                let pollables = store.data().wasi.listed(&pollables)?;
                Ok((first_ready(&pollables).await,))
            })
        },
    )
}

impl Wasi {
    fn listed(&self, list: &[Resource<Pollable>]) -> wasmtime::Result<Vec<Pollable>> {
        wasmtime::ensure!(!list.is_empty(), "it polls an empty list");
        list.iter().map(|pollable| Ok(self.resources.get(pollable)?.clone())).collect()
    }
}

/// The indices of those that are ready within that time.
fn ready(pollables: &[Pollable], time: Duration) -> Vec<u32> {
    let ready = (0..).zip(pollables).filter(|(_, pollable)| pollable.is_ready_within(time));
    ready.map(|(index, _)| index).collect()
}

/// Waits until one at least is ready.
async fn first_ready(pollables: &[Pollable]) -> Vec<u32> {
    let now = ready(pollables, Duration::ZERO);
    if !now.is_empty() {
        return now;
    }
    let mut waiting: Vec<_> = pollables.iter().map(|pollable| Box::pin(pollable.ready())).collect();
    poll_fn(|context| {
        let mut ready = Vec::new();
        for (index, pollable) in (0..).zip(&mut waiting) {
            if pollable.as_mut().poll(context).is_ready() {
                ready.push(index);
            }
        }
        if ready.is_empty() { Poll::Pending } else { Poll::Ready(ready) }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(milliseconds: u64) -> Pollable {
        Pollable::At(Instant::now() + Duration::from_millis(milliseconds))
    }

    #[tokio::test]
    async fn the_first_that_is_ready_ends_the_wait() {
        let minutes = || after(600_000);
        assert_eq!(first_ready(&[Pollable::Never, Pollable::Now, minutes(), after(0)]).await, [1, 3]);
        let soon = after(5);
        assert_eq!(first_ready(&[Pollable::Never, minutes(), soon.clone()]).await, [2]);
        assert!(soon.is_ready());
    }

    #[tokio::test]
    async fn an_answer_ends_the_wait() {
        let exchange = Arc::new(Exchange::default());
        let answer = Pollable::Answer(exchange.clone());
        assert!(!answer.is_ready());
        let pollables = [Pollable::Never, answer.clone()];
        let (ready, ()) = tokio::join!(first_ready(&pollables), async { exchange.fail() });
        assert_eq!(ready, [1]);
        assert!(answer.is_ready());
    }
}

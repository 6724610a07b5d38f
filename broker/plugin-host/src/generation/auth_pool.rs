//! Instances for `authenticate`, which may take its time: a few work at once, a bounded number waits, no worker thread is held.

use crate::{
    instance::{Instance, Mould, Tally},
    limits::Limits,
    wire,
};
use parking_lot::Mutex;
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use tidegate_hooks::FaultKind;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout_at},
};

/// The instances of one generation that authenticate.
pub(super) struct AuthPool {
    permits: Semaphore,
    waiting: AtomicUsize,
    most_waiting: usize,
    timeout: Duration,
    idle: Mutex<Vec<Instance>>,
    pub(super) tally: Tally,
}

impl AuthPool {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            permits: Semaphore::new(limits.concurrent.get().min(Semaphore::MAX_PERMITS)),
            waiting: AtomicUsize::new(0),
            most_waiting: limits.waiting,
            timeout: limits.auth_timeout,
            idle: Mutex::default(),
            tally: Tally::default(),
        }
    }

    /// One call. Dropping the future ends the instance at work.
    pub(super) async fn ask(
        &self,
        mould: &Mould,
        connect: wire::Connect<'_>,
    ) -> Result<wire::Outcome, FaultKind> {
        let deadline = Instant::now() + self.timeout;
        let _permit = self.permit(deadline).await?;
        let idle = self.take();
        let mut instance = match idle {
            Some(instance) => instance,
            None => timeout_at(deadline, mould.make()).await.map_err(|_| FaultKind::Deadline)??,
        };
        let outcome =
            timeout_at(deadline, instance.authenticate(connect)).await.map_err(|_| FaultKind::Deadline)??;
        if !instance.is_spent() {
            self.put(instance);
        }
        Ok(outcome)
    }

    async fn permit(&self, deadline: Instant) -> Result<SemaphorePermit<'_>, FaultKind> {
        if let Ok(permit) = self.permits.try_acquire() {
            return Ok(permit);
        }
        let _waiting = Waiting::begin(&self.waiting, self.most_waiting).ok_or(FaultKind::Busy)?;
        match timeout_at(deadline, self.permits.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(FaultKind::Busy),
        }
    }

    pub(super) fn take(&self) -> Option<Instance> {
        self.idle.lock().pop()
    }

    pub(super) fn put(&self, instance: Instance) {
        self.idle.lock().push(instance);
    }

    pub(super) fn clear(&self) {
        self.idle.lock().clear();
    }
}

/// Counted among those who wait, for as long as it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(waiting: &'a AtomicUsize, most: usize) -> Option<Self> {
        let before = waiting.fetch_add(1, Ordering::Relaxed);
        let counted = Self(waiting);
        (before < most).then_some(counted)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

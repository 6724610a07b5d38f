//! Instances for calls that may take their time: a few work at once, a bounded number waits, no worker thread is held.

use crate::{
    imports::OwnedCurrent,
    instance::{Functions, Instance, Mould},
};
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tidegate_hooks::FaultKind;
use tokio::{
    runtime::Handle,
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;
use wasmtime::component::{ComponentNamedList, Lift, Lower, TypedFunc};

/// An instance that had nothing to do for so long is thrown away, but for [`KEPT`].
const IDLE: Duration = Duration::from_secs(10);
const KEPT: usize = 4;

/// The calm instances of one generation.
pub(super) struct CalmPool {
    permits: Semaphore,
    waiting: AtomicUsize,
    most_waiting: usize,
    idle: Mutex<Idle>,
    /// Instances are made there, one after the other: a crowd of calls shall not take the threads that serve clients.
    runtime: Handle,
}

#[derive(Default)]
struct Idle {
    /// The one that was used last stands last, and is taken first.
    instances: VecDeque<(Instant, Instance)>,
    /// Somebody looks after those that are idle for too long.
    is_swept: bool,
}

/// An instance to call. Dropped without [`Lease::end`], the instance is thrown away.
pub(super) struct Lease<'a> {
    pool: &'a CalmPool,
    instance: Instance,
    deadline: Instant,
    /// What it is to end at the deadline.
    too_late: FaultKind,
    _permit: SemaphorePermit<'a>,
}

impl CalmPool {
    pub(super) fn new(concurrent: usize, most_waiting: usize, runtime: Handle) -> Self {
        Self {
            permits: Semaphore::new(concurrent.min(Semaphore::MAX_PERMITS)),
            waiting: AtomicUsize::new(0),
            most_waiting,
            idle: Mutex::default(),
            runtime,
        }
    }

    /// An instance, for as long as `timeout`; waiting for it is included. Whoever had to wait for others and runs out
    /// of time found the plugin busy: its code had less than its time.
    pub(super) async fn lease(&self, mould: &Arc<Mould>, timeout: Duration) -> Result<Lease<'_>, FaultKind> {
        let deadline = Instant::now() + timeout;
        let (permit, too_late) = match self.permits.try_acquire() {
            Ok(permit) => (permit, FaultKind::Deadline),
            Err(_) => (self.wait_for_permit(deadline).await?, FaultKind::Busy),
        };
        let idle = self.take();
        let instance = match idle {
            Some(instance) => instance,
            None => timeout_at(deadline, self.make(mould)).await.map_err(|_| too_late.clone())??,
        };
        Ok(Lease { pool: self, instance, deadline, too_late, _permit: permit })
    }

    async fn make(&self, mould: &Arc<Mould>) -> Result<Instance, FaultKind> {
        let mould = mould.clone();
        let making = AbortOnDropHandle::new(self.runtime.spawn(async move { mould.make().await }));
        let made = making.await.map_err(|failed| FaultKind::NoInstance(failed.to_string().into()))?;
        Ok(made?)
    }

    async fn wait_for_permit(&self, deadline: Instant) -> Result<SemaphorePermit<'_>, FaultKind> {
        let _waiting = Waiting::begin(&self.waiting, self.most_waiting).ok_or(FaultKind::Busy)?;
        match timeout_at(deadline, self.permits.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(FaultKind::Busy),
        }
    }

    /// Calls that wait for an instance.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(super) fn take(&self) -> Option<Instance> {
        self.idle.lock().instances.pop_back().map(|(_, instance)| instance)
    }

    pub(super) fn put(&self, instance: Instance) {
        self.idle.lock().instances.push_back((Instant::now(), instance));
    }

    pub(super) fn clear(&self) {
        let idle = std::mem::take(&mut self.idle.lock().instances);
        drop(idle);
    }

    /// Whether more instances than are kept for ever have nothing to do, and nobody sweeps yet. Who is told so must sweep.
    pub(super) fn wants_sweeping(&self) -> bool {
        let mut idle = self.idle.lock();
        idle.instances.len() > KEPT && !std::mem::replace(&mut idle.is_swept, true)
    }

    /// Throws away what was idle for too long. The time of the next look, while one is due.
    pub(super) fn sweep(&self) -> Option<Instant> {
        let mut idle = self.idle.lock();
        let now = Instant::now();
        let spare = idle.instances.len().saturating_sub(KEPT);
        let over = idle.instances.iter().take(spare).take_while(|(since, _)| *since + IDLE <= now).count();
        let thrown: Vec<_> = idle.instances.drain(..over).collect();
        let next = (spare > over).then(|| idle.instances.front().map_or(now, |(since, _)| *since) + IDLE);
        idle.is_swept = next.is_some();
        drop(idle);
        drop(thrown);
        next
    }
}

impl Lease<'_> {
    /// One call.
    pub(super) async fn call<P, R>(
        &mut self,
        current: Option<OwnedCurrent>,
        function: impl FnOnce(&Functions) -> Option<TypedFunc<P, R>>,
        params: P,
    ) -> Result<R, FaultKind>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift + 'static,
    {
        let called = self.instance.call_calmly(current, function, params);
        timeout_at(self.deadline, called).await.map_err(|_| self.too_late.clone())?
    }

    pub(super) fn instance(&mut self) -> &mut Instance {
        &mut self.instance
    }

    /// The instance did well: others may have it.
    pub(super) fn end(self) {
        if !self.instance.is_spent() {
            self.pool.put(self.instance);
        }
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

//! `tidegate:plugin/timers`: calls that come later. They belong to the plugin, not to an instance, and stay across generations.

use crate::{imports::Environment, instance::Guest};
use parking_lot::Mutex;
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    pin::Pin,
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::{runtime::Handle, sync::Notify, time::Instant};
use wasmtime::{StoreContextMut, component::LinkerInstance};

/// Timers come no sooner and no more often, whatever was asked for.
const SHORTEST: Duration = Duration::from_millis(10);
/// Nor later: ten years.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);

pub(super) fn link(interface: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    type Cx<'a> = StoreContextMut<'a, Guest>;
    interface.func_wrap("set", |cx: Cx<'_>, (after, every, token): (u64, Option<u64>, u64)| {
        Ok((cx.data().environment.set_timer(after, every, token),))
    })?;
    interface.func_wrap("cancel", |cx: Cx<'_>, (token,): (u64,)| {
        let environment = &cx.data().environment;
        if let (Some(timers), true) = (&environment.timers, environment.acting) {
            timers.cancel(token);
        }
        Ok(())
    })
}

impl Environment {
    /// False: no handler, or no room.
    fn set_timer(&self, after_ms: u64, every_ms: Option<u64>, token: u64) -> bool {
        let Some(timers) = &self.timers else { return false };
        let bounded = |ms| Duration::from_millis(ms).clamp(SHORTEST, LONGEST);
        !self.acting || timers.set(bounded(after_ms), every_ms.map(bounded), token, self.most_timers)
    }
}

/// Whom timers call: a generation that exports `timer-handler`.
pub(crate) trait TimerHandler: Send + Sync {
    /// `timer-handler.on-timer`. What goes wrong is the handler's own affair.
    fn on_timer(self: Arc<Self>, token: u64) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// All timers of one plugin. They end with it.
pub(crate) struct Timers {
    state: Mutex<State>,
    changed: Arc<Notify>,
    runtime: Handle,
}

#[derive(Default)]
struct State {
    by_token: HashMap<u64, Timer>,
    /// The same, in order.
    due: BTreeSet<(Instant, u64)>,
    /// Tokens whose last call has not ended.
    running: HashSet<u64>,
    handler: Option<Weak<dyn TimerHandler>>,
    /// Whether a task looks after them.
    tended: bool,
}

#[derive(Clone, Copy)]
struct Timer {
    due: Instant,
    every: Option<Duration>,
}

impl Timers {
    /// Calls are made on `runtime`.
    pub(crate) fn new(runtime: Handle) -> Self {
        Self { state: Mutex::default(), changed: Arc::default(), runtime }
    }

    /// From now on timers call `handler`; they wait while there is none.
    pub(crate) fn handled_by(self: &Arc<Self>, handler: Option<Weak<dyn TimerHandler>>) {
        self.state.lock().handler = handler;
        self.tend();
    }

    /// Forgets them all.
    pub(crate) fn clear(&self) {
        let mut state = self.state.lock();
        state.by_token.clear();
        state.due.clear();
    }

    /// False: there are `most` others. A timer that goes off `every` so often already is left as it is: each instance may set it in its
    /// `init` without putting it off.
    fn set(self: &Arc<Self>, after: Duration, every: Option<Duration>, token: u64, most: usize) -> bool {
        let mut state = self.state.lock();
        match state.by_token.get(&token) {
            Some(timer) if every.is_some() && timer.every == every => return true,
            None if state.by_token.len() >= most => return false,
            _ => {}
        }
        state.put(token, Timer { due: Instant::now() + after, every });
        drop(state);
        self.tend();
        true
    }

    fn cancel(&self, token: u64) {
        self.state.lock().take(token);
    }

    /// Wakes the task, or begins it.
    fn tend(self: &Arc<Self>) {
        let mut state = self.state.lock();
        if state.tended {
            self.changed.notify_one();
        } else if !state.by_token.is_empty() {
            state.tended = true;
            self.runtime.spawn(Self::run(Arc::downgrade(self), self.changed.clone()));
        }
    }

    /// Until there is nothing to wait for.
    async fn run(this: Weak<Self>, changed: Arc<Notify>) {
        // Not held while waiting, or they would never end.
        while let Some(next) = this.upgrade().and_then(|timers| timers.go()) {
            tokio::select! {
                () = changed.notified() => {}
                () = tokio::time::sleep_until(next) => {}
            }
        }
    }

    /// Calls what is due. When the next is; None: there is none, and the task ends.
    fn go(self: &Arc<Self>) -> Option<Instant> {
        let now = Instant::now();
        let mut state = self.state.lock();
        let handler = state.handler.as_ref().and_then(Weak::upgrade);
        let Some(handler) = handler else {
            state.tended = false;
            return None;
        };
        while let Some((_, token)) = state.due.first().copied().filter(|(due, _)| *due <= now) {
            let Some(Timer { due, every }) = state.take(token) else { break };
            let again = match every {
                // Turns that were missed are not made up for.
                Some(every) => Some((due + every).max(now)),
                // Set by the very call that it has to wait for.
                None if state.running.contains(&token) => Some(now + SHORTEST),
                None => None,
            };
            if let Some(due) = again {
                state.put(token, Timer { due, every });
            }
            if state.running.insert(token) {
                let timers = self.clone();
                let call = handler.clone().on_timer(token);
                tokio::spawn(async move {
                    let _running = Running { timers, token };
                    call.await;
                });
            }
        }
        let next = state.due.first().map(|(due, _)| *due);
        state.tended = next.is_some();
        next
    }
}

impl Drop for Timers {
    fn drop(&mut self) {
        self.changed.notify_one();
    }
}

/// A call under way, which may also be dropped or panic.
struct Running {
    timers: Arc<Timers>,
    token: u64,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.timers.state.lock().running.remove(&self.token);
    }
}

impl State {
    fn put(&mut self, token: u64, timer: Timer) {
        self.take(token);
        self.by_token.insert(token, timer);
        self.due.insert((timer.due, token));
    }

    fn take(&mut self, token: u64) -> Option<Timer> {
        let timer = self.by_token.remove(&token)?;
        self.due.remove(&(timer.due, token));
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    const MS: Duration = Duration::from_millis(1);

    /// Tells of every call; a call of an odd token never ends.
    struct Told(mpsc::UnboundedSender<(u64, u128)>, Instant);

    impl TimerHandler for Told {
        fn on_timer(self: Arc<Self>, token: u64) -> Pin<Box<dyn Future<Output = ()> + Send>> {
            self.0.send((token, self.1.elapsed().as_millis())).unwrap();
            Box::pin(async move {
                if token % 2 == 1 {
                    std::future::pending().await
                }
            })
        }
    }

    struct Scene {
        timers: Arc<Timers>,
        handler: Arc<Told>,
        calls: mpsc::UnboundedReceiver<(u64, u128)>,
    }

    impl Scene {
        fn new() -> Self {
            let (told, calls) = mpsc::unbounded_channel();
            let handler = Arc::new(Told(told, Instant::now()));
            let timers = Arc::new(Timers::new(Handle::current()));
            let weak: Weak<Told> = Arc::downgrade(&handler);
            timers.handled_by(Some(weak));
            Self { timers, handler, calls }
        }

        fn set(&self, after: u32, every: Option<u32>, token: u64) -> bool {
            self.timers.set(MS * after, every.map(|every| MS * every), token, 3)
        }

        /// Calls within the next `ms`: token, and when.
        async fn within(&mut self, ms: u32) -> Vec<(u64, u128)> {
            tokio::time::sleep(MS * ms).await;
            std::iter::from_fn(|| self.calls.try_recv().ok()).collect()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn timers_come_once_or_again_and_again() {
        let mut scene = Scene::new();
        assert!(scene.set(50, None, 2) && scene.set(20, Some(30), 4));
        assert_eq!(scene.within(100).await, [(4, 20), (2, 50), (4, 50), (4, 80)]);
        scene.timers.cancel(4);
        scene.timers.cancel(99);
        assert!(scene.within(100).await.is_empty());
        assert!(scene.set(50, None, 6));
        assert_eq!(scene.within(100).await, [(6, 250)], "after a while without any");
    }

    #[tokio::test(start_paused = true)]
    async fn setting_again_replaces_but_does_not_put_off_what_repeats() {
        let mut scene = Scene::new();
        scene.set(50, None, 2);
        scene.set(50, Some(50), 4);
        tokio::time::sleep(MS * 30).await;
        scene.set(50, None, 2);
        scene.set(50, Some(50), 4);
        assert_eq!(scene.within(55).await, [(4, 50), (2, 80)]);
        scene.set(20, Some(70), 4);
        assert_eq!(scene.within(100).await, [(4, 105), (4, 175)]);
    }

    #[tokio::test(start_paused = true)]
    async fn timers_are_bounded() {
        let scene = Scene::new();
        assert!((2..5).all(|token| scene.set(1000, None, token)));
        assert!(!scene.set(1000, None, 5));
        assert!(scene.set(500, None, 4));
        scene.timers.cancel(4);
        assert!(scene.set(1000, None, 5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_whose_call_has_not_ended_skips_its_turn_and_holds_up_no_other() {
        let mut scene = Scene::new();
        scene.set(20, Some(20), 1);
        scene.set(50, Some(50), 2);
        assert_eq!(scene.within(110).await, [(1, 20), (2, 50), (2, 100)]);
        scene.set(20, None, 1);
        assert!(scene.within(30).await.is_empty(), "set once more meanwhile: waits for the call");
        assert_eq!(scene.timers.state.lock().by_token.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn timers_wait_for_a_handler_and_end_with_their_plugin() {
        let mut scene = Scene::new();
        scene.timers.handled_by(None);
        scene.set(20, None, 2);
        assert!(scene.within(50).await.is_empty());
        let weak: Weak<Told> = Arc::downgrade(&scene.handler);
        scene.timers.handled_by(Some(weak));
        assert_eq!(scene.within(10).await, [(2, 50)]);
        scene.set(20, Some(20), 4);
        scene.timers.clear();
        assert!(scene.within(50).await.is_empty());
        scene.set(20, Some(20), 4);
        assert_eq!(scene.within(25).await.len(), 1);
        let gone = Arc::downgrade(&scene.timers);
        scene.timers = Arc::new(Timers::new(Handle::current()));
        assert!(scene.within(100).await.is_empty());
        assert!(gone.upgrade().is_none());
    }
}

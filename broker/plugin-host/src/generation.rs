//! One generation of one plugin: a file and a configuration, loaded, with its instances. It answers as a member of the chain.

mod ask;
mod calm_pool;
mod hooks;
mod inspect;
mod probation;
mod rate;
mod scopes;
mod standby;
mod storage;
mod subject;

pub(crate) use inspect::{Inspected, inspect};
pub(crate) use probation::PROBATION;
pub(crate) use storage::Terms;

use crate::{
    breaker::Breaker,
    config::PluginConfig,
    engine::PluginEngine,
    imports::{Current, Environment, Metrics, Outside, TimerHandler},
    instance::{Instance, Mould, NotMade, Slot, Slots},
    refusal::Refusal,
    report::{HookReport, PluginLoad, ScopeReport},
    tally::{Hook, Tallies},
};
use calm_pool::CalmPool;
use parking_lot::Mutex;
use probation::Probation;
use rate::CallRate;
use scopes::Scopes;
use std::{
    pin::Pin,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tidegate_hooks::{FaultKind, HookFailed, HookKinds, Member, Place};
use tokio::{runtime::Handle, sync::mpsc};

/// `drain` runs in a slot; calls to that slot wait meanwhile, but no longer than this.
const DRAIN: Duration = Duration::from_millis(100);

/// Told to the host when a breaker opens or too many calls of a new generation fail, which may be a reason to go back.
#[derive(Debug)]
pub(crate) struct BreakerOpened {
    pub(crate) generation: u64,
    pub(crate) fault: String,
}

/// Everything a generation is made from, but for the code.
pub(crate) struct Plan {
    pub(crate) plugin: Arc<str>,
    pub(crate) number: u64,
    pub(crate) config: PluginConfig,
    pub(crate) broker_version: Arc<str>,
    /// What the generation before left.
    pub(crate) state: Option<Arc<[u8]>>,
    /// What the guest finds outside its box, and whether what it does there has effects.
    pub(crate) outside: Outside,
    /// Worker threads of the broker.
    pub(crate) workers: usize,
    pub(crate) opened: mpsc::UnboundedSender<BreakerOpened>,
}

/// See the module.
pub(crate) struct Generation {
    pub(crate) plugin: Arc<str>,
    pub(crate) number: u64,
    pub(crate) config: PluginConfig,
    hooks: Vec<Hook>,
    kinds: HookKinds,
    scopes: Scopes,
    reads_current: bool,
    /// Whether its hooks may wait: then all of them are calm.
    waits: bool,
    mould: Arc<Mould>,
    slots: Slots,
    /// An instance ready to take the place of one that ends.
    spare: Mutex<Option<Instance>>,
    spare_wanted: AtomicBool,
    calm: CalmPool,
    /// Of calls that no slot has counted.
    tallies: Tallies,
    breaker: Breaker,
    rate: Option<CallRate>,
    probation: Probation,
    runtime: Handle,
    opened: mpsc::UnboundedSender<BreakerOpened>,
    this: Weak<Self>,
    /// Its clock ends calls that take too long: as long as somebody answers, it must run.
    _engine: Arc<PluginEngine>,
}

impl Generation {
    /// Makes the first instance, the canary; what it answers to `init` holds for all.
    pub(crate) async fn load(
        engine: &Arc<PluginEngine>,
        code: Inspected,
        plan: Plan,
    ) -> Result<Arc<Self>, Refusal> {
        let waits = code.waits(&plan.config.grants);
        let Inspected { component, exports, hooks, reads_current, .. } = code;
        scopes::check_config(&plan.config, &hooks)?;
        let pre = engine.link(&component, waits);
        let pre = pre.map_err(|error| Refusal::Interface(format!("{error:#}").into()))?;
        let Plan { plugin, number, config, broker_version, state, outside, workers, opened } = plan;
        let environment = Environment::new(
            plugin.clone(),
            number,
            broker_version,
            &config,
            outside,
            hooks.contains(&Hook::TimerHandler),
        )?;
        let mould = Arc::new(Mould {
            pre,
            clock: engine.clock(),
            exports,
            environment: Arc::new(environment),
            limits: config.limits.clone(),
            state: Mutex::new(state),
            scopes: OnceLock::new(),
            usage: Arc::default(),
        });
        let began = Instant::now();
        let canary = mould.make().await?;
        let init_took = began.elapsed();
        let scopes = Scopes::new(mould.scopes.get().map_or(&[], Vec::as_slice), &hooks, &config)?;
        let limits = &config.limits;
        let count = limits.instances.map_or(workers, usize::from);
        let slots = Slots::new(count, &hooks, limits.deadline, init_took, DRAIN);
        let runtime = Handle::current();
        let calm = CalmPool::new(limits.concurrent(waits), limits.waiting, runtime.clone());
        let rate = limits.calls_per_second.map(CallRate::new);
        let generation = Arc::new_cyclic(|this| Self {
            slots,
            calm,
            rate,
            tallies: Tallies::new(&hooks),
            kinds: kinds(&hooks, &scopes),
            hooks,
            plugin,
            number,
            config,
            scopes,
            reads_current,
            waits,
            mould,
            spare: Mutex::new(None),
            spare_wanted: AtomicBool::new(false),
            breaker: Breaker::default(),
            probation: Probation::default(),
            runtime,
            opened,
            this: this.clone(),
            _engine: engine.clone(),
        });
        generation.place(canary).await?;
        generation.begin_probation();
        Ok(generation)
    }

    /// The canary's place, and company for it where later instances would take too long.
    async fn place(&self, canary: Instance) -> Result<(), Refusal> {
        if self.is_hot() {
            self.slots.iter().next().and_then(|slot| slot.fill(canary));
            self.fill_slots().await?;
            self.want_spare();
        } else {
            self.calm.put(canary);
        }
        Ok(())
    }

    /// Fills the slots, unless they can be filled when they are first used.
    pub(crate) async fn fill_slots(&self) -> Result<(), NotMade> {
        if !self.is_hot() || self.slots.fill_on_use() {
            return Ok(());
        }
        for slot in self.slots.iter().filter(|slot| slot.is_empty()) {
            let instance = self.mould.make().await?;
            slot.fill(instance);
        }
        Ok(())
    }

    /// Whether it has instances in slots.
    fn is_hot(&self) -> bool {
        !self.waits && self.hooks.iter().any(|hook| hook.is_hot())
    }

    /// From now on it answers in earnest: if it does badly, the host is told.
    pub(crate) fn begin_probation(&self) {
        self.probation.begin(Instant::now(), self.failures());
    }

    /// This generation in the chain.
    pub(crate) fn member(self: &Arc<Self>) -> Member {
        Member {
            place: Place { order: self.config.order, name: self.plugin.clone() },
            hooks: self.clone(),
            scopes: self.scopes.of_chain(),
            on_fault: self.config.on_fault.into(),
            on_deliver_fault: self.config.on_deliver_fault.into(),
        }
    }

    /// Names of its hooks.
    pub(crate) fn hooks(&self) -> Vec<&'static str> {
        self.hooks.iter().map(|hook| hook.name()).collect()
    }

    /// Whether it exports that hook.
    pub(crate) fn has(&self, hook: Hook) -> bool {
        self.hooks.contains(&hook)
    }

    /// Topics and fields.
    pub(crate) fn scope_reports(&self) -> Vec<ScopeReport> {
        self.scopes.reports(&self.hooks)
    }

    /// Calls so far.
    pub(crate) fn calls(&self) -> Vec<HookReport> {
        let report = |hook: &Hook| {
            let mut report = HookReport::new(hook.name());
            let slots = self.slots.iter().map(|slot| &slot.tallies);
            for tally in slots.chain([&self.tallies]).filter_map(|tallies| tallies.of(*hook)) {
                tally.add_to(&mut report);
            }
            report
        };
        self.hooks.iter().map(report).collect()
    }

    /// What it takes up now.
    pub(crate) fn load_now(&self) -> PluginLoad {
        let (instances, memory) = self.mould.usage.read();
        PluginLoad { instances, memory, waiting: self.calm.waiting(), breaker: self.breaker.state() }
    }

    async fn call_timer(&self, token: u64) -> Result<(), HookFailed> {
        let subject = || format!("timer {token}");
        self.ask(Hook::TimerHandler, subject, Current::NOTHING, |guest| guest.on_timer, (token,), |()| Ok(()))
            .await
    }

    /// For timers; None without `timer-handler`.
    pub(crate) fn timer_handler(&self) -> Option<Weak<dyn TimerHandler>> {
        self.hooks.contains(&Hook::TimerHandler).then(|| self.this.clone() as Weak<dyn TimerHandler>)
    }

    /// Of the plugin, over all its generations.
    pub(crate) fn metrics(&self) -> &Metrics {
        self.mould.environment.metrics()
    }

    /// Asks one instance for the state it leaves. The generation goes on answering: whether it was the last call is known only when
    /// the next generation is up. None if every instance is at work, or none is there. Blocks for 0.2 s at most.
    pub(crate) fn drain(&self) -> Option<Vec<u8>> {
        let told = |drained: Result<Option<Vec<u8>>, FaultKind>| {
            drained.inspect_err(|fault| {
                tracing::warn!(plugin = %self.plugin, generation = self.number, %fault, "drain failed; its state is lost");
            })
        };
        if !self.is_hot() {
            let mut instance = self.calm.take()?;
            let drained = if self.waits {
                let drained = async { tokio::time::timeout(DRAIN, instance.drain_calmly()).await };
                self.runtime.block_on(drained).unwrap_or(Err(FaultKind::Deadline))
            } else {
                instance.drain(DRAIN)
            };
            let state = told(drained).ok()?;
            self.calm.put(instance);
            return state;
        }
        for slot in self.slots.iter() {
            let Some(mut guard) = slot.lock_for(DRAIN / 10) else { continue };
            let Some(instance) = guard.as_mut() else { continue };
            let state = told(instance.drain(DRAIN));
            if state.is_err() {
                *guard = None;
            }
            return state.ok().flatten();
        }
        None
    }

    /// Throws away the instances that are not at work. Later calls make new ones.
    pub(crate) fn drop_idle(&self) {
        self.slots.iter().for_each(Slot::empty);
        *self.spare.lock() = None;
        self.calm.clear();
    }

    /// Replaces an instance that is old or swollen. A single instance hands its state on.
    fn renew(&self, slot: &mut Option<Instance>) {
        let state = match slot.take() {
            Some(mut old) if self.slots.iter().count() == 1 => {
                old.drain(self.config.limits.deadline).ok().flatten()
            }
            _ => None,
        };
        if let Some(state) = state {
            *slot = self.mould.make_now(Some(&state)).ok();
        }
    }

    fn take_spare(&self) -> Option<Instance> {
        let spare = self.spare.lock().take()?;
        self.want_spare();
        Some(spare)
    }

    /// Has a spare instance made in the background, unless there is one or it is being made.
    fn want_spare(&self) {
        if self.spare_wanted.swap(true, Ordering::AcqRel) {
            return;
        }
        let this = self.this.clone();
        self.runtime.spawn(async move {
            let Some(generation) = this.upgrade() else { return };
            let made = generation.make_spare().await;
            generation.spare_wanted.store(false, Ordering::Release);
            match made {
                // Taken already: the next one is as welcome.
                Ok(()) if generation.spare.lock().is_none() => generation.want_spare(),
                Ok(()) => {}
                Err(why) => {
                    let (plugin, generation) = (&*generation.plugin, generation.number);
                    tracing::warn!(plugin, generation, why = why.text(), "no spare instance");
                }
            }
        });
    }

    /// Has instances that have nothing to do thrown away after a while, if there are many.
    fn sweep(&self) {
        if !self.calm.wants_sweeping() {
            return;
        }
        let this = self.this.clone();
        self.runtime.spawn(async move {
            loop {
                let Some(next) = this.upgrade().and_then(|generation| generation.calm.sweep()) else {
                    return;
                };
                tokio::time::sleep_until(next).await;
            }
        });
    }

    async fn make_spare(&self) -> Result<(), NotMade> {
        // Where callers cannot make one themselves, empty slots go first.
        self.fill_slots().await?;
        if self.spare.lock().is_none() {
            let spare = self.mould.make().await?;
            *self.spare.lock() = Some(spare);
        }
        Ok(())
    }
}

/// What the chain asks it about.
fn kinds(hooks: &[Hook], scopes: &Scopes) -> HookKinds {
    let has = |hook| hooks.contains(&hook);
    HookKinds {
        authenticate: has(Hook::Auth),
        proceed: has(Hook::EnhancedAuth),
        acl: has(Hook::Acl),
        publish: has(Hook::Publish) || has(Hook::PublishBatch),
        publish_batch: has(Hook::PublishBatch),
        subscribe: has(Hook::Subscribe),
        subscribers: has(Hook::Subscribers),
        deliver: has(Hook::Deliver),
        events: scopes.events,
        packets: false,
    }
}

impl TimerHandler for Generation {
    fn on_timer(self: Arc<Self>, token: u64) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            if let Err(fault) = self.call_timer(token).await {
                tracing::debug!(%fault, token, "timer call failed");
            }
        })
    }
}

#[cfg(test)]
mod tests;

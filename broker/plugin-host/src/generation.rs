//! One generation of one plugin: a file and a configuration, loaded, with its instances. It answers as a member of the chain.

mod auth_pool;
mod inspect;
mod scopes;

pub(crate) use inspect::{Inspected, inspect};

use crate::{
    breaker::{Admission, Breaker, Change},
    config::{GuestConfig, PluginConfig, ScopedHook},
    engine::PluginEngine,
    exports,
    imports::{Environment, KvSpace, with_payload},
    instance::{Acquired, Instance, Mould, NotMade, Slot, Slots, Tally, Unavailable},
    refusal::Refusal,
    report::{HookCalls, ScopeReport},
    wire,
};
use auth_pool::AuthPool;
use parking_lot::Mutex;
use scopes::Scopes;
use std::{
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tidegate_hooks::{
    AclRequest, AclVerdict, AuthVerdict, ConnectRequest, FaultKind, HookFailed, HookKinds, Hooks, Member,
    Place, PublishRequest, PublishVerdict, Reply,
};
use tokio::{runtime::Handle, sync::mpsc};

/// `drain` runs in a slot; calls to that slot wait meanwhile, but no longer than this.
const DRAIN: Duration = Duration::from_millis(100);

/// Told to the host when a breaker opens, which may be a reason to go back.
#[derive(Debug)]
pub(crate) struct BreakerOpened {
    pub(crate) plugin: Arc<str>,
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
    pub(crate) kv: Arc<KvSpace>,
    /// Worker threads of the broker.
    pub(crate) workers: usize,
    pub(crate) opened: mpsc::UnboundedSender<BreakerOpened>,
}

/// See the module.
pub(crate) struct Generation {
    pub(crate) plugin: Arc<str>,
    pub(crate) number: u64,
    pub(crate) config: PluginConfig,
    kinds: HookKinds,
    scopes: Scopes,
    reads_current: bool,
    mould: Mould,
    slots: Slots,
    /// An instance ready to take the place of one that ends.
    spare: Mutex<Option<Instance>>,
    spare_wanted: AtomicBool,
    auth: AuthPool,
    breaker: Breaker,
    runtime: Handle,
    opened: mpsc::UnboundedSender<BreakerOpened>,
    this: Weak<Self>,
}

impl Generation {
    /// Makes the first instance, the canary; what it answers to `init` holds for all.
    pub(crate) async fn load(
        engine: &PluginEngine,
        code: Inspected,
        plan: Plan,
    ) -> Result<Arc<Self>, Refusal> {
        let waits = code.waits(&plan.config.grants);
        let Inspected { component, exports, reads_current, .. } = code;
        let kinds = HookKinds {
            authenticate: exports.authenticates(),
            // Interface 0.1 has no steps yet.
            proceed: false,
            acl: exports.checks(),
            publish: exports.publishes(),
            ..HookKinds::default()
        };
        scopes::check_config(&plan.config, kinds)?;
        let pre = engine.link(&component, waits);
        let pre = pre.map_err(|error| Refusal::Interface(format!("{error:#}").into()))?;
        let Plan { plugin, number, config, broker_version, state, kv, workers, opened } = plan;
        let environment = Environment::new(
            plugin.clone(),
            number,
            broker_version,
            GuestConfig::new(&config.config),
            config.grants.kv.map(|room| (kv, room)),
            config.limits.log_lines,
        );
        let mould = Mould {
            pre,
            clock: engine.clock(),
            exports,
            environment: Arc::new(environment),
            limits: config.limits.clone(),
            state,
            scopes: OnceLock::new(),
        };
        let began = Instant::now();
        let canary = mould.make().await?;
        let init_took = began.elapsed();
        let scopes = Scopes::new(mould.scopes.get().map_or(&[], Vec::as_slice), kinds, &config)?;
        let count = config.limits.instances.map_or(workers, usize::from);
        let generation = Arc::new_cyclic(|this| Self {
            slots: Slots::new(count, config.limits.deadline, init_took, DRAIN),
            auth: AuthPool::new(&config.limits),
            plugin,
            number,
            config,
            kinds,
            scopes,
            reads_current,
            mould,
            spare: Mutex::new(None),
            spare_wanted: AtomicBool::new(false),
            breaker: Breaker::default(),
            runtime: Handle::current(),
            opened,
            this: this.clone(),
        });
        generation.place(canary).await?;
        Ok(generation)
    }

    /// The canary's place, and company for it where later instances would take too long.
    async fn place(&self, canary: Instance) -> Result<(), Refusal> {
        if self.is_hot() {
            self.slots.iter().next().and_then(|slot| slot.fill(canary));
            self.fill_slots().await?;
            self.want_spare();
        } else {
            self.auth.put(canary);
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

    fn is_hot(&self) -> bool {
        self.kinds.acl || self.kinds.publish
    }

    /// This generation in the chain.
    pub(crate) fn member(self: &Arc<Self>) -> Member {
        Member {
            place: Place { order: self.config.order, name: self.plugin.clone() },
            hooks: self.clone(),
            scopes: tidegate_hooks::Scopes {
                acl: self.scopes.filters(ScopedHook::Acl),
                publish: self.scopes.filters(ScopedHook::Publish),
                ..tidegate_hooks::Scopes::default()
            },
            on_fault: self.config.on_fault.into(),
            on_deliver_fault: tidegate_hooks::OnDeliverFault::default(),
        }
    }

    /// Names of its hooks.
    pub(crate) fn hooks(&self) -> Vec<&'static str> {
        let hooks =
            [("auth", self.kinds.authenticate), ("acl", self.kinds.acl), ("publish", self.kinds.publish)];
        hooks.into_iter().filter(|(_, exported)| *exported).map(|(name, _)| name).collect()
    }

    /// Topics and fields.
    pub(crate) fn scope_reports(&self) -> Vec<ScopeReport> {
        self.scopes.reports(self.kinds)
    }

    /// Calls so far.
    pub(crate) fn calls(&self) -> Vec<HookCalls> {
        let sum = |tally: fn(&Slot) -> &Tally| {
            self.slots
                .iter()
                .map(|slot| tally(slot).read())
                .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
        };
        let count = |hook| match hook {
            "auth" => self.auth.tally.read(),
            "acl" => sum(|slot| &slot.acl),
            _ => sum(|slot| &slot.publish),
        };
        let report = |hook| {
            let (calls, faults) = count(hook);
            HookCalls { hook, calls, faults }
        };
        self.hooks().into_iter().map(report).collect()
    }

    /// Asks one instance for the state it leaves. The generation goes on answering: whether it was the last call is known only when
    /// the next generation is up. None if every instance is at work, or none is there. Blocks for 0.2 s at most.
    pub(crate) fn drain(&self) -> Option<Vec<u8>> {
        let drain = |instance: &mut Instance| {
            instance.drain(DRAIN).inspect_err(|fault| {
                tracing::warn!(plugin = %self.plugin, generation = self.number, %fault, "drain failed; its state is lost");
            })
        };
        if !self.is_hot() {
            let mut instance = self.auth.take()?;
            let state = drain(&mut instance).ok()?;
            self.auth.put(instance);
            return state;
        }
        for slot in self.slots.iter() {
            let Some(mut guard) = slot.lock_for(DRAIN / 10) else { continue };
            let Some(instance) = guard.as_mut() else { continue };
            let state = drain(instance);
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
        self.auth.clear();
    }

    /// Calls the guest on this thread, at once.
    fn ask<W, A>(
        &self,
        tally: impl Fn(&Slot) -> &Tally,
        ask: impl FnOnce(&mut Instance) -> Result<W, FaultKind>,
        judge: impl FnOnce(W) -> Result<A, FaultKind>,
    ) -> Result<A, HookFailed> {
        let admission = self.breaker.admit(Instant::now).map_err(|kind| self.failed(kind))?;
        let acquired = self.slots.acquire(&self.mould, || self.take_spare());
        let Acquired { slot, mut instance } = match acquired {
            Ok(acquired) => acquired,
            Err(Unavailable::NotNow(kind)) => {
                self.want_spare();
                return Err(self.failed(kind));
            }
            Err(Unavailable::Failed(kind)) => return Err(self.fault(admission, kind)),
        };
        let Some(guest) = instance.as_mut() else {
            return Err(self.fault(admission, FaultKind::NoInstance("the slot is empty".into())));
        };
        let answer = ask(guest);
        let spent = guest.is_spent();
        let ended = answer.is_err();
        let answer = answer.and_then(judge);
        tally(slot).count_alone(answer.is_err());
        if ended {
            *instance = None;
        } else if spent {
            self.renew(&mut instance);
        }
        drop(instance);
        if ended || spent {
            self.want_spare();
        }
        match answer {
            Ok(answer) => {
                if let Some(change) = admission.succeeded() {
                    self.tell(change, None);
                }
                Ok(answer)
            }
            Err(kind) => Err(self.fault(admission, kind)),
        }
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

    async fn ask_auth(&self, request: &ConnectRequest<'_>) -> Result<AuthVerdict, HookFailed> {
        let admission = self.breaker.admit(Instant::now).map_err(|kind| self.failed(kind))?;
        let properties = exports::auth::properties(request.properties);
        let question = exports::auth::question(request, &properties);
        match self.auth.ask(&self.mould, question).await.and_then(exports::auth::answer) {
            Ok(verdict) => {
                self.auth.tally.count(false);
                if let Some(change) = admission.succeeded() {
                    self.tell(change, None);
                }
                Ok(verdict)
            }
            // Too many at once says nothing about the plugin.
            Err(FaultKind::Busy) => Err(self.failed(FaultKind::Busy)),
            Err(kind) => {
                self.auth.tally.count(true);
                Err(self.fault(admission, kind))
            }
        }
    }

    fn failed(&self, kind: FaultKind) -> HookFailed {
        HookFailed { plugin: self.plugin.clone(), kind }
    }

    /// A fault of the plugin itself: counts for the breaker, and is logged.
    fn fault(&self, admission: Admission<'_>, kind: FaultKind) -> HookFailed {
        tracing::debug!(plugin = %self.plugin, generation = self.number, fault = %kind, "plugin call failed");
        if let Some(change) = admission.failed(Instant::now()) {
            self.tell(change, Some(&kind));
        }
        self.failed(kind)
    }

    fn tell(&self, change: Change, fault: Option<&FaultKind>) {
        let (plugin, generation) = (&*self.plugin, self.number);
        match change {
            Change::Closed => {
                tracing::info!(plugin, generation, "plugin {plugin}: answers again, breaker closed")
            }
            Change::Opened(backoff) => {
                let fault = fault.map(ToString::to_string).unwrap_or_default();
                tracing::warn!(
                    plugin,
                    generation,
                    fault,
                    ?backoff,
                    "plugin {plugin}: too many faults, breaker open"
                );
                let opened = BreakerOpened { plugin: self.plugin.clone(), generation, fault };
                // Nobody listens once the host has stopped.
                _ = self.opened.send(opened);
            }
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

impl Hooks for Generation {
    fn kinds(&self) -> HookKinds {
        self.kinds
    }

    fn authenticate<'a>(
        &'a self,
        request: &'a ConnectRequest<'a>,
    ) -> Reply<'a, Result<AuthVerdict, HookFailed>> {
        Reply::Later(Box::pin(self.ask_auth(request)))
    }

    fn check<'a>(&'a self, request: &'a AclRequest<'a>) -> Reply<'a, Result<AclVerdict, HookFailed>> {
        let question = exports::acl::question(request);
        Reply::Now(self.ask(
            |slot| &slot.acl,
            |instance| instance.check(question),
            |decision| exports::acl::answer(decision, request),
        ))
    }

    fn on_publish<'a>(
        &'a self,
        request: &'a PublishRequest<'a>,
    ) -> Reply<'a, Result<PublishVerdict, HookFailed>> {
        let wants = self.scopes.wants;
        let properties: Vec<wire::Property<'_>> = match request.properties {
            Some(properties) if wants.properties => exports::publish::properties(properties),
            _ => Vec::new(),
        };
        let question = exports::publish::question(request, wants, &properties);
        Reply::Now(self.ask(
            |slot| &slot.publish,
            |instance| {
                if self.reads_current {
                    with_payload(request.payload, || instance.on_publish(question))
                } else {
                    instance.on_publish(question)
                }
            },
            exports::publish::answer,
        ))
    }
}

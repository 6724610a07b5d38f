//! One instance of a guest with its store: made, called, thrown away after its first fault.

mod backtrace;
mod functions;
mod memory;
mod overtime;
mod slots;
mod usage;

pub(crate) use functions::{Exports, Functions};
pub(crate) use slots::{Acquired, Slot, Slots, Unavailable};
pub(crate) use usage::Usage;

use crate::{
    engine::{Clock, ClockUse, ticks},
    imports::{Connections, Environment, OwnedCurrent, Wasi},
    limits::Limits,
    refusal::Refusal,
    wire,
};
use memory::MemoryMeter;
use overtime::{Overtime, thread_time};
use parking_lot::Mutex;
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};
use tidegate_hooks::FaultKind;
use usage::Used;
use wasmtime::{
    Store, StoreContextMut, Trap, UpdateDeadline,
    component::{ComponentNamedList, InstancePre, Lift, Lower, TypedFunc},
};

/// An instance is replaced after so many calls, against slow leaks.
const CALLS: u64 = 1_000_000;

/// Bytes that a guest's answer may take up on our side, even if its own memory is smaller.
const LEAST_ANSWER: usize = 16 << 20;

/// What a store holds.
pub(crate) struct Guest {
    pub(crate) environment: Arc<Environment>,
    /// What the running hook is about, if it may wait.
    pub(crate) current: Option<OwnedCurrent>,
    pub(crate) wasi: Wasi,
    pub(crate) connections: Connections,
    /// The term under which it has opened the engine.
    pub(crate) engine_term: Option<u64>,
    memory: MemoryMeter,
    on_deadline: OnDeadline,
    _clock: ClockUse,
}

/// What happens when the epoch reaches the store's deadline.
enum OnDeadline {
    /// The call ends, once it has had its time: hot hooks.
    Trap(Overtime),
    /// The task gives way to others and goes on: calls with a wall timeout around them.
    Yield,
}

/// What instances are made of: the same for all of one generation.
pub(crate) struct Mould {
    pub(crate) pre: InstancePre<Guest>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) exports: Exports,
    pub(crate) environment: Arc<Environment>,
    pub(crate) limits: Limits,
    /// From the generation before.
    pub(crate) state: Mutex<Option<Arc<[u8]>>>,
    /// What the first instance answered to `init`.
    pub(crate) scopes: OnceLock<Vec<wire::Scope>>,
    /// By all instances.
    pub(crate) usage: Arc<Usage>,
}

/// A guest that said yes to `init` and has not failed yet.
pub(crate) struct Instance {
    store: Store<Guest>,
    functions: Functions,
    calls: u64,
    deadline: Duration,
    /// For `storage`: the term for which it has been opened.
    pub(crate) opened: Option<u64>,
}

/// Why there is no instance.
#[derive(Debug)]
pub(crate) enum NotMade {
    /// It cannot be instantiated.
    Instantiate(wasmtime::Error),
    /// Its functions have other types.
    Interface(wasmtime::Error),
    /// `init` said no.
    Refused(String),
    /// `init` failed.
    Fault(FaultKind),
}

impl NotMade {
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Instantiate(error) | Self::Interface(error) => format!("{error:#}"),
            Self::Refused(text) => text.clone(),
            Self::Fault(fault) => fault.to_string(),
        }
    }
}

impl From<NotMade> for FaultKind {
    fn from(why: NotMade) -> Self {
        Self::NoInstance(why.text().into())
    }
}

impl From<NotMade> for Refusal {
    fn from(why: NotMade) -> Self {
        let text = why.text().into();
        match why {
            NotMade::Instantiate(_) => Self::Instantiate(text),
            NotMade::Interface(_) => Self::Interface(text),
            NotMade::Refused(_) | NotMade::Fault(_) => Self::Init(text),
        }
    }
}

impl Mould {
    /// Instances made from now on start with `state`.
    pub(crate) fn start_with(&self, state: Arc<[u8]>) {
        *self.state.lock() = Some(state);
    }

    fn start<'a>(&'a self, state: Option<&'a [u8]>) -> wire::Start<'a> {
        wire::Start {
            plugin: &self.environment.plugin,
            generation: self.environment.generation,
            broker_version: &self.environment.broker_version,
            state,
        }
    }

    fn store(&self, on_deadline: OnDeadline) -> Store<Guest> {
        let used = Used::new(&self.usage);
        let memory = MemoryMeter::new(self.limits.memory.bytes(), self.limits.table_elements, used);
        let environment = self.environment.clone();
        let (clock, wasi) = (ClockUse::new(&self.clock), Wasi::new(&environment));
        let guest = Guest {
            environment,
            current: None,
            wasi,
            connections: Connections::default(),
            engine_term: None,
            memory,
            on_deadline,
            _clock: clock,
        };
        let mut store = Store::new(self.pre.engine(), guest);
        store.limiter(|guest| &mut guest.memory);
        // What one answer or import may make the host allocate; lists can name the same bytes more than once.
        store.set_hostcall_fuel(self.limits.memory.bytes().max(LEAST_ANSWER));
        store.epoch_deadline_callback(|mut store: StoreContextMut<'_, Guest>| {
            Ok(match &mut store.data_mut().on_deadline {
                OnDeadline::Trap(overtime) => match overtime.goes_on(thread_time()) {
                    true => UpdateDeadline::Continue(1),
                    false => UpdateDeadline::Interrupt,
                },
                OnDeadline::Yield => UpdateDeadline::Yield(1),
            })
        });
        store
    }

    /// Makes an instance off the hot path: gives way to other tasks at every tick, within `limits.init_timeout`.
    pub(crate) async fn make(&self) -> Result<Instance, NotMade> {
        let made = async {
            let mut store = self.store(OnDeadline::Yield);
            store.set_epoch_deadline(1);
            let instance =
                self.pre.instantiate_async(&mut store).await.map_err(|error| not_made(&store, error))?;
            let functions = self.exports.functions(&mut store, &instance).map_err(NotMade::Interface)?;
            let state = self.state.lock().clone();
            let answer = functions.init.call_async(&mut store, (self.start(state.as_deref()),)).await;
            let (answer,) = answer.map_err(|error| NotMade::Fault(fault(&store, &error)))?;
            self.compare(answer.map_err(NotMade::Refused)?);
            Ok(self.instance(store, functions))
        };
        match tokio::time::timeout(self.limits.init_timeout, made).await {
            Ok(made) => made,
            Err(_) => Err(NotMade::Fault(FaultKind::Deadline)),
        }
    }

    /// Makes an instance at once, on a caller's thread: `init` has as long as a hot hook.
    pub(crate) fn make_now(&self, state: Option<&[u8]>) -> Result<Instance, NotMade> {
        let mut store = self.store(OnDeadline::Yield);
        run_hot(&mut store, self.limits.deadline);
        let instance = self.pre.instantiate(&mut store).map_err(|error| not_made(&store, error))?;
        let functions = self.exports.functions(&mut store, &instance).map_err(NotMade::Interface)?;
        let own = self.state.lock().clone();
        let (answer,) = functions
            .init
            .call(&mut store, (self.start(state.or(own.as_deref())),))
            .map_err(|error| NotMade::Fault(fault(&store, &error)))?;
        self.compare(answer.map_err(NotMade::Refused)?);
        Ok(self.instance(store, functions))
    }

    /// The first instance speaks for all.
    fn compare(&self, scopes: Vec<wire::Scope>) {
        if let Some(first) = self.scopes.get() {
            if *first != scopes {
                let Environment { plugin, generation, .. } = &*self.environment;
                tracing::warn!(%plugin, generation, "a later instance asks for other scopes than the first; they are ignored");
            }
            return;
        }
        // Only the first instance comes here, and alone.
        _ = self.scopes.set(scopes);
    }

    fn instance(&self, store: Store<Guest>, functions: Functions) -> Instance {
        Instance { store, functions, calls: 0, deadline: self.limits.deadline, opened: None }
    }
}

impl Instance {
    /// Calls a hook at once, on the caller's thread and within the deadline of hot hooks. After an error the instance is worth nothing.
    pub(crate) fn call<P, R>(
        &mut self,
        function: impl FnOnce(&Functions) -> Option<TypedFunc<P, R>>,
        params: P,
    ) -> Result<R, FaultKind>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        let function = function(&self.functions).ok_or_else(not_exported)?;
        self.calls += 1;
        run_hot(&mut self.store, self.deadline);
        function.call(&mut self.store, params).map_err(|error| fault(&self.store, &error))
    }

    /// Calls a hook that may take its time. Must end in a `timeout`; if it does not end, or ends in an error, so does the instance.
    pub(crate) async fn call_calmly<P, R>(
        &mut self,
        current: Option<OwnedCurrent>,
        function: impl FnOnce(&Functions) -> Option<TypedFunc<P, R>>,
        params: P,
    ) -> Result<R, FaultKind>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift + 'static,
    {
        let function = function(&self.functions).ok_or_else(not_exported)?;
        self.calls += 1;
        self.run_calmly(current);
        let answer = function.call_async(&mut self.store, params).await;
        self.store.data_mut().current = None;
        answer.map_err(|error| fault(&self.store, &error))
    }

    /// `lifecycle.drain`, at once and within `deadline`.
    pub(crate) fn drain(&mut self, deadline: Duration) -> Result<Option<Vec<u8>>, FaultKind> {
        run_hot(&mut self.store, deadline);
        let answer = self.functions.drain.call(&mut self.store, ());
        answer.map(|(state,)| state).map_err(|error| fault(&self.store, &error))
    }

    /// `lifecycle.drain` of a guest that may wait. Must end in a `timeout`.
    pub(crate) async fn drain_calmly(&mut self) -> Result<Option<Vec<u8>>, FaultKind> {
        self.run_calmly(None);
        let answer = self.functions.drain.call_async(&mut self.store, ()).await;
        answer.map(|(state,)| state).map_err(|error| fault(&self.store, &error))
    }

    /// Old or swollen: to be replaced.
    pub(crate) fn is_spent(&self) -> bool {
        self.calls >= CALLS || self.store.data().memory.nearly_full()
    }

    fn run_calmly(&mut self, current: Option<OwnedCurrent>) {
        let guest = self.store.data_mut();
        guest.on_deadline = OnDeadline::Yield;
        guest.current = current;
        self.store.set_epoch_deadline(1);
    }
}

/// The next call ends after `deadline`.
fn run_hot(store: &mut Store<Guest>, deadline: Duration) {
    let half = deadline / 2;
    store.data_mut().on_deadline = OnDeadline::Trap(Overtime::new(half));
    store.set_epoch_deadline(ticks(half));
}

fn not_exported() -> FaultKind {
    FaultKind::NoInstance("the hook is not exported".into())
}

fn not_made(store: &Store<Guest>, error: wasmtime::Error) -> NotMade {
    // A start function that traps is the guest's fault, too large a memory or too many instances are not.
    if error.is::<Trap>() { NotMade::Fault(fault(store, &error)) } else { NotMade::Instantiate(error) }
}

fn fault(store: &Store<Guest>, error: &wasmtime::Error) -> FaultKind {
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => FaultKind::Deadline,
        trap => {
            let mut why = match trap {
                Some(trap) => trap.to_string().trim_start_matches("wasm trap: ").to_owned(),
                None => error.root_cause().to_string(),
            };
            if let Some(place) = error.downcast_ref().and_then(backtrace::in_a_line) {
                why = format!("{why}, in {place}");
            }
            match store.data().memory.denied() {
                Some(limit) => {
                    FaultKind::Trap(format!("{why} (after memory beyond {limit} was denied)").into())
                }
                None => FaultKind::Trap(why.into()),
            }
        }
    }
}

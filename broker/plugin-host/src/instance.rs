//! One instance of a guest with its store: made, called, thrown away after its first fault.

mod memory;
mod overtime;
mod slots;

pub(crate) use slots::{Acquired, Slot, Slots, Tally, Unavailable};

use crate::{
    engine::{Clock, ClockUse, ticks},
    imports::{Environment, Wasi},
    limits::Limits,
    refusal::{Refusal, VERSION},
    wire,
};
use memory::MemoryMeter;
use overtime::{Overtime, thread_time};
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};
use tidegate_hooks::FaultKind;
use wasmtime::{
    Store, StoreContextMut, Trap, UpdateDeadline,
    component::{
        Component, ComponentExportIndex, ComponentNamedList, Instance as WasmInstance, InstancePre, Lift,
        Lower, TypedFunc,
    },
};

/// An instance is replaced after so many calls, against slow leaks.
const CALLS: u64 = 1_000_000;

/// Bytes that a guest's answer may take up on our side, even if its own memory is smaller.
const LEAST_ANSWER: usize = 16 << 20;

/// What a store holds.
pub(crate) struct Guest {
    pub(crate) environment: Arc<Environment>,
    pub(crate) wasi: Wasi,
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

/// Which functions a component exports, looked up once.
#[derive(Clone)]
pub(crate) struct Exports {
    init: ComponentExportIndex,
    drain: ComponentExportIndex,
    authenticate: Option<ComponentExportIndex>,
    check: Option<ComponentExportIndex>,
    on_publish: Option<ComponentExportIndex>,
}

impl Exports {
    /// None without `lifecycle`.
    pub(crate) fn of(component: &Component) -> Option<Self> {
        let function = |interface: &str, name: &str| {
            let interface =
                component.get_export_index(None, format!("tidegate:plugin/{interface}@{VERSION}"))?;
            component.get_export_index(Some(&interface), name)
        };
        Some(Self {
            init: function("lifecycle", "init")?,
            drain: function("lifecycle", "drain")?,
            authenticate: function("auth", "authenticate"),
            check: function("acl", "check"),
            on_publish: function("publish", "on-publish"),
        })
    }

    pub(crate) fn authenticates(&self) -> bool {
        self.authenticate.is_some()
    }

    pub(crate) fn checks(&self) -> bool {
        self.check.is_some()
    }

    pub(crate) fn publishes(&self) -> bool {
        self.on_publish.is_some()
    }
}

type Function<P, R> = TypedFunc<(P,), (R,)>;

/// The functions of one instance, types checked.
struct Functions {
    init: Function<wire::Start<'static>, Result<Vec<wire::Scope>, String>>,
    drain: TypedFunc<(), (Option<Vec<u8>>,)>,
    authenticate: Option<Function<wire::Connect<'static>, wire::Outcome>>,
    check: Option<Function<wire::AclRequest<'static>, wire::Decision>>,
    on_publish: Option<Function<wire::Message<'static>, wire::Verdict>>,
}

/// What instances are made of: the same for all of one generation.
pub(crate) struct Mould {
    pub(crate) pre: InstancePre<Guest>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) exports: Exports,
    pub(crate) environment: Arc<Environment>,
    pub(crate) limits: Limits,
    /// From the generation before.
    pub(crate) state: Option<Arc<[u8]>>,
    /// What the first instance answered to `init`.
    pub(crate) scopes: OnceLock<Vec<wire::Scope>>,
}

/// A guest that said yes to `init` and has not failed yet.
pub(crate) struct Instance {
    store: Store<Guest>,
    functions: Functions,
    calls: u64,
    deadline: Duration,
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
    fn start(&self) -> wire::Start<'_> {
        wire::Start {
            plugin: &self.environment.plugin,
            generation: self.environment.generation,
            broker_version: &self.environment.broker_version,
            state: self.state.as_deref(),
        }
    }

    fn store(&self, on_deadline: OnDeadline) -> Store<Guest> {
        let memory = MemoryMeter::new(self.limits.memory.bytes(), self.limits.table_elements);
        let environment = self.environment.clone();
        let wasi = Wasi::new(&environment);
        let guest = Guest { environment, wasi, memory, on_deadline, _clock: ClockUse::new(&self.clock) };
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
            let functions = self.functions(&mut store, &instance).map_err(NotMade::Interface)?;
            let answer = functions.init.call_async(&mut store, (self.start(),)).await;
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
        let functions = self.functions(&mut store, &instance).map_err(NotMade::Interface)?;
        let start = wire::Start { state: state.or(self.state.as_deref()), ..self.start() };
        let (answer,) = functions
            .init
            .call(&mut store, (start,))
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
        Instance { store, functions, calls: 0, deadline: self.limits.deadline }
    }

    fn functions(&self, store: &mut Store<Guest>, instance: &WasmInstance) -> wasmtime::Result<Functions> {
        fn typed<P, R>(
            store: &mut Store<Guest>,
            instance: &WasmInstance,
            index: Option<ComponentExportIndex>,
        ) -> wasmtime::Result<Option<TypedFunc<P, R>>>
        where
            P: ComponentNamedList + Lower,
            R: ComponentNamedList + Lift,
        {
            index.map(|index| instance.get_typed_func(store, index)).transpose()
        }
        let exports = &self.exports;
        Ok(Functions {
            init: instance.get_typed_func(&mut *store, exports.init)?,
            drain: instance.get_typed_func(&mut *store, exports.drain)?,
            authenticate: typed(store, instance, exports.authenticate)?,
            check: typed(store, instance, exports.check)?,
            on_publish: typed(store, instance, exports.on_publish)?,
        })
    }
}

impl Instance {
    /// `auth.authenticate`. Must end in a `timeout`; if it does not end, or ends in an error, so does the instance.
    pub(crate) async fn authenticate(
        &mut self,
        connect: wire::Connect<'_>,
    ) -> Result<wire::Outcome, FaultKind> {
        let function = self.functions.authenticate.ok_or_else(not_exported)?;
        self.calls += 1;
        self.store.data_mut().on_deadline = OnDeadline::Yield;
        self.store.set_epoch_deadline(1);
        let answer = call_async(function, &mut self.store, connect).await;
        answer.map_err(|error| fault(&self.store, &error))
    }

    /// `acl.check`
    pub(crate) fn check(&mut self, request: wire::AclRequest<'_>) -> Result<wire::Decision, FaultKind> {
        let function = self.functions.check.ok_or_else(not_exported)?;
        self.call(function, request)
    }

    /// `publish.on-publish`
    pub(crate) fn on_publish(&mut self, message: wire::Message<'_>) -> Result<wire::Verdict, FaultKind> {
        let function = self.functions.on_publish.ok_or_else(not_exported)?;
        self.call(function, message)
    }

    /// `lifecycle.drain`, at once and within `deadline`.
    pub(crate) fn drain(&mut self, deadline: Duration) -> Result<Option<Vec<u8>>, FaultKind> {
        run_hot(&mut self.store, deadline);
        let answer = self.functions.drain.call(&mut self.store, ());
        answer.map(|(state,)| state).map_err(|error| fault(&self.store, &error))
    }

    /// Old or swollen: to be replaced.
    pub(crate) fn is_spent(&self) -> bool {
        self.calls >= CALLS || self.store.data().memory.nearly_full()
    }

    fn call<P, R>(&mut self, function: Function<P, R>, request: P) -> Result<R, FaultKind>
    where
        P: Lower + Send + Sync,
        R: Lift + Send + Sync + 'static,
        (P,): ComponentNamedList + Lower,
        (R,): ComponentNamedList + Lift,
    {
        self.calls += 1;
        run_hot(&mut self.store, self.deadline);
        match function.call(&mut self.store, (request,)) {
            Ok((answer,)) => Ok(answer),
            Err(error) => Err(fault(&self.store, &error)),
        }
    }
}

/// The next call ends after `deadline`.
fn run_hot(store: &mut Store<Guest>, deadline: Duration) {
    let half = deadline / 2;
    store.data_mut().on_deadline = OnDeadline::Trap(Overtime::new(half));
    store.set_epoch_deadline(ticks(half));
}

/// Ties the function's `'static` records to shorter ones.
async fn call_async<'a>(
    function: Function<wire::Connect<'a>, wire::Outcome>,
    store: &mut Store<Guest>,
    connect: wire::Connect<'a>,
) -> wasmtime::Result<wire::Outcome> {
    function.call_async(store, (connect,)).await.map(|(outcome,)| outcome)
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
            let why = match trap {
                Some(trap) => trap.to_string(),
                None => error.root_cause().to_string(),
            };
            match store.data().memory.denied() {
                Some(limit) => {
                    FaultKind::Trap(format!("{why} (after memory beyond {limit} was denied)").into())
                }
                None => FaultKind::Trap(why.into()),
            }
        }
    }
}

//! The one wasmtime engine: its settings, its clock, and what it links guests with.

use crate::{imports, instance::Guest};
use std::{
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{JoinHandle, Thread},
    time::{Duration, Instant},
};
use tokio::runtime::{Handle, Runtime};
use wasmtime::{
    Config, Engine, EngineWeak, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig,
    component::{Component, InstancePre, Linker},
};

/// How far the guests' clock goes at once; deadlines are counted in these.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// Stack of a guest. Hot hooks run on the stack of the caller's thread, of which this is a part.
const WASM_STACK: usize = 512 << 10;

/// Engine, ticker and the thread for errands; ends with its last user.
pub(crate) struct PluginEngine {
    pub(crate) engine: Engine,
    ticker: Ticker,
    errands: Errands,
}

/// A thread apart from those that serve clients: for what plugins need besides calls, such as files, new instances, timers and HTTP.
struct Errands(Option<Runtime>);

/// The engine cannot be made on this machine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// wasmtime refused.
    #[error("the WebAssembly engine does not start: {0}")]
    Wasmtime(Box<str>),
    /// No thread for the guests' clock, or for errands.
    #[error("a thread for the plugins does not start: {0}")]
    Thread(#[from] io::Error),
}

impl From<wasmtime::Error> for EngineError {
    fn from(error: wasmtime::Error) -> Self {
        Self::Wasmtime(format!("{error:#}").into())
    }
}

impl PluginEngine {
    pub(crate) fn new() -> Result<Self, EngineError> {
        let engine = match Engine::new(&pooling()) {
            Ok(engine) => engine,
            Err(error) => {
                tracing::warn!(
                    error = %format!("{error:#}"),
                    "too little address space for the plugin pool; new plugin instances will take longer"
                );
                Engine::new(&on_demand())?
            }
        };
        let ticker = Ticker::start(engine.weak())?;
        Ok(Self { engine, ticker, errands: Errands::start()? })
    }

    /// Where errands are run.
    pub(crate) fn errands(&self) -> Handle {
        self.errands.0.as_ref().map_or_else(Handle::current, |runtime| runtime.handle().clone())
    }

    /// Links `component` with what guests may call. One that `waits` may be suspended in some of it and can only be called by
    /// `call_async`, so its linker is another. Takes a fraction of a millisecond, since WASI is linked as the component wants it.
    pub(crate) fn link(&self, component: &Component, waits: bool) -> wasmtime::Result<InstancePre<Guest>> {
        let mut linker = Linker::new(&self.engine);
        imports::link(&mut linker, component, waits)?;
        linker.instantiate_pre(component)
    }

    pub(crate) fn clock(&self) -> Arc<Clock> {
        self.ticker.clock.clone()
    }
}

impl Errands {
    fn start() -> io::Result<Self> {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        runtime.worker_threads(1).thread_name("tidegate-errands").enable_all();
        Ok(Self(Some(runtime.build()?)))
    }
}

impl Drop for Errands {
    fn drop(&mut self) {
        // Its last user may be a task, which must not wait.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

fn common() -> Config {
    let mut config = Config::new();
    config
        // Costs 500 ns a call; the interface has nothing that needs it.
        .concurrency_support(false)
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK)
        .async_stack_size(WASM_STACK + (512 << 10))
        .cranelift_opt_level(OptLevel::Speed)
        .parallel_compilation(true)
        // Those of a panic come first, and there are some ten of them.
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(32));
    config
}

/// Address space for 1,024 components is reserved once; an instance is then a matter of microseconds. 2,048 memories of 4 GiB and
/// their guards are 8 TiB of the 128 there are; nothing of it is used before it is touched.
fn pooling() -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(1024)
        .total_core_instances(16 << 10)
        .total_memories(2048)
        .total_tables(4096)
        .total_stacks(2048)
        // A Python guest is 38 core modules with large tables.
        .max_core_instances_per_component(128)
        .max_memories_per_component(8)
        .max_tables_per_component(64)
        .max_component_instance_size(16 << 20)
        .max_core_instance_size(8 << 20)
        .max_tables_per_module(4)
        .max_memories_per_module(4)
        .table_elements(100_000);
    let mut config = common();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

/// For `ulimit -v` and the like: memories are made when needed, no larger than needed.
fn on_demand() -> Config {
    let mut config = common();
    config
        .allocation_strategy(InstanceAllocationStrategy::OnDemand)
        .memory_reservation(0)
        .memory_reservation_for_growth(1 << 20)
        .memory_guard_size(64 << 10);
    config
}

/// Deadlines in ticks. One more than asked for, since the running tick is already part of the past.
pub(crate) fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX / 2).saturating_add(1)
}

/// Runs only while there are stores: a broker without plugins is not woken a thousand times a second.
#[derive(Default)]
pub(crate) struct Clock {
    stores: AtomicUsize,
    stop: AtomicBool,
    thread: OnceLock<Thread>,
}

/// Keeps the clock running; each store has one.
pub(crate) struct ClockUse(Arc<Clock>);

impl ClockUse {
    pub(crate) fn new(clock: &Arc<Clock>) -> Self {
        if clock.stores.fetch_add(1, Ordering::AcqRel) == 0 {
            clock.wake();
        }
        Self(clock.clone())
    }
}

impl Drop for ClockUse {
    fn drop(&mut self) {
        self.0.stores.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Clock {
    fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    fn run(&self, engine: &EngineWeak) {
        let mut next = Instant::now() + TICK;
        while !self.stop.load(Ordering::Acquire) {
            if self.stores.load(Ordering::Acquire) == 0 {
                std::thread::park();
                continue;
            }
            let now = Instant::now();
            if let Some(early) = next.checked_duration_since(now) {
                std::thread::sleep(early);
            } else if now.duration_since(next) > TICK * 4 {
                // The machine slept or is overloaded: guests get time, not a burst of ticks.
                next = now;
            }
            next += TICK;
            let Some(engine) = engine.upgrade() else { return };
            engine.increment_epoch();
        }
    }
}

/// Moves the engine's epoch every millisecond; ends with the last user of the engine.
struct Ticker {
    clock: Arc<Clock>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(engine: EngineWeak) -> io::Result<Self> {
        let clock = Arc::new(Clock::default());
        let running = clock.clone();
        let thread =
            std::thread::Builder::new().name("plugin-clock".into()).spawn(move || running.run(&engine))?;
        _ = clock.thread.set(thread.thread().clone());
        // A store may have been made before the thread was known.
        clock.wake();
        Ok(Self { clock, thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.clock.stop.store(true, Ordering::Release);
        self.clock.wake();
        if let Some(thread) = self.thread.take() {
            // It sleeps for a millisecond at most, and cannot have panicked.
            _ = thread.join();
        }
    }
}

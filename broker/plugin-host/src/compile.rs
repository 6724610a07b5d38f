//! From the bytes of a file to compiled code, through the cache.

mod cache;

use crate::refusal::Refusal;
use bytes::Bytes;
use cache::CompiledCache;
use rayon::ThreadPoolBuilder;
use std::{path::Path, sync::Arc};
use tokio::{
    sync::{Semaphore, oneshot},
    task::spawn_blocking,
};
use wasmtime::{Engine, component::Component};

/// Plugins compiled at once. Each takes its share of the machine; a large one takes some hundred megabytes of memory meanwhile.
const AT_ONCE: usize = 8;

/// Compiles plugins, each on threads of its own, so that a slow one holds up no other.
#[derive(Clone)]
pub(crate) struct Compiler {
    engine: Engine,
    cache: CompiledCache,
    at_once: Arc<Semaphore>,
}

/// How compiling stands to everything else that the machine does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Urgency {
    /// Somebody waits for it.
    Awaited,
    /// Its threads give way to all others.
    GivesWay,
}

impl Compiler {
    pub(crate) fn new(engine: Engine, data_dir: &Path) -> Self {
        Self { engine, cache: CompiledCache::new(data_dir), at_once: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Compiles `bytes`, or takes them from the cache: milliseconds to many seconds. Once begun it goes on to its end even if nobody
    /// waits any more; only the end of the process ends it.
    pub(crate) async fn compile(&self, bytes: Bytes, urgency: Urgency) -> Result<Component, Refusal> {
        check_header(&bytes)?;
        let Self { engine, cache, at_once } = self.clone();
        let look_up = move || {
            let key = cache.key(&engine, &bytes);
            let component = cache.load(&engine, &key);
            (component, key, engine, cache, bytes)
        };
        let (known, key, engine, cache, bytes) = spawn_blocking(look_up).await.map_err(failed)?;
        if let Some(component) = known {
            return Ok(component);
        }
        let permit = at_once.acquire_owned().await.map_err(failed)?;
        let (tell, told) = oneshot::channel();
        on_own_threads(urgency, move || {
            let component = Component::from_binary(&engine, &bytes).map_err(|error| refusal(&error));
            if let Ok(component) = &component {
                cache.store(&key, component);
            }
            drop(permit);
            // Nobody waits any more: it is in the cache for the next time.
            _ = tell.send(component);
        });
        told.await.map_err(failed)?
    }
}

/// The first eight bytes tell most mistakes.
pub(crate) fn check_header(bytes: &[u8]) -> Result<(), Refusal> {
    match bytes {
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', _, _, 0, 0, ..] => Err(Refusal::CoreModule),
        bytes if bytes.len() < 8 => Err(Refusal::Truncated),
        _ => Err(Refusal::NotWasm),
    }
}

fn failed(why: impl std::fmt::Display) -> Refusal {
    Refusal::Invalid(format!("the compiler failed: {why}").into())
}

fn refusal(error: &wasmtime::Error) -> Refusal {
    let text = format!("{error:#}").replace('\n', " ");
    let cut_short = ["unexpected end", "unexpected-end", "extends past end", "is out of bounds (bound"];
    if cut_short.iter().any(|sign| text.contains(sign)) {
        return Refusal::Truncated;
    }
    if text.contains("component model async") || text.contains("component-model-async") {
        return Refusal::NeedsAsync;
    }
    Refusal::Invalid(text.into())
}

/// Runs `work` in a thread pool of its own, which ends with the work. In one pool for all, the work that came first would have all
/// threads until it is done.
fn on_own_threads(urgency: Urgency, work: impl FnOnce() + Send + 'static) {
    let pool = ThreadPoolBuilder::new()
        .thread_name(|n| format!("plugin-compile-{n}"))
        .start_handler(move |_| {
            if urgency == Urgency::GivesWay {
                crate::priority::lower();
            }
        })
        // Whoever waits for the work sees that nobody will answer.
        .panic_handler(|_| {})
        .build();
    match pool {
        Ok(pool) => pool.spawn(work),
        Err(_) => drop(spawn_blocking(work)),
    }
}

//! From the bytes of a file to compiled code, through the cache.

mod cache;

pub(crate) use cache::CompiledCache;

use crate::refusal::Refusal;
use rustix::process::{getpriority_process, setpriority_process};
use wasmtime::{Engine, component::Component};

/// Compiles `bytes`, or takes them from the cache. Takes milliseconds to many seconds: run it where that is no harm. The
/// compiler's threads give way to all others.
pub(crate) fn compile(engine: &Engine, cache: &CompiledCache, bytes: &[u8]) -> Result<Component, Refusal> {
    check_header(bytes)?;
    let key = cache.key(engine, bytes);
    if let Some(component) = cache.load(engine, &key) {
        return Ok(component);
    }
    let component =
        with_low_priority(|| Component::from_binary(engine, bytes)).map_err(|error| refusal(&error))?;
    cache.store(&key, &component);
    Ok(component)
}

/// The first eight bytes tell most mistakes.
fn check_header(bytes: &[u8]) -> Result<(), Refusal> {
    match bytes {
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', _, _, 0, 0, ..] => Err(Refusal::CoreModule),
        bytes if bytes.len() < 8 => Err(Refusal::Truncated),
        _ => Err(Refusal::NotWasm),
    }
}

fn refusal(error: &wasmtime::Error) -> Refusal {
    let text = format!("{error:#}").replace('\n', " ");
    if text.contains("unexpected end")
        || text.contains("unexpected-end")
        || text.contains("extends past end")
        || text.contains("is out of bounds")
    {
        return Refusal::Truncated;
    }
    if text.contains("component model async") || text.contains("component-model-async") {
        return Refusal::NeedsAsync;
    }
    Refusal::Invalid(text.into())
}

/// Runs `work` in a thread pool of its own, which gives way to all other threads and ends with the work.
fn with_low_priority<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let pool = rayon::ThreadPoolBuilder::new()
        .thread_name(|n| format!("plugin-compile-{n}"))
        .start_handler(|_| {
            // On Linux this is about the calling thread alone. Without the right to it, compiling is as urgent as the rest.
            let nice = getpriority_process(None).unwrap_or(0);
            _ = setpriority_process(None, nice.saturating_add(15));
        })
        .build();
    match pool {
        Ok(pool) => pool.install(work),
        Err(_) => work(),
    }
}

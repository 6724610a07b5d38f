//! WASI 0.2 for guests of ordinary compilers: a clock, random numbers, `stdout` and `stderr` as lines of the log, requests by
//! `wasi:http`. No arguments, no environment, no files, no sockets.
//!
//! Our own and not that of `wasmtime-wasi`: its synchronous `poll` and streams block on a runtime, which panics on a thread that serves
//! clients; its asynchronous ones would make every hook of every guest a call on a stack of its own; and it brings the files and sockets
//! that no plugin may have. Here nothing waits but `poll`, `block` and requests of plugins that were granted `http`.
//!
//! `wit/wasi.wit` says what there is. What else WASI has, in this or a later 0.2, links as well: see `absent`.

#![allow(
    unreachable_pub,
    reason = "resources must be public for what `bindgen!` makes, as public as this module is"
)]

mod absent;
mod cli;
mod clocks;
mod http;
mod lines;
mod poll;
mod random;
mod streams;

use super::Environment;
use crate::{instance::Guest, wire::Level};
use http::Scale;
use lines::Lines;
use std::sync::Arc;
use wasmtime::component::{Component, HasSelf, Linker, Resource, ResourceTable};

/// Pollables, streams, headers and the like that an instance may have at once.
const MOST_RESOURCES: usize = 10_000;

/// The 0.2 that everything is linked as. wasmtime takes it for whichever 0.2 a guest asks for.
const LINKED: &str = "0.2.12";

#[allow(missing_docs, reason = "generated")]
mod bindings {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "tidegate:wasi/offered",
        imports: { default: trappable },
        with: {
            "wasi:io/error.error": crate::imports::wasi::streams::IoError,
            "wasi:io/poll.pollable": crate::imports::wasi::poll::Pollable,
            "wasi:io/streams.input-stream": crate::imports::wasi::streams::InputStream,
            "wasi:io/streams.output-stream": crate::imports::wasi::streams::OutputStream,
            "wasi:http/types.fields": crate::imports::wasi::http::Fields,
            "wasi:http/types.outgoing-request": crate::imports::wasi::http::OutgoingRequest,
            "wasi:http/types.request-options": crate::imports::wasi::http::RequestOptions,
            "wasi:http/types.outgoing-body": crate::imports::wasi::http::OutgoingBody,
            "wasi:http/types.future-incoming-response": crate::imports::wasi::http::FutureResponse,
            "wasi:http/types.incoming-response": crate::imports::wasi::http::IncomingResponse,
            "wasi:http/types.incoming-body": crate::imports::wasi::http::IncomingBody,
            "wasi:http/types.future-trailers": crate::imports::wasi::http::FutureTrailers,
        },
    });
}

/// What WASI keeps for one instance.
pub(crate) struct Wasi {
    environment: Arc<Environment>,
    resources: ResourceTable,
    stdout: Lines,
    stderr: Lines,
    /// For its requests and their answers.
    scale: Scale,
}

impl Wasi {
    pub(crate) fn new(environment: &Arc<Environment>) -> Self {
        let mut resources = ResourceTable::new();
        resources.set_max_capacity(MOST_RESOURCES);
        Self {
            environment: environment.clone(),
            resources,
            stdout: Lines::new(Level::Info),
            stderr: Lines::new(Level::Warn),
            scale: Scale::default(),
        }
    }

    /// Hands a resource to the guest.
    fn lend<T: Send + 'static>(&mut self, resource: T) -> wasmtime::Result<Resource<T>> {
        let full = |error| wasmtime::format_err!("at most {MOST_RESOURCES} WASI resources at once: {error}");
        self.resources.push(resource).map_err(full)
    }
}

impl Drop for Wasi {
    fn drop(&mut self) {
        // What a guest wrote last, before it trapped, say.
        self.stdout.end(&self.environment);
        self.stderr.end(&self.environment);
    }
}

/// Makes known to `linker` whatever of WASI 0.2 `component` imports. In a linker that `waits` some of it is asynchronous.
pub(super) fn link(linker: &mut Linker<Guest>, component: &Component, waits: bool) -> wasmtime::Result<()> {
    // What there is takes the place of what there is not.
    linker.allow_shadowing(true);
    absent::link(linker, component)?;
    bindings::Offered::add_to_linker::<Guest, HasSelf<Wasi>>(linker, |guest| &mut guest.wasi)?;
    if waits {
        poll::wait(linker)?
    } else {
        http::deny(linker)?
    }
    linker.allow_shadowing(false);
    Ok(())
}

/// `wasi:io/poll` with the version it is linked as.
fn linked(interface: &str) -> String {
    format!("{interface}@{LINKED}")
}

/// Whether `name` is an interface of a released WASI 0.2.
pub(crate) fn is_wasi(name: &str) -> bool {
    let patch = name.strip_prefix("wasi:").and_then(|name| name.split_once("@0.2.")).map(|(_, patch)| patch);
    patch.is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|c| c.is_ascii_digit()))
}

//! From a socket that was taken in to a stream of MQTT bytes: PROXY protocol, TLS, WebSocket.
//!
//! An [`Acceptor`] shakes hands on a [`Raw`] socket and gives a [`Stream`] and the [`Peer`] behind it. A stream is driven by readiness:
//! wait with [`Stream::readable`] and [`Stream::writable`], then try. An idle one holds no buffer of ours.
//!
//! Files in reading order: `accept`, `proxy`, `tls` (with `tls/settings`, `tls/peer`), `websocket` (with `websocket/upgrade`,
//! `websocket/frames`), `stream`, `raw`; `fuzz` is for fuzz targets only.

#![cfg_attr(test, allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking"))]

mod accept;
pub mod fuzz;
mod proxy;
mod raw;
mod stream;
#[cfg(test)]
mod tests;
mod tls;
mod websocket;

pub use accept::{AcceptError, Acceptor, Peer};
pub use proxy::{Header, ProxyError, Source, parse};
pub use raw::Raw;
pub use stream::Stream;
pub use tls::{
    peer::{Certificate, TlsPeer},
    settings::{Alpn, ClientCert, TlsError, TlsFiles, TlsSettings},
};
pub use websocket::upgrade::{Refusal, Upgrade};

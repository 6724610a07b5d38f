//! A stand-in until the client is here: every request is denied.

use super::Environment;
use std::time::Duration;

/// What a plugin asks for.
#[allow(dead_code, reason = "a stand-in")]
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<Vec<u8>>,
    /// None: as long as the operator allows.
    pub(crate) timeout: Option<Duration>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// Why nothing came back.
#[allow(dead_code, reason = "a stand-in")]
#[derive(Debug)]
pub(crate) enum FetchError {
    Denied,
    Timeout,
    TooLarge,
    Other(String),
}

pub(crate) async fn fetch(_: &Environment, _: Request) -> Result<Response, FetchError> {
    Err(FetchError::Denied)
}

//! Requests to the origins that the operator grants. A plugin with that grant may wait in its hooks.
//!
//! ```
//! use tidegate_plugin::http::{Error, Request, Response};
//! # let host = tidegate_plugin::testing::Host::new();
//! # host.http(|request| Ok(Response::new(200, if request.url.ends_with("alice") { "yes" } else { "no" })));
//!
//! fn may_come_in(username: &str) -> Result<bool, Error> {
//!     let url = format!("http://127.0.0.1:8000/users/{username}");
//!     let response = Request::get(url).header("Accept", "text/plain").send()?;
//!     Ok(response.status == 200 && response.text() == "yes")
//! }
//! # assert_eq!((may_come_in("alice"), may_come_in("bob")), (Ok(true), Ok(false)));
//! ```

mod headers;

pub use headers::Headers;

use crate::host;
use std::{borrow::Cow, time::Duration};

/// Why there is no response.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// The operator has not granted this origin.
    #[error("the plugin is not granted this origin")]
    Denied,
    /// It did not come in time.
    #[error("no response in time")]
    Timeout,
    /// It is larger than the operator allows.
    #[error("the response is larger than allowed")]
    TooLarge,
    /// The plugin has as many requests under way as the operator allows.
    #[error("too many requests at once, see limits.http_concurrent")]
    TooMany,
    /// The connection failed, or what came was no HTTP.
    #[error("{0}")]
    Failed(String),
}

/// A request. Redirects are not followed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Request {
    /// Such as `GET`.
    pub method: String,
    /// Absolute: `https://HOST:PORT/PATH?QUERY`.
    pub url: String,
    /// Names and values, in order.
    pub headers: Vec<(String, String)>,
    /// What is sent, if anything.
    pub body: Option<Vec<u8>>,
    /// The longest it may take; None: as long as the operator allows.
    pub timeout: Option<Duration>,
}

impl Request {
    /// A request with that method.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self { method: method.into(), url: url.into(), ..Self::default() }
    }

    /// A GET.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// A POST of these bytes.
    pub fn post(url: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", url).body(body)
    }

    /// One more header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// What is sent.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// The longest it may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sends it and waits for the response. Needs its origin among the grant `http`.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn send(self) -> Result<Response, Error> {
        host::http_fetch(self)
    }
}

/// What the server answered, whatever its status.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Response {
    /// Such as 200.
    pub status: u16,
    /// Names and values, in order.
    pub headers: Vec<(String, String)>,
    /// Whole.
    pub body: Vec<u8>,
}

impl Response {
    /// A response without headers, for tests.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// The first header of that name, in upper or lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value.as_str()))
    }

    /// The body as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_found_in_any_case() {
        let response =
            Response { headers: vec![("Content-Type".into(), "a/b".into())], ..Response::default() };
        assert_eq!((response.header("content-type"), response.header("etag")), (Some("a/b"), None));
    }
}

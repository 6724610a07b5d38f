//! From an HTTP request to a WebSocket: RFC 6455, section 4.2, and what MQTT adds to it.

use std::fmt::Write;
use tungstenite::{
    error::{Error, ProtocolError},
    handshake::{
        machine::TryParse,
        server::{Request, create_response, write_response},
    },
    http::{HeaderValue, header},
};

/// Bytes of a request; a longer one is refused.
pub(crate) const HEAD_BOUND: usize = 16 * 1024;

/// Subprotocols, the best first [MQTT-6.0.0-4].
const SUBPROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];

/// Who may become a WebSocket.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Upgrade {
    /// Where: `/mqtt`.
    pub path: String,
    /// From whose pages, as browsers say in `Origin`: `https://example.org`. Programs that send no `Origin` are no browsers, and may.
    /// None: from any.
    pub origins: Option<Vec<String>>,
}

/// Why a client did not become a WebSocket, as HTTP says it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("refused with HTTP {status}: {why}")]
pub struct Refusal {
    status: &'static str,
    why: String,
}

impl Upgrade {
    /// The response to a request at the beginning of `bytes`, and the length of the request. None: more is needed.
    ///
    /// # Errors
    /// [`Refusal`]: what to send instead.
    pub fn answer(&self, bytes: &[u8]) -> Result<Option<(usize, Vec<u8>)>, Refusal> {
        let Some((len, request)) = Request::try_parse(bytes).map_err(|error| of_error(&error))? else {
            return if bytes.len() > HEAD_BOUND {
                Err(refusal("431 Request Header Fields Too Large", "the request is too long"))
            } else {
                Ok(None)
            };
        };
        if request.uri().path() != self.path {
            return Err(refusal("404 Not Found", format!("MQTT is at {}", self.path)));
        }
        if let (Some(origins), Some(origin)) = (&self.origins, request.headers().get(header::ORIGIN)) {
            let known = |known: &String| known.as_bytes().eq_ignore_ascii_case(origin.as_bytes());
            if !origins.iter().any(known) {
                return Err(refusal("403 Forbidden", "this origin may not come in"));
            }
        }
        let mut response = create_response(&request).map_err(|error| of_error(&error))?;
        let offered = || request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().flat_map(names);
        let Some(chosen) = SUBPROTOCOLS.into_iter().find(|known| offered().any(|offered| offered == *known))
        else {
            return Err(refusal("400 Bad Request", "the subprotocol mqtt is not offered"));
        };
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(chosen));
        let mut text = Vec::new();
        write_response(&mut text, &response).map_err(|error| of_error(&error))?;
        Ok(Some((len, text)))
    }
}

/// The names in a list that commas part.
fn names(header: &HeaderValue) -> impl Iterator<Item = &str> {
    header.to_str().unwrap_or_default().split(',').map(str::trim)
}

impl Refusal {
    /// What to send to the client.
    pub fn response(&self) -> Vec<u8> {
        let Self { status, why } = self;
        let mut text = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: text/plain\r\n");
        if status.starts_with("405") {
            text.push_str("Allow: GET\r\n");
        }
        if status.starts_with("426") {
            text.push_str("Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
        }
        // Writing to a string does not fail.
        let _ = write!(text, "Content-Length: {}\r\n\r\n{why}\n", why.len() + 1);
        text.into_bytes()
    }
}

fn refusal(status: &'static str, why: impl Into<String>) -> Refusal {
    Refusal { status, why: why.into() }
}

fn of_error(error: &Error) -> Refusal {
    let status = match error {
        Error::Protocol(ProtocolError::WrongHttpMethod) => "405 Method Not Allowed",
        Error::Protocol(ProtocolError::WrongHttpVersion) => "505 HTTP Version Not Supported",
        Error::Protocol(
            ProtocolError::MissingSecWebSocketVersionHeader
            | ProtocolError::MissingConnectionUpgradeHeader
            | ProtocolError::MissingUpgradeWebSocketHeader,
        ) => "426 Upgrade Required",
        _ => "400 Bad Request",
    };
    refusal(status, error.to_string())
}

//! One batch, one request.

use crate::{
    batch::Batch,
    config::{Config, Format},
    line,
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::{iter, time::Duration};
use tidegate_plugin::http::{Error, Request, Response};

/// What came of a request.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Delivery {
    /// The other side has it.
    Done,
    /// It will never want it.
    Refused(u16),
    /// It may want it later, after so long if it said so.
    Failed(String, Option<Duration>),
}

/// Sends a batch.
pub(crate) fn deliver(config: &Config, batch: &Batch) -> Delivery {
    let Some(request) = request(config, batch) else {
        return Delivery::Failed("a secret is gone".into(), None);
    };
    match request.send() {
        Ok(response) => judge(&response),
        Err(Error::Denied) => {
            let why = "the origin of `url` is not granted; add it to `grants.http`";
            Delivery::Failed(why.into(), None)
        }
        Err(why) => Delivery::Failed(why.to_string(), None),
    }
}

fn judge(response: &Response) -> Delivery {
    match response.status {
        200..300 => Delivery::Done,
        status @ (408 | 429 | 500..) => {
            let seconds = response.header("retry-after").and_then(|seconds| seconds.trim().parse().ok());
            Delivery::Failed(format!("status {status}"), seconds.map(Duration::from_secs))
        }
        status => Delivery::Refused(status),
    }
}

/// None: a secret is gone.
fn request(config: &Config, batch: &Batch) -> Option<Request> {
    let (content_type, body) = match config.format {
        Format::Json => ("application/json", format!("[{}]", lines(batch).collect::<Vec<_>>().join(","))),
        Format::Ndjson => ("application/x-ndjson", lines(batch).map(|line| line + "\n").collect()),
    };
    let mut request = Request::post(config.url.filled()?, body.as_bytes()).timeout(config.timeout);
    if !config.headers.has("content-type") {
        request = request.header("Content-Type", content_type);
    }
    request = request.header("Idempotency-Key", &batch.id);
    if let Some(secret) = &config.signing_secret {
        let signature = signature(secret.value()?.as_bytes(), body.as_bytes())?;
        request = request.header("X-Tidegate-Signature", signature);
    }
    Some(request.headers(&config.headers))
}

fn lines(batch: &Batch) -> impl Iterator<Item = String> {
    let lost = (batch.lost > 0).then(|| line::lost(batch.lost));
    lost.into_iter().chain(batch.lines().map(str::to_owned))
}

/// HMAC-SHA256 (RFC 2104), a key of any length.
fn signature(key: &[u8], body: &[u8]) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(body);
    let code = mac.finalize().into_bytes();
    Some(iter::once("sha256=".to_owned()).chain(code.iter().map(|byte| format!("{byte:02x}"))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_4231_test_case_2() {
        let signature = signature(b"Jefe", b"what do ya want for nothing?");
        let expected = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(signature.as_deref(), Some(expected));
    }

    #[test]
    fn statuses_say_whether_it_is_sent_again() {
        let judged = |status| judge(&Response::new(status, ""));
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(judged(status), Delivery::Done);
        }
        for status in [301, 304, 400, 401, 404, 410, 413, 422] {
            assert_eq!(judged(status), Delivery::Refused(status));
        }
        for status in [408, 429, 500, 502, 503, 504, 599] {
            assert_eq!(judged(status), Delivery::Failed(format!("status {status}"), None));
        }
    }

    #[test]
    fn the_other_side_says_when() {
        let said = |retry_after: &str| {
            let headers = vec![("Retry-After".to_owned(), retry_after.to_owned())];
            judge(&Response { headers, ..Response::new(429, "") })
        };
        let failed =
            |after: Option<u64>| Delivery::Failed("status 429".into(), after.map(Duration::from_secs));
        assert_eq!(said(" 120 "), failed(Some(120)));
        assert_eq!(said("Wed, 21 Oct 2015 07:28:00 GMT"), failed(None));
    }
}

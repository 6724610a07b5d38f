//! An event as a line of JSON.

use serde::Serialize;
use std::{collections::BTreeMap, time::SystemTime};
use tidegate_plugin::Event;

#[derive(Serialize)]
struct Line<'a> {
    kind: &'a str,
    /// Milliseconds since 1970.
    at_ms: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    client_id: &'a str,
    /// 0: no client's.
    #[serde(skip_serializing_if = "is_zero")]
    session: u64,
    reason: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    detail: BTreeMap<&'a str, &'a str>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Without the line's end. None: it cannot be said in JSON, which does not happen to an event.
pub(crate) fn line(event: &Event) -> Option<String> {
    let since_1970 = event.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let line = Line {
        kind: &event.kind,
        at_ms: u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX),
        client_id: &event.client_id,
        session: event.session,
        reason: event.reason as u8,
        topic: event.topic.as_deref(),
        detail: event.detail.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
    };
    serde_json::to_string(&line).ok()
}

/// The line about events that are gone.
pub(crate) fn lost(events: u64) -> String {
    format!(r#"{{"kind":"lost","events":{events}}}"#)
}

//! `tidegate:plugin/events`

use crate::wire;
use tidegate_hooks::Event;

/// What has happened, without a copy.
pub(crate) fn batch(events: &[Event]) -> Vec<wire::Event<'_>> {
    events.iter().map(event).collect()
}

fn event(event: &Event) -> wire::Event<'_> {
    wire::Event {
        kind: event.kind.name(),
        session: event.session.0,
        client_id: &event.client_id,
        at_ms: event.at.0,
        reason: event.reason as u8,
        topic: event.topic.as_deref(),
        detail: &event.detail,
    }
}

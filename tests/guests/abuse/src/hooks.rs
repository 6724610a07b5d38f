//! What each hook answers when it misbehaves. Otherwise it answers `next`, or lets everybody do everything if the config says so.

use crate::{
    Abuse,
    acts::{act, huge_payload},
    config::{Hook, Mode, huge},
    misbehaviour, with_state,
};
use tidegate_plugin::bindings::{
    acl::exports::tidegate::plugin::acl, auth::exports::tidegate::plugin::auth,
    deliver::exports::tidegate::plugin::deliver, enhanced_auth::exports::tidegate::plugin::enhanced_auth,
    events::exports::tidegate::plugin::events, lifecycle::tidegate::plugin::types,
    publish::exports::tidegate::plugin::publish, subscribe::exports::tidegate::plugin::subscribe,
    subscribers::exports::tidegate::plugin::subscribers,
    timer_handler::exports::tidegate::plugin::timer_handler,
};

/// A success.
const BAD_REASON: u8 = 0x01;
/// None at all.
const UNKNOWN_REASON: u8 = 0x7F;
/// "Packet identifier not found": for PUBREL and PUBCOMP alone.
const WRONG_REASON: u8 = 0x92;

/// Misbehaves, and says how the answer is to be wrong.
fn wrong(hook: Hook, client_id: &str, topic: &str) -> Mode {
    let last = topic.rsplit('/').next().unwrap_or_default();
    let Some(mode) = misbehaviour(hook, client_id, last) else { return Mode::None };
    act(mode, topic);
    mode
}

/// A topic, filter or name that is none. `wildcards` is where one is out of place.
fn bad_text(mode: Mode, wildcards: &str) -> Option<String> {
    match mode {
        Mode::HugeString => Some(huge()),
        Mode::Wildcard => Some(wildcards.to_owned()),
        Mode::Nul => Some("a\0b".to_owned()),
        Mode::Empty => Some(String::new()),
        _ => None,
    }
}

fn reason(mode: Mode) -> Option<u8> {
    match mode {
        Mode::BadReason => Some(BAD_REASON),
        Mode::UnknownReason => Some(UNKNOWN_REASON),
        Mode::WrongReason => Some(WRONG_REASON),
        _ => None,
    }
}

fn allows() -> bool {
    with_state(|state| state.config.allow)
}

fn outcome(mode: Mode) -> types::AuthOutcome {
    if let Some(code) = reason(mode) {
        return types::AuthOutcome::Refuse(types::Refusal { code, text: None });
    }
    if mode == Mode::Challenge {
        let challenge = types::Challenge { data: b"who?".to_vec(), state: b"state".to_vec() };
        return types::AuthOutcome::Challenge(challenge);
    }
    let rule = |filter: &str, max_qos| {
        let action = types::Action::Publish;
        vec![types::Rule { allow: true, action, filter: filter.into(), max_qos }]
    };
    let rules = match mode {
        Mode::BadQos => rule("a", 3),
        Mode::Wildcard => rule("a/#/b", 2),
        Mode::BadPlaceholder => rule("a/%x", 2),
        _ => Vec::new(),
    };
    let client_id = bad_text(mode, "").filter(|_| mode != Mode::Wildcard);
    let data = (mode == Mode::HugePayload).then(huge_payload);
    if rules.is_empty() && client_id.is_none() && data.is_none() && !allows() {
        return types::AuthOutcome::Next;
    }
    types::AuthOutcome::Grant(types::Grant {
        client_id,
        username: None,
        rules,
        expires_ms: None,
        attributes: Vec::new(),
        data,
        quotas: None,
    })
}

fn patch(mode: Mode) -> Option<types::Patch> {
    let topic = bad_text(mode, "a/#");
    let payload = (mode == Mode::HugePayload).then(huge_payload);
    let qos = match mode {
        Mode::BadQos => Some(3),
        Mode::Misplaced => Some(2),
        _ => None,
    };
    let retain = (mode == Mode::Misplaced).then_some(true);
    let property = types::Property { id: 0x23, value: types::PropValue::Number(1) };
    let properties = (mode == Mode::BadProperty).then(|| vec![property]);
    let wrong = topic.is_some() || payload.is_some() || qos.is_some() || properties.is_some();
    wrong.then_some(types::Patch { topic, payload, qos, retain, properties })
}

impl auth::Guest for Abuse {
    fn authenticate(connect: types::Connect) -> types::AuthOutcome {
        outcome(wrong(Hook::Authenticate, &connect.client_id, &connect.client_id))
    }
}

impl enhanced_auth::Guest for Abuse {
    fn proceed(
        connect: types::Connect,
        _state: Vec<u8>,
        _data: Option<Vec<u8>>,
        _again: bool,
    ) -> types::AuthOutcome {
        outcome(wrong(Hook::Proceed, &connect.client_id, &connect.client_id))
    }
}

impl acl::Guest for Abuse {
    fn check(request: acl::Request) -> acl::Decision {
        let mode = wrong(Hook::Acl, &request.client_id, &request.topic);
        let bad = bad_text(mode, "a/#/b").or_else(|| (mode == Mode::BadSpan).then(|| "elsewhere".to_owned()));
        match bad {
            Some(filter) => acl::Decision::Allow(acl::Span { filter, ttl_ms: 0 }),
            None if allows() => acl::Decision::Allow(acl::Span { filter: request.topic, ttl_ms: 0 }),
            None => acl::Decision::Next,
        }
    }
}

impl publish::Guest for Abuse {
    fn on_publish(message: types::Message) -> types::PublishVerdict {
        let mode = wrong(Hook::Publish, "", &message.topic);
        match (reason(mode), patch(mode)) {
            (Some(code), _) => types::PublishVerdict::Refuse(code),
            (None, Some(patch)) => types::PublishVerdict::Edit(patch),
            (None, None) => types::PublishVerdict::Next,
        }
    }
}

impl subscribe::Guest for Abuse {
    fn on_subscribe(requests: Vec<subscribe::Request>) -> Vec<subscribe::Verdict> {
        let mut count = requests.len();
        let mut verdicts = Vec::new();
        for request in requests {
            let mode = wrong(Hook::Subscribe, &request.client_id, &request.filter);
            let change = |filter, qos| subscribe::Verdict::Edit(subscribe::Change { filter, qos });
            verdicts.push(match (reason(mode), bad_text(mode, "a/#/b"), mode) {
                (Some(code), ..) => subscribe::Verdict::Refuse(code),
                (None, Some(filter), _) => change(Some(filter), None),
                (None, None, Mode::BadQos) => change(None, Some(3)),
                (None, None, Mode::RaisedQos) => change(None, Some(2)),
                _ => subscribe::Verdict::Next,
            });
            count = match mode {
                Mode::FewVerdicts => count.saturating_sub(1),
                Mode::ManyVerdicts => count + 1,
                _ => count,
            };
        }
        verdicts.resize_with(count, || subscribe::Verdict::Next);
        verdicts
    }
}

impl subscribers::Guest for Abuse {
    fn select(message: types::Message, candidates: Vec<subscribers::Candidate>) -> subscribers::Answer {
        let choice = match wrong(Hook::Select, "", &message.topic) {
            Mode::Index => subscribers::Choice::Only(vec![beyond(&candidates)]),
            Mode::RepeatedIndex => subscribers::Choice::Only(vec![0, 0]),
            _ => subscribers::Choice::All,
        };
        subscribers::Answer { choice, cache_ms: 0 }
    }

    fn pick(message: types::Message, _group: String, members: Vec<subscribers::Candidate>) -> Option<u32> {
        let mode = wrong(Hook::Pick, "", &message.topic);
        (mode == Mode::Index).then(|| beyond(&members))
    }
}

/// The first index out of range.
fn beyond(candidates: &[subscribers::Candidate]) -> u32 {
    u32::try_from(candidates.len()).unwrap_or(u32::MAX)
}

impl deliver::Guest for Abuse {
    fn on_deliver(message: types::Message, _recipient: u64, client_id: String) -> deliver::Verdict {
        let mode = wrong(Hook::Deliver, &client_id, &message.topic);
        patch(mode).map_or(deliver::Verdict::Next, deliver::Verdict::Edit)
    }
}

impl events::Guest for Abuse {
    fn on_events(batch: Vec<events::Event>, _lost: u64) {
        if !batch.is_empty() {
            wrong(Hook::Events, "", "abuse/events");
        }
    }
}

impl timer_handler::Guest for Abuse {
    fn on_timer(_token: u64) {
        wrong(Hook::Timer, "", "abuse/timer");
    }
}

//! Each export calls its trait, with what was asked and what was answered carried over.

use super::*;
use crate::{
    Challenge, Connect, DeliverVerdict, Edit, Message, Outcome, Selection, SubscribeChange, SubscribeVerdict,
    Verdict,
    bindings::lifecycle::tidegate::plugin::types,
    storage::{Error, Opened, Row},
};

thread_local! {
    static EVERY: RefCell<Option<Every>> = const { RefCell::new(Some(Every { told: Vec::new() })) };
}

struct Every {
    told: Vec<String>,
}

impl Plugin for Every {
    type Config = NoConfig;
    fn new(_: Start, _: NoConfig) -> Result<Self, String> {
        Ok(Self { told: Vec::new() })
    }
}

impl Authenticate for Every {
    fn authenticate(&mut self, _: Connect) -> Outcome {
        Challenge::new("who").state("first").into()
    }
}

impl Proceed for Every {
    fn proceed(&mut self, _: Connect, step: AuthStep) -> Outcome {
        Challenge::new(step.data.unwrap()).state([step.state, vec![u8::from(step.again)]].concat()).into()
    }
}

impl OnPublish for Every {
    fn on_publish(&mut self, message: Message) -> Verdict {
        Edit::new().topic(message.topic + "!").into()
    }
}

impl OnPublishBatch for Every {
    fn on_publish_batch(&mut self, messages: Vec<Message>) -> Vec<Verdict> {
        messages.into_iter().map(|message| self.on_publish(message)).collect()
    }
}

impl OnSubscribe for Every {
    fn on_subscribe(&mut self, request: SubscribeRequest) -> SubscribeVerdict {
        SubscribeChange::new().filter(request.filter + "!").into()
    }
}

impl Subscribers for Every {
    fn select(&mut self, _: Message, candidates: Vec<Candidate>) -> Selection {
        Selection::of(&candidates, |candidate| candidate.client_id == "c2")
    }
    fn pick(&mut self, _: Message, group: &str, members: Vec<Candidate>) -> Option<usize> {
        members.iter().position(|member| group.ends_with(&member.client_id))
    }
}

impl OnDeliver for Every {
    fn on_deliver(&mut self, message: Message, recipient: Recipient) -> DeliverVerdict {
        Edit::new().topic(format!("{} for {}", message.topic, recipient.client_id)).into()
    }
}

impl Storage for Every {
    fn open(&mut self, format: u32, term: Option<u64>) -> Result<Opened, Error> {
        let opened = Opened { sequence: 7, term: term.unwrap_or(1) };
        if format == 1 { Ok(opened) } else { Err(Error::Fatal("unknown".into())) }
    }
    fn commit(&mut self, ops: Vec<Op>, _: bool) -> Result<u64, Error> {
        Ok(ops.len() as u64)
    }
    fn get(&mut self, _: u8, key: Vec<u8>) -> Result<Option<Vec<u8>>, Error> {
        Ok(Some(key))
    }
    fn scan(&mut self, _: u8, key: Vec<u8>, _: Option<Vec<u8>>, _: u32) -> Result<Vec<Row>, Error> {
        Ok(vec![Row { key, value: Vec::new() }])
    }
}

impl OnEvents for Every {
    fn on_events(&mut self, batch: Vec<Event>, lost: u64) {
        self.told.extend(batch.into_iter().map(|event| format!("{} {lost}", event.kind)));
    }
}

impl OnTimer for Every {
    fn on_timer(&mut self, token: u64) {
        self.told.push(token.to_string());
    }
}

struct Instance;

impl Exported for Instance {
    type Plugin = Every;
    fn slot<R>(f: impl FnOnce(&RefCell<Option<Every>>) -> R) -> R {
        EVERY.with(f)
    }
}

type Exports = Guest<Instance>;

fn connect() -> types::Connect {
    types::Connect {
        session: 1,
        client_id: "c1".into(),
        username: None,
        password: None,
        protocol: 5,
        clean_start: true,
        keep_alive: 60,
        listener: "l".into(),
        peer: "192.0.2.1:1".into(),
        tls_subject: None,
        properties: Vec::new(),
        tls_sans: Vec::new(),
        tls_username: false,
    }
}

fn message() -> types::Message {
    types::Message { session: 1, topic: "a".into(), qos: 1, retain: false, payload_len: 0, extra: None }
}

fn candidates() -> Vec<subscribers::Candidate> {
    let candidate = |client_id: &str| subscribers::Candidate {
        session: 1,
        client_id: client_id.into(),
        filter: Some("a".into()),
        qos: 0,
    };
    vec![candidate("c1"), candidate("c2")]
}

fn topic(verdict: &types::PublishVerdict) -> Option<&str> {
    if let types::PublishVerdict::Edit(patch) = verdict { patch.topic.as_deref() } else { None }
}

#[test]
fn authentication_goes_step_by_step() {
    let challenge = |outcome: types::AuthOutcome| match outcome {
        types::AuthOutcome::Challenge(challenge) => (challenge.data, challenge.state),
        _ => panic!("no challenge"),
    };
    let first = challenge(<Exports as auth::Guest>::authenticate(connect()));
    assert_eq!(first, (b"who".to_vec(), b"first".to_vec()));
    let proceed = <Exports as enhanced_auth::Guest>::proceed;
    let second = challenge(proceed(connect(), first.1, Some(b"me".to_vec()), true));
    assert_eq!(second, (b"me".to_vec(), b"first\x01".to_vec()));
}

#[test]
fn messages_subscriptions_and_deliveries_are_changed() {
    assert_eq!(topic(&<Exports as publish::Guest>::on_publish(message())), Some("a!"));
    let verdicts = <Exports as publish_batch::Guest>::on_publish(vec![message(), message()]);
    assert_eq!(verdicts.iter().map(topic).collect::<Vec<_>>(), [Some("a!"); 2]);
    let delivered = <Exports as deliver::Guest>::on_deliver(message(), 2, "c2".into());
    let deliver::Verdict::Edit(patch) = delivered else { panic!("no edit") };
    assert_eq!(patch.topic.as_deref(), Some("a for c2"));
    let request = |filter: &str| subscribe::Request {
        session: 1,
        client_id: "c1".into(),
        username: None,
        filter: filter.into(),
        qos: 1,
        no_local: false,
        retain_as_published: false,
        retain_handling: 0,
        properties: Vec::new(),
    };
    let verdicts = <Exports as subscribe::Guest>::on_subscribe(vec![request("a"), request("b")]);
    let filter = |verdict: &subscribe::Verdict| match verdict {
        subscribe::Verdict::Edit(change) => change.filter.clone(),
        _ => None,
    };
    assert_eq!(verdicts.iter().filter_map(filter).collect::<Vec<_>>(), ["a!", "b!"]);
}

#[test]
fn subscribers_are_chosen_by_index() {
    use subscribers::Guest as _;
    let answer = Exports::select(message(), candidates());
    assert!(matches!(answer.choice, subscribers::Choice::Only(only) if only == [1]));
    assert_eq!(Exports::pick(message(), "$share/c2".into(), candidates()), Some(1));
    assert_eq!(Exports::pick(message(), "$share/c3".into(), candidates()), None);
}

#[test]
fn a_store_answers_or_says_why_not() {
    use storage::Guest as _;
    let opened = |term| Exports::open(1, term).map(|opened| (opened.sequence, opened.term)).ok();
    assert_eq!((opened(None), opened(Some(3))), (Some((7, 1)), Some((7, 3))));
    assert!(matches!(Exports::open(2, None), Err(storage::Error::Fatal(why)) if why == "unknown"));
    assert_eq!(Exports::commit(vec![storage::Op::Delete((1, Vec::new()))], true).ok(), Some(1));
    assert_eq!(Exports::get(1, b"k".to_vec()).ok().flatten().as_deref(), Some(&b"k"[..]));
    assert_eq!(Exports::scan(1, b"k".to_vec(), None, 1).unwrap()[0].key, b"k");
}

#[test]
fn events_and_timers_are_told() {
    let event = events::Event {
        kind: "connected".into(),
        session: 1,
        client_id: "c1".into(),
        at_ms: 0,
        reason: 0,
        topic: None,
        detail: Vec::new(),
    };
    <Exports as events::Guest>::on_events(vec![event], 3);
    <Exports as timer_handler::Guest>::on_timer(9);
    assert_eq!(with_instance::<Instance, _>(|plugin| plugin.told.clone()), ["connected 3", "9"]);
}

use super::*;
use crate::{FaultKind, Grant, HookRegistry, Patch, PublishRequest, PublishVerdict, Reply, Rule, Span};
use std::sync::atomic::{AtomicUsize, Ordering};
use tidegate_mqtt::{ConnectProperties, QoS, SessionId, TopicName, Version};

type Verdict<T> = Box<dyn Fn() -> Result<T, HookFailed> + Send + Sync>;

/// A member that answers as it is told and counts how often it was asked.
#[derive(Default)]
struct Scripted {
    auth: Option<Verdict<AuthVerdict>>,
    acl: Option<Verdict<AclVerdict>>,
    publish: Option<Verdict<PublishVerdict>>,
    asked: AtomicUsize,
}

impl Hooks for Scripted {
    fn kinds(&self) -> HookKinds {
        HookKinds {
            authenticate: self.auth.is_some(),
            acl: self.acl.is_some(),
            publish: self.publish.is_some(),
            ..HookKinds::default()
        }
    }
    fn authenticate<'a>(&'a self, _: &'a ConnectRequest<'a>) -> Reply<'a, Result<AuthVerdict, HookFailed>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Reply::Now(self.auth.as_ref().unwrap()())
    }
    fn check<'a>(&'a self, _: &'a AclRequest<'a>) -> Reply<'a, Result<AclVerdict, HookFailed>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Reply::Now(self.acl.as_ref().unwrap()())
    }
    fn on_publish<'a>(&'a self, _: &'a PublishRequest<'a>) -> Reply<'a, Result<PublishVerdict, HookFailed>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Reply::Now(self.publish.as_ref().unwrap()())
    }
}

fn failed() -> HookFailed {
    HookFailed { plugin: "p".into(), kind: FaultKind::Deadline }
}

fn auth(verdict: fn() -> Result<AuthVerdict, HookFailed>) -> Arc<Scripted> {
    Arc::new(Scripted { auth: Some(Box::new(verdict)), ..Scripted::default() })
}

fn acl(verdict: fn() -> Result<AclVerdict, HookFailed>) -> Arc<Scripted> {
    Arc::new(Scripted { acl: Some(Box::new(verdict)), ..Scripted::default() })
}

fn transform(verdict: fn() -> Result<PublishVerdict, HookFailed>) -> Arc<Scripted> {
    Arc::new(Scripted { publish: Some(Box::new(verdict)), ..Scripted::default() })
}

fn member(name: &str, hooks: &Arc<Scripted>) -> Member {
    Member::new(name, hooks.clone())
}

/// A member `a` that is asked only about some topics.
fn scoped(hooks: &Arc<Scripted>, of: fn(&mut Scopes) -> &mut Scope, filter: &str) -> Member {
    let mut member = member("a", hooks);
    *of(&mut member.scopes) = Some(vec![TopicFilter::new(filter).unwrap()]);
    member
}

fn registry(members: &[Member]) -> HookRegistry {
    let registry = HookRegistry::new();
    members.iter().for_each(|member| registry.install(member));
    registry
}

async fn connect(
    registry: &HookRegistry,
    allow_anonymous: bool,
    username: Option<&str>,
) -> Result<Authenticated, AuthRefusal> {
    let properties = ConnectProperties::default();
    let request = ConnectRequest { allow_anonymous, ..with_method(&properties, username) };
    registry.chain().authenticate(&request).await.map(|outcome| match outcome {
        AuthOutcome::In(authenticated) => *authenticated,
        other => panic!("{other:?}"),
    })
}

async fn publish_allowed(
    registry: &HookRegistry,
    permissions: &mut Permissions,
    topic: &str,
    now: u64,
) -> bool {
    let request = AclRequest {
        session: SessionId(1),
        client_id: "c1",
        username: None,
        action: Action::Publish,
        topic,
        qos: QoS::AtMostOnce,
        retain: false,
        attributes: &Attributes::default(),
    };
    let answer = registry.chain().authorize(permissions, &request, Timestamp(now)).await;
    matches!(answer, Ok(Authorization::Allowed))
}

fn message<'a>(topic: &'a str, attributes: &'a Attributes) -> PublishRequest<'a> {
    PublishRequest {
        session: SessionId(1),
        client_id: "c1",
        username: None,
        topic,
        qos: QoS::AtLeastOnce,
        retain: false,
        payload: b"payload",
        properties: None,
        attributes,
        origin: None,
    }
}

async fn on_publish(registry: &HookRegistry, topic: &str) -> Result<PublishOutcome, PublishRefusal> {
    let chain = registry.chain();
    chain.on_publish(&chain.publish_scope(topic), &message(topic, &Attributes::default())).await
}

async fn on_publish_batch(
    registry: &HookRegistry,
    topics: &[&str],
) -> Vec<Result<PublishOutcome, PublishRefusal>> {
    let (chain, attributes) = (registry.chain(), Attributes::default());
    let messages: Vec<_> =
        topics.iter().map(|topic| (chain.publish_scope(topic), message(topic, &attributes))).collect();
    chain.on_publish_batch(&messages).await
}

fn span(filter: &str, ttl: u64) -> Span {
    Span { filter: TopicFilter::new(filter).unwrap(), ttl: Duration::from_millis(ttl) }
}

#[tokio::test]
async fn without_anybody_to_ask_the_config_decides() {
    assert!(connect(&registry(&[]), true, Some("alice")).await.is_ok());
    let refused = connect(&registry(&[]), false, None).await.unwrap_err();
    assert_eq!(refused.refusal.code, ReasonCode::NotAuthorized);
}

#[tokio::test]
async fn the_first_decisive_answer_ends_authentication() {
    let (next, grants) = (auth(|| Ok(AuthVerdict::Next)), auth(|| Ok(AuthVerdict::Grant(Box::default()))));
    let never = auth(|| panic!("asked after the decision"));
    let registry = registry(&[member("a", &next), member("b", &grants), member("c", &never)]);
    assert!(connect(&registry, false, Some("alice")).await.is_ok());
    assert_eq!(next.asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn silence_is_never_allow() {
    let next = auth(|| Ok(AuthVerdict::Next));
    for anonymous in [false, true] {
        let refused = connect(&registry(&[member("a", &next)]), anonymous, Some("alice")).await.unwrap_err();
        assert_eq!(refused.refusal.code, ReasonCode::BadUserNameOrPassword);
    }
}

#[tokio::test]
async fn a_failed_authentication_is_a_refusal_even_where_anonymous_clients_may_come_in() {
    let failing = auth(|| Err(failed()));
    let refused = connect(&registry(&[member("a", &failing)]), true, None).await.unwrap_err();
    assert!(refused.fault.is_some());
}

#[tokio::test]
async fn a_plugin_that_goes_away_leaves_its_question_asked() {
    let grants = auth(|| Ok(AuthVerdict::Grant(Box::default())));
    let registry = registry(&[member("a", &grants)]);
    assert!(connect(&registry, true, Some("alice")).await.is_ok());
    registry.remove("a");
    assert!(connect(&registry, true, Some("alice")).await.is_err());

    let allows = acl(|| Ok(AclVerdict::Allow(span("#", 0))));
    registry.install(&member("b", &allows));
    assert!(publish_allowed(&registry, &mut Permissions::default(), "a", 0).await);
    registry.remove("b");
    assert!(!publish_allowed(&registry, &mut Permissions::default(), "a", 0).await);
}

#[tokio::test]
async fn a_rule_that_does_not_parse_is_a_fault() {
    let grants = auth(|| {
        let rule =
            Rule { allow: true, action: Action::Publish, filter: "a/#/b".into(), max_qos: QoS::AtMostOnce };
        Ok(AuthVerdict::Grant(Box::new(Grant { rules: vec![rule], ..Grant::default() })))
    });
    assert!(connect(&registry(&[member("a", &grants)]), false, None).await.unwrap_err().fault.is_some());
}

#[tokio::test]
async fn without_rules_and_acl_plugins_everything_is_allowed() {
    assert!(publish_allowed(&registry(&[]), &mut Permissions::default(), "a", 0).await);
}

#[tokio::test]
async fn nobody_deciding_an_acl_question_refuses() {
    let next = acl(|| Ok(AclVerdict::Next));
    assert!(!publish_allowed(&registry(&[member("a", &next)]), &mut Permissions::default(), "a", 0).await);
}

#[tokio::test]
async fn a_failed_acl_call_refuses() {
    let failing = acl(|| Err(failed()));
    let allows = acl(|| Ok(AclVerdict::Allow(span("#", 0))));
    let registry = registry(&[member("a", &failing), member("b", &allows)]);
    assert!(!publish_allowed(&registry, &mut Permissions::default(), "a", 0).await);
}

#[tokio::test]
async fn rules_stand_at_the_place_of_the_plugin_that_granted_them() {
    let denies = acl(|| Ok(AclVerdict::Deny(span("#", 0))));
    let rule = Rule { allow: true, action: Action::Publish, filter: "a".into(), max_qos: QoS::ExactlyOnce };
    let permissions = Permissions {
        rules: Rules::compile(&[rule], "c1", None, &Attributes::default()).unwrap(),
        granted_at: Some(Place { order: 0, name: "m".into() }),
        ..Permissions::default()
    };
    let before = registry(&[member("a", &denies)]);
    assert!(!publish_allowed(&before, &mut permissions.clone(), "a", 0).await);
    let after = registry(&[member("z", &denies)]);
    assert!(publish_allowed(&after, &mut permissions.clone(), "a", 0).await);
    assert!(!publish_allowed(&after, &mut permissions.clone(), "b", 0).await);
}

#[tokio::test]
async fn a_client_whose_rules_give_it_nothing_may_do_nothing() {
    let filter = "home/%u/#".into();
    let rule = Rule { allow: true, action: Action::Publish, filter, max_qos: QoS::ExactlyOnce };
    let compile = |rules: &[Rule]| Rules::compile(rules, "c1", None, &Attributes::default()).unwrap();
    for (rules, allowed) in [(compile(&[rule]), false), (compile(&[]), true)] {
        let mut permissions = Permissions { rules, ..Permissions::default() };
        assert_eq!(publish_allowed(&registry(&[]), &mut permissions, "home/a", 0).await, allowed);
    }
}

#[tokio::test]
async fn an_answer_holds_for_its_span_and_time_and_chain() {
    let allows = acl(|| Ok(AclVerdict::Allow(span("a/#", 1000))));
    let registry = registry(&[member("a", &allows)]);
    let mut permissions = Permissions::default();
    for (topic, now, asked) in [("a/b", 0, 1), ("a/c", 999, 1), ("a/c", 1000, 2), ("b", 1000, 3)] {
        publish_allowed(&registry, &mut permissions, topic, now).await;
        assert_eq!(allows.asked.load(Ordering::Relaxed), asked, "{topic} at {now}");
    }
    registry.install(&member("a", &allows));
    publish_allowed(&registry, &mut permissions, "a/b", 1001).await;
    assert_eq!(allows.asked.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn a_remembered_allow_does_not_pass_over_an_earlier_member() {
    let denies = acl(|| Ok(AclVerdict::Deny(span("a/secret", 0))));
    let allows = acl(|| Ok(AclVerdict::Allow(span("a/#", 1000))));
    let scoped = scoped(&denies, |scopes| &mut scopes.acl, "a/secret");
    let registry = registry(&[scoped, member("b", &allows)]);
    let mut permissions = Permissions::default();
    assert!(publish_allowed(&registry, &mut permissions, "a/b", 0).await);
    assert!(!publish_allowed(&registry, &mut permissions, "a/secret", 0).await);
}

#[tokio::test]
async fn answers_kept_a_client_are_bounded() {
    let allows = acl(|| Ok(AclVerdict::Allow(span("other", 1000))));
    let registry = registry(&[member("a", &allows)]);
    let mut permissions = Permissions::default();
    for n in 0..1000 {
        publish_allowed(&registry, &mut permissions, &format!("t/{n}"), 0).await;
    }
    assert_eq!(permissions.answers.len(), Permissions::MAX_ANSWERS);
}

#[tokio::test]
async fn edits_chain_in_order_and_accept_ends_the_chain() {
    let one = transform(|| {
        Ok(PublishVerdict::Edit(Box::new(Patch {
            topic: Some(TopicName::new("one").unwrap()),
            ..Patch::default()
        })))
    });
    let two =
        transform(|| Ok(PublishVerdict::Edit(Box::new(Patch { retain: Some(true), ..Patch::default() }))));
    let accepts = transform(|| Ok(PublishVerdict::Accept));
    let never = transform(|| panic!("asked after accept"));
    let registry =
        registry(&[member("a", &one), member("b", &two), member("c", &accepts), member("d", &never)]);
    let Ok(PublishOutcome::Edited(patch)) = on_publish(&registry, "t").await else { panic!("not edited") };
    assert_eq!(patch.topic.as_deref(), Some("one"));
    assert_eq!(patch.retain, Some(true));
}

#[tokio::test]
async fn a_message_outside_every_scope_asks_nobody() {
    let never = transform(|| panic!("out of scope"));
    let scoped = scoped(&never, |scopes| &mut scopes.publish, "a/#");
    let registry = registry(&[scoped]);
    assert!(registry.chain().publish_scope("b").is_empty());
    assert!(matches!(on_publish(&registry, "b").await, Ok(PublishOutcome::Unchanged)));
}

#[tokio::test]
async fn a_failed_transform_refuses_with_0x83_unless_told_to_pass() {
    let failing = transform(|| Err(failed()));
    let refused = on_publish(&registry(&[member("a", &failing)]), "t").await.unwrap_err();
    assert_eq!(refused.code, ReasonCode::ImplementationSpecificError);
    let passing = Member { on_fault: OnFault::Next, ..member("a", &failing) };
    assert!(matches!(on_publish(&registry(&[passing]), "t").await, Ok(PublishOutcome::Unchanged)));
}

#[tokio::test]
async fn members_are_asked_by_order_then_by_name() {
    let any = transform(|| Ok(PublishVerdict::Next));
    let early = Member { place: Place { order: -1, name: "z".into() }, ..member("z", &any) };
    let registry = registry(&[member("b", &any), member("a", &any), early]);
    let names: Vec<_> = registry.chain().members().iter().map(|m| m.place.name.to_string()).collect();
    assert_eq!(names, ["z", "a", "b"]);
}

/// Lets in who answers "two" to "one"; the state it leaves with the broker is what it asked.
struct TwoSteps;

impl Hooks for TwoSteps {
    fn kinds(&self) -> HookKinds {
        HookKinds { authenticate: true, proceed: true, ..HookKinds::default() }
    }
    fn authenticate<'a>(&'a self, _: &'a ConnectRequest<'a>) -> Reply<'a, Result<AuthVerdict, HookFailed>> {
        let challenge = Challenge { data: Some("one".into()), state: "asked".into() };
        Reply::Now(Ok(AuthVerdict::Challenge(challenge)))
    }
    fn proceed<'a>(
        &'a self,
        _: &'a ConnectRequest<'a>,
        step: &'a AuthStep<'a>,
    ) -> Reply<'a, Result<AuthVerdict, HookFailed>> {
        Reply::Now(Ok(match (step.state, step.data) {
            (b"asked", Some(b"two")) => AuthVerdict::Grant(Box::default()),
            (b"asked", _) => AuthVerdict::Refuse(Refusal { code: ReasonCode::NotAuthorized, text: None }),
            _ => AuthVerdict::Next,
        }))
    }
}

fn with_method<'a>(properties: &'a ConnectProperties, username: Option<&'a str>) -> ConnectRequest<'a> {
    ConnectRequest {
        session: SessionId(1),
        client_id: "c1",
        username,
        password: None,
        version: Version::V5,
        clean_start: true,
        keep_alive: 0,
        listener: "tcp",
        peer: "127.0.0.1:1",
        allow_anonymous: true,
        tls_subject: None,
        tls_sans: &[],
        tls_username: false,
        properties,
    }
}

#[tokio::test]
async fn v5_4_12_0_2_a_challenge_goes_on_with_the_member_that_made_it() {
    let registry = HookRegistry::new();
    registry.install(&Member { hooks: Arc::new(TwoSteps), ..member("a", &auth(|| Ok(AuthVerdict::Next))) });
    let properties = ConnectProperties { authentication_method: Some("M".into()), ..Default::default() };
    let request = with_method(&properties, None);
    let outcome = registry.chain().authenticate(&request).await.unwrap();
    let AuthOutcome::Challenge { by, challenge } = outcome else { panic!("{outcome:?}") };
    let step = |data| AuthStep { state: &challenge.state, data: Some(data), again: false };
    let chain = registry.chain_full();
    assert!(matches!(chain.proceed(&by, &request, &step(b"two")).await, Ok(AuthOutcome::In(_))));
    assert!(chain.proceed(&by, &request, &step(b"three")).await.is_err());
    // Silence is no.
    let silent = AuthStep { state: b"", data: None, again: true };
    assert!(chain.proceed(&by, &request, &silent).await.is_err());
    // So is a member that is gone.
    registry.remove("a");
    assert!(registry.chain_full().proceed(&by, &request, &step(b"two")).await.is_err());
    let plain = ConnectProperties::default();
    registry.install(&Member { hooks: Arc::new(TwoSteps), ..member("a", &auth(|| Ok(AuthVerdict::Next))) });
    let fault = registry.chain().authenticate(&with_method(&plain, None)).await.unwrap_err().fault;
    assert!(fault.is_some(), "a challenge for a client that named no method");
}

#[tokio::test]
async fn v5_4_12_0_1_a_method_that_nobody_knows_is_refused_whoever_else_would_let_the_client_in() {
    let grants = auth(|| Ok(AuthVerdict::Grant(Box::default())));
    let registry = registry(&[member("a", &grants)]);
    let properties = ConnectProperties { authentication_method: Some("M".into()), ..Default::default() };
    let refused = registry.chain().authenticate(&with_method(&properties, Some("alice"))).await.unwrap_err();
    assert_eq!(refused.refusal.code, ReasonCode::BadAuthenticationMethod);
}

/// Who looks on, and writes down in short what it saw.
#[derive(Default)]
struct Onlooker(std::sync::Mutex<Vec<String>>);

impl Onlooker {
    fn saw(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }
}

impl crate::Observer for Onlooker {
    fn authenticated(&self, request: &ConnectRequest<'_>, outcome: &Result<AuthOutcome, AuthRefusal>) {
        self.saw(format!("connect {} {}", request.client_id, outcome.is_ok()));
    }
    fn proceeded(
        &self,
        _: &ConnectRequest<'_>,
        _: &AuthStep<'_>,
        outcome: &Result<AuthOutcome, AuthRefusal>,
    ) {
        self.saw(format!("proceed {}", outcome.is_ok()));
    }
    fn authorized(
        &self,
        _: &Permissions,
        request: &AclRequest<'_>,
        answer: &Result<Authorization, HookFailed>,
    ) {
        self.saw(format!("{} {} {:?}", request.action.name(), request.topic, answer.as_ref().ok()));
    }
    fn published(
        &self,
        request: &PublishRequest<'_>,
        outcome: &Result<crate::PublishOutcome, crate::PublishRefusal>,
    ) {
        self.saw(format!("message {} {}", request.topic, outcome.is_ok()));
    }
    fn subscribed(&self, requests: &[crate::SubscribeRequest<'_>], outcomes: &[crate::SubscribeOutcome]) {
        for (request, outcome) in requests.iter().zip(outcomes) {
            self.saw(format!("subscribed {} {}", request.filter, outcome.is_ok()));
        }
    }
    fn selected(&self, request: &crate::SelectRequest<'_>, _: &crate::Selected) {
        self.saw(format!("selected {}", request.message.topic));
    }
    fn picked(&self, request: &crate::PickRequest<'_>, _: Option<usize>) {
        self.saw(format!("picked {}", request.group));
    }
    fn delivered(&self, request: &crate::DeliverRequest<'_>, _: &Result<Option<Box<Patch>>, Arc<str>>) {
        self.saw(format!("delivered {}", request.message.topic));
    }
}

#[tokio::test]
async fn an_onlooker_is_told_of_everything_and_changes_nothing() {
    let refuses = transform(|| Ok(PublishVerdict::Refuse(ReasonCode::QuotaExceeded)));
    let registry = registry(&[scoped(&refuses, |scopes| &mut scopes.publish, "asked/#")]);
    let before = registry.chain().generation();
    assert!(registry.chain().publish_scope("other").is_empty());
    let onlooker = Arc::new(Onlooker::default());
    registry.observe(Some(onlooker.clone()));
    assert!(registry.chain().generation() > before, "what was derived is derived anew");
    assert!(connect(&registry, true, Some("alice")).await.is_ok(), "nobody was ever there to ask");
    for (topic, taken) in [("other", true), ("asked/1", false)] {
        assert!(
            !registry.chain().publish_scope(topic).is_empty(),
            "messages that nobody is asked about come by"
        );
        assert_eq!(on_publish(&registry, topic).await.is_ok(), taken);
    }
    let saw = || std::mem::take(&mut *onlooker.0.lock().unwrap());
    assert_eq!(saw(), ["connect c1 true", "message other true", "message asked/1 false"]);
    assert_eq!(on_publish_batch(&registry, &["asked/1", "other"]).await.len(), 2);
    assert_eq!(saw(), ["message asked/1 false", "message other true"]);
    assert!(publish_allowed(&registry, &mut Permissions::default(), "other", 0).await);
    assert_eq!(saw(), ["publish other Some(Allowed)"]);
    ask_about_the_rest(&registry).await;
    assert_eq!(
        saw(),
        ["proceed false", "subscribed a/# true", "selected other", "picked $share/g/#", "delivered other"]
    );
    registry.observe(None);
    assert!(registry.chain().publish_scope("other").is_empty() && !registry.chain().served().subscribe);
    assert!(connect(&registry, true, Some("alice")).await.is_ok());
    ask_about_the_rest(&registry).await;
    assert!(saw().is_empty());
}

/// A step of an authentication that nobody knows, a subscription, recipients, a member of a group, and a delivery.
async fn ask_about_the_rest(registry: &HookRegistry) {
    let (chain, attributes) = (registry.chain(), Attributes::default());
    let properties = ConnectProperties::default();
    let step = AuthStep { state: b"", data: None, again: false };
    _ = chain.proceed("nobody", &with_method(&properties, None), &step).await;
    if chain.served().subscribe {
        let subscription = crate::SubscribeRequest {
            session: SessionId(1),
            client_id: "c1",
            username: None,
            filter: "a/#",
            qos: QoS::AtMostOnce,
            options: Default::default(),
            properties: &Default::default(),
            attributes: &attributes,
        };
        chain.on_subscribe(&[subscription]).await;
    }
    let (scope, message) = (InScope::default(), message("other", &attributes));
    chain.select(&scope, &crate::SelectRequest { message, candidates: &[] }).await;
    chain.pick(&scope, &crate::PickRequest { message, group: "$share/g/#", members: &[] }).await;
    let delivery = crate::DeliverRequest { message, recipient: SessionId(2), client_id: "c2" };
    _ = chain.on_deliver(&scope, &delivery).await;
}

/// A member that answers, among others, one in order of its name.
fn in_scope(name: &str, hooks: &Arc<Scripted>, filter: &str) -> Member {
    Member {
        place: Place { order: 0, name: name.into() },
        ..scoped(hooks, |scopes| &mut scopes.publish, filter)
    }
}

#[tokio::test]
async fn a_message_that_moves_goes_to_those_who_are_asked_about_its_new_topic() {
    let moves = transform(|| {
        let topic = TopicName::new("site/1").ok();
        Ok(PublishVerdict::Edit(Box::new(Patch { topic, ..Patch::default() })))
    });
    let everywhere = transform(|| Ok(PublishVerdict::Next));
    let refuses = transform(|| Ok(PublishVerdict::Refuse(ReasonCode::PayloadFormatInvalid)));
    let accepts = transform(|| Ok(PublishVerdict::Accept));
    let asked = |hooks: &Arc<Scripted>| hooks.asked.swap(0, Ordering::Relaxed);
    // Whether its place is before or behind that of whoever moves it.
    for guard in ["a", "z"] {
        let members = [
            in_scope("b", &everywhere, "#"),
            in_scope("m", &moves, "old/#"),
            in_scope(guard, &refuses, "site/#"),
        ];
        let registry = registry(&members);
        let refusal = on_publish(&registry, "old/1").await.unwrap_err();
        assert_eq!((&*refusal.by, refusal.code), (guard, ReasonCode::PayloadFormatInvalid));
        assert!(on_publish(&registry, "other").await.is_ok());
        let outcomes = on_publish_batch(&registry, &["other", "old/1", "site/1"]).await;
        assert_eq!(outcomes.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, false]);
        assert_eq!(
            (asked(&moves), asked(&everywhere), asked(&refuses)),
            (2, if guard == "a" { 4 } else { 5 }, 3)
        );
    }
    // The order is kept as far as it can be, and who has the last word has it.
    let members = [
        in_scope("b", &refuses, "site/#"),
        in_scope("m", &moves, "old/#"),
        in_scope("n", &accepts, "site/#"),
        in_scope("z", &everywhere, "#"),
    ];
    let registry = registry(&members);
    assert!(matches!(on_publish(&registry, "old/1").await, Ok(PublishOutcome::Edited(_))));
    assert!(matches!(on_publish_batch(&registry, &["old/1"]).await[..], [Ok(PublishOutcome::Edited(_))]));
    assert_eq!((asked(&accepts), asked(&everywhere), asked(&refuses)), (2, 0, 0));
}

//! The records of `wit/plugin.wit` 0.1.0 as Rust types. What goes to the guest borrows, so that nothing is copied twice.
//! Those of one hook alone stand in files of their own.

mod deliver;
mod events;
mod storage;
mod subscribe;
mod subscribers;

pub(crate) use deliver::DeliverVerdict;
pub(crate) use events::Event;
pub(crate) use storage::{Entry, Op, Opened, OwnedOp, Row, StorageError};
pub(crate) use subscribe::{SubscribeChange, SubscribeRequest, SubscribeVerdict};
pub(crate) use subscribers::{Candidate, Choice, Selection};

use wasmtime::component::{ComponentType, Lift, Lower};

/// `lifecycle.start`
#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(crate) struct Start<'a> {
    pub(crate) plugin: &'a str,
    pub(crate) generation: u64,
    #[component(name = "broker-version")]
    pub(crate) broker_version: &'a str,
    pub(crate) state: Option<&'a [u8]>,
}

/// `lifecycle.scope`
#[derive(Clone, ComponentType, Debug, Eq, Lift, PartialEq)]
#[component(record)]
pub(crate) struct Scope {
    pub(crate) hook: String,
    pub(crate) filters: Vec<String>,
    pub(crate) wants: Vec<String>,
}

/// `types.prop-value`, to the guest
#[derive(Clone, Copy, ComponentType, Lower)]
#[component(variant)]
pub(crate) enum PropValue<'a> {
    #[component(name = "number")]
    Number(u32),
    #[component(name = "text")]
    Text(&'a str),
    #[component(name = "bytes")]
    Bytes(&'a [u8]),
    #[component(name = "pair")]
    Pair((&'a str, &'a str)),
}

/// `types.property`, to the guest
#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(crate) struct Property<'a> {
    pub(crate) id: u8,
    pub(crate) value: PropValue<'a>,
}

/// `types.prop-value`, from the guest
#[derive(Clone, ComponentType, Debug, Lift)]
#[component(variant)]
pub(crate) enum NewPropValue {
    #[component(name = "number")]
    Number(u32),
    #[component(name = "text")]
    Text(String),
    #[component(name = "bytes")]
    Bytes(Vec<u8>),
    #[component(name = "pair")]
    Pair((String, String)),
}

/// `types.property`, from the guest
#[derive(Clone, ComponentType, Debug, Lift)]
#[component(record)]
pub(crate) struct NewProperty {
    pub(crate) id: u8,
    pub(crate) value: NewPropValue,
}

/// `types.message`
#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(crate) struct Message<'a> {
    pub(crate) session: u64,
    pub(crate) topic: &'a str,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    #[component(name = "payload-len")]
    pub(crate) payload_len: u32,
    pub(crate) extra: Option<MessageExtra<'a>>,
}

/// `types.message-extra`
#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(crate) struct MessageExtra<'a> {
    pub(crate) payload: &'a [u8],
    #[component(name = "client-id")]
    pub(crate) client_id: &'a str,
    pub(crate) username: Option<&'a str>,
    pub(crate) properties: &'a [Property<'a>],
}

/// `types.patch`
#[derive(Clone, ComponentType, Debug, Lift)]
#[component(record)]
pub(crate) struct Patch {
    pub(crate) topic: Option<String>,
    pub(crate) payload: Option<Vec<u8>>,
    pub(crate) qos: Option<u8>,
    pub(crate) retain: Option<bool>,
    pub(crate) properties: Option<Vec<NewProperty>>,
}

/// `types.action`
#[derive(Clone, Copy, ComponentType, Debug, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum Action {
    #[component(name = "publish")]
    Publish,
    #[component(name = "subscribe")]
    Subscribe,
    #[component(name = "receive")]
    Receive,
}

/// `types.rule`
#[derive(Clone, ComponentType, Debug, Lift)]
#[component(record)]
pub(crate) struct Rule {
    pub(crate) allow: bool,
    pub(crate) action: Action,
    pub(crate) filter: String,
    #[component(name = "max-qos")]
    pub(crate) max_qos: u8,
}

/// `types.connect`
#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(crate) struct Connect<'a> {
    pub(crate) session: u64,
    #[component(name = "client-id")]
    pub(crate) client_id: &'a str,
    pub(crate) username: Option<&'a str>,
    pub(crate) password: Option<&'a [u8]>,
    pub(crate) protocol: u8,
    #[component(name = "clean-start")]
    pub(crate) clean_start: bool,
    #[component(name = "keep-alive")]
    pub(crate) keep_alive: u16,
    pub(crate) listener: &'a str,
    pub(crate) peer: &'a str,
    #[component(name = "tls-subject")]
    pub(crate) tls_subject: Option<&'a str>,
    pub(crate) properties: &'a [Property<'a>],
    #[component(name = "tls-sans")]
    pub(crate) tls_sans: &'a [String],
    #[component(name = "tls-username")]
    pub(crate) tls_username: bool,
}

/// `types.grant`
#[derive(Clone, ComponentType, Debug, Lift)]
#[component(record)]
pub(crate) struct Grant {
    #[component(name = "client-id")]
    pub(crate) client_id: Option<String>,
    pub(crate) username: Option<String>,
    pub(crate) rules: Vec<Rule>,
    #[component(name = "expires-ms")]
    pub(crate) expires_ms: Option<u64>,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) data: Option<Vec<u8>>,
    pub(crate) quotas: Option<Quotas>,
}

/// `types.quotas`
#[derive(Clone, Copy, ComponentType, Debug, Lift)]
#[component(record)]
pub(crate) struct Quotas {
    #[component(name = "messages-per-second")]
    pub(crate) messages_per_second: Option<u32>,
    #[component(name = "bytes-per-second")]
    pub(crate) bytes_per_second: Option<u32>,
    pub(crate) subscriptions: Option<u32>,
    pub(crate) inflight: Option<u16>,
}

/// `types.challenge`
#[derive(Clone, ComponentType, Debug, Lift)]
#[component(record)]
pub(crate) struct Challenge {
    pub(crate) data: Vec<u8>,
    pub(crate) state: Vec<u8>,
}

/// `types.refusal`
#[derive(Clone, ComponentType, Debug, Lift)]
#[component(record)]
pub(crate) struct Refusal {
    pub(crate) code: u8,
    pub(crate) text: Option<String>,
}

/// `types.auth-outcome`
#[derive(Clone, ComponentType, Debug, Lift)]
#[component(variant)]
pub(crate) enum Outcome {
    #[component(name = "next")]
    Next,
    #[component(name = "grant")]
    Grant(Grant),
    #[component(name = "refuse")]
    Refuse(Refusal),
    #[component(name = "challenge")]
    Challenge(Challenge),
}

/// `acl.request`
#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(crate) struct AclRequest<'a> {
    pub(crate) session: u64,
    #[component(name = "client-id")]
    pub(crate) client_id: &'a str,
    pub(crate) username: Option<&'a str>,
    pub(crate) action: Action,
    pub(crate) topic: &'a str,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
}

/// `acl.span`
#[derive(Clone, ComponentType, Debug, Lift)]
#[component(record)]
pub(crate) struct Span {
    pub(crate) filter: String,
    #[component(name = "ttl-ms")]
    pub(crate) ttl_ms: u32,
}

/// `acl.decision`
#[derive(Clone, ComponentType, Debug, Lift)]
#[component(variant)]
pub(crate) enum Decision {
    #[component(name = "next")]
    Next,
    #[component(name = "allow")]
    Allow(Span),
    #[component(name = "deny")]
    Deny(Span),
}

/// `types.publish-verdict`
#[derive(Clone, ComponentType, Debug, Lift)]
#[component(variant)]
pub(crate) enum Verdict {
    #[component(name = "next")]
    Next,
    #[component(name = "accept")]
    Accept,
    #[component(name = "edit")]
    Edit(Patch),
    #[component(name = "refuse")]
    Refuse(u8),
    #[component(name = "swallow")]
    Swallow,
}

/// `logging.level`
#[allow(dead_code, reason = "guests make them")]
#[derive(Clone, Copy, ComponentType, Debug, Lift)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum Level {
    #[component(name = "trace")]
    Trace,
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}

/// `kv.error`
#[derive(Clone, ComponentType, Debug, Eq, Lower, PartialEq)]
#[component(variant)]
pub(crate) enum KvError {
    #[component(name = "denied")]
    Denied,
    #[component(name = "full")]
    Full,
    #[component(name = "other")]
    Other(String),
}

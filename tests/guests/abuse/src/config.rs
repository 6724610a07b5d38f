//! `[plugin.abuse.config]`

use serde::{
    Deserialize,
    de::{IntoDeserializer, value::Error},
};
use std::time::Duration;
use tidegate_plugin::bindings::lifecycle::exports::tidegate::plugin::lifecycle::Scope;

/// What the operator writes.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Which hook misbehaves.
    pub(crate) hook: Hook,
    /// How.
    pub(crate) mode: Mode,
    /// Every how many-th question.
    pub(crate) one_in: u64,
    /// Only for clients whose identifier begins with this, where the question names one.
    pub(crate) clients: String,
    /// Topic filters of the hooks with topics; none: all topics.
    topics: Vec<String>,
    /// Kinds of events; none: all but those of every message.
    kinds: Vec<String>,
    /// Whether it lets clients in and allows everything as long as it behaves. Otherwise it answers `next`.
    pub(crate) allow: bool,
    /// How often: of what is done many times.
    pub(crate) times: u64,
    /// How much: 64 MiB for what is large at once, 64 KiB for what grows, if not said.
    pub(crate) bytes: Option<usize>,
    /// Where requests go.
    pub(crate) url: String,
    /// A timer that comes due so often. 100 ms if the timer's hook is the one that misbehaves; none otherwise.
    timer_ms: Option<u64>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hook: Hook::Publish,
            mode: Mode::None,
            one_in: 1,
            clients: String::new(),
            topics: vec!["abuse/#".to_owned()],
            kinds: Vec::new(),
            allow: false,
            times: 1_000_000,
            bytes: None,
            url: String::new(),
            timer_ms: None,
        }
    }
}

impl Config {
    pub(crate) fn scopes(&self) -> Vec<Scope> {
        let scope = |hook: &str| Scope { hook: hook.into(), filters: self.topics.clone(), wants: Vec::new() };
        let mut scopes: Vec<Scope> = ["publish", "subscribe", "subscribers", "deliver"].map(scope).into();
        if !self.allow {
            scopes.push(scope("acl"));
        }
        scopes.push(Scope { hook: "events".into(), filters: Vec::new(), wants: self.kinds.clone() });
        scopes
    }

    pub(crate) fn timer(&self) -> Option<Duration> {
        let default = (self.hook == Hook::Timer).then_some(100);
        self.timer_ms.or(default).map(Duration::from_millis)
    }
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Hook {
    Init,
    Drain,
    Authenticate,
    Proceed,
    Acl,
    Publish,
    Subscribe,
    Select,
    Pick,
    Deliver,
    Events,
    Timer,
}

/// What is wrong. A mode that means nothing to a hook does nothing there.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    /// Nothing.
    None,
    /// As the question says: the last level of its topic or filter, or the client identifier.
    Asked,

    /// For ever.
    Loop,
    /// For ever.
    Allocate,
    /// For ever.
    Recurse,
    Trap,
    /// Goes round `times` times, then behaves.
    Spin,
    /// Keeps `bytes` more with each question, and behaves.
    Leak,
    /// `times` lines.
    FloodLog,
    /// `times` keys.
    FloodKv,
    /// `times` messages.
    FloodPublish,
    /// `times` counters.
    FloodMetrics,
    /// `times` timers.
    FloodTimers,
    /// Publishes to the topic that it is asked about.
    Republish,
    /// Waits for `url`.
    Fetch,

    /// A topic, filter or name of 70,000 bytes.
    HugeString,
    /// `bytes` at once.
    HugePayload,
    /// QoS 3.
    BadQos,
    /// A topic with a wildcard, or a filter with one that is out of place.
    Wildcard,
    /// A topic, filter or name with U+0000.
    Nul,
    /// An empty topic, filter or name.
    Empty,
    /// Refuses with 0x01, which is a success.
    BadReason,
    /// Refuses with 0x7F, which is none.
    UnknownReason,
    /// Refuses with a reason that this packet cannot carry.
    WrongReason,
    /// A property that a PUBLISH cannot have.
    BadProperty,
    /// A QoS or RETAIN flag where they must stay.
    Misplaced,
    /// A placeholder that is none.
    BadPlaceholder,
    /// An answer for a filter that does not hold what was asked about.
    BadSpan,
    /// A QoS above the one asked for.
    RaisedQos,
    /// One verdict less than there are questions.
    FewVerdicts,
    /// One verdict more.
    ManyVerdicts,
    /// An index out of range.
    Index,
    /// The same index twice.
    RepeatedIndex,
    /// A challenge, whether or not the client can take one.
    Challenge,

    /// `init` says no.
    Refuse,
    /// A scope for a hook that does not exist.
    UnknownHook,
    /// A scope that wants a field that does not exist.
    UnknownWant,
}

impl Mode {
    /// The mode of that name, if it is one.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        let mode: Result<Self, Error> = Self::deserialize(word.into_deserializer());
        mode.ok()
    }
}

/// More than MQTT can carry.
pub(crate) fn huge() -> String {
    "x".repeat(70_000)
}

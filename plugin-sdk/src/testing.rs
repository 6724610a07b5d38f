//! The broker's part, for a plugin's unit tests. Not there when a component is built.
//!
//! `questions`: what the hooks are asked.

mod questions;

pub use questions::{
    again, anonymous, answer, candidate, client, connect, enhanced, event, message, recipient, request,
    subscription,
};

use crate::{
    Level, OnTimer, Plugin, ReasonCode, Start, TopicFilter,
    broker::Outgoing,
    config,
    host::fake::{self, Fake},
    http::{self, Request, Response},
    tcp,
};
use std::{
    fmt,
    io::{Read, Write},
    time::{Duration, SystemTime},
};

/// Reads and writes: a connection.
pub trait Duplex: Read + Write {}
impl<T: Read + Write> Duplex for T {}

/// A broker for one test: config in, log lines out, a store in memory, a clock that stands still, in 1970, until it is set or advanced. One for each
/// thread; a new one takes the place of the one before.
#[derive(Debug)]
#[must_use]
pub struct Host {
    /// What `start` tells, if the test's own words make no sense.
    broken: Option<String>,
    start: Start,
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

impl Host {
    /// No config, every level logged, everything granted but `http` and `tcp`, no client connected.
    pub fn new() -> Self {
        fake::with(|fake| *fake = Fake::default());
        let start = Start {
            plugin: "test".into(),
            generation: 1,
            broker_version: env!("CARGO_PKG_VERSION").into(),
            state: None,
        };
        Self { broken: None, start }
    }

    /// What would stand below `[plugin.NAME.config]`, in TOML.
    pub fn config(mut self, toml: &str) -> Self {
        match toml::from_str(toml) {
            Ok(config) => fake::with(|fake| fake.config = config),
            Err(error) => self.broken = Some(error.to_string()),
        }
        self
    }

    /// The generation the plugin is told.
    pub fn generation(mut self, generation: u64) -> Self {
        self.start.generation = generation;
        self
    }

    /// What the generation before left.
    pub fn state(mut self, state: impl Into<Vec<u8>>) -> Self {
        self.start.state = Some(state.into());
        self
    }

    /// Lines below that level are off.
    pub fn log_level(self, level: Level) -> Self {
        fake::with(|fake| fake.log_level = level);
        self
    }

    /// This one answers that it is denied.
    pub fn without(self, grant: Granted) -> Self {
        fake::with(|fake| fake.denied.push(grant));
        self
    }

    /// The bytes granted for [`kv`](crate::kv); an entry costs 64 beside its key and value, as in the broker. Any number unless it is said.
    pub fn kv_room(self, bytes: usize) -> Self {
        fake::with(|fake| fake.kv.room = Some(bytes));
        self
    }

    /// A secret.
    pub fn secret(self, name: &str, value: &str) -> Self {
        fake::with(|fake| fake.secrets.insert(name.into(), value.into()));
        self
    }

    /// What [`clock::now`](crate::clock::now) says from now on.
    pub fn time(mut self, now: SystemTime) -> Self {
        match now.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since_1970) => fake::with(|fake| fake.began = since_1970.saturating_sub(fake.now)),
            Err(_) => self.broken = Some("the clock begins in 1970".into()),
        }
        self
    }

    /// The next of the [`random`](crate::random) bytes.
    pub fn random(self, bytes: impl Into<Vec<u8>>) -> Self {
        fake::with(|fake| fake.random.extend(bytes.into()));
        self
    }

    /// An attribute of the client that hooks are about.
    pub fn attribute(self, name: &str, value: &str) -> Self {
        fake::with(|fake| fake.current.attributes.push((name.into(), value.into())));
        self
    }

    /// The messages that hooks are about were published by a plugin.
    pub fn origin(self, plugin: &str, hops: u8) -> Self {
        fake::with(|fake| (fake.current.origin, fake.current.hops) = (Some(plugin.into()), hops));
        self
    }

    /// A client that is connected.
    pub fn client(self, session: u64, client_id: &str) -> Self {
        fake::with(|fake| fake.broker.clients.push(questions::client(session, client_id)));
        self
    }

    /// A subscription of that session.
    pub fn subscribed(mut self, session: u64, filter: &str) -> Self {
        match TopicFilter::new(filter) {
            Ok(filter) => fake::with(|fake| fake.broker.subscriptions.push((session, filter))),
            Err(why) => self.broken = Some(format!("{filter:?} is not a topic filter: {why}")),
        }
        self
    }

    /// A retained message.
    pub fn retained(self, topic: &str, payload: impl Into<Vec<u8>>) -> Self {
        fake::with(|fake| fake.broker.retained.insert(topic.into(), payload.into()));
        self
    }

    /// Answers the plugin's requests, in place of those who did so before.
    pub fn http(&self, answer: impl FnMut(&Request) -> Result<Response, http::Error> + 'static) {
        fake::with(|fake| fake.http.answer = Some(Box::new(answer)));
    }

    /// Makes the plugin's connections, in place of whoever did so before: a `TcpStream` to a real server, say.
    pub fn tcp(&self, open: impl FnMut(&str) -> Result<Box<dyn Duplex>, tcp::Error> + 'static) {
        fake::with(|fake| fake.tcp = Some(Box::new(open)));
    }

    /// Starts a plugin as the broker does.
    ///
    /// # Errors
    /// What the operator would read.
    pub fn start<P: Plugin>(&self) -> Result<P, String> {
        match &self.broken {
            Some(why) => Err(why.clone()),
            None => P::new(self.start.clone(), config::parse(&config::document())?),
        }
    }

    /// The keys that the plugin's config may have, as it says itself when it is given another: for a test that all have their line in its
    /// page of docs. The plugin's config must refuse unknown keys.
    pub fn config_keys<P: Plugin>(&self) -> Vec<String> {
        self.table_keys::<P>("\"no key\" = 0")
    }

    /// As [`Host::config_keys`], of a table within the config: `toml` is a config in which that table has a key called `no key`.
    pub fn table_keys<P: Plugin>(&self, toml: &str) -> Vec<String> {
        let Ok(document) = toml::from_str::<serde_json::Value>(toml) else { return Vec::new() };
        let Err(why) = config::parse::<P::Config>(&document.to_string()) else { return Vec::new() };
        let quoted = why.split('`').skip(1).step_by(2);
        quoted.filter(|key| !key.ends_with("no key")).map(Into::into).collect()
    }

    /// The lines logged so far.
    pub fn logged(&self) -> Vec<Line> {
        fake::with(|fake| fake.logged.clone())
    }

    /// What the plugin has published.
    pub fn published(&self) -> Vec<Outgoing> {
        fake::with(|fake| fake.broker.published.clone())
    }

    /// Whether the broker is too busy to publish what the plugin publishes.
    pub fn busy(&self, busy: bool) {
        fake::with(|fake| fake.broker.busy = busy);
    }

    /// Whom the plugin has disconnected, and why.
    pub fn disconnected(&self) -> Vec<(u64, ReasonCode)> {
        fake::with(|fake| fake.broker.disconnected.clone())
    }

    /// About whom the plugin wants everybody to be asked again; None: about all.
    pub fn forgotten(&self) -> Vec<Option<String>> {
        fake::with(|fake| fake.broker.forgotten.clone())
    }

    /// What a counter has come to.
    pub fn counted(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let key = fake::key(name, labels);
        fake::with(|fake| fake.metrics.counters.get(&key).copied().unwrap_or_default())
    }

    /// What a gauge was set to last.
    pub fn gauge(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let key = fake::key(name, labels);
        fake::with(|fake| fake.metrics.gauges.get(&key).copied())
    }

    /// What was observed, in order.
    pub fn observed(&self, name: &str, labels: &[(&str, &str)]) -> Vec<f64> {
        let key = fake::key(name, labels);
        fake::with(|fake| fake.metrics.histograms.get(&key).cloned().unwrap_or_default())
    }

    /// The requests sent so far.
    pub fn requested(&self) -> Vec<Request> {
        fake::with(|fake| fake.http.requests.clone())
    }

    /// Moves the clock on. Timers wait for [`Host::run_timers`].
    pub fn advance(&self, by: Duration) {
        fake::with(|fake| fake.now += by);
    }

    /// Moves the clock on, and calls the plugin for each timer that comes due meanwhile, in their order.
    pub fn run_timers(&self, plugin: &mut impl OnTimer, by: Duration) {
        let end = fake::with(|fake| fake.now + by);
        while let Some(token) = fake::next_due(end) {
            plugin.on_timer(token);
        }
        fake::with(|fake| fake.now = end);
    }
}

/// What an operator may grant, as far as a fake can refuse it. Requests are refused unless the test answers them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Granted {
    /// [`kv`](crate::kv)
    Kv,
    /// [`broker::publish`](crate::broker::publish)
    Publish,
    /// [`broker::disconnect`](crate::broker::disconnect)
    Disconnect,
    /// [`broker::client`](crate::broker::client), `find`, `subscribers` and `forget`
    Clients,
    /// [`broker::retained`](crate::broker::retained)
    Retained,
    /// [`engine`](crate::engine)
    Engine,
}

/// A line in the log. Shown as `LEVEL text key=value …`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Line {
    /// How much it matters.
    pub level: Level,
    /// What it says.
    pub text: String,
    /// In the order of the call.
    pub fields: Vec<(String, String)>,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.level, self.text)?;
        self.fields.iter().try_for_each(|(key, value)| write!(f, " {key}={value}"))
    }
}

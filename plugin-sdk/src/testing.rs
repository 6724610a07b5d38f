//! The broker's part, for a plugin's unit tests. Not there when a component is built.

use crate::{
    AclRequest, Action, Connect, Level, Message, Plugin, QoS, Start, config,
    host::fake::{self, Fake},
};
use std::{fmt, time::Duration};

/// A broker for one test: config in, log lines out, a store in memory, a clock that stands still until it is advanced. One for each
/// thread; a new one takes the place of the one before.
#[derive(Debug)]
#[must_use]
pub struct Host {
    /// Why the config is not TOML, told by `start`.
    broken_config: Option<String>,
    start: Start,
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

impl Host {
    /// No config, every level logged, `kv` granted and empty.
    pub fn new() -> Self {
        fake::with(|fake| *fake = Fake::default());
        let start = Start {
            plugin: "test".into(),
            generation: 1,
            broker_version: env!("CARGO_PKG_VERSION").into(),
            state: None,
        };
        Self { broken_config: None, start }
    }

    /// What would stand below `[plugin.NAME.config]`, in TOML.
    pub fn config(mut self, toml: &str) -> Self {
        match toml::from_str(toml) {
            Ok(config) => fake::with(|fake| fake.config = config),
            Err(error) => self.broken_config = Some(error.to_string()),
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

    /// `kv` answers that it is denied.
    pub fn without_kv(self) -> Self {
        fake::with(|fake| fake.kv_granted = false);
        self
    }

    /// Starts a plugin as the broker does.
    ///
    /// # Errors
    /// What the operator would read.
    pub fn start<P: Plugin>(&self) -> Result<P, String> {
        match &self.broken_config {
            Some(why) => Err(why.clone()),
            None => P::new(self.start.clone(), config::parse(&config::document())?),
        }
    }

    /// The lines logged so far.
    pub fn logged(&self) -> Vec<Line> {
        fake::with(|fake| fake.logged.clone())
    }

    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        fake::with(|fake| fake.now += by);
    }
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

/// A MQTT 5 client with username and password.
pub fn connect(client_id: &str, username: &str, password: &str) -> Connect {
    Connect { username: Some(username.into()), password: Some(password.into()), ..anonymous(client_id) }
}

/// A MQTT 5 client without username and password.
pub fn anonymous(client_id: &str) -> Connect {
    Connect {
        session: 1,
        client_id: client_id.into(),
        protocol: 5,
        clean_start: true,
        keep_alive: Duration::from_secs(60),
        listener: "test".into(),
        peer: "192.0.2.1:50000".into(),
        ..Connect::default()
    }
}

/// The client `c1`, logged in as `username`, asks at QoS 0.
pub fn request(username: Option<&str>, action: Action, topic: &str) -> AclRequest {
    AclRequest {
        session: 1,
        client_id: "c1".into(),
        username: username.map(Into::into),
        action,
        topic: topic.into(),
        qos: QoS::AtMostOnce,
        retain: false,
    }
}

/// A QoS 0 message; [`current::read`](crate::current::read) reads its payload from now on.
pub fn message(topic: &str, payload: impl Into<Vec<u8>>) -> Message {
    let payload = payload.into();
    fake::with(|fake| fake.payload.clone_from(&payload));
    Message {
        session: 1,
        topic: topic.into(),
        payload_len: u32::try_from(payload.len()).unwrap_or(u32::MAX),
        payload: Some(payload),
        ..Message::default()
    }
}

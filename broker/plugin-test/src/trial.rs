//! One plugin on the production host, asked as the broker would ask it.
//!
//! Reading order: here, the host with its folder; `clients` (who has come in), `ask` (questions), `outcome` (answers as JSON), `broker` (what
//! the plugin does there), `measure` (the same question many times), `backend` (the HTTP server it may reach), `log` (what it says).

mod ask;
mod backend;
mod broker;
mod clients;
mod log;
mod measure;
pub(crate) mod outcome;

pub(crate) use log::LogLine;
pub(crate) use measure::Cost;

use crate::scenario::{
    Http, Kind, Step,
    step::{self, Event, Message},
    value,
};
use backend::Backend;
use broker::{Broker, Happened};
use clients::Clients;
use log::Log;
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    env, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tempfile::TempDir;
use tidegate_hooks::{Event as HookEvent, EventKind, HookRegistry, Member};
use tidegate_mqtt::{ClientId, Timestamp};
use tidegate_plugin_host::{
    Access, BrokerAccess, ClientInfo, HostOptions, PluginConfig, PluginHost, PluginReport, PluginState,
    WaitFor, parse_duration,
};

/// How long to wait for what a plugin does, unless the line says otherwise.
const PATIENCE: Duration = Duration::from_secs(10);

/// A plugin that is being tried.
pub(crate) struct Trial {
    name: String,
    file: PathBuf,
    host: PluginHost,
    registry: Arc<HookRegistry>,
    broker: Arc<Broker>,
    backend: Backend,
    clients: Clients,
    log: Log,
    /// Lines before that one are taken.
    logged: usize,
    /// Lines before that one say nothing new of faults.
    looked_at: usize,
    /// As it stands in force.
    table: Table,
    /// Where the scenario lies, for `${folder}`.
    beside: PathBuf,
    /// Faults seen so far.
    faults: u64,
    place: TempDir,
}

/// There is no trial.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrialError {
    /// The component cannot be read.
    #[error("{}: {why}", .file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// What the system says.
        why: io::Error,
    },
    /// The table makes no sense.
    #[error("{0}")]
    Table(String),
    /// The machine has no room.
    #[error("the trial cannot be set up: {0}")]
    SetUp(String),
    /// The host does not take it.
    #[error("{reason}")]
    Refused {
        /// Why, and what to do.
        reason: String,
    },
}

impl From<io::Error> for TrialError {
    fn from(why: io::Error) -> Self {
        Self::SetUp(why.to_string())
    }
}

/// What stands in the plugin's TOML file.
#[derive(Clone, Debug)]
pub(crate) enum Table {
    /// In a scenario: as JSON, and secrets are given as they are.
    Given(Map<String, Value>),
    /// In a file, as the broker would read it.
    File(PathBuf),
}

impl Table {
    fn read(&self, place: &Path, origin: &str, beside: &Path) -> Result<PluginConfig, TrialError> {
        match self {
            Self::Given(table) => config(table, place, origin, beside),
            Self::File(path) => config_file(path),
        }
    }
}

/// Where compiled code is kept from one run to the next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Cache {
    /// In the user's cache folder.
    Shared,
    /// Nothing is there yet.
    Empty,
}

impl Trial {
    /// Starts the component in `file` with `table`; `beside` is the folder where the scenario lies. Also says how long the start took.
    ///
    /// # Errors
    /// [`TrialError`]
    pub(crate) async fn start(
        file: &Path,
        table: &Table,
        beside: &Path,
        cache: Cache,
    ) -> Result<(Self, Duration), TrialError> {
        let log = Log::of_process();
        log.clear();
        let place = tempfile::Builder::new().prefix("tidegate-test-").tempdir()?;
        for folder in ["plugins", "data", "secrets"] {
            fs::create_dir(place.path().join(folder))?;
        }
        if cache == Cache::Shared {
            let kept = cache_folder()?;
            std::os::unix::fs::symlink(kept, place.path().join("data/compiled"))?;
        }
        let name = plugin_name(file);
        let copied = fs::copy(file, place.path().join("plugins").join(&name).with_extension("wasm"));
        copied.map_err(|why| TrialError::Unreadable { file: file.into(), why })?;
        let backend = Backend::start().await?;
        let config = table.read(place.path(), &backend.origin(), beside)?;
        let broker = Arc::new(Broker::default());
        let access = Access::default();
        let reached: Arc<dyn BrokerAccess> = broker.clone();
        access.open(Arc::downgrade(&reached));
        let registry = Arc::new(HookRegistry::new());
        let options = HostOptions {
            plugin_dir: place.path().join("plugins"),
            data_dir: place.path().join("data"),
            plugins: BTreeMap::from([(name.clone(), config)]),
            registry: registry.clone(),
            broker_version: env!("CARGO_PKG_VERSION").to_owned(),
            workers: 1,
            access,
            engines: None,
            wait_for: WaitFor::All,
        };
        let began = Instant::now();
        let (host, reports) =
            PluginHost::start(options).await.map_err(|why| TrialError::SetUp(why.to_string()))?;
        let took = began.elapsed();
        if let Some(PluginState::Refused { reason }) = reports.first().map(|report| &report.state) {
            return Err(TrialError::Refused { reason: shown_as(reason, place.path(), &name, file) });
        }
        let trial = Self {
            name,
            file: file.into(),
            host,
            registry,
            broker,
            backend,
            clients: Clients::default(),
            log,
            logged: 0,
            looked_at: 0,
            table: table.clone(),
            beside: beside.into(),
            faults: 0,
            place,
        };
        Ok((trial, took))
    }

    /// How it stands.
    pub(crate) fn report(&self) -> Option<PluginReport> {
        self.host.reports().into_iter().next()
    }

    /// Bytes of linear memory.
    pub(crate) fn memory_of_an_instance(&self) -> u64 {
        let load = self.report().map(|report| report.load).unwrap_or_default();
        load.memory / u64::try_from(load.instances).unwrap_or(1).max(1)
    }

    /// What it exports.
    pub(crate) fn hooks(&self) -> Vec<&'static str> {
        self.report().map(|report| report.hooks).unwrap_or_default()
    }

    fn member(&self) -> Option<Member> {
        self.registry.chain().members().first().cloned()
    }

    /// Lines logged so far, to begin from with [`Trial::logged_since`].
    pub(crate) fn log_mark(&self) -> usize {
        self.log.len()
    }

    pub(crate) fn logged_since(&self, mark: usize) -> Vec<LogLine> {
        self.log.since(mark)
    }

    /// Does one step; None: there is nothing to say about it.
    ///
    /// # Errors
    /// The step makes no sense here.
    pub(crate) async fn step(&mut self, step: &Step, within: Option<&str>) -> Result<Option<Value>, String> {
        let outcome = self.do_step(step, within).await?;
        // Also one of a timer, or of whatever else runs beside it.
        Ok(match self.new_fault() {
            Some(fault) => Some(json!({ "fault": fault })),
            None => outcome,
        })
    }

    async fn do_step(&mut self, step: &Step, within: Option<&str>) -> Result<Option<Value>, String> {
        let patience = within.map(parse_duration).transpose().map_err(|why| format!("`within`: {why}"))?;
        let patience = patience.unwrap_or(PATIENCE);
        match step {
            Step::Plugin(_) | Step::Recording => {}
            Step::Reload(table) => return self.reload(table).await.map(Some),
            Step::Http(http) => self.http(http).await?,
            Step::Retained(message) => self.retain(message)?,
            Step::Client(client) => self.introduce(client),
            Step::Disconnect(gone) => self.leaves(&gone.client),
            Step::Sleep(time) => {
                tokio::time::sleep(parse_duration(time).map_err(|why| why.to_string())?).await;
            }
            Step::Published(expected) => return self.wait("published", patience, expected).await,
            Step::Disconnected(expected) => return self.wait("disconnected", patience, expected).await,
            Step::Requested(expected) => return self.wait("requested", patience, expected).await,
            Step::Logged(expected) => return self.wait_for_line(expected, patience).await,
            Step::Nothing(kind) => return Ok(Some(self.nothing(*kind))),
            Step::Events { batch, lost } => self.tell(batch, *lost).await?,
            question => return self.ask(question).await.map(Some),
        }
        Ok(None)
    }

    /// Whoever was there under that name is gone.
    fn leaves(&mut self, name: &str) {
        if let Some(client) = self.clients.forget(name) {
            self.broker.left(client.session);
        }
    }

    /// It is in, whoever let it in.
    fn introduce(&mut self, introduced: &step::Client) {
        self.leaves(&introduced.client);
        let client = self.clients.named(&introduced.client);
        client.username = introduced.username.clone();
        let attributes = introduced.attributes.iter();
        client.attributes =
            attributes.map(|(name, value)| (name.as_str().into(), value.as_str().into())).collect();
        let info = ClientInfo {
            session: client.session,
            client_id: introduced.client.as_str().into(),
            username: introduced.username.as_deref().map(Into::into),
            peer: "192.0.2.1:50000".into(),
            listener: "test".into(),
            since_ms: now().0,
        };
        self.broker.came(info);
    }

    /// What failed since this was asked last, in the words of the host.
    fn new_fault(&mut self) -> Option<String> {
        let faults = self.report().map_or(0, |report| report.calls.iter().map(|hook| hook.faulty()).sum());
        let lines = self.log.since(self.looked_at);
        self.looked_at += lines.len();
        if faults <= std::mem::replace(&mut self.faults, faults) {
            return None;
        }
        let said = lines.iter().find_map(|line| Some(line.text.split_once(": call failed: ")?.1.to_owned()));
        Some(said.unwrap_or_else(|| "it was not asked: too many faults or calls before".to_owned()))
    }

    /// As if nothing had been logged, and nothing had failed.
    fn forget_log(&mut self) {
        self.log.clear();
        (self.logged, self.looked_at) = (0, 0);
        _ = self.new_fault();
    }

    async fn reload(&mut self, table: &Map<String, Value>) -> Result<Value, String> {
        if !table.is_empty() {
            self.table = Table::Given(table.clone());
        }
        let config = self.table.read(self.place.path(), &self.backend.origin(), &self.beside);
        let config = config.map_err(|why| why.to_string())?;
        Ok(match self.host.reload_with(&self.name, config).await {
            Ok(_) => {
                // The new generation counts anew.
                self.faults = 0;
                "loaded".into()
            }
            Err(why) => {
                json!({ "refused": shown_as(&why.to_string(), self.place.path(), &self.name, &self.file) })
            }
        })
    }

    async fn http(&mut self, http: &Http) -> Result<(), String> {
        self.backend.answer(http).await
    }

    fn retain(&self, message: &Message) -> Result<(), String> {
        self.broker.retain(&message.topic, message.body().bytes()?);
        Ok(())
    }

    async fn tell(&mut self, batch: &[Event], lost: u64) -> Result<(), String> {
        let (member, events) = self.events(batch)?;
        if !events.is_empty() || lost > 0 {
            // If it fails that is seen as a fault.
            _ = member.hooks.on_events(&events, lost).wait().await;
        }
        Ok(())
    }

    /// Those of them that it wants to know of.
    fn events(&mut self, batch: &[Event]) -> Result<(Member, Vec<HookEvent>), String> {
        let events = batch.iter().map(|event| self.event(event)).collect::<Result<Vec<_>, _>>()?;
        let Some(member) = self.member().filter(|member| !member.hooks.kinds().events.is_empty()) else {
            return Err("the plugin does not export `events`".to_owned());
        };
        let wanted = |event: &HookEvent| {
            let topic = event.topic.as_deref();
            member.hooks.kinds().events.has(event.kind)
                && topic.is_none_or(|topic| tidegate_hooks::scope_holds(&member.scopes.events, topic))
        };
        let events = events.into_iter().filter(wanted).collect();
        Ok((member, events))
    }

    fn event(&mut self, event: &Event) -> Result<HookEvent, String> {
        let kind = EventKind::from_name(&event.kind);
        let kind =
            kind.ok_or_else(|| format!("`kind`: there is no event {:?}; see docs/hooks.md", event.kind))?;
        let mut told = HookEvent::new(kind, now()).because(value::reason_code(&event.reason)?);
        if !event.client.is_empty() {
            told = told.of(self.clients.session(&event.client), &ClientId::new(&event.client));
        }
        if let Some(topic) = &event.topic {
            told = told.about_text(topic.as_str());
        }
        for (name, value) in &event.detail {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            // The broker's own names are part of it; a scenario has a few, and then the process ends.
            told = told.with(Box::leak(name.clone().into_boxed_str()), text);
        }
        Ok(told)
    }

    async fn wait(&self, what: &str, patience: Duration, expected: &Value) -> Result<Option<Value>, String> {
        let happened = match what {
            "published" => &self.broker.published,
            "disconnected" => &self.broker.disconnected,
            _ => self.backend.requested(),
        };
        let found = tokio::time::timeout(patience, happened.next()).await;
        Ok(Some(match found {
            Ok(found) => judged(what, expected, found),
            Err(_) => json!({"missing": format!("nothing was {what} within {patience:?}")}),
        }))
    }

    async fn wait_for_line(&mut self, expected: &Value, patience: Duration) -> Result<Option<Value>, String> {
        let level = expected.get("level").and_then(Value::as_str).map(str::to_uppercase);
        let text = expected.get("text").and_then(Value::as_str).unwrap_or_default();
        let fits = |line: &LogLine| {
            line.text.contains(text) && level.as_deref().is_none_or(|level| line.level.as_str() == level)
        };
        // None: longer than there is time.
        let until = Instant::now().checked_add(patience);
        loop {
            let lines = self.log.since(self.logged);
            if let Some(at) = lines.iter().position(fits) {
                self.logged += at + 1;
                return Ok(Some("logged".into()));
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
                return Ok(Some(
                    json!({"missing": format!("no such line within {patience:?}; there are {lines:?}")}),
                ));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn nothing(&self, kind: Kind) -> Value {
        let happened: &Happened = match kind {
            Kind::Published => &self.broker.published,
            Kind::Disconnected => &self.broker.disconnected,
            Kind::Requested => self.backend.requested(),
        };
        let untaken = happened.untaken();
        match untaken.is_empty() {
            true => "nothing".into(),
            false => json!({ "unexpected": untaken }),
        }
    }

    /// Ends it, in order.
    pub(crate) async fn stop(self) {
        self.host.stop().await;
    }
}

/// What was waited for came, as described or otherwise.
fn judged(what: &str, expected: &Value, found: Value) -> Value {
    match value::fits(what, expected, &found) {
        Ok(()) => json!({ what: found }),
        Err(why) => json!({"unexpected": found, "why": why}),
    }
}

/// `[a-z0-9_-]+`, as the plugin folder wants it: anything else would be refused for its name alone.
fn plugin_name(file: &Path) -> String {
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default();
    let name: String = stem
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' })
        .collect();
    if name.is_empty() { "plugin".to_owned() } else { name }
}

/// The reason, with the file's own name in place of that of the copy.
fn shown_as(reason: &str, place: &Path, name: &str, file: &Path) -> String {
    let copy = place.join("plugins").join(name).with_extension("wasm");
    reason.replace(&copy.display().to_string(), &file.display().to_string())
}

/// The table as the host reads it: placeholders filled, secrets in files.
fn config(
    table: &Map<String, Value>,
    place: &Path,
    origin: &str,
    beside: &Path,
) -> Result<PluginConfig, TrialError> {
    let mut table = Value::from(table.clone());
    fill(&mut table, &[("${http}", origin), ("${folder}", &beside.display().to_string())]);
    let secrets = table.get_mut("secrets").and_then(Value::as_object_mut);
    for (name, value) in secrets.into_iter().flatten() {
        let Value::String(secret) = value else {
            return Err(TrialError::Table(format!("`secrets.{name}` is text: the secret itself")));
        };
        let file = place.join("secrets").join(hex(name));
        fs::write(&file, secret)?;
        *value = format!("file:{}", file.display()).into();
    }
    let mut config: PluginConfig = serde_path_to_error::deserialize(table).map_err(|error| {
        TrialError::Table(format!("`{}` of the plugin's table: {}", error.path(), error.inner()))
    })?;
    config.lies_beside(beside);
    Ok(config)
}

fn config_file(path: &Path) -> Result<PluginConfig, TrialError> {
    let wrong = |why: &dyn std::fmt::Display| TrialError::Table(format!("{}: {why}", path.display()));
    let text = fs::read_to_string(path).map_err(|why| wrong(&why))?;
    let mut config: PluginConfig = toml::from_str(&text).map_err(|why| wrong(&why))?;
    let path = std::path::absolute(path).map_err(|why| wrong(&why))?;
    config.lies_beside(path.parent().unwrap_or(Path::new("/")));
    Ok(config)
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Any name as that of a file.
fn hex(name: &str) -> String {
    name.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn fill(value: &mut Value, with: &[(&str, &str)]) {
    match value {
        Value::String(text) => {
            for (placeholder, filled) in with {
                if text.contains(placeholder) {
                    *text = text.replace(placeholder, filled);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| fill(value, with)),
        Value::Object(values) => values.values_mut().for_each(|value| fill(value, with)),
        _ => {}
    }
}

/// The user's folder for compiled code. Only its owner may write there: reading it is as good as running it.
fn cache_folder() -> io::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt;
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let base =
        env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute()).or_else(home);
    let Some(base) = base else { return Err(io::Error::other("neither HOME nor XDG_CACHE_HOME is set")) };
    let folder = base.join("tidegate").join("compiled");
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_fit_for_the_folder() {
        assert_eq!(plugin_name(Path::new("a/Shout It.wasm")), "shout-it");
        assert_eq!(plugin_name(Path::new("/x/rate_limit-2.wasm")), "rate_limit-2");
    }

    #[test]
    fn the_table_is_that_of_the_host_but_secrets_are_given() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("secrets")).unwrap();
        let table = json!({"config": {"url": "${http}/auth"}, "secrets": {"a/b": "hunter2"}, "grants": {"http": ["${http}"]}});
        let read = |table: &Value| {
            config(table.as_object().unwrap(), place.path(), "http://127.0.0.1:9", Path::new("/s"))
        };
        let config = read(&table).unwrap();
        assert_eq!(config.config["url"].as_str(), Some("http://127.0.0.1:9/auth"));
        assert_eq!(fs::read_to_string(place.path().join("secrets").join(hex("a/b"))).unwrap(), "hunter2");
        let error = read(&json!({"grants": {"htp": []}})).unwrap_err().to_string();
        assert!(error.starts_with("`grants.htp` of the plugin's table: unknown field `htp`"), "{error}");
        let error = read(&json!({"secrets": {"a": 1}})).unwrap_err().to_string();
        assert_eq!(error, "`secrets.a` is text: the secret itself");
    }
}

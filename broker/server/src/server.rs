//! Start and stop: from a config to a running broker, and back.

use crate::{
    admin::{AdminSocket, Answering, Backups, Recordings},
    clock,
    config::{Config, ConfigError, Engine, Listener},
    door::Door,
    events,
    listen::{Bound, bind, listen},
    metrics, parked_sessions, plugin_access,
    plugin_engines::PluginEngines,
    plugin_store::PluginStore,
    revocation,
    shared::Shared,
    sys,
};
use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tidegate_hooks::{EventKind, HookRegistry};
use tidegate_mqtt::ReasonCode;
use tidegate_plugin_host::{
    Access, BrokerAccess, HostError, HostOptions, PluginHost, PluginReport, PluginState, WaitFor,
};
use tidegate_store::{Backend, Fjall, Memory, Recovered, Store, StoreError};
use tidegate_transport::{TlsError, TlsSettings};
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    task::{JoinHandle, JoinSet},
};
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

/// A running broker. Dropped without [`Broker::stop`] it ends without a word to its clients.
#[derive(Debug)]
pub struct Broker {
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    certificates: Vec<Arc<TlsSettings>>,
    plugins: Option<PluginHost>,
    stop: watch::Sender<bool>,
    /// Tells the last of them after the last client.
    events: Finishing,
    /// What plugins publish.
    plugin_messages: Finishing,
    connections: TaskTracker,
    tasks: JoinSet<()>,
}

/// The broker did not start. One line that says what to change.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The config cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A folder or a required plugin cannot be used.
    #[error(transparent)]
    Plugins(#[from] HostError),
    /// The data folder cannot be made.
    #[error("data_dir {}: {error}; name a folder the broker may write to", .path.display())]
    DataDir {
        /// Which folder.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Two brokers would write over each other's files.
    #[error("data_dir {}: another broker uses it; stop that one, or name another folder with data_dir", .path.display())]
    DataDirInUse {
        /// Which folder.
        path: PathBuf,
    },
    /// What an earlier run left cannot be read, or nothing can be written.
    #[error("store {place}: {error}")]
    Store {
        /// Which folder.
        place: String,
        /// Why, and what to do.
        error: StoreError,
    },
    /// An address cannot be had.
    #[error("listener {address}: {error}; name a free address of this machine in [[listener]] address")]
    Bind {
        /// Which address.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
    /// A Unix socket cannot be had.
    #[error("listener {}: {error}; name a free path in a folder the broker may write to in [[listener]] path", .path.display())]
    BindPath {
        /// Which path.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A certificate, a key or what belongs to them cannot be used.
    #[error("listener {listener}: {error}")]
    Tls {
        /// Name of the listener.
        listener: String,
        /// Which file, and what to change.
        error: TlsError,
    },
    /// The world could come in.
    #[error(
        "listener {address} is open to other machines, but no plugin authenticates clients; add one to {}, listen on 127.0.0.1 \
         or set allow_anonymous = true", .plugin_dir.display()
    )]
    OpenToAll {
        /// Which address.
        address: SocketAddr,
        /// Where a plugin would lie.
        plugin_dir: PathBuf,
    },
}

/// How long clients may take to leave when the broker stops.
const FAREWELL: Duration = Duration::from_secs(5);

impl Broker {
    /// Loads the plugins, then opens the listeners.
    ///
    /// # Errors
    /// [`StartError`]: nothing was opened, or everything is closed again.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::start_with(config, Arc::new(HookRegistry::new())).await
    }

    /// As [`Broker::start`], with native hooks that are there from the beginning.
    ///
    /// # Errors
    /// As [`Broker::start`].
    pub async fn start_with(config: Config, hooks: Arc<HookRegistry>) -> Result<Self, StartError> {
        info!("tidegate {}", env!("CARGO_PKG_VERSION"));
        std::fs::create_dir_all(&config.data_dir)
            .map_err(|error| StartError::DataDir { path: config.data_dir.clone(), error })?;
        let admin = AdminSocket::bind(&config.data_dir)?;
        let access = Access::default();
        let (plugins, reports) = match options(&config, &hooks, &access) {
            Some(options) => PluginHost::start(options).await.map(|(host, reports)| (Some(host), reports))?,
            None => (None, Vec::new()),
        };
        refuse_open_to_all(&config, &reports)?;
        let (store, recovered) = open_store(&config, plugins.as_ref()).await?;
        let requires: Vec<_> = config.listeners.iter().map(|listener| listener.requires.clone()).collect();
        let mut bound = Vec::new();
        for listener in &config.listeners {
            bound.push(bind(listener, door(listener, &config)?)?);
        }

        let (looks, parked) = mpsc::unbounded_channel();
        let (plugin_messages, of_plugins) = mpsc::channel(config.limits.max_plugin_messages.get());
        let (stop, stopped) = watch::channel(false);
        let numbered = (store, recovered.first_number());
        let shared = Arc::new(Shared::new(config, hooks, looks, plugin_messages, stopped.clone(), numbered));
        shared.recover(recovered);
        let chain_changed = Arc::new(Notify::new());
        follow_chain(&shared, chain_changed.clone());
        let broker: Arc<dyn BrokerAccess> = shared.clone();
        access.open(Arc::downgrade(&broker));
        let connections = TaskTracker::new();
        let mut tasks = JoinSet::new();
        for missing in reports.iter().filter(|report| report.state == PluginState::Waiting) {
            warn!("plugin {}: configured, but {} is not there", missing.name, missing.file.display());
        }
        let changes = match &plugins {
            Some(plugins) => plugins.changes(),
            None => watch::channel(reports).1,
        };
        let control = plugins.as_ref().map(|plugins| plugins.control().clone());
        tasks.spawn(sys::tell(shared.clone(), changes.clone(), control.clone()));
        tasks.spawn(events::watch_plugins(shared.clone(), changes.clone()));
        if let Some(admin) = admin {
            let metrics = metrics::registry(shared.clone(), control.clone());
            let backups = Backups::of(shared.store.clone());
            let recordings = Recordings::of(shared.hooks.clone());
            tasks.spawn(admin.serve(Answering { plugins: control.clone(), metrics, backups, recordings }));
        }
        tasks.spawn(parked_sessions::watch(shared.clone(), parked));
        tasks.spawn(keep_time(shared.clone()));
        let plugin_messages =
            Finishing::spawn(|end| plugin_access::publish_for_plugins(shared.clone(), of_plugins, end));
        tasks.spawn(revocation::watch(shared.clone(), chain_changed));
        let events = Finishing::spawn(|end| events::carry(shared.clone(), end));
        let addresses = bound.iter().filter_map(Bound::address).collect();
        let mut certificates = Vec::new();
        for (bound, requires) in bound.into_iter().zip(requires) {
            if let Some(tls) = bound.door.acceptor.tls.clone() {
                certificates.push(tls.clone());
                tasks.spawn(async move { tls.watch().await });
            }
            let (name, place) = (bound.door.name.clone(), bound.place.to_string());
            let open = move || info!(address = %place, "listening: {name}");
            let listening = listen(shared.clone(), bound, connections.clone(), stopped.clone());
            if may_open(&changes.borrow(), requires.as_deref()) {
                open();
                tasks.spawn(listening);
            } else {
                let mut changes = changes.clone();
                tasks.spawn(async move {
                    let up = changes.wait_for(|reports| may_open(reports, requires.as_deref())).await.is_ok();
                    if up {
                        open();
                        listening.await;
                    }
                });
            }
        }
        info!(plugin_dir = %shared.config.plugin_dir.display(), data_dir = %shared.config.data_dir.display(), "ready");
        shared.events.tell(EventKind::Started, |event| event.with("version", env!("CARGO_PKG_VERSION")));
        Ok(Self {
            events,
            plugin_messages,
            shared,
            addresses,
            certificates,
            plugins,
            stop,
            connections,
            tasks,
        })
    }

    /// Where clients come in, in the order of the config; the ports in fact taken. Unix sockets are left out.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Puts a native hook into the chain beside the plugins.
    pub fn hooks(&self) -> &Arc<HookRegistry> {
        &self.shared.hooks
    }

    /// The plugins as they stand.
    pub fn plugins(&self) -> Vec<PluginReport> {
        self.plugins.as_ref().map(PluginHost::reports).unwrap_or_default()
    }

    /// Takes another config. Plugins whose table changed are swapped, as if their file had changed, and certificates are read again; the rest
    /// of the file holds from the next start on, and is said if it differs.
    pub fn reconfigure(&self, config: &Config) {
        if let Some(plugins) = &self.plugins {
            plugins.configure(config.plugins.clone());
        }
        for tls in &self.certificates {
            if let Err(error) = tls.reload() {
                warn!("the certificates stay as they were: {error}");
            }
        }
        if config.differs_beside_plugins(&self.shared.config) {
            warn!(
                "only [plugin.NAME] tables change while the broker runs; the rest of the config holds from the next start on"
            );
        }
        info!("config read again");
    }

    /// Takes nobody in any more, tells the clients (0x8B), waits for them up to five seconds, and as long for what plugins have published; then drains
    /// the plugins.
    pub async fn stop(mut self) {
        let began = clock::now();
        let connected = self.shared.clients.connected();
        info!(clients = connected, "stopping");
        self.shared.events.tell(EventKind::Stopping, |event| event.with("clients", connected.to_string()));
        let _ = self.stop.send(true);
        let reason = match self.shared.config.server_reference {
            Some(_) => ReasonCode::UseAnotherServer,
            None => ReasonCode::ServerShuttingDown,
        };
        self.shared.clients.disconnect_all(reason, "the broker stops");
        self.connections.close();
        if tokio::time::timeout(FAREWELL, self.connections.wait()).await.is_err() {
            warn!(clients = self.connections.len(), "clients did not leave in time");
        }
        self.events.finish("carries events").await;
        self.plugin_messages.finish("publishes for plugins").await;
        self.tasks.shutdown().await;
        let shared = self.shared.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || shared.store.close()).await {
            tracing::error!(%error, "the store was not closed");
        }
        if let Some(plugins) = self.plugins.take() {
            plugins.stop().await;
        }
        info!(milliseconds = clock::now().since(began).as_millis(), "stopped");
    }
}

/// A task that does what is left to do when its end has come.
#[derive(Debug)]
struct Finishing {
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Finishing {
    fn spawn<F: Future<Output = ()> + Send + 'static>(task: impl FnOnce(oneshot::Receiver<()>) -> F) -> Self {
        let (end, ended) = oneshot::channel();
        Self { end, task: tokio::spawn(task(ended)) }
    }

    /// The end has come. `what`: what it does.
    async fn finish(mut self, what: &str) {
        drop(self.end);
        match tokio::time::timeout(FAREWELL, &mut self.task).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the task that {what} ended badly"),
            Err(_) => {
                self.task.abort();
                warn!("the task that {what} did not end in time: what it had left is lost");
            }
        }
    }
}

/// How often the store is told that the broker lives.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// What expires counts the time that the broker was down: from the last time it is known to have lived.
async fn keep_time(shared: Arc<Shared>) {
    loop {
        if shared.store.is_used() {
            shared.store.alive(clock::now());
        }
        tokio::time::sleep(HEARTBEAT).await;
    }
}

/// What an earlier run left, before anybody comes in.
async fn open_store(config: &Config, plugins: Option<&PluginHost>) -> Result<(Store, Recovered), StartError> {
    let open = engine(config, plugins);
    let durability = config.durability;
    let opening = tokio::task::spawn_blocking(move || Store::open(open()?, durability));
    let opened = opening.await.unwrap_or_else(|error| Err(StoreError::Unusable(error.to_string().into())));
    opened.map_err(|error| StartError::Store { place: store_place(config), error })
}

/// Opens the engine that the config names. Blocks, and is not for a thread that serves clients.
pub(crate) fn engine(
    config: &Config,
    plugins: Option<&PluginHost>,
) -> impl FnOnce() -> Result<Arc<dyn Backend>, StoreError> + use<> {
    let engine = config.store.engine;
    let (folder, options) = (config.data_dir.join("store"), config.store.fjall());
    let plugin = config.store.plugin.clone().unwrap_or_default();
    let storage = plugins.and_then(|plugins| plugins.storage(&plugin));
    let runtime = tokio::runtime::Handle::current();
    move || {
        Ok(match engine {
            Engine::Plugin => {
                let unusable = || {
                    let sentence = format!(
                        "no plugin {plugin:?} runs that keeps records; name one that exports `storage` with plugin in [store]"
                    );
                    StoreError::Unusable(sentence.into())
                };
                Arc::new(PluginStore::open(storage.ok_or_else(unusable)?, runtime)?)
            }
            Engine::Disk => Arc::new(Fjall::open(&folder, options)?),
            Engine::Memory => Arc::new(Memory::default()),
        })
    }
}

/// For people.
pub(crate) fn store_place(config: &Config) -> String {
    match (config.store.engine, &config.store.plugin) {
        (Engine::Plugin, Some(plugin)) => format!("of the plugin {plugin}"),
        (Engine::Plugin, None) => "of a plugin".to_owned(),
        (Engine::Disk | Engine::Memory, _) => config.data_dir.join("store").display().to_string(),
    }
}

/// Says what a start would say, without opening a listener.
///
/// # Errors
/// As [`Broker::start`].
pub async fn check(config: &Config) -> Result<Vec<PluginReport>, StartError> {
    let hooks = Arc::new(HookRegistry::new());
    let reports = match options(config, &hooks, &Access::default()) {
        Some(options) => PluginHost::check(options).await?,
        None => Vec::new(),
    };
    refuse_open_to_all(config, &reports)?;
    for listener in &config.listeners {
        door(listener, config)?;
    }
    Ok(reports)
}

fn door(listener: &Listener, config: &Config) -> Result<Door, StartError> {
    Door::new(listener, config).map_err(|error| StartError::Tls { listener: listener.name(), error })
}

/// What the broker keeps in step with the chain: which events are worth telling, and what is allowed.
fn follow_chain(shared: &Arc<Shared>, permissions: Arc<Notify>) {
    let broker = Arc::downgrade(shared);
    shared.hooks.on_change(move |change| {
        let Some(broker) = broker.upgrade() else { return };
        broker.events.want(broker.hooks.chain().events());
        if change.acl {
            permissions.notify_one();
        }
    });
    shared.events.want(shared.hooks.chain().events());
}

/// Whether a listener may open: the plugins that it requires answer, or, if it names none, no plugin is still being compiled.
fn may_open(plugins: &[PluginReport], requires: Option<&[String]>) -> bool {
    match requires {
        None => plugins.iter().all(|plugin| plugin.state != PluginState::Starting),
        Some(names) => names.iter().all(|name| {
            plugins.iter().any(|plugin| plugin.name == *name && plugin.state == PluginState::Running)
        }),
    }
}

/// None if there is no plugin folder and nothing says there should be.
pub(crate) fn options(config: &Config, hooks: &Arc<HookRegistry>, access: &Access) -> Option<HostOptions> {
    (!config.without_file || config.plugin_dir.is_dir()).then(|| HostOptions {
        plugin_dir: config.plugin_dir.clone(),
        data_dir: config.data_dir.clone(),
        plugins: config.plugins.clone(),
        registry: hooks.clone(),
        broker_version: env!("CARGO_PKG_VERSION").to_owned(),
        workers: config.workers.get(),
        access: access.clone(),
        engines: Some(Arc::new(PluginEngines::new(&config.data_dir, config.store.fjall()))),
        // Listeners that name what they require need not wait for the others.
        wait_for: match config.listeners.iter().any(|listener| listener.requires.is_some()) {
            true => WaitFor::Named(config.store.plugin.iter().cloned().collect()),
            false => WaitFor::All,
        },
    })
}

fn refuse_open_to_all(config: &Config, plugins: &[PluginReport]) -> Result<(), StartError> {
    // One that is still being compiled lets nobody in before it is up.
    let there = |plugin: &PluginReport| matches!(plugin.state, PluginState::Running | PluginState::Starting);
    let authenticates = |plugin: &PluginReport| there(plugin) && plugin.hooks.contains(&"auth");
    if plugins.iter().any(authenticates) {
        return Ok(());
    }
    // Where certificates name clients, they vouch for them too.
    let closed = |listener: &&Listener| {
        !listener.allow_anonymous.unwrap_or(config.allow_anonymous) && listener.username_from.is_none()
    };
    let mut closed = config.listeners.iter().filter(closed).peekable();
    if closed.peek().is_none() {
        return Ok(());
    }
    let open = closed.find(|listener| listener.is_open_to_others()).and_then(|listener| listener.address);
    match open {
        Some(address) => Err(StartError::OpenToAll { address, plugin_dir: config.plugin_dir.clone() }),
        None => {
            warn!("no plugin authenticates clients and allow_anonymous is false: nobody will be let in");
            Ok(())
        }
    }
}

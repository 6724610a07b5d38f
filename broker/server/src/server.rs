//! Start and stop: from a config to a running broker, and back.

use crate::{
    admin::AdminSocket,
    clock,
    config::{Config, ConfigError, Listener},
    door::Door,
    listen::{Bound, bind, listen},
    parked_sessions,
    shared::Shared,
    sys,
};
use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tidegate_hooks::HookRegistry;
use tidegate_mqtt::ReasonCode;
use tidegate_plugin_host::{HostError, HostOptions, PluginHost, PluginReport, PluginState};
use tidegate_transport::{TlsError, TlsSettings};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
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
        info!("tidegate {}", env!("CARGO_PKG_VERSION"));
        std::fs::create_dir_all(&config.data_dir)
            .map_err(|error| StartError::DataDir { path: config.data_dir.clone(), error })?;
        let admin = AdminSocket::bind(&config.data_dir)?;
        let hooks = Arc::new(HookRegistry::new());
        let (plugins, reports) = match options(&config, &hooks) {
            Some(options) => PluginHost::start(options).await.map(|(host, reports)| (Some(host), reports))?,
            None => (None, Vec::new()),
        };
        refuse_open_to_all(&config, &reports)?;
        let mut bound = Vec::new();
        for listener in &config.listeners {
            bound.push(bind(listener, door(listener, &config)?)?);
        }

        let (looks, parked) = mpsc::unbounded_channel();
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::new(Shared::new(config, hooks, looks, stopped.clone()));
        let connections = TaskTracker::new();
        let mut tasks = JoinSet::new();
        for missing in reports.iter().filter(|report| report.state == PluginState::Waiting) {
            warn!("plugin {}: configured, but {} is not there", missing.name, missing.file.display());
        }
        let changes = plugins.as_ref().map_or_else(|| watch::channel(reports).1, PluginHost::changes);
        tasks.spawn(sys::tell(shared.clone(), changes));
        if let Some(admin) = admin {
            tasks.spawn(admin.serve(plugins.as_ref().map(|plugins| plugins.control().clone())));
        }
        tasks.spawn(parked_sessions::watch(shared.clone(), parked));
        let addresses = bound.iter().filter_map(Bound::address).collect();
        let mut certificates = Vec::new();
        for bound in bound {
            info!(address = %bound.place, "listening: {}", bound.door.name);
            if let Some(tls) = bound.door.acceptor.tls.clone() {
                certificates.push(tls.clone());
                tasks.spawn(async move { tls.watch().await });
            }
            tasks.spawn(listen(shared.clone(), bound, connections.clone(), stopped.clone()));
        }
        info!(plugin_dir = %shared.config.plugin_dir.display(), data_dir = %shared.config.data_dir.display(), "ready");
        Ok(Self { shared, addresses, certificates, plugins, stop, connections, tasks })
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

    /// Takes nobody in any more, tells the clients (0x8B), waits for them up to five seconds, then drains the plugins.
    pub async fn stop(mut self) {
        let began = clock::now();
        let connected = self.shared.clients.connected();
        info!(clients = connected, "stopping");
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
        self.tasks.shutdown().await;
        if let Some(plugins) = self.plugins.take() {
            plugins.stop().await;
        }
        info!(milliseconds = clock::now().since(began).as_millis(), "stopped");
    }
}

/// Says what a start would say, without opening a listener.
///
/// # Errors
/// As [`Broker::start`].
pub async fn check(config: &Config) -> Result<Vec<PluginReport>, StartError> {
    let hooks = Arc::new(HookRegistry::new());
    let reports = match options(config, &hooks) {
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

/// None if there is no plugin folder and nothing says there should be.
fn options(config: &Config, hooks: &Arc<HookRegistry>) -> Option<HostOptions> {
    (!config.without_file || config.plugin_dir.is_dir()).then(|| HostOptions {
        plugin_dir: config.plugin_dir.clone(),
        data_dir: config.data_dir.clone(),
        plugins: config.plugins.clone(),
        registry: hooks.clone(),
        broker_version: env!("CARGO_PKG_VERSION").to_owned(),
        workers: config.workers.get(),
        access: tidegate_plugin_host::Access::default(),
        wait_for: tidegate_plugin_host::WaitFor::All,
    })
}

fn refuse_open_to_all(config: &Config, plugins: &[PluginReport]) -> Result<(), StartError> {
    let authenticates = |plugin: &PluginReport| {
        matches!(plugin.state, PluginState::Running | PluginState::Starting) && plugin.hooks.contains(&"auth")
    };
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

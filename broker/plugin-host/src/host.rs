//! Keeps the chain in step with the plugin folder: what is there is compiled, started and put into the chain; what changes is
//! replaced while messages flow; what goes is taken out. Nothing that is bad takes the place of something that works.
//!
//! Reading order: here, the host's handle; `keeper` (looks at the folder), `plugin` (one name, with a task of its own), `attempt` (from a
//! file to a generation), `pending` (stands in for a plugin that is not compiled yet), `control` (what operators may order), `board`
//! (what is known of all plugins).

mod attempt;
mod board;
mod control;
mod keeper;
mod pending;
mod plugin;

pub use control::{
    ControlError, PluginControl, Promoted, Reloaded, RolledBack, ShadowDropped, ShadowStarted,
};

use crate::{
    access::Access,
    config::PluginConfig,
    engine::EngineError,
    generation::Generation,
    imports::KvStore,
    records::RecordEngines,
    report::{PluginReport, PluginState},
    storage::PluginStorage,
};
use keeper::{Keeper, Shared};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::PathBuf,
    sync::Arc,
};
use tidegate_hooks::HookRegistry;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::task::AbortOnDropHandle;

/// Where plugins are, and whom they serve.
#[derive(Clone, Debug)]
pub struct HostOptions {
    /// `NAME.wasm` and `NAME.toml` lie directly in it.
    pub plugin_dir: PathBuf,
    /// The broker's own folder; compiled code goes to `compiled/` in it, what plugins keep to `kv/`.
    pub data_dir: PathBuf,
    /// The tables `[plugin.NAME]`.
    pub plugins: BTreeMap<String, PluginConfig>,
    /// The chain to keep in step.
    pub registry: Arc<HookRegistry>,
    /// Told to the plugins.
    pub broker_version: String,
    /// Threads that call acl and publish hooks: as many instances of each plugin are made.
    pub workers: usize,
    /// The broker, for plugins that may reach it.
    pub access: Access,
    /// For plugins that were granted `engine`. None: their calls are refused.
    pub engines: Option<Arc<dyn RecordEngines>>,
    /// Plugins that must be up, or refused, before the start is done.
    pub wait_for: WaitFor,
}

/// Plugins that a start waits for. The others are compiled after it; until they are up their hooks stand in the chain and fail.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum WaitFor {
    /// All that are found.
    #[default]
    All,
    /// These, and all that are `required`.
    Named(BTreeSet<String>),
}

impl WaitFor {
    fn includes(&self, plugin: &str, required: bool) -> bool {
        match self {
            Self::All => true,
            Self::Named(named) => required || named.contains(plugin),
        }
    }
}

/// The plugins cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The folder is missing, or cannot be read.
    #[error("plugin folder {}: {why}; make it, or name another with plugin_dir", .folder.display())]
    Folder {
        /// As configured.
        folder: PathBuf,
        /// What the system says.
        why: io::Error,
    },
    /// No engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Plugins marked `required` do not run; one sentence for each.
    #[error("required plugins do not run: {}", .0.join("; "))]
    Required(Vec<String>),
}

/// The running plugins. Dropped without [`PluginHost::stop`], it stops watching, and they go on answering until the chain is dropped.
#[derive(Debug)]
pub struct PluginHost {
    shared: Arc<Shared>,
    control: PluginControl,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// The generations that answer now, by plugin.
#[derive(Clone)]
pub(crate) struct LivePlugins(Arc<board::Board>);

impl std::fmt::Debug for LivePlugins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LivePlugins").finish_non_exhaustive()
    }
}

impl LivePlugins {
    pub(crate) fn get(&self, plugin: &str) -> Option<Arc<Generation>> {
        self.0.live(plugin)
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// What came of an errand. Dropped before, it is given up.
async fn done<T>(errand: JoinHandle<T>) -> T {
    match AbortOnDropHandle::new(errand).await {
        Ok(done) => done,
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The thread for errands ends with the engine: nobody is left to answer.
            Err(_) => std::future::pending().await,
        },
    }
}

impl PluginHost {
    /// Compiles and starts everything in the folder, puts it into the chain, and watches the folder from then on. Plugins that are
    /// bad but not required are logged, and said in the reports. Those that are not waited for go on starting in the background.
    ///
    /// # Errors
    /// All required plugins that do not run, a folder that cannot be read, or a machine without room for the engine.
    pub async fn start(options: HostOptions) -> Result<(Self, Vec<PluginReport>), HostError> {
        let kv = KvStore::new(&options.data_dir);
        let (mut keeper, shared, control) = Keeper::new(options, kv)?;
        let errands = keeper.errands();
        let starting = errands.spawn(async move {
            // Watched before the first look, so that nothing falls in between.
            keeper.watch();
            keeper.start().await?;
            let missing = keeper.required_but_down();
            if !missing.is_empty() {
                keeper.take_all_out().await;
                return Err(HostError::Required(missing));
            }
            Ok(keeper)
        });
        let keeper = done(starting).await?;
        let (stop, stopping) = watch::channel(false);
        let first = control.list();
        let task = errands.spawn(keeper.keep(stopping));
        Ok((Self { shared, control, stop, task }, first))
    }

    /// Does what [`PluginHost::start`] does, with a chain of its own, and stops again. The reports tell of failures, too.
    ///
    /// # Errors
    /// As [`PluginHost::start`], but for required plugins.
    pub async fn check(options: HostOptions) -> Result<Vec<PluginReport>, HostError> {
        let registry = Arc::new(HookRegistry::new());
        let options = HostOptions { registry, wait_for: WaitFor::All, ..options };
        // A broker may be at work in the same folder.
        let (mut keeper, _, control) = Keeper::new(options, KvStore::in_memory())?;
        let errands = keeper.errands();
        done(errands.spawn(async move { keeper.start().await.map(|()| keeper) })).await?;
        Ok(control.list())
    }

    /// All plugins as they stand, by name, with their counters of this moment.
    pub fn reports(&self) -> Vec<PluginReport> {
        self.control.list()
    }

    /// Changes whenever a plugin comes, goes, is replaced or refused. Counters in it are those of that moment.
    pub fn changes(&self) -> watch::Receiver<Vec<PluginReport>> {
        self.control.board.changes()
    }

    /// For orders while it runs.
    pub fn control(&self) -> &PluginControl {
        &self.control
    }

    /// Comes when all of them answer, which may be never. Says whether: false if the host ended first.
    pub fn when_up(
        &self,
        plugins: impl IntoIterator<Item = String>,
    ) -> impl Future<Output = bool> + Send + 'static {
        let plugins: Vec<String> = plugins.into_iter().collect();
        let mut changes = self.changes();
        async move {
            let answers = |reports: &[PluginReport], plugin: &String| {
                reports.iter().any(|report| report.name == *plugin && report.state == PluginState::Running)
            };
            let up = |reports: &Vec<PluginReport>| plugins.iter().all(|plugin| answers(reports, plugin));
            changes.wait_for(up).await.is_ok()
        }
    }

    /// The records that a plugin keeps. None if it does not run, or exports no `storage`.
    pub fn storage(&self, plugin: &str) -> Option<PluginStorage> {
        PluginStorage::of(LivePlugins(self.control.board.clone()), plugin)
    }

    /// Takes other `[plugin.NAME]` tables: plugins whose table changed are replaced, as if their file had.
    pub fn configure(&self, plugins: BTreeMap<String, PluginConfig>) {
        *self.shared.configured.lock() = plugins;
        self.shared.changed.notify_one();
    }

    /// Takes another table for one plugin, and has a new generation of it made, even if nothing has changed.
    ///
    /// # Errors
    /// [`ControlError`]: what answered before goes on answering.
    pub async fn reload_with(&self, plugin: &str, config: PluginConfig) -> Result<Reloaded, ControlError> {
        self.shared.configured.lock().insert(plugin.to_owned(), config);
        self.control.reload(plugin).await
    }

    /// Stops watching, drains every plugin and saves what they keep. They stay in the chain: a broker that is stopping lets nothing pass unasked.
    pub async fn stop(self) {
        _ = self.stop.send(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the task that keeps the plugins ended badly");
        }
    }
}

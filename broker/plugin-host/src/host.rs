//! Keeps the chain in step with the plugin folder: what is there is compiled, started and put into the chain; what changes is
//! replaced while messages flow; what goes is taken out. Nothing that is bad takes the place of something that works.

mod plugin;

use crate::{
    access::Access,
    compile::CompiledCache,
    config::PluginConfig,
    engine::{EngineError, PluginEngine},
    folder::{Folder, SETTLE, Watching},
    generation::{BreakerOpened, Generation},
    imports::KvStore,
    report::{PluginReport, PluginState},
};
use parking_lot::Mutex;
use plugin::{Context, Plugin, Step};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tidegate_hooks::HookRegistry;
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinHandle,
};

/// A look at the folder even if nothing is heard of it: some file systems tell nothing.
const LOOK_ANYWAY: Duration = Duration::from_secs(5);
/// The same where the folder cannot be watched at all.
const LOOK_UNWATCHED: Duration = Duration::from_millis(500);

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
    reports: watch::Receiver<Vec<PluginReport>>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// What the host's handle and its task have in common.
#[derive(Default)]
struct Shared {
    configured: Mutex<BTreeMap<String, PluginConfig>>,
    live: Mutex<BTreeMap<String, Arc<Generation>>>,
    changed: Arc<Notify>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl PluginHost {
    /// Compiles and starts everything in the folder, puts it into the chain, and watches the folder from then on. Plugins that are
    /// bad but not required are logged, and said in the reports.
    ///
    /// # Errors
    /// All required plugins that do not run, a folder that cannot be read, or a machine without room for the engine.
    pub async fn start(options: HostOptions) -> Result<(Self, Vec<PluginReport>), HostError> {
        let kv = KvStore::new(&options.data_dir);
        let (mut keeper, shared, reports, opened) = Keeper::new(options, kv)?;
        // Watched before the first look, so that nothing falls in between.
        let watching = keeper.watch();
        keeper.look(true).await?;
        let missing = keeper.required_but_down();
        if !missing.is_empty() {
            keeper.take_all_out();
            return Err(HostError::Required(missing));
        }
        let (stop, stopping) = watch::channel(false);
        let first = reports.borrow().clone();
        let task = tokio::spawn(keeper.keep(watching, opened, stopping));
        Ok((Self { shared, reports, stop, task }, first))
    }

    /// Does what [`PluginHost::start`] does, with a chain of its own, and stops again. The reports tell of failures, too.
    ///
    /// # Errors
    /// As [`PluginHost::start`], but for required plugins.
    pub async fn check(options: HostOptions) -> Result<Vec<PluginReport>, HostError> {
        let options = HostOptions { registry: Arc::new(HookRegistry::new()), ..options };
        // A broker may be at work in the same folder.
        let (mut keeper, _, reports, _) = Keeper::new(options, KvStore::in_memory())?;
        keeper.look(true).await?;
        let reports = reports.borrow().clone();
        Ok(reports)
    }

    /// All plugins as they stand, by name, with their counters of this moment.
    pub fn reports(&self) -> Vec<PluginReport> {
        let mut reports = self.reports.borrow().clone();
        let live = self.shared.live.lock();
        for report in &mut reports {
            if let Some(generation) = live.get(&report.name) {
                report.calls = generation.calls();
                report.metrics = generation.metrics().report();
                report.metrics_ignored = generation.metrics().ignored();
            }
        }
        reports
    }

    /// Changes whenever a plugin comes, goes, is replaced or refused. Counters in it are those of that moment.
    pub fn changes(&self) -> watch::Receiver<Vec<PluginReport>> {
        self.reports.clone()
    }

    /// Takes other `[plugin.NAME]` tables: plugins whose table changed are replaced, as if their file had.
    pub fn configure(&self, plugins: BTreeMap<String, PluginConfig>) {
        *self.shared.configured.lock() = plugins;
        self.shared.changed.notify_one();
    }

    /// Stops watching, drains every plugin and saves what they keep. They stay in the chain: a broker that is stopping lets nothing pass unasked.
    pub async fn stop(self) {
        _ = self.stop.send(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the task that keeps the plugins ended badly");
        }
    }
}

/// The one owner of all plugins.
struct Keeper {
    context: Context,
    shared: Arc<Shared>,
    folder: Folder,
    plugins: BTreeMap<String, Plugin>,
    reports: watch::Sender<Vec<PluginReport>>,
    /// The folder could not be read at the last look; said once.
    unreadable: bool,
}

type Parts =
    (Keeper, Arc<Shared>, watch::Receiver<Vec<PluginReport>>, mpsc::UnboundedReceiver<BreakerOpened>);

impl Keeper {
    fn new(options: HostOptions, kv: KvStore) -> Result<Parts, HostError> {
        let (reports, receiver) = watch::channel(Vec::new());
        let (opened, opened_receiver) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared { configured: Mutex::new(options.plugins), ..Shared::default() });
        let context = Context {
            engine: Arc::new(PluginEngine::new()?),
            cache: CompiledCache::new(&options.data_dir),
            registry: options.registry,
            folder: options.plugin_dir.clone(),
            broker_version: options.broker_version.into(),
            access: options.access,
            kv: Arc::new(kv),
            workers: options.workers.max(1),
            opened,
        };
        let folder = Folder::new(options.plugin_dir);
        let plugins = BTreeMap::new();
        let keeper = Self { context, shared: shared.clone(), folder, plugins, reports, unreadable: false };
        Ok((keeper, shared, receiver, opened_receiver))
    }

    fn watch(&self) -> Option<Watching> {
        let watching = self.folder.watch(self.shared.changed.clone());
        watching
            .inspect_err(|error| {
                tracing::warn!(folder = %self.folder.path().display(), %error, "plugin folder cannot be watched; looking at it every {LOOK_UNWATCHED:?}");
            })
            .ok()
    }

    /// Until told to stop.
    async fn keep(
        mut self,
        watching: Option<Watching>,
        mut opened: mpsc::UnboundedReceiver<BreakerOpened>,
        mut stopping: watch::Receiver<bool>,
    ) {
        let changed = self.shared.changed.clone();
        let mut changing = false;
        loop {
            let patience = match (changing, &watching) {
                (true, _) => SETTLE / 2,
                (false, Some(_)) => LOOK_ANYWAY,
                (false, None) => LOOK_UNWATCHED,
            };
            let step = async {
                tokio::select! {
                    Some(opened) = opened.recv() => return self.roll_back(&opened).await,
                    () = changed.notified() => {}
                    () = tokio::time::sleep(patience) => {}
                }
                match self.look(false).await {
                    Ok(still) => changing = still,
                    Err(error) if !self.unreadable => {
                        self.unreadable = true;
                        tracing::warn!(%error, "plugins stay as they are");
                    }
                    Err(_) => {}
                }
            };
            tokio::select! {
                // Also if the host was dropped.
                _ = stopping.changed() => break,
                () = step => {}
            }
        }
        for plugin in self.plugins.values_mut() {
            plugin.drain().await;
        }
        let kv = self.context.kv.clone();
        if tokio::task::spawn_blocking(move || kv.close()).await.is_err() {
            tracing::error!("what plugins keep may not be saved");
        }
    }

    /// One look at the folder, and what follows from it. True: something is changing, so look again soon.
    async fn look(&mut self, trust: bool) -> Result<bool, HostError> {
        let found = self.folder.look(Instant::now(), trust);
        let found = found.map_err(|why| HostError::Folder { folder: self.folder.path().into(), why })?;
        self.unreadable = false;
        let configured = self.shared.configured.lock().clone();
        let mut names: BTreeSet<&String> = found.settled.keys().chain(configured.keys()).collect();
        let known: Vec<String> = self.plugins.keys().cloned().collect();
        names.extend(&known);
        let mut changing = !found.changing.is_empty();
        for name in names.into_iter().filter(|name| !found.changing.contains(*name)) {
            let files = found.settled.get(name).copied().unwrap_or_default();
            let plugin = self.plugins.entry(name.clone()).or_insert_with(|| Plugin::new(name));
            match plugin.follow(&self.context, files, configured.get(name)).await {
                Step::Nothing => {}
                Step::StillChanging => changing = true,
                Step::Changed => self.publish_reports(),
            }
        }
        Ok(changing)
    }

    async fn roll_back(&mut self, opened: &BreakerOpened) {
        if let Some(plugin) = self.plugins.get_mut(&*opened.plugin)
            && plugin.roll_back(&self.context, opened).await
        {
            self.publish_reports();
        }
    }

    fn publish_reports(&self) {
        let live =
            self.plugins.iter().filter_map(|(name, plugin)| Some((name.clone(), plugin.running()?.clone())));
        *self.shared.live.lock() = live.collect();
        let reports = self.plugins.values().filter_map(|plugin| plugin.report(&self.context)).collect();
        self.reports.send_replace(reports);
    }

    /// One sentence for each.
    fn required_but_down(&self) -> Vec<String> {
        let reports = self.reports.borrow();
        let sentence = |report: &PluginReport| match &report.state {
            PluginState::Running => None,
            PluginState::Waiting => Some(format!("{}: {} is not there", report.name, report.file.display())),
            PluginState::Refused { reason } => Some(format!("{}: {reason}", report.name)),
        };
        reports.iter().filter(|report| report.required).filter_map(sentence).collect()
    }

    fn take_all_out(&self) {
        for name in self.plugins.keys() {
            self.context.registry.remove(name);
        }
    }
}

//! One name in the plugin folder, through all its files and configurations.

use crate::{
    access::Access,
    compile::{CompiledCache, compile},
    config::PluginConfig,
    engine::PluginEngine,
    folder::{Files, is_plugin_name},
    generation::{BreakerOpened, Generation, Inspected, Plan, inspect},
    imports::{Kept, KvSpace, KvStore, Outside},
    refusal::Refusal,
    report::{PluginReport, PluginState},
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use tidegate_hooks::HookRegistry;
use tokio::{runtime::Handle, sync::mpsc};

/// A generation whose breaker opens within this time gives way to the one before.
const PROBATION: Duration = Duration::from_secs(60);

/// What all plugins share.
pub(super) struct Context {
    pub(super) engine: Arc<PluginEngine>,
    pub(super) cache: CompiledCache,
    pub(super) registry: Arc<HookRegistry>,
    pub(super) folder: PathBuf,
    pub(super) broker_version: Arc<str>,
    pub(super) access: Access,
    pub(super) kv: Arc<KvStore>,
    pub(super) workers: usize,
    pub(super) opened: mpsc::UnboundedSender<BreakerOpened>,
}

/// What a look led to.
pub(super) enum Step {
    /// All as before.
    Nothing,
    /// A file changed while it was read.
    StillChanging,
    /// The report is another one.
    Changed,
}

/// See the module.
pub(super) struct Plugin {
    name: Arc<str>,
    /// The number of the newest generation that ever ran.
    newest: u64,
    running: Option<Running>,
    /// To go back to.
    previous: Option<Running>,
    /// What the last attempt was made with; the same again would end the same.
    tried: Option<Tried>,
    state: PluginState,
    problem: Option<String>,
    required: bool,
    order: i32,
    /// Neither file nor table: nothing to report.
    gone: bool,
    /// Left by a generation that was taken out.
    left: Option<Arc<[u8]>>,
    kept: Kept,
}

#[derive(Clone)]
struct Running {
    generation: Arc<Generation>,
    content: blake3::Hash,
    since: Instant,
}

#[derive(PartialEq)]
struct Tried {
    files: Files,
    configured: Option<PluginConfig>,
}

impl Plugin {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            newest: 0,
            running: None,
            previous: None,
            tried: None,
            state: PluginState::Waiting,
            problem: None,
            required: false,
            order: 0,
            gone: true,
            left: None,
            kept: Kept::new(Handle::current()),
        }
    }

    pub(super) fn running(&self) -> Option<&Arc<Generation>> {
        self.running.as_ref().map(|running| &running.generation)
    }

    /// Brings the plugin in step with its files and its table.
    pub(super) async fn follow(
        &mut self,
        context: &Context,
        files: Files,
        configured: Option<&PluginConfig>,
    ) -> Step {
        let trying = Tried { files, configured: configured.cloned() };
        if self.tried.as_ref() == Some(&trying) {
            return Step::Nothing;
        }
        let Some(wasm) = files.wasm else {
            self.tried = Some(trying);
            return self.without_file(context, configured).await;
        };
        self.gone = false;
        if let Some(config) = configured {
            (self.required, self.order) = (config.required, config.order);
        }
        let path = self.file(context);
        let file = if is_plugin_name(&self.name) { read(path.clone()).await } else { Err(Refusal::Name) };
        let config = self.config(context, files, configured);
        if !wasm.is_still(&path) || files.toml.is_some_and(|toml| !toml.is_still(&context.table(&self.name)))
        {
            return Step::StillChanging;
        }
        self.tried = Some(trying);
        let started = match (file, config) {
            (Ok(file), Ok(config)) => {
                (self.required, self.order) = (config.required, config.order);
                self.replace(context, file, config).await
            }
            (Err(refusal), _) | (_, Err(refusal)) => Err(refusal),
        };
        match started {
            Ok(()) => self.problem = None,
            Err(refusal) => self.refuse(&path, &refusal),
        }
        Step::Changed
    }

    /// The file is not there (any more).
    async fn without_file(&mut self, context: &Context, configured: Option<&PluginConfig>) -> Step {
        let gone = configured.is_none();
        if let Some(config) = configured {
            (self.required, self.order) = (config.required, config.order);
        }
        let unchanged = self.running.is_none() && self.gone == gone && self.state == PluginState::Waiting;
        if unchanged && gone {
            return Step::Nothing;
        }
        (self.gone, self.state, self.problem) = (gone, PluginState::Waiting, None);
        if let Some(running) = self.running.take() {
            // Out of the chain first: the call after `drain` would be lost.
            context.registry.remove(&self.name);
            self.left = drained(&running.generation).await;
            running.generation.drop_idle();
            self.previous = None;
            self.kept.timers.handled_by(None);
            self.kept.timers.clear();
            let number = running.generation.number;
            tracing::info!("plugin {}: removed, generation {number} stopped", self.name);
        } else if !gone {
            tracing::warn!(
                "plugin {}: configured, but {} is not there",
                self.name,
                self.file(context).display()
            );
        }
        Step::Changed
    }

    /// Compiles, checks and starts; then swaps. Until then the running generation answers.
    async fn replace(&mut self, context: &Context, file: File, config: PluginConfig) -> Result<(), Refusal> {
        let File { bytes, content } = file;
        if let Some(running) = &self.running
            && running.content == content
            && running.generation.config == config
        {
            return Ok(());
        }
        let began = Instant::now();
        let code = context.code(bytes).await?;
        let compile_ms = began.elapsed().as_millis() as u64;
        if config.grants.kv.is_some() && self.kept.kv.is_none() {
            self.kept.kv = Some(context.kv_space(&self.name).await?);
        }
        let state = match &self.running {
            Some(running) => drained(&running.generation).await,
            None => self.left.clone(),
        };
        let number = self.newest + 1;
        let plan = Plan {
            plugin: self.name.clone(),
            number,
            config,
            broker_version: context.broker_version.clone(),
            state,
            outside: Outside { access: context.access.clone(), kept: self.kept.clone(), acting: true },
            workers: context.workers,
            opened: context.opened.clone(),
        };
        let generation = Generation::load(&context.engine, code, plan).await?;
        context.registry.install(&generation.member());
        self.newest = number;
        self.left = None;
        self.state = PluginState::Running;
        self.previous = self.running.take();
        if let Some(previous) = &self.previous {
            previous.generation.drop_idle();
        }
        tracing::info!(
            hooks = generation.hooks().join(","),
            scopes = scopes(&generation),
            grants = generation.config.grant_names().join(", "),
            compile_ms,
            "plugin {}: generation {number}",
            self.name
        );
        self.running = Some(Running { generation, content, since: Instant::now() });
        Ok(())
    }

    /// Nothing changes, but that it is said.
    fn refuse(&mut self, path: &Path, refusal: &Refusal) {
        let reason = format!("{}: {refusal}", path.display());
        match self.running() {
            Some(generation) => {
                let number = generation.number;
                tracing::warn!("plugin {}: generation {number} stays, {reason}", self.name);
                self.problem = Some(reason);
            }
            None => {
                tracing::warn!("plugin {}: refused, {reason}", self.name);
                self.problem = Some(reason.clone());
                self.state = PluginState::Refused { reason };
            }
        }
    }

    /// Back to the generation before, if the breaker's generation is new. True: done.
    pub(super) async fn roll_back(&mut self, context: &Context, opened: &BreakerOpened) -> bool {
        let new = self.running.as_ref().is_some_and(|running| {
            running.generation.number == opened.generation && running.since.elapsed() < PROBATION
        });
        let Some(previous) = self.previous.take_if(|_| new) else { return false };
        if let Err(why) = previous.generation.fill_slots().await {
            tracing::warn!(
                "plugin {}: generation {} cannot come back: {}",
                self.name,
                previous.generation.number,
                why.text()
            );
            return false;
        }
        context.registry.install(&previous.generation.member());
        let back = previous.generation.number;
        let failed =
            format!("generation {} failed ({}), back to generation {back}", opened.generation, opened.fault);
        tracing::warn!("plugin {}: {failed}", self.name);
        self.problem = Some(failed);
        self.order = previous.generation.config.order;
        if let Some(failed) = self.running.replace(previous) {
            failed.generation.drop_idle();
        }
        true
    }

    /// The last call, when the broker stops.
    pub(super) async fn drain(&mut self) {
        if let Some(running) = &self.running {
            drained(&running.generation).await;
        }
    }

    /// None for a name that is neither there nor configured.
    pub(super) fn report(&self, context: &Context) -> Option<PluginReport> {
        if self.gone {
            return None;
        }
        let generation = self.running();
        Some(PluginReport {
            name: self.name.to_string(),
            file: self.file(context),
            generation: generation.map_or(0, |generation| generation.number),
            hooks: generation.map(|generation| generation.hooks()).unwrap_or_default(),
            scopes: generation.map(|generation| generation.scope_reports()).unwrap_or_default(),
            grants: generation.map(|generation| generation.config.grant_names()).unwrap_or_default(),
            order: self.order,
            required: self.required,
            state: self.state.clone(),
            problem: self.problem.clone(),
            calls: generation.map(|generation| generation.calls()).unwrap_or_default(),
            metrics: self.kept.metrics.report(),
            metrics_ignored: self.kept.metrics.ignored(),
        })
    }

    fn file(&self, context: &Context) -> PathBuf {
        context.folder.join(format!("{}.wasm", self.name))
    }

    /// From the broker's configuration or the file beside the plugin, but not both.
    fn config(
        &self,
        context: &Context,
        files: Files,
        configured: Option<&PluginConfig>,
    ) -> Result<PluginConfig, Refusal> {
        match (files.toml, configured) {
            (Some(_), Some(_)) => Err(Refusal::ConfiguredTwice((&*self.name).into())),
            (Some(_), None) => read_table(&context.table(&self.name)),
            (None, configured) => Ok(configured.cloned().unwrap_or_default()),
        }
        .map(|mut config| {
            config.lies_beside(&context.folder);
            config
        })
    }
}

impl Context {
    fn table(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.toml"))
    }

    /// Compiles on threads that give way, and checks what came out.
    async fn code(&self, bytes: Vec<u8>) -> Result<Inspected, Refusal> {
        let (engine, cache) = (self.engine.engine.clone(), self.cache.clone());
        let compiled = tokio::task::spawn_blocking(move || {
            let component = compile(&engine, &cache, &bytes)?;
            inspect(&engine, component)
        });
        compiled.await.map_err(|panic| Refusal::Invalid(format!("the compiler failed: {panic}").into()))?
    }

    /// What the plugin keeps. Not on a worker thread: it is read from the disk.
    async fn kv_space(&self, plugin: &Arc<str>) -> Result<Arc<KvSpace>, Refusal> {
        let (kv, plugin) = (self.kv.clone(), plugin.clone());
        let space = tokio::task::spawn_blocking(move || kv.space(&plugin)).await;
        let space = space.unwrap_or_else(|panic| Err(format!("`grants.kv` cannot be given: {panic}")));
        space.map_err(|why| Refusal::Config(why.into()))
    }
}

/// The bytes of a plugin, and their hash.
struct File {
    bytes: Vec<u8>,
    content: blake3::Hash,
}

/// Not on a worker thread: plugins of 20 MB are in use.
async fn read(path: PathBuf) -> Result<File, Refusal> {
    let read = tokio::task::spawn_blocking(move || {
        let bytes = fs::read(path)?;
        Ok(File { content: blake3::hash(&bytes), bytes })
    });
    let read = read.await.unwrap_or_else(|panic| Err(std::io::Error::other(panic)));
    read.map_err(|error| Refusal::unreadable(&error))
}

fn read_table(path: &Path) -> Result<PluginConfig, Refusal> {
    let file = |why: &dyn std::fmt::Display| Refusal::Config(format!("{}: {why}", path.display()).into());
    let text = fs::read_to_string(path).map_err(|error| file(&error))?;
    toml::from_str(&text).map_err(|error| file(&error.to_string().trim_end().replace('\n', " ")))
}

/// What the generation leaves. Runs the guest, so not on a worker thread.
async fn drained(generation: &Arc<Generation>) -> Option<Arc<[u8]>> {
    let generation = generation.clone();
    let drained = tokio::task::spawn_blocking(move || generation.drain()).await;
    drained.ok().flatten().map(Arc::from)
}

/// For the log: `acl: all; publish: a/#, b`.
fn scopes(generation: &Generation) -> String {
    let scope = |report: crate::report::ScopeReport| match report.filters {
        None => format!("{}: all", report.hook),
        Some(filters) => format!("{}: {}", report.hook, filters.join(", ")),
    };
    generation.scope_reports().into_iter().map(scope).collect::<Vec<_>>().join("; ")
}

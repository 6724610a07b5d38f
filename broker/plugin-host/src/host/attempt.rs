//! From a file to a generation: read, compiled, started. Runs beside the plugin's own task, which goes on hearing what it is told.

use super::{pending::Outline, plugin::Context};
use crate::{
    compile::Urgency,
    config::PluginConfig,
    folder::{Entry, Files, SETTLE, is_plugin_name},
    generation::{BreakerOpened, Generation, Inspected, Plan, inspect},
    imports::{Kept, Outside},
    refusal::Refusal,
};
use bytes::Bytes;
use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};
use tokio::sync::mpsc;

/// What a generation is made of, but for the code.
pub(super) struct Making {
    pub(super) context: Arc<Context>,
    pub(super) plugin: Arc<str>,
    pub(super) numbers: Arc<Numbers>,
    /// What a generation that was taken out has left.
    pub(super) left: Option<Arc<[u8]>>,
    pub(super) kept: Kept,
    pub(super) opened: mpsc::UnboundedSender<BreakerOpened>,
}

/// A content and a configuration: the same again would be the same.
#[derive(Clone, PartialEq)]
pub(super) struct Made {
    pub(super) content: blake3::Hash,
    pub(super) config: PluginConfig,
}

/// Numbers of one plugin's generations, rising.
#[derive(Default)]
pub(super) struct Numbers(AtomicU64);

impl Numbers {
    fn take(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// It did not come to answer: it is free again, unless there is a higher one.
    fn give_back(&self, number: u64) {
        _ = self.0.compare_exchange(number, number - 1, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// A generation that said yes to `init`.
pub(super) struct Loaded {
    pub(super) generation: Arc<Generation>,
    /// What the live generation left for it, and that one's number.
    pub(super) left: Option<(u64, Arc<[u8]>)>,
}

/// The start waits as long as there is one.
#[derive(Clone)]
pub(super) struct AtStart {
    _waits: mpsc::Sender<()>,
}

impl AtStart {
    /// Besides, what ends when there is none left.
    pub(super) fn new() -> (Self, mpsc::Receiver<()>) {
        let (sender, receiver) = mpsc::channel(1);
        (Self { _waits: sender }, receiver)
    }
}

/// To load what lies in the folder.
pub(super) struct Attempt {
    pub(super) making: Making,
    pub(super) files: Files,
    pub(super) configured: Option<PluginConfig>,
    /// What is not worth loading.
    pub(super) known: Vec<Made>,
    pub(super) at_start: Option<AtStart>,
}

/// What came of it, and what was read.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) config: Option<PluginConfig>,
    /// Content and configuration, if both can be read.
    pub(super) made: Option<Made>,
    pub(super) end: End,
    /// A start that waits goes on when the outcome is in force.
    pub(super) at_start: Option<AtStart>,
}

#[derive(Default)]
pub(super) enum End {
    /// A file changed while it was read.
    #[default]
    StillChanging,
    /// Read; there is nothing to load.
    Known,
    Refused(Refusal),
    Loaded {
        loaded: Loaded,
        compile_ms: u64,
    },
}

impl Outcome {
    pub(super) fn refused(refusal: Refusal) -> Self {
        Self { end: End::Refused(refusal), ..Self::default() }
    }
}

impl Attempt {
    pub(super) async fn run(mut self) -> Outcome {
        let (context, plugin) = (self.making.context.clone(), self.making.plugin.clone());
        let file = self.file().await;
        let config = self.config();
        if !self.files.are_still(&context, &plugin) {
            // Whoever looks next is to see that it is changing.
            tokio::time::sleep(SETTLE / 2).await;
            return Outcome { at_start: self.at_start, ..Outcome::default() };
        }
        let read = config.as_ref().ok().cloned();
        let (file, config) = match (file, config) {
            (Ok(file), Ok(config)) => (file, config),
            (Err(refusal), _) | (_, Err(refusal)) => {
                let end = End::Refused(refusal);
                return Outcome { config: read, made: None, end, at_start: self.at_start };
            }
        };
        let made = Made { content: file.content, config };
        let mut end = End::Known;
        if !self.known.contains(&made) {
            let urgency = self.take_seat(&file.bytes, &made.config);
            let loaded = load(self.making, file.bytes, made.config.clone(), urgency).await;
            end = loaded.unwrap_or_else(End::Refused);
        }
        Outcome { config: read, made: Some(made), end, at_start: self.at_start }
    }

    /// At the start the plugin's questions are asked from now on. What nobody waits for gives way.
    fn take_seat(&mut self, bytes: &[u8], config: &PluginConfig) -> Urgency {
        let Making { context, plugin, .. } = &self.making;
        let outline = Outline::of(bytes);
        if self.at_start.is_some() && !outline.is_empty() {
            context.registry.install(&outline.member(plugin, config));
        }
        context.board.loading(plugin, outline.hooks());
        if !context.wait_for.includes(plugin, config.required) {
            self.at_start = None;
        }
        if self.at_start.is_some() { Urgency::Awaited } else { Urgency::GivesWay }
    }

    async fn file(&self) -> Result<File, Refusal> {
        if !is_plugin_name(&self.making.plugin) {
            return Err(Refusal::Name);
        }
        match self.files.wasm {
            Some(Entry::NotAFile(why)) => Err(Refusal::NotAFile(why)),
            _ => File::read(self.making.context.file(&self.making.plugin)).await,
        }
    }

    /// From the broker's configuration or the file beside the plugin, but not both.
    fn config(&self) -> Result<PluginConfig, Refusal> {
        let Making { context, plugin, .. } = &self.making;
        let table = context.table(plugin);
        match (self.files.toml, &self.configured) {
            (Some(_), Some(_)) => Err(Refusal::ConfiguredTwice((&**plugin).into())),
            (Some(Entry::NotAFile(why)), None) => Err(in_table(&table, &why)),
            (Some(Entry::File(_)), None) => {
                let mut config = read_table(&table)?;
                config.lies_beside(&context.folder);
                Ok(config)
            }
            (None, configured) => Ok(configured.clone().unwrap_or_default()),
        }
    }
}

async fn load(making: Making, bytes: Bytes, config: PluginConfig, urgency: Urgency) -> Result<End, Refusal> {
    let began = Instant::now();
    let code = making.context.code(bytes, urgency).await?;
    let compile_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let loaded = making.start(code, config, true).await?;
    Ok(End::Loaded { loaded, compile_ms })
}

impl Making {
    /// Starts `code`, with the state that the live generation leaves. One that is not `acting` stays alone in its box.
    pub(super) async fn start(
        self,
        code: Inspected,
        config: PluginConfig,
        acting: bool,
    ) -> Result<Loaded, Refusal> {
        let Self { context, plugin, numbers, left: of_one_gone, mut kept, opened } = self;
        if config.grants.kv.is_some() {
            kept.kv = Some(context.kv_space(&plugin).await?);
        }
        if config.grants.engine {
            kept.engine = context.engines.as_ref().map(|engines| engines.engine(&plugin));
        }
        let live = context.board.live(&plugin);
        let left = match &live {
            Some(live) => drained(live).await.map(|state| (live.number, state)),
            None => None,
        };
        let number = numbers.take();
        let plan = Plan {
            plugin,
            number,
            config,
            broker_version: context.broker_version.clone(),
            state: left.as_ref().map(|(_, state)| state.clone()).or(of_one_gone.filter(|_| live.is_none())),
            outside: Outside { access: context.access.clone(), kept, acting },
            // A shadow has one thread.
            workers: if acting { context.workers } else { 1 },
            opened,
        };
        let generation = Generation::load(&context.engine, code, plan).await;
        let generation = generation.inspect_err(|_| numbers.give_back(number))?;
        Ok(Loaded { generation, left })
    }

    /// Makes a candidate of a file anywhere.
    pub(super) async fn candidate(
        self,
        file: PathBuf,
        config: PluginConfig,
    ) -> Result<(Loaded, Inspected, File), Refusal> {
        let file = File::read(file).await?;
        let code = self.context.code(file.bytes.clone(), Urgency::GivesWay).await?;
        let loaded = self.start(code.clone(), config, false).await?;
        Ok((loaded, code, file))
    }
}

impl Context {
    /// `NAME.wasm`
    pub(super) fn file(&self, plugin: &str) -> PathBuf {
        self.folder.join(format!("{plugin}.wasm"))
    }

    fn table(&self, plugin: &str) -> PathBuf {
        self.folder.join(format!("{plugin}.toml"))
    }

    /// Compiles, and checks what came out.
    async fn code(&self, bytes: Bytes, urgency: Urgency) -> Result<Inspected, Refusal> {
        let component = self.compiler.compile(bytes, urgency).await?;
        inspect(&self.engine.engine, component)
    }

    /// Puts a plugin's file into the folder: there at once or not at all.
    pub(super) async fn write(&self, plugin: &str, bytes: Bytes) -> io::Result<()> {
        let (beside, file) = (self.folder.join(format!(".{plugin}.promoted")), self.file(plugin));
        let write = move || {
            let mut new = fs::File::create(&beside)?;
            let written = new.write_all(&bytes).and_then(|()| new.sync_all());
            written.and_then(|()| fs::rename(&beside, &file)).inspect_err(|_| _ = fs::remove_file(&beside))
        };
        tokio::task::spawn_blocking(write).await.unwrap_or_else(|panic| Err(io::Error::other(panic)))
    }
}

impl Files {
    fn are_still(&self, context: &Context, plugin: &str) -> bool {
        let still = |entry: Option<Entry>, path: &Path| entry.is_none_or(|entry| entry.is_still(path));
        still(self.wasm, &context.file(plugin)) && still(self.toml, &context.table(plugin))
    }
}

/// The bytes of a plugin, and their hash.
pub(super) struct File {
    pub(super) bytes: Bytes,
    pub(super) content: blake3::Hash,
}

impl File {
    /// Not on a worker thread: plugins of 20 MB are in use.
    async fn read(path: PathBuf) -> Result<Self, Refusal> {
        let read = tokio::task::spawn_blocking(move || {
            let bytes = fs::read(path)?;
            Ok(Self { content: blake3::hash(&bytes), bytes: bytes.into() })
        });
        let read = read.await.unwrap_or_else(|panic| Err(io::Error::other(panic)));
        read.map_err(|error| Refusal::unreadable(&error))
    }
}

fn read_table(path: &Path) -> Result<PluginConfig, Refusal> {
    let text = fs::read_to_string(path).map_err(|error| in_table(path, &error))?;
    toml::from_str(&text).map_err(|error| in_table(path, &error.to_string().trim_end().replace('\n', " ")))
}

fn in_table(path: &Path, why: &dyn std::fmt::Display) -> Refusal {
    Refusal::Config(format!("{}: {why}", path.display()).into())
}

/// What the generation leaves. Runs the guest, so not on a worker thread.
pub(super) async fn drained(generation: &Arc<Generation>) -> Option<Arc<[u8]>> {
    let generation = generation.clone();
    let drained = tokio::task::spawn_blocking(move || generation.drain()).await;
    drained.ok().flatten().map(Arc::from)
}

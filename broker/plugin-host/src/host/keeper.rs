//! Looks at the folder whenever something may have changed there, and tells each plugin what lies under its name.

use super::{
    HostError, HostOptions,
    attempt::AtStart,
    board::Board,
    control::{Again, Answer, ControlError, PluginControl, Reloaded},
    plugin::{Context, Follow, Order, Plugin},
};
use crate::{
    compile::Compiler,
    config::PluginConfig,
    engine::PluginEngine,
    folder::{Files, Folder, Trust, Watching},
    imports::KvStore,
    report::{PluginReport, PluginState},
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    runtime::Handle,
    sync::{Notify, mpsc, oneshot, watch},
    task::JoinSet,
};

/// A look at the folder even if nothing is heard of it: some file systems tell nothing.
const LOOK_ANYWAY: Duration = Duration::from_secs(5);
/// The same where the folder cannot be watched at all.
const LOOK_UNWATCHED: Duration = Duration::from_millis(500);

/// What the host's handle and the keeper have in common.
pub(super) struct Shared {
    pub(super) configured: Mutex<BTreeMap<String, PluginConfig>>,
    pub(super) changed: Arc<Notify>,
}

/// The one who looks.
pub(super) struct Keeper {
    context: Arc<Context>,
    shared: Arc<Shared>,
    folder: Folder,
    watching: Option<Watching>,
    plugins: BTreeMap<String, mpsc::UnboundedSender<Follow>>,
    orders: Arc<Mutex<BTreeMap<String, mpsc::UnboundedSender<Order>>>>,
    again: mpsc::UnboundedReceiver<Again>,
    /// Aborted if the keeper is dropped.
    tasks: JoinSet<()>,
    /// The folder could not be read at the last look; said once.
    unreadable: bool,
}

/// Why the folder is looked at.
enum Why<'a> {
    /// The broker starts.
    Start(AtStart),
    /// Something may have changed.
    Change,
    /// Somebody wants new generations of what lies there.
    Again { only: Option<&'a str>, answers: &'a mut Vec<Answer<Reloaded>> },
}

impl Keeper {
    pub(super) fn new(
        options: HostOptions,
        kv: KvStore,
    ) -> Result<(Self, Arc<Shared>, PluginControl), HostError> {
        let engine = Arc::new(PluginEngine::new()?);
        let changed = Arc::new(Notify::new());
        let board = Arc::new(Board::new());
        let context = Arc::new(Context {
            compiler: Compiler::new(engine.engine.clone(), &options.data_dir),
            engine,
            registry: options.registry,
            folder: options.plugin_dir.clone(),
            broker_version: options.broker_version.into(),
            access: options.access,
            engines: options.engines,
            kv: Arc::new(kv),
            workers: options.workers.max(1),
            wait_for: options.wait_for,
            board: board.clone(),
            changed: changed.clone(),
        });
        let shared = Arc::new(Shared { configured: Mutex::new(options.plugins), changed });
        let (again, heard) = mpsc::unbounded_channel();
        let control = PluginControl { board, orders: Arc::default(), again };
        let keeper = Self {
            context,
            shared: shared.clone(),
            folder: Folder::new(options.plugin_dir),
            watching: None,
            plugins: BTreeMap::new(),
            orders: control.orders.clone(),
            again: heard,
            tasks: JoinSet::new(),
            unreadable: false,
        };
        Ok((keeper, shared, control))
    }

    /// Where it is to run.
    pub(super) fn errands(&self) -> Handle {
        self.context.engine.errands()
    }

    pub(super) fn watch(&mut self) {
        let watching = self.folder.watch(self.shared.changed.clone());
        self.watching = watching
            .inspect_err(|error| {
                tracing::warn!(folder = %self.folder.path().display(), %error, "plugin folder cannot be watched; looking at it every {LOOK_UNWATCHED:?}");
            })
            .ok();
    }

    /// The first look. Returns when every plugin there is up, refused, or has its seat in the chain and is not waited for.
    pub(super) async fn start(&mut self) -> Result<(), HostError> {
        let (at_start, mut waiting) = AtStart::new();
        self.look(Why::Start(at_start))?;
        // Nobody sends anything.
        _ = waiting.recv().await;
        Ok(())
    }

    /// Until told to stop; then drains every plugin.
    pub(super) async fn keep(mut self, mut stopping: watch::Receiver<bool>) {
        let changed = self.shared.changed.clone();
        let mut look_again: Option<Instant> = None;
        loop {
            let patience = match (look_again, &self.watching) {
                (Some(at), _) => at.saturating_duration_since(Instant::now()),
                (None, Some(_)) => LOOK_ANYWAY,
                (None, None) => LOOK_UNWATCHED,
            };
            tokio::select! {
                // Also if the host was dropped.
                _ = stopping.changed() => break,
                Some(again) = self.again.recv() => {
                    self.look_again(again);
                    continue;
                }
                () = changed.notified() => {}
                () = tokio::time::sleep(patience) => {}
            }
            if self.watching.as_ref().is_some_and(|watching| !self.folder.is_watched(watching)) {
                self.watch();
            }
            match self.look(Why::Change) {
                Ok(again) => look_again = again,
                Err(error) => {
                    look_again = None;
                    if !std::mem::replace(&mut self.unreadable, true) {
                        tracing::warn!(%error, "plugins stay as they are");
                    }
                }
            }
        }
        // What nobody tells any more what to follow drains and ends.
        self.plugins.clear();
        self.orders.lock().clear();
        while self.tasks.join_next().await.is_some() {}
        let kv = self.context.kv.clone();
        if tokio::task::spawn_blocking(move || kv.close()).await.is_err() {
            tracing::error!("what plugins keep may not be saved");
        }
    }

    fn look_again(&mut self, Again { only, reply }: Again) {
        let mut answers = Vec::new();
        let looked = self.look(Why::Again { only: only.as_deref(), answers: &mut answers });
        let answers = looked.map(|_| answers).map_err(|error| ControlError::Folder(error.to_string()));
        _ = reply.send(answers);
    }

    /// One look at the folder. What is changing is to be looked at again then.
    fn look(&mut self, mut why: Why<'_>) -> Result<Option<Instant>, HostError> {
        let trust = match why {
            Why::Start(_) | Why::Again { only: None, .. } => Trust::Everybody,
            Why::Again { only: Some(only), .. } => Trust::Only(only),
            Why::Change => Trust::Nobody,
        };
        let found = self.folder.look(Instant::now(), trust);
        let found = found.map_err(|why| HostError::Folder { folder: self.folder.path().into(), why })?;
        self.unreadable = false;
        let configured = self.shared.configured.lock().clone();
        let mut names: BTreeSet<&String> = found.settled.keys().chain(configured.keys()).collect();
        let known: Vec<String> = self.plugins.keys().cloned().collect();
        names.extend(&known);
        for name in names.into_iter().filter(|name| !found.changing.contains(*name)) {
            let files = found.settled.get(name).copied().unwrap_or_default();
            let configured = configured.get(name).cloned();
            let at_start = match &why {
                Why::Start(at_start) => Some(at_start.clone()),
                Why::Change | Why::Again { .. } => None,
            };
            let replies = match &mut why {
                Why::Again { only, answers } if is_meant(*only, name, files, configured.is_some()) => {
                    let (reply, answer) = oneshot::channel();
                    answers.push(answer);
                    vec![reply]
                }
                _ => Vec::new(),
            };
            // A plugin's task ends with the keeper only.
            _ = self.plugin(name).send(Follow { files, configured, at_start, replies });
        }
        Ok(found.look_again)
    }

    fn plugin(&mut self, name: &str) -> &mpsc::UnboundedSender<Follow> {
        let (tasks, orders, context) = (&mut self.tasks, &self.orders, &self.context);
        self.plugins.entry(name.to_owned()).or_insert_with(|| {
            let (follows, to_follow) = mpsc::unbounded_channel();
            let (order, ordered) = mpsc::unbounded_channel();
            orders.lock().insert(name.to_owned(), order);
            tasks.spawn(Plugin::new(name, context.clone()).run(to_follow, ordered));
            follows
        })
    }

    /// One sentence for each.
    pub(super) fn required_but_down(&self) -> Vec<String> {
        let sentence = |report: PluginReport| match report.state {
            PluginState::Running => None,
            PluginState::Starting => {
                Some(format!("{}: {} is still being written", report.name, report.file.display()))
            }
            PluginState::Waiting => Some(format!("{}: {} is not there", report.name, report.file.display())),
            PluginState::Refused { reason } => Some(format!("{}: {reason}", report.name)),
        };
        let required = self.context.board.now().into_iter().filter(|report| report.required);
        required.filter_map(sentence).collect()
    }

    /// Nothing is left in the chain.
    pub(super) async fn take_all_out(mut self) {
        self.tasks.shutdown().await;
        for name in self.plugins.keys() {
            self.context.registry.remove(name);
        }
    }
}

/// Whether a plugin is to be loaded again: the one that is named, or all that have a file.
fn is_meant(only: Option<&str>, name: &str, files: Files, configured: bool) -> bool {
    match only {
        None => files.wasm.is_some(),
        Some(only) => only == name && (files.wasm.is_some() || configured),
    }
}

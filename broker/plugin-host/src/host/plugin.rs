//! One name in the plugin folder, through all its files and configurations. Each has a task of its own, so that none waits for another;
//! what takes long is done beside it, so that it carries out orders meanwhile.

mod orders;

pub(super) use orders::Order;

use super::{
    WaitFor,
    attempt::{AtStart, Attempt, End, Loaded, Made, Making, Numbers, Outcome, drained},
    board::{Board, Posted},
    control::{ControlError, Reloaded, Reply},
    pending,
};
use crate::{
    access::Access,
    compile::Compiler,
    config::PluginConfig,
    engine::PluginEngine,
    folder::Files,
    generation::{BreakerOpened, Generation, PROBATION},
    imports::{Kept, KvSpace, KvStore},
    records::RecordEngines,
    refusal::Refusal,
    report::{PluginReport, PluginState},
};
use orders::{Candidate, Trial};
use std::{path::PathBuf, sync::Arc, time::Instant};
use tidegate_hooks::HookRegistry;
use tokio::{
    runtime::Handle,
    sync::{Notify, mpsc},
    task::{JoinError, JoinSet},
};

/// What all plugins share.
pub(super) struct Context {
    pub(super) engine: Arc<PluginEngine>,
    pub(super) compiler: Compiler,
    pub(super) registry: Arc<HookRegistry>,
    pub(super) folder: PathBuf,
    pub(super) broker_version: Arc<str>,
    pub(super) access: Access,
    pub(super) engines: Option<Arc<dyn RecordEngines>>,
    pub(super) kv: Arc<KvStore>,
    pub(super) workers: usize,
    pub(super) wait_for: WaitFor,
    pub(super) board: Arc<Board>,
    /// Has the folder looked at.
    pub(super) changed: Arc<Notify>,
}

/// What lies in the folder under this name, and what the config says of it.
pub(super) struct Follow {
    pub(super) files: Files,
    pub(super) configured: Option<PluginConfig>,
    pub(super) at_start: Option<AtStart>,
    /// Whoever wants a new generation even if nothing has changed.
    pub(super) replies: Vec<Reply<Reloaded>>,
}

/// See the module.
pub(super) struct Plugin {
    name: Arc<str>,
    context: Arc<Context>,
    numbers: Arc<Numbers>,
    live: Option<Running>,
    /// To go back to.
    previous: Option<Running>,
    /// What was gone back from, while it is what lies in the folder: not worth loading again.
    rejected: Option<Made>,
    shadow: Option<Candidate>,
    /// What was followed last; the same again would end the same.
    followed: Option<(Files, Option<PluginConfig>)>,
    /// Under way.
    attempt: Option<UnderWay>,
    /// What came meanwhile.
    next: Option<Follow>,
    attempts: JoinSet<Outcome>,
    /// Shadows on their way up: one at once.
    trials: JoinSet<Trial>,
    /// None: nothing that can be read.
    in_folder: Option<Made>,
    state: PluginState,
    problem: Option<String>,
    required: bool,
    order: i32,
    /// Neither file nor table: nothing to report.
    gone: bool,
    /// Left by a generation that was taken out.
    left: Option<Arc<[u8]>>,
    kept: Kept,
    opened: (mpsc::UnboundedSender<BreakerOpened>, mpsc::UnboundedReceiver<BreakerOpened>),
}

struct Running {
    generation: Arc<Generation>,
    made: Made,
    /// Until then it gives way if it fails. None: it came back itself.
    probation: Option<Instant>,
}

struct UnderWay {
    /// Something else lies there by now.
    outdated: bool,
    replies: Vec<Reply<Reloaded>>,
}

impl Plugin {
    pub(super) fn new(name: &str, context: Arc<Context>) -> Self {
        Self {
            name: name.into(),
            context,
            numbers: Arc::default(),
            live: None,
            previous: None,
            rejected: None,
            shadow: None,
            followed: None,
            attempt: None,
            next: None,
            attempts: JoinSet::new(),
            trials: JoinSet::new(),
            in_folder: None,
            state: PluginState::Waiting,
            problem: None,
            required: false,
            order: 0,
            gone: true,
            left: None,
            kept: Kept::new(Handle::current()),
            opened: mpsc::unbounded_channel(),
        }
    }

    /// Until nobody says any more what to follow; then drains.
    pub(super) async fn run(
        mut self,
        mut follows: mpsc::UnboundedReceiver<Follow>,
        mut orders: mpsc::UnboundedReceiver<Order>,
    ) {
        loop {
            tokio::select! {
                follow = follows.recv() => match follow {
                    Some(follow) => self.follow(follow).await,
                    None => break,
                },
                Some(order) = orders.recv() => self.carry_out(order).await,
                Some(ended) = self.attempts.join_next() => self.attempted(ended),
                Some(Ok(trial)) = self.trials.join_next() => self.tried(trial),
                Some(opened) = self.opened.1.recv() => self.breaker_opened(&opened).await,
            }
        }
        if self.shadow.take().is_some() {
            self.put_in_chain();
        }
        if let Some(live) = &self.live {
            drained(&live.generation).await;
        }
    }

    /// Brings the plugin in step with its files and its table.
    async fn follow(&mut self, mut follow: Follow) {
        let what = (follow.files, follow.configured.clone());
        if follow.replies.is_empty() && self.followed.as_ref() == Some(&what) {
            return;
        }
        let same = self.followed.replace(what.clone()) == Some(what);
        if follow.files.wasm.is_none() {
            let late = self.next.take().map(|next| next.replies).unwrap_or_default();
            if let Some(attempt) = &mut self.attempt {
                attempt.outdated = true;
                follow.replies.append(&mut attempt.replies);
            }
            for reply in follow.replies.drain(..).chain(late) {
                let file = self.context.file(&self.name);
                _ = reply.send(Err(ControlError::NoFile { plugin: self.name.to_string(), file }));
            }
            return self.without_file(follow.configured.as_ref()).await;
        }
        match &mut self.attempt {
            None => self.begin(follow),
            Some(attempt) if same && !attempt.outdated => attempt.replies.append(&mut follow.replies),
            Some(attempt) => {
                attempt.outdated = true;
                follow.replies.append(&mut attempt.replies);
                follow.replies.extend(self.next.take().into_iter().flat_map(|next| next.replies));
                self.next = Some(follow);
            }
        }
    }

    fn begin(&mut self, follow: Follow) {
        let Follow { files, configured, at_start, replies } = follow;
        self.gone = false;
        if let Some(config) = &configured {
            (self.required, self.order) = (config.required, config.order);
        }
        let again = !replies.is_empty();
        let made = |running: &Running| running.made.clone();
        let known = self.live.iter().map(made).chain(self.rejected.clone()).filter(|_| !again).collect();
        let making = self.making();
        self.attempt = Some(UnderWay { outdated: false, replies });
        if self.live.is_none() {
            (self.state, self.problem) = (PluginState::Starting, None);
        }
        self.post();
        self.attempts.spawn(Attempt { making, files, configured, known, at_start }.run());
    }

    fn making(&self) -> Making {
        Making {
            context: self.context.clone(),
            plugin: self.name.clone(),
            numbers: self.numbers.clone(),
            left: self.left.clone(),
            kept: self.kept.clone(),
            opened: self.opened.0.clone(),
        }
    }

    fn attempted(&mut self, ended: Result<Outcome, JoinError>) {
        let Some(UnderWay { outdated, mut replies }) = self.attempt.take() else { return };
        let failed = |panic| Outcome::refused(Refusal::Invalid(format!("the broker failed: {panic}").into()));
        let Outcome { config, made, end, at_start: _waits } = ended.unwrap_or_else(failed);
        if !outdated {
            if let Some(config) = &config {
                (self.required, self.order) = (config.required, config.order);
            }
            self.rejected.take_if(|rejected| made.as_ref().is_some_and(|made| made != rejected));
            self.in_folder = made;
            replies = self.settle(end, replies);
        }
        if !replies.is_empty()
            && let Some((files, configured)) = self.followed.clone()
        {
            let same = Follow { files, configured, at_start: None, replies: Vec::new() };
            self.next.get_or_insert(same).replies.append(&mut replies);
        }
        match self.next.take() {
            Some(next) => self.begin(next),
            None => {
                self.leave_seat();
                self.post();
            }
        }
    }

    /// What is left over: replies that want it loaded all the same.
    fn settle(&mut self, end: End, replies: Vec<Reply<Reloaded>>) -> Vec<Reply<Reloaded>> {
        let plugin = || self.name.to_string();
        let end = match end {
            End::Loaded { loaded, .. } if self.is_overtaken(&loaded) => End::StillChanging,
            end => end,
        };
        let answer = match end {
            End::StillChanging => {
                let changing = ControlError::Changing { plugin: plugin() };
                self.followed = None;
                self.context.changed.notify_one();
                Err(changing)
            }
            End::Known => {
                if self.is_in_folder() {
                    self.problem = None;
                }
                return replies;
            }
            End::Refused(refusal) => {
                let reason = format!("{}: {refusal}", self.context.file(&self.name).display());
                let refused = ControlError::Refused { plugin: plugin(), reason: reason.clone() };
                self.refuse(reason);
                Err(refused)
            }
            End::Loaded { loaded, compile_ms } => {
                let reloaded = Reloaded { plugin: plugin(), generation: loaded.generation.number };
                if let Some(made) = self.in_folder.clone() {
                    self.install(loaded, made);
                }
                self.tell_of_live(Some(compile_ms));
                Ok(reloaded)
            }
        };
        // Who has the answer may look at the report.
        self.post();
        for reply in replies {
            _ = reply.send(answer.clone());
        }
        Vec::new()
    }

    /// The file is not there (any more).
    async fn without_file(&mut self, configured: Option<&PluginConfig>) {
        let gone = configured.is_none();
        if let Some(config) = configured {
            (self.required, self.order) = (config.required, config.order);
        }
        let unchanged = self.live.is_none() && self.gone == gone && self.state == PluginState::Waiting;
        if unchanged && gone {
            return;
        }
        (self.gone, self.state, self.problem) = (gone, PluginState::Waiting, None);
        (self.shadow, self.previous, self.rejected, self.in_folder) = (None, None, None, None);
        if let Some(live) = self.live.take() {
            // Out of the chain first: the call after `drain` would be lost.
            self.leave_seat();
            self.kept.timers.handled_by(None);
            self.kept.timers.clear();
            let number = live.generation.number;
            tracing::info!("plugin {}: removed, generation {number} stopped", self.name);
            self.post();
            self.left = drained(&live.generation).await;
            live.generation.drop_idle();
        } else if !gone {
            let file = self.context.file(&self.name);
            tracing::warn!("plugin {}: configured, but {} is not there", self.name, file.display());
        }
        self.leave_seat();
        self.post();
    }

    /// Timers call the live generation.
    pub(super) fn hear_timers(&self) {
        let handler = self.live.as_ref().and_then(|live| live.generation.timer_handler());
        self.kept.timers.handled_by(handler);
    }

    /// Nothing changes, but that it is said.
    fn refuse(&mut self, reason: String) {
        match &self.live {
            Some(live) => {
                let number = live.generation.number;
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

    /// From now on it answers. The one before stands by.
    fn install(&mut self, loaded: Loaded, made: Made) {
        let Loaded { generation, left } = loaded;
        (self.left, self.rejected, self.problem) = (None, None, None);
        self.state = PluginState::Running;
        generation.begin_probation();
        let probation = Some(Instant::now() + PROBATION);
        self.previous = self.live.replace(Running { generation, made, probation });
        self.put_in_chain();
        self.hear_timers();
        if let Some(previous) = &self.previous {
            let own = left.filter(|(by, _)| *by == previous.generation.number);
            previous.generation.stand_by(own.map(|(_, state)| state));
        }
    }

    /// Numbers never go back but by a rollback: a generation that was promoted meanwhile is newer.
    fn is_overtaken(&self, loaded: &Loaded) -> bool {
        self.live.as_ref().is_some_and(|live| live.generation.number > loaded.generation.number)
    }

    /// Whether what answers is what lies in the folder, and would be started next.
    fn is_in_folder(&self) -> bool {
        self.live.as_ref().is_some_and(|live| Some(&live.made) == self.in_folder.as_ref())
    }

    fn tell_of_live(&self, compile_ms: Option<u64>) {
        let Some(Running { generation, .. }) = &self.live else { return };
        tracing::info!(
            hooks = generation.hooks().join(","),
            scopes = scopes(generation),
            grants = generation.config.grant_names().join(", "),
            compile_ms,
            "plugin {}: generation {}",
            self.name,
            generation.number
        );
    }

    /// The live generation, with the candidate beside it if there is one.
    fn put_in_chain(&self) {
        let Some(Running { generation, .. }) = &self.live else { return };
        let mut member = generation.member();
        if let Some(candidate) = &self.shadow {
            member.hooks = candidate.shadow.beside(member.hooks, generation.number);
        }
        self.context.registry.install(&member);
    }

    /// Takes out whatever stands there for a generation that is not, as far as nothing passes unasked for that.
    fn leave_seat(&self) {
        if self.live.is_some() {
            return;
        }
        let seated =
            self.context.registry.chain().members().iter().find(|it| it.place.name == self.name).cloned();
        let Some(seated) = seated else { return };
        let is_refused = matches!(self.state, PluginState::Refused { .. });
        match pending::refused(&seated).filter(|_| is_refused) {
            Some(member) => {
                let name = &self.name;
                tracing::warn!(
                    "plugin {name}: what it would be asked about fails until it is mended, or its file is removed"
                );
                self.context.registry.install(&member);
            }
            None => self.context.registry.remove(&self.name),
        }
    }

    /// A generation that fails right after a swap gives way.
    async fn breaker_opened(&mut self, opened: &BreakerOpened) {
        let on_probation = |live: &&mut Running| {
            let number = live.generation.number;
            number == opened.generation && live.probation.is_some_and(|until| Instant::now() < until)
        };
        // Once: one that cannot be replaced stays.
        let probation = self.live.as_mut().filter(on_probation).and_then(|live| live.probation.take());
        if probation.is_none() || self.previous.is_none() {
            return;
        }
        if let Err(why) = self.go_back(&format!("failed ({})", opened.fault)).await {
            tracing::warn!("{why}");
        }
    }

    fn post(&self) {
        let posted = (!self.gone).then(|| Posted {
            report: self.report(),
            live: self.live.as_ref().map(|live| live.generation.clone()),
            shadow: self.shadow.as_ref().map(|candidate| candidate.shadow.comparing()),
        });
        self.context.board.post(&self.name, posted);
    }

    fn report(&self) -> PluginReport {
        let generation = self.live.as_ref().map(|live| &live.generation);
        PluginReport {
            name: self.name.to_string(),
            file: self.context.file(&self.name),
            generation: generation.map_or(0, |generation| generation.number),
            hooks: generation.map(|generation| generation.hooks()).unwrap_or_default(),
            scopes: generation.map(|generation| generation.scope_reports()).unwrap_or_default(),
            grants: generation.map(|generation| generation.config.grant_names()).unwrap_or_default(),
            order: self.order,
            required: self.required,
            state: self.state.clone(),
            problem: self.problem.clone(),
            calls: Vec::new(),
            metrics: self.kept.metrics.report(),
            metrics_ignored: self.kept.metrics.ignored(),
            load: crate::report::PluginLoad::default(),
            loading: self.attempt.is_some(),
            previous: self.previous.as_ref().map(|previous| previous.generation.number),
            shadow: None,
        }
    }
}

impl Context {
    /// What the plugin keeps. Not on a worker thread: it is read from the disk.
    pub(super) async fn kv_space(self: &Arc<Self>, plugin: &Arc<str>) -> Result<Arc<KvSpace>, Refusal> {
        let (kv, plugin) = (self.kv.clone(), plugin.clone());
        let space = tokio::task::spawn_blocking(move || kv.space(&plugin)).await;
        let space = space.unwrap_or_else(|panic| Err(format!("`grants.kv` cannot be given: {panic}")));
        space.map_err(|why| Refusal::Config(why.into()))
    }
}

/// For the log: `acl: all; publish: a/#, b`.
fn scopes(generation: &Generation) -> String {
    let scope = |report: crate::report::ScopeReport| match report.filters {
        None => format!("{}: all", report.hook),
        Some(filters) => format!("{}: {}", report.hook, filters.join(", ")),
    };
    generation.scope_reports().into_iter().map(scope).collect::<Vec<_>>().join("; ")
}

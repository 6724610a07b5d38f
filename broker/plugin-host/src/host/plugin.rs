//! One name in the plugin folder, through all its files and configurations. Each has a task of its own, so that none waits for another;
//! what takes long is done beside it, so that it carries out orders meanwhile.

use super::{
    WaitFor,
    attempt::{AtStart, Attempt, End, File, Loaded, Made, Making, Outcome, drained},
    board::{Board, Posted},
    control::{ControlError, Promoted, Reloaded, Reply, RolledBack, ShadowDropped, ShadowStarted},
};
use crate::{
    access::Access,
    compile::Compiler,
    config::PluginConfig,
    engine::PluginEngine,
    folder::Files,
    generation::{BreakerOpened, Generation, Inspected, PROBATION},
    imports::{Kept, KvSpace, KvStore},
    refusal::Refusal,
    report::{PluginReport, PluginState},
    shadow::{About, Shadow, Share},
};
use bytes::Bytes;
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

/// What an operator wants.
pub(super) enum Order {
    Shadow { file: PathBuf, share: f64, reply: Reply<ShadowStarted> },
    DropShadow(Reply<ShadowDropped>),
    Promote(Reply<Promoted>),
    RollBack(Reply<RolledBack>),
}

/// See the module.
pub(super) struct Plugin {
    name: Arc<str>,
    context: Arc<Context>,
    /// The number of the newest generation that was ever started.
    newest: u64,
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
    in_folder: Option<blake3::Hash>,
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

struct Candidate {
    shadow: Shadow,
    number: u64,
    code: Inspected,
    file: PathBuf,
    bytes: Bytes,
    content: blake3::Hash,
}

struct UnderWay {
    number: u64,
    /// Something else lies there by now.
    outdated: bool,
    replies: Vec<Reply<Reloaded>>,
}

/// A candidate that was started, or started anew to be live.
enum Trial {
    Shadow {
        started: Result<(Loaded, Inspected, File), Refusal>,
        number: u64,
        file: PathBuf,
        share: Share,
        reply: Reply<ShadowStarted>,
    },
    Promote {
        started: Result<(Loaded, std::io::Result<()>), Refusal>,
        number: u64,
        file: PathBuf,
        made: Made,
        reply: Reply<Promoted>,
    },
}

impl Plugin {
    pub(super) fn new(name: &str, context: Arc<Context>) -> Self {
        Self {
            name: name.into(),
            context,
            newest: 0,
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
        self.attempt = Some(UnderWay { number: making.number, outdated: false, replies });
        if self.live.is_none() {
            (self.state, self.problem) = (PluginState::Starting, None);
        }
        self.post();
        self.attempts.spawn(Attempt { making, files, configured, known, at_start }.run());
    }

    fn making(&mut self) -> Making {
        self.newest += 1;
        Making {
            context: self.context.clone(),
            plugin: self.name.clone(),
            number: self.newest,
            left: self.left.clone(),
            kept: self.kept.clone(),
            opened: self.opened.0.clone(),
        }
    }

    /// A number that did not come to answer is free again, unless there is a higher one.
    fn give_back(&mut self, number: u64) {
        if self.newest == number {
            self.newest -= 1;
        }
    }

    fn attempted(&mut self, ended: Result<Outcome, JoinError>) {
        let Some(UnderWay { number, outdated, replies }) = self.attempt.take() else { return };
        let failed = |panic| Outcome::refused(Refusal::Invalid(format!("the broker failed: {panic}").into()));
        let Outcome { content, config, end, at_start: _waits } = ended.unwrap_or_else(failed);
        if outdated {
            self.give_back(number);
        } else {
            if let Some(config) = &config {
                (self.required, self.order) = (config.required, config.order);
            }
            if content.is_some() {
                self.in_folder = content;
                self.rejected.take_if(|rejected| Some(rejected.content) != content);
            }
            let loaded = matches!(end, End::Loaded { .. });
            let again = self.settle(end, replies);
            if !loaded {
                self.give_back(number);
            }
            if !again.is_empty()
                && let Some((files, configured)) = self.followed.clone()
            {
                let same = Follow { files, configured, at_start: None, replies: Vec::new() };
                self.next.get_or_insert(same).replies.extend(again);
            }
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
        let answer = match end {
            End::StillChanging => {
                let changing = ControlError::Changing { plugin: plugin() };
                self.followed = None;
                self.context.changed.notify_one();
                Err(changing)
            }
            End::Known => {
                if self.live.as_ref().is_some_and(|live| Some(live.made.content) == self.in_folder) {
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
            End::Loaded { loaded, made, compile_ms } => {
                let reloaded = Reloaded { plugin: plugin(), generation: loaded.generation.number };
                self.install(loaded, made);
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
    fn hear_timers(&self) {
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
        self.in_folder = Some(made.content);
        (self.left, self.rejected, self.problem) = (None, None, None);
        self.state = PluginState::Running;
        generation.begin_probation();
        let probation = Some(Instant::now() + PROBATION);
        self.previous = self.live.replace(Running { generation, made, probation });
        self.put_in_chain();
        self.hear_timers();
        if let Some(previous) = &self.previous {
            previous.generation.stand_by(left);
        }
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

    /// Takes out whatever stands there for a generation that is not.
    fn leave_seat(&self) {
        let seated = || self.context.registry.chain().members().iter().any(|it| it.place.name == self.name);
        if self.live.is_none() && seated() {
            self.context.registry.remove(&self.name);
        }
    }

    async fn carry_out(&mut self, order: Order) {
        match order {
            Order::Shadow { file, share, reply } => self.start_shadow(file, share, reply),
            Order::DropShadow(reply) => {
                let dropped = self.drop_shadow();
                _ = reply.send(dropped);
            }
            Order::Promote(reply) => self.promote(reply),
            Order::RollBack(reply) => {
                let back = self.go_back("rolled back").await;
                _ = reply.send(back);
            }
        }
    }

    fn start_shadow(&mut self, file: PathBuf, share: f64, reply: Reply<ShadowStarted>) {
        let (config, share) = match self.may_start_shadow(share) {
            Ok(may) => may,
            Err(why) => {
                _ = reply.send(Err(why));
                return;
            }
        };
        let making = self.making();
        self.trials.spawn(async move {
            let number = making.number;
            let started = making.candidate(file.clone(), config).await;
            Trial::Shadow { started, number, file, share, reply }
        });
    }

    fn may_start_shadow(&self, share: f64) -> Result<(PluginConfig, Share), ControlError> {
        let plugin = self.name.to_string();
        let share = Share::new(share).ok_or_else(|| ControlError::Share(share.to_string()))?;
        match &self.live {
            None => Err(ControlError::NotRunning { plugin }),
            Some(_) if !self.trials.is_empty() => Err(ControlError::AtWork { plugin }),
            Some(live) => Ok((live.made.config.clone(), share)),
        }
    }

    fn promote(&mut self, reply: Reply<Promoted>) {
        let plugin = self.name.to_string();
        let (candidate, live) = match (&self.shadow, &self.live) {
            (Some(candidate), Some(live)) if self.trials.is_empty() => (candidate, live),
            (Some(_), Some(_)) => {
                _ = reply.send(Err(ControlError::AtWork { plugin }));
                return;
            }
            _ => {
                _ = reply.send(Err(ControlError::NoShadow { plugin }));
                return;
            }
        };
        let made = Made { content: candidate.content, config: live.made.config.clone() };
        let Candidate { code, bytes, file, .. } = candidate;
        let (code, bytes, file) = (code.clone(), bytes.clone(), file.clone());
        let (making, context, name) = (self.making(), self.context.clone(), self.name.clone());
        self.trials.spawn(async move {
            let number = making.number;
            let started = match making.start(code, made.config.clone(), true).await {
                Ok(loaded) => Ok((loaded, context.write(&name, bytes).await)),
                Err(refusal) => Err(refusal),
            };
            Trial::Promote { started, number, file, made, reply }
        });
    }

    fn tried(&mut self, trial: Trial) {
        let refused = |file: &PathBuf, refusal: Refusal| {
            let reason = format!("{}: {refusal}", file.display());
            tracing::warn!("plugin {}: shadow refused, {reason}", self.name);
            ControlError::Refused { plugin: self.name.to_string(), reason }
        };
        match trial {
            Trial::Shadow { started: Err(refusal), number, file, reply, .. } => {
                _ = reply.send(Err(refused(&file, refusal)));
                self.give_back(number);
            }
            Trial::Promote { started: Err(refusal), number, file, reply, .. } => {
                _ = reply.send(Err(refused(&file, refusal)));
                self.give_back(number);
            }
            Trial::Shadow { started: Ok((loaded, code, bytes)), file, share, reply, .. } => {
                _ = reply.send(self.begin_shadow(loaded, code, bytes, file, share));
            }
            Trial::Promote { started: Ok((loaded, written)), made, reply, .. } => {
                self.shadow = None;
                let (plugin, generation) = (self.name.to_string(), loaded.generation.number);
                let in_folder = self.in_folder;
                self.install(loaded, made);
                self.tell_of_live(None);
                let file = self.context.file(&self.name);
                let not_written = written.err().map(|error| error.to_string());
                if let Some(why) = &not_written {
                    self.in_folder = in_folder;
                    let problem = format!(
                        "{} is not the file of generation {generation}: it could not be written, {why}",
                        file.display()
                    );
                    tracing::warn!("plugin {plugin}: {problem}");
                    self.problem = Some(problem);
                }
                self.post();
                _ = reply.send(Ok(Promoted { plugin, generation, file, not_written }));
            }
        }
    }

    fn begin_shadow(
        &mut self,
        loaded: Loaded,
        code: Inspected,
        file_read: File,
        file: PathBuf,
        share: Share,
    ) -> Result<ShadowStarted, ControlError> {
        let plugin = self.name.to_string();
        let Some(live) = &self.live else { return Err(ControlError::NotRunning { plugin }) };
        let (live, candidate) = (live.generation.clone(), loaded.generation);
        let about =
            About { plugin: self.name.clone(), generation: candidate.number, file: file.clone(), share };
        let shadow = Shadow::start(about, candidate.member()).map_err(|error| {
            let reason = format!("no thread for the shadow: {error}; try again when the machine has room");
            ControlError::Refused { plugin: plugin.clone(), reason }
        })?;
        let File { bytes, content } = file_read;
        self.shadow = Some(Candidate { shadow, number: candidate.number, code, file, bytes, content });
        self.put_in_chain();
        self.post();
        let (ours, theirs) = (live.hooks(), candidate.hooks());
        let started = ShadowStarted {
            plugin,
            generation: candidate.number,
            against: live.number,
            compared: ours.iter().copied().filter(|hook| theirs.contains(hook)).collect(),
            not_compared: ours
                .iter()
                .chain(theirs.iter().filter(|hook| !ours.contains(hook)))
                .copied()
                .filter(|hook| !(ours.contains(hook) && theirs.contains(hook)))
                .collect(),
        };
        tracing::info!("{started}");
        Ok(started)
    }

    fn drop_shadow(&mut self) -> Result<ShadowDropped, ControlError> {
        let plugin = self.name.to_string();
        let Some(candidate) = self.shadow.take() else { return Err(ControlError::NoShadow { plugin }) };
        self.put_in_chain();
        self.post();
        let seen = candidate.shadow.comparing().report();
        let (compared, differences) = (seen.compared(), seen.differences());
        let dropped = ShadowDropped { plugin, generation: candidate.number, compared, differences };
        tracing::info!("{dropped}");
        Ok(dropped)
    }

    fn is_on_probation(&self) -> bool {
        let new = self.live.as_ref().and_then(|live| live.probation);
        self.previous.is_some() && new.is_some_and(|until| Instant::now() < until)
    }

    async fn breaker_opened(&mut self, opened: &BreakerOpened) {
        let live = self.live.as_ref().map(|live| live.generation.number);
        if live == Some(opened.generation) && self.is_on_probation() {
            self.give_way(&opened.fault).await;
        }
    }

    async fn give_way(&mut self, fault: &str) {
        if let Err(why) = self.go_back(&format!("failed ({fault})")).await {
            tracing::warn!("{why}");
            // Said once.
            if let Some(live) = &mut self.live {
                live.probation = None;
            }
        }
    }

    /// The generation before answers again, and the live one stands by.
    async fn go_back(&mut self, why: &str) -> Result<RolledBack, ControlError> {
        let plugin = self.name.to_string();
        let (Some(previous), Some(live)) = (&self.previous, &self.live) else {
            return Err(ControlError::NoPrevious { plugin });
        };
        let (from, to) = (live.generation.number, previous.generation.number);
        if let Err(why) = previous.generation.come_back().await {
            return Err(ControlError::CannotComeBack { plugin, generation: to, why: why.text() });
        }
        std::mem::swap(&mut self.live, &mut self.previous);
        self.put_in_chain();
        self.hear_timers();
        let file = self.context.file(&self.name);
        let in_folder = self.in_folder;
        let (mut file_is_other, mut order) = (false, self.order);
        if let Some(live) = &mut self.live {
            live.probation = None;
            file_is_other = in_folder.is_some_and(|content| content != live.made.content);
            order = live.made.config.order;
        }
        self.order = order;
        let said = format!("generation {from} {why}, back to generation {to}");
        tracing::warn!("plugin {plugin}: {said}");
        self.problem = file_is_other.then_some(said);
        self.post();
        if let Some(left_behind) = &self.previous {
            self.rejected = Some(left_behind.made.clone()).filter(|made| Some(made.content) == in_folder);
            let left = drained(&left_behind.generation).await;
            left_behind.generation.stand_by(left);
        }
        Ok(RolledBack { plugin, from, to, file, file_is_other })
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

//! The candidate's side: its queue, its thread, and what the comparison has shown so far.

use super::{
    About, Share,
    copies::{Answer, Question},
    words::InShort,
};
use crate::priority;
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc::Receiver,
    },
    time::{Duration, Instant, SystemTime},
};
use tidegate_hooks::{
    AclVerdict, AuthVerdict, Choice, DeliverRequest, DeliverVerdict, Member, PickRequest, PublishRequest,
    PublishVerdict, SelectRequest, Selection, SubscribeRequest, SubscribeVerdict, one_answer_each,
    scope_holds,
};

/// Questions that wait for the candidate; more are left out.
const MOST_WAITING: usize = 1024;
/// Bytes of them.
const MOST_BYTES: usize = 16 << 20;
/// What a question takes up beside its texts and payload, roughly.
const QUESTION: usize = 512;
/// Differences that are logged one by one; then one at most every [`LOG_EVERY`].
const LOGGED_AT_FIRST: u64 = 10;
const LOG_EVERY: Duration = Duration::from_secs(1);
/// The latest differences, kept for whoever asks.
const SAMPLES: usize = 20;

/// A candidate beside the live generation, and what comparing the two has shown.
#[derive(Clone, Debug, PartialEq)]
pub struct ShadowReport {
    /// The candidate's number.
    pub generation: u64,
    /// The live generation that it is compared with.
    pub against: u64,
    /// Where it was read from.
    pub file: PathBuf,
    /// How much of what is asked it is asked too: 1 is all of it.
    pub share: f64,
    /// Counts of the hooks that were compared.
    pub hooks: Vec<HookDifferences>,
    /// Questions it was not asked because too many waited for it.
    pub left_out: u64,
    /// The latest differences, oldest first.
    pub samples: Vec<Difference>,
}

impl ShadowReport {
    /// Answers that were compared.
    pub fn compared(&self) -> u64 {
        self.hooks.iter().map(|hook| hook.compared).sum()
    }

    /// Those of them that were not the same.
    pub fn differences(&self) -> u64 {
        self.hooks.iter().map(|hook| hook.differences).sum()
    }
}

/// Counts of one hook.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HookDifferences {
    /// `auth`, `acl`, `publish`, `subscribe`, `subscribers` or `deliver`.
    pub hook: &'static str,
    /// Answers that were compared.
    pub compared: u64,
    /// Those of them that were not the same.
    pub differences: u64,
    /// Calls in which the candidate failed; a difference if the live generation did not.
    pub faults: u64,
}

/// Two answers to one question.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Difference {
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// As in [`HookDifferences::hook`].
    pub hook: &'static str,
    /// Whom the question was about.
    pub client_id: String,
    /// Topic or filter, where there is one.
    pub topic: Option<String>,
    /// The answer that counted, in short.
    pub live: String,
    /// The candidate's, in short.
    pub candidate: String,
}

/// A question in the queue.
pub(super) struct Waiting {
    /// Whose answer is in it.
    pub(super) against: u64,
    pub(super) question: Question,
    pub(super) _room: Room,
}

/// What callers and the candidate's thread share.
pub(crate) struct Comparing {
    about: About,
    /// The live generation whose answer is being compared. Written by the candidate's thread.
    asking: AtomicU64,
    waiting: AtomicUsize,
    bytes: AtomicUsize,
    left_out: AtomicU64,
    ended: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    against: u64,
    hooks: Vec<HookDifferences>,
    samples: VecDeque<Difference>,
    logged: u64,
    logged_last: Option<Instant>,
}

/// A place in the queue, for as long as it lives.
pub(super) struct Room {
    of: Arc<Comparing>,
    bytes: usize,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.of.waiting.fetch_sub(1, Ordering::Relaxed);
        self.of.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Comparing {
    pub(super) fn new(about: About) -> Self {
        Self {
            about,
            asking: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            left_out: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            seen: Mutex::default(),
        }
    }

    pub(super) fn share(&self) -> Share {
        self.about.share
    }

    /// Room for a question with that many bytes of text and payload. None: it is left out, and counted.
    pub(super) fn room(self: &Arc<Self>, bytes: usize) -> Option<Room> {
        let bytes = bytes + QUESTION;
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let room = Room { of: self.clone(), bytes };
        if waiting >= MOST_WAITING || before + bytes > MOST_BYTES {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(room)
    }

    /// Compares with that generation from now on.
    pub(super) fn begin(&self, against: u64) {
        self.left_out.store(0, Ordering::Relaxed);
        *self.seen.lock() = Seen { against, ..Seen::default() };
    }

    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    pub(crate) fn report(&self) -> ShadowReport {
        let seen = self.seen.lock();
        ShadowReport {
            generation: self.about.generation,
            against: seen.against,
            file: self.about.file.clone(),
            share: self.about.share.0,
            hooks: seen.hooks.clone(),
            left_out: self.left_out.load(Ordering::Relaxed),
            samples: seen.samples.iter().cloned().collect(),
        }
    }

    /// Asks the candidate on a thread of its own, until nobody sends any more, or it is told to end.
    pub(super) fn start(self: Arc<Self>, candidate: Member, waiting: Receiver<Waiting>) -> io::Result<()> {
        // A runtime of its own, too: a candidate that waits is nobody else's business.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let compare = move || {
            priority::lower();
            for Waiting { against, question, _room } in waiting {
                if self.ended.load(Ordering::Relaxed) {
                    break;
                }
                self.asking.store(against, Ordering::Relaxed);
                if self.seen.lock().against == against {
                    runtime.block_on(self.ask(&candidate, question));
                }
            }
        };
        std::thread::Builder::new().name("plugin-shadow".into()).spawn(compare).map(drop)
    }

    async fn ask(&self, candidate: &Member, question: Question) {
        let hooks = &candidate.hooks;
        match question {
            Question::Authenticate(copy, live) => {
                let request = copy.request();
                let answer = match candidate.authenticates(&request) {
                    true => hooks.authenticate(&request).wait().await,
                    false => Ok(AuthVerdict::Next),
                };
                self.compare("auth", &copy.client_id, None, live, answer);
            }
            Question::Proceed(copy, live) => {
                let (connect, step) = &*copy;
                let answer = hooks.proceed(&connect.request(), &step.step()).wait().await;
                self.compare("auth", &connect.client_id, None, live, answer);
            }
            Question::Check(copy, live) => {
                let request = copy.request();
                let answer = match candidate.acl_in_scope(&request) {
                    true => hooks.check(&request).wait().await,
                    false => Ok(AclVerdict::Next),
                };
                self.compare("acl", request.client_id, Some(request.topic), live, answer);
            }
            Question::Publish(copy, live) => {
                self.publish(candidate, &copy.request(), live).await;
            }
            Question::PublishBatch(copies, live) => {
                let requests: Vec<PublishRequest<'_>> = copies.iter().map(|copy| copy.request()).collect();
                self.publish_batch(candidate, &requests, live).await;
            }
            Question::Subscribe(copies, live) => {
                let requests: Vec<SubscribeRequest<'_>> = copies.iter().map(|copy| copy.request()).collect();
                self.subscribe(candidate, &requests, live).await;
            }
            Question::Select(message, candidates, live) => {
                let candidates: Vec<_> = candidates.iter().map(|copy| copy.candidate()).collect();
                let message = message.request();
                let answer = match scope_holds(&candidate.scopes.subscribers, message.topic) {
                    true => hooks.select(&SelectRequest { message, candidates: &candidates }).wait().await,
                    false => Ok(Selection { choice: Choice::All, cache: Duration::ZERO }),
                };
                self.compare("subscribers", message.client_id, Some(message.topic), live, answer);
            }
            Question::Pick(message, group, members, live) => {
                let members: Vec<_> = members.iter().map(|copy| copy.candidate()).collect();
                let message = message.request();
                let answer = match scope_holds(&candidate.scopes.subscribers, message.topic) {
                    true => {
                        hooks.pick(&PickRequest { message, group: &group, members: &members }).wait().await
                    }
                    false => Ok(None),
                };
                self.compare("subscribers", message.client_id, Some(message.topic), live, answer);
            }
            Question::Deliver(message, recipient, client_id, live) => {
                let message = message.request();
                let request = DeliverRequest { message, recipient, client_id: &client_id };
                let answer = match scope_holds(&candidate.scopes.deliver, message.topic) {
                    true => hooks.on_deliver(&request).wait().await,
                    false => Ok(DeliverVerdict::Next),
                };
                self.compare("deliver", &client_id, Some(message.topic), live, answer);
            }
        }
    }

    async fn publish(&self, candidate: &Member, request: &PublishRequest<'_>, live: Answer<PublishVerdict>) {
        let answer = match scope_holds(&candidate.scopes.publish, request.topic) {
            true => candidate.hooks.on_publish(request).wait().await,
            false => Ok(PublishVerdict::Next),
        };
        self.compare("publish", request.client_id, Some(request.topic), live, answer);
    }

    async fn publish_batch(
        &self,
        candidate: &Member,
        requests: &[PublishRequest<'_>],
        live: Answer<Vec<PublishVerdict>>,
    ) {
        let live = one_answer_each(candidate, live, requests.len());
        if !candidate.hooks.kinds().publish_batch {
            for (request, live) in requests.iter().zip(live) {
                self.publish(candidate, request, live).await;
            }
            return;
        }
        let asked: Vec<PublishRequest<'_>> = requests
            .iter()
            .filter(|request| scope_holds(&candidate.scopes.publish, request.topic))
            .copied()
            .collect();
        let mut answers = match asked.len() {
            0 => Vec::new(),
            _ => {
                one_answer_each(candidate, candidate.hooks.on_publish_batch(&asked).wait().await, asked.len())
            }
        }
        .into_iter();
        for (request, live) in requests.iter().zip(live) {
            let answer = match scope_holds(&candidate.scopes.publish, request.topic) {
                true => answers.next().unwrap_or(Ok(PublishVerdict::Next)),
                false => Ok(PublishVerdict::Next),
            };
            self.compare("publish", request.client_id, Some(request.topic), live, answer);
        }
    }

    async fn subscribe(
        &self,
        candidate: &Member,
        requests: &[SubscribeRequest<'_>],
        live: Answer<Vec<SubscribeVerdict>>,
    ) {
        let is_asked = |request: &SubscribeRequest<'_>| candidate.subscribe_in_scope(request.filter);
        let asked: Vec<SubscribeRequest<'_>> =
            requests.iter().filter(|request| is_asked(request)).copied().collect();
        let mut answers = match asked.len() {
            0 => Vec::new(),
            _ => one_answer_each(candidate, candidate.hooks.on_subscribe(&asked).wait().await, asked.len()),
        }
        .into_iter();
        for (request, live) in requests.iter().zip(one_answer_each(candidate, live, requests.len())) {
            let answer = match is_asked(request) {
                true => answers.next().unwrap_or(Ok(SubscribeVerdict::Next)),
                false => Ok(SubscribeVerdict::Next),
            };
            self.compare("subscribe", request.client_id, Some(request.filter), live, answer);
        }
    }

    /// Counts, and tells of a difference. Two faults are the same answer.
    fn compare<T: InShort + PartialEq>(
        &self,
        hook: &'static str,
        client_id: &str,
        topic: Option<&str>,
        live: Answer<T>,
        candidate: Answer<T>,
    ) {
        let differ = match (&live, &candidate) {
            (Ok(live), Ok(candidate)) => live != candidate,
            (Err(_), Err(_)) => false,
            _ => true,
        };
        let mut seen = self.seen.lock();
        if seen.against != self.asking.load(Ordering::Relaxed) {
            // Another generation is live by now.
            return;
        }
        let counts = seen.counts(hook);
        counts.compared += 1;
        counts.faults += u64::from(candidate.is_err());
        if !differ {
            return;
        }
        counts.differences += 1;
        let (live, mut candidate) = (in_short(&live), in_short(&candidate));
        if live == candidate {
            candidate.push_str(", other content");
        }
        let at_ms = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        let difference = Difference {
            at_ms: u64::try_from(at_ms).unwrap_or(u64::MAX),
            hook,
            client_id: client_id.to_owned(),
            topic: topic.map(str::to_owned),
            live,
            candidate,
        };
        if seen.is_to_be_logged(Instant::now()) {
            let About { plugin, generation, .. } = &self.about;
            let Difference { live, candidate, .. } = &difference;
            tracing::info!(
                %plugin,
                generation,
                hook,
                client_id,
                topic,
                live,
                candidate,
                "plugin {plugin}: the shadow, generation {generation}, answers otherwise"
            );
        }
        if seen.samples.len() == SAMPLES {
            seen.samples.pop_front();
        }
        seen.samples.push_back(difference);
    }
}

impl Seen {
    fn counts(&mut self, hook: &'static str) -> &mut HookDifferences {
        let at = self.hooks.iter().position(|counts| counts.hook == hook).unwrap_or_else(|| {
            self.hooks.push(HookDifferences { hook, compared: 0, differences: 0, faults: 0 });
            self.hooks.len() - 1
        });
        &mut self.hooks[at]
    }

    fn is_to_be_logged(&mut self, now: Instant) -> bool {
        let quiet = self.logged_last.is_some_and(|last| now.saturating_duration_since(last) < LOG_EVERY);
        if self.logged >= LOGGED_AT_FIRST && quiet {
            return false;
        }
        self.logged += 1;
        self.logged_last = Some(now);
        true
    }
}

fn in_short<T: InShort>(answer: &Answer<T>) -> String {
    match answer {
        Ok(verdict) => verdict.in_short(),
        Err(fault) => format!("fault({})", fault.kind),
    }
}

//! A candidate beside the live generation: asked the same, its answers compared and never used. What is asked is copied and waits in a
//! bounded queue for a thread of the candidate's own: it can slow nobody, and what does not fit in is left out and counted.
//!
//! Reading order: here, what callers go through; `copies` (what they ask, to be kept), `comparing` (the candidate's thread, counters and
//! samples), `words` (answers in short, without payloads and passwords).

mod comparing;
mod copies;
mod words;

pub(crate) use comparing::Comparing;
pub use comparing::{Difference, HookDifferences, ShadowReport};

use comparing::Waiting;
use copies::{
    AclCopy, CandidateCopy, ConnectCopy, MessageCopy, Question, StepCopy, SubscribeCopy, connect_size,
    message_size,
};
use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Sender, channel},
    },
};
use tidegate_hooks::{
    AclRequest, AclVerdict, AuthStep, AuthVerdict, ConnectRequest, DeliverRequest, DeliverVerdict, Event,
    HookFailed, HookKinds, Hooks, Member, PacketClient, PickRequest, PublishRequest, PublishVerdict,
    Remembered, Reply, SelectRequest, Selection, SubscribeRequest, SubscribeVerdict,
};
use tidegate_mqtt::{Packet, PacketType};

/// How much of what is asked a candidate is asked too: more than 0, at most 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Share(f64);

impl Share {
    /// None: not a share.
    pub(crate) fn new(share: f64) -> Option<Self> {
        (share > 0.0 && share <= 1.0).then_some(Self(share))
    }

    /// Whether the `n`th of all is part of the share. Spread evenly.
    #[expect(clippy::cast_precision_loss, reason = "beyond 2^53 calls the share is a little off")]
    fn includes(self, n: u64) -> bool {
        (n as f64 * self.0).floor() < ((n + 1) as f64 * self.0).floor()
    }
}

/// A candidate that is asked what the live generation is asked. Its thread ends with it, whatever still waits.
pub(crate) struct Shadow {
    hooks: HookKinds,
    comparing: Arc<Comparing>,
    queue: Sender<Waiting>,
}

/// Who the candidate is.
pub(crate) struct About {
    pub(crate) plugin: Arc<str>,
    pub(crate) generation: u64,
    pub(crate) file: PathBuf,
    pub(crate) share: Share,
}

impl Shadow {
    /// # Errors
    /// There is no thread to be had.
    pub(crate) fn start(about: About, candidate: Member) -> io::Result<Self> {
        let hooks = candidate.hooks.kinds();
        let comparing = Arc::new(Comparing::new(about));
        let (queue, waiting) = channel();
        comparing.clone().start(candidate, waiting)?;
        Ok(Self { hooks, comparing, queue })
    }

    /// Hooks that answer as `live` does, which is that generation, and let the candidate know. What was compared with another one is
    /// forgotten.
    pub(crate) fn beside(&self, live: Arc<dyn Hooks>, generation: u64) -> Arc<dyn Hooks> {
        self.comparing.begin(generation);
        Arc::new(Shadowed {
            live,
            generation,
            candidate: self.hooks,
            asked: AtomicU64::new(0),
            comparing: self.comparing.clone(),
            queue: self.queue.clone(),
        })
    }

    /// What has been seen so far, now and later.
    pub(crate) fn comparing(&self) -> Arc<Comparing> {
        self.comparing.clone()
    }
}

impl Drop for Shadow {
    fn drop(&mut self) {
        self.comparing.end();
    }
}

/// The live generation, as the chain sees it while there is a shadow.
struct Shadowed {
    live: Arc<dyn Hooks>,
    generation: u64,
    /// What the candidate can be asked.
    candidate: HookKinds,
    asked: AtomicU64,
    comparing: Arc<Comparing>,
    queue: Sender<Waiting>,
}

impl Shadowed {
    /// Hands `reply` on, and a copy of it with its question to the candidate if that `can` answer it.
    fn watched<'a, T: Clone + Send + 'a>(
        &'a self,
        can: bool,
        reply: Reply<'a, T>,
        size: usize,
        question: impl FnOnce(T) -> Question + Send + 'a,
    ) -> Reply<'a, T> {
        if !can || !self.comparing.share().includes(self.asked.fetch_add(1, Ordering::Relaxed)) {
            return reply;
        }
        match reply {
            Reply::Now(answer) => {
                self.copy(size, || question(answer.clone()));
                Reply::Now(answer)
            }
            Reply::Later(future) => Reply::Later(Box::pin(async move {
                let answer = future.await;
                self.copy(size, || question(answer.clone()));
                answer
            })),
        }
    }

    /// Copies only what there is room for.
    fn copy(&self, size: usize, question: impl FnOnce() -> Question) {
        if let Some(room) = self.comparing.room(size) {
            // The thread ends only when there is no sender any more, or if it failed: then nobody compares.
            _ = self.queue.send(Waiting { against: self.generation, question: question(), _room: room });
        }
    }
}

impl Hooks for Shadowed {
    fn kinds(&self) -> HookKinds {
        // A hook of the candidate alone is not asked: who would decide instead of it?
        self.live.kinds()
    }

    fn answered_before(&self, question: Remembered) {
        self.live.answered_before(question);
    }

    fn authenticate<'a>(
        &'a self,
        request: &'a ConnectRequest<'a>,
    ) -> Reply<'a, Result<AuthVerdict, HookFailed>> {
        let question = |answer| Question::Authenticate(Box::new(ConnectCopy::of(request)), answer);
        let size = connect_size(request);
        self.watched(self.candidate.authenticate, self.live.authenticate(request), size, question)
    }

    fn proceed<'a>(
        &'a self,
        request: &'a ConnectRequest<'a>,
        step: &'a AuthStep<'a>,
    ) -> Reply<'a, Result<AuthVerdict, HookFailed>> {
        let question =
            |answer| Question::Proceed(Box::new((ConnectCopy::of(request), StepCopy::of(step))), answer);
        let size = connect_size(request) + step.state.len() + step.data.map_or(0, <[u8]>::len);
        self.watched(self.candidate.proceed, self.live.proceed(request, step), size, question)
    }

    fn check<'a>(&'a self, request: &'a AclRequest<'a>) -> Reply<'a, Result<AclVerdict, HookFailed>> {
        let question = |answer| Question::Check(AclCopy::of(request), answer);
        self.watched(self.candidate.acl, self.live.check(request), request.topic.len(), question)
    }

    fn on_publish<'a>(
        &'a self,
        request: &'a PublishRequest<'a>,
    ) -> Reply<'a, Result<PublishVerdict, HookFailed>> {
        let question = |answer| Question::Publish(Box::new(MessageCopy::of(request)), answer);
        self.watched(self.candidate.publish, self.live.on_publish(request), message_size(request), question)
    }

    fn on_publish_batch<'a>(
        &'a self,
        requests: &'a [PublishRequest<'a>],
    ) -> Reply<'a, Result<Vec<PublishVerdict>, HookFailed>> {
        let size = requests.iter().map(message_size).sum();
        let question =
            |answer| Question::PublishBatch(requests.iter().map(MessageCopy::of).collect(), answer);
        self.watched(self.candidate.publish, self.live.on_publish_batch(requests), size, question)
    }

    fn on_subscribe<'a>(
        &'a self,
        requests: &'a [SubscribeRequest<'a>],
    ) -> Reply<'a, Result<Vec<SubscribeVerdict>, HookFailed>> {
        let size = requests.iter().map(|request| request.filter.len()).sum();
        let question = |answer| Question::Subscribe(requests.iter().map(SubscribeCopy::of).collect(), answer);
        self.watched(self.candidate.subscribe, self.live.on_subscribe(requests), size, question)
    }

    fn select<'a>(&'a self, request: &'a SelectRequest<'a>) -> Reply<'a, Result<Selection, HookFailed>> {
        let size = message_size(&request.message) + CandidateCopy::size(request.candidates);
        let question = |answer| {
            let candidates = request.candidates.iter().map(CandidateCopy::of).collect();
            Question::Select(Box::new(MessageCopy::of(&request.message)), candidates, answer)
        };
        self.watched(self.candidate.subscribers, self.live.select(request), size, question)
    }

    fn pick<'a>(&'a self, request: &'a PickRequest<'a>) -> Reply<'a, Result<Option<u32>, HookFailed>> {
        let size = message_size(&request.message) + CandidateCopy::size(request.members);
        let question = |answer| {
            let members = request.members.iter().map(CandidateCopy::of).collect();
            let message = Box::new(MessageCopy::of(&request.message));
            Question::Pick(message, request.group.into(), members, answer)
        };
        self.watched(self.candidate.subscribers, self.live.pick(request), size, question)
    }

    fn on_deliver<'a>(
        &'a self,
        request: &'a DeliverRequest<'a>,
    ) -> Reply<'a, Result<DeliverVerdict, HookFailed>> {
        let question = |answer| {
            let message = Box::new(MessageCopy::of(&request.message));
            Question::Deliver(message, request.recipient, request.client_id.into(), answer)
        };
        let size = message_size(&request.message);
        self.watched(self.candidate.deliver, self.live.on_deliver(request), size, question)
    }

    fn on_events<'a>(&'a self, batch: &'a [Event], lost: u64) -> Reply<'a, Result<(), HookFailed>> {
        self.live.on_events(batch, lost)
    }

    fn packet_received(&self, client: &PacketClient<'_>, packet: &Packet<'_>) {
        self.live.packet_received(client, packet);
    }

    fn packet_processed(&self, client: &PacketClient<'_>, kind: PacketType) {
        self.live.packet_processed(client, kind);
    }

    fn packet_sent(&self, client: &PacketClient<'_>, packet: &[u8]) {
        self.live.packet_sent(client, packet);
    }
}

#[cfg(test)]
mod tests;

//! The same question many times, and the CPU time that it takes.

use super::{
    Trial,
    ask::{Published, candidates},
    clients::{Answering, Client},
};
use crate::scenario::Step;
use rustix::time::{ClockId, clock_gettime};
use std::{
    pin::pin,
    time::{Duration, Instant},
};
use tidegate_hooks::{
    AclRequest, Action, AuthStep, DeliverRequest, HookFailed, Member, PickRequest, SelectRequest,
};
use tidegate_mqtt::QoS;

/// Rounds of which the median is told.
const ROUNDS: usize = 5;

/// What one question takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// `auth`, `publish` and the like.
    pub(crate) hook: &'static str,
    pub(crate) calls: u64,
    /// Calls without an answer.
    pub(crate) faults: u64,
    /// CPU time a call: in the thread that asks for hot hooks, of all threads for those that may wait. Median, least and most of the rounds.
    pub(crate) cpu: Spread,
    /// Time a call.
    pub(crate) wall: Spread,
}

/// Nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Trial {
    /// Asks each question that `step` means many times. Empty: it asks nothing, or the plugin is not asked about that.
    ///
    /// # Errors
    /// The question makes no sense.
    pub(crate) async fn measure(&mut self, step: &Step, time: Duration) -> Result<Vec<Cost>, String> {
        let Some(member) = self.member() else { return Ok(Vec::new()) };
        let hooks = &member.hooks;
        self.keep_what_happens(false);
        let mut watch = Watch { member: &member, time, costs: Vec::new() };
        match step {
            Step::Connect(connect) => {
                let joining = self.joining(connect)?;
                let request = joining.request();
                if member.authenticates(&request) {
                    watch.repeat("auth", async || hooks.authenticate(&request).wait().await.map(drop)).await;
                }
            }
            Step::Auth(auth) => {
                if let Some(Answering { connect, state, again }) =
                    self.clients.named(&auth.client).answering.clone()
                {
                    let (joining, data) = (self.joining(&connect)?, auth.data_bytes()?);
                    let request = joining.request();
                    let step = AuthStep { state: &state, data: data.as_deref(), again };
                    let asked = async || hooks.proceed(&request, &step).wait().await.map(drop);
                    watch.repeat("enhanced-auth", asked).await;
                }
            }
            Step::Publish(message) => {
                let published = self.published(message)?;
                let request = published.request();
                watch.check(&published.client, Action::Publish, request.topic, request.qos).await;
                if !self.registry.chain().publish_scope(request.topic).is_empty() {
                    watch.repeat("publish", async || hooks.on_publish(&request).wait().await.map(drop)).await;
                }
            }
            Step::PublishBatch(batch) => {
                let published = batch.iter().map(|one| self.published(one)).collect::<Result<Vec<_>, _>>()?;
                let requests: Vec<_> = published.iter().map(Published::request).collect();
                if hooks.kinds().publish_batch {
                    let asked = async || hooks.on_publish_batch(&requests).wait().await.map(drop);
                    watch.repeat("publish-batch", asked).await;
                }
            }
            Step::Subscribe(subscribe) => {
                let subscribing = self.subscribing(subscribe)?;
                let request = subscribing.request();
                let topics = subscribing.topics().to_string();
                watch.check(&subscribing.client, Action::Subscribe, &topics, request.qos).await;
                if hooks.kinds().subscribe && member.subscribe_in_scope(request.filter) {
                    let requests = [request];
                    let asked = async || hooks.on_subscribe(&requests).wait().await.map(drop);
                    watch.repeat("subscribe", asked).await;
                }
            }
            Step::Receive(receive) => {
                let client = self.clients.named(&receive.client);
                watch.check(client, Action::Receive, &receive.topic, QoS::AtMostOnce).await;
            }
            Step::Select(select) => {
                let published = self.published(&select.message)?;
                if !self.registry.chain().subscribers_scope(&published.topic).is_empty() {
                    let sessions = self.sessions(&select.candidates);
                    let candidates = candidates(&select.candidates, &sessions)?;
                    let request = SelectRequest { message: published.request(), candidates: &candidates };
                    watch.repeat("subscribers", async || hooks.select(&request).wait().await.map(drop)).await;
                }
            }
            Step::Pick(pick) => {
                let published = self.published(&pick.message)?;
                if !self.registry.chain().subscribers_scope(&published.topic).is_empty() {
                    let sessions = self.sessions(&pick.members);
                    let members = candidates(&pick.members, &sessions)?;
                    let message = published.request();
                    let request = PickRequest { message, group: &pick.group, members: &members };
                    watch.repeat("subscribers", async || hooks.pick(&request).wait().await.map(drop)).await;
                }
            }
            Step::Deliver(deliver) => {
                let published = self.delivered(deliver)?;
                if !self.registry.chain().deliver_scope(&published.topic).is_empty() {
                    let Client { session, client_id, .. } = self.clients.named(&deliver.to);
                    let message = published.request();
                    let request = DeliverRequest { message, recipient: *session, client_id };
                    watch.repeat("deliver", async || hooks.on_deliver(&request).wait().await.map(drop)).await;
                }
            }
            Step::Events { batch, lost } => {
                let (_, events) = self.events(batch)?;
                if !events.is_empty() {
                    watch.repeat("events", async || hooks.on_events(&events, *lost).wait().await).await;
                }
            }
            _ => {}
        }
        let costs = watch.costs;
        // Millions of lines, perhaps.
        self.forget_log();
        self.keep_what_happens(true);
        Ok(costs)
    }
}

impl Trial {
    /// Millions of messages and requests are not kept, nor is the time spent that it takes to write them down.
    fn keep_what_happens(&self, keep: bool) {
        for happened in [&self.broker.published, &self.broker.disconnected, self.backend.requested()] {
            happened.keep(keep);
        }
    }
}

/// Takes the time of questions.
struct Watch<'a> {
    member: &'a Member,
    /// How long to ask each.
    time: Duration,
    costs: Vec<Cost>,
}

impl Watch<'_> {
    /// Whether a client may do that, if the plugin is asked and not the rules that the client was granted.
    async fn check(&mut self, client: &Client, action: Action, topic: &str, qos: QoS) {
        let request = AclRequest {
            session: client.session,
            client_id: &client.client_id,
            username: client.username.as_deref(),
            action,
            topic,
            qos,
            retain: false,
            attributes: &client.attributes,
        };
        let member = self.member;
        let by_rules = client.permissions.rules().decide(&request).is_some();
        if !by_rules && member.hooks.kinds().acl && member.acl_in_scope(&request) {
            self.repeat("acl", async || member.hooks.check(&request).wait().await.map(drop)).await;
        }
    }

    async fn repeat(&mut self, hook: &'static str, mut ask: impl AsyncFnMut() -> Result<(), HookFailed>) {
        let clock = clock(hook, self.member);
        let (mut calls, mut faults) = (0, 0);
        let mut rounds = Vec::new();
        // The first round is to get warm.
        for round in 0..=ROUNDS {
            let (began, cpu) = (Instant::now(), clock_gettime(clock));
            let mut asked = 0;
            let share = self.time / (ROUNDS as u32 + 1);
            // Looking at the clock takes its time, too.
            let mut until_look = 1;
            while asked == 0 || began.elapsed() < share {
                for _ in 0..until_look {
                    let answer = pin!(ask()).await;
                    faults += u64::from(round > 0 && answer.is_err());
                }
                asked += until_look;
                until_look = if began.elapsed() < share / 8 { until_look * 2 } else { until_look };
            }
            if round > 0 {
                let spent = clock_gettime(clock) - cpu;
                let spent = spent.tv_sec as f64 * 1e9 + spent.tv_nsec as f64;
                rounds.push((spent / asked as f64, began.elapsed().as_secs_f64() * 1e9 / asked as f64));
                calls += asked;
            }
        }
        let (cpu, wall) = rounds.into_iter().unzip();
        self.costs.push(Cost { hook, calls, faults, cpu: Spread::of(cpu), wall: Spread::of(wall) });
    }
}

/// Hot hooks run on the caller's thread; the others anywhere.
fn clock(hook: &str, member: &Member) -> ClockId {
    let is_hot = member.hooks.answers_at_once() && !["auth", "enhanced-auth", "events"].contains(&hook);
    if is_hot { ClockId::ThreadCPUTime } else { ClockId::ProcessCPUTime }
}

impl Spread {
    fn of(mut rounds: Vec<f64>) -> Self {
        rounds.sort_by(f64::total_cmp);
        let at = |index: usize| rounds.get(index).copied().unwrap_or_default();
        Self { median: at(rounds.len() / 2), least: at(0), most: at(rounds.len().saturating_sub(1)) }
    }
}

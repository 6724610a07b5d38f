//! The same question many times, and the CPU time that it takes.

use super::{Trial, ask::candidates};
use crate::scenario::Step;
use rustix::time::{ClockId, clock_gettime};
use std::{
    pin::pin,
    time::{Duration, Instant},
};
use tidegate_hooks::{AclRequest, Action, DeliverRequest, HookFailed, Member, PickRequest, SelectRequest};
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
    /// Asks what `step` asks for about `time`. None: it asks nothing, or the plugin is not asked about that.
    ///
    /// # Errors
    /// The question makes no sense.
    pub(crate) async fn measure(&mut self, step: &Step, time: Duration) -> Result<Option<Cost>, String> {
        let cost = match step {
            Step::Connect(connect) => {
                let (member, joining) = (self.the_member()?, self.joining(connect)?);
                let request = joining.request();
                if !member.authenticates(&request) {
                    return Ok(None);
                }
                repeat("auth", &member, time, async || {
                    member.hooks.authenticate(&request).wait().await.map(drop)
                })
                .await
            }
            Step::Publish(message) => {
                let published = self.published(message)?;
                let chain = self.registry.chain_full();
                if chain.publish_scope(&published.topic).is_empty() {
                    return Ok(None);
                }
                let (member, request) = (self.the_member()?, published.request());
                repeat("publish", &member, time, async || {
                    member.hooks.on_publish(&request).wait().await.map(drop)
                })
                .await
            }
            Step::PublishBatch(batch) => {
                let published = batch.iter().map(|one| self.published(one)).collect::<Result<Vec<_>, _>>()?;
                let member = self.the_member()?;
                if !member.hooks.kinds().publish_batch {
                    return Ok(None);
                }
                let requests: Vec<_> = published.iter().map(super::ask::Published::request).collect();
                let asked = async || member.hooks.on_publish_batch(&requests).wait().await.map(drop);
                repeat("publish-batch", &member, time, asked).await
            }
            Step::Subscribe(subscribe) => {
                let (member, subscribing) = (self.the_member()?, self.subscribing(subscribe)?);
                if !member.hooks.kinds().subscribe || !member.subscribe_in_scope(&subscribe.filter) {
                    return Ok(None);
                }
                let requests = [subscribing.request()];
                let asked = async || member.hooks.on_subscribe(&requests).wait().await.map(drop);
                repeat("subscribe", &member, time, asked).await
            }
            Step::Receive(receive) => {
                let (member, client) = (self.the_member()?, self.clients.named(&receive.client).clone());
                let request = AclRequest {
                    session: client.session,
                    client_id: &client.client_id,
                    username: client.username.as_deref(),
                    action: Action::Receive,
                    topic: &receive.topic,
                    qos: QoS::AtMostOnce,
                    retain: false,
                    attributes: &client.attributes,
                };
                if !member.hooks.kinds().acl || !member.acl_in_scope(&request) {
                    return Ok(None);
                }
                repeat("acl", &member, time, async || member.hooks.check(&request).wait().await.map(drop))
                    .await
            }
            Step::Select(select) => {
                let (member, published) = (self.the_member()?, self.published(&select.message)?);
                if self.registry.chain().subscribers_scope(&published.topic).is_empty() {
                    return Ok(None);
                }
                let sessions = self.sessions(&select.candidates);
                let candidates = candidates(&select.candidates, &sessions)?;
                let request = SelectRequest { message: published.request(), candidates: &candidates };
                repeat("subscribers", &member, time, async || {
                    member.hooks.select(&request).wait().await.map(drop)
                })
                .await
            }
            Step::Pick(pick) => {
                let (member, published) = (self.the_member()?, self.published(&pick.message)?);
                if self.registry.chain().subscribers_scope(&published.topic).is_empty() {
                    return Ok(None);
                }
                let sessions = self.sessions(&pick.members);
                let members = candidates(&pick.members, &sessions)?;
                let request =
                    PickRequest { message: published.request(), group: &pick.group, members: &members };
                repeat("subscribers", &member, time, async || {
                    member.hooks.pick(&request).wait().await.map(drop)
                })
                .await
            }
            Step::Deliver(deliver) => {
                let (member, published) = (self.the_member()?, self.published(&deliver.message)?);
                if self.registry.chain().deliver_scope(&published.topic).is_empty() {
                    return Ok(None);
                }
                let recipient = self.clients.named(&deliver.to).clone();
                let request = DeliverRequest {
                    message: published.request(),
                    recipient: recipient.session,
                    client_id: &recipient.client_id,
                };
                repeat("deliver", &member, time, async || {
                    member.hooks.on_deliver(&request).wait().await.map(drop)
                })
                .await
            }
            Step::Events { batch, lost } => {
                let (member, events) = self.events(batch)?;
                if events.is_empty() {
                    return Ok(None);
                }
                let asked = async || member.hooks.on_events(&events, *lost).wait().await;
                repeat("events", &member, time, asked).await
            }
            _ => return Ok(None),
        };
        // Millions of lines, perhaps.
        self.log.clear();
        Ok(Some(cost))
    }
}

/// Hot hooks run on the caller's thread; the others anywhere.
fn clock(hook: &str, member: &Member) -> ClockId {
    let is_hot = member.hooks.answers_at_once() && !["auth", "events"].contains(&hook);
    if is_hot { ClockId::ThreadCPUTime } else { ClockId::ProcessCPUTime }
}

async fn repeat(
    hook: &'static str,
    member: &Member,
    time: Duration,
    mut ask: impl AsyncFnMut() -> Result<(), HookFailed>,
) -> Cost {
    let clock = clock(hook, member);
    let (mut calls, mut faults) = (0, 0);
    let mut rounds = Vec::new();
    // The first round is to get warm.
    for round in 0..=ROUNDS {
        let (began, cpu) = (Instant::now(), clock_gettime(clock));
        let mut asked = 0;
        let share = time / (ROUNDS as u32 + 1);
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
    Cost { hook, calls, faults, cpu: Spread::of(cpu), wall: Spread::of(wall) }
}

impl Spread {
    fn of(mut rounds: Vec<f64>) -> Self {
        rounds.sort_by(f64::total_cmp);
        let at = |index: usize| rounds.get(index).copied().unwrap_or_default();
        Self { median: at(rounds.len() / 2), least: at(0), most: at(rounds.len().saturating_sub(1)) }
    }
}

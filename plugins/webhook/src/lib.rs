//! Posts what has happened to an HTTP service: in batches, in order, until they are taken.
//!
//! Reading order: `config`: what the operator writes; `line`: an event as JSON; `batch`: events that go in one request; `queue`: batches that
//! wait; `delivery`: one request; here: when that happens.

mod batch;
mod config;
mod delivery;
mod line;
mod queue;

use config::Config;
use delivery::{Delivery, deliver};
use queue::{Added, Queue};
use std::time::Duration;
use tidegate_plugin::{Event, OnEvents, OnTimer, Plugin, Scope, Start, events, info, metrics, timers, warn};

/// When it goes off, a batch is sent.
const SEND: u64 = 1;
/// The same when the broker stops: then another follows at once, full or not.
const LAST: u64 = 2;
/// When it goes off should a call of it not come to its end.
const AGAIN: Duration = Duration::from_secs(30);

/// The other side, and what waits for it.
pub struct Webhook {
    config: Config,
    queue: Queue,
}

impl Plugin for Webhook {
    type Config = Config;

    fn new(_: Start, config: Config) -> Result<Self, String> {
        let queue = Queue::open(config.max_batch, config.queue)?;
        let webhook = Self { config, queue };
        // Timers end with the broker, what waits does not.
        if webhook.queue.waiting() > 0 {
            send_after(SEND, webhook.config.max_delay);
        }
        Ok(webhook)
    }

    fn scopes(&self) -> Vec<Scope> {
        vec![Scope::events(self.config.events.iter().map(|kind| &kind.0))]
    }
}

impl OnEvents for Webhook {
    fn on_events(&mut self, batch: Vec<Event>, lost: u64) {
        let lines: Vec<String> = batch.iter().filter_map(line::line).collect();
        let added = self.queue.add(&lines);
        self.queue.lose(lost, "they came faster than they were taken");
        self.tell_waiting();
        if batch.iter().any(|event| event.kind == events::STOPPING) {
            // Not here: until this call returns nobody is told what happens meanwhile, and the broker does not wait for long.
            send_after(LAST, Duration::ZERO);
        } else if !self.queue.is_failing() {
            match added {
                Added::Full => send_after(SEND, Duration::ZERO),
                Added::First => send_after(SEND, self.config.max_delay),
                Added::Behind => {}
            }
        }
    }
}

impl OnTimer for Webhook {
    fn on_timer(&mut self, timer: u64) {
        if self.queue.waiting() == 0 {
            return;
        }
        send_after(SEND, AGAIN);
        // One a call: a call has an end.
        if self.send() {
            if timer == LAST {
                send_after(LAST, Duration::ZERO);
            } else {
                send_after(SEND, if self.queue.is_due() { Duration::ZERO } else { self.config.max_delay });
            }
        }
        self.tell_waiting();
    }
}

impl Webhook {
    /// Sends the oldest batch. Whether it is done with, and there may be another.
    fn send(&self) -> bool {
        let Some((place, batch)) = self.queue.oldest() else { return false };
        let events = batch.len() as u64;
        match deliver(&self.config, &batch) {
            Delivery::Done => {
                metrics::count("webhook_delivered", events, &[]);
                if self.queue.is_failing() {
                    info!("the other side takes events again");
                }
            }
            Delivery::Refused(status) => {
                metrics::count("webhook_refused", events, &[]);
                warn!("events are refused, and dropped", events, status);
            }
            Delivery::Failed(why, wanted) => {
                self.try_later(&why, wanted);
                return false;
            }
        }
        self.queue.remove(&place);
        true
    }

    /// Twice as long each time.
    fn try_later(&self, why: &str, wanted: Option<Duration>) {
        metrics::count("webhook_failures", 1, &[]);
        let tries = self.queue.failed();
        let doubled = 2_u32.checked_pow(tries.saturating_sub(1)).unwrap_or(u32::MAX);
        let wait = self.config.retry_min.saturating_mul(doubled).max(wanted.unwrap_or_default());
        let wait = wait.min(self.config.retry_max);
        warn!("events could not be delivered, they wait", tries, seconds = wait.as_secs_f32(), why);
        send_after(SEND, wait);
    }

    fn tell_waiting(&self) {
        metrics::gauge("webhook_waiting_batches", self.queue.waiting() as f64, &[]);
    }
}

fn send_after(timer: u64, delay: Duration) {
    if let Err(why) = timers::after(timer, delay) {
        warn!("there is no timer, events wait for others", why);
    }
}

tidegate_plugin::export!(Webhook: on_events, on_timer);

#[cfg(test)]
mod tests;

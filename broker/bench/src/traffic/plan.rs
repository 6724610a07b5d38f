//! Who publishes where and who gets it: the same on all threads.

use crate::{
    flow::Flow,
    options::{Bystanders, Messages, Pacing, Span},
    order::Sequence,
    pace::{Pace, Rate},
    subscriber::Group,
};
use parking_lot::Mutex;
use std::{num::NonZeroU64, ops::Range, sync::Arc};
use tidegate_mqtt::QoS;

pub(crate) struct Plan {
    /// How many of the threads, from the first, take part.
    pub(crate) threads: usize,
    pub(crate) messages: Messages,
    pub(crate) span: Span,
    /// By number of the publisher.
    pub(crate) topics: Vec<String>,
    pub(crate) subscriptions: Vec<Subscription>,
    pub(crate) pace: PaceOfAll,
    pub(crate) flows: Vec<Arc<Flow>>,
    /// If subscribers share: what they have together.
    pub(crate) group: Option<Group>,
}

pub(crate) struct Subscription {
    pub(crate) filter: String,
    /// The publishers whose topics it matches.
    pub(crate) sources: Range<u32>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum PaceOfAll {
    /// Messages of each publisher under way.
    Window(u64),
    /// Messages a second, of all publishers.
    Rate(NonZeroU64),
}

impl PaceOfAll {
    pub(crate) fn new(pacing: Pacing, qos: QoS) -> Self {
        match pacing.rate {
            Some(rate) => Self::Rate(rate),
            None => Self::Window(pacing.window.unwrap_or(usual_window(qos))),
        }
    }

    fn window(self) -> Option<u64> {
        match self {
            Self::Window(window) => Some(window),
            Self::Rate(_) => None,
        }
    }
}

/// Messages under way, unless told. Some brokers take no more than 20 at QoS 2.
pub(crate) fn usual_window(qos: QoS) -> u64 {
    if qos == QoS::ExactlyOnce { 20 } else { 100 }
}

impl Plan {
    /// `receivers`: of each message.
    pub(crate) fn new(
        messages: Messages,
        span: Span,
        pace: PaceOfAll,
        threads: usize,
        topics: Vec<String>,
        subscriptions: Vec<Subscription>,
        receivers: u32,
    ) -> Self {
        let flow = |number| Flow::new(number % threads, number / threads, receivers, pace.window());
        let flows = (0..topics.len()).map(flow).map(Arc::new).collect();
        Self { threads, messages, span, topics, subscriptions, pace, flows, group: None }
    }

    /// A subscriber and a topic for each publisher.
    pub(crate) fn pairs(
        messages: Messages,
        span: Span,
        pace: PaceOfAll,
        threads: usize,
        prefix: &str,
        pairs: u32,
    ) -> Self {
        let topics: Vec<String> = (0..pairs).map(|number| format!("{prefix}/{number}")).collect();
        let subscription = |(filter, number): (&String, u32)| {
            let sources = number..number + 1;
            Subscription { filter: filter.clone(), sources }
        };
        let subscriptions = topics.iter().zip(0..).map(subscription).collect();
        Self::new(messages, span, pace, threads, topics, subscriptions, 1)
    }

    /// Pairs that exchange messages beside what is measured, on a thread of their own. `beside`: the topic prefix of that.
    pub(crate) fn bystanders(options: &Bystanders, span: Span, beside: &str, pairs: u32) -> Self {
        let (pace, prefix) = (PaceOfAll::Rate(options.bystander_rate), format!("{beside}/bystander"));
        Self::pairs(options.messages, span, pace, 1, &prefix, pairs)
    }

    /// All subscribers are one group.
    pub(crate) fn shared(self) -> Self {
        let group = self.topics.iter().map(|_| Mutex::new(Sequence::default())).collect();
        Self { group: Some(group), ..self }
    }

    pub(super) fn pace(&self, number: usize) -> Pace {
        match self.pace {
            PaceOfAll::Window(window) => Pace::Window(window),
            PaceOfAll::Rate(total) => {
                let publishers = self.topics.len() as u64;
                Pace::Rate(Rate { total: total.get(), publishers, turn: number as u64 })
            }
        }
    }

    /// Publishers and subscribers.
    pub(crate) fn clients(&self) -> usize {
        self.topics.len() + self.subscriptions.len()
    }

    /// What it is, in words.
    pub(crate) fn words(&self) -> String {
        let Messages { qos, payload } = self.messages;
        let pace = match self.pace {
            PaceOfAll::Rate(rate) => format!("{rate} messages/s"),
            PaceOfAll::Window(window) => format!("window {window}"),
        };
        let (publishers, subscribers) = (self.topics.len(), self.subscriptions.len());
        let qos = qos as u8;
        format!("{publishers} publishers, {subscribers} subscribers, QoS {qos}, {payload}, {pace}")
    }
}

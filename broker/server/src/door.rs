//! A listener as its connections know it: its name, its rules, and how many are in.

use crate::config::{Config, Limits, Listener, UsernameFrom};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tidegate_mqtt::TopicName;
use tidegate_store::Durability;
use tidegate_transport::{Acceptor, TlsError};

/// A way in.
#[derive(Debug)]
pub(crate) struct Door {
    /// For logs and plugins.
    pub(crate) name: Arc<str>,
    /// What holds for those who come in here.
    pub(crate) limits: Limits,
    pub(crate) allow_anonymous: bool,
    /// What messages that come in here are to survive before they are acknowledged.
    pub(crate) durability: Durability,
    /// Stands before their topics, unseen by them.
    pub(crate) mount_point: Option<TopicName>,
    /// What stands before MQTT.
    pub(crate) acceptor: Acceptor,
    /// What of their certificates becomes their user name.
    pub(crate) username_from: Option<UsernameFrom>,
    handshakes: AtomicUsize,
    inside: AtomicUsize,
}

/// One of those who are counted: no more when this is dropped.
#[derive(Debug)]
pub(crate) struct Counted {
    door: Arc<Door>,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Handshake,
    Inside,
}

impl Door {
    /// Reads certificates and keys, if it has any.
    pub(crate) fn new(listener: &Listener, config: &Config) -> Result<Self, TlsError> {
        Ok(Self {
            name: listener.name().into(),
            limits: listener.limits(&config.limits),
            allow_anonymous: listener.allow_anonymous.unwrap_or(config.allow_anonymous),
            durability: listener.durability.unwrap_or(config.durability),
            mount_point: listener.mount_point.clone(),
            acceptor: listener.acceptor()?,
            username_from: listener.username_from,
            handshakes: AtomicUsize::new(0),
            inside: AtomicUsize::new(0),
        })
    }

    /// Somebody knocks; None if too many do.
    pub(crate) fn knock(self: &Arc<Self>) -> Option<Counted> {
        self.count(What::Handshake, self.limits.max_handshakes)
    }

    /// A client comes in; None if too many are.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Counted> {
        self.count(What::Inside, self.limits.max_connections)
    }

    fn count(self: &Arc<Self>, what: What, limit: usize) -> Option<Counted> {
        let below = |count| (count < limit).then_some(count + 1);
        self.counter(what).fetch_update(Ordering::Relaxed, Ordering::Relaxed, below).ok()?;
        Some(Counted { door: self.clone(), what })
    }

    fn counter(&self, what: What) -> &AtomicUsize {
        match what {
            What::Handshake => &self.handshakes,
            What::Inside => &self.inside,
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.door.counter(self.what).fetch_sub(1, Ordering::Relaxed);
    }
}

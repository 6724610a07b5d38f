//! The broker as the plugin under test sees it: what it does there is kept for the scenario to look at.

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::atomic::{AtomicBool, Ordering},
};
use tidegate_mqtt::{ReasonCode, SessionId, TopicName};
use tidegate_plugin_host::{BrokerAccess, Busy, ClientInfo, PluginMessage};
use tokio::sync::Notify;

use super::outcome;

/// What has happened and was not expected yet, oldest first.
#[derive(Default)]
pub(crate) struct Happened {
    queue: Mutex<VecDeque<Value>>,
    changed: Notify,
    is_deaf: AtomicBool,
}

impl Happened {
    pub(crate) fn push(&self, what: impl FnOnce() -> Map<String, Value>) {
        if self.is_deaf.load(Ordering::Relaxed) {
            return;
        }
        self.queue.lock().push_back(what().into());
        self.changed.notify_one();
    }

    /// Whether what happens is kept: it is, unless somebody says otherwise.
    pub(crate) fn keep(&self, keep: bool) {
        self.is_deaf.store(!keep, Ordering::Relaxed);
    }

    /// The oldest, whenever there is one.
    pub(crate) async fn next(&self) -> Value {
        loop {
            if let Some(what) = self.queue.lock().pop_front() {
                return what;
            }
            self.changed.notified().await;
        }
    }

    /// All that nobody has taken.
    pub(crate) fn untaken(&self) -> Vec<Value> {
        self.queue.lock().iter().cloned().collect()
    }
}

/// See the module.
#[derive(Default)]
pub(crate) struct Broker {
    pub(crate) published: Happened,
    pub(crate) disconnected: Happened,
    clients: Mutex<BTreeMap<u64, ClientInfo>>,
    retained: Mutex<BTreeMap<String, Bytes>>,
}

impl Broker {
    pub(crate) fn came(&self, client: ClientInfo) {
        self.clients.lock().insert(client.session.0, client);
    }

    pub(crate) fn left(&self, session: SessionId) {
        self.clients.lock().remove(&session.0);
    }

    pub(crate) fn retain(&self, topic: &str, payload: Bytes) {
        self.retained.lock().insert(topic.to_owned(), payload);
    }
}

impl BrokerAccess for Broker {
    fn publish(&self, message: PluginMessage) -> Result<(), Busy> {
        let PluginMessage { topic, payload, qos, retain, .. } = &message;
        self.published.push(|| {
            let mut fields = Map::new();
            fields.insert("topic".to_owned(), topic.as_str().into());
            outcome::insert_payload(&mut fields, payload);
            fields.insert("qos".to_owned(), (*qos as u8).into());
            fields.insert("retain".to_owned(), (*retain).into());
            if let Some(properties) = message.properties.as_deref() {
                fields.insert("properties".to_owned(), outcome::properties(properties));
            }
            fields
        });
        Ok(())
    }

    fn disconnect(&self, session: SessionId, reason: ReasonCode) -> bool {
        let Some(client) = self.clients.lock().remove(&session.0) else { return false };
        self.disconnected.push(|| {
            let mut fields = Map::new();
            fields.insert("client".to_owned(), (*client.client_id).into());
            fields.insert("code".to_owned(), (reason as u8).into());
            fields
        });
        true
    }

    fn client(&self, session: SessionId) -> Option<ClientInfo> {
        self.clients.lock().get(&session.0).cloned()
    }

    fn find(&self, client_id: &str) -> Option<SessionId> {
        self.clients
            .lock()
            .values()
            .find(|client| *client.client_id == *client_id)
            .map(|client| client.session)
    }

    fn subscribers(&self, _topic: &TopicName, _limit: usize) -> Vec<ClientInfo> {
        // Scenarios have no subscriptions.
        Vec::new()
    }

    fn retained(&self, topic: &TopicName) -> Option<Bytes> {
        self.retained.lock().get(topic.as_str()).cloned()
    }

    fn forget(&self, _client_id: Option<&str>) {}
}

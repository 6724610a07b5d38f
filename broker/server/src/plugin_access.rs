//! The broker as plugins reach it, and what they publish on its way in.

use crate::{
    clients::Subscriber,
    mailbox::Command,
    publish::{Draft, PublishError, Publisher, Receivers, Submitted, Taken, publish},
    shared::Shared,
};
use bytes::Bytes;
use std::{collections::VecDeque, sync::Arc};
use tidegate_hooks::{EventKind, Permissions};
use tidegate_mqtt::{ClientId, Origin, ReasonCode, SessionId, TopicName};
use tidegate_plugin_host::{BrokerAccess, Busy, ClientInfo, PluginMessage};
use tokio::sync::{mpsc, oneshot};
use tracing::debug;

impl BrokerAccess for Shared {
    fn publish(&self, message: PluginMessage) -> Result<(), Busy> {
        self.plugin_messages.try_send(message).map_err(|_| {
            self.counters.plugin_messages_refused.add(1);
            Busy
        })
    }

    fn disconnect(&self, session: SessionId, reason: ReasonCode) -> bool {
        let Some(subscriber) = self.clients.of_session(session).filter(|found| found.presence().is_some())
        else {
            return false;
        };
        subscriber.mailbox.command(Command::Disconnect { reason, text: "a plugin says so" });
        true
    }

    fn client(&self, session: SessionId) -> Option<ClientInfo> {
        info(&*self.clients.of_session(session)?)
    }

    fn find(&self, client_id: &str) -> Option<SessionId> {
        let subscriber = self.clients.of_client(client_id)?;
        subscriber.presence().map(|_| subscriber.session)
    }

    fn subscribers(&self, topic: &TopicName, limit: usize) -> Vec<ClientInfo> {
        let matches = self.routes.matching(topic, None);
        let shared = matches.shared.iter().flat_map(|group| &group.members);
        let mut found: Vec<ClientInfo> = Vec::new();
        for one in matches.direct.iter().chain(shared) {
            if found.len() >= limit {
                break;
            }
            if found.iter().all(|other| other.session != one.session) {
                found.extend(info(&one.subscriber));
            }
        }
        found
    }

    fn retained(&self, topic: &TopicName) -> Option<Bytes> {
        self.retained.get(topic).map(|message| message.payload.to_bytes())
    }

    fn forget(&self, client_id: Option<&str>) {
        match client_id {
            None => self.hooks.forget_answers(),
            Some(client_id) => {
                if let Some(subscriber) = self.clients.of_client(client_id) {
                    subscriber.mailbox.command(Command::ForgetAnswers);
                }
            }
        }
    }
}

/// None: its client is away.
fn info(subscriber: &Subscriber) -> Option<ClientInfo> {
    let presence = subscriber.presence()?;
    Some(ClientInfo {
        session: subscriber.session,
        client_id: (*subscriber.client_id).into(),
        username: presence.username.clone(),
        peer: presence.peer.clone(),
        listener: presence.listener.clone(),
        since_ms: presence.since.0,
    })
}

/// Messages of plugins that wait for the store.
const MOST_WAITING: usize = 1024;

/// Publishes what plugins publish, in the order in which they did. Runs until `end` comes or is dropped: then it takes nothing more from them, and
/// ends when all that it has taken is published.
pub(crate) async fn publish_for_plugins(
    broker: Arc<Shared>,
    mut messages: mpsc::Receiver<PluginMessage>,
    mut end: oneshot::Receiver<()>,
) {
    let (nobody, durability) = (Arc::default(), broker.config.durability);
    let permissions = Permissions::default();
    let mut publisher =
        Publisher::new(SessionId(0), ClientId::new(""), nobody, permissions, None, durability);
    let mut waiting: VecDeque<(Origin, TopicName, Box<Submitted>)> = VecDeque::new();
    let (mut open, mut more) = (true, true);
    while more || !waiting.is_empty() {
        let room = waiting.len() < MOST_WAITING;
        let settled = async {
            match waiting.front_mut() {
                Some((.., submitted)) => submitted.ticket.until_settled().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = &mut end, if open => {
                open = false;
                messages.close();
            }
            outcome = settled => {
                let Some((origin, topic, submitted)) = waiting.pop_front() else { continue };
                let taken = submitted.settle(&broker, Some(&publisher), outcome);
                answer(&broker, &origin, &topic, taken).await;
            }
            message = messages.recv(), if more && room => {
                let Some(message) = message else {
                    more = false;
                    continue;
                };
                let PluginMessage { origin, topic, payload, qos, retain, properties } = message;
                let by = Some(Box::new(origin.clone()));
                let draft = Draft::new(topic.clone(), payload.into());
                let draft = Draft { qos, retain, properties, origin: by, ..draft };
                match publish(&broker, &mut publisher, draft, !waiting.is_empty()).await {
                    Ok(Taken::Waiting(submitted)) => waiting.push_back((origin, topic, submitted)),
                    Ok(Taken::In(receivers)) => answer(&broker, &origin, &topic, Ok(receivers)).await,
                    Err(error) => answer(&broker, &origin, &topic, Err(error)).await,
                }
            }
        }
    }
}

async fn answer(broker: &Shared, origin: &Origin, topic: &TopicName, taken: Result<Receivers, PublishError>) {
    match taken {
        Ok(receivers) if receivers.congested => tokio::task::yield_now().await,
        Ok(_) => {}
        Err(error) => {
            let plugin = &*origin.plugin;
            broker.refused(&error);
            broker.events.tell(EventKind::PublishRefused, |event| {
                event.about(topic).because(error.reason_code()).from(Some(origin)).with("plugin", plugin)
            });
            debug!(plugin, %topic, %error, "message of a plugin refused");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_mqtt::QoS;

    #[tokio::test]
    async fn what_plugins_published_before_the_end_is_published_and_no_more_is_taken() {
        let (plugin_messages, messages) = mpsc::channel(100);
        let broker = Shared::of_nobody(plugin_messages);
        let topic = |number: usize| TopicName::new(&format!("t/{number}")).unwrap();
        let publish = |number: usize| {
            BrokerAccess::publish(
                &*broker,
                PluginMessage {
                    origin: Origin { plugin: "p".into(), hops: 1 },
                    topic: topic(number),
                    payload: "x".into(),
                    qos: QoS::AtLeastOnce,
                    retain: true,
                    properties: None,
                },
            )
        };
        for number in 0..100 {
            publish(number).unwrap();
        }
        let (end, ended) = oneshot::channel();
        drop(end);
        publish_for_plugins(broker.clone(), messages, ended).await;
        for number in 0..100 {
            assert!(BrokerAccess::retained(&*broker, &topic(number)).is_some(), "{number}");
        }
        assert!(publish(100).is_err(), "the plugin still has it, and knows");
    }
}

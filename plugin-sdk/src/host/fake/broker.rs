//! Clients, subscriptions and retained messages as the test says; what the plugin does is written down.

use super::{Fake, with};
use crate::{
    broker::{Client, Error, Outgoing},
    testing::Granted,
};
use std::collections::BTreeMap;
use tidegate_mqtt::{ReasonCode, TopicFilter, TopicName};

#[derive(Default)]
pub(crate) struct Broker {
    pub(crate) clients: Vec<Client>,
    /// Session and filter.
    pub(crate) subscriptions: Vec<(u64, TopicFilter)>,
    pub(crate) retained: BTreeMap<String, Vec<u8>>,
    pub(crate) published: Vec<Outgoing>,
    /// It takes none.
    pub(crate) busy: bool,
    pub(crate) disconnected: Vec<(u64, ReasonCode)>,
    pub(crate) forgotten: Vec<Option<String>>,
}

fn granted<R>(grant: Granted, f: impl FnOnce(&mut Fake) -> Result<R, Error>) -> Result<R, Error> {
    with(|fake| if fake.denied.contains(&grant) { Err(Error::Denied) } else { f(fake) })
}

pub(crate) fn broker_publish(message: Outgoing) -> Result<(), Error> {
    granted(Granted::Publish, |fake| {
        TopicName::check(&message.topic).map_err(|why| Error::Invalid(why.to_string()))?;
        if fake.broker.busy {
            return Err(Error::Busy);
        }
        fake.broker.published.push(message);
        Ok(())
    })
}

pub(crate) fn broker_disconnect(session: u64, code: ReasonCode) -> Result<(), Error> {
    granted(Granted::Disconnect, |fake| {
        let clients = &mut fake.broker.clients;
        let at = clients.iter().position(|client| client.session == session).ok_or(Error::NotFound)?;
        clients.remove(at);
        fake.broker.disconnected.push((session, code));
        Ok(())
    })
}

pub(crate) fn broker_client(session: u64) -> Result<Option<Client>, Error> {
    granted(Granted::Clients, |fake| {
        Ok(fake.broker.clients.iter().find(|client| client.session == session).cloned())
    })
}

pub(crate) fn broker_find(client_id: &str) -> Result<Option<u64>, Error> {
    granted(Granted::Clients, |fake| {
        let client = fake.broker.clients.iter().find(|client| client.client_id == client_id);
        Ok(client.map(|client| client.session))
    })
}

pub(crate) fn broker_subscribers(topic: &str, limit: u32) -> Result<Vec<Client>, Error> {
    granted(Granted::Clients, |fake| {
        TopicName::check(topic).map_err(|why| Error::Invalid(why.to_string()))?;
        let Fake { broker, .. } = fake;
        let subscribes = |client: &&Client| {
            let theirs = broker.subscriptions.iter().filter(|(session, _)| *session == client.session);
            theirs.into_iter().any(|(_, filter)| filter.matches(topic))
        };
        Ok(broker.clients.iter().filter(subscribes).take(limit as usize).cloned().collect())
    })
}

pub(crate) fn broker_forget(client_id: Option<&str>) -> Result<(), Error> {
    granted(Granted::Clients, |fake| {
        fake.broker.forgotten.push(client_id.map(Into::into));
        Ok(())
    })
}

pub(crate) fn broker_retained(topic: &str) -> Result<Option<Vec<u8>>, Error> {
    granted(Granted::Retained, |fake| {
        TopicName::check(topic).map_err(|why| Error::Invalid(why.to_string()))?;
        Ok(fake.broker.retained.get(topic).cloned())
    })
}

#[cfg(test)]
mod tests {
    use crate::{
        ReasonCode,
        broker::{self, Error, Outgoing},
        testing::{Granted, Host},
    };

    #[test]
    fn clients_are_those_of_the_test() {
        let host = Host::new().client(7, "c1").client(8, "c2").subscribed(8, "a/#").retained("a/b", "21");
        assert_eq!(broker::find("c2"), Ok(Some(8)));
        assert_eq!(broker::client(7).unwrap().map(|client| client.client_id).as_deref(), Some("c1"));
        let subscribers = |limit| broker::subscribers("a/b", limit).unwrap().len();
        assert_eq!((subscribers(10), subscribers(0)), (1, 0));
        assert_eq!(broker::retained("a/b"), Ok(Some(b"21".to_vec())));
        assert_eq!(broker::disconnect(7, ReasonCode::NotAuthorized), Ok(()));
        assert_eq!(broker::disconnect(7, ReasonCode::NotAuthorized), Err(Error::NotFound));
        assert_eq!((broker::find("c1"), broker::client(7)), (Ok(None), Ok(None)));
        assert_eq!(host.disconnected(), [(7, ReasonCode::NotAuthorized)]);
        assert_eq!((broker::forget(Some("c2")), broker::forget(None)), (Ok(()), Ok(())));
        assert_eq!(host.forgotten(), [Some("c2".to_owned()), None]);
    }

    #[test]
    fn what_is_not_granted_is_denied_and_nonsense_is_invalid() {
        let host =
            Host::new().without(Granted::Clients).without(Granted::Retained).without(Granted::Disconnect);
        assert_eq!(broker::find("c"), Err(Error::Denied));
        assert_eq!(broker::subscribers("a", 1), Err(Error::Denied));
        assert_eq!(broker::forget(None), Err(Error::Denied));
        assert_eq!(broker::retained("a"), Err(Error::Denied));
        assert_eq!(broker::disconnect(1, ReasonCode::NotAuthorized), Err(Error::Denied));
        assert!(matches!(broker::publish(Outgoing::new("a/#", "")), Err(Error::Invalid(_))));
        assert_eq!(broker::publish(Outgoing::new("a", "")), Ok(()));
        host.busy(true);
        assert_eq!(broker::publish(Outgoing::new("b", "")), Err(Error::Busy));
        host.busy(false);
        assert_eq!(host.published(), [Outgoing::new("a", "")]);
        let _host = Host::new().without(Granted::Publish);
        assert_eq!(broker::publish(Outgoing::new("a", "")), Err(Error::Denied));
    }
}

//! Clients of a scenario: who was let in, and what they may do.

use crate::scenario::step::Connect;
use std::collections::BTreeMap;
use tidegate_hooks::{Attributes, Permissions};
use tidegate_mqtt::SessionId;

/// By the name they have in the scenario, which is the client identifier.
#[derive(Default)]
pub(crate) struct Clients {
    clients: BTreeMap<String, Client>,
    sessions: u64,
}

/// One of them.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) session: SessionId,
    pub(crate) client_id: String,
    pub(crate) username: Option<String>,
    pub(crate) attributes: Attributes,
    pub(crate) permissions: Permissions,
    /// What it said to come in.
    pub(crate) connect: Option<Connect>,
    /// As the last challenge left it.
    pub(crate) challenge: Option<Vec<u8>>,
    /// It is authenticating again.
    pub(crate) is_renewing: bool,
    /// What its last AUTH was asked with.
    pub(crate) answering: Option<Answering>,
}

/// Beside what an AUTH says.
#[derive(Clone)]
pub(crate) struct Answering {
    pub(crate) connect: Connect,
    /// As the challenge left it.
    pub(crate) state: Vec<u8>,
    /// Whether the client is in already.
    pub(crate) again: bool,
}

impl Clients {
    /// That one, as it stands; a new one if it was never named.
    pub(crate) fn named(&mut self, name: &str) -> &mut Client {
        let sessions = &mut self.sessions;
        self.clients.entry(name.to_owned()).or_insert_with(|| {
            *sessions += 1;
            Client {
                session: SessionId(*sessions),
                client_id: name.to_owned(),
                username: None,
                attributes: Attributes::default(),
                permissions: Permissions::default(),
                connect: None,
                challenge: None,
                is_renewing: false,
                answering: None,
            }
        })
    }

    pub(crate) fn session(&mut self, name: &str) -> SessionId {
        self.named(name).session
    }

    /// It has this name from now on, too: the plugin gave it another client identifier.
    pub(crate) fn known_as(&mut self, name: &str, client: Client) {
        self.clients.insert(name.to_owned(), client);
    }

    pub(crate) fn forget(&mut self, name: &str) -> Option<Client> {
        self.clients.remove(name)
    }
}

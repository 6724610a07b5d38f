//! Every session by client identifier: live, or parked as plain data until its client returns or it expires.

use crate::{
    mailbox::{Allowance, Bounds, Budget, Command, Mailbox},
    publish::Publisher,
};
use ahash::RandomState;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};
use tidegate_hooks::Attributes;
use tidegate_mqtt::{ClientId, SessionId, Timestamp, Will};
use tidegate_session::SessionState;
use tokio::sync::oneshot;

/// A session as everybody else sees it. Lives as long as the session, connected or not.
#[derive(Debug)]
pub(crate) struct Subscriber {
    pub(crate) session: SessionId,
    pub(crate) client_id: ClientId,
    pub(crate) mailbox: Mailbox,
    /// Whether the session outlives its connection, so that QoS 1 and 2 messages for it are stored.
    persistent: AtomicBool,
    /// Whether the store knows of the session.
    stored: AtomicBool,
    /// None while its client is away.
    presence: Mutex<Option<Arc<Presence>>>,
}

/// A client's connection, as others see it.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    /// As authenticated.
    pub(crate) username: Option<Box<str>>,
    /// From its grant.
    pub(crate) attributes: Attributes,
    /// `IP:PORT`
    pub(crate) peer: Box<str>,
    /// Name of the listener it came through.
    pub(crate) listener: Arc<str>,
    pub(crate) since: Timestamp,
}

impl Subscriber {
    pub(crate) fn is_persistent(&self) -> bool {
        self.persistent.load(Ordering::Relaxed)
    }

    pub(crate) fn is_stored(&self) -> bool {
        self.stored.load(Ordering::Relaxed)
    }

    pub(crate) fn set_stored(&self) {
        self.stored.store(true, Ordering::Relaxed);
    }

    pub(crate) fn presence(&self) -> Option<Arc<Presence>> {
        self.presence.lock().clone()
    }

    pub(crate) fn set_presence(&self, presence: Option<Arc<Presence>>) {
        *self.presence.lock() = presence;
    }

    pub(crate) fn set_persistent(&self, persistent: bool) {
        self.persistent.store(persistent, Ordering::Relaxed);
    }
}

/// A will that waits for its delay to pass.
#[derive(Debug)]
pub(crate) struct DelayedWill {
    pub(crate) will: Will,
    pub(crate) publisher: Box<Publisher>,
    pub(crate) at: Timestamp,
}

/// A session whose client is away.
#[derive(Debug)]
pub(crate) struct Parked {
    pub(crate) state: SessionState,
    pub(crate) will: Option<DelayedWill>,
    /// None: never.
    pub(crate) expires_at: Option<Timestamp>,
}

impl Parked {
    /// When something is to be done about it.
    pub(crate) fn due_at(&self) -> Option<Timestamp> {
        let will = self.will.as_ref().map(|will| will.at);
        [will, self.expires_at].into_iter().flatten().min()
    }
}

#[derive(Debug)]
struct Entry {
    subscriber: Arc<Subscriber>,
    /// None while its client is connected.
    parked: Option<Box<Parked>>,
}

/// What a CONNECT found.
pub(crate) enum TakenUp {
    /// No session, or none that lives on.
    New(Arc<Subscriber>),
    /// A session to resume.
    Resumed(Arc<Subscriber>, Box<Parked>),
    /// A session that ends because the client wants a new one, and that new one.
    Replaced { old: (Arc<Subscriber>, Box<Parked>), new: Arc<Subscriber> },
}

/// What is due about a parked session.
pub(crate) enum Due {
    /// Nothing: its client is back, or it is gone.
    Nothing,
    /// The will's delay has passed. Nobody takes the session up before it is put back.
    Will(Arc<Subscriber>, Box<Parked>),
    /// The session has expired.
    Expired(Arc<Subscriber>, Box<Parked>),
    /// Not yet.
    Later(Timestamp),
}

/// All sessions, sharded by client identifier.
#[derive(Debug)]
pub(crate) struct Clients {
    shards: Box<[Mutex<HashMap<ClientId, Entry, RandomState>>]>,
    /// Whose session it is, for those who know a session only by its number.
    owners: Box<[Mutex<HashMap<SessionId, ClientId, RandomState>>]>,
    hasher: RandomState,
    next_session: AtomicU64,
    allowance: Arc<Allowance>,
    connected: AtomicUsize,
}

const SHARDS: usize = 64;

impl Clients {
    /// `first`: below the number of any session that begins.
    pub(crate) fn new(bounds: Bounds, budget: Budget, first: u64) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            owners: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            next_session: AtomicU64::new(first + 1),
            allowance: Arc::new(Allowance { bounds, budget: Arc::new(budget) }),
            connected: AtomicUsize::new(0),
        }
    }

    /// A number for a session that may begin.
    pub(crate) fn next_session(&self) -> SessionId {
        SessionId(self.next_session.fetch_add(1, Ordering::Relaxed))
    }

    /// Takes the session of `client_id` for a connection, ending the connection that has it now [MQTT-3.1.4-3]. `session` is the number
    /// of the session that begins if there is none to resume.
    pub(crate) async fn take_up(
        &self,
        client_id: &ClientId,
        session: SessionId,
        clean_start: bool,
    ) -> TakenUp {
        loop {
            let left = {
                let mut shard = self.shard(client_id).lock();
                let Some(entry) = shard.get_mut(client_id) else {
                    let new = self.begin(client_id, session, &mut shard);
                    return TakenUp::New(new);
                };
                if let Some(parked) = entry.parked.take() {
                    let subscriber = entry.subscriber.clone();
                    if !clean_start {
                        self.connected.fetch_add(1, Ordering::Relaxed);
                        subscriber.mailbox.set_connected(true);
                        return TakenUp::Resumed(subscriber, parked);
                    }
                    let new = self.begin(client_id, session, &mut shard);
                    return TakenUp::Replaced { old: (subscriber, parked), new };
                }
                let (left, has_left) = oneshot::channel();
                entry.subscriber.mailbox.command(Command::TakeOver { new_session: clean_start, left });
                has_left
            };
            // Told or dropped, the old connection has left the session.
            let _ = left.await;
        }
    }

    fn begin(
        &self,
        client_id: &ClientId,
        session: SessionId,
        shard: &mut HashMap<ClientId, Entry, RandomState>,
    ) -> Arc<Subscriber> {
        let subscriber = self.subscriber(client_id, session);
        subscriber.mailbox.set_connected(true);
        self.connected.fetch_add(1, Ordering::Relaxed);
        self.owners(session).lock().insert(session, client_id.clone());
        let entry = Entry { subscriber: subscriber.clone(), parked: None };
        if let Some(old) = shard.insert(client_id.clone(), entry) {
            self.owners(old.subscriber.session).lock().remove(&old.subscriber.session);
        }
        subscriber
    }

    fn subscriber(&self, client_id: &ClientId, session: SessionId) -> Arc<Subscriber> {
        Arc::new(Subscriber {
            session,
            client_id: client_id.clone(),
            mailbox: Mailbox::new(self.allowance.clone()),
            persistent: AtomicBool::new(false),
            stored: AtomicBool::new(false),
            presence: Mutex::default(),
        })
    }

    /// A session of an earlier run, whose client may return.
    pub(crate) fn recover(&self, client_id: &ClientId, session: SessionId) -> Arc<Subscriber> {
        let subscriber = self.subscriber(client_id, session);
        subscriber.set_persistent(true);
        subscriber.set_stored();
        self.owners(session).lock().insert(session, client_id.clone());
        let entry = Entry { subscriber: subscriber.clone(), parked: None };
        self.shard(client_id).lock().insert(client_id.clone(), entry);
        subscriber
    }

    /// A session that ended in an earlier run, of which only its number is known.
    pub(crate) fn ended(&self, session: SessionId) -> Arc<Subscriber> {
        self.subscriber(&ClientId::new(""), session)
    }

    /// As [`Clients::park`], for one that no connection had: what an earlier run left, or [`Due::Will`] took.
    pub(crate) fn put_back(&self, subscriber: &Subscriber, parked: Box<Parked>) {
        if let Some(entry) = self.shard(&subscriber.client_id).lock().get_mut(&subscriber.client_id) {
            entry.parked = Some(parked);
        }
        // Whoever waits to take over looks at the session again.
        subscriber.mailbox.drop_commands();
    }

    /// The connection is over, the session goes on.
    pub(crate) fn park(&self, subscriber: &Subscriber, parked: Parked) {
        subscriber.mailbox.set_connected(false);
        subscriber.mailbox.rest(Vec::new());
        let mut shard = self.shard(&subscriber.client_id).lock();
        if let Some(entry) = shard.get_mut(&subscriber.client_id)
            && entry.subscriber.session == subscriber.session
        {
            entry.parked = Some(Box::new(parked));
        }
        drop(shard);
        self.left(subscriber);
    }

    /// The connection is over, and the session with it.
    pub(crate) fn end(&self, subscriber: &Subscriber) {
        subscriber.mailbox.set_connected(false);
        let mut shard = self.shard(&subscriber.client_id).lock();
        if shard
            .get(&subscriber.client_id)
            .is_some_and(|entry| entry.subscriber.session == subscriber.session)
        {
            shard.remove(&subscriber.client_id);
            self.owners(subscriber.session).lock().remove(&subscriber.session);
        }
        drop(shard);
        self.left(subscriber);
    }

    fn left(&self, subscriber: &Subscriber) {
        self.connected.fetch_sub(1, Ordering::Relaxed);
        subscriber.set_presence(None);
        // Whoever waits to take over looks at the session again.
        subscriber.mailbox.drop_commands();
    }

    /// Looks whether something is due about the parked session of `client_id`.
    pub(crate) fn due(&self, client_id: &ClientId, session: SessionId, now: Timestamp) -> Due {
        let mut shard = self.shard(client_id).lock();
        let Some(entry) = shard.get_mut(client_id).filter(|entry| entry.subscriber.session == session) else {
            return Due::Nothing;
        };
        let Some(parked) = &entry.parked else { return Due::Nothing };
        let due_at = parked.due_at();
        if parked.expires_at.is_some_and(|at| at <= now) {
            let subscriber = entry.subscriber.clone();
            let Some(parked) = entry.parked.take() else { return Due::Nothing };
            shard.remove(client_id);
            self.owners(session).lock().remove(&session);
            return Due::Expired(subscriber, parked);
        }
        if parked.will.as_ref().is_some_and(|will| will.at <= now)
            && let Some(parked) = entry.parked.take()
        {
            return Due::Will(entry.subscriber.clone(), parked);
        }
        due_at.map_or(Due::Nothing, Due::Later)
    }

    /// Tells every connection to end.
    pub(crate) fn disconnect_all(&self, reason: tidegate_mqtt::ReasonCode, text: &'static str) {
        for shard in &self.shards {
            for entry in shard.lock().values().filter(|entry| entry.parked.is_none()) {
                entry.subscriber.mailbox.command(Command::Disconnect { reason, text });
            }
        }
    }

    /// The session that a client has now.
    pub(crate) fn session_of(&self, client_id: &ClientId) -> Option<SessionId> {
        self.shard(client_id).lock().get(client_id).map(|entry| entry.subscriber.session)
    }

    /// The session of a client, connected or parked.
    pub(crate) fn of_client(&self, client_id: &str) -> Option<Arc<Subscriber>> {
        let client_id = ClientId::new(client_id);
        self.shard(&client_id).lock().get(&client_id).map(|entry| entry.subscriber.clone())
    }

    /// The session of that number, connected or parked.
    pub(crate) fn of_session(&self, session: SessionId) -> Option<Arc<Subscriber>> {
        let client_id = self.owners(session).lock().get(&session)?.clone();
        let subscriber = self.shard(&client_id).lock().get(&client_id)?.subscriber.clone();
        (subscriber.session == session).then_some(subscriber)
    }

    /// All that are connected, a part at a time: no lock is held while they are dealt with.
    pub(crate) fn connected_parts(&self) -> impl Iterator<Item = Vec<Arc<Subscriber>>> {
        self.shards.iter().map(|shard| {
            let shard = shard.lock();
            let connected = shard.values().filter(|entry| entry.parked.is_none());
            connected.map(|entry| entry.subscriber.clone()).collect()
        })
    }

    /// Messages and bytes that wait for all sessions.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let mut sum = (0, 0);
        for shard in &self.shards {
            for entry in shard.lock().values() {
                let (messages, bytes) = entry.subscriber.mailbox.waiting();
                sum = (sum.0 + messages, sum.1 + bytes);
            }
        }
        sum
    }

    /// Clients connected now.
    pub(crate) fn connected(&self) -> usize {
        self.connected.load(Ordering::Relaxed)
    }

    /// Sessions, connected or parked.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    fn owners(&self, session: SessionId) -> &Mutex<HashMap<SessionId, ClientId, RandomState>> {
        &self.owners[usize::try_from(session.0).unwrap_or_default() % SHARDS]
    }

    fn shard(&self, client_id: &ClientId) -> &Mutex<HashMap<ClientId, Entry, RandomState>> {
        let hash = usize::try_from(self.hasher.hash_one(&**client_id)).unwrap_or(usize::MAX);
        &self.shards[hash % SHARDS]
    }
}

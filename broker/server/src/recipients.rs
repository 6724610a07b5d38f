//! Who of those whose subscriptions match gets a message, and into whose mailbox it goes.

use crate::{
    clients::Subscriber,
    mailbox::{Posted, Readiness},
    publish::{Draft, Known, Publisher, Selection, request},
    shared::Shared,
};
use std::sync::Arc;
use tidegate_hooks::{Candidate, Chain, PickRequest, SelectRequest, Selected};
use tidegate_mqtt::{Message, QoS, SessionId, SubscriptionFilter, SubscriptionIds, Timestamp};
use tidegate_routing::{Match, Matches, SharedMatch};
use tidegate_session::Delivery;

/// Those who get a message.
pub(crate) type Recipients<'a> = smallvec::SmallVec<[Receiver<'a>; 8]>;

/// Whoever matches, and of each group the member whose turn it is.
pub(crate) fn everybody(matches: &Matches<Arc<Subscriber>>) -> Recipients<'_> {
    // A shared group's turn moves with each question, so it is asked once.
    let direct = matches.direct.iter().map(|one| Receiver { to: one, group: None });
    direct.chain(matches.shared.iter().filter_map(member_in_turn)).collect()
}

/// Those whom the hooks leave, and of each group the member they pick.
pub(crate) async fn chosen<'a>(
    chain: &Chain,
    from: &Publisher,
    known: &'a Known,
    draft: &Draft,
    now: Timestamp,
) -> Recipients<'a> {
    let matches = &known.matches;
    let mut receivers = Recipients::new();
    if !matches.direct.is_empty() {
        let kept = known.selected.load();
        let receiver = |one| Receiver { to: one, group: None };
        let mut keep = |kept: &Option<Vec<u32>>| match kept {
            None => receivers.extend(matches.direct.iter().map(receiver)),
            Some(kept) => {
                receivers.extend(kept.iter().filter_map(|at| matches.direct.get(*at as usize)).map(receiver));
            }
        };
        match &*kept {
            Some(selection) if now < selection.until => {
                chain.selected_before(&known.chosen_by);
                keep(&selection.kept);
            }
            _ => {
                let candidates: smallvec::SmallVec<[_; 16]> =
                    matches.direct.iter().map(|one| candidate(one, draft)).collect();
                let asked = SelectRequest { message: request(from, draft), candidates: &candidates };
                let Selected { kept, cache } = chain.select(&known.chosen_by, &asked).await;
                keep(&kept);
                if !cache.is_zero() {
                    known.selected.store(Some(Arc::new(Selection { kept, until: now.after(cache) })));
                }
            }
        }
    }
    for shared in &matches.shared {
        let members: smallvec::SmallVec<[_; 16]> =
            shared.members.iter().map(|one| candidate(one, draft)).collect();
        let group = shared.group.to_string();
        let asked = PickRequest { message: request(from, draft), group: &group, members: &members };
        let picked = chain.pick(&known.chosen_by, &asked).await;
        let picked = picked.and_then(|at| shared.members.get(at)).filter(|one| {
            one.subscriber.is_persistent() || one.subscriber.mailbox.readiness() != Readiness::Unable
        });
        match picked {
            Some(one) => receivers.push(Receiver { to: one, group: Some(&shared.group) }),
            None => receivers.extend(member_in_turn(shared)),
        }
    }
    receivers
}

fn candidate<'a>(one: &'a Match<Arc<Subscriber>>, draft: &Draft) -> Candidate<'a> {
    Candidate {
        session: one.session,
        client_id: &one.subscriber.client_id,
        filter: &one.filter,
        qos: draft.qos.min(one.maximum_qos),
    }
}

/// Who gets a message, and by which group.
pub(crate) struct Receiver<'a> {
    pub(crate) to: &'a Match<Arc<Subscriber>>,
    group: Option<&'a Arc<SubscriptionFilter>>,
}

impl Receiver<'_> {
    pub(crate) fn delivery(&self, message: &Arc<Message>) -> Delivery {
        Delivery { group: self.group.cloned(), ..delivery(self.to, message.clone()) }
    }
}

/// A message as one of those who match gets it, by no group.
pub(crate) fn delivery(to: &Match<Arc<Subscriber>>, message: Arc<Message>) -> Delivery {
    // Cloning a list that is empty costs more than looking.
    let has_identifiers = !to.identifiers.is_empty();
    Delivery {
        qos: message.qos.min(to.maximum_qos),             // [MQTT-3.8.4-8]
        retain: message.retain && to.retain_as_published, // [MQTT-3.3.1-12], [MQTT-3.3.1-13]
        identifiers: if has_identifiers { to.identifiers.clone() } else { SubscriptionIds::new() },
        group: None,
        stored: None,
        message,
    }
}

/// The member whose turn it is, or the next that can take the message now; if none can, one that will when it returns.
fn member_in_turn(shared: &SharedMatch<Arc<Subscriber>>) -> Option<Receiver<'_>> {
    choose(shared, None)
}

/// As [`member_in_turn`], without `except`.
fn choose(shared: &SharedMatch<Arc<Subscriber>>, except: Option<SessionId>) -> Option<Receiver<'_>> {
    let (mut slow, mut away) = (None, None);
    for member in shared.in_turn().filter(|member| Some(member.session) != except) {
        let found = Receiver { to: member, group: Some(&shared.group) };
        match member.subscriber.mailbox.readiness() {
            Readiness::Free => return Some(found),
            Readiness::Slow if slow.is_none() => slow = Some(found),
            Readiness::Unable if away.is_none() && member.subscriber.is_persistent() => away = Some(found),
            Readiness::Slow | Readiness::Unable => {}
        }
    }
    slow.or(away)
}

/// Gives messages of shared subscriptions, which a session leaves behind, to others of their groups.
pub(crate) struct HandOver<'a> {
    broker: &'a Arc<Shared>,
    from: &'a Subscriber,
    /// Only to clients that are connected.
    at_once: bool,
    /// The group of the last message: the next has the same, nearly always.
    group: Option<SharedMatch<Arc<Subscriber>>>,
}

impl<'a> HandOver<'a> {
    pub(crate) fn new(broker: &'a Arc<Shared>, from: &'a Subscriber, at_once: bool) -> Self {
        Self { broker, from, at_once, group: None }
    }

    /// False if nobody takes it. If somebody does, the one who leaves is done with it.
    pub(crate) fn give(&mut self, left: &Delivery) -> bool {
        let Some(filter) = &left.group else { return false };
        if self.group.as_ref().is_none_or(|group| !Arc::ptr_eq(&group.group, filter)) {
            self.group = self.broker.routes.group(filter);
        }
        let Some(group) = &self.group else { return false };
        let Some(receiver) = choose(group, Some(self.from.session)) else { return false };
        let to = &receiver.to.subscriber;
        if self.at_once && to.mailbox.readiness() == Readiness::Unable {
            return false;
        }
        let mut delivery = receiver.delivery(&left.message);
        let is_kept = delivery.qos > QoS::AtMostOnce && to.is_persistent();
        match left.stored {
            Some(stored) if is_kept => {
                self.broker.store.hand_over((self.from.session, stored), to.session, &mut delivery);
            }
            stored => {
                self.broker.done(self.from.session, left.message.id, stored);
                if is_kept {
                    self.broker.keep(to.session, &mut delivery);
                }
            }
        }
        post(self.broker, to, delivery);
        true
    }

    /// As [`HandOver::give`]; the one who leaves is done with it, whoever takes it.
    pub(crate) fn give_or_end(&mut self, left: &Delivery) {
        if !self.give(left) {
            self.broker.done(self.from.session, left.message.id, left.stored);
        }
    }
}

/// Puts a message into a mailbox; true if that one is filling.
pub(crate) fn post(broker: &Arc<Shared>, to: &Arc<Subscriber>, delivery: Delivery) -> bool {
    match to.mailbox.post(delivery) {
        Posted::Queued | Posted::Offline => false,
        Posted::Congested => true,
        Posted::MustTrim => {
            broker.trim_queue(to);
            true
        }
        Posted::Dropped(dropped) => {
            broker.dropped_queue_full(to, &dropped);
            true
        }
    }
}

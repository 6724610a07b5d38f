//! A generation as a member of the chain: each question in the guest's records.

use super::{Generation, subject};
use crate::{
    exports::{acl, auth, deliver, events, message, publish, subscribe, subscribers},
    imports::Current,
    tally::Hook,
};
use tidegate_hooks::{
    AclRequest, AclVerdict, AuthStep, AuthVerdict, ConnectRequest, DeliverRequest, DeliverVerdict, Event,
    HookFailed, HookKinds, Hooks, NO_ATTRIBUTES, PickRequest, PublishRequest, PublishVerdict, Remembered,
    Reply, SelectRequest, Selection, SubscribeRequest, SubscribeVerdict,
};

/// What the hook is about, for `current`.
fn about<'a>(message: &PublishRequest<'a>) -> Current<'a> {
    Current { payload: message.payload, attributes: message.attributes, origin: message.origin }
}

/// Asks at once, on this thread; or, of a plugin that may wait, in a future. What is prepared lives as long as the question.
macro_rules! reply {
    ($generation:ident, { $($prepare:stmt;)* } => $hook:expr, $subject:expr, $current:expr, $function:expr, $params:expr, $judge:expr) => {
        if $generation.waits {
            Reply::Later(Box::pin(async move {
                $($prepare)*
                $generation.ask($hook, $subject, $current, $function, $params, $judge).await
            }))
        } else {
            $($prepare)*
            Reply::Now($generation.ask_now($hook, $subject, $current, $function, $params, $judge))
        }
    };
}

impl Hooks for Generation {
    fn kinds(&self) -> HookKinds {
        self.kinds
    }

    fn answers_at_once(&self) -> bool {
        !self.waits
    }

    fn answered_before(&self, question: Remembered) {
        let hook = match question {
            Remembered::Check => Hook::Acl,
            Remembered::Select => Hook::Subscribers,
        };
        if let Some(tally) = self.slots.own_tallies().of(hook) {
            tally.count_remembered();
        }
    }

    fn authenticate<'a>(
        &'a self,
        request: &'a ConnectRequest<'a>,
    ) -> Reply<'a, Result<AuthVerdict, HookFailed>> {
        Reply::Later(Box::pin(async move {
            let properties = auth::properties(request.properties);
            let connect = auth::question(request, &properties);
            let judge = |(outcome,)| auth::answer(outcome, false);
            self.ask(
                Hook::Auth,
                || subject::connect(request),
                Current::NOTHING,
                |guest| guest.authenticate,
                (connect,),
                judge,
            )
            .await
        }))
    }

    fn proceed<'a>(
        &'a self,
        request: &'a ConnectRequest<'a>,
        step: &'a AuthStep<'a>,
    ) -> Reply<'a, Result<AuthVerdict, HookFailed>> {
        Reply::Later(Box::pin(async move {
            let properties = auth::properties(request.properties);
            let connect = auth::question(request, &properties);
            let params = (connect, step.state, step.data, step.again);
            let judge = |(outcome,)| auth::answer(outcome, step.again);
            self.ask(
                Hook::EnhancedAuth,
                || subject::connect(request),
                Current::NOTHING,
                |guest| guest.proceed,
                params,
                judge,
            )
            .await
        }))
    }

    fn check<'a>(&'a self, request: &'a AclRequest<'a>) -> Reply<'a, Result<AclVerdict, HookFailed>> {
        reply!(self, {} =>
            Hook::Acl,
            || subject::acl(request),
            Current { attributes: request.attributes, ..Current::NOTHING },
            |guest| guest.check,
            (acl::question(request),),
            |(decision,)| acl::answer(decision, request)
        )
    }

    fn on_publish<'a>(
        &'a self,
        request: &'a PublishRequest<'a>,
    ) -> Reply<'a, Result<PublishVerdict, HookFailed>> {
        let wants = self.scopes.publish;
        if self.kinds.publish_batch {
            return reply!(self, {
                let properties = message::properties_of(request, wants);
                let messages = [message::message(request, wants, &properties)];
            } =>
                Hook::PublishBatch,
                || subject::message(request),
                about(request),
                |guest| guest.on_publish_batch,
                (&messages[..],),
                |(verdicts,)| publish::only_answer(verdicts)
            );
        }
        reply!(self, {
            let properties = message::properties_of(request, wants);
        } =>
            Hook::Publish,
            || subject::message(request),
            about(request),
            |guest| guest.on_publish,
            (message::message(request, wants, &properties),),
            |(verdict,)| publish::answer(verdict)
        )
    }

    fn on_publish_batch<'a>(
        &'a self,
        requests: &'a [PublishRequest<'a>],
    ) -> Reply<'a, Result<Vec<PublishVerdict>, HookFailed>> {
        let wants = self.scopes.publish;
        // One publisher, many payloads.
        let current =
            requests.first().map_or(Current::NOTHING, |first| Current { payload: &[], ..about(first) });
        reply!(self, {
            let properties: Vec<_> =
                requests.iter().map(|request| message::properties_of(request, wants)).collect();
            let messages: Vec<_> = requests
                .iter()
                .zip(&properties)
                .map(|(request, properties)| message::message(request, wants, properties))
                .collect();
        } =>
            Hook::PublishBatch,
            || subject::batch(requests),
            current,
            |guest| guest.on_publish_batch,
            (&messages[..],),
            |(verdicts,)| publish::answers(verdicts, requests.len())
        )
    }

    fn on_subscribe<'a>(
        &'a self,
        requests: &'a [SubscribeRequest<'a>],
    ) -> Reply<'a, Result<Vec<SubscribeVerdict>, HookFailed>> {
        let attributes = requests.first().map_or(&NO_ATTRIBUTES, |first| first.attributes);
        reply!(self, {
            let properties = subscribe::properties(requests);
            let questions = subscribe::questions(requests, &properties);
        } =>
            Hook::Subscribe,
            || subject::subscribe(requests),
            Current { attributes, ..Current::NOTHING },
            |guest| guest.on_subscribe,
            (&questions[..],),
            |(verdicts,)| subscribe::answers(verdicts, requests)
        )
    }

    fn select<'a>(&'a self, request: &'a SelectRequest<'a>) -> Reply<'a, Result<Selection, HookFailed>> {
        let wants = self.scopes.subscribers;
        reply!(self, {
            let properties = message::properties_of(&request.message, wants);
            let message = message::message(&request.message, wants, &properties);
            let candidates = subscribers::candidates(request.candidates, wants);
        } =>
            Hook::Subscribers,
            || subject::select(request),
            about(&request.message),
            |guest| guest.select,
            (message, &candidates[..]),
            |(selection,)| subscribers::selected(selection, request.candidates.len())
        )
    }

    fn pick<'a>(&'a self, request: &'a PickRequest<'a>) -> Reply<'a, Result<Option<u32>, HookFailed>> {
        let wants = self.scopes.subscribers;
        reply!(self, {
            let properties = message::properties_of(&request.message, wants);
            let message = message::message(&request.message, wants, &properties);
            let members = subscribers::candidates(request.members, wants);
        } =>
            Hook::Subscribers,
            || subject::pick(request),
            about(&request.message),
            |guest| guest.pick,
            (message, request.group, &members[..]),
            |(member,)| subscribers::picked(member, request.members.len())
        )
    }

    fn on_deliver<'a>(
        &'a self,
        request: &'a DeliverRequest<'a>,
    ) -> Reply<'a, Result<DeliverVerdict, HookFailed>> {
        let wants = self.scopes.deliver;
        reply!(self, {
            let properties = message::properties_of(&request.message, wants);
            let message = message::message(&request.message, wants, &properties);
        } =>
            Hook::Deliver,
            || subject::deliver(request),
            about(&request.message),
            |guest| guest.on_deliver,
            (message, request.recipient.0, request.client_id),
            |(verdict,)| deliver::answer(verdict)
        )
    }

    fn on_events<'a>(&'a self, batch: &'a [Event], lost: u64) -> Reply<'a, Result<(), HookFailed>> {
        Reply::Later(Box::pin(async move {
            // What it publishes may answer any of them: the one with most hops counts.
            let origin =
                batch.iter().filter_map(|event| event.origin.as_deref()).max_by_key(|origin| origin.hops);
            let current = Current { origin, ..Current::NOTHING };
            let asked = batch;
            let batch = events::batch(batch);
            let params = (&batch[..], lost);
            self.ask(
                Hook::Events,
                || subject::events(asked),
                current,
                |guest| guest.on_events,
                params,
                |()| Ok(()),
            )
            .await
        }))
    }
}

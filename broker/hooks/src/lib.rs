//! What a plugin may decide, and in which order plugins are asked. No wasm here.
//!
//! Reading order: `questions` (what is asked), `verdicts` (what may be answered), `events` (what is told), `hooks` (the trait that
//! plugins and native code implement), `rules` (grants evaluated without a call), `chain` (who is asked in which order, and what
//! silence and faults mean), `registry` (the chain in force, swapped as a whole), `observer` (who may look on).

mod chain;
mod events;
mod hooks;
mod observer;
mod questions;
mod registry;
mod rules;
mod verdicts;

pub use chain::{
    AuthOutcome, AuthRefusal, Authenticated, Authorization, Chain, InScope, Member, OnDeliverFault, OnFault,
    Permissions, Place, PublishOutcome, PublishRefusal, Scope, Scopes, Selected, SubscribeOutcome,
    SubscribeRefusal, batch as one_answer_each, holds as scope_holds,
};
pub use events::{Event, EventKind, EventKinds};
pub use hooks::{FaultKind, HookFailed, HookKinds, Hooks, PacketClient, Remembered, Reply};
pub use observer::Observer;
pub use questions::{
    AclRequest, Action, Attributes, AuthStep, Candidate, ConnectRequest, DeliverRequest, NO_ATTRIBUTES,
    PickRequest, PublishRequest, SelectRequest, SubscribeRequest,
};
pub use registry::{HookRegistry, RegistryChange};
pub use rules::{Rule, RuleError, Rules};
pub use verdicts::{
    AclVerdict, AuthVerdict, Challenge, Choice, DeliverVerdict, Grant, Patch, PublishVerdict, Quotas,
    Refusal, Selection, Span, SubscribeChange, SubscribeVerdict,
};

//! What a plugin may decide, and in which order plugins are asked. No wasm here.
//!
//! Reading order: `questions` (what is asked), `verdicts` (what may be answered), `hooks` (the trait that plugins and native
//! code implement), `rules` (grants evaluated without a call), `chain` (who is asked in which order, and what silence and
//! faults mean), `registry` (the chain in force, swapped as a whole).

mod chain;
mod hooks;
mod questions;
mod registry;
mod rules;
mod verdicts;

pub use chain::{
    AuthOutcome, AuthRefusal, Authenticated, Authorization, Chain, InScope, Member, OnFault, Permissions,
    Place, PublishOutcome, PublishRefusal,
};
pub use hooks::{FaultKind, HookFailed, HookKinds, Hooks, Reply};
pub use questions::{AclRequest, Action, AuthStep, ConnectRequest, PublishRequest};
pub use registry::HookRegistry;
pub use rules::{Rule, RuleError, Rules};
pub use verdicts::{AclVerdict, AuthVerdict, Challenge, Grant, Patch, PublishVerdict, Refusal, Span};

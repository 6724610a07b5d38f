//! What the broker tells about its plugins: in `tidegate check`, under `$SYS/broker/plugins/NAME/…`, and to whoever embeds it.

use crate::shadow::ShadowReport;
use std::path::PathBuf;

/// One plugin, as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginReport {
    /// Its file name without `.wasm`.
    pub name: String,
    /// Where it was read from, or was looked for.
    pub file: PathBuf,
    /// The generation that answers; 0 if none does.
    pub generation: u64,
    /// `auth`, `acl`, `publish`: what that generation exports.
    pub hooks: Vec<&'static str>,
    /// Topics that its hooks are narrowed to, and fields they want.
    pub scopes: Vec<ScopeReport>,
    /// What it was granted, such as `kv 1MiB`.
    pub grants: Vec<String>,
    /// Its place in the chain; see [`PluginConfig::order`](crate::PluginConfig::order).
    pub order: i32,
    /// Whether the broker starts without it.
    pub required: bool,
    /// Whether it answers.
    pub state: PluginState,
    /// Why the newest file or configuration was not taken, while an older generation answers on. None if all is well.
    pub problem: Option<String>,
    /// Calls since that generation began, by hook.
    pub calls: Vec<HookCalls>,
    /// Whether a newer file or configuration is being compiled and started. What answers goes on answering.
    pub loading: bool,
    /// The generation that a rollback would bring back.
    pub previous: Option<u64>,
    /// The candidate beside it, if there is one.
    pub shadow: Option<ShadowReport>,
}

/// Whether a plugin answers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PluginState {
    /// It does.
    Running,
    /// It is being compiled and started. If the broker found it at its start, its hooks are in the chain already, and fail until it
    /// is up.
    Starting,
    /// No generation of it was good enough to answer.
    Refused {
        /// One sentence: file, reason, remedy.
        reason: String,
    },
    /// It is configured, but its file is not there (yet, or any more).
    Waiting,
}

/// A hook's topics and fields.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ScopeReport {
    /// `acl` or `publish`.
    pub hook: &'static str,
    /// Topic filters; None for all topics.
    pub filters: Option<Vec<String>>,
    /// Optional fields that are filled.
    pub wants: Vec<&'static str>,
}

/// How often a hook was called.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HookCalls {
    /// `auth`, `acl` or `publish`.
    pub hook: &'static str,
    /// Calls that reached the guest.
    pub calls: u64,
    /// Those that ended in a fault.
    pub faults: u64,
}

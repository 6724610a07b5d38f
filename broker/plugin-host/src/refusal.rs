//! Why a plugin is not taken. Each reason names a remedy where there is one.

use crate::{config::ScopedHook, folder::NotAFile, tally::Hook};
use std::io;
use tidegate_hooks::EventKind;

/// The interface version that this broker serves.
pub(crate) const VERSION: &str = "0.1.0";

/// A file, a configuration or a guest that cannot be used. Displayed after the file's name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the name must be made of a-z, 0-9, _ and - only; rename the file")]
    Name,
    #[error(transparent)]
    NotAFile(NotAFile),
    #[error("cannot be read: {0}")]
    Unreadable(Box<str>),
    #[error("the file ends too early; copy it again")]
    Truncated,
    #[error("not a WebAssembly file; build a component, for example with `tidegate plugin build`")]
    NotWasm,
    #[error(
        "a core module, not a component; turn it into one with `wasm-tools component new`, one for wasip1 with its option `--adapt`"
    )]
    CoreModule,
    #[error(
        "it needs the asynchronous part of the component model, which plugins are not offered; build it with synchronous exports and imports"
    )]
    NeedsAsync,
    #[error("not a valid component: {0}")]
    Invalid(Box<str>),
    #[error(
        "built for plugin interface {0}, this broker speaks {VERSION}; build it with the plugin interface of this broker"
    )]
    OtherVersion(Box<str>),
    #[error("it exports {0}, which is not an interface of this broker; known are lifecycle, {hooks}", hooks = hooks("and"))]
    UnknownExport(Box<str>),
    #[error(
        "it exports publish and publish-batch, and a message is for one of them only; leave publish out if it takes batches"
    )]
    PublishTwice,
    #[error("it exports enhanced-auth but not auth, where every CONNECT comes first; export both")]
    EnhancedAuthAlone,
    #[error(
        "it does not export tidegate:plugin/lifecycle@{VERSION}, which every plugin must; include the world `base`, or copy the file again if it was cut short"
    )]
    NoLifecycle,
    #[error("it exports no hook; export at least one of {hooks} at tidegate:plugin@{VERSION}", hooks = hooks("or"))]
    NoHook,
    #[error(
        "it imports {0}; of WASI, plugins are offered the released 0.2 only, so build it for wasm32-wasip2"
    )]
    Wasi(Box<str>),
    #[error(
        "it imports {0}, which this broker does not offer; plugins may import {imports} of tidegate:plugin@{VERSION}, and WASI 0.2",
        imports = crate::imports::INTERFACES.join(", ")
    )]
    UnknownImport(Box<str>),
    #[error(
        "it does not fit the plugin interface {VERSION}: {0}; build it with the plugin interface of this broker"
    )]
    Interface(Box<str>),
    #[error("it cannot be started: {0}")]
    Instantiate(Box<str>),
    #[error("init failed: {0}")]
    Init(Box<str>),
    #[error(
        "init asks for a scope of {0:?}, which is no hook with a scope; known are acl, publish, subscribe, subscribers, deliver and events"
    )]
    UnknownScope(Box<str>),
    #[error("init asks for a scope of {0}, a hook it does not export")]
    ScopeWithoutHook(ScopedHook),
    #[error("init asks for topic filter {0:?}: {1}")]
    ScopeFilter(Box<str>, tidegate_mqtt::NameError),
    #[error("init wants {0:?} of {1}; known are payload, client-id, username and properties")]
    UnknownField(Box<str>, ScopedHook),
    #[error("init wants {0:?} of {1}, which is asked about no message; leave it out")]
    FieldWithoutMessage(Box<str>, ScopedHook),
    #[error("init wants events of kind {0:?}; known are {kinds}", kinds = event_kinds())]
    UnknownEventKind(Box<str>),
    #[error("a deliver plugin must name topics in its scope or in scopes.deliver")]
    DeliverEverywhere,
    #[error("`scopes.{0}` is set, but it does not export that hook; remove the key")]
    ConfiguredScopeWithoutHook(ScopedHook),
    #[error(
        "`on_fault = \"next\"` is set, but it decides about access only, which is always refused on a fault; remove the key"
    )]
    OnFaultNext,
    #[error("`on_deliver_fault = \"drop\"` is set, but it does not export deliver; remove the key")]
    OnDeliverFault,
    #[error("it is configured twice, in [plugin.{0}] and in {0}.toml; keep one of them")]
    ConfiguredTwice(Box<str>),
    #[error("{0}")]
    Config(Box<str>),
}

/// `auth, acl WORD publish`
fn hooks(word: &str) -> String {
    let names: Vec<_> = Hook::ALL.into_iter().map(Hook::name).collect();
    match names.split_last() {
        Some((last, names)) => format!("{} {word} {last}", names.join(", ")),
        None => String::new(),
    }
}

fn event_kinds() -> String {
    let names: Vec<_> = EventKind::ALL.iter().map(|kind| kind.name()).collect();
    names.join(", ")
}

impl Refusal {
    pub(crate) fn unreadable(error: &io::Error) -> Self {
        Self::Unreadable(error.to_string().into())
    }
}

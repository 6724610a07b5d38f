//! Misbehaves in one hook as its config says, and behaves in the others.
//!
//! It implements the generated traits instead of the SDK's, whose types cannot say most of what is wrong here.
//!
//! Reading order: `config`: what the operator writes; `acts`: what takes too much of something; `hooks`: what answers are wrong;
//! here: the plugin's own beginning and end.

mod acts;
mod config;
mod hooks;

use config::{Config, Hook, Mode};
use std::cell::RefCell;
use tidegate_plugin::{
    bindings::lifecycle::exports::tidegate::plugin::lifecycle::{Guest, Scope, Start},
    config as table, timers,
};

/// The guest.
pub struct Abuse;

/// The one instance.
struct State {
    config: Config,
    /// Questions to the hook that misbehaves, so far.
    asked: u64,
    /// What is never given back.
    kept: Vec<Vec<u8>>,
}

thread_local! {
    static STATE: RefCell<Option<State>> = const { RefCell::new(None) };
}

fn with_state<R>(f: impl FnOnce(&mut State) -> R) -> R {
    STATE.with_borrow_mut(|state| match state.as_mut() {
        Some(state) => f(state),
        None => panic!("a hook was called before init"),
    })
}

/// What to do wrong, if anything. `word` is what the question names, for the mode `asked`.
fn misbehaviour(hook: Hook, client_id: &str, word: &str) -> Option<Mode> {
    with_state(|state| {
        let config = &state.config;
        if config.hook != hook || !client_id.starts_with(&config.clients) {
            return None;
        }
        state.asked += 1;
        if state.asked % config.one_in.max(1) != 0 {
            return None;
        }
        if config.mode == Mode::Asked { Mode::from_word(word) } else { Some(config.mode) }
    })
}

impl Guest for Abuse {
    fn init(start: Start) -> Result<Vec<Scope>, String> {
        let config: Config = table::parse(&table::document())?;
        let mut scopes = config.scopes();
        if let Some(period) = config.timer() {
            timers::every(0, period).map_err(|why| why.to_string())?;
        }
        STATE.replace(Some(State { config, asked: 0, kept: Vec::new() }));
        let mode = misbehaviour(Hook::Init, "", "");
        if let Some(mode) = mode {
            acts::act(mode, "abuse/init");
        }
        let name = |text: &str| vec![text.to_owned()];
        match mode {
            Some(Mode::Refuse) => return Err(format!("generation {} was told to refuse", start.generation)),
            Some(Mode::HugeString) => return Err(config::huge()),
            Some(Mode::Wildcard) => {
                scopes.push(Scope { hook: "acl".into(), filters: name("a/#/b"), wants: vec![] })
            }
            Some(Mode::UnknownHook) => {
                scopes.push(Scope { hook: "publsh".into(), filters: vec![], wants: vec![] })
            }
            Some(Mode::UnknownWant) => {
                scopes.push(Scope { hook: "publish".into(), filters: vec![], wants: name("paylod") });
            }
            _ => {}
        }
        Ok(scopes)
    }

    fn drain() -> Option<Vec<u8>> {
        let mode = misbehaviour(Hook::Drain, "", "")?;
        acts::act(mode, "abuse/drain");
        (mode == Mode::HugePayload).then(acts::huge_payload)
    }
}

#[cfg(target_arch = "wasm32")]
mod exports {
    use crate::Abuse;
    use tidegate_plugin::bindings;

    bindings::lifecycle::export_lifecycle!(Abuse with_types_in bindings::lifecycle);
    bindings::auth::export_auth!(Abuse with_types_in bindings::auth);
    bindings::enhanced_auth::export_enhanced_auth!(Abuse with_types_in bindings::enhanced_auth);
    bindings::acl::export_acl!(Abuse with_types_in bindings::acl);
    bindings::publish::export_publish!(Abuse with_types_in bindings::publish);
    bindings::subscribe::export_subscribe!(Abuse with_types_in bindings::subscribe);
    bindings::subscribers::export_subscribers!(Abuse with_types_in bindings::subscribers);
    bindings::deliver::export_deliver!(Abuse with_types_in bindings::deliver);
    bindings::events::export_events!(Abuse with_types_in bindings::events);
    bindings::timer_handler::export_timer_handler!(Abuse with_types_in bindings::timer_handler);
}

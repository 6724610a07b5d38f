//! As `probe-publish` behaves, but by the generated bindings alone: what the interface costs without the SDK.

use std::cell::Cell;
use tidegate_plugin::bindings::{
    lifecycle::{
        exports::tidegate::plugin::lifecycle::{Guest as Lifecycle, Scope, Start},
        tidegate::plugin::{config, types::Patch},
    },
    publish::exports::tidegate::plugin::publish::{Guest as Publish, Message, PublishVerdict},
};

/// The guest.
pub struct Bare;

thread_local! {
    /// Whether it copies each payload in and out.
    static COPY: Cell<bool> = const { Cell::new(false) };
}

impl Lifecycle for Bare {
    fn init(_: Start) -> Result<Vec<Scope>, String> {
        let copy = config::get("copy").as_deref() == Some("true");
        COPY.set(copy);
        let wants = if copy { vec!["payload".to_owned()] } else { Vec::new() };
        Ok(vec![Scope { hook: "publish".to_owned(), filters: vec!["probe/#".to_owned()], wants }])
    }

    fn drain() -> Option<Vec<u8>> {
        None
    }
}

impl Publish for Bare {
    fn on_publish(message: Message) -> PublishVerdict {
        match message.extra.filter(|_| COPY.get()) {
            None => PublishVerdict::Next,
            Some(extra) => PublishVerdict::Edit(Patch {
                topic: None,
                payload: Some(extra.payload),
                qos: None,
                retain: None,
                properties: None,
            }),
        }
    }
}

#[cfg(target_arch = "wasm32")]
mod exports {
    use crate::Bare;
    use tidegate_plugin::bindings;

    bindings::lifecycle::export_lifecycle!(Bare with_types_in bindings::lifecycle);
    bindings::publish::export_publish!(Bare with_types_in bindings::publish);
}

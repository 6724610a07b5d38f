//! Stands in the chain for a plugin that the broker found at its start and that is not compiled yet: what it will be asked is asked, and
//! every answer is a fault. So nothing is allowed that it might forbid. One that is refused then keeps its place for messages and subscriptions,
//! about which nobody else would be asked; who may come in and what is allowed stays asked all the same.

use crate::{
    config::{PluginConfig, ScopedHook},
    examine::{OuterName, apart, names},
};
use std::sync::Arc;
use tidegate_hooks::{
    AclRequest, AclVerdict, AuthStep, AuthVerdict, ConnectRequest, DeliverRequest, DeliverVerdict, FaultKind,
    HookFailed, HookKinds, Hooks, Member, PickRequest, Place, PublishRequest, PublishVerdict, Reply, Scope,
    Scopes, SelectRequest, Selection, SubscribeRequest, SubscribeVerdict,
};

/// What a component exports, read without compiling it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Outline {
    kinds: HookKinds,
}

impl Outline {
    /// Of a file that is no component it is empty: it will be refused soon.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut outline = Self::default();
        // What is readable up to a mistake counts.
        _ = names(bytes, |name| {
            if let OuterName::Export(name) = name {
                outline.add(name);
            }
        });
        outline
    }

    fn add(&mut self, export: &str) {
        let Some((interface, _)) = apart(export) else { return };
        let kind = match interface {
            "auth" => &mut self.kinds.authenticate,
            "enhanced-auth" => &mut self.kinds.proceed,
            "acl" => &mut self.kinds.acl,
            "publish" => &mut self.kinds.publish,
            "publish-batch" => {
                self.kinds.publish = true;
                &mut self.kinds.publish_batch
            }
            "subscribe" => &mut self.kinds.subscribe,
            "subscribers" => &mut self.kinds.subscribers,
            "deliver" => &mut self.kinds.deliver,
            // Nobody is asked anything there.
            _ => return,
        };
        *kind = true;
    }

    pub(super) fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// Names of its hooks.
    pub(super) fn hooks(self) -> Vec<&'static str> {
        let HookKinds { authenticate, acl, publish, subscribe, subscribers, deliver, .. } = self.kinds;
        let hooks = [
            ("auth", authenticate),
            ("acl", acl),
            ("publish", publish),
            ("subscribe", subscribe),
            ("subscribers", subscribers),
            ("deliver", deliver),
        ];
        hooks.into_iter().filter(|(_, exported)| *exported).map(|(name, _)| name).collect()
    }

    /// What stands in the chain until the plugin is up.
    pub(super) fn member(self, plugin: &Arc<str>, config: &PluginConfig) -> Member {
        // Which topics the plugin itself will name is not known yet: all of them.
        let scope = |hook: ScopedHook| -> Scope {
            config.scopes.get(&hook).filter(|filters| !filters.is_empty()).cloned()
        };
        Member {
            place: Place { order: config.order, name: plugin.clone() },
            hooks: Arc::new(Pending { plugin: plugin.clone(), kinds: self.kinds, why: "still starting" }),
            scopes: Scopes {
                acl: scope(ScopedHook::Acl),
                publish: scope(ScopedHook::Publish),
                subscribe: scope(ScopedHook::Subscribe),
                subscribers: scope(ScopedHook::Subscribers),
                deliver: scope(ScopedHook::Deliver),
                ..Scopes::default()
            },
            on_fault: config.on_fault.into(),
            on_deliver_fault: config.on_deliver_fault.into(),
        }
    }
}

/// What stands in the chain for one that was refused, in place of what stood there while it was starting. None: nothing has to.
pub(super) fn refused(pending: &Member) -> Option<Member> {
    let HookKinds { publish, publish_batch, subscribe, deliver, .. } = pending.hooks.kinds();
    let kinds = HookKinds { publish, publish_batch, subscribe, deliver, ..HookKinds::default() };
    let hooks = Pending { plugin: pending.place.name.clone(), kinds, why: "refused at the start" };
    (kinds != HookKinds::default()).then(|| Member { hooks: Arc::new(hooks), ..pending.clone() })
}

/// Answers every question with a fault.
struct Pending {
    plugin: Arc<str>,
    kinds: HookKinds,
    why: &'static str,
}

impl Pending {
    fn fails<T>(&self) -> Reply<'_, Result<T, HookFailed>> {
        let kind = FaultKind::NoInstance(self.why.into());
        Reply::Now(Err(HookFailed { plugin: self.plugin.clone(), kind }))
    }
}

impl Hooks for Pending {
    fn kinds(&self) -> HookKinds {
        self.kinds
    }

    fn authenticate<'a>(&'a self, _: &'a ConnectRequest<'a>) -> Reply<'a, Result<AuthVerdict, HookFailed>> {
        self.fails()
    }

    fn proceed<'a>(
        &'a self,
        _: &'a ConnectRequest<'a>,
        _: &'a AuthStep<'a>,
    ) -> Reply<'a, Result<AuthVerdict, HookFailed>> {
        self.fails()
    }

    fn check<'a>(&'a self, _: &'a AclRequest<'a>) -> Reply<'a, Result<AclVerdict, HookFailed>> {
        self.fails()
    }

    fn on_publish<'a>(&'a self, _: &'a PublishRequest<'a>) -> Reply<'a, Result<PublishVerdict, HookFailed>> {
        self.fails()
    }

    fn on_publish_batch<'a>(
        &'a self,
        _: &'a [PublishRequest<'a>],
    ) -> Reply<'a, Result<Vec<PublishVerdict>, HookFailed>> {
        self.fails()
    }

    fn on_subscribe<'a>(
        &'a self,
        _: &'a [SubscribeRequest<'a>],
    ) -> Reply<'a, Result<Vec<SubscribeVerdict>, HookFailed>> {
        self.fails()
    }

    fn select<'a>(&'a self, _: &'a SelectRequest<'a>) -> Reply<'a, Result<Selection, HookFailed>> {
        self.fails()
    }

    fn pick<'a>(&'a self, _: &'a PickRequest<'a>) -> Reply<'a, Result<Option<u32>, HookFailed>> {
        self.fails()
    }

    fn on_deliver<'a>(&'a self, _: &'a DeliverRequest<'a>) -> Reply<'a, Result<DeliverVerdict, HookFailed>> {
        self.fails()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_are_read_from_the_exports_of_the_component_itself() {
        let component = r#"(component
            (component (instance $i) (export "tidegate:plugin/auth@0.1.0" (instance $i)))
            (core module (func (export "tidegate:plugin/publish@0.1.0#on-publish")))
            (instance $none)
            (export "tidegate:plugin/lifecycle@0.1.0" (instance $none))
            (export "tidegate:plugin/acl@0.1.0" (instance $none))
            (export "tidegate:plugin/deliver@0.1.0" (instance $none))
            (export "other:package/auth@0.1.0" (instance $none)))"#;
        let outline = Outline::of(&wat::parse_str(component).unwrap());
        assert_eq!(outline.hooks(), ["acl", "deliver"]);
        assert!(!outline.kinds.authenticate && !outline.kinds.publish);
    }

    #[test]
    fn what_is_no_component_has_no_hooks() {
        for bytes in [
            &b""[..],
            b"hello, this is no WebAssembly at all",
            b"\0asm\x01\0\0\0",
            b"\0asm\x0d\0\x01\0\x01\xff",
        ] {
            assert!(Outline::of(bytes).is_empty());
        }
    }
}

//! From component exports to the traits.

use crate::{
    Acl, Authenticate, OnPublish, Plugin, Start,
    bindings::{
        acl::exports::tidegate::plugin::acl, auth::exports::tidegate::plugin::auth,
        lifecycle::exports::tidegate::plugin::lifecycle, publish::exports::tidegate::plugin::publish,
    },
    config, logging,
};
use std::{cell::RefCell, marker::PhantomData, panic};

/// Exports a plugin and the hooks it names: `export!(MyPlugin: authenticate, acl, on_publish)`, any subset. Once in a crate.
///
/// What is not named is not exported, and the broker never calls it. Natively this only checks that the traits are there.
#[macro_export]
macro_rules! export {
    ($plugin:ty $(: $($hook:ident),+ $(,)?)?) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            ::std::thread_local! {
                static INSTANCE: ::std::cell::RefCell<::std::option::Option<$plugin>> =
                    const { ::std::cell::RefCell::new(::std::option::Option::None) };
            }

            struct Instance;

            impl $crate::__private::Exported for Instance {
                type Plugin = $plugin;
                fn slot<R>(f: impl ::std::ops::FnOnce(&::std::cell::RefCell<::std::option::Option<$plugin>>) -> R) -> R {
                    INSTANCE.with(f)
                }
            }

            type Guest = $crate::__private::Guest<Instance>;
            $crate::__export_hook!(lifecycle);
            $($($crate::__export_hook!($hook);)+)?
        };

        #[cfg(not(target_arch = "wasm32"))]
        const _: () = {
            fn lifecycle<P: $crate::Plugin>() {}
            $($($crate::__check_hook!($hook);)+)?
            let _ = lifecycle::<$plugin>;
            $($(let _ = $hook::<$plugin>;)+)?
        };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export_hook {
    (lifecycle) => {
        $crate::bindings::lifecycle::export_lifecycle!(
            Guest with_types_in $crate::bindings::lifecycle
        );
    };
    (authenticate) => {
        $crate::bindings::auth::export_auth!(Guest with_types_in $crate::bindings::auth);
    };
    (acl) => {
        $crate::bindings::acl::export_acl!(Guest with_types_in $crate::bindings::acl);
    };
    (on_publish) => {
        $crate::bindings::publish::export_publish!(Guest with_types_in $crate::bindings::publish);
    };
    ($other:ident) => {
        ::std::compile_error!("a hook is one of authenticate, acl, on_publish");
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __check_hook {
    (authenticate) => {
        fn authenticate<P: $crate::Authenticate>() {}
    };
    (acl) => {
        fn acl<P: $crate::Acl>() {}
    };
    (on_publish) => {
        fn on_publish<P: $crate::OnPublish>() {}
    };
    ($other:ident) => {
        ::std::compile_error!("a hook is one of authenticate, acl, on_publish");
    };
}

/// The one instance of a plugin in a component, kept by the crate that exports it: a generic static there is not.
pub trait Exported: 'static {
    /// The author's type.
    type Plugin: Plugin;
    /// Where it lives from `init` on.
    fn slot<R>(f: impl FnOnce(&RefCell<Option<Self::Plugin>>) -> R) -> R;
}

/// Implements the generated traits for whatever the author implements.
pub struct Guest<E>(PhantomData<E>);

fn with_instance<E: Exported, R>(f: impl FnOnce(&mut E::Plugin) -> R) -> R {
    E::slot(|slot| match slot.borrow_mut().as_mut() {
        Some(instance) => f(instance),
        None => panic!("a hook was called before init"),
    })
}

impl<E: Exported> lifecycle::Guest for Guest<E> {
    fn init(start: lifecycle::Start) -> Result<Vec<lifecycle::Scope>, String> {
        log_panics();
        let plugin = E::Plugin::new(Start::from(start), config::parse(&config::document())?)?;
        let scopes = plugin.scopes().into_iter().map(lifecycle::Scope::from).collect();
        E::slot(|slot| *slot.borrow_mut() = Some(plugin));
        Ok(scopes)
    }

    fn drain() -> Option<Vec<u8>> {
        with_instance::<E, _>(Plugin::drain)
    }
}

impl<E: Exported<Plugin: Authenticate>> auth::Guest for Guest<E> {
    fn authenticate(connect: auth::Connect) -> auth::AuthOutcome {
        with_instance::<E, _>(|plugin| plugin.authenticate(connect.into())).into()
    }
}

impl<E: Exported<Plugin: Acl>> acl::Guest for Guest<E> {
    fn check(request: acl::Request) -> acl::Decision {
        with_instance::<E, _>(|plugin| plugin.check(request.into())).into()
    }
}

impl<E: Exported<Plugin: OnPublish>> publish::Guest for Guest<E> {
    fn on_publish(message: publish::Message) -> publish::PublishVerdict {
        with_instance::<E, _>(|plugin| plugin.on_publish(message.into())).into()
    }
}

/// A trap says nothing but `unreachable`; the reason goes to the broker's log before.
fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        let text = panic.payload_as_str().unwrap_or("not a text");
        let place = panic.location().map(|place| ("at".to_owned(), place.to_string()));
        logging::log(logging::Level::Error, &format!("panicked: {text}"), place.as_slice());
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AclRequest, Decision, Field, NoConfig, Scope, Span, testing::Host};
    use std::time::Duration;

    thread_local! {
        static INSTANCE: RefCell<Option<Counting>> = const { RefCell::new(None) };
    }

    struct Counting(u8);

    impl Plugin for Counting {
        type Config = NoConfig;
        fn new(start: Start, _: NoConfig) -> Result<Self, String> {
            Ok(Self(start.state.map_or(0, |state| state[0])))
        }
        fn scopes(&self) -> Vec<Scope> {
            vec![Scope::acl(["a/#"]).wanting(Field::ClientId)]
        }
        fn drain(&mut self) -> Option<Vec<u8>> {
            Some(vec![self.0])
        }
    }

    impl Acl for Counting {
        fn check(&mut self, request: AclRequest) -> Decision {
            self.0 += 1;
            Decision::Allow(Span::new(request.topic, Duration::from_millis(u64::MAX)))
        }
    }

    struct Instance;

    impl Exported for Instance {
        type Plugin = Counting;
        fn slot<R>(f: impl FnOnce(&RefCell<Option<Counting>>) -> R) -> R {
            INSTANCE.with(f)
        }
    }

    #[test]
    fn exports_reach_the_one_instance() {
        use acl::Guest as _;
        use lifecycle::Guest as _;
        let _host = Host::new();
        let start = lifecycle::Start {
            plugin: "counting".into(),
            generation: 2,
            broker_version: "0.1.0".into(),
            state: Some(vec![5]),
        };
        let scopes = Guest::<Instance>::init(start).unwrap();
        let _ = panic::take_hook();
        assert_eq!((scopes[0].hook.as_str(), &scopes[0].filters[..]), ("acl", &["a/#".to_owned()][..]));
        assert_eq!(scopes[0].wants, ["client-id"]);
        let request = acl::Request {
            session: 1,
            client_id: "c1".into(),
            username: None,
            action: acl::Action::Subscribe,
            topic: "a/b".into(),
            qos: 1,
            retain: false,
        };
        let acl::Decision::Allow(span) = Guest::<Instance>::check(request) else { panic!("not allowed") };
        assert_eq!((span.filter.as_str(), span.ttl_ms), ("a/b", u32::MAX));
        assert_eq!(Guest::<Instance>::drain(), Some(vec![6]));
    }
}

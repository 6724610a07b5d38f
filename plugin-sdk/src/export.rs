//! From component exports to the traits.

use crate::{
    Acl, AuthStep, Authenticate, Candidate, Event, Message, OnDeliver, OnEvents, OnPublish, OnPublishBatch,
    OnSubscribe, OnTimer, Plugin, Proceed, Recipient, Start, Storage, SubscribeRequest, Subscribers,
    bindings::{
        acl::exports::tidegate::plugin::acl, auth::exports::tidegate::plugin::auth,
        deliver::exports::tidegate::plugin::deliver, enhanced_auth::exports::tidegate::plugin::enhanced_auth,
        events::exports::tidegate::plugin::events, lifecycle::exports::tidegate::plugin::lifecycle,
        publish::exports::tidegate::plugin::publish, publish_batch::exports::tidegate::plugin::publish_batch,
        storage::exports::tidegate::plugin::storage, subscribe::exports::tidegate::plugin::subscribe,
        subscribers::exports::tidegate::plugin::subscribers,
        timer_handler::exports::tidegate::plugin::timer_handler,
    },
    config, logging,
    storage::Op,
    subscribers::number,
};
use std::{cell::RefCell, marker::PhantomData, panic};

/// Exports a plugin and the hooks it names: `export!(MyPlugin: authenticate, acl, on_publish)`, any subset. Once in a crate.
///
/// What is not named is not exported, and the broker never calls it. Natively this only checks that the traits are there.
///
/// | word | trait |
/// |---|---|
/// | `authenticate` | [`Authenticate`](crate::Authenticate) |
/// | `proceed` | [`Proceed`](crate::Proceed), beside `authenticate` |
/// | `acl` | [`Acl`](crate::Acl) |
/// | `on_publish` or `on_publish_batch` | [`OnPublish`](crate::OnPublish) or [`OnPublishBatch`](crate::OnPublishBatch) |
/// | `on_subscribe` | [`OnSubscribe`](crate::OnSubscribe) |
/// | `subscribers` | [`Subscribers`](crate::Subscribers) |
/// | `on_deliver` | [`OnDeliver`](crate::OnDeliver) |
/// | `storage` | [`Storage`](crate::Storage) |
/// | `on_events` | [`OnEvents`](crate::OnEvents) |
/// | `on_timer` | [`OnTimer`](crate::OnTimer) |
///
/// ```compile_fail
/// # use tidegate_plugin::{Message, NoConfig, OnPublish, OnPublishBatch, Plugin, Start, Verdict};
/// # struct Both;
/// # impl Plugin for Both {
/// #     type Config = NoConfig;
/// #     fn new(_: Start, _: NoConfig) -> Result<Self, String> { Ok(Self) }
/// # }
/// # impl OnPublish for Both {
/// #     fn on_publish(&mut self, _: Message) -> Verdict { Verdict::Next }
/// # }
/// # impl OnPublishBatch for Both {
/// #     fn on_publish_batch(&mut self, _: Vec<Message>) -> Vec<Verdict> { Vec::new() }
/// # }
/// // One of the two.
/// tidegate_plugin::export!(Both: on_publish, on_publish_batch);
/// ```
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
    (proceed) => {
        $crate::bindings::enhanced_auth::export_enhanced_auth!(Guest with_types_in $crate::bindings::enhanced_auth);
    };
    (acl) => {
        $crate::bindings::acl::export_acl!(Guest with_types_in $crate::bindings::acl);
    };
    (on_publish) => {
        $crate::bindings::publish::export_publish!(Guest with_types_in $crate::bindings::publish);
    };
    (on_publish_batch) => {
        $crate::bindings::publish_batch::export_publish_batch!(Guest with_types_in $crate::bindings::publish_batch);
    };
    (on_subscribe) => {
        $crate::bindings::subscribe::export_subscribe!(Guest with_types_in $crate::bindings::subscribe);
    };
    (subscribers) => {
        $crate::bindings::subscribers::export_subscribers!(Guest with_types_in $crate::bindings::subscribers);
    };
    (on_deliver) => {
        $crate::bindings::deliver::export_deliver!(Guest with_types_in $crate::bindings::deliver);
    };
    (storage) => {
        $crate::bindings::storage::export_storage!(Guest with_types_in $crate::bindings::storage);
    };
    (on_events) => {
        $crate::bindings::events::export_events!(Guest with_types_in $crate::bindings::events);
    };
    (on_timer) => {
        $crate::bindings::timer_handler::export_timer_handler!(Guest with_types_in $crate::bindings::timer_handler);
    };
    ($other:ident) => {
        ::std::compile_error!(
            "a hook is one of authenticate, proceed, acl, on_publish, on_publish_batch, on_subscribe, subscribers, on_deliver, storage, on_events, on_timer"
        );
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __check_hook {
    (authenticate) => {
        fn authenticate<P: $crate::Authenticate>() {}
    };
    (proceed) => {
        fn proceed<P: $crate::Proceed>() {}
    };
    (acl) => {
        fn acl<P: $crate::Acl>() {}
    };
    (on_publish) => {
        enum _OneOfOnPublishAndOnPublishBatch {}
        fn on_publish<P: $crate::OnPublish>() {}
    };
    (on_publish_batch) => {
        enum _OneOfOnPublishAndOnPublishBatch {}
        fn on_publish_batch<P: $crate::OnPublishBatch>() {}
    };
    (on_subscribe) => {
        fn on_subscribe<P: $crate::OnSubscribe>() {}
    };
    (subscribers) => {
        fn subscribers<P: $crate::Subscribers>() {}
    };
    (on_deliver) => {
        fn on_deliver<P: $crate::OnDeliver>() {}
    };
    (storage) => {
        fn storage<P: $crate::Storage>() {}
    };
    (on_events) => {
        fn on_events<P: $crate::OnEvents>() {}
    };
    (on_timer) => {
        fn on_timer<P: $crate::OnTimer>() {}
    };
    ($other:ident) => {
        ::std::compile_error!(
            "a hook is one of authenticate, proceed, acl, on_publish, on_publish_batch, on_subscribe, subscribers, on_deliver, storage, on_events, on_timer"
        );
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

impl<E: Exported<Plugin: Proceed>> enhanced_auth::Guest for Guest<E> {
    fn proceed(
        connect: enhanced_auth::Connect,
        state: Vec<u8>,
        data: Option<Vec<u8>>,
        again: bool,
    ) -> enhanced_auth::AuthOutcome {
        let step = AuthStep::new(state, data, again);
        with_instance::<E, _>(|plugin| plugin.proceed(connect.into(), step)).into()
    }
}

impl<E: Exported<Plugin: OnPublishBatch>> publish_batch::Guest for Guest<E> {
    fn on_publish(messages: Vec<publish_batch::Message>) -> Vec<publish_batch::PublishVerdict> {
        let messages = messages.into_iter().map(Message::from).collect();
        let verdicts = with_instance::<E, _>(|plugin| plugin.on_publish_batch(messages));
        verdicts.into_iter().map(publish_batch::PublishVerdict::from).collect()
    }
}

impl<E: Exported<Plugin: OnSubscribe>> subscribe::Guest for Guest<E> {
    fn on_subscribe(requests: Vec<subscribe::Request>) -> Vec<subscribe::Verdict> {
        let requests = requests.into_iter().map(SubscribeRequest::from).collect();
        let verdicts = with_instance::<E, _>(|plugin| plugin.on_subscribe_all(requests));
        verdicts.into_iter().map(subscribe::Verdict::from).collect()
    }
}

impl<E: Exported<Plugin: Subscribers>> subscribers::Guest for Guest<E> {
    fn select(message: subscribers::Message, candidates: Vec<subscribers::Candidate>) -> subscribers::Answer {
        let candidates = candidates.into_iter().map(Candidate::from).collect();
        with_instance::<E, _>(|plugin| plugin.select(message.into(), candidates)).into()
    }

    fn pick(
        message: subscribers::Message,
        group: String,
        members: Vec<subscribers::Candidate>,
    ) -> Option<u32> {
        let members = members.into_iter().map(Candidate::from).collect();
        with_instance::<E, _>(|plugin| plugin.pick(message.into(), &group, members)).map(number)
    }
}

impl<E: Exported<Plugin: OnDeliver>> deliver::Guest for Guest<E> {
    fn on_deliver(message: deliver::Message, recipient: u64, client_id: String) -> deliver::Verdict {
        let recipient = Recipient::new(recipient, client_id);
        with_instance::<E, _>(|plugin| plugin.on_deliver(message.into(), recipient)).into()
    }
}

impl<E: Exported<Plugin: Storage>> storage::Guest for Guest<E> {
    fn open(format: u32, term: Option<u64>) -> Result<storage::Opened, storage::Error> {
        Ok(with_instance::<E, _>(|plugin| plugin.open(format, term))?.into())
    }

    fn commit(ops: Vec<storage::Op>, durable: bool) -> Result<u64, storage::Error> {
        let ops = ops.into_iter().map(Op::from).collect();
        Ok(with_instance::<E, _>(|plugin| plugin.commit(ops, durable))?)
    }

    fn get(table: u8, key: Vec<u8>) -> Result<Option<Vec<u8>>, storage::Error> {
        Ok(with_instance::<E, _>(|plugin| plugin.get(table, key))?)
    }

    fn scan(
        table: u8,
        prefix: Vec<u8>,
        after: Option<Vec<u8>>,
        max_bytes: u32,
    ) -> Result<Vec<storage::Row>, storage::Error> {
        let rows = with_instance::<E, _>(|plugin| plugin.scan(table, prefix, after, max_bytes))?;
        Ok(rows.into_iter().map(storage::Row::from).collect())
    }
}

impl<E: Exported<Plugin: OnEvents>> events::Guest for Guest<E> {
    fn on_events(batch: Vec<events::Event>, lost: u64) {
        let batch = batch.into_iter().map(Event::from).collect();
        with_instance::<E, _>(|plugin| plugin.on_events(batch, lost));
    }
}

impl<E: Exported<Plugin: OnTimer>> timer_handler::Guest for Guest<E> {
    fn on_timer(token: u64) {
        with_instance::<E, _>(|plugin| plugin.on_timer(token));
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
mod tests;

//! Generated from `wit/plugin.wit`: one world for each exported interface, so that a plugin exports just the hooks it has.
//!
//! Each `export_*!` macro carries its world's description into the module of the plugin that calls it; the others leave no
//! trace. Imports that a plugin never calls are not in its module, and the component made of it does not import them.
#![allow(missing_docs, unreachable_pub, reason = "generated, and hidden from plugin authors")]

pub mod lifecycle {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "
            package tidegate:sdk-lifecycle;

            package wasi:clocks@0.2.0 {
                interface wall-clock {
                    record datetime { seconds: u64, nanoseconds: u32 }
                    now: func() -> datetime;
                }
            }

            package wasi:random@0.2.0 {
                interface random {
                    get-random-bytes: func(len: u64) -> list<u8>;
                }
            }

            world sdk-lifecycle {
                import tidegate:plugin/types@0.1.0;
                import tidegate:plugin/logging@0.1.0;
                import tidegate:plugin/config@0.1.0;
                import tidegate:plugin/kv@0.1.0;
                import tidegate:plugin/current@0.1.0;
                import tidegate:plugin/broker@0.1.0;
                import tidegate:plugin/metrics@0.1.0;
                import tidegate:plugin/timers@0.1.0;
                import tidegate:plugin/http@0.1.0;
                import tidegate:plugin/tcp@0.1.0;
                import tidegate:plugin/engine@0.1.0;
                import wasi:clocks/wall-clock@0.2.0;
                import wasi:random/random@0.2.0;
                export tidegate:plugin/lifecycle@0.1.0;
            }
        ",
        world: "tidegate:sdk-lifecycle/sdk-lifecycle",
        generate_all,
        generate_unused_types: true,
        pub_export_macro: true,
        export_macro_name: "export_lifecycle",
        default_bindings_module: "tidegate_plugin::bindings::lifecycle",
    });
}

/// A module for one exported interface: its world in WIT, that world's name, the name of the macro that exports it, and the path of
/// the module. `types` are those of `lifecycle`, unless the interface has none.
macro_rules! hook {
    ($module:ident, $wit:tt, $world:tt, $export:tt, $path:tt) => {
        hook!($module, $wit, $world, $export, $path, with {
            "tidegate:plugin/types@0.1.0": crate::bindings::lifecycle::tidegate::plugin::types
        });
    };
    ($module:ident, $wit:tt, $world:tt, $export:tt, $path:tt, with $types:tt) => {
        pub mod $module {
            wit_bindgen::generate!({
                path: "../wit",
                inline: $wit,
                world: $world,
                with: $types,
                pub_export_macro: true,
                export_macro_name: $export,
                default_bindings_module: $path,
            });
        }
    };
}

hook!(
    auth,
    "package tidegate:sdk-auth; world sdk-auth { export tidegate:plugin/auth@0.1.0; }",
    "tidegate:sdk-auth/sdk-auth",
    "export_auth",
    "tidegate_plugin::bindings::auth"
);
hook!(
    enhanced_auth,
    "package tidegate:sdk-enhanced-auth; world sdk-enhanced-auth { export tidegate:plugin/enhanced-auth@0.1.0; }",
    "tidegate:sdk-enhanced-auth/sdk-enhanced-auth",
    "export_enhanced_auth",
    "tidegate_plugin::bindings::enhanced_auth"
);
hook!(
    acl,
    "package tidegate:sdk-acl; world sdk-acl { export tidegate:plugin/acl@0.1.0; }",
    "tidegate:sdk-acl/sdk-acl",
    "export_acl",
    "tidegate_plugin::bindings::acl"
);
hook!(
    publish,
    "package tidegate:sdk-publish; world sdk-publish { export tidegate:plugin/publish@0.1.0; }",
    "tidegate:sdk-publish/sdk-publish",
    "export_publish",
    "tidegate_plugin::bindings::publish"
);
hook!(
    publish_batch,
    "package tidegate:sdk-publish-batch; world sdk-publish-batch { export tidegate:plugin/publish-batch@0.1.0; }",
    "tidegate:sdk-publish-batch/sdk-publish-batch",
    "export_publish_batch",
    "tidegate_plugin::bindings::publish_batch"
);
hook!(
    subscribe,
    "package tidegate:sdk-subscribe; world sdk-subscribe { export tidegate:plugin/subscribe@0.1.0; }",
    "tidegate:sdk-subscribe/sdk-subscribe",
    "export_subscribe",
    "tidegate_plugin::bindings::subscribe"
);
hook!(
    subscribers,
    "package tidegate:sdk-subscribers; world sdk-subscribers { export tidegate:plugin/subscribers@0.1.0; }",
    "tidegate:sdk-subscribers/sdk-subscribers",
    "export_subscribers",
    "tidegate_plugin::bindings::subscribers"
);
hook!(
    deliver,
    "package tidegate:sdk-deliver; world sdk-deliver { export tidegate:plugin/deliver@0.1.0; }",
    "tidegate:sdk-deliver/sdk-deliver",
    "export_deliver",
    "tidegate_plugin::bindings::deliver"
);
hook!(
    storage,
    "package tidegate:sdk-storage; world sdk-storage { export tidegate:plugin/storage@0.1.0; }",
    "tidegate:sdk-storage/sdk-storage",
    "export_storage",
    "tidegate_plugin::bindings::storage",
    with {
        "tidegate:plugin/records@0.1.0": crate::bindings::lifecycle::tidegate::plugin::records
    }
);
hook!(
    events,
    "package tidegate:sdk-events; world sdk-events { export tidegate:plugin/events@0.1.0; }",
    "tidegate:sdk-events/sdk-events",
    "export_events",
    "tidegate_plugin::bindings::events"
);
hook!(
    timer_handler,
    "package tidegate:sdk-timer-handler; world sdk-timer-handler { export tidegate:plugin/timer-handler@0.1.0; }",
    "tidegate:sdk-timer-handler/sdk-timer-handler",
    "export_timer_handler",
    "tidegate_plugin::bindings::timer_handler",
    with {}
);

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
            world sdk-lifecycle {
                import tidegate:plugin/types@0.1.0;
                import tidegate:plugin/logging@0.1.0;
                import tidegate:plugin/config@0.1.0;
                import tidegate:plugin/kv@0.1.0;
                import tidegate:plugin/current@0.1.0;
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

pub mod auth {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "
            package tidegate:sdk-auth;
            world sdk-auth { export tidegate:plugin/auth@0.1.0; }
        ",
        world: "tidegate:sdk-auth/sdk-auth",
        with: { "tidegate:plugin/types@0.1.0": crate::bindings::lifecycle::tidegate::plugin::types },
        pub_export_macro: true,
        export_macro_name: "export_auth",
        default_bindings_module: "tidegate_plugin::bindings::auth",
    });
}

pub mod acl {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "
            package tidegate:sdk-acl;
            world sdk-acl { export tidegate:plugin/acl@0.1.0; }
        ",
        world: "tidegate:sdk-acl/sdk-acl",
        with: { "tidegate:plugin/types@0.1.0": crate::bindings::lifecycle::tidegate::plugin::types },
        pub_export_macro: true,
        export_macro_name: "export_acl",
        default_bindings_module: "tidegate_plugin::bindings::acl",
    });
}

pub mod publish {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "
            package tidegate:sdk-publish;
            world sdk-publish { export tidegate:plugin/publish@0.1.0; }
        ",
        world: "tidegate:sdk-publish/sdk-publish",
        with: { "tidegate:plugin/types@0.1.0": crate::bindings::lifecycle::tidegate::plugin::types },
        pub_export_macro: true,
        export_macro_name: "export_publish",
        default_bindings_module: "tidegate_plugin::bindings::publish",
    });
}

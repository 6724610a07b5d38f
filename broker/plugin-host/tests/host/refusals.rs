//! What is not taken, and what is said about it.

use crate::{guests, place::Place};
use std::fs;
use tidegate_plugin_host::{HostError, PluginHost, PluginState};

async fn reason(bytes: &[u8]) -> String {
    let place = Place::with("p.wasm", bytes);
    let reports = PluginHost::check(place.options()).await.unwrap();
    match &reports[0].state {
        PluginState::Refused { reason } => reason.clone(),
        state => panic!("{state:?}"),
    }
}

async fn component(text: &str) -> String {
    reason(&wat::parse_str(text).unwrap()).await
}

#[tokio::test]
async fn files_that_are_no_components() {
    assert!(reason(b"").await.ends_with("p.wasm: the file ends too early; copy it again"));
    assert!(reason(b"hello, this is no WebAssembly at all").await.contains("not a WebAssembly file"));
    assert!(reason(&wat::parse_str("(module)").unwrap()).await.contains("wasm-tools component new"));
    let whole = guests::next();
    for part in [9, 100, whole.len() / 2, whole.len() - 1] {
        assert!(reason(&whole[..part]).await.contains("p.wasm: "), "{part}");
    }
    // Cut between two sections it is a component all the same, but one without exports.
    let half = reason(&whole[..whole.len() / 2]).await;
    assert!(half.contains("ends too early") || half.contains("cut short"), "{half}");
}

#[tokio::test]
async fn components_that_do_not_fit() {
    let lifecycle = r#"(export "tidegate:plugin/lifecycle@0.1.0" (instance $none))"#;
    let with = |more: &str| format!("(component {more} (instance $none) {lifecycle})");
    let export = |name: &str| format!(r#"(component (instance $none) (export "{name}" (instance $none)))"#);
    let import = |name: &str| format!(r#"(component (import "{name}" (instance)))"#);
    assert!(
        component(&export("tidegate:plugin/acl@0.2.0"))
            .await
            .contains("built for plugin interface 0.2.0, this broker speaks 0.1.0")
    );
    assert!(
        component(&export("tidegate:plugin/bridge@0.1.0")).await.contains("not an interface of this broker")
    );
    assert!(
        component(&export("tidegate:plugin/acl@0.1.0"))
            .await
            .contains("does not export tidegate:plugin/lifecycle@0.1.0")
    );
    assert!(
        component(&with("")).await.contains("does not export tidegate:plugin/lifecycle"),
        "an empty one is none"
    );
    for version in ["0.3.0", "0.2.0-rc-2023-11-10", "0.1.0"] {
        let refused = component(&import(&format!("wasi:cli/stdout@{version}"))).await;
        assert!(refused.contains("the released 0.2 only"), "{refused}");
    }
    assert!(
        component(&import("tidegate:plugin/kv@0.3.0")).await.contains("imports tidegate:plugin/kv@0.3.0")
    );
    assert!(component(&import("other:package/thing")).await.contains("imports other:package/thing"));
    let no_hook = r#"(module (memory (export "memory") 1)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
        (func (export "tidegate:plugin/lifecycle@0.1.0#init") (param i32 i32 i64 i32 i32 i32 i32 i32) (result i32) unreachable)
        (func (export "tidegate:plugin/lifecycle@0.1.0#drain") (result i32) unreachable))"#;
    assert!(reason(&guests::component(no_hook, "base")).await.contains("exports no hook"));
}

#[tokio::test]
async fn hooks_and_scopes_that_make_no_sense() {
    assert!(reason(&guests::publish_twice()).await.contains("leave publish out if it takes batches"));
    let alone = r#"(module (memory (export "memory") 1)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
        (func (export "tidegate:plugin/lifecycle@0.1.0#init") (param i32 i32 i64 i32 i32 i32 i32 i32) (result i32) unreachable)
        (func (export "tidegate:plugin/lifecycle@0.1.0#drain") (result i32) unreachable)
        (func (export "tidegate:plugin/enhanced-auth@0.1.0#proceed") (param i32) (result i32) unreachable))"#;
    assert!(reason(&guests::exporting(alone, &["enhanced-auth"])).await.contains("export both"));
    assert!(
        reason(&guests::deliver("")).await.contains("must name topics in its scope or in scopes.deliver")
    );
    assert!(reason(&guests::deliver("a/#/b")).await.contains("topic filter \"a/#/b\""));
    assert!(reason(&guests::events("x", "publishd")).await.contains("events of kind \"publishd\""));
    let half = r#"(component (core module $m (func (export "f")))
        (core instance $i (instantiate $m))
        (func $f (canon lift (core func $i "f")))
        (instance $lifecycle (export "init" (func $f)) (export "drain" (func $f)))
        (instance $subscribers (export "select" (func $f)))
        (export "tidegate:plugin/lifecycle@0.1.0" (instance $lifecycle))
        (export "tidegate:plugin/subscribers@0.1.0" (instance $subscribers)))"#;
    assert!(component(half).await.contains("subscribers@0.1.0 lacks a function"));
}

#[tokio::test]
async fn a_guest_whose_init_says_no_or_never_ends() {
    assert!(reason(&guests::publish("bad")).await.ends_with("init failed: bad"));
    let place = Place::with("p.wasm", &guests::publish("slow")).table("p", "limits.init_timeout = '50ms'");
    let reports = PluginHost::check(place.options()).await.unwrap();
    assert!(reports[0].problem.as_ref().unwrap().ends_with("init failed: deadline passed"));
}

#[tokio::test]
async fn configurations_that_do_not_fit() {
    let place = Place::with("p.wasm", &guests::next()).table("p", "order = 1");
    place.write("p.toml", "order = 2");
    place.write("A.wasm", guests::next());
    place.write("q.wasm", guests::access());
    place.write("q.toml", "on_fault = 'next'");
    place.write("r.wasm", guests::next());
    place.write("r.toml", "ordr = 1");
    place.write("s.wasm", guests::next());
    place.write("s.toml", "scopes.acl = ['a']");
    place.write("t.wasm", guests::next());
    place.write("t.toml", "scopes.storage = ['a']");
    place.write("u.wasm", guests::next());
    place.write("u.toml", "on_deliver_fault = 'drop'");
    let reports = PluginHost::check(place.options()).await.unwrap();
    let problem =
        |name: &str| reports.iter().find(|report| report.name == name).unwrap().problem.clone().unwrap();
    assert!(problem("p").contains("configured twice, in [plugin.p] and in p.toml"));
    assert!(problem("A").contains("rename the file"));
    assert!(problem("q").contains("`on_fault = \"next\"` is set"));
    assert!(problem("r").contains("unknown field `ordr`") && problem("r").contains("r.toml"));
    assert!(problem("s").contains("`scopes.acl` is set"));
    assert!(problem("t").contains("unknown variant `storage`") && problem("t").contains("`deliver`"));
    assert!(problem("u").contains("does not export deliver"));
    assert!(place.registry.chain().members().is_empty(), "a check installs nothing");
}

#[tokio::test]
async fn a_start_names_all_required_plugins_that_do_not_run() {
    let place =
        Place::with("bad.wasm", b"").table("bad", "required = true").table("missing", "required = true");
    place.write("fine.wasm", guests::next());
    let error = place.try_start().await.unwrap_err();
    let HostError::Required(problems) = &error else { panic!("{error}") };
    assert_eq!(problems.len(), 2);
    assert!(error.to_string().contains("bad.wasm: the file ends too early"));
    assert!(error.to_string().contains("missing.wasm is not there"));
    assert!(place.registry.chain().members().is_empty());
}

#[tokio::test]
async fn a_start_without_the_folder_is_an_error_and_without_plugins_is_none() {
    let place = Place::new();
    assert!(place.try_start().await.unwrap().1.is_empty());
    fs::remove_dir(place.folder.path().join("plugins")).unwrap();
    assert!(matches!(place.try_start().await, Err(HostError::Folder { .. })));
}

#[tokio::test]
async fn a_plugin_that_is_bad_but_not_required_harms_no_other() {
    let place = Place::with("bad.wasm", b"nonsense").table("absent", "order = 3");
    place.write("fine.wasm", guests::publish("one"));
    let (_host, reports) = place.try_start().await.unwrap();
    let states: Vec<_> = reports.iter().map(|report| (report.name.as_str(), &report.state)).collect();
    assert_eq!(states[0], ("absent", &PluginState::Waiting));
    assert!(matches!(states[1], ("bad", PluginState::Refused { .. })));
    assert_eq!(states[2], ("fine", &PluginState::Running));
    assert_eq!(place.edited("e").await, "one");
}

#[tokio::test]
async fn plugins_stand_in_order_then_by_name() {
    let place = Place::with("b.wasm", &guests::next()).table("z", "order = -1");
    place.write("a.wasm", guests::next());
    place.write("z.wasm", guests::next());
    let _host = place.start().await;
    let chain = place.registry.chain();
    let names: Vec<&str> = chain.members().iter().map(|member| &*member.place.name).collect();
    assert_eq!(names, ["z", "a", "b"]);
}

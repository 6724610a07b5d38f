//! `tidegate plugin check`.

use crate::{bad, folder, good, text, written};
use serde_json::Value;
use std::fs;
use tidegate_tests::{guest, plugin};

#[test]
fn it_says_hooks_imports_grants_size_and_interface_and_starts_it() {
    let said = good(&folder(), &["check", text(&guest("every-hook"))]);
    for part in [
        "interface   tidegate:plugin 0.1.0",
        "hooks       auth, enhanced-auth, acl, publish",
        "grants.publish     for broker: publish",
        "starts      in ",
        "\nok",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    let json = good(&folder(), &["check", "--json", text(&plugin("stamp"))]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (json["interface"].as_str(), &json["hooks"]),
        (Some("0.1.0"), &serde_json::json!(["publish"]))
    );
    assert_eq!(json["bytes"].as_u64(), Some(fs::metadata(plugin("stamp")).unwrap().len()));
    assert!(json["started"]["instance_memory"].as_u64() > Some(0));
}

#[test]
fn what_is_no_plugin_is_refused_with_file_reason_and_remedy() {
    let folder = folder();
    let stamp = fs::read(plugin("stamp")).unwrap();
    let other_version = replaced(&stamp, b"@0.1.0", b"@0.3.0");
    for (name, bytes, complaint) in [
        (
            "text.wasm",
            b"hello, this is text".to_vec(),
            "not a WebAssembly file; build a component, for example with `tidegate plugin build`",
        ),
        ("core.wasm", b"\0asm\x01\0\0\0".to_vec(), "a core module, not a component; turn it into one"),
        ("cut.wasm", stamp[..stamp.len() / 2].to_vec(), "the file ends too early; copy it again"),
        ("next.wasm", other_version, "built for plugin interface 0.3.0, this broker speaks 0.1.0"),
    ] {
        let file = written(&folder, name, bytes);
        let (_, complained) = bad(&folder, &["check", &file]);
        assert!(complained.starts_with(&format!("tidegate: {name}: {complaint}")), "{complained}");
    }
    let (_, complained) = bad(&folder, &["check", "none.wasm"]);
    assert!(complained.starts_with("tidegate: none.wasm: No such file"), "{complained}");
}

#[test]
fn a_component_of_another_world_is_refused() {
    // The smallest component there is.
    let folder = folder();
    let file = written(&folder, "other.wasm", b"\0asm\x0d\0\x01\0");
    let (said, complained) = bad(&folder, &["check", &file]);
    assert!(said.contains("interface   none of tidegate:plugin"), "{said}");
    assert!(
        complained.contains("does not export tidegate:plugin/lifecycle@0.1.0, which every plugin must"),
        "{complained}"
    );
}

#[test]
fn a_table_is_that_of_the_plugin_folder() {
    let folder = folder();
    let table = written(&folder, "stamp.toml", "scopes.publish = [\"a/#\"]\n[config]\nfield = \"seen\"\n");
    let said = good(&folder, &["check", text(&plugin("stamp")), "--table", &table]);
    assert!(said.contains("scope       publish: a/#, wants payload"), "{said}");
    let table = written(&folder, "stamp.toml", "[config]\nfeild = \"seen\"\n");
    let (_, complained) = bad(&folder, &["check", text(&plugin("stamp")), "--table", &table]);
    assert!(complained.contains("config key `feild`"), "{complained}");
}

/// All of `from` as `to`, of the same length.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    for at in 0..bytes.len().saturating_sub(from.len()) {
        if bytes[at..].starts_with(from) {
            bytes[at..at + to.len()].copy_from_slice(to);
        }
    }
    bytes
}

//! Versions of the plugin interface that were released stay as they are, and plugins built for them go on working.

use crate::{folder, good, text};
use std::{fs, path::Path};

const RELEASED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/interface-0.1");

#[test]
fn interface_0_1_is_frozen() {
    let read = |path: &Path| fs::read_to_string(path).unwrap();
    let now = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit/plugin.wit"));
    let then = read(&Path::new(RELEASED).join("plugin.wit"));
    // Comments may become better.
    let bare = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default().trim().to_owned());
        lines.filter(|line| !line.is_empty()).collect()
    };
    assert!(bare(&now) == bare(&then), "0.1 was released: a change is a new version, beside this one");
}

#[test]
fn a_plugin_that_was_built_for_0_1_answers_in_every_hook() {
    let file = |name: &str| Path::new(RELEASED).join(name);
    let (component, scenario) = (file("every-hook.wasm"), file("hooks.jsonl"));
    let folder = folder();
    let said = good(&folder, &["check", text(&component)]);
    assert!(said.contains("interface   tidegate:plugin 0.1.0"), "{said}");
    let said = good(&folder, &["test", text(&component), text(&scenario)]);
    assert!(said.ends_with(", 0 wrong"), "{said}");
}

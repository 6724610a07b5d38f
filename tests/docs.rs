//! What users can set or see has its line in `docs/`. The broker itself says what there is.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeSet, fs, path::Path};
use tidegate_mqtt::{QoS, Version};
use tidegate_tests::{Client, Folder, plugin};

fn documentation(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)).unwrap()
}

/// The keys of a section, as the refusal of an unknown one lists them.
fn keys(section: &str) -> Vec<String> {
    let folder = Folder::new("");
    // Whole, so that nothing but the key is wrong.
    fs::write(folder.config(), format!("{section}\nzzzzzzzz = 1\n")).unwrap();
    let refused = folder.run(&["check", "-c", "tidegate.toml"]);
    let line = refused.stderr.join("\n");
    let (_, keys) = line.split_once("known here: ").unwrap_or_else(|| panic!("{section}: {line}"));
    keys.split(", ").map(str::to_owned).collect()
}

#[test]
fn every_config_key_has_its_line() {
    let text = documentation("docs/config.md");
    let sections = [
        "",
        "[[listener]]\naddress = \"127.0.0.1:0\"",
        "[limits]",
        "[log]",
        "[plugin.x]",
        "[plugin.x.grants]",
        "[plugin.x.limits]",
    ];
    let keys: BTreeSet<String> = sections.iter().flat_map(|section| keys(section)).collect();
    assert!(keys.len() > 30, "{keys:?}");
    for key in keys {
        let has_line = text.contains(&format!("| `{key}` |"));
        let has_section = text.contains(&format!("## `[[{key}]]`")) || text.contains(&format!("## `[{key}"));
        assert!(has_line || has_section, "docs/config.md says nothing of {key}");
    }
}

#[test]
fn every_sys_topic_has_its_line() {
    let folder = Folder::new("sys_interval = 1\n");
    folder.install_plugin("stamp", &plugin("stamp"));
    let broker = folder.start();
    let mut client = Client::connect(&broker, Version::V5, "c");
    client.subscribe("$SYS/#", QoS::AtMostOnce);
    let text = documentation("docs/sys.md");
    let expected = text.lines().filter(|line| line.starts_with("| `")).count();
    let mut seen = BTreeSet::new();
    while seen.len() < expected {
        let topic = client.message().topic.replace("/stamp/", "/NAME/");
        let topic = topic.strip_prefix("$SYS/broker/").unwrap().to_owned();
        assert!(text.contains(&format!("| `{topic}` |")), "docs/sys.md says nothing of {topic}");
        seen.insert(topic);
    }
}

#[test]
fn every_command_and_flag_is_in_the_readme_or_the_docs() {
    let text = documentation("README.md") + &documentation("docs/config.md");
    let help = Folder::new("").run(&["--help"]).stdout.join("\n");
    for word in
        help.split_whitespace().map(|word| word.trim_matches(|c: char| !c.is_alphanumeric() && c != '-'))
    {
        if word.starts_with("--") {
            assert!(text.contains(word), "{word} is nowhere");
        }
    }
    assert!(help.contains("check") && text.contains("tidegate check"));
}

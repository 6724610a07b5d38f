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
    // A plugin need not have metrics of its own.
    let expected = text.lines().filter(|line| line.starts_with("| `") && !line.contains("/METRIC`")).count();
    let mut seen = BTreeSet::new();
    while seen.len() < expected {
        let topic =
            client.message().topic.replace("/stamp/", "/NAME/").replace("/hooks/publish/", "/hooks/HOOK/");
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

#[test]
fn every_option_of_bench_has_its_line() {
    let page = documentation("docs/bench.md");
    let help = |arguments: &[&str]| Folder::new("").run(arguments).stdout.join("\n");
    let list = help(&["bench", "--help"]);
    let (_, commands) = list.split_once("Commands:").unwrap();
    let (commands, _) = commands.split_once("\n\n").unwrap();
    let names = commands.lines().filter_map(|line| line.split_whitespace().next());
    let names: Vec<&str> = names.filter(|name| *name != "help").collect();
    assert!(names.len() >= 9, "{names:?}");
    for name in names {
        assert!(page.contains(&format!("| `{name}` |")), "docs/bench.md has no scenario {name}");
        let help = help(&["bench", name, "--help"]);
        let options = help.lines().filter_map(|line| line.split_whitespace().next());
        let options = options.filter(|word| word.starts_with("--"));
        let mut count = 0;
        for option in options.map(|option| option.trim_end_matches(',')) {
            count += 1;
            let line = page.lines().find(|line| {
                line.starts_with('|') && line.contains(&format!("`{option}")) && in_scenario(line, name)
            });
            assert!(line.is_some(), "docs/bench.md says nothing of {option} in {name}");
        }
        assert!(count > 10, "{name}: {help}");
    }
}

#[test]
fn every_option_of_the_tools_for_authors_has_its_line() {
    let page = documentation("docs/plugin-tools.md");
    for (command, heading) in [
        (&["plugin", "new"][..], "## `tidegate plugin new "),
        (&["plugin", "build"], "## `tidegate plugin build "),
        (&["plugin", "check"], "## `tidegate plugin check "),
        (&["plugin", "test"], "## `tidegate plugin test "),
        (&["plugin", "bench"], "## `tidegate plugin bench "),
        (&["record"], "## `tidegate record "),
    ] {
        let (_, section) = page.split_once(heading).unwrap();
        let section = section.split("\n## ").next().unwrap();
        let help = Folder::new("").run(&[command, &["--help"]].concat()).stdout.join("\n");
        let words = help.lines().filter_map(|line| {
            line.split_whitespace()
                .find(|word| word.starts_with("--"))
                .filter(|_| line.trim_start().starts_with('-'))
        });
        let mut count = 0;
        // Those of every command are in docs/config.md.
        for option in words.filter(|word| !["--help", "--config"].contains(word)) {
            count += 1;
            assert!(
                section.contains(&format!("| `{option}")),
                "docs/plugin-tools.md says nothing of {option} in {command:?}"
            );
        }
        assert!(count >= 2, "{command:?}: {help}");
    }
}

/// Whether a line is about all scenarios, or this one: a column in the middle says which.
fn in_scenario(line: &str, name: &str) -> bool {
    let columns: Vec<&str> = line.trim_matches('|').split(" | ").collect();
    let [_, scenarios, _] = columns[..] else { return true };
    let all_but = scenarios.strip_prefix("all but ");
    let others = all_but.is_some_and(|but| !but.contains(&format!("`{name}`")));
    others || all_but.is_none() && scenarios.contains(&format!("`{name}`"))
}

/// What an interface of `wit/plugin.wit` declares: its functions, and its types with their fields and cases.
fn declared(interface: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let functions = interface.lines().filter_map(|line| line.split_once(": func("));
    names.extend(functions.map(|(name, _)| name.trim().to_owned()));
    for kind in ["record", "variant", "enum"] {
        for declaration in interface.split(&format!("\n  {kind} ")).skip(1) {
            let (name, body) = declaration.split_once('{').unwrap();
            let (body, _) = body.split_once('}').unwrap();
            names.insert(name.trim().to_owned());
            match kind {
                "record" => names.extend(fields(body)),
                _ => names.extend(cases(body)),
            }
        }
    }
    names
}

/// Whatever stands before a colon.
fn fields(body: &str) -> Vec<String> {
    let (before_types, _) = body.rsplit_once(':').unwrap_or_default();
    before_types.split(':').filter_map(|text| text.split_whitespace().last()).map(str::to_owned).collect()
}

/// Whatever stands between commas, types left out.
fn cases(body: &str) -> Vec<String> {
    let mut depth = 0;
    let outside_brackets = |c: &char| {
        depth += i32::from(*c == '(') - i32::from(*c == ')');
        depth == 0 && *c != ')'
    };
    let names: String = body.chars().filter(outside_brackets).collect();
    names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[test]
fn every_interface_function_and_field_is_in_the_page_on_wit() {
    let page = documentation("docs/wit.md");
    let wit = documentation("wit/plugin.wit");
    let without_comments: Vec<&str> =
        wit.lines().map(|line| line.split_once("//").map_or(line, |(line, _)| line)).collect();
    let wit = without_comments.join("\n");
    let interfaces: Vec<&str> = wit.split("\ninterface ").skip(1).collect();
    assert!(interfaces.len() > 15, "{}", interfaces.len());
    for interface in interfaces {
        let (name, body) = interface.split_once('{').unwrap();
        let (body, _) = body.split_once("\n}").unwrap();
        let name = name.trim();
        let section = page.split_once(&format!("\n## `{name}`\n"));
        let (_, section) = section.unwrap_or_else(|| panic!("docs/wit.md has no section `{name}`"));
        let section = section.split("\n## ").next().unwrap();
        let declared = declared(body);
        assert!(!declared.is_empty(), "{name}");
        for word in declared {
            assert!(section.contains(&format!("`{word}`")), "docs/wit.md says nothing of {name}.{word}");
        }
    }
    for world in wit.split("\nworld ").skip(1) {
        let (name, _) = world.split_once('{').unwrap();
        assert!(page.contains(&format!("`{}`", name.trim())), "docs/wit.md says nothing of world {name}");
    }
}

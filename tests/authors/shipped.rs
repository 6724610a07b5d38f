//! The scenarios of all plugins that are shipped.

use crate::folder;
use std::{fs, path::Path};
use tidegate_tests::{Finished, plugin};

#[test]
fn every_shipped_plugin_answers_as_its_scenarios_say() {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins");
    let mut without = Vec::new();
    let mut files = 0;
    for entry in fs::read_dir(plugins).unwrap() {
        let place = entry.unwrap().path();
        let name = place.file_name().unwrap().to_string_lossy().into_owned();
        let Ok(scenarios) = fs::read_dir(place.join("scenarios")) else {
            without.push(name);
            continue;
        };
        let mut scenarios: Vec<String> =
            scenarios.map(|file| file.unwrap().path().to_string_lossy().into_owned()).collect();
        scenarios.sort();
        files += scenarios.len();
        let component = plugin(&name);
        let mut arguments = vec!["plugin", "test", component.to_str().unwrap()];
        arguments.extend(scenarios.iter().map(String::as_str));
        let Finished { stdout, stderr, code } = folder().run(&arguments);
        assert_eq!(code, Some(0), "{name}:\n{}\n{stderr:?}", stdout.join("\n"));
    }
    without.sort();
    // Stores are asked by the broker only: `durable.rs`, `tests/stores`.
    assert_eq!(without, ["store-crypt", "store-redis"], "every other plugin has scenarios");
    assert!(files > 10, "{files} files");
}

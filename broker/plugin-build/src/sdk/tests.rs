use super::*;
use toml::{Table, Value};

fn table(text: &str) -> Table {
    text.parse().expect("it is TOML")
}

fn workspace(manifest: &Table) -> &Table {
    manifest["workspace"].as_table().expect("a workspace")
}

#[test]
fn the_workspace_that_projects_get_has_the_versions_of_the_broker() {
    let root = table(include_str!("../../../../Cargo.toml"));
    let embedded = table(RUST_SDK.iter().find(|(file, _)| *file == "Cargo.toml").expect("embedded").1);
    let (root, embedded) = (workspace(&root), workspace(&embedded));
    assert_eq!(embedded["package"], root["package"]);
    let dependencies = embedded["dependencies"].as_table().expect("a table");
    assert!(dependencies.len() > 5);
    for (name, version) in dependencies {
        match name.as_str() {
            "tidegate-mqtt" => assert_eq!(version["path"], Value::from("mqtt")),
            name => assert_eq!(Some(version), root["dependencies"].get(name), "{name}"),
        }
    }
}

#[test]
fn what_another_version_brought_is_seen_and_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for language in [Language::Rust, Language::C, Language::Javascript, Language::Python] {
        let _ = fs::remove_dir_all(place(folder));
        assert_eq!(Sdk::of(language, folder), Sdk::Missing);
        Sdk::write(language, folder).unwrap();
        assert_eq!(Sdk::of(language, folder), Sdk::Current);
        let written = fs::metadata(wit(language, folder)).unwrap().modified().unwrap();

        let old = place(folder).join("old/file");
        fs::create_dir(old.parent().unwrap()).unwrap();
        fs::write(&old, "of a version before").unwrap();
        let (changed, _) = sources(language)[0];
        fs::write(place(folder).join(changed), "something else").unwrap();
        assert_eq!(Sdk::of(language, folder), Sdk::Other);
        Sdk::write(language, folder).unwrap();
        assert_eq!(Sdk::of(language, folder), Sdk::Current);
        assert!(!old.exists());
        let unchanged = fs::metadata(wit(language, folder)).unwrap().modified().unwrap();
        assert!(changed.ends_with("plugin.wit") || unchanged == written, "{language:?}");
    }
}

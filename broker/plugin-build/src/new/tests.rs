use super::*;
use clap::ValueEnum;
use std::collections::BTreeSet;

fn template(name: &str, language: Language, hook: Hook) -> Template<'_> {
    Template { name, language, hook }
}

/// Every language with every hook that it may begin with.
fn all() -> impl Iterator<Item = Template<'static>> {
    Language::value_variants().iter().flat_map(|&language| {
        Hook::value_variants().iter().map(move |&hook| template("shout", language, hook))
    })
}

#[test]
fn each_language_has_a_template_of_each_hook() {
    let mut seen = BTreeSet::new();
    for template in all() {
        let files: Vec<(PathBuf, String)> = template.files().collect();
        let about = format!("{} {}", template.language.key(), template.hook);
        for expected in
            [template.language.usual_source(), "scenarios/first.jsonl", "README.md", ".gitignore", MANIFEST]
        {
            let found: Vec<_> = files.iter().filter(|(path, _)| path == Path::new(expected)).collect();
            assert_eq!(found.len(), 1, "{about}: {expected}");
        }
        for (path, content) in &files {
            let words = content.split("{{").skip(1).filter_map(|rest| rest.split_once("}}"));
            let unfilled = words.filter(|(word, _)| word.chars().all(|c| c.is_ascii_lowercase())).count();
            assert_eq!(unfilled, 0, "{about}: {}", path.display());
        }
        seen.insert(about);
    }
    assert_eq!(seen.len(), 5 * Hook::value_variants().len(), "{seen:?}");
}

#[test]
fn names_are_those_that_the_broker_takes() {
    let parent = tempfile::tempdir().unwrap();
    for name in ["Shout", "a b", "a.b", "", "../a", "a/b", "ü"] {
        let failure = template(name, Language::C, Hook::Publish).write(parent.path()).unwrap_err();
        let expected = format!("{name:?} is no name for a plugin: it is made of a to z, 0 to 9, - and _");
        assert_eq!(failure.to_string(), expected);
    }
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0, "nothing is left of them");
}

#[test]
fn nothing_of_anybodys_is_written_over() {
    let parent = tempfile::tempdir().unwrap();
    let shout = template("shout", Language::C, Hook::Publish);
    fs::create_dir(parent.path().join("shout")).unwrap();
    shout.write(parent.path()).expect("an empty folder is free");
    let failure = shout.write(parent.path()).unwrap_err().to_string();
    assert!(
        failure.ends_with(
            "shout is there already, and is not an empty folder: choose another name, or remove it"
        )
    );
    fs::write(parent.path().join("file"), "mine").unwrap();
    let failure = template("file", Language::C, Hook::Publish).write(parent.path()).unwrap_err();
    assert!(matches!(failure, Failure::Taken(_)), "{failure}");
    assert_eq!(fs::read_to_string(parent.path().join("file")).unwrap(), "mine");
}

#[test]
fn a_project_that_cannot_be_finished_leaves_nothing_behind() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("shout");
    let fill = || {
        files::write(&folder.join("src/lib.rs"), b"")?;
        files::write(&folder.join("README.md"), b"")?;
        files::write(&folder.join("README.md/no-folder"), b"")
    };
    let failure = whole_or_nothing(&folder, fill).unwrap_err();
    assert!(failure.to_string().contains("README.md"), "{failure}");
    assert!(!folder.exists());
    fs::create_dir(&folder).unwrap();
    whole_or_nothing(&folder, fill).unwrap_err();
    assert!(folder.is_dir() && files::is_free(&folder), "the folder was there before");
}

#[test]
fn a_package_has_a_name_that_cargo_takes() {
    let package = |name| template(name, Language::Rust, Hook::Publish).package();
    for (name, expected) in [
        ("shout", "shout"),
        ("2nd", "plugin-2nd"),
        ("_x", "plugin-_x"),
        ("core", "plugin-core"),
        ("a-1", "a-1"),
    ] {
        assert_eq!(package(name), expected);
    }
}

/// `xtask` and tests share what these lists bring.
#[test]
fn compilers_are_those_that_the_guests_of_tests_are_made_by() {
    let embedded = |path: &str| TEMPLATES.iter().find(|(file, _)| *file == path).expect("embedded").1;
    assert_eq!(
        embedded("c/project/requirements.txt"),
        include_str!("../../../../tests/languages/c/requirements.txt")
    );
    assert_eq!(
        embedded("python/project/requirements.txt"),
        include_str!("../../../../tests/languages/python/requirements.txt")
    );
    let version = |package: &str, list: &str| {
        let list: serde_json::Value = serde_json::from_str(list).unwrap();
        ["dependencies", "devDependencies", "overrides"]
            .iter()
            .find_map(|key| list[key][package].as_str().map(str::to_owned))
    };
    for package in ["componentize-qjs", "@bytecodealliance/componentize-js"] {
        let guests = version(package, include_str!("../../../../tests/languages/javascript/package.json"));
        assert!(guests.is_some(), "{package}");
        for language in ["javascript", "typescript"] {
            assert_eq!(
                version(package, embedded(&format!("{language}/project/package.json"))),
                guests,
                "{package}"
            );
        }
    }
}

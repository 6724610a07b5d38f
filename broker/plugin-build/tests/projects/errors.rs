//! What is wrong, and what to do about it. No compiler runs.

use crate::workplace::{Said, Workplace};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

#[test]
fn an_unknown_language_is_refused_with_those_there_are() {
    let workplace = Workplace::new();
    let made = workplace.run(&["new", "--lang", "cobol", "shout"]);
    assert_eq!(made.code, Some(2), "{made:?}");
    assert!(
        made.complained.contains("[possible values: rust, c, javascript, typescript, python]"),
        "{made:?}"
    );
    let made = workplace.run(&["new", "--lang", "c", "shout", "--hook", "storage"]);
    assert!(made.complained.contains("possible values: auth, acl, publish, subscribe,"), "{made:?}");
}

#[test]
fn a_name_that_the_broker_does_not_take_is_refused() {
    let made = Workplace::new().run(&["new", "--lang", "c", "Shout"]);
    let expected = "tidegate: \"Shout\" is no name for a plugin: it is made of a to z, 0 to 9, - and _";
    assert_eq!(made.failure(), expected);
}

#[test]
fn a_folder_that_is_there_stays_as_it_is() {
    let project = Workplace::with_project(&["--lang", "c"]);
    fs::write(project.file("plugin.c"), "mine").unwrap();
    let made = project.run(&["new", "--lang", "c", "shout"]);
    assert!(made.failure().starts_with("tidegate: shout is there already"), "{made:?}");
    assert_eq!(fs::read_to_string(project.file("plugin.c")).unwrap(), "mine");
}

#[test]
fn a_folder_without_manifest_is_no_project() {
    let workplace = Workplace::new();
    for arguments in [&["build"][..], &["build", "nowhere"]] {
        let built = workplace.run(arguments);
        assert!(built.failure().contains(" has no tidegate-plugin.toml: "), "{built:?}");
    }
}

#[test]
fn a_folder_for_compilers_loses_no_files_of_somebody_else() {
    for language in ["c", "python"] {
        let project = Workplace::with_project(&["--lang", language]);
        let mine = project.file("mine/letter");
        fs::create_dir(project.file("mine")).unwrap();
        fs::write(&mine, "mine").unwrap();
        let built = project.run(&["build", "shout", "--tools", "shout/mine"]);
        let expected = "mine is there already, and is neither empty nor a virtual environment of Python: name another folder";
        assert!(built.failure().contains(expected), "{built:?}");
        assert_eq!(fs::read_to_string(mine).unwrap(), "mine");
        fs::create_dir(project.file(".venv")).unwrap();
        fs::write(project.file(".venv/letter"), "mine").unwrap();
        let built = project.run(&["build", "shout"]);
        assert!(built.failure().contains(".venv is there already"), "{built:?}");
        assert_eq!(fs::read_to_string(project.file(".venv/letter")).unwrap(), "mine");
    }
}

/// What each language needs first, and what brings it.
const TOOLS: [(&str, &str, &str, &str); 4] = [
    ("rust", "rustc", "Rust (rustc)", "https://rustup.rs"),
    ("c", "python3", "Python (python3)", "`sudo apt-get install python3 python3-venv`"),
    ("typescript", "node", "Node.js (node)", "`sudo apt-get install nodejs npm`"),
    ("python", "python3", "Python (python3)", "`sudo apt-get install python3 python3-venv`"),
];

#[test]
fn a_tool_that_is_missing_is_named_with_what_brings_it() {
    let nothing = tempfile::tempdir().unwrap();
    for (language, _, what, remedy) in TOOLS {
        let failure = built_with_path(language, nothing.path());
        assert!(failure.starts_with(&format!("tidegate: {what} is missing. ")), "{failure}");
        assert!(failure.contains(remedy), "{failure}");
    }
}

#[test]
fn a_tool_that_is_too_old_is_named_with_what_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    for (language, program, what, remedy) in TOOLS {
        let path = folder.path().join(program);
        fs::write(&path, "#!/bin/sh\necho old 1.2.3\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let failure = built_with_path(language, folder.path());
        let expected = format!("tidegate: {what} 1.2.3 is too old: ");
        assert!(failure.starts_with(&expected) && failure.contains(" or newer is needed. "), "{failure}");
        assert!(failure.contains(remedy), "{failure}");
    }
}

#[test]
fn a_registry_that_is_out_of_reach_is_named() {
    for (language, list, remedy) in [
        ("c", "requirements.txt", "PIP_INDEX_URL?"),
        ("python", "requirements.txt", "PIP_INDEX_URL?"),
        ("javascript", "package-lock.json", "(`npm ping`)? If"),
        ("typescript", "package-lock.json", "(`npm ping`)? If"),
    ] {
        let project = Workplace::with_project(&["--lang", language]);
        let mut build = project.command(&["build", "shout"]);
        let nowhere = "http://127.0.0.1:9/";
        build.env("PIP_INDEX_URL", nowhere).env("PIP_FIND_LINKS", "").env("PIP_RETRIES", "0");
        build.env("PIP_NO_CACHE_DIR", "1").env("npm_config_cache", project.file("cache"));
        build.env("npm_config_registry", nowhere).env("npm_config_fetch_retries", "0");
        let built = Said::by(&mut build);
        let failure = built.failure();
        assert!(failure.starts_with("tidegate: the packages of ") && failure.contains(list), "{built:?}");
        assert!(
            failure.contains("could not be installed, see above") && failure.contains(remedy),
            "{built:?}"
        );
        // What pip and npm say themselves.
        let own = if list == "requirements.txt" { "ERROR: " } else { "npm error" };
        assert!(built.complained.contains(own), "{built:?}");
    }
}

/// What `build` says at last if there are no programs but those in this folder.
fn built_with_path(language: &str, path: &Path) -> String {
    let project = Workplace::with_project(&["--lang", language]);
    let mut build = project.command(&["build", "shout"]);
    build.env("PATH", path).env_remove("CARGO").env_remove("RUSTC");
    Said::by(&mut build).failure().to_owned()
}

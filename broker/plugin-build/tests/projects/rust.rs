//! Rust, by Cargo: for the target if it is installed, else by Debian's compiler.

use crate::workplace::{Workplace, languages};
use std::{fs, process::Command};

/// One project for all of it: each would compile the SDK again.
#[test]
fn a_project_in_rust() {
    let project = Workplace::with_project(&["--lang", "rust"]);
    becomes_a_component(&project);
    begins_with_the_versions_of_the_broker(&project);
    passes_its_own_tests(&project);
    what_the_compiler_says_is_shown(&project);
    without_exports_it_is_no_plugin(&project);
}

fn becomes_a_component(project: &Workplace) {
    let interfaces = project.built();
    assert!(interfaces.exports("lifecycle") && interfaces.exports("publish"), "{interfaces}");
    assert_eq!(interfaces.exports.len(), 2, "{interfaces}");
}

fn begins_with_the_versions_of_the_broker(project: &Workplace) {
    // Name, version and checksum: which dependencies of those are used is another matter.
    let packages = |lock: &str| -> Vec<String> {
        let packages = lock.split("[[package]]").filter(|package| package.contains("source ="));
        packages
            .filter_map(|package| package.split("\ndependencies").next())
            .map(|p| p.trim().to_owned())
            .collect()
    };
    let ours = packages(include_str!("../../../../Cargo.lock"));
    let theirs = packages(&fs::read_to_string(project.file("Cargo.lock")).unwrap());
    assert!(theirs.len() > 20, "{theirs:?}");
    let others: Vec<_> = theirs.iter().filter(|package| !ours.contains(package)).collect();
    assert!(others.is_empty(), "{others:?}");
}

fn passes_its_own_tests(project: &Workplace) {
    let mut test = Command::new(std::env::var_os("CARGO").unwrap());
    test.args(["test", "--quiet"]).current_dir(project.file("."));
    test.env("CARGO_TARGET_DIR", languages().join("rust"));
    assert!(test.status().unwrap().success());
}

fn what_the_compiler_says_is_shown(project: &Workplace) {
    project.edit("src/lib.rs", "Ok(Self(config))", "Ok(Shelf(config))");
    let built = project.build();
    assert!(built.failure().contains("cargo build --target wasm32-unknown-unknown"), "{built:?}");
    assert!(built.failure().ends_with("exit status: 101"), "{built:?}");
    assert!(
        built.complained.contains("cannot find function, tuple struct or tuple variant `Shelf`"),
        "{built:?}"
    );
}

fn without_exports_it_is_no_plugin(project: &Workplace) {
    fs::write(project.file("src/lib.rs"), "").unwrap();
    let built = project.build();
    let expected = "the component exports no `lifecycle`, so it is no plugin: src/lib.rs needs `tidegate_plugin::export!`";
    assert!(built.failure().contains(expected), "{built:?}");
}

//! Where the broker and the plugins were built.

use std::path::PathBuf;

/// The broker: `TIDEGATE_BIN`, or `target/<profile>/tidegate` beside the test.
///
/// # Panics
/// If it is not built.
pub fn broker_binary() -> PathBuf {
    let path = std::env::var_os("TIDEGATE_BIN").map_or_else(|| profile_dir().join("tidegate"), PathBuf::from);
    assert!(
        path.is_file(),
        "{} is not there; build it (cargo build -p tidegate, with the profile of the tests) or set TIDEGATE_BIN",
        path.display()
    );
    path
}

/// The component `NAME.wasm`: in `TIDEGATE_PLUGINS`, or in `target/plugins` beside the profile's folder.
///
/// # Panics
/// If it is not built.
pub fn plugin(name: &str) -> PathBuf {
    component(name, "plugins", "TIDEGATE_PLUGINS")
}

/// A component that is for tests only: in `TIDEGATE_GUESTS`, or in `target/guests` beside the profile's folder.
///
/// # Panics
/// If it is not built.
pub fn guest(name: &str) -> PathBuf {
    component(name, "guests", "TIDEGATE_GUESTS")
}

/// New projects of plugins, `LANGUAGE/HOOK`: in `TIDEGATE_PROJECTS`, or in `target/projects` beside the profile's folder.
///
/// # Panics
/// If they are not made.
pub fn new_projects() -> PathBuf {
    let beside_profile = || profile_dir().parent().map(|target| target.join("projects")).unwrap_or_default();
    let dir = std::env::var_os("TIDEGATE_PROJECTS").map_or_else(beside_profile, PathBuf::from);
    assert!(
        dir.is_dir(),
        "{} is not there; make it (cargo xtask plugins --guests) or set TIDEGATE_PROJECTS",
        dir.display()
    );
    dir
}

/// The shared library `libNAME.so`, in `target/<profile>`.
///
/// # Panics
/// If it is not built.
pub fn library(name: &str) -> PathBuf {
    let path = profile_dir().join(format!("lib{name}.so"));
    assert!(path.is_file(), "{} is not there; build the whole workspace", path.display());
    path
}

fn component(name: &str, folder: &str, variable: &str) -> PathBuf {
    let beside_profile = || profile_dir().parent().map(|target| target.join(folder)).unwrap_or_default();
    let dir = std::env::var_os(variable).map_or_else(beside_profile, PathBuf::from);
    let path = dir.join(name).with_extension("wasm");
    assert!(
        path.is_file(),
        "{} is not there; build it (cargo xtask plugins --guests) or set {variable} to its folder",
        path.display()
    );
    path
}

/// A folder that stays from one run to the next.
pub(crate) fn compile_cache() -> PathBuf {
    profile_dir().join("../tmp/cache")
}

/// `target/<profile>`: binaries lie in it, tests in its `deps`.
fn profile_dir() -> PathBuf {
    let own = std::env::current_exe().expect("a program knows its own path");
    let folder = own.parent().expect("a program lies in a folder");
    if folder.ends_with("deps") { folder.parent().unwrap_or(folder).to_owned() } else { folder.to_owned() }
}

//! Rust, by Cargo.

use super::route::Route;
use crate::{
    Failure,
    build::Project,
    command::{run_for_output, shown},
    component,
    tools::{self, CARGO, RUST},
};
use serde::Deserialize;
use std::{fs, path::PathBuf};

pub(crate) fn build(project: &Project<'_>) -> Result<Vec<u8>, Failure> {
    RUST.find()?;
    CARGO.find()?;
    let route = Route::find(project.folder, |packages| {
        if packages.iter().all(|package| tools::debian_has(package)) {
            return Ok(());
        }
        Err(Failure::Missing {
            what: "Rust's target wasm32-unknown-unknown",
            remedy: format!(
                "With rustup: `rustup target add wasm32-unknown-unknown`. Where that is not to be had, on Debian and its kin: \
                 `sudo apt-get install {}`.",
                packages.join(" ")
            ),
        })
    })?;
    let mut cargo = route.cargo_build(project.folder)?;
    cargo.args(["--release", "--lib", "--message-format", "json-render-diagnostics"]);
    let command = shown(&cargo);
    let messages = run_for_output(&mut cargo)?;
    let module = module(&messages).ok_or(Failure::Answer {
        command,
        why: "it made no wasm: Cargo.toml needs `crate-type = [\"cdylib\", …]`",
    })?;
    component::of_module(&fs::read(&module).map_err(Failure::file("read", &module))?)
}

/// A line of Cargo's about what it has made.
#[derive(Deserialize)]
struct Made {
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

/// The module that was made last: dependencies come first.
fn module(messages: &str) -> Option<PathBuf> {
    let made = messages.lines().filter_map(|line| serde_json::from_str::<Made>(line).ok());
    let mut modules = made.flat_map(|made| made.filenames);
    modules.rfind(|file| file.extension().is_some_and(|extension| extension == "wasm"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_is_the_last_wasm_file_that_cargo_names() {
        let messages = r#"{"reason":"compiler-artifact","filenames":["/t/deps/libserde.rlib"]}
{"reason":"build-script-executed","package_id":"x"}
{"reason":"compiler-artifact","filenames":["/t/release/shout.wasm","/t/release/libshout.rlib"]}
{"reason":"build-finished","success":true}
"#;
        assert_eq!(module(messages), Some("/t/release/shout.wasm".into()));
        assert_eq!(module(r#"{"reason":"compiler-artifact","filenames":["/t/libshout.rlib"]}"#), None);
    }
}

//! From a core module to a component, and what a component is.

use crate::{Failure, command::say};
use std::{fmt, fs, path::Path, process};
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wit_component::{ComponentEncoder, DecodedWasm};

/// The component of a module for `wasm32-unknown-unknown`, whose bindings have left in it what its world is.
///
/// # Errors
/// If they have not, or the module does not fit its world.
pub fn of_module(module: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true).module(module).map_err(wrong)?.encode().map_err(wrong)
}

/// The component of a module for WASI 0.1: an adapter is put between it and the WASI 0.2 of the broker.
///
/// # Errors
/// As [`of_module`].
pub fn of_wasi_module(module: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut encoder = ComponentEncoder::default();
    encoder
        .validate(true)
        .module(module)
        .and_then(|encoder| {
            encoder.adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)
        })
        .and_then(|encoder| encoder.encode())
        .map_err(wrong)
}

// The type of its errors is that of a crate that this one has no other use for.
fn wrong(error: impl fmt::Display) -> Failure {
    Failure::Component(format!("{error:#}"))
}

/// Writes a component, whole or not at all, and says what it is. One that is the same already is left alone.
///
/// # Errors
/// If it cannot be written, or is no component.
pub fn keep(component: &[u8], to: &Path) -> Result<(), Failure> {
    let interfaces = Interfaces::of(component)?;
    let same = fs::read(to).is_ok_and(|old| old == component);
    if !same {
        // Two that build the same do not write to the same.
        let partial = to.with_extension(format!("wasm.{}.partial", process::id()));
        let written = fs::write(&partial, component).map_err(Failure::file("write", &partial));
        let written = written.and_then(|()| fs::rename(&partial, to).map_err(Failure::file("write", to)));
        written.inspect_err(|_| _ = fs::remove_file(&partial))?;
    }
    let kib = component.len().div_ceil(1024);
    let unchanged = if same { " (unchanged)" } else { "" };
    say(format_args!("{} {kib} KiB{unchanged}: {interfaces}", to.display()));
    Ok(())
}

/// What a component exports and imports, by name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Interfaces {
    /// What the broker may ask.
    pub exports: Vec<String>,
    /// What it may ask the broker.
    pub imports: Vec<String>,
}

impl Interfaces {
    /// Those of this component.
    ///
    /// # Errors
    /// If it is none.
    pub fn of(component: &[u8]) -> Result<Self, Failure> {
        let decoded = wit_component::decode(component).map_err(wrong)?;
        let DecodedWasm::Component(resolve, world) = decoded else {
            return Err(Failure::Component("it is none".into()));
        };
        let world = &resolve.worlds[world];
        let names = |keys: Vec<_>| -> Vec<String> {
            let names = keys.into_iter().map(|key| resolve.name_world_key(key));
            names
                .map(|name| name.strip_prefix("tidegate:plugin/").map(str::to_owned).unwrap_or(name))
                .collect()
        };
        Ok(Self {
            exports: names(world.exports.keys().collect()),
            imports: names(world.imports.keys().collect()),
        })
    }

    /// Whether it exports this interface, of whichever version.
    pub fn exports(&self, interface: &str) -> bool {
        self.exports.iter().any(|name| name.split('@').next() == Some(interface))
    }
}

/// Without versions; of WASI the packages only.
impl fmt::Display for Interfaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unversioned = |name: &String| name.split('@').next().unwrap_or_default().to_owned();
        let exports: Vec<String> = self.exports.iter().map(unversioned).collect();
        let (mut wasi, own): (Vec<String>, Vec<String>) =
            self.imports.iter().map(unversioned).partition(|name| name.starts_with("wasi:"));
        for name in &mut wasi {
            *name = name.split('/').next().unwrap_or_default().to_owned();
        }
        wasi.sort();
        wasi.dedup();
        write!(f, "exports {}; imports {}", exports.join(" "), [own, wasi].concat().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_written_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("shout.wasm");
        // It exports and imports nothing.
        let component = b"\0asm\x0d\0\x01\0";
        keep(component, &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), component);
        // A folder is in the way.
        let other = folder.path().join("other.wasm");
        fs::create_dir_all(other.join("inside")).unwrap();
        keep(component, &other).unwrap_err();
        assert!(keep(b"no component", &to).is_err());
        assert_eq!(fs::read(&to).unwrap(), component);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left beside them");
    }

    #[test]
    fn interfaces_are_shown_without_versions_and_wasi_by_package() {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let interfaces = Interfaces {
            exports: names(&["publish@0.1.0", "lifecycle@0.1.0"]),
            imports: names(&[
                "wasi:io/streams@0.2.12",
                "wasi:cli/exit@0.2.12",
                "config@0.1.0",
                "wasi:io/poll@0.2.12",
            ]),
        };
        assert_eq!(interfaces.to_string(), "exports publish lifecycle; imports config wasi:cli wasi:io");
        assert!(interfaces.exports("publish") && !interfaces.exports("publish-batch"));
    }
}

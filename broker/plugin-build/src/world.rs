//! The world of a project, in WIT: what it exports and imports.

use crate::{Failure, build::Project, files, manifest::Import, sdk};
use std::{
    fs,
    path::{Path, PathBuf},
};
use wit_bindgen_core::wit_parser::{Resolve, WorldId};

/// What it is called in every project: what its bindings in C begin with.
pub(crate) const WORLD: &str = "tg";

/// Writes the interfaces of the SDK and the project's world to a folder, which is returned.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn write(project: &Project<'_>) -> Result<PathBuf, Failure> {
    let folder = project.work().join("wit");
    let from = sdk::wit(project.manifest.lang, project.folder);
    let interfaces = fs::read(&from).map_err(Failure::file("read", &from))?;
    files::write(&folder.join("plugin.wit"), &interfaces)?;
    files::write(&folder.join("world.wit"), text(project).as_bytes())?;
    Ok(folder)
}

fn text(project: &Project<'_>) -> String {
    let mut lines = vec![format!("// Made of tidegate-plugin.toml.\nworld {WORLD} {{\n  include base;")];
    lines.extend(project.manifest.imports.iter().map(|import| {
        let interface = match import {
            Import::Http => "http",
            Import::Tcp => "tcp",
            Import::Engine => "engine",
        };
        format!("  import {interface};")
    }));
    lines.extend(project.manifest.hooks.iter().map(|hook| format!("  export {hook};")));
    lines.join("\n") + "\n}\n"
}

/// Reads a world from a file or folder of WIT.
///
/// # Errors
/// If it makes no sense.
pub(crate) fn read(wit: &Path, world: &str) -> Result<(Resolve, WorldId), Failure> {
    let mut resolve = Resolve::default();
    let world = resolve.push_path(wit).and_then(|(package, _)| resolve.select_world(&[package], Some(world)));
    // The type of its errors is that of a crate that this one has no other use for.
    world.map(|world| (resolve, world)).map_err(|error| Failure::Interfaces(format!("{error:#}")))
}

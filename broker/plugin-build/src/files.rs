//! Files of a project.

use crate::Failure;
use std::{fs, path::Path};

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// Writes a file and the folders above it. One that says so already is left alone, so that nobody builds because of it.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<(), Failure> {
    if fs::read(path).is_ok_and(|old| old == content) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    fs::write(path, content).map_err(Failure::file("write", path))
}

/// Whether there is nothing, or an empty folder.
pub(crate) fn is_free(path: &Path) -> bool {
    match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_none(),
        Err(_) => !path.exists(),
    }
}

/// Makes a folder, and those above it.
///
/// # Errors
/// If it cannot be made.
pub(crate) fn make_folder(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(Failure::file("make", path))
}

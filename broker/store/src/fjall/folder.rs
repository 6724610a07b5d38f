//! The folder: whose it is, which format it has, how large it is.

use super::journal::sync_folder;
use crate::backend::StoreError;
use std::{
    fs::{File, TryLockError},
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::Path,
};
use xxhash_rust::xxh3::xxh3_64;

/// Of journals and rows. Readers of an older one refuse the folder.
const FORMAT: u32 = 1;
const FORMAT_FILE: &str = "FORMAT";
const LOCK_FILE: &str = "lock";

/// With all that leads to it, each name on disk before anything lies below.
fn make(folder: &Path) -> io::Result<()> {
    let missing: Vec<_> =
        folder.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    for path in missing.into_iter().rev() {
        match std::fs::create_dir(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    // Whoever made the folder above this one may not have known that it matters.
    for path in folder.ancestors().skip(1).take(2) {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        sync_folder(path)?;
    }
    Ok(())
}

/// Creates it if there is none, and holds it while the file lives.
///
/// # Errors
/// [`StoreError::Unusable`] says what to do.
pub(super) fn claim(folder: &Path) -> Result<File, StoreError> {
    let unusable = |error: io::Error| unusable(folder, &error.to_string());
    make(folder).map_err(unusable)?;
    let format = match std::fs::read(folder.join(FORMAT_FILE)) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(unusable(error)),
    };
    if format.is_none() && holds_something_else(folder).map_err(unusable)? {
        return Err(sentence(folder, "is not empty and was not written by this broker: set another folder"));
    }
    let lock = File::options().write(true).create(true).truncate(false).open(folder.join(LOCK_FILE));
    let lock = lock.map_err(unusable)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(sentence(
                folder,
                "is used by another broker: stop that broker, or set another folder",
            ));
        }
        Err(TryLockError::Error(error)) => return Err(unusable(error)),
    }
    match format.as_deref().map(number_in) {
        Some(Some(FORMAT)) => {}
        Some(Some(newer)) => {
            let why = format!(
                "has format {newer} and this broker knows formats up to {FORMAT}: start the broker that wrote it, or set another folder"
            );
            return Err(sentence(folder, &why));
        }
        // Damaged, and there was only one format so far.
        Some(None) | None => write_format(folder).map_err(unusable)?,
    }
    Ok(lock)
}

pub(super) fn unusable(folder: &Path, why: &str) -> StoreError {
    sentence(
        folder,
        &format!("cannot be used: {why}; make it a folder that this broker can write, or set another"),
    )
}

fn sentence(folder: &Path, rest: &str) -> StoreError {
    StoreError::Unusable(format!("the store folder {} {rest}", folder.display()).into())
}

fn holds_something_else(folder: &Path) -> io::Result<bool> {
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        if name != LOCK_FILE && name != "lost+found" && name != FORMAT_FILE {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(super) fn format_text(number: u32) -> String {
    let line = format!("tidegate store, format {number}");
    format!("{line}, {:016x}\n", xxh3_64(line.as_bytes()))
}

fn number_in(text: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(text).ok()?;
    let number = text.strip_prefix("tidegate store, format ")?.split(',').next()?.parse().ok()?;
    (text == format_text(number)).then_some(number)
}

fn write_format(folder: &Path) -> io::Result<()> {
    let new = folder.join(".FORMAT");
    let mut file = File::create(&new)?;
    file.write_all(format_text(FORMAT).as_bytes())?;
    file.sync_all()?;
    std::fs::rename(new, folder.join(FORMAT_FILE))?;
    super::journal::sync_folder(folder)
}

/// Bytes on disk of all that is in it. Files that go meanwhile do not count.
pub(super) fn bytes(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += metadata.blocks() * 512;
        if metadata.is_dir() {
            bytes += self::bytes(&entry.path()).unwrap_or_default();
        }
    }
    Ok(bytes)
}

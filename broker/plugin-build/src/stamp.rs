//! What is made once, and again when what it is made of has changed.

use crate::{Failure, command::say};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Says what something was made of. The files themselves are the stamp.
pub struct Stamp {
    file: PathBuf,
    wanted: String,
}

impl Stamp {
    /// Of something that is made of these files, and of `recipe`.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn new(file: PathBuf, recipe: &str, files: &[PathBuf]) -> Result<Self, Failure> {
        let mut wanted = recipe.to_owned();
        for path in files {
            wanted += &fs::read_to_string(path).map_err(Failure::file("read", path))?;
        }
        Ok(Self { file, wanted })
    }

    /// Makes it, unless it was made of the same before and is still alive.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn ensure<E: From<Failure>>(
        &self,
        what: &Path,
        alive: impl FnOnce() -> bool,
        make: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        if fs::read_to_string(&self.file).is_ok_and(|made| made == self.wanted) && alive() {
            return Ok(());
        }
        say(format_args!("making {}", what.display()));
        // What is half done is not taken for done.
        let _ = fs::remove_file(&self.file);
        make()?;
        fs::write(&self.file, &self.wanted).map_err(Failure::file("write", &self.file))?;
        Ok(())
    }
}

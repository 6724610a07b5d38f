//! The folder `tidegate` of a project: the SDK of its language, of this version.

use crate::{
    Failure, Language,
    files::{self, C_SDK, JAVASCRIPT_SDK, PYTHON_SDK, RUST_SDK},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// How it stands with the SDK in a project.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Sdk {
    /// Not there: it is not in the project's repository, perhaps.
    Missing,
    /// What this version brings.
    Current,
    /// What another version brought, or somebody changed.
    Other,
}

impl Sdk {
    /// In the project of this language in `folder`.
    pub(crate) fn of(language: Language, folder: &Path) -> Self {
        let place = place(folder);
        if !place.is_dir() {
            return Self::Missing;
        }
        let same = |(file, content): &(&str, &str)| {
            fs::read(place.join(file)).is_ok_and(|old| old == content.as_bytes())
        };
        if sources(language).iter().all(same) { Self::Current } else { Self::Other }
    }

    /// Writes that of this version. Of an older one nothing is left.
    ///
    /// # Errors
    /// If a file cannot be written or removed.
    pub(crate) fn write(language: Language, folder: &Path) -> Result<(), Failure> {
        let place = place(folder);
        let sources = sources(language);
        if place.is_dir() {
            remove_others(&place, &place, sources)?;
        }
        sources.iter().try_for_each(|(file, content)| files::write(&place.join(file), content.as_bytes()))
    }
}

/// All that this version brings in the folder `tidegate` of a project, for those who build again when it is something else.
pub fn sdk_of(language: Language) -> String {
    sources(language).iter().map(|(_, content)| *content).collect()
}

/// The interfaces of the broker, in a project's SDK.
pub(crate) fn wit(language: Language, folder: &Path) -> PathBuf {
    let name = if language == Language::Rust { "wit/plugin.wit" } else { "plugin.wit" };
    place(folder).join(name)
}

/// Where it is in a project.
pub(crate) fn place(folder: &Path) -> PathBuf {
    folder.join("tidegate")
}

fn sources(language: Language) -> &'static [(&'static str, &'static str)] {
    match language {
        Language::Rust => RUST_SDK,
        Language::C => C_SDK,
        Language::Javascript | Language::Typescript => JAVASCRIPT_SDK,
        Language::Python => PYTHON_SDK,
    }
}

fn remove_others(folder: &Path, place: &Path, sources: &[(&str, &str)]) -> Result<(), Failure> {
    let entries = fs::read_dir(folder).map_err(Failure::file("read", folder))?;
    for entry in entries {
        let path = entry.map_err(Failure::file("read", folder))?.path();
        let is_ours = |path: &Path| sources.iter().any(|(file, _)| Path::new(file) == path);
        if path.is_dir() && !path.is_symlink() {
            remove_others(&path, place, sources)?;
        } else if !path.strip_prefix(place).is_ok_and(is_ours) {
            fs::remove_file(&path).map_err(Failure::file("remove", &path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;

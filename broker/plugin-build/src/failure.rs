//! Why there is no project, or no component.

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitStatus,
};

/// What ended a command before its time. Each is a sentence for the user, with what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The broker would not load a file of that name.
    #[error("{0:?} is no name for a plugin: it is made of a to z, 0 to 9, - and _")]
    Name(String),
    /// Nothing of anybody's is written over.
    #[error("{} is there already, and is not an empty folder: choose another name, or remove it", .0.display())]
    Taken(PathBuf),
    /// A virtual environment is made from nothing: whatever is in its folder goes.
    #[error(
        "{} is there already, and is neither empty nor a virtual environment of Python: name another folder by --tools, or \
         remove it",
        .0.display()
    )]
    NoEnvironment(PathBuf),
    /// What to build is nowhere said.
    #[error(
        "{} has no {MANIFEST}: name the folder of a plugin's project, or begin one by `tidegate plugin new`",
        .0.display()
    )]
    NoManifest(PathBuf),
    /// The manifest makes no sense.
    #[error("{}: {why}", .path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// With the key that is wrong.
        why: String,
    },
    /// A program, or a part of one, is not installed.
    #[error("{what} is missing. {remedy}")]
    Missing {
        /// In words.
        what: &'static str,
        /// Sentences, with commands.
        remedy: String,
    },
    /// A program is installed, but another one is needed.
    #[error("{what} {found} is too old: {least} or newer is needed. {remedy}")]
    TooOld {
        /// In words.
        what: &'static str,
        /// As it says itself.
        found: String,
        /// The oldest that will do.
        least: &'static str,
        /// Sentences, with commands.
        remedy: String,
    },
    /// A program does not start.
    #[error("cannot start {command}: {source}")]
    Start {
        /// The command line.
        command: String,
        /// Why.
        source: io::Error,
    },
    /// A program was not content. It has said why, to standard error.
    #[error("{command}: {status}")]
    Command {
        /// The command line.
        command: String,
        /// Its end.
        status: ExitStatus,
    },
    /// Packages from a registry are not to be had.
    #[error("the packages of {} could not be installed, see above ({source}). {remedy}", .list.display())]
    Packages {
        /// The file that lists them.
        list: PathBuf,
        /// What the installer came to.
        source: Box<Failure>,
        /// A sentence.
        remedy: &'static str,
    },
    /// A program said something that nobody expects.
    #[error("{command}: {why}")]
    Answer {
        /// The command line.
        command: String,
        /// In words.
        why: &'static str,
    },
    /// A file or folder cannot be used.
    #[error("cannot {doing} {}: {source}", .path.display())]
    File {
        /// A verb.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The interfaces in `plugin.wit` make no sense together.
    #[error("the interfaces of this plugin: {0}")]
    Interfaces(String),
    /// The compiler has done its part, but what it made is no plugin.
    #[error("what the compiler made cannot become a component: {0}")]
    Component(String),
    /// The broker would not know what to do with it.
    #[error("the component exports no `lifecycle`, so it is no plugin: {0}")]
    NoLifecycle(&'static str),
}

/// What says what a project is.
pub(crate) const MANIFEST: &str = "tidegate-plugin.toml";

impl Failure {
    /// For `map_err` behind a call on a file.
    pub(crate) fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { doing, path, source }
    }
}

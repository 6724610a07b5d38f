//! What a user may ask for.

use clap::{Args, ValueEnum};
use serde::Deserialize;
use std::{fmt, path::PathBuf};

/// `tidegate plugin new`
#[derive(Args, Clone, Debug)]
pub struct NewOptions {
    /// Name of the plugin, and of the folder that is made: a to z, 0 to 9, - and _
    pub name: String,
    /// The language that it is written in
    #[arg(long, value_enum)]
    pub lang: Language,
    /// What it is asked about, to begin with
    #[arg(long, value_enum, default_value_t = Hook::Publish)]
    pub hook: Hook,
}

/// `tidegate plugin build`
#[derive(Args, Clone, Debug)]
pub struct BuildOptions {
    /// Folder of the plugin's project
    #[arg(default_value = ".")]
    pub folder: PathBuf,
    /// Replace the folder `tidegate` of the project by what this version brings, before anything else
    #[arg(long)]
    pub update_sdk: bool,
    /// Folder for the compiler, for C and Python: projects with the same requirements.txt may share one [default: .venv in the project]
    #[arg(long, value_name = "FOLDER")]
    pub tools: Option<PathBuf>,
}

/// A language that plugins are written in.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// For `wasm32-unknown-unknown`.
    Rust,
    /// By clang, for WASI 0.1.
    C,
    /// In QuickJS or StarlingMonkey.
    Javascript,
    /// The same, checked by the compiler of TypeScript.
    Typescript,
    /// In CPython.
    Python,
}

impl Language {
    /// As people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::C => "C",
            Self::Javascript => "JavaScript",
            Self::Typescript => "TypeScript",
            Self::Python => "Python",
        }
    }

    /// As options and manifests have it.
    pub fn key(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::C => "c",
            Self::Javascript => "javascript",
            Self::Typescript => "typescript",
            Self::Python => "python",
        }
    }
}

/// A hook by its interface in `wit/plugin.wit`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Hook {
    /// Who comes in.
    Auth,
    /// The same in several steps.
    #[value(skip)]
    EnhancedAuth,
    /// What a client may do.
    Acl,
    /// What becomes of a message.
    Publish,
    /// What becomes of all that came together.
    #[value(skip)]
    PublishBatch,
    /// What becomes of a subscription.
    Subscribe,
    /// Who gets a message.
    Subscribers,
    /// What one recipient gets of it.
    Deliver,
    /// Keeps the broker's records.
    #[value(skip)]
    Storage,
    /// What has happened.
    Events,
    /// It is time.
    #[value(skip)]
    TimerHandler,
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auth => "auth",
            Self::EnhancedAuth => "enhanced-auth",
            Self::Acl => "acl",
            Self::Publish => "publish",
            Self::PublishBatch => "publish-batch",
            Self::Subscribe => "subscribe",
            Self::Subscribers => "subscribers",
            Self::Deliver => "deliver",
            Self::Storage => "storage",
            Self::Events => "events",
            Self::TimerHandler => "timer-handler",
        })
    }
}

//! `tidegate-plugin.toml`: what a project says of itself.

use crate::{Failure, Hook, Language, failure::MANIFEST};
use serde::Deserialize;
use std::{fs, path::Path};

/// What `tidegate plugin build` makes a component of.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// Of the component's file, and of the plugin.
    pub(crate) name: String,
    pub(crate) lang: Language,
    /// What it exports, besides `lifecycle`. Not in Rust, where `export!` says it.
    #[serde(default)]
    pub(crate) hooks: Vec<Hook>,
    /// What it imports, besides what every plugin may import.
    #[serde(default)]
    pub(crate) imports: Vec<Import>,
    /// Not in Rust. The first is the one that has the hooks; others are for C.
    #[serde(default)]
    pub(crate) source: Source,
    /// For JavaScript and TypeScript.
    pub(crate) engine: Option<Engine>,
}

/// One file, or several.
#[derive(Debug, Default, Deserialize)]
#[serde(untagged, expecting = "a file, or a list of files")]
pub(crate) enum Source {
    #[default]
    Usual,
    One(String),
    Several(Vec<String>),
}

/// An interface that not every plugin imports.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Import {
    Http,
    Tcp,
    Engine,
}

/// What runs JavaScript.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Small and quick to begin; the language, and little else.
    #[default]
    QuickJs,
    /// With much of what browsers have, and ten times as large.
    StarlingMonkey,
}

impl Manifest {
    /// Reads that of the project in `folder`.
    ///
    /// # Errors
    /// If there is none, or it makes no sense; the key is named.
    pub(crate) fn read(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(MANIFEST);
        if !path.is_file() {
            return Err(Failure::NoManifest(folder.to_owned()));
        }
        let text = fs::read_to_string(&path).map_err(Failure::file("read", &path))?;
        let manifest = toml::from_str(&text).map_err(|error| error.to_string());
        manifest
            .and_then(|manifest: Self| manifest.check(folder).map(|()| manifest))
            .map_err(|why| Failure::Manifest { path, why: why.trim_end().to_owned() })
    }

    /// Where its source files are, as they are written.
    pub(crate) fn sources(&self) -> Vec<&str> {
        match &self.source {
            Source::Usual => vec![self.lang.usual_source()],
            Source::One(file) => vec![file],
            Source::Several(files) => files.iter().map(String::as_str).collect(),
        }
    }

    fn check(&self, folder: &Path) -> Result<(), String> {
        if !is_name(&self.name) {
            return Err(format!("key `name`: {}", Failure::Name(self.name.clone())));
        }
        let javascript = matches!(self.lang, Language::Javascript | Language::Typescript);
        if self.engine.is_some() && !javascript {
            return Err("key `engine`: it is for JavaScript and TypeScript".into());
        }
        if self.lang == Language::Rust {
            let usual =
                self.hooks.is_empty() && self.imports.is_empty() && matches!(self.source, Source::Usual);
            return if usual {
                Ok(())
            } else {
                Err("keys `hooks`, `imports` and `source`: in Rust `tidegate_plugin::export!` and Cargo.toml say it".into())
            };
        }
        if self.hooks.is_empty() {
            return Err("key `hooks`: a plugin has at least one, such as \"publish\"".into());
        }
        if self.hooks.contains(&Hook::Publish) && self.hooks.contains(&Hook::PublishBatch) {
            return Err("key `hooks`: a plugin has one of \"publish\" and \"publish-batch\"".into());
        }
        let sources = self.sources();
        if sources.is_empty() || sources.len() > 1 && self.lang != Language::C {
            return Err(format!("key `source`: in {} it is one file", self.lang.name()));
        }
        if let Some(missing) = sources.iter().find(|file| !folder.join(file).is_file()) {
            return Err(format!("key `source`: there is no file {missing}"));
        }
        match sources.iter().find(|file| self.lang == Language::Python && !is_module(Path::new(file))) {
            Some(other) => {
                Err(format!("key `source`: Python cannot import {other}; a file such as my_plugin.py it can"))
            }
            None => Ok(()),
        }
    }
}

/// The language of the project in `folder`, as its manifest says.
///
/// # Errors
/// If it has none, or it makes no sense.
pub fn language_of(folder: &Path) -> Result<Language, Failure> {
    Ok(Manifest::read(folder)?.lang)
}

impl Language {
    /// Where the plugin is, unless the manifest says otherwise.
    pub(crate) fn usual_source(self) -> &'static str {
        match self {
            Self::Rust => "src/lib.rs",
            Self::C => "plugin.c",
            Self::Javascript => "plugin.js",
            Self::Typescript => "plugin.ts",
            Self::Python => "plugin.py",
        }
    }
}

/// Whether the broker would load `NAME.wasm`.
pub(crate) fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    !name.is_empty() && name.bytes().all(allowed)
}

/// Whether `import` takes the name of this file, and finds no other by it.
fn is_module(file: &Path) -> bool {
    const TAKEN: &str = "False None True and as assert async await break class continue def del elif else except finally \
                         for from global if import in is lambda nonlocal not or pass raise return tidegate \
                         tidegate_component try while with yield";
    let name = file.file_stem().unwrap_or_default().to_str().unwrap_or_default();
    let is_word = name.chars().all(|c| c == '_' || c.is_alphanumeric());
    let begins = name.starts_with(|c: char| c == '_' || c.is_alphabetic());
    let is_taken = TAKEN.split(' ').any(|taken| taken == name);
    file.extension().is_some_and(|kind| kind == "py") && is_word && begins && !is_taken
}

#[cfg(test)]
mod tests;

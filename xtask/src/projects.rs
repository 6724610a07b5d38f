//! Plugins as their authors make them, by `tidegate plugin new` and `build`: one for each language and hook, and the examples.

use crate::{languages, root, target_dir};
use anyhow::Context;
use clap::ValueEnum;
use std::{
    fs,
    path::{Path, PathBuf},
};
use tidegate_plugin_build::{
    BuildOptions, Hook, Language, NewOptions, build, language_of, languages::RECIPES, new_in, sdk_of,
    stamp::Stamp,
};

/// What is in a project's folder and no part of it.
const MADE: [&str; 6] = ["__pycache__", "build", "node_modules", "target", "tidegate", ".venv"];

/// Makes what is missing or has changed: `target/projects/LANGUAGE/HOOK/build/HOOK.wasm`, `examples/plugins/LANGUAGE/NAME/build/NAME.wasm`.
///
/// # Errors
/// If one does not build.
pub(crate) fn make() -> anyhow::Result<()> {
    let projects = target_dir().join("projects");
    fs::create_dir_all(projects.join("rust/.cargo"))?;
    fs::write(projects.join("rust/.cargo/config.toml"), "[build]\ntarget-dir = \"../../languages/rust\"\n")?;
    for &lang in Language::value_variants() {
        for &hook in Hook::value_variants() {
            made(&begun(&projects.join(lang.key()), lang, hook)?)?;
        }
    }
    examples()?.iter().try_for_each(|example| made(example))
}

/// The folders `examples/plugins/LANGUAGE/NAME`, in order.
///
/// # Errors
/// If they cannot be read.
pub(crate) fn examples() -> anyhow::Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for language in entries(&root().join("examples/plugins"))?.iter().filter(|path| path.is_dir()) {
        all.extend(entries(language)?.into_iter().filter(|path| path.join("tidegate-plugin.toml").is_file()));
    }
    Ok(all)
}

/// A new project in `parent`, in the place of the one that was there. What was built of that stays.
fn begun(parent: &Path, lang: Language, hook: Hook) -> anyhow::Result<PathBuf> {
    let folder = parent.join(hook.to_string());
    if folder.is_dir() {
        for file in sources(&folder)? {
            fs::remove_file(&file).with_context(|| file.display().to_string())?;
        }
    }
    let fresh = parent.join(".new");
    let _ = fs::remove_dir_all(&fresh);
    let fresh = new_in(&fresh, &NewOptions { name: hook.to_string(), lang, hook })?;
    for file in sources(&fresh)? {
        let to = folder.join(file.strip_prefix(&fresh)?);
        fs::create_dir_all(to.parent().unwrap_or(parent))?;
        fs::rename(&file, &to)?;
    }
    Ok(folder)
}

/// Builds it, unless it was built of the same before.
fn made(folder: &Path) -> anyhow::Result<()> {
    let language = language_of(folder)?;
    let component = component(folder);
    let work = folder.join("build");
    fs::create_dir_all(&work)?;
    let tools = languages::work(language.key()).join("tools");
    let options = BuildOptions { folder: folder.to_owned(), update_sdk: true, tools: Some(tools) };
    let recipe = format!("{RECIPES}{}", sdk_of(language));
    let made = Stamp::new(work.join("made"), &recipe, &sources(folder)?)?;
    let made = made.ensure(&component, || component.is_file(), || build(&options).map(drop));
    made.with_context(|| folder.display().to_string())
}

/// What a project becomes, if its folder has its name.
pub(crate) fn component(folder: &Path) -> PathBuf {
    folder.join("build").join(folder.file_name().unwrap_or_default()).with_extension("wasm")
}

/// The files that a project is made of, in order.
fn sources(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in entries(folder)? {
        let is_made = path.file_name().is_some_and(|name| MADE.iter().any(|made| name == *made));
        match path.is_dir() {
            true if is_made => {}
            true => files.extend(sources(&path)?),
            false => files.push(path),
        }
    }
    Ok(files)
}

fn entries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

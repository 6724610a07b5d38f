//! Guests in other languages than Rust: made from `tests/languages` by what package registries have, as users make theirs.

use crate::lists;
use anyhow::Context;
use std::{
    fs,
    path::{Path, PathBuf},
};
use tidegate_plugin_build::{
    Engine, component,
    languages::{RECIPES, c, javascript, python},
    stamp::Stamp,
};

/// The world of all of them.
const WORLD: &str = "publish-plugin";

/// Makes what is missing or has changed. Quick if nothing has.
///
/// # Errors
/// If a tool cannot be installed, or a guest cannot be made.
pub(crate) fn build(out: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let guest = |name, language, files| Guest::new(name, language, files, out);
    guest("in-c", "c", &["plugin.c", "requirements.txt"]).ensure(in_c)?;
    guest("in-python", "python", &["plugin.py", "requirements.txt"]).ensure(in_python)?;
    let quickjs = guest("in-quickjs", "javascript", &["quickjs.js", "package-lock.json"]);
    quickjs.ensure(|guest| in_javascript(guest, Engine::QuickJs))?;
    let starlingmonkey =
        guest("in-starlingmonkey", "javascript", &["starlingmonkey.js", "package-lock.json"]);
    starlingmonkey.ensure(|guest| in_javascript(guest, Engine::StarlingMonkey))
}

struct Guest {
    name: &'static str,
    /// The folder with the files that it is made of.
    from: PathBuf,
    /// The source, then others.
    files: &'static [&'static str],
    /// Where its tools are, and whatever they leave.
    work: PathBuf,
    out: PathBuf,
}

impl Guest {
    fn new(name: &'static str, language: &str, files: &'static [&'static str], out: &Path) -> Self {
        Self {
            name,
            from: crate::root().join("tests/languages").join(language),
            files,
            work: work(language),
            out: out.join(name).with_extension("wasm"),
        }
    }

    fn source(&self) -> PathBuf {
        self.from.join(self.files[0])
    }

    /// Makes the component, unless it was made of the same before.
    fn ensure(&self, make: impl FnOnce(&Self) -> anyhow::Result<Vec<u8>>) -> anyhow::Result<()> {
        let mut files: Vec<_> = self.files.iter().map(|file| self.from.join(file)).collect();
        files.push(wit());
        fs::create_dir_all(&self.work)?;
        let stamp = self.work.join(self.name).with_extension("made");
        let stamp = Stamp::new(stamp, RECIPES, &files)?;
        let made = stamp.ensure(
            &self.out,
            || self.out.is_file(),
            || anyhow::Ok(component::keep(&make(self)?, &self.out)?),
        );
        made.with_context(|| format!("guest {}", self.name))
    }
}

/// Where the tools of a language are, and whatever they leave.
pub(crate) fn work(language: &str) -> PathBuf {
    crate::target_dir().join("languages").join(language)
}

fn wit() -> PathBuf {
    crate::root().join("wit/plugin.wit")
}

fn in_c(guest: &Guest) -> anyhow::Result<Vec<u8>> {
    let python = lists::python(&guest.from, &guest.work.join("tools"), c::ZIG)?;
    let compilation = c::Compilation {
        python: &python,
        wit: &wit(),
        world: WORLD,
        sources: &[guest.source()],
        include: &[],
        work: &guest.work,
        cache: Some(&guest.work.join("cache")),
    };
    Ok(compilation.component()?)
}

fn in_python(guest: &Guest) -> anyhow::Result<Vec<u8>> {
    let python = lists::python(&guest.from, &guest.work.join("tools"), python::COMPONENTIZE)?;
    // Bytecode is left beside the source.
    let app = guest.work.join("app");
    fs::create_dir_all(&app)?;
    fs::copy(guest.source(), app.join("plugin.py"))?;
    let componentization = python::Componentization {
        python: &python,
        wit: &wit(),
        world: WORLD,
        module: "plugin",
        path: &[app],
        work: &guest.work,
    };
    Ok(componentization.component()?)
}

fn in_javascript(guest: &Guest, engine: Engine) -> anyhow::Result<Vec<u8>> {
    let tools = guest.work.join("tools");
    lists::node(&guest.from, &tools, "componentize-qjs")?;
    let componentization = javascript::Componentization {
        engine,
        wit: &wit(),
        world: WORLD,
        source: &guest.source(),
        work: &tools,
    };
    Ok(componentization.component()?)
}

//! Guests in other languages than Rust: made from `tests/languages` by what package registries have.

use crate::{command::run, lists, plugins, stamp::Stamp};
use anyhow::Context;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wit_bindgen_core::{Files, wit_parser::Resolve};
use wit_component::ComponentEncoder;

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
    let quickjs = guest("in-quickjs", "javascript", &["quickjs.js", "componentize.js", "package-lock.json"]);
    quickjs.ensure(|guest| in_javascript(guest, "quickjs"))?;
    let starlingmonkey = guest(
        "in-starlingmonkey",
        "javascript",
        &["starlingmonkey.js", "componentize.js", "package-lock.json"],
    );
    starlingmonkey.ensure(|guest| in_javascript(guest, "starlingmonkey"))
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
            work: crate::target_dir().join("languages").join(language),
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
        // How it is made stands in this file.
        let stamp = Stamp::new(stamp, include_str!("languages.rs"), &files)?;
        let made = stamp.ensure(&self.out, || self.out.is_file(), || plugins::keep(&make(self)?, &self.out));
        made.with_context(|| format!("guest {}", self.name))
    }
}

fn wit() -> PathBuf {
    crate::root().join("wit/plugin.wit")
}

/// By clang with a C library for WASI 0.1, both from Zig.
fn in_c(guest: &Guest) -> anyhow::Result<Vec<u8>> {
    let python = lists::python(&guest.from, &guest.work.join("tools"), "ziglang")?;
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(wit())?;
    let world = resolve.select_world(&[package], Some(WORLD))?;
    let mut bindings = Files::default();
    wit_bindgen_c::Opts::default().build().generate(&mut resolve, world, &mut bindings)?;
    let folder = guest.work.join("bindings");
    fs::create_dir_all(&folder)?;
    for (name, content) in bindings.iter() {
        fs::write(folder.join(name), content)?;
    }

    let (module, cache) = (guest.work.join("module.wasm"), guest.work.join("cache"));
    let mut cc = Command::new(python);
    cc.args(["-m", "ziglang", "cc", "--target=wasm32-wasi", "-mexec-model=reactor", "-O2", "-Wall"]);
    // All of `-s` would take what the world is, too; a stack of Zig's own choice is 16 MiB.
    cc.args(["-Wl,--strip-debug", "-Wl,-z,stack-size=131072", "-I"]).arg(&folder).arg(guest.source());
    cc.args(["publish_plugin.c", "publish_plugin_component_type.o"].map(|file| folder.join(file)));
    run(cc.arg("-o").arg(&module).env("ZIG_GLOBAL_CACHE_DIR", &cache).env("ZIG_LOCAL_CACHE_DIR", &cache))?;

    ComponentEncoder::default()
        .validate(true)
        .module(&fs::read(module)?)?
        .adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?
        .encode()
}

/// CPython, with the standard library.
fn in_python(guest: &Guest) -> anyhow::Result<Vec<u8>> {
    let python = lists::python(&guest.from, &guest.work.join("tools"), "componentize_py")?;
    let (app, component) = (guest.work.join("app"), guest.work.join("component.wasm"));
    // It leaves bytecode beside the source.
    fs::create_dir_all(&app)?;
    fs::copy(guest.source(), app.join("plugin.py"))?;
    let mut componentize = Command::new(python.with_file_name("componentize-py"));
    componentize.arg("--quiet").arg("--wit-path").arg(wit()).args(["--world", WORLD]);
    componentize.args(["componentize", "--python-path"]).arg(&app).arg("plugin");
    // It would take our own environment for the plugin's.
    run(componentize.arg("--output").arg(&component).env_remove("VIRTUAL_ENV"))?;
    Ok(fs::read(component)?)
}

/// By the engine, QuickJS or StarlingMonkey, with an interpreter's state after the source was read.
fn in_javascript(guest: &Guest, engine: &str) -> anyhow::Result<Vec<u8>> {
    let tools = guest.work.join("tools");
    lists::node(&guest.from, &tools, "componentize-qjs")?;
    let component = guest.work.join(engine).with_extension("wasm");
    // It finds packages beside itself.
    let script = tools.join("componentize.js");
    fs::copy(guest.from.join("componentize.js"), &script)?;
    let mut node = Command::new("node");
    run(node.arg(&script).args([engine, WORLD]).arg(guest.source()).arg(wit()).arg(&component))?;
    Ok(fs::read(component)?)
}

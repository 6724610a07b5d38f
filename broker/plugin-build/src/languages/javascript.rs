//! JavaScript and TypeScript, in QuickJS or StarlingMonkey.

use crate::{Failure, Language, build::Project, command::run, files, lists, manifest::Engine, world};
use std::{fs, path::Path, process::Command};

/// A module in JavaScript, and what becomes a component with it.
#[derive(Clone, Copy, Debug)]
pub struct Componentization<'a> {
    /// What runs it.
    pub engine: Engine,
    /// The interfaces, in a file or a folder.
    pub wit: &'a Path,
    /// The world in them.
    pub world: &'a str,
    /// A module that imports nothing but interfaces.
    pub source: &'a Path,
    /// A folder for the component, below the one in which `node_modules` is, or that one.
    pub work: &'a Path,
}

impl Componentization<'_> {
    /// Makes the component: an interpreter, in the state in which it is when it has read the source.
    ///
    /// # Errors
    /// If the engine is not installed, or the source does not fit its world.
    pub fn component(&self) -> Result<Vec<u8>, Failure> {
        let engine = match self.engine {
            Engine::QuickJs => "quickjs",
            Engine::StarlingMonkey => "starlingmonkey",
        };
        // It finds packages beside or above itself.
        let script = self.work.join("componentize.mjs");
        files::write(&script, include_bytes!("componentize.mjs"))?;
        let component = self.work.join(engine).with_extension("wasm");
        let mut node = Command::new("node");
        node.arg(&script).args([engine, self.world]).arg(self.source).arg(self.wit).arg(&component);
        run(&mut node)?;
        fs::read(&component).map_err(Failure::file("read", &component))
    }
}

pub(crate) fn build(project: &Project<'_>) -> Result<Vec<u8>, Failure> {
    let engine = project.manifest.engine.unwrap_or_default();
    lists::node(project.folder, project.folder, "esbuild")?;
    let modules = project.folder.join("node_modules");
    if engine == Engine::StarlingMonkey && !modules.join(STARLINGMONKEY).is_dir() {
        return Err(Failure::Missing {
            what: "The package that `engine = \"starlingmonkey\"` needs",
            remedy: format!("`npm install --save-dev --save-exact {STARLINGMONKEY}@0.23.0` brings it."),
        });
    }
    if project.manifest.lang == Language::Typescript {
        run(Command::new(modules.join(".bin/tsc")).arg("--noEmit").current_dir(project.folder))?;
    }
    let work = project.work();
    let (entry, bundle) = (work.join("entry.js"), work.join("bundle.js"));
    files::write(&entry, self::entry(project).as_bytes())?;
    let script = work.join("bundle.mjs");
    files::write(&script, include_bytes!("bundle.mjs"))?;
    run(Command::new("node").arg(&script).arg(&entry).arg(&bundle))?;
    let wit = &world::write(project)?;
    Componentization { engine, wit, world: world::WORLD, source: &bundle, work: &work }.component()
}

const STARLINGMONKEY: &str = "@bytecodealliance/componentize-js";

/// A module that exports what the world wants: objects of the SDK, which call the plugin.
fn entry(project: &Project<'_>) -> String {
    let source = project.manifest.sources().first().copied().unwrap_or_default();
    let hooks: Vec<String> = project.manifest.hooks.iter().map(ToString::to_string).collect();
    let exports: String = hooks.iter().map(|hook| format!(", {}", in_camel_case(hook))).collect();
    format!(
        "// Made of tidegate-plugin.toml.\n\
         // What the engine lacks comes before whoever uses it.\n\
         import \"../../tidegate/text.ts\";\n\
         import Plugin from {:?};\n\
         import {{ component }} from \"../../tidegate/tidegate.ts\";\n\n\
         export const {{ lifecycle{exports} }} = component(Plugin, {hooks:?});\n",
        format!("../../{source}"),
    )
}

fn in_camel_case(name: &str) -> String {
    let mut words = name.split('-');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| name + &word[..1].to_uppercase() + &word[1..])
}

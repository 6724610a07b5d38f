//! C, by clang with a C library for WASI 0.1, both from Zig.

use crate::{Failure, build::Project, command::run, component, files, lists, sdk, world};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use wit_bindgen_core::Files;

/// Succeeds if a virtual environment has the compiler.
pub const ZIG: &[&str] = &["python", "-c", "import ziglang"];

/// Sources in C, and what they are compiled with.
#[derive(Clone, Copy, Debug)]
pub struct Compilation<'a> {
    /// A Python that has `ziglang`.
    pub python: &'a Path,
    /// The interfaces, in a file or a folder.
    pub wit: &'a Path,
    /// The world in them.
    pub world: &'a str,
    /// The plugin.
    pub sources: &'a [PathBuf],
    /// Folders of headers, besides that of the bindings.
    pub include: &'a [PathBuf],
    /// A folder for bindings and module.
    pub work: &'a Path,
    /// Where Zig keeps the C library, once it has compiled it; Zig's own choice if None.
    pub cache: Option<&'a Path>,
}

impl Compilation<'_> {
    /// Writes the bindings to `work/bindings`, compiles, and makes a component of it.
    ///
    /// # Errors
    /// If the compiler is not content.
    pub fn component(&self) -> Result<Vec<u8>, Failure> {
        let (mut resolve, world) = world::read(self.wit, self.world)?;
        let mut bindings = Files::default();
        let generated = wit_bindgen_c::Opts::default().build().generate(&mut resolve, world, &mut bindings);
        generated.map_err(|error| Failure::Interfaces(format!("{error:#}")))?;
        let folder = self.work.join("bindings");
        bindings.iter().try_for_each(|(name, content)| files::write(&folder.join(name), content))?;

        let module = self.work.join("module.wasm");
        let mut cc = Command::new(self.python);
        cc.args(["-m", "ziglang", "cc", "--target=wasm32-wasi", "-mexec-model=reactor", "-O2", "-Wall"]);
        // All of `-s` would take what the world is, too; a stack of Zig's own choice is 16 MiB.
        cc.args(["-Wl,--strip-debug", "-Wl,-z,stack-size=131072"]);
        for include in self.include.iter().chain([&folder]) {
            cc.arg("-I").arg(include);
        }
        cc.args(self.sources);
        let compiled = bindings.iter().map(|(name, _)| folder.join(name));
        cc.args(compiled.filter(|file| file.extension().is_some_and(|kind| kind == "c" || kind == "o")));
        if let Some(cache) = self.cache {
            cc.env("ZIG_GLOBAL_CACHE_DIR", cache);
        }
        cc.arg("-o").arg(&module).env("ZIG_LOCAL_CACHE_DIR", self.cache.unwrap_or(&self.work.join("cache")));
        run(&mut cc)?;
        component::of_wasi_module(&fs::read(&module).map_err(Failure::file("read", &module))?)
    }
}

pub(crate) fn build(project: &Project<'_>) -> Result<Vec<u8>, Failure> {
    let python = lists::python(project.folder, project.environment, ZIG)?;
    let work = project.work();
    // What the SDK's header has to know of the world.
    let hooks = project
        .manifest
        .hooks
        .iter()
        .map(|hook| format!("#define TIDEGATE_{}\n", hook.to_string().replace('-', "_").to_uppercase()));
    files::write(&work.join("bindings/hooks.h"), hooks.collect::<String>().as_bytes())?;
    let sources: Vec<PathBuf> =
        project.manifest.sources().into_iter().map(|file| project.folder.join(file)).collect();
    Compilation {
        python: &python,
        wit: &world::write(project)?,
        world: world::WORLD,
        sources: &sources,
        include: &[sdk::place(project.folder)],
        work: &work,
        cache: None,
    }
    .component()
}

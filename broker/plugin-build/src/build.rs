//! `tidegate plugin build`: a component of a project.

use crate::{
    BuildOptions, Failure, Language,
    command::say,
    component::{self, Interfaces},
    files,
    languages::{c, javascript, python, rust},
    manifest::Manifest,
    sdk::Sdk,
};
use std::path::{Path, PathBuf};

/// Makes `build/NAME.wasm` of the project, and says what it is. Returns its path.
///
/// # Errors
/// If the folder is no project, a tool or package is missing, or the compiler is not content: that has said why already.
pub fn build(options: &BuildOptions) -> Result<PathBuf, Failure> {
    // Compilers run in folders of their own.
    let folder = &std::path::absolute(&options.folder).map_err(Failure::file("find", &options.folder))?;
    let manifest = Manifest::read(folder)?;
    see_to_sdk(manifest.lang, folder, options.update_sdk)?;
    let environment = options.tools.clone().unwrap_or_else(|| folder.join(".venv"));
    let environment = std::path::absolute(&environment).map_err(Failure::file("find", &environment))?;
    let project = Project { folder, manifest: &manifest, environment: &environment };
    files::make_folder(&project.work())?;
    let component = match manifest.lang {
        Language::Rust => rust::build(&project),
        Language::C => c::build(&project),
        Language::Javascript | Language::Typescript => javascript::build(&project),
        Language::Python => python::build(&project),
    }?;
    if !Interfaces::of(&component)?.exports("lifecycle") {
        return Err(Failure::NoLifecycle(match manifest.lang {
            Language::Rust => "src/lib.rs needs `tidegate_plugin::export!`",
            _ => "its bindings have not found their way into it",
        }));
    }
    let path = folder.join("build").join(&manifest.name).with_extension("wasm");
    component::keep(&component, &path)?;
    Ok(path)
}

fn see_to_sdk(language: Language, folder: &Path, update: bool) -> Result<(), Failure> {
    match Sdk::of(language, folder) {
        Sdk::Current => Ok(()),
        Sdk::Missing => {
            say("the folder `tidegate` is missing: writing it");
            Sdk::write(language, folder)
        }
        Sdk::Other if update => {
            say("replacing the folder `tidegate`");
            Sdk::write(language, folder)
        }
        Sdk::Other => {
            say(format_args!(
                "the folder `tidegate` is not that of this version, {}: `tidegate plugin build --update-sdk` replaces it",
                env!("CARGO_PKG_VERSION")
            ));
            Ok(())
        }
    }
}

/// A folder, and what it says of itself.
pub(crate) struct Project<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) manifest: &'a Manifest,
    /// For packages of Python.
    pub(crate) environment: &'a Path,
}

impl Project<'_> {
    /// Where whatever is made on the way goes: beside the component, there is nothing.
    pub(crate) fn work(&self) -> PathBuf {
        self.folder.join("build/work")
    }

    /// The file that has the hooks.
    pub(crate) fn source(&self) -> PathBuf {
        self.folder.join(self.manifest.sources().first().copied().unwrap_or_default())
    }
}

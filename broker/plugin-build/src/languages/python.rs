//! Python, in CPython with the standard library.

use crate::{
    Failure,
    build::Project,
    command::{output, run},
    files, lists, world,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Succeeds if a virtual environment has what makes components.
pub const COMPONENTIZE: &[&str] = &["componentize-py", "--version"];

/// A module in Python, and what becomes a component with it.
#[derive(Clone, Copy, Debug)]
pub struct Componentization<'a> {
    /// A Python that has `componentize-py`.
    pub python: &'a Path,
    /// The interfaces, in a file or a folder.
    pub wit: &'a Path,
    /// The world in them.
    pub world: &'a str,
    /// The module that exports it.
    pub module: &'a str,
    /// Where it and what it imports is found, besides the standard library. Bytecode is left there.
    pub path: &'a [PathBuf],
    /// A folder for the component.
    pub work: &'a Path,
}

impl Componentization<'_> {
    /// Makes the component.
    ///
    /// # Errors
    /// If the module cannot be loaded, or does not fit its world.
    pub fn component(&self) -> Result<Vec<u8>, Failure> {
        let component = self.work.join("component.wasm");
        let mut componentize = Command::new(self.python.with_file_name("componentize-py"));
        componentize.arg("--quiet").arg("--wit-path").arg(self.wit).args([
            "--world",
            self.world,
            "componentize",
        ]);
        for path in self.path {
            componentize.arg("--python-path").arg(path);
        }
        componentize.arg(self.module).arg("--output").arg(&component);
        // It would take our own environment for the plugin's, and tell of itself where the plugin's own errors are told.
        run(componentize.env_remove("VIRTUAL_ENV").env_remove("RUST_BACKTRACE"))?;
        fs::read(&component).map_err(Failure::file("read", &component))
    }
}

pub(crate) fn build(project: &Project<'_>) -> Result<Vec<u8>, Failure> {
    let python = lists::python(project.folder, project.environment, COMPONENTIZE)?;
    let packages = "import sysconfig; print(sysconfig.get_path('purelib'))";
    let packages = output(Command::new(&python).args(["-c", packages]))?;
    let source = project.source();
    let (wit, work) = (world::write(project)?, project.work());
    write_bindings(&python, &wit, &work.join("bindings"))?;
    let app = work.join("app");
    files::write(&app.join(MODULE).with_extension("py"), entry(project, &source).as_bytes())?;
    let mut path = vec![app, project.folder.to_owned(), PathBuf::from(packages.trim())];
    path.extend(source.parent().filter(|folder| *folder != project.folder).map(Path::to_owned));
    Componentization {
        python: &python,
        wit: &wit,
        world: world::WORLD,
        module: MODULE,
        path: &path,
        work: &work,
    }
    .component()
}

/// For editors: the component has its own.
fn write_bindings(python: &Path, wit: &Path, to: &Path) -> Result<(), Failure> {
    let _ = fs::remove_dir_all(to);
    let mut bindings = Command::new(python.with_file_name("componentize-py"));
    bindings.arg("--quiet").arg("--wit-path").arg(wit).args(["--world", world::WORLD, "bindings"]).arg(to);
    output(&mut bindings).map(drop)
}

/// What is made of `entry`.
const MODULE: &str = "tidegate_component";

/// A module that exports what the world wants: classes of the SDK, which call the plugin.
fn entry(project: &Project<'_>, source: &Path) -> String {
    let module = source.file_stem().unwrap_or_default().to_string_lossy();
    let hooks: Vec<String> = project.manifest.hooks.iter().map(ToString::to_string).collect();
    let classes: String = hooks.iter().map(|hook| format!(", {}", in_upper_camel_case(hook))).collect();
    let names: String = hooks.iter().map(|hook| format!(", {hook:?}")).collect();
    format!(
        "# Made of tidegate-plugin.toml.\nimport {module}\nfrom tidegate.component import exports\n\n\
         Lifecycle{classes} = exports({module}{names})\n"
    )
}

fn in_upper_camel_case(name: &str) -> String {
    let words = name.split('-').map(|word| word[..1].to_uppercase() + &word[1..]);
    words.collect()
}

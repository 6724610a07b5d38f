//! Every folder below `plugins/` becomes a component; so do the guests of the tests, if they are asked for.

use crate::{command::run, languages, packages, projects};
use anyhow::{Context, bail};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tidegate_plugin_build::{
    component,
    languages::route::{Route, TARGET},
};

#[derive(clap::Args, Default)]
pub(crate) struct Options {
    /// Folder for the components; target/plugins if not given
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// Only this plugin; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Vec<String>,
    /// STAMP_LABEL while building: what the stamp plugin calls this build
    #[arg(long)]
    pub(crate) label: Option<String>,
    /// The guests that tests and benches use too, to target/guests; and projects as authors make them, and the examples
    #[arg(long)]
    pub(crate) guests: bool,
}

/// Builds the plugins. Takes a second if there is nothing to do.
///
/// # Errors
/// If a plugin does not build, or is no component of ours.
pub(crate) fn build(options: &Options) -> anyhow::Result<()> {
    let root = crate::root();
    let route = Route::find(&root, |needed| {
        packages::ensure(needed, "building wasm without the target wasm32-unknown-unknown")
    })?;
    let plugins = chosen(&root.join("plugins"), &options.only)?;
    if options.guests {
        // Another build of stamp, to swap for the first: made before it, so that the first is what is left.
        let guests = root.join("target/guests");
        let stamp_two = Build { package: "stamp".to_owned(), component: "stamp-two".to_owned() };
        components(&route, &[stamp_two], &guests, Some("two"))?;
        components(&route, &chosen(&root.join("tests/guests"), &[])?, &guests, None)?;
        languages::build(&guests)?;
        projects::make()?;
    }
    let out = options.out.clone().unwrap_or_else(|| root.join("target/plugins"));
    components(&route, &plugins, &out, options.label.as_deref())
}

/// A package, and what its component is called.
struct Build {
    package: String,
    component: String,
}

fn components(route: &Route, builds: &[Build], out: &Path, label: Option<&str>) -> anyhow::Result<()> {
    let target_dir = crate::root().join("target/wasm");
    let mut cargo = route.cargo_build(&crate::root())?;
    cargo.args(["--profile", "plugin", "--target-dir"]).arg(&target_dir);
    for build in builds {
        cargo.args(["--package", &build.package]);
    }
    if let Some(label) = label {
        cargo.env("STAMP_LABEL", label);
    }
    run(&mut cargo)?;
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let modules = target_dir.join(TARGET).join("plugin");
    for Build { package, component } in builds {
        let module = modules.join(package.replace('-', "_")).with_extension("wasm");
        let path = out.join(component).with_extension("wasm");
        componentize(&module, &path).with_context(|| format!("plugin {component}"))?;
    }
    Ok(())
}

/// The packages in `folder`, each in a folder of its name, or only some of them.
fn chosen(folder: &Path, only: &[String]) -> anyhow::Result<Vec<Build>> {
    let places = folders(folder)?;
    let all: Vec<String> =
        places.iter().filter_map(|place| Some(place.file_name()?.to_string_lossy().into_owned())).collect();
    if let Some(unknown) = only.iter().find(|name| !all.contains(name)) {
        bail!("no plugin is called {unknown}; there are {}", all.join(", "));
    }
    let names = if only.is_empty() { all } else { only.to_vec() };
    Ok(names.into_iter().map(|name| Build { package: name.clone(), component: name }).collect())
}

/// Folders of packages below `folder`, in order.
///
/// # Errors
/// It cannot be read.
pub(crate) fn folders(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.join("Cargo.toml").is_file() {
            all.push(path);
        }
    }
    all.sort();
    Ok(all)
}

/// Writes the component of a core module, and says what it is.
fn componentize(module: &Path, to: &Path) -> anyhow::Result<()> {
    let module = fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
    Ok(component::keep(&component::of_module(&module)?, to)?)
}

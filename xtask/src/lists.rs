//! Programs from the package registries of other languages: installed below the target folder, from a list in the checkout.

use crate::{
    command::run,
    packages::{self, Program},
    stamp::Stamp,
};
use anyhow::Context;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Debian's Python comes without what a virtual environment is made with.
const PYTHON: [Program; 1] =
    [Program { check: &["python3", "-c", "import ensurepip, venv"], package: "python3-venv" }];

const NODE: [Program; 2] = [
    Program { check: &["node", "--version"], package: "nodejs" },
    Program { check: &["npm", "--version"], package: "npm" },
];

/// Makes a virtual environment in `to` from `requirements.txt` in `list`, unless it is there and has `module`. Returns its Python.
///
/// # Errors
/// If Python is missing and cannot be installed, or a package cannot be.
pub(crate) fn python(list: &Path, to: &Path, module: &str) -> anyhow::Result<PathBuf> {
    packages::ensure_programs(&PYTHON, "installing Python packages for tests")?;
    let requirements = list.join("requirements.txt");
    let python = to.join("bin/python");
    // A virtual environment dies with the Python that it was made by.
    let alive = || packages::quiet(Command::new(&python).args(["-c", &format!("import {module}")]));
    installed(to, std::slice::from_ref(&requirements))?.ensure(to, alive, || {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(to))?;
        let mut install = Command::new(&python);
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
        run(install.arg(&requirements))
    })?;
    Ok(python)
}

/// Installs in `to` what `package.json` in `list` and its lock file say, unless it is there and has `package`.
///
/// # Errors
/// If Node is missing and cannot be installed, or a package cannot be.
pub(crate) fn node(list: &Path, to: &Path, package: &str) -> anyhow::Result<()> {
    packages::ensure_programs(&NODE, "installing Node packages for tests")?;
    let files = ["package.json", "package-lock.json", ".npmrc"].map(|file| list.join(file));
    let alive = || to.join("node_modules").join(package).join("package.json").is_file();
    installed(to, &files)?.ensure(to, alive, || {
        fs::create_dir_all(to)?;
        for file in &files {
            let name = file.file_name().context("a file has a name")?;
            fs::copy(file, to.join(name)).with_context(|| format!("copying {}", file.display()))?;
        }
        let mut install = Command::new("npm");
        run(install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(to))
    })
}

fn installed(to: &Path, list: &[PathBuf]) -> anyhow::Result<Stamp> {
    Stamp::new(to.join("installed"), "", list)
}

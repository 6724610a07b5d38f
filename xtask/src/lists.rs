//! Programs from the package registries of other languages, as lists in the checkout say.

use crate::packages::{self, Program};
use std::path::{Path, PathBuf};

/// Debian's Python comes without what a virtual environment is made with.
const PYTHON: [Program; 1] =
    [Program { check: &["python3", "-c", "import ensurepip, venv"], package: "python3-venv" }];

const NODE: [Program; 2] = [
    Program { check: &["node", "--version"], package: "nodejs" },
    Program { check: &["npm", "--version"], package: "npm" },
];

/// As [`tidegate_plugin_build::lists::python`], and installs Python if it is missing.
///
/// # Errors
/// If Python is missing and cannot be installed, or a package cannot be.
pub(crate) fn python(list: &Path, to: &Path, check: &[&str]) -> anyhow::Result<PathBuf> {
    packages::ensure_programs(&PYTHON, "installing Python packages for tests")?;
    Ok(tidegate_plugin_build::lists::python(list, to, check)?)
}

/// As [`tidegate_plugin_build::lists::node`], and installs Node if it is missing.
///
/// # Errors
/// If Node is missing and cannot be installed, or a package cannot be.
pub(crate) fn node(list: &Path, to: &Path, package: &str) -> anyhow::Result<()> {
    packages::ensure_programs(&NODE, "installing Node packages for tests")?;
    Ok(tidegate_plugin_build::lists::node(list, to, package)?)
}

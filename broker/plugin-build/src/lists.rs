//! Programs from the package registries of other languages: installed from a list, beside it or elsewhere.

use crate::{
    Failure,
    command::{run, succeeds},
    files,
    stamp::Stamp,
    tools::{self, NODE, NPM},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Makes a virtual environment in `to` from `requirements.txt` in `list`, unless it is there and `check`, a program of it with arguments,
/// succeeds. Returns its Python.
///
/// # Errors
/// If `to` has files of somebody else, Python is missing, or a package cannot be installed.
pub fn python(list: &Path, to: &Path, check: &[&str]) -> Result<PathBuf, Failure> {
    // Whatever is there is removed when it is made.
    if !files::is_free(to) && !to.join("pyvenv.cfg").is_file() {
        return Err(Failure::NoEnvironment(to.to_owned()));
    }
    tools::find_python_with_venv()?;
    let requirements = list.join("requirements.txt");
    let python = to.join("bin/python");
    // A virtual environment dies with the Python that it was made by, and its programs if it is moved.
    let alive = || {
        let (program, arguments) = check.split_first().unwrap_or((&"python", &[]));
        succeeds(Command::new(to.join("bin").join(program)).args(arguments))
    };
    let installed = Stamp::new(to.join("installed"), "", std::slice::from_ref(&requirements))?;
    installed.ensure(to, alive, || {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(to))?;
        let mut install = Command::new(&python);
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
        run(install.arg(&requirements)).map_err(|source| Failure::Packages {
            list: requirements.clone(),
            source: Box::new(source),
            remedy: "Is PyPI to be reached from here, or an index of your own by PIP_INDEX_URL?",
        })
    })?;
    Ok(python)
}

/// Installs in `to`, which may be `list` itself, what `package.json` in `list` and its lock file say, unless it is there and has `package`.
///
/// # Errors
/// If Node is missing, or a package cannot be installed.
pub fn node(list: &Path, to: &Path, package: &str) -> Result<(), Failure> {
    NODE.find()?;
    NPM.find()?;
    let mut files = vec![list.join("package.json"), list.join("package-lock.json")];
    files.extend([list.join(".npmrc")].into_iter().filter(|file| file.is_file()));
    let modules = to.join("node_modules");
    let alive = || modules.join(package).join("package.json").is_file();
    Stamp::new(modules.join(".installed"), "", &files)?.ensure(&modules, alive, || {
        if to != list {
            fs::create_dir_all(to).map_err(Failure::file("make", to))?;
            for file in &files {
                let name = file.file_name().unwrap_or_default();
                fs::copy(file, to.join(name)).map_err(Failure::file("copy", file))?;
            }
        }
        let mut install = Command::new("npm");
        install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(to);
        run(&mut install).map_err(|source| Failure::Packages {
            list: list.join("package-lock.json"),
            source: Box::new(source),
            remedy: "Is the registry of npm to be reached from here (`npm ping`)? If package.json was changed by hand, \
                     `npm install` brings its lock file into step.",
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_files_of_somebody_else_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (list, to) = (folder.path(), folder.path().join("mine"));
        fs::write(list.join("requirements.txt"), "").unwrap();
        fs::create_dir(&to).unwrap();
        // The second is what says of an environment what is in it.
        let files = [to.join("letter"), to.join("installed")];
        for file in &files {
            fs::write(file, "mine").unwrap();
        }
        for to in [&to, &files[0]] {
            let failure = python(list, to, &["python"]).unwrap_err();
            assert!(matches!(failure, Failure::NoEnvironment(_)), "{failure}");
        }
        for file in &files {
            assert_eq!(fs::read_to_string(file).unwrap(), "mine");
        }
    }
}

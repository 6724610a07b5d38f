//! Which compiler makes wasm modules of Rust: rustup's if it has the target, else Debian's with the standard library from source.

use crate::{
    Failure,
    command::{output, say},
};
use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// What plugins in Rust are compiled for.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// A way from Rust to wasm.
pub enum Route {
    /// The toolchain that is in use has the target.
    Target,
    /// Debian's compiler builds the standard library too; the toolchain in use lends its linker.
    Debian {
        /// The compiler.
        rustc: PathBuf,
        /// Its Cargo.
        cargo: PathBuf,
        /// Where the linker of the toolchain in use is.
        linker_dir: PathBuf,
    },
}

impl Route {
    /// What the way without the target needs.
    pub const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

    /// Finds a way for a build in `folder`. `ensure` sees to it that packages of Debian are there, if they are needed.
    ///
    /// # Errors
    /// If packages are missing.
    pub fn find<E: From<Failure>>(
        folder: &Path,
        ensure: impl FnOnce(&[&str]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let rustc = |arguments: &[&str]| output(rustc(folder).args(arguments));
        let sysroot = PathBuf::from(rustc(&["--print", "sysroot"])?.trim());
        let rustlib = sysroot.join("lib/rustlib");
        if rustlib.join(TARGET).join("lib").is_dir() {
            say(format_args!("wasm route: the installed target {TARGET}"));
            return Ok(Self::Target);
        }
        ensure(&Self::DEBIAN_PACKAGES)?;
        say(format_args!(
            "wasm route: Debian's compiler, as target {TARGET} is not installed (`rustup target add {TARGET}` is faster)"
        ));
        let version = rustc(&["-vV"])?;
        let host = version.lines().find_map(|line| line.strip_prefix("host: "));
        let host = host.ok_or_else(|| answer("rustc -vV", "it names no host"))?;
        let files = output(Command::new("dpkg").arg("-L").args(Self::DEBIAN_PACKAGES))?;
        let binary = |name: &str| {
            let wanted = Path::new("usr/bin").join(name);
            let path = files.lines().map(Path::new).find(|path| path.ends_with(&wanted));
            path.map(Path::to_owned).ok_or_else(|| answer("dpkg -L", "the packages bring no compiler"))
        };
        Ok(Self::Debian {
            rustc: binary("rustc")?,
            cargo: binary("cargo")?,
            linker_dir: rustlib.join(host).join("bin"),
        })
    }

    /// `cargo build` for the target, in `folder`, without saying of what.
    ///
    /// # Errors
    /// If PATH cannot be extended.
    pub fn cargo_build(&self, folder: &Path) -> Result<Command, Failure> {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        if let Self::Debian { rustc, cargo, linker_dir } = self {
            command = Command::new(cargo);
            let path = env::var_os("PATH").unwrap_or_default();
            let path = env::join_paths(std::iter::once(linker_dir.clone()).chain(env::split_paths(&path)));
            let path = path.map_err(|_| answer("cargo build", "PATH cannot be extended"))?;
            command.env("PATH", path).env("RUSTC", rustc).env("RUSTC_BOOTSTRAP", "1");
            // What rustup sets for its own toolchain would be loaded into this one.
            command.env_remove("LD_LIBRARY_PATH").env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
        }
        command.args(["build", "--target", TARGET]).current_dir(folder);
        if let Some(flags) = flags(folder) {
            command.arg("--config").arg(flags);
        }
        if matches!(self, Self::Debian { .. }) {
            command.arg("-Zbuild-std=std,panic_abort");
        }
        Ok(command)
    }
}

/// Where a panic names the file of a dependency, it names no folder of the machine that built it. None where paths are no text.
fn flags(folder: &Path) -> Option<String> {
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home)?;
    let folder = std::path::absolute(folder).ok()?;
    remapping(&[(&cargo_home, "/cargo"), (&folder, "/plugin")])
}

/// For `cargo --config`.
fn remapping(folders: &[(&Path, &str)]) -> Option<String> {
    let flags = folders.iter().map(|(from, to)| Some(format!("--remap-path-prefix={}={to}", from.to_str()?)));
    let flags = toml::Value::from(flags.collect::<Option<Vec<String>>>()?);
    Some(format!("target.{TARGET}.rustflags={flags}"))
}

fn answer(command: &str, why: &'static str) -> Failure {
    Failure::Answer { command: command.into(), why }
}

fn rustc(folder: &Path) -> Command {
    let mut command = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    command.current_dir(folder);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_any_name_are_left_out_of_panics() {
        for folder in ["/home/a", "/home/a b", "/home/\"a\"", "/home/\u{7f}\u{301}", "/home/\t'a'", "C:\\a"] {
            let config = remapping(&[(Path::new(folder), "/plugin")]).expect("it is text");
            let config: toml::Table = config.parse().unwrap_or_else(|error| panic!("{config}: {error}"));
            let flags = config["target"][TARGET]["rustflags"].as_array().expect("a list");
            let expected = format!("--remap-path-prefix={folder}=/plugin");
            assert_eq!(flags, &[toml::Value::from(expected)]);
        }
    }
}

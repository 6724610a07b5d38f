//! Which compiler makes wasm modules: rustup's if it has the target, else Debian's with the standard library from source.

use crate::{
    command::{cargo, output, say},
    packages,
};
use anyhow::Context;
use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// A way from Rust to wasm.
pub(crate) enum Route {
    /// The toolchain that is in use has the target.
    Target,
    /// Debian's compiler builds the standard library too; the toolchain in use lends its linker.
    Debian { rustc: PathBuf, cargo: PathBuf, linker_dir: PathBuf },
}

impl Route {
    /// Finds a way, and installs what it needs.
    ///
    /// # Errors
    /// If packages are missing that cannot be installed from here.
    pub(crate) fn find() -> anyhow::Result<Self> {
        let sysroot = PathBuf::from(output(rustc().args(["--print", "sysroot"]))?.trim());
        let rustlib = sysroot.join("lib/rustlib");
        if rustlib.join(TARGET).join("lib").is_dir() {
            say(format_args!("wasm route: the installed target {TARGET}"));
            return Ok(Self::Target);
        }
        say(format_args!(
            "wasm route: Debian's compiler, as target {TARGET} is not installed (`rustup target add {TARGET}` is faster)"
        ));
        packages::ensure(&DEBIAN_PACKAGES, "building wasm without that target")?;
        let version = output(rustc().arg("-vV"))?;
        let host = version
            .lines()
            .find_map(|line| line.strip_prefix("host: "))
            .context("rustc -vV names no host")?;
        let files = output(Command::new("dpkg").arg("-L").args(DEBIAN_PACKAGES))?;
        let binary = |name: &str| {
            let path =
                files.lines().map(Path::new).find(|path| path.ends_with(Path::new("usr/bin").join(name)));
            path.map(Path::to_owned).with_context(|| format!("the packages bring no {name}"))
        };
        Ok(Self::Debian {
            rustc: binary("rustc")?,
            cargo: binary("cargo")?,
            linker_dir: rustlib.join(host).join("bin"),
        })
    }

    /// `cargo build` for the target, without the packages.
    ///
    /// # Errors
    /// If PATH cannot be extended.
    pub(crate) fn cargo_build(&self) -> anyhow::Result<Command> {
        let mut command = cargo::<&str>([]);
        if let Self::Debian { rustc, cargo, linker_dir } = self {
            command = Command::new(cargo);
            let path = env::var_os("PATH").unwrap_or_default();
            let path = env::join_paths(std::iter::once(linker_dir.clone()).chain(env::split_paths(&path)))?;
            command
                .current_dir(crate::root())
                .env("PATH", path)
                .env("RUSTC", rustc)
                .env("RUSTC_BOOTSTRAP", "1");
            // What rustup sets for its own toolchain would be loaded into this one.
            command.env_remove("LD_LIBRARY_PATH").env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
        }
        command.args(["build", "--target", TARGET]);
        if matches!(self, Self::Debian { .. }) {
            command.arg("-Zbuild-std=std,panic_abort");
        }
        Ok(command)
    }
}

fn rustc() -> Command {
    let mut command = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    command.current_dir(crate::root());
    command
}

//! An empty folder, and the commands in it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tempfile::TempDir;
use tidegate_plugin_build::{component::Interfaces, language_of};

pub(crate) struct Workplace {
    folder: TempDir,
}

impl Workplace {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// With a project `shout`.
    pub(crate) fn with_project(arguments: &[&str]) -> Self {
        let workplace = Self::new();
        let made = workplace.run(&[&["new", "shout"], arguments].concat());
        assert!(made.good, "{made:?}");
        assert!(made.said.contains("tidegate plugin build "), "{made:?}");
        workplace
    }

    /// A file of the project.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("shout").join(name)
    }

    /// Puts something else in the place of some text in a file of the project.
    pub(crate) fn edit(&self, name: &str, old: &str, new: &str) {
        let text = self.text(name);
        assert!(text.contains(old), "{name}: {text}");
        fs::write(self.file(name), text.replace(old, new)).unwrap();
    }

    /// The command, to be run in the folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate-plugin-build"));
        command.args(arguments).current_dir(self.folder.path());
        command.env("CARGO_TARGET_DIR", languages().join("rust"));
        command
    }

    /// What is in a file of the project.
    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap()
    }

    /// `build`, with the compilers of `xtask`.
    pub(crate) fn build(&self) -> Said {
        self.build_with(&[])
    }

    /// As [`Self::build`], with these options.
    pub(crate) fn build_with(&self, options: &[&str]) -> Said {
        let language = language_of(&self.file(".")).unwrap().key();
        let mut build = self.command(&[&["build", "shout"], options].concat());
        if ["c", "python"].contains(&language) {
            build.arg("--tools").arg(languages().join(language).join("tools"));
        }
        Said::by(&mut build)
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        Said::by(&mut self.command(arguments))
    }

    /// Builds the project, which must do; what its component exports and imports.
    pub(crate) fn built(&self) -> Interfaces {
        let built = self.build();
        assert!(built.good, "{built:?}");
        assert!(built.complained.contains("build/shout.wasm"), "{built:?}");
        Interfaces::of(&fs::read(self.file("build/shout.wasm")).unwrap()).unwrap()
    }
}

/// What a command said, and whether it succeeded.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) good: bool,
    pub(crate) code: Option<i32>,
    pub(crate) said: String,
    pub(crate) complained: String,
}

impl Said {
    pub(crate) fn by(command: &mut Command) -> Self {
        let Output { status, stdout, stderr } = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { good: status.success(), code: status.code(), said: text(stdout), complained: text(stderr) }
    }

    /// The last line of what it complained about, once it has failed as it should.
    pub(crate) fn failure(&self) -> &str {
        assert_eq!(self.code, Some(1), "{self:?}");
        self.complained.lines().last().unwrap_or_default()
    }
}

/// Where tools of other languages are kept, as `xtask` does: below the folder of the profile's.
pub(crate) fn languages() -> PathBuf {
    let profile =
        Path::new(env!("CARGO_BIN_EXE_tidegate-plugin-build")).parent().expect("programs lie in a folder");
    profile.parent().expect("a profile has a folder").join("languages")
}

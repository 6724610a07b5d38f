//! Config, plugins and data of one broker, in a folder that goes with the last handle.

use crate::{Finished, Process, binaries::compile_cache, broker::Broker, broker_binary};
use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;

/// The folder of one broker: `tidegate.toml`, `plugins/` and `data/`. Outlives its broker, so that the broker can be started again.
#[derive(Clone, Debug)]
pub struct Folder {
    dir: Arc<TempDir>,
}

impl Folder {
    /// A new folder with this config. What it does not say is added: a listener on a free port of 127.0.0.1, `allow_anonymous = true` and
    /// a log as JSON.
    ///
    /// # Panics
    /// If the folder cannot be made.
    pub fn new(config: &str) -> Self {
        let dir =
            tempfile::Builder::new().prefix("tidegate-test-").tempdir().expect("a folder for the broker");
        let folder = Self { dir: Arc::new(dir) };
        fs::create_dir(folder.plugin_dir()).expect("plugins/ can be made");
        folder.write_config(config);
        folder
    }

    /// Writes the config anew, completed as in [`Folder::new`].
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn write_config(&self, config: &str) {
        // Keys of the top level stand before all tables.
        let mut text = String::new();
        if !config.contains("allow_anonymous") {
            text.push_str("allow_anonymous = true\n");
        }
        text.push_str(config);
        if !config.contains("[[listener]]") && !config.contains("listener =") {
            text.push_str("\n[[listener]]\naddress = \"127.0.0.1:0\"\n");
        }
        if !config.contains("[log]") {
            text.push_str("\n[log]\nformat = \"json\"\n");
        }
        fs::write(self.config(), text).expect("tidegate.toml can be written");
    }

    /// Copies a component to `plugins/NAME.wasm` as `cp` does: what is there is written over in place.
    ///
    /// # Panics
    /// If it cannot be copied.
    pub fn install_plugin(&self, name: &str, from: &Path) -> PathBuf {
        let to = self.plugin_file(name);
        fs::copy(from, &to).expect("the plugin can be copied");
        to
    }

    /// Copies a component beside the plugin folder, then renames it to `plugins/NAME.wasm`: it is there at once or not at all.
    ///
    /// # Panics
    /// If it cannot be copied or renamed.
    pub fn rename_plugin(&self, name: &str, from: &Path) -> PathBuf {
        let (beside, to) = (self.path().join(name), self.plugin_file(name));
        fs::copy(from, &beside).expect("the plugin can be copied");
        fs::rename(beside, &to).expect("the plugin can be renamed");
        to
    }

    /// Deletes `plugins/NAME.wasm`.
    ///
    /// # Panics
    /// If it is not there.
    pub fn remove_plugin(&self, name: &str) {
        fs::remove_file(self.plugin_file(name)).expect("the plugin is there");
    }

    /// Starts a broker on this folder and waits until it listens.
    ///
    /// # Panics
    /// With its log, if it does not start.
    pub fn start(&self) -> Broker {
        self.start_with(&[])
    }

    /// As [`Folder::start`], with these variables in the broker's environment.
    ///
    /// # Panics
    /// As [`Folder::start`].
    pub fn start_with(&self, environment: &[(&str, OsString)]) -> Broker {
        let environment = environment.iter().map(|(name, value)| (name, value));
        Broker::on(self.clone(), self.command().envs(environment))
    }

    /// Starts a broker and ends it (SIGKILL) when this time is over, wherever it is by then.
    ///
    /// # Panics
    /// If the binary cannot be run.
    pub fn start_and_kill(&self, environment: &[(&str, OsString)], after: Duration) {
        let environment = environment.iter().map(|(name, value)| (name, value));
        let mut command = self.command();
        let process = Process::start(command.arg("-c").arg(self.config()).envs(environment));
        std::thread::sleep(after);
        drop(process);
    }

    /// Runs the binary with these arguments to its end, in this folder: for what is refused, and for commands that end by themselves.
    ///
    /// # Panics
    /// If the binary cannot be run.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        Process::start(self.command().args(arguments)).finish()
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(broker_binary());
        command.current_dir(self.path()).env_remove("TIDEGATE_CONFIG");
        // What commands for plugin authors keep compiled: for all tests, and not in the home of whoever runs them.
        command.env("XDG_CACHE_HOME", compile_cache());
        command
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// `tidegate.toml`
    pub fn config(&self) -> PathBuf {
        self.path().join("tidegate.toml")
    }

    /// `plugins/`
    pub fn plugin_dir(&self) -> PathBuf {
        self.path().join("plugins")
    }

    /// `plugins/NAME.wasm`
    pub fn plugin_file(&self, name: &str) -> PathBuf {
        self.plugin_dir().join(name).with_extension("wasm")
    }

    /// `data/`
    pub fn data_dir(&self) -> PathBuf {
        self.path().join("data")
    }
}

//! MQTT clients that tests start: made below `target/clients` from the lists of packages in `tests/clients`.

use crate::{
    command::{run, say},
    packages::{self, Program},
};
use anyhow::Context;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What makes and runs them.
const PROGRAMS: [Program; 3] = [
    // Debian's Python comes without what a virtual environment is made with.
    Program { check: &["python3", "-c", "import ensurepip, venv"], package: "python3-venv" },
    Program { check: &["node", "--version"], package: "nodejs" },
    Program { check: &["npm", "--version"], package: "npm" },
];

/// Installs what is missing or has changed. Quick if nothing has.
///
/// # Errors
/// If a program is missing and cannot be installed, or a client cannot be.
pub(crate) fn ensure() -> anyhow::Result<()> {
    packages::ensure_programs(&PROGRAMS, "testing with other people's clients")?;
    let (lists, clients) = (crate::root().join("tests/clients"), crate::target_dir().join("clients"));

    let paho = Client { list: lists.join("paho"), files: &["requirements.txt"], to: clients.join("paho") };
    let python = paho.to.join("bin/python");
    // A virtual environment dies with the Python that it was made by.
    let alive = || packages::quiet(Command::new(&python).args(["-c", "import paho.mqtt.client"]));
    paho.ensure(alive, || {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&paho.to))?;
        let mut install = Command::new(&python);
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
        run(install.arg(paho.list.join("requirements.txt")))
    })?;

    let files = &["package.json", "package-lock.json", ".npmrc"];
    let mqttjs = Client { list: lists.join("mqttjs"), files, to: clients.join("mqttjs") };
    let alive = || mqttjs.to.join("node_modules/mqtt/package.json").is_file();
    mqttjs.ensure(alive, || {
        fs::create_dir_all(&mqttjs.to)?;
        for file in mqttjs.files {
            fs::copy(mqttjs.list.join(file), mqttjs.to.join(file))
                .with_context(|| format!("copying {file}"))?;
        }
        let mut install = Command::new("npm");
        run(install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&mqttjs.to))
    })
}

/// A client, and the files that say what it is made of.
struct Client {
    list: PathBuf,
    files: &'static [&'static str],
    to: PathBuf,
}

impl Client {
    /// Installs, unless the same was installed before and is still alive.
    fn ensure(
        &self,
        alive: impl FnOnce() -> bool,
        install: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut wanted = String::new();
        for file in self.files {
            let path = self.list.join(file);
            wanted += &fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        }
        // The lists themselves are the stamp.
        let stamp = self.to.join("installed");
        if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) && alive() {
            return Ok(());
        }
        say(format_args!("{}: installing", name(&self.to)));
        // What is half done is not taken for done.
        let _ = fs::remove_file(&stamp);
        install()?;
        fs::write(stamp, wanted).context("writing the stamp")
    }
}

fn name(path: &Path) -> std::path::Display<'_> {
    path.file_name().map_or(path, Path::new).display()
}

//! Writing a plugin by the letter of `docs/plugins.md`, in each language, from an empty folder to a running broker; what was typed and seen is kept as
//! `docs/plugin-transcripts.md`.

use crate::{command::say, target_dir};
use anyhow::{Context, bail, ensure};
use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

const LANGUAGES: [&str; 5] = ["rust", "c", "javascript", "typescript", "python"];

/// The one that the page shows.
const SHOWN: &str = "--lang python";

/// Where the page copies the plugin to.
const FOLDER: &str = "/etc/tidegate/plugins/";

/// Interpreters take long to compile on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Walks, and writes the page. Needs the binary of the release profile, and what each language needs.
///
/// # Errors
/// A command of the page fails, or the broker does not take the plugin.
pub(crate) fn all() -> anyhow::Result<()> {
    let place = env::temp_dir().join(format!("tidegate-walk-{}", std::process::id()));
    let walked = LANGUAGES.iter().map(|language| walk(language, &place.join(language)));
    let walked = walked.collect::<anyhow::Result<Vec<String>>>();
    // What is left of it is of no use.
    _ = fs::remove_dir_all(&place);
    let page = format!(
        "# A plugin in each language, from an empty folder\n\nThe commands of [plugins.md](plugins.md#writing-one), typed and answered by `cargo xtask walk`, with tools and packages from their \
         registries. The broker's log ends each.\n\n{}",
        walked?.join("\n")
    );
    let file = crate::root().join("docs/plugin-transcripts.md");
    fs::write(&file, page).with_context(|| file.display().to_string())?;
    say(format_args!("{}", file.display()));
    Ok(())
}

/// The commands of the page, without what explains them.
fn commands(language: &str) -> anyhow::Result<Vec<String>> {
    let page = fs::read_to_string(crate::root().join("docs/plugins.md"))?;
    let block = page.split_once("## Writing one").and_then(|(_, rest)| rest.split_once("```sh\n"));
    let block =
        block.and_then(|(_, rest)| rest.split_once("```")).context("docs/plugins.md shows no commands")?.0;
    ensure!(
        block.contains(SHOWN) && block.contains(FOLDER),
        "docs/plugins.md shows other commands:\n{block}"
    );
    let lines = block.lines().map(|line| line.split(" #").next().unwrap_or(line).trim_end());
    Ok(lines.map(|line| line.replace(SHOWN, &format!("--lang {language}"))).collect())
}

fn walk(language: &str, place: &Path) -> anyhow::Result<String> {
    let plugins = place.join("broker/plugins");
    fs::create_dir_all(&plugins)?;
    let broker = Broker::start(&place.join("broker"))?;
    let mut folder = place.join("author");
    fs::create_dir_all(&folder)?;
    let mut text = format!("## {language}\n\n```text\n");
    for command in commands(language)? {
        say(format_args!("{language}: {command}"));
        text.push_str(&format!("$ {command}\n"));
        if let Some(to) = command.strip_prefix("cd ") {
            folder.push(to);
            continue;
        }
        let typed = command.replace(FOLDER, &format!("{}/", plugins.display()));
        let path = env::var_os("PATH").unwrap_or_default();
        let path =
            env::join_paths(std::iter::once(target_dir().join("release")).chain(env::split_paths(&path)))?;
        let output = Command::new("bash")
            .args(["-c", &format!("{typed} 2>&1")])
            .current_dir(&folder)
            .env("PATH", path)
            .output()?;
        let mut said = String::from_utf8_lossy(&output.stdout).replace(&format!("{}/", folder.display()), "");
        // Whose machine it was is nobody's business.
        let homes = [Some(place.to_owned()), env::var_os("HOME").map(PathBuf::from)];
        for home in homes.into_iter().flatten() {
            said = said.replace(&home.display().to_string(), "~");
        }
        text.push_str(&said);
        ensure!(output.status.success(), "{command}: {}\n{said}", output.status);
    }
    let taken = broker.wait_for("generation 1")?;
    Ok(format!("{text}\n{taken}\n```\n"))
}

/// A broker that takes plugins in, ended with this.
struct Broker {
    process: Child,
    log: Receiver<String>,
}

impl Broker {
    fn start(folder: &Path) -> anyhow::Result<Self> {
        let config: PathBuf = folder.join("tidegate.toml");
        let mut file = fs::File::create(&config)?;
        writeln!(
            file,
            "allow_anonymous = true\n[[listener]]\naddress = \"127.0.0.1:0\"\n[store]\nengine = \"memory\""
        )?;
        let mut process = Command::new(target_dir().join("release/tidegate"))
            .arg("-c")
            .arg(&config)
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start the broker; build it with `cargo build --release --workspace`")?;
        let lines = process.stderr.take().map(BufReader::new);
        let (sender, log) = channel();
        thread::spawn(move || {
            lines
                .into_iter()
                .flat_map(BufRead::lines)
                .map_while(Result::ok)
                .all(|line| sender.send(line).is_ok())
        });
        let broker = Self { process, log };
        broker.wait_for("ready")?;
        Ok(broker)
    }

    fn wait_for(&self, part: &str) -> anyhow::Result<String> {
        let until = Instant::now() + PATIENCE;
        while let Ok(line) = self.log.recv_timeout(until.saturating_duration_since(Instant::now())) {
            if line.contains(part) {
                return Ok(line);
            }
        }
        bail!("the broker's log says nothing of {part:?}")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It is ours, and nobody's any more.
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_what_is_typed() {
        let commands = commands("c").unwrap();
        assert_eq!(commands[0], "tidegate plugin new --lang c celsius");
        assert!(commands.iter().any(|command| command == "tidegate plugin build"), "{commands:?}");
        assert!(commands.iter().all(|command| !command.contains('#')), "{commands:?}");
    }
}

//! The quickstart, from nothing.

use crate::{
    command::{cargo, run, say},
    packages, plugins,
};
use anyhow::Context;
use std::{fs, process::Command};

/// Those that the quickstart has a table for: one without would be refused, and what it would be asked about would fail.
const PLUGINS: [&str; 3] = ["acl-log", "passwd", "stamp"];

/// Builds broker and plugins, lays the plugins where `examples/quickstart` has them, and becomes the broker: Ctrl-C reaches it.
///
/// # Errors
/// If something does not build, or the broker does not start.
pub(crate) fn quickstart(broker_args: &[String]) -> anyhow::Result<()> {
    let quickstart = crate::root().join("examples/quickstart");
    let only = PLUGINS.map(str::to_owned).to_vec();
    let options = plugins::Options { only, out: Some(quickstart.join("plugins")), ..Default::default() };
    plugins::build(&options)?;
    packages::ensure_to_build()?;
    run(&mut cargo(["build", "--release", "--package", "tidegate"]))?;
    fs::create_dir_all(quickstart.join("data")).context("cannot make the data folder")?;
    let mut broker = Command::new(crate::target_dir().join("release/tidegate"));
    broker.arg("-c").arg(quickstart.join("tidegate.toml")).args(broker_args);
    say("try it from another terminal; users and passwords are in examples/quickstart/README.md");
    become_the(broker)
}

#[cfg(unix)]
fn become_the(mut broker: Command) -> anyhow::Result<()> {
    let error = std::os::unix::process::CommandExt::exec(&mut broker);
    Err(error).context("cannot start the broker")
}

#[cfg(not(unix))]
fn become_the(mut broker: Command) -> anyhow::Result<()> {
    let status = broker.status().context("cannot start the broker")?;
    anyhow::ensure!(status.success(), "the broker ended with {status}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quickstart_has_the_plugins_that_its_config_names() {
        let config = fs::read_to_string(crate::root().join("examples/quickstart/tidegate.toml")).unwrap();
        let tables = config.lines().filter_map(|line| line.strip_prefix("[plugin.")?.strip_suffix(']'));
        let mut named: Vec<&str> = tables.filter(|table| !table.contains('.')).collect();
        named.sort_unstable();
        assert_eq!(named, PLUGINS);
    }
}

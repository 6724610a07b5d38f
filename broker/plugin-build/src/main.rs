//! The two commands alone, without a broker: for tests, and for whoever has no broker at hand.

use clap::Parser;
use std::process::ExitCode;
use tidegate_plugin_build::{BuildOptions, NewOptions, build, new};

/// `tidegate plugin new` and `tidegate plugin build`, without the rest of tidegate.
#[derive(Parser)]
#[command(version)]
enum Command {
    /// Begin a plugin: a folder with a small one that works, in a language of your choice.
    New(NewOptions),
    /// Make a component of a plugin's project.
    Build(BuildOptions),
}

fn main() -> ExitCode {
    let done = match Command::parse() {
        Command::New(options) => new(&options),
        Command::Build(options) => build(&options),
    };
    match done {
        Ok(_) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("tidegate: {failure}");
            ExitCode::FAILURE
        }
    }
}

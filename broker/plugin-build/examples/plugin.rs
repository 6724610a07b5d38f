//! The two commands alone, without a broker: `cargo run -p tidegate-plugin-build --example plugin -- new --lang rust NAME`.

use clap::Parser;
use std::process::ExitCode;
use tidegate_plugin_build::{BuildOptions, NewOptions, build, new};

#[derive(Parser)]
enum Command {
    New(NewOptions),
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
            eprintln!("plugin: {failure}");
            ExitCode::FAILURE
        }
    }
}

//! The leon daemon.

mod allow;
mod cli;
mod config;
mod control;
mod demo;
mod explain;
mod keyfile;
mod keygen;
mod observer;
mod run;
mod seeds;
mod simulate;
mod status;
mod table;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

/// What one engine of a simulation sends another one frees, on another thread: with the allocator of the system library 500
/// sites take a third longer (`leond simulate`). The data path of a daemon allocates nothing.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Why a command fails, which decides the exit code.
enum Failure {
    /// The command line or the configuration is wrong; nothing was started. Exit code 2, as clap's own.
    Usage(anyhow::Error),
    /// What was asked for did not work. Exit code 1.
    Runtime(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::Runtime(error)
    }
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Keygen(arguments) => keygen::generate(&arguments).map_err(Failure::Runtime),
        Command::Pubkey(arguments) => keygen::show_public(&arguments).map_err(Failure::Runtime),
        Command::Status(arguments) => status::show(&arguments).map_err(Failure::Runtime),
        Command::Explain(arguments) => explain::show(&arguments).map_err(Failure::Runtime),
        Command::Demo(arguments) => demo::run(&arguments).map_err(Failure::Runtime),
        Command::Simulate(arguments) => simulate::run(&arguments),
    };
    let (error, code) = match result {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Runtime(error)) => (error, 1),
        Err(Failure::Usage(error)) => (error, 2),
    };
    eprintln!("leond: {error:#}");
    ExitCode::from(code)
}

/// Starts logging to standard error; `RUST_LOG` overrides `default`.
fn start_log(default: log::LevelFilter) {
    env_logger::Builder::new().filter_level(default).parse_default_env().init();
}

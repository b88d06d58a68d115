//! Trunkline's command line as a library.
//!
//! The program `trunkline` is [`run`] with the built-in parts. A researcher's program is [`run`]
//! with a [`Catalogue`] of their own, and has the same commands.

mod affinity;
mod catalogue;
mod commands;
mod exit;
mod launch;
mod local;
mod picture;
mod progress;
mod recorded;
mod run_dir;
mod security;
mod signals;
mod table;
mod weighting;

use std::{
    io::{IsTerminal, stderr},
    process::ExitCode,
    time::Instant,
};

use clap::{CommandFactory, FromArgMatches};
use tracing_subscriber::EnvFilter;

pub use catalogue::Catalogue;

/// Carries out the command that stands in the program's arguments, and returns its exit code.
///
/// It is the whole of a program's `main`. The process then ends, because the parts of the catalogue
/// are fixed from here on.
pub fn run(catalogue: Catalogue) -> ExitCode {
    #[expect(clippy::disallowed_methods, reason = "how long a run took is counted from here")]
    let started = Instant::now();
    let filter = EnvFilter::try_from_env("TRUNKLINE_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .without_time()
        .with_target(false)
        .init();
    // Clap keeps the text for as long as the program runs.
    let version: &'static str = catalogue.version().leak();
    let command = commands::Arguments::command().name(catalogue.name()).version(version);
    let arguments = commands::Arguments::from_arg_matches(&command.get_matches());
    let arguments = arguments.unwrap_or_else(|error| error.exit());
    exit::code(commands::run(arguments, started))
}

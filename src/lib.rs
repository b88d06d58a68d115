//! Trunkline's command line as a library.
//!
//! The program `trunkline` is [`run`] with the built-in parts. A researcher's program is [`run`]
//! with a [`Catalogue`] of their own, and has the same commands.

mod affinity;
mod amount;
mod catalogue;
mod commands;
mod exit;
mod launch;
mod local;
mod picture;
mod progress;
mod recorded;
mod run_dir;
mod screen;
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

pub use catalogue::{Added, Catalogue};
/// What the parts of a researcher's crate are made with.
pub use {aggregation, model, objectives, settings};

/// Carries out the command that the program's arguments give, and returns its exit code.
///
/// A program calls this once, as the last thing in its `main`. The parts of the catalogue are fixed
/// from then on. Worker processes on this machine are started from the same program, so that they
/// have the same parts.
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
        // The complaint about a line that can't be written goes to the same closed pipe, and
        // panics.
        .log_internal_errors(false)
        .init();
    // Clap keeps the text for as long as the program runs.
    let version: &'static str = catalogue.version().leak();
    let command = commands::Arguments::command().name(catalogue.name()).version(version);
    let matches = command.try_get_matches();
    let arguments = match matches.and_then(|matches| commands::Arguments::from_arg_matches(&matches)) {
        Ok(arguments) => arguments,
        Err(error) => return exit::usage(&error),
    };
    let registered = catalogue.register().map_err(exit::Failure::refused);
    exit::code(registered.and_then(|()| commands::run(arguments, started)))
}

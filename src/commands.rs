//! The commands, one file each.
//!
//! No command calls another. What two commands need is a module beside this one.

mod affinity;
mod aggregate;
mod certificates;
mod check;
mod coordinator;
mod evaluate;
mod inspect;
mod replay;
mod status;
mod sync;
mod toy;
mod train;
mod worker;

use std::time::Instant;

use clap::{Parser, Subcommand};

use crate::exit::Failure;

/// The end of the program's help.
const MORE: &str = "\
Begin with `trunkline check FILE`. docs/experiment.md describes the experiment file.

Results go to standard output, messages for people to standard error. TRUNKLINE_LOG=info adds details.
Exit codes: 0 done, 1 failed at run time, 2 bad usage or bad experiment, 130 interrupted.";

/// Distributed data-parallel training for multi-task learning: the same bits on any number of
/// machines.
#[derive(Parser)]
#[command(version, max_term_width = 110, after_help = MORE)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train an experiment: a coordinator and worker processes on this machine.
    Train(train::Arguments),
    /// Validate an experiment and show the plan; train nothing.
    Check(check::Arguments),
    /// Coordinate an experiment for workers on other machines.
    Coordinator(coordinator::Arguments),
    /// Work for a coordinator.
    Worker(worker::Arguments),
    /// Compute the metrics of a trained run on a split.
    Evaluate(evaluate::Arguments),
    /// Describe a run: state, step, hashes, versions.
    Inspect(inspect::Arguments),
    /// Make a private authority, certificates and a join token for a cluster.
    Certificates(certificates::Arguments),
    /// Show what a running coordinator does.
    Status(status::Arguments),
    /// Send a run's journal to an MLflow server, each point once.
    Sync(sync::Arguments),
    /// Apply a weighting to gradient matrices: JSON lines in, JSON lines out.
    Aggregate(aggregate::Arguments),
    /// Show which tasks of a run help each other, and which to train together.
    Affinity(affinity::Arguments),
    /// Show what another weighting would have made of a run's recorded steps.
    Replay(replay::Arguments),
    /// Run a weighting on the papers' two-task toy problems: table, JSON, picture.
    Toy(toy::Arguments),
}

/// Carries out the command that was given. `started` is when the program started.
///
/// # Errors
/// The command was refused, failed or was interrupted.
pub fn run(arguments: Arguments, started: Instant) -> Result<(), Failure> {
    match arguments.command {
        Command::Train(arguments) => train::run(arguments, started),
        Command::Check(arguments) => check::run(&arguments),
        Command::Coordinator(arguments) => coordinator::run(arguments, started),
        Command::Worker(arguments) => worker::run(arguments),
        Command::Evaluate(arguments) => evaluate::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Certificates(arguments) => certificates::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Sync(arguments) => sync::run(&arguments),
        Command::Aggregate(arguments) => aggregate::run(&arguments),
        Command::Affinity(arguments) => affinity::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Toy(arguments) => toy::run(&arguments),
    }
}

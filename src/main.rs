//! The command line: one file a command.

mod affinity;
mod aggregate;
mod certificates;
mod check;
mod coordinator;
mod evaluate;
mod exit;
mod inspect;
mod launch;
mod local;
mod picture;
mod progress;
mod recorded;
mod replay;
mod run_dir;
mod security;
mod signals;
mod status;
mod table;
mod toy;
mod train;
mod weighting;
mod worker;

use std::{io::IsTerminal, process::ExitCode, time::Instant};

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// What holds for all commands.
const MORE: &str = "\
Begin with `trunkline check FILE`; docs/experiment.md has all that an experiment file can say.

Results go to standard output, what is for people to standard error; TRUNKLINE_LOG=info says more there.
Exit codes: 0 done, 1 failed at run time, 2 bad usage or bad experiment, 130 interrupted.";

/// Distributed data-parallel training for multi-task learning: the same bits on any number of
/// machines.
#[derive(Parser)]
#[command(version, max_term_width = 110, after_help = MORE)]
struct Arguments {
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
    /// Metrics of a trained run on a split.
    Evaluate(evaluate::Arguments),
    /// What a run is: state, step, hashes, versions.
    Inspect(inspect::Arguments),
    /// Make a private authority, certificates and a join token for a cluster.
    Certificates(certificates::Arguments),
    /// What a running coordinator is doing.
    Status(status::Arguments),
    /// Any weighting on any matrix of gradients: JSON lines in, JSON lines out.
    Aggregate(aggregate::Arguments),
    /// Which tasks of a run help each other, and which to train together.
    Affinity(affinity::Arguments),
    /// What another weighting would have made of a run's recorded steps.
    Replay(replay::Arguments),
    /// The papers' two-task toy problems with any weighting: table, JSON, picture.
    Toy(toy::Arguments),
}

fn main() -> ExitCode {
    #[expect(clippy::disallowed_methods, reason = "how long a run took is counted from here")]
    let started = Instant::now();
    let filter = EnvFilter::try_from_env("TRUNKLINE_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .without_time()
        .with_target(false)
        .init();
    let outcome = match Arguments::parse().command {
        Command::Train(arguments) => train::run(arguments, started),
        Command::Check(arguments) => check::run(&arguments),
        Command::Coordinator(arguments) => coordinator::run(arguments, started),
        Command::Worker(arguments) => worker::run(arguments),
        Command::Evaluate(arguments) => evaluate::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Certificates(arguments) => certificates::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Aggregate(arguments) => aggregate::run(&arguments),
        Command::Affinity(arguments) => affinity::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Toy(arguments) => toy::run(&arguments),
    };
    exit::code(outcome)
}

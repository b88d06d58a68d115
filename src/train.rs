//! `trunkline train`: a coordinator in this process, workers in processes beside it.

use std::{path::PathBuf, time::Instant};

use coordinator::{Listener, Options, setup::Setup};
use experiment::Loaded;
use indexmap::IndexMap;
use model::Device;
use proto::address::Address;
use tokio::{net::UnixListener, sync::watch};

use crate::{
    exit::{Failure, print, say},
    local::{self, Workers},
    progress, table,
};

/// Arguments of `trunkline train`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The experiment file.
    file: PathBuf,
    /// Worker processes on this machine [default: `cluster.workers`].
    #[arg(long)]
    workers: Option<u32>,
    /// flex, libtorch, libtorch:cuda:N, cuda:N or wgpu.
    #[arg(long, default_value = "flex")]
    device: String,
    /// The run's folder [default: a new one below `runs`].
    #[arg(long)]
    run_dir: Option<PathBuf>,
    /// Overrides a key of the experiment, such as `train.steps=50`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Trains.
pub fn run(mut arguments: Arguments, started: Instant) -> Result<(), Failure> {
    if let Some(workers) = arguments.workers {
        arguments.sets.push(format!("cluster.workers={workers}"));
    }
    let setup = prepare(&arguments.file, &arguments.sets, &arguments.device)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::failed)?;
    let report = runtime.block_on(train(&arguments, setup, started))?;
    finish(&report, arguments.json)
}

/// Loads an experiment and prepares its data, and says what a user should know of them.
pub fn prepare(file: &std::path::Path, sets: &[String], device: &str) -> Result<Setup, Failure> {
    let device: Device = device.parse().map_err(Failure::refused)?;
    let loaded: Loaded = experiment::load(file, sets).map_err(Failure::refused)?;
    let setup = Setup::prepare(loaded, device).map_err(Failure::refused)?;
    for warning in &setup.prepared.summary.warnings {
        say(&format!("warning: {warning}"));
    }
    let (workers, microbatches) = (setup.loaded.experiment.cluster.workers, setup.prepared.plan.microbatches());
    if workers > microbatches {
        let idle = workers - microbatches;
        say(&format!("warning: {workers} workers for {microbatches} microbatches: {idle} will be idle in training"));
    }
    Ok(setup)
}

/// How a run is carried out, from the command line and the environment.
pub fn options(run_dir: Option<PathBuf>, started: Instant) -> Options {
    let commit = std::process::Command::new("git").args(["rev-parse", "HEAD"]).output().ok();
    let commit = commit.filter(|output| output.status.success());
    let mut tags = IndexMap::new();
    if let Some(output) = commit {
        tags.insert("git.commit".to_owned(), String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let mlflow = std::env::var("MLFLOW_TRACKING_URI").ok().filter(|uri| !uri.is_empty());
    Options { run_dir, runs: "runs".into(), mlflow, tags, started }
}

async fn train(arguments: &Arguments, setup: Setup, started: Instant) -> Result<coordinator::report::Report, Failure> {
    let folder = tempfile::Builder::new().prefix("trunkline-").tempdir().map_err(Failure::failed)?;
    let socket = folder.path().join("coordinator.sock");
    let listener = UnixListener::bind(&socket).map_err(Failure::failed)?;
    let count = setup.loaded.experiment.cluster.workers;
    let (progress, shown) = watch::channel(Default::default());
    let (stop, stopped) = local::stop_channel();
    let mut workers = Workers::start(&Address::Unix(socket), &arguments.device, count).map_err(Failure::failed)?;
    let bar = tokio::spawn(progress::show(shown));
    local::stop_on_signals(stop.clone());
    let options = options(arguments.run_dir.clone(), started);
    let run = coordinator::serve(setup, options, Listener::Unix(listener), progress, stopped);
    let mut run = std::pin::pin!(run);
    let report = tokio::select! {
        report = &mut run => report,
        reason = workers.all_gone() => {
            // The run may be over, and the workers gone because of that: what it says counts.
            let _ = stop.send(coordinator::Stop::GiveUp(reason)).await;
            run.await
        }
    };
    workers.end().await;
    let _ = bar.await;
    report.map_err(Failure::failed)
}

/// Prints what a run came to.
pub fn finish(report: &coordinator::report::Report, json: bool) -> Result<(), Failure> {
    if json {
        print(&serde_json::to_string(report).map_err(Failure::failed)?);
    } else if report.status == "finished" {
        print(&table::report(report));
    }
    match report.status {
        "finished" => Ok(()),
        "interrupted" => {
            say(&format!("stopped after step {}; the checkpoint is in {}", report.step, report.run_dir));
            Err(Failure::Interrupted)
        }
        _ => Err(Failure::Failed(report.reason.clone().unwrap_or_else(|| "the run failed".into()))),
    }
}

//! `trunkline train`: a coordinator in this process, workers in processes beside it.

use std::time::Instant;

use coordinator::{Listener, RunRequest, report::Report};
use proto::address::Address;
use tokio::sync::watch;

use crate::{
    exit::Failure,
    launch::{self, Launch},
    local::{self, Socket, Workers},
    signals::Signals,
};

/// Arguments of `trunkline train`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    launch: launch::Arguments,
    /// Number of worker processes on this machine [default: `cluster.workers`].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    workers: Option<u32>,
}

/// Trains, and prints the report.
///
/// # Errors
/// The run can't be prepared, or failed.
pub fn run(mut arguments: Arguments, started: Instant) -> Result<(), Failure> {
    let signals = Signals::watch();
    if let Some(workers) = arguments.workers {
        arguments.launch.set("cluster.workers", workers);
    }
    let launch = arguments.launch.launch(started, &signals)?;
    let print = launch.printer();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    print(&runtime.block_on(train(launch, signals))?)
}

async fn train(launch: Launch, signals: Signals) -> Result<Report, Failure> {
    let (socket, listener, mut workers) = match begin(&launch) {
        Ok(begun) => begun,
        Err(error) => {
            launch.abandon();
            return Err(error);
        }
    };
    let Signals { ask, requests, .. } = signals;
    let (progress, shown) = watch::channel(Default::default());
    let mut run = std::pin::pin!(launch.carry_out(listener, progress, requests));
    let report = tokio::select! {
        report = &mut run => report,
        reason = workers.keep(shown) => {
            // The workers may be gone because the run is over: the run's own report counts.
            let _ = ask.send(RunRequest::GiveUp(reason)).await;
            run.await
        }
    };
    workers.end().await;
    drop(socket);
    report
}

/// Starts the workers, with the socket at which they find the coordinator.
fn begin(launch: &Launch) -> Result<(Socket, Listener, Workers), Failure> {
    let (socket, listener) = local::listen()?;
    let (device, count) = (launch.setup.device.to_string(), launch.workers());
    let workers = Workers::start(Address::Unix(socket.path()), device, count)
        .map_err(|error| Failure::Failed(format!("can't start a worker: {error}")))?;
    Ok((socket, Listener::unix(listener), workers))
}

//! `trunkline train`: a coordinator in this process, workers in processes beside it.

use std::time::Instant;

use coordinator::{Listener, Request, report::Report};
use proto::address::Address;
use tokio::{net::UnixListener, sync::watch};

use crate::{
    exit::Failure,
    launch::{self, Launch},
    local::{self, Workers},
};

/// Arguments of `trunkline train`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    launch: launch::Arguments,
    /// Worker processes on this machine [default: `cluster.workers`].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    workers: Option<u32>,
}

/// Trains.
pub fn run(mut arguments: Arguments, started: Instant) -> Result<(), Failure> {
    if let Some(workers) = arguments.workers {
        arguments.launch.set("cluster.workers", workers);
    }
    let launch = arguments.launch.launch(started)?;
    let print = launch.printer();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    print(&runtime.block_on(train(launch))?)
}

async fn train(launch: Launch) -> Result<Report, Failure> {
    let folder = tempfile::Builder::new().prefix("trunkline-").tempdir().map_err(Failure::failed)?;
    let socket = folder.path().join("coordinator.sock");
    let listener = UnixListener::bind(&socket).map_err(Failure::failed)?;
    let (device, count) = (launch.setup.device.to_string(), launch.workers());
    let (ask, requests) = local::requests();
    let mut workers = Workers::start(Address::Unix(socket), device, count).map_err(Failure::failed)?;
    let (progress, shown) = watch::channel(Default::default());
    let mut run = std::pin::pin!(launch.carry_out(Listener::unix(listener), progress, requests));
    let report = tokio::select! {
        report = &mut run => report,
        reason = workers.keep(shown) => {
            // The run may be over, and the workers gone because of that: what it says counts.
            let _ = ask.send(Request::GiveUp(reason)).await;
            run.await
        }
    };
    workers.end().await;
    report
}

//! `trunkline worker`: computes for a coordinator until the run is over.

use std::{path::PathBuf, time::Duration};

use proto::address::Address;
use tokio::signal::unix::{SignalKind, signal};
use worker::{Ended, Options};

use crate::{exit::Failure, local, screen::say, security};

/// Arguments of `trunkline worker`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Address of the coordinator: HOST:PORT or unix:/PATH.
    #[arg(long, value_name = "ADDRESS")]
    coordinator: Address,
    /// Device to compute on: flex (or cpu), libtorch, libtorch:cuda:N, cuda:N or wgpu.
    #[arg(long, default_value = "flex")]
    device: String,
    /// Number of threads to compute with [default: the run's `cluster.threads`].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    threads: Option<u32>,
    /// Folder that paths of data start from and must stay in, after following links
    /// [default: the coordinator's folder, and any path].
    #[arg(long, value_name = "FOLDER")]
    data_root: Option<PathBuf>,
    /// How long to try to reach the coordinator, at the start and whenever it is gone.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    wait: u64,
    #[command(flatten)]
    security: security::Peer,
    /// End when the process that started this one ends.
    #[arg(long, hide = true)]
    with_parent: bool,
}

/// Works until the run is over.
///
/// # Errors
/// The arguments are refused, the coordinator can't be reached, or the work failed.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    if arguments.with_parent {
        let signal = rustix::process::Signal::KILL;
        rustix::process::set_parent_process_death_signal(Some(signal)).map_err(Failure::failed)?;
        local::take_name();
    }
    let device: model::Device = arguments.device.parse().map_err(Failure::refused)?;
    device.burn().map_err(Failure::refused)?;
    let options = Options {
        coordinator: arguments.coordinator,
        access: arguments.security.access()?,
        device: device.to_string(),
        threads: arguments.threads,
        data_root: arguments.data_root,
        wait: Duration::from_secs(arguments.wait),
    };
    // One thread serves connection and computation, so that work is not handed from thread to
    // thread. It is a thread that polars may block. `block_on` alone would run the task elsewhere.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(Failure::failed)?;
    let ended = runtime.block_on(runtime.spawn(async {
        let stop = async {
            match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
                (Ok(mut interrupt), Ok(mut terminate)) => {
                    tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
                }
                _ => std::future::pending().await,
            }
        };
        worker::run(options, stop).await
    }));
    let ended = ended.map_err(|_| {
        Failure::Failed("this worker failed by a bug of ours; please report it with the lines above".into())
    })?;
    // Nobody waits for what the prefetching thread may still do.
    runtime.shutdown_background();
    match ended {
        Ok(Ended::Finished(reason)) if arguments.with_parent => {
            tracing::debug!(reason, "finished");
            Ok(())
        }
        Ok(Ended::Finished(reason)) => {
            say(&reason);
            Ok(())
        }
        Ok(Ended::Stopped) => Err(Failure::Interrupted),
        Err(error) => Err(Failure::failed(error)),
    }
}

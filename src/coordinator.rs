//! `trunkline coordinator`: the coordinating half, for clusters.

use std::{path::PathBuf, time::Instant};

use coordinator::Listener;
use proto::address::Address;
use tokio::{
    net::{TcpListener, UnixListener},
    sync::watch,
};

use crate::{
    exit::{Failure, say},
    local, progress, train,
};

/// Arguments of `trunkline coordinator`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The experiment file.
    file: PathBuf,
    /// Where to listen: HOST:PORT or unix:/PATH. Port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS")]
    listen: Address,
    /// flex, libtorch, libtorch:cuda:N, cuda:N or wgpu: what workers compute on.
    #[arg(long, default_value = "flex")]
    device: String,
    /// The run's folder [default: a new one below `runs`].
    #[arg(long)]
    run_dir: Option<PathBuf>,
    /// Overrides a key of the experiment, such as `train.steps=50`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Listen beyond this machine without encryption and without asking workers who they are.
    #[arg(long)]
    insecure: bool,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Coordinates.
pub fn run(arguments: Arguments, started: Instant) -> Result<(), Failure> {
    let setup = train::prepare(&arguments.file, &arguments.sets, &arguments.device)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::failed)?;
    let report = runtime.block_on(async {
        let listener = listen(&arguments).await?;
        let (progress, shown) = watch::channel(Default::default());
        let (stop, stopped) = local::stop_channel();
        local::stop_on_signals(stop.clone());
        let bar = tokio::spawn(progress::show(shown));
        let options = train::options(arguments.run_dir.clone(), started);
        let report = coordinator::serve(setup, options, listener, progress, stopped).await;
        let _ = bar.await;
        drop(stop);
        report.map_err(Failure::failed)
    })?;
    train::finish(&report, arguments.json)
}

async fn listen(arguments: &Arguments) -> Result<Listener, Failure> {
    let taken = |error: std::io::Error| Failure::Failed(format!("can't listen on {}: {error}", arguments.listen));
    let listener = match &arguments.listen {
        Address::Unix(path) => Listener::Unix(UnixListener::bind(path).map_err(taken)?),
        Address::Tcp(address) => {
            let listener = TcpListener::bind(address).await.map_err(taken)?;
            let bound = listener.local_addr().map_err(taken)?;
            if !bound.ip().is_loopback() && !arguments.insecure {
                return Err(Failure::Refused(format!(
                    "{bound} can be reached from other machines, and the connection is neither encrypted nor \
                     authenticated: say `--insecure` if the network is trusted"
                )));
            }
            say(&format!("listening on {bound}"));
            Listener::Tcp(listener)
        }
    };
    Ok(listener)
}

//! `trunkline coordinator`: the coordinating half, for clusters.

use std::time::Instant;

use coordinator::Listener;
use proto::address::Address;
use tokio::{
    net::{TcpListener, UnixListener},
    sync::watch,
};

use crate::{
    exit::{Failure, say},
    launch, local,
};

/// Arguments of `trunkline coordinator`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    launch: launch::Arguments,
    /// Where to listen: HOST:PORT or unix:/PATH. Port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS")]
    listen: Address,
    /// Listen beyond this machine without encryption and without asking workers who they are.
    #[arg(long)]
    insecure: bool,
}

/// Coordinates.
pub fn run(arguments: Arguments, started: Instant) -> Result<(), Failure> {
    let launch = arguments.launch.launch(started)?;
    let print = launch.printer();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    let report = runtime.block_on(async {
        let listener = listen(&arguments.listen, arguments.insecure).await?;
        let (_ask, requests) = local::requests();
        launch.carry_out(listener, watch::Sender::default(), requests).await
    })?;
    print(&report)
}

async fn listen(address: &Address, insecure: bool) -> Result<Listener, Failure> {
    let taken = |error: std::io::Error| Failure::Failed(format!("can't listen on {address}: {error}"));
    let listener = match address {
        Address::Unix(path) => Listener::Unix(UnixListener::bind(path).map_err(taken)?),
        Address::Tcp(place) => {
            let listener = TcpListener::bind(place).await.map_err(taken)?;
            let bound = listener.local_addr().map_err(taken)?;
            if !bound.ip().is_loopback() && !insecure {
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

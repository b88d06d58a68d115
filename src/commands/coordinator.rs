//! `trunkline coordinator`: coordinates a run for workers on other machines.

use std::time::Instant;

use coordinator::Listener;
use proto::address::Address;
use tokio::{net::TcpListener, sync::watch};

use crate::{exit::Failure, launch, local, screen::say, security, signals::Signals};

/// Arguments of `trunkline coordinator`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    launch: launch::Arguments,
    /// Address to listen on: HOST:PORT or unix:/PATH. Port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS")]
    listen: Address,
    #[command(flatten)]
    security: security::Coordinator,
}

/// Coordinates a run until it is over.
///
/// # Errors
/// The run can't be prepared, the address can't be listened on, or the run failed.
pub fn run(arguments: Arguments, started: Instant) -> Result<(), Failure> {
    let signals = Signals::watch();
    let launch = arguments.launch.launch(started, &signals)?;
    let print = launch.printer();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    let report = runtime.block_on(async {
        let listener = match listen(&arguments.listen, &arguments.security).await {
            Ok(listener) => listener,
            Err(error) => {
                launch.abandon();
                return Err(error);
            }
        };
        launch.carry_out(listener, watch::Sender::default(), signals.requests).await
    })?;
    print(&report)
}

async fn listen(address: &Address, security: &security::Coordinator) -> Result<Listener, Failure> {
    let taken = |error: std::io::Error| Failure::Failed(format!("can't listen on {address}: {error}"));
    let (listener, bound) = match address {
        Address::Unix(_) if security.has_tls() => {
            return Err(Failure::Refused(
                "--tls-cert is for HOST:PORT: leave it out for a Unix domain socket, which does not leave this machine"
                    .into(),
            ));
        }
        Address::Unix(path) => (Listener::unix(local::bind_privately(path).map_err(taken)?), address.to_string()),
        Address::Tcp(place) => {
            let socket = TcpListener::bind(place).await.map_err(taken)?;
            let bound = socket.local_addr().map_err(taken)?;
            if !bound.ip().is_loopback()
                && !security.insecure
                && let Some(lack) = security.lacks()?
            {
                return Err(Failure::Refused(format!(
                    "{bound} can be reached from other machines, and {lack}. Give `--insecure` instead if you trust the network"
                )));
            }
            (security.encrypt(Listener::tcp(socket))?, bound.to_string())
        }
    };
    let listener = security.guard(listener)?;
    say(&format!("listening on {bound}"));
    Ok(listener)
}

//! A connection to the coordinator, over a Unix domain socket or TCP.

use std::{path::PathBuf, time::Duration};

use hyper_util::rt::TokioIo;
use proto::v1::coordinator_client::CoordinatorClient;
use proto::{CONNECTION_WINDOW_BYTES, MESSAGE_BYTES_MAX, STREAM_WINDOW_BYTES, address::Address};
use tokio::{net::UnixStream, time};
use tonic::transport::{Channel, Endpoint, Uri};

use crate::error::WorkerError;

/// The first pause between two tries; each further one is twice as long, up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Connects, trying again until `wait` is over.
///
/// # Errors
/// [`WorkerError::NoCoordinator`] when nobody has answered by then.
pub async fn connect(address: &Address, wait: Duration) -> Result<CoordinatorClient<Channel>, WorkerError> {
    let mut pause = PAUSE_MIN;
    let mut waited = Duration::ZERO;
    loop {
        let reason = match try_connect(address).await {
            Ok(channel) => {
                let client = CoordinatorClient::new(channel);
                return Ok(client
                    .max_decoding_message_size(MESSAGE_BYTES_MAX)
                    .max_encoding_message_size(MESSAGE_BYTES_MAX));
            }
            Err(error) => reason_of(&error),
        };
        if waited + pause > wait {
            return Err(WorkerError::NoCoordinator { address: address.clone(), waited: wait, reason });
        }
        time::sleep(pause).await;
        waited += pause;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

async fn try_connect(address: &Address) -> Result<Channel, tonic::transport::Error> {
    let settings = |endpoint: Endpoint| {
        endpoint
            .tcp_nodelay(true)
            .connect_timeout(Duration::from_secs(5))
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
    };
    match address {
        Address::Tcp(address) => settings(Endpoint::from_shared(format!("http://{address}"))?).connect().await,
        Address::Unix(path) => {
            let path = path.clone();
            let connector = tower::service_fn(move |_: Uri| dial(path.clone()));
            settings(Endpoint::from_static("http://localhost")).connect_with_connector(connector).await
        }
    }
}

async fn dial(path: PathBuf) -> std::io::Result<TokioIo<UnixStream>> {
    UnixStream::connect(path).await.map(TokioIo::new)
}

/// The innermost cause, which is what a person can act on.
fn reason_of(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

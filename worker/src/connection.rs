//! A connection to the coordinator, over a Unix domain socket or TCP.

use std::{io, net::IpAddr, sync::Mutex, time::Duration};

use hyper_util::rt::TokioIo;
use proto::v1::coordinator_client::CoordinatorClient;
use proto::{
    CONNECTION_WINDOW_BYTES, MESSAGE_BYTES_MAX, STREAM_WINDOW_BYTES,
    address::Address,
    message::{Refusal, RefusalKind},
    tls,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{self, pki_types::ServerName},
};
use tonic::{
    Status,
    service::interceptor::InterceptedService,
    transport::{Channel, Endpoint, Uri},
};

use crate::{
    access::{Access, Tls},
    error::WorkerError,
};

/// The first pause between two tries; each further one is twice as long, up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// What is left of the wait for the last try.
const LAST_TRY: Duration = Duration::from_millis(50);
/// How long one try may take.
const TRY: Duration = Duration::from_secs(5);
/// After so many handshakes in a row that fail, whoever answers can't be trusted; one may have been
/// damaged on the way.
const HANDSHAKES_MAX: u32 = 3;

/// Calls to a coordinator, each of which shows what it asks for.
pub type Client = CoordinatorClient<InterceptedService<Channel, Access>>;

/// Connects, trying again until `wait` is over.
///
/// # Errors
/// [`WorkerError::NoCoordinator`] when nobody has answered by then, [`WorkerError::Untrusted`]
/// where whoever answers can't be trusted: after three handshakes in a row that fail, or the last
/// one in time.
pub async fn connect(address: &Address, access: &Access, wait: Duration) -> Result<Client, WorkerError> {
    let (mut pause, mut handshakes) = (PAUSE_MIN, 0);
    #[expect(clippy::disallowed_methods, reason = "the wait is of the world's time")]
    let began = time::Instant::now();
    loop {
        // The first try has its time, however short the wait.
        let left = wait.saturating_sub(began.elapsed());
        let patience = if pause == PAUSE_MIN { TRY } else { left.min(TRY) };
        let failed = match try_connect(address, access, patience).await {
            Ok(channel) => {
                let client = CoordinatorClient::with_interceptor(channel, access.clone());
                return Ok(client
                    .max_decoding_message_size(MESSAGE_BYTES_MAX)
                    .max_encoding_message_size(MESSAGE_BYTES_MAX));
            }
            Err(failed) => failed,
        };
        let left = wait.saturating_sub(began.elapsed());
        let over = left <= LAST_TRY;
        handshakes = if matches!(failed, Failed::Handshake(_)) { handshakes + 1 } else { 0 };
        let address = || address.clone();
        match failed {
            Failed::Unreachable(reason) if over => {
                return Err(WorkerError::NoCoordinator { address: address(), waited: wait, reason });
            }
            Failed::Handshake(reason) if over || handshakes == HANDSHAKES_MAX => {
                return Err(WorkerError::Untrusted { address: address(), reason });
            }
            Failed::Untrusted(reason) => return Err(WorkerError::Untrusted { address: address(), reason }),
            Failed::Unreachable(_) | Failed::Handshake(_) => {}
        }
        time::sleep(pause.min(left - LAST_TRY)).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// What a coordinator says that refuses a call, and why otherwise the call went wrong.
pub fn call_failed(status: &Status) -> WorkerError {
    let kind = status.metadata().get(proto::REFUSAL).and_then(|kind| RefusalKind::from_name(kind.to_str().ok()?));
    match kind {
        Some(kind) => WorkerError::Refused(Refusal { kind, reason: status.message().to_owned() }),
        None => WorkerError::Disconnected(status.message().to_owned()),
    }
}

/// The same for the first call on a connection: a coordinator that asks for TLS does not answer in
/// plain text.
pub fn first_call_failed(status: &Status, address: &Address, access: &Access) -> WorkerError {
    // What a coordinator has answered has no source.
    let is_the_connection_s = std::error::Error::source(status).is_some();
    let in_plain_text = access.tls.is_none() && matches!(address, Address::Tcp(_));
    match call_failed(status) {
        WorkerError::Disconnected(reason) if is_the_connection_s && in_plain_text => {
            WorkerError::Disconnected(format!("{reason} (if it asks for TLS: give --tls-ca)"))
        }
        other => other,
    }
}

enum Failed {
    /// Another try may do better.
    Unreachable(String),
    /// The other side can't be trusted, or what it said was damaged on the way: a few tries tell
    /// these apart.
    Handshake(String),
    /// Another try would not.
    Untrusted(String),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Failed {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(error) => Failed::Handshake(tls::reason(error)),
            None => Failed::Unreachable(error.to_string()),
        }
    }
}

async fn try_connect(address: &Address, access: &Access, patience: Duration) -> Result<Channel, Failed> {
    let late = |_| Failed::Unreachable(format!("no answer within {} s", patience.as_secs_f64().ceil()));
    let bytes = time::timeout(patience, dial(address, access)).await.map_err(late)??;
    // The channel takes this connection, and does not make another: a worker that is cut off joins
    // anew.
    let dialled = Mutex::new(Some(TokioIo::new(bytes)));
    let connector = tower::service_fn(move |_: Uri| {
        let bytes = dialled.lock().ok().and_then(|mut dialled| dialled.take());
        async move { bytes.ok_or(io::Error::from(io::ErrorKind::NotConnected)) }
    });
    let endpoint = Endpoint::from_static("http://coordinator")
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    let connected = endpoint.connect_with_connector(connector).await;
    connected.map_err(|error| Failed::Unreachable(reason_of(&error)))
}

/// A stream of bytes.
trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}

async fn dial(address: &Address, access: &Access) -> Result<Box<dyn Bytes>, Failed> {
    let place = match address {
        Address::Unix(path) => return Ok(Box::new(UnixStream::connect(path).await?)),
        Address::Tcp(place) => place,
    };
    let stream = TcpStream::connect(place).await?;
    stream.set_nodelay(true)?;
    let Some(Tls { config, name }) = &access.tls else {
        if !may_be_plain(stream.peer_addr()?.ip(), access) {
            let reason = "it is on another machine, and the connection would not be encrypted: give --tls-ca, or say \
                          `--insecure` if the network is trusted";
            return Err(Failed::Untrusted(reason.into()));
        }
        return Ok(Box::new(stream));
    };
    let name = match name {
        Some(name) => name.clone(),
        None => server_name(place).map_err(Failed::Untrusted)?,
    };
    let connector = TlsConnector::from(std::sync::Arc::clone(config));
    Ok(Box::new(connector.connect(name, stream).await?))
}

/// Whether a coordinator at this address may be spoken to without TLS.
fn may_be_plain(address: IpAddr, access: &Access) -> bool {
    address.to_canonical().is_loopback() || access.insecure
}

/// The name in an address, as a certificate has it.
fn server_name(place: &str) -> Result<ServerName<'static>, String> {
    let host = place.rsplit_once(':').map_or(place, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(host.to_owned())
        .map_err(|_| format!("`{host}` is no name that a certificate can have: give --tls-name"))
}

/// The innermost cause, which is what a person can act on.
fn reason_of(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_stays_on_this_machine_unless_it_is_asked_for() {
        let insecure = Access { insecure: true, ..Access::default() };
        for (address, may) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("10.0.0.1", false),
            ("fe80::1", false),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(may_be_plain(address, &Access::default()), may, "{address}");
            assert!(may_be_plain(address, &insecure), "{address}");
        }
    }

    #[test]
    fn a_name_is_taken_from_an_address_as_certificates_have_it() {
        for (place, name) in [("node-3:1234", "node-3"), ("10.0.0.1:1", "10.0.0.1"), ("[::1]:5", "::1")] {
            assert_eq!(server_name(place).unwrap().to_str(), name);
        }
        assert!(server_name("no_name!:5").unwrap_err().contains("--tls-name"));
    }
}

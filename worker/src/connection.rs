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

/// The first pause between two attempts. It doubles with each attempt, up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// The time that is kept for the last attempt.
const LAST_ATTEMPT: Duration = Duration::from_millis(50);
/// The timeout of one attempt.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// How many handshakes in a row may fail before the other side counts as untrusted. One alone may
/// have been damaged on the network.
const HANDSHAKES_MAX: u32 = 3;

/// A client of a coordinator, whose calls carry the join token.
pub type Client = CoordinatorClient<InterceptedService<Channel, Access>>;

/// Connects to a coordinator, with retries until `wait` is over.
///
/// # Errors
/// [`WorkerError::NoCoordinator`] if no coordinator answers in time. [`WorkerError::Untrusted`] if
/// three handshakes in a row fail, if the last one in time fails, or if the connection would not
/// be encrypted although it must be.
pub async fn connect(address: &Address, access: &Access, wait: Duration) -> Result<Client, WorkerError> {
    let (mut pause, mut handshakes) = (PAUSE_MIN, 0);
    #[expect(clippy::disallowed_methods, reason = "the wait is real time")]
    let began = time::Instant::now();
    loop {
        // The first attempt has its full time, however short the wait is.
        let left = wait.saturating_sub(began.elapsed());
        let timeout = if pause == PAUSE_MIN { ATTEMPT_TIMEOUT } else { left.min(ATTEMPT_TIMEOUT) };
        let failed = match try_connect(address, access, timeout).await {
            Ok(channel) => {
                let client = CoordinatorClient::with_interceptor(channel, access.clone());
                return Ok(client
                    .max_decoding_message_size(MESSAGE_BYTES_MAX)
                    .max_encoding_message_size(MESSAGE_BYTES_MAX));
            }
            Err(failed) => failed,
        };
        let left = wait.saturating_sub(began.elapsed());
        let over = left <= LAST_ATTEMPT;
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
        time::sleep(pause.min(left - LAST_ATTEMPT)).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// The error of a failed call: the coordinator's refusal if the status carries one, otherwise a
/// broken connection.
pub fn call_failed(status: &Status) -> WorkerError {
    let kind = status.metadata().get(proto::REFUSAL).and_then(|kind| RefusalKind::from_name(kind.to_str().ok()?));
    match kind {
        Some(kind) => WorkerError::Refused(Refusal { kind, reason: status.message().to_owned() }),
        None => WorkerError::Disconnected(status.message().to_owned()),
    }
}

/// The error of a failed first call on a connection. Like [`call_failed`], but if the connection
/// is in plain text it adds that the coordinator may require TLS.
pub fn first_call_failed(status: &Status, address: &Address, access: &Access) -> WorkerError {
    // A status that the coordinator sent has no source; one of the transport has.
    let is_of_transport = std::error::Error::source(status).is_some();
    let in_plain_text = access.tls.is_none() && matches!(address, Address::Tcp(_));
    match call_failed(status) {
        WorkerError::Disconnected(reason) if is_of_transport && in_plain_text => {
            WorkerError::Disconnected(format!("{reason} (if the coordinator requires TLS, give `--tls-ca`)"))
        }
        other => other,
    }
}

/// Why an attempt failed.
enum Failed {
    /// The coordinator did not answer; another attempt may succeed.
    Unreachable(String),
    /// The TLS handshake failed: the other side can't be trusted, or its message was damaged on the
    /// network. A few attempts tell these apart.
    Handshake(String),
    /// The connection is not allowed; another attempt would fail too.
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

async fn try_connect(address: &Address, access: &Access, timeout: Duration) -> Result<Channel, Failed> {
    let late = |_| Failed::Unreachable(format!("no answer within {} s", timeout.as_secs_f64().ceil()));
    let bytes = time::timeout(timeout, dial(address, access)).await.map_err(late)??;
    // The channel gets this one connection and never makes another: a worker that loses its
    // connection joins with a new session.
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
            let reason = "it is on another machine, and the connection would not be encrypted: give `--tls-ca`, or \
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

/// Whether a connection to this address may go without TLS.
fn may_be_plain(address: IpAddr, access: &Access) -> bool {
    address.to_canonical().is_loopback() || access.insecure
}

/// The host of `HOST:PORT`, as a certificate names it.
fn server_name(place: &str) -> Result<ServerName<'static>, String> {
    let host = place.rsplit_once(':').map_or(place, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(host.to_owned())
        .map_err(|_| format!("a certificate can't have the name `{host}`: give the right one with `--tls-name`"))
}

/// The innermost cause of an error, which says what failed.
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
    fn plain_text_stays_on_this_machine_unless_insecure_is_given() {
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
    fn the_server_name_is_the_host_of_the_address() {
        for (place, name) in [("node-3:1234", "node-3"), ("10.0.0.1:1", "10.0.0.1"), ("[::1]:5", "::1")] {
            assert_eq!(server_name(place).unwrap().to_str(), name);
        }
        assert!(server_name("no_name!:5").unwrap_err().contains("--tls-name"));
    }
}

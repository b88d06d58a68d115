//! Accepts connections, within the door's bounds.

use std::{io, sync::Arc, time::Duration};

use proto::{message::RefusalKind, tls, token::Token};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpListener, TcpStream, UnixListener},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, sleep, timeout_at},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{self, ServerConfig},
};
use tokio_stream::{Stream, wrappers::ReceiverStream};

use super::{
    CONNECTIONS_MAX, Doorkeeper, STRANGER_WAIT, STRANGERS_MAX, TurnedAway,
    caller::{Bytes, Caller, Connection},
};

/// Connections that may wait for the server to take them.
const BACKLOG: usize = 16;
/// How long to wait when the system has no connection to give.
const PAUSE: Duration = Duration::from_millis(50);
/// When and how often the system asks a silent peer whether it is still there.
const KEEPALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(10)).with_retries(6);
/// The most files that the run itself has open: tables, journal, checkpoints.
const OWN_FILES: u64 = 256;

/// The socket through which workers come, and what they have to show.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    tls: Option<Arc<ServerConfig>>,
    token: Option<Token>,
    wants_certificate: bool,
}

#[derive(Debug)]
enum Socket {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl Listener {
    /// Listens on a Unix domain socket. Everybody who may open it is let in.
    pub fn unix(socket: UnixListener) -> Listener {
        Listener { socket: Socket::Unix(socket), tls: None, token: None, wants_certificate: false }
    }

    /// Listens on TCP, in plain text and for everybody, unless TLS or a token is added.
    pub fn tcp(socket: TcpListener) -> Listener {
        Listener { socket: Socket::Tcp(socket), tls: None, token: None, wants_certificate: false }
    }

    /// Adds TLS. `wants_certificate` says whether every peer has to show a certificate that
    /// `config` trusts.
    #[must_use]
    pub fn with_tls(self, config: Arc<ServerConfig>, wants_certificate: bool) -> Listener {
        Listener { tls: Some(config), wants_certificate, ..self }
    }

    /// Adds a token that every call has to show.
    #[must_use]
    pub fn with_token(self, token: Token) -> Listener {
        Listener { token: Some(token), ..self }
    }

    /// Checks what every call has to show.
    pub(crate) fn doorkeeper(&self, turned_away: &TurnedAway) -> Doorkeeper {
        let turned_away = turned_away.clone();
        Doorkeeper { token: self.token.clone(), wants_certificate: self.wants_certificate, turned_away }
    }

    /// The connections, until the stream is dropped.
    pub(crate) fn connections(self, turned_away: TurnedAway) -> impl Stream<Item = io::Result<Connection>> + Send {
        let (taken, connections) = mpsc::channel(BACKLOG);
        tokio::spawn(self.accept(turned_away, taken));
        ReceiverStream::new(connections)
    }

    async fn accept(self, turned_away: TurnedAway, taken: mpsc::Sender<io::Result<Connection>>) {
        let all = Arc::new(Semaphore::new(connections_max()));
        let strangers = Arc::new(Semaphore::new(STRANGERS_MAX));
        let tls = self.tls.map(TlsAcceptor::from);
        loop {
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                () = taken.closed() => return,
            };
            let accepted = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "no connection can be accepted");
                    sleep(PAUSE).await;
                    continue;
                }
            };
            let places = (Arc::clone(&all).try_acquire_owned(), Arc::clone(&strangers).try_acquire_owned());
            let (Ok(place), Ok(strangers_place)) = places else {
                let reason = format!(
                    "more than {STRANGERS_MAX} connections that have shown nothing, or {CONNECTIONS_MAX} in all"
                );
                turned_away.add(RefusalKind::Connections, &accepted.address(), reason);
                continue;
            };
            let entry = Entry { tls: tls.clone(), turned_away: turned_away.clone(), place, strangers_place };
            let taken = taken.clone();
            tokio::spawn(async move {
                if let Some(connection) = entry.open(accepted).await {
                    let _ = taken.send(Ok(connection)).await;
                }
            });
        }
    }
}

enum Accepted {
    Unix(tokio::net::UnixStream),
    Tcp(TcpStream, std::net::SocketAddr),
}

impl Accepted {
    fn address(&self) -> String {
        match self {
            Accepted::Unix(_) => "this machine".into(),
            Accepted::Tcp(_, address) => address.ip().to_string(),
        }
    }
}

impl Socket {
    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Socket::Unix(listener) => listener.accept().await.map(|(stream, _)| Accepted::Unix(stream)),
            Socket::Tcp(listener) => listener.accept().await.map(|(stream, address)| Accepted::Tcp(stream, address)),
        }
    }
}

/// What a connection needs to come in.
struct Entry {
    tls: Option<TlsAcceptor>,
    turned_away: TurnedAway,
    place: OwnedSemaphorePermit,
    strangers_place: OwnedSemaphorePermit,
}

impl Entry {
    async fn open(self, accepted: Accepted) -> Option<Connection> {
        #[expect(clippy::disallowed_methods, reason = "the shell is where time is read")]
        let since = Instant::now();
        let address = accepted.address();
        let mut certified = false;
        let local = matches!(accepted, Accepted::Unix(_));
        let bytes: Box<dyn Bytes> = match accepted {
            Accepted::Unix(stream) => Box::new(stream),
            Accepted::Tcp(stream, _) => {
                // A small message does not wait for the acknowledgement of the one before.
                let set = stream.set_nodelay(true).and_then(|()| SockRef::from(&stream).set_tcp_keepalive(&KEEPALIVE));
                if let Err(error) = set {
                    tracing::debug!(%error, "a connection is gone as soon as it came");
                    return None;
                }
                match self.tls {
                    None => Box::new(stream),
                    Some(tls) => {
                        let stream = match timeout_at(since + STRANGER_WAIT, tls.accept(stream)).await {
                            Ok(Ok(stream)) => stream,
                            Ok(Err(error)) => {
                                if let Some((kind, reason)) = handshake_fault(&error) {
                                    self.turned_away.add(kind, &address, reason);
                                }
                                return None;
                            }
                            Err(_) => {
                                let reason = format!("no TLS handshake within {} s", STRANGER_WAIT.as_secs());
                                self.turned_away.add(RefusalKind::Handshake, &address, reason);
                                return None;
                            }
                        };
                        certified = stream.get_ref().1.peer_certificates().is_some_and(|shown| !shown.is_empty());
                        Box::new(stream)
                    }
                }
            }
        };
        let caller = Caller::new(address, local, certified, self.strangers_place);
        Some(Connection::new(bytes, caller, since, self.turned_away, self.place))
    }
}

/// What was wrong with a handshake. `None` if the peer has just gone, as a probe of the port does.
fn handshake_fault(error: &io::Error) -> Option<(RefusalKind, String)> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    let kind = match error {
        rustls::Error::InvalidCertificate(_) => RefusalKind::Certificate,
        _ => RefusalKind::Handshake,
    };
    Some((kind, tls::reason(error)))
}

/// The most connections for which the system has open files. Raises the system's limit first.
fn connections_max() -> usize {
    let wanted = CONNECTIONS_MAX as u64 + OWN_FILES;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_some_and(|current| current < wanted) {
        let raised = Rlimit { current: Some(maximum.map_or(wanted, |maximum| maximum.min(wanted))), maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::debug!(%error, "the limit of open files stays as it is");
        }
    }
    let files = getrlimit(Resource::Nofile).current.unwrap_or(wanted);
    (files.saturating_sub(OWN_FILES) as usize).clamp(STRANGERS_MAX, CONNECTIONS_MAX)
}

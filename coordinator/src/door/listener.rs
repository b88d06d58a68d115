//! Accepts connections, within the door's bounds.

use std::{convert::Infallible, io, mem, sync::Arc, thread, time::Duration};

use proto::{message::RefusalKind, tls, token::Token};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpListener, TcpStream, UnixListener},
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
    time::{Instant, sleep, timeout_at},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{self, ServerConfig},
};
use tonic::service::Routes;

use super::{
    CONNECTIONS_MAX, Doorkeeper, STRANGER_WAIT, STRANGERS_MAX, TurnedAway,
    caller::Caller,
    connection::{self, Bytes, Connection},
    guest::Guest,
};

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
    /// Listens on a Unix domain socket. Processes of this user and of the administrator are let in.
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

    /// Serves `routes` to the peers that come, until `closed` is told or dropped. Then the calls
    /// that are open come to their end.
    ///
    /// Strangers who come over TCP are greeted on a thread of their own, so that a flood of them
    /// leaves the run's thread alone.
    pub(crate) async fn serve(
        self,
        routes: Routes,
        turned_away: TurnedAway,
        closed: oneshot::Receiver<()>,
    ) -> io::Result<()> {
        let (close, closing) = watch::channel(false);
        let (gone, mut all_gone) = mpsc::channel(1);
        let door = Door {
            routes,
            tls: self.tls.map(TlsAcceptor::from),
            turned_away,
            places: Places::new(),
            inside: Handle::current(),
            closing,
            gone,
        };
        match self.socket {
            Socket::Unix(_) => drop(tokio::spawn(door.open(self.socket))),
            Socket::Tcp(listener) => {
                let listener = listener.into_std()?;
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                let greet = async move { door.open(Socket::Tcp(TcpListener::from_std(listener)?)).await };
                let warn = |error: io::Error| tracing::warn!(%error, "the coordinator can't listen any more");
                let thread = thread::Builder::new().name("door".into());
                thread.spawn(move || runtime.block_on(greet).unwrap_or_else(warn))?;
            }
        }
        let _ = closed.await;
        let _ = close.send(true);
        let _: Option<Infallible> = all_gone.recv().await;
        Ok(())
    }
}

/// What connections come in by. Each connection has a copy.
#[derive(Clone)]
struct Door {
    routes: Routes,
    tls: Option<TlsAcceptor>,
    turned_away: TurnedAway,
    places: Places,
    /// The run's runtime.
    inside: Handle,
    /// Whether the run is over.
    closing: watch::Receiver<bool>,
    /// Dropped with each connection that was let in.
    gone: mpsc::Sender<Infallible>,
}

/// The room for connections.
#[derive(Clone)]
struct Places {
    all: Arc<Semaphore>,
    all_max: usize,
    strangers: Arc<Semaphore>,
    strangers_max: usize,
}

impl Places {
    /// As much room as the system has open files for.
    fn new() -> Places {
        let (all_max, strangers_max) = connections_max();
        let (all, strangers) = (Arc::new(Semaphore::new(all_max)), Arc::new(Semaphore::new(strangers_max)));
        Places { all, all_max, strangers, strangers_max }
    }

    /// A place among all connections and one among the strangers.
    ///
    /// # Errors
    /// Why there is none.
    fn take(&self) -> Result<(OwnedSemaphorePermit, OwnedSemaphorePermit), String> {
        let Places { all_max, strangers_max, .. } = self;
        let all = Arc::clone(&self.all).try_acquire_owned();
        let all = all.map_err(|_| format!("there are {all_max} connections, and no more are allowed"))?;
        let stranger = Arc::clone(&self.strangers).try_acquire_owned();
        let stranger = stranger
            .map_err(|_| format!("there are {strangers_max} connections without a call that was let in already"))?;
        Ok((all, stranger))
    }
}

impl Door {
    /// Accepts connections until the run is over.
    async fn open(mut self, socket: Socket) -> io::Result<()> {
        let mut fails = false;
        loop {
            let accepted = tokio::select! {
                accepted = socket.accept() => accepted,
                _ = self.closing.wait_for(|closes| *closes) => return Ok(()),
            };
            match accepted {
                Ok(accepted) => {
                    fails = false;
                    self.take(accepted);
                }
                Err(error) => {
                    // One line for a series of failures: the system may have no open files left.
                    if !mem::replace(&mut fails, true) {
                        tracing::warn!(%error, "no connection can be accepted");
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Lets a connection in if there is room for it and a call shows in time what is asked for.
    fn take(&self, accepted: Accepted) {
        if let Some(reason) = accepted.other_user() {
            return self.turned_away.add(RefusalKind::User, &accepted.address(), reason);
        }
        let (place, stranger) = match self.places.take() {
            Ok(places) => places,
            Err(reason) => return self.turned_away.add(RefusalKind::Connections, &accepted.address(), reason),
        };
        #[expect(clippy::disallowed_methods, reason = "the shell is where time is read")]
        let since = Instant::now();
        let door = self.clone();
        tokio::spawn(async move {
            let caller = Caller::new(accepted.address(), matches!(accepted, Accepted::Unix(_)), stranger);
            let mut closing = door.closing.clone();
            let guest = async {
                let bytes = door.shake_hands(accepted, &caller, since).await?;
                let connection = Connection::new(bytes, caller.clone(), door.turned_away.clone(), place);
                Guest::new(connection, caller, door.routes.clone()).greet(since).await
            };
            let guest = tokio::select! {
                guest = guest => guest,
                _ = closing.wait_for(|closes| *closes) => None,
            };
            if let Some(guest) = guest {
                door.inside.spawn(guest.stay(door.closing, door.gone));
            }
        });
    }

    /// The bytes of a connection, after the TLS handshake if there is one.
    async fn shake_hands(&self, accepted: Accepted, caller: &Caller, since: Instant) -> Option<Box<dyn Bytes>> {
        let stream = match accepted {
            Accepted::Unix(stream) => return Some(Box::new(connection::Socket::unix(stream, caller.clone()))),
            Accepted::Tcp(stream, _) => stream,
        };
        // A small message does not wait for the acknowledgement of the one before.
        let set = stream.set_nodelay(true).and_then(|()| SockRef::from(&stream).set_tcp_keepalive(&KEEPALIVE));
        if let Err(error) = set {
            tracing::debug!(%error, "a connection is gone as soon as it came");
            return None;
        }
        let socket = connection::Socket::tcp(stream, caller.clone());
        let Some(tls) = &self.tls else { return Some(Box::new(socket)) };
        match timeout_at(since + STRANGER_WAIT, tls.accept(socket)).await {
            Ok(Ok(stream)) => {
                if stream.get_ref().1.peer_certificates().is_some_and(|shown| !shown.is_empty()) {
                    caller.certify();
                }
                Some(Box::new(stream))
            }
            Ok(Err(error)) => {
                let fault = caller.fault().map(|reason| (RefusalKind::Handshake, reason));
                if let Some((kind, reason)) = fault.or_else(|| handshake_fault(&error)) {
                    self.turned_away.add(kind, caller.address(), reason);
                }
                None
            }
            Err(_) => {
                let reason = format!("no TLS handshake within {} s", STRANGER_WAIT.as_secs());
                self.turned_away.add(RefusalKind::Handshake, caller.address(), reason);
                None
            }
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

    /// What is wrong if it is a process of another user of this machine. The administrator may do
    /// everything anyway.
    fn other_user(&self) -> Option<String> {
        let Accepted::Unix(stream) = self else { return None };
        let own = rustix::process::geteuid().as_raw();
        match stream.peer_cred() {
            Ok(peer) => (!may_enter(peer.uid(), own))
                .then(|| format!("it is a process of user {}, and this is a run of user {own}", peer.uid())),
            Err(error) => Some(format!("the system does not say whose process it is: {error}")),
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

/// Whether a user's processes may come over the Unix domain socket of a run of user `own`.
fn may_enter(user: u32, own: u32) -> bool {
    const ADMINISTRATOR: u32 = 0;
    user == own || user == ADMINISTRATOR
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

/// The most connections for which the system has open files, and how many of them may be
/// strangers'. Raises the system's limit first.
fn connections_max() -> (usize, usize) {
    let wanted = CONNECTIONS_MAX as u64 + OWN_FILES;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_some_and(|current| current < wanted) {
        let raised = Rlimit { current: Some(maximum.map_or(wanted, |maximum| maximum.min(wanted))), maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::debug!(%error, "the limit of open files stays as it is");
        }
    }
    places_for(getrlimit(Resource::Nofile).current.unwrap_or(wanted))
}

/// The most connections and the most strangers' connections of a process that may have so many
/// open files. Half of few files are left to the run, and half of few connections to workers.
fn places_for(files: u64) -> (usize, usize) {
    let all = (files - OWN_FILES.min(files / 2)).clamp(2, CONNECTIONS_MAX as u64) as usize;
    (all, STRANGERS_MAX.min(all / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_run_s_user_and_the_administrator_come_over_its_socket() {
        assert!(may_enter(1000, 1000) && may_enter(0, 1000));
        assert!(!may_enter(1001, 1000) && !may_enter(65534, 0));
    }

    #[test]
    fn few_open_files_leave_room_for_the_run_and_for_workers() {
        assert_eq!(places_for(1 << 20), (CONNECTIONS_MAX, STRANGERS_MAX));
        assert_eq!(places_for(1024), (768, STRANGERS_MAX));
        assert_eq!(places_for(64), (32, 16));
        assert_eq!(places_for(0), (2, 1));
    }
}

//! A connection at the door, and what its calls have to show.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use proto::{
    message::RefusalKind,
    token::{Shown, Token},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep, sleep_until},
};
use tonic::{Request, Status, service::Interceptor, transport::server::Connected};

use super::{STRANGER_WAIT, TurnedAway};

/// The first bytes of HTTP/2 without TLS.
const HTTP_2: &[u8] = b"PRI ";
/// The first bytes of TLS.
const TLS: &[u8] = &[0x16, 0x03];

const NO_TOKEN: &str = "this coordinator asks for a join token: give --token-file or TRUNKLINE_TOKEN";

/// The peer of a connection. Each call on the connection carries it.
#[derive(Debug, Clone)]
pub(crate) struct Caller(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    address: String,
    /// Whether it comes over a Unix domain socket.
    local: bool,
    /// Whether it has shown a trusted certificate.
    certified: bool,
    is_stranger: AtomicBool,
    /// Its place among the strangers, until it is let in.
    place: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Caller {
    pub(super) fn new(address: String, local: bool, certified: bool, place: OwnedSemaphorePermit) -> Caller {
        let place = Mutex::new(Some(place));
        Caller(Arc::new(Inner { address, local, certified, is_stranger: AtomicBool::new(true), place }))
    }

    /// The address that it calls from, without the port, which differs for each connection.
    pub(crate) fn address(&self) -> &str {
        &self.0.address
    }

    /// Whether it is on this machine and comes over a Unix domain socket.
    pub(crate) fn is_local(&self) -> bool {
        self.0.local
    }

    fn is_stranger(&self) -> bool {
        self.0.is_stranger.load(Ordering::Acquire)
    }

    fn let_in(&self) {
        if self.0.is_stranger.swap(false, Ordering::AcqRel) {
            drop(self.0.place.lock().unwrap_or_else(PoisonError::into_inner).take());
        }
    }
}

/// Checks what every call has to show.
#[derive(Debug, Clone)]
pub(crate) struct Doorkeeper {
    pub token: Option<Token>,
    pub wants_certificate: bool,
    pub turned_away: TurnedAway,
}

impl Interceptor for Doorkeeper {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let caller = request.extensions().get::<Caller>().expect("every connection comes through the door");
        let shown = self.token.as_ref().map(|token| token.check(request.metadata()));
        let refused = if self.wants_certificate && !caller.0.certified {
            Some((RefusalKind::Certificate, "this coordinator asks for a certificate: give --tls-cert and --tls-key"))
        } else {
            match shown {
                Some(Shown::Missing) => Some((RefusalKind::Token, NO_TOKEN)),
                Some(Shown::Wrong) => Some((RefusalKind::Token, "the join token is not the coordinator's")),
                Some(Shown::Right) | None => None,
            }
        };
        if let Some((kind, reason)) = refused {
            self.turned_away.add(kind, caller.address(), reason);
            let mut status = Status::unauthenticated(reason);
            let name = kind.name().parse().expect("names are plain ASCII");
            status.metadata_mut().insert(proto::REFUSAL, name);
            return Err(status);
        }
        caller.let_in();
        Ok(request)
    }
}

/// A stream of bytes.
pub(crate) trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}

/// A connection. If a stranger has not shown in time what is asked for, it ends.
pub(crate) struct Connection {
    bytes: Box<dyn Bytes>,
    caller: Caller,
    deadline: Pin<Box<Sleep>>,
    /// The first bytes that were received.
    begin: Vec<u8>,
    is_late: bool,
    turned_away: TurnedAway,
    /// Its place among all connections.
    _place: OwnedSemaphorePermit,
}

impl Connection {
    pub(super) fn new(
        bytes: Box<dyn Bytes>,
        caller: Caller,
        since: Instant,
        turned_away: TurnedAway,
        place: OwnedSemaphorePermit,
    ) -> Connection {
        let deadline = Box::pin(sleep_until(since + STRANGER_WAIT));
        Connection { bytes, caller, deadline, begin: Vec::new(), is_late: false, turned_away, _place: place }
    }

    /// What was wrong with the connection of a stranger, if anything was.
    fn fault(&self) -> Option<String> {
        if self.begin.starts_with(TLS) {
            return Some("it speaks TLS, but this coordinator was started without TLS".into());
        }
        if !self.begin.is_empty() && !self.begin.starts_with(&HTTP_2[..self.begin.len().min(HTTP_2.len())]) {
            return Some("what it sends is not HTTP/2".into());
        }
        self.is_late.then(|| format!("it made no call that was let in within {} s", STRANGER_WAIT.as_secs()))
    }
}

impl Connected for Connection {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller.clone()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.caller.is_stranger()
            && let Some(reason) = self.fault()
        {
            self.turned_away.add(RefusalKind::Handshake, self.caller.address(), reason);
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let is_stranger = self.caller.is_stranger();
        if is_stranger && self.deadline.as_mut().poll(context).is_ready() {
            self.is_late = true;
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.bytes).poll_read(context, buffer))?;
        if is_stranger && self.begin.len() < HTTP_2.len() {
            let came = &buffer.filled()[before..];
            let wanted = came.len().min(HTTP_2.len() - self.begin.len());
            self.begin.extend_from_slice(&came[..wanted]);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.bytes).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.bytes).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.bytes.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.bytes).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.bytes).poll_shutdown(context)
    }
}

//! The bytes of a connection: the socket below TLS, and what is above it.

use std::{
    io, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use proto::message::RefusalKind;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
    sync::OwnedSemaphorePermit,
};

use super::{Caller, STRANGER_BYTES_MAX, TurnedAway};

/// The first bytes of HTTP/2 without TLS.
const HTTP_2: &[u8] = b"PRI ";
/// The first bytes of TLS.
const TLS: &[u8] = &[0x16, 0x03];

/// A stream of bytes.
pub(super) trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}

/// The socket of a connection. It takes only so many bytes from a stranger. Once the run's own
/// thread serves the peer, that thread waits for the socket too.
pub(super) struct Socket {
    stream: Stream,
    caller: Caller,
    /// Bytes that came from the peer while it was a stranger.
    received: usize,
    /// Whether the run's own thread waits for it.
    is_inside: bool,
}

enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
    /// It could not be moved.
    Gone,
}

impl Socket {
    pub(super) fn unix(stream: UnixStream, caller: Caller) -> Socket {
        Socket { stream: Stream::Unix(stream), caller, received: 0, is_inside: false }
    }

    pub(super) fn tcp(stream: TcpStream, caller: Caller) -> Socket {
        Socket { stream: Stream::Tcp(stream), caller, received: 0, is_inside: false }
    }

    /// The stream, on the thread that serves the peer.
    fn stream(&mut self) -> io::Result<Pin<&mut dyn Bytes>> {
        if !self.is_inside && self.caller.is_inside() {
            self.is_inside = true;
            self.stream = match mem::replace(&mut self.stream, Stream::Gone) {
                Stream::Tcp(stream) => Stream::Tcp(TcpStream::from_std(stream.into_std()?)?),
                other => other,
            };
        }
        match &mut self.stream {
            Stream::Unix(stream) => Ok(Pin::new(stream)),
            Stream::Tcp(stream) => Ok(Pin::new(stream)),
            Stream::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let is_stranger = self.caller.is_stranger();
        if is_stranger && self.received > STRANGER_BYTES_MAX {
            self.caller.cut_off(|| {
                format!("it sent more than {} KiB and made no call that was let in", STRANGER_BYTES_MAX >> 10)
            });
            return Poll::Ready(Err(io::ErrorKind::QuotaExceeded.into()));
        }
        let before = buffer.filled().len();
        ready!(self.stream()?.poll_read(context, buffer))?;
        if is_stranger {
            self.received += buffer.filled().len() - before;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(context)
    }
}

/// A connection after its TLS handshake, if it has one. When it ends, the peer is counted as turned
/// away if it was a stranger at fault.
pub(super) struct Connection {
    bytes: Box<dyn Bytes>,
    caller: Caller,
    /// The first bytes that were received.
    begin: Vec<u8>,
    turned_away: TurnedAway,
    /// Its place among all connections.
    _place: OwnedSemaphorePermit,
}

impl Connection {
    pub(super) fn new(
        bytes: Box<dyn Bytes>,
        caller: Caller,
        turned_away: TurnedAway,
        place: OwnedSemaphorePermit,
    ) -> Connection {
        Connection { bytes, caller, begin: Vec::new(), turned_away, _place: place }
    }

    /// What was wrong with the connection of a stranger, if anything was.
    fn fault(&self) -> Option<String> {
        if self.begin.starts_with(TLS) {
            return Some("it speaks TLS, but this coordinator was started without TLS".into());
        }
        if !self.begin.is_empty() && !self.begin.starts_with(&HTTP_2[..self.begin.len().min(HTTP_2.len())]) {
            return Some("what it sends is not HTTP/2".into());
        }
        self.caller.fault()
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
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.bytes).poll_read(context, buffer))?;
        if self.begin.len() < HTTP_2.len() {
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

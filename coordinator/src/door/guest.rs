//! A connection with its calls: at the door as long as its peer is a stranger, inside from then on.
//!
//! At the door, a guest is one task with everything in it: the connection, its calls and its
//! deadline. So its time ends whatever the peer reads or writes. The first call that is let in ends
//! that task, and the parts move to the run's thread.

use std::{
    convert::Infallible,
    future::poll_fn,
    mem,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use hyper::{Request, Response, body::Incoming, rt::Executor, server::conn::http2};
use hyper_util::rt::TokioIo;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};
use tonic::{body::Body, codegen::Service, service::Routes};

use super::{Caller, STRANGER_WAIT, connection::Connection};

/// Calls that one connection may have at a time; a worker makes one.
const STREAMS_MAX: u32 = 16;
/// The longest header of a call, bytes.
const HEADER_BYTES_MAX: u32 = 16 << 10;
/// What a peer may send on one stream before it is read, bytes.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
/// What a peer may send on one connection before it is read, bytes.
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;

/// A connection with its calls.
pub(super) struct Guest {
    connection: Pin<Box<http2::Connection<TokioIo<Connection>, Answers, Calls>>>,
    calls: Calls,
    caller: Caller,
}

impl Guest {
    pub(super) fn new(connection: Connection, caller: Caller, routes: Routes) -> Guest {
        let calls = Calls { caller: caller.clone(), begun: Arc::default() };
        let answers = Answers { routes, caller: caller.clone() };
        let connection = http2::Builder::new(calls.clone())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(HEADER_BYTES_MAX)
            .serve_connection(TokioIo::new(connection), answers);
        Guest { connection: Box::pin(connection), calls, caller }
    }

    /// Serves the connection until a call on it is let in. `None` if it ends before, which it does
    /// at the latest [`STRANGER_WAIT`] after `since`.
    pub(super) async fn greet(mut self, since: Instant) -> Option<Guest> {
        let mut deadline = pin!(sleep_until(since + STRANGER_WAIT));
        let is_let_in = poll_fn(|context| {
            let is_late = deadline.as_mut().poll(context).is_ready();
            if is_late && self.caller.is_stranger() {
                let seconds = STRANGER_WAIT.as_secs();
                self.caller.cut_off(|| format!("it made no call that was let in within {seconds} s"));
                return Poll::Ready(false);
            }
            if self.connection.as_mut().poll(context).is_ready() {
                return Poll::Ready(false);
            }
            self.calls.poll(context);
            if self.caller.is_stranger() { Poll::Pending } else { Poll::Ready(true) }
        });
        is_let_in.await.then_some(self)
    }

    /// Serves the connection on the present runtime, to its end. Once `closing` is told, the calls
    /// that are open come to their end, and no others begin. `_gone` is dropped with the
    /// connection.
    pub(super) async fn stay(mut self, mut closing: watch::Receiver<bool>, _gone: mpsc::Sender<Infallible>) {
        self.caller.move_inside();
        for call in self.calls.take() {
            tokio::spawn(call);
        }
        tokio::select! {
            _ = self.connection.as_mut() => return,
            _ = closing.wait_for(|closes| *closes) => {}
        }
        self.connection.as_mut().graceful_shutdown();
        // A connection that broke is as good as one that ended.
        let _ = self.connection.await;
    }
}

/// Answers the calls of one peer.
struct Answers {
    routes: Routes,
    caller: Caller,
}

impl hyper::service::Service<Request<Incoming>> for Answers {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = <Routes as Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.caller.clone());
        self.routes.clone().call(request)
    }
}

type Call = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The calls of a connection. At the door they are a part of the guest; inside, each is a task.
#[derive(Clone)]
struct Calls {
    caller: Caller,
    begun: Arc<Mutex<Vec<Call>>>,
}

impl Calls {
    fn take(&self) -> Vec<Call> {
        mem::take(&mut *self.begun.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets all calls go on. There are [`STREAMS_MAX`] at most.
    fn poll(&self, context: &mut Context<'_>) {
        let mut calls = self.take();
        calls.retain_mut(|call| call.as_mut().poll(context).is_pending());
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).extend(calls);
    }
}

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Calls {
    fn execute(&self, call: F) {
        if self.caller.is_inside() {
            tokio::spawn(call);
            return;
        }
        let call = Box::pin(async move {
            call.await;
        });
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        io::{AsyncWriteExt, DuplexStream, duplex},
        sync::Semaphore,
        time::timeout,
    };

    use super::*;
    use crate::door::TurnedAway;

    /// The preface of HTTP/2 with empty settings.
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0trunklin";

    /// A stranger, the peer's end of its connection, and those that were turned away.
    fn stranger() -> (Guest, DuplexStream, TurnedAway) {
        let places = Arc::new(Semaphore::new(2));
        let place = || Arc::clone(&places).try_acquire_owned().expect("there is room");
        let (theirs, ours) = duplex(4 << 10);
        let (caller, turned_away) = (Caller::new("10.0.0.1".into(), false, place()), TurnedAway::default());
        let connection = Connection::new(Box::new(ours), caller.clone(), turned_away.clone(), place());
        (Guest::new(connection, caller, Routes::default()), theirs, turned_away)
    }

    #[tokio::test]
    async fn the_time_of_a_stranger_that_pings_and_reads_nothing_ends() {
        let (guest, mut theirs, turned_away) = stranger();
        #[expect(clippy::disallowed_methods, reason = "the time of a stranger is real time")]
        let began = Instant::now() - STRANGER_WAIT + Duration::from_millis(300);
        let greeting = tokio::spawn(guest.greet(began));
        theirs.write_all(PREFACE).await.expect("is read");
        // Answers that nobody reads fill the way back. From then on no ping is read.
        while timeout(Duration::from_millis(100), theirs.write_all(PING)).await.is_ok_and(|sent| sent.is_ok()) {}
        let greeted = timeout(Duration::from_secs(20), greeting).await.expect("its time ends").expect("does not panic");
        assert!(greeted.is_none(), "it was let in");
        let (kind, turns) = turned_away.take_unrecorded().remove(0);
        assert_eq!((kind.name(), turns.reason.as_str()), ("handshake", "it made no call that was let in within 10 s"));
    }
}

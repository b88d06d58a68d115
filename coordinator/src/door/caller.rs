//! A peer, and what its calls have to show.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use proto::{
    message::RefusalKind,
    token::{Shown, Token},
};
use tokio::sync::OwnedSemaphorePermit;
use tonic::{Request, Status, service::Interceptor};

use super::TurnedAway;

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
    certified: AtomicBool,
    is_stranger: AtomicBool,
    /// Whether the run's own thread serves it.
    is_inside: AtomicBool,
    /// Why it was cut off, if it was.
    fault: Mutex<Option<String>>,
    /// Its place among the strangers, until it is let in.
    place: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Caller {
    /// A stranger, at the door.
    pub(super) fn new(address: String, local: bool, place: OwnedSemaphorePermit) -> Caller {
        Caller(Arc::new(Inner {
            address,
            local,
            certified: AtomicBool::new(false),
            is_stranger: AtomicBool::new(true),
            is_inside: AtomicBool::new(false),
            fault: Mutex::new(None),
            place: Mutex::new(Some(place)),
        }))
    }

    /// The address that it calls from, without the port, which differs for each connection.
    pub(crate) fn address(&self) -> &str {
        &self.0.address
    }

    /// Whether it is on this machine and comes over a Unix domain socket.
    pub(crate) fn is_local(&self) -> bool {
        self.0.local
    }

    pub(super) fn is_stranger(&self) -> bool {
        self.0.is_stranger.load(Ordering::Acquire)
    }

    pub(super) fn is_inside(&self) -> bool {
        self.0.is_inside.load(Ordering::Acquire)
    }

    /// Notes that it has shown a trusted certificate.
    pub(super) fn certify(&self) {
        self.0.certified.store(true, Ordering::Release);
    }

    /// Notes that the run's own thread serves it from now on.
    pub(super) fn move_inside(&self) {
        self.0.is_inside.store(true, Ordering::Release);
    }

    /// Notes why it is cut off. The first reason counts.
    pub(super) fn cut_off(&self, reason: impl FnOnce() -> String) {
        self.0.fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(reason);
    }

    /// Why it was cut off, if it was.
    pub(super) fn fault(&self) -> Option<String> {
        self.0.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
        let refused = if self.wants_certificate && !caller.0.certified.load(Ordering::Acquire) {
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

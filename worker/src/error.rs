//! Why a worker ends without the run having ended.

use std::time::Duration;

use proto::{address::Address, message::Refusal};

/// Why a worker could not do its part.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// Nobody answers at the address.
    #[error("no coordinator at {address} within {}s: {reason}", waited.as_secs())]
    NoCoordinator {
        /// Where one was looked for.
        address: Address,
        /// For how long.
        waited: Duration,
        /// What the last try said.
        reason: String,
    },
    /// The connection can't be trusted: the address rules it out, or handshakes fail again and
    /// again.
    #[error("the coordinator at {address}: {reason}")]
    Untrusted {
        /// Where it is.
        address: Address,
        /// Why.
        reason: String,
    },
    /// The coordinator does not let the worker in, or sends it away.
    #[error("the coordinator refuses this worker ({}): {}", .0.kind.name(), .0.reason)]
    Refused(Refusal),
    /// The worker can't take part, and has said so to the coordinator.
    #[error("this worker can't take part ({}): {}", .0.kind.name(), .0.reason)]
    Unfit(Refusal),
    /// The connection broke in the midst of the run.
    #[error("the connection to the coordinator broke: {0}")]
    Disconnected(String),
    /// The coordinator says something that no coordinator of this version says.
    #[error("the coordinator sent what can't be understood: {0}")]
    Protocol(String),
}

//! Why a worker ends before its run.

use std::time::Duration;

use proto::{address::Address, message::Refusal};

/// Why a worker could not take part to the end of the run.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// No coordinator answers at the address.
    #[error("no coordinator at {address} within {}s: {reason}", waited.as_secs())]
    NoCoordinator {
        /// Where the worker looked for one.
        address: Address,
        /// How long it tried.
        waited: Duration,
        /// Why the last attempt failed.
        reason: String,
    },
    /// The connection can't be trusted: it would not be encrypted, or handshakes fail again and
    /// again.
    #[error("the coordinator at {address}: {reason}")]
    Untrusted {
        /// Where the coordinator is.
        address: Address,
        /// Why the connection can't be trusted.
        reason: String,
    },
    /// The coordinator does not accept the worker, or told it to leave.
    #[error("the coordinator refuses this worker ({}): {}", .0.kind.name(), .0.reason)]
    Refused(Refusal),
    /// The worker can't take part, and has told the coordinator.
    #[error("this worker can't take part ({}): {}", .0.kind.name(), .0.reason)]
    Unfit(Refusal),
    /// The connection broke before the run was over.
    #[error("the connection to the coordinator broke: {0}")]
    Disconnected(String),
    /// The coordinator sent a message that no coordinator of this version sends.
    #[error("the coordinator sent a message that this worker can't understand: {0}")]
    Protocol(String),
}

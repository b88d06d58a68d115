//! The worker: connects to a coordinator, loads its part of the data, computes and sends sums.
//!
//! A worker is a pure function with a connection: (parameters, work) -> (loss sums, gradient sums).
//! It holds nothing that the run would miss. One thread takes work from the stream and computes it
//! where it stands ([`session`], [`compute`]): handing it to another would cost more than a small
//! step takes. A second one sends signs of life, whatever the first is doing; a third draws the
//! next rows meanwhile ([`prefetch`]).

pub mod access;
mod bench;
pub mod compute;
pub mod connection;
pub mod error;
mod heartbeat;
mod options;
pub mod prefetch;
pub mod session;

pub use access::Access;
pub use error::WorkerError;
pub use options::Options;
pub use session::{Ended, run};

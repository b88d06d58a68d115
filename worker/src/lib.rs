//! The worker: connects to a coordinator, loads its part of the data, computes and sends sums.
//!
//! A worker is a pure function with a connection: (parameters, work) -> (loss sums, gradient sums). It
//! holds nothing that the run would miss. Two kinds of thread share the process: one runs the
//! connections ([`session`]), one computes ([`compute`]), and a third draws the next rows meanwhile
//! ([`prefetch`]).

pub mod compute;
pub mod connection;
pub mod error;
pub mod prefetch;
pub mod session;
mod thread;

pub use error::WorkerError;
pub use session::{Ended, Options, run};

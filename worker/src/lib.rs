//! The worker: connects to a coordinator, loads its part of the data, computes and sends sums.
//!
//! A worker is a pure function with a connection: (parameters, work) -> (loss sums, gradient sums).
//! It holds no state that the run needs, so it may die at any time.
//!
//! It has three threads. The first reads the stream and computes each piece of work where it read
//! it ([`run()`], [`compute`]): to hand work to another thread would take longer than a small step.
//! The second sends heartbeats, whatever the first does. The third draws the next rows
//! ([`prefetch`]).

pub mod access;
mod asked;
pub mod compute;
pub mod connection;
mod ended;
pub mod error;
mod heartbeat;
mod loaded;
mod options;
pub mod prefetch;
mod run;
mod session;
mod state;

pub use access::Access;
pub use ended::Ended;
pub use error::WorkerError;
pub use options::Options;
pub use run::run;

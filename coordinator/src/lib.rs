//! The coordinator: hands out work, adds what comes back, updates the parameters, records the run.
//!
//! [`run`] holds the state machine, which knows no IO. Around it, `shell` is the one loop: it takes
//! what workers say ([`server`]), what the computing thread has done ([`compute`]) and the passing
//! of time, tells the machine, and does what the machine answers. Whoever wants to speak to the
//! server comes through the `door`. [`setup`] makes from an experiment what a run needs before its
//! first worker; [`resume`] finds in a run folder what a run goes on from.

pub mod checkpoint;
mod clock;
pub mod compute;
pub mod digest;
pub mod disk;
mod door;
mod error;
pub mod evaluation;
mod first_records;
pub mod folder;
pub mod forecast;
pub mod journal;
mod options;
pub mod parameters;
pub mod progress;
pub mod report;
mod request;
pub mod resume;
pub mod run;
pub mod selection;
mod serve;
pub mod server;
pub mod setup;
mod shell;
mod start;
mod states;
pub mod tracking;

pub use door::Listener;
pub use error::CoordinatorError;
pub use options::Options;
pub use request::Request;
pub use serve::serve;
pub use start::Start;

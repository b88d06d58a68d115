//! The coordinator: hands out work, adds the results, updates the parameters, records the run.
//!
//! [`run`] is the state machine, which knows no IO. Around it, `shell` is the one loop: it takes
//! what workers say ([`server`]), what the computing thread has done ([`compute`]) and the passing
//! of time, tells the machine, and does what the machine says. The `door` decides who may speak to
//! the server. [`setup`] prepares an experiment before the first worker comes. [`resume`] finds
//! what a run goes on from in its folder.
//!
//! No module uses one that uses it, directly or through others.

mod changeable;
pub mod checkpoint;
mod clock;
pub mod compute;
pub mod digest;
pub mod disk;
mod door;
mod error;
pub mod evaluation;
pub mod extend;
mod first_records;
pub mod folder;
pub mod forecast;
pub mod journal;
mod options;
pub mod parameters;
pub mod parts;
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
pub use request::RunRequest;
pub use serve::serve;
pub use start::Start;

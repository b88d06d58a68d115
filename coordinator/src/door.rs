//! The door: decides who may speak to the coordinator.
//!
//! A peer is a *stranger* until a call on its connection has shown what is asked for: a certificate
//! if the coordinator has an authority, the join token if it has one, and always a call that can be
//! understood. The number of connections and the number of strangers are bounded. A stranger has
//! [`STRANGER_WAIT`] and [`STRANGER_BYTES_MAX`] for everything, including the handshake. So noise,
//! silent peers and floods of them cost bounded memory.
//!
//! Connections over TCP are accepted on a thread of their own, and strangers stay there. A
//! connection moves to the run's thread with the first call that is let in. So a flood of strangers
//! costs the run no more than a busy core. A Unix domain socket is for processes of this user
//! alone, and needs no such thread.
//!
//! Each peer that is turned away is counted with a reason in [`TurnedAway`]. The shell reads the
//! counts from time to time, so that a flood makes few records.

mod caller;
mod connection;
mod guest;
mod listener;
mod turned_away;

pub(crate) use caller::{Caller, Doorkeeper};
pub use listener::Listener;
pub(crate) use turned_away::{TurnedAway, Turns};

use std::time::Duration;

/// The most connections at a time. A worker has two: one for work and one for signs of life.
const CONNECTIONS_MAX: usize = 8192;
/// The most strangers at a time.
const STRANGERS_MAX: usize = 256;
/// How long a stranger has to show what is asked for.
const STRANGER_WAIT: Duration = Duration::from_secs(10);
/// What is read from a stranger at most, bytes. A handshake and a call need a few thousand.
const STRANGER_BYTES_MAX: usize = 64 << 10;

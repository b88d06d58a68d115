//! The door: who may speak to the coordinator at all, before anyone hears what they say.
//!
//! A connection is a *stranger's* until a call on it has shown what is asked for: a certificate
//! where the coordinator has an authority, the join token where it has one, and in any case a call
//! that can be understood. There are bounds on all connections and on strangers, and a stranger has
//! [`STRANGER_WAIT`] for all of it, handshake included. So bytes that are not the protocol, peers
//! that say nothing and crowds of them cost bounded memory, and nothing to the workers that are in.
//!
//! Whoever is turned away is counted with a reason in [`TurnedAway`], which the shell reads from
//! time to time: a flood makes one record now and then, not a flood of records.

mod caller;
mod listener;
mod turned_away;

pub(crate) use caller::{Caller, Doorkeeper};
pub use listener::Listener;
pub(crate) use turned_away::{TurnedAway, Turns};

use std::time::Duration;

/// The most connections at a time: a worker has two, one for work and one for its signs of life.
const CONNECTIONS_MAX: usize = 8192;
/// The most strangers at a time.
const STRANGERS_MAX: usize = 256;
/// How long a stranger has to show what is asked for.
pub(crate) const STRANGER_WAIT: Duration = Duration::from_secs(10);

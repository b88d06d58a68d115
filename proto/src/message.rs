//! What a coordinator and a worker tell each other, as plain types without transport.
//!
//! One file a message. Each has the type and its conversions to and from the generated type of
//! [`crate::v1`], side by side. [`crate::convert`] puts them together.

use crate::v1;

mod beat;
mod chunk;
mod hello;
mod ready;
mod refusal;
mod result;
mod welcome;
mod work;

pub use beat::Beat;
pub use chunk::{Chunk, ChunkOf};
pub use hello::Hello;
pub use ready::Ready;
pub use refusal::{Refusal, RefusalKind};
pub use result::{Vector, WorkResult};
pub use welcome::{Share, SharedMemory, Welcome};
pub use work::{Slot, Work, WorkKind};

/// The head of every message. A receiver recognises stale and duplicate messages by it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envelope {
    /// The run's identity.
    pub run: String,
    /// How many coordinators have started or resumed the run, the present one included.
    pub epoch: u64,
    /// Names a worker's session. A worker that joins again gets another lease.
    pub lease: u64,
    /// The step that the message belongs to.
    pub step: u64,
    /// The phase within the step.
    pub phase: u32,
}

/// From a worker to the coordinator.
#[derive(Debug, Clone, PartialEq)]
pub enum WorkerMessage {
    /// The first message of a stream.
    Hello(Hello),
    /// The worker has loaded its data and can compute.
    Ready(Ready),
    /// Work is done.
    Result(WorkResult),
    /// A piece of a result's vector.
    Chunk(Chunk),
    /// Work failed; the worker goes on.
    Failure {
        /// The work's id.
        work: u64,
        /// Why, for people.
        reason: String,
    },
    /// The worker leaves the run.
    Leave(Refusal),
}

/// From the coordinator to a worker.
#[derive(Debug, Clone, PartialEq)]
pub enum CoordinatorMessage {
    /// The answer to [`Hello`]; the plan follows in chunks.
    Welcome(Box<Welcome>),
    /// The worker can't take part.
    Refused(Refusal),
    /// The worker takes part from now on.
    Accepted {
        /// The worker's number among those that take part.
        rank: u32,
    },
    /// A piece of the plan or of the parameters.
    Chunk(Chunk),
    /// Something to compute.
    Work(Work),
    /// The run is over.
    Finished {
        /// Why, for people.
        reason: String,
    },
}

impl From<Envelope> for v1::Envelope {
    fn from(Envelope { run, epoch, lease, step, phase }: Envelope) -> v1::Envelope {
        v1::Envelope { run, epoch, lease, step, phase }
    }
}

impl From<v1::Envelope> for Envelope {
    fn from(v1::Envelope { run, epoch, lease, step, phase }: v1::Envelope) -> Envelope {
        Envelope { run, epoch, lease, step, phase }
    }
}

//! Jobs: the pieces of a phase that workers compute.

use std::fmt;

use aggregation::tree::Node;
use experiment::SplitName;
use proto::message::Slot;

/// A piece of a phase: a node of the tree over microbatches, or over a feed's chunks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkerJob {
    /// What is to be computed.
    pub kind: JobKind,
    /// The node.
    pub node: Node,
}

/// What a job computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobKind {
    /// The gradient over a node of microbatches.
    Gradient {
        /// The feed, with one vector for each of its tasks. `None`: all feeds in one vector.
        feed: Option<u32>,
    },
    /// The gradients of a feed's tasks over a node of microbatches, one vector a task, for the
    /// journal.
    TaskGradients {
        /// The feed's number.
        feed: u32,
    },
    /// The losses of all feeds over a node of microbatches.
    Losses,
    /// The metric sums of one feed over a node of a split's chunks.
    Evaluate {
        /// The feed's number.
        feed: u32,
        /// The split.
        split: SplitName,
    },
}

impl JobKind {
    /// The job's feed. `None`: all feeds.
    pub fn feed(self) -> Option<u32> {
        match self {
            JobKind::Gradient { feed } => feed,
            JobKind::TaskGradients { feed } | JobKind::Evaluate { feed, .. } => Some(feed),
            JobKind::Losses => None,
        }
    }
}

impl fmt::Display for WorkerJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Node { lo, hi } = self.node;
        match self.kind {
            JobKind::Gradient { feed: None } => write!(f, "the gradient of microbatches [{lo}, {hi})"),
            JobKind::Gradient { feed: Some(feed) } | JobKind::TaskGradients { feed } => {
                write!(f, "the gradients of microbatches [{lo}, {hi}) of feed {feed}")
            }
            JobKind::Losses => write!(f, "the losses of microbatches [{lo}, {hi})"),
            JobKind::Evaluate { feed, split } => {
                write!(f, "the evaluation of chunks [{lo}, {hi}) of feed {feed}, {} split", split.name())
            }
        }
    }
}

/// A job that a worker was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Identity of the piece of work, never used twice.
    pub work: u64,
    /// Version of the parameters to compute with.
    pub version: u64,
    /// What is to be computed.
    pub job: WorkerJob,
    /// Where the vectors go in the worker's shared memory. Empty: they travel in chunks.
    pub slots: Vec<Slot>,
}

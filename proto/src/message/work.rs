//! A piece of work for one worker.

use aggregation::tree::Node;
use experiment::SplitName;

use crate::{
    invalid::{Invalid, required},
    v1,
};

/// What is to be computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkKind {
    /// Gradient sums and loss sums of training microbatches.
    Gradient,
    /// Loss sums of training microbatches, without gradients.
    Losses,
    /// Loss and metric sums of chunks of a split.
    Evaluate,
}

/// A piece of work for one worker. Its result is a pure function of the parameters and of this.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    /// Identity within the run; never used twice.
    pub id: u64,
    /// What is to be computed.
    pub kind: WorkKind,
    /// Version of the parameters: the number of updates done.
    pub version: u64,
    /// The step whose training rows are read.
    pub step: u64,
    /// Numbers of the feeds that take part.
    pub feeds: Vec<u32>,
    /// The node of the canonical tree: its microbatches, or its chunks if this is an evaluation.
    pub node: Node,
    /// By task: alpha * weight / labelled rows of the whole batch; zero for a task without rows.
    pub scales: Vec<f32>,
    /// The tasks whose gradients are wanted, one vector each; `None` stands for one vector for all
    /// tasks together.
    pub by_task: Option<Vec<u32>>,
    /// The split that an evaluation reads.
    pub split: SplitName,
    /// Where the vectors go in shared memory, one slot each; if empty they travel in chunks.
    pub slots: Vec<Slot>,
}

/// A place in shared memory. The generation tells an old use of the slot from the present one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Number of the slot.
    pub index: u32,
    /// Number of this use of the slot.
    pub generation: u64,
}

impl From<Work> for v1::Work {
    fn from(work: Work) -> v1::Work {
        let kind = match work.kind {
            WorkKind::Gradient => v1::WorkKind::Gradient,
            WorkKind::Losses => v1::WorkKind::Losses,
            WorkKind::Evaluate => v1::WorkKind::Evaluate,
        };
        let split = match work.split {
            SplitName::Train => v1::Split::Train,
            SplitName::Validation => v1::Split::Validation,
            SplitName::Test => v1::Split::Test,
        };
        v1::Work {
            id: work.id,
            kind: kind.into(),
            version: work.version,
            step: work.step,
            feeds: work.feeds,
            node: Some(node_out(work.node)),
            scales: work.scales,
            by_task: work.by_task.map(|tasks| v1::ByTask { tasks }),
            split: split.into(),
            slots: work.slots.into_iter().map(v1::Slot::from).collect(),
        }
    }
}

impl TryFrom<v1::Work> for Work {
    type Error = Invalid;

    fn try_from(work: v1::Work) -> Result<Work, Invalid> {
        let kind = match v1::WorkKind::try_from(work.kind) {
            Ok(v1::WorkKind::Gradient) => WorkKind::Gradient,
            Ok(v1::WorkKind::Losses) => WorkKind::Losses,
            Ok(v1::WorkKind::Evaluate) => WorkKind::Evaluate,
            _ => return Err(Invalid::Unknown { field: "kind", value: work.kind.into() }),
        };
        let split = match v1::Split::try_from(work.split) {
            Ok(v1::Split::Train) => SplitName::Train,
            Ok(v1::Split::Validation) => SplitName::Validation,
            Ok(v1::Split::Test) => SplitName::Test,
            _ => return Err(Invalid::Unknown { field: "split", value: work.split.into() }),
        };
        Ok(Work {
            id: work.id,
            kind,
            version: work.version,
            step: work.step,
            feeds: work.feeds,
            node: node_in(work.node)?,
            scales: work.scales,
            by_task: work.by_task.map(|by_task| by_task.tasks),
            split,
            slots: work.slots.into_iter().map(Slot::from).collect(),
        })
    }
}

impl From<Slot> for v1::Slot {
    fn from(Slot { index, generation }: Slot) -> v1::Slot {
        v1::Slot { index, generation }
    }
}

impl From<v1::Slot> for Slot {
    fn from(v1::Slot { index, generation }: v1::Slot) -> Slot {
        Slot { index, generation }
    }
}

pub(super) fn node_out(node: Node) -> v1::Node {
    v1::Node { lo: node.lo, hi: node.hi }
}

pub(super) fn node_in(node: Option<v1::Node>) -> Result<Node, Invalid> {
    let v1::Node { lo, hi } = required(node, "node")?;
    if lo >= hi {
        return Err(Invalid::Range { lo: lo.into(), hi: hi.into() });
    }
    Ok(Node { lo, hi })
}

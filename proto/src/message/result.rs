//! What a worker computed.

use aggregation::tree::Node;
use objectives::{LossSum, TaskSums};

use super::{
    Slot,
    work::{node_in, node_out},
};
use crate::{invalid::Invalid, v1};

/// What a worker computed.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkResult {
    /// The work's id.
    pub work: u64,
    /// The work's node.
    pub node: Node,
    /// Loss sums of training microbatches.
    pub losses: Vec<LossSum>,
    /// Sums of an evaluation, by task.
    pub sums: Vec<(u32, TaskSums)>,
    /// The vectors of gradient sums, for work that gives some.
    pub vectors: Vec<Vector>,
    /// Time that the computation took, microseconds.
    pub compute_us: u64,
}

/// Names a vector and says where its elements are. Elements are f32, little-endian.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vector {
    /// The node whose gradients the vector sums.
    pub node: Node,
    /// The task whose gradient this is; `None` stands for the combined gradient of all tasks.
    pub task: Option<u32>,
    /// First element in the layout.
    pub lo: u64,
    /// One past the last element in the layout.
    pub hi: u64,
    /// Where the vector is in shared memory; if `None`, its chunks follow.
    pub slot: Option<Slot>,
}

impl From<WorkResult> for v1::Result {
    fn from(result: WorkResult) -> v1::Result {
        let losses = result.losses.into_iter();
        v1::Result {
            work: result.work,
            node: Some(node_out(result.node)),
            losses: losses.map(|LossSum { task, loss, rows }| v1::LossSum { task: task as u32, loss, rows }).collect(),
            sums: result.sums.into_iter().map(sums_out).collect(),
            vectors: result.vectors.into_iter().map(v1::Vector::from).collect(),
            compute_us: result.compute_us,
        }
    }
}

impl TryFrom<v1::Result> for WorkResult {
    type Error = Invalid;

    fn try_from(result: v1::Result) -> Result<WorkResult, Invalid> {
        let losses = result.losses.into_iter();
        Ok(WorkResult {
            work: result.work,
            node: node_in(result.node)?,
            losses: losses
                .map(|v1::LossSum { task, loss, rows }| LossSum { task: task as usize, loss, rows })
                .collect(),
            sums: result.sums.into_iter().map(sums_in).collect(),
            vectors: result.vectors.into_iter().map(Vector::try_from).collect::<Result<_, _>>()?,
            compute_us: result.compute_us,
        })
    }
}

impl From<Vector> for v1::Vector {
    fn from(vector: Vector) -> v1::Vector {
        v1::Vector {
            node: Some(node_out(vector.node)),
            task: vector.task,
            lo: vector.lo,
            hi: vector.hi,
            dtype: v1::DType::F32.into(),
            slot: vector.slot.map(v1::Slot::from),
        }
    }
}

impl TryFrom<v1::Vector> for Vector {
    type Error = Invalid;

    fn try_from(vector: v1::Vector) -> Result<Vector, Invalid> {
        if vector.dtype != i32::from(v1::DType::F32) {
            return Err(Invalid::Unknown { field: "dtype", value: vector.dtype.into() });
        }
        if vector.lo >= vector.hi {
            return Err(Invalid::Range { lo: vector.lo, hi: vector.hi });
        }
        Ok(Vector {
            node: node_in(vector.node)?,
            task: vector.task,
            lo: vector.lo,
            hi: vector.hi,
            slot: vector.slot.map(Slot::from),
        })
    }
}

fn sums_out((task, sums): (u32, TaskSums)) -> v1::TaskSums {
    let TaskSums { rows, loss, counts, sums, scores, labels, own } = sums;
    let own = own.into_iter().map(|(metric, sums)| v1::OwnSums { metric, sums }).collect();
    v1::TaskSums { task, rows, loss, counts, sums, scores, labels, own }
}

fn sums_in(sums: v1::TaskSums) -> (u32, TaskSums) {
    let v1::TaskSums { task, rows, loss, counts, sums, scores, labels, own } = sums;
    let own = own.into_iter().map(|v1::OwnSums { metric, sums }| (metric, sums)).collect();
    (task, TaskSums { rows, loss, counts, sums, scores, labels, own })
}

//! Which worker computes what: the pile of a phase's jobs.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    ops::Range,
};

use aggregation::tree::{Node, cover};
use experiment::SplitName;
use proto::message::{Slot, WorkKind};

use super::{Mode, Settings, WorkerId};

/// The most chunks in one piece of evaluation work: bounds the size of its answer.
const CHUNKS_MAX: u32 = 16;
/// Pieces of evaluation work that a worker holds at a time: one to compute, one to go on with.
const EVALUATIONS_HELD: usize = 2;

/// A part of a phase: a node of the tree over microbatches, or over a feed's chunks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Job {
    /// What is to be computed.
    pub kind: JobKind,
    /// The node.
    pub node: Node,
}

/// What a job is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobKind {
    /// The gradient over a node of microbatches.
    Gradient {
        /// The feed whose tasks have a vector each; `None`: all feeds, in one vector.
        feed: Option<u32>,
    },
    /// The losses of all feeds over a node of microbatches.
    Losses,
    /// The sums of one feed over a node of a split's chunks.
    Evaluate {
        /// The feed's number.
        feed: u32,
        /// The split.
        split: SplitName,
    },
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Node { lo, hi } = self.node;
        match self.kind {
            JobKind::Gradient { feed: None } => write!(f, "the gradient of microbatches [{lo}, {hi})"),
            JobKind::Gradient { feed: Some(feed) } => {
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
    /// Identity of the work, never used twice.
    pub work: u64,
    /// Version of the parameters to compute with.
    pub version: u64,
    /// What is to be computed.
    pub job: Job,
    /// Where the vectors may go in the worker's shared memory.
    pub slots: Vec<Slot>,
}

/// Divides `leaves` over workers: each gets a contiguous range, as even as can be, as the fewest nodes.
pub fn divide(leaves: u32, workers: &[WorkerId]) -> Vec<(WorkerId, Node)> {
    let root = Node::root(leaves);
    let count = workers.len() as u64;
    let bound = |i: u64| (i * u64::from(leaves) / count) as u32;
    (0..count)
        .zip(workers)
        .flat_map(|(i, worker)| {
            let (lo, hi) = (bound(i), bound(i + 1));
            let nodes = if lo < hi { cover(root, lo, hi) } else { Vec::new() };
            nodes.into_iter().map(move |node| (*worker, node))
        })
        .collect()
}

/// Divides the microbatches of all feeds, one feed after the other, into contiguous shares of equal cost: each worker's
/// ranges of microbatches, by feed.
pub fn divide_feeds(leaves: u32, costs: &[u64], workers: &[WorkerId]) -> Vec<(WorkerId, u32, Range<u32>)> {
    let total: u128 = costs.iter().map(|cost| u128::from((*cost).max(1)) * u128::from(leaves)).sum();
    let mut shares: Vec<(WorkerId, u32, Range<u32>)> = Vec::new();
    let mut before = 0u128;
    for (feed, cost) in (0u32..).zip(costs) {
        let cost = u128::from((*cost).max(1));
        for leaf in 0..leaves {
            // The worker in whose share the middle of the microbatch lies.
            let at = (2 * before + cost) * workers.len() as u128 / (2 * total);
            let worker = workers[at as usize];
            before += cost;
            match shares.last_mut() {
                Some((last, of, range)) if *last == worker && *of == feed => range.end = leaf + 1,
                _ => shares.push((worker, feed, leaf..leaf + 1)),
            }
        }
    }
    shares
}

/// What the workers are handed for a step's gradient where all are there.
pub fn gradient_jobs(settings: &Settings, workers: &[WorkerId]) -> Vec<(WorkerId, Job)> {
    let mut pile = Pile::default();
    pile.gradient(settings, workers);
    pile.waiting.into_iter().filter_map(|open| Some((open.preferred?, open.job))).collect()
}

#[derive(Debug, Clone)]
struct Open {
    job: Job,
    /// Vectors that it gives.
    vectors: u32,
    tries: u32,
    preferred: Option<WorkerId>,
}

/// The jobs of the present phase: those that nobody holds, and those that are being computed.
#[derive(Debug, Clone, Default)]
pub(super) struct Pile {
    waiting: VecDeque<Open>,
    held: BTreeMap<u64, (WorkerId, Open)>,
    last_work: u64,
    slots_used: BTreeMap<WorkerId, u32>,
}

impl Pile {
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.held.clear();
        self.slots_used.clear();
    }

    pub(super) fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.held.is_empty()
    }

    /// The jobs of a gradient phase: a range for each worker that takes part.
    pub(super) fn gradient(&mut self, settings: &Settings, ready: &[WorkerId]) {
        let Mode::PerTask { feeds, halves } = &settings.mode else {
            return self.of_all_feeds(JobKind::Gradient { feed: None }, 1, settings, ready);
        };
        self.clear();
        let root = Node::root(settings.leaves);
        let costs: Vec<u64> = feeds.iter().map(|feed| feed.cost).collect();
        for (worker, feed, range) in divide_feeds(settings.leaves, &costs, ready) {
            let whole = |node: &Node| *halves && *node == root;
            let nodes = cover(root, range.start, range.end).into_iter().flat_map(|node| match node.children() {
                Some((left, right)) if whole(&node) => vec![left, right],
                _ => vec![node],
            });
            for node in nodes {
                let job = Job { kind: JobKind::Gradient { feed: Some(feed) }, node };
                let vectors = feeds[feed as usize].tasks;
                self.waiting.push_back(Open { job, vectors, tries: 0, preferred: Some(worker) });
            }
        }
    }

    /// The jobs of a phase that asks for losses alone.
    pub(super) fn losses(&mut self, settings: &Settings, ready: &[WorkerId]) {
        self.of_all_feeds(JobKind::Losses, 0, settings, ready);
    }

    fn of_all_feeds(&mut self, kind: JobKind, vectors: u32, settings: &Settings, ready: &[WorkerId]) {
        self.clear();
        for (worker, node) in divide(settings.leaves, ready) {
            self.waiting.push_back(Open { job: Job { kind, node }, vectors, tries: 0, preferred: Some(worker) });
        }
    }

    /// The jobs of an evaluation: each feed's chunks in pieces, about two for each worker.
    pub(super) fn evaluation(&mut self, settings: &Settings, split: SplitName, workers: usize) {
        self.clear();
        let pieces = 2 * workers.max(1) as u32;
        for (feed, chunks) in settings.chunks.iter().enumerate() {
            let leaves = chunks.of(split);
            if leaves == 0 {
                continue;
            }
            let size = leaves.div_ceil(pieces).next_power_of_two().min(CHUNKS_MAX);
            let root = Node::root(leaves);
            for lo in (0..leaves).step_by(size as usize) {
                for node in cover(root, lo, leaves.min(lo + size)) {
                    let job = Job { kind: JobKind::Evaluate { feed: feed as u32, split }, node };
                    self.waiting.push_back(Open { job, vectors: 0, tries: 0, preferred: None });
                }
            }
        }
    }

    /// Hands out what lies on the pile. Jobs of a worker that is not there any more go to whoever holds least.
    pub(super) fn hand_out(
        &mut self,
        ready: &[WorkerId],
        kind: WorkKind,
        version: u64,
        result_slots: u32,
    ) -> Vec<(WorkerId, Assignment)> {
        let mut load: BTreeMap<WorkerId, usize> = ready.iter().map(|worker| (*worker, 0)).collect();
        for (worker, _) in self.held.values() {
            if let Some(held) = load.get_mut(worker) {
                *held += 1;
            }
        }
        let held_max = if kind == WorkKind::Evaluate { EVALUATIONS_HELD } else { usize::MAX };
        let mut assigned = Vec::new();
        for open in std::mem::take(&mut self.waiting) {
            let least = || load.iter().min_by_key(|(id, held)| (**held, **id)).map(|(id, _)| *id);
            let worker = open.preferred.filter(|worker| load.contains_key(worker)).or_else(least);
            let Some(worker) = worker.filter(|worker| load[worker] < held_max) else {
                self.waiting.push_back(open);
                continue;
            };
            *load.entry(worker).or_default() += 1;
            self.last_work += 1;
            let work = self.last_work;
            let slots = self.slots(worker, work, open.vectors, result_slots);
            assigned.push((worker, Assignment { work, version, job: open.job.clone(), slots }));
            self.held.insert(work, (worker, open));
        }
        assigned
    }

    /// Slots that are free until the phase ends, or none: the vectors then travel in chunks.
    fn slots(&mut self, worker: WorkerId, work: u64, vectors: u32, result_slots: u32) -> Vec<Slot> {
        let used = self.slots_used.entry(worker).or_default();
        if *used + vectors > result_slots {
            return Vec::new();
        }
        let first = *used;
        *used += vectors;
        (first..*used).map(|index| Slot { index, generation: work }).collect()
    }

    /// The job of a work that is done, if this worker was asked for it and it is still waited for.
    pub(super) fn complete(&mut self, worker: WorkerId, work: u64) -> Option<Job> {
        self.remove(worker, work).map(|open| open.job)
    }

    /// Puts a failed job back; says what it is and how often it has failed.
    pub(super) fn give_up(&mut self, worker: WorkerId, work: u64) -> Option<(Job, u32)> {
        let mut open = self.remove(worker, work)?;
        open.tries += 1;
        open.preferred = None;
        let said = (open.job.clone(), open.tries);
        self.waiting.push_back(open);
        Some(said)
    }

    fn remove(&mut self, worker: WorkerId, work: u64) -> Option<Open> {
        if self.held.get(&work).is_none_or(|(holder, _)| *holder != worker) {
            return None;
        }
        self.held.remove(&work).map(|(_, open)| open)
    }

    /// Puts back all that a worker holds; says how much that is.
    pub(super) fn take_back(&mut self, worker: WorkerId) -> usize {
        let works: Vec<u64> = self.held.iter().filter(|(_, (id, _))| *id == worker).map(|(work, _)| *work).collect();
        for work in &works {
            if let Some((_, mut open)) = self.held.remove(work) {
                open.preferred = None;
                self.waiting.push_back(open);
            }
        }
        works.len()
    }
}

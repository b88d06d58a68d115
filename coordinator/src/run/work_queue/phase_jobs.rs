//! The jobs of each phase, divided over the workers.

use std::collections::BTreeSet;

use aggregation::tree::{Node, cover};
use experiment::SplitName;

use super::{Pending, WorkQueue};
use crate::run::{JobKind, Mode, Settings, TaskGradients, WorkerId, WorkerJob, division::Division, pace::Pace};

/// The most chunks in one piece of evaluation work: bounds the size of its answer.
pub const EVALUATION_CHUNKS_MAX: u32 = 16;

/// The gradient jobs of a step by worker, if all workers are there and equally fast.
pub fn gradient_jobs(settings: &Settings, workers: &[WorkerId]) -> Vec<(WorkerId, WorkerJob)> {
    let mut queue = WorkQueue::default();
    queue.gradient(settings, workers);
    queue.preferred()
}

/// The per-task gradient jobs of a step by worker, if all workers are there and equally fast. Empty
/// if the run computes no per-task gradients for the journal.
pub fn task_gradient_jobs(settings: &Settings, workers: &[WorkerId]) -> Vec<(WorkerId, WorkerJob)> {
    let mut queue = WorkQueue::default();
    queue.task_gradients(settings, workers);
    queue.preferred()
}

impl WorkQueue {
    /// The waiting jobs, with the workers that are to have them.
    fn preferred(self) -> Vec<(WorkerId, WorkerJob)> {
        self.waiting.into_iter().filter_map(|pending| Some((pending.preferred?, pending.job))).collect()
    }

    /// The jobs of a gradient phase: a share for each worker that takes part.
    pub(in crate::run) fn gradient(&mut self, settings: &Settings, ready: &[WorkerId]) {
        self.clear();
        let busy: BTreeSet<WorkerId> = self.superseded.values().map(|in_flight| in_flight.worker).collect();
        self.pace.close(&busy);
        let root = Node::root(settings.microbatches);
        let halves = matches!(settings.mode, Mode::PerTask { halves: true, .. });
        let equal = Pace::default();
        let pace = if settings.one_vector_per_microbatch { &equal } else { &self.pace };
        for share in self.division.shares(&settings.mode, settings.microbatches, ready, pace) {
            let nodes = if settings.one_vector_per_microbatch {
                share.range.map(|leaf| Node { lo: leaf, hi: leaf + 1 }).collect()
            } else {
                cover(root, share.range.start, share.range.end)
            };
            let nodes = nodes.into_iter().flat_map(|node| match node.children() {
                Some((left, right)) if halves && node == root => vec![left, right],
                _ => vec![node],
            });
            for node in nodes {
                let job = WorkerJob { kind: JobKind::Gradient { feed: share.feed }, node };
                let vectors = settings.vectors(&job);
                self.waiting.push_back(Pending::new(job, vectors, Some(share.worker)));
            }
        }
    }

    /// The jobs of a phase that computes per-task gradients for the journal. They are divided as
    /// the update is, so that each worker reads rows that it has.
    pub(in crate::run) fn task_gradients(&mut self, settings: &Settings, ready: &[WorkerId]) {
        self.clear();
        let Some(TaskGradients { feeds, .. }) = &settings.task_gradients else { return };
        for share in self.division.shares(&Mode::Combined, settings.microbatches, ready, &self.pace) {
            let nodes = cover(Node::root(settings.microbatches), share.range.start, share.range.end);
            for (feed, work) in (0..).zip(feeds) {
                for &node in &nodes {
                    let job = WorkerJob { kind: JobKind::TaskGradients { feed }, node };
                    self.waiting.push_back(Pending::new(job, work.tasks, Some(share.worker)));
                }
            }
        }
    }

    /// The jobs of a phase that computes losses alone. In combined mode they are divided as the
    /// gradient is.
    pub(in crate::run) fn losses(&mut self, settings: &Settings, ready: &[WorkerId]) {
        self.clear();
        let microbatches = settings.microbatches;
        let shares = match settings.mode {
            Mode::Combined => self.division.shares(&Mode::Combined, microbatches, ready, &self.pace),
            Mode::PerTask { .. } => Division::default().shares(&Mode::Combined, microbatches, ready, &self.pace),
        };
        for share in shares {
            for node in cover(Node::root(microbatches), share.range.start, share.range.end) {
                let job = WorkerJob { kind: JobKind::Losses, node };
                self.waiting.push_back(Pending::new(job, 0, Some(share.worker)));
            }
        }
    }

    /// The jobs of an evaluation: each feed's chunks, in about two pieces for each worker.
    pub(in crate::run) fn evaluation(&mut self, settings: &Settings, split: SplitName, workers: usize) {
        self.clear();
        let pieces = 2 * workers.max(1) as u32;
        for (feed, chunks) in settings.chunks.iter().enumerate() {
            let count = chunks.of(split);
            if count == 0 {
                continue;
            }
            let size = count.div_ceil(pieces).next_power_of_two().min(EVALUATION_CHUNKS_MAX);
            let root = Node::root(count);
            for lo in (0..count).step_by(size as usize) {
                for node in cover(root, lo, count.min(lo + size)) {
                    let job = WorkerJob { kind: JobKind::Evaluate { feed: feed as u32, split }, node };
                    self.waiting.push_back(Pending::new(job, 0, None));
                }
            }
        }
    }
}

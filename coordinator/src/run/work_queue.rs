//! Which worker computes what: the queue of a phase's jobs.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    time::Duration,
};

use aggregation::tree::{Node, cover};
use experiment::SplitName;
use proto::message::Slot;

use super::{Mode, Settings, TaskGradients, WorkerId, division::Division, pace::Pace};

/// The most chunks in one piece of evaluation work: bounds the size of its answer.
const CHUNKS_MAX: u32 = 16;
/// Pieces of evaluation work that a worker holds at a time: one to compute, one to go on with.
const EVALUATIONS_HELD: usize = 2;

/// Microbatches that a worker holds at a time where each is a piece of work: so many messages wait
/// for it at most.
const LEAVES_HELD: usize = 16;

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
    /// The gradients of a feed's tasks over a node of microbatches, a vector each, beside those of
    /// the update.
    TaskGradients {
        /// The feed's number.
        feed: u32,
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

impl JobKind {
    /// The feed that it is about; `None`: all.
    pub fn feed(self) -> Option<u32> {
        match self {
            JobKind::Gradient { feed } => feed,
            JobKind::TaskGradients { feed } | JobKind::Evaluate { feed, .. } => Some(feed),
            JobKind::Losses => None,
        }
    }
}

impl fmt::Display for Job {
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
    /// Identity of the work, never used twice.
    pub work: u64,
    /// Version of the parameters to compute with.
    pub version: u64,
    /// What is to be computed.
    pub job: Job,
    /// Where the vectors may go in the worker's shared memory.
    pub slots: Vec<Slot>,
}

/// What the workers are handed for a step's gradient where all are there and equally quick.
pub fn gradient_jobs(settings: &Settings, workers: &[WorkerId]) -> Vec<(WorkerId, Job)> {
    let mut queue = WorkQueue::default();
    queue.gradient(settings, workers);
    queue.preferred()
}

/// What they are handed beside that, where the tasks' gradients are asked for.
pub fn task_gradient_jobs(settings: &Settings, workers: &[WorkerId]) -> Vec<(WorkerId, Job)> {
    let mut queue = WorkQueue::default();
    queue.task_gradients(settings, workers);
    queue.preferred()
}

#[derive(Debug, Clone)]
struct Pending {
    job: Job,
    /// Vectors that it gives.
    vectors: u32,
    tries: u32,
    preferred: Option<WorkerId>,
    /// Who failed at it, or whose answer is in doubt: others are asked where there are any.
    avoid: BTreeSet<WorkerId>,
}

impl Pending {
    fn new(job: Job, vectors: u32, preferred: Option<WorkerId>) -> Pending {
        Pending { job, vectors, tries: 0, preferred, avoid: BTreeSet::new() }
    }
}

/// A job that somebody computes.
#[derive(Debug, Clone)]
struct InFlight {
    worker: WorkerId,
    pending: Pending,
    since: Duration,
}

/// What became of a job that a worker can't or won't finish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Requeued {
    pub job: Job,
    /// How often it has failed.
    pub tries: u32,
}

/// A job that is late, and who got it beside the one who has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Late {
    pub holder: WorkerId,
    pub job: Job,
}

/// The jobs of the present phase: those that nobody holds, and those that are being computed.
#[derive(Debug, Clone, Default)]
pub(super) struct WorkQueue {
    waiting: VecDeque<Pending>,
    in_flight: BTreeMap<u64, InFlight>,
    /// What another worker has answered first: how long the slow one takes is measured all the
    /// same, and it gets nothing more before.
    superseded: BTreeMap<u64, InFlight>,
    last_work: u64,
    slots_used: BTreeMap<WorkerId, u32>,
    /// When workers last finished something.
    finished: BTreeMap<WorkerId, Duration>,
    pace: Pace,
    division: Division,
}

impl WorkQueue {
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.in_flight.clear();
        self.slots_used.clear();
    }

    /// Who is to have what.
    fn preferred(self) -> Vec<(WorkerId, Job)> {
        self.waiting.into_iter().filter_map(|pending| Some((pending.preferred?, pending.job))).collect()
    }

    pub(super) fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.in_flight.is_empty()
    }

    /// The jobs of a gradient phase: a share for each worker that takes part.
    pub(super) fn gradient(&mut self, settings: &Settings, ready: &[WorkerId]) {
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
                let job = Job { kind: JobKind::Gradient { feed: share.feed }, node };
                let vectors = settings.vectors(&job);
                self.waiting.push_back(Pending::new(job, vectors, Some(share.worker)));
            }
        }
    }

    /// The jobs of a phase that asks for gradients by task beside the update: divided as the update
    /// is, so that each worker goes over rows that it has.
    pub(super) fn task_gradients(&mut self, settings: &Settings, ready: &[WorkerId]) {
        self.clear();
        let Some(TaskGradients { feeds, .. }) = &settings.task_gradients else { return };
        for share in self.division.shares(&Mode::Combined, settings.microbatches, ready, &self.pace) {
            let nodes = cover(Node::root(settings.microbatches), share.range.start, share.range.end);
            for (feed, work) in (0..).zip(feeds) {
                for &node in &nodes {
                    let job = Job { kind: JobKind::TaskGradients { feed }, node };
                    self.waiting.push_back(Pending::new(job, work.tasks, Some(share.worker)));
                }
            }
        }
    }

    /// The jobs of a phase that asks for losses alone: in combined mode divided as the gradient is.
    pub(super) fn losses(&mut self, settings: &Settings, ready: &[WorkerId]) {
        self.clear();
        let leaves = settings.microbatches;
        let shares = match settings.mode {
            Mode::Combined => self.division.shares(&Mode::Combined, leaves, ready, &self.pace),
            Mode::PerTask { .. } => Division::default().shares(&Mode::Combined, leaves, ready, &self.pace),
        };
        for share in shares {
            for node in cover(Node::root(leaves), share.range.start, share.range.end) {
                let job = Job { kind: JobKind::Losses, node };
                self.waiting.push_back(Pending::new(job, 0, Some(share.worker)));
            }
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
                    self.waiting.push_back(Pending::new(job, 0, None));
                }
            }
        }
    }

    /// Puts a job back whose answer, from `worker`, does not count.
    pub(super) fn ask_again(&mut self, job: Job, worker: WorkerId, settings: &Settings) {
        let vectors = settings.vectors(&job);
        self.waiting.push_back(Pending { avoid: BTreeSet::from([worker]), ..Pending::new(job, vectors, None) });
    }

    /// Those of the workers that owe nothing which others have answered first; all, where everybody
    /// does.
    pub(super) fn free(&self, ready: &[WorkerId]) -> Vec<WorkerId> {
        let free: Vec<WorkerId> = ready.iter().copied().filter(|worker| !self.is_superseded(*worker)).collect();
        if free.is_empty() { ready.to_vec() } else { free }
    }

    fn is_superseded(&self, worker: WorkerId) -> bool {
        self.superseded.values().any(|in_flight| in_flight.worker == worker)
    }

    /// Hands out what lies on the queue. Jobs of a worker that is not there any more, or has not
    /// done what it should have long ago, go to whoever holds least; a job that failed goes to
    /// someone who has not failed at it.
    pub(super) fn hand_out(
        &mut self,
        now: Duration,
        ready: &[WorkerId],
        version: u64,
        settings: &Settings,
    ) -> Vec<(WorkerId, Assignment)> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let mut load = self.load(ready);
        let free: BTreeSet<WorkerId> = self.free(ready).into_iter().collect();
        let mut assigned = Vec::new();
        for pending in std::mem::take(&mut self.waiting) {
            let held_max = match pending.job.kind {
                JobKind::Evaluate { .. } => EVALUATIONS_HELD,
                JobKind::Gradient { .. } if settings.one_vector_per_microbatch => LEAVES_HELD,
                _ => usize::MAX,
            };
            let place = |(id, in_flight): &(&WorkerId, &usize)| {
                (pending.avoid.contains(id), !free.contains(id), **in_flight, **id)
            };
            let least = || load.iter().min_by_key(place).map(|(id, _)| *id);
            let worker = pending.preferred.filter(|worker| free.contains(worker)).or_else(least);
            let Some(worker) = worker.filter(|worker| load[worker] < held_max) else {
                self.waiting.push_back(pending);
                continue;
            };
            *load.entry(worker).or_default() += 1;
            assigned.push((worker, self.assign(now, worker, pending, version, settings.result_slots)));
        }
        assigned
    }

    /// Hands out once more, to workers that have nothing to do, what its holder is late with:
    /// beyond `multiple` of the usual time, and `patience_min`.
    pub(super) fn hand_out_late(
        &mut self,
        now: Duration,
        ready: &[WorkerId],
        version: u64,
        settings: &Settings,
    ) -> Vec<(WorkerId, Assignment, Late)> {
        if !self.waiting.is_empty() || self.in_flight.is_empty() {
            return Vec::new();
        }
        let load = self.load(ready);
        let is_idle = |(worker, in_flight): &(&WorkerId, &usize)| **in_flight == 0 && !self.is_superseded(**worker);
        let mut idle: Vec<WorkerId> = load.iter().filter(is_idle).map(|(worker, _)| *worker).collect();
        let mut late: Vec<(Duration, u64)> = Vec::new();
        for (work, in_flight) in &self.in_flight {
            let twice = self.in_flight.values().filter(|other| other.pending.job == in_flight.pending.job).count() > 1;
            if !twice && let Some(began) = self.late_since(now, in_flight, settings) {
                late.push((began, *work));
            }
        }
        late.sort_unstable();
        let mut assigned = Vec::new();
        for (_, work) in late {
            let Some(in_flight) = self.in_flight.get(&work) else { continue };
            // Whoever has failed at it, or given an answer that is in doubt, is not asked again.
            let Some(place) = idle.iter().position(|worker| !in_flight.pending.avoid.contains(worker)) else {
                continue;
            };
            let worker = idle.remove(place);
            let late = Late { holder: in_flight.worker, job: in_flight.pending.job.clone() };
            let assignment = self.assign(now, worker, in_flight.pending.clone(), version, settings.result_slots);
            assigned.push((worker, assignment, late));
        }
        assigned
    }

    /// What a job usually takes; none before any of its kind was measured.
    pub(super) fn usual(&self, job: &Job, settings: &Settings) -> Option<Duration> {
        Some(self.pace.usual(job.kind)?.mul_f64(settings.work_items(job) as f64))
    }

    /// Since when a job is computed, where it takes too long.
    fn late_since(&self, now: Duration, in_flight: &InFlight, settings: &Settings) -> Option<Duration> {
        let began = self.began(in_flight);
        let queued = self.in_flight.values().filter(|other| other.worker == in_flight.worker);
        let units: u64 = queued.map(|other| settings.work_items(&other.pending.job)).sum();
        let usual = self.pace.usual(in_flight.pending.job.kind)?.as_secs_f64() * units as f64;
        let patience = Duration::from_secs_f64(settings.straggler_multiple * usual).max(settings.patience_min);
        (now.saturating_sub(began) > patience).then_some(began)
    }

    /// When a worker could begin with what it holds.
    fn began(&self, in_flight: &InFlight) -> Duration {
        self.finished.get(&in_flight.worker).copied().unwrap_or_default().max(in_flight.since)
    }

    fn load(&self, ready: &[WorkerId]) -> BTreeMap<WorkerId, usize> {
        let mut load: BTreeMap<WorkerId, usize> = ready.iter().map(|worker| (*worker, 0)).collect();
        for in_flight in self.in_flight.values() {
            if let Some(count) = load.get_mut(&in_flight.worker) {
                *count += 1;
            }
        }
        load
    }

    fn assign(
        &mut self,
        now: Duration,
        worker: WorkerId,
        pending: Pending,
        version: u64,
        result_slots: u32,
    ) -> Assignment {
        self.last_work += 1;
        let work = self.last_work;
        let slots = self.slots(worker, work, pending.vectors, result_slots);
        let assignment = Assignment { work, version, job: pending.job.clone(), slots };
        self.in_flight.insert(work, InFlight { worker, pending, since: now });
        assignment
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
    /// Whoever else has it is not waited for any more.
    pub(super) fn complete(&mut self, now: Duration, worker: WorkerId, work: u64, settings: &Settings) -> Option<Job> {
        let Some(in_flight) = self.remove(worker, work) else {
            if let Some(in_flight) = self.remove_superseded(worker, work) {
                self.measure(now, &in_flight, settings);
            }
            return None;
        };
        self.measure(now, &in_flight, settings);
        let job = in_flight.pending.job;
        self.superseded.extend(self.in_flight.extract_if(.., |_, other| other.pending.job == job));
        Some(job)
    }

    /// A worker has done something: notes how long it took.
    fn measure(&mut self, now: Duration, in_flight: &InFlight, settings: &Settings) {
        let took = now.saturating_sub(self.began(in_flight));
        self.pace.note(in_flight.worker, in_flight.pending.job.kind, settings.work_items(&in_flight.pending.job), took);
        self.finished.insert(in_flight.worker, now);
    }

    /// Puts a failed job back, unless somebody else has it too.
    pub(super) fn give_up(&mut self, worker: WorkerId, work: u64) -> Option<Requeued> {
        let Some(mut in_flight) = self.remove(worker, work) else {
            self.remove_superseded(worker, work);
            return None;
        };
        in_flight.pending.avoid.insert(worker);
        Some(self.put_back(in_flight.pending, true))
    }

    fn put_back(&mut self, mut pending: Pending, failed: bool) -> Requeued {
        pending.tries += u32::from(failed);
        pending.preferred = None;
        let requeued = Requeued { job: pending.job.clone(), tries: pending.tries };
        match self.in_flight.values_mut().find(|other| other.pending.job == pending.job) {
            Some(other) => {
                other.pending.tries = pending.tries;
                other.pending.avoid.append(&mut pending.avoid);
            }
            None => self.waiting.push_back(pending),
        }
        requeued
    }

    fn remove(&mut self, worker: WorkerId, work: u64) -> Option<InFlight> {
        self.in_flight.get(&work).filter(|in_flight| in_flight.worker == worker)?;
        self.in_flight.remove(&work)
    }

    fn remove_superseded(&mut self, worker: WorkerId, work: u64) -> Option<InFlight> {
        self.superseded.get(&work).filter(|in_flight| in_flight.worker == worker)?;
        self.superseded.remove(&work)
    }

    /// Puts back all that a worker holds. Where it `crashed`, what it was computing counts as
    /// failed: the first of these.
    pub(super) fn take_back(&mut self, worker: WorkerId, crashed: bool) -> Vec<Requeued> {
        let works: Vec<u64> =
            self.in_flight.iter().filter(|(_, in_flight)| in_flight.worker == worker).map(|(work, _)| *work).collect();
        self.superseded.retain(|_, in_flight| in_flight.worker != worker);
        self.pace.forget(worker);
        self.finished.remove(&worker);
        let in_flight: Vec<InFlight> = works.iter().filter_map(|work| self.in_flight.remove(work)).collect();
        in_flight
            .into_iter()
            .enumerate()
            .map(|(place, in_flight)| self.put_back(in_flight.pending, crashed && place == 0))
            .collect()
    }
}

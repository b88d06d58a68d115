//! The queue of a phase's work: what waits, what is in flight, who gets what.

mod phase_jobs;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

pub use phase_jobs::{gradient_jobs, task_gradient_jobs};
use proto::message::Slot;

use super::{Assignment, JobKind, Settings, WorkerId, WorkerJob, division::Division, pace::Pace};

/// Pieces of evaluation work that a worker has at a time: one to compute, one to go on with.
const EVALUATIONS_IN_FLIGHT: usize = 2;
/// Microbatches that a worker has at a time if each is a piece of work: bounds the messages that
/// wait for the worker.
const MICROBATCHES_IN_FLIGHT: usize = 16;

/// A job that is to be computed.
#[derive(Debug, Clone)]
struct Pending {
    job: WorkerJob,
    /// How many vectors its result has.
    vectors: u32,
    /// How often it has failed.
    tries: u32,
    /// The worker that has its rows.
    preferred: Option<WorkerId>,
    /// Workers that failed at it or sent a suspect answer. Others are asked if there are any.
    avoid: BTreeSet<WorkerId>,
}

impl Pending {
    fn new(job: WorkerJob, vectors: u32, preferred: Option<WorkerId>) -> Pending {
        Pending { job, vectors, tries: 0, preferred, avoid: BTreeSet::new() }
    }
}

/// A job that a worker computes.
#[derive(Debug, Clone)]
struct InFlight {
    worker: WorkerId,
    pending: Pending,
    since: Duration,
}

/// A job that returned to the queue because its worker failed or is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Requeued {
    pub job: WorkerJob,
    /// How often it has failed.
    pub tries: u32,
}

/// A straggler's job, which another worker computes too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Late {
    /// The straggler.
    pub holder: WorkerId,
    pub job: WorkerJob,
}

/// The jobs of the present phase: those that wait for a worker and those that are in flight.
#[derive(Debug, Clone, Default)]
pub(super) struct WorkQueue {
    waiting: VecDeque<Pending>,
    in_flight: BTreeMap<u64, InFlight>,
    /// Jobs in flight that another worker has answered first. Their workers get nothing more until
    /// they have answered, so that their speed is measured.
    superseded: BTreeMap<u64, InFlight>,
    /// The last identity that was given to a piece of work.
    last_work: u64,
    /// Slots of shared memory that are in use until the phase ends.
    slots_used: BTreeMap<WorkerId, u32>,
    /// When each worker last finished something.
    finished: BTreeMap<WorkerId, Duration>,
    pace: Pace,
    division: Division,
}

impl WorkQueue {
    /// Forgets all jobs of the phase.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.in_flight.clear();
        self.slots_used.clear();
    }

    /// Whether all jobs of the phase are computed.
    pub(super) fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.in_flight.is_empty()
    }

    /// Asks for a job once more, because the answer of `worker` does not count.
    pub(super) fn ask_again(&mut self, job: WorkerJob, worker: WorkerId, settings: &Settings) {
        let vectors = settings.vectors(&job);
        self.waiting.push_back(Pending { avoid: BTreeSet::from([worker]), ..Pending::new(job, vectors, None) });
    }

    /// The workers without superseded work. All workers, if each has some.
    pub(super) fn free(&self, ready: &[WorkerId]) -> Vec<WorkerId> {
        let free: Vec<WorkerId> = ready.iter().copied().filter(|worker| !self.is_superseded(*worker)).collect();
        if free.is_empty() { ready.to_vec() } else { free }
    }

    fn is_superseded(&self, worker: WorkerId) -> bool {
        self.superseded.values().any(|in_flight| in_flight.worker == worker)
    }

    /// Hands out waiting jobs. If a job's preferred worker is gone or still computes superseded
    /// work, the job goes to the worker with the least work in flight. A job that failed goes to a
    /// worker that has not failed at it, if there is one.
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
            let in_flight_max = match pending.job.kind {
                JobKind::Evaluate { .. } => EVALUATIONS_IN_FLIGHT,
                JobKind::Gradient { .. } if settings.one_vector_per_microbatch => MICROBATCHES_IN_FLIGHT,
                _ => usize::MAX,
            };
            let place = |(id, in_flight): &(&WorkerId, &usize)| {
                (pending.avoid.contains(id), !free.contains(id), **in_flight, **id)
            };
            let least = || load.iter().min_by_key(place).map(|(id, _)| *id);
            let worker = pending.preferred.filter(|worker| free.contains(worker)).or_else(least);
            let Some(worker) = worker.filter(|worker| load[worker] < in_flight_max) else {
                self.waiting.push_back(pending);
                continue;
            };
            *load.entry(worker).or_default() += 1;
            assigned.push((worker, self.assign(now, worker, pending, version, settings.result_slots)));
        }
        assigned
    }

    /// Hands out the jobs of stragglers once more, to workers that have nothing to do. A worker is
    /// a straggler once its work has taken both `straggler_multiple` times the usual duration and
    /// `patience_min`.
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
            // Workers that failed at it or sent a suspect answer are not asked again.
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

    /// The usual duration of a job. `None` until a job of its kind was measured.
    pub(super) fn usual(&self, job: &WorkerJob, settings: &Settings) -> Option<Duration> {
        Some(self.pace.usual(job.kind)?.mul_f64(settings.work_items(job) as f64))
    }

    /// When the computation of a job began, if the job is late.
    fn late_since(&self, now: Duration, in_flight: &InFlight, settings: &Settings) -> Option<Duration> {
        let began = self.began(in_flight);
        let queued = self.in_flight.values().filter(|other| other.worker == in_flight.worker);
        let items: u64 = queued.map(|other| settings.work_items(&other.pending.job)).sum();
        let usual = self.pace.usual(in_flight.pending.job.kind)?.as_secs_f64() * items as f64;
        let patience = Duration::from_secs_f64(settings.straggler_multiple * usual).max(settings.patience_min);
        (now.saturating_sub(began) > patience).then_some(began)
    }

    /// When a worker could begin with a job in flight.
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

    /// Slots for the vectors of a job until the phase ends. Empty if too few are free; the vectors
    /// then travel in chunks.
    fn slots(&mut self, worker: WorkerId, work: u64, vectors: u32, result_slots: u32) -> Vec<Slot> {
        let used = self.slots_used.entry(worker).or_default();
        if *used + vectors > result_slots {
            return Vec::new();
        }
        let first = *used;
        *used += vectors;
        (first..*used).map(|index| Slot { index, generation: work }).collect()
    }

    /// Takes a result and returns its job, if this worker was asked for it and the job is still in
    /// flight. The same job elsewhere counts as superseded.
    pub(super) fn complete(
        &mut self,
        now: Duration,
        worker: WorkerId,
        work: u64,
        settings: &Settings,
    ) -> Option<WorkerJob> {
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

    /// Notes how long a worker took for a job.
    fn measure(&mut self, now: Duration, in_flight: &InFlight, settings: &Settings) {
        let took = now.saturating_sub(self.began(in_flight));
        self.pace.note(in_flight.worker, in_flight.pending.job.kind, settings.work_items(&in_flight.pending.job), took);
        self.finished.insert(in_flight.worker, now);
    }

    /// Returns a failed job to the queue, unless another worker computes it too.
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

    /// Returns all work of a worker that is gone to the queue. If it `crashed`, its first job
    /// counts as failed.
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

//! The queue of a phase's work: what waits, what is in flight, who gets what.

mod phase_jobs;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

pub use phase_jobs::{EVALUATION_CHUNKS_MAX, gradient_jobs, task_gradient_jobs};
use proto::message::Slot;

use super::{Assignment, JobKind, Settings, WorkerId, WorkerJob, division::Division, pace::Pace};

/// Pieces of evaluation work that a worker has at a time: one to compute, one to go on with.
const EVALUATIONS_IN_FLIGHT: usize = 2;
/// Microbatches that a worker has at a time if each is a piece of work: bounds the messages that
/// wait for the worker.
const MICROBATCHES_IN_FLIGHT: usize = 16;
/// A job that has failed so often goes to the worker that has computed most.
const TRIES_BEFORE_BEST: u32 = 2;
/// A worker that fails at so many pieces of work in a row is put aside.
const FAILURES_MAX: u32 = 3;
/// For how long others get the work of a worker that fails at everything, if there are others.
pub const PUT_ASIDE: Duration = Duration::from_secs(60);

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
    /// Workers that failed at it.
    failed_by: BTreeSet<WorkerId>,
    /// The last worker that had joined when it first failed. Whether any worker can do it is seen
    /// from the workers up to this one: others may join and fail without end. `None` if it has not
    /// failed, or not since one of these workers was dismissed.
    witnesses: Option<WorkerId>,
}

impl Pending {
    fn new(job: WorkerJob, vectors: u32, preferred: Option<WorkerId>) -> Pending {
        Pending {
            job,
            vectors,
            tries: 0,
            preferred,
            avoid: BTreeSet::new(),
            failed_by: BTreeSet::new(),
            witnesses: None,
        }
    }
}

/// A job that a worker computes.
#[derive(Debug, Clone)]
struct InFlight {
    worker: WorkerId,
    pending: Pending,
    since: Duration,
}

/// A job that returned to the queue because a worker failed at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failed {
    pub job: WorkerJob,
    /// How often it has failed.
    pub tries: u32,
    by: BTreeSet<WorkerId>,
    witnesses: Option<WorkerId>,
}

impl Failed {
    /// Whether one of these workers was there when the job first failed, and has not failed at it
    /// itself.
    pub(super) fn may_be_done_by(&self, mut workers: impl Iterator<Item = WorkerId>) -> bool {
        workers.any(|worker| Some(worker) <= self.witnesses && !self.by.contains(&worker))
    }
}

/// What a worker has done and failed at.
#[derive(Debug, Clone, Copy, Default)]
struct TrackRecord {
    /// Pieces of work that it has computed.
    done: u64,
    /// Pieces of work that it has failed at since the last that it computed.
    failures: u32,
    /// Until when others get its work.
    aside_until: Duration,
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
    records: BTreeMap<WorkerId, TrackRecord>,
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

    /// The workers that are not put aside and have no superseded work. If there are none, those
    /// that are not put aside; if there are none either, all.
    pub(super) fn free(&self, now: Duration, ready: &[WorkerId]) -> Vec<WorkerId> {
        let mut free = ready.to_vec();
        for is_free in [&|worker| !self.is_aside(now, worker), &|worker| !self.is_superseded(worker)]
            as [&dyn Fn(WorkerId) -> bool; 2]
        {
            let among: Vec<WorkerId> = free.iter().copied().filter(|worker| is_free(*worker)).collect();
            if !among.is_empty() {
                free = among;
            }
        }
        free
    }

    /// Whether others get a worker's work.
    pub(super) fn is_aside(&self, now: Duration, worker: WorkerId) -> bool {
        self.record(worker).aside_until > now
    }

    /// At how many pieces of work a worker has failed since the last that it computed.
    pub(super) fn failures(&self, worker: WorkerId) -> u32 {
        self.record(worker).failures
    }

    fn record(&self, worker: WorkerId) -> TrackRecord {
        self.records.get(&worker).copied().unwrap_or_default()
    }

    fn is_superseded(&self, worker: WorkerId) -> bool {
        self.superseded.values().any(|in_flight| in_flight.worker == worker)
    }

    /// Hands out waiting jobs. If a job's preferred worker is gone or still computes superseded
    /// work, the job goes to the worker with the least work in flight. A job that failed goes to a
    /// worker that has not failed at it, if there is one; from its second failure on, to the one
    /// that has computed most.
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
        let free: BTreeSet<WorkerId> = self.free(now, ready).into_iter().collect();
        let mut assigned = Vec::new();
        for pending in std::mem::take(&mut self.waiting) {
            let in_flight_max = match pending.job.kind {
                JobKind::Evaluate { .. } => EVALUATIONS_IN_FLIGHT,
                JobKind::Gradient { .. } if settings.one_vector_per_microbatch => MICROBATCHES_IN_FLIGHT,
                _ => usize::MAX,
            };
            // From the second failure on, a worker whose answer is suspect comes before any that
            // may fail too.
            let is_early = pending.tries < TRIES_BEFORE_BEST;
            let avoid = if is_early { &pending.avoid } else { &pending.failed_by };
            let place = |(id, in_flight): &(&WorkerId, &usize)| {
                let TrackRecord { done, failures, .. } = self.record(**id);
                let (done, in_flight) = if is_early { (0, **in_flight) } else { (done, 0) };
                (avoid.contains(id), failures, !free.contains(id), Reverse(done), in_flight, **id)
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
        let is_idle = |(worker, in_flight): &(&WorkerId, &usize)| {
            **in_flight == 0 && !self.is_superseded(**worker) && !self.is_aside(now, **worker)
        };
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
        let record = self.records.entry(in_flight.worker).or_default();
        *record = TrackRecord { done: record.done + 1, ..TrackRecord::default() };
    }

    /// Returns a failed job to the queue, unless another worker computes it too. `last` is the
    /// worker that joined last.
    pub(super) fn give_up(&mut self, now: Duration, worker: WorkerId, work: u64, last: WorkerId) -> Option<Failed> {
        let Some(in_flight) = self.remove(worker, work) else {
            self.remove_superseded(worker, work);
            return None;
        };
        let record = self.records.entry(worker).or_default();
        record.failures += 1;
        if record.failures >= FAILURES_MAX {
            record.aside_until = now + PUT_ASIDE;
        }
        Some(self.put_back_failed(in_flight, last))
    }

    fn put_back_failed(&mut self, InFlight { worker, mut pending, .. }: InFlight, last: WorkerId) -> Failed {
        pending.avoid.insert(worker);
        pending.failed_by.insert(worker);
        pending.tries += 1;
        pending.witnesses.get_or_insert(last);
        let Pending { job, tries, failed_by: by, witnesses, .. } = pending.clone();
        self.put_back(pending);
        Failed { job, tries, by, witnesses }
    }

    fn put_back(&mut self, mut pending: Pending) {
        pending.preferred = None;
        match self.in_flight.values_mut().find(|other| other.pending.job == pending.job) {
            Some(other) => {
                other.pending.tries = pending.tries;
                other.pending.witnesses = pending.witnesses;
                other.pending.avoid.append(&mut pending.avoid);
                other.pending.failed_by.append(&mut pending.failed_by);
            }
            None => self.waiting.push_back(pending),
        }
    }

    fn remove(&mut self, worker: WorkerId, work: u64) -> Option<InFlight> {
        self.in_flight.get(&work).filter(|in_flight| in_flight.worker == worker)?;
        self.in_flight.remove(&work)
    }

    fn remove_superseded(&mut self, worker: WorkerId, work: u64) -> Option<InFlight> {
        self.superseded.get(&work).filter(|in_flight| in_flight.worker == worker)?;
        self.superseded.remove(&work)
    }

    /// A worker is gone that could have done what others failed at. It may come back under another
    /// lease, so the workers that join until the next failure count.
    fn excuse(&mut self, worker: WorkerId) {
        let in_flight = self.in_flight.values_mut().map(|in_flight| &mut in_flight.pending);
        for pending in self.waiting.iter_mut().chain(in_flight) {
            if Some(worker) <= pending.witnesses && !pending.failed_by.contains(&worker) {
                pending.witnesses = None;
            }
        }
    }

    /// Returns all work of a worker that is gone to the queue: how much it is, and what failed. If
    /// the worker `crashed`, its first job counts as failed. `last` is the worker that joined last.
    pub(super) fn take_back(&mut self, worker: WorkerId, crashed: bool, last: WorkerId) -> (usize, Option<Failed>) {
        let works: Vec<u64> =
            self.in_flight.iter().filter(|(_, in_flight)| in_flight.worker == worker).map(|(work, _)| *work).collect();
        self.superseded.retain(|_, in_flight| in_flight.worker != worker);
        self.pace.forget(worker);
        self.finished.remove(&worker);
        self.records.remove(&worker);
        if !crashed {
            self.excuse(worker);
        }
        let mut failed = None;
        let in_flight: Vec<InFlight> = works.iter().filter_map(|work| self.in_flight.remove(work)).collect();
        for (place, in_flight) in in_flight.into_iter().enumerate() {
            if crashed && place == 0 {
                failed = Some(self.put_back_failed(in_flight, last));
            } else {
                self.put_back(in_flight.pending);
            }
        }
        (works.len(), failed)
    }
}

#[cfg(test)]
mod tests {
    use aggregation::tree::Node;

    use super::*;
    use crate::run::tests::settings;

    /// Who of workers 1 to 3 gets a job that has failed so often. Worker 2 computes something, and
    /// worker 3 has computed most.
    fn who_gets(tries: u32, failed: &[u64]) -> u64 {
        let job = |microbatches| WorkerJob { kind: JobKind::Losses, node: Node::root(microbatches) };
        let mut queue = WorkQueue::default();
        for (worker, done) in [(2, 5), (3, 9)] {
            queue.records.insert(WorkerId(worker), TrackRecord { done, ..TrackRecord::default() });
        }
        let avoid: BTreeSet<WorkerId> = failed.iter().copied().map(WorkerId).collect();
        let busy = Pending::new(job(2), 0, None);
        queue.in_flight.insert(100, InFlight { worker: WorkerId(3), pending: busy, since: Duration::ZERO });
        queue.waiting.push_back(Pending {
            tries,
            avoid: avoid.clone(),
            failed_by: avoid,
            ..Pending::new(job(4), 0, None)
        });
        let ready = [1, 2, 3].map(WorkerId);
        queue.hand_out(Duration::ZERO, &ready, 0, &settings(4, 1))[0].0.0
    }

    #[test]
    fn work_that_failed_twice_goes_to_the_worker_that_has_computed_most() {
        assert_eq!(who_gets(0, &[]), 1);
        assert_eq!(who_gets(1, &[1]), 2);
        assert_eq!(who_gets(2, &[]), 3);
        assert_eq!(who_gets(3, &[3]), 2);
    }
}

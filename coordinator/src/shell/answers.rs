//! Results of workers, from their arrival until the state machine has judged and used them.

use std::collections::BTreeMap;

use proto::message::WorkResult;

use crate::{
    compute::{self, Contribution, Gradient, Losses, Sums},
    evaluation::EvaluationPart,
    run::{JobKind, WorkerId, WorkerJob},
};

/// Results of workers.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// Results that the state machine has not judged yet, with their vectors.
    arrived: BTreeMap<(WorkerId, u64), (WorkResult, Vec<Contribution>)>,
    gradients: Vec<Gradient>,
    losses: Vec<Losses>,
    sums: Vec<Sums>,
}

impl Answers {
    /// A result has arrived with all its vectors.
    pub(super) fn arrive(&mut self, worker: WorkerId, result: WorkResult, vectors: Vec<Contribution>) {
        self.arrived.insert((worker, result.work), (result, vectors));
    }

    /// The result does not count.
    pub(super) fn discard(&mut self, worker: WorkerId, work: u64) {
        self.arrived.remove(&(worker, work));
    }

    /// The result counts as that of `job`. Returns how long the worker computed, microseconds;
    /// `None` if the result never arrived.
    pub(super) fn keep(&mut self, worker: WorkerId, work: u64, job: WorkerJob) -> Option<u64> {
        let (result, vectors) = self.arrived.remove(&(worker, work))?;
        let (feed, node) = (job.kind.feed(), job.node);
        let compute_us = result.compute_us;
        match job.kind {
            JobKind::Gradient { .. } | JobKind::TaskGradients { .. } => {
                self.gradients.push(Gradient { worker, feed, node, losses: result.losses, vectors });
            }
            JobKind::Losses => self.losses.push(Losses { worker, node, sums: result.losses }),
            JobKind::Evaluate { feed, .. } => {
                let part = EvaluationPart { feed: feed as usize, node, sums: result.sums };
                self.sums.push(Sums { worker, part });
            }
        }
        Some(compute_us)
    }

    /// Forgets all results that count.
    pub(super) fn clear(&mut self) {
        self.gradients.clear();
        self.losses.clear();
        self.sums.clear();
    }

    /// Forgets the results of some jobs, which are asked for again.
    pub(super) fn retract(&mut self, jobs: &[WorkerJob]) {
        let counts = |feed, node| !jobs.iter().any(|job| job.kind.feed() == feed && job.node == node);
        self.gradients.retain(|part| counts(part.feed, part.node));
        self.losses.retain(|part| counts(None, part.node));
        self.sums.retain(|sums| counts(Some(sums.part.feed as u32), sums.part.node));
    }

    pub(super) fn take_gradients(&mut self) -> Vec<Gradient> {
        std::mem::take(&mut self.gradients)
    }

    pub(super) fn take_losses(&mut self) -> Vec<Losses> {
        std::mem::take(&mut self.losses)
    }

    pub(super) fn take_sums(&mut self) -> Vec<Sums> {
        std::mem::take(&mut self.sums)
    }

    /// Takes results back with which the computing thread could not go on.
    pub(super) fn put_back(&mut self, answers: compute::StepAnswers) {
        match answers {
            compute::StepAnswers::Gradients(gradients) | compute::StepAnswers::TaskGradients(gradients) => {
                self.gradients = gradients;
            }
            compute::StepAnswers::Losses(losses) => self.losses = losses,
        }
    }

    /// Takes the sums of an evaluation back with which the computing thread could not go on.
    pub(super) fn put_back_sums(&mut self, sums: Vec<Sums>) {
        self.sums = sums;
    }

    /// Whether no gradient and no loss of the present phase counts yet.
    pub(super) fn has_no_part_of_a_step(&self) -> bool {
        self.gradients.is_empty() && self.losses.is_empty()
    }
}

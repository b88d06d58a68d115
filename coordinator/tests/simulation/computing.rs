//! What the simulated shell computes from workers' results.

use std::collections::BTreeMap;

use aggregation::tree::{self, Node};
use coordinator::run::{Evaluation, Event, Fault, JobKind, Unusable, WorkerId, WorkerJob};
use experiment::SplitName;

use super::{
    super::{
        model::{PARAMETERS, Sum, add, evaluated, feeds, is_finite, measured},
        world::{Violation, violated},
    },
    Mutation, Shell,
};

impl Shell {
    pub(super) fn compute_gramian(&mut self, step: u64) -> Result<(), Violation> {
        let feeds = self.settings.task_gradients.iter().flat_map(|asked| 0..asked.feeds.len() as u32);
        let kinds: Vec<JobKind> = feeds.map(|feed| JobKind::TaskGradients { feed }).collect();
        let root = self.root();
        let sums: Result<Vec<Sum>, Violation> = kinds.into_iter().map(|kind| self.total(kind, root)).collect();
        self.measured = Some(measured(&sums?));
        self.done.push(Event::GramianComputed { step });
        Ok(())
    }

    pub(super) fn compute_weights(&mut self, step: u64) -> Result<(), Violation> {
        let losses = self.total(JobKind::Losses, self.root())?;
        self.alpha = self.model.alpha(&losses);
        self.done.push(Event::WeightsComputed { step });
        Ok(())
    }

    pub(super) fn update(&mut self, step: u64) -> Result<(), Violation> {
        if !self.settings.losses_before {
            self.alpha = self.model.weight as f32;
        }
        let kinds = feeds(&self.settings).into_iter().map(|feed| JobKind::Gradient { feed });
        let root = self.root();
        let sums: Result<Vec<Sum>, Violation> = kinds.map(|kind| self.total(kind, root)).collect();
        self.next = Some(self.model.updated(self.alpha, &sums?));
        if !self.kept.is_empty() {
            return violated(format!("step {step}: {} results too many", self.kept.len()));
        }
        self.done.push(Event::Updated { step });
        Ok(())
    }

    pub(super) fn update_weighting(&mut self, step: u64) -> Result<(), Violation> {
        let losses = self.total(JobKind::Losses, self.root())?;
        self.next = self.next.map(|next| next.learned(&losses));
        self.done.push(Event::WeightingUpdated { step });
        Ok(())
    }

    fn root(&self) -> Node {
        Node::root(self.settings.microbatches)
    }

    /// Whether a result that was kept is not finite. If so, the machine will be told.
    pub(super) fn is_unusable(&mut self, step: u64) -> bool {
        let wrong = self.kept.iter().filter(|(.., sum)| !is_finite(sum));
        let unusable = |(worker, job, _): &(WorkerId, WorkerJob, Sum)| {
            let fault = Fault::NotFinite(job.clone());
            Unusable { worker: *worker, job: job.clone(), fault }
        };
        let answers: Vec<Unusable> = wrong.map(unusable).collect();
        let some = !answers.is_empty();
        if some && self.mutation == Some(Mutation::BelieveNotFinite) {
            self.done.push(Event::NotFinite { step, reason: "not finite".into() });
        } else if some {
            self.done.push(Event::Unusable { step, reason: "not finite".into(), answers });
        }
        some
    }

    /// The sum of the results of one kind that were kept. They have to cover the root exactly.
    fn total(&mut self, kind: JobKind, root: Node) -> Result<Sum, Violation> {
        let (own, rest) = std::mem::take(&mut self.kept).into_iter().partition(|(_, job, _)| job.kind == kind);
        self.kept = rest;
        let own: Vec<(WorkerId, WorkerJob, Sum)> = own;
        let count = own.len();
        if self.mutation == Some(Mutation::AddAsTheyCome) {
            return Ok(own.into_iter().map(|(.., sum)| sum).reduce(add).unwrap_or([0.0; PARAMETERS]));
        }
        let nodes: BTreeMap<Node, Sum> = own.into_iter().map(|(_, job, sum)| (job.node, sum)).collect();
        if nodes.len() != count {
            return violated("a node is counted twice");
        }
        tree::fold(root, nodes, &mut add).or_else(|uncovered| violated(uncovered.to_string()))
    }

    pub(super) fn decide(&mut self, evaluation: Evaluation) -> Result<(), Violation> {
        let split = evaluation.split();
        let mut value = 0.0;
        for (feed, chunks) in (0u32..).zip(self.settings.chunks.clone()) {
            let leaves = chunks.of(split);
            if leaves > 0 {
                value += f64::from(self.total(JobKind::Evaluate { feed, split }, Node::root(leaves))?[0]);
            }
        }
        let mut stop = false;
        if evaluation == Evaluation::Progress && split == SplitName::Validation {
            let step = self.run.done();
            self.record(step, "validation", value)?;
            let verdict = self.selection.observe(step, &evaluated(value));
            stop = verdict.stop;
            if verdict.improved {
                self.tally.improved += 1;
                self.best = Some((step, self.model.theta.to_vec()));
                self.save(step, true);
            }
        }
        self.done.push(Event::MetricsComputed { stop });
        Ok(())
    }
}

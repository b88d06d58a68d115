//! Workers' answers, and what is wrong with them if a step fails.

use aggregation::{clip::all_finite, tree::Node};
use experiment::{Shapes, SplitName, TaskShape};
use objectives::LossSum;

use super::reduce::Contribution;
use crate::{
    evaluation::EvaluationPart,
    run::{Fault, JobKind, Unusable, WorkerId, WorkerJob},
};

/// A worker's gradients for one node of a step's microbatches.
#[derive(Debug)]
pub struct Gradient {
    /// The worker.
    pub worker: WorkerId,
    /// The feed. `None`: all feeds.
    pub feed: Option<u32>,
    /// The node.
    pub node: Node,
    /// Loss sums by task.
    pub losses: Vec<LossSum>,
    /// Gradient sums: one vector for all tasks together, or one for each task.
    pub vectors: Vec<Contribution>,
}

/// A worker's losses for one node of a step's microbatches.
#[derive(Debug)]
pub struct Losses {
    /// The worker.
    pub worker: WorkerId,
    /// The node.
    pub node: Node,
    /// Loss sums by task.
    pub sums: Vec<LossSum>,
}

/// A worker's sums for one node of a split's chunks.
#[derive(Debug)]
pub struct Sums {
    /// The worker.
    pub worker: WorkerId,
    /// The feed, the node and the sums.
    pub part: EvaluationPart,
}

/// The answers of a step that failed. The shell keeps those that are usable.
#[derive(Debug)]
pub enum StepAnswers {
    /// Gradients for the update.
    Gradients(Vec<Gradient>),
    /// Per-task gradients that are only recorded.
    TaskGradients(Vec<Gradient>),
    /// Losses.
    Losses(Vec<Losses>),
}

/// The unusable ones among `answers`, in their order. `counts` has the step's labelled rows by task
/// and microbatch.
pub(super) fn unusable(answers: &StepAnswers, shapes: &Shapes, counts: &[Vec<u64>]) -> Vec<Unusable> {
    let tasks = &shapes.tasks;
    let judge = |worker: WorkerId, job: WorkerJob, losses: &[LossSum], vectors: &[Contribution]| {
        let feed = job.kind.feed();
        let unwritten = || vectors.iter().find_map(|vector| vector.vector().err()).map(|other| other.to_string());
        let wrong = miscounted(tasks, counts, feed, job.node, losses).or_else(unwritten);
        let losses = of_feed(tasks, feed, losses).all(|(_, sum)| sum.loss.is_finite());
        let finite = || losses && vectors.iter().all(|vector| vector.vector().is_ok_and(all_finite));
        let fault = match wrong {
            Some(reason) => Fault::Wrong(reason),
            None if !finite() => Fault::NotFinite(job.clone()),
            None => return None,
        };
        Some(Unusable { worker, job, fault })
    };
    let of_gradients = |gradients: &[Gradient], kind: fn(Option<u32>) -> JobKind| {
        let judge = |Gradient { worker, feed, node, losses, vectors }: &Gradient| {
            judge(*worker, WorkerJob { kind: kind(*feed), node: *node }, losses, vectors)
        };
        gradients.iter().filter_map(judge).collect()
    };
    match answers {
        StepAnswers::Gradients(gradients) => of_gradients(gradients, |feed| JobKind::Gradient { feed }),
        StepAnswers::TaskGradients(gradients) => {
            of_gradients(gradients, |feed| JobKind::TaskGradients { feed: feed.unwrap_or_default() })
        }
        StepAnswers::Losses(losses) => {
            let judge = |Losses { worker, node, sums }: &Losses| {
                judge(*worker, WorkerJob { kind: JobKind::Losses, node: *node }, sums, &[])
            };
            losses.iter().filter_map(judge).collect()
        }
    }
}

/// The answers of an evaluation that have a sum that is not finite, in their order.
pub(super) fn not_finite(split: SplitName, sums: &[Sums]) -> Vec<Unusable> {
    let wrong = sums.iter().filter(|sums| !sums.part.sums.iter().all(|(_, sums)| sums.is_finite()));
    let unusable = |Sums { worker, part }: &Sums| {
        let job = WorkerJob { kind: JobKind::Evaluate { feed: part.feed as u32, split }, node: part.node };
        Unusable { worker: *worker, fault: Fault::NotFinite(job.clone()), job }
    };
    wrong.map(unusable).collect()
}

/// What is wrong with a worker's count of labelled rows, in words. `None` if it is right.
pub(super) fn miscounted(
    tasks: &[TaskShape],
    counts: &[Vec<u64>],
    feed: Option<u32>,
    node: Node,
    sums: &[LossSum],
) -> Option<String> {
    let planned = |task: usize| counts[task][node.lo as usize..node.hi as usize].iter().sum::<u64>();
    let (task, sum) = of_feed(tasks, feed, sums).find(|(_, sum)| sum.rows != planned(sum.task))?;
    let (name, rows, planned) = (&task.name, sum.rows, planned(sum.task));
    let Node { lo, hi } = node;
    Some(format!("it counted {rows} labels of task `{name}` in microbatches [{lo}, {hi}), which have {planned}"))
}

/// The sums of the feed's tasks, or of all tasks if `feed` is `None`.
fn of_feed<'a>(
    tasks: &'a [TaskShape],
    feed: Option<u32>,
    sums: &'a [LossSum],
) -> impl Iterator<Item = (&'a TaskShape, &'a LossSum)> {
    let all = sums.iter().map(|sum| (&tasks[sum.task], sum));
    all.filter(move |(task, _)| feed.is_none_or(|feed| task.feed == feed as usize))
}

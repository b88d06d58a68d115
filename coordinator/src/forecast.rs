//! What each worker will do in a step, before any worker is there: for the plan that `check` shows.

use std::ops::Range;

use crate::run::{JobKind, Mode, Settings, WorkerId, divide, gradient_jobs, task_gradient_jobs};
use crate::setup::Setup;

/// One worker's part of every step.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StepPart {
    /// The feeds of which it computes gradients, in order, with their microbatches.
    pub microbatches: Vec<(usize, Range<u32>)>,
    /// Nodes of the canonical tree that it computes.
    pub nodes: usize,
    /// Bytes of the gradients that it sends.
    pub bytes_up: u64,
    /// Bytes of the parameters that it gets.
    pub bytes_down: u64,
    /// Multiply-adds.
    pub multiply_adds: u64,
    /// What is added in a step that computes per-task gradients for the journal.
    pub measuring: Measuring,
}

/// The work of computing per-task gradients for the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Measuring {
    /// Bytes of the per-task gradients that the worker sends.
    pub bytes_up: u64,
    /// Multiply-adds.
    pub multiply_adds: u64,
}

/// The parts of `workers` workers, by rank, if all are equally fast.
pub fn parts(setup: &Setup, workers: u32) -> Vec<StepPart> {
    let settings = setup.run_settings();
    let plan = &setup.prepared.plan;
    let layout = setup.network.layout();
    let element = size_of::<f32>() as u64;
    let ranks: Vec<WorkerId> = (0..u64::from(workers)).map(WorkerId).collect();
    let all = element * layout.len() as u64;
    let mut parts = vec![StepPart { bytes_down: all, ..StepPart::default() }; workers as usize];
    let bytes_by_task = |feed: u32| {
        let tasks = plan.feeds()[feed as usize].tasks.iter();
        tasks.map(|task| element * layout.span(*task).len() as u64).sum::<u64>()
    };
    for (worker, job) in gradient_jobs(&settings, &ranks) {
        let JobKind::Gradient { feed } = job.kind else { continue };
        let part = &mut parts[worker.0 as usize];
        part.nodes += 1;
        part.bytes_up += feed.map_or(all, bytes_by_task);
        let feeds = feed.map_or(0..plan.feeds().len(), |feed| feed as usize..feed as usize + 1);
        for feed in feeds {
            part.multiply_adds += share(gradient_multiply_adds(setup, &settings, feed), job.node.len(), &settings);
            match part.microbatches.iter_mut().find(|(known, _)| *known == feed) {
                Some((_, range)) => *range = range.start.min(job.node.lo)..range.end.max(job.node.hi),
                None => part.microbatches.push((feed, job.node.lo..job.node.hi)),
            }
        }
    }
    for (worker, job) in task_gradient_jobs(&settings, &ranks) {
        let (Some(asked), Some(feed)) = (&settings.task_gradients, job.kind.feed()) else { continue };
        let measuring = &mut parts[worker.0 as usize].measuring;
        measuring.bytes_up += bytes_by_task(feed);
        measuring.multiply_adds += share(asked.feeds[feed as usize].cost, job.node.len(), &settings);
    }
    let passes = u64::from(settings.losses_before) + u64::from(settings.losses_after);
    let together = Settings { mode: Mode::Combined, ..settings.clone() };
    for part in divide(&together, &ranks) {
        let forward = (0..plan.feeds().len()).map(|feed| passes * setup.forward_multiply_adds(feed)).sum();
        parts[part.worker.0 as usize].multiply_adds += share(forward, part.range.len() as u32, &settings);
    }
    parts
}

fn share(whole: u64, microbatches: u32, settings: &Settings) -> u64 {
    whole * u64::from(microbatches) / u64::from(settings.microbatches)
}

/// Multiply-adds of a feed's gradient. A backward pass takes about twice as many as a forward pass.
/// With per-task gradients there is one backward pass for each task.
fn gradient_multiply_adds(setup: &Setup, settings: &Settings, feed: usize) -> u64 {
    match &settings.mode {
        Mode::Combined => 3 * setup.forward_multiply_adds(feed),
        Mode::PerTask { feeds, .. } => feeds[feed].cost,
    }
}

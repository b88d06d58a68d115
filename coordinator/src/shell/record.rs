//! Results for the journal: steps and evaluations.

use indexmap::IndexMap;

use super::{
    Shell,
    metrics::{Metrics, one},
    training::Training,
    weighting,
};
use crate::{
    clock::now_ms,
    compute::{SkipReport, StepReport},
    journal::{Number, Observation, Outcome, Record},
    run::Evaluation,
    selection::Evaluated,
    setup::Setup,
};

impl Shell {
    /// Writes the step that is done and not in the journal yet, if there is one.
    pub(super) fn record_step(&mut self) {
        let Some(report) = self.recorder.take_unrecorded() else { return };
        let records = of_step(&self.setup, &report, &mut self.training);
        self.recorder.append(&records);
        let losses = self.setup.prepared.plan.shapes().tasks.iter().zip(&report.losses);
        let losses = losses.filter_map(|(task, loss)| Some((task.name.clone(), (*loss)?))).collect();
        self.display.show_losses(losses);
    }

    /// Writes the losses of the last steps, if training ended before their record was due.
    pub(super) fn record_rest(&mut self) {
        self.record_step();
        let values = self.training.take();
        let records = of_training(&self.setup, now_ms(), self.training.step(), values);
        self.recorder.append(&records);
    }

    /// Writes a step that is skipped.
    pub(super) fn record_skipped(&mut self, report: &SkipReport) {
        self.record_step();
        tracing::warn!(step = report.step, "skipped: its losses or gradients are not finite");
        self.recorder.append(&of_skipped(&self.setup, report));
    }

    /// Writes the metrics of an evaluation.
    pub(super) fn record_evaluation(&mut self, evaluation: Evaluation, step: u64, evaluated: &Evaluated) {
        let (step, split) = match evaluation {
            Evaluation::Progress => (step, "validation"),
            // The last evaluation during training has written the same.
            Evaluation::Final(experiment::SplitName::Validation) => return,
            Evaluation::Final(split) => (self.results.selected_step(), split.name()),
        };
        self.recorder.append(&of_evaluation(step, split, evaluated));
    }
}

/// The records of a step: the mean losses of the steps that are due, as they were before their
/// updates, and how the tasks were weighted.
fn of_step(setup: &Setup, report: &StepReport, training: &mut Training) -> Vec<Record> {
    let (now, step) = (now_ms(), report.step + 1);
    let tasks = &setup.prepared.plan.shapes().tasks;
    training.add(report, &tasks.iter().map(|task| task.weight).collect::<Vec<_>>());
    let every = setup.loaded.experiment.tracking.interval(setup.steps);
    let is_due = step.is_multiple_of(every) || step == setup.steps;
    let mut values = if is_due { training.take() } else { IndexMap::new() };
    let recorded = report.weighed.recorded;
    if recorded {
        for task in 0..tasks.len() {
            let mut of_task = weighting::of_task(&report.weighed, task);
            if let Some(alpha) = of_task.get("alpha").copied()
                && training.if_changed(&format!("alpha.{task}"), alpha.0).is_none()
            {
                of_task.shift_remove("alpha");
            }
            add(&mut values, Some(task), of_task);
        }
        add(&mut values, None, weighting::of_all(&report.weighed));
    }
    if let Some(rate) = training.if_changed("learning_rate", report.learning_rate) {
        add(&mut values, None, one("learning_rate", rate.0));
    }
    let mut records = of_training(setup, now, step, values);
    if recorded {
        let names: Vec<&str> = tasks.iter().map(|task| task.name.as_str()).collect();
        let method = setup.loaded.experiment.weighting.method();
        let weighting = weighting::record(step, method, report.learning_rate, &names, &report.weighed);
        records.push(Record::result(now, Outcome::Weighting(weighting)));
        let metrics = one("step_aggregation_seconds", report.aggregation.as_secs_f64());
        records.push(Record::observed(now, Observation::Speed { step, rank: None, metrics }));
    }
    records
}

/// Adds metrics of a task to those that are there.
fn add(values: &mut IndexMap<Option<usize>, Metrics>, task: Option<usize>, metrics: Metrics) {
    if !metrics.is_empty() {
        values.entry(task).or_default().extend(metrics);
    }
}

/// The records of training metrics by task.
fn of_training(setup: &Setup, now: u64, step: u64, values: IndexMap<Option<usize>, Metrics>) -> Vec<Record> {
    let tasks = &setup.prepared.plan.shapes().tasks;
    let name = |task: Option<usize>| task.map(|task| tasks[task].name.as_str());
    values.into_iter().map(|(task, values)| metrics(now, step, "train", name(task), values)).collect()
}

/// The records of a skipped step: `skipped` is 1. Its losses are added if they were not written
/// before.
fn of_skipped(setup: &Setup, report: &SkipReport) -> Vec<Record> {
    let (now, step) = (now_ms(), report.step + 1);
    let mut all = one("skipped", 1.0);
    let mut records = Vec::new();
    if let Some(losses) = &report.losses {
        let tasks = setup.prepared.plan.shapes().tasks.iter();
        let losses: Vec<_> = tasks.zip(losses).filter_map(|(task, loss)| Some((task, (*loss)?))).collect();
        let of_task = |(task, loss): &(&experiment::TaskShape, f64)| {
            metrics(now, step, "train", Some(&task.name), one("loss", *loss))
        };
        records.extend(losses.iter().map(of_task));
        all.insert("loss".into(), Number(losses.iter().map(|(task, loss)| task.weight * loss).sum()));
        all.insert("learning_rate".into(), Number(report.learning_rate));
    }
    records.push(metrics(now, step, "train", None, all));
    records
}

/// The records of an evaluation on a split.
fn of_evaluation(step: u64, split: &str, evaluated: &Evaluated) -> Vec<Record> {
    let now = now_ms();
    let mut records: Vec<Record> = Vec::new();
    for (task, values) in &evaluated.tasks {
        let values = values.iter().map(|(name, value)| (name.clone(), Number(*value))).collect();
        records.push(metrics(now, step, split, Some(task), values));
    }
    let mut all = IndexMap::new();
    all.extend(evaluated.loss.map(|loss| ("loss".to_owned(), Number(loss))));
    all.extend(evaluated.skill.map(|skill| ("skill".to_owned(), Number(skill))));
    if !all.is_empty() {
        records.push(metrics(now, step, split, None, all));
    }
    records
}

fn metrics(now: u64, step: u64, split: &str, task: Option<&str>, metrics: Metrics) -> Record {
    Record::result(now, Outcome::Metrics { step, split: split.to_owned(), task: task.map(str::to_owned), metrics })
}

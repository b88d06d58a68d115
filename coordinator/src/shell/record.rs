//! Results for the journal: steps and evaluations.

use indexmap::IndexMap;

use super::{Shell, weighting};
use crate::{
    clock::now_ms,
    compute::{SkipReport, StepReport},
    journal::{Number, Observation, Outcome, Record},
    run::Evaluation,
    selection::Evaluated,
    setup::Setup,
};

type Metrics = IndexMap<String, Number>;

impl Shell {
    /// Writes the step that is done and not in the journal yet, if there is one.
    pub(super) fn record_step(&mut self) {
        let Some(report) = self.recorder.take_unrecorded() else { return };
        self.recorder.append(&of_step(&self.setup, &report));
        let losses = self.setup.prepared.plan.shapes().tasks.iter().zip(&report.losses);
        let losses = losses.filter_map(|(task, loss)| Some((task.name.clone(), (*loss)?))).collect();
        self.display.show_losses(losses);
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

/// The records of a step: the losses as they were before its update, and how the tasks were
/// weighed.
fn of_step(setup: &Setup, report: &StepReport) -> Vec<Record> {
    let (now, step) = (now_ms(), report.step + 1);
    let tasks = &setup.prepared.plan.shapes().tasks;
    let mut records = Vec::with_capacity(tasks.len() + 1);
    let mut total = 0.0;
    let recorded = report.weighed.recorded;
    for (index, (task, loss)) in tasks.iter().zip(&report.losses).enumerate() {
        if let Some(loss) = loss {
            total += task.weight * loss;
            let mut values = one("loss", *loss);
            if recorded {
                values.extend(weighting::of_task(&report.weighed, index));
            }
            records.push(metrics(now, step, "train", Some(&task.name), values));
        }
    }
    let mut all = one("loss", total);
    all.insert("learning_rate".into(), Number(report.learning_rate));
    if recorded {
        all.extend(weighting::of_all(&report.weighed));
    }
    if let Some(norm) = report.gradient_norm {
        all.insert("gradient_norm".into(), Number(norm));
    }
    records.push(metrics(now, step, "train", None, all));
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

/// Metrics with one entry.
pub(super) fn one(name: &str, value: f64) -> Metrics {
    IndexMap::from([(name.to_owned(), Number(value))])
}

//! What a run leaves behind: the journal's records and the report.

use std::time::Duration;

use indexmap::IndexMap;
use proto::message::CoordinatorMessage;

use super::{Shell, weighting};
use crate::{
    CoordinatorError, checkpoint,
    compute::StepReport,
    journal::{self, Number, Observation, Record},
    report::{PeakMemory, Report},
    run::{Evaluation, Outcome},
    selection::Evaluated,
};

impl Shell {
    /// Writes an observation; a journal that can't be written ends the run.
    pub(crate) fn observe(&mut self, observation: Observation) {
        let record = Record::observed((self.now_ms)(), observation);
        self.append(&[record]);
    }

    pub(crate) fn append(&mut self, records: &[Record]) {
        if let Err(error) = self.journal.append_all(records) {
            self.failed.get_or_insert(error.into());
        }
    }

    /// The losses of a step, as they were before its update.
    pub(crate) fn record_step(&mut self, report: &StepReport) {
        let now = (self.now_ms)();
        let step = report.step + 1;
        let metrics = |task: Option<String>, metrics: IndexMap<String, Number>| {
            let split = "train".to_owned();
            Record::result(now, journal::Outcome::Metrics { step, split, task, metrics })
        };
        let tasks = &self.setup.prepared.plan.shapes().tasks;
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
                records.push(metrics(Some(task.name.clone()), values));
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
        records.push(metrics(None, all));
        if recorded {
            let names: Vec<&str> = tasks.iter().map(|task| task.name.as_str()).collect();
            let method = self.setup.loaded.experiment.weighting.method();
            let weighting = weighting::record(step, method, report.learning_rate, &names, &report.weighed);
            records.push(Record::result(now, journal::Outcome::Weighting(weighting)));
        }
        let losses = tasks.iter().zip(&report.losses);
        let losses: Vec<(String, f64)> = losses.filter_map(|(t, loss)| Some((t.name.clone(), (*loss)?))).collect();
        self.append(&records);
        self.progress.send_modify(|progress| progress.losses.extend(losses));
    }

    pub(crate) fn record_evaluation(&mut self, evaluation: Evaluation, step: u64, evaluated: &Evaluated) {
        let now = (self.now_ms)();
        let (step, split) = match evaluation {
            Evaluation::Progress => (step, "validation".to_owned()),
            // The last parameters on the validation split stand in the journal already.
            Evaluation::Final(experiment::SplitName::Validation) => return,
            Evaluation::Final(split) => (self.selected, split.name().to_owned()),
        };
        let metrics = |task, metrics| {
            Record::result(now, journal::Outcome::Metrics { step, split: split.clone(), task, metrics })
        };
        let mut all = IndexMap::new();
        all.extend(evaluated.loss.map(|loss| ("loss".to_owned(), Number(loss))));
        all.extend(evaluated.skill.map(|skill| ("skill".to_owned(), Number(skill))));
        let mut records: Vec<Record> = Vec::new();
        for (task, values) in &evaluated.tasks {
            let values = values.iter().map(|(name, value)| (name.clone(), Number(*value))).collect();
            records.push(metrics(Some(task.clone()), values));
        }
        if !all.is_empty() {
            records.push(metrics(None, all));
        }
        self.append(&records);
    }

    /// Ends the workers' streams, closes the journal and says what the run came to.
    pub(crate) async fn end(mut self) -> Result<Report, CoordinatorError> {
        let outcome = match (self.failed.take(), self.outcome.take()) {
            (Some(error), _) => Outcome::Failed(error.to_string()),
            (None, Some(outcome)) => outcome,
            (None, None) => Outcome::Failed("the coordinator's own threads ended".into()),
        };
        let (status, journal_status, reason) = Shell::ending(&outcome);
        for (worker, connection) in &self.connections {
            let message = CoordinatorMessage::Finished { reason: format!("the run is {status}") };
            let _ = connection.send(self.envelope(*worker), message);
        }
        let report = self.report(&outcome, status, reason.clone());
        let now = (self.now_ms)();
        if matches!(outcome, Outcome::Finished { .. }) {
            let summary = journal::Outcome::Summary {
                step: report.step,
                selected: report.selected.into(),
                parameters: report.parameters as u64,
                parameters_sha256: report.parameters_sha256.clone(),
            };
            self.append(&[Record::result(now, summary)]);
        }
        let mut metrics = one("seconds", report.seconds);
        metrics.insert("startup_seconds".into(), Number(report.startup_seconds));
        metrics.insert("rows_per_second".into(), Number(report.rows_per_second));
        metrics.insert("outside_gradient_fraction".into(), Number(report.outside_gradient_fraction));
        metrics.insert("aggregation_seconds".into(), Number(self.timing.aggregation.as_secs_f64()));
        metrics.insert("peak_rss_bytes".into(), Number(report.peak_rss_bytes.coordinator as f64));
        let step = report.step;
        self.append(&[Record::observed(
            now,
            Observation::Finished { status: journal_status, step, message: reason, metrics },
        )]);
        self.journal.sync()?;
        match self.failed {
            Some(error) => Err(error),
            None => Ok(report),
        }
    }

    fn report(&self, outcome: &Outcome, status: &'static str, reason: Option<String>) -> Report {
        let step = self.run.done();
        let last_hash = if self.last_hash.is_empty() {
            self.parameters.read(step, checkpoint::parameters_sha256)
        } else {
            self.last_hash.clone()
        };
        let mut tasks: IndexMap<String, IndexMap<&'static str, IndexMap<String, f64>>> = IndexMap::new();
        for task in &self.setup.prepared.plan.shapes().tasks {
            tasks.insert(task.name.clone(), IndexMap::new());
        }
        for (split, evaluated) in &self.finals {
            for (task, metrics) in &evaluated.tasks {
                tasks.entry(task.clone()).or_default().insert(split, metrics.clone());
            }
        }
        Report {
            run_dir: self.folder.path().to_string_lossy().into_owned(),
            status,
            reason,
            stopped_early: matches!(outcome, Outcome::Finished { early: true }),
            step,
            selected: if self.best.is_some() { "best" } else { "last" },
            selected_step: if self.finals.is_empty() { step } else { self.selected },
            world_size: self.connections.values().filter(|connection| connection.accepted).count(),
            seconds: self.started.elapsed().as_secs_f64(),
            startup_seconds: self.timing.first_update.unwrap_or(Duration::ZERO).as_secs_f64(),
            rows_per_second: self.speed.rows_per_second(),
            step_ms_median: self.speed.step_ms_median(),
            outside_gradient_fraction: self.speed.outside_gradient_fraction(),
            peak_rss_bytes: PeakMemory {
                coordinator: Shell::own_peak(),
                workers: self.peaks.values().copied().collect(),
            },
            parameters: self.parameters.elements(),
            parameters_sha256: last_hash,
            skill: self.finals.iter().filter_map(|(split, e)| Some((*split, e.skill?))).collect(),
            tasks,
        }
    }
}

fn one(name: &str, value: f64) -> IndexMap<String, Number> {
    IndexMap::from([(name.to_owned(), Number(value))])
}

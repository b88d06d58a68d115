//! The end of a run: workers are told, the last records are written, the report is made.

use indexmap::IndexMap;
use proto::{memory, message::CoordinatorMessage};

use super::{Shell, metrics::one};
use crate::{
    clock::now_ms,
    error::CoordinatorError,
    journal::{self, Number, Observation, Record},
    report::{PeakMemory, Report},
    run::RunOutcome,
};

impl Shell {
    /// Ends the workers' streams, closes the journal and reports the run.
    pub(super) async fn conclude(mut self) -> Result<Report, CoordinatorError> {
        let outcome = match (self.recorder.take_failure(), self.outcome.take()) {
            (Some(error), _) => RunOutcome::Failed(error.to_string()),
            (None, Some(RunOutcome::Interrupted)) if self.saves.failure().is_some() => {
                let reason = self.saves.failure().unwrap_or_default();
                RunOutcome::Failed(format!("asked to stop, and no checkpoint of this step could be written: {reason}"))
            }
            (None, Some(outcome)) => outcome,
            (None, None) => RunOutcome::Failed("the coordinator's own threads ended".into()),
        };
        let (status, journal_status, reason) = match &outcome {
            RunOutcome::Finished { .. } => ("finished", journal::Status::Finished, None),
            RunOutcome::Interrupted => ("interrupted", journal::Status::Interrupted, Some("asked to stop".to_owned())),
            RunOutcome::Failed(reason) => ("failed", journal::Status::Failed, Some(reason.clone())),
        };
        for (worker, connection) in self.connections.iter() {
            let message = CoordinatorMessage::Finished { reason: format!("the run is {status}") };
            let _ = connection.send(self.envelope(worker), message);
        }
        let report = self.report(&outcome, status, reason.clone());
        let now = now_ms();
        if matches!(outcome, RunOutcome::Finished { .. }) {
            self.record_rest();
            let summary = journal::Outcome::Summary {
                step: report.step,
                selected: report.selected.into(),
                parameters: report.parameters as u64,
                parameters_sha256: report.parameters_sha256.clone(),
            };
            self.recorder.append(&[Record::result(now, summary)]);
        }
        let (step, metrics) = (report.step, self.metrics(&report));
        let finished = Observation::Finished { status: journal_status, step, message: reason, metrics };
        self.recorder.append(&[Record::observed(now, finished)]);
        self.recorder.check_place();
        // A coordinator that is fenced may not write, and one that failed to write can't.
        if !self.recorder.has_failed() {
            self.recorder.settle().await?;
        }
        match self.recorder.take_failure() {
            Some(error) => Err(error),
            None => Ok(report),
        }
    }

    /// The metrics of the last record.
    fn metrics(&self, report: &Report) -> IndexMap<String, Number> {
        let refused: u64 = self.connections.turned_away().totals().values().sum();
        let mut metrics = one("seconds", report.seconds);
        metrics.insert("startup_seconds".into(), Number(report.startup_seconds));
        metrics.insert("rows_per_second".into(), Number(report.rows_per_second));
        metrics.insert("outside_gradient_fraction".into(), Number(report.outside_gradient_fraction));
        metrics.insert("results_dropped".into(), Number(self.measurements.dropped() as f64));
        metrics.insert("skipped_steps".into(), Number(report.skipped_steps as f64));
        metrics.insert("stragglers".into(), Number(self.measurements.stragglers() as f64));
        metrics.insert("refused".into(), Number(refused as f64));
        metrics.insert("aggregation_seconds".into(), Number(self.measurements.aggregation().as_secs_f64()));
        metrics.insert("peak_rss_bytes".into(), Number(report.peak_rss_bytes.coordinator as f64));
        metrics
    }

    fn report(&self, outcome: &RunOutcome, status: &'static str, reason: Option<String>) -> Report {
        let step = self.run.done();
        let finals = self.results.finals();
        let mut tasks: IndexMap<String, IndexMap<&'static str, IndexMap<String, f64>>> = IndexMap::new();
        for task in &self.setup.prepared.plan.shapes().tasks {
            tasks.insert(task.name.clone(), IndexMap::new());
        }
        for (split, evaluated) in finals {
            for (task, metrics) in &evaluated.tasks {
                tasks.entry(task.clone()).or_default().insert(split, metrics.clone());
            }
        }
        let speed = self.measurements.speed();
        Report {
            run_dir: self.folder.path().to_string_lossy().into_owned(),
            status,
            reason,
            stopped_early: matches!(outcome, RunOutcome::Finished { early: true }),
            step,
            skipped_steps: self.run.skipped().all,
            resumed_from: self.resumed_from,
            selected: if self.results.best_step().is_some() { "best" } else { "last" },
            selected_step: if finals.is_empty() { step } else { self.results.selected_step() },
            world_size: self.connections.accepted(),
            seconds: self.started.elapsed().as_secs_f64(),
            startup_seconds: self.measurements.first_update().as_secs_f64(),
            rows_per_second: speed.rows_per_second(),
            step_ms_median: speed.step_ms_median(),
            outside_gradient_fraction: speed.outside_gradient_fraction(),
            peak_rss_bytes: PeakMemory {
                coordinator: memory::resident().peak_bytes,
                workers: self.connections.peaks(),
            },
            parameters: self.parameters.elements(),
            parameters_sha256: self.results.last_sha256(step, &self.parameters),
            skill: finals.iter().filter_map(|(split, e)| Some((*split, e.skill?))).collect(),
            tasks,
        }
    }
}

//! Takes what the computing thread has done.

use std::time::Duration;

use super::Shell;
use crate::{
    checkpoint::{self, CheckpointError},
    compute::{Done, Factors, NotFinite, SkipReport, StepReport, TrainerJob},
    error::CoordinatorError,
    journal::{Observation, Reason},
    run::{Evaluation, Event},
    selection::Evaluated,
};

impl Shell {
    pub(super) fn on_done(&mut self, done: Done) {
        match done {
            Done::Crashed => self.recorder.fail(CoordinatorError::Crashed),
            Done::GramianComputed { step } => self.tell(Event::GramianComputed { step }),
            Done::WeightsComputed { step, factors } => {
                self.factors = factors;
                self.tell(Event::WeightsComputed { step });
            }
            Done::WeightingUpdated { step, next } => {
                self.end_step(next);
                self.tell(Event::WeightingUpdated { step });
                self.executor.look_ahead();
            }
            Done::LearningRateLowered => {}
            Done::Updated(report) => self.on_updated(report),
            Done::NotFinite(error) if error.can_be_skipped() => {
                let reason = self.with_checkpoint(&error);
                self.tell(Event::NotFinite { step: error.step(), reason });
            }
            Done::NotFinite(error) => self.tell(Event::Impossible(self.with_checkpoint(&error))),
            Done::Unusable { error, unusable, answers } => {
                self.answers.put_back(answers);
                let reason = self.with_checkpoint(&error);
                self.tell(Event::Unusable { step: error.step(), reason, answers: unusable });
            }
            Done::Skipped(report) => self.on_skipped(&report),
            Done::MetricsComputed(evaluation, evaluated) => self.on_decided(evaluation, evaluated),
            Done::SumsNotFinite { evaluation, unusable: answers, sums } => {
                self.answers.put_back_sums(sums);
                let (step, split) = (self.run.done(), evaluation.split().name());
                let reason = format!("step {step}: the evaluation on the {split} split is not finite");
                self.tell(Event::Unusable { step, reason, answers });
            }
            Done::Saved { step, best, written, tidied, took } => {
                self.on_saved(step, written, tidied, took);
                // If two checkpoints of a step were asked for, the state machine waits for the
                // second.
                if !best && self.saves.answer() && step == self.run.done() {
                    self.tell(Event::Saved);
                }
            }
        }
    }

    fn on_updated(&mut self, report: StepReport) {
        self.measurements.add_update(self.started.elapsed(), report.aggregation);
        if !self.run.settings().losses_after {
            self.end_step(report.next.clone());
        }
        let step = report.step;
        for worker in &report.served {
            if let Some(connection) = self.connections.get_mut(*worker) {
                connection.note_sent(self.parameters.version(step + 1));
            }
        }
        self.recorder.record_later(report);
        self.tell(Event::Updated { step });
    }

    fn on_skipped(&mut self, report: &SkipReport) {
        self.end_step(report.next.clone());
        self.record_skipped(report);
        self.tell(Event::Skipped { step: report.step });
        self.executor.look_ahead();
    }

    /// Measures the step that is over, and takes the factors of the next one.
    fn end_step(&mut self, next: Option<Factors>) {
        self.measurements.end_step(self.setup.rows_per_step());
        self.factors = next.unwrap_or_default();
    }

    fn on_decided(&mut self, evaluation: Evaluation, evaluated: Evaluated) {
        let step = self.run.done();
        self.record_evaluation(evaluation, step, &evaluated);
        let mut stop = false;
        match evaluation {
            Evaluation::Progress => {
                let verdict = self.results.observe(step, &evaluated, &self.parameters);
                stop = verdict.stop;
                if let Some(plateaus) = verdict.plateaus
                    && let Err(error) = self.order(TrainerJob::LowerLearningRate { plateaus })
                {
                    self.recorder.fail(error);
                }
                if verdict.improved
                    && let Err(error) = self.order_checkpoint(step, true)
                {
                    self.recorder.fail(error);
                }
                self.display.show_skill(evaluated.skill);
            }
            Evaluation::Final(split) => self.results.add_final(split.name(), evaluated),
        }
        self.tell(Event::MetricsComputed { stop });
    }

    fn on_saved(
        &mut self,
        step: u64,
        written: Result<bool, CheckpointError>,
        tidied: Result<(), CheckpointError>,
        took: Duration,
    ) {
        match written {
            Ok(new) => {
                self.saves.succeeded(step);
                if new {
                    let took_ms = took.as_millis() as u64;
                    self.recorder.observe(Observation::CheckpointWritten { step, took_ms });
                }
            }
            Err(error) => {
                tracing::warn!(step, %error, "no checkpoint; the run goes on and tries again with the next one");
                let reason = Reason::new("checkpoint", error.to_string());
                self.recorder.observe(Observation::Warning { reason });
                self.saves.failed(error.to_string());
            }
        }
        if let Err(error) = tidied {
            tracing::warn!(step, %error, "old checkpoints could not be removed; the run goes on");
            let reason = Reason::new("checkpoints_kept", error.to_string());
            self.recorder.observe(Observation::Warning { reason });
        }
    }

    /// Why the run can't go on, and from where it can be resumed.
    fn with_checkpoint(&self, error: &NotFinite) -> String {
        match self.saves.newest() {
            Some(saved) => {
                let path = checkpoint::path_of(self.folder.path(), saved);
                format!("{error}; the newest checkpoint is that of step {saved}, {}", path.display())
            }
            None => format!("{error}; there is no checkpoint yet"),
        }
    }
}

//! What a run leaves behind: the journal's records and the report.

use std::time::{Duration, Instant};

use indexmap::IndexMap;
use proto::message::CoordinatorMessage;
use tokio::time;

use super::{RETRY, Shell, weighting};
use crate::{
    checkpoint,
    clock::now_ms,
    compute::SkipReport,
    door::Turns,
    error::CoordinatorError,
    journal::{self, JournalError, Number, Observation, Reason, Record},
    report::{PeakMemory, Report},
    run::{Evaluation, Outcome},
    selection::Evaluated,
};

/// The pauses between tries to write the last records.
const SETTLE_MS: [u64; 6] = [100, 200, 400, 800, 1600, 3200];

/// How often those who were turned away are written down, at most.
const TURNED_AWAY_EVERY: Duration = Duration::from_secs(10);

impl Shell {
    /// Writes an observation.
    pub(crate) fn observe(&mut self, observation: Observation) {
        let record = Record::observed(now_ms(), observation);
        self.append(&[record]);
    }

    pub(crate) fn append(&mut self, records: &[Record]) {
        if let Err(fenced) = self.fence.check() {
            self.failed.get_or_insert(fenced.into());
            return;
        }
        match self.journal.append_all(records) {
            Ok(_) => {}
            Err(error @ JournalError::Io { .. }) => self.fall_behind(&error),
            Err(error) => drop(self.failed.get_or_insert(error.into())),
        }
    }

    /// The disk does not take records: they wait, and the run goes on.
    fn fall_behind(&mut self, error: &JournalError) {
        tracing::warn!(%error, "the journal's records wait for the disk; the run goes on");
        let reason = Reason::new("journal", error.to_string());
        let warning = Record::observed(now_ms(), Observation::Warning { reason });
        // It waits with the others; that too many wait is told by the next one.
        let _ = self.journal.append_all(&[warning]);
    }

    /// Tries a journal that is behind again, now and then.
    pub(crate) fn catch_up(&mut self) {
        if !self.journal.is_behind() || self.timing.journal_tried.is_some_and(|tried| tried.elapsed() < RETRY) {
            return;
        }
        #[expect(clippy::disallowed_methods, reason = "the shell is where time is read")]
        let now = Instant::now();
        self.timing.journal_tried = Some(now);
        if self.fence.check().is_ok() && self.journal.flush().is_ok() {
            tracing::warn!("the journal has caught up");
        }
    }

    /// Writes down who was turned away at the door, one record for each reason now and then however
    /// many there were.
    pub(crate) fn record_turned_away(&mut self, last: bool) {
        let recorded = self.timing.turned_away_recorded;
        if !last && recorded.is_some_and(|recorded| recorded.elapsed() < TURNED_AWAY_EVERY) {
            return;
        }
        let taken = self.turned_away.take_unrecorded();
        if taken.is_empty() {
            return;
        }
        #[expect(clippy::disallowed_methods, reason = "the shell is where time is read")]
        let now = Instant::now();
        self.timing.turned_away_recorded = Some(now);
        for (kind, Turns { total, unrecorded: count, peer, reason }) in taken {
            let kind = kind.name();
            tracing::warn!(peer, kind, count, reason, "turned away");
            self.observe(Observation::TurnedAway { peer, reason: Reason::new(kind, reason), count, total });
        }
    }

    /// The losses of the step that was committed last, as they were before its update.
    pub(crate) fn record_step(&mut self) {
        let Some(report) = self.unrecorded.take() else { return };
        let now = now_ms();
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
            let metrics = one("step_aggregation_seconds", report.aggregation.as_secs_f64());
            records.push(Record::observed(now, Observation::Speed { step, rank: None, metrics }));
        }
        let losses = tasks.iter().zip(&report.losses);
        let losses: Vec<(String, f64)> = losses.filter_map(|(t, loss)| Some((t.name.clone(), (*loss)?))).collect();
        self.append(&records);
        self.progress.send_modify(|progress| progress.losses.extend(losses));
    }

    /// A step that was left out: `skipped` is 1, and its losses are there where they were not
    /// written down before.
    pub(crate) fn record_skipped(&mut self, report: &SkipReport) {
        self.record_step();
        let (now, step) = (now_ms(), report.step + 1);
        tracing::warn!(step = report.step, "skipped: its losses or gradients are not finite");
        let metrics = |task: Option<String>, metrics: IndexMap<String, Number>| {
            let split = "train".to_owned();
            Record::result(now, journal::Outcome::Metrics { step, split, task, metrics })
        };
        let mut all = one("skipped", 1.0);
        let mut records = Vec::new();
        if let Some(losses) = &report.losses {
            let tasks = self.setup.prepared.plan.shapes().tasks.iter();
            let losses: Vec<_> = tasks.zip(losses).filter_map(|(task, loss)| Some((task, (*loss)?))).collect();
            records.extend(losses.iter().map(|(task, loss)| metrics(Some(task.name.clone()), one("loss", *loss))));
            all.insert("loss".into(), Number(losses.iter().map(|(task, loss)| task.weight * loss).sum()));
            all.insert("learning_rate".into(), Number(report.learning_rate));
        }
        records.push(metrics(None, all));
        self.append(&records);
    }

    pub(crate) fn record_evaluation(&mut self, evaluation: Evaluation, step: u64, evaluated: &Evaluated) {
        let now = now_ms();
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
            (None, Some(Outcome::Interrupted)) if self.save_failed.is_some() => {
                let reason = self.save_failed.take().unwrap_or_default();
                Outcome::Failed(format!("asked to stop, and no checkpoint of this step could be written: {reason}"))
            }
            (None, Some(outcome)) => outcome,
            (None, None) => Outcome::Failed("the coordinator's own threads ended".into()),
        };
        let (status, journal_status, reason) = Shell::ending(&outcome);
        for (worker, connection) in &self.connections {
            let message = CoordinatorMessage::Finished { reason: format!("the run is {status}") };
            let _ = connection.send(self.envelope(*worker), message);
        }
        let report = self.report(&outcome, status, reason.clone());
        let now = now_ms();
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
        metrics.insert("results_dropped".into(), Number(self.counts.dropped as f64));
        metrics.insert("skipped_steps".into(), Number(report.skipped_steps as f64));
        metrics.insert("stragglers".into(), Number(self.counts.stragglers as f64));
        let refused: u64 = self.turned_away.totals().values().sum();
        metrics.insert("refused".into(), Number(refused as f64));
        metrics.insert("aggregation_seconds".into(), Number(self.timing.aggregation.as_secs_f64()));
        metrics.insert("peak_rss_bytes".into(), Number(report.peak_rss_bytes.coordinator as f64));
        let step = report.step;
        self.append(&[Record::observed(
            now,
            Observation::Finished { status: journal_status, step, message: reason, metrics },
        )]);
        // A coordinator that is fenced writes nothing, and one that failed to write can't.
        if self.failed.is_none() {
            self.settle().await?;
        }
        match self.failed {
            Some(error) => Err(error),
            None => Ok(report),
        }
    }

    /// Gets the last records to the disk; one that is full has a moment to get over it.
    async fn settle(&mut self) -> Result<(), CoordinatorError> {
        for pause_ms in SETTLE_MS {
            match self.journal.sync() {
                Err(JournalError::Io { .. }) => {
                    self.fence.check()?;
                    time::sleep(Duration::from_millis(pause_ms)).await;
                }
                settled => return Ok(settled?),
            }
        }
        Ok(self.journal.sync()?)
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
            skipped_steps: self.run.skipped().all,
            resumed_from: self.resumed_from,
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

//! The coordinator around the real state machine, with the real journal, checkpoints and epochs on
//! a disk that can fail.

mod computing;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use coordinator::{
    checkpoint::{self, Checkpoint, Found, Keeper, SavedBlock, Tensor, Values},
    disk::Disk,
    folder::{Fence, RunFolder},
    journal::{Journal, JournalError, Number, Outcome, Record, read},
    run::{self, Effect, Event, Notice, Run, Settings, Skipped, WorkerId, WorkerJob},
    selection::Selection,
};

use super::{
    faulty_disk::FaultyDisk,
    model::{Course, Model, PARAMETERS, Quiet, Sum},
    tally::Tally,
    world::{Violation, Work, violated},
};

/// A mistake that the checks have to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// A result that the machine drops is counted.
    CountDropped,
    /// Sums are added in the order of their arrival.
    AddAsTheyCome,
    /// Nothing is synced.
    SkipSync,
    /// Messages for another coordinator are accepted.
    AcceptOtherEpochs,
    /// The checkpoint lacks the weighting's state.
    ForgetWeighting,
    /// The checkpoint of the best parameters is forgotten if the disk does not take the records
    /// before it.
    ForgetBest,
    /// One answer that is not finite is enough to skip the step.
    BelieveNotFinite,
}

/// The outcome of starting a coordinator.
pub enum Started {
    Up(Box<Shell>),
    DiskRefused,
    Wrong(String),
}

/// How a run ended.
pub enum Finished {
    Well,
    Badly(String),
    /// Somebody asked it to end before it was done.
    Early,
    /// The disk does not take the last records. Everything else is done.
    DiskRefused,
}

/// A coordinator.
pub struct Shell {
    pub disk: Arc<FaultyDisk>,
    run: Run,
    settings: Settings,
    mutation: Option<Mutation>,
    path: PathBuf,
    fence: Fence,
    journal: Journal,
    _folder: RunFolder,
    model: Model,
    next: Option<Model>,
    alpha: f32,
    /// The number that the step in progress records in place of inner products.
    measured: Option<f64>,
    arrived: BTreeMap<(WorkerId, u64), Sum>,
    kept: Vec<(WorkerId, WorkerJob, Sum)>,
    /// Workers that have sent a spoilt answer.
    liars: BTreeSet<WorkerId>,
    hosts: BTreeMap<WorkerId, usize>,
    leases: u64,
    work: Vec<(usize, WorkerId, Work)>,
    done: Vec<Event>,
    dismissed: Vec<usize>,
    keeper: Keeper,
    selection: Selection,
    /// The best parameters so far, with their step.
    best: Option<(u64, Vec<f32>)>,
    saved: u64,
    /// Whether the last checkpoint is written and the best one is named.
    is_saved: bool,
    /// Whether somebody has asked it to end.
    interrupted: bool,
    outcome: Option<run::RunOutcome>,
    pub tally: Tally,
}

/// A run folder that is ready for the next step.
struct OpenRun {
    folder: RunFolder,
    fence: Fence,
    journal: Journal,
    found: Option<Found>,
}

/// Opens the run folder in `path`, or creates it.
fn open_run(path: &Path, disk: &Arc<dyn Disk>) -> Result<OpenRun, Box<dyn std::error::Error>> {
    let resumed = RunFolder::has_run(path);
    let folder = if resumed { RunFolder::open(path)? } else { RunFolder::create_again(path)? };
    let (journal, found) = if resumed {
        let (found, passed_over) = checkpoint::newest_good(path, Some(&folder.journal()))?;
        if let Some(passed) = passed_over.first() {
            return Err(format!("passed over: {}", passed.reason).into());
        }
        let step = found.as_ref().map_or(0, |found| found.checkpoint.step);
        (Some(Journal::open_at(&folder.journal(), step)?.with_disk(Arc::clone(disk))), found)
    } else {
        (None, None)
    };
    let fence = folder.next_epoch(&**disk)?;
    let journal = match journal {
        Some(journal) => journal,
        None => {
            folder.write_experiment(&**disk, "name = \"simulated\"\n")?;
            Journal::create_on(Arc::clone(disk), &folder.journal())?
        }
    };
    folder.sync(&**disk)?;
    Ok(OpenRun { folder, fence, journal, found })
}

impl Shell {
    /// Begins the run in `path`, or goes on with it.
    pub fn start(path: &Path, disk: &Arc<FaultyDisk>, course: &Course, mutation: Option<Mutation>) -> Started {
        if mutation == Some(Mutation::SkipSync) {
            disk.skip_sync();
        }
        match Shell::try_start(path, disk, course, mutation) {
            Ok(shell) => Started::Up(Box::new(shell)),
            Err(_) if disk.has_failed() => Started::DiskRefused,
            Err(error) => Started::Wrong(error.to_string()),
        }
    }

    fn try_start(
        path: &Path,
        disk: &Arc<FaultyDisk>,
        Course { settings, selection, odd }: &Course,
        mutation: Option<Mutation>,
    ) -> Result<Shell, Box<dyn std::error::Error>> {
        let shared: Arc<dyn Disk> = disk.clone();
        let OpenRun { folder, fence, journal, found } = open_run(path, &shared)?;
        let mut run = Run::new(settings.clone(), 0);
        let mut model = Model::first(*odd);
        let mut selection = selection.clone();
        let keeper = Keeper::new(shared, path, 2, found.as_ref(), []);
        let mut best_so_far = None;
        if let Some(Found { checkpoint, best }) = found {
            checkpoint::sync(&**disk, path)?;
            best_so_far = best;
            let stop_early = selection.restore(&checkpoint);
            let due = checkpoint.state("run.evaluation_due").unwrap_or(false);
            let count = |name| checkpoint.state(name).unwrap_or(0);
            let skipped = Skipped { all: count("skipped"), in_a_row: count("skipped_in_a_row") };
            run = Run::new(settings.clone(), checkpoint.step).resumed(due, stop_early).having_skipped(skipped);
            model.theta.copy_from_slice(&checkpoint.parameters);
            if let Some(Tensor { values: Values::F64(values), .. }) = checkpoint.weighting.first() {
                model.weight = values[0];
            }
        }
        Ok(Shell {
            keeper,
            selection,
            best: best_so_far,
            saved: run.done(),
            is_saved: false,
            interrupted: false,
            disk: Arc::clone(disk),
            run,
            settings: settings.clone(),
            mutation,
            path: path.to_owned(),
            fence,
            journal,
            _folder: folder,
            model,
            next: None,
            alpha: 0.0,
            measured: None,
            arrived: BTreeMap::new(),
            kept: Vec::new(),
            liars: BTreeSet::new(),
            hosts: BTreeMap::new(),
            leases: 0,
            work: Vec::new(),
            done: Vec::new(),
            dismissed: Vec::new(),
            outcome: None,
            tally: Tally::default(),
        })
    }

    pub fn epoch(&self) -> u64 {
        self.fence.epoch()
    }

    pub fn done(&self) -> u64 {
        self.run.done()
    }

    pub fn skipped(&self) -> u64 {
        self.run.skipped().all
    }

    /// The best parameters so far, with their step, and whether those of the present step are still
    /// to be evaluated.
    pub fn best(&self) -> (Option<&(u64, Vec<f32>)>, bool) {
        (self.best.as_ref(), self.run.evaluation_due())
    }

    pub fn model(&self) -> Model {
        self.model
    }

    /// The newest step whose checkpoint is written.
    pub fn saved(&self) -> u64 {
        self.saved
    }

    /// Gives a worker a lease.
    pub fn welcome(&mut self, host: usize) -> WorkerId {
        self.leases += 1;
        self.hosts.insert(WorkerId(self.leases), host);
        WorkerId(self.leases)
    }

    pub fn knows(&self, lease: WorkerId) -> bool {
        self.hosts.contains_key(&lease)
    }

    pub fn forget(&mut self, lease: WorkerId) {
        self.hosts.remove(&lease);
    }

    pub fn arrive(&mut self, lease: WorkerId, work: u64, sum: Sum, spoilt: bool) {
        if spoilt {
            self.liars.insert(lease);
        }
        self.arrived.insert((lease, work), sum);
    }

    /// Takes the work to send, the events of the shell's own threads, and the dismissed hosts.
    #[allow(clippy::type_complexity)] // three lists that are emptied
    pub fn take_out(&mut self) -> (Vec<(usize, WorkerId, Work)>, Vec<Event>, Vec<usize>) {
        (std::mem::take(&mut self.work), std::mem::take(&mut self.done), std::mem::take(&mut self.dismissed))
    }

    /// Whether the run is over.
    pub fn finished(&mut self) -> Option<Finished> {
        match self.outcome.as_ref()? {
            // No worker was left to compute the losses after an update. The next coordinator
            // resumes.
            run::RunOutcome::Failed(reason) if self.interrupted && reason.starts_with("asked to stop") => {
                Some(Finished::Early)
            }
            run::RunOutcome::Failed(reason) => Some(Finished::Badly(reason.clone())),
            run::RunOutcome::Interrupted => Some(Finished::Early),
            _ if self.journal.sync().is_ok() => Some(Finished::Well),
            _ if self.disk.is_dead() => Some(Finished::DiskRefused),
            // The journal is synced until the disk takes it.
            _ => None,
        }
    }

    /// Tells the machine and does what it says.
    pub fn tell(&mut self, now: Duration, event: Event, quiet: &Quiet) -> Result<(), Violation> {
        if self.outcome.is_some() {
            return Ok(());
        }
        self.interrupted |= matches!(event, Event::Interrupt);
        let before = self.run.done();
        let effects = self.run.step(now, event);
        if self.run.done() > before {
            self.commit(quiet)?;
        }
        for effect in effects {
            self.perform(effect)?;
        }
        Ok(())
    }

    /// The step is done: the next parameters become the current ones.
    fn commit(&mut self, quiet: &Quiet) -> Result<(), Violation> {
        let step = self.run.done();
        let Some(next) = self.next.take() else { return violated(format!("step {step} without an update")) };
        if quiet.models.get(step as usize) != Some(&next) {
            return violated(format!("step {step} ends in other bits than in the quiet run"));
        }
        self.model = next;
        self.record(step, "train", next.loss())?;
        match self.measured.take() {
            Some(measured) => self.record(step, "measured", measured),
            None => Ok(()),
        }
    }

    fn perform(&mut self, effect: Effect) -> Result<(), Violation> {
        match effect {
            Effect::Assign(worker, assignment) => {
                let Some(host) = self.hosts.get(&worker).copied() else {
                    return violated("work for a worker that was sent away");
                };
                let step = self.run.done();
                let model = if assignment.version == step { self.model } else { self.next.unwrap_or(self.model) };
                self.work.push((host, worker, Work { assignment, step, model }));
            }
            Effect::Keep { worker, work, job } => {
                let Some(sum) = self.arrived.remove(&(worker, work)) else {
                    return violated(format!("{job} counts and never came"));
                };
                self.kept.push((worker, job, sum));
            }
            Effect::Drop { worker, work } => {
                self.tally.results_dropped += 1;
                let sum = self.arrived.remove(&(worker, work));
                if let (Some(sum), Some((worker, job, _)), Some(Mutation::CountDropped)) =
                    (sum, self.kept.last().cloned(), self.mutation)
                {
                    self.kept.push((worker, job, sum));
                }
            }
            Effect::Clear => self.kept.clear(),
            Effect::Retract { jobs } => self.kept.retain(|(_, job, _)| !jobs.contains(job)),
            Effect::ComputeGramian { step }
            | Effect::ComputeWeights { step }
            | Effect::Update { step }
            | Effect::UpdateWeighting { step }
                if self.is_unusable(step) => {}
            Effect::ComputeGramian { step } => self.compute_gramian(step)?,
            Effect::ComputeWeights { step } => self.compute_weights(step)?,
            Effect::Update { step } => self.update(step)?,
            Effect::UpdateWeighting { step } => self.update_weighting(step)?,
            Effect::Skip { step } => {
                self.tally.steps_skipped += 1;
                self.measured = None;
                self.next = Some(self.model);
                self.done.push(Event::Skipped { step });
            }
            Effect::Ban { worker, .. } => {
                self.tally.workers_banned += 1;
                if !self.liars.contains(&worker) {
                    return violated("a worker was banned though its answers are right");
                }
                self.dismissed.extend(self.hosts.remove(&worker));
            }
            Effect::ComputeMetrics { agreed: false, .. }
                if self.mutation != Some(Mutation::BelieveNotFinite) && self.is_unusable(self.run.done()) => {}
            Effect::ComputeMetrics { evaluation, .. } => self.decide(evaluation)?,
            Effect::Select => {}
            Effect::Save { step } => {
                self.save(step, false);
                self.done.push(Event::Saved);
            }
            Effect::Dismiss(worker, _) => self.dismissed.extend(self.hosts.remove(&worker)),
            Effect::Finish(outcome) => self.outcome = Some(outcome),
            Effect::Notice(Notice::Straggler { .. }) => self.tally.stragglers += 1,
            Effect::Notice(_) => {}
        }
        Ok(())
    }

    /// Writes a result to the journal. If the disk does not take it, it waits.
    fn record(&mut self, step: u64, split: &str, value: f64) -> Result<(), Violation> {
        let metrics = [("loss".to_owned(), Number(value))].into_iter().collect();
        let outcome = Outcome::Metrics { step, split: split.to_owned(), task: None, metrics };
        match self.journal.append_all(&[Record::result(0, outcome)]) {
            Err(JournalError::Io { .. }) | Ok(_) => Ok(()),
            Err(differs) => violated(differs.to_string()),
        }
    }

    /// Writes a checkpoint after the journal, if the disk takes it.
    fn save(&mut self, step: u64, best: bool) {
        let journal = self.journal.sync();
        self.tally.best_owed += u64::from(best && journal.is_err());
        if best && journal.is_err() && self.mutation == Some(Mutation::ForgetBest) {
            return;
        }
        let mut states = self.selection.states();
        states.extend(self.states(best));
        let checkpoint = Checkpoint {
            step,
            epoch: self.epoch(),
            best: self.best.as_ref().map(|(step, _)| *step),
            journal_bytes: self.journal.length(),
            journal_sha256: self.journal.sha256().unwrap_or_default(),
            preprocessing: "{}".into(),
            states,
            ..Checkpoint::default()
        };
        let weight = if self.mutation == Some(Mutation::ForgetWeighting) { 1.0 } else { self.model.weight };
        let theta = self.model.theta;
        let kept = self.keeper.save(Box::new(checkpoint), best, journal, |checkpoint| {
            checkpoint.blocks = vec![SavedBlock { name: "theta".into(), shape: vec![PARAMETERS], offset: 0 }];
            checkpoint.parameters = theta.to_vec();
            checkpoint.weighting = vec![Tensor::new("weight", vec![weight])];
        });
        self.is_saved = kept.written.is_ok() && kept.tidied.is_ok();
        if kept.written.is_ok() {
            self.saved = step;
        }
    }

    /// The states of a checkpoint. `evaluated`: its step is evaluated, but the machine has not been
    /// told yet.
    fn states(&self, evaluated: bool) -> Vec<(String, String)> {
        let Skipped { all, in_a_row } = self.run.skipped();
        let states = [
            ("run.evaluation_due", (self.run.evaluation_due() && !evaluated).to_string()),
            ("skipped", all.to_string()),
            ("skipped_in_a_row", in_a_row.to_string()),
        ];
        states.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Checks that the run folder names the best parameters of the quiet run, once everything is
    /// written.
    pub fn check_best(&self, quiet: &Quiet) -> Result<(), Violation> {
        let expected = quiet.best(self.run.done(), false);
        let found = checkpoint::best(&self.path).map_err(|error| Violation(error.to_string()))?;
        if self.is_saved && found != expected {
            return violated(format!("the run folder names {found:?} as the best, and not {expected:?}"));
        }
        Ok(())
    }

    /// Checks that the journal has every result of the quiet run once.
    pub fn check_journal(self, quiet: &Quiet) -> Result<(), Violation> {
        let mut expected = quiet.results.clone();
        let records = read(self.journal.path()).map_err(|error| Violation(error.to_string()))?;
        for record in records {
            let record = record.map_err(|error| Violation(error.to_string()))?;
            let Record::Result { outcome: Outcome::Metrics { step, split, metrics, .. }, .. } = record else {
                continue;
            };
            let split = match split.as_str() {
                "train" => "train",
                "measured" => "measured",
                _ => "validation",
            };
            match expected.remove(&(step, split)) {
                Some(value) if metrics["loss"].same(Number(value)) => {}
                Some(value) => return violated(format!("{split} of step {step}: {} and not {value}", metrics["loss"])),
                None => return violated(format!("{split} of step {step} is there twice")),
            }
        }
        match expected.first_key_value() {
            None => Ok(()),
            Some(((step, split), _)) => violated(format!("{split} of step {step} is not in the journal")),
        }
    }
}

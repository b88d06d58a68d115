//! How a run begins: in a new folder, or where another coordinator has left it.

use std::sync::Arc;

use crate::{
    checkpoint::{self, Checkpoint, Found, PassedOver},
    clock::now_ms,
    compute::{Factors, Updater},
    disk::Disk,
    error::CoordinatorError,
    first_records,
    folder::{Fence, FencedDisk, RunFolder},
    journal::{Journal, Observation, Reason, Record},
    options::Options,
    parameters::Parameters,
    resume::ResumableRun,
    run::{Run, Skipped},
    selection::Selection,
    setup::Setup,
    states::{EVALUATION_DUE, SKIPPED, SKIPPED_IN_A_ROW},
};

/// How a run begins.
#[derive(Debug)]
pub enum Start {
    /// In a new folder.
    New(RunFolder),
    /// Where another coordinator has left it.
    Resumed(Box<ResumableRun>),
}

/// A run folder that is ready for the next step.
pub(crate) struct OpenRun {
    pub folder: RunFolder,
    /// Whether this coordinator may still write.
    pub fence: Fence,
    /// The disk, which refuses to write once another coordinator has taken over.
    pub disk: Arc<dyn Disk>,
    pub journal: Journal,
    /// The checkpoint that the run goes on from. `None`: it begins at the first step.
    pub found: Option<Found>,
    /// Steps with checkpoints that this build can't read. They are not removed.
    pub spared: Vec<u64>,
    /// The step from which the run was resumed. `None`: it is new.
    pub resumed_from: Option<u64>,
}

impl OpenRun {
    /// The folder's name, which is the run's.
    pub fn run_id(&self) -> String {
        self.folder.path().file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The checkpoint that the run goes on from.
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        self.found.as_ref().map(|found| &found.checkpoint)
    }
}

impl Start {
    /// Takes the next epoch, writes the first records, and syncs them and the journal's name. From
    /// then on the run can be resumed, even if the power fails.
    ///
    /// # Errors
    /// If the folder or the journal can't be written.
    pub(crate) fn open(self, setup: &Setup, options: &Options) -> Result<OpenRun, CoordinatorError> {
        let fenced =
            |fence: &Fence| -> Arc<dyn Disk> { Arc::new(FencedDisk::new(Arc::clone(&options.disk), fence.clone())) };
        match self {
            Start::New(folder) => {
                let fence = folder.next_epoch(&*options.disk)?;
                let disk = fenced(&fence);
                folder.write_experiment(&*disk, &setup.resolved().to_toml())?;
                let mut journal = Journal::create_on(Arc::clone(&disk), &folder.journal())?;
                journal.append_all(&first_records::write(setup, options, fence.epoch()))?;
                journal.sync()?;
                folder.sync(&*disk)?;
                Ok(OpenRun { folder, fence, disk, journal, found: None, spared: Vec::new(), resumed_from: None })
            }
            Start::Resumed(past) => {
                let begun = past.has_begun();
                let step = past.step();
                let ResumableRun { folder, found, passed_over, journal, .. } = *past;
                let fence = folder.next_epoch(&*options.disk)?;
                let disk = fenced(&fence);
                if found.is_some() {
                    checkpoint::sync(&*disk, folder.path())?;
                }
                let mut journal = match journal {
                    Some(journal) => journal.with_disk(Arc::clone(&disk)),
                    None => Journal::create_on(Arc::clone(&disk), &folder.journal())?,
                };
                let mut records = if begun {
                    let started = first_records::started(fence.epoch(), Some(step));
                    [started, first_records::launched(options), first_records::settings(setup)]
                        .map(|observation| Record::observed(now_ms(), observation))
                        .into()
                } else {
                    first_records::write(setup, options, fence.epoch())
                };
                records.extend(found_records(&folder, &passed_over, journal.cut_off()));
                journal.append_all(&records)?;
                journal.sync()?;
                folder.sync(&*disk)?;
                let spared = passed_over.iter().filter(|passed| passed.reason.is_not_understood());
                let spared = spared.map(|passed| passed.step).collect();
                Ok(OpenRun { folder, fence, disk, journal, found, spared, resumed_from: Some(step) })
            }
        }
    }
}

/// The state of a run before its next step.
pub(crate) struct RunState {
    pub parameters: Arc<Parameters>,
    pub selection: Selection,
    /// The state machine.
    pub run: Run,
    /// What workers multiply the next step's gradients with.
    pub factors: Factors,
}

impl RunState {
    /// The state at the checkpoint, or at the first step, and what computes updates from there.
    ///
    /// # Errors
    /// If there is no memory for the parameters, if the checkpoint belongs to another experiment,
    /// or if the next step can't begin.
    pub(crate) fn of(setup: &Setup, checkpoint: Option<&Checkpoint>) -> Result<(RunState, Updater), CoordinatorError> {
        let step = checkpoint.map_or(0, |checkpoint| checkpoint.step);
        let initial = || setup.network.initial(setup.loaded.experiment.seed);
        let first = checkpoint.map_or_else(initial, |checkpoint| checkpoint.parameters.clone());
        let memory = |error| CoordinatorError::System { what: "memory for the parameters", error };
        let parameters = Arc::new(Parameters::new(step, &first).map_err(memory)?);
        let mut updater = Updater::new(setup, Arc::clone(&parameters));
        let mut selection = Selection::new(&setup.loaded.experiment.train);
        let mut run = Run::new(setup.run_settings(), step);
        if let Some(checkpoint) = checkpoint {
            let stop_early = selection.restore(checkpoint);
            let restored = updater.restore(checkpoint, selection.plateaus());
            restored.map_err(|reason| CoordinatorError::Misfit { step, reason })?;
            let count = |name| checkpoint.state(name).unwrap_or(0);
            run = run
                .resumed(checkpoint.state(EVALUATION_DUE).unwrap_or(false), stop_early)
                .having_skipped(Skipped { all: count(SKIPPED), in_a_row: count(SKIPPED_IN_A_ROW) });
        }
        let factors = if step < setup.steps { updater.begin()? } else { Factors::default() };
        Ok((RunState { parameters, selection, run, factors }, updater))
    }
}

/// The records of what was found to be damaged. People are told too.
fn found_records(folder: &RunFolder, passed_over: &[PassedOver], cut_off: u64) -> Vec<Record> {
    let mut seen: Vec<Observation> = Vec::new();
    for PassedOver { path, reason, .. } in passed_over {
        tracing::warn!("passed over a checkpoint: {reason}");
        let path = path.strip_prefix(folder.path()).unwrap_or(path).to_string_lossy().into_owned();
        let reason = Reason::new(reason.code(), reason.to_string());
        seen.push(Observation::CheckpointPassedOver { path, reason });
    }
    if cut_off > 0 {
        let message = format!("cut off {cut_off} bytes of a record that was torn");
        seen.push(Observation::Event { name: "journal_cut".into(), step: None, message });
    }
    seen.into_iter().map(|observation| Record::observed(now_ms(), observation)).collect()
}

//! How a run begins: in a folder of its own, or where another coordinator has left it.

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
    /// In a folder of its own.
    New(RunFolder),
    /// Where another coordinator has left it.
    Resumed(Box<ResumableRun>),
}

/// A run folder in which everything stands for the first step to come.
pub(crate) struct OpenRun {
    pub folder: RunFolder,
    pub fence: Fence,
    /// The disk, as long as the fence holds.
    pub disk: Arc<dyn Disk>,
    pub journal: Journal,
    /// What the run goes on from.
    pub found: Option<Found>,
    /// Steps whose checkpoints could not be understood, and stay.
    pub spared: Vec<u64>,
    /// The step that it goes on from, where it was taken up.
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
    /// Takes the next epoch and writes the first records, with the journal's name: from here on the
    /// run can be taken up again, should the power go too.
    ///
    /// # Errors
    /// The folder or the journal can't be written.
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
                    [started, first_records::settings(setup)]
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

/// Where in its steps a run is.
pub(crate) struct RunState {
    pub parameters: Arc<Parameters>,
    pub selection: Selection,
    pub run: Run,
    /// What the workers compute the next step's gradients with.
    pub factors: Factors,
}

impl RunState {
    /// At the checkpoint, or at the first step, with what makes updates from there.
    ///
    /// # Errors
    /// There is no memory for the parameters, the checkpoint is another experiment's, or the next
    /// step can't be begun.
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
            updater.restore(checkpoint).map_err(|reason| CoordinatorError::Misfit { step, reason })?;
            let stop_early = selection.restore(checkpoint);
            let count = |name| checkpoint.state(name).unwrap_or(0);
            run = run
                .resumed(checkpoint.state(EVALUATION_DUE).unwrap_or(false), stop_early)
                .having_skipped(Skipped { all: count(SKIPPED), in_a_row: count(SKIPPED_IN_A_ROW) });
        }
        let factors = if step < setup.steps { updater.begin()? } else { Factors::default() };
        Ok((RunState { parameters, selection, run, factors }, updater))
    }
}

/// What was found to be damaged, which people are told too.
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

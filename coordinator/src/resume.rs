//! What a run goes on from: its newest good checkpoint, its journal, and the experiment that it was
//! started with.
//!
//! Going on means the same bits as if nothing had happened, so whatever would change them is
//! refused, with what differs: another experiment (but for the number of workers and where the run
//! is tracked, which change nothing, and for what becomes of steps that are not finite), other
//! data, another device. A checkpoint that is damaged is passed over for the one before; where none
//! is good the run begins anew, and comes to the same results. Where one may be good for all that
//! is known, that is refused: the journal that it counts on may be put back, another build may read
//! it.
//!
//! A checkpoint is written when everything that led to it is in the journal and synced, so that no
//! crash leaves a journal that is shorter than a checkpoint says: where it is, somebody or
//! something else has cut it.

use std::path::{Path, PathBuf};

use experiment::{Cluster, Experiment, ExperimentError, Loaded, Paths, Tracking};
use indexmap::IndexMap;

use crate::{
    checkpoint::{self, Checkpoint, CheckpointError, Found, PassedOver},
    first_records::{FirstRecords, is_of_results},
    folder::RunFolder,
    journal::{self, Journal, JournalError},
    setup::Setup,
};

/// Which steps are recorded, and with what.
const RECORDED: [&str; 2] = ["tracking.weighting_every", "tracking.gramian_every"];

/// How many differences are told.
const TOLD_MAX: usize = 6;

/// A run that a coordinator has left, in a folder that this one has locked.
#[derive(Debug)]
pub struct ResumableRun {
    /// The folder.
    pub folder: RunFolder,
    /// The checkpoint to go on from, with the best parameters so far; none where the run goes on
    /// from its start.
    pub found: Option<Found>,
    /// Newer checkpoints that can't be used, newest first.
    pub passed_over: Vec<PassedOver>,
    /// The journal, without what a crash has torn; none where the run was stopped before there was
    /// one.
    pub(crate) journal: Option<Journal>,
    /// What the first records of the journal say.
    first: FirstRecords,
}

/// Why a run can't go on.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// The journal can't be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The folder of the checkpoints can't be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The saved experiment can't be read.
    #[error(transparent)]
    Experiment(#[from] Box<ExperimentError>),
    /// There are checkpoints, and the journal that they count on is gone.
    #[error("the run in {} can't go on: it has checkpoints and no journal.jsonl. Put the journal back, or, to begin the run again, remove its \
             folder `checkpoints`", path.display())]
    JournalMissing {
        /// The run folder.
        path: PathBuf,
    },
    /// The journal ends before all checkpoints.
    #[error("the run in {} can't go on: its journal has {found} bytes, and {needed} belong to the checkpoint of step {step}, the oldest that is \
             whole. Put the journal back as it was, or, to begin the run again, remove its folder `checkpoints`", path.display())]
    JournalCut {
        /// The run folder.
        path: PathBuf,
        /// The step of the oldest checkpoint that is whole.
        step: u64,
        /// Bytes that the journal had when it was written.
        needed: u64,
        /// Bytes that it has.
        found: u64,
    },
    /// The journal is not what the checkpoints count on, and none is older than the change.
    #[error("the run in {} can't go on: its journal was changed since the checkpoint of step {step} was written, and no checkpoint is older \
             than the change. Put the journal back as it was, or begin another run", path.display())]
    JournalChanged {
        /// The run folder.
        path: PathBuf,
        /// The step of the oldest checkpoint that is whole.
        step: u64,
    },
    /// No checkpoint can be used, and one is not damaged for all that is known.
    #[error("the run in {} can't go on: {reason}. No older checkpoint will do. Where that can be put right (by the build that wrote it, \
             or by making its files readable), do that; to begin the run again, remove its folder `checkpoints`", path.display())]
    NotUnderstood {
        /// The run folder.
        path: PathBuf,
        /// Why the oldest of them can't be used.
        reason: Box<CheckpointError>,
    },
    /// Something is not as it was.
    #[error("the run in {} can't go on, because {what} changed since: {}", path.display(), told(differences))]
    Changed {
        /// The run folder.
        path: PathBuf,
        /// The experiment, the data or the device.
        what: &'static str,
        /// What differs, in words.
        differences: Vec<String>,
    },
}

fn told(differences: &[String]) -> String {
    let more = differences.len().saturating_sub(TOLD_MAX);
    let first = differences.iter().take(TOLD_MAX).cloned().collect::<Vec<_>>().join("; ");
    if more > 0 { format!("{first}; and {more} more") } else { first }
}

impl ResumableRun {
    /// Finds what is left of the run in a folder.
    ///
    /// # Errors
    /// [`ResumeError::Journal`] where a line in the middle of the journal is damaged; where no
    /// checkpoint is good, and one may be for all that is known, one that says why; others where a
    /// file can't be read.
    pub fn find(folder: RunFolder) -> Result<ResumableRun, ResumeError> {
        let journal_path = folder.journal();
        if !journal_path.exists() {
            if !checkpoint::steps(folder.path())?.is_empty() {
                return Err(ResumeError::JournalMissing { path: folder.path().to_owned() });
            }
            let first = FirstRecords::default();
            return Ok(ResumableRun { folder, found: None, passed_over: Vec::new(), journal: None, first });
        }
        let (found, mut passed_over) = checkpoint::newest_good(folder.path(), Some(&journal_path))?;
        let oldest = passed_over.iter().rposition(|passed| passed.reason.may_be_put_right());
        if let (None, Some(oldest)) = (&found, oldest) {
            let PassedOver { step, reason, .. } = passed_over.swap_remove(oldest);
            return Err(refusal(&folder, step, reason));
        }
        let step = found.as_ref().map_or(0, |found| found.checkpoint.step);
        let journal = Some(Journal::open_at(&journal_path, step)?);
        let first = FirstRecords::read(&journal_path)?;
        Ok(ResumableRun { folder, found, passed_over, journal, first })
    }

    /// The checkpoint to go on from.
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        self.found.as_ref().map(|found| &found.checkpoint)
    }

    /// Updates done where the run goes on.
    pub fn step(&self) -> u64 {
        self.checkpoint().map_or(0, |checkpoint| checkpoint.step)
    }

    /// The device that the run was started with.
    pub fn device(&self) -> Option<&str> {
        self.first.device()
    }

    /// Whether the journal has the run's first records.
    pub(crate) fn has_begun(&self) -> bool {
        self.first.are_written()
    }

    /// The experiment that the run was started with, with `sets` applied. Paths are relative where
    /// they were.
    ///
    /// # Errors
    /// The saved file can't be read, or one of `sets` is refused.
    pub fn experiment(&self, sets: &[String]) -> Result<Loaded, ResumeError> {
        let mut loaded = model::load(&self.folder.experiment(), sets).map_err(Box::new)?;
        if let Some(base) = self.first.base() {
            loaded.base = PathBuf::from(base);
            let base = loaded.base.clone();
            let datasets = loaded.experiment.datasets.values_mut();
            for path in datasets.flat_map(|dataset| dataset.path.iter_mut()) {
                if let Ok(relative) = Path::new(path.as_str()).strip_prefix(&base) {
                    *path = relative.to_string_lossy().into_owned();
                }
            }
        }
        Ok(loaded)
    }

    /// Looks whether an experiment is the one that the run was started with, but for what changes
    /// no record: workers, leases, where the run is tracked, and the place of the data.
    ///
    /// # Errors
    /// [`ResumeError::Changed`] with the keys that differ.
    pub fn check_experiment(&self, loaded: &Loaded) -> Result<(), ResumeError> {
        let saved = model::load(&self.folder.experiment(), &[]).map_err(Box::new)?;
        let saved = keys(saved.experiment);
        if self.has_begun() {
            let (recorded, saved) = (comparable(self.first.parameters()), comparable(&saved));
            self.refuse_if("experiment.toml in it", differences(&recorded, &saved))?;
        }
        self.refuse_if("the experiment", differences(&saved, &keys(loaded.experiment.clone())))
    }

    /// Looks whether data and device are those that the run was started with.
    ///
    /// # Errors
    /// [`ResumeError::Changed`] with what differs.
    pub fn check(&self, setup: &Setup) -> Result<(), ResumeError> {
        let device = setup.device.to_string();
        let other = self.device().filter(|was| *was != device);
        let differences = other.map(|was| format!("it was {was}, and is {device}")).into_iter().collect();
        self.refuse_if("the device", differences)?;
        if let Some(checkpoint) = self.checkpoint() {
            let differences = match serde_json::from_str::<datasets::Plan>(&checkpoint.preprocessing) {
                Ok(plan) => plan.differences(&setup.prepared.plan),
                Err(error) => vec![format!("the checkpoint's plan is of another version: {error}")],
            };
            return self.refuse_if("the data", differences);
        }
        let other = self.first.data_sha256().filter(|was| *was != setup.data_sha256());
        self.refuse_if("the data", other.map(|_| "their digest is another one".to_owned()).into_iter().collect())
    }

    fn refuse_if(&self, what: &'static str, differences: Vec<String>) -> Result<(), ResumeError> {
        if differences.is_empty() {
            return Ok(());
        }
        Err(ResumeError::Changed { path: self.folder.path().to_owned(), what, differences })
    }
}

/// Why a run can't go on of whose checkpoints none can be used, the oldest of them that may be put
/// right for this `reason`.
fn refusal(folder: &RunFolder, step: u64, reason: CheckpointError) -> ResumeError {
    let path = folder.path().to_owned();
    match reason {
        CheckpointError::Journal { needed, found, .. } => ResumeError::JournalCut { path, step, needed, found },
        CheckpointError::JournalChanged { .. } => {
            // A line that is no record says where to look.
            let wrong = journal::read(&folder.journal())
                .and_then(|mut records| records.find_map(Result::err).map_or(Ok(()), Err));
            wrong.err().map_or(ResumeError::JournalChanged { path, step }, ResumeError::Journal)
        }
        reason => ResumeError::NotUnderstood { path, reason: Box::new(reason) },
    }
}

/// Every key that has a part in the results or in what is recorded of them, as flat text.
fn keys(mut experiment: Experiment) -> IndexMap<String, String> {
    // The data themselves are compared, wherever they lie.
    experiment.datasets.values_mut().for_each(|dataset| dataset.path = Paths::Files(Vec::new()));
    let Cluster { mixed, threads, .. } = experiment.cluster;
    experiment.cluster = Cluster { mixed, threads, ..Cluster::default() };
    // Which steps are recorded, and with what: records are compared, so they have to be the same.
    let Tracking { weighting_every, gramian_every, .. } = experiment.tracking;
    experiment.tracking = Tracking { weighting_every, gramian_every, ..Tracking::default() };
    // Up to a step that is not finite it makes no difference.
    experiment.train.on_nonfinite = Default::default();
    journal::flatten(&experiment).unwrap_or_default()
}

/// Of flat keys those that a journal's parameters have too, as [`keys`] has them.
fn comparable(keys: &IndexMap<String, String>) -> IndexMap<String, String> {
    let is_path =
        |key: &str| key.starts_with("dataset.") && key.split('.').nth(2).is_some_and(|key| key.starts_with("path"));
    let counts =
        |key: &str| (is_of_results(key) || RECORDED.contains(&key)) && key != "train.on_nonfinite" && !is_path(key);
    let recorded = keys.iter().filter(|(key, _)| counts(key));
    recorded.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn differences(was: &IndexMap<String, String>, is: &IndexMap<String, String>) -> Vec<String> {
    let text = |value: Option<&String>| value.map_or("nothing".to_owned(), String::clone);
    let all = was.keys().chain(is.keys().filter(|key| !was.contains_key(*key)));
    let changed = all.filter(|key| was.get(*key) != is.get(*key));
    changed.map(|key| format!("`{key}` was {}, and is {}", text(was.get(key)), text(is.get(key)))).collect()
}

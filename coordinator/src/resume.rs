//! What a run is resumed from: its newest good checkpoint, its journal and its experiment.
//!
//! A resumed run gives the same bits as one that was never interrupted. So whatever would change
//! the bits is refused, with what differs: another experiment, other data, another device. The
//! number of workers, where the run is tracked and what happens to steps that are not finite may
//! change.
//!
//! If a checkpoint is damaged, the one before is used. If all are damaged, the run begins again and
//! gives the same results. If one may be intact, the run is refused instead: somebody may put back
//! the journal that belongs to it, or use the build that can read it.
//!
//! A checkpoint is written after the journal that leads to it is synced. So no crash can leave a
//! journal that is shorter than a checkpoint says: something else has cut it.

use std::path::{Path, PathBuf};

use experiment::{Cluster, Experiment, ExperimentError, Loaded, Paths, Tracking};
use indexmap::IndexMap;
use settings::catalogue::Lacking;

use crate::{
    changeable,
    checkpoint::{self, Checkpoint, CheckpointError, Found, PassedOver},
    first_records::{FirstRecords, is_of_results},
    folder::RunFolder,
    journal::{self, Journal, JournalError},
    parts,
    setup::Setup,
};

/// The keys that decide which steps are recorded, and with what.
const RECORDED: [&str; 3] = ["tracking.every", "tracking.weighting_every", "tracking.gramian_every"];

/// How many differences an error lists.
const TOLD_MAX: usize = 6;

/// A run that another coordinator has left. Its folder is locked by this one.
#[derive(Debug)]
pub struct ResumableRun {
    /// The folder.
    pub folder: RunFolder,
    /// The checkpoint to go on from, with the best parameters so far. `None`: the run begins at its
    /// first step.
    pub found: Option<Found>,
    /// Newer checkpoints that can't be used, newest first.
    pub passed_over: Vec<PassedOver>,
    /// The journal, without a last line that a crash has torn. `None`: the run was stopped before
    /// there was one.
    pub(crate) journal: Option<Journal>,
    /// What the first records of the journal say.
    first: FirstRecords,
}

/// Why a run can't be resumed.
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
    /// This binary does not have a part that the run's experiment uses.
    #[error("{0}: resume it with the same binary")]
    Part(#[from] Lacking),
    /// There are checkpoints, but the journal that belongs to them is missing.
    #[error("the run in {} can't go on: it has checkpoints and no journal.jsonl. Put the journal back. Or remove the folder \
             `checkpoints` to begin the run again", path.display())]
    JournalMissing {
        /// The run folder.
        path: PathBuf,
    },
    /// The journal is shorter than all checkpoints say.
    #[error("the run in {} can't go on: its journal has {found} bytes, but {needed} belong to the checkpoint of step {step}, the oldest that is \
             intact. Put the journal back as it was. Or remove the folder `checkpoints` to begin the run again", path.display())]
    JournalCut {
        /// The run folder.
        path: PathBuf,
        /// The step of the oldest checkpoint that is intact.
        step: u64,
        /// The length that the journal had when that checkpoint was written, bytes.
        needed: u64,
        /// The length of the journal now, bytes.
        found: u64,
    },
    /// The journal was changed, and all checkpoints are newer than the change.
    #[error("the run in {} can't go on: its journal was changed since the checkpoint of step {step} was written, and no checkpoint is older \
             than the change. Put the journal back as it was, or begin another run", path.display())]
    JournalChanged {
        /// The run folder.
        path: PathBuf,
        /// The step of the oldest checkpoint that is intact.
        step: u64,
    },
    /// No checkpoint can be used, but one may be intact.
    #[error("the run in {} can't go on: {reason}. No older checkpoint can be used. Use the build that wrote it, or make its files \
             readable. Or remove the folder `checkpoints` to begin the run again", path.display())]
    NotUnderstood {
        /// The run folder.
        path: PathBuf,
        /// Why the oldest checkpoint can't be used.
        reason: Box<CheckpointError>,
    },
    /// The experiment, the data or the device changed.
    #[error("the run in {} can't go on, because {what} changed: {}{way}", path.display(), told(differences))]
    Changed {
        /// The run folder.
        path: PathBuf,
        /// What changed: the experiment, the data or the device.
        what: &'static str,
        /// What differs, in words.
        differences: Vec<String>,
        /// How to go on with what differs, in a line of its own; empty if there is no way.
        way: String,
    },
    /// Keys differ that a run can't go on with, even as a new run.
    #[error("no run can go on from the state of the run in {} with other values of these keys: {}. What may change is {}", path.display(), told(differences), changeable::MAY_CHANGE)]
    NotExtendable {
        /// The run folder.
        path: PathBuf,
        /// What differs, in words.
        differences: Vec<String>,
    },
    /// A new run would have nothing to do.
    #[error("the run in {} has done {step} steps already, and the new one would end after {steps}: give a larger `train.steps` or `train.epochs`", path.display())]
    NothingToDo {
        /// The run folder.
        path: PathBuf,
        /// Updates done.
        step: u64,
        /// Updates after which the new run ends.
        steps: u64,
    },
    /// There is no checkpoint to go on from.
    #[error(
        "the run in {} has no checkpoint to go on from: resume it without --extend until it has written one, or begin a new run with --set",
        path.display()
    )]
    NoState {
        /// The run folder.
        path: PathBuf,
    },
}

fn told(differences: &[String]) -> String {
    let more = differences.len().saturating_sub(TOLD_MAX);
    let first = differences.iter().take(TOLD_MAX).cloned().collect::<Vec<_>>().join("; ");
    if more > 0 { format!("{first}; and {more} more") } else { first }
}

impl ResumableRun {
    /// Finds the run in a folder.
    ///
    /// # Errors
    /// If a file can't be read, if a line in the middle of the journal is damaged
    /// ([`ResumeError::Journal`]), or if no checkpoint can be used but one may be intact.
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

    /// The checkpoint to go on from, if there is one.
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        self.found.as_ref().map(|found| &found.checkpoint)
    }

    /// Updates that are done when the run goes on.
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

    /// The experiment of the run, with `sets` applied. Its paths are relative if they were in the
    /// original file.
    ///
    /// # Errors
    /// If the saved file can't be read, or one of `sets` is refused.
    pub fn experiment(&self, sets: &[String]) -> Result<Loaded, ResumeError> {
        parts::check(&self.first.parts())?;
        let mut loaded = model::load(&self.folder.experiment(), sets).map_err(Box::new)?;
        if let Some(base) = self.first.base() {
            loaded.base = PathBuf::from(base);
            let base = loaded.base.clone();
            let datasets = loaded.experiment.datasets.values_mut();
            for path in datasets.flat_map(|dataset| dataset.paths_mut()) {
                if let Ok(relative) = Path::new(path.as_str()).strip_prefix(&base) {
                    *path = relative.to_string_lossy().into_owned();
                }
            }
        }
        Ok(loaded)
    }

    /// Checks that an experiment is that of the run. What changes no record may differ: workers,
    /// leases, where the run is tracked and the place of the data.
    ///
    /// # Errors
    /// [`ResumeError::Changed`] with the keys that differ.
    pub fn check_experiment(&self, loaded: &Loaded) -> Result<(), ResumeError> {
        parts::check(&self.first.parts())?;
        let saved = model::load(&self.folder.experiment(), &[]).map_err(Box::new)?;
        let saved = keys(saved.experiment);
        if self.has_begun() {
            let (recorded, saved) = (comparable(self.first.parameters()), comparable(&saved));
            self.refuse_if("experiment.toml in it", differences(&recorded, &saved))?;
        }
        let given = keys(loaded.experiment.clone());
        let differing = differing(&saved, &given);
        if differing.is_empty() {
            return Ok(());
        }
        let path = self.folder.path();
        // A key that is left out has no value to give. The length may be: the other key gives it.
        let has_value = |key: &str| given.contains_key(key) || ["train.steps", "train.epochs"].contains(&key);
        let way = if differing.iter().all(|key| changeable::may_change(key) && has_value(key)) {
            let keys = differing.iter().filter_map(|key| Some(format!(" --extend '{key}={}'", given.get(*key)?)));
            format!(
                "\n = a new run can go on from its state: `--resume '{}'{}`",
                path.display(),
                keys.collect::<String>()
            )
        } else {
            String::new()
        };
        let differences = differences(&saved, &given);
        Err(ResumeError::Changed { path: path.to_owned(), what: "the experiment", differences, way })
    }

    /// Checks that a new run of this experiment can go on from the state of this one.
    ///
    /// # Errors
    /// [`ResumeError::NotExtendable`] with the keys that would have to stay.
    pub fn check_extension(&self, loaded: &Loaded) -> Result<(), ResumeError> {
        parts::check(&self.first.parts())?;
        let saved = keys(model::load(&self.folder.experiment(), &[]).map_err(Box::new)?.experiment);
        let mut given = keys(loaded.experiment.clone());
        let may_change = |key: &str| changeable::may_change(key);
        given.retain(|key, _| !may_change(key));
        let saved = saved.into_iter().filter(|(key, _)| !may_change(key)).collect();
        let differences = differences(&saved, &given);
        if differences.is_empty() {
            return Ok(());
        }
        Err(ResumeError::NotExtendable { path: self.folder.path().to_owned(), differences })
    }

    /// Checks that a new run of so many steps has something to do.
    ///
    /// # Errors
    /// [`ResumeError::NothingToDo`] or [`ResumeError::NoState`].
    pub fn check_length(&self, steps: u64) -> Result<(), ResumeError> {
        let path = || self.folder.path().to_owned();
        match self.checkpoint() {
            None => Err(ResumeError::NoState { path: path() }),
            Some(checkpoint) if checkpoint.step >= steps => {
                Err(ResumeError::NothingToDo { path: path(), step: checkpoint.step, steps })
            }
            Some(_) => Ok(()),
        }
    }

    /// Checks that data and device are those of the run.
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
        Err(ResumeError::Changed { path: self.folder.path().to_owned(), what, differences, way: String::new() })
    }
}

/// Why a run without a usable checkpoint can't be resumed. The checkpoint of `step` is the oldest
/// that may be intact; `reason` says why it can't be used.
fn refusal(folder: &RunFolder, step: u64, reason: CheckpointError) -> ResumeError {
    let path = folder.path().to_owned();
    match reason {
        CheckpointError::Journal { needed, found, .. } => ResumeError::JournalCut { path, step, needed, found },
        CheckpointError::JournalChanged { .. } => {
            // If a line of the journal is not a record, the error names that line.
            let wrong = journal::read(&folder.journal())
                .and_then(|mut records| records.find_map(Result::err).map_or(Ok(()), Err));
            wrong.err().map_or(ResumeError::JournalChanged { path, step }, ResumeError::Journal)
        }
        reason => ResumeError::NotUnderstood { path, reason: Box::new(reason) },
    }
}

/// The keys that results or their records depend on, as flat text.
fn keys(mut experiment: Experiment) -> IndexMap<String, String> {
    // The data are compared by their content, not by their place.
    for dataset in experiment.datasets.values_mut() {
        dataset.path = Paths::Files(Vec::new());
        dataset.split.file = None;
    }
    let Cluster { mixed, threads, .. } = experiment.cluster;
    experiment.cluster = Cluster { mixed, threads, ..Cluster::default() };
    // Records are compared, so the same steps have to be recorded.
    let Tracking { every, weighting_every, gramian_every, .. } = experiment.tracking;
    experiment.tracking = Tracking { every, weighting_every, gramian_every, ..Tracking::default() };
    // This key makes no difference before the first step that is not finite.
    experiment.train.on_nonfinite = Default::default();
    journal::flatten(&experiment).unwrap_or_default()
}

/// The keys of a journal's parameters that [`keys`] has too.
fn comparable(keys: &IndexMap<String, String>) -> IndexMap<String, String> {
    let is_path = |key: &str| {
        let mut keys = key.split('.');
        match (keys.next(), keys.nth(1)) {
            (Some("dataset"), Some("split")) => keys.next() == Some("file"),
            (Some("dataset"), Some(key)) => key.starts_with("path"),
            _ => false,
        }
    };
    let counts =
        |key: &str| (is_of_results(key) || RECORDED.contains(&key)) && key != "train.on_nonfinite" && !is_path(key);
    let recorded = keys.iter().filter(|(key, _)| counts(key));
    recorded.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// The keys that have other values.
fn differing<'a>(was: &'a IndexMap<String, String>, is: &'a IndexMap<String, String>) -> Vec<&'a String> {
    let all = was.keys().chain(is.keys().filter(|key| !was.contains_key(*key)));
    all.filter(|key| was.get(*key) != is.get(*key)).collect()
}

fn differences(was: &IndexMap<String, String>, is: &IndexMap<String, String>) -> Vec<String> {
    let text = |value: Option<&String>| value.map_or("nothing".to_owned(), String::clone);
    let said = |key: &String| format!("`{key}` was {}, and is {}", text(was.get(key)), text(is.get(key)));
    differing(was, is).into_iter().map(said).collect()
}

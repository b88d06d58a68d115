//! The records that a journal begins with: the experiment, and what identifies its data and device.
//!
//! [`write`] makes them for a new run. [`FirstRecords::read`] finds them again when the run is
//! resumed.

use std::path::Path;

use indexmap::IndexMap;
use settings::catalogue::AddedPart;

use crate::{
    clock::now_ms,
    journal::{self, JournalError, Observation, Outcome, Reason, Record},
    options::Options,
    parts,
    setup::Setup,
};

/// The tag that holds the folder to which relative data paths refer.
const BASE: &str = "data.base";
/// The tag that holds the device on which workers compute.
const DEVICE: &str = "device";
/// The tag that holds the sha256 of the data plan.
const DATA: &str = "data.sha256";

/// What the first records of a journal say.
#[derive(Debug, Default)]
pub(crate) struct FirstRecords {
    /// Tags; empty if the run was stopped before they were written.
    tags: IndexMap<String, String>,
    /// The experiment as flat keys, including those that no result depends on.
    parameters: IndexMap<String, String>,
}

impl FirstRecords {
    /// The parts that the run's experiment uses and that are not built in.
    pub(crate) fn parts(&self) -> Vec<AddedPart> {
        parts::of_tags(&self.tags)
    }

    /// Reads the first records of a journal.
    ///
    /// # Errors
    /// If the journal or one of the first records can't be read.
    pub(crate) fn read(journal: &Path) -> Result<FirstRecords, JournalError> {
        let mut first = FirstRecords::default();
        for record in journal::read(journal)? {
            match record? {
                Record::Result { outcome: Outcome::Parameters { parameters }, .. } => {
                    first.parameters.extend(parameters);
                }
                Record::Observed { observation: Observation::Settings { settings }, .. } => {
                    first.parameters.extend(settings);
                }
                Record::Result { outcome: Outcome::Tags { tags }, .. } => {
                    first.tags.extend(tags);
                    // The tags are the last of the records that are read here.
                    break;
                }
                _ => {}
            }
        }
        Ok(first)
    }

    /// Whether all first records were written before the run stopped.
    pub(crate) fn are_written(&self) -> bool {
        !self.tags.is_empty()
    }

    /// The experiment as flat keys, including those that no result depends on.
    pub(crate) fn parameters(&self) -> &IndexMap<String, String> {
        &self.parameters
    }

    /// The folder to which relative data paths refer.
    pub(crate) fn base(&self) -> Option<&str> {
        self.tags.get(BASE).map(String::as_str)
    }

    /// The device with which the run was started.
    pub(crate) fn device(&self) -> Option<&str> {
        self.tags.get(DEVICE).map(String::as_str)
    }

    /// The sha256 of the data plan with which the run was started.
    pub(crate) fn data_sha256(&self) -> Option<&str> {
        self.tags.get(DATA).map(String::as_str)
    }
}

/// Whether results depend on a key of the experiment.
pub(crate) fn is_of_results(key: &str) -> bool {
    /// Keys of `cluster` that decide which bits are computed.
    const OF_RESULTS: [&str; 2] = ["cluster.mixed", "cluster.threads"];
    OF_RESULTS.contains(&key) || !(key.starts_with("cluster.") || key.starts_with("tracking."))
}

/// The record of a coordinator that starts, with the step from which it resumes the run.
pub(crate) fn started(epoch: u64, resumed_from: Option<u64>) -> Observation {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Observation::Started { schema: journal::SCHEMA, version, epoch, resumed_from }
}

/// The record of how this coordinator was started.
pub(crate) fn launched(options: &Options) -> Observation {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    Observation::Launched { command: options.command.clone(), user: options.user.clone(), host }
}

/// The record of the experiment's keys that no result depends on.
pub(crate) fn settings(setup: &Setup) -> Observation {
    Observation::Settings { settings: keys(setup).1 }
}

/// The first records of a new run.
pub(crate) fn write(setup: &Setup, options: &Options, epoch: u64) -> Vec<Record> {
    let now = now_ms();
    let experiment = &setup.loaded.experiment;
    let (parameters, settings) = keys(setup);
    let mut tags = IndexMap::from([
        ("seed".to_owned(), experiment.seed.to_string()),
        (DEVICE.to_owned(), setup.device.to_string()),
        ("trunkline.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        (BASE.to_owned(), setup.base().to_string_lossy().into_owned()),
        (DATA.to_owned(), setup.data_sha256()),
    ]);
    tags.extend(parts::tags(&experiment.uses(&settings::catalogue::added())));
    tags.extend(options.tags.clone());
    let warnings = setup.prepared.summary.warnings.iter().map(|warning| {
        let reason = Reason::new("data", warning.clone());
        Record::observed(now, Observation::Warning { reason })
    });
    let first = [
        Record::observed(now, started(epoch, None)),
        Record::observed(now, launched(options)),
        Record::observed(now, Observation::Settings { settings }),
        Record::result(now, Outcome::Parameters { parameters }),
        Record::result(now, Outcome::Tags { tags }),
    ];
    first.into_iter().chain(warnings).collect()
}

/// The experiment as flat keys: those that results depend on, and the others.
fn keys(setup: &Setup) -> (IndexMap<String, String>, IndexMap<String, String>) {
    let all = journal::flatten(&setup.loaded.experiment).unwrap_or_default();
    all.into_iter().partition(|(key, _)| is_of_results(key))
}

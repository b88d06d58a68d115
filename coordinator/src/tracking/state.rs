//! How much of the journal the server has accepted: `tracking.json` in the run folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The contents of `tracking.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TrackingState {
    /// The server's address without the login.
    pub uri: String,
    /// The unique key of the MLflow run. The run is found by it even if the answer to its creation
    /// was lost.
    pub run_key: String,
    /// The id of the MLflow experiment, once known.
    pub experiment_id: Option<String>,
    /// The id of the MLflow run, once created.
    pub run_id: Option<String>,
    /// How many bytes of the journal the server has accepted.
    pub position: u64,
}

/// The file `tracking.json` of a run folder.
#[derive(Debug)]
pub(super) struct StateFile(PathBuf);

impl StateFile {
    pub fn of(run_dir: &Path) -> StateFile {
        StateFile(run_dir.join("tracking.json"))
    }

    /// The state that was stored for the server `uri`. `None` if there is none, or if it can't be
    /// read: then the journal is sent from its start, which loses nothing.
    pub fn load(&self, uri: &str) -> Option<TrackingState> {
        let text = fs::read_to_string(&self.0).ok()?;
        serde_json::from_str::<TrackingState>(&text).ok().filter(|state| state.uri == uri)
    }

    /// Stores the state atomically.
    ///
    /// It is neither synced nor fenced. After a loss of power, or if a fenced coordinator stores
    /// its position once more, some points are sent twice. MLflow stores them once.
    pub fn store(&self, state: &TrackingState) -> io::Result<()> {
        let beside = self.0.with_extension("json.new");
        fs::write(&beside, serde_json::to_vec(state)?)?;
        fs::rename(&beside, &self.0)
    }
}

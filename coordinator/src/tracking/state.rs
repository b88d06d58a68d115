//! How far a server has taken the journal, kept in the run folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What `tracking.json` holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// The server.
    pub uri: String,
    /// What the MLflow run is found by, whatever became of the answer to its creation.
    pub run_key: String,
    /// The MLflow experiment, once known.
    pub experiment_id: Option<String>,
    /// The MLflow run, once created.
    pub run_id: Option<String>,
    /// Bytes of the journal that the server has.
    pub position: u64,
}

/// The file.
#[derive(Debug)]
pub(super) struct StateFile(PathBuf);

impl StateFile {
    pub fn of(run_dir: &Path) -> StateFile {
        StateFile(run_dir.join("tracking.json"))
    }

    /// What was stored for this server. Anything unreadable is nothing: the journal is sent from
    /// its start, which loses nothing.
    pub fn load(&self, uri: &str) -> Option<State> {
        let text = fs::read_to_string(&self.0).ok()?;
        serde_json::from_str::<State>(&text).ok().filter(|state| state.uri == uri)
    }

    /// Stores it whole. It is neither synced nor fenced: after a loss of power, or where a
    /// coordinator that another one has taken over stores its own position once more, some points
    /// are sent again, and a point that is sent twice is one.
    pub fn store(&self, state: &State) -> io::Result<()> {
        let beside = self.0.with_extension("json.new");
        fs::write(&beside, serde_json::to_vec(state)?)?;
        fs::rename(&beside, &self.0)
    }
}

//! `manifest.json`: what a checkpoint says of itself.

use std::fs;
use std::path::Path;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::error::{CheckpointError, failed};
use super::place::folder_name;
use super::tensors::{SavedBlock, Tensor, parameters_sha256};
use super::{Checkpoint, SCHEMA};
use crate::digest::sha256;

/// The manifest's file name.
pub(super) const MANIFEST: &str = "manifest.json";

/// The text before the manifest's own hash.
const OWN_HASH_KEY: &str = "\"manifest_sha256\": \"";

#[derive(Serialize, Deserialize)]
pub(super) struct Manifest {
    schema: u32,
    /// The sha256 of the manifest's text in which this value is empty.
    manifest_sha256: String,
    pub step: u64,
    pub epoch: u64,
    /// The step of the best parameters so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<u64>,
    /// Length in bytes of the part of the journal that led to the checkpoint.
    #[serde(default)]
    pub journal_bytes: u64,
    /// The sha256 of that part of the journal. Empty if it is not known.
    #[serde(default)]
    pub journal_sha256: String,
    /// The version of the program that wrote the checkpoint.
    version: String,
    /// The number of parameters.
    pub parameters: usize,
    pub parameters_sha256: String,
    /// The sha256 of every other file, by file name.
    pub files: IndexMap<String, String>,
    pub blocks: Vec<SavedBlock>,
    /// Names of the optimizer's vectors, in the caller's order.
    pub optimizer: Vec<String>,
    /// Names of the weighting's vectors, in the caller's order.
    pub weighting: Vec<String>,
    pub states: IndexMap<String, String>,
}

/// The part of a manifest that is checked before the rest is parsed. Every schema from 2 on has it.
#[derive(Deserialize)]
struct FileHash {
    schema: u32,
    manifest_sha256: Option<String>,
}

impl Manifest {
    /// The manifest of `checkpoint`. `files` has the sha256 of each file by its name.
    pub fn new(checkpoint: &Checkpoint, files: IndexMap<String, String>) -> Manifest {
        let names = |tensors: &[Tensor]| tensors.iter().map(|tensor| tensor.name.clone()).collect();
        Manifest {
            schema: SCHEMA,
            manifest_sha256: String::new(),
            step: checkpoint.step,
            epoch: checkpoint.epoch,
            best: checkpoint.best,
            journal_bytes: checkpoint.journal_bytes,
            journal_sha256: checkpoint.journal_sha256.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            parameters: checkpoint.parameters.len(),
            parameters_sha256: parameters_sha256(&checkpoint.parameters),
            files,
            blocks: checkpoint.blocks.clone(),
            optimizer: names(&checkpoint.optimizer),
            weighting: names(&checkpoint.weighting),
            states: checkpoint.states.clone(),
        }
    }

    /// The manifest's text, with its own hash.
    pub fn to_text(&self) -> String {
        let text = serde_json::to_string_pretty(self).expect("a manifest has text keys and serialises") + "\n";
        let with_hash = format!("{OWN_HASH_KEY}{}", sha256(text.as_bytes()));
        text.replacen(OWN_HASH_KEY, &with_hash, 1)
    }

    /// Reads the manifest of the checkpoint in the folder `path`, and checks its hash and its step.
    ///
    /// # Errors
    /// The file can't be read or parsed, its hash does not match, another version wrote it, or its
    /// step is not the folder's.
    pub fn read(path: &Path) -> Result<Manifest, CheckpointError> {
        let file = path.join(MANIFEST);
        let bytes = fs::read(&file).map_err(failed(&file, "reading"))?;
        let wrong = |message: String| CheckpointError::Manifest { path: path.to_owned(), message };
        let text = String::from_utf8(bytes).map_err(|error| wrong(error.to_string()))?;
        let hash: FileHash = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        if let Some(recorded) = hash.manifest_sha256 {
            let found = hash_without(&text, &recorded);
            if recorded != found {
                return Err(CheckpointError::Hash {
                    path: path.to_owned(),
                    file: MANIFEST.to_owned(),
                    recorded,
                    found,
                });
            }
        } else if hash.schema == SCHEMA {
            return Err(wrong("it has no `manifest_sha256`".to_owned()));
        }
        if hash.schema != SCHEMA {
            return Err(CheckpointError::Schema { path: path.to_owned(), found: hash.schema });
        }
        let manifest: Manifest = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        if path.file_name() != Some(folder_name(manifest.step).as_ref()) {
            return Err(wrong(format!("it is of step {}, which is not this folder's", manifest.step)));
        }
        Ok(manifest)
    }
}

/// The sha256 of a manifest's text after its own hash, `recorded`, is removed from it.
fn hash_without(text: &str, recorded: &str) -> String {
    sha256(text.replacen(&format!("{OWN_HASH_KEY}{recorded}"), OWN_HASH_KEY, 1).as_bytes())
}

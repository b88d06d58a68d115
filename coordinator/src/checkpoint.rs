//! Checkpoints: all that a run needs to go on from a step.
//!
//! ```text
//! checkpoints/
//!   best                      the step that `checkpoint.best` chose, in decimal digits
//!   step-000600/
//!     manifest.json           step, epoch, best step, the journal's length and sha256, layout,
//!                             states, schema, the sha256 of every file and of the manifest
//!     model.safetensors       one f32 tensor for each block, with the layout's names and shapes
//!     optimizer.safetensors   the optimizer's vectors
//!     weighting.safetensors   the weighting's vectors
//!     preprocessing.json      the data plan, as the caller's text
//! ```
//!
//! # What holds
//!
//! - A checkpoint is complete or absent. It is written under a name that starts with a dot. Every
//!   file and the folder are synced, and then the folder is renamed. Readers ignore names that
//!   start with a dot.
//! - Damage is found. The manifest has the sha256 of every other file. It also has the sha256 of
//!   its own text, computed while `manifest_sha256` is empty. [`load`] checks all of them, the
//!   parameters' own sha256, and that the step is the folder's. [`newest_good`] takes the newest
//!   checkpoint that passes, and reports the ones it passed over.
//! - The best parameters are never lost. They are in an earlier checkpoint, which is kept as long
//!   as a kept checkpoint names it.
//! - Floating-point state comes back with the same bits. It is stored in tensors or as text, never
//!   as a JSON number.
//!
//! # What it leaves out
//!
//! This module knows no model: a [`SavedBlock`] is a name, a shape and an offset into one flat
//! vector.

mod error;
mod files;
mod keeper;
mod manifest;
mod newest;
mod place;
mod retention;
mod tensors;

use std::str::FromStr;

use indexmap::IndexMap;

pub use error::CheckpointError;
pub use files::{load, load_model, write};
pub use keeper::{Keeper, Kept};
pub use newest::{Found, PassedOver, newest_good};
pub use place::{path_of, steps};
pub use retention::{best, mark_best, prune, sync};
pub use tensors::{SavedBlock, Tensor, Values, parameters_sha256};

/// The schema's number, which is in every manifest.
///
/// It changes when a reader of an older schema would misread a checkpoint, or could not tell that
/// it is damaged. Schema 1 had no hash of the manifest. Schema 2 kept the weights of classes apart
/// from the loss, where this reader would not find them. Neither is read.
pub const SCHEMA: u32 = 3;

/// The state of a run after a step.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Checkpoint {
    /// Updates done.
    pub step: u64,
    /// The epoch of the coordinator that wrote it.
    pub epoch: u64,
    /// The step of the best parameters so far. Their checkpoint is kept as long as this one.
    pub best: Option<u64>,
    /// Length in bytes of the part of the journal that led to this checkpoint.
    pub journal_bytes: u64,
    /// The sha256 of that part of the journal. Empty if it is not known.
    pub journal_sha256: String,
    /// The blocks of `parameters`. Each parameter is in exactly one block.
    pub blocks: Vec<SavedBlock>,
    /// All parameters in layout order.
    pub parameters: Vec<f32>,
    /// The optimizer's vectors.
    pub optimizer: Vec<Tensor>,
    /// The weighting's vectors.
    pub weighting: Vec<Tensor>,
    /// The data plan with the fitted preprocessing: the text of `preprocessing.json`.
    pub preprocessing: String,
    /// All other state of the run, by name. A number is its `Display` form, which parses back to
    /// the same bits.
    pub states: IndexMap<String, String>,
}

impl Checkpoint {
    /// The state called `name`. `None` if it is absent or does not parse.
    pub fn state<T: FromStr>(&self, name: &str) -> Option<T> {
        self.states.get(name)?.parse().ok()
    }
}

//! Checkpoints: everything that a run needs to go on from a step, whole or not there at all.
//!
//! ```text
//! checkpoints/
//!   best                      the step that `checkpoint.best` chose, in digits
//!   step-000600/
//!     manifest.json           step, epoch, best, the journal's length and sha256, sha256 of every file and of itself, layout, states, schema
//!     model.safetensors       one f32 tensor a block, with the layout's names and shapes
//!     optimizer.safetensors   the optimizer's vectors
//!     weighting.safetensors   the weighting's
//!     preprocessing.json      the data plan, as text of the caller
//! ```
//!
//! A checkpoint is written beside its place, every file and the folder synced, and then renamed, so
//! a crash leaves either all of it or a folder whose name starts with a dot, which no reader looks
//! at. The manifest has the sha256 of every other file, and of its own text (with `manifest_sha256`
//! left empty); [`load`] refuses a checkpoint in which one does not hold, or whose parameters or
//! step are not those that the manifest and the folder's name say; [`newest_good`] then takes the
//! one before and says so. The best parameters so far are those of an earlier checkpoint, which is
//! kept as long as any that names it.
//!
//! This module knows no model: a [`Block`] is a name, a shape and an offset into one flat vector.
//! Floating-point state is kept in tensors or as text, never as a JSON number, so that it comes
//! back with the same bits.

mod disk;
mod folder;
mod keeper;
mod tensors;

use std::path::PathBuf;
use std::str::FromStr;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use disk::{load, load_model, write};
pub use folder::{Found, PassedOver, best, hold, keep, mark_best, newest_good, path_of, steps};
pub use keeper::{Keeper, Kept};

/// The schema's number, in every manifest. It changes when a reader of an older one would be wrong,
/// or could not tell what was damaged: manifests of schema 1 have no hash of their own, and are not
/// read.
pub const SCHEMA: u32 = 2;

/// A named part of the flat parameter vector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// The layout's name, for example `trunk.0.weight`.
    pub name: String,
    /// The sizes of its axes; their product is its length.
    pub shape: Vec<usize>,
    /// Where it starts in the flat vector.
    pub offset: usize,
}

impl Block {
    /// How many numbers it has.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A named vector of state.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Its name, one of its kind in the checkpoint.
    pub name: String,
    /// Its numbers.
    pub values: Values,
}

impl Tensor {
    /// A named vector.
    pub fn new(name: impl Into<String>, values: impl Into<Values>) -> Tensor {
        Tensor { name: name.into(), values: values.into() }
    }
}

/// The numbers of a [`Tensor`].
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Single precision.
    F32(Vec<f32>),
    /// Double precision.
    F64(Vec<f64>),
    /// Counts.
    U64(Vec<u64>),
}

impl From<Vec<f32>> for Values {
    fn from(values: Vec<f32>) -> Values {
        Values::F32(values)
    }
}

impl From<Vec<f64>> for Values {
    fn from(values: Vec<f64>) -> Values {
        Values::F64(values)
    }
}

impl From<Vec<u64>> for Values {
    fn from(values: Vec<u64>) -> Values {
        Values::U64(values)
    }
}

/// The state of a run after a step.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Checkpoint {
    /// Updates done.
    pub step: u64,
    /// The epoch of the coordinator that wrote it.
    pub epoch: u64,
    /// The step of the best parameters so far; their checkpoint is kept as long as this one.
    pub best: Option<u64>,
    /// Bytes of the journal that hold everything up to this checkpoint.
    pub journal_bytes: u64,
    /// Their sha256; empty: it is not known.
    pub journal_sha256: String,
    /// The blocks of `parameters`, which cover it without overlap.
    pub blocks: Vec<Block>,
    /// All parameters in layout order.
    pub parameters: Vec<f32>,
    /// The optimizer's vectors.
    pub optimizer: Vec<Tensor>,
    /// The weighting's vectors.
    pub weighting: Vec<Tensor>,
    /// The data plan with the fitted preprocessing, as the text that `preprocessing.json` has.
    pub preprocessing: String,
    /// Everything else that the run's state machine keeps, by name. A number is its `Display` form,
    /// which parses back exactly.
    pub states: IndexMap<String, String>,
}

impl Checkpoint {
    /// A state by name, where it is there and parses.
    pub fn state<T: FromStr>(&self, name: &str) -> Option<T> {
        self.states.get(name)?.parse().ok()
    }
}

/// The sha256 of the little-endian f32 bytes of all parameters in layout order, as lowercase
/// hexadecimal digits.
pub fn parameters_sha256(parameters: &[f32]) -> String {
    sha256(&tensors::le_bytes(parameters))
}

/// The sha256 of some bytes, as lowercase hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    digits(Sha256::new_with_prefix(bytes))
}

/// What a sha256 has come to, as lowercase hexadecimal digits.
pub(crate) fn digits(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Why a checkpoint could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file system refused.
    #[error("checkpoint {}: {action}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The manifest can't be understood.
    #[error("checkpoint {}: manifest.json: {message}", path.display())]
    Manifest {
        /// The checkpoint.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The manifest is of another version of the program.
    #[error("checkpoint {}: it has schema {found}, and this build reads schema {SCHEMA}: use the build that wrote it", path.display())]
    Schema {
        /// The checkpoint.
        path: PathBuf,
        /// Its schema.
        found: u32,
    },
    /// A file is not what was written.
    #[error("checkpoint {}: {file} is damaged: its sha256 is {found}, the manifest has {recorded}", path.display())]
    Hash {
        /// The checkpoint.
        path: PathBuf,
        /// The file in it.
        file: String,
        /// What the manifest says.
        recorded: String,
        /// What the file has.
        found: String,
    },
    /// The journal has lost records that were in it when the checkpoint was written.
    #[error("checkpoint {}: the journal has {found} bytes, and {needed} belong to this checkpoint: its end is lost", path.display())]
    Journal {
        /// The checkpoint.
        path: PathBuf,
        /// Bytes that the journal had.
        needed: u64,
        /// Bytes that it has.
        found: u64,
    },
    /// What was in the journal when the checkpoint was written is not what it has now.
    #[error("checkpoint {}: the journal's first {bytes} bytes belong to this checkpoint, and were changed since", path.display())]
    JournalChanged {
        /// The checkpoint.
        path: PathBuf,
        /// The bytes that belong to it.
        bytes: u64,
    },
    /// The journal, whose records come before the checkpoint that counts on them, could not be
    /// written.
    #[error("the journal comes first: {0}")]
    JournalFirst(#[source] crate::journal::JournalError),
    /// Another coordinator has taken the run up.
    #[error(transparent)]
    Fenced(#[from] crate::folder::Fenced),
    /// A tensor file does not fit the manifest or the layout.
    #[error("checkpoint {}: {file}: {message}", path.display())]
    Tensors {
        /// The checkpoint.
        path: PathBuf,
        /// The file in it.
        file: String,
        /// What is wrong.
        message: String,
    },
}

impl CheckpointError {
    /// Whether the checkpoint may be whole: what rules it out lies beside it, or with the disk, and
    /// may be put right.
    pub fn may_be_put_right(&self) -> bool {
        let of_journal = matches!(self, CheckpointError::Journal { .. } | CheckpointError::JournalChanged { .. });
        of_journal || self.is_not_understood()
    }

    /// Whether nobody can say that the checkpoint is damaged: it is another version's, or could not
    /// be read.
    pub(crate) fn is_not_understood(&self) -> bool {
        use std::io::ErrorKind::{NotADirectory, NotFound};
        match self {
            CheckpointError::Schema { .. } => true,
            CheckpointError::Io { source, .. } => !matches!(source.kind(), NotFound | NotADirectory),
            _ => false,
        }
    }

    /// The kind of error, in snake case, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            CheckpointError::Io { .. } => "unreadable",
            CheckpointError::Manifest { .. } => "manifest",
            CheckpointError::Schema { .. } => "schema",
            CheckpointError::Hash { .. } => "damaged",
            CheckpointError::Tensors { .. } => "tensors",
            CheckpointError::Journal { .. } => "journal_lost",
            CheckpointError::JournalChanged { .. } => "journal_changed",
            CheckpointError::JournalFirst(_) => "journal",
            CheckpointError::Fenced(_) => "fenced",
        }
    }
}

//! Architectures: how tasks share the trunk. One file each, with its name, its parameters and its
//! layers, and one line each in [`ARCHITECTURES`].

mod hard_sharing;
mod mmoe;
pub mod module;

use std::fmt;
use std::ops::Range;

use experiment::TaskShape;
use settings::{Description, Invalid, Reader, Registry};

pub use self::hard_sharing::HardSharing;
pub use self::mmoe::Mmoe;
pub use self::module::ModuleArchitecture;

use crate::ModelError;
use crate::forward::Forward;
use crate::layer::Stack;
use crate::scope::Scope;
use crate::trunk::TrunkKind;
use crate::value::{RowShape, Value};

/// Reads the parameters of an architecture.
pub type ArchitectureFn = fn(&mut Reader<'_>) -> Result<Box<dyn ArchitectureKind>, Invalid>;

/// The architectures.
pub static ARCHITECTURES: Registry<ArchitectureFn> =
    Registry::new("architecture", &[hard_sharing::ENTRY, mmoe::ENTRY, module::ENTRY]);

/// All architectures with their parameters, for the reference.
pub fn reference() -> Vec<Description> {
    ARCHITECTURES.describe(|part, reader| part(reader))
}

/// The parts from which an architecture is built.
#[derive(Debug)]
pub struct Parts<'a> {
    /// The shape of a row after the encoders.
    pub entry: RowShape,
    /// All tasks, in the order of the file.
    pub tasks: &'a [TaskShape],
    /// The kind of the trunk.
    pub trunk: &'a dyn TrunkKind,
    /// The device on which the network computes.
    pub device: &'a burn::tensor::Device,
}

/// An architecture with its parameters.
pub trait ArchitectureKind: fmt::Debug + Send + Sync {
    /// Whether it builds the experiment's trunk.
    fn has_trunk(&self) -> bool {
        true
    }

    /// The layers between the encoders and the heads, declared in `scope`, the top of the network.
    ///
    /// # Errors
    /// [`ModelError`] if the parts don't fit.
    fn build(&self, parts: &Parts<'_>, scope: &mut Scope<'_>) -> Result<Box<dyn Architecture>, ModelError>;
}

/// A task of a pass, with the rows of its feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Index of the task.
    pub task: usize,
    /// Its rows in the value of all feeds' rows.
    pub rows: Range<usize>,
}

/// The layers between the encoders and the heads.
pub trait Architecture: fmt::Debug + Send + Sync {
    /// The shape of a row that a task's head gets.
    fn output(&self, task: usize) -> RowShape;

    /// Multiply-adds of one row's forward pass for these tasks together.
    fn multiply_adds(&self, tasks: &[usize]) -> u64;

    /// The inputs of the heads of the wanted tasks, in the order of `wanted`. `x` has the rows of
    /// all feeds of the pass, and each task gets its own rows.
    fn represent(&self, x: Value, wanted: &[Wanted], forward: &Forward<'_>) -> Vec<Value>;

    /// The layers that all rows go through, if each task gets their output. The hand-written engine
    /// knows only such architectures.
    fn shared(&self) -> Option<&Stack> {
        None
    }
}

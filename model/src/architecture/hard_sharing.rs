//! `hard_sharing`: one trunk for all tasks, and a head for each (Caruana, Machine Learning 1997).

use settings::{Entry, Invalid, Reader};

use super::{Architecture, ArchitectureFn, ArchitectureKind, Parts, Wanted};
use crate::ModelError;
use crate::forward::Forward;
use crate::layer::Stack;
use crate::scope::Scope;
use crate::value::{RowShape, Value};

pub(super) const ENTRY: Entry<ArchitectureFn> = Entry::built_in(
    "hard_sharing",
    "one trunk for all tasks, and a head for each (Caruana, Machine Learning 1997)",
    HardSharing::read,
);

/// One trunk for all tasks, in the scope `trunk`.
#[derive(Debug)]
pub struct HardSharing;

#[derive(Debug)]
struct Shared {
    trunk: Stack,
}

impl HardSharing {
    /// There are no parameters.
    ///
    /// # Errors
    /// Never.
    pub fn read(_reader: &mut Reader<'_>) -> Result<Box<dyn ArchitectureKind>, Invalid> {
        Ok(Box::new(Self))
    }
}

impl ArchitectureKind for HardSharing {
    fn build(&self, parts: &Parts<'_>, scope: &mut Scope<'_>) -> Result<Box<dyn Architecture>, ModelError> {
        Ok(Box::new(Shared { trunk: parts.trunk.build(parts.entry, &mut scope.at("trunk"))? }))
    }
}

impl Architecture for Shared {
    fn output(&self, _task: usize) -> RowShape {
        self.trunk.output()
    }

    fn multiply_adds(&self, _tasks: &[usize]) -> u64 {
        self.trunk.multiply_adds()
    }

    fn represent(&self, x: Value, wanted: &[Wanted], forward: &Forward<'_>) -> Vec<Value> {
        let x = self.trunk.forward(x, forward);
        wanted.iter().map(|wanted| x.clone().rows(wanted.rows.clone())).collect()
    }

    fn shared(&self) -> Option<&Stack> {
        Some(&self.trunk)
    }
}

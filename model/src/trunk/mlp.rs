//! `mlp`: fully connected layers.

use experiment::Activation;

use super::TrunkKind;
use crate::ModelError;
use crate::layer::{Hidden, Stack};
use crate::scope::Scope;
use crate::value::RowShape;

/// Hidden layers `0`, `1`, ... of given widths. Images are taken as vectors of their pixels.
#[derive(Debug)]
pub struct Mlp {
    /// The width of each layer.
    pub(crate) widths: Vec<usize>,
    /// What the layers have in common.
    pub(crate) style: Hidden,
}

impl TrunkKind for Mlp {
    fn build(&self, input: RowShape, scope: &mut Scope<'_>) -> Result<Stack, ModelError> {
        let mut stack = Stack::new(input);
        stack.flatten();
        for (number, &width) in self.widths.iter().enumerate() {
            self.style.push(width, &mut stack, &mut scope.at(number));
        }
        Ok(stack)
    }

    fn activation(&self) -> Activation {
        self.style.activation
    }

    fn entry_width(&self) -> Option<usize> {
        self.widths.first().copied()
    }
}

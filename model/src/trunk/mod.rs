//! Kinds of trunks: one file each. Encoders are of the same kinds.

mod mlp;

use std::fmt;

use experiment::Activation;

pub use self::mlp::Mlp;

use crate::ModelError;
use crate::layer::Stack;
use crate::scope::Scope;
use crate::value::RowShape;

/// What a trunk or an encoder consists of, with its parameters.
pub trait TrunkKind: fmt::Debug + Send + Sync {
    /// The layers for rows of this shape, declared in `scope`. They may be built several times, in
    /// several scopes. Their output is a vector.
    ///
    /// # Errors
    /// [`ModelError`] if the layers can't take such rows.
    fn build(&self, input: RowShape, scope: &mut Scope<'_>) -> Result<Stack, ModelError>;

    /// The function after its hidden layers. Encoders and heads that name none have it too.
    fn activation(&self) -> Activation;

    /// The width of an encoder that names none; none if each encoder has to name its own.
    fn entry_width(&self) -> Option<usize> {
        None
    }
}

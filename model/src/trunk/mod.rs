//! Kinds of trunks: one file each. Encoders are of the same kinds.

mod cnn;
mod mlp;

use std::fmt;

use experiment::Activation;
use settings::{Entry, Invalid, Reader, Registry};

pub use self::cnn::Cnn;
pub use self::mlp::Mlp;

use crate::ModelError;
use crate::layer::Stack;
use crate::scope::Scope;
use crate::value::RowShape;

/// Reads the parameters of a kind.
pub type TrunkFn = fn(&mut Reader<'_>, Role) -> Result<Box<dyn TrunkKind>, Invalid>;

/// The kinds of trunks and encoders.
pub static TRUNKS: Registry<TrunkFn> = Registry::new("trunk", BUILT_IN);

const BUILT_IN: &[Entry<TrunkFn>] = &[
    Entry::built_in("mlp", "fully connected layers", Mlp::read),
    Entry::built_in("cnn", "convolutions of images, with group norm, pooling and dropout", Cnn::read),
];

/// What a kind is read for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Role {
    /// The layers that tasks share.
    Trunk,
    /// The layers of one feed before these. What its table does not say is the trunk's.
    Encoder {
        /// The trunk's activation.
        activation: Activation,
        /// The trunk's first width, if it has one.
        width: Option<usize>,
    },
}

/// Wider layers than this are slips of the keyboard, and would end in a failed allocation.
const WIDTH_MAX: u64 = 1 << 20;

impl Role {
    /// Reads `activation`: the function after each layer.
    ///
    /// # Errors
    /// [`Invalid`] if there is none of that name.
    pub fn activation(self, reader: &mut Reader<'_>) -> Result<Activation, Invalid> {
        const DOCUMENTATION: &str = "the function after each layer";
        let name = match self {
            Role::Trunk => Some(reader.name("activation", "relu", Activation::NAMES, DOCUMENTATION)?),
            Role::Encoder { .. } => {
                reader.optional_name("activation", Activation::NAMES, "the trunk's", DOCUMENTATION)?
            }
        };
        Ok(match (name.and_then(Activation::named), self) {
            (Some(activation), _) => activation,
            (None, Role::Encoder { activation, .. }) => activation,
            (None, Role::Trunk) => Activation::default(),
        })
    }

    /// Reads an encoder's `width`, by default the trunk's first; none if there is neither, and for
    /// a trunk.
    ///
    /// # Errors
    /// [`Invalid`] if it is no whole number of at least 1.
    pub fn width(self, reader: &mut Reader<'_>) -> Result<Option<usize>, Invalid> {
        let Role::Encoder { width: inherited, .. } = self else { return Ok(None) };
        let documentation = "the width of the last layer, which is the trunk's input";
        let width = reader.optional_count("width", 1..=WIDTH_MAX, "the trunk's first", documentation)?;
        Ok(width.map(|width| width as usize).or(inherited))
    }
}

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

    /// The width of an encoder that names none; none if encoders have no width then.
    fn entry_width(&self) -> Option<usize> {
        None
    }
}

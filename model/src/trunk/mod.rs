//! Kinds of trunks: one file each, with its name, its parameters and its layers, and one line each
//! in [`TRUNKS`]. Encoders are of the same kinds.

mod cnn;
mod mlp;

use std::fmt;

use settings::{Description, Invalid, Reader, Registry};

pub use self::cnn::Cnn;
pub use self::mlp::Mlp;

use crate::ModelError;
use crate::activation::Activation;
use crate::layer::Stack;
use crate::scope::Scope;
use crate::value::RowShape;

/// Reads the parameters of a kind.
pub type TrunkFn = fn(&mut Reader<'_>, Role) -> Result<Box<dyn TrunkKind>, Invalid>;

/// The kinds of trunks and encoders.
pub static TRUNKS: Registry<TrunkFn> = Registry::new("trunk", &[mlp::ENTRY, cnn::ENTRY]);

/// What a kind is read for.
#[derive(Debug, Clone)]
pub enum Role {
    /// The layers that tasks share.
    Trunk,
    /// The layers of one feed before the trunk. Defaults are the trunk's values.
    Encoder {
        /// The trunk's activation.
        activation: Activation,
        /// The trunk's first width, if it has one.
        width: Option<usize>,
    },
}

/// The widest layer. A larger number is probably a typing error, and would end in a failed
/// allocation.
const WIDTH_MAX: u64 = 1 << 20;

impl Role {
    /// Whether the kind is read for the layers that tasks share.
    pub fn is_trunk(&self) -> bool {
        matches!(self, Role::Trunk)
    }

    /// Reads `activation`: the function after each layer.
    ///
    /// # Errors
    /// [`Invalid`] if there is none of that name, and for what it refuses of its parameters.
    pub fn activation(&self, reader: &mut Reader<'_>) -> Result<Activation, Invalid> {
        const DOCUMENTATION: &str = "the function after each layer";
        match self {
            Role::Trunk => Activation::read(reader, "activation", DOCUMENTATION),
            Role::Encoder { activation: inherited, .. } => {
                let given = Activation::read_optional(reader, "activation", "the trunk's", DOCUMENTATION)?;
                Ok(given.unwrap_or_else(|| inherited.clone()))
            }
        }
    }

    /// Reads an encoder's `width`. Default: the trunk's first width. `None` if there is neither,
    /// and for a trunk.
    ///
    /// # Errors
    /// [`Invalid`] if it is not a whole number of at least 1.
    pub fn width(&self, reader: &mut Reader<'_>) -> Result<Option<usize>, Invalid> {
        let Role::Encoder { width: inherited, .. } = self else { return Ok(None) };
        let documentation = "the width of the last layer, which is the trunk's input";
        let width = reader.optional_count("width", 1..=WIDTH_MAX, "the trunk's first", documentation)?;
        Ok(width.map(|width| width as usize).or(*inherited))
    }
}

/// All kinds with their parameters as trunks, for the reference.
pub fn reference() -> Vec<Description> {
    TRUNKS.describe(|part, reader| part(reader, Role::Trunk))
}

/// All kinds with their parameters as encoders, for the reference.
pub fn encoder_reference() -> Vec<Description> {
    let role = Role::Encoder { activation: Activation::default(), width: None };
    TRUNKS.describe(|part, reader| part(reader, role.clone()))
}

/// What a trunk or an encoder consists of, with its parameters.
pub trait TrunkKind: fmt::Debug + Send + Sync {
    /// The layers for rows of this shape, declared in `scope`. They may be built several times, in
    /// several scopes. Their output is a vector.
    ///
    /// # Errors
    /// [`ModelError`] if the layers can't take such rows.
    fn build(&self, input: RowShape, scope: &mut Scope<'_>) -> Result<Stack, ModelError>;

    /// The activation after its hidden layers. It is the default of encoders and heads.
    fn activation(&self) -> Activation;

    /// The width of an encoder that gives none. `None` if encoders have no width then.
    fn entry_width(&self) -> Option<usize> {
        None
    }
}

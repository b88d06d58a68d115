//! `mlp`: fully connected layers.

use settings::{Entry, Invalid, Range, Reader};

use super::{Role, TrunkFn, TrunkKind, WIDTH_MAX};
use crate::ModelError;
use crate::activation::Activation;
use crate::layer::{Hidden, Stack};
use crate::scope::Scope;
use crate::value::RowShape;

pub(super) const ENTRY: Entry<TrunkFn> = Entry::built_in(
    "mlp",
    "fully connected layers of the widths `hidden`, in an encoder one of the width `width` after them; an image is \
     taken as a list of its pixels",
    Mlp::read,
);

/// Hidden layers `0`, `1`, ... of given widths. Images are taken as vectors of their pixels.
#[derive(Debug)]
pub struct Mlp {
    /// The width of each layer.
    widths: Vec<usize>,
    /// The settings that the layers share.
    style: Hidden,
    /// Whether the last width is missing: the encoder names none, and the trunk has none.
    unfinished: bool,
}

impl Mlp {
    /// Reads the parameters. An encoder's last layer has the width `width`, after the layers of
    /// `hidden`.
    ///
    /// # Errors
    /// [`Invalid`] if a value is not allowed.
    pub fn read(reader: &mut Reader<'_>, role: Role) -> Result<Box<dyn TrunkKind>, Invalid> {
        let default: &[u64] = if role.is_trunk() { &[128, 64] } else { &[] };
        let hidden = reader.counts(
            "hidden",
            default,
            1..=WIDTH_MAX,
            "the width of each hidden layer; a trunk has at least one",
        )?;
        if role.is_trunk() && hidden.is_empty() {
            return Err(Invalid::value(
                "hidden",
                "[]",
                "a list with at least one layer: without any, tasks share nothing",
            ));
        }
        let last = role.width(reader)?;
        let activation = role.activation(reader)?;
        let dropout = reader.number(
            "dropout",
            0.0,
            Range::HalfOpen(0.0, 1.0),
            "share of each layer's outputs that is dropped in training",
        )? as f32;
        let layer_norm = reader.flag("layer_norm", false, "normalise each layer's outputs before the activation")?;
        let widths = hidden.iter().map(|&width| width as usize).chain(last).collect();
        let unfinished = !role.is_trunk() && last.is_none();
        Ok(Box::new(Self { widths, style: Hidden { activation, dropout, layer_norm }, unfinished }))
    }
}

impl TrunkKind for Mlp {
    fn build(&self, input: RowShape, scope: &mut Scope<'_>) -> Result<Stack, ModelError> {
        if self.unfinished {
            return Err(ModelError::NoEncoderWidth { encoder: scope.path().to_owned() });
        }
        let mut stack = Stack::new(input);
        stack.flatten();
        for (number, &width) in self.widths.iter().enumerate() {
            self.style.push(width, &mut stack, &mut scope.at(number));
        }
        Ok(stack)
    }

    fn activation(&self) -> Activation {
        self.style.activation.clone()
    }

    fn entry_width(&self) -> Option<usize> {
        self.widths.first().copied()
    }
}

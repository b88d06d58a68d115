//! `cnn`: convolutions of images.

use experiment::Activation;
use settings::{Invalid, Range, Reader};

use super::{Role, TrunkKind, WIDTH_MAX};
use crate::ModelError;
use crate::layer::{Activate, Conv, Dropout, GroupNorm, Hidden, MaxPool, MeanPool, Stack};
use crate::scope::Scope;
use crate::value::RowShape;

/// Blocks `0`, `1`, ... of a convolution, group norm, activation, pooling and dropout. The images
/// that the last block gives become a vector.
#[derive(Debug)]
pub struct Cnn {
    /// Channels of each block.
    channels: Vec<usize>,
    /// Side of the kernels.
    kernel: usize,
    /// Pixels between two places of a kernel.
    stride: usize,
    /// Groups of the group norm; none without a norm.
    groups: Option<usize>,
    activation: Activation,
    /// Side of the squares of which the largest value stays; none without pooling.
    pool: Option<usize>,
    /// Share of each block's outputs that is dropped in training, in `[0, 1)`.
    dropout: f32,
    ending: Ending,
    /// Of an encoder: the width of a fully connected layer at the end.
    width: Option<usize>,
}

/// How images become a vector at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// All pixels of all channels.
    Flatten,
    /// The mean of each channel.
    Mean,
}

impl Cnn {
    /// Reads the parameters. An encoder may end in a fully connected layer of the width `width`.
    ///
    /// # Errors
    /// [`Invalid`] for values that can't be.
    pub fn read(reader: &mut Reader<'_>, role: Role) -> Result<Box<dyn TrunkKind>, Invalid> {
        let channels =
            reader.counts("channels", &[32, 64], 1..=WIDTH_MAX, "the channels of each convolution; at least one")?;
        if channels.is_empty() {
            return Err(Invalid::value("channels", "[]", "a list with at least one number of channels"));
        }
        let kernel = small(reader, "kernel", 3, "the sides of a convolution's kernel, in pixels")?;
        let stride = small(reader, "stride", 1, "the step of a convolution, in pixels")?;
        let norm = reader.name("norm", "group", &["group", "none"], "group normalisation after each convolution")?;
        let groups =
            reader.count("groups", 8, 1.., "the most groups of the normalisation; they divide the channels")? as usize;
        let activation = role.activation(reader)?;
        let pool =
            reader.name("pool", "max", &["max", "none"], "the largest of each 2 x 2 pixels after each convolution")?;
        let dropout = reader.number(
            "dropout",
            0.0,
            Range::HalfOpen(0.0, 1.0),
            "share of each layer's outputs that is dropped in training",
        )? as f32;
        let ending = reader.name(
            "ending",
            "flatten",
            &["flatten", "mean"],
            "what follows the convolutions: all values, or the mean of each channel",
        )?;
        let width = role.width(reader)?;
        Ok(Box::new(Self {
            channels: channels.iter().map(|&channels| channels as usize).collect(),
            kernel,
            stride,
            groups: (norm == "group").then_some(groups),
            activation,
            pool: (pool == "max").then_some(2),
            dropout,
            ending: if ending == "mean" { Ending::Mean } else { Ending::Flatten },
            width,
        }))
    }

    fn push_block(&self, channels: usize, stack: &mut Stack, scope: &mut Scope<'_>) -> Result<(), ModelError> {
        let RowShape::Image { channels: before, height, width } = stack.output() else {
            let (place, input) = (scope.path().to_owned(), stack.output().to_string());
            return Err(ModelError::NotAnImage { place, input });
        };
        let place = scope.path().to_owned();
        let conv = Conv::new(before, [height, width], channels, self.kernel, self.stride, scope);
        let id = conv.id();
        stack.push(conv);
        if let Some(groups) = self.groups {
            let groups = greatest_common_divisor(groups, channels);
            stack.push(GroupNorm::new(groups, channels, stack.output(), &mut scope.at("norm")));
        }
        stack.push(Activate::new(self.activation, stack.output()));
        if let Some(size) = self.pool {
            let image = stack.output().to_string();
            let pool = MaxPool::new(size, stack.output());
            stack.push(pool.ok_or(ModelError::ImageTooSmall { place, image, size })?);
        }
        if self.dropout > 0.0 {
            stack.push(Dropout::new(id, self.dropout, stack.output()));
        }
        Ok(())
    }
}

impl TrunkKind for Cnn {
    fn build(&self, input: RowShape, scope: &mut Scope<'_>) -> Result<Stack, ModelError> {
        let mut stack = Stack::new(input);
        for (number, &channels) in self.channels.iter().enumerate() {
            self.push_block(channels, &mut stack, &mut scope.at(number))?;
        }
        match self.ending {
            Ending::Flatten => stack.flatten(),
            Ending::Mean => stack.push(MeanPool::new(stack.output())),
        }
        if let Some(width) = self.width {
            let style = Hidden { activation: self.activation, dropout: self.dropout, layer_norm: false };
            style.push(width, &mut stack, &mut scope.at(self.channels.len()));
        }
        Ok(stack)
    }

    fn activation(&self) -> Activation {
        self.activation
    }
}

/// A side or a step of a kernel, in pixels.
fn small(
    reader: &mut Reader<'_>,
    key: &'static str,
    default: u64,
    documentation: &'static str,
) -> Result<usize, Invalid> {
    Ok(reader.count(key, default, 1..=64, documentation)? as usize)
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

//! `cnn`: convolutions of images.

use settings::{Entry, Invalid, Range, Reader};

use super::{Role, TrunkFn, TrunkKind, WIDTH_MAX};
use crate::ModelError;
use crate::activation::Activation;
use crate::layer::{Activate, Conv, Dropout, GroupNorm, Hidden, MaxPool, MeanPool, Stack};
use crate::scope::Scope;
use crate::value::RowShape;

pub(super) const ENTRY: Entry<TrunkFn> = Entry::built_in(
    "cnn",
    "convolutions of images: for each entry of `channels` a convolution, a norm, the activation, pooling and dropout; \
     in an encoder, a fully connected layer of the width `width` after them",
    Cnn::read,
);

/// Blocks `0`, `1`, ... of a convolution, group norm, activation, pooling and dropout. The images
/// that the last block gives become a vector.
#[derive(Debug)]
pub struct Cnn {
    /// Channels of each block.
    channels: Vec<usize>,
    /// The side of the kernels.
    kernel: usize,
    /// Pixels between two places of a kernel.
    stride: usize,
    /// The number of groups of the group norm. `None`: no norm.
    groups: Option<usize>,
    activation: Activation,
    /// The side of the squares from which the largest value is kept. `None`: no pooling.
    pool: Option<usize>,
    /// Share of each block's outputs that is dropped in training, in `[0, 1)`.
    dropout: f32,
    ending: Ending,
    /// The width of a fully connected layer at the end of an encoder.
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
    /// [`Invalid`] if a value is not allowed.
    pub fn read(reader: &mut Reader<'_>, role: Role) -> Result<Box<dyn TrunkKind>, Invalid> {
        let channels =
            reader.counts("channels", &[32, 64], 1..=WIDTH_MAX, "the channels of each convolution; at least one")?;
        if channels.is_empty() {
            return Err(Invalid::value("channels", "[]", "a list with at least one number of channels"));
        }
        let kernel = small(
            reader,
            "kernel",
            3,
            "the side of the square kernels, in pixels; images get `kernel / 2` zeros on each side",
        )?;
        let stride = small(reader, "stride", 1, "pixels between two places of a kernel")?;
        let documentation = "after each convolution: group normalisation, or none";
        let norm = reader.name("norm", "group", &["group", "none"], documentation)?;
        let documentation = "groups of the normalisation; if they do not divide the channels, the greatest common \
                             divisor of both";
        let groups = reader.count("groups", 8, 1.., documentation)? as usize;
        let activation = role.activation(reader)?;
        let documentation = "after each activation: the largest value of each square of 2 x 2 pixels, or none";
        let pool = reader.name("pool", "max", &["max", "none"], documentation)?;
        let documentation = "share of each layer's outputs that is dropped in training";
        let dropout = reader.number("dropout", 0.0, Range::HalfOpen(0.0, 1.0), documentation)? as f32;
        let documentation = "how images become a list of numbers at the end: all pixels, or the mean of each channel";
        let ending = reader.name("ending", "flatten", &["flatten", "mean"], documentation)?;
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
        stack.push(Activate::new(self.activation.clone(), stack.output()));
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
            let style = Hidden { activation: self.activation.clone(), dropout: self.dropout, layer_norm: false };
            style.push(width, &mut stack, &mut scope.at(self.channels.len()));
        }
        Ok(stack)
    }

    fn activation(&self) -> Activation {
        self.activation.clone()
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

//! `kind = "image"`: a list or array column with the values of an image.
//!
//! Bytes become numbers from 0 to 1, as `ToTensor` of torchvision and `Rescaling(1/255)` of Keras
//! give them, and `normalize` is `Normalize` of torchvision.

use experiment::InputShape;
use settings::{Entry, Invalid, Range, Reader, Table, Value};

use super::{Chosen, Fit, Input, InputFn, Offered};
use crate::column::{Column, ColumnKind};
use crate::encoding::{Encoding, Pixels};
use crate::statistics::{self, Moments};

pub(super) const ENTRY: Entry<InputFn> = Entry::built_in(
    "image",
    "the pixels of an image, in a list or array column with equally many values in every row, none of them missing",
    read,
);

/// The largest image: larger ones would not fit into the memory of a batch.
const VALUES_MAX: usize = 1 << 24;

/// An image in one column.
#[derive(Debug)]
struct Image {
    column: String,
    channels: usize,
    height: usize,
    width: usize,
    scale: Option<f64>,
    normalize: Normalize,
}

/// Standardisation of a channel's values: where mean and standard deviation come from.
#[derive(Debug, Clone)]
enum Normalize {
    /// None.
    Off,
    /// Those of the training images.
    Fitted,
    /// Given ones, by channel.
    Given { mean: Vec<f64>, std: Vec<f64> },
}

fn read(reader: &mut Reader<'_>) -> Result<Box<dyn Input>, Invalid> {
    let column = reader.required_text("column", "the name of a list or array column", "the column of the images")?;
    let example = Value::List(vec![Value::Integer(1), Value::Integer(28), Value::Integer(28)]);
    let documentation = "the values stand in this order, channel by channel and row by row";
    let [channels, height, width] = shape(&reader.required_value("shape", SHAPE, example, documentation)?)?;
    let documentation = "factor of every value; so bytes become numbers from 0 to 1, as with `ToTensor` of \
                         torchvision and `Rescaling(1/255)` of Keras";
    let otherwise = "1/255 if the file holds bytes (`u8`), else 1";
    let scale = reader.optional_number("scale", Range::Positive, otherwise, documentation)?;
    let documentation = "after scaling, subtract a mean and divide by a standard deviation, one of each a channel, \
                         as `Normalize` of torchvision: `true` takes those of the training rows, the table gives them";
    let normalize = normalize(reader.optional_value("normalize", NORMALIZE, "false", documentation), channels)?;
    Ok(Box::new(Image { column, channels, height, width, scale, normalize }))
}

const SHAPE: &str = "`[channels, height, width]`, each a whole number of at least 1";
const NORMALIZE: &str = "true, false, or `{ mean = [..], std = [..] }` with a number for each channel";

fn shape(value: &Value) -> Result<[usize; 3], Invalid> {
    let allowed = format!("[channels, height, width], each at least 1, with at most {VALUES_MAX} values together");
    let size = |value: &Value| match value {
        Value::Integer(size @ 1..) => usize::try_from(*size).ok(),
        _ => None,
    };
    let sizes = match value {
        Value::List(sizes) => sizes.iter().map(size).collect::<Option<Vec<usize>>>(),
        _ => None,
    };
    let whole = |sizes: &[usize]| sizes.iter().try_fold(1usize, |all, size| all.checked_mul(*size));
    match sizes.as_deref() {
        Some(&[channels, height, width])
            if whole(&[channels, height, width]).is_some_and(|values| values <= VALUES_MAX) =>
        {
            Ok([channels, height, width])
        }
        _ => Err(Invalid::value("shape", value, allowed)),
    }
}

fn normalize(value: Option<&Value>, channels: usize) -> Result<Normalize, Invalid> {
    let allowed = format!("true, false, or {{ mean = [..], std = [..] }} with {channels} numbers each (one a channel)");
    match value {
        None | Some(Value::Bool(false)) => Ok(Normalize::Off),
        Some(Value::Bool(true)) => Ok(Normalize::Fitted),
        Some(given @ Value::Table(table)) => {
            let lists = given_statistics(table)?;
            lists
                .filter(|(mean, std)| mean.len() == channels && std.len() == channels)
                .map(|(mean, std)| Normalize::Given { mean, std })
                .ok_or_else(|| Invalid::value("normalize", given, allowed))
        }
        Some(other) => Err(Invalid::value("normalize", other, allowed)),
    }
}

/// The mean and the standard deviation of each channel.
type ChannelStatistics = (Vec<f64>, Vec<f64>);

/// `mean` and `std` of a table; `None` if one is missing.
fn given_statistics(table: &Table) -> Result<Option<ChannelStatistics>, Invalid> {
    let mut reader = Reader::new(table, "`normalize`");
    let mean = reader.optional_numbers("mean", Range::Finite, "none", "the mean of each channel");
    let std = reader.optional_numbers("std", Range::Positive, "none", "the standard deviation of each channel");
    let lists = mean.and_then(|mean| Ok(mean.zip(std?))).and_then(|lists| reader.finish().map(|_| lists));
    lists.map_err(|invalid| invalid.under("normalize"))
}

impl Image {
    fn count(&self) -> usize {
        self.channels * self.height * self.width
    }
}

impl Input for Image {
    fn columns(&self) -> Chosen<'_> {
        Chosen::One("column", &self.column)
    }

    fn kind_of(&self, column: &Offered<'_>) -> Result<ColumnKind, Invalid> {
        let refuse = |key: &str, message: String| Err(Invalid::new(key, message));
        let count = self.count();
        match column.kind {
            Some(ColumnKind::List { width }) if width == count => Ok(ColumnKind::Pixels { count, bytes: column.bytes }),
            Some(ColumnKind::List { width }) => {
                let shape = [self.channels, self.height, self.width];
                let message = format!(
                    "{shape:?} is {count} values, but column `{}` has {width} in the first row; give the shape of that",
                    column.name
                );
                refuse("shape", message)
            }
            _ => {
                let message = format!(
                    "column `{}` holds {}; an image is a list or array column of numbers",
                    column.name, column.shown
                );
                refuse("column", message)
            }
        }
    }

    fn fit(&self, _name: &str, kind: ColumnKind) -> Box<dyn Fit> {
        let bytes = matches!(kind, ColumnKind::Pixels { bytes: true, .. });
        let scale = self.scale.unwrap_or(if bytes { 1.0 / 255.0 } else { 1.0 });
        let values = match self.normalize {
            Normalize::Fitted => Some(statistics::Fit::new(self.count())),
            _ => None,
        };
        let (mean, std) = match &self.normalize {
            Normalize::Given { mean, std } => (mean.clone(), std.clone()),
            _ => (vec![0.0; self.channels], vec![1.0; self.channels]),
        };
        Box::new(PixelFit { pixels: Pixels { plane: self.height * self.width, scale, mean, std }, values })
    }

    fn shape(&self) -> InputShape {
        InputShape::Image { channels: self.channels, height: self.height, width: self.width }
    }
}

/// The encoding, and the statistics of the training images if they decide it.
struct PixelFit {
    pixels: Pixels,
    values: Option<statistics::Fit>,
}

impl Fit for PixelFit {
    fn take(&mut self, block: &Column, training: &[usize]) -> Result<(), String> {
        if let Some(values) = &mut self.values {
            values.push_rows(block, training);
        }
        Ok(())
    }

    fn finish(self: Box<Self>, _nulls: bool) -> Encoding {
        let PixelFit { mut pixels, values } = *self;
        if let Some(values) = values {
            let channels: Vec<Moments> = values.finish().chunks(pixels.plane).map(Moments::all).collect();
            pixels.mean = channels.iter().map(|channel| channel.mean * pixels.scale).collect();
            pixels.std = channels.iter().map(|channel| channel.std() * pixels.scale).collect();
        }
        Encoding::Pixels(pixels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        let table: Table = serde_json::from_str(text).expect("a table");
        super::super::read(&table).expect_err("refused").to_string()
    }

    #[test]
    fn wrong_parameters_are_refused_with_their_key() {
        let image = |more: &str| refused(&format!(r#"{{"kind": "image", "column": "x"{more}}}"#));
        assert!(image("").contains("`shape`: this key is missing"), "{}", image(""));
        for shape in ["[28, 28]", "[1, 0, 28]", "[1, 28.5, 28]", "28", "[4000, 4000, 4000]"] {
            let message = image(&format!(r#", "shape": {shape}"#));
            assert!(message.starts_with("`shape`: ") && message.contains("[channels, height, width]"), "{message}");
        }
        let shaped = |more: &str| image(&format!(r#", "shape": [3, 2, 2], {more}"#));
        assert!(shaped(r#""scale": 0"#).starts_with("`scale`: 0 is not allowed here"));
        assert!(shaped(r#""normalize": {"mean": [0.5], "std": [0.5]}"#).contains("3 numbers each"));
        assert!(shaped(r#""normalize": {"mean": [0, 0, 0], "std": [1, 0, 1]}"#).contains("`normalize.std`"));
        assert!(shaped(r#""augment": true"#).contains("has no such key"));
        assert!(refused(r#"{"kind": "picture"}"#).contains("table, image"));
        assert!(refused(r#"{"column": "x"}"#).contains("`kind`: this key is missing"));
    }
}

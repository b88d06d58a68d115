//! The values that flow between layers.

use std::fmt;
use std::ops::Range;

use burn::tensor::{Int, Tensor};

/// The shape of one row of a [`Value`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowShape {
    /// A list of numbers.
    Vector {
        /// The number of numbers.
        width: usize,
    },
    /// An image.
    Image {
        /// Numbers for each pixel.
        channels: usize,
        /// Rows of pixels.
        height: usize,
        /// Pixels in each row.
        width: usize,
    },
    /// A row of a table: numbers, and ids of rows of embedding tables.
    Table {
        /// The number of numbers.
        dense: usize,
        /// The number of ids.
        ids: usize,
    },
}

impl RowShape {
    /// The number of numbers in a row, without ids.
    pub fn width(self) -> usize {
        match self {
            RowShape::Vector { width } => width,
            RowShape::Image { channels, height, width } => channels * height * width,
            RowShape::Table { dense, .. } => dense,
        }
    }
}

impl fmt::Display for RowShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RowShape::Vector { width } => write!(f, "{width} values"),
            RowShape::Image { channels, height, width } => write!(f, "an image of {channels} x {height} x {width}"),
            RowShape::Table { dense, ids } => write!(f, "{dense} values and {ids} ids"),
        }
    }
}

/// Rows that pass through the network.
#[derive(Debug, Clone)]
pub enum Value {
    /// `[rows, width]`.
    Vectors(Tensor<2>),
    /// `[rows, channels, height, width]`.
    Images(Tensor<4>),
    /// Rows of a table.
    Table {
        /// `[rows, width]`. `None` if there is no such column.
        dense: Option<Tensor<2>>,
        /// The rows of the embedding tables, one tensor `[rows]` for each column.
        ids: Vec<Tensor<1, Int>>,
    },
}

impl Value {
    /// The rows as vectors, `[rows, width]`: an image channel by channel and row by row, a table
    /// without its ids.
    ///
    /// # Panics
    /// If it is a table of ids alone.
    pub fn into_vectors(self) -> Tensor<2> {
        match self {
            Value::Vectors(x) => x,
            Value::Images(x) => {
                let [rows, channels, height, width] = x.dims();
                x.reshape([rows, channels * height * width])
            }
            Value::Table { dense, .. } => dense.expect("a table without numbers goes through an embedding first"),
        }
    }

    /// The rows as images, `[rows, channels, height, width]`.
    ///
    /// # Panics
    /// If they are not images.
    pub fn into_images(self) -> Tensor<4> {
        match self {
            Value::Images(x) => x,
            other => panic!("these rows are no images: {other:?}"),
        }
    }

    /// Some of the rows.
    #[must_use]
    pub fn rows(self, rows: Range<usize>) -> Self {
        let (start, len) = (rows.start, rows.len());
        match self {
            Value::Vectors(x) => Value::Vectors(x.narrow(0, start, len)),
            Value::Images(x) => Value::Images(x.narrow(0, start, len)),
            Value::Table { dense, ids } => Value::Table {
                dense: dense.map(|x| x.narrow(0, start, len)),
                ids: ids.into_iter().map(|x| x.narrow(0, start, len)).collect(),
            },
        }
    }

    /// The rows of all values, one below the other. There is at least one value, and either all or
    /// none are images.
    pub(crate) fn below_each_other(mut values: Vec<Value>) -> Value {
        if values.len() == 1 {
            return values.remove(0);
        }
        if values.iter().all(|value| matches!(value, Value::Images(_))) {
            return Value::Images(Tensor::cat(values.into_iter().map(Value::into_images).collect(), 0));
        }
        Value::Vectors(Tensor::cat(values.into_iter().map(Value::into_vectors).collect(), 0))
    }
}

//! How a column becomes numbers: the fitted encodings, and their application to rows.
//!
//! | column | encoding | dense columns | ids |
//! |---|---|---|---|
//! | number | `(x - mean) / std` of the training rows; a null is the mean, 0 | 1, and an indicator if training rows have nulls | |
//! | list | every element as a number; one indicator for the list | width, and an indicator | |
//! | boolean, text with at most [`ONE_HOT_LIMIT`] values | one-hot; an unseen value is all zeros | the values, and one for null if training rows have nulls | |
//! | text with more values | a row of an embedding table: 0 is null, 1 is any unseen value | | 1 |
//! | pixels of an image | [`Pixels`] | the pixels' values | |
//!
//! Values are those of the training rows, in bytewise order. A column that is constant in the
//! training rows (std 0) is zeros everywhere. An embedding of n values is `ceil(sqrt(n))`
//! wide, at most 64.

mod pixels;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::column::{Column, ColumnKind};
use crate::exact;

pub use pixels::Pixels;

/// The most distinct values of a column that is encoded one-hot.
pub const ONE_HOT_LIMIT: usize = 32;
/// The most distinct values of a column that is embedded; a column with more is refused, as it
/// looks like an identifier.
pub const EMBEDDING_LIMIT: usize = 1_000_000;
/// The embedding row of a null.
pub const NULL_ROW: u32 = 0;
/// The embedding row of a value that no training row has.
pub const UNSEEN_ROW: u32 = 1;
/// The widest embedding.
const WIDEST_EMBEDDING: usize = 64;

/// A feature column with its fitted encoding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    /// The column's name.
    pub column: String,
    /// What its values are read as.
    pub kind: ColumnKind,
    /// How they become numbers.
    pub encoding: Encoding,
}

/// How a column becomes numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// A number, or each number of a list, standardised.
    Standard {
        /// The mean of the training rows, by element.
        #[serde(with = "exact::list")]
        mean: Vec<f64>,
        /// The population standard deviation of the training rows, by element; 0 for a constant.
        // Plans of older runs have the long name.
        #[serde(with = "exact::list", rename = "deviation")]
        std: Vec<f64>,
        /// Whether a further column tells nulls apart.
        indicator: bool,
    },
    /// A column of 0 and 1 for each value.
    OneHot {
        /// The values of the training rows, in bytewise order.
        values: Vec<String>,
        /// Whether a further column tells nulls apart.
        indicator: bool,
    },
    /// A row of a learned table.
    Embedding {
        /// The values of the training rows, in bytewise order; value i has row i + 2.
        values: Vec<String>,
        /// The table's width.
        width: usize,
    },
    /// The values of an image.
    Pixels(Pixels),
}

impl Encoding {
    /// The encoding of a column with these training values.
    pub(crate) fn of_values(values: Vec<String>, nulls: bool) -> Self {
        if values.len() <= ONE_HOT_LIMIT {
            return Encoding::OneHot { values, indicator: nulls };
        }
        let width = (1..WIDEST_EMBEDDING).find(|w| w * w >= values.len()).unwrap_or(WIDEST_EMBEDDING);
        Encoding::Embedding { values, width }
    }

    /// The number of dense columns.
    pub fn dense_width(&self) -> usize {
        match self {
            Encoding::Standard { mean, indicator, .. } => mean.len() + usize::from(*indicator),
            Encoding::OneHot { values, indicator } => values.len() + usize::from(*indicator),
            Encoding::Embedding { .. } => 0,
            Encoding::Pixels(pixels) => pixels.count(),
        }
    }

    /// Rows and width of the embedding table, if there is one.
    pub fn embedding(&self) -> Option<(usize, usize)> {
        match self {
            Encoding::Embedding { values, width } => Some((values.len() + 2, *width)),
            _ => None,
        }
    }

    /// How pixels are encoded, if the column holds pixels.
    pub(crate) fn pixels(&self) -> Option<&Pixels> {
        match self {
            Encoding::Pixels(pixels) => Some(pixels),
            _ => None,
        }
    }

    /// What becomes of the column, for people: `standard`, `constant`, `one_hot(3)`,
    /// `embedding(120 x 11)`, `pixels(784)`.
    pub(crate) fn shown(&self) -> String {
        match self {
            Encoding::Standard { std, indicator, .. } => {
                let numbers = if std.iter().all(|d| *d == 0.0) { "constant" } else { "standard" };
                if *indicator { format!("{numbers} + null indicator") } else { numbers.to_owned() }
            }
            Encoding::OneHot { .. } => format!("one_hot({})", self.dense_width()),
            Encoding::Embedding { values, width } => format!("embedding({} x {width})", values.len() + 2),
            Encoding::Pixels(pixels) => format!("pixels({})", pixels.count()),
        }
    }

    /// Whether all training rows are encoded alike; `null` says whether all of them are null.
    pub(crate) fn is_constant(&self, null: bool) -> bool {
        match self {
            Encoding::Standard { std, indicator, .. } => (null || !indicator) && std.iter().all(|d| *d == 0.0),
            Encoding::OneHot { values, indicator } => values.len() + usize::from(*indicator) <= 1,
            Encoding::Embedding { .. } | Encoding::Pixels(_) => false,
        }
    }

    /// This encoding with the categories and the indicator of nulls that any of `all` has. Numbers
    /// keep their own mean and standard deviation.
    pub(crate) fn united(&self, all: &[&Encoding]) -> Self {
        let has_indicator = |encoding: &&Encoding| match encoding {
            Encoding::Standard { indicator, .. } | Encoding::OneHot { indicator, .. } => *indicator,
            Encoding::Embedding { .. } | Encoding::Pixels(_) => false,
        };
        let nulls = all.iter().any(has_indicator);
        match self {
            Encoding::Standard { mean, std, .. } => {
                Encoding::Standard { mean: mean.clone(), std: std.clone(), indicator: nulls }
            }
            Encoding::OneHot { .. } | Encoding::Embedding { .. } => {
                let values = all.iter().flat_map(|encoding| match encoding {
                    Encoding::OneHot { values, .. } | Encoding::Embedding { values, .. } => values.as_slice(),
                    Encoding::Standard { .. } | Encoding::Pixels(_) => &[],
                });
                let values: BTreeSet<&String> = values.collect();
                Encoding::of_values(values.into_iter().cloned().collect(), nulls)
            }
            Encoding::Pixels(_) => self.clone(),
        }
    }

    /// Writes rows of `column` into their dense columns, which are zeros: the first row to the
    /// front of `dense`, the others `stride` further each.
    pub(crate) fn encode(&self, column: &Column, rows: &[usize], dense: &mut [f32], stride: usize) {
        let places = rows.iter().zip(dense.chunks_mut(stride.max(1)));
        match self {
            Encoding::Standard { mean, std, indicator } => {
                let matrix = column.matrix().expect("a standardised column is one of numbers").1;
                let width = mean.len();
                if let ([mean], [std], false) = (mean.as_slice(), std.as_slice(), indicator) {
                    places.for_each(|(row, dense)| dense[0] = standard(matrix[*row], *mean, *std));
                    return;
                }
                for (row, dense) in places {
                    let values = &matrix[row * width..][..width];
                    for (((place, value), mean), std) in dense.iter_mut().zip(values).zip(mean).zip(std) {
                        *place = standard(*value, *mean, *std);
                    }
                    if *indicator {
                        dense[width] = f32::from(u8::from(values.iter().any(|value| value.is_nan())));
                    }
                }
            }
            Encoding::OneHot { values, indicator } => {
                for (row, dense) in places {
                    match column.label(*row).map(|label| place(values, label)) {
                        Some(Ok(place)) => dense[place] = 1.0,
                        None if *indicator => dense[values.len()] = 1.0,
                        _ => {}
                    }
                }
            }
            Encoding::Pixels(pixels) => pixels.encode(column, rows, dense, stride),
            Encoding::Embedding { .. } => {}
        }
    }

    /// The row of the embedding table for row `row` of `column`, if there is a table.
    pub(crate) fn id(&self, column: &Column, row: usize) -> Option<u32> {
        let Encoding::Embedding { values, .. } = self else { return None };
        Some(match column.label(row).map(|label| place(values, label)) {
            None => NULL_ROW,
            Some(Ok(place)) => u32::try_from(place).expect("at most a million values") + 2,
            Some(Err(_)) => UNSEEN_ROW,
        })
    }
}

/// A null is the mean, and so is every value of a constant.
fn standard(value: f64, mean: f64, std: f64) -> f32 {
    if value.is_nan() || std == 0.0 { 0.0 } else { ((value - mean) / std) as f32 }
}

/// The place of a label among values in bytewise order.
fn place(values: &[String], label: &str) -> Result<usize, usize> {
    values.binary_search_by(|value| value.as_str().cmp(label))
}

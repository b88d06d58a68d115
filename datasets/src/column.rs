//! Decoded columns of a block of rows: numbers as f64 and text as bytes, whatever format they came
//! from.
//!
//! NaN stands for a null number: a NaN in a file is refused when it is read.

use serde::{Deserialize, Serialize};

/// What a column's values are read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    /// A number. Dates are days times 86,400, times and durations are in seconds.
    Number,
    /// `true` is 1, `false` is 0.
    Boolean,
    /// Text.
    Text,
    /// A list of numbers, equally long in every row.
    List {
        /// How many.
        width: usize,
    },
    /// The values of an image: equally many numbers in every row, none of them missing.
    Pixels {
        /// Numbers a row.
        count: usize,
        /// Whether each is a whole number from 0 to 255, held in a byte.
        bytes: bool,
    },
}

/// One column of a block.
#[derive(Debug, Clone, PartialEq)]
pub enum Column {
    /// Numbers; NaN is null.
    Number(Vec<f64>),
    /// 0 and 1; NaN is null.
    Boolean(Vec<f64>),
    /// Text.
    Text(Texts),
    /// `width` numbers a row, row after row; NaN is null.
    List { width: usize, values: Vec<f64> },
    /// `width` bytes a row, row after row; nulls are refused.
    Bytes { width: usize, values: Vec<u8> },
}

/// Text values, back to back.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Texts {
    text: String,
    /// The end of each value in `text`.
    ends: Vec<usize>,
    nulls: Vec<bool>,
}

impl Texts {
    pub fn push(&mut self, value: Option<&str>) {
        self.text.push_str(value.unwrap_or_default());
        self.ends.push(self.text.len());
        self.nulls.push(value.is_none());
    }

    pub fn get(&self, row: usize) -> Option<&str> {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        (!self.nulls[row]).then(|| &self.text[start..self.ends[row]])
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }
}

impl Column {
    /// The number of rows.
    pub fn len(&self) -> usize {
        match self {
            Column::Number(values) | Column::Boolean(values) => values.len(),
            Column::Text(texts) => texts.len(),
            Column::List { width, values } => values.len() / (*width).max(1),
            Column::Bytes { width, values } => values.len() / (*width).max(1),
        }
    }

    /// The numbers of a row; NaN is null.
    pub fn numbers(&self, row: usize, width: usize) -> &[f64] {
        match self {
            Column::Number(values) | Column::Boolean(values) => &values[row..row + 1],
            Column::List { values, .. } => &values[row * width..(row + 1) * width],
            Column::Text(_) | Column::Bytes { .. } => unreachable!("text and bytes are not a matrix"),
        }
    }

    /// Numbers a row and all numbers, row after row; `None` for text and bytes.
    pub fn matrix(&self) -> Option<(usize, &[f64])> {
        match self {
            Column::Number(values) | Column::Boolean(values) => Some((1, values)),
            Column::List { width, values } => Some((*width, values)),
            Column::Text(_) | Column::Bytes { .. } => None,
        }
    }

    /// The text or truth value of a row; `None` is null.
    pub fn label(&self, row: usize) -> Option<&str> {
        match self {
            Column::Text(texts) => texts.get(row),
            Column::Boolean(values) if values[row].is_nan() => None,
            Column::Boolean(values) => Some(if values[row] == 0.0 { "false" } else { "true" }),
            _ => unreachable!("numbers have no label"),
        }
    }

    /// Whether a row has no value; a list with a missing element has none.
    pub fn is_null(&self, row: usize) -> bool {
        match self {
            Column::Number(values) | Column::Boolean(values) => values[row].is_nan(),
            Column::Text(texts) => texts.get(row).is_none(),
            Column::List { width, .. } => self.numbers(row, *width).iter().any(|v| v.is_nan()),
            Column::Bytes { .. } => false,
        }
    }
}

//! Decoded columns of a block of rows: numbers as f64 and text as bytes, whatever format they came
//! from.
//!
//! NaN stands for a null number: a NaN in a file is refused when it is read.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::number;

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
    /// Numbers, of which an f64 does not hold some.
    Exact {
        /// The nearest f64; NaN is null.
        values: Vec<f64>,
        /// The digits of the rows whose number is another one than the f64; null for the rest.
        digits: Texts,
    },
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

    /// The bytes of all values together.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    fn extend(&mut self, more: &Texts) {
        (0..more.len()).for_each(|row| self.push(more.get(row)));
    }

    fn extend_nulls(&mut self, rows: usize) {
        (0..rows).for_each(|_| self.push(None));
    }
}

/// A column of numbers in the making.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    values: Vec<f64>,
    /// As in [`Column::Exact`], from the first row that needs it on.
    digits: Option<Texts>,
}

impl Numbers {
    pub fn with_capacity(rows: usize) -> Self {
        Self { values: Vec::with_capacity(rows), digits: None }
    }

    /// Adds the next row; NaN is null.
    pub fn push(&mut self, value: f64) {
        self.values.push(value);
        if let Some(digits) = &mut self.digits {
            digits.push(None);
        }
    }

    /// Adds the next row, whose number has these digits, and not those of `value`.
    pub fn push_exact(&mut self, value: f64, exact: &str) {
        let digits = self.digits.get_or_insert_with(|| {
            let mut digits = Texts::default();
            digits.extend_nulls(self.values.len());
            digits
        });
        digits.push(Some(exact));
        self.values.push(value);
    }

    pub fn finish(self) -> Column {
        match self.digits {
            None => Column::Number(self.values),
            Some(digits) => Column::Exact { values: self.values, digits },
        }
    }
}

impl Column {
    /// The number of rows.
    pub fn len(&self) -> usize {
        match self {
            Column::Number(values) | Column::Boolean(values) | Column::Exact { values, .. } => values.len(),
            Column::Text(texts) => texts.len(),
            Column::List { width, values } => values.len() / (*width).max(1),
            Column::Bytes { width, values } => values.len() / (*width).max(1),
        }
    }

    /// The numbers of a row; NaN is null.
    pub fn numbers(&self, row: usize, width: usize) -> &[f64] {
        match self {
            Column::Number(values) | Column::Boolean(values) | Column::Exact { values, .. } => &values[row..row + 1],
            Column::List { values, .. } => &values[row * width..(row + 1) * width],
            Column::Text(_) | Column::Bytes { .. } => unreachable!("text and bytes are not a matrix"),
        }
    }

    /// Numbers a row and all numbers, row after row; `None` for text and bytes.
    pub fn matrix(&self) -> Option<(usize, &[f64])> {
        match self {
            Column::Number(values) | Column::Boolean(values) | Column::Exact { values, .. } => Some((1, values)),
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

    /// The value of a row as text: equal values have equal texts, whatever file they come from.
    /// `None` is null.
    pub fn text(&self, row: usize) -> Option<Cow<'_, str>> {
        match self {
            Column::Text(_) | Column::Boolean(_) => self.label(row).map(Cow::Borrowed),
            _ if self.is_null(row) => None,
            Column::Exact { values, digits } => {
                Some(digits.get(row).map_or_else(|| number::shown(values[row]).into(), Cow::Borrowed))
            }
            _ => Some(number::shown(self.numbers(row, 1)[0]).into()),
        }
    }

    /// Whether a row has no value; a list with a missing element has none.
    pub fn is_null(&self, row: usize) -> bool {
        match self {
            Column::Number(values) | Column::Boolean(values) | Column::Exact { values, .. } => values[row].is_nan(),
            Column::Text(texts) => texts.get(row).is_none(),
            Column::List { width, .. } => self.numbers(row, *width).iter().any(|v| v.is_nan()),
            Column::Bytes { .. } => false,
        }
    }

    /// Adds the rows of the next block, which are of the same kind.
    pub fn append(&mut self, part: Column) {
        match (&mut *self, part) {
            (Column::Number(all), Column::Number(more)) | (Column::Boolean(all), Column::Boolean(more)) => {
                all.extend(more)
            }
            (Column::Number(all), part @ Column::Exact { .. }) => {
                let values = std::mem::take(all);
                let mut digits = Texts::default();
                digits.extend_nulls(values.len());
                *self = Column::Exact { values, digits };
                self.append(part);
            }
            (Column::Exact { values, digits }, Column::Number(more)) => {
                digits.extend_nulls(more.len());
                values.extend(more);
            }
            (Column::Exact { values, digits }, Column::Exact { values: more, digits: more_digits }) => {
                values.extend(more);
                digits.extend(&more_digits);
            }
            (Column::List { values, .. }, Column::List { values: more, .. }) => values.extend(more),
            (Column::Bytes { values, .. }, Column::Bytes { values: more, .. }) => values.extend(more),
            (Column::Text(all), Column::Text(more)) => all.extend(&more),
            _ => unreachable!("a column is of one kind in all blocks"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_with_and_without_large_numbers_join() {
        let mut large = Numbers::default();
        large.push(1.0);
        large.push_exact(9_007_199_254_740_992.0, "9007199254740993");
        let mut whole = Column::Number(vec![f64::NAN]);
        for part in [Column::Number(vec![2.0]), large.finish(), Column::Number(vec![9_007_199_254_740_992.0])] {
            whole.append(part);
        }
        let texts: Vec<Option<String>> = (0..whole.len()).map(|row| whole.text(row).map(Cow::into_owned)).collect();
        let expected = [None, Some("2"), Some("1"), Some("9007199254740993"), Some("9007199254740992")];
        assert_eq!(texts, expected.map(|text| text.map(str::to_owned)));
    }
}

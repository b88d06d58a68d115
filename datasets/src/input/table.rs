//! `kind = "table"`: columns side by side.
//!
//! Numbers are standardised. Text and truth values are one-hot or embedded. See
//! [`crate::encoding`].

use std::collections::BTreeSet;

use experiment::InputShape;
use settings::{Entry, Invalid, Reader, Value};

use super::{Chosen, Fit, Input, InputFn, Offered};
use crate::column::{Column, ColumnKind};
use crate::encoding::{EMBEDDING_LIMIT, Encoding};
use crate::statistics;
use crate::statistics::Moments;

pub(super) const ENTRY: Entry<InputFn> = Entry::built_in(
    "table",
    "columns side by side, as without any input: numbers are standardised, text and truth values one-hot or embedded",
    read,
);

/// Columns side by side.
#[derive(Debug, Default)]
pub(super) struct TableInput {
    columns: Option<Vec<String>>,
}

fn read(reader: &mut Reader<'_>) -> Result<Box<dyn Input>, Invalid> {
    let allowed = "a text or a list of texts: names and globs of columns, `!` before what is left out";
    let given = reader.optional_value("columns", allowed, "all but targets", "the columns that stand side by side");
    let columns =
        given.map(|value| patterns(value).ok_or_else(|| Invalid::value("columns", value, allowed))).transpose()?;
    Ok(Box::new(TableInput { columns }))
}

/// A text or a list of texts; none of them is empty.
fn patterns(value: &Value) -> Option<Vec<String>> {
    let text = |value: &Value| match value {
        Value::Text(text) if !text.is_empty() => Some(text.clone()),
        _ => None,
    };
    match value {
        Value::List(values) if !values.is_empty() => values.iter().map(text).collect(),
        other => text(other).map(|text| vec![text]),
    }
}

impl Input for TableInput {
    fn columns(&self) -> Chosen<'_> {
        self.columns.as_deref().map_or(Chosen::Every, |columns| Chosen::Patterns("columns", columns))
    }

    fn kind_of(&self, column: &Offered<'_>) -> Result<ColumnKind, Invalid> {
        column.kind.ok_or_else(|| {
            Invalid::new(
                "columns",
                format!("column `{}` holds {}, which cannot be a feature", column.name, column.shown),
            )
        })
    }

    fn fit(&self, name: &str, kind: ColumnKind) -> Box<dyn Fit> {
        match kind {
            ColumnKind::Number => Box::new(Numbers(statistics::Fit::new(1))),
            ColumnKind::List { width } | ColumnKind::Pixels { count: width, .. } => {
                Box::new(Numbers(statistics::Fit::new(width)))
            }
            ColumnKind::Boolean | ColumnKind::Text => {
                Box::new(Labels { name: name.to_owned(), values: BTreeSet::new() })
            }
        }
    }

    fn shape(&self) -> InputShape {
        InputShape::Table
    }
}

/// Numbers, to be standardised.
struct Numbers(statistics::Fit);

impl Fit for Numbers {
    fn take(&mut self, block: &Column, training: &[usize]) -> Result<(), String> {
        self.0.push_rows(block, training);
        Ok(())
    }

    fn finish(self: Box<Self>, nulls: bool) -> Encoding {
        let moments = self.0.finish();
        Encoding::Standard {
            mean: moments.iter().map(|m| m.mean).collect(),
            std: moments.iter().map(Moments::std).collect(),
            indicator: nulls,
        }
    }
}

/// The distinct values of text and truth values.
struct Labels {
    /// The column.
    name: String,
    values: BTreeSet<String>,
}

impl Fit for Labels {
    fn take(&mut self, block: &Column, training: &[usize]) -> Result<(), String> {
        for label in training.iter().filter_map(|row| block.label(*row)) {
            if !self.values.contains(label) {
                self.values.insert(label.to_owned());
            }
        }
        if self.values.len() > EMBEDDING_LIMIT {
            return Err(format!(
                "more than {EMBEDDING_LIMIT} values in the training rows: an identifier? `features = [\"!{}\"]` leaves it out",
                self.name
            ));
        }
        Ok(())
    }

    fn finish(self: Box<Self>, nulls: bool) -> Encoding {
        Encoding::of_values(self.values.into_iter().collect(), nulls)
    }
}

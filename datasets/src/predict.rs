//! New rows for a trained model.

use std::path::Path;

use crate::{Batch, DataError, Plan};

/// The rows of a new table in the encoding of a feed, without targets.
#[derive(Debug)]
pub struct Rows<'a> {
    plan: &'a Plan,
}

impl Iterator for Rows<'_> {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let _ = self.plan;
        todo!()
    }
}

/// Reads a table that has a feed's feature columns (further columns, targets too, are ignored) and encodes its rows as the plan says,
/// in batches of at most 1,024 rows in the file's order. The format follows from the extension.
pub fn encode_table<'a>(plan: &'a Plan, feed: usize, path: &Path) -> Result<Rows<'a>, DataError> {
    let _ = (feed, path);
    Ok(Rows { plan })
}

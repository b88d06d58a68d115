//! How far the reading of tables is, for people who wait.

/// A pass over a dataset's files, and how far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passage<'a> {
    /// The dataset's name.
    pub dataset: &'a str,
    /// Why the files are read.
    pub pass: Pass,
    /// Rows that are read; bytes of a pass that finds the rows.
    pub done: u64,
    /// Rows or bytes of all files.
    pub all: u64,
}

/// Why a dataset's files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// To find where rows begin.
    FindRows,
    /// For the column that the split is made from.
    ReadSplit,
    /// For features and targets.
    Read,
}

/// Is told how far reading is. What it does changes no result.
pub type Watch<'a> = &'a dyn Fn(Passage<'_>);

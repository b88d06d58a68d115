//! Inputs: which columns of a dataset a feed takes, how they become numbers, and what a row is to
//! the model.
//!
//! `[dataset.NAME.input.INPUT]` names a kind with its parameters. Each kind is one file here and
//! one line in [`INPUTS`]. A dataset without inputs has one `table` input of all features.
//!
//! A researcher's catalogue can't add kinds: what a kind gives, an [`Encoding`] and an
//! [`InputShape`], are closed types that the plan, the workers and the model share, so a new kind
//! of input is a change to these crates.

mod image;
mod table;

use std::fmt;

use experiment::{Dataset, InputShape};
use settings::{Component, Invalid, Reader, Registry, Table};

use crate::column::{Column, ColumnKind};
use crate::encoding::Encoding;

/// Reads the parameters of an input.
pub type InputFn = fn(&mut Reader<'_>) -> Result<Box<dyn Input>, Invalid>;

/// The kinds of input that this binary knows.
pub static INPUTS: Registry<InputFn> = Registry::new("input", &[table::ENTRY, image::ENTRY]);

/// One input of a dataset, as the experiment describes it.
pub trait Input: fmt::Debug + Send + Sync {
    /// The columns that it takes.
    fn columns(&self) -> Chosen<'_>;

    /// What a column is read as.
    ///
    /// # Errors
    /// [`Invalid`] if the input can't take such a column.
    fn kind_of(&self, column: &Offered<'_>) -> Result<ColumnKind, Invalid>;

    /// Begins to learn the encoding of the column `name`, which is read as `kind`.
    fn fit(&self, name: &str, kind: ColumnKind) -> Box<dyn Fit>;

    /// What a row is to the model.
    fn shape(&self) -> InputShape;
}

/// Learns the encoding of one column from its training rows, which come in the file's order.
pub trait Fit {
    /// Takes the rows `training` of a block.
    ///
    /// # Errors
    /// Why the column can't be encoded.
    fn take(&mut self, block: &Column, training: &[usize]) -> Result<(), String>;

    /// The encoding. `nulls` says whether a training row has no value.
    fn finish(self: Box<Self>, nulls: bool) -> Encoding;
}

/// How an input names its columns. Keys are those of the input's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chosen<'a> {
    /// Every column that is not a target and that the split does not use.
    Every,
    /// Those that names and globs choose: the key, and the patterns.
    Patterns(&'static str, &'a [String]),
    /// The one with this name: the key, and the name.
    One(&'static str, &'a str),
}

/// A column of the files that an input may take.
#[derive(Debug, Clone, Copy)]
pub struct Offered<'a> {
    /// Its name.
    pub name: &'a str,
    /// What a table reads it as; `None` for a type that tables can't use.
    pub kind: Option<ColumnKind>,
    /// Whether its lists hold bytes.
    pub bytes: bool,
    /// What it holds, for people.
    pub shown: &'a str,
}

/// Reads the table of one input; also gives the table with its defaults filled in.
///
/// # Errors
/// [`Invalid`] with the key of this table that is wrong.
pub(crate) fn read(table: &Table) -> Result<(Box<dyn Input>, Table), Invalid> {
    let (input, completed) = INPUTS.read(&Component::from(table.clone()), |part, reader| part(reader))?;
    Ok((input, completed.into()))
}

/// Checks the inputs of a dataset, and fills in the defaults of their parameters.
///
/// # Errors
/// The name of the input, and the key of its table that is wrong.
pub fn complete_inputs(dataset: &mut Dataset) -> Result<(), (String, Invalid)> {
    for (name, table) in &mut dataset.inputs {
        *table = read(table).map_err(|invalid| (name.clone(), invalid))?.1;
    }
    Ok(())
}

/// The input of a dataset that names none.
pub(crate) fn default() -> Box<dyn Input> {
    Box::new(table::TableInput::default())
}

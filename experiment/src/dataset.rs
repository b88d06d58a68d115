//! `[dataset.NAME]`: where a table is, what its columns mean, and how its rows are split.

use std::fmt;

use indexmap::IndexMap;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use settings::{Component, Table};

use crate::strings::{self, Strings};

/// One table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dataset {
    /// The table's files, relative to the experiment file.
    pub path: Paths,
    /// The files' format. Default: from their extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// How CSV files are written.
    #[serde(default, skip_serializing_if = "CsvOptions::is_default")]
    pub csv: CsvOptions,
    /// Names and globs of the feature columns, with `!` before columns to leave out. Default: every
    /// column that is not a task's target on this file and not used by the split.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "strings::optional")]
    pub features: Option<Vec<String>>,
    /// How the model sees a row, instead of `features`: the tables `[dataset.NAME.input.INPUT]` by
    /// name. Each has a `kind` and that kind's parameters, which the crate `datasets` reads.
    #[serde(default, rename = "input", skip_serializing_if = "IndexMap::is_empty")]
    pub inputs: IndexMap<String, Table>,
    /// The meaning of columns, if it differs from what their types say.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub types: IndexMap<String, ColumnType>,
    /// The rows that train, validate and test.
    #[serde(default)]
    pub split: Split,
    /// Rows of each feed on this table in a step, over all workers. Default: `train.batch_size`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<u32>,
    /// How training rows are cut into partitions. Default: [`Order::Shuffled`] up to a million
    /// rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// The layers between this table's features and the trunk. Default: `model.encoder`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<Component>,
}

/// The files of a table: names and globs, relative to the experiment file.
#[derive(Debug, Clone, PartialEq)]
pub enum Paths {
    /// All rows in one list of files. [`Split`] divides them.
    Files(Vec<String>),
    /// Files by split. A part with an empty list is cut from the training files, as [`Split`] says.
    BySplit {
        /// The training files; never empty.
        train: Vec<String>,
        /// The validation files.
        validation: Vec<String>,
        /// The test files.
        test: Vec<String>,
    },
}

impl Paths {
    /// Every name and glob.
    fn iter_mut(&mut self) -> impl Iterator<Item = &mut String> {
        let (files, validation, test) = match self {
            Paths::Files(files) => (files.iter_mut(), [].iter_mut(), [].iter_mut()),
            Paths::BySplit { train, validation, test } => (train.iter_mut(), validation.iter_mut(), test.iter_mut()),
        };
        files.chain(validation).chain(test)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BySplit {
    #[serde(with = "strings")]
    train: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "strings")]
    validation: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "strings")]
    test: Vec<String>,
}

impl Serialize for Paths {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.clone() {
            Paths::Files(files) => strings::serialize(&files, serializer),
            Paths::BySplit { train, validation, test } => BySplit { train, validation, test }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Paths {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PathsVisitor;

        impl<'de> Visitor<'de> for PathsVisitor {
            type Value = Paths;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path, a list of paths, or a table with `train`, `validation` and `test`")
            }

            fn visit_str<E: Error>(self, path: &str) -> Result<Paths, E> {
                Ok(Paths::Files(vec![path.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, paths: A) -> Result<Paths, A::Error> {
                Strings::deserialize(SeqAccessDeserializer::new(paths)).map(|paths| Paths::Files(paths.0))
            }

            fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Paths, A::Error> {
                let BySplit { train, validation, test } = BySplit::deserialize(MapAccessDeserializer::new(table))?;
                Ok(Paths::BySplit { train, validation, test })
            }
        }

        deserializer.deserialize_any(PathsVisitor)
    }
}

/// The format of a table's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Comma-separated values, or values with another [`CsvOptions::separator`].
    Csv,
    /// Apache Parquet.
    Parquet,
    /// Arrow IPC, also called Feather.
    Ipc,
    /// One JSON object in each line.
    Ndjson,
}

/// How CSV files are written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CsvOptions {
    /// The separator of fields: one ASCII character.
    pub separator: char,
    /// Fields that mean "no value", beside the empty field.
    pub null_values: Vec<String>,
    /// The mark between whole and fraction of a number: `.` or `,`.
    pub decimal: char,
    /// What stands between groups of three digits of a number. Default: nothing may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thousands: Option<char>,
}

impl CsvOptions {
    /// What may stand between groups of three digits.
    pub const THOUSANDS: [char; 7] = ['.', ',', ' ', '\'', '_', '\u{a0}', '\u{202f}'];
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self { separator: ',', null_values: Vec::new(), decimal: '.', thousands: None }
    }
}

impl Format {
    /// The name in the experiment file.
    pub fn name(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Parquet => "parquet",
            Format::Ipc => "ipc",
            Format::Ndjson => "ndjson",
        }
    }
}

impl CsvOptions {
    /// Whether all options are the default ones.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What a column means to the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    /// A quantity: standardised.
    Number,
    /// One of several values without an order: one-hot or embedded.
    Category,
    /// Text. For now it is read like [`ColumnType::Category`].
    Text,
}

/// How a feed's training rows are cut into partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// After a permutation by the split's seed.
    Shuffled,
    /// In the file's order, in contiguous ranges. A worker then reads only its own range.
    File,
}

/// The rows that train, validate and test. They depend only on the table and these settings, and
/// are the same for all feeds on a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Split {
    /// The share of the rows that validate, in `[0, 1)`.
    pub validation: f64,
    /// The share of the rows that test, in `[0, 1)`.
    pub test: f64,
    /// The seed of the split. It is not the seed of the training, so runs that differ only in the
    /// experiment's `seed` have the same split.
    pub seed: u64,
    /// Keep the shares of this column's values equal in all parts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stratify: Option<String>,
    /// Keep rows with the same value in this column together. The value's hash decides, so equal
    /// values are in the same part in every dataset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Order by this column: the oldest rows train, the newest test.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// How the values of the column `by` are written, if that is not certain from the values: a
    /// date's form such as `%m/%d/%Y`, [`Split::NUMBER`] or [`Split::TEXT`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_format: Option<String>,
    /// This column names each row's part: `train`, `validation` or `test`. The shares are not used
    /// then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// This table names the part of each row, relative to the experiment file: columns `row` (from
    /// 1) and `part`, and `dataset` if it is for several. The shares are not used then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Cut the rows into this many parts of equal size, of which one tests. The share `test` is not
    /// used then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folds: Option<u32>,
    /// The part that tests, below [`Split::folds`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fold: Option<u32>,
}

impl Split {
    /// `by_format` of a column of numbers.
    pub const NUMBER: &'static str = "number";
    /// `by_format` of a column whose text is ordered by its bytes.
    pub const TEXT: &'static str = "text";
}

impl Default for Split {
    fn default() -> Self {
        Self {
            validation: 0.1,
            test: 0.2,
            seed: 0,
            stratify: None,
            group: None,
            by: None,
            by_format: None,
            column: None,
            file: None,
            folds: None,
            fold: None,
        }
    }
}

impl Dataset {
    /// Whether some of the rows validate.
    pub fn has_validation(&self) -> bool {
        let files = matches!(&self.path, Paths::BySplit { validation, .. } if !validation.is_empty());
        let split = &self.split;
        files || split.column.is_some() || split.file.is_some() || split.validation > 0.0
    }

    /// Every file that it names: names and globs of tables, and the split's file.
    pub fn paths_mut(&mut self) -> impl Iterator<Item = &mut String> {
        self.path.iter_mut().chain(&mut self.split.file)
    }
}

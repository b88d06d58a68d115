//! A dataset's files, what their columns are, and how their rows are split.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::path::PathBuf;

use experiment::{ColumnType, CsvOptions, Dataset, Format, Loaded, Paths, Split};

use super::files::{self, at_path};
use super::split_file;
use crate::DataError;
use crate::column::{Column, ColumnKind, Texts};
use crate::input::{self, Input};
use crate::passage::{Pass, Passage, Watch};
use crate::plan::ColumnPlan;
use crate::selection::Columns;
use crate::source::{Found, Physical, Table, extension_format, has_tabs, size};
use crate::split::{Assignment, Ends, GroupFolds, Index, Key, Keys, Unordered, assign};
use crate::summary::BySummary;
use crate::{decode, location};

/// A dataset with what its files hold.
pub(super) struct OpenTable<'a> {
    pub name: &'a str,
    pub table: Table,
    /// All columns of the files.
    pub found: Vec<Found>,
    pub names: Vec<String>,
    /// The place of each name.
    pub name_places: HashMap<String, usize>,
    /// By column: what it is read as; `None` for a type that can't be used.
    pub kinds: Vec<Option<ColumnKind>>,
    /// The expanded paths, in the order of the rows.
    pub files: Vec<String>,
    /// The input that the experiment names.
    pub input_name: Option<&'a str>,
    /// That input, or by default a table of all features.
    pub input: Box<dyn Input>,
    /// The column that the split is made from.
    pub split_column: Option<usize>,
    /// Whether that column serves the split only; one that is stratified by is a feature like any
    /// other.
    pub split_only: bool,
    /// CSV columns that are text, although their fields are numbers by these options.
    pub written_as: BTreeMap<usize, CsvOptions>,
    /// The columns that are read, ascending: `table.columns[i]` is column `read[i]` of the files.
    pub read: Vec<usize>,
    /// Rows of the training, validation and test files, if files make the split.
    by_files: Option<[u64; 3]>,
    /// The split's seed.
    pub seed: u64,
    /// Columns that are read as features.
    pub features: BTreeSet<usize>,
    /// Columns that are read as targets.
    pub targets: BTreeSet<usize>,
    /// The files' absolute paths with their numbers, to recognise a table under another name.
    pub places: BTreeMap<PathBuf, usize>,
}

/// Looks at a dataset's files.
pub(super) fn open<'a>(
    name: &'a str,
    dataset: &'a Dataset,
    loaded: &Loaded,
    watch: Watch<'_>,
) -> Result<OpenTable<'a>, DataError> {
    let (input_name, input) = read_input(name, dataset, loaded)?;
    let files::Files { names: files, ends, places } = files::find(name, dataset, loaded)?;
    let format = match dataset.format {
        Some(format) => format,
        None => format_of(name, &files, loaded)?,
    };
    let mut csv = dataset.csv.clone();
    if !loaded.source.has(&["dataset", name, "csv", "separator"]) && files.iter().all(|file| has_tabs(file)) {
        csv.separator = '\t';
    }
    let look = |done, all| watch(Passage { dataset: name, pass: Pass::FindRows, done, all });
    let created = Table::create(&files, &loaded.base, format, &csv, &look);
    let (table, found) = created.map_err(|error| at_path(loaded, name, error))?;
    let rows = |range: std::ops::Range<usize>| table.files[range].iter().map(|file| file.rows()).sum::<u64>();
    let by_files = matches!(dataset.path, Paths::BySplit { .. })
        .then(|| [rows(0..ends[0]), rows(ends[0]..ends[1]), rows(ends[1]..ends[2])]);
    let names: Vec<String> = found.iter().map(|column| column.name.clone()).collect();
    let mut opened = OpenTable {
        name,
        kinds: vec![None; found.len()],
        found,
        name_places: names.iter().cloned().enumerate().map(|(place, name)| (name, place)).collect(),
        names,
        files,
        input_name,
        input,
        split_column: None,
        split_only: false,
        written_as: BTreeMap::new(),
        read: Vec::new(),
        by_files,
        seed: dataset.split.seed,
        features: BTreeSet::new(),
        targets: BTreeSet::new(),
        places,
        table,
    };
    opened.find_kinds(dataset, loaded)?;
    let split = &dataset.split;
    let keys = [("stratify", &split.stratify), ("group", &split.group), ("by", &split.by), ("column", &split.column)];
    for (key, column) in keys {
        if let Some(column) = column {
            let at = ["dataset", name, "split", key];
            let found = opened.columns(&[]).find(column, &loaded.source, &at)?;
            if matches!(opened.kinds[found], None | Some(ColumnKind::List { .. })) {
                let message =
                    format!("column `{column}` holds {}; a split needs one value a row", opened.shown_kind(found));
                return Err(loaded.source.error_at(&at, message).into());
            }
            opened.split_column = Some(found);
        }
    }
    opened.split_only = split.stratify.is_none();
    if opened.table.rows() == 0 {
        return Err(loaded.source.error_at(&["dataset", name, "path"], "there are no rows").into());
    }
    Ok(opened)
}

/// The dataset's input with its name, or the default one.
fn read_input<'a>(
    name: &str,
    dataset: &'a Dataset,
    loaded: &Loaded,
) -> Result<(Option<&'a str>, Box<dyn Input>), DataError> {
    let Some((input, table)) = dataset.inputs.first() else { return Ok((None, input::default())) };
    let at = ["dataset", name, "input", input];
    let (read, _) = input::read(table).map_err(|invalid| loaded.source.refused(&at, invalid))?;
    Ok((Some(input), read))
}

fn format_of(name: &str, files: &[String], loaded: &Loaded) -> Result<Format, DataError> {
    let formats: BTreeSet<Option<&str>> = files.iter().map(|file| extension_format(file).map(Format::name)).collect();
    let format = files.first().and_then(|file| extension_format(file));
    match (format, formats.len()) {
        (Some(format), 1) => Ok(format),
        _ => {
            for file in files {
                size(file, &location::resolve(&loaded.base, file)).map_err(|error| at_path(loaded, name, error))?;
            }
            let message = "the files' extensions do not say one format: give `format = \"csv\"`, `\"parquet\"`, `\"ipc\"` or `\"ndjson\"`";
            Err(loaded.source.error_at(&["dataset", name, "path"], message).into())
        }
    }
}

impl OpenTable<'_> {
    /// The columns to choose from; those of `reserved` only by their own names.
    pub fn columns<'b>(&'b self, reserved: &'b [bool]) -> Columns<'b> {
        Columns { names: &self.names, places: &self.name_places, reserved, table: self.name }
    }

    fn find_kinds(&mut self, dataset: &Dataset, loaded: &Loaded) -> Result<(), DataError> {
        let fields: Vec<usize> =
            (0..self.found.len()).filter(|c| self.found[*c].physical == Physical::Fields).collect();
        let sampled = self.sample(&fields)?;
        for (column, found) in self.found.iter().enumerate() {
            self.kinds[column] = match &found.physical {
                Physical::Number => Some(ColumnKind::Number),
                Physical::Boolean => Some(ColumnKind::Boolean),
                Physical::Text => Some(ColumnKind::Text),
                Physical::List(width) => Some(ColumnKind::List { width: *width }),
                Physical::Fields => fields
                    .binary_search(&column)
                    .ok()
                    .map(|place| decode::fields_kind(&sampled[place], &self.table.csv)),
                Physical::Other(_) => None,
            };
        }
        for (place, column) in fields.iter().enumerate() {
            let is_said = dataset.types.contains_key(&self.names[*column]);
            if self.kinds[*column] == Some(ColumnKind::Text)
                && !is_said
                && let Some(options) = decode::fields_notation(&sampled[place])
            {
                self.written_as.insert(*column, options);
            }
        }
        for (name, given) in &dataset.types {
            let at = ["dataset", self.name, "types", name.as_str()];
            let column = self.columns(&[]).find(name, &loaded.source, &at)?;
            if let Some(ColumnKind::List { .. }) | None = self.kinds[column] {
                let message = format!(
                    "column `{name}` holds {}, which `types` cannot change",
                    self.found[column].physical.shown()
                );
                return Err(loaded.source.error_at(&at, message).into());
            }
            self.kinds[column] = Some(match given {
                ColumnType::Number => ColumnKind::Number,
                ColumnType::Category | ColumnType::Text => ColumnKind::Text,
            });
        }
        Ok(())
    }

    /// The fields of the first rows, as text.
    fn sample(&mut self, fields: &[usize]) -> Result<Vec<Texts>, DataError> {
        const SAMPLE: u64 = 10_000;
        if fields.is_empty() {
            return Ok(Vec::new());
        }
        let plan = |c: &usize| ColumnPlan { name: self.names[*c].clone(), kind: ColumnKind::Text };
        self.table.columns = fields.iter().map(plan).collect();
        let wanted: Vec<usize> = (0..fields.len()).collect();
        let mut texts: Vec<Texts> = fields.iter().map(|_| Texts::default()).collect();
        self.table.scan(&wanted, 0..SAMPLE.min(self.table.rows()), &mut |_, block| {
            for (texts, column) in texts.iter_mut().zip(&block) {
                (0..column.len()).for_each(|row| texts.push(column.label(row)));
            }
            Ok(())
        })?;
        Ok(texts)
    }

    /// Fixes the columns that are read: these and the split's.
    pub fn read_only(&mut self, features: BTreeSet<usize>, targets: BTreeSet<usize>) {
        let columns: BTreeSet<usize> = features.iter().chain(&targets).copied().chain(self.split_column).collect();
        (self.features, self.targets) = (features, targets);
        self.read = columns.into_iter().filter(|column| self.kinds[*column].is_some()).collect();
        let plan = |c: &usize| ColumnPlan {
            name: self.names[*c].clone(),
            kind: self.kinds[*c].expect("columns that can't be read were left out"),
        };
        self.table.columns = self.read.iter().map(plan).collect();
    }

    /// The place of a column among those that are read.
    pub fn place(&self, column: usize) -> usize {
        self.read.binary_search(&column).expect("features, targets and the split's column are read")
    }

    /// Divides the rows. A split by a column also gives the ends of each part.
    pub fn assign(
        &self,
        split: &Split,
        groups: &GroupFolds,
        loaded: &Loaded,
        watch: Watch<'_>,
    ) -> Result<(Assignment, Option<BySummary>), DataError> {
        if let Some(file) = &split.file {
            return Ok((Assignment::listed(&split_file::read(file, self, loaded)?), None));
        }
        let rows = self.by_files.unwrap_or([self.table.rows(), 0, 0]);
        let assign = |key: &Key<'_>| {
            assign(split, rows, self.by_files.is_some(), key, groups).map_err(|(row, reason)| {
                let name = self.split_column.map_or("", |column| self.names[column].as_str());
                self.table.cell_error(row, name, reason)
            })
        };
        let Some(column) = self.split_column else { return Ok((assign(&Key::Shares)?, None)) };
        if split.by.is_some() {
            let keys = self.keys(column, (rows[0], split.by_format.as_deref()), loaded, watch)?;
            let assignment = assign(&Key::By(&keys))?;
            let index = Index::new(&assignment);
            let ends = self.shown_ends(column, keys.ends(|row| index.part(row)))?;
            return Ok((assignment, Some(ends)));
        }
        let values = self.whole(column, watch)?;
        let key = match split {
            Split { stratify: Some(_), .. } => Key::Stratify(&values),
            Split { group: Some(_), .. } => Key::Group(&values),
            _ => Key::Named(&values),
        };
        Ok((assign(&key)?, None))
    }

    /// What orders the first `rows` rows, whose values are written in `format`.
    fn keys(
        &self,
        column: usize,
        (rows, format): (u64, Option<&str>),
        loaded: &Loaded,
        watch: Watch<'_>,
    ) -> Result<Keys, DataError> {
        let is_text = matches!(self.found[column].physical, Physical::Fields | Physical::Text)
            && self.kinds[column] != Some(ColumnKind::Boolean);
        let values = match is_text {
            // Numbers in text are ordered exactly, and dates whatever they are read as.
            true => self.read_as(column, ColumnKind::Text, 0..self.table.rows(), watch)?,
            false => self.whole(column, watch)?,
        };
        let name = &self.names[column];
        let at = |key, reason: String| {
            DataError::from(
                loaded.source.error_at(&["dataset", self.name, "split", key], format!("column `{name}`: {reason}")),
            )
        };
        Keys::of(&values, rows, format).map_err(|unordered| match unordered {
            Unordered::Row(row, reason) => self.table.cell_error(row, name, reason),
            Unordered::Column(reason) => at("by", reason),
            Unordered::Format(reason) => at("by_format", reason),
        })
    }

    /// The ends of parts as the file has them.
    fn shown_ends(&self, column: usize, ends: Ends) -> Result<BySummary, DataError> {
        let shown = |row: u64| -> Result<String, DataError> {
            match self.read_as(column, ColumnKind::Text, row..row + 1, &|_| {}) {
                Ok(value) => Ok(value.label(0).unwrap_or_default().to_owned()),
                // Durations are numbers only.
                Err(_) => {
                    let value = self.read_as(column, ColumnKind::Number, row..row + 1, &|_| {})?;
                    Ok(value.numbers(0, 1)[0].to_string())
                }
            }
        };
        let mut parts = BTreeMap::new();
        for (part, (first, last)) in ends {
            parts.insert(part, [shown(first)?, shown(last)?]);
        }
        Ok(BySummary { column: self.names[column].clone(), parts })
    }

    /// A column of all rows.
    pub fn whole(&self, column: usize, watch: Watch<'_>) -> Result<Column, DataError> {
        let kind = self.kinds[column].expect("a column of the split can be read");
        self.read_as(column, kind, 0..self.table.rows(), watch)
    }

    /// Rows of a column, read as a kind.
    fn read_as(
        &self,
        column: usize,
        kind: ColumnKind,
        rows: Range<u64>,
        watch: Watch<'_>,
    ) -> Result<Column, DataError> {
        let mut table = self.table.clone();
        table.columns = vec![ColumnPlan { name: self.names[column].clone(), kind }];
        let mut whole = None;
        let all = table.rows();
        table.scan(&[0], rows, &mut |first, mut block| {
            if let Some(part) = block.pop() {
                watch(Passage { dataset: self.name, pass: Pass::ReadSplit, done: first + part.len() as u64, all });
                append(&mut whole, part);
            }
            Ok(())
        })?;
        whole.ok_or_else(|| DataError::NotPlanned { what: format!("column `{}`", self.names[column]) })
    }

    /// What a column is read as, for people.
    pub fn shown_kind(&self, column: usize) -> String {
        match self.kinds[column] {
            Some(ColumnKind::Number) => "number".to_owned(),
            Some(ColumnKind::Boolean) => "boolean".to_owned(),
            Some(ColumnKind::Text) => "text".to_owned(),
            Some(ColumnKind::List { width } | ColumnKind::Pixels { count: width, .. }) => format!("list[{width}]"),
            None => self.found[column].physical.shown(),
        }
    }
}

/// Adds a block's column at the end.
pub(super) fn append(whole: &mut Option<Column>, part: Column) {
    match whole {
        None => *whole = Some(part),
        Some(whole) => whole.append(part),
    }
}

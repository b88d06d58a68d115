//! The tasks of a run, with their columns and feeds.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use experiment::{ExperimentError, InputShape, Loaded, Task};

use super::features::FittedTable;
use super::table::OpenTable;
use crate::DataError;
use crate::column::{Column, ColumnKind};
use crate::input::{Chosen, Offered};
use crate::selection::Columns;
use crate::summary::TaskSummary;
use crate::target::TaskPlan;
use crate::target::fit::{self, Rows, Unfit};

/// A task before its labels are read.
pub(super) struct Draft<'a> {
    pub name: String,
    /// The key in `[task.*]`.
    pub template: &'a str,
    pub task: &'a Task,
    pub table: usize,
    /// The target's columns, numbered as in the files.
    pub columns: Vec<usize>,
}

/// A selection of a table's columns.
pub(super) struct Feed {
    pub name: String,
    pub table: usize,
    /// Numbered as in the files, ascending until [`super::align`] puts them in another order.
    pub columns: Vec<usize>,
    /// What those are read as.
    pub kinds: Vec<ColumnKind>,
    /// What a row is to the model.
    pub input: InputShape,
    /// The numbers of its tasks, ascending.
    pub tasks: Vec<usize>,
}

/// Finds the tasks' columns; a template becomes a task for each column that it chooses.
pub(super) fn expand<'a>(loaded: &'a Loaded, tables: &[OpenTable<'_>]) -> Result<Vec<Draft<'a>>, DataError> {
    let mut drafts: Vec<Draft<'a>> = Vec::new();
    for (key, task) in &loaded.experiment.tasks {
        let table = table_of(loaded, task, tables);
        let opened = &tables[table];
        if let Some(target) = &task.target {
            let find = |name: &String| opened.columns(&[]).find(name, &loaded.source, &["task", key, "target"]);
            let columns = target.iter().map(find).collect::<Result<_, ExperimentError>>()?;
            drafts.push(Draft { name: key.clone(), template: key, task, table, columns });
        }
        if let Some(patterns) = &task.each_target {
            let reserved = reserved_columns(loaded, tables, table)?;
            let chosen = opened.columns(&reserved).select(patterns, &loaded.source, &["task", key, "each_target"])?;
            for column in chosen {
                let name = opened.names[column].clone();
                drafts.push(Draft { name, template: key, task, table, columns: vec![column] });
            }
        }
    }
    let mut names = BTreeSet::new();
    for draft in &drafts {
        let usable = draft.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        let message = match (names.insert(&draft.name), usable) {
            (true, true) => continue,
            (false, _) => format!("two tasks are named `{}`", draft.name),
            (_, false) => format!("column `{}` can't name a task; a name has letters, digits, `_` and `-`", draft.name),
        };
        return Err(loaded.source.error_at(&["task", draft.template], message).into());
    }
    for draft in &drafts {
        for column in &draft.columns {
            if tables[draft.table].kinds[*column].is_none() {
                let what = tables[draft.table].shown_kind(*column);
                let message =
                    format!("column `{}` holds {what}, which cannot be a target", tables[draft.table].names[*column]);
                return Err(loaded.source.error_at(&["task", draft.template], message).into());
            }
        }
    }
    Ok(drafts)
}

fn table_of(loaded: &Loaded, task: &Task, tables: &[OpenTable<'_>]) -> usize {
    let place = loaded.experiment.datasets.get_index_of(&task.dataset).expect("the experiment was checked");
    debug_assert_eq!(tables[place].name, task.dataset);
    place
}

/// By column of a table: whether a task with a fixed target on the same file, or the split, uses
/// it.
fn reserved_columns(loaded: &Loaded, tables: &[OpenTable<'_>], table: usize) -> Result<Vec<bool>, DataError> {
    let opened = &tables[table];
    let mut reserved = vec![false; opened.names.len()];
    for task in loaded.experiment.tasks.values() {
        if same_file(tables, table, table_of(loaded, task, tables)) {
            for name in task.target.iter().flat_map(|target| target.iter()) {
                if let Some(column) = opened.name_places.get(name) {
                    reserved[*column] = true;
                }
            }
        }
    }
    if let Some(column) = opened.split_column.filter(|_| opened.split_only) {
        reserved[column] = true;
    }
    Ok(reserved)
}

fn same_file(tables: &[OpenTable<'_>], a: usize, b: usize) -> bool {
    a == b || tables[a].places.keys().any(|place| tables[b].places.contains_key(place))
}

/// The feeds in the order of datasets and tasks.
pub(super) fn feeds(
    loaded: &Loaded,
    tables: &[OpenTable<'_>],
    drafts: &[Draft<'_>],
    warnings: &mut Vec<String>,
) -> Result<Vec<Feed>, DataError> {
    let mut feeds: Vec<Feed> = Vec::new();
    for (table, opened) in tables.iter().enumerate() {
        let mut reserved = reserved_columns(loaded, tables, table)?;
        for draft in drafts.iter().filter(|draft| same_file(tables, table, draft.table)) {
            for column in &draft.columns {
                let name = &tables[draft.table].names[*column];
                if let Some(column) = opened.name_places.get(name) {
                    reserved[*column] = true;
                }
            }
        }
        let own = drafts.iter().enumerate().filter(|(_, draft)| draft.table == table);
        if own.clone().next().is_none() {
            warnings.push(format!("dataset `{}` has no task", opened.name));
        }
        // Most tasks choose alike: by their own list of features, or as the dataset says.
        let mut choices: BTreeMap<Option<&[String]>, Choice> = BTreeMap::new();
        let mut by_columns: BTreeMap<Vec<usize>, usize> = BTreeMap::new();
        let mut is_named = false;
        for (number, draft) in own {
            let choice = match choices.entry(draft.task.features.as_deref()) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(choose(loaded, draft, opened, &reserved, warnings)?),
            };
            choice.check(draft, opened, loaded)?;
            if let Some(known) = by_columns.get(&choice.columns) {
                feeds[*known].tasks.push(number);
                continue;
            }
            let by_task = draft.task.features.is_some() || is_named;
            is_named |= !by_task;
            let name = if by_task { format!("{}.{}", opened.name, draft.name) } else { opened.name.to_owned() };
            by_columns.insert(choice.columns.clone(), feeds.len());
            feeds.push(Feed {
                name,
                table,
                columns: choice.columns.clone(),
                kinds: choice.kinds.clone(),
                input: opened.input.shape(),
                tasks: vec![number],
            });
        }
    }
    Ok(feeds)
}

/// The columns that tasks with one list of features take.
struct Choice {
    /// Ascending.
    columns: Vec<usize>,
    /// What those are read as.
    kinds: Vec<ColumnKind>,
    /// The key that says so.
    key: Vec<String>,
}

/// The columns of a task's feed, if they can be features.
fn choose(
    loaded: &Loaded,
    draft: &Draft<'_>,
    opened: &OpenTable<'_>,
    reserved: &[bool],
    warnings: &mut Vec<String>,
) -> Result<Choice, DataError> {
    let (mut columns, key) = chosen(loaded, draft, opened, reserved, warnings)?;
    columns.sort_unstable();
    let at: Vec<&str> = key.iter().map(String::as_str).collect();
    let mut kinds = Vec::with_capacity(columns.len());
    for column in &columns {
        let (kind, bytes) = (opened.kinds[*column], opened.found[*column].bytes);
        let shown = opened.shown_kind(*column);
        let offered = Offered { name: &opened.names[*column], kind, bytes, shown: &shown };
        kinds.push(opened.input.kind_of(&offered).map_err(|invalid| match opened.input_name {
            Some(input) => loaded.source.refused(&["dataset", opened.name, "input", input], invalid),
            None => loaded.source.error_at(&at, invalid.message),
        })?);
    }
    Ok(Choice { columns, kinds, key })
}

impl Choice {
    /// Refuses a target among its own features.
    fn check(&self, draft: &Draft<'_>, opened: &OpenTable<'_>, loaded: &Loaded) -> Result<(), DataError> {
        let Some(column) = draft.columns.iter().find(|column| self.columns.binary_search(column).is_ok()) else {
            return Ok(());
        };
        let key: Vec<&str> = self.key.iter().map(String::as_str).collect();
        let name = &opened.names[*column];
        let message = format!("column `{name}` is the target of task `{}` and one of its features", draft.name);
        Err(loaded.source.error_at(&key, message).into())
    }
}

/// The columns that a task's feed takes, and the key that says so.
fn chosen(
    loaded: &Loaded,
    draft: &Draft<'_>,
    opened: &OpenTable<'_>,
    reserved: &[bool],
    warnings: &mut Vec<String>,
) -> Result<(Vec<usize>, Vec<String>), DataError> {
    let columns = opened.columns(reserved);
    let source = &loaded.source;
    let owned = |key: &[&str]| key.iter().map(|key| (*key).to_owned()).collect();
    if let Some(patterns) = &draft.task.features {
        let key = ["task", draft.template, "features"];
        if let Some(input) = opened.input_name {
            let message = format!(
                "dataset `{}` has the input `{input}`, which chooses the columns; remove `features`, or give the task \
                 a dataset without inputs",
                opened.name
            );
            return Err(source.error_at(&key, message).into());
        }
        return Ok((columns.select(patterns, source, &key)?, owned(&key)));
    }
    if let Some(patterns) = &loaded.experiment.datasets[opened.name].features {
        let key = ["dataset", opened.name, "features"];
        return Ok((columns.select(patterns, source, &key)?, owned(&key)));
    }
    let at = |key| ["dataset", opened.name, "input", opened.input_name.unwrap_or_default(), key];
    Ok(match opened.input.columns() {
        Chosen::Every => (every(&columns, opened, loaded, warnings)?, owned(&["dataset", opened.name])),
        Chosen::Patterns(key, patterns) => (columns.select(patterns, source, &at(key))?, owned(&at(key))),
        Chosen::One(key, name) => (vec![columns.find(name, source, &at(key))?], owned(&at(key))),
    })
}

fn every(
    columns: &Columns<'_>,
    opened: &OpenTable<'_>,
    loaded: &Loaded,
    warnings: &mut Vec<String>,
) -> Result<Vec<usize>, DataError> {
    let all = (0..opened.names.len()).filter(|column| !columns.reserved[*column]);
    let (usable, other): (Vec<usize>, Vec<usize>) = all.partition(|column| opened.kinds[*column].is_some());
    for column in other {
        let warning = format!(
            "dataset `{}`: column `{}` holds {} and is left out",
            opened.name,
            opened.names[column],
            opened.shown_kind(column)
        );
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
    if usable.is_empty() {
        let message = format!("no column of dataset `{}` is left for features", opened.name);
        return Err(loaded.source.error_at(&["dataset", opened.name], message).into());
    }
    Ok(usable)
}

/// Reads a task's labels: its plan, its summary, and what a user should know.
pub(super) fn fit(
    loaded: &Loaded,
    draft: &Draft<'_>,
    opened: &OpenTable<'_>,
    fitted: &FittedTable,
    feed: usize,
    feed_name: &str,
) -> Result<(TaskPlan, TaskSummary, Vec<String>), DataError> {
    let names: Vec<String> = draft.columns.iter().map(|column| opened.names[*column].clone()).collect();
    let kinds: Vec<ColumnKind> = draft.columns.iter().filter_map(|column| opened.kinds[*column]).collect();
    let columns: Vec<&Column> = draft.columns.iter().map(|column| &fitted.targets[column]).collect();
    let rows = Rows { names: &names, kinds: &kinds, columns: &columns, splits: &fitted.parts };
    let labels = fit::fit(&draft.name, draft.task, &rows).map_err(|unfit| match unfit {
        Unfit::Key(key, message) => {
            let key = if key == "target" && draft.task.target.is_none() { "each_target" } else { key };
            DataError::from(loaded.source.error_at(&["task", draft.template, key], message))
        }
        Unfit::Cell { column, row, reason } => opened.table.cell_error(row, &names[column], reason),
    })?;
    let warnings = labels.warnings.clone();
    let (plan, summary) = labels.into_plan(draft.task, &draft.name, draft.template, (feed, feed_name), names);
    Ok((plan, summary, warnings))
}

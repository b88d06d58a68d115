//! The split: where the parts of a split by a column begin and end, which columns share the inputs
//! of the trunk, and the split as a file.

use std::{fs, path::Path};

use coordinator::setup::Setup;
use datasets::{BySummary, Summary, TrunkInput};

use crate::exit::{self, Failure};

/// The first line of an exported split.
const HEADER: &str = "dataset,row,part";

/// What there is to say, each line with a line break before it.
pub fn shown(summary: &Summary) -> String {
    let by = summary.tables.iter().filter_map(|table| Some(shown_ends(&table.name, table.by.as_ref()?)));
    by.chain(shown_inputs(&summary.trunk_inputs)).map(|line| format!("\n{line}")).collect()
}

/// `rows by date: train from 2021-01-01 to 2021-05-31, ...`
fn shown_ends(dataset: &str, by: &BySummary) -> String {
    let ends = by.parts.iter().map(|(part, [first, last])| format!("{part} from {first:?} to {last:?}"));
    format!("dataset {dataset} by {:?}: {}", by.column, ends.collect::<Vec<_>>().join(", "))
}

fn shown_inputs(inputs: &[TrunkInput]) -> Vec<String> {
    let by_name = |input: &TrunkInput| input.columns.iter().all(|(_, column)| *column == input.columns[0].1);
    match inputs.first() {
        None => Vec::new(),
        Some(first) if inputs.iter().all(by_name) => {
            let feeds: Vec<&str> = first.columns.iter().map(|(feed, _)| feed.as_str()).collect();
            vec![format!("feeds {} have no encoder: columns of one name are one input of the trunk", feeds.join(", "))]
        }
        Some(_) => inputs.iter().map(shown_input).collect(),
    }
}

fn shown_input(input: &TrunkInput) -> String {
    let columns: Vec<String> = input.columns.iter().map(|(feed, column)| format!("{column:?} of {feed}")).collect();
    let inputs = match input.last - input.first {
        0 => format!("input {}", input.first),
        _ => format!("inputs {} to {}", input.first, input.last),
    };
    format!("{inputs} of the trunk: {}", columns.join(", "))
}

/// Writes the part of each row of all datasets: a line for each with the dataset's name, the row
/// from 1, and the part.
///
/// # Errors
/// The file can't be written, or is there and is not an exported split.
pub fn export(setup: &Setup, path: &Path) -> Result<(), Failure> {
    if path.exists() && !fs::read(path).is_ok_and(|text| text.starts_with(HEADER.as_bytes())) {
        let message = "the file is there and is not an exported split; name another one, or remove it";
        return Err(Failure::Refused(format!("{}: {message}", path.display())));
    }
    let mut text = format!("{HEADER}\n");
    for (number, table) in setup.prepared.plan.tables().iter().enumerate() {
        for (row, part) in (1..).zip(setup.prepared.plan.parts(number)) {
            text.push_str(&format!("{},{row},{part}\n", table.name));
        }
    }
    exit::write(path, text.as_bytes())
}

//! `constant`: alpha is given, as a list in the tasks' order or as a table by task name. Tasks that
//! the table leaves out have 1.

use super::method::{Failure, Method, Moment, Outcome, State, Statistics};
use super::{Build, Built};
use settings::{Entry, Invalid, Range, Reader, Table, Value};

const NAME: &str = "constant";

pub(super) const ENTRY: Entry<Build> = Entry::built_in(NAME, "each task's loss times its given weight", build);

#[derive(Debug)]
struct Constant {
    weights: Vec<f64>,
}

fn build(reader: &mut Reader<'_>, tasks: Option<&[&str]>) -> Built {
    let allowed = "a list with a number of at least 0 for each task, or a table of them by task";
    let documentation = "factor of each task's loss; a task that the table leaves out has 1";
    let weights = match reader.required_value("weights", allowed, Value::List(Vec::new()), documentation)? {
        Value::List(values) => in_order(&values)?,
        Value::Table(table) => by_name(&table, tasks)?,
        value => return Err(Invalid::value("weights", value, allowed)),
    };
    match tasks {
        Some(tasks) if tasks.len() != weights.len() => {
            let message = format!("weights given: {}; tasks: {} ({})", weights.len(), tasks.len(), tasks.join(", "));
            Err(Invalid::new("weights", message))
        }
        _ => Ok(Box::new(Constant { weights })),
    }
}

/// Weights from a list, in the order of the tasks.
fn in_order(values: &[Value]) -> Result<Vec<f64>, Invalid> {
    let number = |value: &Value| {
        let number = value.number().filter(|number| Range::NotNegative.contains(*number));
        number.ok_or_else(|| Invalid::value("weights", value, format!("a list; each entry {}", Range::NotNegative)))
    };
    values.iter().map(number).collect()
}

/// Weights from a table by task name, in the order of the tasks. If the tasks are not known yet,
/// only the numbers are checked.
fn by_name(table: &Table, tasks: Option<&[&str]>) -> Result<Vec<f64>, Invalid> {
    for (task, value) in table {
        if !value.number().is_some_and(|number| Range::NotNegative.contains(number)) {
            return Err(Invalid::value("weights", format!("{task} = {value}"), Range::NotNegative));
        }
        if let Some(tasks) = tasks
            && !tasks.contains(&task.as_str())
        {
            return Err(Invalid {
                path: vec!["weights".to_owned(), task.clone()],
                ..Invalid::name("weights", task, tasks)
            });
        }
    }
    let weight = |task: &&str| table.get(*task).and_then(Value::number).unwrap_or(1.0);
    Ok(tasks.unwrap_or_default().iter().map(weight).collect())
}

impl Method for Constant {
    fn weigh(&self, moment: &Moment<'_>, _: &Statistics<'_>, _: &mut State) -> Result<Outcome, Failure> {
        Ok(Outcome::alpha(moment.present.iter().map(|&task| self.weights[task]).collect()))
    }
}

//! The weightings that a run has recorded.

use std::path::Path;

use aggregation::Gramian;
use coordinator::journal::{self, Number, Outcome, Record, WeightingRecord};
use datasets::Plan;

use crate::{exit::Failure, run_dir};

/// A run's records of weightings, and its data plan.
pub struct Recorded {
    /// One record for each recorded step, in the order of the steps.
    pub records: Vec<WeightingRecord>,
    /// The run's data plan. It names the tasks.
    pub plan: Plan,
}

/// Reads a run.
///
/// # Errors
/// It is not a run's folder, its journal can't be read, or it has no checkpoint.
pub fn read(dir: &Path) -> Result<Recorded, Failure> {
    run_dir::check(dir)?;
    let mut records = Vec::new();
    for record in journal::read(&dir.join("journal.jsonl")).map_err(Failure::refused)? {
        if let Record::Result { outcome: Outcome::Weighting(weighting), .. } = record.map_err(Failure::failed)? {
            check_lengths(&weighting)?;
            records.push(weighting);
        }
    }
    // A record that was lost and made again is at a later place in the journal.
    records.sort_by_key(|record| record.step);
    let (checkpoint, _) = run_dir::selected(dir)?;
    let plan = serde_json::from_str(&checkpoint.preprocessing).map_err(Failure::failed)?;
    Ok(Recorded { records, plan })
}

impl Recorded {
    /// The names of all tasks, in the experiment's order.
    pub fn tasks(&self) -> Vec<&str> {
        self.plan.shapes().tasks.iter().map(|task| task.name.as_str()).collect()
    }

    /// The indices of a record's tasks.
    ///
    /// # Errors
    /// The plan does not have one of the tasks.
    pub fn present(&self, record: &WeightingRecord) -> Result<Vec<usize>, Failure> {
        let tasks = self.tasks();
        let number = |name: &String| tasks.iter().position(|task| task == name);
        let unknown = |name: &String| Failure::Failed(format!("step {}: the plan has no task `{name}`", record.step));
        record.tasks.iter().map(|name| number(name).ok_or_else(|| unknown(name))).collect()
    }

    /// Refuses a run with a single task, or without any Gramian.
    pub fn check_gramians(&self, dir: &Path) -> Result<(), Failure> {
        if let [task] = self.tasks()[..] {
            let message = format!("{}: the run has one task, `{task}`, and no other to compare it with", dir.display());
            return Err(Failure::Refused(message));
        }
        if self.records.iter().any(|record| record.gramian.is_some()) {
            return Ok(());
        }
        let method = self.records.first().map_or("its weighting", |record| record.method.as_str());
        Err(Failure::Refused(format!(
            "{}: this run recorded no per-task gradients (`{method}` does not need them, and `tracking.gramian_every` is off). \
             Train with `--set tracking.gramian_every=10` to record them",
            dir.display()
        )))
    }
}

/// Refuses a record that has lists of other lengths than its tasks.
fn check_lengths(record: &WeightingRecord) -> Result<(), Failure> {
    let tasks = record.tasks.len();
    let is_list = |list: &Vec<Number>| list.len() == tasks;
    let is_matrix = |rows: &Vec<Vec<Number>>| rows.len() == tasks && rows.iter().all(is_list);
    let lists = [Some(&record.losses), record.alpha.as_ref(), record.products.as_ref()];
    let matrices = [&record.gramian, &record.cosines];
    if lists.into_iter().flatten().all(is_list) && matrices.into_iter().flatten().all(is_matrix) {
        return Ok(());
    }
    Err(Failure::Failed(format!("step {}: the record has lists that do not fit its {tasks} tasks", record.step)))
}

/// A record's Gramian, if it has one.
pub fn gramian(record: &WeightingRecord) -> Option<Gramian> {
    let values = |rows: &Vec<Vec<Number>>| rows.iter().flatten().map(|number| number.0).collect();
    record.gramian.as_ref().map(|rows| Gramian::new(record.tasks.len(), values(rows)))
}

/// Numbers of the journal as `f64`.
pub fn numbers(values: &[Number]) -> Vec<f64> {
    values.iter().map(|number| number.0).collect()
}

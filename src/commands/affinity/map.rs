//! The measures as heat maps.

use std::path::Path;

use aggregation::affinity::Affinity;

use super::{Measure, each};
use crate::picture::{HeatMap, Scene, heat_map};

/// A measure's picture.
pub(super) fn draw(run_dir: &Path, measure: Measure, tasks: &[&str], affinity: &Affinity) -> Scene {
    let labels: Vec<String> = tasks.iter().map(|&task| task.to_owned()).collect();
    let run = run_dir.canonicalize().ok();
    let run = run.as_deref().and_then(Path::file_name).unwrap_or(run_dir.as_os_str()).to_string_lossy();
    let title = format!("Task affinity of {run}");
    let steps = affinity.steps();
    match measure {
        Measure::Cosine => heat_map(&HeatMap {
            title: &title,
            note: &[
                &format!("Mean cosine of the tasks' gradients over {steps} recorded steps:"),
                "blue where they agree, orange where they conflict",
            ],
            rows: "task",
            columns: "task",
            labels: &labels,
            values: &each(&affinity.cosines(), |estimate| Some(estimate.mean)),
            limit: 1.0,
            legend: "mean cosine",
        }),
        Measure::Transfer => {
            let values = each(&affinity.transfers(), |estimate| Some(estimate.mean));
            heat_map(&HeatMap {
                title: &title,
                note: &[
                    "Share of a column's loss that a step along a row's gradient takes away, to first order,",
                    &format!("mean over {steps} recorded steps: blue where it falls, orange where it rises;"),
                    "the colours span the effects on other tasks: a task's effect on itself may lie beyond",
                ],
                rows: "step along",
                columns: "loss of",
                labels: &labels,
                values: &values,
                limit: limit(&values),
                legend: "first-order transfer",
            })
        }
    }
}

/// The largest absolute value off the diagonal, or on it if all others are 0. The effect of a task
/// on itself is far larger, and would leave the others without colour.
fn limit(values: &[Vec<Option<f64>>]) -> f64 {
    let sizes = |is_own: bool| {
        let cells =
            values.iter().enumerate().flat_map(|(i, row)| row.iter().enumerate().map(move |(j, v)| (i == j, v)));
        cells.filter(move |cell| cell.0 == is_own).filter_map(|(_, value)| value.map(f64::abs)).fold(0.0, f64::max)
    };
    [sizes(false), sizes(true)].into_iter().find(|size| *size > 0.0).unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_span_the_effects_on_other_tasks() {
        let of = |other: Option<f64>| limit(&[vec![Some(0.5), other], vec![Some(0.01), Some(0.7)]]);
        assert_eq!((of(Some(-0.02)), of(None)), (0.02, 0.01));
        assert_eq!(limit(&[vec![Some(0.5), Some(0.0)], vec![None, Some(0.7)]]), 0.7);
        assert_eq!(limit(&[vec![None]]), 1.0);
    }
}

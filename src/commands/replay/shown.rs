//! A replay as text.

use super::{AGAINST, Step, Worst};
use crate::table::{Table, short_name};

/// Steps that are shown.
const STEPS_MAX: usize = 12;
/// Tasks that are shown, if each takes a line.
const TASKS_MAX: usize = 20;

/// The weights of both weightings in lines of at most `width` characters: one line a step if a line
/// holds all tasks, else one line a task.
pub(super) fn weights(tasks: &[&str], steps: &[Step], width: usize) -> String {
    let by_step = by_step(tasks, steps);
    if by_step.fits(width) { by_step.shown(width) } else { by_task(tasks, steps, width) }
}

/// The place of a task in a step.
fn place(step: &Step, task: usize) -> Option<usize> {
    step.present.iter().position(|present| *present == task)
}

fn by_step(tasks: &[&str], steps: &[Step]) -> Table {
    let mut rows = Table::new([&["step"], tasks].concat());
    let last = steps.len() - 1;
    let shown = STEPS_MAX.min(steps.len());
    for row in 0..shown {
        let step = &steps[if shown == 1 { 0 } else { row * last / (shown - 1) }];
        let cell = |task: usize| match place(step, task) {
            None => "-".to_owned(),
            Some(at) => {
                let recorded = step.recorded_alpha.as_ref().map(|alpha| format!("{:.4}", alpha[at]));
                format!("{} -> {:.4}", recorded.unwrap_or_else(|| "-".to_owned()), step.alpha[at])
            }
        };
        rows.add_row(std::iter::once(step.step.to_string()).chain((0..tasks.len()).map(cell)));
    }
    rows
}

/// A task's weights over the steps, of both weightings.
struct Weights {
    task: usize,
    recorded: Option<f64>,
    replayed: f64,
    /// The mean absolute difference, and the largest one with its step.
    difference: Option<f64>,
    largest: Option<(f64, u64)>,
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

impl Weights {
    /// `None` for a task that no step had labels for.
    fn of(task: usize, steps: &[Step]) -> Option<Self> {
        let there: Vec<(&Step, usize)> = steps.iter().filter_map(|step| Some((step, place(step, task)?))).collect();
        let replayed: Vec<f64> = there.iter().map(|(step, at)| step.alpha[*at]).collect();
        let both: Vec<(f64, f64, u64)> = there
            .iter()
            .filter_map(|(step, at)| Some((step.recorded_alpha.as_ref()?[*at], step.alpha[*at], step.step)))
            .collect();
        let differences: Vec<(f64, u64)> = both.iter().map(|(was, now, step)| (now - was, *step)).collect();
        Some(Weights {
            task,
            recorded: mean(&both.iter().map(|both| both.0).collect::<Vec<_>>()),
            replayed: mean(&replayed)?,
            difference: mean(&differences.iter().map(|(by, _)| by.abs()).collect::<Vec<_>>()),
            largest: differences.into_iter().reduce(|most, next| if next.0.abs() > most.0.abs() { next } else { most }),
        })
    }
}

/// Means over the steps, of the tasks whose weights differ most.
fn by_task(tasks: &[&str], steps: &[Step], width: usize) -> String {
    let mut weights: Vec<Weights> = (0..tasks.len()).filter_map(|task| Weights::of(task, steps)).collect();
    weights.sort_by(|a, b| b.difference.unwrap_or(0.0).total_cmp(&a.difference.unwrap_or(0.0)));
    let all = weights.len();
    weights.truncate(TASKS_MAX);
    weights.sort_by_key(|weights| weights.task);
    let mut rows = Table::new(["task", "mean weight", "mean difference", "largest difference"]);
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"));
    for of in &weights {
        let largest = of.largest.map_or_else(|| "-".to_owned(), |(by, step)| format!("{by:+.4} in step {step}"));
        let means = format!("{} -> {:.4}", number(of.recorded), of.replayed);
        let cells = [means, number(of.difference), largest];
        rows.add_row([short_name(tasks[of.task])].into_iter().chain(cells));
    }
    let left = match all - weights.len() {
        0 => String::new(),
        left => format!("the {left} tasks whose weights differ less are left out; "),
    };
    format!("{}\n{left}--json has the weights of each step", rows.shown(width))
}

/// How the updates of both weightings serve the task that each serves worst.
pub(super) fn worst(was: &str, recorded: Option<&Worst>, replayed: &Worst, width: usize) -> String {
    let mut rows = Table::new(["", "mean", "least", "steps against a task", "mean of those"]);
    let recorded_row = format!("{was}, as recorded");
    for (name, worst) in [(recorded_row.as_str(), recorded), ("replayed", Some(replayed))] {
        let cells = worst.map(|worst| {
            let against = format!("{} of {}", worst.steps_against, worst.steps);
            let of_those = worst.against_mean.map_or_else(|| "-".to_owned(), cosine);
            [cosine(worst.min_cosine_mean), cosine(worst.min_cosine_least), against, of_those]
        });
        let cells = cells.unwrap_or_else(|| ["unknown"; 4].map(str::to_owned));
        rows.add_row([name.to_owned()].into_iter().chain(cells));
    }
    format!(
        "smallest cosine between the update and a task's gradient; below {AGAINST:e} the step is against that task\n{}",
        rows.shown(width)
    )
}

/// A cosine as text; one that is 0 up to rounding is `0`.
fn cosine(value: f64) -> String {
    match value.abs() {
        size if size <= -AGAINST => "0".to_owned(),
        ..1e-3 => format!("{value:.1e}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps in which task t had the weight 1 and gets 1 + t / 10; every other step lacks task 1.
    fn steps(tasks: usize) -> Vec<Step> {
        let step = |step: u64| {
            let present: Vec<usize> = (0..tasks).filter(|task| *task != 1 || step.is_multiple_of(2)).collect();
            Step {
                step,
                tasks: Vec::new(),
                alpha: present.iter().map(|task| 1.0 + *task as f64 / 10.0).collect(),
                recorded_alpha: Some(vec![1.0; present.len()]),
                present,
                products: None,
                recorded_products: None,
                min_cosine: None,
                recorded_min_cosine: None,
                certificate: None,
            }
        };
        (1..=30).map(step).collect()
    }

    fn shown(count: usize) -> String {
        let names: Vec<String> = (0..count).map(|task| format!("attribute_{task}")).collect();
        weights(&names.iter().map(String::as_str).collect::<Vec<_>>(), &steps(count), 100)
    }

    #[test]
    fn few_tasks_have_a_line_a_step() {
        let text = shown(2);
        assert_eq!(text.matches("1.0000 -> 1.0000").count(), STEPS_MAX, "{text}");
        assert!(text.contains("│ 30   ┆ 1.0000 -> 1.0000") && text.contains("┆ - "), "{text}");
    }

    #[test]
    fn many_tasks_have_a_line_each_and_very_many_those_that_differ_most() {
        for (count, left) in [(16, 0), (50, 30)] {
            let (text, last) = (shown(count), format!("attribute_{}", count - 1));
            assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
            assert_eq!(text.matches("attribute_").count(), count - left, "{text}");
            assert_eq!(text.contains("attribute_1 "), left == 0, "{text}");
            assert_eq!(text.contains("the 30 tasks whose weights differ less"), left == 30, "{text}");
            let line = text.lines().find(|line| line.contains(&last)).expect("differs most");
            let cells: Vec<&str> = line.split(['│', '┆']).map(str::trim).collect();
            let by = format!("{:.4}", (count - 1) as f64 / 10.0);
            let means = format!("1.0000 -> {:.4}", 1.0 + (count - 1) as f64 / 10.0);
            assert_eq!(cells[1..5], [&last, &means, &by, &format!("+{by} in step 1")], "{text}");
        }
    }

    #[test]
    fn what_is_as_good_as_zero_is_zero() {
        assert_eq!([-1e-17, 1e-6, -4e-6, 0.25, -0.001].map(cosine), ["0", "0", "-4.0e-6", "0.2500", "-0.0010"]);
        let replayed = Worst {
            steps: 5,
            min_cosine_mean: 0.5,
            min_cosine_least: -0.1,
            steps_against: 1,
            against_mean: Some(-0.1),
        };
        let text = worst("graddrop", None, &replayed, 100);
        assert!(text.contains("unknown") && text.contains("1 of 5") && text.contains("below -1e-6"), "{text}");
    }
}

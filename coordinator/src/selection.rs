//! The best parameters so far, and whether early stopping ends training.

use experiment::{Criterion, EarlyStopping, Observed, Train};
use indexmap::IndexMap;

use crate::checkpoint::Checkpoint;

// The states' names in a checkpoint.
const BEST_VALUE: &str = "best.value";
const STOPPING_VALUE: &str = "early_stopping.value";
const STOPPING_WAITED: &str = "early_stopping.waited";

/// The metrics of an evaluation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evaluated {
    /// Sum over tasks of weight times loss.
    pub loss: Option<f64>,
    /// Mean over tasks of 1 - loss / loss of the best constant prediction.
    pub skill: Option<f64>,
    /// Metrics by task, by name, `loss` included. A metric that is not defined on these rows is
    /// absent.
    pub tasks: IndexMap<String, IndexMap<String, f64>>,
}

impl Evaluated {
    /// The value of a criterion. `None` if it is not defined on these rows.
    pub fn value(&self, criterion: &Criterion) -> Option<f64> {
        match criterion {
            Criterion::Loss => self.loss,
            Criterion::Skill => self.skill,
            Criterion::Task { task, observed } => {
                let name = match observed {
                    Observed::Loss => "loss",
                    Observed::Metric(metric) => metric.name(),
                };
                self.tasks.get(task)?.get(name).copied()
            }
        }
    }
}

/// What follows from an evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The parameters are the best so far.
    pub improved: bool,
    /// Early stopping has run out of patience.
    pub stop: bool,
}

/// The best value of a criterion so far.
#[derive(Debug, Clone, PartialEq)]
struct Best {
    criterion: Criterion,
    value: Option<f64>,
}

impl Best {
    /// Whether `value` is better by more than `min_delta`. A value that is absent or not a number
    /// never is.
    fn improves(&self, value: Option<f64>, min_delta: f64) -> bool {
        let Some(value) = value.filter(|value| !value.is_nan()) else { return false };
        let Some(best) = self.value else { return true };
        if self.criterion.higher_is_better() { value > best + min_delta } else { value < best - min_delta }
    }
}

/// Follows the evaluations of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    best: Option<Best>,
    stopping: Option<(EarlyStopping, Best, u32)>,
}

impl Selection {
    /// Follows the criteria of the experiment.
    pub fn new(train: &Train) -> Selection {
        let follow = |criterion: &Criterion| Best { criterion: criterion.clone(), value: None };
        Selection {
            best: train.checkpoint.best.as_ref().map(follow),
            stopping: train.early_stopping.as_ref().map(|early| (early.clone(), follow(&early.metric), 0)),
        }
    }

    /// Takes the next evaluation on the validation split.
    pub fn observe(&mut self, evaluated: &Evaluated) -> Verdict {
        let mut verdict = Verdict { improved: false, stop: false };
        if let Some(best) = &mut self.best {
            let value = evaluated.value(&best.criterion);
            verdict.improved = best.improves(value, 0.0);
            if verdict.improved {
                best.value = value;
            }
        }
        if let Some((early, best, waited)) = &mut self.stopping {
            let value = evaluated.value(&early.metric);
            if best.improves(value, early.min_delta) {
                best.value = value;
                *waited = 0;
            } else {
                *waited += 1;
            }
            verdict.stop = *waited >= early.patience;
        }
        verdict
    }

    /// Takes the states of a checkpoint. Returns whether early stopping had run out of patience.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> bool {
        if let Some(best) = &mut self.best {
            best.value = checkpoint.state(BEST_VALUE);
        }
        match &mut self.stopping {
            None => false,
            Some((early, best, waited)) => {
                best.value = checkpoint.state(STOPPING_VALUE);
                *waited = checkpoint.state(STOPPING_WAITED).unwrap_or(0);
                *waited >= early.patience
            }
        }
    }

    /// The state by name, for a checkpoint.
    pub fn states(&self) -> IndexMap<String, String> {
        let mut states = IndexMap::new();
        if let Some(value) = self.best.as_ref().and_then(|best| best.value) {
            states.insert(BEST_VALUE.into(), value.to_string());
        }
        if let Some((_, best, waited)) = &self.stopping {
            states.insert(STOPPING_WAITED.into(), waited.to_string());
            if let Some(value) = best.value {
                states.insert(STOPPING_VALUE.into(), value.to_string());
            }
        }
        states
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn train(text: &str) -> Train {
        let head = "name = \"t\"\n[dataset.d]\npath = \"d.csv\"\n[task.t]\ndataset = \"d\"\ntarget = \"y\"\nkind = \"regression\"\n";
        let text = format!("{head}[model]\ntrunk = {{ hidden = [4] }}\n[train]\nsteps = 1\n{text}");
        model::parse(&text, std::path::Path::new("t.toml"), &[]).unwrap().experiment.train
    }

    fn loss(value: f64) -> Evaluated {
        Evaluated { loss: Some(value), ..Default::default() }
    }

    #[test]
    fn patience_counts_evaluations_without_improvement() {
        let text = "early_stopping = { metric = \"validation.loss\", patience = 2, min_delta = 0.1 }";
        let mut selection = Selection::new(&train(text));
        let stops: Vec<bool> = [1.0, 0.95, 0.8, 0.75, 0.9].map(|value| selection.observe(&loss(value)).stop).to_vec();
        assert_eq!(stops, [false, false, false, false, true]);
    }

    #[test]
    fn the_best_is_the_first_of_equals_and_never_a_nan() {
        let mut selection = Selection::new(&train("checkpoint = { best = \"validation.loss\" }"));
        let improved: Vec<bool> =
            [f64::NAN, 1.0, 1.0, 0.5, 0.7].map(|value| selection.observe(&loss(value)).improved).to_vec();
        assert_eq!(improved, [false, true, false, true, false]);
    }

    #[test]
    fn what_is_restored_goes_on_as_if_nothing_had_happened() {
        let text = "early_stopping = { metric = \"validation.loss\", patience = 2 }\ncheckpoint = { best = \"validation.loss\" }";
        let values = [1.0, 0.1 + 0.2, 0.7, 0.8];
        for stopped_after in 0..values.len() {
            let mut quiet = Selection::new(&train(text));
            let mut first = Selection::new(&train(text));
            values[..stopped_after].iter().for_each(|value| {
                quiet.observe(&loss(*value));
                first.observe(&loss(*value));
            });
            let checkpoint = Checkpoint { states: first.states(), ..Checkpoint::default() };
            let mut second = Selection::new(&train(text));
            assert!(!second.restore(&checkpoint));
            assert_eq!(second, quiet);
            for value in &values[stopped_after..] {
                assert_eq!(second.observe(&loss(*value)), quiet.observe(&loss(*value)));
            }
            assert!(
                Selection::new(&train(text)).restore(&Checkpoint { states: second.states(), ..Checkpoint::default() })
            );
        }
    }

    #[test]
    fn without_a_criterion_nothing_is_best_and_nothing_stops() {
        let mut selection = Selection::new(&train(""));
        assert_eq!(selection.observe(&loss(1.0)), Verdict { improved: false, stop: false });
    }
}

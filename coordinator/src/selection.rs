//! What follows from the evaluations of a run: the best parameters so far, whether early stopping
//! ends training, and the plateaus after which the learning rate falls.

use aggregation::schedule::Plateau;
use experiment::{Criterion, EarlyStopping, Train};
use indexmap::IndexMap;

use crate::checkpoint::Checkpoint;

// The states' names in a checkpoint.
const BEST_VALUE: &str = "best.value";
const STOPPING_VALUE: &str = "early_stopping.value";
const STOPPING_WAITED: &str = "early_stopping.waited";
const PLATEAU_VALUE: &str = "plateau.value";
const PLATEAU_WAITED: &str = "plateau.waited";
const PLATEAUS: &str = "plateau.count";
const LAST_PLATEAU: &str = "plateau.last";

/// Takes away what early stopping has counted.
pub(crate) fn forget_stopping(states: &mut IndexMap<String, String>) {
    states.retain(|name, _| name != STOPPING_VALUE && name != STOPPING_WAITED);
}

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
            Criterion::Task { task, observed } => self.tasks.get(task)?.get(observed.name()).copied(),
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
    /// The plateaus so far, if there is one more.
    pub plateaus: Option<Plateaus>,
}

/// The plateaus of the validation loss so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Plateaus {
    count: u64,
    /// The updates that were done at the last one.
    last: u64,
}

impl Plateaus {
    /// The plateaus that count for a step (from 0). A step has begun when the parameters before it
    /// are evaluated, so that the last plateau counts from the step after it.
    pub fn before(self, step: u64) -> u64 {
        if step > self.last { self.count } else { self.count.saturating_sub(1) }
    }
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
    lowering: Option<Lowering>,
}

/// Follows the validation loss for a learning rate that falls with it.
#[derive(Debug, Clone, PartialEq)]
struct Lowering {
    plateau: Plateau,
    best: Best,
    /// Evaluations since the loss was last better, or since the last plateau.
    waited: u64,
    plateaus: Plateaus,
}

impl Lowering {
    /// Takes the loss after `step` updates. Returns the plateaus so far, if there is one more.
    fn observe(&mut self, step: u64, loss: Option<f64>) -> Option<Plateaus> {
        if self.best.improves(loss, self.plateau.min_delta) {
            (self.best.value, self.waited) = (loss, 0);
            return None;
        }
        self.waited += 1;
        if self.waited < self.plateau.patience {
            return None;
        }
        self.waited = 0;
        self.plateaus = Plateaus { count: self.plateaus.count + 1, last: step };
        Some(self.plateaus)
    }
}

impl Selection {
    /// Follows the criteria of the experiment.
    pub fn new(train: &Train) -> Selection {
        let follow = |criterion: &Criterion| Best { criterion: criterion.clone(), value: None };
        Selection {
            best: train.checkpoint.best.as_ref().map(follow),
            stopping: train.early_stopping.as_ref().map(|early| (early.clone(), follow(&early.metric), 0)),
            lowering: train.schedule.plateau().map(|plateau| Lowering {
                plateau,
                best: follow(&Criterion::Loss),
                waited: 0,
                plateaus: Plateaus::default(),
            }),
        }
    }

    /// The plateaus so far.
    pub fn plateaus(&self) -> Plateaus {
        self.lowering.as_ref().map_or_else(Plateaus::default, |lowering| lowering.plateaus)
    }

    /// Takes the evaluation on the validation split after `step` updates.
    pub fn observe(&mut self, step: u64, evaluated: &Evaluated) -> Verdict {
        let plateaus = self.lowering.as_mut().and_then(|lowering| lowering.observe(step, evaluated.loss));
        let mut verdict = Verdict { improved: false, stop: false, plateaus };
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
        if let Some(lowering) = &mut self.lowering {
            let count = |name| checkpoint.state(name).unwrap_or(0);
            lowering.best.value = checkpoint.state(PLATEAU_VALUE);
            lowering.waited = count(PLATEAU_WAITED);
            lowering.plateaus = Plateaus { count: count(PLATEAUS), last: count(LAST_PLATEAU) };
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
        if let Some(Lowering { best, waited, plateaus, .. }) = &self.lowering {
            states.insert(PLATEAU_WAITED.into(), waited.to_string());
            states.insert(PLATEAUS.into(), plateaus.count.to_string());
            states.insert(LAST_PLATEAU.into(), plateaus.last.to_string());
            if let Some(value) = best.value {
                states.insert(PLATEAU_VALUE.into(), value.to_string());
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
        let stops: Vec<bool> =
            [1.0, 0.95, 0.8, 0.75, 0.9].map(|value| selection.observe(0, &loss(value)).stop).to_vec();
        assert_eq!(stops, [false, false, false, false, true]);
    }

    #[test]
    fn the_best_is_the_first_of_equals_and_never_a_nan() {
        let mut selection = Selection::new(&train("checkpoint = { best = \"validation.loss\" }"));
        let improved: Vec<bool> =
            [f64::NAN, 1.0, 1.0, 0.5, 0.7].map(|value| selection.observe(0, &loss(value)).improved).to_vec();
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
                quiet.observe(0, &loss(*value));
                first.observe(0, &loss(*value));
            });
            let checkpoint = Checkpoint { states: first.states(), ..Checkpoint::default() };
            let mut second = Selection::new(&train(text));
            assert!(!second.restore(&checkpoint));
            assert_eq!(second, quiet);
            for value in &values[stopped_after..] {
                assert_eq!(second.observe(0, &loss(*value)), quiet.observe(0, &loss(*value)));
            }
            assert!(
                Selection::new(&train(text)).restore(&Checkpoint { states: second.states(), ..Checkpoint::default() })
            );
        }
    }

    #[test]
    fn without_a_criterion_nothing_is_best_and_nothing_stops() {
        let mut selection = Selection::new(&train(""));
        assert_eq!(selection.observe(0, &loss(1.0)), Verdict { improved: false, stop: false, plateaus: None });
    }

    const PLATEAU: &str = "schedule = { kind = \"plateau\", patience = 2, min_delta = 0.1 }";

    #[test]
    fn evaluations_without_a_gain_are_a_plateau_and_waiting_begins_anew() {
        let mut selection = Selection::new(&train(PLATEAU));
        let values = [1.0, 0.95, 0.95, 0.5, 0.6, 0.45, 0.5, f64::NAN];
        let counts = (1..).zip(values).map(|(step, value)| {
            selection.observe(10 * step, &loss(value));
            selection.plateaus().before(10 * step + 1)
        });
        assert_eq!(counts.collect::<Vec<_>>(), [0, 0, 1, 1, 1, 2, 2, 3]);
    }

    #[test]
    fn a_plateau_counts_from_the_second_step_after_it() {
        let mut selection = Selection::new(&train(PLATEAU));
        for (step, plateaus) in [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2)] {
            let verdict = selection.observe(step, &loss(1.0));
            assert_eq!(verdict.plateaus.is_some(), [3, 5].contains(&step));
            let found = selection.plateaus();
            assert_eq!((found.before(step + 1), found.count), (plateaus, plateaus), "step {step}");
        }
        let found = selection.plateaus();
        assert_eq!((found.before(5), found.before(6)), (1, 2));
        assert_eq!(Selection::new(&train("")).plateaus().before(0), 0);
    }

    #[test]
    fn plateaus_go_on_from_a_checkpoint() {
        let values = [1.0, 1.0, 0.8, 0.8, 0.8, 0.8, 0.5, 0.5];
        for cut in 0..values.len() {
            let mut quiet = Selection::new(&train(PLATEAU));
            let mut second = quiet.clone();
            for (step, value) in (1..).zip(&values[..cut]) {
                quiet.observe(step, &loss(*value));
            }
            second.restore(&Checkpoint { states: quiet.states(), ..Checkpoint::default() });
            assert_eq!(second, quiet);
        }
    }
}

//! What a run is for: the best parameters, the selected ones, and their metrics.

use indexmap::IndexMap;

use crate::{
    checkpoint,
    parameters::Parameters,
    selection::{Evaluated, Selection, Verdict},
};

/// The results of a run so far.
#[derive(Debug)]
pub(super) struct Results {
    selection: Selection,
    /// The best parameters so far, with their step.
    best: Option<(u64, Vec<f32>)>,
    /// The step of the selected parameters.
    selected: u64,
    /// The sha256 of the last parameters, once the selected ones may have taken their place.
    last_sha256: Option<String>,
    /// The metrics of the selected parameters by split.
    finals: IndexMap<&'static str, Evaluated>,
}

impl Results {
    pub(super) fn new(selection: Selection, best: Option<(u64, Vec<f32>)>) -> Results {
        Results { selection, best, selected: 0, last_sha256: None, finals: IndexMap::new() }
    }

    /// Takes the evaluation of the parameters after `step` updates. Keeps them if they are the best
    /// so far.
    pub(super) fn observe(&mut self, step: u64, evaluated: &Evaluated, parameters: &Parameters) -> Verdict {
        let verdict = self.selection.observe(step, evaluated);
        if verdict.improved {
            self.best = Some((step, parameters.read(step, <[f32]>::to_vec)));
        }
        verdict
    }

    /// Training is over after `step` updates: makes the selected parameters the current ones.
    pub(super) fn select(&mut self, step: u64, parameters: &Parameters) {
        self.last_sha256 = Some(parameters.read(step, checkpoint::parameters_sha256));
        self.selected = step;
        if let Some((best, values)) = &self.best {
            parameters.set(*best, values);
            self.selected = *best;
        }
    }

    /// Takes the metrics of the selected parameters on a split.
    pub(super) fn add_final(&mut self, split: &'static str, evaluated: Evaluated) {
        self.finals.insert(split, evaluated);
    }

    /// The state of the selection by name, for a checkpoint.
    pub(super) fn states(&self) -> IndexMap<String, String> {
        self.selection.states()
    }

    /// The step of the best parameters so far.
    pub(super) fn best_step(&self) -> Option<u64> {
        self.best.as_ref().map(|(step, _)| *step)
    }

    /// The step of the selected parameters; zero before they are selected.
    pub(super) fn selected_step(&self) -> u64 {
        self.selected
    }

    /// The sha256 of the last parameters, which are those after `step` updates.
    pub(super) fn last_sha256(&self, step: u64, parameters: &Parameters) -> String {
        let last = self.last_sha256.clone();
        last.unwrap_or_else(|| parameters.read(step, checkpoint::parameters_sha256))
    }

    /// The metrics of the selected parameters by split; empty before they are evaluated.
    pub(super) fn finals(&self) -> &IndexMap<&'static str, Evaluated> {
        &self.finals
    }
}

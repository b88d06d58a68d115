//! The weighting through a run: what it needs, and its state before and within a step.

use std::collections::BTreeMap;

use aggregation::weighting::{Failure, Method, Moment, Need, Needs, Observed, Outcome, State, Statistics};

/// A method with its state. What a step changes counts once the step commits: a step that is begun
/// again begins from the same state.
pub(super) struct Weigher {
    method: Box<dyn Method>,
    needs: Needs,
    committed: State,
    begun: Option<State>,
}

impl Weigher {
    /// For so many tasks and shared parameters.
    pub(super) fn new(method: Box<dyn Method>, tasks: usize, shared: usize) -> Weigher {
        Weigher { needs: method.needs(), committed: method.state(tasks, shared), method, begun: None }
    }

    /// Whether workers send a vector for each task.
    pub(super) fn is_per_task(&self) -> bool {
        self.needs.iter().any(|need| need.is_per_task())
    }

    pub(super) fn needs(&self, need: Need) -> bool {
        self.needs.contains(&need)
    }

    /// Whether alpha depends on losses that have to be asked for before the gradient.
    pub(super) fn weighs_losses_first(&self) -> bool {
        !self.is_per_task() && self.needs(Need::LossesBefore)
    }

    /// The combination of the step, whose state is kept aside.
    pub(super) fn weigh(&mut self, moment: &Moment<'_>, statistics: &Statistics<'_>) -> Result<Outcome, Failure> {
        let mut state = self.committed.clone();
        let outcome = self.method.weigh(moment, statistics, &mut state)?;
        self.begun = Some(state);
        Ok(outcome)
    }

    /// Ends the step that was weighed last: what it changed counts.
    pub(super) fn learn(&mut self, moment: &Moment<'_>, observed: &Observed<'_>) -> Result<(), Failure> {
        let mut state = self.begun.take().unwrap_or_else(|| self.committed.clone());
        self.method.learn(moment, observed, &mut state)?;
        self.committed = state;
        Ok(())
    }

    /// Leaves out what the step in progress has changed.
    pub(super) fn forget(&mut self) {
        self.begun = None;
    }

    /// Takes up the state of a checkpoint.
    pub(super) fn restore(&mut self, committed: State) {
        (self.committed, self.begun) = (committed, None);
    }

    /// The numbers of the state, by name.
    pub(super) fn numbers(&self) -> &BTreeMap<String, Vec<f64>> {
        &self.committed.numbers
    }

    /// The vectors of the state, by name.
    pub(super) fn vectors(&self) -> &BTreeMap<String, Vec<f32>> {
        &self.committed.vectors
    }
}

//! The weighting during a run: what it needs, and its state before and within a step.

use std::collections::BTreeMap;

use aggregation::weighting::{Failure, Method, Moment, Need, Needs, Observed, Outcome, State, Statistics};

/// A weighting method with its state.
///
/// Changes within a step are kept apart until the step commits. So a step that is repeated starts
/// from the same state.
pub(super) struct Weigher {
    method: Box<dyn Method>,
    needs: Needs,
    committed: State,
    /// The state after the step in progress, if its weights are computed.
    in_progress: Option<State>,
}

impl Weigher {
    /// The method in its first state. `shared` is the number of shared parameters.
    pub(super) fn new(method: Box<dyn Method>, tasks: usize, shared: usize) -> Weigher {
        Weigher { needs: method.needs(), committed: method.state(tasks, shared), method, in_progress: None }
    }

    /// Whether workers send one vector for each task.
    pub(super) fn is_per_task(&self) -> bool {
        self.needs.iter().any(|need| need.is_per_task())
    }

    /// Whether the method needs a statistic.
    pub(super) fn needs(&self, need: Need) -> bool {
        self.needs.contains(&need)
    }

    /// Whether workers compute losses before the gradient, because alpha depends on them.
    pub(super) fn needs_losses_first(&self) -> bool {
        !self.is_per_task() && self.needs(Need::LossesBefore)
    }

    /// Computes the combination of the step. The new state is kept apart until
    /// [`Weigher::learn`].
    pub(super) fn weigh(&mut self, moment: &Moment<'_>, statistics: &Statistics<'_>) -> Result<Outcome, Failure> {
        let mut state = self.committed.clone();
        let outcome = self.method.weigh(moment, statistics, &mut state)?;
        self.in_progress = Some(state);
        Ok(outcome)
    }

    /// Updates the method with the step's losses, and commits the new state.
    pub(super) fn learn(&mut self, moment: &Moment<'_>, observed: &Observed<'_>) -> Result<(), Failure> {
        let mut state = self.in_progress.take().unwrap_or_else(|| self.committed.clone());
        self.method.learn(moment, observed, &mut state)?;
        self.committed = state;
        Ok(())
    }

    /// Drops the changes of the step in progress.
    pub(super) fn forget(&mut self) {
        self.in_progress = None;
    }

    /// Restores the state of a checkpoint.
    pub(super) fn restore(&mut self, committed: State) {
        (self.committed, self.in_progress) = (committed, None);
    }

    /// The numbers of the committed state, by name.
    pub(super) fn numbers(&self) -> &BTreeMap<String, Vec<f64>> {
        &self.committed.numbers
    }

    /// The vectors of the committed state, by name.
    pub(super) fn vectors(&self) -> &BTreeMap<String, Vec<f32>> {
        &self.committed.vectors
    }
}

//! Scalars that a weighting learns, one for each task. Each has its own optimizer state, so a task
//! that is absent from a step keeps its scalar and its moments.

use super::method::{Moment, State};
use crate::optimizer::{Optimizer, OptimizerState};

/// The names of the scalars in the state: `NAME`, and for the optimizer `NAME.SLOT` and
/// `NAME.step`. Each is a list by task.
#[derive(Debug, Clone, Copy)]
pub(super) struct Learned {
    pub name: &'static str,
    pub initial: f64,
}

impl Learned {
    /// The scalars of all tasks.
    pub fn values<'a>(&self, tasks: usize, state: &'a mut State) -> &'a mut Vec<f64> {
        state.numbers_or(self.name, || vec![self.initial; tasks])
    }

    /// The present tasks' scalars.
    pub fn present(&self, moment: &Moment<'_>, state: &mut State) -> Vec<f64> {
        let values = self.values(moment.tasks, state);
        moment.present.iter().map(|&task| values[task]).collect()
    }

    /// One update of the present tasks' scalars with their gradients.
    pub fn update(&self, moment: &Moment<'_>, optimizer: &Optimizer, rate: f64, gradients: &[f64], state: &mut State) {
        for (&task, &gradient) in moment.present.iter().zip(gradients) {
            let mut own = optimizer.state(1);
            self.load(moment.tasks, task, &mut own, state);
            let current = [self.values(moment.tasks, state)[task] as f32];
            let mut next = [0.0f32];
            let whole = std::slice::from_ref(&(0..1));
            optimizer.update(&mut own, rate, whole, &current, &[gradient as f32], &mut next);
            self.values(moment.tasks, state)[task] = f64::from(next[0]);
            self.store(moment.tasks, task, &own, state);
        }
    }

    fn load(&self, tasks: usize, task: usize, own: &mut OptimizerState, state: &mut State) {
        own.step = state.numbers_or(&format!("{}.step", self.name), || vec![0.0; tasks])[task] as u64;
        for (slot, values) in &mut own.slots {
            let first = f64::from(values[0]);
            values[0] = state.numbers_or(&format!("{}.{slot}", self.name), || vec![first; tasks])[task] as f32;
        }
    }

    fn store(&self, tasks: usize, task: usize, own: &OptimizerState, state: &mut State) {
        state.numbers_or(&format!("{}.step", self.name), || vec![0.0; tasks])[task] = own.step as f64;
        for (slot, values) in &own.slots {
            state.numbers_or(&format!("{}.{slot}", self.name), || vec![0.0; tasks])[task] = f64::from(values[0]);
        }
    }
}

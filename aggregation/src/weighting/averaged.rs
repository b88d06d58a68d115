//! Moving averages of the tasks' gradients, kept in the state. A task that is absent from a step
//! keeps its average.

use super::method::{Moment, State};
use crate::lanes::{Level, vectorised};

/// The name of the averages in the state. The vector has all tasks' averages, one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Averaged {
    pub name: &'static str,
}

impl Averaged {
    /// Moves the average of each present task: average = keep average + (1 - keep) factor_t g_t,
    /// starting at 0. Returns the present tasks' averages.
    pub fn update<'a>(
        &self,
        moment: &Moment<'_>,
        rows: &[&[f32]],
        factors: &[f64],
        keep: f64,
        state: &'a mut State,
    ) -> Vec<&'a [f32]> {
        let shared = rows[0].len();
        let all = state.vectors.entry(self.name.to_owned()).or_insert_with(|| vec![0.0; moment.tasks * shared]);
        for ((&task, row), factor) in moment.present.iter().zip(rows).zip(factors) {
            move_towards(Level::widest(), &mut all[task * shared..][..shared], row, keep, (1.0 - keep) * factor);
        }
        self.rows(moment, shared, state)
    }

    /// The present tasks' averages over this many shared parameters, if the state has them.
    pub fn rows<'a>(&self, moment: &Moment<'_>, shared: usize, state: &'a State) -> Vec<&'a [f32]> {
        let all = &state.vectors[self.name];
        moment.present.iter().map(|&task| &all[task * shared..][..shared]).collect()
    }
}

vectorised! {
    /// `average[i] = keep * average[i] + factor * row[i]`, in f64, rounded once.
    fn move_towards(average: &mut [f32], row: &[f32], keep: f64, factor: f64) {
        for (average, value) in average.iter_mut().zip(row) {
            *average = (keep * f64::from(*average) + factor * f64::from(*value)) as f32;
        }
    }
}

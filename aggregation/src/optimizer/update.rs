//! One update of the parameters. Its scalars are computed once, and then it is applied range by
//! range.

use std::ops::Range;
use std::sync::Arc;

use super::Optimizer;
use super::rule::{Kernel, Vectors};
use super::state::{OptimizerState, StatePart};
use crate::lanes::Level;

/// One update with its scalars. Threads can share it.
#[derive(Debug, Clone)]
pub struct Update {
    kernel: Arc<dyn Kernel>,
    gradient_scale: f32,
    level: Level,
}

impl Optimizer {
    /// The state before the first update, for this many parameters.
    pub fn state(&self, parameters: usize) -> OptimizerState {
        let slots = self.rule.slots().into_iter();
        let slots = slots.map(|(name, first)| (name.to_owned(), vec![first; parameters])).collect();
        OptimizerState { slots, step: 0 }
    }

    /// The names of the state's vectors.
    pub fn slot_names(&self) -> Vec<&'static str> {
        self.rule.slots().into_iter().map(|(name, _)| name).collect()
    }

    /// Whether each parameter's update depends on its own gradient alone. If not (LAMB), ranges are
    /// cut between blocks.
    pub fn is_elementwise(&self) -> bool {
        self.rule.is_elementwise()
    }

    /// Begins an update: counts it in the state and computes its scalars.
    ///
    /// `learning_rate` is the schedule's rate of this step. `gradient_scale` multiplies the
    /// gradient: 1, or the factor from clipping.
    pub fn begin(&self, state: &mut OptimizerState, learning_rate: f64, gradient_scale: f32) -> Update {
        state.step += 1;
        let kernel = self.rule.kernel(learning_rate, state.step).into();
        Update { kernel, gradient_scale, level: Level::widest() }
    }

    /// A whole update: `next` becomes the parameters after a step from `current` with `gradient`.
    ///
    /// `blocks` are the ranges of the layout's blocks, in order and without gaps. Of the built-in
    /// optimizers only LAMB uses them.
    ///
    /// # Panics
    /// If lengths differ, or the state is another optimizer's.
    pub fn update(
        &self,
        state: &mut OptimizerState,
        learning_rate: f64,
        blocks: &[Range<usize>],
        current: &[f32],
        gradient: &[f32],
        next: &mut [f32],
    ) {
        let update = self.begin(state, learning_rate, 1.0);
        update.apply(&mut state.part(0..current.len()), blocks, current, gradient, next);
    }
}

impl Update {
    /// Updates one range. `part` is its part of the state, and the slices are the range's own. Each
    /// range is updated once a step.
    ///
    /// # Panics
    /// If lengths differ, or the range cuts a block that LAMB needs whole.
    pub fn apply(
        &self,
        part: &mut StatePart<'_>,
        blocks: &[Range<usize>],
        current: &[f32],
        gradient: &[f32],
        next: &mut [f32],
    ) {
        let len = part.range.len();
        assert!(
            current.len() == len && gradient.len() == len && next.len() == len,
            "the slices of one range have its length"
        );
        let vectors = Vectors { current, gradient, next, gradient_scale: self.gradient_scale, level: self.level };
        self.kernel.apply(part, blocks, vectors);
    }

    /// This update on another level. Tests compare levels.
    #[cfg(test)]
    pub(crate) fn on(self, level: Level) -> Self {
        Self { level, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Stream};

    fn normals(seed: u64, len: usize) -> Vec<f32> {
        let mut values = vec![0.0; len];
        Stream::new(seed, Purpose::Synthetic, &[]).fill_normal(0, &mut values);
        values
    }

    fn bits(optimizer: &Optimizer, level: Level) -> (Vec<u32>, OptimizerState) {
        let len = 1003;
        let (mut current, mut next, mut state) = (normals(1, len), vec![0.0; len], optimizer.state(len));
        for step in 0..3 {
            let update = optimizer.begin(&mut state, 0.01, 0.7).on(level);
            update.apply(&mut state.part(0..len), &[0..40, 40..len], &current, &normals(50 + step, len), &mut next);
            std::mem::swap(&mut current, &mut next);
        }
        (current.into_iter().map(f32::to_bits).collect(), state)
    }

    #[test]
    fn every_optimizer_gives_the_same_bits_on_every_level() {
        for text in [
            "kind = \"sgd\"",
            "kind = \"sgd\"\nmomentum = 0.9\nnesterov = true",
            "kind = \"adam\"\nweight_decay = 0.1",
            "kind = \"adamw\"\namsgrad = true",
            "kind = \"rmsprop\"\nmomentum = 0.5",
            "kind = \"rmsprop\"\ncentered = true",
            "kind = \"adagrad\"",
            "kind = \"lion\"\nweight_decay = 0.1",
            "kind = \"lamb\"\nweight_decay = 0.1",
        ] {
            let optimizer: Optimizer = toml::from_str(text).expect("is right");
            for level in Level::ALL.into_iter().filter(|level| level.is_there()) {
                assert_eq!(bits(&optimizer, level), bits(&optimizer, Level::Baseline), "{text} on {level:?}");
            }
        }
    }
}

//! One update: begun once for its scalars, then applied to the ranges of the parameters.

use std::ops::Range;

use super::state::{OptimizerState, StatePart};
use super::{Optimizer, adagrad, adam, lamb, lion, rmsprop, sgd};
use crate::lanes::Level;

/// One update with its scalars worked out. It is small and can be copied to threads.
#[derive(Debug, Clone, Copy)]
pub struct Update {
    rule: Rule,
    gradient_scale: f32,
    level: Level,
}

#[derive(Debug, Clone, Copy)]
enum Rule {
    Sgd(sgd::Rule),
    Adam(adam::Rule),
    RmsProp(rmsprop::Rule),
    Adagrad(adagrad::Rule),
    Lion(lion::Rule),
    Lamb(lamb::Rule),
}

/// The three vectors of an update, cut to one range.
#[derive(Debug)]
pub(super) struct Vectors<'a> {
    pub current: &'a [f32],
    pub gradient: &'a [f32],
    pub next: &'a mut [f32],
    /// Multiplies the gradient, for clipping.
    pub gradient_scale: f32,
    pub level: Level,
}

/// Pull towards zero: into the gradient (PyTorch's `weight_decay`) and on the parameter
/// (decoupled).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Decay {
    /// Times the parameter, added to the gradient.
    pub into_gradient: f32,
    /// Factor of the parameter.
    pub keep: f32,
}

impl Decay {
    pub fn new(weight_decay: f64, decoupled: bool, learning_rate: f64) -> Self {
        if decoupled {
            Self { into_gradient: 0.0, keep: (1.0 - learning_rate * weight_decay) as f32 }
        } else {
            Self { into_gradient: weight_decay as f32, keep: 1.0 }
        }
    }
}

impl Optimizer {
    /// The state before the first update of so many parameters.
    pub fn state(&self, parameters: usize) -> OptimizerState {
        let first = match self {
            Optimizer::Adagrad(o) => o.initial_accumulator_value as f32,
            _ => 0.0,
        };
        let slots = self.slot_names().into_iter().map(|name| (name.to_owned(), vec![first; parameters])).collect();
        OptimizerState { slots, step: 0 }
    }

    /// The names of the state's vectors.
    pub fn slot_names(&self) -> Vec<&'static str> {
        match self {
            Optimizer::Sgd(o) if o.momentum != 0.0 => vec!["momentum_buffer"],
            Optimizer::Sgd(_) => vec![],
            Optimizer::Adam(o) if o.amsgrad => vec!["exp_avg", "exp_avg_sq", "max_exp_avg_sq"],
            Optimizer::AdamW(o) if o.amsgrad => vec!["exp_avg", "exp_avg_sq", "max_exp_avg_sq"],
            Optimizer::Adam(_) | Optimizer::AdamW(_) | Optimizer::Lamb(_) => vec!["exp_avg", "exp_avg_sq"],
            Optimizer::RmsProp(o) => {
                let mut names = vec!["square_avg"];
                if o.centered {
                    names.push("grad_avg");
                }
                if o.momentum != 0.0 {
                    names.push("momentum_buffer");
                }
                names
            }
            Optimizer::Adagrad(_) => vec!["sum"],
            Optimizer::Lion(_) => vec!["exp_avg"],
        }
    }

    /// Whether each parameter's update depends on its own gradient alone. Where not (LAMB), ranges
    /// are cut between blocks.
    pub fn is_elementwise(&self) -> bool {
        !matches!(self, Optimizer::Lamb(_))
    }

    /// Begins an update: counts it in the state and works out its scalars.
    ///
    /// `learning_rate` is the schedule's rate of this step; `gradient_scale` multiplies the
    /// gradient (1, or clipping's factor).
    pub fn begin(&self, state: &mut OptimizerState, learning_rate: f64, gradient_scale: f32) -> Update {
        state.step += 1;
        let step = state.step;
        let rule = match self {
            Optimizer::Sgd(o) => Rule::Sgd(sgd::Rule::new(o, learning_rate, step)),
            Optimizer::Adam(o) => Rule::Adam(adam::Rule::new(o, learning_rate, step)),
            Optimizer::AdamW(o) => {
                let adam = super::Adam {
                    learning_rate: o.learning_rate,
                    betas: o.betas,
                    eps: o.eps,
                    weight_decay: o.weight_decay,
                    amsgrad: o.amsgrad,
                    decoupled_weight_decay: true,
                };
                Rule::Adam(adam::Rule::new(&adam, learning_rate, step))
            }
            Optimizer::RmsProp(o) => Rule::RmsProp(rmsprop::Rule::new(o, learning_rate)),
            Optimizer::Adagrad(o) => Rule::Adagrad(adagrad::Rule::new(o, learning_rate, step)),
            Optimizer::Lion(o) => Rule::Lion(lion::Rule::new(o, learning_rate)),
            Optimizer::Lamb(o) => Rule::Lamb(lamb::Rule::new(o, learning_rate, step)),
        };
        Update { rule, gradient_scale, level: Level::widest() }
    }

    /// A whole update: `next` becomes the parameters after a step from `current` with `gradient`.
    ///
    /// `blocks` are the ranges of the layout's blocks, in order and without gaps; only LAMB looks
    /// at them.
    ///
    /// # Panics
    /// Where lengths differ, or the state is another optimizer's.
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
    /// Updates one range: `part` is the state's part of it, the slices are the range's own. Each
    /// range once a step.
    ///
    /// # Panics
    /// Where lengths differ, or the range cuts a block that LAMB needs whole.
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
        match &self.rule {
            Rule::Sgd(rule) => rule.apply(part, vectors),
            Rule::Adam(rule) => rule.apply(part, vectors),
            Rule::RmsProp(rule) => rule.apply(part, vectors),
            Rule::Adagrad(rule) => rule.apply(part, vectors),
            Rule::Lion(rule) => rule.apply(part, vectors),
            Rule::Lamb(rule) => rule.apply(part, blocks, vectors),
        }
    }

    /// This update on another level; tests compare levels.
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

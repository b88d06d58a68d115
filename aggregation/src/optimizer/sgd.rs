//! Stochastic gradient descent.
//!
//! Without momentum p' = keep p - lr g. With it b' = mu b + (1 - dampening) g (b' = g in the first
//! update) and p' = keep p - lr b', or p' = keep p - lr (g + mu b') with Nesterov's look-ahead;
//! PyTorch's form of them.

use super::state::StatePart;
use super::update::{Decay, Vectors};
use crate::lanes::vectorised;

/// The scalars of one update.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    decay: Decay,
    learning_rate: f32,
    /// What stays of the buffer and what the gradient adds.
    keep: f32,
    add: f32,
    /// The direction: share of the gradient and of the buffer.
    of_gradient: f32,
    of_buffer: f32,
    momentum: bool,
}

impl Rule {
    pub fn new(sgd: &super::Sgd, learning_rate: f64, step: u64) -> Self {
        let mu = sgd.momentum as f32;
        let (keep, add) = if step == 1 { (0.0, 1.0) } else { (mu, (1.0 - sgd.dampening) as f32) };
        let (of_gradient, of_buffer) = if sgd.nesterov { (1.0, mu) } else { (0.0, 1.0) };
        Self {
            decay: Decay::new(sgd.weight_decay, sgd.decoupled_weight_decay, learning_rate),
            learning_rate: learning_rate as f32,
            keep,
            add,
            of_gradient,
            of_buffer,
            momentum: sgd.momentum != 0.0,
        }
    }

    pub fn apply(&self, part: &mut StatePart<'_>, vectors: Vectors<'_>) {
        if self.momentum {
            let [buffer] = part.slots();
            momentum(
                vectors.level,
                self,
                vectors.gradient_scale,
                vectors.current,
                vectors.gradient,
                vectors.next,
                buffer,
            );
        } else {
            plain(vectors.level, self, vectors.gradient_scale, vectors.current, vectors.gradient, vectors.next);
        }
    }
}

vectorised! {
    fn plain(rule: &Rule, scale: f32, current: &[f32], gradient: &[f32], next: &mut [f32]) {
        let rule = *rule;
        let n = next.len();
        let (current, gradient) = (&current[..n], &gradient[..n]);
        for i in 0..n {
            let g = gradient[i] * scale + rule.decay.into_gradient * current[i];
            next[i] = rule.decay.keep * current[i] - rule.learning_rate * g;
        }
    }
}

vectorised! {
    fn momentum(rule: &Rule, scale: f32, current: &[f32], gradient: &[f32], next: &mut [f32], buffer: &mut [f32]) {
        let rule = *rule;
        let n = next.len();
        let (current, gradient, buffer) = (&current[..n], &gradient[..n], &mut buffer[..n]);
        for i in 0..n {
            let g = gradient[i] * scale + rule.decay.into_gradient * current[i];
            buffer[i] = rule.keep * buffer[i] + rule.add * g;
            let direction = rule.of_gradient * g + rule.of_buffer * buffer[i];
            next[i] = rule.decay.keep * current[i] - rule.learning_rate * direction;
        }
    }
}

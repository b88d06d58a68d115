//! Adagrad: q' = q + g g, p' = keep p - lr / (1 + (s - 1) lr_decay) g / (sqrt(q') + eps), s the
//! update counted from 1.

use super::state::StatePart;
use super::update::{Decay, Vectors};
use crate::lanes::vectorised;

/// The scalars of one update.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    decay: Decay,
    rate: f32,
    eps: f32,
}

impl Rule {
    pub fn new(adagrad: &super::Adagrad, learning_rate: f64, step: u64) -> Self {
        Self {
            decay: Decay::new(adagrad.weight_decay, adagrad.decoupled_weight_decay, learning_rate),
            rate: (learning_rate / (1.0 + (step - 1) as f64 * adagrad.lr_decay)) as f32,
            eps: adagrad.eps as f32,
        }
    }

    pub fn apply(&self, part: &mut StatePart<'_>, vectors: Vectors<'_>) {
        let [sum] = part.slots();
        step(vectors.level, self, vectors.gradient_scale, vectors.current, vectors.gradient, vectors.next, sum);
    }
}

vectorised! {
    fn step(rule: &Rule, scale: f32, current: &[f32], gradient: &[f32], next: &mut [f32], sum: &mut [f32]) {
        let rule = *rule;
        let n = next.len();
        let (current, gradient, sum) = (&current[..n], &gradient[..n], &mut sum[..n]);
        for i in 0..n {
            let g = gradient[i] * scale + rule.decay.into_gradient * current[i];
            sum[i] += g * g;
            next[i] = rule.decay.keep * current[i] - rule.rate * g / (sum[i].sqrt() + rule.eps);
        }
    }
}

//! Lion (Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023, algorithm 2).
//!
//! c = b1 m + (1 - b1) g, p' = (1 - lr wd) p - lr sign(c), m' = b2 m + (1 - b2) g; sign(0) is 0.

use super::state::StatePart;
use super::update::{Decay, Vectors};
use crate::lanes::vectorised;

/// The scalars of one update.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    keep: f32,
    rate: f32,
    beta1: f32,
    rest1: f32,
    beta2: f32,
    rest2: f32,
}

impl Rule {
    pub fn new(lion: &super::Lion, learning_rate: f64) -> Self {
        let [beta1, beta2] = lion.betas;
        Self {
            keep: Decay::new(lion.weight_decay, true, learning_rate).keep,
            rate: learning_rate as f32,
            beta1: beta1 as f32,
            rest1: (1.0 - beta1) as f32,
            beta2: beta2 as f32,
            rest2: (1.0 - beta2) as f32,
        }
    }

    pub fn apply(&self, part: &mut StatePart<'_>, vectors: Vectors<'_>) {
        let [m] = part.slots();
        step(vectors.level, self, vectors.gradient_scale, vectors.current, vectors.gradient, vectors.next, m);
    }
}

vectorised! {
    fn step(rule: &Rule, scale: f32, current: &[f32], gradient: &[f32], next: &mut [f32], m: &mut [f32]) {
        let rule = *rule;
        let n = next.len();
        let (current, gradient, m) = (&current[..n], &gradient[..n], &mut m[..n]);
        for i in 0..n {
            let g = gradient[i] * scale;
            let direction = rule.beta1 * m[i] + rule.rest1 * g;
            m[i] = rule.beta2 * m[i] + rule.rest2 * g;
            let sign = f32::from(u8::from(direction > 0.0)) - f32::from(u8::from(direction < 0.0));
            next[i] = rule.keep * current[i] - rule.rate * sign;
        }
    }
}

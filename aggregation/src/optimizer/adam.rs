//! Adam, with amsgrad and with either weight decay (AdamW is the decoupled one).
//!
//! m' = m + (1 - b1)(g - m), v' = b2 v + (1 - b2) g g, p' = keep p - (lr / (1 - b1^s)) m' /
//! (sqrt(v') / sqrt(1 - b2^s) + eps), s the update counted from 1, the order of operations
//! PyTorch's.

use super::state::StatePart;
use super::update::{Decay, Vectors};
use crate::lanes::vectorised;

/// The scalars of one update.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    decay: Decay,
    first: f32,
    beta2: f32,
    second: f32,
    step_size: f32,
    correction: f32,
    eps: f32,
    amsgrad: bool,
}

impl Rule {
    pub fn new(adam: &super::Adam, learning_rate: f64, step: u64) -> Self {
        let [beta1, beta2] = adam.betas;
        let step = step as f64;
        Self {
            decay: Decay::new(adam.weight_decay, adam.decoupled_weight_decay, learning_rate),
            first: (1.0 - beta1) as f32,
            beta2: beta2 as f32,
            second: (1.0 - beta2) as f32,
            step_size: (learning_rate / (1.0 - libm::pow(beta1, step))) as f32,
            correction: libm::sqrt(1.0 - libm::pow(beta2, step)) as f32,
            eps: adam.eps as f32,
            amsgrad: adam.amsgrad,
        }
    }

    pub fn apply(&self, part: &mut StatePart<'_>, vectors: Vectors<'_>) {
        if self.amsgrad {
            let [m, v, largest] = part.slots();
            amsgrad(
                vectors.level,
                self,
                vectors.gradient_scale,
                vectors.current,
                vectors.gradient,
                vectors.next,
                m,
                v,
                largest,
            );
        } else {
            let [m, v] = part.slots();
            plain(vectors.level, self, vectors.gradient_scale, vectors.current, vectors.gradient, vectors.next, m, v);
        }
    }
}

vectorised! {
    fn plain(rule: &Rule, scale: f32, current: &[f32], gradient: &[f32], next: &mut [f32], m: &mut [f32], v: &mut [f32]) {
        let rule = *rule;
        let n = next.len();
        let (current, gradient, m, v) = (&current[..n], &gradient[..n], &mut m[..n], &mut v[..n]);
        for i in 0..n {
            let g = gradient[i] * scale + rule.decay.into_gradient * current[i];
            m[i] += rule.first * (g - m[i]);
            v[i] = rule.beta2 * v[i] + rule.second * g * g;
            let denominator = v[i].sqrt() / rule.correction + rule.eps;
            next[i] = rule.decay.keep * current[i] - rule.step_size * m[i] / denominator;
        }
    }
}

vectorised! {
    fn amsgrad(rule: &Rule, scale: f32, current: &[f32], gradient: &[f32], next: &mut [f32], m: &mut [f32], v: &mut [f32], largest: &mut [f32]) {
        let rule = *rule;
        let n = next.len();
        let (current, gradient, m, v, largest) = (&current[..n], &gradient[..n], &mut m[..n], &mut v[..n], &mut largest[..n]);
        for i in 0..n {
            let g = gradient[i] * scale + rule.decay.into_gradient * current[i];
            m[i] += rule.first * (g - m[i]);
            v[i] = rule.beta2 * v[i] + rule.second * g * g;
            largest[i] = if v[i] > largest[i] { v[i] } else { largest[i] };
            let denominator = largest[i].sqrt() / rule.correction + rule.eps;
            next[i] = rule.decay.keep * current[i] - rule.step_size * m[i] / denominator;
        }
    }
}

//! LAMB (You et al., "Large batch optimization for deep learning", ICLR 2020, algorithm 2, phi the
//! identity).
//!
//! Adam's moments with bias correction; r = m^ / (sqrt(v^) + eps) + wd p; p' = p - lr (|p| / |r|)
//! r, norms over each block of the layout, the ratio 1 where one of them is 0. Norms are taken in
//! f64.

use std::ops::Range;

use super::state::StatePart;
use super::update::Vectors;
use crate::clip;
use crate::lanes::vectorised;

/// The scalars of one update.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    learning_rate: f64,
    weight_decay: f32,
    first: f32,
    beta2: f32,
    second: f32,
    correction1: f32,
    correction2: f32,
    eps: f32,
}

impl Rule {
    pub fn new(lamb: &super::Lamb, learning_rate: f64, step: u64) -> Self {
        let [beta1, beta2] = lamb.betas;
        let step = step as f64;
        Self {
            learning_rate,
            weight_decay: lamb.weight_decay as f32,
            first: (1.0 - beta1) as f32,
            beta2: beta2 as f32,
            second: (1.0 - beta2) as f32,
            correction1: (1.0 - libm::pow(beta1, step)) as f32,
            correction2: libm::sqrt(1.0 - libm::pow(beta2, step)) as f32,
            eps: lamb.eps as f32,
        }
    }

    pub fn apply(&self, part: &mut StatePart<'_>, blocks: &[Range<usize>], vectors: Vectors<'_>) {
        let Vectors { current, gradient, next, gradient_scale, level } = vectors;
        let start = part.range.start;
        let whole = part.range.clone();
        let mut covered = 0;
        for block in blocks.iter().filter(|block| block.start < whole.end && whole.start < block.end) {
            assert!(whole.start <= block.start && block.end <= whole.end, "LAMB updates whole blocks");
            covered += block.len();
            let at = block.start - start..block.end - start;
            let (current, gradient, next) = (&current[at.clone()], &gradient[at.clone()], &mut next[at]);
            let mut inner = part.inner(block);
            let [m, v] = inner.slots();
            direction(level, self, gradient_scale, current, gradient, next, m, v);
            let (weights, update) = (clip::norm(current), clip::norm(next));
            let ratio = if weights > 0.0 && update > 0.0 { weights / update } else { 1.0 };
            descend(level, (self.learning_rate * ratio) as f32, current, next);
        }
        assert_eq!(covered, whole.len(), "blocks make up the range");
    }
}

vectorised! {
    fn direction(rule: &Rule, scale: f32, current: &[f32], gradient: &[f32], next: &mut [f32], m: &mut [f32], v: &mut [f32]) {
        let rule = *rule;
        let n = next.len();
        let (current, gradient, m, v) = (&current[..n], &gradient[..n], &mut m[..n], &mut v[..n]);
        for i in 0..n {
            let g = gradient[i] * scale;
            m[i] += rule.first * (g - m[i]);
            v[i] = rule.beta2 * v[i] + rule.second * g * g;
            let denominator = v[i].sqrt() / rule.correction2 + rule.eps;
            next[i] = m[i] / rule.correction1 / denominator + rule.weight_decay * current[i];
        }
    }
}

vectorised! {
    fn descend(rate: f32, current: &[f32], next: &mut [f32]) {
        for (next, current) in next.iter_mut().zip(current) {
            *next = current - rate * *next;
        }
    }
}

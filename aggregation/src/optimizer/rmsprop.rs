//! RMSprop.
//!
//! q' = a q + (1 - a) g g; centred, also h' = h + (1 - a)(g - h) and q' - h' h' in q's place; r = g
//! / (sqrt(q') + eps); p' = keep p - lr r, or with momentum b' = mu b + r and p' = keep p - lr b'.
//! PyTorch's form, but for q' - h' h' that rounding made negative, which is 0 here (and not a
//! number there).

use super::state::StatePart;
use super::update::{Decay, Vectors};
use crate::lanes::vectorised;

/// The scalars of one update.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    decay: Decay,
    learning_rate: f32,
    alpha: f32,
    rest: f32,
    eps: f32,
    mu: f32,
    momentum: bool,
    centered: bool,
}

impl Rule {
    pub fn new(rmsprop: &super::RmsProp, learning_rate: f64) -> Self {
        Self {
            decay: Decay::new(rmsprop.weight_decay, rmsprop.decoupled_weight_decay, learning_rate),
            learning_rate: learning_rate as f32,
            alpha: rmsprop.alpha as f32,
            rest: (1.0 - rmsprop.alpha) as f32,
            eps: rmsprop.eps as f32,
            mu: rmsprop.momentum as f32,
            momentum: rmsprop.momentum != 0.0,
            centered: rmsprop.centered,
        }
    }

    pub fn apply(&self, part: &mut StatePart<'_>, vectors: Vectors<'_>) {
        let Vectors { current, gradient, next, gradient_scale, level } = vectors;
        // The ratio r goes to `next` first; the second loop makes the parameter of it.
        if self.centered {
            let [square, mean] = part.slots();
            centered_ratio(level, self, gradient_scale, current, gradient, next, square, mean);
        } else {
            let [square] = part.slots();
            ratio(level, self, gradient_scale, current, gradient, next, square);
        }
        if self.momentum {
            let buffer = part.last();
            momentum(level, self, current, next, buffer);
        } else {
            plain(level, self, current, next);
        }
    }
}

vectorised! {
    fn ratio(rule: &Rule, scale: f32, current: &[f32], gradient: &[f32], next: &mut [f32], square: &mut [f32]) {
        let rule = *rule;
        let n = next.len();
        let (current, gradient, square) = (&current[..n], &gradient[..n], &mut square[..n]);
        for i in 0..n {
            let g = gradient[i] * scale + rule.decay.into_gradient * current[i];
            square[i] = rule.alpha * square[i] + rule.rest * g * g;
            next[i] = g / (square[i].sqrt() + rule.eps);
        }
    }
}

vectorised! {
    fn centered_ratio(rule: &Rule, scale: f32, current: &[f32], gradient: &[f32], next: &mut [f32], square: &mut [f32], mean: &mut [f32]) {
        let rule = *rule;
        let n = next.len();
        let (current, gradient, square, mean) = (&current[..n], &gradient[..n], &mut square[..n], &mut mean[..n]);
        for i in 0..n {
            let g = gradient[i] * scale + rule.decay.into_gradient * current[i];
            square[i] = rule.alpha * square[i] + rule.rest * g * g;
            mean[i] += rule.rest * (g - mean[i]);
            let variance = square[i] - mean[i] * mean[i];
            let variance = if variance > 0.0 { variance } else { 0.0 };
            next[i] = g / (variance.sqrt() + rule.eps);
        }
    }
}

vectorised! {
    fn plain(rule: &Rule, current: &[f32], next: &mut [f32]) {
        let rule = *rule;
        for (next, current) in next.iter_mut().zip(current) {
            *next = rule.decay.keep * current - rule.learning_rate * *next;
        }
    }
}

vectorised! {
    fn momentum(rule: &Rule, current: &[f32], next: &mut [f32], buffer: &mut [f32]) {
        let rule = *rule;
        for ((next, current), buffer) in next.iter_mut().zip(current).zip(buffer) {
            *buffer = rule.mu * *buffer + *next;
            *next = rule.decay.keep * current - rule.learning_rate * *buffer;
        }
    }
}

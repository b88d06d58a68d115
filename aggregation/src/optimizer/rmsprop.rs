//! RMSprop.
//!
//! ```text
//! q' = a q + (1 - a) g g
//! r = g / (sqrt(q') + eps)
//! p' = keep p - lr r
//! ```
//!
//! Centred, there is also h' = h + (1 - a)(g - h), and q' - h' h' replaces q' in r. With momentum
//! b' = mu b + r and p' = keep p - lr b'. The form is PyTorch's, with one difference: if rounding
//! makes q' - h' h' negative, it counts as 0. In PyTorch it becomes NaN.

use std::ops::Range;

use settings::{Entry, Invalid, Reader};

use super::Read;
use super::parameters::{self, BETA};
use super::rule::{Decay, Kernel, Rule, Vectors};
use super::state::StatePart;
use crate::lanes::vectorised;

pub(super) const ENTRY: Entry<Read> = Entry::built_in("rmsprop", "RMSprop (Tieleman and Hinton, 2012)", read);

#[derive(Debug)]
struct RmsProp {
    alpha: f64,
    eps: f64,
    momentum: f64,
    centered: bool,
    weight_decay: f64,
    decoupled: bool,
}

fn read(reader: &mut Reader<'_>) -> Result<Box<dyn Rule>, Invalid> {
    Ok(Box::new(RmsProp {
        alpha: reader.number("alpha", 0.99, BETA, "decay of the mean square")?,
        eps: parameters::eps(reader, 1e-8)?,
        momentum: parameters::momentum(reader)?,
        centered: reader.flag("centered", false, "subtract the squared mean from the mean square")?,
        weight_decay: parameters::decay(reader)?,
        decoupled: parameters::decoupled(reader)?,
    }))
}

impl Rule for RmsProp {
    fn slots(&self) -> Vec<(&'static str, f32)> {
        let mut slots = vec![("square_avg", 0.0)];
        if self.centered {
            slots.push(("grad_avg", 0.0));
        }
        if self.momentum != 0.0 {
            slots.push(("momentum_buffer", 0.0));
        }
        slots
    }

    fn kernel(&self, learning_rate: f64, _: u64) -> Box<dyn Kernel> {
        Box::new(RmsPropKernel {
            decay: Decay::new(self.weight_decay, self.decoupled, learning_rate),
            learning_rate: learning_rate as f32,
            alpha: self.alpha as f32,
            rest: (1.0 - self.alpha) as f32,
            eps: self.eps as f32,
            mu: self.momentum as f32,
            momentum: self.momentum != 0.0,
            centered: self.centered,
        })
    }
}

#[derive(Debug, Clone, Copy)]
struct RmsPropKernel {
    decay: Decay,
    learning_rate: f32,
    alpha: f32,
    rest: f32,
    eps: f32,
    mu: f32,
    momentum: bool,
    centered: bool,
}

impl Kernel for RmsPropKernel {
    fn apply(&self, part: &mut StatePart<'_>, _: &[Range<usize>], vectors: Vectors<'_>) {
        let Vectors { current, gradient, next, gradient_scale, level } = vectors;
        // The first loop writes the ratio r to `next`. The second turns it into the parameter.
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
    fn ratio(kernel: &RmsPropKernel, scale: f32, current: &[f32], gradient: &[f32], next: &mut [f32], square: &mut [f32]) {
        let kernel = *kernel;
        let n = next.len();
        let (current, gradient, square) = (&current[..n], &gradient[..n], &mut square[..n]);
        for i in 0..n {
            let g = gradient[i] * scale + kernel.decay.into_gradient * current[i];
            square[i] = kernel.alpha * square[i] + kernel.rest * g * g;
            next[i] = g / (square[i].sqrt() + kernel.eps);
        }
    }
}

vectorised! {
    fn centered_ratio(kernel: &RmsPropKernel, scale: f32, current: &[f32], gradient: &[f32], next: &mut [f32], square: &mut [f32], mean: &mut [f32]) {
        let kernel = *kernel;
        let n = next.len();
        let (current, gradient, square, mean) = (&current[..n], &gradient[..n], &mut square[..n], &mut mean[..n]);
        for i in 0..n {
            let g = gradient[i] * scale + kernel.decay.into_gradient * current[i];
            square[i] = kernel.alpha * square[i] + kernel.rest * g * g;
            mean[i] += kernel.rest * (g - mean[i]);
            let variance = square[i] - mean[i] * mean[i];
            let variance = if variance > 0.0 { variance } else { 0.0 };
            next[i] = g / (variance.sqrt() + kernel.eps);
        }
    }
}

vectorised! {
    fn plain(kernel: &RmsPropKernel, current: &[f32], next: &mut [f32]) {
        let kernel = *kernel;
        for (next, current) in next.iter_mut().zip(current) {
            *next = kernel.decay.keep * current - kernel.learning_rate * *next;
        }
    }
}

vectorised! {
    fn momentum(kernel: &RmsPropKernel, current: &[f32], next: &mut [f32], buffer: &mut [f32]) {
        let kernel = *kernel;
        for ((next, current), buffer) in next.iter_mut().zip(current).zip(buffer) {
            *buffer = kernel.mu * *buffer + *next;
            *next = kernel.decay.keep * current - kernel.learning_rate * *buffer;
        }
    }
}

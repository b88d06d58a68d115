//! Adam, with amsgrad and with either weight decay (AdamW has the decoupled one).
//!
//! ```text
//! m' = m + (1 - b1)(g - m)
//! v' = b2 v + (1 - b2) g g
//! p' = keep p - (lr / (1 - b1^s)) m' / (sqrt(v') / sqrt(1 - b2^s) + eps)
//! ```
//!
//! s is the number of the update, from 1. Operations are in PyTorch's order.

use std::ops::Range;

use settings::{Entry, Invalid, Range as Allowed, Reader};

use super::rule::{Decay, Kernel, Rule, Vectors};
use super::state::StatePart;
use super::{Read, parameters};
use crate::lanes::vectorised;

pub(super) const ENTRY: Entry<Read> = Entry::built_in("adam", "Adam (Kingma and Ba, ICLR 2015)", read);

/// Adam's parameters, without the learning rate.
#[derive(Debug)]
pub(super) struct Adam {
    pub betas: [f64; 2],
    pub eps: f64,
    pub weight_decay: f64,
    pub amsgrad: bool,
    pub decoupled: bool,
}

fn read(reader: &mut Reader<'_>) -> Result<Box<dyn Rule>, Invalid> {
    let adam = Adam::read(reader, 0.0)?;
    Ok(Box::new(Adam { decoupled: parameters::decoupled(reader)?, ..adam }))
}

impl Adam {
    /// Reads the parameters that Adam and its variants share. Weight decay is part of the gradient.
    pub fn read(reader: &mut Reader<'_>, weight_decay: f64) -> Result<Self, Invalid> {
        Ok(Self {
            betas: parameters::betas(reader)?,
            eps: parameters::eps(reader, 1e-8)?,
            weight_decay: reader.number(
                "weight_decay",
                weight_decay,
                Allowed::NotNegative,
                "pull of the parameters towards zero",
            )?,
            amsgrad: reader.flag("amsgrad", false, "divide by the largest second moment so far")?,
            decoupled: false,
        })
    }
}

impl Rule for Adam {
    fn slots(&self) -> Vec<(&'static str, f32)> {
        let mut slots = vec![("exp_avg", 0.0), ("exp_avg_sq", 0.0)];
        if self.amsgrad {
            slots.push(("max_exp_avg_sq", 0.0));
        }
        slots
    }

    fn kernel(&self, learning_rate: f64, step: u64) -> Box<dyn Kernel> {
        let [beta1, beta2] = self.betas;
        let step = step as f64;
        Box::new(AdamKernel {
            decay: Decay::new(self.weight_decay, self.decoupled, learning_rate),
            first: (1.0 - beta1) as f32,
            beta2: beta2 as f32,
            second: (1.0 - beta2) as f32,
            step_size: (learning_rate / (1.0 - libm::pow(beta1, step))) as f32,
            correction: libm::sqrt(1.0 - libm::pow(beta2, step)) as f32,
            eps: self.eps as f32,
            amsgrad: self.amsgrad,
        })
    }
}

#[derive(Debug, Clone, Copy)]
struct AdamKernel {
    decay: Decay,
    first: f32,
    beta2: f32,
    second: f32,
    step_size: f32,
    correction: f32,
    eps: f32,
    amsgrad: bool,
}

impl Kernel for AdamKernel {
    fn apply(&self, part: &mut StatePart<'_>, _: &[Range<usize>], vectors: Vectors<'_>) {
        let Vectors { current, gradient, next, gradient_scale, level } = vectors;
        if self.amsgrad {
            let [m, v, largest] = part.slots();
            amsgrad(level, self, gradient_scale, current, gradient, next, m, v, largest);
        } else {
            let [m, v] = part.slots();
            plain(level, self, gradient_scale, current, gradient, next, m, v);
        }
    }
}

vectorised! {
    fn plain(kernel: &AdamKernel, scale: f32, current: &[f32], gradient: &[f32], next: &mut [f32], m: &mut [f32], v: &mut [f32]) {
        let kernel = *kernel;
        let n = next.len();
        let (current, gradient, m, v) = (&current[..n], &gradient[..n], &mut m[..n], &mut v[..n]);
        for i in 0..n {
            let g = gradient[i] * scale + kernel.decay.into_gradient * current[i];
            m[i] += kernel.first * (g - m[i]);
            v[i] = kernel.beta2 * v[i] + kernel.second * g * g;
            let denominator = v[i].sqrt() / kernel.correction + kernel.eps;
            next[i] = kernel.decay.keep * current[i] - kernel.step_size * m[i] / denominator;
        }
    }
}

vectorised! {
    fn amsgrad(kernel: &AdamKernel, scale: f32, current: &[f32], gradient: &[f32], next: &mut [f32], m: &mut [f32], v: &mut [f32], largest: &mut [f32]) {
        let kernel = *kernel;
        let n = next.len();
        let (current, gradient, m, v, largest) = (&current[..n], &gradient[..n], &mut m[..n], &mut v[..n], &mut largest[..n]);
        for i in 0..n {
            let g = gradient[i] * scale + kernel.decay.into_gradient * current[i];
            m[i] += kernel.first * (g - m[i]);
            v[i] = kernel.beta2 * v[i] + kernel.second * g * g;
            largest[i] = if v[i] > largest[i] { v[i] } else { largest[i] };
            let denominator = largest[i].sqrt() / kernel.correction + kernel.eps;
            next[i] = kernel.decay.keep * current[i] - kernel.step_size * m[i] / denominator;
        }
    }
}

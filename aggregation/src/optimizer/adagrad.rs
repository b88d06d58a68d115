//! Adagrad.
//!
//! ```text
//! q' = q + g g
//! p' = keep p - lr / (1 + (s - 1) lr_decay) g / (sqrt(q') + eps)
//! ```
//!
//! s is the number of the update, from 1.

use std::ops::Range;

use settings::{Entry, Invalid, Range as Allowed, Reader};

use super::rule::{Decay, Kernel, Rule, Vectors};
use super::state::StatePart;
use super::{Read, parameters};
use crate::lanes::vectorised;

pub(super) const ENTRY: Entry<Read> = Entry::built_in("adagrad", "Adagrad (Duchi, Hazan and Singer, JMLR 2011)", read);

#[derive(Debug)]
struct Adagrad {
    lr_decay: f64,
    initial_accumulator_value: f64,
    eps: f64,
    weight_decay: f64,
    decoupled: bool,
}

fn read(reader: &mut Reader<'_>) -> Result<Box<dyn Rule>, Invalid> {
    let documentation = "fall of the step size: it is divided by 1 + (step - 1) lr_decay";
    Ok(Box::new(Adagrad {
        lr_decay: reader.number("lr_decay", 0.0, Allowed::NotNegative, documentation)?,
        initial_accumulator_value: reader.number(
            "initial_accumulator_value",
            0.0,
            Allowed::NotNegative,
            "what the sums of squares begin with",
        )?,
        eps: parameters::eps(reader, 1e-10)?,
        weight_decay: parameters::decay(reader)?,
        decoupled: parameters::decoupled(reader)?,
    }))
}

impl Rule for Adagrad {
    fn slots(&self) -> Vec<(&'static str, f32)> {
        vec![("sum", self.initial_accumulator_value as f32)]
    }

    fn kernel(&self, learning_rate: f64, step: u64) -> Box<dyn Kernel> {
        Box::new(AdagradKernel {
            decay: Decay::new(self.weight_decay, self.decoupled, learning_rate),
            rate: (learning_rate / (1.0 + (step - 1) as f64 * self.lr_decay)) as f32,
            eps: self.eps as f32,
        })
    }
}

#[derive(Debug, Clone, Copy)]
struct AdagradKernel {
    decay: Decay,
    rate: f32,
    eps: f32,
}

impl Kernel for AdagradKernel {
    fn apply(&self, part: &mut StatePart<'_>, _: &[Range<usize>], vectors: Vectors<'_>) {
        let Vectors { current, gradient, next, gradient_scale, level } = vectors;
        let [sum] = part.slots();
        step(level, self, gradient_scale, current, gradient, next, sum);
    }
}

vectorised! {
    fn step(kernel: &AdagradKernel, scale: f32, current: &[f32], gradient: &[f32], next: &mut [f32], sum: &mut [f32]) {
        let kernel = *kernel;
        let n = next.len();
        let (current, gradient, sum) = (&current[..n], &gradient[..n], &mut sum[..n]);
        for i in 0..n {
            let g = gradient[i] * scale + kernel.decay.into_gradient * current[i];
            sum[i] += g * g;
            next[i] = kernel.decay.keep * current[i] - kernel.rate * g / (sum[i].sqrt() + kernel.eps);
        }
    }
}

//! Stochastic gradient descent, in PyTorch's form.
//!
//! - Without momentum: p' = keep p - lr g.
//! - With momentum: b' = mu b + (1 - dampening) g, in the first update b' = g, and p' = keep p - lr
//!   b'.
//! - With Nesterov momentum: p' = keep p - lr (g + mu b').

use std::ops::Range;

use settings::{Entry, Invalid, Range as Allowed, Reader};

use super::rule::{Decay, Kernel, Rule, Vectors};
use super::state::StatePart;
use super::{Read, parameters};
use crate::lanes::vectorised;

pub(super) const ENTRY: Entry<Read> =
    Entry::built_in("sgd", "stochastic gradient descent, with momentum or Nesterov's", read);

#[derive(Debug)]
struct Sgd {
    momentum: f64,
    dampening: f64,
    nesterov: bool,
    weight_decay: f64,
    decoupled: bool,
}

fn read(reader: &mut Reader<'_>) -> Result<Box<dyn Rule>, Invalid> {
    let momentum = parameters::momentum(reader)?;
    let documentation = "what the gradient loses on its way into the running direction";
    let dampening = reader.number("dampening", 0.0, Allowed::Closed(0.0, 1.0), documentation)?;
    let documentation = "look ahead as Nesterov does; with `momentum` above 0 and `dampening` 0";
    let nesterov = reader.flag("nesterov", false, documentation)?;
    let (weight_decay, decoupled) = (parameters::decay(reader)?, parameters::decoupled(reader)?);
    if nesterov && (momentum == 0.0 || dampening != 0.0) {
        return Err(Invalid::value("nesterov", true, "used with momentum above 0 and dampening 0"));
    }
    Ok(Box::new(Sgd { momentum, dampening, nesterov, weight_decay, decoupled }))
}

impl Rule for Sgd {
    fn slots(&self) -> Vec<(&'static str, f32)> {
        if self.momentum != 0.0 { vec![("momentum_buffer", 0.0)] } else { Vec::new() }
    }

    fn kernel(&self, learning_rate: f64, step: u64) -> Box<dyn Kernel> {
        let mu = self.momentum as f32;
        let (keep, add) = if step == 1 { (0.0, 1.0) } else { (mu, (1.0 - self.dampening) as f32) };
        let (of_gradient, of_buffer) = if self.nesterov { (1.0, mu) } else { (0.0, 1.0) };
        Box::new(SgdKernel {
            decay: Decay::new(self.weight_decay, self.decoupled, learning_rate),
            learning_rate: learning_rate as f32,
            keep,
            add,
            of_gradient,
            of_buffer,
            momentum: self.momentum != 0.0,
        })
    }
}

#[derive(Debug, Clone, Copy)]
struct SgdKernel {
    decay: Decay,
    learning_rate: f32,
    /// The share of the buffer that stays, and the factor of the gradient that is added.
    keep: f32,
    add: f32,
    /// The direction: the factors of the gradient and of the buffer.
    of_gradient: f32,
    of_buffer: f32,
    momentum: bool,
}

impl Kernel for SgdKernel {
    fn apply(&self, part: &mut StatePart<'_>, _: &[Range<usize>], vectors: Vectors<'_>) {
        let Vectors { current, gradient, next, gradient_scale, level } = vectors;
        if self.momentum {
            let [buffer] = part.slots();
            momentum(level, self, gradient_scale, current, gradient, next, buffer);
        } else {
            plain(level, self, gradient_scale, current, gradient, next);
        }
    }
}

vectorised! {
    fn plain(kernel: &SgdKernel, scale: f32, current: &[f32], gradient: &[f32], next: &mut [f32]) {
        let kernel = *kernel;
        let n = next.len();
        let (current, gradient) = (&current[..n], &gradient[..n]);
        for i in 0..n {
            let g = gradient[i] * scale + kernel.decay.into_gradient * current[i];
            next[i] = kernel.decay.keep * current[i] - kernel.learning_rate * g;
        }
    }
}

vectorised! {
    fn momentum(kernel: &SgdKernel, scale: f32, current: &[f32], gradient: &[f32], next: &mut [f32], buffer: &mut [f32]) {
        let kernel = *kernel;
        let n = next.len();
        let (current, gradient, buffer) = (&current[..n], &gradient[..n], &mut buffer[..n]);
        for i in 0..n {
            let g = gradient[i] * scale + kernel.decay.into_gradient * current[i];
            buffer[i] = kernel.keep * buffer[i] + kernel.add * g;
            let direction = kernel.of_gradient * g + kernel.of_buffer * buffer[i];
            next[i] = kernel.decay.keep * current[i] - kernel.learning_rate * direction;
        }
    }
}

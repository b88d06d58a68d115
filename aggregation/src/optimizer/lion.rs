//! Lion (Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023, algorithm 2).
//!
//! ```text
//! c = b1 m + (1 - b1) g
//! p' = (1 - lr wd) p - lr sign(c)
//! m' = b2 m + (1 - b2) g
//! ```
//!
//! sign(0) is 0.

use std::ops::Range;

use settings::{Entry, Invalid, Range as Allowed, Reader};

use super::Read;
use super::parameters::BETA;
use super::rule::{Decay, Kernel, Rule, Vectors};
use super::state::StatePart;
use crate::lanes::vectorised;

pub(super) const ENTRY: Entry<Read> = Entry::built_in("lion", "Lion (Chen et al., NeurIPS 2023)", read);

#[derive(Debug)]
struct Lion {
    betas: [f64; 2],
    weight_decay: f64,
}

fn read(reader: &mut Reader<'_>) -> Result<Box<dyn Rule>, Invalid> {
    let documentation = "share of the running direction in the update, and its decay";
    let betas = reader.pair("betas", [0.9, 0.99], BETA, documentation)?;
    let documentation = "pull of the parameters towards zero, decoupled from the gradient";
    let weight_decay = reader.number("weight_decay", 0.0, Allowed::NotNegative, documentation)?;
    Ok(Box::new(Lion { betas, weight_decay }))
}

impl Rule for Lion {
    fn slots(&self) -> Vec<(&'static str, f32)> {
        vec![("exp_avg", 0.0)]
    }

    fn kernel(&self, learning_rate: f64, _: u64) -> Box<dyn Kernel> {
        let [beta1, beta2] = self.betas;
        Box::new(LionKernel {
            keep: Decay::new(self.weight_decay, true, learning_rate).keep,
            rate: learning_rate as f32,
            beta1: beta1 as f32,
            rest1: (1.0 - beta1) as f32,
            beta2: beta2 as f32,
            rest2: (1.0 - beta2) as f32,
        })
    }
}

#[derive(Debug, Clone, Copy)]
struct LionKernel {
    keep: f32,
    rate: f32,
    beta1: f32,
    rest1: f32,
    beta2: f32,
    rest2: f32,
}

impl Kernel for LionKernel {
    fn apply(&self, part: &mut StatePart<'_>, _: &[Range<usize>], vectors: Vectors<'_>) {
        let Vectors { current, gradient, next, gradient_scale, level } = vectors;
        let [m] = part.slots();
        step(level, self, gradient_scale, current, gradient, next, m);
    }
}

vectorised! {
    fn step(kernel: &LionKernel, scale: f32, current: &[f32], gradient: &[f32], next: &mut [f32], m: &mut [f32]) {
        let kernel = *kernel;
        let n = next.len();
        let (current, gradient, m) = (&current[..n], &gradient[..n], &mut m[..n]);
        for i in 0..n {
            let g = gradient[i] * scale;
            let direction = kernel.beta1 * m[i] + kernel.rest1 * g;
            m[i] = kernel.beta2 * m[i] + kernel.rest2 * g;
            let sign = f32::from(u8::from(direction > 0.0)) - f32::from(u8::from(direction < 0.0));
            next[i] = kernel.keep * current[i] - kernel.rate * sign;
        }
    }
}

//! LAMB (You et al., "Large batch optimization for deep learning", ICLR 2020, algorithm 2, with phi
//! the identity).
//!
//! ```text
//! r = m^ / (sqrt(v^) + eps) + wd p
//! p' = p - lr (|p| / |r|) r
//! ```
//!
//! m^ and v^ are Adam's moments with bias correction. Norms are over each block of the layout, in
//! f64. The ratio is 1 if one of them is 0.

use std::ops::Range;

use settings::{Entry, Invalid, Range as Allowed, Reader};

use super::rule::{Kernel, Rule, Vectors};
use super::state::StatePart;
use super::{Read, parameters};
use crate::clip;
use crate::lanes::vectorised;

pub(super) const ENTRY: Entry<Read> = Entry::built_in("lamb", "LAMB (You et al., ICLR 2020)", read);

#[derive(Debug)]
struct Lamb {
    betas: [f64; 2],
    eps: f64,
    weight_decay: f64,
}

fn read(reader: &mut Reader<'_>) -> Result<Box<dyn Rule>, Invalid> {
    let (betas, eps) = (parameters::betas(reader)?, parameters::eps(reader, 1e-6)?);
    let documentation = "pull of the parameters towards zero, part of the direction whose length is adapted";
    let weight_decay = reader.number("weight_decay", 0.0, Allowed::NotNegative, documentation)?;
    Ok(Box::new(Lamb { betas, eps, weight_decay }))
}

impl Rule for Lamb {
    fn slots(&self) -> Vec<(&'static str, f32)> {
        vec![("exp_avg", 0.0), ("exp_avg_sq", 0.0)]
    }

    fn is_elementwise(&self) -> bool {
        false
    }

    fn kernel(&self, learning_rate: f64, step: u64) -> Box<dyn Kernel> {
        let [beta1, beta2] = self.betas;
        let step = step as f64;
        Box::new(LambKernel {
            learning_rate,
            weight_decay: self.weight_decay as f32,
            first: (1.0 - beta1) as f32,
            beta2: beta2 as f32,
            second: (1.0 - beta2) as f32,
            correction1: (1.0 - libm::pow(beta1, step)) as f32,
            correction2: libm::sqrt(1.0 - libm::pow(beta2, step)) as f32,
            eps: self.eps as f32,
        })
    }
}

#[derive(Debug, Clone, Copy)]
struct LambKernel {
    learning_rate: f64,
    weight_decay: f32,
    first: f32,
    beta2: f32,
    second: f32,
    correction1: f32,
    correction2: f32,
    eps: f32,
}

impl Kernel for LambKernel {
    fn apply(&self, part: &mut StatePart<'_>, blocks: &[Range<usize>], vectors: Vectors<'_>) {
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
    fn direction(kernel: &LambKernel, scale: f32, current: &[f32], gradient: &[f32], next: &mut [f32], m: &mut [f32], v: &mut [f32]) {
        let kernel = *kernel;
        let n = next.len();
        let (current, gradient, m, v) = (&current[..n], &gradient[..n], &mut m[..n], &mut v[..n]);
        for i in 0..n {
            let g = gradient[i] * scale;
            m[i] += kernel.first * (g - m[i]);
            v[i] = kernel.beta2 * v[i] + kernel.second * g * g;
            let denominator = v[i].sqrt() / kernel.correction2 + kernel.eps;
            next[i] = m[i] / kernel.correction1 / denominator + kernel.weight_decay * current[i];
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

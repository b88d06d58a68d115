//! The loops over a pointwise function, compiled for the registers that the processor has.
//!
//! The operations are the same in wider registers: nothing is fused or put in another order, so the
//! bits are the same.

use std::fmt;

use burn::tensor::Tensor;

use super::Pointwise;

/// A pointwise function over slices.
pub(super) trait Loops: fmt::Debug + Send + Sync {
    /// `values = f(values)`.
    fn apply(&self, values: &mut [f32]);

    /// `gradient *= f'`, from what was kept.
    fn backward(&self, kept: &[f32], gradient: &mut [f32]);

    /// [`Pointwise::KEEPS_INPUT`].
    fn keeps_input(&self) -> bool;

    /// [`Pointwise::tensor`].
    fn tensor(&self, x: Tensor<2>) -> Tensor<2>;
}

impl<F: Pointwise> Loops for F {
    fn apply(&self, values: &mut [f32]) {
        #[cfg(target_arch = "x86_64")]
        {
            if std::is_x86_feature_detected!("avx512f") {
                // SAFETY: the processor has the feature.
                return unsafe { apply_avx512(self, values) };
            }
            if std::is_x86_feature_detected!("avx2") {
                // SAFETY: the processor has the feature.
                return unsafe { apply_avx2(self, values) };
            }
        }
        apply_any(self, values);
    }

    fn backward(&self, kept: &[f32], gradient: &mut [f32]) {
        #[cfg(target_arch = "x86_64")]
        {
            if std::is_x86_feature_detected!("avx512f") {
                // SAFETY: the processor has the feature.
                return unsafe { backward_avx512(self, kept, gradient) };
            }
            if std::is_x86_feature_detected!("avx2") {
                // SAFETY: the processor has the feature.
                return unsafe { backward_avx2(self, kept, gradient) };
            }
        }
        backward_any(self, kept, gradient);
    }

    fn keeps_input(&self) -> bool {
        F::KEEPS_INPUT
    }

    fn tensor(&self, x: Tensor<2>) -> Tensor<2> {
        Pointwise::tensor(self, x)
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn apply_avx512<F: Pointwise>(f: &F, values: &mut [f32]) {
    apply_any(f, values);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn apply_avx2<F: Pointwise>(f: &F, values: &mut [f32]) {
    apply_any(f, values);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn backward_avx512<F: Pointwise>(f: &F, kept: &[f32], gradient: &mut [f32]) {
    backward_any(f, kept, gradient);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn backward_avx2<F: Pointwise>(f: &F, kept: &[f32], gradient: &mut [f32]) {
    backward_any(f, kept, gradient);
}

#[inline(always)]
pub(super) fn apply_any<F: Pointwise>(f: &F, values: &mut [f32]) {
    values.iter_mut().for_each(|x| *x = f.value(*x));
}

#[inline(always)]
pub(super) fn backward_any<F: Pointwise>(f: &F, kept: &[f32], gradient: &mut [f32]) {
    gradient.iter_mut().zip(kept).for_each(|(gradient, kept)| *gradient = f.backward(*kept, *gradient));
}

//! One dense layer on the processor: forward, and backward by hand.

use super::plan::FusedDense;
use super::product::{Matrix, multiply};
use crate::activation::Activation;

/// The number that is added to the variance before the root, as in PyTorch's LayerNorm.
const NORM_EPSILON: f32 = 1e-5;

/// The results of a layer's forward pass that the next layer and the backward pass need. Buffers
/// are kept from one microbatch to the next.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    /// The layer's output, `[rows, outputs]`.
    pub(crate) out: Vec<f32>,
    /// The input of the activation's derivative, if it is not `out`.
    kept: Vec<f32>,
    /// The row before the layer norm's scale and shift.
    normal: Vec<f32>,
    /// 1 / standard deviation of each row.
    inverse_std: Vec<f32>,
    /// The factors of the dropout, 0 or `1 / (1 - p)`. Empty without dropout.
    mask: Vec<f32>,
}

impl Passed {
    /// The buffer for this pass's mask, `[rows, outputs]`, to be filled before [`forward`].
    pub(crate) fn mask(&mut self, len: usize) -> &mut [f32] {
        self.mask.resize(len, 0.0);
        &mut self.mask
    }

    /// Removes the mask: this pass has no dropout.
    pub(crate) fn clear_mask(&mut self) {
        self.mask.clear();
    }
}

/// Computes `passed.out` for `rows` rows of `x`.
pub(crate) fn forward(layer: &FusedDense, parameters: &[f32], rows: usize, x: &[f32], passed: &mut Passed) {
    let Passed { out, kept, normal, inverse_std, mask } = passed;
    let len = rows * layer.outputs;
    out.resize(len, 0.0);
    let apart = !mask.is_empty() || layer.activation.as_ref().is_some_and(Activation::keeps_input);
    let z: &mut [f32] = if apart {
        kept.resize(len, 0.0);
        kept
    } else {
        out
    };
    let weight = Matrix::new(&parameters[layer.weight.clone()], layer.outputs, layer.inputs);
    multiply(z, false, Matrix::new(x, rows, layer.inputs), weight.transposed());

    let bias = &parameters[layer.bias.clone()];
    if let Some(norm) = &layer.norm {
        normal.resize(len, 0.0);
        inverse_std.resize(rows, 0.0);
        let (scale, shift) = (&parameters[norm.scale.clone()], &parameters[norm.shift.clone()]);
        for ((row, normal), inverse_std) in
            z.chunks_exact_mut(layer.outputs).zip(normal.chunks_exact_mut(layer.outputs)).zip(inverse_std)
        {
            add(row, bias);
            *inverse_std = normalise(row, normal);
            for (((y, x), scale), shift) in row.iter_mut().zip(&*normal).zip(scale).zip(shift) {
                *y = x * scale + shift;
            }
        }
    } else {
        z.chunks_exact_mut(layer.outputs).for_each(|row| add(row, bias));
    }

    let Some(function) = &layer.activation else { return };
    if !apart {
        function.apply(out);
        return;
    }
    if !function.keeps_input() {
        function.apply(kept);
    }
    out.copy_from_slice(kept);
    if function.keeps_input() {
        function.apply(out);
    }
    multiply_by(out, mask);
}

/// Turns `delta`, the gradient of the output, into the gradient before the bias, and writes the
/// gradient of the layer's parameters into `gradient`.
pub(crate) fn backward(
    layer: &FusedDense,
    parameters: &[f32],
    rows: usize,
    x: &[f32],
    passed: &Passed,
    delta: &mut [f32],
    gradient: &mut [f32],
) {
    multiply_by(delta, &passed.mask);
    if let Some(function) = &layer.activation {
        let apart = !passed.mask.is_empty() || function.keeps_input();
        function.backward(if apart { &passed.kept } else { &passed.out }, delta);
    }
    if let Some(norm) = &layer.norm {
        let scale = &parameters[norm.scale.clone()];
        column_sums(layer.outputs, delta, &mut gradient[norm.shift.clone()]);
        let sums = &mut gradient[norm.scale.clone()];
        sums.fill(0.0);
        let rows = delta
            .chunks_exact_mut(layer.outputs)
            .zip(passed.normal.chunks_exact(layer.outputs))
            .zip(&passed.inverse_std);
        for ((delta, normal), inverse_std) in rows {
            for ((sum, d), x) in sums.iter_mut().zip(&*delta).zip(normal) {
                *sum += d * x;
            }
            normalise_backward(delta, normal, scale, *inverse_std);
        }
    }
    column_sums(layer.outputs, delta, &mut gradient[layer.bias.clone()]);
    let delta = Matrix::new(delta, rows, layer.outputs);
    multiply(&mut gradient[layer.weight.clone()], false, delta.transposed(), Matrix::new(x, rows, layer.inputs));
}

/// The gradient of the layer's input, columns `first..first + count`, from the `delta` that
/// [`backward`] left: `out = delta W`, or `out += delta W` with `add`.
pub(crate) fn input_gradient(
    layer: &FusedDense,
    parameters: &[f32],
    rows: usize,
    delta: &[f32],
    columns: std::ops::Range<usize>,
    add: bool,
    out: &mut [f32],
) {
    let weight = Matrix::new(&parameters[layer.weight.clone()], layer.outputs, layer.inputs);
    multiply(out, add, Matrix::new(delta, rows, layer.outputs), weight.columns(columns.start, columns.len()));
}

/// `values *= factors`. Without factors the values do not change.
pub(crate) fn multiply_by(values: &mut [f32], factors: &[f32]) {
    values.iter_mut().zip(factors).for_each(|(value, factor)| *value *= factor);
}

fn add(row: &mut [f32], other: &[f32]) {
    row.iter_mut().zip(other).for_each(|(x, y)| *x += y);
}

fn column_sums(columns: usize, values: &[f32], sums: &mut [f32]) {
    sums.fill(0.0);
    values.chunks_exact(columns).for_each(|row| add(sums, row));
}

/// Writes `(row - mean) / std` and returns `1 / std`. The two sums are in f64, in
/// order.
fn normalise(row: &[f32], normal: &mut [f32]) -> f32 {
    let n = row.len() as f64;
    let mean = row.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
    let variance = row.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / n;
    let inverse_std = 1.0 / (variance + f64::from(NORM_EPSILON)).sqrt();
    for (y, x) in normal.iter_mut().zip(row) {
        *y = ((f64::from(*x) - mean) * inverse_std) as f32;
    }
    inverse_std as f32
}

/// `delta = inverse_std * (g - mean(g) - normal * mean(g * normal))` with `g = delta * scale`.
fn normalise_backward(delta: &mut [f32], normal: &[f32], scale: &[f32], inverse_std: f32) {
    let (mut sum, mut product) = (0.0_f64, 0.0_f64);
    for ((d, s), x) in delta.iter_mut().zip(scale).zip(normal) {
        *d *= s;
        sum += f64::from(*d);
        product += f64::from(*d) * f64::from(*x);
    }
    let n = normal.len() as f64;
    let (mean, slope) = ((sum / n) as f32, (product / n) as f32);
    for (d, x) in delta.iter_mut().zip(normal) {
        *d = inverse_std * (*d - mean - x * slope);
    }
}

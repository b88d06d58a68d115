//! What losses with a label for each output have in common: they are means over the outputs.

/// The mean over the outputs of `loss`, which gives the loss of one output at its label, and its
/// derivative. It is called in the order of the outputs. Writes `scale` times the derivative of the
/// mean. Outputs, labels and `derivative` are `[outputs]`.
#[inline(always)]
pub fn mean_over_outputs(
    outputs: &[f32],
    labels: &[f32],
    scale: f32,
    derivative: &mut [f32],
    mut loss: impl FnMut(f32, f32) -> (f64, f32),
) -> f64 {
    let scale = scale / outputs.len() as f32;
    let mut total = 0.0;
    for ((x, y), d) in outputs.iter().zip(labels).zip(derivative) {
        let (value, slope) = loss(*x, *y);
        total += value;
        *d = scale * slope;
    }
    total / outputs.len() as f64
}

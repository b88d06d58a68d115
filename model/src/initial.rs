//! Initial values of the parameters, from counters on the host. They are a function of the seed and
//! the layout, and do not depend on the device.

use aggregation::random::{Purpose, Stream};

use crate::Layout;

/// The distribution of a block's initial values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// Uniform in `(-1/sqrt(n), 1/sqrt(n))`, as in PyTorch's linear and convolution layers. `n` is
    /// the number of inputs of one output.
    FanIn(usize),
    /// Standard normal.
    Normal,
    /// Every value is this one.
    Constant(f32),
}

/// All parameters, in the layout's order. `initial` has one entry for each block. The number of the
/// block names its random numbers.
pub(crate) fn parameters(layout: &Layout, initial: &[Init], seed: u64) -> Vec<f32> {
    let mut values = vec![0.0; layout.len()];
    for (number, (block, init)) in layout.blocks().iter().zip(initial).enumerate() {
        let values = &mut values[block.range()];
        let stream = Stream::new(seed, Purpose::InitialWeights, &[number as u64]);
        match *init {
            Init::FanIn(inputs) => {
                let bound = (1.0 / (inputs as f64).sqrt()) as f32;
                stream.fill_uniform(0, values);
                values.iter_mut().for_each(|value| *value = (2.0 * *value - 1.0) * bound);
            }
            Init::Normal => stream.fill_normal(0, values),
            Init::Constant(constant) => values.fill(constant),
        }
    }
    values
}

//! How the pixels of an image become numbers.

use serde::{Deserialize, Serialize};

use super::standard;
use crate::column::Column;
use crate::exact;

/// The values of an image, scaled and standardised: `(x * scale - mean) / std`, with one mean and
/// one standard deviation a channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pixels {
    /// Values of one channel.
    pub(crate) plane: usize,
    /// What a value is multiplied by first.
    #[serde(with = "exact::one")]
    pub(crate) scale: f64,
    /// By channel: what is subtracted from a scaled value.
    #[serde(with = "exact::list")]
    pub(crate) mean: Vec<f64>,
    /// By channel: what that is divided by. A channel with 0 is zeros everywhere.
    #[serde(with = "exact::list")]
    pub(crate) std: Vec<f64>,
}

impl Pixels {
    /// Values of one image.
    pub fn count(&self) -> usize {
        self.plane * self.mean.len()
    }

    fn value(&self, channel: usize, value: f64) -> f32 {
        standard(value * self.scale, self.mean[channel], self.std[channel])
    }

    /// Writes rows of `column` into their dense columns: the first row to the front of `dense`, the
    /// others `stride` further each.
    pub(crate) fn encode(&self, column: &Column, rows: &[usize], dense: &mut [f32], stride: usize) {
        let count = self.count();
        let places = rows.iter().zip(dense.chunks_mut(stride.max(1)));
        match column {
            Column::Bytes { values, .. } => {
                let table = self.byte_table();
                places.for_each(|(row, dense)| self.look_up(&table, &values[row * count..][..count], dense));
            }
            _ => {
                let values = column.matrix().expect("pixels are numbers or bytes").1;
                for (row, dense) in places {
                    let image = values[row * count..][..count].chunks(self.plane);
                    for (channel, (values, dense)) in image.zip(dense.chunks_mut(self.plane)).enumerate() {
                        dense.iter_mut().zip(values).for_each(|(place, value)| *place = self.value(channel, *value));
                    }
                }
            }
        }
    }

    /// What held bytes of whole images are encoded as.
    pub(crate) fn decode(&self, bytes: &[u8]) -> Vec<f32> {
        let count = self.count();
        let table = self.byte_table();
        let mut dense = vec![0.0; bytes.len()];
        let images = bytes.chunks_exact(count).zip(dense.chunks_exact_mut(count));
        images.for_each(|(bytes, dense)| self.look_up(&table, bytes, dense));
        dense
    }

    /// By channel: what each byte is encoded as.
    fn byte_table(&self) -> Vec<[f32; 256]> {
        let channel = |channel| std::array::from_fn(|byte| self.value(channel, byte as f64));
        (0..self.mean.len()).map(channel).collect()
    }

    /// One image, channel by channel.
    fn look_up(&self, table: &[[f32; 256]], bytes: &[u8], dense: &mut [f32]) {
        let planes = bytes.chunks_exact(self.plane).zip(dense.chunks_mut(self.plane));
        for (table, (bytes, dense)) in table.iter().zip(planes) {
            dense.iter_mut().zip(bytes).for_each(|(place, byte)| *place = table[usize::from(*byte)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_numbers_are_encoded_to_the_same_bits() {
        let bytes: Vec<u8> = (0..24).map(|i| (i * 37 % 256) as u8).collect();
        let pixels = Pixels { plane: 4, scale: 1.0 / 255.0, mean: vec![0.1, 0.0, 0.5], std: vec![0.3, 1.0, 0.0] };
        let numbers = Column::List { width: 12, values: bytes.iter().map(|b| f64::from(*b)).collect() };
        let held = Column::Bytes { width: 12, values: bytes.clone() };
        let encode = |column: &Column| {
            let mut dense = vec![f32::NAN; 24];
            pixels.encode(column, &[0, 1], &mut dense, 12);
            dense
        };
        assert_eq!(encode(&numbers), encode(&held));
        assert_eq!(encode(&held), pixels.decode(&bytes));
        assert_eq!(encode(&held)[4], (f64::from(bytes[4]) / 255.0) as f32);
        assert!(encode(&held)[8..12].iter().all(|value| *value == 0.0));
    }
}

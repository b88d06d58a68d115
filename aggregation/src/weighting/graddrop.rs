//! `graddrop`: each coordinate keeps either its positive or its negative values. The choice is
//! random: positive with probability P = (1 + sum g / sum abs(g)) / 2, the purity of the signs
//! (Chen et al., Just pick a sign, NeurIPS 2020, equation 1 and algorithm 1 on the parameters'
//! gradients).
//!
//! Values that are dropped keep the factor `leak`.

use super::method::{Failure, Method, Moment, Need, Needs, Outcome, State, Statistics};
use super::{Build, Built};
use crate::lanes::{Level, vectorised};
use crate::matrix;
use settings::{Entry, Range, Reader};

const NAME: &str = "graddrop";

pub(super) const ENTRY: Entry<Build> = Entry::built_in(
    NAME,
    "of each coordinate one sign is kept, drawn by its purity (Chen et al., NeurIPS 2020)",
    build,
);

#[derive(Debug)]
struct GradDrop {
    leak: f64,
}

fn build(reader: &mut Reader<'_>, _: Option<&[&str]>) -> Built {
    Ok(Box::new(GradDrop {
        leak: reader.number("leak", 0.0, Range::Closed(0.0, 1.0), "factor of the values that are dropped")?,
    }))
}

impl Method for GradDrop {
    fn needs(&self) -> Needs {
        [Need::Jacobian].into()
    }

    fn weigh(&self, moment: &Moment<'_>, statistics: &Statistics<'_>, _: &mut State) -> Result<Outcome, Failure> {
        let rows = statistics.jacobian(NAME)?;
        let direction = matrix::by_columns(rows, |start, rows, out| {
            let mut draws = vec![0.0f32; out.len()];
            moment.stream.fill_uniform(start as u64, &mut draws);
            drop_signs(Level::widest(), rows, &draws, self.leak, out);
        });
        Ok(Outcome::direction(direction))
    }
}

/// The number of columns that are computed side by side.
const LANES: usize = 16;

vectorised! {
    /// The direction in some columns, from their random numbers.
    fn drop_signs(rows: &[&[f32]], draws: &[f32], leak: f64, out: &mut [f32]) {
        for (chunk, (out, draws)) in out.chunks_mut(LANES).zip(draws.chunks(LANES)).enumerate() {
            let columns = chunk * LANES..chunk * LANES + out.len();
            let (mut sum, mut size) = ([0.0f64; LANES], [0.0f64; LANES]);
            for row in rows {
                for ((value, sum), size) in row[columns.clone()].iter().zip(&mut sum).zip(&mut size) {
                    *sum += f64::from(*value);
                    *size += f64::from(value.abs());
                }
            }
            let mut positive = [false; LANES];
            for (lane, draw) in draws.iter().enumerate() {
                // NaN if all values are 0. Then either sign is right.
                positive[lane] = (1.0 + sum[lane] / size[lane]) / 2.0 > f64::from(*draw);
            }
            let mut kept = [0.0f64; LANES];
            for row in rows {
                for ((value, kept), positive) in row[columns.clone()].iter().zip(&mut kept).zip(positive) {
                    let value = f64::from(*value);
                    *kept += if (value > 0.0) == positive { value } else { leak * value };
                }
            }
            for (out, kept) in out.iter_mut().zip(kept) {
                *out = kept as f32;
            }
        }
    }
}

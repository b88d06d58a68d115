//! `graddrop`: each coordinate keeps its positive or its negative values, drawn by the purity of its signs, P = (1 + sum g / sum abs(g)) / 2
//! (Chen et al., Just pick a sign, NeurIPS 2020, equation 1 and algorithm 1 on the parameters' gradients).
//!
//! What is dropped comes through with the factor `leak`.

use super::Built;
use super::method::{Failure, Method, Moment, Need, Needs, Outcome, State, Statistics};
use crate::table::{Range, Reader};

pub(super) const NAME: &str = "graddrop";

#[derive(Debug)]
struct GradDrop {
    leak: f64,
}

pub(super) fn build(reader: &mut Reader<'_>, _: Option<&[&str]>) -> Built {
    Ok(Box::new(GradDrop { leak: reader.number("leak", 0.0, Range::Closed(0.0, 1.0))? }))
}

impl Method for GradDrop {
    fn needs(&self) -> Needs {
        [Need::Jacobian].into()
    }

    fn weigh(&self, moment: &Moment<'_>, statistics: &Statistics<'_>, _: &mut State) -> Result<Outcome, Failure> {
        let rows = statistics.jacobian(NAME)?;
        let mut draws = vec![0.0f32; rows[0].len()];
        moment.stream.fill_uniform(0, &mut draws);
        let coordinate = |(i, draw): (usize, f32)| {
            let values = rows.iter().map(|row| f64::from(row[i]));
            let (sum, size) = values.clone().fold((0.0, 0.0), |(sum, size), value| (sum + value, size + value.abs()));
            if size == 0.0 {
                return 0.0;
            }
            let positive = (1.0 + sum / size) / 2.0 > f64::from(draw);
            let kept = |value: f64| if (value > 0.0) == positive { value } else { self.leak * value };
            values.map(kept).sum::<f64>() as f32
        };
        Ok(Outcome::direction(draws.into_iter().enumerate().map(coordinate).collect()))
    }
}

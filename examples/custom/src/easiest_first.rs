//! `easiest_first`: tasks with a small loss count more, `alpha_t = T a_t / sum_i a_i` with
//! `a_t = 1 / (l_t + floor)`, T the number of tasks that have labels in the step. The weights add
//! up to T.

use trunkline::{
    aggregation::weighting::{Built, Failure, Method, Moment, Need, Needs, Outcome, State, Statistics},
    settings::{Range, Reader},
};

#[derive(Debug)]
struct EasiestFirst {
    floor: f64,
}

/// Reads `floor`.
pub fn read(reader: &mut Reader<'_>, _: Option<&[&str]>) -> Built {
    let floor = reader.number("floor", 0.1, Range::Positive, "added to each loss; a large one makes weights equal")?;
    Ok(Box::new(EasiestFirst { floor }))
}

impl Method for EasiestFirst {
    fn needs(&self) -> Needs {
        [Need::LossesBefore].into()
    }

    fn weigh(&self, _: &Moment<'_>, statistics: &Statistics<'_>, _: &mut State) -> Result<Outcome, Failure> {
        let losses = statistics.losses("easiest_first")?;
        let shares: Vec<f64> = losses.iter().map(|loss| 1.0 / (loss + self.floor)).collect();
        let scale = shares.len() as f64 / shares.iter().sum::<f64>();
        Ok(Outcome::alpha(shares.into_iter().map(|share| scale * share).collect()))
    }
}

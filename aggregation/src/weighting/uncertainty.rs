//! `uncertainty`: the sum of l / (2 e^s) + s / 2 with a learned s for each task, so alpha = 1 / (2
//! e^s) (Kendall, Gal and Cipolla, CVPR 2018, section 3.2; s is the logarithm of their squared
//! sigma).
//!
//! s starts at `initial` and is learned with the model's kind of optimizer and rate. Its gradient
//! is (1 - l / e^s) / 2.

use super::learned::Learned;
use super::method::{Failure, Method, Moment, Need, Needs, Observed, Outcome, State, Statistics};
use super::{Build, Built};
use settings::{Entry, Range, Reader};

const NAME: &str = "uncertainty";

pub(super) const ENTRY: Entry<Build> =
    Entry::built_in(NAME, "losses divided by learned variances (Kendall, Gal and Cipolla, CVPR 2018)", build);

#[derive(Debug)]
struct Uncertainty {
    s: Learned,
}

fn build(reader: &mut Reader<'_>, _: Option<&[&str]>) -> Built {
    let initial =
        reader.number("initial", -0.5, Range::Closed(-20.0, 20.0), "logarithm of the variances at the start")?;
    Ok(Box::new(Uncertainty { s: Learned { name: "uncertainty.s", initial } }))
}

impl Method for Uncertainty {
    fn needs(&self) -> Needs {
        [Need::LossesWith].into()
    }

    fn weigh(&self, moment: &Moment<'_>, _: &Statistics<'_>, state: &mut State) -> Result<Outcome, Failure> {
        let s = self.s.present(moment, state);
        Ok(Outcome::alpha(s.into_iter().map(|s| libm::exp(-s) / 2.0).collect()))
    }

    fn learn(&self, moment: &Moment<'_>, observed: &Observed<'_>, state: &mut State) -> Result<(), Failure> {
        let s = self.s.present(moment, state);
        let slopes: Vec<f64> =
            s.iter().zip(observed.losses).map(|(s, loss)| (1.0 - loss * libm::exp(-s)) / 2.0).collect();
        self.s.update(moment, moment.optimizer, moment.learning_rate, &slopes, state);
        Ok(())
    }
}

//! `imtl_l`: the sum of e^s l - s with a learned s for each task, so alpha = e^s (IMTL-L; Liu et
//! al., Towards impartial multi-task learning, ICLR 2021, section 3.2).
//!
//! s starts at 0 and is learned with the model's kind of optimizer and rate. Its gradient is e^s l
//! - 1. Losses must not be negative.

use super::learned::Learned;
use super::method::{
    Failure, LossDomain, Method, Moment, Need, Needs, Observed, Outcome, State, Statistics, not_negative,
};
use super::{Build, Built};
use settings::{Entry, Reader};

const NAME: &str = "imtl_l";

pub(super) const ENTRY: Entry<Build> =
    Entry::built_in(NAME, "losses brought to one scale by learned factors (IMTL-L; Liu et al., ICLR 2021)", build);

const S: Learned = Learned { name: "imtl_l.s", initial: 0.0 };

#[derive(Debug)]
struct ImtlL;

fn build(_: &mut Reader<'_>, _: Option<&[&str]>) -> Built {
    Ok(Box::new(ImtlL))
}

impl Method for ImtlL {
    fn needs(&self) -> Needs {
        [Need::LossesWith].into()
    }

    fn accepts(&self) -> LossDomain {
        LossDomain::NotNegative
    }

    fn weigh(&self, moment: &Moment<'_>, _: &Statistics<'_>, state: &mut State) -> Result<Outcome, Failure> {
        Ok(Outcome::alpha(S.present(moment, state).into_iter().map(libm::exp).collect()))
    }

    fn learn(&self, moment: &Moment<'_>, observed: &Observed<'_>, state: &mut State) -> Result<(), Failure> {
        not_negative(NAME, moment.present, observed.losses)?;
        let s = S.present(moment, state);
        let slopes: Vec<f64> = s.iter().zip(observed.losses).map(|(s, loss)| libm::exp(*s) * loss - 1.0).collect();
        S.update(moment, moment.optimizer, moment.learning_rate, &slopes, state);
        Ok(())
    }
}

//! `dwa`: alpha = T softmax(r / tau). r is the mean loss of the last epoch divided by that of the
//! epoch before (Liu, Johns and Davison, CVPR 2019, equation 7). Until every present task has two
//! whole epochs behind it, alpha is 1 for all tasks.

use super::method::{
    Failure, LossDomain, Method, Moment, Need, Needs, Observed, Outcome, State, Statistics, TINY, not_negative, softmax,
};
use super::{Build, Built};
use settings::{Entry, Range, Reader};

const NAME: &str = "dwa";

pub(super) const ENTRY: Entry<Build> = Entry::built_in(
    NAME,
    "by how slowly a task's loss fell over the last two epochs (Liu, Johns and Davison, CVPR 2019)",
    build,
);

#[derive(Debug)]
struct Dwa {
    tau: f64,
}

fn build(reader: &mut Reader<'_>, _: Option<&[&str]>) -> Built {
    Ok(Box::new(Dwa {
        tau: reader.number("tau", 2.0, Range::Positive, "temperature: the larger, the more equal the weights")?,
    }))
}

/// The state, by task: the sum and the count of the running epoch, that epoch's number, and the
/// means of the two epochs before it. A mean that is not there yet is NaN.
const PARTS: [(&str, f64); 5] =
    [("dwa.sum", 0.0), ("dwa.count", 0.0), ("dwa.epoch", 0.0), ("dwa.last", f64::NAN), ("dwa.before", f64::NAN)];

fn read(state: &State, part: usize, task: usize) -> f64 {
    let (name, first) = PARTS[part];
    state.numbers.get(name).map_or(first, |values| values[task])
}

/// The means of the last two epochs, as of this epoch. If the running epoch of the state is an
/// earlier one, it counts as the last.
fn means(state: &State, task: usize, epoch: u64) -> (f64, f64) {
    let (sum, count) = (read(state, 0, task), read(state, 1, task));
    if count > 0.0 && read(state, 2, task) < epoch as f64 {
        (sum / count, read(state, 3, task))
    } else {
        (read(state, 3, task), read(state, 4, task))
    }
}

impl Method for Dwa {
    fn needs(&self) -> Needs {
        [Need::LossesWith].into()
    }

    fn accepts(&self) -> LossDomain {
        LossDomain::NotNegative
    }

    fn weigh(&self, moment: &Moment<'_>, _: &Statistics<'_>, state: &mut State) -> Result<Outcome, Failure> {
        let present = moment.present.len();
        let ratio = |&task: &usize| {
            let (last, before) = means(state, task, moment.epoch);
            // Not `max`, which would turn the NaN of a missing mean into 0.
            if before < TINY { last / TINY } else { last / before }
        };
        let ratios: Vec<f64> = moment.present.iter().map(ratio).collect();
        if ratios.iter().any(|ratio| ratio.is_nan()) {
            return Ok(Outcome::alpha(vec![1.0; present]));
        }
        let scaled: Vec<f64> = ratios.iter().map(|ratio| ratio / self.tau).collect();
        Ok(Outcome::alpha(softmax(&scaled).into_iter().map(|share| share * present as f64).collect()))
    }

    fn learn(&self, moment: &Moment<'_>, observed: &Observed<'_>, state: &mut State) -> Result<(), Failure> {
        not_negative(NAME, moment.present, observed.losses)?;
        for (&task, &loss) in moment.present.iter().zip(observed.losses) {
            let (last, before) = means(state, task, moment.epoch);
            let same = read(state, 2, task) == moment.epoch as f64;
            let (sum, count) = if same { (read(state, 0, task), read(state, 1, task)) } else { (0.0, 0.0) };
            let values = [sum + loss, count + 1.0, moment.epoch as f64, last, before];
            for ((name, first), value) in PARTS.into_iter().zip(values) {
                state.numbers_or(name, || vec![first; moment.tasks])[task] = value;
            }
        }
        Ok(())
    }
}

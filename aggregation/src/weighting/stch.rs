//! `stch`: smooth Tchebycheff scalarisation of the logarithms of losses over their nadir (Lin et
//! al., Smooth Tchebycheff scalarization for multi-objective optimization, ICML 2024, section 4.2).
//!
//! It minimises T mu log sum exp(log(l / nadir) / mu), so alpha = T softmax(log(l / nadir) / mu) /
//! l. In the first `warmup_epochs` epochs it minimises the sum of log losses (alpha = 1 / l). A
//! task's nadir is its mean loss over the last of these epochs, or its first loss without warm-up.
//! Losses below 1e-12 count as 1e-12.

use super::method::{
    Failure, LossDomain, Method, Moment, Need, Needs, Outcome, State, Statistics, TINY, not_negative, softmax,
};
use super::{Build, Built};
use settings::{Entry, Range, Reader};

const NAME: &str = "stch";

pub(super) const ENTRY: Entry<Build> = Entry::built_in(
    NAME,
    "smooth maximum of losses over their means of the warm-up epochs (STCH; Lin et al., ICML 2024)",
    build,
);

const SUM: &str = "stch.sum";
const COUNT: &str = "stch.count";

#[derive(Debug)]
struct Stch {
    mu: f64,
    warmup_epochs: u64,
}

fn build(reader: &mut Reader<'_>, _: Option<&[&str]>) -> Built {
    let mu = reader.number("mu", 1.0, Range::Positive, "smoothness of the maximum: the smaller, the nearer to it")?;
    let warmup_epochs =
        reader.count("warmup_epochs", 4, 0.., "epochs after which losses are compared to their means")?;
    Ok(Box::new(Stch { mu, warmup_epochs }))
}

impl Method for Stch {
    fn needs(&self) -> Needs {
        [Need::LossesBefore].into()
    }

    fn accepts(&self) -> LossDomain {
        LossDomain::NotNegative
    }

    fn weigh(&self, moment: &Moment<'_>, statistics: &Statistics<'_>, state: &mut State) -> Result<Outcome, Failure> {
        let losses = statistics.losses(NAME)?;
        not_negative(NAME, moment.present, losses)?;
        let losses: Vec<f64> = losses.iter().map(|loss| loss.max(TINY)).collect();
        let last_of_warmup = moment.epoch + 1 == self.warmup_epochs;
        for (&task, loss) in moment.present.iter().zip(&losses) {
            let none_yet = state.numbers_or(COUNT, || vec![0.0; moment.tasks])[task] == 0.0;
            if last_of_warmup || none_yet && moment.epoch >= self.warmup_epochs {
                state.numbers_or(COUNT, || vec![0.0; moment.tasks])[task] += 1.0;
                state.numbers_or(SUM, || vec![0.0; moment.tasks])[task] += loss;
            }
        }
        if moment.epoch < self.warmup_epochs {
            return Ok(Outcome::alpha(losses.iter().map(|loss| 1.0 / loss).collect()));
        }
        let nadir = |task: usize| state.numbers[SUM][task] / state.numbers[COUNT][task];
        let logs: Vec<f64> =
            moment.present.iter().zip(&losses).map(|(&task, loss)| libm::log(loss / nadir(task)) / self.mu).collect();
        let present = losses.len() as f64;
        Ok(Outcome::alpha(softmax(&logs).iter().zip(&losses).map(|(share, loss)| present * share / loss).collect()))
    }
}

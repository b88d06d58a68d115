//! `gradnorm`: alpha = T softmax(w), with w learned so that the gradients' norms follow the tasks'
//! training rates (Chen et al., GradNorm, ICML 2018, equation 2).
//!
//! Each step descends on the sum over tasks of abs(alpha_t norm(g_t) - mean * r_t^a). `mean` is the
//! mean of alpha norm(g). r is the relative inverse training rate: (l_t / first l_t), divided by
//! its mean over tasks. w is learned with the model's kind of optimizer and rate. Mean and r are
//! constants in the gradient.

use super::learned::Learned;
use super::method::{
    Failure, LossDomain, Method, Moment, Need, Needs, Outcome, State, Statistics, TINY, not_negative, softmax,
};
use super::{Build, Built};
use settings::{Entry, Range, Reader};

const NAME: &str = "gradnorm";

pub(super) const ENTRY: Entry<Build> =
    Entry::built_in(NAME, "gradients of equal norm but for the relative training rate (Chen et al., ICML 2018)", build);

const W: Learned = Learned { name: "gradnorm.w", initial: 0.0 };
const FIRST: &str = "gradnorm.first_loss";

#[derive(Debug)]
struct GradNorm {
    alpha: f64,
}

fn build(reader: &mut Reader<'_>, _: Option<&[&str]>) -> Built {
    Ok(Box::new(GradNorm {
        alpha: reader.number("alpha", 1.5, Range::NotNegative, "power of the relative training rate")?,
    }))
}

impl Method for GradNorm {
    fn needs(&self) -> Needs {
        [Need::LossesWith, Need::Gramian].into()
    }

    fn accepts(&self) -> LossDomain {
        LossDomain::NotNegative
    }

    fn weigh(&self, moment: &Moment<'_>, statistics: &Statistics<'_>, state: &mut State) -> Result<Outcome, Failure> {
        let (losses, norms) = (statistics.losses(NAME)?, statistics.gramian(NAME)?.norms());
        not_negative(NAME, moment.present, losses)?;
        let tasks = norms.len() as f64;
        let shares = softmax(&W.present(moment, state));
        let alpha: Vec<f64> = shares.iter().map(|share| tasks * share).collect();
        let first = state.numbers_or(FIRST, || vec![f64::NAN; moment.tasks]);
        let mut rates = Vec::with_capacity(norms.len());
        for (&task, &loss) in moment.present.iter().zip(losses) {
            if first[task].is_nan() {
                first[task] = loss.max(TINY);
            }
            rates.push(loss / first[task]);
        }
        let mean_rate = (rates.iter().sum::<f64>() / tasks).max(TINY);
        let lengths: Vec<f64> = alpha.iter().zip(&norms).map(|(alpha, norm)| alpha * norm).collect();
        let mean = lengths.iter().sum::<f64>() / tasks;
        // The slope along alpha_t is plus or minus norm(g_t). Through the softmax it becomes T p_t
        // (slope_t - sum p slope).
        let miss = |t: usize| lengths[t] - mean * libm::pow(rates[t] / mean_rate, self.alpha);
        let sign = |value: f64| if value == 0.0 { 0.0 } else { value.signum() };
        let slopes: Vec<f64> = (0..norms.len()).map(|t| sign(miss(t)) * norms[t]).collect();
        let average: f64 = shares.iter().zip(&slopes).map(|(share, slope)| share * slope).sum();
        let of_w: Vec<f64> =
            shares.iter().zip(&slopes).map(|(share, slope)| tasks * share * (slope - average)).collect();
        W.update(moment, moment.optimizer, moment.learning_rate, &of_w, state);
        Ok(Outcome::alpha(alpha))
    }
}

//! `excess_mtl`: weights that grow with the tasks' excess risks (ExcessMTL; He et al., Robust
//! multi-task learning with excess risks, ICML 2024, equations 6, 7 and 9).
//!
//! w_t becomes w_t exp(eta r_t / r_first), divided by the sum over tasks. It starts at 1 / T.
//! r_first is the task's first risk. The excess risk is estimated by r_t = sum over i of g_ti^2 /
//! sqrt(s_ti + 1e-7), s_t the sum of the squared gradients of all steps so far. s is kept in f32.
//! The terms are computed in f32 and added in f64.

// The compiler turns these loops over the lanes of several arrays into vector instructions.
#![allow(clippy::needless_range_loop)]

use super::method::{Failure, Method, Moment, Need, Needs, Outcome, State, Statistics, softmax};
use super::{Build, Built};
use crate::lanes::{Level, vectorised};
use settings::{Entry, Range, Reader};

const NAME: &str = "excess_mtl";

pub(super) const ENTRY: Entry<Build> = Entry::built_in(
    NAME,
    "weights that grow with the estimated excess risk relative to the first one (He et al., ICML 2024)",
    build,
);

const SQUARES: &str = "excess_mtl.squares";
const FIRST: &str = "excess_mtl.first_risk";
const LOGARITHMS: &str = "excess_mtl.log_weights";

#[derive(Debug)]
struct ExcessMtl {
    eta: f64,
}

fn build(reader: &mut Reader<'_>, _: Option<&[&str]>) -> Built {
    Ok(Box::new(ExcessMtl {
        eta: reader.number("eta", 1.0, Range::Positive, "rate at which weights follow the excess risks")?,
    }))
}

/// The number of partial sums of the risk. They are added in order at the end.
const LANES: usize = 16;

vectorised! {
    /// Adds the squares of `row` to `squares` and returns the risk.
    fn risk(row: &[f32], squares: &mut [f32]) -> f64 {
        let mut partial = [0.0f64; LANES];
        let mut term = |lane: usize, value: f32, squares: &mut f32| {
            let square = f64::from(value) * f64::from(value);
            let sum = f64::from(*squares) + square;
            *squares = sum as f32;
            // In f32, because root and quotient took nearly all of the time in f64.
            let root = ((sum + 1e-7) as f32).sqrt();
            partial[lane] += f64::from(value * (value / root));
        };
        let (row, rest) = row.as_chunks::<LANES>();
        let (squares, squares_rest) = squares.as_chunks_mut::<LANES>();
        for (row, squares) in row.iter().zip(squares) {
            for lane in 0..LANES {
                term(lane, row[lane], &mut squares[lane]);
            }
        }
        for (lane, (value, squares)) in rest.iter().zip(squares_rest).enumerate() {
            term(lane, *value, squares);
        }
        partial.iter().sum()
    }
}

impl Method for ExcessMtl {
    fn needs(&self) -> Needs {
        [Need::Jacobian].into()
    }

    fn weigh(&self, moment: &Moment<'_>, statistics: &Statistics<'_>, state: &mut State) -> Result<Outcome, Failure> {
        let rows = statistics.jacobian(NAME)?;
        let shared = rows[0].len();
        let squares = state.vectors.entry(SQUARES.to_owned()).or_insert_with(|| vec![0.0; moment.tasks * shared]);
        let of = |(row, &task): (&&[f32], &usize)| risk(Level::widest(), row, &mut squares[task * shared..][..shared]);
        let risks: Vec<f64> = rows.iter().zip(moment.present).map(of).collect();
        for (&task, risk) in moment.present.iter().zip(risks) {
            let first = &mut state.numbers_or(FIRST, || vec![0.0; moment.tasks])[task];
            // A task without a gradient so far has no first risk to compare with.
            if *first == 0.0 {
                *first = risk;
            }
            let ratio = if *first > 0.0 { risk / *first } else { 0.0 };
            state.numbers_or(LOGARITHMS, || vec![0.0; moment.tasks])[task] += self.eta * ratio;
        }
        let logarithms = &state.numbers[LOGARITHMS];
        Ok(Outcome::alpha(softmax(&moment.present.iter().map(|&task| logarithms[task]).collect::<Vec<f64>>())))
    }
}

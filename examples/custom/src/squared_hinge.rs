//! `squared_hinge`: `max(0, margin - s x)^2` for output `x`, where `s` is 1 for the label 1 and -1
//! for the label 0.

use trunkline::{
    objectives::{
        Kind, Loss, LossPart,
        loss::{AllLabels, mean_over_outputs},
    },
    settings::Range,
};

/// The loss in the catalogue.
pub const PART: LossPart = LossPart {
    kinds: &[Kind::Binary],
    unscaled: false,
    read: |reader, _| {
        Ok(Box::new(SquaredHinge {
            margin: reader.number("margin", 1.0, Range::Positive, "score beyond which a row costs nothing")?,
        }))
    },
};

#[derive(Debug)]
struct SquaredHinge {
    margin: f64,
}

impl SquaredHinge {
    /// How far an output is inside the margin, with the label's sign.
    fn lack(&self, x: f64, y: f64) -> (f64, f64) {
        let sign = 2.0 * y - 1.0;
        ((self.margin - sign * x).max(0.0), sign)
    }

    /// The probability for which an output is the best one.
    fn probability(&self, x: f32) -> f32 {
        let share = f64::from(x) / self.margin;
        ((share + 1.0) / 2.0).clamp(0.0, 1.0) as f32
    }
}

impl Loss for SquaredHinge {
    fn row(&self, outputs: &[f32], labels: &[f32], scale: f32, derivative: &mut [f32]) -> f64 {
        mean_over_outputs(outputs, labels, scale, derivative, |x, y| {
            let (lack, sign) = self.lack(f64::from(x), f64::from(y));
            (lack * lack, (-2.0 * sign * lack) as f32)
        })
    }

    /// The loss of every row, if all outputs were the best constant: `margin (2 p - 1)` for the
    /// share `p` of the label 1.
    fn baseline(&self, labels: &AllLabels<'_>) -> Vec<f64> {
        let best = |labels: Vec<f64>| {
            let rows = labels.len().max(1) as f64;
            self.margin * (2.0 * labels.iter().sum::<f64>() / rows - 1.0)
        };
        labels.by_output(best, |x, y| self.lack(x, y).0.powi(2))
    }

    fn predict(&self, outputs: &[f32], prediction: &mut [f32]) {
        for (probability, x) in prediction.iter_mut().zip(outputs) {
            *probability = self.probability(*x);
        }
    }
}

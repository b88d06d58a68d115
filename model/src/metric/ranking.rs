//! Metrics of the order of scores: rows with equal scores count as one threshold.

/// By threshold, from the highest score down: positive and negative rows at it.
pub(super) struct Ranking {
    groups: Vec<(u64, u64)>,
    positives: u64,
    negatives: u64,
}

impl Ranking {
    /// Sorts rows of (score, positive).
    pub(super) fn new(rows: impl Iterator<Item = (f32, bool)>) -> Self {
        let mut rows: Vec<(f32, bool)> = rows.collect();
        rows.sort_unstable_by(|left, right| right.0.total_cmp(&left.0));
        let mut ranking = Self { groups: Vec::new(), positives: 0, negatives: 0 };
        for (i, &(score, positive)) in rows.iter().enumerate() {
            if i == 0 || rows[i - 1].0 != score {
                ranking.groups.push((0, 0));
            }
            let group = ranking.groups.last_mut().expect("a group was opened");
            let (count, total) = match positive {
                true => (&mut group.0, &mut ranking.positives),
                false => (&mut group.1, &mut ranking.negatives),
            };
            *count += 1;
            *total += 1;
        }
        ranking
    }

    /// Probability that a positive row scores above a negative one, equal scores counting half.
    /// Counted in whole numbers, so the order of the rows changes nothing.
    pub(super) fn auroc(&self) -> Option<f64> {
        let mut below = self.negatives;
        let mut twice = 0_u128;
        for (positives, negatives) in &self.groups {
            below -= negatives;
            twice += u128::from(*positives) * (2 * u128::from(below) + u128::from(*negatives));
        }
        let pairs = 2 * u128::from(self.positives) * u128::from(self.negatives);
        (pairs > 0).then(|| twice as f64 / pairs as f64)
    }

    /// Sum over thresholds of precision times the rise in recall.
    pub(super) fn average_precision(&self) -> Option<f64> {
        let (mut above, mut right, mut sum) = (0, 0, 0.0);
        for (positives, negatives) in &self.groups {
            above += positives + negatives;
            right += positives;
            sum += *positives as f64 * (right as f64 / above as f64);
        }
        (self.positives > 0 && self.negatives > 0).then(|| sum / self.positives as f64)
    }
}

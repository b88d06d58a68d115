//! The loss of the best constant prediction, which `skill` is measured against.
//!
//! The constant is the one that the task's loss fits on the labelled training rows. Its loss is
//! then averaged over the labelled rows of each split.

use std::collections::BTreeMap;

use experiment::SplitName;
use objectives::loss::{AllLabels, Loss};
use objectives::tree::sum;

/// Mean loss by split of the best constant prediction. Splits without labelled rows are left out.
///
/// `parts` has the split of each labelled row; `values` are the label values of all rows, as
/// [`AllLabels`] takes them.
pub(crate) fn by_split(
    loss: &dyn Loss,
    parts: &[Option<SplitName>],
    values: &[f64],
    outputs: usize,
) -> BTreeMap<SplitName, f64> {
    let is_training: Vec<bool> = parts.iter().map(|part| *part == Some(SplitName::Train)).collect();
    let losses = loss.baseline(&AllLabels { outputs, values, is_training: &is_training });
    let mean = |split: SplitName| {
        let of_split = || losses.iter().zip(parts).filter(move |(_, part)| **part == Some(split));
        let rows = of_split().count();
        (rows > 0).then(|| (split, sum(of_split().map(|(loss, _)| *loss)) / rows as f64))
    };
    SplitName::ALL.into_iter().filter_map(mean).collect()
}

#[cfg(test)]
mod tests {
    use experiment::Kind;

    use super::*;

    #[test]
    fn means_are_over_the_labelled_rows_of_each_split() {
        let loss = experiment::LossRef::default_for(Kind::Regression).build(Kind::Regression).expect("it has no keys");
        let (train, test) = (Some(SplitName::Train), Some(SplitName::Test));
        let found = by_split(loss.as_ref(), &[train, train, test, None], &[0.0, 2.0, 5.0, 0.0], 1);
        assert_eq!(found, BTreeMap::from([(SplitName::Train, 1.0), (SplitName::Test, 16.0)]));
    }
}

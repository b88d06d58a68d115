//! Folds: the rows are cut into parts of equal size, and each part tests in one of as many runs.
//!
//! | `split` has | fold of a row |
//! |---|---|
//! | `folds` only | by its place in a permutation of all rows by the split's seed |
//! | `stratify` | the same within each value of the column; folds take turns, also from one value to the next |
//! | `group` | that of its group: folds take turns over the groups of all datasets in the order of a hash, so that equal values meet in every dataset |
//!
//! So the sizes of folds differ by at most one row, the rows of a value in them by at most one, and
//! with `group` their numbers of groups by at most one. Which rows validate is cut from the rows
//! that do not test: a share of all rows, with `group` of all groups.

use std::collections::{BTreeMap, BTreeSet};

use aggregation::random::{Permutation, Purpose, Stream};
use experiment::{Split, SplitName};

use super::assign::{apportion, hash, value};
use super::permutation;
use crate::column::Column;

/// The folds of groups, the same in all datasets with as many folds and the same seed.
#[derive(Debug, Default)]
pub(crate) struct GroupFolds {
    /// By number of folds and seed: the hash of each group.
    groups: BTreeMap<(u32, u64), BTreeSet<u64>>,
}

impl GroupFolds {
    /// Adds the groups of a dataset.
    pub fn add(&mut self, split: &Split, column: &Column) {
        let Some(folds) = split.folds else { return };
        let groups = self.groups.entry((folds, split.seed)).or_default();
        groups.extend((0..column.len()).filter_map(|row| value(column, row)).map(|value| hash(&value)));
    }

    /// The part of each group by its hash.
    fn parts(&self, split: &Split, folds: u32, fold: u32) -> BTreeMap<u64, SplitName> {
        let Some(groups) = self.groups.get(&(folds, split.seed)) else { return BTreeMap::new() };
        let stream = |group: u64| Stream::new(split.seed, Purpose::Split, &[group]);
        let mut order: Vec<u64> = groups.iter().copied().collect();
        order.sort_by_key(|group| (stream(*group).u64_at(0), *group));
        let mut parts = BTreeMap::new();
        let mut others = Vec::new();
        for (place, group) in order.into_iter().enumerate() {
            if place as u64 % u64::from(folds) == u64::from(fold) {
                parts.insert(group, SplitName::Test);
            } else {
                others.push(group);
            }
        }
        others.sort_by_key(|group| (stream(*group).u64_at(1), *group));
        let validation = validation(split, groups.len() as u64, others.len() as u64) as usize;
        for (place, group) in others.into_iter().enumerate() {
            parts.insert(group, if place < validation { SplitName::Validation } else { SplitName::Train });
        }
        parts
    }
}

/// How many of `others` rows or groups that do not test validate: a share of `all`.
fn validation(split: &Split, all: u64, others: u64) -> u64 {
    ((split.validation * all as f64).round() as u64).min(others)
}

/// The part of each row if `fold` of `folds` tests.
pub(super) fn shares(split: &Split, rows: u64, folds: u32, fold: u32) -> Vec<SplitName> {
    let mut parts = vec![SplitName::Train; rows as usize];
    if rows == 0 {
        return parts;
    }
    let cut = |fold: u32| u128::from(rows) * u128::from(fold) / u128::from(folds);
    let test = cut(fold) as u64..cut(fold + 1) as u64;
    let validation = validation(split, rows, rows - (test.end - test.start));
    let order = permutation(split.seed, rows);
    let others = (0..rows).filter(|place| !test.contains(place)).take(validation as usize);
    others.for_each(|place| parts[order.at(place) as usize] = SplitName::Validation);
    test.for_each(|place| parts[order.at(place) as usize] = SplitName::Test);
    parts
}

/// The part of each row if `fold` of `folds` tests, alike within each value of a column.
pub(super) fn stratified(split: &Split, column: &Column, rows: u64, folds: u32, fold: u32) -> Vec<SplitName> {
    let mut parts = vec![SplitName::Train; rows as usize];
    let mut strata: BTreeMap<Option<String>, Vec<usize>> = BTreeMap::new();
    for row in 0..rows as usize {
        strata.entry(value(column, row)).or_default().push(row);
    }
    let mut turn = 0;
    let mut others: Vec<Vec<usize>> = Vec::new();
    for (value, rows) in &strata {
        let key = hash(value.as_deref().unwrap_or_default());
        let stream = Stream::new(split.seed, Purpose::Split, &[u64::from(value.is_some()), key]);
        let order = Permutation::new(rows.len() as u64, stream);
        let mut rest = Vec::new();
        for place in 0..rows.len() as u64 {
            let row = rows[order.at(place) as usize];
            if turn == fold {
                parts[row] = SplitName::Test;
            } else {
                rest.push(row);
            }
            turn = (turn + 1) % folds;
        }
        others.push(rest);
    }
    let sizes: Vec<u64> = others.iter().map(|rows| rows.len() as u64).collect();
    let validations = apportion(&sizes, validation(split, rows, sizes.iter().sum()));
    for (rows, count) in others.iter().zip(validations) {
        rows.iter().take(count as usize).for_each(|row| parts[*row] = SplitName::Validation);
    }
    parts
}

/// The part of each row if `fold` of `folds` tests, the same for all rows of a group. Fails with
/// the first row that has no group.
pub(super) fn grouped(
    split: &Split,
    column: &Column,
    groups: &GroupFolds,
    folds: u32,
    fold: u32,
) -> Result<Vec<SplitName>, usize> {
    let by_group = groups.parts(split, folds, fold);
    let part = |row: usize| value(column, row).and_then(|value| by_group.get(&hash(&value)).copied()).ok_or(row);
    (0..column.len()).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::Texts;

    fn split(folds: u32, validation: f64) -> Split {
        Split { folds: Some(folds), validation, ..Split::default() }
    }

    fn column(values: &[String]) -> Column {
        let mut texts = Texts::default();
        values.iter().for_each(|value| texts.push(Some(value)));
        Column::Text(texts)
    }

    /// How often each row tests over all folds, and each fold's numbers of rows by part.
    fn over_all(folds: u32, rows: usize, of: impl Fn(u32) -> Vec<SplitName>) -> (Vec<usize>, Vec<[usize; 3]>) {
        let mut tested = vec![0; rows];
        let mut counts = Vec::new();
        for fold in 0..folds {
            let parts = of(fold);
            assert_eq!(parts.len(), rows);
            let mut count = [0; 3];
            for (row, part) in parts.into_iter().enumerate() {
                tested[row] += usize::from(part == SplitName::Test);
                count[part as usize] += 1;
            }
            counts.push(count);
        }
        (tested, counts)
    }

    fn spread(counts: impl Iterator<Item = usize>) -> usize {
        let counts: Vec<usize> = counts.collect();
        counts.iter().max().expect("some") - counts.iter().min().expect("some")
    }

    #[test]
    fn every_row_tests_once_and_folds_are_equal_to_one_row() {
        let (tested, counts) = over_all(5, 103, |fold| shares(&split(5, 0.1), 103, 5, fold));
        assert!(tested.iter().all(|times| *times == 1));
        assert!(spread(counts.iter().map(|count| count[2])) <= 1);
        assert!(counts.iter().all(|count| count[1] == 10), "{counts:?}");
    }

    #[test]
    fn strata_are_equal_to_one_row_in_every_fold() {
        let values: Vec<String> =
            (0..203).map(|row| ["a", "b", "c"][row % 3 * usize::from(row % 7 > 0)].into()).collect();
        let column = column(&values);
        let (tested, counts) = over_all(4, 203, |fold| stratified(&split(4, 0.1), &column, 203, 4, fold));
        assert!(tested.iter().all(|times| *times == 1));
        assert!(spread(counts.iter().map(|count| count[2])) <= 1);
        assert!(counts.iter().all(|count| count[1] == 20), "{counts:?}");
        for value in ["a", "b", "c"] {
            let of = |fold| {
                let parts = stratified(&split(4, 0.1), &column, 203, 4, fold);
                parts.iter().zip(&values).filter(|(part, v)| **part == SplitName::Test && *v == value).count()
            };
            assert!(spread((0..4).map(of)) <= 1, "{value}");
        }
    }

    #[test]
    fn groups_stay_together_in_all_datasets_and_folds_have_equally_many() {
        let user = |row: usize| format!("u{}", row * row % 23 % 12);
        let first = column(&(0..200).map(user).collect::<Vec<_>>());
        let second = column(&(0..90).map(|row| user(7 * row)).collect::<Vec<_>>());
        let split = split(3, 0.2);
        let mut groups = GroupFolds::default();
        groups.add(&split, &first);
        groups.add(&split, &second);
        let (tested, _) = over_all(3, 200, |fold| grouped(&split, &first, &groups, 3, fold).expect("no nulls"));
        assert!(tested.iter().all(|times| *times == 1));
        let users: BTreeSet<String> = (0..200).map(user).chain((0..90).map(|row| user(7 * row))).collect();
        for fold in 0..3 {
            let by_group = groups.parts(&split, 3, fold);
            assert_eq!(by_group.len(), users.len());
            let count = |name: SplitName| by_group.values().filter(|part| **part == name).count();
            assert!((users.len() / 3..=users.len().div_ceil(3)).contains(&count(SplitName::Test)));
            assert_eq!(count(SplitName::Validation), (0.2 * users.len() as f64).round() as usize);
            for column in [&first, &second] {
                let parts = grouped(&split, column, &groups, 3, fold).expect("no nulls");
                for (row, part) in parts.into_iter().enumerate() {
                    assert_eq!(by_group[&hash(column.label(row).expect("a user"))], part);
                }
            }
        }
    }
}

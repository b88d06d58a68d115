//! Making the split of a table.

use std::borrow::Cow;
use std::collections::BTreeMap;

use aggregation::random::{Permutation, Purpose, Stream};
use experiment::{Split, SplitName};
use sha2::{Digest, Sha256};

use super::Assignment;
use super::folds::{self, GroupFolds};
use super::order::Keys;
use crate::column::Column;

/// How rows without files of their own are divided.
pub(crate) enum Key<'a> {
    /// By shares alone.
    Shares,
    /// By shares within each value.
    Stratify(&'a Column),
    /// By the hash of each value.
    Group(&'a Column),
    /// By the order of the values.
    By(&'a Keys),
    /// As the values say.
    Named(&'a Column),
}

/// A row that can't be assigned, and why.
pub(crate) type Refused = (u64, String);

/// Rows of training, validation and test by shares of `rows`.
fn counts(split: &Split, rows: u64, missing: [bool; 3]) -> [u64; 3] {
    let share = |share: f64, part: usize| if missing[part] { (share * rows as f64).round() as u64 } else { 0 };
    let test = share(split.test, 2).min(rows);
    let validation = share(split.validation, 1).min(rows - test);
    [rows - test - validation, validation, test]
}

/// Divides the rows of a table of which the first `files[0]` are of files for training, the next
/// `files[1]` of files for validation, and the rest for test. Parts that have no rows of their own
/// are cut from the training files.
pub(crate) fn assign(
    split: &Split,
    files: [u64; 3],
    by_files: bool,
    key: &Key<'_>,
    groups: &GroupFolds,
) -> Result<Assignment, Refused> {
    let missing = if by_files { [false, files[1] == 0, files[2] == 0] } else { [true; 3] };
    let [rows, validation, test] = files;
    if by_files && !missing[1] && !missing[2] {
        return Ok(Assignment::Ranges { counts: files });
    }
    if !by_files && split.folds.is_none() && matches!(key, Key::Shares) {
        return Ok(Assignment::Permuted { seed: split.seed, counts: counts(split, rows, missing) });
    }
    let mut parts = match (split.folds, split.fold) {
        (Some(folds), Some(fold)) => divide_into_folds(split, rows, (folds, fold), key, groups)?,
        _ => divide(split, rows, missing, key)?,
    };
    parts.extend(std::iter::repeat_n(SplitName::Validation, validation as usize));
    parts.extend(std::iter::repeat_n(SplitName::Test, test as usize));
    Ok(Assignment::listed(&parts))
}

fn divide(split: &Split, rows: u64, missing: [bool; 3], key: &Key<'_>) -> Result<Vec<SplitName>, Refused> {
    let mut parts = vec![SplitName::Train; rows as usize];
    let counts = counts(split, rows, missing);
    match key {
        Key::Shares => {
            permute(&mut parts, &(0..rows).collect::<Vec<_>>(), counts, Stream::new(split.seed, Purpose::Split, &[]))
        }
        Key::Stratify(column) => stratify(&mut parts, column, split.seed, counts),
        Key::Group(column) => {
            for (row, part) in parts.iter_mut().enumerate() {
                let value = value(column, row).ok_or_else(|| refused(row, NO_GROUP))?;
                *part = of_group(split, &value, missing);
            }
        }
        Key::By(keys) => {
            for (place, row) in keys.order().into_iter().enumerate() {
                parts[row] = part_of_place(place as u64, counts);
            }
        }
        Key::Named(column) => {
            for (row, part) in parts.iter_mut().enumerate() {
                let name = value(column, row).unwrap_or_else(|| "null".to_owned());
                *part = SplitName::named(&name)
                    .ok_or_else(|| refused(row, &format!("`{name}` is not `train`, `validation` or `test`")))?;
            }
        }
    }
    Ok(parts)
}

const NO_GROUP: &str = "null, but rows are split by its groups";

/// Divides the rows so that one of the folds tests.
fn divide_into_folds(
    split: &Split,
    rows: u64,
    (folds, fold): (u32, u32),
    key: &Key<'_>,
    groups: &GroupFolds,
) -> Result<Vec<SplitName>, Refused> {
    match key {
        Key::Stratify(column) => Ok(folds::stratified(split, column, rows, folds, fold)),
        Key::Group(column) => folds::grouped(split, column, groups, folds, fold).map_err(|row| refused(row, NO_GROUP)),
        Key::Shares | Key::By(_) | Key::Named(_) => Ok(folds::shares(split, rows, folds, fold)),
    }
}

fn refused(row: usize, reason: &str) -> Refused {
    (row as u64, reason.to_owned())
}

fn part_of_place(place: u64, counts: [u64; 3]) -> SplitName {
    match place {
        p if p < counts[0] => SplitName::Train,
        p if p < counts[0] + counts[1] => SplitName::Validation,
        _ => SplitName::Test,
    }
}

fn permute(parts: &mut [SplitName], rows: &[u64], counts: [u64; 3], stream: Stream) {
    if rows.is_empty() {
        return;
    }
    let order = Permutation::new(rows.len() as u64, stream);
    for place in counts[0]..rows.len() as u64 {
        parts[rows[order.at(place) as usize] as usize] = part_of_place(place, counts);
    }
}

/// A value as text; `None` for null.
pub(super) fn value(column: &Column, row: usize) -> Option<String> {
    column.text(row).map(Cow::into_owned)
}

fn stratify(parts: &mut [SplitName], column: &Column, seed: u64, totals: [u64; 3]) {
    let mut strata: BTreeMap<Option<String>, Vec<u64>> = BTreeMap::new();
    for row in 0..parts.len() {
        strata.entry(value(column, row)).or_default().push(row as u64);
    }
    let sizes: Vec<u64> = strata.values().map(|rows| rows.len() as u64).collect();
    let tests = apportion(&sizes, totals[2]);
    let left: Vec<u64> = sizes.iter().zip(&tests).map(|(size, test)| size - test).collect();
    let validations = apportion(&left, totals[1]);
    for (i, (value, rows)) in strata.iter().enumerate() {
        let counts = [sizes[i] - tests[i] - validations[i], validations[i], tests[i]];
        let key = hash(value.as_deref().unwrap_or_default());
        permute(parts, rows, counts, Stream::new(seed, Purpose::Split, &[u64::from(value.is_some()), key]));
    }
}

/// Divides `total` in proportion to `sizes`, by the largest remainder; the first of equal
/// remainders wins.
pub(super) fn apportion(sizes: &[u64], total: u64) -> Vec<u64> {
    let all: u64 = sizes.iter().sum();
    if all == 0 {
        return vec![0; sizes.len()];
    }
    let product = |size: u64| u128::from(size) * u128::from(total);
    let mut shares: Vec<u64> = sizes.iter().map(|s| (product(*s) / u128::from(all)) as u64).collect();
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|i| std::cmp::Reverse(product(sizes[*i]) % u128::from(all)));
    let missing = (total - shares.iter().sum::<u64>()) as usize;
    order.into_iter().take(missing).for_each(|i| shares[i] += 1);
    shares
}

pub(super) fn hash(value: &str) -> u64 {
    let digest = Sha256::digest(value.as_bytes());
    u64::from_le_bytes(digest[..8].try_into().expect("a digest has 32 bytes"))
}

/// The part of a group: by a number in [0, 1) from its value and the seed, the same in every
/// dataset.
fn of_group(split: &Split, value: &str, missing: [bool; 3]) -> SplitName {
    let stream = Stream::new(split.seed, Purpose::Split, &[hash(value)]);
    let at = (stream.u64_at(0) >> 11) as f64 / (1u64 << 53) as f64;
    let test = if missing[2] { split.test } else { 0.0 };
    let validation = if missing[1] { split.validation } else { 0.0 };
    match at {
        a if a < test => SplitName::Test,
        a if a < test + validation => SplitName::Validation,
        _ => SplitName::Train,
    }
}

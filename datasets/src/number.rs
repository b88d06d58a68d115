//! Numbers that are labels, groups or categories: all their digits count.
//!
//! A column of numbers is held as f64, which has every whole number up to 2^53 and not every one
//! beyond. Where a value can't be held, its digits are kept beside it: see
//! [`Column::Exact`](crate::column::Column::Exact).

use std::cmp::Ordering;

/// 2^53: from here on, f64 does not have every whole number.
const GAPS: f64 = 9_007_199_254_740_992.0;

/// Whether an f64 may stand for another number than the one that was written.
pub(crate) fn may_differ(value: f64) -> bool {
    value.abs() >= GAPS
}

/// A number as text: one without a fraction has all its digits. Both zeros are `0`.
pub(crate) fn shown(value: f64) -> String {
    // Display rounds to the shortest text that reads back; `.0` has every digit.
    if may_differ(value) { format!("{value:.0}") } else { (value + 0.0).to_string() }
}

/// The digits of a number that is written without an exponent, in one form for equal numbers: no
/// `+`, no leading zeros, no zeros at the end of a fraction. `None` for any other text.
pub(crate) fn digits(text: &str) -> Option<String> {
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let mut found = String::with_capacity(text.len() + 1);
    if negative && !(whole.is_empty() && fraction.is_empty()) {
        found.push('-');
    }
    found.push_str(if whole.is_empty() { "0" } else { whole });
    if !fraction.is_empty() {
        found.push('.');
        found.push_str(fraction);
    }
    Some(found)
}

/// The digits of a number that reads as `value`, if `value` is another number.
pub(crate) fn lost_digits(text: &str, value: f64) -> Option<String> {
    if !may_differ(value) {
        return None;
    }
    digits(text).filter(|digits| *digits != shown(value))
}

/// `unscaled / 10^scale`, with all its digits.
pub(crate) fn decimal(unscaled: i128, scale: usize) -> String {
    let sign = if unscaled < 0 { "-" } else { "" };
    let written = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = written.split_at(written.len() - scale);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// The numerical order of two numbers in the form of [`digits`].
pub(crate) fn compare(a: &str, b: &str) -> Ordering {
    match (a.strip_prefix('-'), b.strip_prefix('-')) {
        (Some(a), Some(b)) => unsigned(b, a),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => unsigned(a, b),
    }
}

fn unsigned(a: &str, b: &str) -> Ordering {
    let parts = |text: &'_ str| text.find('.').unwrap_or(text.len());
    let (a_whole, a_fraction) = a.split_at(parts(a));
    let (b_whole, b_fraction) = b.split_at(parts(b));
    // Without zeros at either end, the longer whole part is the greater, and fractions compare as
    // texts do.
    a_whole.len().cmp(&b_whole.len()).then_with(|| a_whole.cmp(b_whole)).then_with(|| a_fraction.cmp(b_fraction))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn equal_numbers_have_one_form() {
        for text in ["18446744073709551616", "+018446744073709551616.", "0018446744073709551616.000"] {
            assert_eq!(digits(text).as_deref(), Some("18446744073709551616"), "{text}");
        }
        assert_eq!(digits("-0.0").as_deref(), Some("0"));
        assert_eq!(digits("-00.50").as_deref(), Some("-0.5"));
        for text in ["", "-", "1e5", ".5", "1_000", "NaN", "0x10", "1.2.3", " 1"] {
            assert_eq!(digits(text), None, "{text}");
        }
    }

    #[test]
    fn a_whole_number_is_shown_with_all_its_digits() {
        assert_eq!(shown(1_800_000_000_000_000_256.0), "1800000000000000256");
        assert_eq!(shown(-9_007_199_254_740_994.0), "-9007199254740994");
        assert_eq!((shown(0.1), shown(-0.0), shown(3.0)), ("0.1".to_owned(), "0".to_owned(), "3".to_owned()));
    }

    #[test]
    fn digits_are_kept_where_a_float_has_others() {
        let lost = |text: &str| lost_digits(text, text.parse().expect("a number"));
        assert_eq!(lost("9007199254740993").as_deref(), Some("9007199254740993"));
        assert_eq!(lost("18446744073709551615.0").as_deref(), Some("18446744073709551615"));
        assert_eq!((lost("9007199254740992"), lost("0.1"), lost("1e30")), (None, None, None));
    }

    #[test]
    fn decimals_keep_their_point() {
        let cases = [(12345, 2, "123.45"), (-5, 3, "-0.005"), (100, 2, "1"), (0, 4, "0"), (7, 0, "7")];
        for (unscaled, scale, expected) in cases {
            assert_eq!(decimal(unscaled, scale), expected);
        }
    }

    proptest! {
        #[test]
        fn numbers_are_ordered_by_size(a: i128, b: i128, scale in 0usize..30) {
            prop_assert_eq!(compare(&decimal(a, scale), &decimal(b, scale)), a.cmp(&b));
        }
    }
}

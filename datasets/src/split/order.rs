//! The order of the rows in a split `by` a column.
//!
//! Numbers, dates and times are in their own order. Text is ordered only if it is certain what it
//! means, because the order of its bytes puts `02/01/2020` after `01/01/2021`, and then the future
//! trains. In the order of what is tried:
//!
//! 1. `by_format` says how the values are written.
//! 2. All values are numbers, and their order is not another one if they are dates without
//!    separators.
//! 3. All values are dates of one shape ([`super::dates`]), and only one order of year, month and
//!    day gives a date in every row.
//!
//! All else is refused: the message names the form to give, or a row that differs from the others.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use experiment::{Split, SplitName};

use super::dates::{self, Part, Reading, Shape, Zone};
use crate::column::{Column, Texts};

/// What the rows are ordered by.
#[derive(Debug, PartialEq)]
pub(crate) enum Keys {
    /// Whole numbers, or nanoseconds since 1970.
    Whole(Vec<i128>),
    /// Numbers.
    Number(Vec<f64>),
    /// The bytes of texts.
    Text(Vec<String>),
}

/// Why a column can't order the rows.
#[derive(Debug, PartialEq)]
pub(crate) enum Unordered {
    /// Because of one row, from 0.
    Row(u64, String),
    /// Because of what the values are together. It tells what to do.
    Column(String),
    /// `by_format` does not fit.
    Format(String),
}

/// By part of a table: the first and the last row in the order.
pub(crate) type Ends = BTreeMap<SplitName, (u64, u64)>;

impl Keys {
    /// The keys of the first `rows` rows of a column.
    pub fn of(column: &Column, rows: u64, format: Option<&str>) -> Result<Self, Unordered> {
        if let Some(row) = (0..rows as usize).find(|row| column.is_null(*row)) {
            return Err(Unordered::Row(row as u64, "null, but rows are split by its order".to_owned()));
        }
        match (column, format) {
            (Column::Text(texts), format) => Keys::of_texts(&values(texts, rows)?, format),
            (Column::Exact { .. }, None | Some(Split::NUMBER)) => {
                let whole: Option<Vec<i128>> = (0..rows as usize).map(|row| column.text(row)?.parse().ok()).collect();
                let nearest = || (0..rows as usize).map(|row| column.numbers(row, 1)[0]).collect();
                Ok(whole.map_or_else(|| Keys::Number(nearest()), Keys::Whole))
            }
            (_, None | Some(Split::NUMBER)) => {
                let numbers: Vec<f64> = (0..rows as usize).map(|row| column.numbers(row, 1)[0]).collect();
                if format.is_none() && matches!(column, Column::Number(_)) {
                    refuse_hidden_dates(&numbers)?;
                }
                Ok(Keys::Number(numbers))
            }
            (_, Some(_)) => Err(Unordered::Format(
                "the column holds numbers, dates or truth values, not text; leave it out".to_owned(),
            )),
        }
    }

    fn of_texts(texts: &[&str], format: Option<&str>) -> Result<Self, Unordered> {
        match format {
            Some(Split::TEXT) => return Ok(Keys::Text(texts.iter().map(|text| (*text).to_owned()).collect())),
            Some(Split::NUMBER) => {
                let wrong = |row: usize| Unordered::Row(row as u64, format!("`{}` is not a number", texts[row]));
                return numbers(texts).map_err(wrong);
            }
            Some(form) => {
                dates::check_form(form).map_err(|reason| Unordered::Format(format!("`{form}`: {reason}")))?;
                let wrong =
                    |row: usize| Unordered::Row(row as u64, format!("`{}` is not written as `{form}`", texts[row]));
                let read = |(row, text): (usize, &&str)| dates::instant(form, text).ok_or_else(|| wrong(row));
                return texts.iter().enumerate().map(read).collect::<Result<_, _>>().map(Keys::Whole);
            }
            None => {}
        }
        match numbers(texts) {
            Ok(keys) => {
                refuse_dates_without_separators(texts)?;
                Ok(keys)
            }
            Err(_) => dates_of(texts).map(Keys::Whole),
        }
    }

    /// The order of two rows.
    fn compare(&self, a: usize, b: usize) -> Ordering {
        match self {
            Keys::Whole(keys) => keys[a].cmp(&keys[b]),
            Keys::Number(keys) => keys[a].total_cmp(&keys[b]),
            Keys::Text(keys) => keys[a].cmp(&keys[b]),
        }
    }

    fn len(&self) -> usize {
        match self {
            Keys::Whole(keys) => keys.len(),
            Keys::Number(keys) => keys.len(),
            Keys::Text(keys) => keys.len(),
        }
    }

    /// The rows in their order, ties in the file's.
    pub fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_by(|a, b| self.compare(*a, *b));
        order
    }

    /// The first and last row of each part that has rows.
    pub fn ends(&self, part_of: impl Fn(u64) -> SplitName) -> Ends {
        let mut ends = Ends::new();
        for row in self.order() {
            let row = row as u64;
            ends.entry(part_of(row)).and_modify(|(_, last)| *last = row).or_insert((row, row));
        }
        ends
    }
}

fn values(texts: &Texts, rows: u64) -> Result<Vec<&str>, Unordered> {
    (0..rows as usize)
        .map(|row| texts.get(row).map(str::trim))
        .collect::<Option<_>>()
        .ok_or_else(|| Unordered::Column("there are nulls".to_owned()))
}

/// The texts as numbers; fails with the first row that is none.
fn numbers(texts: &[&str]) -> Result<Keys, usize> {
    if let Ok(whole) = texts.iter().map(|text| text.parse()).collect() {
        return Ok(Keys::Whole(whole));
    }
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let read = |(row, text): (usize, &&str)| match text.parse::<f64>() {
        Ok(number) if is_plain(text) && number.is_finite() => Ok(number),
        _ => Err(row),
    };
    texts.iter().enumerate().map(read).collect::<Result<_, _>>().map(Keys::Number)
}

/// The years in which a number without separators is taken for a date.
const YEARS: std::ops::RangeInclusive<u32> = 1900..=2100;

/// A form of dates without separators, and how one is read from its digits: year, month, day.
type Digits = (&'static str, fn(&str) -> Option<(u32, u32, u32)>);

/// Forms in which the order of the numbers is not that of the dates.
const NOT_IN_ORDER: [Digits; 6] = [
    ("%d%m%Y", |text| Some((two(text, 4)? * 100 + two(text, 6)?, two(text, 2)?, two(text, 0)?))),
    ("%m%d%Y", |text| Some((two(text, 4)? * 100 + two(text, 6)?, two(text, 0)?, two(text, 2)?))),
    ("%m%Y", |text| (text.len() == 6).then(|| Some((two(text, 2)? * 100 + two(text, 4)?, two(text, 0)?, 1)))?),
    ("%d%m%y", |text| (text.len() == 6).then(|| Some((2000 + two(text, 4)?, two(text, 2)?, two(text, 0)?)))?),
    ("%m%d%y", |text| (text.len() == 6).then(|| Some((2000 + two(text, 4)?, two(text, 0)?, two(text, 2)?)))?),
    ("%m.%Y", |text| {
        let (month, year) = text.split_once('.').filter(|(_, year)| year.len() == 4)?;
        Some((year.parse().ok()?, month.parse().ok()?, 1))
    }),
];
/// Forms in which the order of the numbers is that of the dates.
const IN_ORDER: [Digits; 3] = [
    ("%Y%m%d", |text| {
        (text.len() == 8).then(|| Some((two(text, 0)? * 100 + two(text, 2)?, two(text, 4)?, two(text, 6)?)))?
    }),
    ("%Y%m", |text| (text.len() == 6).then(|| Some((two(text, 0)? * 100 + two(text, 2)?, two(text, 4)?, 1)))?),
    ("%y%m%d", |text| (text.len() == 6).then(|| Some((2000 + two(text, 0)?, two(text, 2)?, two(text, 4)?)))?),
];

/// The number of two digits at a place.
fn two(text: &str, place: usize) -> Option<u32> {
    text.get(place..place + 2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}

fn are_dates(texts: &[&str], digits: &Digits) -> bool {
    let is_date = |text: &&str| {
        (digits.1)(text).is_some_and(|(year, month, day)| {
            let date =
                i16::try_from(year).ok().and_then(|year| jiff::civil::Date::new(year, month as i8, day as i8).ok());
            YEARS.contains(&year) && date.is_some()
        })
    };
    !texts.is_empty() && texts.iter().all(is_date)
}

/// Refuses numbers that are probably dates in an order of their own: `31012021`, `1.2021`,
/// `2021.1`.
fn refuse_dates_without_separators(texts: &[&str]) -> Result<(), Unordered> {
    let (least, greatest) = (texts.iter().map(|text| text.len()).min(), texts.iter().map(|text| text.len()).max());
    let may_be = |lengths: usize| least == Some(lengths) && greatest == Some(lengths);
    let is_code = texts.iter().any(|text| text.starts_with('0'));
    let candidate = |(form, _): &&Digits| match *form {
        "%d%m%Y" | "%m%d%Y" => may_be(8),
        "%m.%Y" => true,
        // Six digits may be anything, unless one of them begins with a zero.
        _ => may_be(6) && is_code,
    };
    if IN_ORDER.iter().any(|digits| are_dates(texts, digits)) {
        return Ok(());
    }
    let year_and_month = |text: &&str| {
        let Some((year, month)) = text.split_once('.') else { return false };
        let fits =
            |number: &str, range: std::ops::RangeInclusive<u32>| number.parse().is_ok_and(|n| range.contains(&n));
        year.len() == 4 && (1..=2).contains(&month.len()) && fits(year, YEARS) && fits(month, 1..=12)
    };
    let forms: Vec<&str> = NOT_IN_ORDER
        .iter()
        .filter(candidate)
        .filter(|digits| are_dates(texts, digits))
        .map(|(form, _)| *form)
        .collect();
    let forms = match forms.is_empty() && least != greatest && texts.iter().all(year_and_month) {
        true => vec!["%Y.%m"],
        false => forms,
    };
    refuse_forms(texts.first().copied().unwrap_or_default(), &forms)
}

/// As [`refuse_dates_without_separators`], of numbers that a file keeps as numbers: a zero at their
/// beginning is lost.
fn refuse_hidden_dates(numbers: &[f64]) -> Result<(), Unordered> {
    if !numbers.iter().all(|number| (1e6..1e8).contains(number) && number.fract() == 0.0) {
        return Ok(());
    }
    let texts: Vec<String> = numbers.iter().map(|number| format!("{number:08}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    refuse_dates_without_separators(&texts).map_err(|_| {
        Unordered::Column(format!(
            "values such as {} may be numbers or dates, which have another order; write dates as `2021-01-31` or \
             `20210131`, or give `by_format = \"{}\"`",
            numbers[0],
            Split::NUMBER
        ))
    })
}

fn refuse_forms(example: &str, forms: &[&str]) -> Result<(), Unordered> {
    if forms.is_empty() {
        return Ok(());
    }
    let forms: Vec<String> = forms.iter().map(|form| format!("`by_format = \"{form}\"`")).collect();
    Err(Unordered::Column(format!(
        "values such as `{example}` may be numbers or dates, which have another order; say which with {} or `by_format = \"{}\"`",
        forms.join(", "),
        Split::NUMBER
    )))
}

/// The texts as dates; in nanoseconds since 1970.
fn dates_of(texts: &[&str]) -> Result<Vec<i128>, Unordered> {
    let first = texts.first().copied().unwrap_or_default();
    let not_understood = || {
        Unordered::Column(format!(
            "values such as `{first}` are text, and it is not certain what their order is; {WAY_OUT}"
        ))
    };
    let differs = |row: usize| {
        let reason = format!("`{}` is written otherwise than `{first}` in the first row; {WAY_OUT}", texts[row]);
        Unordered::Row(row as u64, reason)
    };
    let begin = dates::read(first).ok_or_else(not_understood)?;
    let meanings = begin.shape.meanings();
    if meanings.is_empty() {
        return Err(match short_year(&begin) {
            Some(forms) => Unordered::Column(format!(
                "values such as `{first}` do not say for certain which number is the year; say it with {forms}"
            )),
            None => not_understood(),
        });
    }
    // By meaning: the keys, or the first row that is not a date by it.
    let mut keys: Vec<Result<Vec<i128>, usize>> = meanings.iter().map(|_| Ok(Vec::new())).collect();
    for (row, text) in texts.iter().enumerate() {
        let reading = dates::read(text).filter(|reading| reading.shape == begin.shape).ok_or_else(|| differs(row))?;
        let same_kind = match (&begin.zone, &reading.zone) {
            (Zone::Offset(_), Zone::Offset(_)) => true,
            (first, other) => first == other,
        };
        if !same_kind {
            let reason = format!(
                "`{text}` has another time zone than `{first}` in the first row; write all with an offset such as \
                 `+01:00`, or none"
            );
            return Err(Unordered::Row(row as u64, reason));
        }
        for (keys, parts) in keys.iter_mut().zip(&meanings) {
            match (&mut *keys, reading.instant(parts)) {
                (Ok(known), Some(key)) => known.push(key),
                (Ok(_), None) => *keys = Err(row),
                (Err(_), _) => {}
            }
        }
    }
    decide(texts, &begin, &meanings, keys)
}

/// Reads the dates by the only one of `meanings` by which every row is a date.
///
/// `begin` is the first date. `keys` has the dates by each meaning, or the first row that is not a
/// date by it.
fn decide(
    texts: &[&str],
    begin: &Reading,
    meanings: &[Vec<Part>],
    keys: Vec<Result<Vec<i128>, usize>>,
) -> Result<Vec<i128>, Unordered> {
    let mut found: Vec<(&Vec<Part>, Vec<i128>)> = Vec::new();
    let mut failed: Vec<usize> = Vec::new();
    for (parts, keys) in meanings.iter().zip(keys) {
        match keys {
            Ok(keys) => found.push((parts, keys)),
            Err(row) => failed.push(row),
        }
    }
    if found.len() > 1 {
        let form = |parts: &[Part]| format!("`by_format = \"{}{}\"`", begin.shape.form(parts), begin.time_form);
        let forms: Vec<String> = found.iter().map(|(parts, _)| form(parts)).collect();
        return Err(Unordered::Column(format!(
            "values such as `{}` can be read as day and month or as month and day, in all rows; say which with {}",
            texts[0],
            forms.join(" or ")
        )));
    }
    match (found.pop(), failed.iter().max()) {
        (Some((_, keys)), _) => Ok(keys),
        (None, Some(row)) => {
            let reason = match failed.len() {
                1 => format!("`{}` is not a date", texts[*row]),
                _ => format!("`{}` is not a date as the rows before it are; {WAY_OUT}", texts[*row]),
            };
            Err(Unordered::Row(*row as u64, reason))
        }
        (None, None) => Err(Unordered::Column(format!("values are not dates; {WAY_OUT}"))),
    }
}

const WAY_OUT: &str = "write all dates as `2021-01-31`, or give `by_format`: how a date is written (`\"%d %B %Y\"`), \
                       `\"number\"`, or `\"text\"` for the order of the bytes";

/// The forms of a date whose year may be any of its short numbers.
fn short_year(reading: &Reading) -> Option<String> {
    let Shape(shape) = &reading.shape;
    let forms: &[[&str; 3]] = match shape.chars().filter(char::is_ascii_alphabetic).collect::<String>().as_str() {
        "nnn" => &[["%d", "%m", "%y"], ["%m", "%d", "%y"], ["%y", "%m", "%d"]],
        "nMn" => &[["%d", "%b", "%y"], ["%y", "%b", "%d"]],
        "Mnn" => &[["%b", "%d", "%y"]],
        _ => return None,
    };
    let form = |parts: &[&str; 3]| {
        let mut parts = parts.iter();
        let text: String = shape
            .chars()
            .map(|c| {
                if c.is_ascii_alphabetic() {
                    parts.next().copied().unwrap_or_default().to_owned()
                } else {
                    c.to_string()
                }
            })
            .collect();
        format!("`by_format = \"{text}{}\"`", reading.time_form)
    };
    Some(forms.iter().map(form).collect::<Vec<_>>().join(" or "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(values: &[&str], format: Option<&str>) -> Result<Keys, Unordered> {
        let mut texts = Texts::default();
        values.iter().for_each(|value| texts.push(Some(value)));
        Keys::of(&Column::Text(texts), values.len() as u64, format)
    }

    /// The values in the order of the rows.
    fn ordered<'a>(values: &[&'a str]) -> Vec<&'a str> {
        let keys = keys(values, None).unwrap_or_else(|error| panic!("{values:?}: {error:?}"));
        keys.order().into_iter().map(|row| values[row]).collect()
    }

    #[test]
    fn dates_as_text_are_in_the_order_of_time() {
        let cases: [&[&str]; 14] = [
            &["12/31/2020", "01/13/2021", "02/01/2021"],
            &["31.12.2020", "13.01.2021", "01.02.2021"],
            &["31-Dec-2020", "01-Jan-2021", "01-Feb-2021"],
            &["December 31, 2020", "January 2, 2021", "January 10, 2021"],
            &["2021-1-9", "2021-1-10", "2021-10-1"],
            &["2021-02-01T00:30:00+02:00", "2021-01-31T23:00:00Z", "2021-01-31T23:30:00+00:00"],
            &["2021-01-31", "2021-01-31 10:00", "2021-02-01"],
            &["1/31/2021 9:00 PM", "1/31/2021 10:00 PM", "2/1/2021 12:30 AM"],
            &["12/2020", "1/2021", "2/2021"],
            &["9:30", "10:15", "21:00"],
            &["-2", "9", "10", "100"],
            &["0.5", "1e1", "100"],
            &["9007199254740992", "9007199254740993", "10000000000000000"],
            &["20201231", "20210101", "20210201"],
        ];
        for case in cases {
            assert_eq!(ordered(case), case);
            let reversed: Vec<&str> = case.iter().rev().copied().collect();
            assert_eq!(ordered(&reversed), case);
        }
    }

    #[test]
    fn text_whose_order_is_not_certain_is_refused_with_the_way_out() {
        let cases: [(&[&str], &str); 14] = [
            (&["01/02/2021", "03/04/2021"], "`by_format = \"%d/%m/%Y\"` or `by_format = \"%m/%d/%Y\"`"),
            (&["01.02.2021 10:00", "03.04.2021 10:00"], "`by_format = \"%d.%m.%Y %H:%M\"`"),
            (&["01/02/21", "13/02/21"], "`by_format = \"%d/%m/%y\"`"),
            (&["01-Jan-21", "31-Jan-21"], "`by_format = \"%d-%b-%y\"`"),
            (&["31012021", "01022021"], "`by_format = \"%d%m%Y\"` or `by_format = \"number\"`"),
            (&["01.2021", "02.2021"], "`by_format = \"%m.%Y\"`"),
            (&["2021.1", "2021.10"], "`by_format = \"%Y.%m\"`"),
            (&["012021", "022020"], "`by_format = \"%m%Y\"`"),
            (&["v1", "v2"], "`by_format`"),
            (&["9. Januar 2021", "10. Januar 2021"], "`by_format`"),
            (&["31/12/2020", "12/31/2020"], "`12/31/2020` is not a date as the rows before it are"),
            (&["2021-01-09", "09/01/2021"], "`09/01/2021` is written otherwise than `2021-01-09`"),
            (&["2021-01-09T10:00Z", "2021-01-09T10:00"], "another time zone"),
            (&["2021-01-09 10:00 CET", "2021-07-09 10:00 CEST"], "another time zone"),
        ];
        for (case, expected) in cases {
            let error = format!("{:?}", keys(case, None).expect_err(case[0])).replace('\\', "");
            assert!(error.contains(expected), "{case:?}: {error}");
        }
    }

    #[test]
    fn a_given_form_orders_what_is_not_certain() {
        let order = |values: &[&str], form: &str| keys(values, Some(form)).map(|keys| keys.order());
        let ambiguous = ["01/02/2021", "02/01/2021"];
        assert_eq!(order(&ambiguous, "%d/%m/%Y"), Ok(vec![1, 0]));
        assert_eq!(order(&ambiguous, "%m/%d/%Y"), Ok(vec![0, 1]));
        assert_eq!(order(&["b", "a"], "text"), Ok(vec![1, 0]));
        assert_eq!(order(&["31012021", "01022020"], "number"), Ok(vec![1, 0]));
        let message = |values: &[&str], form: &str| format!("{:?}", order(values, form).expect_err("refused"));
        assert!(message(&["13/13/2021"], "%d/%m/%Y").contains("is not written as"));
        assert!(message(&["10", "ten"], "number").contains("`ten` is not a number"));
        assert!(message(&ambiguous, "%d/%m").contains("Format"));
    }

    #[test]
    fn numbers_that_are_probably_dates_with_the_day_first_are_refused() {
        let of = |numbers: &[f64]| Keys::of(&Column::Number(numbers.to_vec()), numbers.len() as u64, None);
        assert!(
            matches!(of(&[31_012_021.0, 1_022_021.0]), Err(Unordered::Column(reason)) if reason.contains("31012021 may be"))
        );
        assert!(of(&[20_210_131.0, 20_210_201.0]).is_ok());
        assert!(of(&[12_345_678.0, 1_022_021.0]).is_ok());
        assert!(of(&[1.0, 2.5]).is_ok());
    }
}

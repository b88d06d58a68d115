//! What values mean, and which are refused: fields of text files, and polars' columns of the
//! others.

use experiment::CsvOptions;
use polars::prelude::*;

use crate::column::{Column, ColumnKind, Numbers, Texts};
use crate::number;
use crate::source::notation;

/// Why a column can't be decoded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum DecodeError {
    /// The whole column.
    Column(String),
    /// One value, by its row in what was decoded, from 0.
    Cell { row: usize, reason: String },
}

impl DecodeError {
    /// Why, without the row.
    pub fn shown(self) -> String {
        match self {
            DecodeError::Column(reason) | DecodeError::Cell { reason, .. } => reason,
        }
    }
}

const NANOSECONDS: f64 = 1e9;
const DAY: f64 = 86_400.0;
/// The most bytes of text that a block's column may have: dictionaries make a small file say much.
const TEXT_BYTES_MAX: usize = 1 << 30;

/// Decodes a column as `kind` says.
pub(crate) fn column(series: &Series, kind: ColumnKind) -> Result<Column, DecodeError> {
    match kind {
        ColumnKind::Number => numbers(series),
        ColumnKind::Boolean => booleans(series).map(Column::Boolean),
        ColumnKind::Text => texts(series).map(Column::Text),
        ColumnKind::List { width } => list(series, width),
        ColumnKind::Pixels { count, bytes: false } => numbers_of_images(series, count),
        ColumnKind::Pixels { count, bytes: true } => bytes_of_images(series, count),
    }
}

fn failed(error: PolarsError) -> DecodeError {
    DecodeError::Column(error.to_string())
}

/// Numbers with all their digits.
fn numbers(series: &Series) -> Result<Column, DecodeError> {
    let mut numbers = Numbers::with_capacity(series.len());
    match series.dtype() {
        data_type if is_text(data_type) => {
            let series = series.cast(&DataType::String).map_err(failed)?;
            for (row, text) in series.str().map_err(failed)?.iter().enumerate() {
                match text {
                    Some(text) => {
                        push_number(&mut numbers, text).map_err(|reason| DecodeError::Cell { row, reason })?
                    }
                    None => numbers.push(f64::NAN),
                }
            }
        }
        DataType::Decimal(_, scale) => {
            for unscaled in series.decimal().map_err(failed)?.physical().iter() {
                match unscaled {
                    Some(unscaled) => push_digits(&mut numbers, &number::decimal(unscaled, *scale)),
                    None => numbers.push(f64::NAN),
                }
            }
        }
        DataType::Int64 | DataType::UInt64 => {
            let values = floats(series)?;
            if !values.iter().any(|value| number::may_differ(*value)) {
                return Ok(Column::Number(values));
            }
            let exact: Vec<Option<i128>> = match series.dtype() {
                DataType::Int64 => series.i64().map_err(failed)?.iter().map(|value| value.map(i128::from)).collect(),
                _ => series.u64().map_err(failed)?.iter().map(|value| value.map(i128::from)).collect(),
            };
            for (value, exact) in values.into_iter().zip(exact) {
                match exact.filter(|exact| *exact != value as i128) {
                    Some(exact) => numbers.push_exact(value, &exact.to_string()),
                    None => numbers.push(value),
                }
            }
        }
        _ => return floats(series).map(Column::Number),
    }
    Ok(numbers.finish())
}

/// The nearest f64 of each number.
fn floats(series: &Series) -> Result<Vec<f64>, DecodeError> {
    if series.dtype().is_decimal() {
        return numbers(series).map(|column| column.matrix().map_or_else(Vec::new, |(_, values)| values.to_vec()));
    }
    let unit = seconds(series.dtype());
    let physical = series.to_physical_repr();
    let cast = physical.cast(&DataType::Float64).map_err(failed)?;
    let values = cast.f64().map_err(failed)?;
    if let Ok(values) = values.cont_slice()
        && values.iter().all(|value| value.is_finite())
    {
        return Ok(values.iter().map(|value| value * unit).collect());
    }
    values
        .iter()
        .enumerate()
        .map(|(row, value)| {
            value.map_or(Ok(f64::NAN), |v| {
                finite(v).map(|v| v * unit).map_err(|reason| DecodeError::Cell { row, reason })
            })
        })
        .collect()
}

/// Seconds of the physical unit of a date or time; 1 for a number.
fn seconds(data_type: &DataType) -> f64 {
    let unit = |unit: &TimeUnit| match unit {
        TimeUnit::Nanoseconds => 1.0 / NANOSECONDS,
        TimeUnit::Microseconds => 1e-6,
        TimeUnit::Milliseconds => 1e-3,
    };
    match data_type {
        DataType::Date => DAY,
        DataType::Time => 1.0 / NANOSECONDS,
        DataType::Datetime(time_unit, _) | DataType::Duration(time_unit) => unit(time_unit),
        _ => 1.0,
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::String | DataType::Categorical(..) | DataType::Enum(..))
}

/// Adds a number that has these digits.
fn push_digits(numbers: &mut Numbers, digits: &str) {
    let value = digits.parse().expect("digits are a number");
    match number::lost_digits(digits, value) {
        Some(exact) => numbers.push_exact(value, &exact),
        None => numbers.push(value),
    }
}

/// Adds a number as text has it.
///
/// # Errors
/// Why it is not a number.
pub(crate) fn push_number(numbers: &mut Numbers, text: &str) -> Result<(), String> {
    let text = text.trim();
    let value = text.parse().map_err(|_| format!("`{}` is not a number", shortened(text)))?;
    let value = finite(value)?;
    match number::lost_digits(text, value) {
        Some(exact) => numbers.push_exact(value, &exact),
        None => numbers.push(value),
    }
    Ok(())
}

fn finite(value: f64) -> Result<f64, String> {
    match value {
        v if v.is_finite() => Ok(v),
        v if v.is_nan() => Err("NaN is not a value; for a missing one leave it empty (null)".to_owned()),
        _ => Err("the value is infinite".to_owned()),
    }
}

/// A text for a message: its first characters, on one line.
pub(crate) fn shortened(text: &str) -> String {
    const SHOWN: usize = 60;
    let more = if text.chars().count() > SHOWN { "..." } else { "" };
    format!("{}{more}", text.chars().take(SHOWN).collect::<String>().escape_debug())
}

/// `true` and `false`, in any case, as text has them.
pub(crate) fn truth(text: &str) -> Option<bool> {
    match text.trim() {
        t if t.eq_ignore_ascii_case("true") => Some(true),
        t if t.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// 0 or 1 for a truth value as text has it.
///
/// # Errors
/// Why it is not a truth value.
pub(crate) fn boolean(text: &str) -> Result<f64, String> {
    let not_one = || format!("`{}` is not true or false, as the values before it are", shortened(text));
    truth(text).map(|truth| f64::from(u8::from(truth))).ok_or_else(not_one)
}

fn booleans(series: &Series) -> Result<Vec<f64>, DecodeError> {
    if is_text(series.dtype()) {
        let series = series.cast(&DataType::String).map_err(failed)?;
        let texts = series.str().map_err(failed)?;
        let decode = |(row, text): (usize, Option<&str>)| {
            text.map_or(Ok(f64::NAN), boolean).map_err(|reason| DecodeError::Cell { row, reason })
        };
        return texts.iter().enumerate().map(decode).collect();
    }
    let values = series.bool().map_err(failed)?;
    Ok(values.iter().map(|v| v.map_or(f64::NAN, |truth| f64::from(u8::from(truth)))).collect())
}

fn texts(series: &Series) -> Result<Texts, DecodeError> {
    let mut texts = Texts::default();
    match series.dtype() {
        DataType::Float32 | DataType::Float64 => {
            for value in floats(series)? {
                texts.push((!value.is_nan()).then(|| number::shown(value)).as_deref());
            }
        }
        DataType::Decimal(_, scale) => {
            for unscaled in series.decimal().map_err(failed)?.physical().iter() {
                texts.push(unscaled.map(|unscaled| number::decimal(unscaled, *scale)).as_deref());
            }
        }
        _ => {
            let cast = series.cast(&DataType::String).map_err(failed)?;
            let cast = cast.str().map_err(failed)?;
            let bytes: usize = cast.iter().flatten().map(str::len).sum();
            if bytes > TEXT_BYTES_MAX {
                let reason = format!("{} rows have {} MiB of text, more than 1 GiB", cast.len(), bytes >> 20);
                return Err(DecodeError::Column(reason));
            }
            cast.iter().for_each(|text| texts.push(text));
        }
    }
    Ok(texts)
}

fn as_lists(series: &Series) -> Result<Series, DecodeError> {
    match series.dtype() {
        DataType::Array(inner, _) => series.cast(&DataType::List(inner.clone())).map_err(failed),
        _ => Ok(series.clone()),
    }
}

/// The length of the first list that is not null.
pub(crate) fn first_list(series: &Series) -> Result<Option<usize>, DecodeError> {
    let lists = as_lists(series)?;
    Ok(lists.list().map_err(failed)?.amortized_iter().flatten().next().map(|values| values.as_ref().len()))
}

fn list(series: &Series, width: usize) -> Result<Column, DecodeError> {
    // Not reserved: the first list may be much longer than the others, which are then refused.
    let mut values = Vec::new();
    let series = as_lists(series)?;
    let lists = series.list().map_err(failed)?;
    for (row, inner) in lists.amortized_iter().enumerate() {
        let Some(inner) = inner else {
            values.extend(std::iter::repeat_n(f64::NAN, width));
            continue;
        };
        let numbers = floats(inner.as_ref()).map_err(|misfit| of_element(row, misfit))?;
        check_list(numbers.len(), width).map_err(|reason| DecodeError::Cell { row, reason })?;
        values.extend(numbers);
    }
    Ok(Column::List { width, values })
}

/// A misfit of an element of a row's list, as one of the row.
fn of_element(row: usize, misfit: DecodeError) -> DecodeError {
    match misfit {
        DecodeError::Cell { row: element, reason } => {
            DecodeError::Cell { row, reason: format!("element {}: {reason}", element + 1) }
        }
        column => column,
    }
}

/// Checks the length of a list.
pub(crate) fn check_list(found: usize, width: usize) -> Result<(), String> {
    if found == width { Ok(()) } else { Err(format!("the list has {found} numbers, but the first row's has {width}")) }
}

/// Checks the length of a list with the values of an image.
pub(crate) fn check_image(found: usize, count: usize) -> Result<(), String> {
    if found == count {
        Ok(())
    } else {
        Err(format!("the list has {found} values, but the input's `shape` has {count}"))
    }
}

/// Why a null is not an image.
pub(crate) const NO_IMAGE: &str = "there is no image (null)";

/// A value of an image, which is not null.
pub(crate) fn pixel(place: usize, value: f64) -> Result<f64, String> {
    if value.is_nan() { Err(format!("element {}: the value is missing (null)", place + 1)) } else { Ok(value) }
}

/// A value of an image that is held as bytes.
pub(crate) fn byte_pixel(place: usize, value: f64) -> Result<u8, String> {
    match value {
        value if (0.0..=255.0).contains(&value) && value.fract() == 0.0 => Ok(value as u8),
        value => {
            let shown = if value.is_nan() { "a missing value (null)".to_owned() } else { value.to_string() };
            Err(format!(
                "element {}: {shown} is not a whole number from 0 to 255, as the images of the training are",
                place + 1
            ))
        }
    }
}

/// Lists of `count` numbers, without nulls.
fn numbers_of_images(series: &Series, count: usize) -> Result<Column, DecodeError> {
    let mut all = Vec::with_capacity(series.len() * count);
    each_image(series, count, &mut |row, image| {
        for (place, value) in floats(image).map_err(|misfit| of_element(row, misfit))?.into_iter().enumerate() {
            all.push(pixel(place, value).map_err(|reason| DecodeError::Cell { row, reason })?);
        }
        Ok(())
    })?;
    Ok(Column::List { width: count, values: all })
}

/// Lists of `count` whole numbers from 0 to 255, without nulls.
fn bytes_of_images(series: &Series, count: usize) -> Result<Column, DecodeError> {
    let mut all = Vec::with_capacity(series.len() * count);
    each_image(series, count, &mut |row, image| {
        match image.u8() {
            Ok(bytes) if bytes.null_count() == 0 => all.extend(bytes.into_no_null_iter()),
            _ => {
                for (place, value) in floats(image).map_err(|misfit| of_element(row, misfit))?.into_iter().enumerate() {
                    all.push(byte_pixel(place, value).map_err(|reason| DecodeError::Cell { row, reason })?);
                }
            }
        }
        Ok(())
    })?;
    Ok(Column::Bytes { width: count, values: all })
}

/// Calls `visit` with the `count` values of each row.
fn each_image(
    series: &Series,
    count: usize,
    visit: &mut dyn FnMut(usize, &Series) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let series = as_lists(series)?;
    for (row, image) in series.list().map_err(failed)?.amortized_iter().enumerate() {
        let Some(image) = image else {
            return Err(DecodeError::Cell { row, reason: NO_IMAGE.to_owned() });
        };
        let image = image.as_ref();
        check_image(image.len(), count).map_err(|reason| DecodeError::Cell { row, reason })?;
        visit(row, image)?;
    }
    Ok(())
}

/// What CSV fields are, judged by a sample of them: truth values if all are, numbers if at least
/// half are (of those that do not look like "no value"), else text.
pub(crate) fn fields_kind(fields: &Texts, options: &CsvOptions) -> ColumnKind {
    let (mut filled, mut numbers, mut truths, mut nulls) = (0u64, 0u64, 0u64, 0u64);
    for text in (0..fields.len()).filter_map(|row| fields.get(row)) {
        filled += 1;
        match notation::plain(text, options).map(|plain| plain.trim().parse::<f64>()) {
            Some(Ok(_)) => numbers += 1,
            _ if truth(text).is_some() => truths += 1,
            _ => nulls += u64::from(means_null(text)),
        }
    }
    if filled > 0 && truths == filled {
        ColumnKind::Boolean
    } else if filled == 0 || numbers > 0 && 2 * numbers >= filled - nulls {
        ColumnKind::Number
    } else {
        ColumnKind::Text
    }
}

/// The options by which most fields of a text column are numbers, if there are any: a decimal comma
/// or groups of thousands that the file does not speak of.
pub(crate) fn fields_notation(fields: &Texts) -> Option<CsvOptions> {
    let filled = || (0..fields.len()).filter_map(|row| fields.get(row)).filter(|text| !means_null(text));
    // The first field with a mark decides, and most fields must agree.
    let options = filled().find_map(notation::of_number)?;
    let is_number = |text: &&str| notation::plain(text, &options).is_some_and(|plain| plain.parse::<f64>().is_ok());
    (2 * filled().filter(is_number).count() > filled().count()).then_some(options)
}

/// Whether a field looks like what programs write for "no value".
pub(crate) fn means_null(text: &str) -> bool {
    const WORDS: [&str; 12] = ["", "na", "n/a", "#n/a", "nan", "null", "none", "nil", "missing", "?", "-", "."];
    WORDS.contains(&text.trim().to_ascii_lowercase().as_str())
}

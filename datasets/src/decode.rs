//! From polars' columns to [`Column`]s: what each value means, and which values are refused.

use polars::prelude::*;

use crate::column::{Column, ColumnKind, Texts};

/// Why a column can't be decoded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum DecodeError {
    /// The whole column.
    Column(String),
    /// One value, by its row in what was decoded, from 0.
    Cell { row: usize, reason: String },
}

const NANOSECONDS: f64 = 1e9;
const DAY: f64 = 86_400.0;

/// Decodes a column as `kind` says.
pub(crate) fn column(series: &Series, kind: ColumnKind) -> Result<Column, DecodeError> {
    match kind {
        ColumnKind::Number => numbers(series).map(Column::Number),
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

fn numbers(series: &Series) -> Result<Vec<f64>, DecodeError> {
    if is_text(series) {
        let series = series.cast(&DataType::String).map_err(failed)?;
        let texts = series.str().map_err(failed)?;
        return texts
            .iter()
            .enumerate()
            .map(|(row, text)| text.map_or(Ok(f64::NAN), |text| number(row, text)))
            .collect();
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
        .map(|(row, value)| value.map_or(Ok(f64::NAN), |v| finite(row, v).map(|v| v * unit)))
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

fn is_text(series: &Series) -> bool {
    matches!(series.dtype(), DataType::String | DataType::Categorical(..) | DataType::Enum(..))
}

/// A number as text has it.
fn number(row: usize, text: &str) -> Result<f64, DecodeError> {
    match text.trim().parse() {
        Ok(value) => finite(row, value),
        Err(_) => Err(DecodeError::Cell { row, reason: format!("`{text}` is not a number") }),
    }
}

fn finite(row: usize, value: f64) -> Result<f64, DecodeError> {
    match value {
        v if v.is_finite() => Ok(v),
        v if v.is_nan() => Err(DecodeError::Cell {
            row,
            reason: "NaN is not a value; for a missing one leave it empty (null)".to_owned(),
        }),
        _ => Err(DecodeError::Cell { row, reason: "the value is infinite".to_owned() }),
    }
}

/// `true` and `false`, in any case, as text has them.
pub(crate) fn truth(text: &str) -> Option<bool> {
    match text.trim() {
        t if t.eq_ignore_ascii_case("true") => Some(true),
        t if t.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

fn booleans(series: &Series) -> Result<Vec<f64>, DecodeError> {
    let value = |truth: bool| f64::from(u8::from(truth));
    if is_text(series) {
        let series = series.cast(&DataType::String).map_err(failed)?;
        let texts = series.str().map_err(failed)?;
        let decode = |(row, text): (usize, Option<&str>)| match text {
            None => Ok(f64::NAN),
            Some(text) => truth(text).map(value).ok_or_else(|| {
                let reason = format!("`{text}` is not true or false, as the values before it are");
                DecodeError::Cell { row, reason }
            }),
        };
        return texts.iter().enumerate().map(decode).collect();
    }
    let values = series.bool().map_err(failed)?;
    Ok(values.iter().map(|v| v.map_or(f64::NAN, value)).collect())
}

fn texts(series: &Series) -> Result<Texts, DecodeError> {
    let mut texts = Texts::default();
    match series.dtype() {
        DataType::Float32 | DataType::Float64 | DataType::Decimal(..) => {
            for value in numbers(series)? {
                texts.push((!value.is_nan()).then(|| value.to_string()).as_deref());
            }
        }
        // As text, times with a zone are in UTC.
        DataType::Datetime(unit, Some(_)) => {
            let utc = series.cast(&DataType::Datetime(*unit, None)).map_err(failed)?;
            return self::texts(&utc);
        }
        _ => {
            let cast = series.cast(&DataType::String).map_err(failed)?;
            for text in cast.str().map_err(failed)?.iter() {
                texts.push(text);
            }
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

fn list(series: &Series, width: usize) -> Result<Column, DecodeError> {
    let mut values = Vec::with_capacity(series.len() * width);
    let series = as_lists(series)?;
    let lists = series.list().map_err(failed)?;
    for (row, inner) in lists.amortized_iter().enumerate() {
        let Some(inner) = inner else {
            values.extend(std::iter::repeat_n(f64::NAN, width));
            continue;
        };
        let numbers = numbers(inner.as_ref()).map_err(|misfit| of_element(row, misfit))?;
        if numbers.len() != width {
            let reason = format!("the list has {} numbers, but the first row's has {width}", numbers.len());
            return Err(DecodeError::Cell { row, reason });
        }
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

/// Lists of `count` numbers, without nulls.
fn numbers_of_images(series: &Series, count: usize) -> Result<Column, DecodeError> {
    let mut all = Vec::with_capacity(series.len() * count);
    each_image(series, count, &mut |image| {
        let values = numbers(image)?;
        match values.iter().position(|value| value.is_nan()) {
            Some(element) => Err(DecodeError::Cell { row: element, reason: "the value is missing (null)".to_owned() }),
            None => {
                all.extend(values);
                Ok(())
            }
        }
    })?;
    Ok(Column::List { width: count, values: all })
}

/// Lists of `count` whole numbers from 0 to 255, without nulls.
fn bytes_of_images(series: &Series, count: usize) -> Result<Column, DecodeError> {
    let mut all = Vec::with_capacity(series.len() * count);
    let byte = |(element, value): (usize, f64)| match value {
        value if (0.0..=255.0).contains(&value) && value.fract() == 0.0 => Ok(value as u8),
        value => {
            let shown = if value.is_nan() { "a missing value (null)".to_owned() } else { value.to_string() };
            let reason = format!("{shown} is not a whole number from 0 to 255, as the images of the training are");
            Err(DecodeError::Cell { row: element, reason })
        }
    };
    each_image(series, count, &mut |image| {
        match image.u8() {
            Ok(bytes) if bytes.null_count() == 0 => all.extend(bytes.into_no_null_iter()),
            _ => {
                for value in numbers(image)?.into_iter().enumerate() {
                    all.push(byte(value)?);
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
    visit: &mut dyn FnMut(&Series) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let series = as_lists(series)?;
    for (row, image) in series.list().map_err(failed)?.amortized_iter().enumerate() {
        let Some(image) = image else {
            return Err(DecodeError::Cell { row, reason: "there is no image (null)".to_owned() });
        };
        let image = image.as_ref();
        if image.len() != count {
            let reason = format!("the list has {} values, but the input's `shape` has {count}", image.len());
            return Err(DecodeError::Cell { row, reason });
        }
        visit(image).map_err(|misfit| of_element(row, misfit))?;
    }
    Ok(())
}

/// What CSV fields are, judged by a sample of them: truth values if all are, numbers if at least
/// half are, else text.
pub(crate) fn fields_kind(fields: &Texts) -> ColumnKind {
    let (mut filled, mut numbers, mut truths) = (0u64, 0u64, 0u64);
    for text in (0..fields.len()).filter_map(|row| fields.get(row)) {
        filled += 1;
        numbers += u64::from(text.trim().parse::<f64>().is_ok());
        truths += u64::from(truth(text).is_some());
    }
    if filled > 0 && truths == filled {
        ColumnKind::Boolean
    } else if 2 * numbers >= filled {
        ColumnKind::Number
    } else {
        ColumnKind::Text
    }
}

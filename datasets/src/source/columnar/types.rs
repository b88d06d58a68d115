//! The Arrow types that are read, and as what.

use polars::prelude::pf16;
use polars_arrow::array::{Array, FixedSizeListArray, ListArray, PrimitiveArray};
use polars_arrow::datatypes::{ArrowDataType, Field};

use crate::source::Physical;

/// The most digits of a decimal number.
const DECIMAL_DIGITS_MAX: usize = 38;

/// What a column of this type is; a list whose length is in its values has length 0.
pub(crate) fn physical(data_type: &ArrowDataType) -> Physical {
    use ArrowDataType as A;
    match data_type {
        A::Boolean => Physical::Boolean,
        A::Utf8 | A::LargeUtf8 | A::Utf8View => Physical::Text,
        A::Date32 | A::Date64 | A::Time32(_) | A::Time64(_) | A::Timestamp(..) | A::Duration(_) | A::Null => {
            Physical::Number
        }
        A::Dictionary(_, values, _) => match physical(values) {
            Physical::Text => Physical::Text,
            Physical::Number if is_number(values) => Physical::Number,
            _ => Physical::Other(format!("dictionary of {}", shown(values))),
        },
        A::List(inner) | A::LargeList(inner) if is_number(&inner.dtype) => Physical::List(0),
        A::FixedSizeList(inner, width) if is_number(&inner.dtype) => Physical::List(*width),
        other if is_number(other) => Physical::Number,
        other => Physical::Other(shown(other)),
    }
}

fn is_number(data_type: &ArrowDataType) -> bool {
    use ArrowDataType as A;
    match data_type {
        A::Int8 | A::Int16 | A::Int32 | A::Int64 | A::UInt8 | A::UInt16 | A::UInt32 | A::UInt64 => true,
        A::Float16 | A::Float32 | A::Float64 | A::Boolean => true,
        A::Decimal(digits, scale) | A::Decimal32(digits, scale) | A::Decimal64(digits, scale) => {
            (1..=DECIMAL_DIGITS_MAX).contains(digits) && scale <= digits
        }
        A::Decimal256(digits, scale) => (1..=DECIMAL_DIGITS_MAX).contains(digits) && scale <= digits,
        _ => false,
    }
}

/// Whether lists of this type hold bytes.
pub(crate) fn holds_bytes(data_type: &ArrowDataType) -> bool {
    use ArrowDataType as A;
    matches!(data_type, A::List(inner) | A::LargeList(inner) | A::FixedSizeList(inner, _) if inner.dtype == A::UInt8)
}

/// A type that is not read, for people.
fn shown(data_type: &ArrowDataType) -> String {
    use ArrowDataType as A;
    match data_type {
        A::Binary | A::LargeBinary | A::BinaryView => "binary".to_owned(),
        A::FixedSizeBinary(bytes) => format!("fixed-size binary ({bytes} bytes)"),
        A::Interval(_) => "interval".to_owned(),
        A::Struct(_) => "struct".to_owned(),
        A::Map(..) => "map".to_owned(),
        A::Union(_) => "union".to_owned(),
        A::Decimal(digits, scale)
        | A::Decimal32(digits, scale)
        | A::Decimal64(digits, scale)
        | A::Decimal256(digits, scale) => format!("decimal({digits}, {scale})"),
        A::Extension(extension) => format!("extension type `{}`", extension.name),
        A::List(inner) | A::LargeList(inner) | A::FixedSizeList(inner, _) => {
            format!("list of {}", plural(&inner.dtype))
        }
        other => format!("{other:?}").to_lowercase(),
    }
}

fn plural(data_type: &ArrowDataType) -> String {
    use ArrowDataType as A;
    match data_type {
        A::List(_) | A::LargeList(_) | A::FixedSizeList(..) => "lists".to_owned(),
        A::Utf8 | A::LargeUtf8 | A::Utf8View => "texts".to_owned(),
        A::Struct(_) => "structs".to_owned(),
        A::Dictionary(..) => "dictionaries".to_owned(),
        A::Date32 | A::Date64 | A::Time32(_) | A::Time64(_) | A::Timestamp(..) | A::Duration(_) => "times".to_owned(),
        other => shown(other),
    }
}

/// The field as polars reads it: without metadata, which has names of categories that no one asks
/// for, without time zones, as times are in UTC anyway, and in single precision instead of half.
pub(crate) fn plain(field: &Field) -> Field {
    Field::new(field.name.clone(), plain_type(&field.dtype), true)
}

fn plain_type(data_type: &ArrowDataType) -> ArrowDataType {
    use ArrowDataType as A;
    match data_type {
        A::Float16 => A::Float32,
        A::Timestamp(unit, _) => A::Timestamp(*unit, None),
        A::List(inner) => A::List(Box::new(inner_field(inner))),
        A::LargeList(inner) => A::LargeList(Box::new(inner_field(inner))),
        A::FixedSizeList(inner, width) => A::FixedSizeList(Box::new(inner_field(inner)), *width),
        other => other.clone(),
    }
}

fn inner_field(field: &Field) -> Field {
    Field::new(field.name.clone(), plain_type(&field.dtype), field.is_nullable)
}

/// The values of an array in the type that [`plain`] gives.
pub(crate) fn to_plain(array: Box<dyn Array>) -> Box<dyn Array> {
    use ArrowDataType as A;
    let data_type = plain_type(array.dtype());
    if *array.dtype() == data_type {
        return array;
    }
    let mut array = array;
    match array.dtype() {
        A::Float16 => match array.as_any().downcast_ref::<PrimitiveArray<pf16>>() {
            Some(halves) => {
                let values: Vec<f32> = halves.values_iter().map(|half| f32::from(*half)).collect();
                PrimitiveArray::new(A::Float32, values.into(), halves.validity().cloned()).boxed()
            }
            None => array,
        },
        A::List(_) => match array.as_any().downcast_ref::<ListArray<i32>>() {
            Some(lists) => {
                let values = to_plain(lists.values().clone());
                ListArray::new(data_type, lists.offsets().clone(), values, lists.validity().cloned()).boxed()
            }
            None => array,
        },
        A::LargeList(_) => match array.as_any().downcast_ref::<ListArray<i64>>() {
            Some(lists) => {
                let values = to_plain(lists.values().clone());
                ListArray::new(data_type, lists.offsets().clone(), values, lists.validity().cloned()).boxed()
            }
            None => array,
        },
        A::FixedSizeList(..) => match array.as_any().downcast_ref::<FixedSizeListArray>() {
            Some(lists) => {
                let values = to_plain(lists.values().clone());
                FixedSizeListArray::new(data_type, lists.len(), values, lists.validity().cloned()).boxed()
            }
            None => array,
        },
        _ => {
            *array.dtype_mut() = data_type;
            array
        }
    }
}

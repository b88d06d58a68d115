//! JSON files: one object a line (NDJSON), or an array of objects. A key that an object does not
//! have is null there.
//!
//! `serde_json` says where each value ends, without building it. So numbers keep all their digits,
//! and values that are not read cost little.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use indexmap::IndexMap;
use rayon::prelude::*;
use serde::de::IgnoredAny;

use super::text::{self, Rows, Rules, Start, Text};
use super::{Fault, Found, Physical, category_help};
use crate::column::{Column, ColumnKind, Numbers, Texts};
use crate::decode::{self, shortened};
use crate::plan::ColumnPlan;

/// The deepest nesting of lists and objects in a value.
const DEPTH_MAX: usize = 128;
/// Blocks whose keys are looked for at once.
const BLOCKS_AT_ONCE: usize = 8;

/// The byte where the rows of a file begin, and how they are told apart.
pub(crate) fn layout(path: &Path) -> std::io::Result<(u64, Rules)> {
    let mut start = 0;
    for byte in Text::open(path)?.bytes() {
        match byte? {
            b'[' => return Ok((start + 1, Rules::Objects)),
            b' ' | b'\t' | b'\r' | b'\n' | 0xef | 0xbb | 0xbf => start += 1,
            _ => break,
        }
    }
    Ok((start, Rules::Lines))
}

/// Takes the number of a key, the key if its number is new, and its value.
type Visit<'v, 'a> = dyn FnMut(usize, Option<&str>, &'a str) -> Result<(), String> + 'v;

/// The members of an object: the place of each in a list of names that grows, and its value.
#[derive(Default)]
struct Members<'a> {
    /// Keys as they are written, in the order of the last object, with their numbers.
    order: Vec<(&'a str, usize)>,
    numbers: HashMap<Cow<'a, str>, usize>,
}

impl<'a> Members<'a> {
    /// Calls `visit` with the number of each key, the key if its number is new, and its value.
    ///
    /// # Errors
    /// The byte of the object that is wrong, and why.
    fn each(&mut self, object: &'a str, visit: &mut Visit<'_, 'a>) -> Result<(), (usize, String)> {
        let mut at = blank(object, 0);
        if object.as_bytes().get(at) != Some(&b'{') {
            return Err((at, "not a JSON object".to_owned()));
        }
        at = blank(object, at + 1);
        let mut place = 0;
        if object.as_bytes().get(at) == Some(&b'}') {
            return end(object, at + 1);
        }
        loop {
            if object.as_bytes().get(at) != Some(&b'"') {
                return Err((at, "not JSON: expected a key between quotes".to_owned()));
            }
            let key_end = value_end(object, at)?;
            let written = &object[at + 1..key_end - 1];
            at = blank(object, key_end);
            if object.as_bytes().get(at) != Some(&b':') {
                return Err((at, "not JSON: expected `:`".to_owned()));
            }
            at = blank(object, at + 1);
            let value_at = at;
            at = value_end(object, at)?;
            let (number, is_new) = self.number(place, written);
            let new_key = is_new.then(|| unescaped(written));
            visit(number, new_key.as_deref(), &object[value_at..at]).map_err(|reason| (value_at, reason))?;
            place += 1;
            at = blank(object, at);
            match object.as_bytes().get(at) {
                Some(b',') => at = blank(object, at + 1),
                Some(b'}') => return end(object, at + 1),
                _ => return Err((at, "not JSON: expected `,` or `}`".to_owned())),
            }
        }
    }

    /// The number of a key, which most objects have at the same place; and whether it is new.
    fn number(&mut self, place: usize, written: &'a str) -> (usize, bool) {
        if let Some((known, number)) = self.order.get(place)
            && *known == written
        {
            return (*number, false);
        }
        let next = self.numbers.len();
        let number = *self.numbers.entry(unescaped(written)).or_insert(next);
        self.order.truncate(place);
        if self.order.len() == place {
            self.order.push((written, number));
        }
        (number, number == next)
    }
}

/// The byte of the next character from `at` on that is not blank.
fn blank(text: &str, at: usize) -> usize {
    at + text.as_bytes()[at..].iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).count()
}

/// Nothing but blanks follows.
fn end(text: &str, at: usize) -> Result<(), (usize, String)> {
    let at = blank(text, at);
    if at < text.len() { Err((at, "not JSON: something stands behind the object".to_owned())) } else { Ok(()) }
}

/// The byte behind the value at `at`.
fn value_end(text: &str, at: usize) -> Result<usize, (usize, String)> {
    let mut values = serde_json::Deserializer::from_str(&text[at..]).into_iter::<IgnoredAny>();
    match values.next() {
        Some(Ok(_)) => Ok(at + values.byte_offset()),
        Some(Err(error)) => {
            let message = error.to_string();
            let what = message.split(" at line ").next().unwrap_or(&message);
            let lines: usize = text[at..].split_inclusive('\n').take(error.line() - 1).map(str::len).sum();
            let hint = if error.is_eof() {
                " (an object stands on one line; objects over several lines stand in an array, `[{...}, {...}]`)"
            } else {
                ""
            };
            let byte = (at + lines + error.column().saturating_sub(1)).min(text.len());
            Err((byte, format!("not JSON: {what}{hint}")))
        }
        None => Err((at, "not JSON: expected a value".to_owned())),
    }
}

/// A text without its quotes, of which `serde_json` knows that it is one.
fn unescaped(written: &str) -> Cow<'_, str> {
    if !written.contains('\\') {
        return written.into();
    }
    serde_json::from_str(&format!("\"{written}\"")).map_or_else(|_| written.into(), Cow::Owned)
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value<'a> {
    Null,
    Number(&'a str),
    Boolean(bool),
    /// Without its quotes, as it is written.
    Text(&'a str),
    List(&'a str),
    Object,
}

impl<'a> Value<'a> {
    /// Of a text that is a JSON value.
    fn of(written: &'a str) -> Self {
        match written.as_bytes().first() {
            Some(b'n') => Value::Null,
            Some(b't') => Value::Boolean(true),
            Some(b'f') => Value::Boolean(false),
            Some(b'"') => Value::Text(&written[1..written.len() - 1]),
            Some(b'[') => Value::List(&written[1..written.len() - 1]),
            Some(b'{') => Value::Object,
            _ => Value::Number(written),
        }
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Number(written) => f.write_str(&shortened(written)),
            Value::Boolean(value) => value.fmt(f),
            Value::Text(text) => write!(f, "\"{}\"", shortened(&unescaped(text))),
            Value::List(list) => write!(f, "[{}]", shortened(list)),
            Value::Object => f.write_str("an object"),
        }
    }
}

/// The elements of a list of numbers.
///
/// # Errors
/// What the list holds instead.
fn elements(list: &str) -> Result<impl Iterator<Item = &str>, &'static str> {
    match list.bytes().find(|byte| matches!(byte, b'[' | b'{' | b'"')) {
        Some(b'[') => Err("list of lists"),
        Some(b'{') => Err("list of objects"),
        Some(_) => Err("list of texts"),
        None => Ok(list.split(',').map(str::trim).filter(|element| !element.is_empty())),
    }
}

/// Refuses a value that is nested too deep.
fn check_depth(written: &str) -> Result<(), String> {
    let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
    for byte in written.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => depth += 1,
            b']' | b'}' if !quoted => depth -= 1,
            _ => {}
        }
        if depth > DEPTH_MAX {
            return Err(format!("lists and objects are nested more than {DEPTH_MAX} deep"));
        }
    }
    Ok(())
}

/// Whether a byte may stand between two rows.
fn between_rows(rules: Rules, byte: u8) -> bool {
    rules == Rules::Objects && matches!(byte, b',' | b' ' | b'\t' | b'\r' | b'\n')
}

/// Calls `visit` with each row of a block: its number in the block, its first byte, and its text.
/// Gives the number of rows, and whether an array ends in the block.
fn each_row<'a>(
    bytes: &'a [u8],
    rules: Rules,
    visit: &mut dyn FnMut(u64, usize, &'a str) -> Result<(), Fault>,
) -> Result<(u64, bool), Fault> {
    let text = text::checked(bytes, rules)?;
    let mut rows = Rows::new(rules);
    let (mut at, mut row) = (0, 0);
    while let Some((length, is_row)) = rows.next(&bytes[at..]) {
        if is_row {
            let between = text[at..].bytes().take_while(|byte| between_rows(rules, *byte)).count();
            visit(row, at + between, text[at + between..at + length].trim_end())?;
            row += 1;
        }
        at += length;
    }
    // What is left of a line is one without an end; of an array, what stands behind its objects.
    let rest = at + text[at..].bytes().take_while(|byte| between_rows(rules, *byte)).count();
    let left = text[rest..].trim_end();
    let is_end = rules == Rules::Objects && left == "]";
    if !left.is_empty() && !is_end {
        visit(row, rest, left)?;
        row += 1;
    }
    Ok((row, is_end))
}

/// A fault of a row: byte `byte` of it is wrong.
fn fault(row: u64, start: usize, object: &str, (byte, reason): (usize, String)) -> Fault {
    let line_start = object[..byte.min(object.len())].rfind('\n').map_or(0, |feed| feed + 1);
    let character = object.get(line_start..byte).map_or(0, |before| before.chars().count()) + 1;
    let reason = match reason.strip_prefix("not ") {
        Some(_) if reason == "not a JSON object" => format!("is {reason}"),
        Some(_) => format!("is {reason}, at character {character}"),
        None => reason,
    };
    Fault::of_row(row, start + byte, reason)
}

/// What the values of a key are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    numbers: u64,
    booleans: u64,
    texts: u64,
    lists: u64,
    /// Values that can't be used, by what they are.
    others: BTreeMap<&'static str, u64>,
    /// Numbers in the first list.
    width: Option<usize>,
}

impl Seen {
    fn add(&mut self, written: &str) -> Result<(), String> {
        match Value::of(written) {
            Value::Null => {}
            Value::Number(_) => self.numbers += 1,
            Value::Boolean(_) => self.booleans += 1,
            Value::Text(_) => self.texts += 1,
            Value::List(list) => {
                check_depth(written)?;
                match elements(list) {
                    Ok(elements) => {
                        self.lists += 1;
                        self.width.get_or_insert_with(|| elements.count());
                    }
                    Err(what) => *self.others.entry(what).or_default() += 1,
                }
            }
            Value::Object => {
                check_depth(written)?;
                *self.others.entry("object").or_default() += 1;
            }
        }
        Ok(())
    }

    fn join(&mut self, later: Seen) {
        self.numbers += later.numbers;
        self.booleans += later.booleans;
        self.texts += later.texts;
        self.lists += later.lists;
        later.others.into_iter().for_each(|(what, count)| *self.others.entry(what).or_default() += count);
        self.width = self.width.or(later.width);
    }

    /// What most of the values are.
    fn physical(&self) -> Physical {
        let other = self.others.iter().max_by_key(|(_, count)| **count);
        let most = [self.numbers, self.booleans, self.texts, self.lists, other.map_or(0, |(_, count)| *count)];
        match most.into_iter().max().unwrap_or(0) {
            0 => Physical::Number,
            n if n == self.numbers => Physical::Number,
            n if n == self.booleans => Physical::Boolean,
            n if n == self.texts => Physical::Text,
            n if n == self.lists => Physical::List(self.width.unwrap_or(0)),
            _ => Physical::Other(other.map_or("object", |(what, _)| what).to_owned()),
        }
    }
}

/// The keys of a block's objects in the order in which they are first met.
pub(crate) type Keys = IndexMap<String, Seen>;

/// The keys of a block, with what their values are; and whether an array ends in the block.
pub(crate) fn keys(bytes: &[u8], rules: Rules) -> Result<(Keys, bool), Fault> {
    let mut keys = Keys::new();
    let mut members = Members::default();
    let (_, ends) = each_row(bytes, rules, &mut |row, start, object| {
        let mut visit = |number: usize, new_key: Option<&str>, value: &str| {
            if let Some(key) = new_key {
                keys.insert(key.to_owned(), Seen::default());
            }
            keys[number].add(value)
        };
        members.each(object, &mut visit).map_err(|wrong| fault(row, start, object, wrong))
    })?;
    Ok((keys, ends))
}

/// The columns of a file: all keys that its objects have. Fails with the block that is wrong, or
/// with a reason if the file can't be read.
pub(crate) fn columns(path: &Path, blocks: &[Start], rules: Rules) -> Result<Vec<Found>, (Option<Start>, Fault)> {
    let whole = |reason: String| (None, Fault::of_row(0, 0, reason));
    let unreadable = |error: std::io::Error| whole(error.to_string());
    // One reader for all blocks, so that a compressed file is decompressed once.
    let mut text = Text::open(path).map_err(unreadable)?;
    let pairs: Vec<&[Start]> = blocks.windows(2).collect();
    let (mut all, mut ends) = (Keys::new(), false);
    for some in pairs.chunks(BLOCKS_AT_ONCE) {
        let mut read = Vec::with_capacity(some.len());
        for pair in some {
            read.push((pair[0], text.block(path, pair[0], pair[1]).map_err(unreadable)?));
        }
        let found: Vec<Result<(Keys, bool), _>> =
            read.par_iter().map(|(start, bytes)| keys(bytes, rules).map_err(|fault| (Some(*start), fault))).collect();
        for block in found {
            let (keys, has_end) = block?;
            keys.into_iter().for_each(|(key, seen)| all.entry(key).or_default().join(seen));
            ends |= has_end;
        }
    }
    if rules == Rules::Objects && !ends {
        return Err(whole("the array has no end: is the file cut off?".to_owned()));
    }
    Ok(all.into_iter().map(|(name, seen)| Found::new(name, seen.physical())).collect())
}

/// A column in the making.
enum Builder {
    Number(Numbers),
    Boolean(Vec<f64>),
    Text(Texts),
    List { width: usize, values: Vec<f64> },
    Pixels { count: usize, values: Vec<f64> },
    Bytes { count: usize, values: Vec<u8> },
}

impl Builder {
    fn new(kind: ColumnKind, rows: usize) -> Self {
        match kind {
            ColumnKind::Number => Builder::Number(Numbers::with_capacity(rows)),
            ColumnKind::Boolean => Builder::Boolean(Vec::with_capacity(rows)),
            ColumnKind::Text => Builder::Text(Texts::default()),
            ColumnKind::List { width } => Builder::List { width, values: Vec::new() },
            ColumnKind::Pixels { count, bytes: false } => {
                Builder::Pixels { count, values: Vec::with_capacity(rows * count) }
            }
            ColumnKind::Pixels { count, bytes: true } => {
                Builder::Bytes { count, values: Vec::with_capacity(rows * count) }
            }
        }
    }

    /// Adds a value of a column that holds what `known` says.
    ///
    /// # Errors
    /// Why it can't be one.
    fn push(&mut self, value: Value<'_>, known: Option<&Physical>) -> Result<(), String> {
        let truth = |truth: bool| f64::from(u8::from(truth));
        let may_be = |physical: Physical| known.is_none_or(|known| *known == physical);
        match (self, value) {
            (Builder::Number(numbers), Value::Null) => numbers.push(f64::NAN),
            (Builder::Number(numbers), Value::Number(written)) => decode::push_number(numbers, written)?,
            (Builder::Number(numbers), Value::Text(text)) if may_be(Physical::Text) => {
                decode::push_number(numbers, &unescaped(text))?
            }
            (Builder::Number(numbers), Value::Boolean(value)) if may_be(Physical::Boolean) => {
                numbers.push(truth(value))
            }
            (Builder::Number(_), _) => return Err(format!("{value} is not a number")),
            (Builder::Boolean(values), Value::Null) => values.push(f64::NAN),
            (Builder::Boolean(values), Value::Boolean(value)) => values.push(truth(value)),
            (Builder::Boolean(values), Value::Text(text)) if may_be(Physical::Text) => {
                values.push(decode::boolean(&unescaped(text))?)
            }
            (Builder::Boolean(_), _) => return Err(format!("{value} is not true or false")),
            (Builder::Text(texts), Value::Null) => texts.push(None),
            (Builder::Text(texts), Value::Text(text)) => texts.push(Some(&unescaped(text))),
            (Builder::Text(texts), Value::Boolean(value)) => texts.push(Some(if value { "true" } else { "false" })),
            (Builder::Text(texts), Value::Number(written)) => {
                let mut number = Numbers::default();
                decode::push_number(&mut number, written)?;
                texts.push(number.finish().text(0).as_deref());
            }
            (Builder::Text(_), _) => return Err(format!("{value} is not text")),
            (Builder::List { width, values }, Value::Null) => values.extend(std::iter::repeat_n(f64::NAN, *width)),
            (Builder::List { width, values }, Value::List(list)) => {
                let start = values.len();
                for element in list_elements(list, value)? {
                    values.push(element?);
                }
                decode::check_list(values.len() - start, *width)?;
            }
            (Builder::Pixels { count, values }, Value::List(list)) => {
                let start = values.len();
                for (place, element) in list_elements(list, value)?.enumerate() {
                    values.push(decode::pixel(place, element?)?);
                }
                decode::check_image(values.len() - start, *count)?;
            }
            (Builder::Bytes { count, values }, Value::List(list)) => {
                let start = values.len();
                for (place, element) in list_elements(list, value)?.enumerate() {
                    values.push(decode::byte_pixel(place, element?)?);
                }
                decode::check_image(values.len() - start, *count)?;
            }
            (Builder::Pixels { .. } | Builder::Bytes { .. }, Value::Null) => {
                return Err(decode::NO_IMAGE.to_owned());
            }
            (Builder::List { .. } | Builder::Pixels { .. } | Builder::Bytes { .. }, _) => {
                return Err(format!("{value} is not a list of numbers"));
            }
        }
        Ok(())
    }

    fn finish(self) -> Column {
        match self {
            Builder::Number(numbers) => numbers.finish(),
            Builder::Boolean(values) => Column::Boolean(values),
            Builder::Text(texts) => Column::Text(texts),
            Builder::List { width, values } | Builder::Pixels { count: width, values } => {
                Column::List { width, values }
            }
            Builder::Bytes { count, values } => Column::Bytes { width: count, values },
        }
    }
}

/// The numbers of a list; NaN is null.
fn list_elements<'a>(
    list: &'a str,
    value: Value<'a>,
) -> Result<impl Iterator<Item = Result<f64, String>> + 'a, String> {
    let elements = elements(list).map_err(|what| format!("{value} is a {what}, not a list of numbers"))?;
    Ok(elements.enumerate().map(move |(place, element)| match element.parse() {
        _ if element == "null" => Ok(f64::NAN),
        Ok(number) if f64::is_finite(number) => Ok(number),
        Ok(_) => Err(format!("element {}: the value is infinite", place + 1)),
        Err(_) => Err(format!("element {}: {element} is not a number", place + 1)),
    }))
}

/// The key that helps if a value is not what its column is.
fn help(value: Value<'_>, column: &str) -> String {
    match value {
        Value::Text(text) if decode::means_null(&unescaped(text)) => {
            "; if it means \"no value\", write null".to_owned()
        }
        Value::Text(_) => category_help(column),
        _ => String::new(),
    }
}

/// The rows `rows` of a block, counted from its first one. `known` says what each wanted column is,
/// if that is known.
pub(crate) fn read(
    bytes: &[u8],
    rules: Rules,
    wanted: &[&ColumnPlan],
    known: &[Option<&Physical>],
    rows: Range<u64>,
) -> Result<Vec<Column>, Fault> {
    let capacity = (rows.end - rows.start) as usize;
    let mut builders: Vec<Builder> = wanted.iter().map(|column| Builder::new(column.kind, capacity)).collect();
    let mut members = Members::default();
    // By the number of a key: which wanted column it is.
    let mut columns: Vec<Option<usize>> = Vec::new();
    let places: HashMap<&str, usize> = wanted.iter().enumerate().map(|(i, column)| (column.name.as_str(), i)).collect();
    let mut values: Vec<Option<&str>> = vec![None; wanted.len()];
    let (found, _) = each_row(bytes, rules, &mut |row, start, object| {
        if row >= rows.end {
            return Ok(());
        }
        values.fill(None);
        let mut visit = |number: usize, new_key: Option<&str>, value| {
            if let Some(key) = new_key {
                columns.push(places.get(key).copied());
            }
            if let Some(column) = columns[number] {
                values[column] = Some(value);
            }
            Ok(())
        };
        members.each(object, &mut visit).map_err(|wrong| fault(row, start, object, wrong))?;
        if row < rows.start {
            return Ok(());
        }
        for (column, builder) in builders.iter_mut().enumerate() {
            let value = Value::of(values[column].unwrap_or("null"));
            builder.push(value, known[column]).map_err(|reason| {
                let name = &wanted[column].name;
                Fault::of_value(row, start, name, format!("{reason}{}", help(value, name)))
            })?;
        }
        Ok(())
    })?;
    if found < rows.end {
        return Err(Fault::of_row(found, bytes.len(), "the row is missing: did the file change?".to_owned()));
    }
    Ok(builders.into_iter().map(Builder::finish).collect())
}

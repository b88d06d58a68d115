//! CSV files: a header line, then rows (RFC 4180).
//!
//! A field stands between quotes if it has a separator, a line feed or a quote in it; a quote in it
//! is written twice. Lines end with a line feed, perhaps after a carriage return. What is written
//! otherwise is refused with its line: a quote inside of a field without quotes, text behind a
//! closing quote, a row with more or fewer fields than the header. An empty field is null; `""` is
//! an empty text.

use std::borrow::Cow;
use std::collections::HashSet;
use std::io::BufRead;
use std::ops::Range;
use std::path::Path;

use experiment::CsvOptions;

use super::text::{self, Rules, Text};
use super::{Fault, category_help, notation};
use crate::column::{Column, ColumnKind, Numbers, Texts};
use crate::decode::{self, shortened};
use crate::plan::ColumnPlan;

/// The most bytes of a header.
const HEADER_BYTES_MAX: usize = 64 << 20;

/// The separator as a byte; the experiment holds that it is ASCII.
fn separator(options: &CsvOptions) -> u8 {
    u8::try_from(options.separator).unwrap_or(b',')
}

/// How rows of a file with these columns are told apart.
pub(crate) fn rules(columns: usize) -> Rules {
    Rules::Csv { blank_rows: columns == 1 }
}

/// The column names, and the byte where the rows begin.
pub(crate) fn header(path: &Path, options: &CsvOptions) -> Result<(Vec<String>, u64), String> {
    let mut reader = Text::open(path).map_err(|e| e.to_string())?;
    let mut bytes = Vec::new();
    let mut start = 0;
    let mut read_line = |bytes: &mut Vec<u8>| match reader.read_until(b'\n', bytes).map_err(|e| e.to_string()) {
        Ok(length) => {
            start += length as u64;
            Ok(length)
        }
        Err(error) => Err(error),
    };
    let mut line = 0;
    while bytes.iter().all(|b| matches!(b, b'\r' | b'\n')) {
        bytes.clear();
        line += 1;
        if read_line(&mut bytes)? == 0 {
            return Err("the file is empty".to_owned());
        }
    }
    while bytes.iter().filter(|b| **b == b'"').count() % 2 == 1 {
        if read_line(&mut bytes)? == 0 || bytes.len() > HEADER_BYTES_MAX {
            return Err(format!("line {line} (the header): a quotation has no end"));
        }
    }
    if !bytes.ends_with(b"\n") {
        bytes.push(b'\n');
    }
    let header = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let header = std::str::from_utf8(header).map_err(|_| {
        format!("line {line} (the header) is not UTF-8 text: is this a CSV file? Other encodings have to be converted")
    })?;
    let mut fields = Vec::new();
    split(header, 0, separator(options), &mut fields)
        .map_err(|(_, reason)| format!("line {line} (the header): {reason}"))?;
    let names: Vec<String> = fields.iter().map(|field| field.text(header).into_owned()).collect();
    if let ([name], [Field { quoted: false, .. }]) = (names.as_slice(), fields.as_slice())
        && let Some(other) = [';', '\t', '|', ','].into_iter().find(|other| name.contains(*other))
    {
        return Err(format!(
            "the header is one column, `{name}`; write `csv = {{ separator = {:?} }}` if that separates its fields, else put the name between quotes",
            other.to_string()
        ));
    }
    let mut seen = HashSet::new();
    match names.iter().find(|name| !seen.insert(name.as_str())) {
        Some(name) => Err(format!("two columns are named `{name}`")),
        None => Ok((names, start)),
    }
}

/// Where a field of a text is: between its quotes, if it has any.
#[derive(Debug, Clone, Copy)]
struct Field {
    start: usize,
    end: usize,
    quoted: bool,
    /// Whether a quote in it is written twice.
    doubled: bool,
}

impl Field {
    fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let text = &text[self.start..self.end];
        if self.doubled { text.replace("\"\"", "\"").into() } else { text.into() }
    }
}

/// The fields of the row at `start`, and the byte behind it. The text ends with a line feed, or its
/// last quotation has no end.
///
/// # Errors
/// The byte that is wrong, and why.
fn split(text: &str, start: usize, separator: u8, fields: &mut Vec<Field>) -> Result<usize, (usize, String)> {
    let bytes = text.as_bytes();
    fields.clear();
    let mut at = start;
    loop {
        let quoted = bytes.get(at) == Some(&b'"');
        let (field, end) = if quoted { quotation(bytes, at)? } else { plain(bytes, at, separator)? };
        fields.push(field);
        match bytes.get(end) {
            Some(byte) if *byte == separator => at = end + 1,
            None | Some(b'\n') => return Ok(end + 1),
            Some(b'\r') if bytes.get(end + 1) == Some(&b'\n') => return Ok(end + 2),
            Some(_) => return Err((at, behind_quotation(text, at, end))),
        }
    }
}

/// The field at `start`, which does not begin with a quote, and the byte that ends it.
fn plain(bytes: &[u8], start: usize, separator: u8) -> Result<(Field, usize), (usize, String)> {
    let length = bytes[start..].iter().position(|byte| *byte == separator || matches!(byte, b'\n' | b'"'));
    let end = length.map_or(bytes.len(), |length| start + length);
    if bytes.get(end) == Some(&b'"') {
        let before = String::from_utf8_lossy(&bytes[start..end]);
        let reason = format!(
            "a quote in the field after `{}`: a field with a quote in it stands between quotes, and that quote is \
             written twice (`\"12\"\" pipe\"`)",
            shortened(&before)
        );
        return Err((end, reason));
    }
    let is_last = bytes.get(end) != Some(&separator);
    let trimmed = if is_last && end > start && bytes[end - 1] == b'\r' { end - 1 } else { end };
    Ok((Field { start, end: trimmed, quoted: false, doubled: false }, end))
}

/// The field at `start`, which begins with a quote, and the byte that ends it.
fn quotation(bytes: &[u8], start: usize) -> Result<(Field, usize), (usize, String)> {
    let mut at = start + 1;
    let mut doubled = false;
    loop {
        let Some(length) = bytes[at..].iter().position(|byte| *byte == b'"') else {
            return Err((start, "a quotation begins here and has no end".to_owned()));
        };
        let end = at + length;
        if bytes.get(end + 1) == Some(&b'"') {
            doubled = true;
            at = end + 2;
            continue;
        }
        return Ok((Field { start: start + 1, end, quoted: true, doubled }, end + 1));
    }
}

/// Why the quotation that begins at `start` can't end before `end`.
fn behind_quotation(text: &str, start: usize, end: usize) -> String {
    let behind: String = text[end..].chars().take_while(|c| *c != '\n').take(20).collect();
    let behind = shortened(&behind);
    match text[start..end].matches('\n').count() {
        0 => format!("behind a closing quote stands `{behind}`; a quote in a quotation is written twice"),
        lines => format!(
            "a quotation begins here, and its closing quote stands {lines} lines further on, before `{behind}`: is \
             one of the two quotes alone? A quote in a field is written twice, and the field stands between quotes"
        ),
    }
}

/// What is read of a file.
pub(crate) struct Layout<'a> {
    /// The names of all its columns.
    pub names: &'a [&'a str],
    /// The columns that are read, with their places in the file.
    pub wanted: &'a [(usize, &'a ColumnPlan)],
    pub options: &'a CsvOptions,
    pub rules: Rules,
}

/// A column in the making.
enum Builder {
    Number(Numbers),
    Boolean(Vec<f64>),
    Text(Texts),
}

/// The rows `rows` of a block, counted from its first one.
pub(crate) fn read(bytes: &[u8], layout: &Layout<'_>, rows: Range<u64>) -> Result<Vec<Column>, Fault> {
    let text = text::checked(bytes, layout.rules)?;
    let separator = separator(layout.options);
    let capacity = (rows.end - rows.start) as usize;
    let builder = |(_, column): &(usize, &ColumnPlan)| match column.kind {
        ColumnKind::Number => Builder::Number(Numbers::with_capacity(capacity)),
        ColumnKind::Boolean => Builder::Boolean(Vec::with_capacity(capacity)),
        _ => Builder::Text(Texts::default()),
    };
    let mut builders: Vec<Builder> = layout.wanted.iter().map(builder).collect();
    let mut fields = Vec::with_capacity(layout.names.len());
    let (mut at, mut row) = (0, 0);
    while at < text.len() && row < rows.end {
        let start = at;
        at = split(text, at, separator, &mut fields).map_err(|(byte, reason)| Fault::of_row(row, byte, reason))?;
        if is_blank(text, &fields) && layout.names.len() > 1 {
            continue;
        }
        if fields.len() != layout.names.len() {
            return Err(Fault::of_row(row, start, uneven(fields.len(), layout.names.len())));
        }
        if row >= rows.start {
            for ((column, plan), builder) in layout.wanted.iter().zip(&mut builders) {
                let field = &fields[*column];
                let value = field.text(text);
                push(builder, &value, field.quoted, layout.options).map_err(|reason| {
                    let reason = format!("{reason}{}", help(&value, &plan.name, layout.options));
                    Fault::of_value(row, field.start, &plan.name, reason)
                })?;
            }
        }
        row += 1;
    }
    if row < rows.end {
        return Err(Fault::of_row(row, at.min(bytes.len()), "the row is missing: did the file change?".to_owned()));
    }
    Ok(builders.into_iter().map(Builder::finish).collect())
}

/// Whether a line has no characters but carriage returns.
fn is_blank(text: &str, fields: &[Field]) -> bool {
    matches!(fields, [field] if !field.quoted && text[field.start..field.end].bytes().all(|byte| byte == b'\r'))
}

fn uneven(fields: usize, columns: usize) -> String {
    let many = |n: usize| if n == 1 { "1 field".to_owned() } else { format!("{n} fields") };
    let hint = if fields < columns {
        "; a missing value is an empty field, with its separator"
    } else {
        "; a field with a separator in it stands between quotes"
    };
    format!("{}, but the header has {columns}{hint}", many(fields))
}

/// Adds a field.
///
/// # Errors
/// Why it is not what its column is.
fn push(builder: &mut Builder, text: &str, quoted: bool, options: &CsvOptions) -> Result<(), String> {
    let null = text.is_empty() && !quoted || options.null_values.iter().any(|null| null == text);
    match builder {
        Builder::Number(numbers) if null || text.is_empty() => numbers.push(f64::NAN),
        Builder::Boolean(values) if null || text.is_empty() => values.push(f64::NAN),
        Builder::Number(numbers) => {
            let plain = notation::plain(text, options).ok_or_else(|| {
                format!("`{}` is not a number written with {}", shortened(text), notation::shown(options))
            })?;
            decode::push_number(numbers, &plain)?;
        }
        Builder::Boolean(values) => values.push(decode::boolean(text)?),
        Builder::Text(texts) => texts.push((!null).then_some(text)),
    }
    Ok(())
}

/// The key that helps if a field is not what its column is.
fn help(text: &str, column: &str, options: &CsvOptions) -> String {
    if decode::means_null(text) {
        let words: Vec<&str> = options.null_values.iter().map(String::as_str).chain([text]).collect();
        return format!("; if it means \"no value\", write `csv = {{ null_values = {words:?} }}`");
    }
    if let Some(written) = notation::of_number(text).filter(|_| notation::shown(options).is_empty()) {
        return format!("; if it is one, write `csv = {{ {} }}`", notation::shown(&written));
    }
    if text.trim().parse::<f64>().is_ok() { String::new() } else { category_help(column) }
}

impl Builder {
    fn finish(self) -> Column {
        match self {
            Builder::Number(numbers) => numbers.finish(),
            Builder::Boolean(values) => Column::Boolean(values),
            Builder::Text(texts) => Column::Text(texts),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(text: &str) -> Result<Vec<Vec<String>>, (usize, String)> {
        let (mut found, mut fields, mut at) = (Vec::new(), Vec::new(), 0);
        while at < text.len() {
            at = split(text, at, b',', &mut fields)?;
            found.push(fields.iter().map(|field| field.text(text).into_owned()).collect());
        }
        Ok(found)
    }

    #[test]
    fn fields_end_at_separators_and_lines_outside_of_quotes() {
        let found = rows("a,\"b,\n\"\"c\"\"\",\r\n,\"\"\r\n\"\"\"\",x\r").expect("rows");
        let expected: [&[&str]; 3] = [&["a", "b,\n\"c\"", ""], &["", ""], &["\"", "x"]];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_quote_in_the_wrong_place_is_found_where_it_opens() {
        for (text, byte, part) in [
            ("ab,12\" pipe\n", 5, "after `12`"),
            ("ab,\"12 pipe\n1,2\n", 3, "no end"),
            ("ab,\"12\" pipe\n", 3, "stands ` pipe`"),
            ("ab,\"12\n1,2\n3,\"4\n", 3, "2 lines further on, before `4`"),
        ] {
            let (at, reason) = rows(text).expect_err(text);
            assert!(at == byte && reason.contains(part), "{text:?}: {at} {reason}");
        }
    }

    proptest! {
        #[test]
        fn what_was_quoted_reads_back(table in proptest::collection::vec(proptest::collection::vec("[a\", \n\r1é]{0,6}", 3), 1..9)) {
            let quoted = |field: &String| format!("\"{}\"", field.replace('"', "\"\""));
            let lines: Vec<String> =
                table.iter().map(|row| row.iter().map(quoted).collect::<Vec<_>>().join(",")).collect();
            prop_assert_eq!(rows(&lines.join("\r\n")).expect("rows"), table);
        }
    }
}

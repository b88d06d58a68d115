//! How numbers are written in CSV fields: the decimal mark, and what stands between thousands.

use std::borrow::Cow;

use experiment::CsvOptions;

/// The number in the notation of Rust (`1234.5`). `None` if the text is not written as the options
/// say. With the default options, every text is given back as it is.
pub(crate) fn plain<'a>(text: &'a str, options: &CsvOptions) -> Option<Cow<'a, str>> {
    let CsvOptions { decimal, thousands, .. } = *options;
    if decimal == '.' && thousands.is_none() {
        return Some(text.into());
    }
    let text = text.trim();
    let (mantissa, exponent) = text.find(['e', 'E']).map_or((text, ""), |at| text.split_at(at));
    let unsigned = mantissa.strip_prefix(['+', '-']).unwrap_or(mantissa);
    let sign = &mantissa[..mantissa.len() - unsigned.len()];
    let (whole, fraction) = unsigned.split_once(decimal).unwrap_or((unsigned, ""));
    let whole = ungrouped(whole, thousands)?;
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let has_digits = !whole.is_empty() || !fraction.is_empty();
    (has_digits && are_digits(&whole) && are_digits(fraction))
        .then(|| format!("{sign}{whole}.{fraction}{exponent}").into())
}

/// A whole number without what stands between its thousands. Each group but the first has three
/// digits.
fn ungrouped(whole: &str, thousands: Option<char>) -> Option<Cow<'_, str>> {
    let Some(mark) = thousands.filter(|mark| whole.contains(*mark)) else { return Some(whole.into()) };
    let mut groups = whole.split(mark);
    let first = groups.next().unwrap_or_default();
    let fits = (1..=3).contains(&first.len()) && groups.clone().all(|group| group.len() == 3);
    fits.then(|| std::iter::once(first).chain(groups).collect::<String>().into())
}

/// Options by which a text is a number, if it is none with the default options: a decimal comma,
/// or groups of thousands.
pub(crate) fn of_number(text: &str) -> Option<CsvOptions> {
    let text = text.trim();
    let by = |decimal, thousands| {
        let options = CsvOptions { decimal, thousands, ..CsvOptions::default() };
        plain(text, &options).is_some_and(|plain| plain.parse::<f64>().is_ok()).then_some(options)
    };
    let is_plain = text.parse::<f64>().is_ok();
    let found = [(',', None), (',', Some('.')), (',', Some(' ')), ('.', Some(','))].into_iter();
    found.filter(|_| !is_plain).find_map(|(decimal, thousands)| by(decimal, thousands))
}

/// The options of a number's notation as in an experiment file.
pub(crate) fn shown(options: &CsvOptions) -> String {
    let decimal = (options.decimal != '.').then(|| format!("decimal = \"{}\"", options.decimal));
    let thousands = options.thousands.map(|mark| format!("thousands = \"{mark}\""));
    decimal.into_iter().chain(thousands).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(decimal: char, thousands: Option<char>) -> CsvOptions {
        CsvOptions { decimal, thousands, ..CsvOptions::default() }
    }

    #[test]
    fn numbers_are_read_as_the_options_say_and_no_other_way() {
        let german = options(',', Some('.'));
        for (text, expected) in [
            ("1.234.567,5", Some("1234567.5")),
            ("-12,25", Some("-12.25")),
            (" 1234,5 ", Some("1234.5")),
            (",5", Some(".5")),
            ("7", Some("7.")),
            ("1,5e-3", Some("1.5e-3")),
            ("1.5", None),
            ("1.2345", None),
            ("12.34,5", None),
            ("1.234.56", None),
            (".234", None),
            ("1,2,3", None),
            ("NaN", None),
            (",", None),
            ("", None),
        ] {
            assert_eq!(plain(text, &german).as_deref(), expected, "{text}");
        }
        assert_eq!(plain("1,234.5", &options('.', Some(','))).as_deref(), Some("1234.5"));
        assert_eq!(plain("1 234", &options(',', None)), None);
        assert_eq!(plain("anything", &CsvOptions::default()).as_deref(), Some("anything"));
    }

    #[test]
    fn the_options_of_a_number_are_found() {
        let found = |text: &str| of_number(text).map(|options| shown(&options));
        assert_eq!(found("1,5").as_deref(), Some("decimal = \",\""));
        assert_eq!(found("1.234,5").as_deref(), Some("decimal = \",\", thousands = \".\""));
        assert_eq!(found("1 234,5").as_deref(), Some("decimal = \",\", thousands = \" \""));
        assert_eq!(found("1,234,567.5").as_deref(), Some("thousands = \",\""));
        assert_eq!([found("1.5"), found("red"), found("2021-01-31")], [None, None, None]);
    }
}

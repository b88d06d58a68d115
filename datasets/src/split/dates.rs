//! Dates and times as text: `01/31/2021`, `9 Jan 2021 10:00`, `2021-01-09T10:00:00+01:00`.
//!
//! [`read`] takes one text apart, without deciding what its numbers mean. [`Shape`] says how the
//! date is written: a letter for each part of it, and what stands between them. All values of a
//! column must have one shape, and a shape must leave no doubt about the order of year, month and
//! day; [`super::order`] sees to both. What is not understood here needs a form from the user,
//! which [`instant`] reads.

use jiff::civil::{Date, ISOWeekDate, Time, Weekday};
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::TimeZone;

/// Nanoseconds of a second.
const SECOND: i128 = 1_000_000_000;

/// A text taken apart.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    pub shape: Shape,
    /// The numbers of the date in the order of the text; a month's name is its number.
    numbers: Vec<i64>,
    /// Nanoseconds since midnight.
    time: i128,
    pub zone: Zone,
    /// The form of the time, as `by_format` would say it, with what stands before it.
    pub time_form: String,
}

/// How a date is written. `Y` is a number of four digits, `n` of one or two, `o` of three, `d` of
/// eight, `M` the name of a month; `W` and `Q` are these letters. All else stands for itself. It is
/// empty for a time without a date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape(pub String);

/// From where a time is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Zone {
    /// Nothing is said.
    Unsaid,
    /// So many seconds east of UTC.
    Offset(i32),
    /// A name or abbreviation, which is the same for all values of a column or can't be used.
    Named(String),
}

/// What the parts of a date are, in the order of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Year,
    Month,
    Day,
    DayOfYear,
    Week,
    Weekday,
    Quarter,
    /// Year, month and day in eight digits.
    All,
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// Takes a text apart; `None` if it is not written as dates and times are.
pub(super) fn read(text: &str) -> Option<Reading> {
    let text = text.trim();
    if text.is_empty() || !text.is_ascii() {
        return None;
    }
    let (date, time) = split_time(text);
    let (mut date, mut reading) = (date.to_owned(), Reading::midnight());
    if let Some(time) = time {
        let year = reading.read_time(time)?;
        if let Some(year) = year {
            date = format!("{date} {year}");
        }
    }
    (reading.shape, reading.numbers) = read_date(&date)?;
    (time.is_some() || !reading.numbers.is_empty()).then_some(reading)
}

/// The date and, with what stands before it, the time.
fn split_time(text: &str) -> (&str, Option<&str>) {
    let bytes = text.as_bytes();
    let digits_before = |place: usize| bytes[..place].iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let time = bytes.iter().enumerate().find_map(|(place, byte)| match byte {
        // `10:00`, or `2021:10:00` as web servers write it.
        b':' => match digits_before(place) {
            1 | 2 => Some(place - digits_before(place)),
            4 => Some(place + 1),
            _ => None,
        },
        // `2021-01-09T10`, `20210109T100000`.
        b'T' if digits_before(place) > 0 && bytes.get(place + 1).is_some_and(u8::is_ascii_digit) => Some(place + 1),
        _ => None,
    });
    match time {
        None => (text, None),
        Some(start) => {
            let date = text[..start].trim_end_matches([' ', 'T', 't', ',', ':']);
            (date, Some(&text[date.len()..]))
        }
    }
}

impl Reading {
    fn midnight() -> Self {
        let (shape, time_form) = (Shape(String::new()), String::new());
        Reading { shape, numbers: Vec::new(), time: 0, zone: Zone::Unsaid, time_form }
    }

    /// Reads a time and its zone; gives a year that stands at the end, as in `Jan 9 10:00:00 2021`.
    fn read_time<'a>(&mut self, text: &'a str) -> Option<Option<&'a str>> {
        let mut rest = text.trim_start_matches([' ', 'T', 't', ',', ':']);
        self.time_form = text[..text.len() - rest.len()].to_owned();
        let basic = rest.bytes().take_while(u8::is_ascii_digit).count() > 2;
        let mut fields = [0i8; 3];
        let mut read = 0;
        for (place, (field, form)) in fields.iter_mut().zip(["%H", "%M", "%S"]).enumerate() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let width = if basic { 2 } else { digits };
            if digits < width || !(1..=2).contains(&width) {
                return None;
            }
            *field = rest[..width].parse().ok()?;
            rest = &rest[width..];
            self.time_form.push_str(form);
            read = place + 1;
            match (basic, rest.strip_prefix(':')) {
                (false, Some(after)) if place < 2 => {
                    self.time_form.push(':');
                    rest = after;
                }
                (true, _) if place < 2 && rest.starts_with(|c: char| c.is_ascii_digit()) => {}
                _ => break,
            }
        }
        let mut nanoseconds = 0;
        if read == 3
            && let Some(fraction) = rest.strip_prefix(['.', ','])
        {
            let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
            if !(1..=9).contains(&digits) {
                return None;
            }
            nanoseconds = format!("{:0<9}", &fraction[..digits]).parse().ok()?;
            self.time_form.push_str("%.f");
            rest = &fraction[digits..];
        }
        let [mut hour, minute, second] = fields;
        let word = rest.trim_start();
        if let Some((after_noon, after)) = noon(word) {
            if !(1..=12).contains(&hour) {
                return None;
            }
            hour = hour % 12 + if after_noon { 12 } else { 0 };
            self.time_form = self.time_form.replace("%H", "%I") + &rest[..rest.len() - word.len()] + "%p";
            rest = after;
        }
        let time = Time::new(hour, minute, second, nanoseconds).ok()?;
        let seconds = i128::from(time.hour()) * 3600 + i128::from(time.minute()) * 60 + i128::from(time.second());
        self.time = seconds * SECOND + i128::from(time.subsec_nanosecond());
        let (zone, year) = read_zone(rest)?;
        if matches!(zone, Zone::Offset(_)) {
            self.time_form.push_str(if rest.starts_with(' ') { " " } else { "" });
            self.time_form.push_str(if rest.contains(':') { "%:z" } else { "%z" });
        }
        self.zone = zone;
        Some(year)
    }

    /// The values of a date whose parts mean this, in nanoseconds since 1970; `None` if there is no
    /// such date.
    pub fn instant(&self, parts: &[Part]) -> Option<i128> {
        let east = match self.zone {
            Zone::Offset(seconds) => i128::from(seconds) * SECOND,
            Zone::Unsaid | Zone::Named(_) => 0,
        };
        let day = if parts.is_empty() { 0 } else { since_1970(self.date(parts)?)? };
        Some(day + self.time - east)
    }

    fn date(&self, parts: &[Part]) -> Option<Date> {
        let of = |part: Part| parts.iter().position(|p| *p == part).and_then(|place| self.numbers.get(place).copied());
        let small = |part: Part| of(part).map_or(Some(1), |number| i8::try_from(number).ok());
        if let Some(all) = of(Part::All) {
            return date(all / 10_000, all / 100 % 100, all % 100);
        }
        let year = of(Part::Year)?;
        if let Some(day) = of(Part::DayOfYear) {
            let first = date(year, 1, 1)?;
            return (1..=i64::from(first.days_in_year()))
                .contains(&day)
                .then(|| first.with().day_of_year(day as i16).build().ok())?;
        }
        if of(Part::Week).is_some() {
            let weekday = Weekday::from_monday_one_offset(small(Part::Weekday)?).ok()?;
            return Some(ISOWeekDate::new(i16::try_from(year).ok()?, small(Part::Week)?, weekday).ok()?.date());
        }
        if let Some(quarter) = of(Part::Quarter) {
            return (1..=4).contains(&quarter).then(|| date(year, 3 * quarter - 2, 1))?;
        }
        date(year, of(Part::Month).unwrap_or(1), of(Part::Day).unwrap_or(1))
    }
}

fn date(year: i64, month: i64, day: i64) -> Option<Date> {
    Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

/// Nanoseconds from 1970 to the beginning of a day.
fn since_1970(date: Date) -> Option<i128> {
    let midnight = date.to_datetime(Time::midnight());
    Some(TimeZone::UTC.to_timestamp(midnight).ok()?.as_nanosecond())
}

/// Whether a text begins with `PM`, or with `AM`, and what stands after it.
fn noon(text: &str) -> Option<(bool, &str)> {
    let forms = [("a.m.", false), ("p.m.", true), ("am", false), ("pm", true)];
    forms.into_iter().find_map(|(form, after_noon)| {
        let head = text.get(..form.len())?;
        let rest = &text[form.len()..];
        let ends = !rest.starts_with(|c: char| c.is_ascii_alphanumeric());
        (head.eq_ignore_ascii_case(form) && ends).then_some((after_noon, rest))
    })
}

/// The zone at the end of a time, and a year after it.
fn read_zone(text: &str) -> Option<(Zone, Option<&str>)> {
    // What stands in brackets names the offset before it.
    let (text, comment) = match text.find(['[', '(']) {
        Some(place) if text.ends_with([']', ')']) => (text[..place].trim_end(), true),
        _ => (text.trim_end(), false),
    };
    let (text, year) = match text.rsplit_once(' ') {
        Some((before, year)) if year.len() == 4 && year.bytes().all(|byte| byte.is_ascii_digit()) => {
            (before.trim_end(), Some(year))
        }
        _ => (text, None),
    };
    let text = text.trim_start();
    let letters = text.bytes().take_while(u8::is_ascii_alphabetic).count();
    let (name, offset) = text.split_at(letters);
    let is_utc = ["", "z", "utc", "gmt"].contains(&name.to_ascii_lowercase().as_str());
    let zone = match (is_utc, offset) {
        (true, "") if name.is_empty() => Zone::Unsaid,
        (true, "") => Zone::Offset(0),
        (true, offset) => Zone::Offset(read_offset(offset)?),
        (false, "") => Zone::Named(name.to_owned()),
        (false, _) => return None,
    };
    (!comment || matches!(zone, Zone::Offset(_))).then_some((zone, year))
}

/// Seconds of `+01:00`, `+0100` or `+01`.
fn read_offset(text: &str) -> Option<i32> {
    let (sign, rest) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(rest), _) => (1, rest),
        (None, rest) => (-1, rest?),
    };
    let (hours, minutes) = match rest.split_once(':') {
        Some((hours, minutes)) if minutes.len() == 2 => (hours, minutes),
        Some(_) => return None,
        None if rest.len() == 4 => rest.split_at(2),
        None => (rest, "0"),
    };
    let number = |digits: &str| {
        let plain = (1..=2).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| digits.parse::<i32>().ok())?
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours <= 15 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// The shape and the numbers of a date. The name of a weekday is left out.
fn read_date(text: &str) -> Option<(Shape, Vec<i64>)> {
    let (mut shape, mut numbers) = (String::new(), Vec::new());
    let mut rest = text.trim();
    while let Some(first) = rest.chars().next() {
        let is_like_first = |c: char| match first {
            '0'..='9' => c.is_ascii_digit(),
            'a'..='z' | 'A'..='Z' => c.is_ascii_alphabetic(),
            _ => !c.is_ascii_alphanumeric(),
        };
        let (token, after) = rest.split_at(rest.find(|c| !is_like_first(c)).unwrap_or(rest.len()));
        rest = after;
        match first {
            '0'..='9' => {
                shape.push(match token.len() {
                    1 | 2 => 'n',
                    3 => 'o',
                    4 => 'Y',
                    8 => 'd',
                    _ => return None,
                });
                numbers.push(token.parse().ok()?);
                // `9th`
                let suffix = ["st", "nd", "rd", "th"].into_iter().find(|suffix| rest.starts_with(suffix));
                rest = suffix.map_or(rest, |suffix| &rest[suffix.len()..]);
            }
            'a'..='z' | 'A'..='Z' => {
                let word = token.to_ascii_lowercase();
                if WEEKDAYS.iter().any(|name| is_short_for(&word, name)) {
                    rest = rest.trim_start_matches(['.', ',', ' ']);
                } else if let Some(month) = MONTHS.iter().position(|name| is_short_for(&word, name)) {
                    shape.push('M');
                    numbers.push(month as i64 + 1);
                    rest = rest.strip_prefix('.').unwrap_or(rest);
                } else if ["W", "Q"].contains(&token) {
                    shape.push_str(token);
                } else {
                    return None;
                }
            }
            _ => match token.trim_matches([' ', ',']) {
                "" => shape.push(' '),
                mark if mark.len() == 1 => shape.push_str(mark),
                _ => return None,
            },
        }
    }
    Some((Shape(shape), numbers))
}

/// Whether a word is a name, its first three letters, or `sept`.
fn is_short_for(word: &str, name: &str) -> bool {
    word == name || word == &name[..3] || (word == "sept" && name == "september")
}

impl Shape {
    /// What the parts of dates of this shape mean: none if that is not understood, several if it is
    /// not certain.
    pub fn meanings(&self) -> Vec<Vec<Part>> {
        use Part::{All, Day, DayOfYear, Month, Quarter, Week, Weekday, Year};
        let letters: String = self.0.chars().filter(char::is_ascii_alphabetic).collect();
        let separators: Vec<char> = self.0.chars().filter(|c| !c.is_ascii_alphabetic()).collect();
        if separators.iter().any(|c| !matches!(c, '-' | '/' | '.' | ' ')) {
            return Vec::new();
        }
        match letters.as_str() {
            "" if self.0.is_empty() => vec![vec![]],
            "Ynn" => vec![vec![Year, Month, Day]],
            "nnY" => vec![vec![Day, Month, Year], vec![Month, Day, Year]],
            "nMY" => vec![vec![Day, Month, Year]],
            "MnY" => vec![vec![Month, Day, Year]],
            "YMn" => vec![vec![Year, Month, Day]],
            "Yn" => vec![vec![Year, Month]],
            "nY" => vec![vec![Month, Year]],
            "MY" => vec![vec![Month, Year]],
            "YM" => vec![vec![Year, Month]],
            "Yo" => vec![vec![Year, DayOfYear]],
            "YWn" => vec![vec![Year, Week]],
            "YWnn" => vec![vec![Year, Week, Weekday]],
            "YQn" => vec![vec![Year, Quarter]],
            "QnY" => vec![vec![Quarter, Year]],
            "d" => vec![vec![All]],
            "Y" => vec![vec![Year]],
            _ => Vec::new(),
        }
    }

    /// The form that says what the parts mean, as `by_format` takes it.
    pub fn form(&self, parts: &[Part]) -> String {
        let mut parts = parts.iter();
        let letter = |c: char| match c {
            'n' | 'Y' | 'o' | 'd' => match parts.next() {
                Some(Part::Year) => "%Y".to_owned(),
                Some(Part::Month) => "%m".to_owned(),
                _ => "%d".to_owned(),
            },
            'M' => "%b".to_owned(),
            other => other.to_string(),
        };
        self.0.chars().map(letter).collect()
    }
}

/// Nanoseconds since 1970 of a text in a form that a user gives; `None` if it is not written so.
pub(super) fn instant(form: &str, text: &str) -> Option<i128> {
    let mut broken = BrokenDownTime::parse(form, text.trim()).ok()?;
    if let Some(timestamp) = broken.timestamp() {
        return Some(timestamp.as_nanosecond());
    }
    let has_date = broken.year().is_some() || broken.iso_week_year().is_some();
    if !has_date && broken.hour().is_none() {
        return None;
    }
    let date = match broken.to_date() {
        Ok(date) => date,
        Err(_) if !has_date => Date::constant(1970, 1, 1),
        // A week, a month or a year without a day begins with the first one.
        Err(_) if broken.iso_week().is_some() && broken.weekday().is_none() => {
            broken.set_weekday(Some(Weekday::Monday));
            broken.to_date().ok()?
        }
        Err(_) if broken.day().is_none() => {
            broken.set_day(Some(1)).ok()?;
            if broken.month().is_none() {
                broken.set_month(Some(1)).ok()?;
            }
            broken.to_date().ok()?
        }
        Err(_) => return None,
    };
    let instant = TimeZone::UTC.to_timestamp(date.to_datetime(broken.to_time().ok()?)).ok()?.as_nanosecond();
    Some(instant - i128::from(broken.offset().map_or(0, |offset| offset.seconds())) * SECOND)
}

/// Whether a form can be used: nothing is unknown in it, and it says a year or a time.
pub(super) fn check_form(form: &str) -> Result<(), String> {
    let sample = jiff::Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
    let written = jiff::fmt::strtime::format(form, &sample).map_err(|error| error.to_string())?;
    BrokenDownTime::parse(form, &written).map_err(|error| error.to_string())?;
    match instant(form, &written) {
        Some(_) => Ok(()),
        None => Err("it says neither a year nor an hour".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds since 1970 of a text whose meaning is certain.
    fn seconds(text: &str) -> Option<i128> {
        let reading = read(text)?;
        match reading.shape.meanings().as_slice() {
            [parts] => Some(reading.instant(parts)? / SECOND),
            _ => None,
        }
    }

    #[test]
    fn certain_dates_and_times_are_read() {
        const DAY: i128 = 18_636 * 86_400; // 2021-01-09
        const TEN: i128 = DAY + 36_000;
        let cases = [
            ("2021-01-09", DAY),
            ("2021-1-9", DAY),
            ("2021/01/09", DAY),
            ("2021.01.09", DAY),
            ("09-Jan-2021", DAY),
            ("9 January 2021", DAY),
            ("9th January, 2021", DAY),
            ("9. Jan 2021", DAY),
            ("Jan 9, 2021", DAY),
            ("Jan. 9, 2021", DAY),
            ("Saturday, 9 Jan 2021", DAY),
            ("2021-Jan-09", DAY),
            ("2021-009", DAY),
            ("2021-W01-6", DAY),
            ("2021-W02", DAY + 2 * 86_400),
            ("Jan 2021", DAY - 8 * 86_400),
            ("01/2021", DAY - 8 * 86_400),
            ("2021-01", DAY - 8 * 86_400),
            ("2021-Q1", DAY - 8 * 86_400),
            ("Q1 2021", DAY - 8 * 86_400),
            ("2021-01-09 10:00", TEN),
            ("2021-01-09T10:00:00", TEN),
            ("2021-01-09T10", TEN),
            ("20210109T100000Z", TEN),
            ("2021-01-09 10:00:00.25", TEN),
            ("2021-01-09 10:00:00 AM", TEN),
            ("2021-01-09 10:00 p.m.", TEN + 43_200),
            ("2021-01-09 12:30 am", DAY + 1800),
            ("2021-01-09T10:00:00Z", TEN),
            ("2021-01-09T11:00:00+01:00", TEN),
            ("2021-01-09 05:00:00 -0500", TEN),
            ("2021-01-09T11:00+01:00[Europe/Berlin]", TEN),
            ("2021-01-09 10:00:00 UTC", TEN),
            ("Sat, 09 Jan 2021 11:00:00 +0100", TEN),
            ("Sat Jan  9 10:00:00 2021", TEN),
            ("Sat Jan 09 10:00:00 UTC 2021", TEN),
            ("Sat Jan 09 2021 11:00:00 GMT+0100 (Central European Standard Time)", TEN),
            ("09/Jan/2021:11:00:00 +0100", TEN),
            ("10:00", 36_000),
            ("9:05:01", 32_701),
        ];
        for (text, expected) in cases {
            assert_eq!(seconds(text), Some(expected), "{text}: {:?}", read(text));
        }
    }

    #[test]
    fn what_is_not_certain_or_no_date_is_not_read() {
        for text in [
            "01/02/2021",
            "01.02.21",
            "21-Jan-01",
            "2021-13-01",
            "2021-02-29",
            "2021-01-09 25:00",
            "2021-01-09 10:61",
            "2021-01-09 13:00 pm",
            "9. Januar 2021",
            "v1.2",
            "soon",
            "",
            "2021-01-09T",
            "2021-W54",
            "2021-Q5",
            "2021--1-9",
            "2021-01-09 10:00+99:00",
            "2021_01_09",
            "12021-01-01",
        ] {
            assert_eq!(seconds(text), None, "{text}: {:?}", read(text));
        }
    }

    #[test]
    fn a_given_form_is_read() {
        let day = |text: &str, form: &str| instant(form, text).map(|nanoseconds| nanoseconds / SECOND / 86_400);
        assert_eq!(day("01/09/2021", "%m/%d/%Y"), Some(18_636));
        assert_eq!(day("09/01/21", "%d/%m/%y"), Some(18_636));
        assert_eq!(day("01/2021", "%m/%Y"), Some(18_628));
        assert_eq!(day("2021", "%Y"), Some(18_628));
        assert_eq!(day("09012021", "%d%m%Y"), Some(18_636));
        assert_eq!(day("2021 week 2", "%G week %V"), Some(18_638));
        assert_eq!(instant("%d.%m.%Y %H:%M %z", "09.01.2021 11:00 +0100"), Some(1_610_186_400 * SECOND));
        assert_eq!(instant("%s", "1610186400"), Some(1_610_186_400 * SECOND));
        assert_eq!(instant("%H:%M", "10:30"), Some(37_800 * SECOND));
        assert_eq!((day("31/02/2021", "%d/%m/%Y"), day("2021-01-09", "%d/%m/%Y")), (None, None));
        assert!(check_form("%d/%m/%Y").is_ok() && check_form("%m/%Y").is_ok() && check_form("%s").is_ok());
        assert!(check_form("%d/%m").is_err() && check_form("%!").is_err());
    }

    #[test]
    fn the_form_of_a_shape_reads_its_texts() {
        for text in ["01/02/2021", "01.02.2021 10:00", "1-2-2021 10:00:00 PM", "01/02/2021T10:00:00.5+01:00"] {
            let reading = read(text).expect("a date");
            for parts in reading.shape.meanings() {
                let form = reading.shape.form(&parts) + &reading.time_form;
                assert_eq!(instant(&form, text), reading.instant(&parts), "{text} as {form}");
            }
        }
    }
}

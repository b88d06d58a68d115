//! Splits by the order of a column.

mod support;

use std::fs::File;

use datasets::SplitName;
use polars::prelude::*;
use support::Case;

/// 120 days from 2020-11-01, each as `shown` shows it, in an order that is not that of time. `age`
/// counts the days.
fn table(shown: impl Fn(usize, u32, usize) -> String) -> String {
    let months = [(2020, 11, 30), (2020, 12, 31), (2021, 1, 31), (2021, 2, 28)];
    let days = months.iter().flat_map(|&(year, month, days)| (1..=days).map(move |day| (year, month, day)));
    let rows: Vec<String> = days
        .enumerate()
        .map(|(age, (year, month, day))| format!("{},{age},{}\n", shown(year, month, day), age % 2))
        .collect();
    (0..rows.len())
        .map(|place| rows[place * 37 % rows.len()].as_str())
        .fold("date,age,y\n".to_owned(), |all, row| all + row)
}

fn experiment(split: &str) -> String {
    format!(
        "[dataset.t]\npath = \"t.csv\"\nfeatures = [\"age\"]\nsplit = {split}\n[task.y]\ndataset = \"t\"\n\
         target = \"y\"\nkind = \"binary\"\n"
    )
}

/// Writes a date from its year, month and day.
type Form = fn(usize, u32, usize) -> String;

const MONTHS: [&str; 13] = ["", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[test]
fn dates_as_text_split_by_time_however_they_are_written() {
    let forms: [(&str, Form); 10] = [
        ("month first", |y, m, d| format!("{m:02}/{d:02}/{y}")),
        ("day first", |y, m, d| format!("{d:02}.{m:02}.{y}")),
        ("short numbers", |y, m, d| format!("{y}-{m}-{d}")),
        ("names of months", |y, m, d| format!("{d:02}-{}-{y}", MONTHS[m as usize])),
        ("quoted, with a weekday", |y, m, d| format!("\"Mon, {} {d}, {y}\"", MONTHS[m as usize])),
        ("a time after noon", |y, m, d| format!("{m}/{d}/{y} {}:05 PM", 1 + d % 12)),
        ("time zones", |y, m, d| format!("{y}-{m:02}-{d:02}T12:00:00{}", ["Z", "+02:00", "-05:00"][d % 3])),
        ("without separators", |y, m, d| format!("{y}{m:02}{d:02}")),
        ("numbers of days", |y, m, d| ((y - 2020) * 372 + m as usize * 31 + d).to_string()),
        ("ISO", |y, m, d| format!("{y}-{m:02}-{d:02}")),
    ];
    for (name, form) in forms {
        let case = Case::new(&[("t.csv", &table(form))]);
        let prepared = case.prepare(&experiment("{ by = \"date\" }"));
        let ages = prepared.summary.tables[0].by.as_ref().expect("the ends");
        assert_eq!(ages.column, "date");
        assert_eq!(ages.parts[&SplitName::Train][0], form(2020, 11, 1).trim_matches('"'), "{name}");
        assert_eq!(ages.parts[&SplitName::Test][1], form(2021, 2, 28).trim_matches('"'), "{name}");
        assert_eq!(prepared.summary.tables[0].splits[&SplitName::Test], 24, "{name}");
    }
}

#[test]
fn no_row_of_the_future_trains() {
    let case = Case::new(&[("t.csv", &table(|y, m, d| format!("{m:02}/{d:02}/{y}")))]);
    let prepared = case.prepare(&experiment("{ by = \"date\", validation = 0.0 }"));
    let plan = &prepared.plan;
    let store = case.store(&prepared);
    let draws = (0..4).flat_map(|v| (0..8).map(move |step| (v, step)));
    let train: Vec<f32> = draws.flat_map(|(v, step)| store.batch(0, step, v).expect("drawn").dense).collect();
    let chunks = 0..plan.chunks(0, SplitName::Test);
    let test: Vec<f32> =
        chunks.flat_map(|chunk| store.chunk(0, SplitName::Test, chunk).expect("read").dense.clone()).collect();
    let (newest, oldest) = (train.into_iter().fold(f32::MIN, f32::max), test.into_iter().fold(f32::MAX, f32::min));
    assert!(newest < oldest, "{newest} trains, {oldest} tests");
}

#[test]
fn dates_that_can_be_read_in_two_ways_are_refused_until_the_file_says_how() {
    let text: String = (0..60).map(|i| format!("{:02}/{:02}/2021,{i},{}\n", i % 12 + 1, i / 12 + 1, i % 2)).collect();
    let case = Case::new(&[("t.csv", &format!("date,age,y\n{text}"))]);
    let message = case.refused(&experiment("{ by = \"date\" }"));
    for part in
        ["experiment.toml:5", "t.split.by", "column `date`", "`by_format = \"%d/%m/%Y\"`", "`by_format = \"%m/%d/%Y\"`"]
    {
        assert!(message.contains(part), "{part} is not in {message}");
    }
    let first_test = |form: &str| {
        let split = format!("{{ by = \"date\", by_format = \"{form}\" }}");
        case.prepare(&experiment(&split)).summary.tables[0].by.clone().expect("the ends").parts[&SplitName::Test]
            .clone()
    };
    // Months 1 to 12 and days 1 to 5, or days 1 to 12 and months 1 to 5: 12 of 60 rows test.
    assert_eq!(first_test("%m/%d/%Y"), ["10/04/2021", "12/05/2021"]);
    assert_eq!(first_test("%d/%m/%Y"), ["01/05/2021", "12/05/2021"]);
}

#[test]
fn text_without_a_certain_order_is_refused_and_can_be_ordered_by_its_bytes() {
    let text: String = (0..60).map(|i| format!("batch {i:02},{i},{}\n", i % 2)).collect();
    let case = Case::new(&[("t.csv", &format!("date,age,y\n{text}"))]);
    let message = case.refused(&experiment("{ by = \"date\" }"));
    assert!(message.contains("column `date`") && message.contains("by_format"), "{message}");
    let prepared = case.prepare(&experiment("{ by = \"date\", by_format = \"text\" }"));
    let ends = prepared.summary.tables[0].by.as_ref().expect("the ends");
    assert_eq!(ends.parts[&SplitName::Validation], ["batch 42", "batch 47"]);
}

#[test]
fn a_row_that_is_written_otherwise_is_refused_with_its_place() {
    let table = table(|y, m, d| format!("{y}-{m:02}-{d:02}")).replace("2021-01-17", "17/01/2021");
    let line = table.lines().position(|line| line.starts_with("17/")).expect("a line") + 1;
    let message = Case::new(&[("t.csv", &table)]).refused(&experiment("{ by = \"date\" }"));
    for part in ["t.csv", "column `date`", &format!("(line {line})"), "`17/01/2021` is written otherwise than"] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
}

#[test]
fn a_form_for_a_column_of_numbers_is_refused_at_its_key() {
    let rows: String = (0..60).map(|i| format!("{{\"date\": {i}, \"age\": {i}, \"y\": {}}}\n", i % 2)).collect();
    let case = Case::new(&[("t.ndjson", &rows)]);
    let of = |split: &str| experiment(split).replace("t.csv", "t.ndjson");
    let message = case.refused(&of("{ by = \"date\", by_format = \"%Y\" }"));
    assert!(message.contains("by_format") && message.contains("not text"), "{message}");
    assert!(
        case.refused(&experiment("{ by = \"age\", by_format = \"%!\" }").replace("t.csv", "t.ndjson"))
            .contains("by_format")
    );
    case.prepare(&of("{ by = \"date\" }"));
}

#[test]
fn numbers_as_text_are_ordered_as_numbers() {
    let rows: String = (0..60).map(|i| format!("{{\"n\": \"{}\", \"age\": {i}, \"y\": {}}}\n", i * 5, i % 2)).collect();
    let case = Case::new(&[("t.ndjson", &rows)]);
    let prepared = case.prepare(&experiment("{ by = \"n\" }").replace("t.csv", "t.ndjson"));
    let ends = prepared.summary.tables[0].by.as_ref().expect("the ends");
    assert_eq!(ends.parts[&SplitName::Test], ["240", "295"]);
}

#[test]
fn dates_and_times_of_a_file_are_shown_as_dates_and_times() {
    let case = Case::new(&[]);
    let days = |unit: &DataType| {
        let days: Vec<i32> = (0..60).map(|row| 18_600 + row * 37 % 60).collect();
        Series::new("date".into(), days).cast(&DataType::Date).and_then(|days| days.cast(unit)).expect("dates")
    };
    let kinds = [
        (DataType::Date, "2021-02-01"),
        (DataType::Datetime(TimeUnit::Microseconds, None), "2021-02-01 00:00:00"),
        (DataType::Datetime(TimeUnit::Milliseconds, Some(TimeZone::UTC)), "2021-02-01 00:00:00"),
    ];
    for (kind, last) in kinds {
        let age = Series::new("age".into(), (0..60).collect::<Vec<i32>>());
        let y = Series::new("y".into(), (0..60).map(|row| row % 2).collect::<Vec<i32>>());
        let mut frame = DataFrame::new(60, vec![days(&kind).into(), age.into(), y.into()]).expect("a table");
        ParquetWriter::new(File::create(case.path().join("t.parquet")).expect("a file"))
            .finish(&mut frame)
            .expect("written");
        let prepared = case.prepare(&experiment("{ by = \"date\" }").replace("t.csv", "t.parquet"));
        let ends = prepared.summary.tables[0].by.as_ref().expect("the ends");
        assert!(ends.parts[&SplitName::Test][1].starts_with(last), "{kind:?}: {ends:?}");
    }
}

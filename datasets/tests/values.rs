//! Whole numbers with more digits than a floating-point number has, in every format.

mod support;

use std::fmt::Write;
use std::fs::File;

use datasets::{Classes, Prepared, SplitName, TargetEncoding};
use polars::prelude::*;
use support::Case;

const FORMATS: [&str; 4] = ["csv", "parquet", "arrow", "ndjson"];

/// Ids that are pairwise equal as f64: signed, then unsigned beyond 2^63.
const SIGNED: [i64; 4] =
    [9_007_199_254_740_993, 9_007_199_254_740_992, -1_800_000_000_000_000_123, -1_800_000_000_000_000_124];
const UNSIGNED: [u64; 4] = [u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) + 1];

/// Writes a table with the columns `id`, `x` and `y` in all formats.
fn write_all<T: Copy + ToString>(case: &Case, name: &str, ids: &[T], series: impl Fn(Vec<T>) -> Series) {
    let rows = 48;
    let id = |row: usize| ids[row % ids.len()];
    let (mut csv, mut ndjson) = ("id,x,y\n".to_owned(), String::new());
    for row in 0..rows {
        let id = id(row).to_string();
        writeln!(csv, "{id},{row},{}", row % 3).expect("written");
        writeln!(ndjson, "{{\"id\": {id}, \"x\": {row}, \"y\": {}}}", row % 3).expect("written");
    }
    case.write(&format!("{name}.csv"), csv.as_bytes());
    case.write(&format!("{name}.ndjson"), ndjson.as_bytes());
    let numbers = |f: fn(usize) -> usize| (0..rows).map(|row| f(row) as i64).collect::<Vec<_>>();
    let columns = vec![
        series((0..rows).map(id).collect()).with_name("id".into()).into(),
        Series::new("x".into(), numbers(|row| row)).into(),
        Series::new("y".into(), numbers(|row| row % 3)).into(),
    ];
    let mut frame = DataFrame::new(rows, columns).expect("a table");
    let file = |extension: &str| File::create(case.path().join(format!("{name}.{extension}"))).expect("a file");
    ParquetWriter::new(file("parquet")).finish(&mut frame).expect("written");
    IpcWriter::new(file("arrow")).finish(&mut frame).expect("written");
}

fn tables() -> Case {
    let case = Case::new(&[]);
    write_all(&case, "signed", &SIGNED, |ids| Series::new("".into(), ids));
    write_all(&case, "unsigned", &UNSIGNED, |ids| Series::new("".into(), ids));
    case
}

fn experiment(file: &str, dataset: &str, task: &str) -> String {
    format!("[dataset.d]\npath = \"{file}\"\n{dataset}\n[task.t]\ndataset = \"d\"\n{task}\n")
}

/// What must be the same in all formats, checked for each.
fn in_all_formats(dataset: &str, task: &str, check: impl Fn(&str, &Prepared)) {
    let case = tables();
    for table in ["signed", "unsigned"] {
        let prepared = FORMATS.map(|format| {
            let prepared = case.prepare(&experiment(&format!("{table}.{format}"), dataset, task));
            check(table, &prepared);
            let plan = &prepared.plan;
            (plan.feeds()[0].partitions.clone(), plan.feeds()[0].chunks.clone(), plan.tables()[0].split.clone())
        });
        for (format, other) in FORMATS.iter().zip(&prepared) {
            assert_eq!(*other, prepared[0], "{table}.{format}");
        }
    }
}

fn expected(table: &str) -> Vec<String> {
    let mut signed = SIGNED;
    let mut unsigned = UNSIGNED;
    signed.sort_unstable();
    unsigned.sort_unstable();
    match table {
        "signed" => signed.map(|id| id.to_string()).to_vec(),
        _ => unsigned.map(|id| id.to_string()).to_vec(),
    }
}

#[test]
fn numbers_that_differ_in_their_last_digit_are_classes_in_their_order() {
    let task = "target = \"id\"\nkind = \"multiclass\"";
    in_all_formats("", task, |table, prepared| {
        let TargetEncoding::Classes(classes) = &prepared.plan.tasks()[0].encoding else { panic!("classes") };
        assert_eq!(classes.names(), expected(table));
        let rows: u64 = prepared.summary.tasks[0].classes.iter().flat_map(|(_, splits)| splits.values()).sum();
        assert_eq!(rows, 48, "{table}");
        let saved = serde_json::to_string(&*prepared.plan).expect("saved");
        assert_eq!(serde_json::from_str::<datasets::Plan>(&saved).expect("read"), *prepared.plan);
    });
}

#[test]
fn a_worker_labels_the_rows_as_the_coordinator_does() {
    let case = tables();
    for format in FORMATS {
        let text =
            experiment(&format!("unsigned.{format}"), "features = [\"x\"]", "target = \"id\"\nkind = \"multiclass\"");
        let prepared = case.prepare(&text);
        let store = case.store(&prepared);
        store.load_partitions(0, 0..4).expect("the data are the same");
        let chunk = store.chunk(0, SplitName::Train, 0).expect("read");
        let order = expected("unsigned");
        for (x, class) in chunk.dense.iter().zip(&chunk.targets[0].values) {
            // `x` is the row, standardised: rows of one class are 4 apart.
            let TargetEncoding::Classes(Classes::Digits(names)) = &prepared.plan.tasks()[0].encoding else {
                panic!("digits")
            };
            assert!(x.is_finite() && names[*class as usize] == order[*class as usize]);
        }
        let mut counts = [0; 4];
        chunk.targets[0].values.iter().for_each(|class| counts[*class as usize] += 1);
        let trained: Vec<u64> =
            prepared.summary.tasks[0].classes.iter().map(|(_, splits)| splits[&SplitName::Train]).collect();
        assert_eq!(counts.to_vec(), trained, "{format}");
    }
}

#[test]
fn a_binary_target_of_large_numbers_has_two_values_and_a_positive_one() {
    let rows: String = (0..40).map(|row| format!("{row},{}\n", SIGNED[row % 2])).collect();
    let case = Case::new(&[("t.csv", &format!("x,id\n{rows}"))]);
    for (positive, expected) in [(SIGNED[0], SIGNED[1]), (SIGNED[1], SIGNED[0])] {
        let task = format!("target = \"id\"\nkind = \"binary\"\npositive = {positive}");
        let prepared = case.prepare(&experiment("t.csv", "", &task));
        let TargetEncoding::Binary(classes) = &prepared.plan.tasks()[0].encoding else { panic!("two values") };
        assert_eq!(classes.names(), [expected.to_string(), positive.to_string()]);
    }
    let task = "target = \"id\"\nkind = \"binary\"\npositive = 9007199254740994";
    let message = case.refused(&experiment("t.csv", "", task));
    assert!(message.contains("no value `9007199254740994`"), "{message}");
}

#[test]
fn numbers_that_differ_in_their_last_digit_are_categories_of_their_own() {
    in_all_formats("types = { id = \"category\" }", "target = \"y\"\nkind = \"multiclass\"", |table, prepared| {
        let shown = &prepared.summary.feeds[0].features[0];
        assert_eq!(*shown, ("id".to_owned(), "one_hot(4)".to_owned()), "{table}");
    });
}

#[test]
fn groups_strata_and_order_see_the_last_digit() {
    for split in ["group = \"id\"", "stratify = \"id\"", "by = \"id\""] {
        let dataset = format!("features = [\"x\"]\nsplit = {{ {split}, validation = 0.25, test = 0.25 }}");
        in_all_formats(&dataset, "target = \"y\"\nkind = \"multiclass\"", |_, _| {});
    }
    // Ordered by their last digits: these rows run backwards.
    let first = i64::MAX - 40;
    let rows: String = (0..40).rev().map(|row| format!("{},{row},{}\n", first + row, row % 2)).collect();
    let case = Case::new(&[("t.csv", &format!("id,x,y\n{rows}"))]);
    let dataset = "features = [\"x\"]\nsplit = { by = \"id\", validation = 0.25, test = 0.25 }";
    let prepared = case.prepare(&experiment("t.csv", dataset, "target = \"y\"\nkind = \"binary\""));
    let test = case.store(&prepared).chunk(0, SplitName::Test, 0).expect("read");
    assert!(test.rows == 10 && test.dense.iter().all(|x| *x > 1.0), "{:?}", test.dense);
}

#[test]
fn a_group_of_numbers_in_one_table_is_that_of_their_texts_in_another() {
    let ids: Vec<u64> = (0..40).map(|i| 1_800_000_000_000_000_123 + 7 * i).collect();
    let case = Case::new(&[]);
    let lines = |quote: &str| -> String {
        ids.iter()
            .enumerate()
            .map(|(i, id)| format!("{{\"user\": {quote}{id}{quote}, \"x\": {i}, \"y\": {}}}\n", i % 2))
            .collect()
    };
    case.write("numbers.ndjson", lines("").as_bytes());
    case.write("texts.ndjson", lines("\"").as_bytes());
    let csv: String = ids.iter().enumerate().map(|(i, id)| format!("{id},{i},{}\n", i % 2)).collect();
    case.write("numbers.csv", format!("user,x,y\n{csv}").as_bytes());
    let splits = ["numbers.ndjson", "texts.ndjson", "numbers.csv"].map(|file| {
        let dataset = "features = [\"x\"]\nsplit = { group = \"user\", validation = 0.25, test = 0.25 }";
        let task = "target = \"y\"\nkind = \"binary\"";
        case.prepare(&experiment(file, dataset, task)).plan.tables()[0].split.clone()
    });
    assert!(splits.iter().all(|split| *split == splits[0]), "{splits:?}");
}

#[test]
fn decimals_keep_all_their_digits_and_are_rounded_once() {
    let case = Case::new(&[]);
    let digits =
        ["90071992547409931.25", "90071992547409931.5", "-0.5", "0.1", "12345678901234567890123456789012345.01"];
    let csv: String = (0..40).map(|row| format!("{},{row},{}\n", digits[row % digits.len()], row % 2)).collect();
    case.write("t.csv", format!("id,x,y\n{csv}").as_bytes());
    let unscaled = |text: &str| -> i128 {
        let (whole, fraction) = text.split_once('.').expect("a point");
        format!("{whole}{fraction:0<2}").parse().expect("a number")
    };
    let values: Vec<i128> = (0..40).map(|row| unscaled(digits[row % digits.len()])).collect();
    let id = Int128Chunked::from_vec("id".into(), values).into_decimal(38, 2).expect("decimals").into_series();
    let numbers = |f: fn(i64) -> i64| (0..40).map(f).collect::<Vec<i64>>();
    let columns = vec![
        id.into(),
        Series::new("x".into(), numbers(|row| row)).into(),
        Series::new("y".into(), numbers(|row| row % 2)).into(),
    ];
    let mut frame = DataFrame::new(40, columns).expect("a table");
    ParquetWriter::new(File::create(case.path().join("t.parquet")).expect("a file"))
        .finish(&mut frame)
        .expect("written");
    for task in ["target = \"id\"\nkind = \"multiclass\"", "target = \"id\"\nkind = \"regression\""] {
        let [csv, parquet] = ["t.csv", "t.parquet"].map(|file| case.prepare(&experiment(file, "", task)));
        assert_eq!(csv.plan.feeds()[0].partitions, parquet.plan.feeds()[0].partitions);
        assert_eq!(csv.plan.tasks()[0].encoding, parquet.plan.tasks()[0].encoding);
    }
}

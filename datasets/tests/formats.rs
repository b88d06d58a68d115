//! One table in every format gives the same rows, the same digests and the same batches.

mod support;

use std::fs::File;

use datasets::{Batch, SplitName};
use polars::prelude::*;
use support::{Case, table};

const EXPERIMENT: &str = r#"
[dataset.t]
path = "FILE"
types = { id = "category" }
[task.label]
dataset = "t"
target = "label"
kind = "multiclass"
[task.y]
dataset = "t"
target = "y"
kind = "regression"
"#;

/// The table with nulls, in all formats.
fn write_all(case: &Case) {
    let text = table(60).replacen(",17.25,", ",,", 1).replacen("blue", "", 1);
    case.write("t.csv", text.as_bytes());
    let mut frame = CsvReadOptions::default()
        .with_infer_schema_length(None)
        .try_into_reader_with_file_path(Some(case.path().join("t.csv")))
        .and_then(|reader| reader.finish())
        .expect("read");
    ParquetWriter::new(File::create(case.path().join("t.parquet")).expect("a file"))
        .finish(&mut frame)
        .expect("written");
    IpcWriter::new(File::create(case.path().join("t.arrow")).expect("a file")).finish(&mut frame).expect("written");
    JsonWriter::new(File::create(case.path().join("t.ndjson")).expect("a file"))
        .with_json_format(JsonFormat::JsonLines)
        .finish(&mut frame)
        .expect("written");
}

#[test]
fn every_format_gives_the_same_batches() {
    let case = Case::new(&[]);
    write_all(&case);
    let mut seen: Vec<(String, Vec<Batch>, Vec<String>)> = Vec::new();
    for file in ["t.csv", "t.parquet", "t.arrow", "t.ndjson"] {
        let prepared = case.prepare(&EXPERIMENT.replace("FILE", file));
        let store = case.store(&prepared);
        let mut batches: Vec<Batch> = (0..4).map(|v| store.batch(0, 3, v).expect("drawn")).collect();
        for split in SplitName::ALL {
            batches.push(Batch::clone(&store.chunk(0, split, 0).expect("read")));
        }
        seen.push((file.to_owned(), batches, prepared.plan.feeds()[0].partitions.clone()));
    }
    for (file, batches, digests) in &seen[1..] {
        assert_eq!(*digests, seen[0].2, "{file}");
        assert!(*batches == seen[0].1, "{file} gives other batches");
    }
}

#[test]
fn record_batches_of_an_ipc_file_are_one_table() {
    let case = Case::new(&[]);
    write_all(&case);
    let read = |file: &str| IpcReader::new(File::open(case.path().join(file)).expect("a file")).finish().expect("read");
    let mut frame = read("t.arrow");
    let colour = frame.column("colour").expect("text").cast(&DataType::from_categories(Categories::global()));
    frame.with_column(colour.expect("categories")).expect("replaced");
    for (file, rows) in [("seven.arrow", 7), ("large.arrow", 1000)] {
        IpcWriter::new(File::create(case.path().join(file)).expect("a file"))
            .with_record_batch_size(Some(rows))
            .finish(&mut frame)
            .expect("written");
    }
    let digests = ["t.arrow", "seven.arrow", "large.arrow"]
        .map(|file| case.prepare(&EXPERIMENT.replace("FILE", file)).plan.feeds()[0].partitions.clone());
    assert_eq!(digests[0], digests[1]);
    assert_eq!(digests[0], digests[2]);
}

#[test]
fn lists_and_arrays_are_flattened() {
    let case = Case::new(&[]);
    let lists: Vec<Series> =
        (0..40).map(|i| Series::new("".into(), [f64::from(i), f64::from(i * i % 7), 1.0])).collect();
    let list = Series::new("pixels".into(), lists);
    let label = Series::new("label".into(), (0..40).map(|i| i % 2).collect::<Vec<i32>>());
    for (file, data_type) in [
        ("list.parquet", DataType::List(Box::new(DataType::Float64))),
        ("array.parquet", DataType::Array(Box::new(DataType::Float32), 3)),
    ] {
        let pixels = list.cast(&data_type).expect("cast");
        let mut frame = DataFrame::new(40, vec![pixels.into(), label.clone().into()]).expect("a table");
        ParquetWriter::new(File::create(case.path().join(file)).expect("a file")).finish(&mut frame).expect("written");
        let text = EXPERIMENT
            .split("[task.y]")
            .next()
            .expect("a part")
            .replace("FILE", file)
            .replace("types = { id = \"category\" }", "");
        let prepared = case.prepare(&text);
        assert_eq!(prepared.plan.shapes().feeds[0].width, 3, "{file}");
        let chunk = case.store(&prepared).chunk(0, SplitName::Train, 0).expect("read");
        assert!(chunk.dense.iter().skip(2).step_by(3).all(|v| *v == 0.0), "a constant element is zeros");
    }
}

#[test]
fn dates_are_seconds_and_order_the_split() {
    let case = Case::new(&[]);
    let days = Series::new("day".into(), (0..40).rev().collect::<Vec<i32>>()).cast(&DataType::Date).expect("dates");
    let x = Series::new("x".into(), (0..40).collect::<Vec<i64>>());
    let label = Series::new("label".into(), (0..40).map(|i| i % 2).collect::<Vec<i32>>());
    let mut frame = DataFrame::new(40, vec![days.into(), x.into(), label.into()]).expect("a table");
    ParquetWriter::new(File::create(case.path().join("t.parquet")).expect("a file"))
        .finish(&mut frame)
        .expect("written");
    let text = EXPERIMENT.split("[task.y]").next().expect("a part").replace("FILE", "t.parquet");
    let by = text.replace("types = { id = \"category\" }", "split = { by = \"day\", validation = 0.25, test = 0.25 }");
    let prepared = case.prepare(&by);
    assert_eq!(prepared.plan.shapes().feeds[0].width, 1, "the column of the split is no feature unless it is named");
    // Days run backwards: the newest are the first rows.
    let test = case.store(&prepared).chunk(0, SplitName::Test, 0).expect("read");
    let newest = test.dense.iter().all(|x| *x < 0.0);
    assert!(newest && test.rows == 10, "{:?}", test.dense);
}

#[test]
fn several_files_and_row_groups_are_one_table() {
    let case = Case::new(&[]);
    let whole = table(60);
    let (header, rows) = whole.split_once('\n').expect("a header");
    let lines: Vec<&str> = rows.lines().collect();
    case.write("t.csv", whole.as_bytes());
    for (i, part) in lines.chunks(25).enumerate() {
        case.write(&format!("part/{i}.csv"), format!("{header}\r\n{}\r\n", part.join("\r\n")).as_bytes());
    }
    let digests = ["t.csv", "part/*.csv"]
        .map(|file| case.prepare(&EXPERIMENT.replace("FILE", file)).plan.feeds()[0].partitions.clone());
    assert_eq!(digests[0], digests[1]);
}

#[test]
fn separators_quotations_and_truth_values_are_read_as_they_are_written() {
    let text: String =
        (0..40).map(|i| format!("\"a;{}\";{};{}\n", i % 2, ["True", "false"][i / 2 % 2], i % 2)).collect();
    let case = Case::new(&[("t.csv", &format!("\u{feff}name;flag;label\n{text}"))]);
    let experiment = EXPERIMENT.split("[task.y]").next().expect("a part").replace("FILE", "t.csv");
    let prepared = case.prepare(&experiment.replace("types = { id = \"category\" }", "csv = { separator = \";\" }"));
    let columns: Vec<_> =
        prepared.summary.tables[0].columns.iter().map(|c| (c.name.as_str(), c.kind.as_str())).collect();
    assert_eq!(columns, [("name", "text"), ("flag", "boolean"), ("label", "number")]);
    let chunk = case.store(&prepared).chunk(0, SplitName::Train, 0).expect("read");
    for (row, label) in chunk.dense.chunks(4).zip(&chunk.targets[0].values) {
        assert_eq!((row[0], row[1], row[2] + row[3]), (1.0 - label, *label, 1.0));
    }
}

#[test]
fn tables_of_several_blocks_are_the_coordinators_in_both_orders() {
    let case = Case::new(&[("t.csv", &table(150_000))]);
    for order in ["file", "shuffled"] {
        let text = EXPERIMENT
            .replace("FILE", "t.csv")
            .replace("types = { id = \"category\" }", &format!("order = \"{order}\""));
        let prepared = case.prepare(&text);
        let store = case.store(&prepared);
        for v in [2, 0] {
            store.load_partition(0, v).expect("the data are the same");
        }
        assert_eq!(store.loaded(), [(0, 0), (0, 2)]);
        let full = store.resident_bytes();
        store.forget_unused(0);
        store.batch(0, 1000, 0).expect("drawn");
        store.forget_unused(1000);
        assert!(store.loaded() == [(0, 0)] && store.resident_bytes() < full);
        let last = prepared.plan.chunks(0, SplitName::Test) - 1;
        assert_eq!(
            store.chunk(0, SplitName::Test, last).expect("read").rows as u64,
            prepared.plan.chunk_rows(0, SplitName::Test, last)
        );
    }
}

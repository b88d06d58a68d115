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

/// Writes the table of `t.csv` as Parquet and Arrow IPC too, and gives it.
fn write_columnar(case: &Case) -> DataFrame {
    let mut frame = CsvReadOptions::default()
        .with_infer_schema_length(None)
        .try_into_reader_with_file_path(Some(case.path().join("t.csv")))
        .and_then(|reader| reader.finish())
        .expect("read");
    ParquetWriter::new(File::create(case.path().join("t.parquet")).expect("a file"))
        .finish(&mut frame)
        .expect("written");
    IpcWriter::new(File::create(case.path().join("t.arrow")).expect("a file")).finish(&mut frame).expect("written");
    frame
}

/// The table with nulls, in all formats.
fn write_all(case: &Case) {
    let text = table(60).replacen(",17.25,", ",,", 1).replacen("blue", "", 1);
    case.write("t.csv", text.as_bytes());
    let mut frame = write_columnar(case);
    JsonWriter::new(File::create(case.path().join("t.ndjson")).expect("a file"))
        .with_json_format(JsonFormat::JsonLines)
        .finish(&mut frame)
        .expect("written");
    let lines = std::fs::read_to_string(case.path().join("t.ndjson")).expect("is there");
    case.write("mark.ndjson", format!("\u{feff}{lines}").as_bytes());
}

#[test]
fn every_format_gives_the_same_batches() {
    let case = Case::new(&[]);
    write_all(&case);
    let mut seen: Vec<(String, Vec<Batch>, Vec<String>)> = Vec::new();
    for file in ["t.csv", "t.parquet", "t.arrow", "t.ndjson", "mark.ndjson"] {
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
    // Dates descend, so the newest are the first rows.
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

#[test]
fn arrays_of_objects_are_read_as_lines_of_objects_are() {
    let case = Case::new(&[]);
    write_all(&case);
    let lines = std::fs::read_to_string(case.path().join("t.ndjson")).expect("there");
    let objects: Vec<&str> = lines.lines().collect();
    case.write("compact.json", format!("[{}]", objects.join(",")).as_bytes());
    let pretty: Vec<String> =
        objects.iter().map(|object| object.replace(',', ",\n    ").replace('{', "{\n    ")).collect();
    case.write("pretty.json", format!("\u{feff}[\n  {}\n]\n", pretty.join(",\n  ")).as_bytes());
    let digests = ["t.ndjson", "compact.json", "pretty.json"].map(|file| {
        let prepared = case.prepare(&EXPERIMENT.replace("FILE", file));
        case.store(&prepared).load_partitions(0, 0..4).expect("the data are the same");
        prepared.plan.feeds()[0].partitions.clone()
    });
    assert_eq!(digests[0], digests[1]);
    assert_eq!(digests[0], digests[2]);
}

#[test]
fn arrow_streams_are_read_as_arrow_files_are() {
    let case = Case::new(&[]);
    write_all(&case);
    let mut frame = IpcReader::new(File::open(case.path().join("t.arrow")).expect("a file")).finish().expect("read");
    let colour = frame.column("colour").expect("text").cast(&DataType::from_categories(Categories::global()));
    frame.with_column(colour.expect("categories")).expect("replaced");
    let schema = frame.schema().to_arrow(CompatLevel::oldest());
    let mut bytes = Vec::new();
    let mut writer = polars_arrow::io::ipc::write::StreamWriter::new(&mut bytes, Default::default());
    writer.start(&schema, None).expect("begun");
    // Batches with dictionaries of their own.
    for start in [0, 25, 50] {
        let mut part = frame.slice(start, 25);
        part.rechunk_mut_par();
        let batch = part.iter_chunks(CompatLevel::oldest(), false).next().expect("a batch");
        writer.write(&batch, None).expect("written");
    }
    writer.finish().expect("finished");
    case.write("stream.arrow", &bytes);
    let digests = ["t.arrow", "stream.arrow"]
        .map(|file| case.prepare(&EXPERIMENT.replace("FILE", file)).plan.feeds()[0].partitions.clone());
    assert_eq!(digests[0], digests[1]);
}

#[test]
fn keys_that_come_late_are_columns_too() {
    let row = |i: usize| match i {
        70_000.. => format!("{{\"late\": {}, \"x\": {i}, \"word\": \"w{}\"}}\n", i % 2, i % 3),
        _ => format!("{{\"x\": {i}}}\n"),
    };
    let lines: String = (0..80_000).map(row).collect();
    let case = Case::new(&[("t.ndjson", &lines)]);
    let text = "[dataset.t]\npath = \"t.ndjson\"\n[task.late]\ndataset = \"t\"\ntarget = \"late\"\nkind = \"binary\"\n";
    let prepared = case.prepare(text);
    let columns: Vec<_> =
        prepared.summary.tables[0].columns.iter().map(|c| (c.name.as_str(), c.kind.as_str())).collect();
    assert_eq!(columns, [("x", "number"), ("late", "number"), ("word", "text")]);
    assert_eq!(prepared.summary.tasks[0].labelled.values().sum::<u64>(), 10_000);
    let store = case.store(&prepared);
    store.load_partitions(0, 0..4).expect("the data are the same");
}

#[test]
fn names_of_columns_are_literal() {
    let rows: String = (0..40).map(|i| format!("{i},{},{},{}\n", i * 2, i * 3, i % 2)).collect();
    let case = Case::new(&[("t.csv", &format!("x,*,^x.*$,y\n{rows}"))]);
    write_columnar(&case);
    let lines: String = (0..40)
        .map(|i| format!("{{\"x\": {i}, \"*\": {}, \"^x.*$\": {}, \"y\": {}}}\n", i * 2, i * 3, i % 2))
        .collect();
    case.write("t.ndjson", lines.as_bytes());
    for features in ["", "features = [\"x\"]", "features = [\"^x.*$\", \"*\"]"] {
        let digests = ["t.csv", "t.parquet", "t.arrow", "t.ndjson"].map(|file| {
            let text = format!(
                "[dataset.t]\npath = \"{file}\"\n{features}\n[task.y]\ndataset = \"t\"\ntarget = \"y\"\nkind = \"binary\"\n"
            );
            case.prepare(&text).plan.feeds()[0].partitions.clone()
        });
        assert!(digests.iter().all(|digest| *digest == digests[0]), "{features}");
    }
}

#[test]
fn compressed_text_is_read_as_the_text_in_it() {
    use std::io::Write;

    use polars::io::utils::compression::CompressedWriter;
    use polars::io::utils::file::{Writable, WritableTrait};

    let case = Case::new(&[]);
    let text = table(150_000);
    case.write("t.csv", text.as_bytes());
    for (name, gzip) in [("t.csv.gz", true), ("t.csv.zst", false)] {
        let file = Writable::Local(File::create(case.path().join(name)).expect("a file"));
        let mut writer = match gzip {
            true => CompressedWriter::gzip(file, None),
            false => CompressedWriter::zstd(file, None).expect("begun"),
        };
        writer.write_all(text.as_bytes()).expect("written");
        writer.close().expect("finished");
    }
    let digests = ["t.csv", "t.csv.gz", "t.csv.zst"].map(|file| {
        let prepared = case.prepare(&EXPERIMENT.replace("FILE", file));
        let store = case.store(&prepared);
        // Back and forth, over more than one block.
        store.load_partition(0, 2).expect("the data are the same");
        store.load_partition(0, 0).expect("the data are the same");
        prepared.plan.feeds()[0].partitions.clone()
    });
    assert_eq!(digests[0], digests[1]);
    assert_eq!(digests[0], digests[2]);
    let whole = std::fs::read(case.path().join("t.csv.gz")).expect("there");
    case.write("t.csv.gz", &whole[..whole.len() / 2]);
    let refused = case.refused(&EXPERIMENT.replace("FILE", "t.csv.gz"));
    assert!(refused.contains("t.csv.gz"), "{refused}");
}

#[test]
fn fields_of_a_tsv_file_are_between_tabs() {
    let text = table(60);
    let case = Case::new(&[("t.csv", &text), ("t.tsv", &text.replace(',', "\t"))]);
    let digests = ["t.csv", "t.tsv"]
        .map(|file| case.prepare(&EXPERIMENT.replace("FILE", file)).plan.feeds()[0].partitions.clone());
    assert_eq!(digests[0], digests[1]);
}

#[test]
fn numbers_with_a_decimal_comma_are_the_numbers_that_they_mean() {
    let rows = |decimal: &str, mark: &str| -> String {
        (0..60).map(|i| format!("{}{mark}{:03}{decimal}{};{}\n", i + 1, i * 7, i % 10, i % 2)).collect()
    };
    let case = Case::new(&[
        ("plain.csv", &format!("x;y\n{}", rows(".", ""))),
        ("german.csv", &format!("x;y\n{}", rows(",", "."))),
    ]);
    let experiment = |file: &str, more: &str| {
        format!(
            "[dataset.t]\npath = \"{file}\"\ncsv = {{ separator = \";\"{more} }}\n[task.y]\ndataset = \"t\"\ntarget = \"y\"\nkind = \"binary\"\n"
        )
    };
    let plain = case.prepare(&experiment("plain.csv", ""));
    let german = case.prepare(&experiment("german.csv", ", decimal = \",\", thousands = \".\""));
    assert_eq!(german.plan.feeds()[0].partitions, plain.plan.feeds()[0].partitions);
    assert!(plain.summary.warnings.iter().all(|warning| !warning.contains("looks like numbers")));

    // Without the keys it is text, and that is said.
    let text = case.prepare(&experiment("german.csv", ""));
    let warning =
        "column `x` is read as text, but looks like numbers: write `csv = { decimal = \",\", thousands = \".\" }`";
    assert!(text.summary.warnings.iter().any(|found| found.contains(warning)), "{:?}", text.summary.warnings);
    let typed =
        experiment("plain.csv", ", decimal = \",\"").replace("[task.y]", "types = { x = \"number\" }\n[task.y]");
    let refused = case.refused(&typed);
    assert!(refused.contains("is not a number written with decimal"), "{refused}");
}

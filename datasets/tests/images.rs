//! Images in list columns.

mod support;

use std::fs::File;

use datasets::{Batch, DataError, SplitName, encode_table};
use experiment::InputShape;
use polars::prelude::*;
use support::Case;

const VALUES: usize = 12;
const ROWS: usize = 40;

/// Byte `at` of image `row`.
fn byte(row: usize, at: usize) -> u8 {
    (row * 31 + at * 17 + row * at) as u8
}

/// A column of images.
fn images(change: impl Fn(usize, Vec<u8>) -> Option<Vec<u8>>) -> Series {
    let image = |row| {
        let bytes = change(row, (0..VALUES).map(|at| byte(row, at)).collect());
        bytes.map(|bytes| Series::new("".into(), bytes))
    };
    let rows: Vec<Option<Series>> = (0..ROWS).map(image).collect();
    Series::new("photo".into(), rows).cast(&DataType::List(Box::new(DataType::UInt8))).expect("lists of bytes")
}

fn write(case: &Case, name: &str, images: Series) {
    let rows = images.len();
    let label = Series::new("label".into(), (0..rows as i32).map(|i| i % 2).collect::<Vec<i32>>());
    let mut frame = DataFrame::new(rows, vec![images.into(), label.into()]).expect("a table");
    let file = File::create(case.path().join(name)).expect("a file");
    match name.rsplit_once('.').expect("an extension").1 {
        "arrow" => IpcWriter::new(file).with_record_batch_size(Some(7)).finish(&mut frame),
        "ndjson" => JsonWriter::new(file).with_json_format(JsonFormat::JsonLines).finish(&mut frame),
        _ => ParquetWriter::new(file).finish(&mut frame).map(drop),
    }
    .expect("written");
}

fn experiment(file: &str, more: &str) -> String {
    format!(
        "[dataset.t]\npath = \"{file}\"\n[dataset.t.input.photo]\nkind = \"image\"\ncolumn = \"photo\"\n\
         shape = [3, 2, 2]\n{more}\n[task.label]\ndataset = \"t\"\ntarget = \"label\"\nkind = \"binary\"\n"
    )
}

fn all(case: &Case, text: &str) -> Vec<Batch> {
    let prepared = case.prepare(text);
    let store = case.store(&prepared);
    let drawn = (0..4).map(|v| store.batch(0, 3, v).expect("drawn"));
    let chunks = SplitName::ALL.map(|split| Batch::clone(&store.chunk(0, split, 0).expect("read")));
    drawn.chain(chunks).collect()
}

#[test]
fn bytes_become_numbers_from_0_to_1_in_the_order_of_the_column() {
    let case = Case::new(&[]);
    write(&case, "t.parquet", images(|_, bytes| Some(bytes)));
    let prepared = case.prepare(&experiment("t.parquet", ""));
    let feed = &prepared.plan.shapes().feeds[0];
    assert_eq!((feed.input, feed.width), (InputShape::Image { channels: 3, height: 2, width: 2 }, VALUES));
    let shown = &prepared.summary.feeds[0];
    assert_eq!((shown.input.as_str(), shown.features[0].1.as_str()), ("image 3 x 2 x 2", "pixels(12)"));
    let rows = encode_table(&prepared.plan, 0, &case.path().join("t.parquet")).expect("opened").next();
    let dense = rows.expect("rows").expect("encoded").dense;
    for (at, value) in dense.iter().enumerate() {
        assert_eq!(*value, (f64::from(byte(at / VALUES, at % VALUES)) * (1.0 / 255.0)) as f32);
    }
}

#[test]
fn images_of_bytes_are_held_as_bytes() {
    let case = Case::new(&[]);
    write(&case, "t.parquet", images(|_, bytes| Some(bytes)));
    let prepared = case.prepare(&experiment("t.parquet", ""));
    let store = case.store(&prepared);
    store.load_partitions(0, 0..prepared.plan.microbatches()).expect("loaded");
    // A row takes one byte for each value, four for the label, and one for whether there is a
    // label.
    let rows = prepared.plan.rows(0, SplitName::Train);
    assert_eq!(store.resident_bytes(), rows * (VALUES as u64 + 5));
    assert_eq!(prepared.plan.row_bytes(0), VALUES as u64 + 5);
}

#[test]
fn every_format_and_number_type_gives_the_same_images() {
    let case = Case::new(&[]);
    let bytes = images(|_, bytes| Some(bytes));
    for file in ["t.parquet", "t.arrow", "t.ndjson"] {
        write(&case, file, bytes.clone());
    }
    write(&case, "wide.parquet", bytes.cast(&DataType::List(Box::new(DataType::Int32))).expect("cast"));
    write(&case, "array.parquet", bytes.cast(&DataType::Array(Box::new(DataType::UInt8), VALUES)).expect("cast"));
    for more in ["scale = 0.5", "scale = 0.5\nnormalize = true"] {
        let expected = all(&case, &experiment("t.parquet", more));
        for file in ["t.arrow", "t.ndjson", "wide.parquet", "array.parquet"] {
            assert!(all(&case, &experiment(file, more)) == expected, "{file}: {more}");
        }
    }
}

#[test]
fn normalized_channels_have_mean_0_and_std_1_in_the_training_rows() {
    let case = Case::new(&[]);
    write(&case, "t.parquet", images(|_, bytes| Some(bytes)));
    let prepared = case.prepare(&experiment("t.parquet", "normalize = true"));
    let chunk = case.store(&prepared).chunk(0, SplitName::Train, 0).expect("read");
    for channel in 0..3 {
        let values: Vec<f64> = chunk
            .dense
            .chunks(VALUES)
            .flat_map(|image| &image[channel * 4..][..4])
            .map(|value| f64::from(*value))
            .collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64;
        assert!(mean.abs() < 1e-6 && (variance - 1.0).abs() < 1e-5, "channel {channel}: {mean}, {variance}");
    }
    let given = "normalize = { mean = [0.5, 0.5, 0.5], std = [0.5, 0.5, 0.5] }";
    let batches = all(&case, &experiment("t.parquet", given));
    let plain = all(&case, &experiment("t.parquet", ""));
    for (given, plain) in batches.iter().zip(&plain).flat_map(|(given, plain)| given.dense.iter().zip(&plain.dense)) {
        assert!((given - (plain - 0.5) / 0.5).abs() < 1e-6);
    }
}

#[test]
fn images_of_two_tables_share_their_statistics_if_their_inputs_are_equal() {
    let case = Case::new(&[]);
    write(&case, "t.parquet", images(|_, bytes| Some(bytes)));
    write(&case, "u.parquet", images(|_, bytes| Some(bytes.into_iter().map(|byte| byte / 4).collect())));
    let second = |more: &str| {
        let text = experiment("u.parquet", more).replace("dataset.t", "dataset.u").replace("\"t\"", "\"u\"");
        text.replace("task.label", "task.other")
    };
    let encodings = |preprocessing: &str, more: &str| {
        let first = experiment("t.parquet", "normalize = true");
        let plan = case.prepare(&format!("preprocessing = \"{preprocessing}\"\n{first}{}", second(more))).plan;
        [0, 1].map(|feed: usize| plan.feeds()[feed].features[0].encoding.clone())
    };
    let own = encodings("own", "normalize = true");
    let shared = encodings("shared", "normalize = true");
    assert!(own[0] != own[1] && shared[0] == shared[1] && shared[0] != own[0]);
    let other = encodings("shared", "normalize = true\nscale = 0.5");
    assert!(other[0] == own[0] && other[0] != other[1]);
}

#[test]
fn the_plan_survives_json_and_a_prediction_table_may_have_other_numbers() {
    let case = Case::new(&[]);
    let bytes = images(|_, bytes| Some(bytes));
    write(&case, "t.parquet", bytes.clone());
    write(&case, "new.ndjson", bytes.clone());
    let prepared = case.prepare(&experiment("t.parquet", "normalize = true"));
    let text = serde_json::to_string(&*prepared.plan).expect("JSON");
    let back: datasets::Plan = serde_json::from_str(&text).expect("a plan");
    assert_eq!(back, *prepared.plan);
    let encode = |name| encode_table(&back, 0, &case.path().join(name)).expect("opened").next().expect("rows");
    assert_eq!(encode("new.ndjson").expect("encoded"), encode("t.parquet").expect("encoded"));
    write(&case, "wrong.parquet", bytes.cast(&DataType::List(Box::new(DataType::Float64))).expect("cast"));
    assert!(encode("wrong.parquet").is_ok());
    case.write("wrong.ndjson", b"{\"photo\": [1, 2, 300, 4, 5, 6, 7, 8, 9, 10, 11, 12]}\n");
    let message = encode("wrong.ndjson").expect_err("not a byte").to_string();
    assert!(message.contains("row 1") && message.contains("element 3: 300 is not a whole number"), "{message}");
}

#[test]
fn a_wrong_image_is_refused_with_file_column_and_row() {
    let case = Case::new(&[]);
    let place = |error: DataError| match error {
        DataError::Cell { file, column, row, reason, .. } => (file.display().to_string(), column, row, reason),
        other => panic!("{other}"),
    };
    let refused = |images: Series| {
        write(&case, "t.parquet", images);
        place(case.refusal(&experiment("t.parquet", "")))
    };
    let (file, column, row, reason) = refused(images(|row, bytes| (row != 17).then_some(bytes)));
    assert_eq!((file.as_str(), column.as_str(), row), ("t.parquet", "photo", 18));
    assert!(reason.contains("no image (null)"), "{reason}");
    let (_, _, row, reason) = refused(images(|row, bytes| Some(if row == 30 { bytes[1..].to_vec() } else { bytes })));
    assert!(row == 31 && reason.contains("11 values") && reason.contains("`shape` has 12"), "{reason}");
    let value = |row, at| (row != 5 || at != 3).then_some(1.0);
    let image = |row| Series::new("".into(), (0..VALUES).map(|at| value(row, at)).collect::<Vec<Option<f64>>>());
    let rows: Vec<Series> = (0..ROWS).map(image).collect();
    let (_, _, row, reason) = refused(Series::new("photo".into(), rows));
    assert!(row == 6 && reason.contains("element 4: the value is missing"), "{reason}");
}

#[test]
fn an_input_that_does_not_fit_is_refused_at_its_key() {
    let case = Case::new(&[]);
    write(&case, "t.parquet", images(|_, bytes| Some(bytes)));
    let base = experiment("t.parquet", "");
    let says = |text: &str, parts: &[&str]| {
        let path = case.write("experiment.toml", format!("name = \"test\"\n{text}").as_bytes());
        let message = match experiment::load(&path, &[], &experiment::UncheckedModel) {
            Ok(loaded) => datasets::prepare(&loaded).expect_err("refused").to_string(),
            Err(error) => error.to_string(),
        };
        for part in parts {
            assert!(message.contains(part), "`{part}` is not in:\n{message}");
        }
    };
    says(&base.replace("[3, 2, 2]", "[3, 2, 3]"), &["experiment.toml:7", "is 18 values", "`photo` has 12"]);
    says(&base.replace("\"photo\"\nshape", "\"label\"\nshape"), &["experiment.toml:6", "`label` holds number"]);
    says(&base.replace("\"photo\"\nshape", "\"foto\"\nshape"), &["experiment.toml:6", "did you mean `photo`?"]);
    says(&base.replace("kind = \"image\"", "kind = \"picture\""), &["experiment.toml:5", "table, image"]);
    says(&base.replace("shape = [3, 2, 2]\n", ""), &["experiment.toml:4", "missing key `shape`"]);
    says(&base.replace("path =", "features = [\"photo\"]\npath ="), &["give either `features` or `input`, not both"]);
    says(&base.replace("kind = \"binary\"", "kind = \"binary\"\nfeatures = [\"photo\"]"), &["has the input `photo`"]);
    says(&format!("{base}[dataset.t.input.more]\nkind = \"table\"\n"), &["there are 2 inputs (`photo`, `more`)"]);
}

#[test]
fn a_table_input_is_what_features_choose() {
    let case = Case::new(&[("t.csv", &support::table(60))]);
    let batches = |more: &str| all(&case, &support::experiment(more));
    let input = "[dataset.t.input.numbers]\nkind = \"table\"\ncolumns = [\"*\", \"!id\"]";
    assert!(batches(input) == batches("features = [\"*\", \"!id\"]"));
    assert!(batches("[dataset.t.input.numbers]\nkind = \"table\"") == batches(""));
    let message = case.refused(&support::experiment("[dataset.t.input.numbers]\nkind = \"table\"\ncolumns = [\"z\"]"));
    assert!(message.contains("no column `z`") && message.contains("experiment.toml:6"), "{message}");
}

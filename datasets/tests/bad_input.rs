//! Data that can't be used: one clear message each, with the place.

mod support;

use datasets::{DataError, Store};
use support::{Case, experiment, table};

fn case() -> Case {
    Case::new(&[("t.csv", &table(60))])
}

fn with(text: &str) -> Case {
    Case::new(&[("t.csv", text)])
}

/// Each part of the message is there.
#[track_caller]
fn says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in:\n{message}");
    }
}

#[test]
fn a_missing_file_is_named_at_its_key() {
    let case = Case::new(&[]);
    says(&case.refused(&experiment("")), &["experiment.toml:3", "t.csv", "no such file"]);
}

#[test]
fn an_empty_file_is_refused() {
    says(&with("").refused(&experiment("")), &["t.csv", "the file is empty"]);
}

#[test]
fn a_header_without_rows_is_refused() {
    says(&with("id,x,y,colour,label\n").refused(&experiment("")), &["experiment.toml:3", "t.path", "no rows"]);
}

#[test]
fn a_file_that_is_not_what_its_name_says_is_refused() {
    let case = Case::new(&[("t.parquet", "id,x\n1,2\n")]);
    says(&case.refused(&experiment("").replace("t.csv", "t.parquet")), &["t.parquet", "not a parquet file"]);
}

#[test]
fn an_extension_that_says_no_format_asks_for_one() {
    let case = Case::new(&[("t.dat", &table(60))]);
    says(&case.refused(&experiment("").replace("t.csv", "t.dat")), &["experiment.toml:3", "format = "]);
    case.prepare(&experiment("format = \"csv\"").replace("t.csv", "t.dat"));
}

#[test]
fn a_missing_target_names_the_nearest_column() {
    let text = experiment("").replace("target = \"label\"", "target = \"lable\"");
    says(&case().refused(&text), &["experiment.toml:", "no column `lable`", "did you mean `label`?"]);
}

#[test]
fn a_missing_feature_names_the_nearest_column() {
    says(
        &case().refused(&experiment("features = [\"x\", \"color\"]")),
        &["experiment.toml:4", "no column `color`", "`colour`"],
    );
}

#[test]
fn a_glob_that_matches_nothing_is_refused() {
    says(&case().refused(&experiment("features = [\"pixel_*\"]")), &["experiment.toml:4", "no column", "pixel_*"]);
}

#[test]
fn a_target_among_its_own_features_is_refused() {
    says(&case().refused(&experiment("features = [\"x\", \"label\"]")), &["experiment.toml:4", "label"]);
}

#[test]
fn text_in_a_number_column_is_refused_with_row_line_and_value() {
    let text = table(60).replacen("\n20,", "\n\n20,", 1).replacen(",17.25,", ",abc,", 1);
    let row = table(60).lines().position(|line| line.contains(",17.25,")).expect("a row");
    let message = with(&text).refused(&experiment(""));
    says(&message, &["t.csv", "column `x`", &format!("row {row} "), "`abc` is not a number"]);
}

#[test]
fn text_in_a_number_column_is_found_in_ndjson_too() {
    let lines: String = (0..40)
        .map(|i| {
            format!("{{\"x\": {}, \"label\": {}}}\n", if i == 30 { "\"abc\"".to_owned() } else { i.to_string() }, i % 2)
        })
        .collect();
    let case = Case::new(&[("t.ndjson", &lines)]);
    let message = case.refused(&experiment("").replace("t.csv", "t.ndjson"));
    says(&message, &["column `x`", "row 31 (line 31)", "\"abc\" is not a number"]);
}

#[test]
fn nan_and_infinite_features_are_refused_with_their_row() {
    for (value, reason) in [("NaN", "NaN"), ("inf", "infinite"), ("-inf", "infinite"), ("1e999", "infinite")] {
        let text = table(60).replacen(",17.25,", &format!(",{value},"), 1);
        let row = table(60).lines().position(|line| line.contains(",17.25,")).expect("a row");
        says(&with(&text).refused(&experiment("")), &["column `x`", &format!("row {row} (line {})", row + 1), reason]);
    }
}

#[test]
fn a_nan_that_is_declared_null_is_a_null() {
    let text = table(60).replacen(",17.25,", ",NaN,", 1);
    let prepared = with(&text).prepare(&experiment("csv = { null_values = [\"NaN\"] }"));
    assert_eq!(prepared.summary.tables[0].columns[1].nulls, Some(1));
}

#[test]
fn a_target_that_is_null_everywhere_is_refused() {
    let text = table(60).replace(",a\n", ",\n").replace(",b\n", ",\n").replace(",c\n", ",\n");
    says(&with(&text).refused(&experiment("")), &["experiment.toml:7", "task.label.target", "no row has a label"]);
}

#[test]
fn fewer_training_rows_than_microbatches_are_refused() {
    let message = with(&table(8)).refused(&format!("{}[train]\nsteps = 1\nmicrobatches = 7\n", experiment("")));
    says(&message, &["experiment.toml:11", "train.microbatches", "`t` has 5 training rows for 7 microbatches"]);
    let message = with(&table(3)).refused(&experiment(""));
    says(&message, &["experiment.toml:2", "`t` has 2 training rows for 4 microbatches", "`train.microbatches`"]);
}

#[test]
fn a_row_with_more_fields_than_the_header_is_refused_with_its_place() {
    for (row, other) in [(1, "0,1,2,red,a,b"), (31, "30,1,2,\"a,b\",c,d")] {
        let mut lines: Vec<String> = table(60).lines().map(str::to_owned).collect();
        lines[row] = other.to_owned();
        let place = format!("row {row} (line {})", row + 1);
        says(&with(&lines.join("\n")).refused(&experiment("")), &["t.csv", &place, "6 fields, but the header has 5"]);
    }
}

#[test]
fn text_that_is_not_utf_8_is_refused_with_its_row() {
    let case = case();
    let mut bytes = table(60).into_bytes();
    let place = bytes.windows(4).rposition(|four| four == b"blue").expect("a colour");
    bytes[place] = 0xfc;
    let row = bytes[..place].iter().filter(|byte| **byte == b'\n').count();
    case.write("t.csv", &bytes);
    let place = format!("row {row} (line {})", row + 1);
    says(&case.refused(&experiment("")), &["t.csv", &place, "0xfc is not UTF-8"]);
}

#[test]
fn another_separator_than_the_headers_is_asked_for() {
    let message = with(&table(60).replace(',', ";")).refused(&experiment(""));
    says(&message, &["experiment.toml:3", "t.csv", "one column, `id;x;y;colour;label`", "csv = { separator = \";\" }"]);
    let message = case().refused(&experiment("csv = { separator = \"\\t\" }"));
    says(&message, &["one column", "csv = { separator = \",\" }"]);
}

#[test]
fn a_folder_and_a_missing_file_are_named_before_their_format_is_asked_for() {
    let case = case();
    std::fs::create_dir(case.path().join("tables")).expect("a folder");
    says(&case.refused(&experiment("").replace("t.csv", "tables")), &["tables", "a folder", "glob"]);
    says(&case.refused(&experiment("").replace("t.csv", "table")), &["table", "no such file"]);
}

#[test]
fn a_line_that_is_not_json_has_its_row_and_character() {
    let case = Case::new(&[("t.ndjson", "{\"x\": 1, \"label\": 2}\n{\"x\": 1, \"label\" 2}\n")]);
    let message = case.refused(&experiment("").replace("t.csv", "t.ndjson"));
    says(&message, &["t.ndjson", "row 2 is not JSON", "expected `:`, at character 18"]);
    assert!(!message.contains("line 1 column"), "{message}");
}

#[test]
fn text_as_the_target_of_a_regression_is_refused() {
    let text = experiment("").replace("multiclass", "regression");
    says(&case().refused(&text), &["column `label`, row 1", "`a` is not a number"]);
}

#[test]
fn three_values_are_no_binary_target() {
    says(&case().refused(&experiment("").replace("multiclass", "binary")), &["3 values", "`a`, `b`, `c`"]);
}

#[test]
fn a_positive_value_that_no_row_has_is_refused() {
    let text = table(60).replace(",c\n", ",a\n");
    let experiment = format!("{}positive = \"yes\"\n", experiment("").replace("multiclass", "binary"));
    says(&with(&text).refused(&experiment), &["positive", "no value `yes`", "`a` and `b`"]);
}

#[test]
fn files_of_one_dataset_must_agree_in_columns() {
    let other = table(20).replace("colour", "color");
    let case = Case::new(&[("a.csv", &table(60)), ("b.csv", &other)]);
    let message = case.refused(&experiment("").replace("\"t.csv\"", "\"*.csv\""));
    says(&message, &["b.csv", "column `colour`", "a.csv"]);
}

#[test]
fn a_split_column_with_another_name_is_refused_with_its_row() {
    let text =
        "part,x,label\n".to_owned() + &"train,1,a\ntest,2,b\nvalidation,3,a\ntrain,4,b\n".repeat(5) + "holdout,1,a\n";
    let message = with(&text).refused(&experiment("split = { column = \"part\" }"));
    says(&message, &["column `part`", "row 21 (line 22)", "`holdout` is not `train`, `validation` or `test`"]);
}

#[test]
fn a_null_date_is_refused_with_its_row() {
    let text = table(60).replacen("\n7,", "\n,", 1);
    says(&with(&text).refused(&experiment("split = { by = \"id\" }")), &["column `id`", "row 8", "null"]);
}

#[test]
fn lists_of_unequal_length_are_refused_with_their_row() {
    let lines: String = (0..40)
        .map(|i| format!("{{\"x\": {}, \"label\": {}}}\n", if i == 12 { "[1]" } else { "[1, 2]" }, i % 2))
        .collect();
    let case = Case::new(&[("t.ndjson", &lines)]);
    let message = case.refused(&experiment("").replace("t.csv", "t.ndjson"));
    says(&message, &["column `x`", "row 13", "1 numbers", "has 2"]);
}

#[test]
fn an_unfinished_quotation_is_refused() {
    let text = table(60).replacen(",red,", ",\"red,", 1);
    let message = with(&text).refused(&experiment(""));
    says(&message, &["t.csv"]);
}

#[test]
fn a_worker_with_other_data_is_refused_with_feed_and_partition() {
    let case = case();
    let prepared = case.prepare(&experiment(""));
    // Another value of the same length, so that only the digests tell.
    case.write("t.csv", table(60).replacen(",17.25,", ",17.75,", 1).as_bytes());
    let store = Store::open(prepared.plan.clone(), case.path()).expect("size and rows are the same");
    let error =
        store.load_partitions(0, 0..4).and_then(|()| store.chunk(0, datasets::SplitName::Validation, 0).map(|_| ()));
    let error = error.and_then(|()| store.chunk(0, datasets::SplitName::Test, 0).map(|_| ())).expect_err("other data");
    assert!(matches!(&error, DataError::Different { feed, .. } if feed == "t"), "{error}");
    case.write("t.csv", table(59).as_bytes());
    says(
        &Store::open(prepared.plan, case.path()).expect_err("fewer rows").to_string(),
        &["t.csv", "bytes here", "was planned with"],
    );
}

#[test]
fn a_negative_count_is_refused_with_its_cell() {
    let text = experiment("").replace(
        "target = \"label\"\nkind = \"multiclass\"",
        "target = \"y\"\nkind = \"regression\"\nloss = \"poisson\"",
    );
    says(&case().refused(&text), &["t.csv", "column `y`, row 1", "-3 is not a count: labels of loss `poisson`"]);
}

//! Data that can't be used is refused with one clear message and the place.

mod support;

use datasets::{DataError, Store};
use support::{Case, experiment, table};

fn case() -> Case {
    Case::new(&[("t.csv", &table(60))])
}

fn with(text: &str) -> Case {
    Case::new(&[("t.csv", text)])
}

/// Checks that the message has each of these parts.
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
fn three_values_are_not_a_binary_target() {
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
    // The other value has the same length, so only the digests differ.
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

fn ndjson(lines: &str, task: &str) -> (Case, String) {
    let text = format!("[dataset.t]\npath = \"t.ndjson\"\n[task.label]\ndataset = \"t\"\n{task}\n");
    (Case::new(&[("t.ndjson", lines)]), text)
}

#[test]
fn a_row_with_fewer_fields_than_the_header_is_refused_with_its_place() {
    for (row, other, fields) in [(1, "0", "1 field,"), (31, "30,1,2,red", "4 fields,"), (60, "59,1", "2 fields,")] {
        let mut lines: Vec<String> = table(60).lines().map(str::to_owned).collect();
        lines[row] = other.to_owned();
        let place = format!("row {row} (line {})", row + 1);
        for features in ["", "features = [\"id\"]"] {
            let message = with(&lines.join("\n")).refused(&experiment(features));
            says(&message, &["t.csv", &place, fields, "but the header has 5"]);
        }
    }
}

#[test]
fn a_lone_quote_is_refused_with_the_line_where_it_opens() {
    let lines: Vec<String> = table(60).lines().map(str::to_owned).collect();
    let replaced = |changes: &[(usize, &str, &str)]| {
        let mut lines = lines.clone();
        changes.iter().for_each(|(row, from, to)| lines[*row] = lines[*row].replacen(from, to, 1));
        lines.join("\n")
    };
    // Within a field, and a second one further on.
    let text = replaced(&[
        (11, ",red,", ",12\" pipe,"),
        (11, ",green,", ",12\" pipe,"),
        (11, ",blue,", ",12\" pipe,"),
        (40, ",red,", ",3\" rod,"),
    ]);
    says(&with(&text).refused(&experiment("")), &["t.csv", "row 11 (line 12)", "after `12`", "written twice"]);
    // At the beginning of a field: closed nowhere, by another lone quote, or in its own field.
    let at = |row: usize| {
        if lines[row].contains(",red,") {
            ",red,"
        } else if lines[row].contains(",blue,") {
            ",blue,"
        } else {
            ",green,"
        }
    };
    let text = replaced(&[(20, at(20), ",\"red,")]);
    says(&with(&text).refused(&experiment("")), &["row 20 (line 21)", "a quotation begins here and has no end"]);
    let text = replaced(&[(20, at(20), ",\"red,"), (30, at(30), ",\"blue,")]);
    says(&with(&text).refused(&experiment("")), &["row 20 (line 21)", "10 lines further on", "`blue"]);
    let text = replaced(&[(20, at(20), ",\"12\" pipe,")]);
    says(&with(&text).refused(&experiment("")), &["row 20 (line 21)", "stands ` pipe", "written twice"]);
}

#[test]
fn a_word_for_no_value_among_numbers_names_the_key_that_helps() {
    for word in ["NA", "?", "-", "N/A", "null", "#N/A"] {
        let text = table(60).replacen(",17.25,", &format!(",{word},"), 1);
        let row = table(60).lines().position(|line| line.contains(",17.25,")).expect("a row");
        let help = format!("write `csv = {{ null_values = [{word:?}] }}`");
        let place = format!("column `x`, row {row} (line {})", row + 1);
        says(&with(&text).refused(&experiment("")), &[&place, &format!("`{word}` is not a number"), &help]);
        let prepared = with(&text).prepare(&experiment(&format!("csv = {{ null_values = [{word:?}] }}")));
        assert_eq!(prepared.summary.tables[0].columns[1].nulls, Some(1));
    }
    let text = table(60).replacen(",17.25,", ",NA,", 1).replacen(",3.5,", ",-,", 1);
    let message = with(&text).refused(&experiment("csv = { null_values = [\"-\"] }"));
    says(&message, &["`csv = { null_values = [\"-\", \"NA\"] }`"]);
}

#[test]
fn words_for_no_value_do_not_make_numbers_a_text() {
    let rows: String = (0..60).map(|i| format!("{},{}\n", if i % 5 == 0 { "1.5" } else { "NA" }, i % 2)).collect();
    let message = with(&format!("x,label\n{rows}")).refused(&experiment(""));
    says(&message, &["column `x`, row 2 (line 3)", "`NA` is not a number", "null_values"]);
}

#[test]
fn a_text_column_without_values_at_first_names_the_key_that_helps() {
    let rows: String =
        (0..12_000).map(|i| format!("{i},{},{}\n", if i < 11_000 { "" } else { "note" }, i % 2)).collect();
    let case = with(&format!("x,my note,label\n{rows}"));
    let message = case.refused(&experiment(""));
    says(&message, &["column `my note`, row 11001 (line 11002)", "`types = { \"my note\" = \"category\" }`"]);
    case.prepare(&experiment("types = { \"my note\" = \"category\" }"));
}

#[test]
fn an_empty_text_between_quotes_is_no_number_and_is_null_there() {
    let text = table(60).replacen(",17.25,", ",\"\",", 1);
    let prepared = with(&text).prepare(&experiment(""));
    assert_eq!(prepared.summary.tables[0].columns[1].nulls, Some(1));
}

#[test]
fn a_task_without_test_labels_is_named_in_a_warning() {
    let case = Case::new(&[
        ("train.csv", &format!("x,label\n{}", "1,a\n2,b\n".repeat(20))),
        ("test.csv", &format!("x,label\n{}", "1,\n2,\n".repeat(5))),
    ]);
    let text = experiment("").replace("\"t.csv\"", "{ train = \"train.csv\", test = \"test.csv\" }");
    let warnings = case.prepare(&text).summary.warnings;
    let expected = "task `label`: no test row has a label, so it has no test results";
    assert!(warnings.iter().any(|warning| warning.starts_with(expected)), "{warnings:?}");
}

#[test]
fn a_changed_file_is_told_by_its_size_and_not_by_the_rows_of_the_plan() {
    let case = case();
    let prepared = case.prepare(&experiment(""));
    case.write("t.csv", table(6).as_bytes());
    let message = Store::open(prepared.plan, case.path()).expect_err("fewer rows").to_string();
    says(
        &message,
        &["t.csv", &format!("{} bytes here", table(6).len()), &format!("planned with {} bytes", table(60).len())],
    );
    assert!(!message.contains("60 rows"), "{message}");
}

#[test]
fn json_that_is_nested_too_deep_is_refused_wherever_it_is() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    for row in [3, 70_000] {
        let lines: String = (0..row + 2)
            .map(|i| {
                if i == row {
                    format!("{{\"x\": {deep}, \"label\": 1}}\n")
                } else {
                    format!("{{\"x\": 1, \"label\": {}}}\n", i % 2)
                }
            })
            .collect();
        let (case, text) = ndjson(&lines, "target = \"label\"\nkind = \"binary\"");
        let place = format!("row {0} (line {0})", row + 1);
        says(&case.refused(&text), &["t.ndjson", &place, "nested more than 128 deep"]);
    }
}

#[test]
fn lists_of_lists_are_named_as_such() {
    let lines: String =
        (0..40).map(|i| format!("{{\"x\": [[{i}]], \"z\": [\"a\"], \"w\": {i}, \"label\": {}}}\n", i % 2)).collect();
    let (case, text) = ndjson(&lines, "target = \"label\"\nkind = \"binary\"");
    let warnings = case.prepare(&text).summary.warnings;
    for (column, what) in [("x", "list of lists"), ("z", "list of texts")] {
        assert!(
            warnings.contains(&format!("dataset `t`: column `{column}` holds {what} and is left out")),
            "{warnings:?}"
        );
    }
    let message = case.refused(&text.replace("[task", "features = [\"x\", \"w\"]\n[task"));
    says(&message, &["column `x` holds list of lists, which cannot be a feature"]);
}

#[test]
fn an_array_that_is_cut_off_is_refused() {
    let (case, text) =
        ndjson("[{\"x\": 1, \"label\": 0},\n {\"x\": 2, \"label\": 1}\n", "target = \"label\"\nkind = \"binary\"");
    says(&case.refused(&text), &["t.ndjson", "the array has no end"]);
    case.write("t.ndjson", b"[{\"x\": 1, \"label\": 0},\n {\"x\": 2, \"lab");
    says(&case.refused(&text), &["t.ndjson", "row 2 is not JSON", "(line 2)"]);
    case.write("t.ndjson", b"[1, 2]");
    says(&case.refused(&text), &["t.ndjson", "row 1 is not a JSON object"]);
}

#[test]
fn a_small_file_that_decodes_to_gigabytes_is_refused() {
    use polars::prelude::*;
    let rows = 1000;
    let text = "t".repeat(2 << 20);
    let word = Series::new("x".into(), [text.as_str()]).cast(&DataType::from_categories(Categories::global()));
    let columns = vec![
        word.expect("a category").new_from_index(0, rows).into(),
        Series::new("label".into(), (0..rows as i64).map(|i| i % 2).collect::<Vec<i64>>()).into(),
    ];
    let mut frame = DataFrame::new(rows, columns).expect("a table");
    let case = Case::new(&[]);
    let file = std::fs::File::create(case.path().join("t.parquet")).expect("a file");
    ParquetWriter::new(file).with_compression(ParquetCompression::Zstd(None)).finish(&mut frame).expect("written");
    let bytes = std::fs::metadata(case.path().join("t.parquet")).expect("there").len();
    assert!(bytes < 4096, "{bytes}");
    let message = case.refused(&experiment("").replace("t.csv", "t.parquet"));
    says(&message, &["t.parquet", "column `x`", "1000 rows have 2000 MiB of text"]);
}

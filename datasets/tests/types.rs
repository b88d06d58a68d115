//! Columns of every type that other programs write into Parquet and Arrow files: read, or left out
//! and named, and never a panic. `scripts/data/type_tables.py` writes the files.

mod support;

use std::path::Path;

use datasets::SplitName;
use support::Case;

const FILES: [&str; 4] = ["types.parquet", "types_without_schema.parquet", "types.arrow", "types_stream.arrow"];

/// What can't be read, by column: in an Arrow file, and what a Parquet file without an Arrow schema
/// says of the same column (empty: what is left there can be read).
const LEFT_OUT: [(&str, &str, &str); 14] = [
    ("uuid", "extension type `arrow.uuid`", "fixed-size binary (16 bytes)"),
    ("fixed", "fixed-size binary (3 bytes)", "fixed-size binary (3 bytes)"),
    ("binary", "binary", "binary"),
    ("tensor", "extension type `arrow.fixed_shape_tensor`", ""),
    ("list_view", "list_view", ""),
    ("large_list_view", "list_view", ""),
    ("json", "extension type `arrow.json`", "binary"),
    ("bool8", "extension type `arrow.bool8`", ""),
    ("period", "extension type `pandas.period`", ""),
    ("wide_decimal", "decimal(60, 2)", "decimal(60, 2)"),
    ("map", "map", "list of structs"),
    ("struct", "struct", "struct"),
    ("lists", "list of lists", "list of lists"),
    ("texts", "list of texts", "list of texts"),
];
const LEFT_OUT_OF_IPC: [(&str, &str); 5] = [
    ("interval", "interval"),
    ("run_ends", "run-end encoded values"),
    ("dense_union", "union"),
    ("sparse_union", "union"),
    ("dictionary", "dictionary of struct"),
];

fn case() -> Case {
    let case = Case::new(&[]);
    for file in FILES {
        let bytes = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/types").join(file)).expect(file);
        case.write(file, &bytes);
    }
    case
}

fn experiment(file: &str, features: &str) -> String {
    format!(
        "[dataset.d]\npath = \"{file}\"\n{features}\n[task.y]\ndataset = \"d\"\ntarget = \"y\"\nkind = \"binary\"\n"
    )
}

/// The columns of a file that can't be read, with what they hold.
fn left_out(file: &str) -> Vec<(&'static str, &'static str)> {
    let in_parquet = LEFT_OUT.iter().map(|(column, what, bare)| match file {
        "types_without_schema.parquet" => (*column, *bare),
        // A map is a list of structs in Parquet, and polars reads it as one.
        "types.parquet" if *column == "map" => (*column, "list of structs"),
        _ => (*column, *what),
    });
    let in_ipc = LEFT_OUT_OF_IPC.into_iter().filter(|_| !file.ends_with("parquet"));
    in_parquet.filter(|(_, what)| !what.is_empty()).chain(in_ipc).collect()
}

#[test]
fn columns_of_other_types_are_left_out_with_a_warning() {
    let case = case();
    for file in FILES {
        let prepared = case.prepare(&experiment(file, ""));
        for (column, what) in left_out(file) {
            let warning = format!("dataset `d`: column `{column}` holds {what} and is left out");
            assert!(
                prepared.summary.warnings.contains(&warning),
                "{file}: {warning} of {:?}",
                prepared.summary.warnings
            );
        }
    }
}

#[test]
fn a_column_of_another_type_is_refused_with_its_type_if_it_is_used() {
    let case = case();
    for file in FILES {
        for (column, what) in left_out(file) {
            let as_feature = case.refused(&experiment(file, &format!("features = [\"x\", \"{column}\"]")));
            let expected = format!("column `{column}` holds {what}, which cannot be a feature");
            assert!(as_feature.contains(&expected), "{file}: {as_feature}");
            let as_target =
                experiment(file, "features = [\"x\"]").replace("target = \"y\"", &format!("target = \"{column}\""));
            let as_target = case.refused(&as_target);
            assert!(as_target.contains(&format!("column `{column}` holds {what}")), "{file}: {as_target}");
            let as_group = case.refused(&experiment(file, &format!("split = {{ group = \"{column}\" }}")));
            assert!(as_group.contains(&format!("column `{column}` holds {what}")), "{file}: {as_group}");
        }
    }
}

#[test]
fn half_precision_decimals_dictionaries_and_times_are_read_alike_in_all_files() {
    let case = case();
    let features = r#"features = ["x", "half", "halves", "half_pairs", "berlin", "word", "code", "view", "decimal"]"#;
    let mut seen = Vec::new();
    for file in FILES {
        let prepared = case.prepare(&experiment(file, features));
        let chunk = case.store(&prepared).chunk(0, SplitName::Train, 0).expect("read");
        // `x`, `half`, the first of `halves` and `decimal` are the same numbers.
        let width = prepared.plan.feeds()[0].dense_width();
        for row in chunk.dense.chunks(width) {
            assert!(row[0] == row[1] && row[1] == row[2], "{file}: {row:?}");
            assert!(row.contains(&row[0]), "{file}");
        }
        seen.push((file, prepared.plan.feeds()[0].partitions.clone(), chunk.dense.clone()));
    }
    for (file, digests, dense) in &seen[1..] {
        assert_eq!((digests, dense), (&seen[0].1, &seen[0].2), "{file}");
    }
}

#[test]
fn a_damaged_file_is_an_error_and_not_a_panic() {
    let case = case();
    for file in FILES {
        let whole = std::fs::read(case.path().join(file)).expect("there");
        let name = format!("damaged_{file}");
        for cut in [0, 1, 7, 12, whole.len() / 3, whole.len() / 2, whole.len() - 9, whole.len() - 1] {
            case.write(&name, &whole[..cut]);
            let message = case.refused(&experiment(&name, ""));
            assert!(message.contains(&name), "{file} cut off at {cut}: {message}");
        }
        // One byte here and there: whatever comes of it, the program goes on.
        for place in (0..whole.len()).step_by(97) {
            let mut bytes = whole.clone();
            bytes[place] ^= 0xff;
            case.write(&name, &bytes);
            if let Err(error) = datasets::prepare(&case.load(&experiment(&name, ""))) {
                assert!(!error.to_string().is_empty());
            }
        }
    }
}

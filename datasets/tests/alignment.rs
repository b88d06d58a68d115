//! Columns of several feeds that share the inputs of the trunk.

mod support;

use datasets::{Encoding, Prepared, SplitName};
use support::Case;

/// `rows` rows with the columns of `header` in this order: `a`, `b` and `y` are numbers, `c` is one
/// of `colours`, and `gap` is null in every fifth row.
fn table(header: &str, rows: usize, colours: &[&str]) -> String {
    let value = |column: &str, row: usize| match column {
        "a" => (row * 7 % 50).to_string(),
        "b" => (1000 + row * 11 % 70).to_string(),
        "c" => colours[row % colours.len()].to_owned(),
        "gap" if row.is_multiple_of(5) => String::new(),
        "flag" => row.is_multiple_of(3).to_string(),
        _ => (row * row % 23).to_string(),
    };
    let line = |row: usize| header.split(',').map(|column| value(column, row)).collect::<Vec<_>>().join(",") + "\n";
    format!("{header}\n{}", (0..rows).map(line).collect::<String>())
}

/// Two datasets, `t` and `u`, with a regression each.
fn two(first: &str, second: &str, more: &str) -> (Case, String) {
    let case = Case::new(&[("t.csv", first), ("u.csv", second)]);
    let dataset = |name: &str| {
        format!(
            "[dataset.{name}]\npath = \"{name}.csv\"\n[task.of_{name}]\ndataset = \"{name}\"\ntarget = \"y\"\n\
             kind = \"regression\"\n"
        )
    };
    (case, format!("{more}{}{}", dataset("t"), dataset("u")))
}

fn columns(prepared: &Prepared, feed: usize) -> String {
    prepared.plan.feeds()[feed].features.iter().map(|feature| feature.column.as_str()).collect::<Vec<_>>().join(" ")
}

#[test]
fn columns_of_one_name_are_one_input_whatever_their_order() {
    let (case, text) = two(&table("a,b,y", 60, &[]), &table("b,y,a", 60, &[]), "");
    let prepared = case.prepare(&text);
    assert_eq!((columns(&prepared, 0).as_str(), columns(&prepared, 1).as_str()), ("a b", "a b"));
    let inputs: Vec<String> =
        prepared.summary.trunk_inputs.iter().map(|input| format!("{} {:?}", input.first, input.columns)).collect();
    assert_eq!(inputs, ["1 [(\"t\", \"a\"), (\"u\", \"a\")]", "2 [(\"t\", \"b\"), (\"u\", \"b\")]"]);
    // The rows are the same, so each feed has the same values at each input.
    let store = case.store(&prepared);
    for split in [SplitName::Validation, SplitName::Test] {
        let rows = |feed| store.chunk(feed, split, 0).expect("read").dense.clone();
        assert_eq!(rows(0), rows(1));
    }
    assert_eq!(store.batch(0, 0, 0).expect("drawn").rows, store.batch(1, 0, 0).expect("drawn").rows);
}

#[test]
fn categories_and_indicators_of_one_table_have_their_place_in_the_other() {
    let first = table("a,c,gap,y", 60, &["red", "green"]);
    let second = table("gap,c,a,y", 60, &["blue", "green", "white"]).replace(",,", ",0,").replace("\n,", "\n0,");
    let (case, text) = two(&first, &second, "");
    let prepared = case.prepare(&text);
    assert!(prepared.plan.shapes().are_alike());
    for feed in prepared.plan.feeds() {
        let Encoding::OneHot { values, .. } = &feed.features[1].encoding else { panic!("{feed:?}") };
        assert_eq!(values, &["blue", "green", "red", "white"]);
        assert!(matches!(feed.features[2].encoding, Encoding::Standard { indicator: true, .. }));
    }
    // `green` is at the same place in both; a colour of the other table is never set.
    let store = case.store(&prepared);
    let colours = |feed: usize| {
        let rows = store.chunk(feed, SplitName::Test, 0).expect("read");
        let width = prepared.plan.feeds()[feed].dense_width();
        let mut sums = [0.0f32; 4];
        rows.dense.chunks(width).for_each(|row| (0..4).for_each(|i| sums[i] += row[1 + i]));
        sums.map(|sum| sum > 0.0)
    };
    assert_eq!((colours(0), colours(1)), ([false, true, true, false], [true, true, false, true]));
}

#[test]
fn other_columns_without_encoders_are_refused_until_the_file_says_how_they_meet() {
    let (case, text) = two(&table("a,b,y", 60, &[]), &table("a,z,y", 60, &[]), "");
    let message = case.refused(&text);
    for part in
        ["dataset.u", "feeds `t` and `u`", "only `t` has `b`, and only `u` has `z`", "`model.encoder = \"mlp\"`"]
    {
        assert!(message.contains(part), "{part} is not in {message}");
    }
    let given = |encoder: &str| case.prepare(&format!("{text}[model]\nencoder = \"{encoder}\"\n"));
    assert!(given("mlp").summary.trunk_inputs.is_empty());
    let inputs = given("none").summary.trunk_inputs;
    assert_eq!(inputs.len(), 2);
    let pair = |a: &str, b: &str| vec![("t".to_owned(), a.to_owned()), ("u".to_owned(), b.to_owned())];
    assert_eq!((&inputs[0].columns, &inputs[1].columns), (&pair("a", "a"), &pair("b", "z")));
}

#[test]
fn columns_of_one_name_and_two_kinds_are_refused() {
    let (case, text) =
        two(&table("flag,y", 60, &[]), &table("flag,y", 60, &[]).replace("true", "1").replace("false", "0"), "");
    let prepared = case.prepare(&text);
    assert!(!prepared.plan.shapes().are_alike(), "a truth value is two inputs, so each feed has its encoder");
    let (case, text) = two(&table("a,b,y", 60, &[]), &table("a,b,y", 60, &[]), "");
    let types = "path = \"u.csv\"\ntypes = { a = \"category\", b = \"category\" }";
    case.prepare(&text.replace("path = \"u.csv\"", types));
}

#[test]
fn two_selections_of_one_table_do_not_share_inputs_by_position() {
    let case = Case::new(&[("t.csv", &table("a,b,y,z", 60, &[]))]);
    let text = "[dataset.t]\npath = \"t.csv\"\nfeatures = [\"a\"]\n[task.y]\ndataset = \"t\"\ntarget = \"y\"\nkind = \"regression\"\n\
                [task.z]\ndataset = \"t\"\ntarget = \"z\"\nkind = \"regression\"\nfeatures = [\"b\"]\n";
    assert!(case.refused(text).contains("feeds `t` and `t.z`"));
    case.prepare(&format!("{text}[model]\nencoder = \"mlp\"\n"));
}

#[test]
fn feeds_of_unequal_widths_have_encoders_and_their_own_categories() {
    let first = table("a,c,y", 60, &["red", "green"]);
    let (case, text) = two(&first, &table("a,b,c,y", 60, &["blue", "green"]), "");
    let prepared = case.prepare(&text);
    let Encoding::OneHot { values, .. } = &prepared.plan.feeds()[0].features[1].encoding else { panic!("one-hot") };
    assert_eq!(values, &["green", "red"]);
    assert!(prepared.summary.trunk_inputs.is_empty());
}

#[test]
fn shared_preprocessing_is_fitted_on_the_training_rows_of_all_tables() {
    let first = table("a,c,y", 60, &["red", "green"]);
    let second = table("c,b,a,y", 90, &["blue", "green"]).replace(",1", ",4");
    let (case, text) = two(&first, &second, "preprocessing = \"shared\"\n");
    let shared = case.prepare(&text);
    let own = case.prepare(&text.replace("preprocessing = \"shared\"\n", ""));
    let of = |prepared: &Prepared, feed: usize, column: &str| {
        let features = &prepared.plan.feeds()[feed].features;
        features.iter().find(|feature| feature.column == column).expect("a feature").encoding.clone()
    };
    let mean = |prepared: &Prepared, feed: usize, column: &str| match of(prepared, feed, column) {
        Encoding::Standard { mean, .. } => mean[0],
        other => panic!("{other:?}"),
    };
    let rows = |feed: usize| own.plan.rows(feed, SplitName::Train) as f64;
    let pooled = (mean(&own, 0, "a") * rows(0) + mean(&own, 1, "a") * rows(1)) / (rows(0) + rows(1));
    assert!((mean(&own, 0, "a") - mean(&own, 1, "a")).abs() > 0.1);
    assert!((mean(&shared, 0, "a") - pooled).abs() < 1e-9);
    assert_eq!(of(&shared, 0, "a"), of(&shared, 1, "a"));
    assert_eq!(of(&shared, 0, "c"), of(&shared, 1, "c"));
    let Encoding::OneHot { values, .. } = of(&shared, 0, "c") else { panic!("one-hot") };
    assert_eq!(values, ["blue", "green", "red"]);
    assert_eq!(mean(&shared, 1, "b"), mean(&own, 1, "b"), "only one table has `b`");
}

#[test]
fn shared_preprocessing_of_two_kinds_is_refused() {
    let (case, text) = two(
        &table("flag,y", 60, &[]),
        &table("a,b,y", 60, &[]).replace("a,b,y", "flag,b,y"),
        "preprocessing = \"shared\"\n",
    );
    let message = case.refused(&text);
    for part in [
        "dataset.u",
        "column `flag` is boolean in dataset `t` and number in dataset `u`",
        "types = { flag = \"number\" }",
    ] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
}

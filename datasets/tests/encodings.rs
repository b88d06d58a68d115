//! How columns and targets are encoded.

mod support;

use datasets::{Encoding, SplitName, encode_table};
use experiment::Units;
use settings::Value;
use support::{Case, experiment, table};

/// All rows of a split of feed 0, by dense column.
fn columns(case: &Case, prepared: &datasets::Prepared, split: SplitName) -> Vec<Vec<f32>> {
    let store = case.store(prepared);
    let width = prepared.plan.shapes().feeds[0].width;
    let chunk = store.chunk(0, split, 0).expect("read");
    (0..width).map(|c| chunk.dense.iter().skip(c).step_by(width).copied().collect()).collect()
}

#[test]
fn text_with_few_values_is_one_hot_in_bytewise_order() {
    let case = Case::new(&[("t.csv", &table(60))]);
    let prepared = case.prepare(&experiment("features = [\"colour\"]"));
    let Encoding::OneHot { values, indicator } = &prepared.plan.feeds()[0].features[0].encoding else {
        panic!("one-hot")
    };
    assert_eq!(
        (values.as_slice(), *indicator),
        (["blue".to_owned(), "green".to_owned(), "red".to_owned()].as_slice(), false)
    );
    let columns = columns(&case, &prepared, SplitName::Train);
    assert!((0..42).all(|row| columns.iter().map(|c| c[row]).sum::<f32>() == 1.0));
}

#[test]
fn text_with_many_values_is_an_embedding_with_rows_for_null_and_unseen() {
    let lines: String =
        (0..400).map(|i| if i == 5 { format!(",{}\n", i % 2) } else { format!("v{},{}\n", i % 150, i % 2) }).collect();
    let case = Case::new(&[("t.csv", &format!("word,label\n{lines}"))]);
    let prepared = case.prepare(&experiment(""));
    let shape = &prepared.plan.shapes().feeds[0];
    let Encoding::Embedding { values, width } = &prepared.plan.feeds()[0].features[0].encoding else {
        panic!("an embedding")
    };
    assert_eq!((shape.width, shape.embeddings[0].rows, shape.embeddings[0].width), (0, values.len() + 2, *width));
    assert!(width * width >= values.len() && (width - 1) * (width - 1) < values.len());
    let new = case.write("new.csv", b"word\nv3\nnever\n\n");
    // In a table of one column, an empty line is a null.
    let batch = encode_table(&prepared.plan, 0, &new).expect("opened").next().expect("rows").expect("encoded");
    let seen = values.iter().position(|v| v == "v3").expect("seen") as u32 + 2;
    assert_eq!(batch.ids, [seen, 1, 0]);
    assert!(batch.targets.is_empty());
}

#[test]
fn a_null_number_is_the_mean_and_an_indicator() {
    let text: String =
        (0..60).map(|i| if i % 5 == 0 { format!(",{}\n", i % 2) } else { format!("{i},{}\n", i % 2) }).collect();
    let case = Case::new(&[("t.csv", &format!("x,label\n{text}"))]);
    let prepared = case.prepare(&experiment(""));
    let columns = columns(&case, &prepared, SplitName::Train);
    assert_eq!(columns.len(), 2);
    for (value, missing) in columns[0].iter().zip(&columns[1]) {
        assert!(*missing == 0.0 || (*missing == 1.0 && *value == 0.0));
    }
    assert!(columns[1].contains(&1.0));
}

#[test]
fn a_constant_column_is_zeros_and_a_warning() {
    let text = table(60)
        .lines()
        .enumerate()
        .map(|(i, l)| format!("{l},{}\n", if i == 0 { "k" } else { "0.1" }))
        .collect::<String>();
    let case = Case::new(&[("t.csv", &text)]);
    let prepared = case.prepare(&experiment("features = [\"x\", \"k\"]"));
    assert!(columns(&case, &prepared, SplitName::Test)[1].iter().all(|v| *v == 0.0));
    assert!(prepared.summary.warnings.iter().any(|w| w.contains("`k`")), "{:?}", prepared.summary.warnings);
}

#[test]
fn a_column_without_any_value_is_a_warning_and_one_with_a_few_is_none() {
    let k = |i: usize| {
        if i == 0 {
            "k,l"
        } else if i % 9 == 1 {
            ",1"
        } else {
            ","
        }
    };
    let text: String = table(60).lines().enumerate().map(|(i, line)| format!("{line},{}\n", k(i))).collect();
    let prepared = Case::new(&[("t.csv", &text)]).prepare(&experiment("features = [\"x\", \"k\", \"l\"]"));
    let shown = &prepared.summary.feeds[0].features;
    let indicator = "constant + null indicator".to_owned();
    assert_eq!(shown[1..], [("k".to_owned(), indicator.clone()), ("l".to_owned(), indicator)]);
    let warnings = &prepared.summary.warnings;
    assert!(warnings.iter().any(|w| w.contains("`k`")) && !warnings.iter().any(|w| w.contains("`l`")), "{warnings:?}");
}

#[test]
fn numbers_as_categories_are_one_hot() {
    let case = Case::new(&[("t.csv", &table(60))]);
    let prepared = case.prepare(&experiment("features = [\"y\"]\ntypes = { y = \"category\" }"));
    assert!(matches!(prepared.plan.feeds()[0].features[0].encoding, Encoding::OneHot { .. }));
}

#[test]
fn targets_of_tasks_on_a_file_are_not_default_features() {
    let case = Case::new(&[("t.csv", &table(60))]);
    let text = experiment("")
        + "[dataset.again]\npath = \"t.csv\"\n[task.x]\ndataset = \"again\"\ntarget = \"x\"\nkind = \"regression\"\n\
           [task.y]\ndataset = \"t\"\ntarget = \"y\"\nkind = \"regression\"\nfeatures = [\"id\"]\n";
    let plan = case.prepare(&text).plan;
    let features = |feed: usize| plan.feeds()[feed].features.iter().map(|f| f.column.clone()).collect::<Vec<_>>();
    assert_eq!(plan.feeds().iter().map(|f| f.name.as_str()).collect::<Vec<_>>(), ["t", "t.y", "again"]);
    assert_eq!(
        (features(0), features(1), features(2)),
        (vec!["id".into(), "colour".into()], vec!["id".into()], vec!["id".into(), "colour".into()])
    );
    assert_eq!(plan.tasks().iter().map(|t| t.feed).collect::<Vec<_>>(), [0, 2, 1]);
}

#[test]
fn globs_and_exclusions_choose_in_the_tables_order() {
    let case = Case::new(&[("t.csv", &table(60))]);
    let features = |patterns: &str| {
        let plan = case.prepare(&experiment(&format!("features = {patterns}"))).plan;
        plan.feeds()[0].features.iter().map(|f| f.column.clone()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(features("[\"y\", \"i*\"]"), "id y");
    assert_eq!(features("[\"*\", \"!id\"]"), "x y colour");
    assert_eq!(features("[\"!id\"]"), "x y colour");
    assert_eq!(features("[\"[xy]\"]"), "x y");
}

#[test]
fn a_template_is_a_task_for_each_column() {
    let text: String = (0..60).map(|i| format!("{i},{},{},{}\n", i % 2, i / 2 % 2, i % 3)).collect();
    let case = Case::new(&[("t.csv", &format!("x,attr_a,attr_b,other\n{text}"))]);
    let prepared = case.prepare("[dataset.t]\npath = \"t.csv\"\n[task.attribute]\ndataset = \"t\"\neach_target = [\"attr_*\"]\nkind = \"binary\"\n");
    let tasks: Vec<_> = prepared.plan.tasks().iter().map(|t| (t.name.as_str(), t.template.as_str())).collect();
    assert_eq!(tasks, [("attr_a", "attribute"), ("attr_b", "attribute")]);
    assert_eq!(prepared.plan.feeds()[0].features.len(), 2, "x and other");
}

#[test]
fn classes_are_ordered_as_numbers_or_bytewise() {
    let text: String = (0..60).map(|i| format!("{i},{},{}\n", [10, 9, -1][i % 3], ["Z", "a", "é"][i % 3])).collect();
    let case = Case::new(&[("t.csv", &format!("x,n,s\n{text}"))]);
    let prepared = case.prepare(
        "[dataset.t]\npath = \"t.csv\"\n[task.n]\ndataset = \"t\"\ntarget = \"n\"\nkind = \"multiclass\"\n\
         [task.s]\ndataset = \"t\"\ntarget = \"s\"\nkind = \"multiclass\"\nloss = { kind = \"cross_entropy\", class_weights = \"balanced\" }\n",
    );
    let shapes = prepared.plan.shapes();
    assert_eq!(shapes.tasks[0].classes, ["-1", "9", "10"]);
    assert_eq!(shapes.tasks[1].classes, ["Z", "a", "é"]);
    let counts: Vec<u64> = prepared.summary.tasks[1].classes.iter().map(|(_, c)| c[&SplitName::Train]).collect();
    let weights = counts.iter().map(|n| Value::Number(42.0 / (3.0 * *n as f64)));
    assert_eq!(shapes.tasks[1].loss.parameters()["class_weights"], Value::List(weights.collect()));
}

#[test]
fn balanced_positive_weights_are_counted_on_the_training_rows() {
    let text: String = (0..60).map(|i| format!("{i},{},{}\n", u8::from(i % 3 == 0), u8::from(i % 5 == 0))).collect();
    let case = Case::new(&[("t.csv", &format!("x,a,b\n{text}"))]);
    let loss = "loss = { kind = \"cross_entropy\", positive_weight = \"balanced\" }\n";
    let prepared = case.prepare(&format!(
        "[dataset.t]\npath = \"t.csv\"\n[task.one]\ndataset = \"t\"\ntarget = \"a\"\nkind = \"binary\"\n{loss}\
         [task.both]\ndataset = \"t\"\ntarget = [\"a\", \"b\"]\nkind = \"multilabel\"\n{loss}"
    ));
    let tasks = &prepared.summary.tasks;
    let labelled = tasks[0].labelled[&SplitName::Train];
    let weight = |ones: u64| Value::Number((labelled - ones) as f64 / ones as f64);
    let given = |task: usize| prepared.plan.shapes().tasks[task].loss.parameters()["positive_weight"].clone();
    // The classes of a binary task are no and yes, those of a multilabel one its columns.
    assert_eq!(given(0), Value::List(vec![weight(tasks[0].classes[1].1[&SplitName::Train])]));
    let ones = tasks[1].classes.iter().map(|(_, rows)| weight(rows[&SplitName::Train]));
    assert_eq!(given(1), Value::List(ones.collect()));
}

#[test]
fn the_positive_value_is_one() {
    let text: String = (0..60).map(|i| format!("{i},{}\n", ["yes", "no"][i % 2])).collect();
    let case = Case::new(&[("t.csv", &format!("x,label\n{text}"))]);
    for (positive, classes) in [("no", ["yes", "no"]), ("yes", ["no", "yes"])] {
        let prepared =
            case.prepare(&format!("{}positive = \"{positive}\"\n", experiment("").replace("multiclass", "binary")));
        assert_eq!(prepared.plan.shapes().tasks[0].classes, classes);
        let chunk = case.store(&prepared).chunk(0, SplitName::Train, 0).expect("read");
        let ones = chunk.targets[0].values.iter().filter(|v| **v == 1.0).count() as u64;
        assert_eq!(ones, prepared.summary.tasks[0].classes[1].1[&SplitName::Train]);
    }
}

#[test]
fn a_class_without_training_rows_is_a_warning() {
    let text = "part,x,label\n".to_owned() + &"train,1,a\ntrain,2,b\n".repeat(10) + "test,3,zebra\nvalidation,1,a\n";
    let case = Case::new(&[("t.csv", &text)]);
    let prepared = case.prepare(&experiment("split = { column = \"part\" }"));
    assert_eq!(prepared.plan.tasks()[0].untrained_classes, [2]);
    assert!(prepared.summary.warnings.iter().any(|w| w.contains("zebra")), "{:?}", prepared.summary.warnings);
    assert!(prepared.plan.shapes().tasks[0].baseline_loss.values().all(|loss| loss.is_finite()));
}

#[test]
fn regression_targets_are_scaled_by_their_training_rows() {
    let case = Case::new(&[("t.csv", &table(60))]);
    for scale in ["standard", "none", "log1p"] {
        let text = experiment("").replace("\"label\"\nkind = \"multiclass\"", "[\"x\", \"id\"]\nkind = \"regression\"")
            + &format!("target_scale = \"{scale}\"\n");
        let prepared = case.prepare(&text);
        let task = &prepared.plan.shapes().tasks[0];
        assert_eq!((task.outputs, task.units.log1p), (2, scale == "log1p"));
        let chunk = case.store(&prepared).chunk(0, SplitName::Train, 0).expect("read");
        let mean = chunk.targets[0].values.iter().step_by(2).map(|v| f64::from(*v)).sum::<f64>() / chunk.rows as f64;
        assert_eq!(mean.abs() < 1e-6, scale != "none", "{scale}: {mean}");
    }
}

#[test]
fn multilabel_is_a_zero_or_one_for_each_column() {
    let text: String = (0..60).map(|i| format!("{i},{},{}\n", i % 2, ["true", "false"][i % 2])).collect();
    let case = Case::new(&[("t.csv", &format!("x,a,b\n{text}"))]);
    let task =
        "[dataset.t]\npath = \"t.csv\"\n[task.tags]\ndataset = \"t\"\ntarget = [\"a\", \"b\"]\nkind = \"multilabel\"\n";
    let prepared = case.prepare(task);
    let chunk = case.store(&prepared).chunk(0, SplitName::Train, 0).expect("read");
    assert!(chunk.targets[0].values.chunks(2).all(|pair| pair[0] + pair[1] == 1.0));
    case.write("t.csv", format!("x,a,b\n{}", text.replacen(",1,", ",2,", 1)).as_bytes());
    let message = case.refused(task);
    assert!(message.contains("column `a`, row 2") && message.contains("not 0 or 1"), "{message}");
}

#[test]
fn counts_stay_in_their_own_units() {
    let text: String = (0..60).map(|i| format!("{i},{}\n", i % 5)).collect();
    let case = Case::new(&[("t.csv", &format!("x,visits\n{text}"))]);
    let prepared = case.prepare(
        "[dataset.t]\npath = \"t.csv\"\n[task.v]\ndataset = \"t\"\ntarget = \"visits\"\nkind = \"regression\"\nloss = \"poisson\"\n",
    );
    let task = &prepared.plan.shapes().tasks[0];
    assert_eq!(task.units, Units { offset: vec![0.0], scale: vec![1.0], log1p: false });
    assert!(task.baseline_loss.values().all(|loss| loss.is_finite() && *loss > 0.0), "{:?}", task.baseline_loss);
    let chunk = case.store(&prepared).chunk(0, SplitName::Validation, 0).expect("read");
    assert!(chunk.targets[0].values.iter().all(|count| (0.0..5.0).contains(count) && count.fract() == 0.0));
}

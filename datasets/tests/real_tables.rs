//! The real tables of `data/` through all stages: prepare, load, draw, evaluate.

mod support;

use datasets::{SplitName, Store};
use support::{Case, data};

fn digits() -> String {
    format!(
        r#"
seed = 42
[dataset.digits]
path = "{}"
features = ["pixel_*"]
split = {{ stratify = "digit" }}
[task.digit]
dataset = "digits"
target = "digit"
kind = "multiclass"
[task.odd]
dataset = "digits"
target = "odd"
kind = "binary"
[train]
steps = 10
"#,
        data().join("digits.parquet").display()
    )
}

#[test]
fn digits_prepare_load_and_draw() {
    let case = Case::new(&[]);
    let prepared = case.prepare(&digits());
    let plan = &prepared.plan;
    assert_eq!(plan.feeds().len(), 1, "both tasks are on the same rows");
    let shapes = plan.shapes();
    assert_eq!((shapes.feeds[0].width, shapes.tasks[0].outputs, shapes.tasks[1].outputs), (64, 10, 1));
    assert_eq!(shapes.tasks[0].classes, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    assert_eq!([1258, 180, 359], [0, 1, 2].map(|i| plan.rows(0, SplitName::ALL[i])));
    let store = case.store(&prepared);
    store.load_partitions(0, 0..4).expect("the data are the same");
    for step in [0, 1, 100] {
        let batches: Vec<_> = (0..4).map(|v| store.batch(0, step, v).expect("drawn")).collect();
        assert_eq!(batches.iter().map(|b| b.rows).sum::<usize>(), 64);
        assert_eq!(prepared.labels.labelled(0, step), 64);
        for batch in &batches {
            for (digit, odd) in batch.targets[0].values.iter().zip(&batch.targets[1].values) {
                assert_eq!(*odd, digit % 2.0, "rows stay together");
            }
        }
    }
    let chunk = store.chunk(0, SplitName::Test, 0).expect("read");
    assert_eq!((chunk.rows, chunk.dense.len()), (359, 359 * 64));
}

#[test]
fn features_are_standardised_on_the_training_rows() {
    let case = Case::new(&[]);
    let prepared = case.prepare(&digits());
    let store = case.store(&prepared);
    let chunks = prepared.plan.chunks(0, SplitName::Train);
    let rows: Vec<_> = (0..chunks).map(|c| store.chunk(0, SplitName::Train, c).expect("read")).collect();
    let column =
        |c: usize| rows.iter().flat_map(move |batch| batch.dense.iter().skip(c).step_by(64).map(|v| f64::from(*v)));
    let constant = prepared.summary.tables[0].columns.iter().filter(|c| c.constant).count();
    let mut zeros = 0;
    for c in 0..64 {
        let n = column(c).count() as f64;
        let mean = column(c).sum::<f64>() / n;
        let variance = column(c).map(|v| (v - mean).powi(2)).sum::<f64>() / n;
        assert!(mean.abs() < 1e-6, "column {c} has mean {mean}");
        if variance == 0.0 {
            zeros += 1
        } else {
            assert!((variance - 1.0).abs() < 1e-5, "column {c} has variance {variance}")
        }
    }
    assert_eq!(zeros, constant);
}

#[test]
fn tables_of_different_formats_and_widths_are_feeds_of_one_plan() {
    let case = Case::new(&[]);
    let text = format!(
        r#"
[dataset.diabetes]
path = "{0}/diabetes.ndjson"
[dataset.cancer]
path = "{0}/breast_cancer.csv"
batch_size = 32
[task.progression]
dataset = "diabetes"
target = "progression"
kind = "regression"
[task.malignant]
dataset = "cancer"
target = "diagnosis"
kind = "binary"
positive = "malignant"
"#,
        data().display()
    );
    let prepared = case.prepare(&text);
    let shapes = prepared.plan.shapes();
    assert_eq!((shapes.feeds[0].width, shapes.feeds[1].width), (10, 30));
    assert_eq!(shapes.tasks[1].classes, ["benign", "malignant"]);
    assert_eq!((prepared.plan.batch_size(0), prepared.plan.batch_size(1)), (64, 32));
    let store: Store = case.store(&prepared);
    for feed in 0..2 {
        store.load_partitions(feed, 0..4).expect("the data are the same");
    }
    // The loss of a constant prediction of a standardised target is its variance.
    let baseline = shapes.tasks[0].baseline_loss[&SplitName::Train];
    assert!((baseline - 1.0).abs() < 1e-9, "{baseline}");
}

#[test]
fn diabetes_as_csv_and_as_ndjson_is_the_same_table() {
    let case = Case::new(&[]);
    let digests = ["csv", "ndjson"].map(|format| {
        let text = format!(
            "[dataset.d]\npath = \"{}/diabetes.{format}\"\n[task.p]\ndataset = \"d\"\ntarget = \"progression\"\nkind = \"regression\"\n",
            data().display()
        );
        let plan = case.prepare(&text).plan;
        (plan.feeds()[0].partitions.clone(), plan.feeds()[0].chunks.clone())
    });
    assert_eq!(digests[0], digests[1]);
}

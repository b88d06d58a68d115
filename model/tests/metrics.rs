//! Metrics of a network whose outputs are its features.

#![allow(clippy::unwrap_used)] // a test fails by panicking

mod made;

use std::collections::{BTreeMap, BTreeSet};

use aggregation::tree::{self, Node};
use experiment::{Component, Kind, MetricRef, Shapes, TaskShape, Units};
use made::{Rows, feed, task};
use model::{Batch, Device, Network, Targets};
use objectives::TaskSums;
use objectives::metric::skill;
use proptest::prelude::*;
use serde_json::json;

/// A network whose outputs are its inputs: two layers of the identity, and a leaky ReLU that leaks
/// everything.
fn pass_through(task: &TaskShape) -> Network {
    let shapes = Shapes { feeds: vec![feed("features", task.outputs, &[])], tasks: vec![task.clone()] };
    let identity = json!({ "kind": "leaky_relu", "negative_slope": 1 });
    let experiment = made::experiment(json!({ "trunk": { "hidden": [task.outputs], "activation": identity } }));
    let mut network = Network::new(&experiment, &shapes, &Device::Flex).unwrap();
    let mut parameters = vec![0.0; network.layout().len()];
    for weight in network.layout().blocks().iter().filter(|block| block.name.ends_with("weight")) {
        (0..task.outputs).for_each(|i| parameters[weight.offset + i * task.outputs + i] = 1.0);
    }
    network.set_parameters(&parameters).unwrap();
    network
}

fn rows(outputs: &[f32], labels: &[f32], width: usize) -> Rows {
    let rows = outputs.len() / width;
    let target = Targets { task: 0, values: labels.to_vec(), labelled: vec![true; rows] };
    let batch = Batch { rows, dense: outputs.to_vec(), ids: Vec::new(), targets: vec![target] };
    Rows { feed: 0, batch }
}

fn sums(task: &TaskShape, rows: &Rows) -> TaskSums {
    pass_through(task).evaluate(&rows.input()).unwrap().remove(0).1
}

fn values(task: &TaskShape, outputs: &[f32], labels: &[f32]) -> Vec<(&'static str, f64)> {
    task.measures().values(&sums(task, &rows(outputs, labels, task.outputs)))
}

fn named(metrics: &[&str]) -> Vec<MetricRef> {
    metrics.iter().map(|name| MetricRef::named(name).unwrap()).collect()
}

fn assert_values(given: &[(&'static str, f64)], expected: &[(&str, f64)]) {
    assert_eq!(
        given.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        expected.iter().map(|e| e.0).collect::<Vec<_>>()
    );
    for ((name, value), (_, expected)) in given.iter().zip(expected) {
        assert!((value - expected).abs() < 1e-6, "{name} is {value}, and should be {expected}");
    }
}

#[test]
fn binary_metrics_are_those_computed_by_hand() {
    let task = task("t", 0, Kind::Binary, 1);
    // By falling score, the labels are 1, 0, 1, 1, 0, 0. Four scores are above zero.
    let given = values(&task, &[2.0, -1.0, 0.5, 3.0, 1.0, -2.0], &[0.0, 0.0, 1.0, 1.0, 1.0, 0.0]);
    let loss = |x: f64, y: f64| (1.0 + x.exp()).ln() - x * y;
    let mean_loss =
        (loss(2.0, 0.0) + loss(-1.0, 0.0) + loss(0.5, 1.0) + loss(3.0, 1.0) + loss(1.0, 1.0) + loss(-2.0, 0.0)) / 6.0;
    let (f1, f0) = (6.0 / 7.0, 4.0 / 5.0);
    assert_values(
        &given,
        &[
            ("loss", mean_loss),
            ("accuracy", 5.0 / 6.0),
            ("balanced_accuracy", (2.0 / 3.0 + 1.0) / 2.0),
            ("precision", 3.0 / 4.0),
            ("precision_macro", (3.0 / 4.0 + 1.0) / 2.0),
            ("recall", 1.0),
            ("recall_macro", (1.0 + 2.0 / 3.0) / 2.0),
            ("f1", f1),
            ("f1_macro", (f1 + f0) / 2.0),
            ("auroc", 7.0 / 9.0),
            ("average_precision", (1.0 + 2.0 / 3.0 + 3.0 / 4.0) / 3.0),
        ],
    );
}

#[test]
fn equal_scores_count_half_and_as_one_threshold() {
    let mut task = task("t", 0, Kind::Binary, 1);
    task.metrics = named(&["auroc", "average_precision"]);
    let given = values(&task, &[1.0, 1.0, 0.0, 0.0], &[1.0, 0.0, 1.0, 0.0]);
    assert_values(&given[1..], &[("auroc", 0.5), ("average_precision", 0.5)]);
}

#[test]
fn multiclass_metrics_are_those_computed_by_hand() {
    let mut task = task("t", 0, Kind::Multiclass, 3);
    task.metrics = named(&["accuracy", "balanced_accuracy", "precision_macro", "recall_macro", "f1_macro"]);
    let one = |class: usize| (0..3).map(move |i| if i == class { 2.0 } else { 0.0 });
    let outputs: Vec<f32> = [0, 0, 1, 1, 0].into_iter().flat_map(one).collect();
    // Class 2 has no label and no prediction, so it does not count in the means.
    let given = values(&task, &outputs, &[0.0, 0.0, 0.0, 1.0, 1.0]);
    assert_values(
        &given[1..],
        &[
            ("accuracy", 0.6),
            ("balanced_accuracy", (2.0 / 3.0 + 0.5) / 2.0),
            ("precision_macro", (2.0 / 3.0 + 1.0 / 2.0) / 2.0),
            ("recall_macro", (2.0 / 3.0 + 1.0 / 2.0) / 2.0),
            ("f1_macro", (4.0 / 6.0 + 2.0 / 4.0) / 2.0),
        ],
    );
}

#[test]
fn a_class_that_is_never_predicted_or_never_a_label_has_precision_and_recall_0() {
    let mut task = task("t", 0, Kind::Multiclass, 3);
    task.metrics = named(&["precision_macro", "recall_macro"]);
    // Labels 0, 0, 1; predictions 0, 2, 0.
    let outputs = [2.0, 0.0, 0.0, 0.0, 0.0, 2.0, 2.0, 0.0, 0.0];
    let given = values(&task, &outputs, &[0.0, 0.0, 1.0]);
    assert_values(&given[1..], &[("precision_macro", 0.5 / 3.0), ("recall_macro", 0.5 / 3.0)]);
}

#[test]
fn a_class_without_an_output_counts_as_wrong_and_as_unlikely() {
    let mut task = task("t", 0, Kind::Multiclass, 3);
    task.metrics = named(&["accuracy"]);
    let given = values(&task, &[3.0, 0.0, 1.0, 3.0, 0.0, 1.0], &[0.0, 3.0]);
    let total = (3.0_f64.exp() + 1.0 + 1.0_f64.exp()).ln();
    assert_values(&given, &[("loss", (total - 3.0 + total) / 2.0), ("accuracy", 0.5)]);
}

#[test]
fn multilabel_metrics_are_means_over_the_outputs() {
    let mut task = task("t", 0, Kind::Multilabel, 2);
    task.metrics = named(&["accuracy", "precision_macro", "recall_macro", "f1_macro", "auroc"]);
    let given = values(&task, &[1.0, -1.0, -1.0, 1.0, 2.0, 3.0], &[1.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    assert_values(
        &given[1..],
        &[
            ("accuracy", 4.0 / 6.0),
            ("precision_macro", 0.5),
            ("recall_macro", 1.0),
            ("f1_macro", (2.0 / 3.0 + 2.0 / 3.0) / 2.0),
            ("auroc", 0.75),
        ],
    );
}

#[test]
fn regression_metrics_are_in_the_targets_units() {
    let mut task = task("t", 0, Kind::Regression, 1);
    task.units = Units { offset: vec![100.0], scale: vec![10.0], log1p: false };
    // The labels are 90, 100, 130, and the predictions 100, 100, 120.
    let given = values(&task, &[0.0, 0.0, 2.0], &[-1.0, 0.0, 3.0]);
    let mean = 320.0 / 3.0;
    let total: f64 = [90.0, 100.0, 130.0].iter().map(|y| (y - mean) * (y - mean)).sum();
    assert_values(
        &given,
        &[
            ("loss", 2.0 / 3.0),
            ("rmse", (200.0_f64 / 3.0).sqrt()),
            ("mae", 20.0 / 3.0),
            ("mape", (10.0 / 90.0 + 10.0 / 130.0) / 3.0),
            ("r2", 1.0 - 200.0 / total),
            // Ranks of the labels 1, 2, 3; of the predictions 1.5, 1.5, 3.
            ("spearman", 1.5 / (2.0_f64 * 1.5).sqrt()),
        ],
    );
}

#[test]
fn a_label_of_0_makes_the_share_of_the_error_huge_and_finite() {
    let mut task = task("t", 0, Kind::Regression, 1);
    task.metrics = named(&["mape"]);
    let given = values(&task, &[1.0, 3.0], &[0.0, 2.0]);
    assert_eq!(given[1], ("mape", (2.0_f64.powi(52) + 0.5) / 2.0));
}

#[test]
fn ranks_do_not_change_with_the_scale_of_the_target() {
    let mut task = task("t", 0, Kind::Regression, 2);
    task.metrics = named(&["spearman"]);
    let (outputs, labels) = ([0.5, 3.0, -1.0, 2.0, 0.0, 1.0, 2.5, 0.0], [0.0, 0.5, -2.0, 1.0, 1.0, 1.5, 3.0, 7.0]);
    let plain = values(&task, &outputs, &labels);
    // First output: ranks 3, 1, 2, 4 and 2, 1, 3, 4; second: 4, 3, 2, 1 and 1, 2, 3, 4.
    assert_values(&plain[1..], &[("spearman", (0.8 - 1.0) / 2.0)]);
    task.units = Units { offset: vec![2.0; 2], scale: vec![0.5; 2], log1p: true };
    assert_eq!(values(&task, &outputs, &labels)[1], plain[1]);
}

#[test]
fn a_logarithmic_target_is_undone() {
    let mut task = task("t", 0, Kind::Regression, 1);
    task.units = Units { offset: vec![2.0], scale: vec![0.5], log1p: true };
    let original = |x: f64| (x * 0.5 + 2.0).exp() - 1.0;
    task.metrics = named(&["rmse", "mae"]);
    let given = values(&task, &[1.0, 0.0], &[0.5, 0.0]);
    let error = original(1.0) - original(0.5);
    assert_values(&given[1..], &[("rmse", error / 2.0_f64.sqrt()), ("mae", error / 2.0)]);
}

#[test]
fn r2_does_not_cancel_if_the_labels_are_far_from_zero() {
    let mut task = task("t", 0, Kind::Regression, 1);
    task.units = Units { offset: vec![1e9], scale: vec![1e-3], log1p: false };
    task.metrics = named(&["r2"]);
    let labels: Vec<f32> = (0..1000).map(|i| (i % 7) as f32 - 3.0).collect();
    let outputs: Vec<f32> = labels.iter().map(|y| y * 0.5).collect();
    let given = values(&task, &outputs, &labels);
    let mean = f64::from(labels.iter().sum::<f32>()) / 1000.0;
    let total: f64 = labels.iter().map(|y| (f64::from(*y) - mean).powi(2)).sum();
    let left: f64 = labels.iter().map(|y| (0.5 * f64::from(*y)).powi(2)).sum();
    let (name, r2) = given.last().unwrap();
    assert_eq!(*name, "r2");
    assert!((r2 - (1.0 - left / total)).abs() < 1e-3, "{r2}");
}

#[test]
fn undefined_metrics_are_absent() {
    let binary = task("t", 0, Kind::Binary, 1);
    let names = |given: Vec<(&'static str, f64)>| given.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    let one_class = names(values(&binary, &[1.0, 2.0], &[1.0, 1.0]));
    let defined = [
        "loss",
        "accuracy",
        "balanced_accuracy",
        "precision",
        "precision_macro",
        "recall",
        "recall_macro",
        "f1",
        "f1_macro",
    ];
    assert_eq!(one_class, defined);
    let regression = task("t", 0, Kind::Regression, 1);
    assert_eq!(names(values(&regression, &[1.0, 2.0], &[1.0, 1.0])), ["loss", "rmse", "mae", "mape"]);
    assert!(binary.measures().values(&TaskSums::default()).is_empty());
}

#[test]
fn sums_that_come_from_elsewhere_have_to_be_of_as_many_rows_as_they_say() {
    let ranked = |kind, outputs| TaskShape { metrics: named(&["auroc"]), ..task("t", 0, kind, outputs) };
    let binary = ranked(Kind::Binary, 1);
    let true_sums = sums(&binary, &rows(&[2.0, -1.0, 0.5], &[1.0, 0.0, 0.0], 1));
    assert!(binary.measures().fits(&true_sums) && true_sums.is_finite());
    let wrong: [fn(&mut TaskSums); 7] = [
        |sums| sums.rows += 1,
        |sums| sums.counts[0] += 1,
        |sums| sums.counts = vec![u64::MAX; 4],
        |sums| sums.rows = u64::MAX,
        |sums| sums.labels[0] = 2,
        |sums| sums.scores.truncate(2),
        |sums| sums.sums.push(0.0),
    ];
    for change in wrong {
        let mut sums = true_sums.clone();
        change(&mut sums);
        assert!(!binary.measures().fits(&sums), "{sums:?}");
    }
    let multiclass = ranked(Kind::Multiclass, 3);
    let true_sums = sums(&multiclass, &rows(&[2.0, 0.0, 0.0, 0.0, 3.0, 1.0], &[0.0, 2.0], 3));
    assert!(multiclass.measures().fits(&true_sums));
    let wrong: [fn(&mut TaskSums); 4] =
        [|sums| sums.counts[1] += 1, |sums| sums.counts[2] = 2, |sums| sums.counts[0] = 3, |sums| sums.labels[1] = 3];
    for change in wrong {
        let mut sums = true_sums.clone();
        change(&mut sums);
        assert!(!multiclass.measures().fits(&sums), "{sums:?}");
    }
    let regression = task("t", 0, Kind::Regression, 2);
    let true_sums = sums(&regression, &rows(&[2.0, 0.0], &[1.0, 0.5], 2));
    assert!(regression.measures().fits(&true_sums));
    for (place, value) in [(0, -1.0), (5, -0.5), (7, -1e-9)] {
        let mut sums = true_sums.clone();
        sums.sums[place] = value;
        assert!(!regression.measures().fits(&sums), "{sums:?}");
    }
    let wrong: [fn(&mut TaskSums); 3] =
        [|sums| sums.labels[0] = f32::NAN.to_bits(), |sums| sums.labels.truncate(1), |sums| sums.scores.truncate(1)];
    for change in wrong {
        let mut sums = true_sums.clone();
        change(&mut sums);
        assert!(!regression.measures().fits(&sums), "{sums:?}");
    }
    // What is not finite may be the model's doing.
    let changes: [fn(&mut TaskSums); 2] = [|sums| sums.loss = f64::NAN, |sums| sums.sums[1] = f64::INFINITY];
    for change in changes {
        let mut sums = true_sums.clone();
        change(&mut sums);
        assert!(regression.measures().fits(&sums) && !sums.is_finite(), "{sums:?}");
    }
}

#[test]
fn skill_is_the_mean_share_of_the_baseline_that_is_gone() {
    assert_eq!(skill([(0.5, 1.0), (3.0, 2.0)]), Some(0.0));
    assert_eq!(skill([(0.0, 1.0), (7.0, 0.0)]), Some(1.0));
    assert_eq!(skill([(1.0, 0.0)]), None);
}

#[test]
fn rows_without_a_label_are_not_counted() {
    let task = task("t", 0, Kind::Binary, 1);
    let mut rows = rows(&[2.0, -1.0, 0.5], &[1.0, f32::NAN, 0.0], 1);
    rows.batch.targets[0].labelled[1] = false;
    let sums = sums(&task, &rows);
    assert_eq!((sums.rows, sums.scores.len(), sums.counts.iter().sum::<u64>()), (2, 2, 2));
    assert!(sums.loss.is_finite());
}

#[test]
fn predictions_are_probabilities_or_in_the_targets_units() {
    let predict = |task: &TaskShape, outputs: &[f32]| {
        let rows = outputs.len() / task.outputs;
        let batch = Batch { rows, dense: outputs.to_vec(), ids: Vec::new(), targets: Vec::new() };
        pass_through(task).predict(0, &batch).unwrap().remove(0).values
    };
    assert_eq!(predict(&task("t", 0, Kind::Binary, 1), &[0.0]), [0.5]);
    let classes = predict(&task("t", 0, Kind::Multiclass, 2), &[0.0, 3.0_f32.ln()]);
    assert!((classes[0] - 0.25).abs() < 1e-6 && (classes[1] - 0.75).abs() < 1e-6);
    let mut regression = task("t", 0, Kind::Regression, 1);
    regression.units = Units { offset: vec![5.0], scale: vec![2.0], log1p: false };
    assert_eq!(predict(&regression, &[1.5]), [8.0]);
    let mut counts = task("t", 0, Kind::Regression, 1);
    counts.loss = Component::named("poisson").try_into().unwrap();
    assert!((predict(&counts, &[3.0_f32.ln()])[0] - 3.0).abs() < 1e-5);
    // The errors are those of the rate.
    let given = values(&counts, &[3.0_f32.ln()], &[5.0]);
    assert!((given[1].1 - 2.0).abs() < 1e-5, "{given:?}");
}

/// A table of scripts/references/metrics.py.
#[derive(serde::Deserialize)]
struct Reference {
    kind: Kind,
    width: usize,
    outputs: Vec<f32>,
    labels: Vec<f32>,
    metrics: BTreeMap<String, f64>,
}

#[test]
fn every_metric_of_every_kind_agrees_with_scikit_learn() {
    let references: Vec<Reference> = serde_json::from_str(include_str!("goldens/metrics.json")).unwrap();
    let kinds: BTreeSet<String> = references.iter().map(|reference| reference.kind.to_string()).collect();
    assert_eq!(kinds.len(), 4);
    for Reference { kind, width, outputs, labels, metrics } in references {
        let mut task = task("t", 0, kind, width);
        task.metrics = MetricRef::of_kind(kind);
        let given = values(&task, &outputs, &labels);
        assert_eq!(given.len(), 1 + metrics.len(), "{kind}: {given:?}");
        for &(name, value) in &given[1..] {
            assert!(
                (value - metrics[name]).abs() < 1e-6,
                "{kind}: {name} is {value}, and scikit-learn's {}",
                metrics[name]
            );
        }
    }
}

/// Pearson's correlation of mean ranks, by counting the values below and the equal ones.
fn naive_spearman(left: &[f32], right: &[f32]) -> Option<f64> {
    let ranks = |values: &[f32]| -> Vec<f64> {
        let below = |x: f32| values.iter().filter(|y| **y < x).count() as f64;
        let equal = |x: f32| values.iter().filter(|y| **y == x).count() as f64;
        let mean = (values.len() as f64 + 1.0) / 2.0;
        values.iter().map(|x| below(*x) + (equal(*x) + 1.0) / 2.0 - mean).collect()
    };
    let product = |left: &[f64], right: &[f64]| left.iter().zip(right).map(|(a, b)| a * b).sum::<f64>();
    let (left, right) = (ranks(left), ranks(right));
    let squares = product(&left, &left) * product(&right, &right);
    (squares > 0.0).then(|| product(&left, &right) / squares.sqrt())
}

/// The definitions: pairs of rows, and a threshold at every score.
fn naive(scores: &[f32], labels: &[bool]) -> Option<(f64, f64)> {
    let (mut pairs, mut won) = (0.0, 0.0);
    for (p, _) in scores.iter().zip(labels).filter(|(_, label)| **label) {
        for (n, _) in scores.iter().zip(labels).filter(|(_, label)| !**label) {
            pairs += 1.0;
            won += if p > n {
                1.0
            } else if p == n {
                0.5
            } else {
                0.0
            };
        }
    }
    let positives = labels.iter().filter(|label| **label).count() as f64;
    let precision = |threshold: f32| {
        let above: Vec<bool> =
            scores.iter().zip(labels).filter(|(score, _)| **score >= threshold).map(|(_, label)| *label).collect();
        above.iter().filter(|label| **label).count() as f64 / above.len() as f64
    };
    let sum: f64 = scores.iter().zip(labels).filter(|(_, label)| **label).map(|(score, _)| precision(*score)).sum();
    (pairs > 0.0).then(|| (won / pairs, sum / positives))
}

proptest! {
    #[test]
    fn ranked_metrics_agree_with_their_definitions(rows in prop::collection::vec((-4_i8..4, any::<bool>()), 1..60)) {
        let (scores, labels): (Vec<f32>, Vec<bool>) = rows.iter().map(|(score, label)| (f32::from(*score), *label)).unzip();
        let mut task = task("t", 0, Kind::Binary, 1);
        task.metrics = named(&["auroc", "average_precision"]);
        let numbers: Vec<f32> = labels.iter().map(|label| f32::from(u8::from(*label))).collect();
        let given = values(&task, &scores, &numbers);
        match naive(&scores, &labels) {
            None => prop_assert_eq!(given.len(), 1),
            Some((auroc, average_precision)) => {
                prop_assert!((given[1].1 - auroc).abs() < 1e-12);
                prop_assert!((given[2].1 - average_precision).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn rank_correlations_agree_with_their_definition(rows in prop::collection::vec((-4_i8..4, -4_i8..4), 1..60)) {
        let (outputs, labels): (Vec<f32>, Vec<f32>) = rows.iter().map(|(x, y)| (f32::from(*x), f32::from(*y))).unzip();
        let mut task = task("t", 0, Kind::Regression, 1);
        task.metrics = named(&["spearman"]);
        let given = values(&task, &outputs, &labels);
        match naive_spearman(&outputs, &labels) {
            None => prop_assert_eq!(given.len(), 1),
            Some(expected) => prop_assert!((given[1].1 - expected).abs() < 1e-12),
        }
    }

    #[test]
    fn chunks_that_are_merged_in_any_grouping_of_the_tree_give_what_the_whole_gives(
        cut in 0_u32..8, lengths in prop::collection::vec(0_usize..9, 8), kind in 0_usize..4,
    ) {
        let (kind, outputs) = [(Kind::Binary, 1), (Kind::Multilabel, 2), (Kind::Multiclass, 3), (Kind::Regression, 2)][kind];
        let task = task("t", 0, kind, outputs);
        let shapes = Shapes { feeds: vec![feed("features", outputs, &[])], tasks: vec![task.clone()] };
        let total = lengths.iter().sum();
        let rows = Rows::new(&shapes, 0, total, 4, 0.8);
        let network = pass_through(&task);
        let mut start = 0;
        let mut chunks = Vec::new();
        for length in lengths {
            chunks.push(network.evaluate(&rows.part(start..start + length).input()).unwrap().remove(0).1);
            start += length;
        }
        let root = Node::root(8);
        let fold = |node: Node| tree::fold_leaves(node, &mut |v| chunks[v as usize].clone(), &mut TaskSums::add);
        // Two workers with a cut at any place. Each sends the nodes that cover its part.
        let parts = [(0, cut), (cut, 8)].into_iter().flat_map(|(lo, hi)| tree::cover(root, lo, hi));
        let sent = parts.map(|node| (node, fold(node))).collect();
        let merged = tree::fold(root, sent, &mut TaskSums::add).unwrap();
        prop_assert_eq!(&merged, &fold(root));

        let whole = network.evaluate(&rows.input()).unwrap().remove(0).1;
        prop_assert_eq!((whole.rows, &whole.counts, &whole.scores, &whole.labels), (merged.rows, &merged.counts, &merged.scores, &merged.labels));
        let (left, right) = (task.measures().values(&whole), task.measures().values(&merged));
        prop_assert_eq!(left.len(), right.len());
        for (a, b) in left.iter().zip(&right) {
            prop_assert!((a.1 - b.1).abs() <= 1e-9 * a.1.abs().max(1.0), "{}: {} and {}", a.0, a.1, b.1);
        }
    }
}

//! A metric with sums of its own, and names.

use std::collections::BTreeMap;

use settings::{Entry, Reader, Table};

use super::{Measured, Metric, MetricRef, Row, ratio};
use crate::{Kind, LOSSES, Labels, Objective, TaskSums, Units};

/// Mean of the signed error, by output, which needs a sum that no built-in metric has.
#[derive(Debug)]
struct Bias;

impl Metric for Bias {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Regression, Kind::Binary]
    }

    fn higher_is_better(&self) -> bool {
        false
    }

    fn own_sums(&self, outputs: usize) -> usize {
        outputs
    }

    fn add(&self, row: &Row<'_>, own: &mut [f64]) {
        for ((sum, prediction), label) in own.iter_mut().zip(row.predictions).zip(row.labels) {
            *sum += prediction - label;
        }
    }

    fn value(&self, measured: &Measured<'_>) -> Option<f64> {
        ratio(measured.own.iter().map(|sum| sum.abs()).sum(), measured.rows())
    }
}

static BIAS: Entry<&'static dyn Metric> =
    Entry { name: "bias", summary: "mean signed error", origin: "here 1.0.0", part: &Bias };

fn objective(kind: Kind, loss: &str) -> Objective {
    let table = Table::new();
    let part = LOSSES.find(loss).expect("it is built in").part;
    let loss = (part.read)(&mut Reader::new(&table, "a loss"), kind).expect("it has defaults");
    let units = Units { offset: vec![100.0], scale: vec![10.0], log1p: false };
    let metrics = vec![MetricRef::of_entry(&BIAS)];
    Objective { task: 0, kind, outputs: 1, units, loss: loss.into(), metrics }
}

fn sums(objective: &Objective, outputs: &[f32], labels: &[f32]) -> TaskSums {
    objective.sums(outputs, Labels { values: labels, labelled: &vec![true; labels.len()] })
}

#[test]
fn sums_of_its_own_are_in_the_targets_units_and_merge_by_place() {
    let objective = objective(Kind::Regression, "mse");
    let measures = objective.measures();
    let whole = sums(&objective, &[0.0, 1.0, 2.0], &[1.0, 1.0, -1.0]);
    assert_eq!(whole.own, BTreeMap::from([("bias".to_owned(), vec![-10.0 + 0.0 + 30.0])]));
    let left = sums(&objective, &[0.0], &[1.0]);
    let right = sums(&objective, &[1.0, 2.0], &[1.0, -1.0]);
    assert_eq!(left.add(right), whole);
    let values = measures.values(&whole);
    assert_eq!(values.last(), Some(&("bias", 20.0 / 3.0)));
    assert_eq!(measures.zero().add(whole.clone()), whole);
}

#[test]
fn sums_of_its_own_see_probabilities_of_classifications() {
    let objective = objective(Kind::Binary, "cross_entropy");
    let found = sums(&objective, &[0.0, 0.0], &[1.0, 1.0]);
    assert_eq!(found.own["bias"], [-1.0]);
    assert!(found.scores.is_empty());
}

#[test]
fn sums_of_its_own_that_come_from_elsewhere_have_its_name_and_length() {
    let objective = objective(Kind::Regression, "mse");
    let measures = objective.measures();
    let right = sums(&objective, &[0.0], &[1.0]);
    assert!(measures.fits(&right) && right.is_finite());
    let wrong: [fn(&mut TaskSums); 3] = [
        |sums| sums.own.clear(),
        |sums| sums.own.insert("bias".to_owned(), vec![0.0; 2]).map_or((), drop),
        |sums| sums.own.insert("other".to_owned(), vec![0.0]).map_or((), drop),
    ];
    for change in wrong {
        let mut sums = right.clone();
        change(&mut sums);
        assert!(!measures.fits(&sums), "{sums:?}");
    }
    let mut not_finite = right;
    not_finite.own.insert("bias".to_owned(), vec![f64::NAN]);
    assert!(measures.fits(&not_finite) && !not_finite.is_finite());
}

#[test]
fn metrics_follow_the_kind_in_the_order_of_the_registry() {
    let names = |metrics: Vec<MetricRef>| metrics.into_iter().map(MetricRef::name).collect::<Vec<_>>();
    assert_eq!(names(MetricRef::default_of(Kind::Regression)), ["rmse", "mae", "r2"]);
    assert_eq!(names(MetricRef::default_of(Kind::Binary)), ["accuracy", "auroc"]);
    assert_eq!(names(MetricRef::default_of(Kind::Multiclass)), ["accuracy", "f1_macro"]);
    assert_eq!(names(MetricRef::default_of(Kind::Multilabel)), ["f1_macro", "auroc"]);
    for kind in Kind::ALL {
        let known = MetricRef::of_kind(kind);
        assert!(MetricRef::default_of(kind).iter().all(|metric| known.contains(metric)));
    }
}

#[test]
fn a_metric_is_written_as_its_name_and_an_unknown_name_is_refused_with_the_known_ones() {
    let metric = MetricRef::named("auroc").expect("it is built in");
    let text = serde_json::to_string(&metric).expect("a name");
    assert_eq!(text, "\"auroc\"");
    assert_eq!(serde_json::from_str::<MetricRef>(&text).expect("it was written"), metric);
    let error = serde_json::from_str::<MetricRef>("\"aurok\"").expect_err("there is none").to_string();
    assert!(error.contains("`auroc`"), "{error}");
}

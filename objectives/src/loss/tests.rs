//! Values, derivatives and baselines of all losses.

use settings::{Component, Invalid, Table, Value};

use super::{AllLabels, Classes, LOSSES, Loss, of_kind};
use crate::{Kind, Labels, Objective, Units};

fn read(name: &str, kind: Kind, parameters: &[(&str, Value)]) -> Result<Box<dyn Loss>, Invalid> {
    completed(name, kind, parameters).map(|(loss, _)| loss)
}

/// The loss, and its parameters with the defaults filled in.
fn completed(name: &str, kind: Kind, parameters: &[(&str, Value)]) -> Result<(Box<dyn Loss>, Component), Invalid> {
    let parameters = parameters.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
    LOSSES.read(&Component::new(name, parameters.collect()), |part, reader| (part.read)(reader, kind))
}

fn objective(name: &str, kind: Kind, outputs: usize, parameters: &[(&str, Value)]) -> Objective {
    let loss = read(name, kind, parameters).expect("the parameters are right").into();
    Objective { task: 0, kind, outputs, units: Units::default(), loss, metrics: Vec::new() }
}

fn huber(delta: f64) -> [(&'static str, Value); 1] {
    [("delta", Value::Number(delta))]
}

/// Cross-entropy of three classes with smoothing 0.1 and weights 0.5, 1.5, 2.5.
fn smoothed() -> Objective {
    let weights = Value::List([0.5, 1.5, 2.5].map(Value::Number).to_vec());
    let parameters = [("label_smoothing", Value::Number(0.1)), ("class_weights", weights)];
    objective("cross_entropy", Kind::Multiclass, 3, &parameters)
}

fn list(weights: &[f64]) -> Value {
    Value::List(weights.iter().copied().map(Value::Number).collect())
}

fn positive_weight(value: Value) -> [(&'static str, Value); 1] {
    [("positive_weight", value)]
}

/// The loss of all rows, and the derivatives times `scale`.
fn of(objective: &Objective, outputs: &[f32], values: &[f32], scale: f32) -> (f64, Vec<f32>) {
    let labelled = vec![true; outputs.len() / objective.outputs];
    let mut derivative = vec![f32::NAN; outputs.len()];
    let labels = Labels { values, labelled: &labelled };
    (objective.losses(outputs, labels, scale, Some(&mut derivative)).loss, derivative)
}

#[test]
fn values_are_those_of_the_formulas() {
    let close = |given: f64, expected: f64| assert!((given - expected).abs() < 1e-6, "{given}, not {expected}");
    let regression = |name: &str, parameters: &[(&str, Value)], labels: [f32; 2]| {
        of(&objective(name, Kind::Regression, 2, parameters), &[1.0, 3.0], &labels, 1.0).0
    };
    close(regression("mse", &[], [0.0, 1.0]), 2.5);
    close(regression("mae", &[], [0.0, 1.0]), 1.5);
    close(regression("huber", &huber(1.5), [0.0, 1.0]), (0.5 + 1.5 * 1.25) / 2.0);
    let (e, ln_4) = (std::f64::consts::E, 4_f64.ln());
    close(regression("poisson", &[], [0.0, 4.0]), (e + e.powi(3) - 4.0 - 4.0 * (3.0 - ln_4)) / 2.0);
    let binary = objective("cross_entropy", Kind::Binary, 1, &[]);
    close(of(&binary, &[0.7], &[1.0], 1.0).0, (1.0 + (-0.7_f64).exp()).ln());
    let weighted = objective("cross_entropy", Kind::Binary, 1, &positive_weight(Value::Number(2.5)));
    close(of(&weighted, &[0.7], &[1.0], 1.0).0, 2.5 * (1.0 + (-0.7_f64).exp()).ln());
    close(of(&weighted, &[0.7], &[0.0], 1.0).0, (1.0 + 0.7_f64.exp()).ln());
    let by_output = objective("cross_entropy", Kind::Multilabel, 2, &positive_weight(list(&[3.0, 0.5])));
    let sum = 3.0 * (1.0 + (-0.7_f64).exp()).ln() + 0.5 * (1.0 + 0.2_f64.exp()).ln();
    close(of(&by_output, &[0.7, -0.2], &[1.0, 1.0], 1.0).0, sum / 2.0);
    let total = (1.0_f64.exp() + 2.0_f64.exp() + 0.5_f64.exp()).ln();
    let multiclass = objective("cross_entropy", Kind::Multiclass, 3, &[]);
    close(of(&multiclass, &[1.0, 2.0, 0.5], &[1.0], 1.0).0, total - 2.0);
    let smooth = 0.9 * (total - 2.0) + 0.1 * (total - 3.5 / 3.0);
    close(of(&smoothed(), &[1.0, 2.0, 0.5], &[1.0], 1.0).0, 1.5 * smooth);
}

#[test]
fn derivatives_are_differences_of_values() {
    let outputs = [-0.8, 0.4, 1.9, 0.1, -2.0, 0.3];
    let numbers: &[f32] = &[0.3, 0.2, -1.0, 1.0, 0.0, 1.0];
    let decisions: &[f32] = &[0.0, 1.0, 1.0, 0.0, 1.0, 0.0];
    let cases = [
        (objective("mse", Kind::Regression, 2, &[]), numbers),
        (objective("mae", Kind::Regression, 2, &[]), numbers),
        (objective("huber", Kind::Regression, 2, &huber(1.0)), numbers),
        (objective("poisson", Kind::Regression, 2, &[]), &[0.0, 3.0, 7.0, 1.0, 0.0, 2.0][..]),
        (objective("cross_entropy", Kind::Binary, 1, &[]), decisions),
        (objective("cross_entropy", Kind::Multilabel, 3, &[]), decisions),
        (objective("cross_entropy", Kind::Binary, 1, &positive_weight(Value::Number(2.5))), decisions),
        (objective("cross_entropy", Kind::Multilabel, 3, &positive_weight(list(&[0.5, 2.0, 4.0]))), decisions),
        (objective("cross_entropy", Kind::Multiclass, 3, &[]), &[2.0, 0.0][..]),
        (smoothed(), &[2.0, 1.0][..]),
    ];
    for (objective, values) in cases {
        let (_, derivative) = of(&objective, &outputs, values, 0.7);
        for (i, &derivative) in derivative.iter().enumerate() {
            let moved = |step: f32| {
                let mut outputs = outputs;
                outputs[i] += step;
                (f64::from(outputs[i]), of(&objective, &outputs, values, 0.7).0)
            };
            let ((right, above), (left, below)) = (moved(1e-3), moved(-1e-3));
            let difference = 0.7 * (above - below) / (right - left);
            let error = (difference - f64::from(derivative)).abs();
            assert!(error < 2e-4, "{:?} {i}: {difference}, {derivative}", objective.loss);
        }
    }
}

#[test]
fn extreme_outputs_of_classifications_have_finite_losses_and_derivatives() {
    for outputs in [[1e4, -1e4, 0.0], [-3e38, 3e38, 1.0], [88.0, 87.0, -88.0]] {
        let multiclass = objective("cross_entropy", Kind::Multiclass, 3, &[]);
        let multilabel = objective("cross_entropy", Kind::Multilabel, 3, &[]);
        for (objective, labels) in
            [(multiclass, &[1.0][..]), (smoothed(), &[1.0][..]), (multilabel, &[1.0, 0.0, 1.0][..])]
        {
            let (loss, derivative) = of(&objective, &outputs, labels, 1.0);
            assert!(loss.is_finite() && derivative.iter().all(|d| d.is_finite()), "{outputs:?}: {loss} {derivative:?}");
        }
    }
}

#[test]
fn rows_without_a_label_contribute_exactly_zero() {
    let objective = objective("cross_entropy", Kind::Multiclass, 3, &[]);
    let mut derivative = [f32::NAN; 6];
    let labels = Labels { values: &[1.0, f32::NAN], labelled: &[true, false] };
    let sum = objective.losses(&[1.0, 2.0, 0.5, f32::INFINITY, 0.0, 0.0], labels, 1.0, Some(&mut derivative));
    assert_eq!(sum.rows, 1);
    assert_eq!(derivative[3..], [0.0; 3]);
    assert!(sum.loss.is_finite());
}

/// The mean baseline of rows that are all training rows.
fn baseline(loss: &dyn Loss, outputs: usize, values: &[f64], rows: usize) -> f64 {
    let losses = loss.baseline(&AllLabels { outputs, values, is_training: &vec![true; rows] });
    assert_eq!(losses.len(), rows);
    losses.iter().sum::<f64>() / rows as f64
}

#[test]
fn cross_entropy_of_frequencies_is_their_entropy_on_the_training_rows() {
    let loss = read("cross_entropy", Kind::Multiclass, &[]).expect("no parameters");
    let is_training = [true, true, true, true, false];
    let losses =
        loss.baseline(&AllLabels { outputs: 2, values: &[0.0, 0.0, 0.0, 1.0, 1.0], is_training: &is_training });
    let entropy = -(0.75_f64 * 0.75_f64.ln() + 0.25 * 0.25_f64.ln());
    assert!((losses[..4].iter().sum::<f64>() / 4.0 - entropy).abs() < 1e-12);
    assert!((losses[4] - 4_f64.ln()).abs() < 1e-12);
}

#[test]
fn no_constant_is_better_under_smoothing_and_weights() {
    let weights = [1.0, 3.0, 0.5];
    let parameters =
        [("label_smoothing", Value::Number(0.2)), ("class_weights", Value::List(weights.map(Value::Number).to_vec()))];
    let loss = read("cross_entropy", Kind::Multiclass, &parameters).expect("they are right");
    let classes = [0.0, 0.0, 0.0, 1.0, 1.0, 2.0];
    let best = baseline(loss.as_ref(), 3, &classes, 6);
    for shift in [[0.01, 0.0, -0.01], [-0.02, 0.01, 0.01], [0.0, -0.03, 0.03]] {
        let mass = [3.0, 6.0, 0.5].map(|m: f64| m / 9.5 * 0.8 + 0.2 / 3.0);
        let p: Vec<f64> = mass.iter().zip(shift).map(|(m, s)| m + s).collect();
        let row = |y: usize| -weights[y] * (0.8 * p[y].ln() + 0.2 / 3.0 * p.iter().map(|p| p.ln()).sum::<f64>());
        let other = classes.iter().map(|y| row(*y as usize)).sum::<f64>() / 6.0;
        assert!(other > best, "{other} {best}");
    }
}

#[test]
fn no_constant_is_better_under_a_positive_weight() {
    let loss = read("cross_entropy", Kind::Binary, &positive_weight(Value::Number(3.0))).expect("it is right");
    let labels = [1.0, 0.0, 0.0, 0.0, 1.0];
    let best = baseline(loss.as_ref(), 1, &labels, 5);
    let at = |x: f64| (2.0 * 3.0 * (1.0 + (-x).exp()).ln() + 3.0 * (1.0 + x.exp()).ln()) / 5.0;
    assert!((best - at(2.0_f64.ln())).abs() < 1e-12, "the weighted share of label 1 is 2/3: {best}");
    assert!(best < at(0.6) && best < at(0.8));
}

#[test]
fn a_weight_of_one_has_the_bits_of_no_weight() {
    let outputs = [-0.8, 0.4, 1.9, 0.1, -2.0, 0.3];
    let labels = [0.0, 1.0, 1.0, 0.0, 1.0, 0.0];
    let plain = objective("cross_entropy", Kind::Multilabel, 3, &[]);
    let weighted = objective("cross_entropy", Kind::Multilabel, 3, &positive_weight(Value::Integer(1)));
    let bits = |objective: &Objective| {
        let (loss, derivative) = of(objective, &outputs, &labels, 0.7);
        (loss.to_bits(), derivative.into_iter().map(f32::to_bits).collect::<Vec<_>>())
    };
    assert_eq!(bits(&plain), bits(&weighted));
}

#[test]
fn labels_that_no_training_row_has_leave_the_baseline_finite() {
    let is_training = &[true, false][..];
    for (name, kind, outputs, values) in [
        ("cross_entropy", Kind::Multiclass, 2, [0.0, 1.0]),
        ("cross_entropy", Kind::Binary, 1, [0.0, 1.0]),
        ("poisson", Kind::Regression, 1, [0.0, 5.0]),
    ] {
        let loss = read(name, kind, &[]).expect("no parameters");
        let losses = loss.baseline(&AllLabels { outputs, values: &values, is_training });
        assert!(losses.iter().all(|loss| loss.is_finite() && *loss > 0.0), "{name} of {kind}: {losses:?}");
    }
}

#[test]
fn no_constant_is_better_than_the_baseline_of_a_regression() {
    let labels = [0.0, 1.0, 2.0, 3.0, 100.0];
    for entry in of_kind(Kind::Regression) {
        let objective = objective(entry.name, Kind::Regression, 1, &[]);
        let best = baseline(objective.loss.as_ref(), 1, &labels, 5);
        let values: Vec<f32> = labels.iter().map(|label| *label as f32).collect();
        let at = |x: f32| of(&objective, &[x; 5], &values, 1.0).0 / 5.0;
        let least = (-200..=2500).map(|x| at(x as f32 * 0.01)).fold(f64::INFINITY, f64::min);
        assert!(best <= least + 1e-6 * least && best >= 0.999 * least, "{}: {best}, {least}", entry.name);
    }
    let exact = |name: &str| baseline(read(name, Kind::Regression, &[]).expect("defaults").as_ref(), 1, &labels, 5);
    let variance = labels.iter().map(|label| (label - 21.2_f64).powi(2)).sum::<f64>() / 5.0;
    assert!((exact("mse") - variance).abs() < 1e-9);
    assert!((exact("mae") - (2.0 + 1.0 + 0.0 + 1.0 + 98.0) / 5.0).abs() < 1e-12);
}

#[test]
fn poisson_is_zero_for_a_perfect_rate_and_predicts_rates() {
    let objective = objective("poisson", Kind::Regression, 1, &[]);
    for count in [1.0_f32, 2.0, 30.0, 1e6] {
        let (loss, derivative) = of(&objective, &[count.ln()], &[count], 1.0);
        assert!((0.0..1e-4 * f64::from(count).max(1.0)).contains(&loss), "{count}: {loss}");
        assert!(derivative[0].abs() < 1e-4 * count, "{count}: {derivative:?}");
        let predicted = objective.predictions(&[count.ln()])[0];
        assert!((predicted / count - 1.0).abs() < 1e-5, "{count}: {predicted}");
    }
}

#[test]
fn poisson_refuses_labels_that_are_no_counts() {
    let loss = read("poisson", Kind::Regression, &[]).expect("no parameters");
    assert_eq!(loss.check_label(3.0), Ok(()));
    assert_eq!(loss.check_label(0.0), Ok(()));
    for label in [-1.0, f64::INFINITY, f64::NAN] {
        let reason = loss.check_label(label).expect_err("it is no count");
        assert!(reason.starts_with(&format!("{label} is not a count")), "{reason}");
    }
}

#[test]
fn class_weights_are_put_in_the_order_of_the_classes() {
    let names = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
    let fitted = |weights: Value| -> Result<Table, Invalid> {
        let loss = read("cross_entropy", Kind::Multiclass, &[("class_weights", weights)])?;
        loss.fitted(&Classes { names: &names, rows: &[2, 2, 0], labelled: 4 })
    };
    let balanced = fitted(Value::Text("balanced".to_owned())).expect("the name is known");
    assert_eq!(balanced["class_weights"], list(&[4.0 / 6.0, 4.0 / 6.0, 0.0]));
    let by_class = Value::Table(Table::from([("b".to_owned(), Value::Integer(3))]));
    assert_eq!(fitted(by_class).expect("the class is known")["class_weights"], list(&[1.0, 3.0, 1.0]));
    let unknown = Value::Table(Table::from([("d".to_owned(), Value::Integer(3))]));
    let message = fitted(unknown).expect_err("no such class").message;
    assert_eq!(message, "no class `d`; the classes are `a`, `b`, `c`");
    let message = fitted(list(&[1.0, 2.0])).expect_err("one is missing").message;
    assert_eq!(message, "2 class weights for 3 classes: `a`, `b`, `c`");
}

#[test]
fn balanced_positive_weights_are_rows_with_label_0_by_rows_with_label_1() {
    let names = ["a".to_owned(), "b".to_owned(), "c".to_owned(), "d".to_owned()];
    let fitted = |kind, outputs: usize, rows: &[u64], weight: Value| -> Result<Table, Invalid> {
        let loss = read("cross_entropy", kind, &positive_weight(weight))?;
        loss.fitted(&Classes { names: &names[..outputs], rows, labelled: 10 })
    };
    let balanced = || Value::Text("balanced".to_owned());
    let binary = fitted(Kind::Binary, 1, &[4], balanced()).expect("it is a name that is known");
    assert_eq!(binary["positive_weight"], list(&[1.5]));
    // Outputs whose training rows have one label alone have weight 1.
    let multilabel = fitted(Kind::Multilabel, 4, &[2, 5, 0, 10], balanced()).expect("it is a name that is known");
    assert_eq!(multilabel["positive_weight"], list(&[4.0, 1.0, 1.0, 1.0]));
    let given = fitted(Kind::Multilabel, 2, &[2, 5], Value::Integer(3)).expect("one weight is for all outputs");
    assert_eq!(given["positive_weight"], Value::Number(3.0));
    let message = fitted(Kind::Multilabel, 3, &[2, 5, 1], list(&[1.0, 2.0])).expect_err("one is missing").message;
    assert_eq!(message, "2 positive weights for 3 outputs; give one for each output");
}

#[test]
fn parameters_are_completed_and_wrong_ones_are_refused_by_key() {
    let key = |name: &str, kind: Kind, key: &str, value: Value| {
        read(name, kind, &[(key, value)]).expect_err("it is refused").key()
    };
    let multiclass = Kind::Multiclass;
    assert_eq!(key("huber", Kind::Regression, "delta", Value::Number(0.0)), "delta");
    assert_eq!(key("mse", Kind::Regression, "delta", Value::Number(1.0)), "delta");
    assert_eq!(key("cross_entropy", Kind::Binary, "label_smoothing", Value::Number(0.1)), "label_smoothing");
    assert_eq!(key("cross_entropy", multiclass, "label_smoothing", Value::Number(1.0)), "label_smoothing");
    assert_eq!(key("cross_entropy", multiclass, "class_weights", list(&[1.0, -1.0])), "class_weights[1]");
    assert_eq!(key("cross_entropy", multiclass, "class_weights", list(&[0.0, 0.0])), "class_weights");
    assert_eq!(key("cross_entropy", multiclass, "class_weights", list(&[])), "class_weights");
    assert_eq!(key("cross_entropy", multiclass, "class_weights", Value::Bool(true)), "class_weights");
    assert_eq!(key("cross_entropy", multiclass, "positive_weight", Value::Number(2.0)), "positive_weight");
    assert_eq!(key("cross_entropy", Kind::Binary, "class_weights", list(&[1.0, 2.0])), "class_weights");
    for wrong in [Value::Number(0.0), Value::Bool(true), list(&[]), Value::Text("balance".to_owned())] {
        assert_eq!(key("cross_entropy", Kind::Multilabel, "positive_weight", wrong), "positive_weight");
    }
    assert_eq!(key("cross_entropy", Kind::Multilabel, "positive_weight", list(&[1.0, 0.0])), "positive_weight[1]");
    let (_, huber) = completed("huber", Kind::Regression, &[("delta", Value::Integer(2))]).expect("it is right");
    assert_eq!(huber, Component::named("huber").with("delta", 2.0));
    let (_, plain) = completed("cross_entropy", multiclass, &[]).expect("no parameters");
    assert_eq!(plain, Component::named("cross_entropy"));
}

#[test]
fn the_first_loss_that_fits_a_kind_is_its_default() {
    let names = |kind| of_kind(kind).map(|entry| entry.name).collect::<Vec<_>>();
    assert_eq!(names(Kind::Regression), ["mse", "huber", "mae", "poisson"]);
    for kind in [Kind::Binary, Kind::Multiclass, Kind::Multilabel] {
        assert_eq!(names(kind), ["cross_entropy"]);
    }
}

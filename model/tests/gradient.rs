//! The gradient of the hand-written engine agrees with burn's autodiff and with differences of
//! losses.

#![allow(clippy::unwrap_used)] // a test fails by panicking

mod made;

use experiment::{Head, LossRef};
use made::{AT, Rows, assert_close, four_tasks, gradient, inputs};
use model::activation::ACTIVATIONS;
use model::{Device, Network};
use serde_json::{Value, json};

const SCALES: [f32; 4] = [0.7, 1.3, 0.4, 2.0];

/// Models that together have every activation, encoder, norm and dropout.
fn models() -> Vec<(&'static str, Value)> {
    let activation = |name| (name, json!({ "trunk": { "hidden": [9, 8], "activation": name } }));
    let mut models: Vec<_> = ACTIVATIONS.names().into_iter().map(activation).collect();
    models.extend([
        (
            "steep leaky relu",
            json!({ "trunk": { "hidden": [9, 8], "activation": { "kind": "leaky_relu", "negative_slope": 0.3 } } }),
        ),
        ("small elu", json!({ "trunk": { "hidden": [9, 8], "activation": { "kind": "elu", "alpha": 0.4 } } })),
        ("layer norm", json!({ "trunk": { "hidden": [9, 8], "activation": "tanh", "layer_norm": true } })),
        ("dropout", json!({ "trunk": { "hidden": [9, 8], "activation": "tanh", "dropout": 0.4 } })),
        (
            "norm and dropout",
            json!({ "trunk": { "hidden": [9, 8], "activation": "silu", "dropout": 0.2, "layer_norm": true } }),
        ),
        ("elu and dropout", json!({ "trunk": { "hidden": [9, 8], "activation": "elu", "dropout": 0.4 } })),
        (
            "deep encoder",
            json!({ "trunk": { "hidden": [6], "activation": "silu" },
                    "encoder": { "hidden": [5], "width": 10, "activation": "gelu", "layer_norm": true, "dropout": 0.3 } }),
        ),
    ]);
    models
}

/// Whether a model has a kink: a difference of losses over it is not a derivative.
fn has_kink(name: &str) -> bool {
    ["relu", "leaky_relu", "steep leaky relu", "small elu"].contains(&name)
}

#[test]
fn by_hand_agrees_with_autodiff_for_every_layer() {
    let shapes = four_tasks();
    for (name, model) in models() {
        let experiment = made::experiment(model);
        let rows = Rows::of_all(&shapes, &[11, 6], 5, 0.8);
        let mut by_hand = Network::new(&experiment, &shapes, &Device::Flex).unwrap();
        let mut autodiff = Network::with_autodiff(&experiment, &shapes, &Device::Flex).unwrap();
        let (left, left_losses) = gradient(&mut by_hand, &SCALES, &rows);
        let (right, right_losses) = gradient(&mut autodiff, &SCALES, &rows);
        assert_close(&left, &right, 2e-5, name);
        for (a, b) in left_losses.iter().zip(&right_losses) {
            assert_eq!((a.task, a.rows), (b.task, b.rows), "{name}");
            assert!((a.loss - b.loss).abs() <= 1e-5 * b.loss.abs(), "{name}: {} and {}", a.loss, b.loss);
        }
    }
}

#[test]
fn by_hand_agrees_with_autodiff_if_embeddings_meet_the_trunk_directly() {
    let mut shapes = four_tasks();
    shapes.feeds[0].width = 9; // 4 dense columns and embeddings of 3 and 2 on the other side
    let experiment = made::experiment(json!({ "trunk": { "hidden": [8], "activation": "tanh" }, "encoder": "none" }));
    let rows = Rows::of_all(&shapes, &[5, 7], 5, 0.9);
    let mut by_hand = Network::new(&experiment, &shapes, &Device::Flex).unwrap();
    let mut autodiff = Network::with_autodiff(&experiment, &shapes, &Device::Flex).unwrap();
    assert_close(
        &gradient(&mut by_hand, &SCALES, &rows).0,
        &gradient(&mut autodiff, &SCALES, &rows).0,
        2e-5,
        "embeddings",
    );
}

#[test]
fn differences_of_losses_agree_with_the_gradient_block_by_block() {
    let mut shapes = four_tasks();
    shapes.tasks[3].head = Head { hidden: vec![6], dropout: 0.3, layer_norm: true, ..Head::default() };
    for (name, model) in models().into_iter().filter(|(name, _)| !has_kink(name)) {
        made::check_differences(name, &made::experiment(model), &shapes, &SCALES);
    }
}

#[test]
fn differences_of_every_loss_agree_with_the_gradient() {
    let experiment = made::experiment(json!({ "trunk": { "hidden": [9], "activation": "tanh" } }));
    let loss = |table: Value| -> LossRef { serde_json::from_value(table).unwrap() };
    for regression in [json!("mse"), json!("mae"), json!({ "kind": "huber", "delta": 0.6 })] {
        let mut shapes = four_tasks();
        let weights = [0.5, 2.0, 1.0, 3.0, 0.25];
        shapes.tasks[0].loss =
            loss(json!({ "kind": "cross_entropy", "label_smoothing": 0.2, "class_weights": weights }));
        shapes.tasks[2].loss = loss(regression);
        made::check_differences(shapes.tasks[2].loss.name(), &experiment, &shapes, &SCALES);
    }
}

#[test]
fn a_layer_norm_block_gets_a_gradient() {
    let shapes = four_tasks();
    let model = json!({ "trunk": { "hidden": [9, 8], "layer_norm": true } });
    let mut network = Network::new(&made::experiment(model), &shapes, &Device::Flex).unwrap();
    let (gradient, _) = gradient(&mut network, &SCALES, &Rows::of_all(&shapes, &[8, 8], 1, 1.0));
    let block = network.layout().block("trunk.1.norm.weight").unwrap();
    assert!(gradient[block.range()].iter().any(|g| g.abs() > 1e-3));
}

#[test]
fn blocks_without_a_task_in_the_pass_are_zero_and_the_others_are_as_if_alone() {
    let shapes = four_tasks();
    let experiment = made::experiment(json!({ "trunk": { "hidden": [9, 8] } }));
    let mut network = Network::new(&experiment, &shapes, &Device::Flex).unwrap();
    let rows = Rows::of_all(&shapes, &[8, 9], 4, 0.9);
    let (whole, _) = gradient(&mut network, &SCALES, &rows);
    let mut sum = vec![0.0; whole.len()];
    for task in 0..4 {
        let mut alone = rows[shapes.tasks[task].feed].clone();
        alone.batch.targets.retain(|target| target.task == task);
        let (part, losses) = gradient(&mut network, &SCALES, &[alone]);
        assert_eq!(losses.len(), 1);
        for block in network.layout().blocks() {
            let zero = part[block.range()].iter().all(|g| *g == 0.0);
            assert_eq!(zero, !block.tasks.contains(&task), "task {task}, {}", block.name);
        }
        sum.iter_mut().zip(&part).for_each(|(sum, g)| *sum += g);
    }
    assert_close(&sum, &whole, 1e-5, "sum over tasks");
}

#[test]
fn gradients_task_by_task_have_the_bits_of_each_task_alone() {
    let shapes = four_tasks();
    let experiment = made::experiment(json!({ "trunk": { "hidden": [9, 8], "activation": "silu", "dropout": 0.3 } }));
    for build in [Network::new, Network::with_autodiff] {
        let mut network = build(&experiment, &shapes, &Device::Flex).unwrap();
        let parameters = network.initial(1);
        network.set_parameters(&parameters).unwrap();
        let rows = Rows::of_all(&shapes, &[8, 9], 4, 0.7);
        let losses = network.losses(AT, &inputs(&rows)).unwrap();
        for (feed, tasks) in [(0, vec![0, 1]), (1, vec![2, 3]), (1, vec![3]), (0, vec![])] {
            let mut vectors = vec![vec![f32::NAN; parameters.len()]; tasks.len()];
            let mut places: Vec<&mut [f32]> = vectors.iter_mut().map(Vec::as_mut_slice).collect();
            let sums = network.task_gradients(AT, &SCALES, &rows[feed].input(), &tasks, &mut places).unwrap();
            let of_feed: Vec<_> = losses.iter().filter(|sum| shapes.tasks[sum.task].feed == feed).copied().collect();
            assert_eq!(sums, of_feed);
            for (task, vector) in tasks.iter().zip(&vectors) {
                let mut alone = rows[feed].clone();
                alone.batch.targets.retain(|target| target.task == *task);
                let mut expected = vec![f32::NAN; parameters.len()];
                network.combined_gradient(AT, &SCALES, &inputs(&[alone]), &mut expected).unwrap();
                assert_eq!(*vector, expected, "task {task}");
                let span = network.layout().span(*task);
                assert!(vector[..span.start].iter().chain(&vector[span.end..]).all(|g| *g == 0.0));
            }
        }
    }
}

#[test]
fn a_feed_without_rows_and_a_task_without_labels_contribute_nothing() {
    let shapes = four_tasks();
    let experiment = made::experiment(json!({ "trunk": { "hidden": [9, 8], "dropout": 0.1 } }));
    for build in [Network::new, Network::with_autodiff] {
        let mut network = build(&experiment, &shapes, &Device::Flex).unwrap();
        let (left, losses) = gradient(&mut network, &SCALES, &Rows::of_all(&shapes, &[0, 6], 4, 0.0));
        assert!(left.iter().all(|g| *g == 0.0));
        assert!(losses.iter().all(|sum| sum.loss == 0.0 && sum.rows == 0) && losses.len() == 4);
    }
}

#[test]
fn losses_without_a_gradient_are_the_same_bits() {
    let shapes = four_tasks();
    let experiment = made::experiment(json!({ "trunk": { "hidden": [9, 8], "dropout": 0.3 } }));
    let mut network = Network::new(&experiment, &shapes, &Device::Flex).unwrap();
    let rows = Rows::of_all(&shapes, &[8, 9], 4, 0.7);
    let (_, with) = gradient(&mut network, &SCALES, &rows);
    assert_eq!(with, network.losses(AT, &inputs(&rows)).unwrap());
}

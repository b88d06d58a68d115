//! The bits do not depend on the number of threads, on the run, or on the division of the work.

#![allow(clippy::unwrap_used)] // a test fails by panicking

mod made;

use made::{Rows, gradient};
use model::{Device, LossSum, Network};
use serde_json::json;

/// The bits of the gradient, and the losses, with this many threads. The model is wide enough for
/// products to be split over threads.
fn computed(threads: usize) -> (Vec<u32>, Vec<LossSum>) {
    let mut shapes = made::four_tasks();
    shapes.feeds[0].width = 256;
    let model = json!({ "trunk": { "hidden": [384, 300], "dropout": 0.1, "activation": "gelu" } });
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        let mut network = Network::new(&made::experiment(model), &shapes, &Device::Flex).unwrap();
        let rows = Rows::of_all(&shapes, &[130, 97], 9, 0.9);
        let (gradient, losses) = gradient(&mut network, &[1.0, 1.0, 1.0, 1.0], &rows);
        (gradient.iter().map(|g| g.to_bits()).collect(), losses)
    })
}

#[test]
fn one_two_and_four_threads_give_the_same_bits() {
    let one = computed(1);
    assert_eq!(one.0.len(), made_len());
    for threads in [2, 3, 4] {
        assert!(computed(threads) == one, "{threads} threads");
    }
}

fn made_len() -> usize {
    let mut shapes = made::four_tasks();
    shapes.feeds[0].width = 256;
    let model = json!({ "trunk": { "hidden": [384, 300] } });
    Network::new(&made::experiment(model), &shapes, &Device::Flex).unwrap().layout().len()
}

#[test]
fn two_runs_and_a_network_that_computed_other_rows_before_give_the_same_bits() {
    let shapes = made::four_tasks();
    let experiment = made::experiment(json!({ "trunk": { "hidden": [40, 30], "dropout": 0.2, "layer_norm": true } }));
    let rows = Rows::of_all(&shapes, &[13, 9], 9, 0.9);
    let fresh = gradient(&mut Network::new(&experiment, &shapes, &Device::Flex).unwrap(), &[1.0; 4], &rows);
    let mut used = Network::new(&experiment, &shapes, &Device::Flex).unwrap();
    gradient(&mut used, &[1.0; 4], &Rows::of_all(&shapes, &[50, 1], 8, 0.9));
    used.evaluate(&rows[0].input()).unwrap();
    assert!(gradient(&mut used, &[1.0; 4], &rows) == fresh);
}

#[test]
fn dropout_depends_on_seed_step_and_microbatch_and_on_nothing_else() {
    let shapes = made::four_tasks();
    let experiment = made::experiment(json!({ "trunk": { "hidden": [40], "dropout": 0.5 } }));
    let mut network = Network::new(&experiment, &shapes, &Device::Flex).unwrap();
    network.set_parameters(&network.initial(1)).unwrap();
    let rows = Rows::of_all(&shapes, &[13, 9], 9, 1.0);
    let losses = |at| network.losses(at, &made::inputs(&rows)).unwrap();
    let first = losses(made::AT);
    assert_eq!(first, losses(made::AT));
    let mut others = [made::AT; 3];
    others[0].seed += 1;
    others[1].step += 1;
    others[2].microbatch += 1;
    assert!(others.iter().all(|&at| losses(at) != first));
    // A feed has the same dropout masks alone and beside others.
    let alone = network.losses(made::AT, &[rows[1].input()]).unwrap();
    assert!(alone.iter().zip(&first[2..]).all(|(a, b)| (a.loss - b.loss).abs() < 1e-5 * b.loss));
}

#[test]
fn fingerprints_are_stable_and_depend_on_shapes_and_leave_the_parameters() {
    let shapes = made::four_tasks();
    let network = |hidden: usize| {
        let experiment = made::experiment(json!({ "trunk": { "hidden": [hidden] } }));
        Network::new(&experiment, &shapes, &Device::Flex).unwrap()
    };
    let mut first = network(12);
    first.set_parameters(&first.initial(4)).unwrap();
    let rows = Rows::of_all(&shapes, &[4, 4], 9, 1.0);
    let before = first.losses(made::AT, &made::inputs(&rows)).unwrap();
    assert_eq!(first.fingerprint().unwrap(), network(12).fingerprint().unwrap());
    assert_eq!(first.losses(made::AT, &made::inputs(&rows)).unwrap(), before);
    assert_ne!(first.fingerprint().unwrap(), network(13).fingerprint().unwrap());
    assert_eq!(first.fingerprint().unwrap().len(), 64);
}

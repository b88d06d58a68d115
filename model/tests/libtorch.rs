//! LibTorch agrees with the processor's own engine. `scripts/libtorch` sets it up; run `cargo test
//! -p model --features tch`.
#![cfg(feature = "tch")]
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod made;

use made::{Rows, assert_close, four_tasks, gradient, inputs};
use model::{Device, MicrobatchKey, Network, device};
use serde_json::{Value, json};

const SCALES: [f32; 4] = [0.1, 0.2, 0.1, 0.1];

fn models() -> Vec<Value> {
    vec![
        json!({ "trunk": { "hidden": [32, 24] } }),
        json!({ "trunk": { "hidden": [32, 24], "activation": "gelu", "layer_norm": true } }),
        json!({ "trunk": { "hidden": [32, 24], "activation": "silu", "dropout": 0.3 } }),
        json!({ "trunk": { "hidden": [32, 24], "activation": "tanh" }, "encoder": { "hidden": [16], "width": 20 } }),
    ]
}

#[test]
fn gradients_and_losses_agree_over_steps_of_descent() {
    device::configure(1).unwrap();
    let shapes = four_tasks();
    for model in models() {
        let experiment = made::experiment(model.clone());
        let mut flex = Network::new(&experiment, &shapes, &Device::Flex).unwrap();
        let mut libtorch = Network::new(&experiment, &shapes, &Device::LibTorch).unwrap();
        let mut parameters = [flex.initial(1), libtorch.initial(1)];
        assert_eq!(parameters[0], parameters[1]);
        for step in 0..5 {
            let at = MicrobatchKey { seed: 1, step, microbatch: 0 };
            let rows = Rows::of_all(&shapes, &[24, 17], step, 0.8);
            let mut gradients = [(); 2].map(|()| vec![0.0; flex.layout().len()]);
            let mut losses = Vec::new();
            for (i, network) in [&mut flex, &mut libtorch].into_iter().enumerate() {
                network.set_parameters(&parameters[i]).unwrap();
                losses.push(network.combined_gradient(at, &SCALES, &inputs(&rows), &mut gradients[i]).unwrap());
                parameters[i].iter_mut().zip(&gradients[i]).for_each(|(p, g)| *p -= 0.05 * g);
            }
            assert_close(&gradients[1], &gradients[0], 1e-4, &format!("{model}, step {step}"));
            for (a, b) in losses[0].iter().zip(&losses[1]) {
                assert_eq!((a.task, a.rows), (b.task, b.rows));
                assert!((a.loss - b.loss).abs() <= 1e-4 * a.loss, "{model}, step {step}: {} and {}", a.loss, b.loss);
            }
        }
    }
}

#[test]
fn two_runs_give_the_same_bits_and_evaluation_agrees() {
    device::configure(1).unwrap();
    let shapes = four_tasks();
    let experiment = made::experiment(json!({ "trunk": { "hidden": [32, 24] } }));
    let rows = Rows::of_all(&shapes, &[24, 17], 3, 0.8);
    let network = |device| Network::new(&experiment, &shapes, &device).unwrap();
    let (mut libtorch, mut flex) = (network(Device::LibTorch), network(Device::Flex));
    let first = gradient(&mut libtorch, &SCALES, &rows);
    assert!(gradient(&mut network(Device::LibTorch), &SCALES, &rows) == first);
    gradient(&mut flex, &SCALES, &rows);
    for rows in &rows {
        let (a, b) = (libtorch.evaluate(&rows.input()).unwrap(), flex.evaluate(&rows.input()).unwrap());
        for ((_, a), (_, b)) in a.iter().zip(&b) {
            assert_eq!((a.rows, &a.labels), (b.rows, &b.labels));
            assert!((a.loss - b.loss).abs() <= 1e-4 * b.loss);
        }
    }
    assert_ne!(libtorch.fingerprint().unwrap(), flex.fingerprint().unwrap());
}

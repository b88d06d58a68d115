//! Sums over microbatches, scaled by the labels of the whole batch, are the gradient of the whole
//! batch.

#![allow(clippy::unwrap_used)] // a test fails by panicking

mod made;

use made::{Rows, assert_close, four_tasks, gradient};
use model::{Device, Network};
use serde_json::json;

const WEIGHTS: [f32; 4] = [1.0, 0.5, 2.0, 1.5];
/// Rows of each feed in each microbatch: uneven, and one without rows.
const CUTS: [[usize; 5]; 2] = [[0, 3, 4, 15, 17], [0, 9, 9, 11, 23]];

fn labelled(rows: &[Rows]) -> Vec<f32> {
    let counts =
        rows.iter().flat_map(|rows| &rows.batch.targets).map(|target| target.labelled.iter().filter(|is| **is).count());
    counts.map(|count| count as f32).collect()
}

fn microbatches(whole: &[Rows]) -> Vec<Vec<Rows>> {
    let part = |v: usize| whole.iter().zip(CUTS).map(|(rows, cuts)| rows.part(cuts[v]..cuts[v + 1])).collect();
    (0..4).map(part).collect()
}

#[test]
fn uneven_microbatches_with_missing_labels_add_up_to_the_whole_batch() {
    let shapes = four_tasks();
    for model in [
        json!({ "trunk": { "hidden": [16, 12] } }),
        json!({ "trunk": { "hidden": [16, 12], "activation": "gelu", "layer_norm": true } }),
    ] {
        let mut network = Network::new(&made::experiment(model), &shapes, &Device::Flex).unwrap();
        let whole = Rows::of_all(&shapes, &[17, 23], 11, 0.6);
        let scales: Vec<f32> = WEIGHTS.iter().zip(labelled(&whole)).map(|(weight, n)| weight / n).collect();
        let (expected, expected_losses) = gradient(&mut network, &scales, &whole);

        let mut sum = vec![0.0; expected.len()];
        let mut losses = [0.0; 4];
        for part in microbatches(&whole) {
            let (gradient, part_losses) = gradient(&mut network, &scales, &part);
            sum.iter_mut().zip(&gradient).for_each(|(sum, g)| *sum += g);
            part_losses.iter().for_each(|loss| losses[loss.task] += loss.loss);
        }
        assert_close(&sum, &expected, 1e-5, "gradient");
        for loss in expected_losses {
            assert!((loss.loss - losses[loss.task]).abs() < 1e-5 * loss.loss);
        }

        // Data-parallel training computes this if each part divides by its own number of labels and
        // the parts are averaged.
        let mut average = vec![0.0; expected.len()];
        for part in microbatches(&whole) {
            let scales: Vec<f32> = WEIGHTS.iter().zip(labelled(&part)).map(|(weight, n)| weight / n.max(1.0)).collect();
            let (gradient, _) = gradient(&mut network, &scales, &part);
            average.iter_mut().zip(&gradient).for_each(|(sum, g)| *sum += g / 4.0);
        }
        let size = expected.iter().fold(0.0_f32, |size, g| size.max(g.abs()));
        let worst = average.iter().zip(&expected).fold(0.0_f32, |worst, (a, b)| worst.max((a - b).abs()));
        assert!(worst > 0.05 * size, "averages of averages came within {worst} of {size}");
    }
}

#[test]
fn rows_without_a_label_change_nothing_for_the_task() {
    let shapes = four_tasks();
    let experiment = made::experiment(json!({ "trunk": { "hidden": [16] } }));
    let mut network = Network::new(&experiment, &shapes, &Device::Flex).unwrap();
    let mut rows = Rows::of_all(&shapes, &[6, 6], 3, 1.0);
    for of in &mut rows {
        for target in &mut of.batch.targets {
            target.labelled[4..].fill(false);
            let width = target.values.len() / 6;
            target.values[4 * width..].fill(f32::NAN);
        }
    }
    let first: Vec<Rows> = rows.iter().map(|rows| rows.part(0..4)).collect();
    let (masked, masked_losses) = gradient(&mut network, &WEIGHTS, &rows);
    let (alone, alone_losses) = gradient(&mut network, &WEIGHTS, &first);
    assert_close(&masked, &alone, 1e-6, "gradient");
    assert!(masked_losses.iter().zip(&alone_losses).all(|(a, b)| (a.loss - b.loss).abs() < 1e-6 && a.rows == b.rows));
}

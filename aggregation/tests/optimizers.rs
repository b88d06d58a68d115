//! Optimizers give PyTorch's and the papers' numbers, however an update is cut.

use std::ops::Range;

use aggregation::Optimizer;
use aggregation::random::{Purpose, Stream};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Reference {
    blocks: Vec<usize>,
    first: Vec<f32>,
    gradients: Vec<Vec<f32>>,
    runs: Vec<Run>,
}

#[derive(Deserialize)]
struct Run {
    optimizer: Optimizer,
    parameters: Vec<Vec<f64>>,
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("goldens/optimizers.json")).expect("the committed reference is JSON")
}

fn ranges(lengths: &[usize]) -> Vec<Range<usize>> {
    let mut end = 0;
    let next = |len: &usize| {
        end += len;
        end - len..end
    };
    lengths.iter().map(next).collect()
}

fn normals(seed: u64, len: usize) -> Vec<f32> {
    let mut values = vec![0.0; len];
    Stream::new(seed, Purpose::Synthetic, &[]).fill_normal(0, &mut values);
    values
}

/// Every kind with the options that change its loop.
fn all() -> Vec<Optimizer> {
    let mut all: Vec<Optimizer> = reference().runs.into_iter().map(|run| run.optimizer).collect();
    for kind in ["sgd", "adam", "rmsprop", "adagrad"] {
        let text = format!("kind = \"{kind}\"\nweight_decay = 0.1\ndecoupled_weight_decay = true");
        all.push(toml::from_str(&text).expect("is right"));
    }
    all
}

#[test]
fn every_optimizer_follows_the_reference_to_1e_6() {
    let reference = reference();
    let blocks = ranges(&reference.blocks);
    for run in &reference.runs {
        let optimizer = &run.optimizer;
        let mut state = optimizer.state(reference.first.len());
        let mut current = reference.first.clone();
        let mut next = vec![f32::NAN; current.len()];
        for (step, (gradient, expected)) in reference.gradients.iter().zip(&run.parameters).enumerate() {
            optimizer.update(&mut state, optimizer.learning_rate(), &blocks, &current, gradient, &mut next);
            std::mem::swap(&mut current, &mut next);
            for (i, (&ours, &theirs)) in current.iter().zip(expected).enumerate() {
                let error = (f64::from(ours) - theirs).abs() / theirs.abs().max(1.0);
                assert!(error <= 1e-6, "{optimizer:?}, step {step}, parameter {i}: {ours} is not {theirs}");
            }
        }
        assert_eq!(state.step, reference.gradients.len() as u64);
    }
}

/// Three updates, each applied in ranges between `cuts`, the last range first.
fn in_ranges(
    optimizer: &Optimizer,
    len: usize,
    blocks: &[Range<usize>],
    cuts: &[usize],
) -> (Vec<u32>, aggregation::OptimizerState) {
    let mut state = optimizer.state(len);
    let (mut current, mut next) = (normals(1, len), vec![f32::NAN; len]);
    for step in 0..3 {
        let gradient = normals(100 + step, len);
        let update = optimizer.begin(&mut state, 0.01, 0.5);
        for mut part in state.parts(cuts).into_iter().rev() {
            let at = part.range.clone();
            update.apply(&mut part, blocks, &current[at.clone()], &gradient[at.clone()], &mut next[at]);
        }
        std::mem::swap(&mut current, &mut next);
    }
    (current.iter().map(|value| value.to_bits()).collect(), state)
}

proptest! {
    #[test]
    fn an_update_in_any_ranges_gives_the_same_bits(mut cuts in prop::collection::vec(0usize..=500, 0..6)) {
        cuts.extend([0, 500]);
        cuts.sort_unstable();
        let blocks = ranges(&[100, 7, 293, 100]);
        for optimizer in all() {
            let cuts = if optimizer.is_elementwise() { cuts.clone() } else { vec![0, 107, 400, 500] };
            prop_assert_eq!(in_ranges(&optimizer, 500, &blocks, &cuts), in_ranges(&optimizer, 500, &blocks, &[0, 500]));
        }
    }
}

#[test]
fn a_scaled_gradient_is_the_same_as_the_gradient_times_the_factor() {
    for optimizer in all() {
        let (len, blocks) = (50, ranges(&[20, 30]));
        let (current, gradient) = (normals(1, len), normals(2, len));
        let scaled: Vec<f32> = gradient.iter().map(|value| value * 0.25).collect();
        let (mut left, mut right) = (vec![0.0; len], vec![0.0; len]);
        let (mut state, mut other) = (optimizer.state(len), optimizer.state(len));
        let update = optimizer.begin(&mut state, 0.01, 0.25);
        update.apply(&mut state.part(0..len), &blocks, &current, &gradient, &mut left);
        optimizer.update(&mut other, 0.01, &blocks, &current, &scaled, &mut right);
        assert_eq!(left, right, "{optimizer:?}");
        assert_eq!(state, other);
    }
}

#[test]
fn the_current_parameters_and_a_zero_rate_leave_the_parameters() {
    for optimizer in all() {
        let (current, mut next) = (normals(1, 30), vec![f32::NAN; 30]);
        optimizer.update(&mut optimizer.state(30), 0.0, &ranges(&[10, 20]), &current, &normals(2, 30), &mut next);
        assert_eq!(current, next, "{optimizer:?}");
    }
}

#[test]
fn centred_rmsprop_stays_finite_on_a_constant_gradient() {
    let optimizer: Optimizer = toml::from_str("kind = \"rmsprop\"\ncentered = true").expect("is right");
    let mut state = optimizer.state(4);
    let (mut current, mut next) = (vec![0.0; 4], vec![0.0; 4]);
    for _ in 0..5000 {
        optimizer.update(&mut state, 1e-3, &[], &current, &[1e-3, 0.1, 0.7, 1234.5], &mut next);
        std::mem::swap(&mut current, &mut next);
    }
    assert!(current.iter().all(|value| value.is_finite()), "{current:?}");
}

#[test]
fn defaults_are_pytorchs_with_a_rate_of_1e_3() {
    let read = |kind: &str| {
        toml::from_str::<toml::Table>(&toml::to_string(&optimizer(kind)).expect("is written")).expect("is read")
    };
    let number = |kind: &str, key: &str| read(kind)[key].as_float().expect("is a number");
    for kind in ["sgd", "adam", "adamw", "rmsprop", "adagrad", "lion", "lamb"] {
        assert_eq!(number(kind, "learning_rate"), 1e-3);
        assert_eq!(optimizer(kind).kind(), kind);
    }
    assert_eq!(number("adam", "eps"), 1e-8);
    assert_eq!(number("adamw", "weight_decay"), 0.01);
    assert_eq!(number("rmsprop", "alpha"), 0.99);
    assert_eq!(number("adagrad", "eps"), 1e-10);
    assert_eq!(optimizer("adam"), Optimizer::default());
    assert_eq!(toml::from_str::<Optimizer>("").expect("is right"), Optimizer::default());
}

fn optimizer(kind: &str) -> Optimizer {
    toml::from_str(&format!("kind = \"{kind}\"")).expect("is right")
}

#[test]
fn an_optimizer_that_is_written_reads_back_as_the_same() {
    for optimizer in all() {
        let text = toml::to_string(&optimizer).expect("is written");
        assert_eq!(toml::from_str::<Optimizer>(&text).expect("is right"), optimizer, "{text}");
    }
}

#[test]
fn bad_optimizers_are_refused_with_the_key_and_what_is_allowed() {
    for (text, key, allowed) in [
        ("kind = \"adamm\"", "`kind`", "`adamm`"),
        ("kind = 3", "`kind`", "sgd, adam"),
        ("kind = \"adam\"\nlr = 0.1", "`lr`", "learning_rate"),
        ("kind = \"adam\"\nmomentum = 0.9", "`momentum`", "betas"),
        ("kind = \"adam\"\nlearning_rate = -1", "`learning_rate`", "above 0"),
        ("kind = \"adam\"\nlearning_rate = \"fast\"", "`learning_rate`", "above 0"),
        ("kind = \"adam\"\nlearning_rate = nan", "`learning_rate`", "above 0"),
        ("kind = \"adam\"\nbetas = [0.9]", "`betas`", "a list of two"),
        ("kind = \"adam\"\nbetas = [0.9, 1.0]", "`betas`", "below 1"),
        ("kind = \"sgd\"\nnesterov = true", "`nesterov`", "momentum above 0"),
        ("kind = \"sgd\"\nnesterov = 1", "`nesterov`", "true or false"),
        ("kind = \"rmsprop\"\nalpha = 1.5", "`alpha`", "below 1"),
    ] {
        let error = toml::from_str::<Optimizer>(text).expect_err(text).to_string();
        assert!(error.contains(key) && error.contains(allowed), "{text}: {error}");
    }
}

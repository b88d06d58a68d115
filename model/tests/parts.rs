//! Every trunk with every architecture that this binary knows, and with a module of its own.

#![allow(clippy::unwrap_used)] // a test fails by panicking

mod made;

use std::sync::Once;

use burn::module::Module;
use burn::nn::{BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::{Device as BurnDevice, Tensor, activation};
use experiment::{Experiment, Kind, Shapes};
use made::{AT, Rows, assert_close, gradient, image_feed, inputs, task};
use model::architecture::ARCHITECTURES;
use model::module::{MODULES, ModuleFn, MultiTaskModule, Random};
use model::trunk::TRUNKS;
use model::{Device, ModelError, Network, Parts, Value, Wanted};
use serde_json::{Value as Json, json};
use settings::Entry;

const SCALES: [f32; 4] = [0.7, 1.3, 0.4, 2.0];

/// A module with a layer that tasks share, dropout, and a layer for each task.
#[derive(Module, Debug)]
struct TwoLayers {
    shared: Linear,
    own: Vec<Linear>,
}

impl TwoLayers {
    fn new(parts: &Parts<'_>, device: &BurnDevice) -> Self {
        Self {
            shared: LinearConfig::new(parts.entry.width(), 9).init(device),
            own: parts.tasks.iter().map(|_| LinearConfig::new(9, 5).init(device)).collect(),
        }
    }
}

impl MultiTaskModule for TwoLayers {
    fn output(&self, _task: usize) -> usize {
        5
    }

    fn forward(&self, x: Value, wanted: &[Wanted], random: &Random<'_>) -> Vec<Tensor<2>> {
        let x = random.dropout(activation::tanh(self.shared.forward(x.into_vectors())), 0.3, 0);
        let of_task = |wanted: &Wanted| {
            let x = x.clone().narrow(0, wanted.rows.start, wanted.rows.len());
            random.dropout_of(self.own[wanted.task].forward(x), wanted, 0.2, 1)
        };
        wanted.iter().map(of_task).collect()
    }

    fn reach(&self, path: &str) -> Option<Vec<usize>> {
        let task = path.strip_prefix("own.")?.split('.').next()?;
        Some(vec![task.parse().ok()?])
    }

    fn init(&self, _path: &str, shape: &[usize]) -> model::Init {
        model::Init::FanIn(shape[0])
    }
}

/// Defines a module with a layer that different workers would compute differently.
macro_rules! refused_module {
    ($name:ident, $layer:ty) => {
        #[derive(Module, Debug)]
        struct $name {
            layer: $layer,
        }

        impl MultiTaskModule for $name {
            fn output(&self, _task: usize) -> usize {
                1
            }

            fn forward(&self, x: Value, wanted: &[Wanted], _random: &Random<'_>) -> Vec<Tensor<2>> {
                wanted.iter().map(|_| x.clone().into_vectors()).collect()
            }
        }
    };
}

refused_module!(Dropping, Dropout);
refused_module!(Counting, BatchNorm);

fn entry(name: &'static str, part: ModuleFn) -> Entry<ModuleFn> {
    Entry { name, summary: "of a test", origin: "test 0.0.0", part }
}

fn add_modules() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let modules = vec![
            entry("two_layers", |parts, device| Ok(Box::new(TwoLayers::new(parts, device)))),
            entry("dropping", |_, _| Ok(Box::new(Dropping { layer: DropoutConfig::new(0.1).init() }))),
            entry("counting", |_, device| Ok(Box::new(Counting { layer: BatchNormConfig::new(3).init(device) }))),
        ];
        MODULES.add(modules).unwrap();
    });
}

/// Small parameters of a trunk; kinds that are not named here have their defaults.
fn trunk(kind: &str) -> Json {
    match kind {
        "mlp" => json!({ "kind": "mlp", "hidden": [9, 8], "activation": "tanh", "dropout": 0.2, "layer_norm": true }),
        "cnn" => json!({ "kind": "cnn", "channels": [4, 6], "groups": 2, "activation": "tanh", "dropout": 0.2 }),
        other => json!({ "kind": other }),
    }
}

/// Two feeds of images, and a task of every kind.
fn shapes() -> Shapes {
    let tasks = vec![
        task("digit", 0, Kind::Multiclass, 5),
        task("odd", 0, Kind::Binary, 1),
        task("size", 1, Kind::Regression, 2),
        task("marks", 1, Kind::Multilabel, 3),
    ];
    Shapes { feeds: vec![image_feed("left", [2, 6, 5]), image_feed("right", [2, 6, 5])], tasks }
}

/// Every trunk with every architecture.
fn models() -> Vec<(String, Experiment)> {
    add_modules();
    let mut models = Vec::new();
    for architecture in ARCHITECTURES.names() {
        if architecture == "module" {
            let model = json!({ "architecture": { "module": "two_layers" } });
            models.push((architecture.to_owned(), made::experiment(model)));
            continue;
        }
        for kind in TRUNKS.names() {
            let model = json!({ "architecture": architecture, "trunk": trunk(kind) });
            models.push((format!("{architecture} of {kind}"), made::experiment(model)));
        }
    }
    models
}

#[test]
fn differences_of_losses_agree_with_the_gradient() {
    for (name, experiment) in models() {
        made::check_differences(&name, &experiment, &shapes(), &SCALES);
    }
}

#[test]
fn the_engine_that_is_chosen_agrees_with_autodiff() {
    let shapes = shapes();
    for (name, experiment) in models() {
        let rows = Rows::of_all(&shapes, &[11, 6], 5, 0.8);
        let mut chosen = Network::new(&experiment, &shapes, &Device::Flex).unwrap();
        let mut autodiff = Network::with_autodiff(&experiment, &shapes, &Device::Flex).unwrap();
        let (left, left_losses) = gradient(&mut chosen, &SCALES, &rows);
        let (right, right_losses) = gradient(&mut autodiff, &SCALES, &rows);
        assert_close(&left, &right, 2e-5, &name);
        for (a, b) in left_losses.iter().zip(&right_losses) {
            assert!((a.loss - b.loss).abs() <= 1e-5 * b.loss.abs(), "{name}: {} and {}", a.loss, b.loss);
        }
    }
}

#[test]
fn task_gradients_add_up_to_the_combined_one_and_stay_in_the_blocks_of_their_task() {
    let shapes = shapes();
    for (name, experiment) in models() {
        let mut network = Network::new(&experiment, &shapes, &Device::Flex).unwrap();
        let rows = Rows::of_all(&shapes, &[8, 9], 4, 1.0);
        let (combined, losses) = gradient(&mut network, &SCALES, &rows);
        let mut sum = vec![0.0; combined.len()];
        for (feed, tasks) in [(0, [0, 1]), (1, [2, 3])] {
            let mut vectors = [(); 2].map(|()| vec![f32::NAN; combined.len()]);
            let mut places: Vec<&mut [f32]> = vectors.iter_mut().map(Vec::as_mut_slice).collect();
            let sums = network.task_gradients(AT, &SCALES, &rows[feed].input(), &tasks, &mut places).unwrap();
            assert!(sums.iter().all(|sum| (sum.loss - losses[sum.task].loss).abs() < 1e-5 * sum.loss), "{name}");
            for (task, vector) in tasks.iter().zip(&vectors) {
                for block in network.layout().blocks() {
                    let zero = vector[block.range()].iter().all(|g| *g == 0.0);
                    assert!(zero || block.tasks.contains(task), "{name}: task {task}, {}", block.name);
                }
                sum.iter_mut().zip(vector).for_each(|(sum, g)| *sum += g);
            }
        }
        assert_close(&sum, &combined, 2e-5, &name);
    }
}

#[test]
fn every_block_gets_a_gradient_from_its_tasks() {
    let shapes = shapes();
    for (name, experiment) in models() {
        let mut network = Network::new(&experiment, &shapes, &Device::Flex).unwrap();
        let (gradient, _) = gradient(&mut network, &SCALES, &Rows::of_all(&shapes, &[16, 16], 4, 1.0));
        for block in network.layout().blocks() {
            assert!(gradient[block.range()].iter().any(|g| *g != 0.0), "{name}: {}", block.name);
        }
    }
}

/// Rows of images that are large enough for kernels with several threads.
#[test]
fn one_two_and_three_threads_give_the_same_bits() {
    let mut shapes = shapes();
    for feed in &mut shapes.feeds {
        *feed = image_feed(&feed.name, [3, 28, 28]);
    }
    for (name, experiment) in models() {
        let computed = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut network = Network::new(&experiment, &shapes, &Device::Flex).unwrap();
                let rows = Rows::of_all(&shapes, &[70, 33], 9, 0.9);
                let (gradient, losses) = gradient(&mut network, &SCALES, &rows);
                (gradient.iter().map(|g| g.to_bits()).collect::<Vec<_>>(), losses)
            })
        };
        let one = computed(1);
        for threads in [1, 2, 3] {
            assert!(computed(threads) == one, "{name}: {threads} threads");
        }
    }
}

#[test]
fn dropout_depends_on_the_microbatch_and_evaluation_does_not_drop() {
    let shapes = shapes();
    for (name, experiment) in models() {
        let mut network = Network::new(&experiment, &shapes, &Device::Flex).unwrap();
        network.set_parameters(&network.initial(1)).unwrap();
        let rows = Rows::of_all(&shapes, &[13, 9], 9, 1.0);
        let losses = |at| network.losses(at, &inputs(&rows)).unwrap();
        assert_eq!(losses(AT), losses(AT), "{name}");
        let mut other = AT;
        other.microbatch += 1;
        assert_ne!(losses(AT), losses(other), "{name}");
        // A feed has the same dropout masks alone and beside others.
        let alone = network.losses(AT, &[rows[1].input()]).unwrap();
        assert!(alone.iter().zip(&losses(AT)[2..]).all(|(a, b)| (a.loss - b.loss).abs() < 1e-5 * b.loss), "{name}");
        let evaluated = network.evaluate(&rows[0].input()).unwrap();
        assert_eq!(evaluated, network.evaluate(&rows[0].input()).unwrap(), "{name}");
    }
}

#[test]
fn blocks_have_the_names_shapes_and_tasks_of_their_layers() {
    let shapes = shapes();
    let model = json!({ "architecture": { "kind": "mmoe", "experts": 2 }, "trunk": trunk("cnn") });
    let network = Network::new(&made::experiment(model), &shapes, &Device::Flex).unwrap();
    let blocks = network.layout().blocks().iter();
    let names: Vec<String> =
        blocks.map(|block| format!("{} {:?} {}", block.name, block.shape, block.tasks.len())).collect();
    let expected = [
        "expert.0.0.weight [4, 2, 3, 3] 4",
        "expert.0.0.bias [4] 4",
        "expert.0.0.norm.weight [4] 4",
        "expert.0.0.norm.bias [4] 4",
        "expert.0.1.weight [6, 4, 3, 3] 4",
        "expert.0.1.bias [6] 4",
        "expert.0.1.norm.weight [6] 4",
        "expert.0.1.norm.bias [6] 4",
        "expert.1.0.weight [4, 2, 3, 3] 4",
    ];
    assert_eq!(names[..9], expected);
    assert_eq!(names[16..18], ["gate.digit.weight [2, 60] 1", "gate.digit.bias [2] 1"]);
    assert_eq!(names[24], "head.digit.0.weight [5, 6] 1");

    add_modules();
    let model = json!({ "architecture": { "module": "two_layers" } });
    let network = Network::new(&made::experiment(model), &shapes, &Device::Flex).unwrap();
    let blocks = network.layout().blocks().iter();
    let names: Vec<String> =
        blocks.map(|block| format!("{} {:?} {}", block.name, block.shape, block.tasks.len())).collect();
    assert_eq!(
        names[..4],
        [
            "module.shared.weight [60, 9] 4",
            "module.shared.bias [9] 4",
            "module.own.0.weight [9, 5] 1",
            "module.own.0.bias [5] 1"
        ]
    );
    assert_eq!(names.len(), 10 + 8);
}

#[test]
fn modules_with_layers_that_differ_between_workers_are_refused_with_what_to_use() {
    add_modules();
    for (name, use_instead) in [("dropping", "use `random.dropout`"), ("counting", "use GroupNorm or LayerNorm")] {
        let experiment = made::experiment(json!({ "architecture": { "module": name } }));
        let refused = Network::new(&experiment, &shapes(), &Device::Flex).unwrap_err();
        assert!(matches!(&refused, ModelError::Module { module, .. } if module == name));
        assert!(refused.to_string().contains(use_instead), "{refused}");
    }
}

#[test]
fn images_that_are_too_small_are_refused_with_what_to_change() {
    let model = json!({ "trunk": { "kind": "cnn", "channels": [4, 4, 4] } });
    let refused = Network::new(&made::experiment(model), &shapes(), &Device::Flex).unwrap_err().to_string();
    assert_eq!(
        refused,
        "`trunk.2` pools squares of 2 x 2 pixels, and has an image of 4 x 1 x 1; give fewer channels or `pool = \"none\"`"
    );
}

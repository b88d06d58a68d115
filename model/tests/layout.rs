//! The names and places of the parameters, their initial values, and layouts that are refused.

#![allow(clippy::unwrap_used)] // a test fails by panicking

mod made;

use std::collections::BTreeSet;

use experiment::{Kind, Shapes};
use made::{Rows, experiment, feed, four_tasks, task};
use model::{Device, ModelError, Network, device};
use serde_json::json;

fn network(model: serde_json::Value) -> Network {
    Network::new(&experiment(model), &four_tasks(), &Device::Flex).unwrap()
}

#[test]
fn blocks_have_the_names_shapes_and_tasks_of_the_contract() {
    let network = network(json!({ "trunk": { "hidden": [8, 6], "layer_norm": true } }));
    let given: Vec<(&str, &[usize], Vec<usize>)> = network
        .layout()
        .blocks()
        .iter()
        .map(|block| (block.name.as_str(), &block.shape[..], block.tasks.iter().copied().collect()))
        .collect();
    let expected: Vec<(&str, &[usize], Vec<usize>)> = vec![
        ("encoder.left.0.weight", &[8, 7], vec![0, 1]),
        ("encoder.left.0.bias", &[8], vec![0, 1]),
        ("encoder.right.embedding.c0.weight", &[5, 3], vec![2, 3]),
        ("encoder.right.embedding.c1.weight", &[4, 2], vec![2, 3]),
        ("encoder.right.0.weight", &[8, 9], vec![2, 3]),
        ("encoder.right.0.bias", &[8], vec![2, 3]),
        ("trunk.0.weight", &[8, 8], vec![0, 1, 2, 3]),
        ("trunk.0.bias", &[8], vec![0, 1, 2, 3]),
        ("trunk.0.norm.weight", &[8], vec![0, 1, 2, 3]),
        ("trunk.0.norm.bias", &[8], vec![0, 1, 2, 3]),
        ("trunk.1.weight", &[6, 8], vec![0, 1, 2, 3]),
        ("trunk.1.bias", &[6], vec![0, 1, 2, 3]),
        ("trunk.1.norm.weight", &[6], vec![0, 1, 2, 3]),
        ("trunk.1.norm.bias", &[6], vec![0, 1, 2, 3]),
        ("head.digit.0.weight", &[5, 6], vec![0]),
        ("head.digit.0.bias", &[5], vec![0]),
        ("head.odd.0.weight", &[1, 6], vec![1]),
        ("head.odd.0.bias", &[1], vec![1]),
        ("head.size.0.weight", &[2, 6], vec![2]),
        ("head.size.0.bias", &[2], vec![2]),
        ("head.marks.0.weight", &[6, 6], vec![3]),
        ("head.marks.0.bias", &[6], vec![3]),
        ("head.marks.1.weight", &[3, 6], vec![3]),
        ("head.marks.1.bias", &[3], vec![3]),
    ];
    assert_eq!(given, expected);
}

#[test]
fn blocks_follow_each_other_and_ranges_divide_the_vector() {
    let network = network(json!({}));
    let layout = network.layout();
    let mut end = 0;
    for block in layout.blocks() {
        assert_eq!(block.offset, end);
        end = block.range().end;
    }
    assert_eq!(end, layout.len());
    let mut places = BTreeSet::new();
    let own = (0..4).flat_map(|task| layout.own(task));
    for range in layout.shared().into_iter().chain(own) {
        range.for_each(|at| assert!(places.insert(at)));
    }
    assert_eq!(places.len(), layout.len());
    let text = serde_json::to_string(layout).unwrap();
    assert_eq!(&serde_json::from_str::<model::Layout>(&text).unwrap(), layout);
}

#[test]
fn first_values_depend_on_the_seed_and_on_no_device_and_lie_in_pytorchs_bounds() {
    let model = json!({ "trunk": { "hidden": [64, 32], "layer_norm": true } });
    let (first, shapes) = (network(model.clone()), four_tasks());
    let values = first.initial(5);
    assert_eq!(values, Network::with_autodiff(&experiment(model), &shapes, &Device::Flex).unwrap().initial(5));
    assert_ne!(values, first.initial(6));
    let of = |name: &str| &values[first.layout().block(name).unwrap().range()];
    for (name, inputs) in [("trunk.1.weight", 64.0_f32), ("trunk.1.bias", 64.0), ("head.digit.0.weight", 32.0)] {
        let bound = 1.0 / inputs.sqrt();
        let largest = of(name).iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        assert!(largest <= bound && largest > 0.8 * bound, "{name}: {largest} of {bound}");
    }
    assert!(of("trunk.0.norm.weight").iter().all(|value| *value == 1.0));
    assert!(of("encoder.right.embedding.c0.weight").iter().any(|value| value.abs() > 0.5));
}

#[test]
fn feeds_of_equal_width_need_no_encoder_and_others_get_a_linear_one() {
    let mut shapes = Shapes {
        feeds: vec![feed("a", 6, &[]), feed("b", 6, &[])],
        tasks: vec![task("x", 0, Kind::Binary, 1), task("y", 1, Kind::Binary, 1)],
    };
    let names = |shapes: &Shapes| {
        let network = Network::new(&experiment(json!({ "trunk": { "hidden": [4] } })), shapes, &Device::Flex).unwrap();
        network.layout().blocks().iter().filter(|block| block.name.starts_with("encoder")).count()
    };
    assert_eq!(names(&shapes), 0);
    shapes.feeds[1].width = 5;
    assert_eq!(names(&shapes), 4);
}

#[test]
fn widths_that_do_not_meet_are_refused_with_their_feeds() {
    let refused = |model| Network::new(&experiment(model), &four_tasks(), &Device::Flex).unwrap_err();
    let unequal = refused(json!({ "encoder": "none" }));
    assert_eq!(
        unequal.to_string(),
        "feed `right` reaches the trunk with 9 values a row, and feed `left` with 7 values; give them an encoder of one width (model.encoder, or dataset.NAME.encoder)"
    );
    let without_layers = refused(json!({ "trunk": { "hidden": [] } })).to_string();
    assert!(without_layers.starts_with("model.trunk: `hidden`: [] is not allowed here"), "{without_layers}");
    let table = refused(json!({ "trunk": "cnn" })).to_string();
    assert!(table.starts_with("`encoder.left` needs a width"), "{table}");
    let table = refused(json!({ "trunk": "cnn", "encoder": { "width": 4 } })).to_string();
    assert!(table.starts_with("`trunk.0` is a convolution and takes images, and its input is 4 values"), "{table}");
}

#[test]
fn rows_that_do_not_fit_are_refused_and_nothing_panics() {
    let shapes = four_tasks();
    let network = network(json!({}));
    let mut gradient = vec![0.0; network.layout().len()];
    let refused = |change: &dyn Fn(&mut Vec<Rows>)| {
        let mut rows = Rows::of_all(&shapes, &[3, 4], 1, 1.0);
        change(&mut rows);
        let inputs = made::inputs(&rows);
        network.losses(made::AT, &inputs).unwrap_err().to_string()
    };
    assert_eq!(refused(&|rows| rows[1].batch.ids[2] = 5), "feed `right`: column `c0` has id 5, and its table 5 rows");
    assert_eq!(
        refused(&|rows| rows[0].batch.dense.truncate(20)),
        "feed `left`: 20 dense values and 0 ids where 21 and 0 belong"
    );
    assert_eq!(refused(&|rows| rows.reverse()), "feed `left`: feeds of a pass are in rising order");
    assert_eq!(refused(&|rows| rows[0].batch.targets.reverse()), "feed `left`: tasks of a feed are in rising order");
    assert_eq!(refused(&|rows| rows[0].batch.targets[0].task = 2), "feed `left`: task 2 is not on this feed");
    assert_eq!(
        refused(&|rows| rows[0].batch.targets[1].labelled.clear()),
        "feed `left`: task `odd` has labels for other than 3 rows"
    );
    let short = network.combined_gradient(made::AT, &[1.0], &[], &mut gradient).unwrap_err();
    assert_eq!(short.to_string(), "the list of scales has 1 values, not 4");
    assert!(network.combined_gradient(made::AT, &[1.0; 4], &[], &mut gradient[1..]).is_err());
}

#[test]
fn devices_are_read_and_written_and_refused_with_the_command_that_builds_them() {
    for name in ["flex", "libtorch", "libtorch:cuda:1", "cuda:0", "wgpu"] {
        assert_eq!(name.parse::<Device>().unwrap().to_string(), name);
    }
    assert_eq!("cpu".parse(), Ok(Device::Flex));
    for name in ["tpu", "cuda:x", "libtorch:cuda:", ""] {
        assert_eq!(name.parse::<Device>(), Err(ModelError::UnknownDevice { name: name.to_owned(), hint: "" }));
    }
    for (name, meant) in [("gpu", "cuda:0"), ("mps", "wgpu"), ("torch", "libtorch")] {
        let refused = name.parse::<Device>().unwrap_err().to_string();
        assert!(refused.ends_with(&format!(" is {meant}")), "{refused}");
    }
    if !cfg!(feature = "wgpu") {
        let refused = Network::new(&experiment(json!({})), &four_tasks(), &Device::Wgpu).unwrap_err();
        assert_eq!(refused.to_string(), "device `wgpu` is not in this build; build with `cargo build --features wgpu`");
    }
    if !cfg!(feature = "tch") {
        let refused = Network::new(&experiment(json!({})), &four_tasks(), &Device::LibTorch).unwrap_err();
        assert!(refused.to_string().contains("cargo build --features tch` (scripts/libtorch"), "{refused}");
    }
}

#[test]
fn threads_are_set_once() {
    assert!(device::configure(0).is_err());
    device::configure(2).unwrap();
    device::configure(2).unwrap();
    assert!(device::configure(3).is_err());
}

//! Networks and rows for tests.
#![allow(dead_code)] // each test file uses its part

use std::collections::BTreeMap;
use std::ops::Range;

use aggregation::random::{Purpose, Stream};
use experiment::{
    EmbeddingShape, Experiment, FeedShape, Head, InputShape, Kind, LossRef, MetricRef, Shapes, TaskShape, Units,
};
use model::{Batch, Device, FeedInput, MicrobatchKey, Network, Targets};
use serde_json::{Value, json};

pub const AT: MicrobatchKey = MicrobatchKey { seed: 7, step: 3, microbatch: 1 };

pub fn experiment(model: Value) -> Experiment {
    serde_json::from_value(json!({ "name": "made", "model": model })).unwrap()
}

/// A feed with `width` dense columns and embeddings of (rows, width).
pub fn feed(name: &str, width: usize, embeddings: &[(usize, usize)]) -> FeedShape {
    let embedding =
        |(i, &(rows, width)): (usize, &(usize, usize))| EmbeddingShape { column: format!("c{i}"), rows, width };
    FeedShape {
        name: name.to_owned(),
        dataset: name.to_owned(),
        width,
        embeddings: embeddings.iter().enumerate().map(embedding).collect(),
        input: InputShape::Table,
    }
}

/// A feed of images of these channels, height and width.
pub fn image_feed(name: &str, [channels, height, width]: [usize; 3]) -> FeedShape {
    let input = InputShape::Image { channels, height, width };
    FeedShape { input, ..feed(name, channels * height * width, &[]) }
}

pub fn task(name: &str, feed: usize, kind: Kind, outputs: usize) -> TaskShape {
    TaskShape {
        name: name.to_owned(),
        template: name.to_owned(),
        feed,
        kind,
        outputs,
        classes: (0..outputs).map(|class| class.to_string()).collect(),
        units: Units::default(),
        baseline_loss: BTreeMap::new(),
        metrics: MetricRef::of_kind(kind),
        loss: LossRef::default_for(kind),
        weight: 1.0,
        head: Head::default(),
    }
}

/// Two feeds of unequal width, one with embeddings, and a task of every kind.
pub fn four_tasks() -> Shapes {
    let mut tasks = vec![
        task("digit", 0, Kind::Multiclass, 5),
        task("odd", 0, Kind::Binary, 1),
        task("size", 1, Kind::Regression, 2),
        task("marks", 1, Kind::Multilabel, 3),
    ];
    tasks[3].head = Head { hidden: vec![6], ..Head::default() };
    Shapes { feeds: vec![feed("left", 7, &[]), feed("right", 4, &[(5, 3), (4, 2)])], tasks }
}

/// Rows of one feed with the labels of its tasks.
#[derive(Clone)]
pub struct Rows {
    pub feed: usize,
    pub batch: Batch,
}

impl Rows {
    /// Random rows. Each task has a label with probability `labelled`; other labels are NaN.
    pub fn new(shapes: &Shapes, feed: usize, rows: usize, seed: u64, labelled: f32) -> Self {
        let shape = &shapes.feeds[feed];
        let stream = |part: u64| Stream::new(seed, Purpose::Synthetic, &[feed as u64, part]);
        let mut dense = vec![0.0; rows * shape.width];
        stream(0).fill_normal(0, &mut dense);
        let columns = shape.embeddings.len();
        let id = |at: usize| stream(1).u32_at(at as u64) % shape.embeddings[at % columns].rows as u32;
        let of_task = |(task, shape): (usize, &TaskShape)| {
            let numbers = stream(2 + task as u64);
            let labelled: Vec<bool> = (0..rows).map(|row| numbers.uniform_at((1000 + row) as u64) < labelled).collect();
            let width = if shape.kind == Kind::Multiclass { 1 } else { shape.outputs };
            let value = |at: usize| match shape.kind {
                _ if !labelled[at / width] => f32::NAN,
                Kind::Multiclass => (numbers.u32_at(at as u64) % shape.outputs as u32) as f32,
                Kind::Regression => numbers.normal_at(at as u64),
                Kind::Binary | Kind::Multilabel => (numbers.u32_at(at as u64) % 2) as f32,
            };
            Targets { task, values: (0..rows * width).map(value).collect(), labelled }
        };
        let tasks = shapes.tasks.iter().enumerate().filter(|(_, task)| task.feed == feed);
        let ids = (0..rows * columns).map(id).collect();
        Self { feed, batch: Batch { rows, dense, ids, targets: tasks.map(of_task).collect() } }
    }

    /// Random rows of all feeds.
    pub fn of_all(shapes: &Shapes, rows: &[usize], seed: u64, labelled: f32) -> Vec<Self> {
        rows.iter().enumerate().map(|(feed, &rows)| Self::new(shapes, feed, rows, seed, labelled)).collect()
    }

    /// Some of the rows.
    pub fn part(&self, range: Range<usize>) -> Self {
        let of = &self.batch;
        let cut = |len: usize| {
            let width = len / of.rows.max(1);
            range.start * width..range.end * width
        };
        let labels = |of: &Targets| Targets {
            task: of.task,
            values: of.values[cut(of.values.len())].to_vec(),
            labelled: of.labelled[range.clone()].to_vec(),
        };
        let batch = Batch {
            rows: range.len(),
            dense: of.dense[cut(of.dense.len())].to_vec(),
            ids: of.ids[cut(of.ids.len())].to_vec(),
            targets: of.targets.iter().map(labels).collect(),
        };
        Self { feed: self.feed, batch }
    }

    pub fn input(&self) -> FeedInput<'_> {
        FeedInput::new(self.feed, &self.batch)
    }
}

pub fn inputs(rows: &[Rows]) -> Vec<FeedInput<'_>> {
    rows.iter().map(Rows::input).collect()
}

/// The gradient and the loss sums at the initial parameters of seed 1.
pub fn gradient(network: &mut Network, scales: &[f32], rows: &[Rows]) -> (Vec<f32>, Vec<model::LossSum>) {
    let parameters = network.initial(1);
    network.set_parameters(&parameters).unwrap();
    let mut gradient = vec![f32::NAN; network.layout().len()];
    let losses = network.combined_gradient(AT, scales, &inputs(rows), &mut gradient).unwrap();
    (gradient, losses)
}

/// Asserts that two vectors differ by at most `tolerance` times the largest value of the second.
pub fn assert_close(left: &[f32], right: &[f32], tolerance: f32, what: &str) {
    assert_eq!(left.len(), right.len(), "{what}");
    let size = right.iter().fold(1e-6_f32, |size, value| size.max(value.abs()));
    for (i, (a, b)) in left.iter().zip(right).enumerate() {
        assert!((a - b).abs() <= tolerance * size, "{what}: value {i} is {a} on the left and {b} on the right");
    }
}

/// Lengths of the steps of central differences, from long to short. A long one drowns less in
/// rounding; a short one is less likely to cross a kink, such as where another pixel of a square
/// becomes the largest.
const STEPS: [f32; 3] = [4e-3, 1e-3, 2.5e-4];

/// Central differences of the losses along a random direction in each block agree with the
/// gradient, for one of the [`STEPS`] at least.
pub fn check_differences(name: &str, experiment: &Experiment, shapes: &Shapes, scales: &[f32]) {
    let mut network = Network::new(experiment, shapes, &Device::Flex).unwrap();
    let rows = Rows::of_all(shapes, &[8, 9], 2, 0.8);
    let (gradient, _) = gradient(&mut network, scales, &rows);
    let parameters = network.initial(1);
    let mut loss_at = |parameters: &[f32]| {
        network.set_parameters(parameters).unwrap();
        let losses = network.losses(AT, &inputs(&rows)).unwrap();
        losses.iter().map(|sum| f64::from(scales[sum.task]) * sum.loss).sum::<f64>()
    };
    let blocks = Network::new(experiment, shapes, &Device::Flex).unwrap().layout().blocks().to_vec();
    for (i, block) in blocks.iter().enumerate() {
        let stream = Stream::new(3, Purpose::Synthetic, &[i as u64]);
        let direction: Vec<f32> = block.range().map(|at| stream.normal_at(at as u64)).collect();
        let length = direction.iter().map(|d| d * d).sum::<f32>().sqrt();
        let mut difference = |step: f32| {
            let moved = |by: f32| {
                let mut moved = parameters.clone();
                moved[block.range()].iter_mut().zip(&direction).for_each(|(p, d)| *p += by * d);
                moved
            };
            (loss_at(&moved(step)) - loss_at(&moved(-step))) / f64::from(2.0 * step)
        };
        let expected: f64 = block.range().zip(&direction).map(|(at, d)| f64::from(gradient[at]) * f64::from(*d)).sum();
        let size = f64::from(length).max(expected.abs());
        let differences = STEPS.map(|step| difference(step / length));
        let agrees = |difference: &f64| (difference - expected).abs() < 5e-3 * size;
        assert!(differences.iter().any(agrees), "{name}, {}: {differences:?} by differences, {expected}", block.name);
    }
}

//! What an experiment file may say, and its defaults.

use std::path::Path;

use experiment::{
    ColumnType, Component, Criterion, Experiment, Format, Kind, LossRef, MetricRef, Order, Paths, Scalar, TargetScale,
    TaskCriterion,
};
use settings::Value;

const SMALLEST: &str = r#"
name = "x"
[dataset.d]
path = "d.csv"
[task.t]
dataset = "d"
target = "y"
kind = "multiclass"
"#;

/// All keys of the design's example, and two more tasks.
const FULL: &str = r#"
name = "digits"
seed = 42

[dataset.digits]
path = "../datasets/data/digits.parquet"
format = "parquet"
features = ["pixel_*", "!pixel_9*"]
types = { user = "category" }
split = { validation = 0.1, test = 0.2, seed = 7, stratify = "digit" }
batch_size = 32
order = "file"
encoder = "none"

[dataset.faces]
path = { train = ["a.csv", "b.csv"], validation = "v.csv", test = "t.csv" }
csv = { separator = ";", null_values = ["NA"] }
encoder = { hidden = [32], width = 16, activation = "tanh", dropout = 0.25, layer_norm = true }

[task.digit]
dataset = "digits"
target = "digit"
kind = "multiclass"
weight = 2.0
loss = { kind = "cross_entropy", label_smoothing = 0.1, class_weights = "balanced" }
head = { hidden = [16], dropout = 0.1, activation = "gelu", layer_norm = true }
metrics = ["accuracy", "f1_macro"]
features = "pixel_1*"

[task.odd]
dataset = "digits"
target = "odd"
kind = "binary"
positive = "yes"

[task."attribute"]
dataset = "faces"
each_target = ["attr_*"]
kind = "binary"

[task.pose]
dataset = "faces"
target = ["x", "y"]
kind = "regression"
loss = { kind = "huber", delta = 2 }
target_scale = "log1p"

[model]
architecture = "hard_sharing"
trunk = { kind = "mlp", hidden = [128, 64], activation = "silu", dropout = 0.5, layer_norm = true }
encoder = { hidden = [] }

[train]
steps = 600
batch_size = 64
microbatches = 4
optimizer = { kind = "sgd", learning_rate = 1e-2, momentum = 0.9 }
schedule = { kind = "cosine", warmup_steps = 50 }
clip_norm = 1.0
evaluate_every = 100
checkpoint = { every = 100, keep = 2, best = "validation.skill" }
early_stopping = { metric = "validation.digit.accuracy", patience = 4, min_delta = 0.01 }

[weighting]
method = "sum"

[cluster]
workers = 2
heartbeat_ms = 250
lease_ms = 2500
min_workers = 2
mixed = true
threads = 3

[tracking]
mlflow = "http://127.0.0.1:5000"
experiment = "digits"
"#;

fn read(text: &str, sets: &[&str]) -> Experiment {
    let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
    match model::parse(text, Path::new("x.toml"), &sets) {
        Ok(loaded) => loaded.experiment,
        Err(error) => panic!("{error}"),
    }
}

fn loss(name: &str, parameters: &[(&str, Value)]) -> LossRef {
    let named = Component::named(name);
    let given = parameters.iter().fold(named, |part, (key, value)| part.with(key, value.clone()));
    given.try_into().expect("it is built in")
}

fn metrics(names: &[&str]) -> Vec<MetricRef> {
    names.iter().map(|name| MetricRef::named(name).expect("it is built in")).collect()
}

/// The task of the smallest file, with `line` added to it.
fn task(line: &str) -> experiment::Task {
    read(&format!("{SMALLEST}{line}\n"), &[]).tasks["t"].clone()
}

#[test]
fn smallest_file_gets_the_defaults() {
    let experiment = read(SMALLEST, &[]);
    let dataset = &experiment.datasets["d"];
    assert_eq!(experiment.seed, 0);
    assert_eq!(dataset.path, Paths::Files(vec!["d.csv".to_owned()]));
    assert_eq!((dataset.split.validation, dataset.split.test, dataset.split.seed), (0.1, 0.2, 0));
    assert_eq!((dataset.format, dataset.order, dataset.batch_size, &dataset.encoder), (None, None, None, &None));
    let task = &experiment.tasks["t"];
    assert_eq!((task.weight, task.loss.clone()), (1.0, loss("cross_entropy", &[])));
    assert_eq!(task.metrics, metrics(&["accuracy", "f1_macro"]));
    assert_eq!(task.target_scale(), TargetScale::None);
    let trunk = &experiment.model.trunk;
    assert_eq!((trunk.kind(), trunk.parameters()["hidden"].to_string().as_str()), ("mlp", "[128, 64]"));
    assert_eq!(experiment.model.architecture, Component::named("hard_sharing"));
    let train = &experiment.train;
    assert_eq!((train.steps, train.epochs, train.batch_size, train.microbatches), (None, Some(20.0), 64, 4));
    assert_eq!((train.optimizer.kind(), train.optimizer.learning_rate()), ("adam", 1e-3));
    assert_eq!((train.checkpoint.keep, &train.checkpoint.best, &train.early_stopping), (3, &None, &None));
    assert_eq!(experiment.weighting.method(), "sum");
    let cluster = &experiment.cluster;
    assert_eq!((cluster.workers, cluster.min_workers, cluster.threads, cluster.mixed), (1, 1, 1, false));
    assert_eq!((cluster.heartbeat_ms, cluster.lease_ms), (500, 5000));
}

#[test]
fn full_file_is_read_as_it_says() {
    let experiment = read(FULL, &[]);
    assert_eq!(experiment.datasets.keys().collect::<Vec<_>>(), ["digits", "faces"]);
    assert_eq!(experiment.tasks.keys().collect::<Vec<_>>(), ["digit", "odd", "attribute", "pose"]);
    let digits = &experiment.datasets["digits"];
    assert_eq!((digits.format, digits.order, digits.batch_size), (Some(Format::Parquet), Some(Order::File), Some(32)));
    assert_eq!(digits.types["user"], ColumnType::Category);
    assert_eq!(digits.split.stratify.as_deref(), Some("digit"));
    assert_eq!(digits.encoder, Some(Component::named("none")));
    let faces = &experiment.datasets["faces"];
    let files = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let paths =
        Paths::BySplit { train: files(&["a.csv", "b.csv"]), validation: files(&["v.csv"]), test: files(&["t.csv"]) };
    assert_eq!(faces.path, paths);
    assert_eq!((faces.csv.separator, faces.csv.null_values.len()), (';', 1));
    let encoder = faces.encoder.as_ref().expect("an encoder");
    let parameters: Vec<String> = encoder.parameters().iter().map(|(key, value)| format!("{key} = {value}")).collect();
    assert_eq!(encoder.kind(), "mlp");
    assert_eq!(
        parameters.join(", "),
        "hidden = [32], width = 16, activation = \"tanh\", dropout = 0.25, layer_norm = true"
    );
    let balanced = Value::Text("balanced".to_owned());
    let smoothed = loss("cross_entropy", &[("label_smoothing", Value::Number(0.1)), ("class_weights", balanced)]);
    assert_eq!(experiment.tasks["digit"].loss, smoothed);
    assert_eq!(experiment.tasks["digit"].features.as_deref(), Some(&["pixel_1*".to_owned()][..]));
    assert_eq!(experiment.tasks["odd"].positive, Some(Scalar::Text("yes".to_owned())));
    let pose = &experiment.tasks["pose"];
    assert_eq!((pose.target.as_ref().map(|target| target.len()), pose.kind), (Some(2), Kind::Regression));
    assert_eq!(
        (&pose.loss, pose.target_scale()),
        (&loss("huber", &[("delta", Value::Number(2.0))]), TargetScale::Log1p)
    );
    let train = &experiment.train;
    assert_eq!((train.steps, train.epochs, train.clip_norm), (Some(600), None, Some(1.0)));
    assert_eq!(train.checkpoint.best, Some(Criterion::Skill));
    let stopping = train.early_stopping.as_ref().expect("the file has it");
    let observed = TaskCriterion::Metric(metrics(&["accuracy"])[0]);
    assert_eq!(stopping.metric, Criterion::Task { task: "digit".to_owned(), observed });
    assert_eq!(experiment.cluster.threads, 3);
    assert_eq!(experiment.tracking.mlflow.as_deref(), Some("http://127.0.0.1:5000"));
}

#[test]
fn full_file_written_out_loads_back_to_the_same_value_and_text() {
    for text in [SMALLEST, FULL] {
        let experiment = read(text, &[]);
        let written = experiment.to_toml();
        let again = read(&written, &[]);
        assert_eq!(again, experiment, "{written}");
        assert_eq!(again.to_toml(), written);
    }
}

#[test]
fn written_file_keeps_short_decimals() {
    let written = read(FULL, &["task.digit.head.dropout=0.1"]).to_toml();
    assert!(written.contains("dropout = 0.1\n"), "{written}");
}

#[test]
fn json_gives_the_same_value_back() {
    let experiment = read(FULL, &[]);
    let json = serde_json::to_string(&experiment).expect("an experiment is finite");
    assert_eq!(serde_json::from_str::<Experiment>(&json).expect("what was written"), experiment);
}

#[test]
fn loss_and_metrics_follow_the_kind() {
    let of_kind = |kind: &str| {
        let task = read(SMALLEST, &[&format!("task.t.kind={kind}")]).tasks["t"].clone();
        (task.loss, task.metrics)
    };
    assert_eq!(of_kind("regression"), (loss("mse", &[]), metrics(&["rmse", "mae", "r2"])));
    assert_eq!(of_kind("binary"), (loss("cross_entropy", &[]), metrics(&["accuracy", "auroc"])));
    assert_eq!(of_kind("multilabel"), (loss("cross_entropy", &[]), metrics(&["f1_macro", "auroc"])));
}

#[test]
fn positive_may_be_any_value_of_a_column() {
    let positive = |value: &str| {
        read(SMALLEST, &["task.t.kind=binary", &format!("task.t.positive={value}")]).tasks["t"].positive.clone()
    };
    assert_eq!(positive("yes"), Some(Scalar::Text("yes".to_owned())));
    assert_eq!(positive("\"1\""), Some(Scalar::Text("1".to_owned())));
    assert_eq!(positive("1"), Some(Scalar::Integer(1)));
    assert_eq!(positive("0.5"), Some(Scalar::Float(0.5)));
    assert_eq!(positive("false"), Some(Scalar::Boolean(false)));
}

#[test]
fn class_weights_may_be_a_list_or_named() {
    let weights = |text: &str| {
        task(&format!("loss = {{ kind = \"cross_entropy\", class_weights = {text} }}")).loss.parameters()
            ["class_weights"]
            .clone()
    };
    assert_eq!(weights("[1, 2.5]"), Value::List(vec![Value::Integer(1), Value::Number(2.5)]));
    let named = [("cat".to_owned(), Value::Integer(2)), ("dog".to_owned(), Value::Number(1.0))];
    assert_eq!(weights("{ cat = 2, dog = 1.0 }"), Value::Table(named.into_iter().collect()));
}

#[test]
fn a_loss_of_counts_leaves_the_target_in_its_own_units() {
    let lines = "kind = \"regression\"\nloss = \"poisson\"\n";
    let task = |more: &str| {
        let text = SMALLEST.replace("kind = \"multiclass\"\n", lines);
        read(&format!("{text}{more}"), &[]).tasks["t"].clone()
    };
    assert_eq!(task("").target_scale(), TargetScale::None);
    assert_eq!(task("target_scale = \"none\"\n").target_scale(), TargetScale::None);
    assert_eq!(task("").loss.name(), "poisson");
}

#[test]
fn batch_smaller_than_microbatches_is_accepted() {
    let experiment = read(SMALLEST, &["train.batch_size=2", "train.microbatches=8"]);
    assert_eq!((experiment.train.batch_size, experiment.train.microbatches), (2, 8));
}

#[test]
fn criterion_of_a_template_s_task_waits_for_the_data() {
    let text = FULL.replace("validation.digit.accuracy", "validation.attr_smile.auroc");
    assert!(read(&text, &[]).has_templates());
}

#[test]
fn later_override_wins() {
    assert_eq!(read(FULL, &["train.steps=5", "train.steps=7"]).train.steps, Some(7));
}

#[test]
fn override_of_epochs_replaces_the_file_s_steps() {
    let train = read(FULL, &["train.epochs=1.5"]).train;
    assert_eq!((train.steps, train.epochs), (None, Some(1.5)));
}

#[test]
fn override_takes_bare_words_tables_and_quoted_keys() {
    let sets = ["weighting.method=sum", "tracking.mlflow=https://host/a=b", r#"task."t".metrics=["accuracy"]"#];
    let experiment = read(SMALLEST, &sets);
    assert_eq!(experiment.tracking.mlflow.as_deref(), Some("https://host/a=b"));
    assert_eq!(experiment.tasks["t"].metrics, metrics(&["accuracy"]));
    let experiment = read(SMALLEST, &[r#"train.optimizer={ kind = "sgd", momentum = 0.5 }"#]);
    assert_eq!(experiment.train.optimizer.kind(), "sgd");
}

#[test]
fn override_of_one_value_of_the_default_optimizer_keeps_the_rest() {
    let optimizer = read(SMALLEST, &["train.optimizer.learning_rate=0.1"]).train.optimizer;
    assert_eq!((optimizer.kind(), optimizer.learning_rate()), ("adam", 0.1));
}

#[test]
fn total_steps_show_the_longest_feed_as_often_as_epochs_says() {
    let train = read(SMALLEST, &["train.epochs=2"]).train;
    assert_eq!(train.total_steps([(100, 10), (95, 5)]), 38);
    assert_eq!(train.total_steps([(101, 10)]), 21, "the last row of the last epoch is seen too");
    assert_eq!(train.total_steps([]), 1);
    let steps = read(SMALLEST, &["train.steps=7"]).train;
    assert_eq!(steps.total_steps([(100, 10)]), 7);
}

#[test]
fn intervals_default_to_a_tenth_of_the_steps() {
    let train = read(SMALLEST, &[]).train;
    assert_eq!((train.evaluation_interval(600), train.checkpoint_interval(600)), (60, 60));
    assert_eq!(train.evaluation_interval(5), 1);
    let train = read(SMALLEST, &["train.evaluate_every=7"]).train;
    assert_eq!((train.evaluation_interval(600), train.checkpoint_interval(600)), (7, 7));
}

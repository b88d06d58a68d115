//! Properties of every text, every argument and every experiment.

use std::path::Path;

use experiment::Experiment;
use model::parse;
use proptest::prelude::*;

const BASE: &str =
    "name = \"x\"\n[dataset.d]\npath = \"d.csv\"\n[task.t]\ndataset = \"d\"\ntarget = \"y\"\nkind = \"multiclass\"\n";

/// A file with most keys, from which mutations start.
const RICH: &str = r#"name = "x"
seed = 3
[dataset.d]
path = { train = ["a.csv"], test = "b.csv" }
split = { validation = 0.1, stratify = "größe" }
types = { user = "category" }
[task."t"]
dataset = "d"
target = ["y", "z"]
kind = "regression"
loss = { kind = "huber", delta = 2 }
head = { hidden = [8], dropout = 0.5 }
[train]
optimizer = { kind = "sgd", momentum = 0.9 }
checkpoint = { best = "validation.t.rmse" }
[weighting]
method = 'sum'
"#;

/// Reads a text. If it is refused, shows the error. Neither may panic.
fn read(text: &str, sets: &[String]) -> Option<Experiment> {
    match parse(text, Path::new("x.toml"), sets) {
        Ok(loaded) => Some(loaded.experiment),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            None
        }
    }
}

/// A text in quotes, as TOML writes it.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn column() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{1,8}", any::<String>().prop_filter("a column has a name", |name| !name.is_empty())]
}

fn number(key: &'static str, range: std::ops::Range<f64>) -> BoxedStrategy<String> {
    range.prop_map(move |value| format!("{key}={value:?}")).boxed()
}

fn count(key: &'static str, range: std::ops::Range<u64>) -> BoxedStrategy<String> {
    range.prop_map(move |value| format!("{key}={value}")).boxed()
}

fn text(key: &'static str) -> BoxedStrategy<String> {
    column().prop_map(move |value| format!("{key}={}", quoted(&value))).boxed()
}

fn one_of(arguments: &'static [&'static str]) -> BoxedStrategy<String> {
    prop::sample::select(arguments).prop_map(str::to_owned).boxed()
}

/// Any subset of arguments that fit each other and [`BASE`].
fn arguments() -> impl Strategy<Value = Vec<String>> {
    let each = vec![
        count("seed", 0..i64::MAX as u64),
        one_of(&[
            "dataset.d.path=[\"b\", \"a\"]",
            "dataset.d.path={ train = \"a\", validation = [\"b\", \"c\"] }",
            "dataset.d.path=[]x",
        ]),
        one_of(&[
            "dataset.d.csv.separator=\";\"",
            "dataset.d.csv.separator=\"\\t\"",
            "dataset.d.csv.null_values=[\"NA\", \"\"]",
        ]),
        one_of(&["dataset.d.features=a*", "dataset.d.features=[\"a\", \"!b*\"]"]),
        column().prop_map(|name| format!("dataset.d.types.{}=text", toml_edit::Key::new(name).display_repr())).boxed(),
        number("dataset.d.split.validation", 0.0..0.5),
        number("dataset.d.split.test", 0.0..0.5),
        prop_oneof![text("dataset.d.split.stratify"), text("dataset.d.split.group"), text("dataset.d.split.by")]
            .boxed(),
        count("dataset.d.batch_size", 1..9999),
        one_of(&["dataset.d.order=file", "dataset.d.order=shuffled"]),
        one_of(&["dataset.d.encoder=none", "dataset.d.encoder={ hidden = [3], width = 4, activation = \"silu\" }"]),
        text("task.t.target"),
        number("task.t.weight", 1e-300..1e300),
        one_of(&[
            "task.t.loss=cross_entropy",
            "task.t.loss={ kind = \"cross_entropy\", class_weights = { a = 1, \"b c\" = 0.5 } }",
        ]),
        number("task.t.head.dropout", 0.0..0.99),
        one_of(&["task.t.head.hidden=[]", "task.t.head.hidden=[1, 2, 3]", "task.t.head.activation=gelu"]),
        one_of(&["task.t.metrics=[]", "task.t.metrics=[\"balanced_accuracy\", \"accuracy\"]"]),
        number("model.trunk.dropout", 0.0..0.99),
        one_of(&["model.encoder=none", "model.encoder={ dropout = 0.1, layer_norm = true }"]),
        prop_oneof![count("train.steps", 1..1 << 60), number("train.epochs", 1e-9..1e6)].boxed(),
        number("train.optimizer.learning_rate", 1e-300..1.0),
        one_of(&["train.schedule={ kind = \"one_cycle\", pct_start = 0.1 }", "train.schedule.warmup_steps=9"]),
        number("train.clip_norm", 1e-300..1e300),
        count("train.checkpoint.every", 1..1 << 60),
        one_of(&["weighting.method=mean", "weighting={ method = \"constant\", weights = { t = 0.25 } }"]),
        one_of(&["cluster.workers=7", "cluster.mixed=true", "cluster.lease_ms=501"]),
        text("tracking.experiment"),
    ];
    let maybe: Vec<_> = each.into_iter().map(prop::option::of).collect();
    maybe.prop_map(|arguments| arguments.into_iter().flatten().collect())
}

#[test]
fn nesting_deeper_than_the_stack_is_refused() {
    const DEPTH: usize = 100_000;
    let dots = "a.".repeat(DEPTH);
    for text in [
        format!("a = {}", "[".repeat(DEPTH)),
        format!("a = {}", "{a=".repeat(DEPTH)),
        format!("{dots}a = 1"),
        format!("[{dots}a]"),
    ] {
        assert_eq!(read(&text, &[]), None);
    }
    for argument in [format!("{dots}a=1"), format!("name={}", "[".repeat(DEPTH))] {
        assert_eq!(read(BASE, &[argument]), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        read(&text, &[]);
    }

    #[test]
    fn any_change_of_a_good_text_is_read_or_refused(at in 0.0..1.0, length in 0usize..12, new in "[\\[\\]{}=\"'.,\\n0-9a-z\\-_ ü]{0,6}") {
        let start = RICH.floor_char_boundary((at * RICH.len() as f64) as usize);
        let end = RICH.floor_char_boundary((start + length).min(RICH.len()));
        read(&format!("{}{new}{}", &RICH[..start], &RICH[end..]), &[]);
    }

    #[test]
    fn any_argument_is_taken_or_refused(key in "[a-z.\"']{0,20}", value in any::<String>()) {
        read(BASE, &[format!("{key}={value}")]);
        read(BASE, &[value]);
    }

    #[test]
    fn any_value_at_any_key_is_taken_or_refused(
        key in prop::sample::select(&["name", "dataset", "dataset.d", "dataset.d.path", "task.t", "task.t.loss", "task.t.metrics", "model.trunk",
            "train", "train.optimizer", "train.optimizer.kind", "train.schedule", "weighting", "weighting.method", "cluster.workers"][..]),
        value in prop::sample::select(&["1", "-1", "0.5", "nan", "true", "[]", "{}", "[[]]", "[{ a = 1 }]", "{ a = { b = [] } }", "2026-01-01", "\"\"",
            "{ kind = 3 }", "{ kind = \"adam\", betas = [1979-05-27] }", "{ method = \"constant\", weights = { t = \"x\" } }", "9223372036854775807"][..]),
    ) {
        read(BASE, &[format!("{key}={value}")]);
    }

    #[test]
    fn resolved_text_loads_back_to_an_equal_experiment(arguments in arguments()) {
        let experiment = match parse(BASE, Path::new("x.toml"), &arguments) {
            Ok(loaded) => loaded.experiment,
            Err(error) => {
                prop_assert!(arguments.iter().any(|argument| argument.ends_with("]x")), "{error}");
                return Ok(());
            }
        };
        let written = experiment.to_toml();
        let again = parse(&written, Path::new("x.toml"), &[]).map_err(|error| TestCaseError::fail(format!("{error}\n{written}")))?;
        prop_assert_eq!(&again.experiment, &experiment);
        prop_assert_eq!(again.experiment.to_toml(), written);
    }
}

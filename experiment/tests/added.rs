//! The added parts of a binary that an experiment uses.

use std::path::Path;

use settings::catalogue::AddedPart;

const TEXT: &str = r#"
name = "mse"
[dataset.d]
path = "d.csv"
[task.t]
dataset = "d"
target = "mlp"
kind = "regression"
loss = { kind = "huber", delta = 2 }
metrics = ["r2"]
[model]
trunk = { kind = "mlp", hidden = [4] }
"#;

/// The names of the used parts, if these kinds and names were those of added parts.
fn used(parts: &[(&str, &str)]) -> Vec<String> {
    let part = |&(what, name): &(&str, &str)| AddedPart {
        what: what.to_owned(),
        name: name.to_owned(),
        origin: "my-experiment 0.3.0".to_owned(),
    };
    let added: Vec<AddedPart> = parts.iter().map(part).collect();
    let experiment = model::parse(TEXT, Path::new("x.toml"), &[]).expect("the text is valid").experiment;
    experiment.uses(&added).iter().map(ToString::to_string).collect()
}

#[test]
fn parts_that_the_experiment_names_are_used() {
    let parts = [("metric", "r2"), ("loss", "huber"), ("trunk", "mlp"), ("architecture", "hard_sharing")];
    assert_eq!(used(&parts), ["metric `r2`", "loss `huber`", "trunk `mlp`", "architecture `hard_sharing`"]);
}

#[test]
fn other_parts_and_texts_that_name_none_are_not_used() {
    assert!(used(&[("loss", "my_loss"), ("trunk", "cnn"), ("metric", "rmse")]).is_empty());
    // The experiment and a path have these names.
    assert!(used(&[("loss", "mse"), ("module", "d.csv")]).is_empty());
}

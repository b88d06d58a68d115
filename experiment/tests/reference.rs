//! `docs/experiment.md` names every key and every value that the types know, and no other key.

use std::collections::BTreeSet;
use std::path::Path;

use experiment::{ExperimentError, Kind, Metric};
use model::parse;

const BASE: &str =
    "name = \"x\"\n[dataset.d]\npath = \"d.csv\"\n[task.t]\ndataset = \"d\"\ntarget = \"y\"\nkind = \"multiclass\"\n";
const REFERENCE: &str = include_str!("../../docs/experiment.md");

/// The names that the refusal of `argument` offers.
fn known(argument: &str) -> BTreeSet<String> {
    known_after("seed=0", argument)
}

/// The names that the refusal of `argument` offers after another argument that is accepted.
fn known_after(accepted: &str, argument: &str) -> BTreeSet<String> {
    let arguments = [accepted.to_owned(), argument.to_owned()];
    let Err(ExperimentError::Refused(refusal)) = parse(BASE, Path::new("x.toml"), &arguments) else {
        panic!("{argument} is not refused at its place");
    };
    let names = refusal.help.iter().find_map(|line| Some(line.split_once("known ")?.1.split_once(": ")?.1));
    let names = names.or_else(|| Some(refusal.message.split_once("it must be one of ")?.1));
    let names = names.unwrap_or_else(|| panic!("no names for {argument}: {refusal}"));
    names.split(", ").map(str::to_owned).collect()
}

/// The part of the reference under a heading, to the next one.
fn section(heading: &str) -> &'static str {
    let mut sections = REFERENCE.split("\n## ").flat_map(|part| part.split("\n### "));
    sections.find(|part| part.lines().next() == Some(heading)).unwrap_or_else(|| panic!("no heading {heading:?}"))
}

/// The keys in the first column of the tables of a section.
fn documented(heading: &str) -> BTreeSet<String> {
    let rows = section(heading).lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split_once('`')).map(|(key, _)| key.to_owned()).collect()
}

fn check_keys(heading: &str, argument: &str) {
    assert_eq!(documented(heading), known(argument), "keys under {heading:?}");
}

fn check_values(heading: &str, argument: &str) {
    for value in known(argument) {
        assert!(section(heading).contains(&format!("`{value}`")), "`{value}` is not under {heading:?}");
    }
}

#[test]
fn every_key_stands_in_the_reference() {
    check_keys("Top level", "zzz=1");
    check_keys("`[dataset.NAME]`", "dataset.d.zzz=1");
    check_keys("`path` by split", "dataset.d.path={ train = \"a\", zzz = 1 }");
    check_keys("`csv`", "dataset.d.csv.zzz=1");
    check_keys("`split`", "dataset.d.split.zzz=1");
    check_keys("`[task.NAME]`", "task.t.zzz=1");
    check_keys("`head`", "task.t.head.zzz=1");
    check_keys("`[model]`", "model.zzz=1");
    check_kind("`trunk`", "model.trunk", "mlp");
    check_kind("`trunk`", "model.trunk", "cnn");
    check_kind("`encoder`", "model.encoder", "mlp");
    check_kind("`encoder`", "model.encoder", "cnn");
    check_kind("`architecture`", "model.architecture", "mmoe");
    check_keys("`[train]`", "train.zzz=1");
    check_keys("`checkpoint`", "train.checkpoint.zzz=1");
    check_keys("`early_stopping`", "train.early_stopping.zzz=1");
    check_keys("`[cluster]`", "cluster.zzz=1");
    check_keys("`[tracking]`", "tracking.zzz=1");
}

#[test]
fn every_value_stands_in_the_reference() {
    check_values("`[dataset.NAME]`", "dataset.d.format=zzz");
    check_values("`[dataset.NAME]`", "dataset.d.types.c=zzz");
    check_values("`[dataset.NAME]`", "dataset.d.order=zzz");
    check_values("`[task.NAME]`", "task.t.kind=zzz");
    check_values("`[task.NAME]`", "task.t.target_scale=zzz");
    check_values("Losses and metrics by kind", "task.t.metrics=[\"zzz\"]");
    check_values("`loss`", "task.t.loss=zzz");
    check_values("`architecture`", "model.architecture=zzz");
    check_values("`trunk`", "model.trunk.kind=zzz");
    check_values("`trunk`", "model.trunk.activation=zzz");
    check_values("`encoder`", "model.encoder=zzz");
}

/// The keys in the second column of the row of `method`, which stands in the first column.
fn documented_of(heading: &str, method: &str) -> impl Iterator<Item = String> {
    let row = section(heading).lines().find(|line| line.starts_with(&format!("| `{method}` |")));
    let row = row.unwrap_or_else(|| panic!("`{method}` has no row under {heading:?} of docs/experiment.md"));
    let keys = row.split('|').nth(2).unwrap_or_default();
    keys.split('`').skip(1).step_by(2).map(str::to_owned)
}

/// The keys of a kind's row: the first column is the kind, the second its keys.
fn check_kind(heading: &str, path: &str, kind: &str) {
    let documented: BTreeSet<String> = documented_of(heading, kind).collect();
    let mut known = known(&format!("{path}={{ kind = \"{kind}\", zzz = 1 }}"));
    known.remove("kind");
    assert_eq!(documented, known, "keys of {kind}");
}

#[test]
fn every_loss_and_every_metric_stands_in_the_reference() {
    for entry in objectives::LOSSES.entries() {
        let kind = entry.part.kinds.iter().find(|kind| **kind == Kind::Multiclass).unwrap_or(&entry.part.kinds[0]);
        let (name, accepted) = (entry.name, format!("task.t.kind={kind}"));
        let mut known = known_after(&accepted, &format!("task.t.loss={{ kind = \"{name}\", zzz = 1 }}"));
        known.remove("kind");
        assert_eq!(documented_of("`loss`", name).collect::<BTreeSet<_>>(), known, "keys of {name}");
    }
    for kind in Kind::ALL {
        let row = section("Losses and metrics by kind").lines().find(|line| line.starts_with(&format!("| `{kind}` |")));
        let row = row.unwrap_or_else(|| panic!("no row of {kind}"));
        let losses: Vec<_> = objectives::loss::of_kind(kind).map(|entry| format!("`{}`", entry.name)).collect();
        let default = Metric::default_of(kind);
        let metrics = Metric::of_kind(kind).into_iter().map(|metric| match default.contains(&metric) {
            true => format!("**`{metric}`**"),
            false => format!("`{metric}`"),
        });
        let metrics: Vec<String> = metrics.collect();
        assert_eq!(row, format!("| `{kind}` | {} | {} |", losses.join(", "), metrics.join(", ")));
    }
    for metric in Metric::all() {
        let better = if metric.higher_is_better() { "higher" } else { "lower" };
        let row = format!("| `{metric}` | {better} |");
        assert!(section("Losses and metrics by kind").contains(&row), "{row}");
    }
}

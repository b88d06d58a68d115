//! `docs/experiment.md` names every key and every value that the types know, and no other key. The
//! tables of parts are generated: each crate with a registry holds its own (`tests/reference.rs`).

use std::collections::BTreeSet;
use std::path::Path;

use experiment::ExperimentError;
use model::parse;

const BASE: &str =
    "name = \"x\"\n[dataset.d]\npath = \"d.csv\"\n[task.t]\ndataset = \"d\"\ntarget = \"y\"\nkind = \"multiclass\"\n";
const REFERENCE: &str = include_str!("../../docs/experiment.md");

/// The names that the refusal of `argument` offers.
fn known(argument: &str) -> BTreeSet<String> {
    let Err(ExperimentError::Refused(refusal)) = parse(BASE, Path::new("x.toml"), &[argument.to_owned()]) else {
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
    check_values("`encoder`", "model.encoder=zzz");
}

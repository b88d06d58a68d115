//! Every weighting trains: results are finite and have the same bits for any number of workers.

mod support;

use std::{path::Path, thread};

use serde_json::Value;
use support::{
    all_of, bits, example, journal, report, results, train,
    weightings::{Case, cases},
};

fn run(name: &str, case: &Case, workers: usize, folder: &Path) -> (Value, Vec<Value>) {
    let run = folder.join(format!("{name}-{}-{workers}", case.name));
    let mut command = train(&example(name), &run, &["--set", "train.steps=100"]);
    let found = report(&command.args(all_of(workers)).args(&case.arguments).output().expect("starts"));
    assert_eq!(found["world_size"], workers, "{name} {}", case.name);
    (found, results(&run))
}

/// Whether all numbers of a record are finite.
fn is_finite(value: &Value) -> bool {
    match value {
        Value::String(text) => !["NaN", "Infinity", "-Infinity"].contains(&text.as_str()),
        Value::Array(items) => items.iter().all(is_finite),
        Value::Object(members) => members.values().all(is_finite),
        _ => true,
    }
}

fn check(example: &str, cases: &[Case]) {
    let folder = tempfile::tempdir().expect("a folder");
    for case in cases {
        let name = &case.name;
        let (one, journal) = run(example, case, 1, folder.path());
        assert_eq!((one["status"].as_str(), one["step"].as_u64()), (Some("finished"), Some(100)), "{example} {name}");
        assert!(is_finite(&Value::from(journal.clone())), "{example} {name}");
        let weightings = journal.iter().filter(|record| record["kind"] == "weighting").count();
        assert_eq!(weightings, 100, "{example} {name}");
        for workers in [2, 3] {
            let (other, other_journal) = run(example, case, workers, folder.path());
            assert_eq!(bits(&one), bits(&other), "{example} {name} with {workers} workers");
            assert_eq!(journal, other_journal, "{example} {name} with {workers} workers");
        }
    }
}

/// Checks the methods two at a time, because processes that wait for each other leave a core idle.
fn check_all(example: &str) {
    let cases = cases(example);
    let (left, right) = cases.split_at(cases.len() / 2);
    thread::scope(|scope| {
        scope.spawn(|| check(example, left));
        check(example, right);
    });
}

#[test]
fn every_method_trains_two_tasks_on_one_table_with_the_same_bits_for_any_number_of_workers() {
    check_all("digits");
}

#[test]
fn every_method_trains_four_tasks_on_three_tables_with_the_same_bits_for_any_number_of_workers() {
    check_all("mixed");
}

#[test]
fn a_weighting_by_block_is_recorded_by_block() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("run");
    let more = ["--set", "train.steps=3", "--set", "weighting.method=gradvac", "--set", "weighting.granularity=layer"];
    report(&train(&example("digits"), &run, &more).output().expect("starts"));
    let records: Vec<Value> = journal(&run).into_iter().filter(|record| record["kind"] == "weighting").collect();
    assert_eq!(records.len(), 3);
    for record in records {
        assert!(record["alpha"].is_null(), "{record}");
        let blocks = record["alpha_by_block"].as_object().expect("blocks by name");
        assert!(blocks.contains_key("trunk.0.weight"), "{record}");
        // Weight and bias of a layer have the same weights.
        assert_eq!(blocks["trunk.0.weight"], blocks["trunk.0.bias"]);
        assert!(blocks.values().all(|alpha| alpha.as_array().is_some_and(|alpha| alpha.len() == 2)), "{record}");
    }
}

#[test]
fn a_recorded_weighting_holds_what_the_step_was_weighed_with() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("run");
    let more = ["--set", "train.steps=50", "--set", "weighting.method=upgrad", "--set", "tracking.weighting_every=20"];
    report(&train(&example("mixed"), &run, &more).output().expect("starts"));
    let journal = journal(&run);
    let records: Vec<&Value> = journal.iter().filter(|record| record["kind"] == "weighting").collect();
    let steps: Vec<u64> = records.iter().filter_map(|record| record["step"].as_u64()).collect();
    assert_eq!(steps, [1, 21, 41]);
    let number = |value: &Value| value.as_f64().expect("a number");
    for record in records {
        let (gramian, alpha) = (&record["gramian"], &record["alpha"]);
        for t in 0..4 {
            let product: f64 = (0..4).map(|u| number(&gramian[t][u]) * number(&alpha[u])).sum();
            let recorded = number(&record["products"][t]);
            assert!((product - recorded).abs() <= 1e-4 * number(&gramian[t][t]), "{product} and {recorded}");
            assert!(recorded >= -1e-4 * number(&gramian[t][t]), "upgrad harms no task: {record}");
            assert_eq!(gramian[t][0], gramian[0][t]);
            assert_eq!(number(&record["cosines"][t][t]), 1.0);
        }
        assert_eq!(record["certificate"]["kind"], "kkt_residual");
    }
    let of = |task: Option<&str>, metric: &str| {
        let at =
            |record: &&Value| record["step"] == 21 && record["task"].as_str() == task && record["split"] == "train";
        let record = journal.iter().find(at).expect("metrics of the step");
        record["metrics"][metric].as_f64().unwrap_or_else(|| panic!("no {metric} in {record}"))
    };
    assert!(of(Some("digit"), "alpha") > 0.0 && of(Some("digit"), "gradient_norm") > 0.0);
    assert!(of(None, "conflicting_pairs") <= 6.0 && of(None, "kkt_residual") < 1e-6);
    of(None, "min_inner_product");
    let speeds = journal.iter().filter(|record| record["kind"] == "speed");
    let timed = speeds
        .filter_map(|record| Some((record["step"].as_u64()?, record["metrics"]["step_aggregation_seconds"].as_f64()?)));
    let timed: Vec<(u64, f64)> = timed.collect();
    assert_eq!(timed.iter().map(|(step, _)| *step).collect::<Vec<_>>(), steps);
    assert!(timed.iter().all(|(_, seconds)| *seconds > 0.0), "{timed:?}");
}

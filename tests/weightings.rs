//! Every weighting trains: finite, and with the same bits for any number of workers.

mod support;

use std::{path::Path, thread};

use experiment::Weighting;
use serde_json::Value;
use support::{bits, example, journal, report, required, results, train};

fn run(name: &str, method: &str, workers: &str, folder: &Path) -> (Value, Vec<Value>) {
    let run = folder.join(format!("{name}-{method}-{workers}"));
    let chosen = format!("weighting.method={method}");
    let mut more = vec!["--workers", workers, "--set", "train.steps=100", "--set", &chosen];
    let given = if name == "mixed" && method == "constant" {
        &["--set", "weighting.weights=[2, 1, 1, 0]"]
    } else {
        required(method)
    };
    more.extend(given);
    let done = train(&example(name), &run, &more).output().expect("starts");
    (report(&done), results(&run))
}

/// Whether a number stands at every place where the journal has one.
fn is_finite(value: &Value) -> bool {
    match value {
        Value::String(text) => !["NaN", "Infinity", "-Infinity"].contains(&text.as_str()),
        Value::Array(items) => items.iter().all(is_finite),
        Value::Object(members) => members.values().all(is_finite),
        _ => true,
    }
}

fn check(name: &str, methods: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder");
    for method in methods {
        let (one, journal) = run(name, method, "1", folder.path());
        assert_eq!((one["status"].as_str(), one["step"].as_u64()), (Some("finished"), Some(100)), "{name} {method}");
        assert!(is_finite(&Value::from(journal.clone())), "{name} {method}");
        let weightings = journal.iter().filter(|record| record["kind"] == "weighting").count();
        assert_eq!(weightings, 100, "{name} {method}");
        for workers in ["2", "3"] {
            let (other, other_journal) = run(name, method, workers, folder.path());
            assert_eq!(bits(&one), bits(&other), "{name} {method} with {workers} workers");
            assert_eq!(journal, other_journal, "{name} {method} with {workers} workers");
        }
    }
}

/// Checks the methods two at a time: processes that wait for each other leave a processor idle.
fn check_all(name: &str, methods: &[&str]) {
    let (left, right) = methods.split_at(methods.len() / 2);
    thread::scope(|scope| {
        scope.spawn(|| check(name, left));
        check(name, right);
    });
}

#[test]
fn every_method_trains_two_tasks_on_one_table_with_the_same_bits_for_any_number_of_workers() {
    let names = Weighting::names();
    // It takes at least three tasks to leave one out.
    let methods: Vec<&str> = names.into_iter().filter(|method| *method != "krum").collect();
    check_all("digits", &methods);
}

#[test]
fn every_method_trains_four_tasks_on_three_tables_with_the_same_bits_for_any_number_of_workers() {
    check_all("mixed", &Weighting::names());
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
}

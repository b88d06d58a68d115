//! `trunkline affinity` and `trunkline replay` on a run.

mod support;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::{Coordinator, bits, example, report, results, train, trunkline};

fn trained(folder: &Path, method: &str, more: &[&str]) -> PathBuf {
    let run = folder.join(method);
    let method = format!("weighting.method={method}");
    let sets = ["--set", "train.steps=30", "--set", &method, "--set", "tracking.weighting_every=1"];
    report(&train(&example("digits"), &run, &[&sets, more].concat()).output().expect("starts"));
    run
}

fn json_of(command: &str, run: &Path, more: &[&str]) -> Value {
    report(&trunkline().arg(command).arg(run).args(more).arg("--json").output().expect("starts"))
}

#[test]
fn a_run_shows_which_tasks_help_each_other_and_what_other_weightings_would_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = trained(folder.path(), "upgrad", &[]);
    let (csv, svg) = (folder.path().join("affinity.csv"), folder.path().join("affinity.svg"));
    let mut command = trunkline();
    command.arg("affinity").arg(&run).arg("--csv").arg(&csv).arg("--svg").arg(&svg).arg("--json");
    let affinity = report(&command.output().expect("starts"));
    assert_eq!((&affinity["steps"], &affinity["tasks"]), (&json!(30), &json!(["digit", "odd"])));
    let cosine = &affinity["cosine"];
    let cosine = |i: usize, j: usize| cosine[i][j].as_f64().expect("a number");
    assert!(cosine(0, 0) == 1.0 && (cosine(0, 1) - cosine(1, 0)).abs() < 1e-12, "{affinity}");
    let recorded: Vec<f64> = support::journal(&run)
        .iter()
        .filter(|record| record["kind"] == "weighting")
        .map(|record| record["cosines"][0][1].as_f64().expect("a number"))
        .collect();
    let expected = recorded.iter().sum::<f64>() / 30.0;
    let variance = recorded.iter().map(|cosine| (cosine - expected) * (cosine - expected)).sum::<f64>() / 29.0;
    let expected_error = (variance / 30.0).sqrt();
    let error = affinity["cosine_standard_error"][0][1].as_f64().expect("a number");
    assert!((cosine(0, 1) - expected).abs() < 1e-12 && (error - expected_error).abs() < 1e-12, "{affinity}");
    assert_eq!((&affinity["cosine_standard_error"][0][0], &affinity["pair_steps"][0][1]), (&json!(0.0), &json!(30)));
    assert!(affinity["transfer_standard_error"][0][1].as_f64().is_some_and(|error| error > 0.0), "{affinity}");
    let together = expected >= -2.0 * expected_error;
    let groups = if together { json!([["digit", "odd"]]) } else { json!([["digit"], ["odd"]]) };
    assert_eq!((&affinity["groups"], &affinity["search"]), (&groups, &json!("exact")));
    let csv = std::fs::read_to_string(csv).expect("written");
    let header = "from,to,cosine,transfer,cosine_standard_error,transfer_standard_error,steps";
    assert_eq!((csv.lines().count(), csv.lines().next()), (5, Some(header)));
    let row: Vec<&str> = csv.lines().nth(2).expect("a pair").split(',').collect();
    assert_eq!((row[0], row[1], row[6]), ("digit", "odd", "30"));
    let number = |column: usize| row[column].parse::<f64>().expect("a number");
    assert_eq!((Some(number(2)), number(4)), (affinity["cosine"][0][1].as_f64(), error));
    assert!(std::fs::read_to_string(svg).expect("written").contains("Task affinity of upgrad"));

    // A replay with the run's own method gives the run's weights.
    let replayed = json_of("replay", &run, &["--method", "upgrad"]);
    let steps = replayed["steps"].as_array().expect("a list");
    assert_eq!(steps.len(), 30);
    for step in steps {
        for task in 0..2 {
            let (now, then) = (step["alpha"][task].as_f64(), step["recorded_alpha"][task].as_f64());
            assert!((now.expect("a number") - then.expect("a number")).abs() < 1e-9, "{step}");
        }
    }
    let close = |a: &Value, b: &Value| (a.as_f64().expect("a number") - b.as_f64().expect("a number")).abs() < 1e-9;
    assert!(steps.iter().all(|step| close(&step["min_cosine"], &step["recorded_min_cosine"])), "{replayed}");
    let (now, then) = (&replayed["replayed"], &replayed["recorded"]);
    assert!(close(&now["min_cosine_mean"], &then["min_cosine_mean"]) && now["steps"] == 30, "{replayed}");
    assert_eq!((&now["steps_against"], &replayed["against_below"]), (&then["steps_against"], &json!(-1e-6)));
    let replayed = json_of("replay", &run, &["--method", "mgda"]);
    for step in replayed["steps"].as_array().expect("a list") {
        let sum: f64 = (0..2).map(|task| step["alpha"][task].as_f64().expect("a number")).sum();
        assert!((sum - 1.0).abs() < 1e-9 && step["certificate"]["kind"] == "duality_gap", "{step}");
    }
    for command in [&["affinity"][..], &["replay", "--method", "mgda"][..]] {
        let done = trunkline().args(command).arg(&run).output().expect("starts");
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(done.status.success() && text.contains("digit") && text.contains("30 recorded steps"), "{text}");
    }
}

fn text_of(command: &mut std::process::Command) -> String {
    let done = command.output().expect("starts");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}

#[test]
fn the_end_of_a_run_points_at_the_affinity_of_its_tasks() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("run");
    let mut command = trunkline();
    command.arg("train").arg(example("digits")).arg("--run-dir").arg(&run);
    command.args(["--set", "train.steps=30", "--set", "weighting.method=upgrad"]);
    let end = text_of(&mut command);
    let affinity = text_of(trunkline().arg("affinity").arg(&run));
    let pointer = format!("which tasks help each other: trunkline affinity {}\n", run.display());
    assert!(end.ends_with(&pointer) && !end.contains("cosine"), "{end}");
    for part in ["mean cosine of the gradients over 30 recorded steps", "first-order transfer", "recommendation: train"]
    {
        assert_eq!(affinity.matches(part).count(), 1, "{part}: {affinity}");
    }
}

/// An experiment with sixteen regressions on five columns.
fn sixteen(folder: &Path) -> PathBuf {
    let column = |row: usize, column: usize| ((row * (2 * column + 3) + column) % 17) as f64 - 8.0;
    let task = |row: usize, task: usize| column(row, task % 4) + 0.3 * column(row, task % 5);
    let header: Vec<String> = (0..5).map(|c| format!("x{c}")).chain((0..16).map(|t| format!("task_{t}"))).collect();
    let rows = (0..400).map(|row| {
        let values = (0..5).map(|c| column(row, c)).chain((0..16).map(|t| task(row, t)));
        values.map(|value| format!("{value:.3}")).collect::<Vec<_>>().join(",") + "\n"
    });
    std::fs::write(folder.join("rows.csv"), header.join(",") + "\n" + &rows.collect::<String>()).expect("written");
    let text = "name = \"sixteen\"\n[dataset.d]\npath = \"rows.csv\"\n[task.\"attribute\"]\ndataset = \"d\"\neach_target = [\"task_*\"]\n\
                kind = \"regression\"\n[model]\ntrunk = { hidden = [8] }\n[train]\nsteps = 40\nbatch_size = 32\n[tracking]\ngramian_every = 1\n";
    let file = folder.join("sixteen.toml");
    std::fs::write(&file, text).expect("written");
    file
}

#[test]
fn sixteen_tasks_are_shown_in_lines_that_can_be_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, run) = (sixteen(folder.path()), folder.path().join("run"));
    report(&train(&file, &run, &[]).output().expect("starts"));
    let (cosines, transfers) = (folder.path().join("cosines.svg"), folder.path().join("transfers.svg"));
    let mut command = trunkline();
    let affinity = text_of(command.arg("affinity").arg(&run).arg("--svg").arg(&cosines));
    let mut command = trunkline();
    command.arg("affinity").arg(&run).args(["--measure", "transfer"]).arg("--svg").arg(&transfers);
    text_of(&mut command);
    let replay = text_of(trunkline().arg("replay").arg(&run).args(["--method", "mgda"]));
    for text in [&affinity, &replay] {
        assert!(text.lines().all(|line| line.chars().count() <= 110), "{text}");
        assert!((0..16).all(|task| text.contains(&format!("task_{task} "))), "{text}");
    }
    assert!(affinity.contains("in brackets") && affinity.contains("exact up to 12 tasks"), "{affinity}");
    assert!(replay.contains("smallest cosine") && replay.contains("sum, as recorded"), "{replay}");
    let json = json_of("affinity", &run, &[]);
    let groups = json["groups"].as_array().expect("steps enough");
    let mut grouped: Vec<&Value> = groups.iter().flat_map(|group| group.as_array().expect("a list")).collect();
    grouped.sort_by_key(|task| task.as_str().and_then(|task| task[5..].parse::<u32>().ok()));
    assert_eq!(grouped, json["tasks"].as_array().expect("a list").iter().collect::<Vec<_>>());
    assert!(groups.len() > 1 && json["search"] == "greedy", "{json}");
    // All cells show numbers, whatever their signs.
    for (picture, unit) in [(cosines, false), (transfers, true)] {
        let svg = std::fs::read_to_string(picture).expect("written");
        let is_number = |text: &&str| text.trim_start_matches('\u{2212}').parse::<f64>().is_ok();
        let numbers = svg.split("</text>").filter_map(|part| part.rsplit('>').next()).filter(is_number).count();
        assert!((256..=264).contains(&numbers) && svg.contains("in units of 1e") == unit, "{numbers}");
    }
}

#[test]
fn workers_and_resuming_do_not_show_in_affinity() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = sixteen(folder.path());
    let says = |run: &Path| {
        let mut json = json_of("affinity", run, &[]);
        json["run_dir"] = Value::Null;
        json
    };
    let every = ["--set", "train.evaluate_every=10", "--set", "train.checkpoint.every=10"];
    let runs = ["1", "2", "3"].map(|workers| {
        let run = folder.path().join(workers);
        report(&train(&file, &run, &[&every[..], &["--workers", workers]].concat()).output().expect("starts"));
        run
    });
    let expected = says(&runs[0]);
    assert!(expected["steps"] == 40 && expected["groups"].is_array(), "{expected}");
    assert!(runs[1..].iter().all(|run| says(run) == expected));
    // This run is resumed from an earlier checkpoint, so later steps are recorded already.
    let resume =
        |run: &Path| report(&trunkline().args(["train", "--json", "--resume"]).arg(run).output().expect("starts"));
    std::fs::remove_dir_all(runs[1].join("checkpoints/step-000040")).expect("removes");
    assert_eq!(resume(&runs[1])["resumed_from"], 30);
    assert_eq!(says(&runs[1]), expected);
    // In this run a record comes again after those of later steps.
    let journal = runs[2].join("journal.jsonl");
    let text = std::fs::read_to_string(&journal).expect("reads");
    let is_taken = |line: &&str| line.contains("\"kind\":\"weighting\"") && line.contains("\"step\":25,");
    assert_eq!(text.lines().filter(is_taken).count(), 1);
    let left: String = text.lines().filter(|line| !is_taken(line)).map(|line| format!("{line}\n")).collect();
    std::fs::write(&journal, left).expect("writes");
    assert_eq!(resume(&runs[2])["resumed_from"], 20);
    assert_eq!(says(&runs[2]), expected);
}

/// Trains four tasks on three tables. Returns the report and the results.
fn mixed(folder: &Path, method: &str, every: u64, workers: &str) -> (Value, Vec<Value>) {
    let run = folder.join(format!("{method}-{every}-{workers}"));
    let (chosen, every) = (format!("weighting.method={method}"), format!("tracking.gramian_every={every}"));
    let sets = ["--set", "train.steps=20", "--set", &chosen, "--set", "tracking.weighting_every=1", "--set", &every];
    let done = train(&example("mixed"), &run, &[&["--workers", workers], &sets[..]].concat()).output();
    (report(&done.expect("starts")), results(&run))
}

/// The records without the fields that come from per-task gradients.
fn bare(results: &[Value]) -> Vec<Value> {
    let mut bare = results.to_vec();
    for record in bare.iter_mut().filter_map(Value::as_object_mut) {
        record.retain(|key, _| !["gramian", "cosines", "products"].contains(&key.as_str()));
        if let Some(metrics) = record.get_mut("metrics").and_then(Value::as_object_mut) {
            let added = ["gradient_norm", "conflicting_pairs", "min_inner_product"];
            metrics.retain(|key, _| !added.contains(&key.as_str()));
        }
    }
    bare
}

#[test]
fn recorded_task_gradients_change_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let by_task = mixed(folder.path(), "upgrad", 0, "2").1;
    let first = |results: &[Value]| results.iter().find(|record| record["kind"] == "weighting").cloned();
    // The modes: constant weights, losses before the gradient, losses after the update.
    for method in ["sum", "geometric", "famo"] {
        let (quiet, quiet_results) = mixed(folder.path(), method, 0, "2");
        let (one, one_results) = mixed(folder.path(), method, 3, "1");
        assert_eq!(bits(&quiet), bits(&one), "{method}");
        assert_eq!(bare(&quiet_results), bare(&one_results), "{method}");
        let with_gramian = one_results.iter().filter(|record| record["gramian"].is_array());
        let steps: Vec<u64> = with_gramian.filter_map(|record| record["step"].as_u64()).collect();
        assert_eq!(steps, [1, 4, 7, 10, 13, 16, 19], "{method}");
        // All runs have the same parameters in the first step.
        let (ours, theirs) = (first(&one_results), first(&by_task));
        assert_eq!(ours.expect("a record")["gramian"], theirs.expect("a record")["gramian"], "{method}");
        for workers in ["2", "3"] {
            let (other, other_results) = mixed(folder.path(), method, 3, workers);
            assert_eq!(bits(&one), bits(&other), "{method} with {workers} workers");
            assert_eq!(one_results, other_results, "{method} with {workers} workers");
        }
    }
}

#[test]
fn a_task_without_labels_in_a_step_is_not_in_its_record() {
    let folder = tempfile::tempdir().expect("a folder");
    let rows = (0..80).map(|row| {
        let rare = if row % 8 == 0 { (row % 3).to_string() } else { String::new() };
        format!("{},{},{},{rare}\n", row % 7, row % 5, row % 11)
    });
    std::fs::write(folder.path().join("rows.csv"), format!("a,b,common,rare\n{}", rows.collect::<String>()))
        .expect("written");
    let task = |name: &str| format!("[task.{name}]\ndataset = \"rows\"\ntarget = \"{name}\"\nkind = \"regression\"\n");
    let file = folder.path().join("rare.toml");
    let head = "name = \"rare\"\n[dataset.rows]\npath = \"rows.csv\"\n[train]\nsteps = 30\nbatch_size = 4\n[tracking]\ngramian_every = 1\n";
    std::fs::write(&file, format!("{head}{}{}", task("common"), task("rare"))).expect("written");
    let run = |workers: &str| {
        let run = folder.path().join(workers);
        report(&train(&file, &run, &["--workers", workers]).output().expect("starts"));
        (results(&run), run)
    };
    let ((one, folder), (two, _)) = (run("1"), run("2"));
    assert_eq!(one, two);
    let records = one.iter().filter(|record| record["kind"] == "weighting");
    let (alone, both): (Vec<&Value>, Vec<&Value>) = records.partition(|record| record["tasks"] == json!(["common"]));
    assert!(!alone.is_empty() && !both.is_empty() && alone.len() + both.len() == 30);
    assert!(alone.iter().all(|record| record["gramian"].as_array().is_some_and(|rows| rows.len() == 1)));
    assert!(both.iter().all(|record| record["gramian"].as_array().is_some_and(|rows| rows.len() == 2)));
    let affinity = json_of("affinity", &folder, &[]);
    assert!(affinity["steps"] == 30 && affinity["cosine"][0][1].is_number(), "{affinity}");
}

/// A task whose weight is so large that its gradient overflows, and that no update counts.
#[test]
fn a_gradient_that_is_not_finite_costs_the_record_and_not_the_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let sets = ["method=constant", "weights=[1, 0]"].map(|set| format!("weighting.{set}"));
    let sets = ["train.steps=3", "task.odd.weight=1e42", "tracking.gramian_every=1", &sets[0], &sets[1]];
    let sets: Vec<&str> = sets.into_iter().flat_map(|set| ["--set", set]).collect();
    let (shared, tcp) = (folder.path().join("shared"), folder.path().join("tcp"));
    let here = report(&train(&example("digits"), &shared, &sets).output().expect("starts"));
    let coordinator = Coordinator::start(&example("digits"), &tcp, &sets);
    let _worker = coordinator.start_worker(&[]);
    let (there, _) = coordinator.finish();
    assert_eq!((here["status"].as_str(), bits(&here)), (Some("finished"), bits(&there)));
    for run in [&shared, &tcp] {
        let records = results(run).into_iter().filter(|record| record["kind"] == "weighting");
        let gramians: Vec<bool> = records.map(|record| record["gramian"].is_array()).collect();
        assert_eq!(gramians, [false; 3]);
    }
}

#[test]
fn a_run_with_sum_has_an_affinity_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = trained(folder.path(), "sum", &["--set", "tracking.gramian_every=10"]);
    let affinity = json_of("affinity", &run, &[]);
    assert_eq!((&affinity["steps"], &affinity["tasks"]), (&json!(3), &json!(["digit", "odd"])));
    // Three steps are too few for a recommendation.
    assert_eq!((&affinity["groups"], &affinity["search"]), (&Value::Null, &Value::Null));
    assert!(affinity["cosine"][0][1].is_number() && affinity["cosine_standard_error"][0][1].is_number(), "{affinity}");
    let text = text_of(trunkline().arg("affinity").arg(&run));
    assert!(text.contains("recommendation: none") && text.contains(" ± "), "{text}");
    let replayed = json_of("replay", &run, &["--method", "upgrad"]);
    let steps = replayed["steps"].as_array().expect("a list");
    assert_eq!(steps.iter().map(|step| step["step"].as_u64()).collect::<Vec<_>>(), [Some(1), Some(11), Some(21)]);
    let second = &steps[1];
    assert_eq!(second["recorded_alpha"], json!([1.0, 1.0]));
    assert!(second["recorded_products"][0].is_number() && second["certificate"]["kind"] == "kkt_residual", "{second}");
}

#[test]
fn a_run_whose_method_gives_no_weights_tells_what_its_updates_were_to_its_tasks() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = trained(folder.path(), "graddrop", &[]);
    let replayed = json_of("replay", &run, &["--method", "mgda"]);
    let steps = replayed["steps"].as_array().expect("a list");
    assert!(steps.iter().all(|step| step["recorded_alpha"].is_null()), "{replayed}");
    let records: Vec<Value> = results(&run).into_iter().filter(|record| record["kind"] == "weighting").collect();
    for (step, record) in steps.iter().zip(&records) {
        let number = |value: &Value| value.as_f64().expect("a number");
        let cosine = |task: usize| {
            let norm = number(&record["gramian"][task][task]).sqrt();
            number(&record["products"][task]) / norm / number(&record["direction_norm"])
        };
        let found = number(&step["recorded_min_cosine"]);
        assert!((found - cosine(0).min(cosine(1))).abs() < 1e-12 && found.abs() <= 1.0, "{step}, {record}");
    }
    assert_eq!((&replayed["recorded"]["steps"], &replayed["replayed"]["steps_against"]), (&json!(30), &json!(0)));
    let text = text_of(trunkline().arg("replay").arg(&run).args(["--method", "mgda"]));
    assert!(text.contains("graddrop, as recorded") && !text.contains("unknown"), "{text}");
}

#[test]
fn a_run_without_the_records_says_how_to_get_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = trained(folder.path(), "sum", &["--set", "tracking.gramian_every=0"]);
    let check = |arguments: &[&str], expected: &str| {
        let done = trunkline().args(arguments).arg(&run).output().expect("starts");
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(2), "{said}");
        assert!(said.contains(expected), "`{expected}` is not in: {said}");
    };
    check(&["affinity"], "`sum` does not need them");
    check(&["replay", "--method", "upgrad"], "`sum` does not need them");
    check(&["replay", "--method", "graddrop"], "it needs the per-task gradients");
    check(&["replay", "--method", "famo"], "it needs losses after the update");
    check(&["replay", "--method", "modo"], "between the halves of a batch");
    check(&["replay", "--method", "gradvac", "--param", "granularity=layer"], "for each block");
    check(&["replay", "--method", "db_mtl"], "can be replayed: sum, mean, random,");
    check(&["replay", "--method", "upgard"], "did you mean `upgrad`?");
    check(
        &["replay", "--method", "cagrad", "--param", "c=-1"],
        "`c`: -1 is not allowed here; it must be a number of at least 0",
    );
    check(&["replay", "--method", "mgda", "--param", "normalise=l2"], "did you mean `normalize`?");
    let one = folder.path().join("one");
    let of_one = "name = \"one\"\n[dataset.d]\npath = \"rows.csv\"\n[task.y]\ndataset = \"d\"\ntarget = \"y\"\nkind = \"regression\"\n[train]\nsteps = 2\n";
    let rows: String = (0..40).map(|row| format!("{},{}\n", row % 7, row % 3)).collect();
    std::fs::write(folder.path().join("rows.csv"), format!("x,y\n{rows}")).expect("written");
    std::fs::write(folder.path().join("one.toml"), of_one).expect("written");
    let every = ["--set", "tracking.gramian_every=1"];
    report(&train(&folder.path().join("one.toml"), &one, &every).output().expect("starts"));
    let done = trunkline().arg("affinity").arg(&one).output().expect("starts");
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.code() == Some(2) && said.contains("the run has one task, `y`"), "{said}");
    // Losses are recorded at every step.
    let replayed = json_of("replay", &run, &["--method", "dwa"]);
    assert_eq!(replayed["steps"].as_array().map(Vec::len), Some(30));
    let done = trunkline().args(["affinity", "nowhere"]).output().expect("starts");
    assert_eq!(done.status.code(), Some(2));
}

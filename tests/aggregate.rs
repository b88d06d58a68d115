//! The programs `trunkline aggregate` and `trunkline toy`.

mod support;

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};
use support::trunkline;

const GOLDENS: &str = "aggregation/tests/goldens/aggregation.jsonl";

/// Runs `aggregate` with this text as its input.
fn aggregate(arguments: &[&str], input: &str) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("input.jsonl");
    std::fs::write(&path, input).expect("written");
    trunkline().arg("aggregate").args(arguments).arg("--input").arg(&path).output().expect("starts")
}

fn lines(done: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&done.stdout).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect()
}

fn said(done: &Output) -> String {
    String::from_utf8_lossy(&done.stderr).into_owned()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|number| number.as_f64().expect("a number")).collect()
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}

#[test]
fn reference_results_go_through_the_program_as_they_are() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(GOLDENS);
    let goldens = std::fs::read_to_string(&path).expect("the reference results");
    let done = trunkline().arg("aggregate").arg("--input").arg(&path).output().expect("starts");
    assert!(done.status.success(), "{}", said(&done));
    let answers = lines(&done);
    let mut met = 0;
    for (golden, answer) in goldens.lines().zip(&answers) {
        let golden: Value = serde_json::from_str(golden).expect("JSON");
        assert_eq!(golden["id"], answer["id"]);
        let (expected, found) = (numbers(&golden["aggregate"]), numbers(&answer["aggregate"]));
        let miss = norm(expected.iter().zip(&found).map(|(a, b)| a - b));
        met += u32::from(miss <= golden["rtol"].as_f64().expect("a number") * norm(expected.into_iter()));
        assert!(answer["certificate"].is_null() || answer["certificate"]["value"].as_f64().is_some());
    }
    assert_eq!(answers.len(), 194);
    assert!(met >= 190, "{met} of 194");
}

#[test]
fn lines_without_an_answer_get_an_error_with_their_number_and_the_others_are_answered() {
    let input = [
        r#"{"id": "good", "method": "upgrad", "matrix": [[1, 2], [-1, 1]]}"#,
        r#"{"id": "ragged", "matrix": [[1, 2], [3]]}"#,
        "",
        r#"{"id": "empty", "matrix": []}"#,
        r#"{"id": "narrow", "matrix": [[], []]}"#,
        r#"{"id": "python", "matrix": [[1, 2], [NaN, 3]]}"#,
        r#"{"id": "large", "matrix": [[1, 1e999]]}"#,
        r#"{"id": "method", "method": "upgard", "matrix": [[1]]}"#,
        r#"{"id": "parameter", "method": "cagrad", "params": {"c": -1}, "matrix": [[1]]}"#,
        r#"{"id": "weights", "method": "constant", "params": {"weights": [1]}, "matrix": [[1], [2]]}"#,
        r#"{"id": "needs", "method": "famo", "matrix": [[1], [2]]}"#,
        "not JSON",
        r#"{"id": "last", "matrix": [[3]]}"#,
    ]
    .join("\n");
    let done = aggregate(&["--method", "mean"], &input);
    assert_eq!(done.status.code(), Some(1));
    assert!(said(&done).contains("10 of 12 lines failed"), "{}", said(&done));
    let answers = lines(&done);
    let expected = [
        ("ragged", 2, "row 1 has 1 values and the first row 2"),
        ("empty", 4, "at least one row"),
        ("narrow", 5, "one column"),
        ("python", 6, "row 1, column 0 is not finite"),
        ("large", 7, "row 0, column 1 is not finite"),
        ("method", 8, "did you mean `upgrad`?"),
        ("parameter", 9, "`c`: -1 is not allowed here; it must be a number of at least 0"),
        ("weights", 10, "weights given: 1"),
        ("needs", 11, "`losses` is missing, and famo needs it"),
    ];
    for ((id, line, message), answer) in expected.into_iter().zip(&answers[1..]) {
        assert_eq!((&answer["id"], &answer["line"]), (&json!(id), &json!(line)));
        let error = answer["error"].as_str().expect("a text");
        assert!(error.contains(message), "`{message}` is not in: {error}");
    }
    assert_eq!(answers[10]["line"], 12);
    assert_eq!(answers[0]["weights"].as_array().map(Vec::len), Some(2));
    assert_eq!(answers[11].to_string(), r#"{"id":"last","weights":[1.0],"aggregate":[3.0],"certificate":null}"#);
}

#[test]
fn arguments_hold_for_lines_that_say_nothing_else() {
    let input = "{\"matrix\": [[1, 0], [0, 1]]}\n{\"matrix\": [[1, 0], [0, 1]], \"params\": {\"c\": 0}}\n\
                 {\"matrix\": [[1, 0], [0, 1]], \"method\": \"sum\"}";
    let answers = lines(&aggregate(&["--method", "cagrad", "--param", "c=0.4"], input));
    // Gradients of equal length at a right angle: w = 1/2 each, so alpha = (1 + c) / 2.
    for (answer, alpha) in answers.iter().zip([0.7, 0.5, 1.0]) {
        numbers(&answer["weights"]).iter().for_each(|found| assert!((found - alpha).abs() < 1e-9, "{answer}"));
    }
    for (arguments, expected) in [
        (&["--method", "cagard"][..], "did you mean `cagrad`?"),
        (&["--method", "cagrad", "--param", "c=-1"][..], "at least 0"),
        (&["--method", "cagrad", "--param", "d=1"][..], "no such key"),
        (&["--param", "c"][..], "there is no `=`"),
    ] {
        let done = aggregate(arguments, input);
        assert_eq!((done.status.code(), done.stdout.len()), (Some(2), 0), "{arguments:?}");
        assert!(said(&done).contains(expected), "{}", said(&done));
    }
    let done = trunkline().args(["aggregate", "--input", "nowhere.jsonl"]).output().expect("starts");
    assert_eq!(done.status.code(), Some(2));
    assert!(said(&done).contains("nowhere.jsonl"), "{}", said(&done));
}

#[test]
fn a_line_is_answered_before_the_next_one_comes_and_numbers_keep_their_bits() {
    let mut command: Command = trunkline();
    command.args(["aggregate", "--method", "sum"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = command.spawn().expect("starts");
    let mut input = running.stdin.take().expect("piped");
    let mut output = BufReader::new(running.stdout.take().expect("piped"));
    for number in ["0.1", "1.7976931348623157e308", "-4.9406564584124654e-324", "7120190517612959.5", "2e-5"] {
        writeln!(input, "{{\"matrix\": [[{number}]]}}").expect("is read");
        let mut answer = String::new();
        output.read_line(&mut answer).expect("answers");
        let from = answer.find("\"aggregate\":[").expect("an aggregate") + "\"aggregate\":[".len();
        let text = &answer[from..from + answer[from..].find(']').expect("one number")];
        assert_eq!(text.parse::<f64>().expect("a number"), number.parse::<f64>().expect("a number"), "{number}");
    }
    drop(input);
    assert!(running.wait().expect("ends").success());
}

#[test]
fn the_toy_problem_gives_a_table_json_and_both_pictures() {
    let folder = tempfile::tempdir().expect("a folder");
    let (svg, png) = (folder.path().join("toy.svg"), folder.path().join("toy.png"));
    let mut command = trunkline();
    command
        .args(["toy", "--problem", "nash", "--method", "imtl_g", "--json", "--svg"])
        .arg(&svg)
        .arg("--png")
        .arg(&png);
    let object = support::report(&command.output().expect("starts"));
    let members: Vec<&String> = object.as_object().expect("an object").keys().collect();
    assert_eq!(members, ["method", "problem", "steps", "starts"]);
    assert_eq!(
        (&object["method"], &object["problem"], &object["steps"]),
        (&json!("imtl_g"), &json!("nash"), &json!(50000))
    );
    let starts = object["starts"].as_array().expect("a list");
    assert_eq!(starts.len(), 5);
    for start in starts {
        let members: Vec<&String> = start.as_object().expect("an object").keys().collect();
        assert_eq!(members, ["start", "final", "f", "distance"]);
        assert!(start["distance"].as_f64().expect("a number") < 0.01, "{start}");
    }
    let svg = std::fs::read_to_string(svg).expect("a picture");
    assert!(svg.starts_with("<svg ") && svg.contains("5 of 5 starts reach the Pareto set in 50,000 steps"));
    assert!(std::fs::read(png).expect("a picture").starts_with(b"\x89PNG"));

    let done = trunkline().args(["toy", "--method", "sum", "--steps", "10"]).output().expect("starts");
    let text = String::from_utf8(done.stdout).expect("text");
    assert!(done.status.success() && text.contains("sum in the setting cagrad: 0 of 3 starts"), "{text}");
    for (arguments, code, expected) in [
        (&["--method", "summ"][..], 2, "did you mean `sum`?"),
        (&["--method", "constant", "--param", "weights=[1]"][..], 2, "weights given: 1; tasks: 2 (f1, f2)"),
        (&["--method", "sum", "--problem", "moon"][..], 2, "cagrad or nash"),
        (&["--method", "sum", "--steps", "1", "--svg", "/nowhere/toy.svg"][..], 1, "/nowhere/toy.svg"),
    ] {
        let done = trunkline().arg("toy").args(arguments).output().expect("starts");
        assert_eq!(done.status.code(), Some(code), "{}", said(&done));
        assert!(said(&done).contains(expected), "{}", said(&done));
    }
}

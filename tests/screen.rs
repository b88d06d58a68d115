//! What people see on a terminal: lines that fit, what they look for at the end, how far long work
//! is, and nothing that a data file or a peer could make the terminal do.

#[path = "support/peer.rs"]
mod peer;
mod support;
#[path = "support/terminal.rs"]
mod terminal;

use std::path::{Path, PathBuf};

use support::{Coordinator, example, report, train, trunkline};
use terminal::{Seen, on_terminal, widest};

/// Runs a command on a terminal of 80 columns and 24 rows. No line is wider, ever.
fn seen(command: &mut std::process::Command) -> Seen {
    let seen = on_terminal(command, 24, 80);
    assert!(widest(&seen.raw) <= 80, "{:#?}", seen.lines);
    seen
}

#[test]
fn the_first_command_of_the_readme_ends_with_the_metrics() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = trunkline();
    command.arg("train").arg(example("digits")).arg("--run-dir").arg("run").current_dir(&folder);
    let seen = seen(&mut command);
    assert!(seen.status.success(), "{:#?}", seen.lines);
    let text = seen.lines.join("\n");
    // The last row of the screen is the one below.
    let screen = &seen.lines[seen.lines.len().saturating_sub(23)..];
    let row = |task: &str, split: &str| {
        let found = screen.iter().find(|line| line.starts_with('│') && line.contains(task) && line.contains(split));
        found.unwrap_or_else(|| panic!("no {task} on {split}: {text}"))
    };
    let header = screen.iter().find(|line| line.contains("accuracy")).expect("a header");
    for (task, split) in [("digit", "validation"), ("digit", "test"), ("odd", "validation"), ("odd", "test")] {
        let cells = |line: &str| line.split(['│', '┆']).map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
        let at = cells(header).iter().position(|name| name == "accuracy").expect("a column");
        assert!(cells(row(task, split))[at].parse::<f64>().is_ok_and(|value| value > 0.8), "{text}");
    }
    assert_eq!(
        screen.iter().rev().find(|line| !line.is_empty()).expect("text"),
        "which tasks help each other: trunkline affinity run"
    );
    assert!(!text.contains("tracing") && !text.contains("cosine"), "{text}");
    assert!(
        seen.raw.contains("reading") && seen.raw.contains("training") && seen.raw.contains(" left"),
        "{}",
        seen.raw
    );
}

/// An experiment of twenty tasks with long names on one table.
fn twenty(folder: &Path) -> PathBuf {
    let header: Vec<String> =
        (0..5).map(|c| format!("x{c}")).chain((0..20).map(|t| format!("an_attribute_of_faces_{t}"))).collect();
    let value = |row: usize, column: usize| (row * (2 * column + 3) + column) % 17;
    let rows: String = (0..200)
        .map(|row| (0..25).map(|column| value(row, column).to_string()).collect::<Vec<_>>().join(",") + "\n")
        .collect();
    std::fs::write(folder.join("rows.csv"), header.join(",") + "\n" + &rows).expect("written");
    let text = "name = \"twenty\"\n[dataset.faces]\npath = \"rows.csv\"\n[task.attribute]\ndataset = \"faces\"\n\
        each_target = \"an_*\"\nkind = \"regression\"\n[train]\nsteps = 30\n";
    let file = folder.join("twenty.toml");
    std::fs::write(&file, text).expect("written");
    file
}

#[test]
fn the_plan_of_twenty_tasks_fits_the_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = twenty(folder.path());
    let seen = seen(trunkline().arg("check").arg(&file));
    let text = seen.lines.join("\n");
    assert!(seen.status.success(), "{text}");
    for task in 0..20 {
        let name = format!("│ an_attribute_of_faces_{task} ");
        assert!(seen.lines.iter().any(|line| line.starts_with(&name) && line.contains("regression")), "{name}: {text}");
    }
    for name in ["clinic", "mixed", "digits", "mnist"] {
        let checked = on_terminal(trunkline().arg("check").arg(example(name)), 24, 80);
        assert!(checked.status.success() && widest(&checked.raw) <= 80, "{:#?}", checked.lines);
    }
}

#[test]
fn twenty_tasks_are_trained_in_lines_that_fit() {
    let folder = tempfile::tempdir().expect("a folder");
    twenty(folder.path());
    let at = |arguments: &[&str]| {
        let mut command = trunkline();
        command.current_dir(&folder).args(arguments);
        command
    };
    let seen = seen(&mut at(&["train", "twenty.toml", "--run-dir", "run"]));
    let text = seen.lines.join("\n");
    assert!(seen.status.success(), "{text}");
    for task in 0..20 {
        assert_eq!(text.matches(&format!("│ an_attribute_of_faces_{task} ")).count(), 1, "{text}");
    }
    assert!(text.contains("metrics on the test rows") && text.contains("--split validation"), "{text}");
    for command in [&["affinity"][..], &["replay", "--method", "mgda"], &["evaluate"], &["inspect"]] {
        let said = on_terminal(at(command).arg("run"), 24, 80);
        assert!(said.status.success() && widest(&said.raw) <= 80, "{command:?}: {:#?}", said.lines);
    }
}

#[test]
fn an_error_is_broken_between_words_on_a_terminal_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = twenty(folder.path());
    let mut command = trunkline();
    command.arg("check").arg(&file).args(["--set", "weighting.method=upgrd"]);
    let piped = command.output().expect("starts");
    assert!(String::from_utf8_lossy(&piped.stderr).lines().any(|line| line.chars().count() > 200));
    let seen = seen(&mut command);
    let text = seen.lines.join(" ");
    assert!(seen.status.code() == Some(2) && text.contains("did you mean `upgrad`?"), "{text}");
}

/// Sets a terminal's clipboard, then moves, then reverses: as bytes and as text.
const HOSTILE: &str = "x\u{1b}]52;c;aGk=\u{7}\u{9b}2J\u{202e}y";

/// That nothing but text and line feeds was written.
fn assert_plain(what: &str, bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).expect("text");
    let wrong = text.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
    assert_eq!(wrong, None, "{what}: {text:?}");
}

#[test]
fn what_data_files_and_run_folders_say_reaches_no_terminal_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let rows: String = (0..60).map(|row| format!("{},{}{HOSTILE},{}\n", row, ["a", "b"][row % 2], row % 7)).collect();
    let experiment = |more: &str| {
        format!(
            "name = \"x\"\n[dataset.d]\npath = \"t.csv\"\n[task.t]\ndataset = \"d\"\ntarget = \"label\"\n\
             kind = \"binary\"\npositive = \"a{}\"\n{more}",
            HOSTILE.replace('\u{1b}', "\\u001b").replace('\u{7}', "\\u0007").replace('\u{9b}', "\\u009b")
        )
    };
    std::fs::write(path("x.toml"), experiment("")).expect("written");
    let table = |header: &str, rows: &str| std::fs::write(path("t.csv"), format!("{header}\n{rows}")).expect("written");
    let said = |what: &str, arguments: &[&str], code: i32| {
        let done = trunkline().current_dir(&folder).args(arguments).output().expect("starts");
        assert_eq!(done.status.code(), Some(code), "{what}: {}", String::from_utf8_lossy(&done.stderr));
        assert_plain(what, &done.stdout);
        assert_plain(what, &done.stderr);
        let text = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
        assert!(text.contains(r"\u{1b}]52;c;aGk=\u{7}\u{9b}2J\u{202e}y"), "{what}: {text}");
    };
    let done = trunkline().args(["check", "x.toml", HOSTILE]).output().expect("starts");
    assert_plain("an argument", &done.stderr);
    table(&format!("one{HOSTILE},label,three"), &rows);
    said("columns and labels", &["check", "x.toml"], 0);
    table(&format!("one,label,{HOSTILE},{HOSTILE}"), &rows);
    said("a column that is there twice", &["check", "x.toml"], 2);
    table("one,label,three", &format!("{rows}{HOSTILE},a{HOSTILE},3\n"));
    std::fs::write(path("x.toml"), experiment("[dataset.d.types]\none = \"number\"\n")).expect("written");
    said("a cell", &["check", "x.toml"], 2);
    said("a key", &["check", "x.toml", "--set", &format!("\"{HOSTILE}\"=1")], 2);
    said("a file that is not there", &["check", HOSTILE], 2);

    let run = path("run");
    report(&train(&example("digits"), &run, &["--set", "train.steps=4"]).output().expect("starts"));
    let journal = std::fs::read_to_string(run.join("journal.jsonl")).expect("there is one");
    let finished = journal.lines().rfind(|line| line.contains("\"finished\"")).expect("it is finished");
    let mut record: serde_json::Value = serde_json::from_str(finished).expect("JSON");
    record["message"] = format!("\n{HOSTILE}").into();
    std::fs::write(run.join("journal.jsonl"), format!("{journal}{record}\n")).expect("written");
    said("a journal", &["inspect", "run"], 0);
}

#[test]
fn the_name_of_a_workers_host_does_not_break_the_status() {
    let folder = tempfile::tempdir().expect("a folder");
    let coordinator = Coordinator::start(&example("digits"), &folder.path().join("run"), &[]);
    let runtime = peer::runtime();
    let hello = proto::v1::Hello { host: format!("host\n{HOSTILE}"), ..peer::hello(1) };
    let _peer = peer::Peer::hello(&coordinator, &runtime, hello);
    let status = || trunkline().args(["status", &coordinator.address]).output().expect("starts");
    let done = support::wait_for("the worker", || {
        Some(status()).filter(|done| String::from_utf8_lossy(&done.stdout).contains("aGk="))
    });
    assert_plain("status", &done.stdout);
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(text.contains(r"host\nx\u{1b}]52"), "{text}");
}

#[test]
fn one_place_writes_what_people_read() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    assert!(files.len() > 30, "{} files", files.len());
    for path in files {
        // `aggregate` writes JSON, line by line.
        let is_code = path.extension().is_some_and(|end| end == "rs");
        if !is_code || path.ends_with("src/screen.rs") || path.ends_with("commands/aggregate.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("text");
        for way in ["println!", "eprint", "io::stdout", "io::stderr"] {
            let line = text.lines().find(|line| line.contains(way) && !line.trim_start().starts_with("//"));
            assert_eq!(line, None, "{}: write with `screen::say` or `screen::print`", path.display());
        }
    }
}

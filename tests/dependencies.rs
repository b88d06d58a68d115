//! Dependencies point one way, the state machine has no IO, and commands do not call each other.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// Crates of the workspace that a crate may depend on.
const ALLOWED: [(&str, &[&str]); 11] = [
    ("settings", &[]),
    ("aggregation", &["settings"]),
    ("objectives", &["settings"]),
    ("experiment", &["settings", "aggregation", "objectives"]),
    ("datasets", &["settings", "aggregation", "objectives", "experiment"]),
    ("model", &["settings", "aggregation", "objectives", "experiment", "datasets"]),
    ("proto", &["settings", "aggregation", "objectives", "experiment"]),
    ("worker", &["settings", "aggregation", "objectives", "experiment", "datasets", "model", "proto"]),
    ("coordinator", &["settings", "aggregation", "objectives", "experiment", "datasets", "model", "proto"]),
    (
        "trunkline",
        &["settings", "aggregation", "objectives", "experiment", "datasets", "model", "proto", "worker", "coordinator"],
    ),
    ("custom", &["trunkline"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn dependencies() -> BTreeMap<String, Vec<String>> {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root()).args(["metadata", "--no-deps", "--offline", "--format-version", "1"]);
    let done = command.output().expect("cargo starts");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let metadata: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let packages = metadata["packages"].as_array().expect("packages").iter();
    packages
        .map(|package| {
            let normal = package["dependencies"].as_array().expect("a list").iter().filter(|d| d["kind"].is_null());
            (text(&package["name"]), normal.map(|d| text(&d["name"])).collect())
        })
        .collect()
}

#[test]
fn crates_depend_on_those_below_them_alone() {
    let dependencies = dependencies();
    assert_eq!(dependencies.len(), ALLOWED.len());
    for (name, allowed) in ALLOWED {
        let ours = dependencies[name].iter().filter(|other| dependencies.contains_key(*other));
        for other in ours {
            assert!(allowed.contains(&other.as_str()), "`{name}` depends on `{other}`");
        }
    }
}

#[test]
fn the_arithmetic_knows_no_io() {
    for heavy in ["tokio", "tonic", "burn", "polars", "reqwest"] {
        assert!(!dependencies()["aggregation"].iter().any(|name| name == heavy), "aggregation depends on {heavy}");
    }
}

#[test]
fn the_state_machine_knows_no_io() {
    let files = files_below("coordinator/src/run");
    assert!(files.len() >= 4, "{} files", files.len());
    for path in files {
        for line in code(&path) {
            for word in ["tokio", "tonic", "burn", "polars", "reqwest", "Instant", "SystemTime", "rand::", "std::fs"] {
                assert!(!line.contains(word), "{}: {line}", path.display());
            }
        }
    }
}

#[test]
fn commands_do_not_call_each_other() {
    let files = files_below("src");
    assert!(files.len() >= 30, "{} files", files.len());
    for path in files.iter().filter(|path| !path.ends_with("src/lib.rs")) {
        let calls = code(path).into_iter().find(|line| line.contains("commands::"));
        assert!(calls.is_none(), "{}: {calls:?}: move what is shared out of the command", path.display());
    }
}

/// All Rust files below a folder of the repository.
fn files_below(folder: &str) -> Vec<PathBuf> {
    let mut folders = vec![root().join(folder)];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(folder).expect("the folder is there");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let (inner, found): (Vec<_>, Vec<_>) = paths.partition(|path| path.is_dir());
        folders.extend(inner);
        files.extend(found.into_iter().filter(|path| path.extension().is_some_and(|end| end == "rs")));
    }
    files
}

/// The lines of a file that are not comments.
fn code(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).expect("text");
    text.lines().filter(|line| !line.trim_start().starts_with("//")).map(str::to_owned).collect()
}

/// Dependencies with the features that they are built with, for these arguments of `cargo tree`.
fn features(arguments: &[&str]) -> BTreeSet<String> {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root()).args(["tree", "--offline", "--prefix", "none", "--format", "{p} {f}"]).args(arguments);
    let done = command.output().expect("cargo starts");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let text = String::from_utf8(done.stdout).expect("text");
    let lines = text.lines().map(|line| line.trim_end_matches(" (*)").to_owned());
    lines.filter(|line| !line.contains(&root().display().to_string())).collect()
}

/// One feature more in the tests would build polars and burn a second time.
#[test]
fn the_program_and_the_tests_build_dependencies_with_the_same_features() {
    let program = features(&["--package", "trunkline", "--edges", "normal,no-proc-macro"]);
    let tests = features(&["--workspace", "--edges", "normal,dev,no-proc-macro"]);
    let twice: Vec<&String> = program.difference(&tests).collect();
    assert!(program.len() > 200, "{} dependencies", program.len());
    assert!(twice.is_empty(), "built twice, with other features: {twice:?}");
}

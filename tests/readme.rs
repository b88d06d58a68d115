//! README's commands on one's own table work as shown, the tests that documents name exist, and the
//! tutorial shows the files of `examples/custom`.

mod support;

use std::path::Path;

use support::{report, trunkline};

/// The text of the first fenced block of README that begins with `begins`.
fn block(begins: &str) -> String {
    let readme =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("there is one");
    let mut blocks = readme.split("```").skip(1).step_by(2);
    let found =
        blocks.find(|block| block.starts_with(begins)).unwrap_or_else(|| panic!("no block begins with {begins}"));
    found.split_once('\n').expect("more than one line").1.to_owned()
}

fn houses(folder: &Path) {
    std::fs::write(folder.join("houses.toml"), block("toml\nname = \"houses\"")).expect("written");
    // The path of the table is that from the repository's root.
    let tables = Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets");
    std::os::unix::fs::symlink(tables, folder.join("datasets")).expect("linked");
}

#[test]
fn the_experiment_on_ones_own_table_is_checked_and_trained() {
    let folder = tempfile::tempdir().expect("a folder");
    houses(folder.path());
    let on = |command: &str| {
        let mut process = trunkline();
        process.current_dir(folder.path()).args([command, "houses.toml", "--json", "--set", "cluster.workers=2"]);
        process
    };
    let plan = report(&on("check").output().expect("starts"));
    assert_eq!(plan["data"]["tables"][0]["columns"].as_array().map(Vec::len), Some(9));
    let trained = report(&on("train").args(["--set", "train.steps=20"]).output().expect("starts"));
    assert_eq!(trained["status"], "finished");
    assert!(trained["tasks"]["price"]["test"]["rmse"].is_f64() && trained["tasks"]["sold"]["test"]["auroc"].is_f64());
}

#[test]
fn a_misspelt_key_is_pointed_at_as_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    houses(folder.path());
    let shown = block("\n$ trunkline train houses.toml --set");
    let (command, expected) = shown.split_once('\n').expect("a command and what it says");
    let arguments = command.trim_start_matches("$ trunkline ").split(' ');
    let done = trunkline().current_dir(folder.path()).args(arguments).output().expect("starts");
    assert_eq!(done.status.code(), Some(2));
    assert_eq!(String::from_utf8_lossy(&done.stderr).trim(), expected.trim());
}

#[test]
fn every_row_of_the_table_of_faults_names_a_test_that_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/reliability.md")).expect("there is one");
    let table = text.split("| fault |").nth(1).expect("a table of faults").split("\n\n").next().expect("an end");
    let rows: Vec<&str> = table.lines().skip(2).collect();
    assert!(rows.len() > 40, "{} rows", rows.len());
    for row in rows {
        let cell = row.trim_end_matches(" |").rsplit(" | ").next().expect("a last cell");
        let names: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        let (files, functions): (Vec<&str>, Vec<&str>) = names.into_iter().partition(|name| name.ends_with(".rs"));
        let read = |file: &&str| {
            let path = if file.contains('/') { root.join(file) } else { root.join("tests").join(file) };
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}: {row}", path.display()))
        };
        let code: String = files.iter().map(read).collect();
        assert!(!files.is_empty() || cell == "the same", "no test: {row}");
        for function in functions.into_iter().filter(|_| !cell.starts_with("`fuzz/`")) {
            assert!(code.contains(&format!("fn {function}()")), "there is no test `{function}`: {row}");
        }
    }
}

#[test]
fn the_tutorial_shows_the_files_of_the_custom_crate_as_they_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/own-parts.md")).expect("there is one");
    let parts: Vec<&str> = text.split("```").collect();
    let mut shown = 0;
    // Text and blocks alternate. The line before a block with a file is the file's name.
    for pair in parts.chunks_exact(2) {
        let Some(name) = pair[0].trim_end().lines().last().and_then(|line| line.strip_suffix("`:")) else { continue };
        let path = root.join("examples/custom").join(name.trim_start_matches('`'));
        let file = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (_, block) = pair[1].split_once('\n').expect("a block has lines");
        assert_eq!(block, file, "{} and docs/own-parts.md differ", path.display());
        shown += 1;
    }
    assert_eq!(shown, 8);
}

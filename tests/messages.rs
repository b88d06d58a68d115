//! The help and the errors that the program prints. Every text is in `tests/snapshots`, so that a
//! change of wording is reviewed. `INSTA_UPDATE=always cargo test --test messages` writes the
//! texts.

mod support;

use std::path::Path;

use support::trunkline;

const EXPERIMENT: &str = r#"
name = "houses"

[dataset.houses]
path = "houses.csv"

[task.price]
dataset = "houses"
target = "price"
kind = "regression"

[model]
trunk = { hidden = [4] }

[train]
steps = 4
batch_size = 8
"#;

/// A folder with an experiment and its table.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let rows: String = (0..60).map(|i| format!("{},{},{}\n", 40 + i, i * i % 7, 1000 * (100 + i))).collect();
    std::fs::write(folder.path().join("houses.toml"), EXPERIMENT).expect("written");
    std::fs::write(folder.path().join("houses.csv"), format!("area,rooms,price\n{rows}")).expect("written");
    folder
}

/// What a command prints on stderr, with its exit code.
fn said(folder: &Path, command: &str) -> String {
    let mut process = trunkline();
    process.current_dir(folder).env("COLUMNS", "80").args(command.split(' '));
    let done = process.output().expect("starts");
    let text = String::from_utf8_lossy(&done.stderr).replace(&folder.display().to_string(), "FOLDER");
    let text = without_port(&text);
    let code = done.status.code().expect("is not killed");
    format!("$ trunkline {command}\n{}\nexit code {code}\n", text.trim_end())
}

/// The text with `PORT` in place of a port that the system chose.
fn without_port(text: &str) -> String {
    const ANY: &str = "0.0.0.0:";
    let Some((before, after)) = text.split_once(ANY) else { return text.to_owned() };
    format!("{before}{ANY}PORT{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
}

/// Compares what commands say with the snapshot of that name.
fn check(name: &str, folder: &Path, commands: &[&str]) {
    let all: Vec<String> = commands.iter().map(|command| said(folder, command)).collect();
    compare(name, &all.join("\n"));
}

fn compare(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn help_of_the_program_and_of_each_command() {
    let help = |command: &str| {
        let mut process = trunkline();
        process.env("COLUMNS", "80").args(command.split_whitespace()).arg("--help");
        let done = process.output().expect("starts");
        assert!(done.status.success(), "{command}");
        let text = String::from_utf8(done.stdout).expect("text");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        text
    };
    let program = help("");
    compare("help", &program);
    let commands = program.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = commands.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<&str> = names.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.contains(&"train") && names.last() == Some(&"help"), "{names:?}");
    for name in names.into_iter().filter(|name| *name != "help") {
        compare(&format!("help-{name}"), &help(name));
    }
}

#[test]
fn errors_of_arguments() {
    let commands = [
        "trian houses.toml",
        "train",
        "train houses.toml --worker 2",
        "train houses.toml --workers 0",
        "train houses.toml --set",
        "evaluate run --split all",
        "worker",
        "worker --coordinator nowhere",
        "worker --coordinator 127.0.0.1:1 --tls-cert worker.pem",
        "toy --method upgrad --problem other",
    ];
    check("errors-arguments", folder().path(), &commands);
}

#[test]
fn errors_of_experiments_and_data() {
    let folder = folder();
    let write = |name: &str, from: &str, to: &str| {
        std::fs::write(folder.path().join(name), EXPERIMENT.replace(from, to)).expect("written");
    };
    write("key.toml", "steps", "stepz");
    write("table.toml", "houses.csv", "flats.csv");
    write("column.toml", "\"price\"", "\"prize\"");
    write("text.toml", "houses.csv", "text.csv");
    let table = std::fs::read_to_string(folder.path().join("houses.csv")).expect("there is one");
    std::fs::write(folder.path().join("text.csv"), table.replace("43,2,", "43,two,")).expect("written");
    std::fs::write(folder.path().join("syntax.toml"), "name = \"a").expect("written");
    let commands = [
        "train nowhere.toml",
        "train .",
        "train syntax.toml",
        "train key.toml",
        "train table.toml",
        "train column.toml",
        "train text.toml",
        "train houses.toml --set train.steps",
        "train houses.toml --set train.steps=many",
        "train houses.toml --set train.stepz=4",
        "train houses.toml --set task.price.loss=hubr",
        "train houses.toml --set weighting.method=upgrd",
        "train houses.toml --device tpu",
        "train houses.toml --device wgpu",
        "check houses.toml --device tpu",
    ];
    check("errors-experiments", folder.path(), &commands);
}

#[test]
fn errors_of_runs() {
    let folder = folder();
    let done = trunkline().current_dir(&folder).args(["train", "houses.toml", "--run-dir", "run"]).output();
    assert!(done.expect("starts").status.success());
    std::fs::create_dir(folder.path().join("empty")).expect("creates");
    std::fs::write(folder.path().join("other.toml"), EXPERIMENT.replace("[4]", "[5]")).expect("written");
    let commands = [
        "train houses.toml --run-dir run",
        "train --resume nowhere",
        "train --resume empty",
        "train --resume auto",
        "train --resume auto --run-dir nowhere",
        "train --resume run --run-dir run",
        "train other.toml --resume run",
        "train --resume run --set train.steps=8",
        "train --resume run --extend train.steps=8 --extend train.batch_size=16 --run-dir new",
        "train houses.toml --epochs 8",
        "evaluate nowhere",
        "evaluate houses.toml",
        "evaluate empty",
        "evaluate run --device tpu",
        "inspect nowhere",
        "affinity run",
        "replay run --method mgda",
        "replay run --method krum --param byzantine=0",
        "replay run --method mgdb",
    ];
    check("errors-runs", folder.path(), &commands);
}

#[test]
fn errors_of_weightings() {
    std::fs::write(folder().path().join("lines"), "").expect("written");
    let commands = [
        "aggregate --method upgrd",
        "aggregate --method cagrad --param c",
        "aggregate --method cagrad --param c=-1",
        "aggregate --method cagrad --param d=1",
        "aggregate --method upgrad --input nowhere",
        "aggregate --method upgrad --input .",
        "toy --method upgrd",
        "toy --method upgrad --steps 1 --png nowhere/toy.png",
    ];
    check("errors-weightings", folder().path(), &commands);
}

#[test]
fn errors_of_clusters() {
    let folder = folder();
    let made =
        trunkline().current_dir(&folder).args(["certificates", "cluster", "--coordinator", "localhost"]).output();
    assert!(made.expect("starts").status.success());
    let commands = [
        "coordinator houses.toml --listen 0.0.0.0:0",
        "coordinator houses.toml --listen 0.0.0.0:0 --tls-cert cluster/coordinator.pem --tls-key cluster/coordinator.key",
        "coordinator houses.toml --listen unix:socket --tls-cert cluster/coordinator.pem --tls-key cluster/coordinator.key",
        "coordinator houses.toml --listen 127.0.0.1:0 --token-file nowhere",
        "worker --coordinator 127.0.0.1:1 --wait 0",
        "worker --coordinator 127.0.0.1:1 --device tpu",
        "worker --coordinator 127.0.0.1:1 --tls-cert cluster/worker.pem --tls-key cluster/worker.key",
        "worker --coordinator 127.0.0.1:1 --tls-ca cluster/ca.pem --tls-name a/b",
        "status 127.0.0.1:1",
        "certificates other",
        "certificates other --coordinator http://localhost:1",
        "certificates cluster",
        "certificates cluster --worker worker",
        "certificates cluster --worker ca",
        "certificates cluster --worker a/b",
    ];
    check("errors-clusters", folder.path(), &commands);
}

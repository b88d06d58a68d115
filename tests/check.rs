//! `trunkline check`: its text and its JSON.

mod support;

use std::path::Path;

use serde_json::Value;
use support::{example, trunkline};

/// Writes a table of 200 rows with columns of many types. Every seventh row has no size, and every
/// eighth no label.
fn write(folder: &Path, order: &str) {
    let wide: Vec<String> = (0..12).map(|i| format!("w{i}")).collect();
    let mut csv = format!("colour,size,ok,{},free,y\n", wide.join(","));
    for i in 0..200 {
        let colour = ["red", "green", "blue"][i % 3];
        let size = if i % 7 == 0 { String::new() } else { (i * 31 % 97).to_string() };
        let numbers: Vec<String> = (0..12).map(|w| if w == 3 { 5 } else { i * (w + 2) % 41 }.to_string()).collect();
        let label = if i % 8 == 0 { String::new() } else { (2 * i).to_string() };
        csv.push_str(&format!("{colour},{size},{},{},text {i},{label}\n", i % 2 == 0, numbers.join(",")));
    }
    std::fs::write(folder.join("t.csv"), csv).expect("written");
    let experiment = format!(
        "name = \"all-sorts\"\n[dataset.t]\npath = \"t.csv\"\norder = \"{order}\"\nfeatures = [\"*\", \"!free\"]\n\
         split = {{ by = \"w0\" }}\n[task.y]\ndataset = \"t\"\ntarget = \"y\"\nkind = \"regression\"\n\
         [train]\nsteps = 4\nmicrobatches = 4\n[cluster]\nworkers = 4\n"
    );
    std::fs::write(folder.join("all-sorts.toml"), experiment).expect("written");
}

fn check(experiment: &Path, more: &[&str]) -> String {
    let done = trunkline().arg("check").arg(experiment).args(more).output().expect("starts");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("text")
}

/// The cells of the row that begins with these cells.
fn row<'a>(shown: &'a str, begins: &[&str]) -> Vec<&'a str> {
    let rows = shown.lines().map(|line| line.trim_matches('│').split('┆').map(str::trim).collect::<Vec<_>>());
    let mut found = rows.filter(|cells| cells.starts_with(begins));
    found.next().unwrap_or_else(|| panic!("no row {begins:?} in\n{shown}"))
}

#[test]
fn every_column_is_shown_with_type_role_nulls_and_what_it_becomes() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "shuffled");
    let shown = check(&folder.path().join("all-sorts.toml"), &[]);
    assert_eq!(row(&shown, &["t", "colour"])[2..], ["text", "feature", "0", "one_hot(3)"]);
    assert_eq!(row(&shown, &["t", "size"])[2..], ["number", "feature", "29", "standard + null indicator"]);
    assert_eq!(row(&shown, &["t", "ok"])[2..], ["boolean", "feature", "0", "one_hot(2)"]);
    assert_eq!(row(&shown, &["t", "w0"])[2..], ["number", "split", "0", ""]);
    assert_eq!(row(&shown, &["t", "free"])[2..], ["text", "unused", "not read", ""]);
    assert_eq!(row(&shown, &["t", "y"])[2..], ["number", "target", "25", ""]);
    let folded = row(&shown, &["t", "w1 to w11 (11)"]);
    assert_eq!(folded[2..], ["number", "feature", "0", "10 standard, 1 constant"]);
}

#[test]
fn a_split_by_a_column_is_shown_with_the_ends_of_its_parts() {
    let folder = tempfile::tempdir().expect("a folder");
    let days: String = (0..60).map(|day| format!("{:02}/{:02}/2021,{day}\n", 1 + day / 28, 1 + day % 28)).collect();
    std::fs::write(folder.path().join("d.csv"), format!("date,x,y\n{}", days.replace("2021,", "2021,1,")))
        .expect("written");
    let text = "name = \"days\"\n[dataset.d]\npath = \"d.csv\"\nsplit = { by = \"date\" }\n[task.y]\ndataset = \"d\"\n\
                target = \"y\"\nkind = \"regression\"\n";
    let experiment = folder.path().join("days.toml");
    std::fs::write(&experiment, text).expect("written");
    let shown = check(&experiment, &[]);
    let ends = "dataset d by \"date\": train from \"01/01/2021\" to \"02/14/2021\", validation from \"02/15/2021\" to \
                \"02/20/2021\", test from \"02/21/2021\" to \"03/04/2021\"";
    assert!(shown.contains(ends), "{shown}");
}

#[test]
fn columns_that_share_an_input_of_the_trunk_are_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, columns) in [("t", "a,b,y"), ("u", "b,a,y"), ("v", "a,c,y")] {
        let rows: String = (0..60).map(|row| format!("{row},{},{}\n", row % 7, row % 5)).collect();
        std::fs::write(folder.path().join(format!("{name}.csv")), format!("{columns}\n{rows}")).expect("written");
    }
    let dataset = |name: &str| {
        format!(
            "[dataset.{name}]\npath = \"{name}.csv\"\n[task.of_{name}]\ndataset = \"{name}\"\ntarget = \"y\"\n\
             kind = \"regression\"\n"
        )
    };
    let experiment = folder.path().join("two.toml");
    let write = |names: [&str; 2]| {
        let text = format!("name = \"two\"\n{}{}", dataset(names[0]), dataset(names[1]));
        std::fs::write(&experiment, text).expect("written");
    };
    write(["t", "u"]);
    let shown = check(&experiment, &[]);
    assert!(shown.contains("feeds t, u have no encoder: columns of one name are one input of the trunk"), "{shown}");
    write(["t", "v"]);
    let refused = trunkline().arg("check").arg(&experiment).output().expect("starts");
    let message = String::from_utf8(refused.stderr).expect("text");
    assert!(
        refused.status.code() == Some(2) && message.contains("only `t` has `b`, and only `v` has `c`"),
        "{message}"
    );
    let shown = check(&experiment, &["--set", "model.encoder=none"]);
    assert!(shown.contains("input 2 of the trunk: \"b\" of t, \"c\" of v"), "{shown}");
}

#[test]
fn an_exported_split_is_read_back_as_the_same_split() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "shuffled");
    let experiment = folder.path().join("all-sorts.toml");
    let split = folder.path().join("split.csv");
    let path = split.to_str().expect("text");
    let before: Value = serde_json::from_str(&check(&experiment, &["--json", "--export-split", path])).expect("JSON");
    let exported = std::fs::read_to_string(&split).expect("written");
    assert_eq!((exported.lines().next(), exported.lines().count()), (Some("dataset,row,part"), 201));
    let text = std::fs::read_to_string(&experiment).expect("there").replace("by = \"w0\"", "file = \"split.csv\"");
    std::fs::write(&experiment, text).expect("written");
    // The file is an exported split, so it may be written again.
    let after: Value = serde_json::from_str(&check(&experiment, &["--json", "--export-split", path])).expect("JSON");
    assert_eq!(before["data"]["tables"][0]["splits"], after["data"]["tables"][0]["splits"]);
    assert_eq!(std::fs::read_to_string(&split).expect("written"), exported);
    let table = folder.path().join("t.csv");
    let output = trunkline().arg("check").arg(&experiment).arg("--export-split").arg(&table).output().expect("starts");
    let message = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.code() == Some(2) && message.contains("is not an exported split"), "{message}");
    assert!(std::fs::read_to_string(&table).expect("there").starts_with("colour"), "the table is as it was");
}

#[test]
fn an_image_input_is_shown_with_its_shape() {
    let shown = check(&example("mnist"), &[]);
    assert_eq!(row(&shown, &["mnist", "image"])[2..], ["list[784]", "feature", "0", "pixels(784)"]);
    assert_eq!(row(&shown, &["mnist", "image 1 x 28 x 28"])[2..4], ["1", "784"]);
}

#[test]
fn a_worker_reads_all_of_a_shuffled_table_and_its_own_part_of_one_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = |order| -> Value {
        write(folder.path(), order);
        serde_json::from_str(&check(&folder.path().join("all-sorts.toml"), &["--json"])).expect("one JSON object")
    };
    let read = |plan: &Value| -> Vec<u64> {
        plan["workers"].as_array().expect("workers").iter().filter_map(|worker| worker["rows_read"].as_u64()).collect()
    };
    let (shuffled, ordered) = (plan("shuffled"), plan("file"));
    assert!(read(&shuffled).iter().all(|rows| (190..=200).contains(rows)), "{shuffled}");
    assert!(read(&ordered).iter().all(|rows| (35..=70).contains(rows)), "{ordered}");
    assert!(read(&ordered).iter().sum::<u64>() <= 200);
    let held = |plan: &Value| plan["workers"][0]["rows"].clone();
    assert_eq!(held(&shuffled), held(&ordered));
}

#[test]
fn the_workers_share_the_multiply_adds_of_a_step() {
    let plan: Value = serde_json::from_str(&check(&example("mixed"), &["--json"])).expect("one JSON object");
    let workers = plan["workers"].as_array().expect("workers");
    let shares: u64 = workers.iter().filter_map(|worker| worker["multiply_adds"].as_u64()).sum();
    assert_eq!(plan["multiply_adds_per_step"].as_u64(), Some(shares));
    // By feed, three times the number of weights that a row meets: one forward pass, and twice that
    // for the backward pass.
    let weights = |names: &[&str]| -> u64 {
        let blocks = plan["model"]["blocks"].as_array().expect("blocks").iter();
        let met = blocks.filter(|block| {
            let name = block["name"].as_str().expect("a name");
            name.ends_with("weight") && names.iter().any(|part| name.starts_with(part))
        });
        met.map(|block| block["shape"].as_array().expect("a shape").iter().filter_map(Value::as_u64).product::<u64>())
            .sum()
    };
    let digits = 64 * weights(&["encoder.digits", "trunk", "head.digit", "head.odd"]);
    let diabetes = 32 * weights(&["encoder.diabetes", "trunk", "head.progression"]);
    let breast_cancer = 32 * weights(&["encoder.breast_cancer", "trunk", "head.malignant"]);
    assert_eq!(plan["multiply_adds_per_step"].as_u64(), Some(3 * (digits + diabetes + breast_cancer)));
    // Per-task gradients for the journal need one backward pass for each task on digits.
    let alone = |task: &str| 64 * weights(&["encoder.digits", "trunk", task]);
    let by_task = digits + 2 * (alone("head.digit") + alone("head.odd")) + 3 * (diabetes + breast_cancer);
    let measuring: u64 = workers.iter().filter_map(|worker| worker["measuring"]["multiply_adds"].as_u64()).sum();
    assert_eq!(measuring, by_task);
    // By default they are a hundredth of the work.
    let update = 3 * (digits + diabetes + breast_cancer);
    assert_eq!(plan["gramian_every"].as_u64(), Some((100 * by_task).div_ceil(update)));
}

#[test]
fn the_cost_of_recorded_gradients_is_shown() {
    let chosen = check(&example("mixed"), &["--set", "tracking.gramian_every=7"]);
    assert!(chosen.contains("every 7 steps also per-task gradients, for the journal"), "{chosen}");
    for other in ["tracking.gramian_every=0", "weighting.method=upgrad"] {
        let without = check(&example("mixed"), &["--set", other]);
        assert!(!without.contains("for the journal"), "{without}");
    }
}

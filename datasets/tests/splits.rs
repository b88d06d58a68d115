//! Splits and partitions.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use datasets::{Plan, Prepared, SplitName, Store};
use support::{Case, experiment, table};

/// The rows of each part, by their `id`. The feature is standardised, so only the ranks of its
/// values are known.
fn ids(store: &Store, plan: &Plan) -> BTreeMap<SplitName, Vec<f32>> {
    let of = |split: SplitName| {
        let rows = (0..plan.chunks(0, split)).flat_map(|c| store.chunk(0, split, c).expect("read").dense.clone());
        (split, rows.collect())
    };
    SplitName::ALL.into_iter().map(of).collect()
}

fn prepared(split: &str, rows: usize) -> (Case, Prepared) {
    let case = Case::new(&[("t.csv", &table(rows))]);
    let prepared = case.prepare(&experiment(&format!("features = [\"id\"]\n{split}")));
    (case, prepared)
}

#[test]
fn shares_are_exact_and_parts_are_disjoint() {
    let (case, prepared) = prepared("split = { validation = 0.15, test = 0.25 }", 200);
    let ids = ids(&case.store(&prepared), &prepared.plan);
    assert_eq!([120, 30, 50], SplitName::ALL.map(|split| ids[&split].len()));
    let all: BTreeSet<u32> = ids.values().flatten().map(|id| id.to_bits()).collect();
    assert_eq!(all.len(), 200);
}

#[test]
fn a_table_of_twenty_rows_is_enough() {
    let (case, prepared) = prepared("", 20);
    assert_eq!([14, 2, 4], SplitName::ALL.map(|split| prepared.plan.rows(0, split)));
    let store = case.store(&prepared);
    let rows: usize = (0..4).map(|v| store.batch(0, 7, v).expect("drawn").rows).sum();
    assert_eq!(rows, 64, "a batch may be larger than the table");
}

#[test]
fn the_split_depends_on_its_own_seed_only() {
    let digests = |split: &str, seed: u64| {
        let case = Case::new(&[("t.csv", &table(100))]);
        let plan = case.prepare(&format!("seed = {seed}\n{}", experiment(split))).plan;
        plan.feeds()[0].partitions.clone()
    };
    assert_eq!(digests("", 0), digests("", 1));
    assert_ne!(digests("split = { seed = 1 }", 0), digests("", 0));
}

#[test]
fn strata_keep_their_shares() {
    let (_case, prepared) = prepared("split = { stratify = \"label\", validation = 0.2, test = 0.2 }", 150);
    for (_, counts) in &prepared.summary.tasks[0].classes {
        assert_eq!([30, 10, 10], SplitName::ALL.map(|split| counts[&split]));
    }
}

#[test]
fn groups_stay_together_in_every_dataset() {
    let text = |columns: &str, rows: &[(usize, usize)]| {
        let lines: String = rows.iter().map(|(user, x)| format!("u{user},{x},{}\n", x % 2)).collect();
        format!("{columns}\n{lines}")
    };
    let rows: Vec<(usize, usize)> = (0..400).map(|i| (i % 50, i)).collect();
    let other: Vec<(usize, usize)> = (0..300).map(|i| (i * 3 % 50, i)).collect();
    let case = Case::new(&[("a.csv", &text("user,x,label", &rows)), ("b.csv", &text("user,x,label", &other))]);
    let users = |file: &str| {
        let one_hot = "features = [\"user\"]\ntypes = { user = \"category\" }\nsplit = { group = \"user\", validation = 0.2, test = 0.2 }";
        let prepared = case.prepare(&experiment(one_hot).replace("t.csv", file));
        let summary = prepared.summary.tables[0].splits.clone();
        (summary, prepared.plan)
    };
    let (first, second) = (users("a.csv"), users("b.csv"));
    // A user has 8 rows in the first table and 6 in the second. All of a user's rows are in one
    // part.
    for split in SplitName::ALL {
        assert_eq!((first.0[&split] % 8, second.0[&split] % 6), (0, 0));
        assert_eq!(first.0[&split] / 8, second.0[&split] / 6, "{split} has the same users in both");
        assert!(first.0[&split] > 0);
    }
}

#[test]
fn files_by_part_are_taken_as_they_are() {
    let case = Case::new(&[("train.csv", &table(40)), ("test.csv", &table(10))]);
    let text = experiment("").replace("\"t.csv\"", "{ train = \"train.csv\", test = \"test.csv\" }");
    let plan = case.prepare(&text).plan;
    assert_eq!(
        [36, 4, 10],
        SplitName::ALL.map(|split| plan.rows(0, split)),
        "validation is cut from the training files"
    );
}

#[test]
fn file_order_and_shuffled_order_draw_the_same_rows_in_an_epoch() {
    for order in ["file", "shuffled"] {
        let (case, prepared) = prepared(&format!("order = \"{order}\""), 100);
        let store = case.store(&prepared);
        let train = prepared.plan.rows(0, SplitName::Train);
        let partitions: Vec<Vec<f32>> = (0..4)
            .map(|v| {
                let n = prepared.plan.partition_rows(0, v);
                let rows = (0..).flat_map(|step| store.batch(0, step, v).expect("drawn").dense);
                rows.take(n as usize).collect()
            })
            .collect();
        let all: BTreeSet<u32> = partitions.iter().flatten().map(|id| id.to_bits()).collect();
        assert_eq!(all.len() as u64, train, "every row once");
        let bounds = |rows: &[f32]| {
            (rows.iter().copied().fold(f32::MAX, f32::min), rows.iter().copied().fold(f32::MIN, f32::max))
        };
        let contiguous = partitions.windows(2).all(|pair| bounds(&pair[0]).1 < bounds(&pair[1]).0);
        assert_eq!(contiguous, order == "file");
    }
}

/// The table of [`table`], without the labels of a quarter of the rows.
fn table_with_gaps(rows: usize) -> String {
    let whole = table(rows);
    let lines = whole.lines().enumerate().map(|(i, line)| match line.rsplit_once(',') {
        Some((rest, _)) if i % 4 == 1 => format!("{rest},\n"),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

#[test]
fn counted_labels_are_those_of_the_batches() {
    let case = Case::new(&[("t.csv", &table_with_gaps(90))]);
    let prepared = case.prepare(&format!("{}[train]\nsteps = 1\nbatch_size = 13\n", experiment("")));
    let store = case.store(&prepared);
    let mut missing = 0;
    for step in 0..40 {
        let batches = (0..4).map(|v| store.batch(0, step, v).expect("drawn"));
        let labelled: usize = batches.map(|b| b.targets[0].labelled.iter().filter(|l| **l).count()).sum();
        assert_eq!(prepared.labels.labelled(0, step), labelled as u64);
        missing += 13 - labelled;
    }
    assert!(missing > 0);
}

#[test]
fn counted_labels_are_those_of_the_evaluated_chunks() {
    let case = Case::new(&[("t.csv", &table_with_gaps(9000))]);
    let prepared = case.prepare(&format!("{}[train]\nsteps = 1\nbatch_size = 13\n", experiment("")));
    let store = case.store(&prepared);
    let mut missing = 0;
    for split in [SplitName::Validation, SplitName::Test] {
        let chunks = prepared.plan.chunks(0, split);
        let of_chunk = |chunk| {
            let rows = store.chunk(0, split, chunk).expect("read");
            rows.targets[0].labelled.iter().filter(|labelled| **labelled).count() as u64
        };
        let counts: Vec<u64> = (0..chunks).map(of_chunk).collect();
        for (chunk, count) in (0..).zip(&counts) {
            assert_eq!(prepared.labels.labelled_in_chunks(0, split, chunk..chunk + 1), *count);
            missing += prepared.plan.chunk_rows(0, split, chunk) - count;
        }
        assert_eq!(prepared.labels.labelled_in_chunks(0, split, 0..chunks), counts.iter().sum::<u64>());
    }
    assert!(prepared.plan.chunks(0, SplitName::Test) > 1 && missing > 0);
}

#[test]
fn a_plan_survives_json_to_the_last_bit() {
    let (case, prepared) = prepared("", 77);
    let text = serde_json::to_string(&*prepared.plan).expect("text");
    let back: Plan = serde_json::from_str(&text).expect("a plan");
    assert_eq!(back, *prepared.plan);
    let batch = |plan: Plan| {
        Store::open(std::sync::Arc::new(plan), case.path()).expect("opened").batch(0, 5, 1).expect("drawn")
    };
    assert_eq!(batch(back), batch(Plan::clone(&prepared.plan)));
}

/// The part of each row.
fn parts(prepared: &Prepared) -> Vec<SplitName> {
    prepared.plan.parts(0).collect()
}

/// The parts as the file of a split has them, in another order of lines.
fn exported(parts: &[SplitName]) -> String {
    let lines: Vec<String> =
        (1..).zip(parts).map(|(row, part)| format!("t,{row},{part}\nother,{row},train\n")).collect();
    let shuffled = (0..lines.len()).map(|place| lines[place * 7 % lines.len()].as_str());
    format!("dataset,row,part\n{}", shuffled.collect::<String>())
}

#[test]
fn a_split_from_a_file_is_the_one_that_was_written_whatever_the_order_of_its_lines() {
    let (case, shares) = prepared("split = { stratify = \"label\", seed = 3 }", 100);
    let expected = parts(&shares);
    case.write("split.csv", exported(&expected).as_bytes());
    let of = |path: &str| {
        case.prepare(&experiment(&format!("features = [\"id\"]\nsplit = {{ file = \"{path}\", seed = 3 }}")))
    };
    assert_eq!(parts(&of("split.csv")), expected);
    case.write("split.tsv", exported(&expected).replace(',', "\t").as_bytes());
    assert_eq!(parts(&of("split.tsv")), expected);
    assert_eq!(of("split.csv").plan.feeds()[0].partitions, shares.plan.feeds()[0].partitions);
    let rows: String =
        (1..).zip(&expected).map(|(row, part)| format!("{{\"part\": \"{part}\", \"row\": {row}}}\n")).collect();
    case.write("split.ndjson", rows.as_bytes());
    assert_eq!(parts(&of("split.ndjson")), expected);
}

#[test]
fn a_split_file_that_does_not_name_each_row_once_is_refused() {
    let (case, shares) = prepared("", 40);
    let whole = exported(&parts(&shares));
    let last = whole.lines().rfind(|line| line.starts_with("t,")).expect("a line").to_owned();
    let cases = [
        (whole.replace(&format!("{last}\n"), ""), "lacks 1 of the 40 rows of dataset `t`"),
        (format!("{whole}{last}\n"), "of dataset `t` is named twice"),
        (format!("{whole}t,41,test\n"), "dataset `t` has rows 1 to 40, not 41"),
        (format!("{whole}t,0,test\n"), "rows are counted from 1"),
        (whole.replace("t,5,", "t,5.5,"), "dataset `t` has rows 1 to 40, not 5.5"),
        (whole.replace(",test", ",holdout"), "`holdout` is not `train`, `validation` or `test`"),
        (whole.replace("\nt,", "\nv,"), "names no row of dataset `t`"),
        (whole.replace("part", "fold"), "has no column `part`"),
    ];
    for (text, expected) in cases {
        case.write("split.csv", text.as_bytes());
        let message = case.refused(&experiment("split = { file = \"split.csv\" }"));
        assert!(message.contains(expected) && message.contains("split.csv"), "{expected} is not in {message}");
    }
    let missing = case.refused(&experiment("split = { file = \"no.csv\" }"));
    assert!(missing.contains("experiment.toml:4") && missing.contains("no.csv"), "{missing}");
}

#[test]
fn each_row_tests_in_one_fold_and_validation_is_cut_from_the_others() {
    let case = Case::new(&[("t.csv", &table(103))]);
    for way in ["", ", stratify = \"label\"", ", group = \"colour\""] {
        let folds = if way.contains("group") { 3 } else { 5 };
        let mut tested = vec![0; 103];
        for fold in 0..folds {
            let split = format!("split = {{ folds = {folds}, fold = {fold}, validation = 0.2{way} }}");
            let prepared = case.prepare(&experiment(&format!("features = [\"id\"]\n{split}")));
            let parts = parts(&prepared);
            parts.iter().zip(&mut tested).for_each(|(part, times)| *times += usize::from(*part == SplitName::Test));
            let of = |name| parts.iter().filter(|part| **part == name).count();
            if !way.contains("group") {
                assert_eq!(of(SplitName::Validation), 21, "{way}");
                assert!((20..=21).contains(&of(SplitName::Test)), "{way}");
            }
            for (_, counts) in prepared.summary.tasks[0].classes.iter().filter(|_| way.contains("stratify")) {
                assert!((6..=7).contains(&counts[&SplitName::Test]), "{counts:?}");
            }
        }
        assert!(tested.iter().all(|times| *times == 1), "{way}");
    }
}

#[test]
fn groups_that_are_fewer_than_the_folds_are_refused() {
    let case = Case::new(&[("t.csv", &table(60))]);
    let message = case.refused(&experiment("split = { folds = 4, fold = 3, group = \"colour\", validation = 0.0 }"));
    assert!(message.contains("fewer groups than 4 folds") && message.contains("experiment.toml:4"), "{message}");
}

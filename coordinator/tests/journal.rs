//! The journal has whole lines, exact numbers, and each result once.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use coordinator::journal::{
    Appended, CertificateRecord, Journal, JournalError, Number, Observation, Outcome, Reason, Record, SCHEMA, Status,
    Tail, WeightingRecord, flatten, read,
};
use proptest::prelude::*;

fn metrics(step: u64, task: Option<&str>, values: &[(&str, f64)]) -> Record {
    let metrics = values.iter().map(|(name, value)| (name.to_string(), Number(*value))).collect();
    Record::result(
        1_795_176_191_000 + step,
        Outcome::Metrics { step, split: "train".into(), task: task.map(Into::into), metrics },
    )
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal.jsonl");
    (folder, path)
}

fn records(path: &std::path::Path) -> Vec<Record> {
    read(path).expect("opens").map(|r| r.expect("a record")).collect()
}

fn weighting(value: f64) -> WeightingRecord {
    let number = Number(value);
    WeightingRecord {
        step: 1,
        method: "cagrad".into(),
        learning_rate: number,
        tasks: vec!["a".into(), "b".into()],
        losses: vec![number, Number(f64::NAN)],
        alpha: Some(vec![number; 2]),
        alpha_by_block: Some([("trunk.0.weight".to_owned(), vec![number; 2])].into_iter().collect()),
        gramian: Some(vec![vec![number; 2]; 2]),
        cosines: None,
        products: Some(vec![number; 2]),
        direction_norm: Some(number),
        certificate: Some(CertificateRecord { kind: "duality_gap".into(), value: number }),
    }
}

/// One record of every kind.
fn one_of_each() -> Vec<Record> {
    let reason = || Reason::new("lease_expired", "no heartbeat for 5 s");
    let numbers = || [("seconds".to_string(), Number(1.25))].into_iter().collect();
    let text = || [("seed".to_string(), "42 \"\u{e9}\"\n".to_string())].into_iter().collect();
    let seen = |observation| Record::observed(7, observation);
    vec![
        seen(Observation::Started { schema: SCHEMA, version: "0.1.0".into(), epoch: 1, resumed_from: None }),
        seen(Observation::Launched { command: "trunkline".into(), user: Some("ada".into()), host: "host".into() }),
        seen(Observation::Settings { settings: text() }),
        Record::result(7, Outcome::Parameters { parameters: text() }),
        Record::result(7, Outcome::Tags { tags: text() }),
        seen(Observation::WorkerJoined { rank: 0, step: 0, name: "host/12".into() }),
        seen(Observation::WorkerRefused { name: "host/13".into(), reason: reason() }),
        metrics(1, Some("digit"), &[("loss", 0.1), ("accuracy", f64::NAN)]),
        metrics(1, None, &[("loss", f64::INFINITY), ("skill", f64::NEG_INFINITY)]),
        Record::result(7, Outcome::Weighting(weighting(0.1 + 0.2))),
        seen(Observation::Speed { step: 1, rank: Some(1), metrics: numbers() }),
        seen(Observation::WorkerLost { rank: Some(0), step: 1, reason: reason() }),
        seen(Observation::TurnedAway { peer: "::1".into(), reason: reason(), count: 2, total: 3 }),
        seen(Observation::WorkerLost { rank: None, step: 1, reason: reason() }),
        seen(Observation::CheckpointWritten { step: 1, took_ms: 3 }),
        seen(Observation::CheckpointPassedOver { path: "checkpoints/step-000001".into(), reason: reason() }),
        seen(Observation::Event {
            name: "early_stop".into(),
            step: Some(1),
            message: "no better for 5 evaluations".into(),
        }),
        seen(Observation::Warning { reason: reason() }),
        Record::result(
            8,
            Outcome::Summary { step: 1, selected: "last".into(), parameters: 10, parameters_sha256: "ab".into() },
        ),
        seen(Observation::Finished {
            status: Status::Failed,
            step: 1,
            message: Some("why".into()),
            metrics: numbers(),
        }),
    ]
}

#[test]
fn every_kind_of_record_reads_back_as_it_was_written() {
    let (_folder, path) = place();
    let written = one_of_each();
    let mut journal = Journal::create(&path).expect("creates");
    assert_eq!(journal.append_all(&written).expect("appends"), written.len());
    journal.sync().expect("syncs");
    assert_eq!(records(&path), written);
}

#[test]
fn the_documents_describe_every_kind_of_record_with_its_members() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/journal.md");
    let documents = fs::read_to_string(path).expect("is there");
    for record in one_of_each() {
        let record = serde_json::to_value(&record).expect("serialises");
        let kind = format!("| `{}` |", record["kind"].as_str().expect("text"));
        let line = documents.lines().find(|line| line.starts_with(&kind)).unwrap_or_else(|| panic!("no {kind}"));
        for member in record.as_object().expect("an object").keys() {
            let is_common = ["record", "time_ms", "kind"].contains(&member.as_str());
            assert!(is_common || line.contains(&format!("`{member}`")), "{kind}: no `{member}`");
        }
    }
}

#[test]
fn a_parameter_is_recorded_as_short_as_it_was_written() {
    #[derive(serde::Serialize)]
    struct Optimizer {
        learning_rate: f32,
        decay: f64,
    }
    let flat = flatten(&Optimizer { learning_rate: 0.1, decay: 1e-5 }).expect("serialises");
    assert_eq!((flat["learning_rate"].as_str(), flat["decay"].as_str()), ("0.1", "0.00001"));
}

#[test]
fn the_schema_on_disk_stays_as_documented() {
    let (_folder, path) = place();
    let mut journal = Journal::create(&path).expect("creates");
    journal.append(&metrics(600, Some("digit"), &[("loss", 0.125), ("auroc", f64::NAN)])).expect("appends");
    journal.append(&metrics(600, None, &[("skill", f64::NEG_INFINITY)])).expect("appends");
    let lost = Observation::WorkerLost {
        rank: Some(1),
        step: 599,
        reason: Reason::new("lease_expired", "no heartbeat for 5 s"),
    };
    journal.append(&Record::observed(9, lost)).expect("appends");
    let expected = concat!(
        r#"{"record":"result","time_ms":1795176191600,"kind":"metrics","step":600,"split":"train","task":"digit","metrics":{"loss":0.125,"auroc":"NaN"}}"#,
        "\n",
        r#"{"record":"result","time_ms":1795176191600,"kind":"metrics","step":600,"split":"train","metrics":{"skill":"-Infinity"}}"#,
        "\n",
        r#"{"record":"observed","time_ms":9,"kind":"worker_lost","rank":1,"step":599,"reason":{"code":"lease_expired","message":"no heartbeat for 5 s"}}"#,
        "\n",
    );
    assert_eq!(fs::read_to_string(&path).expect("reads"), expected);
}

#[test]
fn a_member_of_a_later_version_is_ignored() {
    let (_folder, path) = place();
    fs::write(&path, "{\"record\":\"observed\",\"time_ms\":1,\"kind\":\"checkpoint_written\",\"step\":2,\"took_ms\":3,\"new\":[1]}\n").expect("writes");
    assert_eq!(records(&path), [Record::observed(1, Observation::CheckpointWritten { step: 2, took_ms: 3 })]);
}

#[test]
fn a_journal_is_not_created_over_an_existing_one() {
    let (_folder, path) = place();
    drop(Journal::create(&path).expect("creates"));
    assert!(matches!(Journal::create(&path), Err(JournalError::Io { action: "creating", .. })));
}

#[test]
fn opening_after_a_crash_at_any_byte_leaves_whole_lines_only() {
    let (_folder, path) = place();
    let all = one_of_each();
    Journal::create(&path).expect("creates").append_all(&all).expect("appends");
    let whole = fs::read(&path).expect("reads");
    for end in 0..=whole.len() {
        fs::write(&path, &whole[..end]).expect("writes");
        let lines = whole[..end].iter().filter(|&&b| b == b'\n').count();
        assert_eq!(records(&path), all[..lines], "a reader before recovery, cut at {end}");
        let mut journal = Journal::open(&path).expect("opens");
        let good = whole[..end].iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1);
        assert_eq!(journal.cut_off() as usize, end - good);
        journal.append(&metrics(99, None, &[("loss", 1.0)])).expect("appends");
        let mut expected = all[..lines].to_vec();
        expected.push(metrics(99, None, &[("loss", 1.0)]));
        assert_eq!(records(&path), expected, "cut at {end}");
    }
}

#[test]
fn a_garbled_end_is_cut_off_and_damage_in_the_middle_is_an_error_with_its_line() {
    let (_folder, path) = place();
    let good = "{\"record\":\"observed\",\"time_ms\":1,\"kind\":\"checkpoint_written\",\"step\":2,\"took_ms\":3}\n";
    fs::write(&path, format!("{good}\0\0\0\n\0\0")).expect("writes");
    assert_eq!(Journal::open(&path).expect("opens").cut_off(), 6);
    assert_eq!(fs::read_to_string(&path).expect("reads"), good);
    fs::write(&path, format!("{good}{{\"record\":\n{good}")).expect("writes");
    let error = Journal::open(&path).expect_err("refuses");
    assert!(matches!(error, JournalError::Malformed { line: 2, .. }), "{error}");
    assert_eq!(read(&path).expect("opens").filter(Result::is_err).count(), 1);
}

#[test]
fn a_result_that_is_there_is_not_written_again() {
    let (_folder, path) = place();
    let nan = metrics(2, Some("b"), &[("auroc", f64::NAN)]);
    let mut journal = Journal::create(&path).expect("creates");
    journal.append_all(&[metrics(1, Some("a"), &[("loss", 0.1)]), nan.clone()]).expect("appends");
    drop(journal);
    let before = fs::read_to_string(&path).expect("reads");

    let mut journal = Journal::open(&path).expect("opens");
    assert_eq!(journal.append(&metrics(1, Some("a"), &[("loss", 0.1)])).expect("appends"), Appended::Known);
    assert_eq!(journal.append(&nan).expect("appends"), Appended::Known);
    assert_eq!(fs::read_to_string(&path).expect("reads"), before);

    // Only the unknown part of a record is written. Another task, metric, split or step is another
    // result.
    assert_eq!(
        journal.append(&metrics(1, Some("a"), &[("loss", 0.1), ("accuracy", 0.5)])).expect("appends"),
        Appended::Written
    );
    assert_eq!(journal.append(&metrics(1, Some("b"), &[("loss", 0.3)])).expect("appends"), Appended::Written);
    assert_eq!(journal.append(&metrics(1, None, &[("loss", 0.4)])).expect("appends"), Appended::Written);
    assert_eq!(journal.append(&metrics(3, Some("a"), &[("loss", 0.4)])).expect("appends"), Appended::Written);
    assert_eq!(records(&path)[2], metrics(1, Some("a"), &[("accuracy", 0.5)]));
}

#[test]
fn a_result_that_differs_in_the_last_bit_is_an_error_that_names_it() {
    let (_folder, path) = place();
    Journal::create(&path).expect("creates").append(&metrics(7, Some("a"), &[("loss", 0.1)])).expect("appends");
    let mut journal = Journal::open(&path).expect("opens");
    let next = f64::from_bits(0.1f64.to_bits() + 1);
    let error = journal.append(&metrics(7, Some("a"), &[("loss", next)])).expect_err("refuses");
    assert!(matches!(&error, JournalError::Differs { what, .. } if what == "train.a.loss of step 7"), "{error}");
    assert_eq!(records(&path).len(), 1);
}

#[test]
fn a_parameter_must_stay_and_a_tag_may_change() {
    let (_folder, path) = place();
    let parameters = |v: &str| {
        Record::result(
            1,
            Outcome::Parameters { parameters: [("seed".to_string(), v.to_string())].into_iter().collect() },
        )
    };
    let tags = |v: &str| {
        Record::result(1, Outcome::Tags { tags: [("version".to_string(), v.to_string())].into_iter().collect() })
    };
    Journal::create(&path).expect("creates").append_all(&[parameters("1"), tags("1")]).expect("appends");
    let mut journal = Journal::open(&path).expect("opens");
    assert_eq!(journal.append_all(&[parameters("1"), tags("1")]).expect("appends"), 0);
    assert_eq!(journal.append(&tags("2")).expect("appends"), Appended::Written);
    assert!(matches!(journal.append(&parameters("2")), Err(JournalError::Differs { .. })));
}

#[test]
fn a_tail_sees_each_record_once_and_never_half_a_line() {
    let (_folder, path) = place();
    let all = one_of_each();
    Journal::create(&path).expect("creates").append_all(&all).expect("appends");
    let whole = fs::read(&path).expect("reads");
    fs::write(&path, b"").expect("writes");
    let (mut tail, mut seen) = (Tail::new(&path, 0), Vec::new());
    for piece in whole.chunks(37) {
        fs::OpenOptions::new().append(true).open(&path).and_then(|mut f| f.write_all(piece)).expect("writes");
        // 16 bytes are less than any line, and such lines are read whole.
        loop {
            let next = tail.next(16).expect("reads");
            if next.is_empty() {
                break;
            }
            seen.extend(next);
            tail = Tail::new(&path, tail.position());
        }
    }
    assert_eq!(seen, all);
    assert_eq!(tail.position() as usize, whole.len());
    // A position after the file's end means the start.
    assert_eq!(Tail::new(&path, 1 << 40).next(1 << 20).expect("reads"), all);
}

#[test]
fn a_nested_experiment_becomes_flat_parameters() {
    let value = serde_json::json!({"seed": 42, "train": {"optimizer": {"kind": "adam", "learning_rate": 0.001}, "clip_norm": null},
        "hidden": [128, 64], "parts": [{"a": true}, {"a": false}]});
    let flat: Vec<(String, String)> = flatten(&value).expect("flattens").into_iter().collect();
    let expected = [
        ("seed", "42"),
        ("train.optimizer.kind", "adam"),
        ("train.optimizer.learning_rate", "0.001"),
        ("hidden", "[128,64]"),
        ("parts.0.a", "true"),
        ("parts.1.a", "false"),
    ];
    assert_eq!(flat, expected.map(|(k, v)| (k.to_string(), v.to_string())));
}

#[test]
fn a_weighting_that_is_there_is_known_to_the_bit() {
    let (_folder, path) = place();
    let of = |bits| Record::result(1, Outcome::Weighting(weighting(f64::from_bits(bits))));
    for bits in (1..2000u64).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 2) {
        let _ = fs::remove_file(&path);
        Journal::create(&path).expect("creates").append(&of(bits)).expect("appends");
        let mut journal = Journal::open(&path).expect("opens");
        assert_eq!(journal.append(&of(bits)).expect("is equal"), Appended::Known);
        assert!(matches!(journal.append(&of(bits ^ 1)), Err(JournalError::Differs { .. })));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn any_metrics_read_back_with_the_same_bits(
        values in proptest::collection::vec((".*", any::<u64>()), 1..6), task in proptest::option::of(".*"), step in any::<u64>()
    ) {
        let (_folder, path) = place();
        let values: Vec<(String, f64)> = values.into_iter().map(|(n, bits)| (n, f64::from_bits(bits))).collect();
        let values: Vec<(&str, f64)> = values.iter().map(|(n, v)| (n.as_str(), *v)).collect();
        let record = metrics(step % (1 << 40), task.as_deref(), &values);
        Journal::create(&path).expect("creates").append(&record).expect("appends");
        prop_assert_eq!(records(&path), [record.clone()]);
        let mut journal = Journal::open(&path).expect("opens");
        prop_assert_eq!(journal.append(&record).expect("appends"), Appended::Known);
    }
}

#[test]
fn the_hash_is_that_of_the_file_and_absent_if_somebody_else_has_written_to_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal.jsonl");
    let mut journal = Journal::create(&path).expect("creates");
    let of_file = || coordinator::digest::sha256(&std::fs::read(&path).expect("reads"));
    let record =
        || Record::observed(1, Observation::Event { name: "some".into(), step: None, message: "thing".into() });
    journal.append(&record()).expect("writes");
    assert_eq!(journal.sha256(), Some(of_file()));
    drop(journal);
    let mut journal = Journal::open(&path).expect("opens");
    journal.append(&record()).expect("writes");
    assert_eq!(journal.sha256(), Some(of_file()));
    let mut other = Journal::open(&path).expect("opens");
    other.append(&record()).expect("writes");
    journal.append(&record()).expect("writes");
    assert_eq!(journal.sha256(), None);
}

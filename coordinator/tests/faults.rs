//! Each operation of the checkpoint protocol and of the journal fails once, or is the last before
//! the process ends or the power fails.

mod faulty_disk;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use coordinator::{
    checkpoint::{
        Checkpoint, CheckpointError, Found, SavedBlock, Tensor, best, mark_best, newest_good, prune, steps, write,
    },
    disk::{Disk, LocalDisk, Operation},
    folder::{FencedDisk, RunFolder},
    journal::{Journal, JournalError, Number, Outcome, Record, read},
};
use faulty_disk::{Fault, FaultyDisk};

const FAULTS: [Fault; 4] = [Fault::Full(0), Fault::Killed, Fault::PowerLost, Fault::BytesLost];

fn checkpoint(step: u64) -> Checkpoint {
    Checkpoint {
        step,
        epoch: 1,
        best: Some(step),
        blocks: vec![SavedBlock { name: "trunk.0.bias".into(), shape: vec![4], offset: 0 }],
        parameters: vec![step as f32; 4],
        optimizer: vec![Tensor::new("exp_avg", vec![0.5f32; 4])],
        preprocessing: "{}".into(),
        ..Checkpoint::default()
    }
}

/// What a coordinator does with a checkpoint of its best parameters.
fn save(disk: &dyn Disk, run: &Path, step: u64) -> Result<(), CheckpointError> {
    write(disk, run, &checkpoint(step))?;
    mark_best(disk, run, step)?;
    prune(disk, run, 1, step, &[step]).map(drop)
}

fn newest(run: &Path) -> u64 {
    let (found, passed_over) = newest_good(run, None).expect("looks");
    assert!(passed_over.is_empty(), "half a checkpoint under its name: {passed_over:?}");
    let Found { checkpoint, best } = found.expect("one is always good");
    assert_eq!(checkpoint.parameters, [checkpoint.step as f32; 4]);
    assert_eq!(best, Some((checkpoint.step, checkpoint.parameters.clone())));
    checkpoint.step
}

#[test]
fn a_checkpoint_is_complete_or_absent_wherever_its_writing_stops() {
    let counted = FaultyDisk::sound();
    let run = tempfile::tempdir().expect("a folder");
    save(&LocalDisk, run.path(), 10).expect("saves");
    save(&counted, run.path(), 20).expect("saves");
    let operations = counted.performed();
    assert!(operations > 20, "{operations}");
    let mut newest_seen = Vec::new();
    for fault in FAULTS {
        for at in 1..=operations {
            let run = tempfile::tempdir().expect("a folder");
            save(&LocalDisk, run.path(), 10).expect("saves");
            let disk = FaultyDisk::new(at, fault);
            save(&disk, run.path(), 20).expect_err("meets the fault");
            newest_seen.push(newest(run.path()));
            if let Some(step) = best(run.path()).expect("is a step or is not there") {
                assert!(steps(run.path()).expect("lists").contains(&step), "{fault:?} at {at}: the best is gone");
            }
            // The next coordinator can work in the folder as it was left.
            save(&LocalDisk, run.path(), 30).expect("saves in spite of it");
            assert_eq!(newest(run.path()), 30);
            let left = std::fs::read_dir(run.path().join("checkpoints")).expect("lists");
            let mut left: Vec<_> =
                left.map(|e| e.expect("an entry").file_name().into_string().expect("text")).collect();
            left.sort();
            assert_eq!(left, ["best", "step-000030"], "{fault:?} at {at}");
        }
    }
    assert!(newest_seen.contains(&10) && newest_seen.contains(&20));
}

#[test]
fn data_that_a_disk_lost_after_a_false_sync_is_noticed() {
    let lying = |at| {
        let disk = FaultyDisk::new(at, Fault::BytesLost);
        disk.skip_sync();
        disk
    };
    let counted = lying(u64::MAX);
    save(&counted, tempfile::tempdir().expect("a folder").path(), 20).expect("saves");
    let mut noticed = 0;
    for at in 1..=counted.performed() {
        let run = tempfile::tempdir().expect("a folder");
        save(&LocalDisk, run.path(), 10).expect("saves");
        save(&lying(at), run.path(), 20).expect_err("meets the fault");
        let (found, passed_over) = newest_good(run.path(), None).expect("looks");
        assert!(passed_over.iter().all(|passed| passed.path.ends_with("step-000020")), "{at}: {passed_over:?}");
        noticed += passed_over.len();
        // Once the new one was taken for written, the old one was removed.
        assert!(found.is_some() || !passed_over.is_empty(), "{at}");
    }
    assert!(noticed > 0, "the disk has lost nothing: these tests see nothing");
}

/// The disk of a coordinator that is stopped before a chosen operation, until another coordinator
/// has resumed the run and written half a checkpoint.
#[derive(Debug)]
struct Overtaken {
    disk: FencedDisk,
    run: PathBuf,
    at: u64,
    performed: AtomicU64,
}

impl Disk for Overtaken {
    fn perform(&self, operation: Operation<'_>) -> io::Result<()> {
        if self.performed.fetch_add(1, Ordering::Relaxed) + 1 == self.at {
            fs::remove_file(self.run.join("lock"))?;
            RunFolder::open(&self.run).expect("opens").next_epoch(&LocalDisk).expect("takes");
            let half = self.run.join("checkpoints/.step-000020.new");
            fs::create_dir_all(&half)?;
            fs::write(half.join("model.safetensors"), "another's")?;
        }
        self.disk.perform(operation)
    }
}

#[test]
fn a_coordinator_that_is_overtaken_in_the_midst_of_a_checkpoint_touches_nothing_any_more() {
    let counted = FaultyDisk::sound();
    let plain = tempfile::tempdir().expect("a folder");
    save(&LocalDisk, plain.path(), 10).expect("saves");
    save(&counted, plain.path(), 20).expect("saves");
    for at in 1..=counted.performed() {
        let run = tempfile::tempdir().expect("a folder");
        let folder = RunFolder::create_at(run.path()).expect("creates");
        folder.write_experiment(&LocalDisk, "").expect("writes");
        drop(Journal::create(&folder.journal()).expect("creates"));
        let fence = folder.next_epoch(&LocalDisk).expect("takes");
        save(&LocalDisk, run.path(), 10).expect("saves");
        let disk = FencedDisk::new(Arc::new(LocalDisk), fence);
        let disk = Overtaken { disk, run: run.path().to_owned(), at, performed: AtomicU64::new(0) };
        let error = save(&disk, run.path(), 20).expect_err("is overtaken");
        assert!(matches!(error, CheckpointError::Fenced(_)), "{at}: {error}");
        assert_eq!(disk.performed.into_inner(), at, "it went on");
        let half = run.path().join("checkpoints/.step-000020.new/model.safetensors");
        assert_eq!(fs::read_to_string(half).expect("is there"), "another's", "{at}");
    }
}

#[test]
fn an_epoch_is_the_old_one_or_the_next_wherever_its_writing_stops() {
    for fault in FAULTS {
        for at in 1..=4 {
            let run = tempfile::tempdir().expect("a folder");
            let folder = RunFolder::create_at(run.path()).expect("creates");
            folder.next_epoch(&LocalDisk).expect("takes");
            folder.next_epoch(&FaultyDisk::new(at, fault)).expect_err("meets the fault");
            let next = folder.next_epoch(&LocalDisk).expect("takes").epoch();
            assert!(next == 2 || next == 3, "{fault:?} at {at}: {next}");
        }
    }
}

fn loss(step: u64) -> Record {
    let metrics = [("loss".to_owned(), Number(1.0 / step as f64))].into_iter().collect();
    Record::result(step, Outcome::Metrics { step, split: "train".into(), task: None, metrics })
}

fn records(path: &Path) -> Vec<Record> {
    read(path).expect("opens").map(|record| record.expect("a record")).collect()
}

#[test]
fn a_journal_that_was_stopped_anywhere_goes_on_without_a_gap_or_a_repetition() {
    let all: Vec<Record> = (1..=9).map(loss).collect();
    let run = |journal: &mut Journal, from: usize| {
        for records in all[from..].chunks(3) {
            journal.append_all(records)?;
            journal.sync()?;
        }
        Ok::<(), JournalError>(())
    };
    for fault in [Fault::Killed, Fault::PowerLost, Fault::BytesLost] {
        for at in 1..=6 {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("journal.jsonl");
            let disk = Arc::new(FaultyDisk::new(at, fault));
            let mut journal = Journal::create(&path).expect("creates").with_disk(disk);
            run(&mut journal, 0).expect_err("meets the fault");
            let mut again = Journal::open(&path).expect("opens");
            let left = records(&path);
            assert_eq!(left, all[..left.len()], "{fault:?} at {at}");
            let synced = 3 * ((at as usize - 1) / 2);
            assert!(left.len() >= synced, "{fault:?} at {at}: {} of {synced} synced records", left.len());
            run(&mut again, 0).expect("goes on");
            assert_eq!(records(&path), all, "{fault:?} at {at}");
        }
    }
}

#[test]
fn records_wait_for_a_full_disk_and_keep_their_order() {
    let all: Vec<Record> = (1..=9).map(loss).collect();
    for refusals in 0..12 {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal.jsonl");
        // The second append is half written. Cutting it off fails at times too.
        let disk = Arc::new(FaultyDisk::new(2, Fault::Full(refusals)));
        let mut journal = Journal::create(&path).expect("creates").with_disk(disk);
        journal.append(&all[0]).expect("appends");
        assert!(matches!(journal.append(&all[1]), Err(JournalError::Io { action: "writing", .. })));
        assert!(journal.is_behind());
        journal.append_all(&all[2..5]).expect("waits");
        let whole = records(&path);
        assert_eq!(whole, all[..1], "a reader sees no record that is half there");
        let mut tries = 0;
        while journal.flush().is_err() {
            tries += 1;
            assert!(tries < 20);
        }
        assert!(!journal.is_behind());
        journal.append_all(&all[5..]).expect("appends");
        assert_eq!(records(&path), all, "{refusals} refusals");
        let bytes = std::fs::read(&path).expect("reads");
        assert_eq!(journal.length() as usize, bytes.len());
    }
}

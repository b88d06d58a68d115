//! Checkpoints are complete or absent, checked on reading, and open in other programs.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use coordinator::checkpoint::{
    Checkpoint, CheckpointError, Keeper, SCHEMA, SavedBlock, Tensor, best, load, mark_best, newest_good,
    parameters_sha256, path_of, prune, steps, write,
};
use coordinator::disk::LocalDisk;
use sha2::{Digest, Sha256};

fn checkpoint(step: u64) -> Checkpoint {
    let block = |name: &str, shape: &[usize], offset| SavedBlock { name: name.into(), shape: shape.to_vec(), offset };
    Checkpoint {
        step,
        epoch: 3,
        best: None,
        journal_bytes: 10 * step,
        journal_sha256: String::new(),
        blocks: vec![
            block("trunk.0.weight", &[2, 3], 0),
            block("trunk.0.bias", &[2], 6),
            block("head.digit.0.bias", &[1], 8),
        ],
        parameters: (0..9).map(|i| (i as f32 - 4.0) * 0.1 + step as f32).collect(),
        optimizer: vec![
            Tensor::new("second", vec![0.5f32; 9]),
            Tensor::new("first", vec![-0.0f32; 9]),
            Tensor::new("step", vec![step as f64]),
        ],
        weighting: vec![Tensor::new("losses", vec![0.1f64, f64::NAN, 1e-300])],
        preprocessing: "{\"feeds\":[]}".into(),
        states: [("patience".to_string(), "2".to_string()), ("best".to_string(), format!("{}", 0.1f64 + 0.2))]
            .into_iter()
            .collect(),
    }
}

fn bits(tensors: &[Tensor]) -> String {
    format!("{tensors:?}")
}

fn flip_a_bit(path: &Path) {
    let mut bytes = fs::read(path).expect("reads");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(path, bytes).expect("writes");
}

#[test]
fn a_checkpoint_loads_with_the_same_bits_and_order() {
    let run = tempfile::tempdir().expect("a folder");
    let written = checkpoint(600);
    let path = write(&LocalDisk, run.path(), &written).expect("writes");
    assert_eq!(path, run.path().join("checkpoints/step-000600"));
    let mut names: Vec<_> = fs::read_dir(&path)
        .expect("reads")
        .map(|e| e.expect("an entry").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    assert_eq!(
        names,
        ["manifest.json", "model.safetensors", "optimizer.safetensors", "preprocessing.json", "weighting.safetensors"]
    );

    let back = load(&path).expect("loads");
    assert_eq!(
        back.parameters.iter().map(|v| v.to_bits()).collect::<Vec<_>>(),
        written.parameters.iter().map(|v| v.to_bits()).collect::<Vec<_>>()
    );
    assert_eq!((bits(&back.optimizer), bits(&back.weighting)), (bits(&written.optimizer), bits(&written.weighting)));
    assert_eq!(
        (back.step, back.epoch, back.journal_bytes, &back.blocks, &back.preprocessing),
        (600, 3, 6000, &written.blocks, &written.preprocessing)
    );
    assert_eq!(back.state::<f64>("best"), Some(0.1 + 0.2));
    assert_eq!(back.state::<u32>("patience"), Some(2));
    assert_eq!(back.state::<u32>("none"), None);
}

#[test]
fn the_model_opens_as_safetensors_with_the_layouts_names() {
    let run = tempfile::tempdir().expect("a folder");
    let written = checkpoint(1);
    let file =
        fs::read(write(&LocalDisk, run.path(), &written).expect("writes").join("model.safetensors")).expect("reads");
    let tensors = safetensors::SafeTensors::deserialize(&file).expect("is safetensors");
    assert_eq!(tensors.len(), 3);
    let bias = tensors.tensor("trunk.0.bias").expect("is there");
    assert_eq!((bias.dtype(), bias.shape()), (safetensors::Dtype::F32, &[2][..]));
    let expected: Vec<u8> = written.parameters[6..8].iter().flat_map(|v| v.to_le_bytes()).collect();
    assert_eq!(bias.data(), expected);
}

#[test]
fn the_manifest_has_the_sha256_of_every_file_and_of_the_parameters() {
    let run = tempfile::tempdir().expect("a folder");
    let written = checkpoint(1);
    let path = write(&LocalDisk, run.path(), &written).expect("writes");
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(path.join("manifest.json")).expect("reads")).expect("is JSON");
    let files = manifest["files"].as_object().expect("an object");
    assert_eq!(files.len(), 4);
    let hex = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect::<String>();
    for (name, hash) in files {
        assert_eq!(hash, &hex(&fs::read(path.join(name)).expect("reads")), "{name}");
    }
    let bytes: Vec<u8> = written.parameters.iter().flat_map(|v| v.to_le_bytes()).collect();
    assert_eq!(manifest["parameters_sha256"], hex(&bytes));
    assert_eq!(parameters_sha256(&written.parameters), hex(&bytes));
    // Known answer: FIPS 180 gives this for the empty message.
    assert_eq!(parameters_sha256(&[]), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

#[test]
fn the_newest_good_checkpoint_is_taken_and_those_passed_over_are_returned() {
    let run = tempfile::tempdir().expect("a folder");
    assert!(matches!(newest_good(run.path(), None), Ok((None, passed)) if passed.is_empty()));
    for step in [100, 200, 300, 400, 1_000_000] {
        write(&LocalDisk, run.path(), &checkpoint(step)).expect("writes");
    }
    flip_a_bit(&path_of(run.path(), 1_000_000).join("optimizer.safetensors"));
    fs::remove_file(path_of(run.path(), 400).join("model.safetensors")).expect("removes");
    fs::write(path_of(run.path(), 300).join("manifest.json"), "{\"schema\":1,").expect("writes");
    let (found, passed) = newest_good(run.path(), None).expect("looks");
    assert_eq!(found.expect("one is good").checkpoint.step, 200);
    assert_eq!(
        passed.iter().map(|p| p.path.clone()).collect::<Vec<_>>(),
        [1_000_000, 400, 300].map(|s| path_of(run.path(), s))
    );
    assert!(matches!(&passed[0].reason, CheckpointError::Hash { file, .. } if file == "optimizer.safetensors"));
    assert!(matches!(passed[1].reason, CheckpointError::Io { action: "reading", .. }));
    assert!(matches!(passed[2].reason, CheckpointError::Manifest { .. }));
}

#[test]
fn damage_to_any_file_is_found() {
    let run = tempfile::tempdir().expect("a folder");
    for file in ["model.safetensors", "optimizer.safetensors", "weighting.safetensors", "preprocessing.json"] {
        let path = write(&LocalDisk, run.path(), &checkpoint(5)).expect("writes over the damaged one");
        flip_a_bit(&path.join(file));
        let error = load(&path).expect_err("is damaged");
        assert!(matches!(&error, CheckpointError::Hash { file: found, .. } if found == file), "{error}");
    }
}

#[test]
fn of_the_best_checkpoint_only_the_model_is_needed() {
    let run = tempfile::tempdir().expect("a folder");
    let best = write(&LocalDisk, run.path(), &checkpoint(100)).expect("writes");
    write(&LocalDisk, run.path(), &Checkpoint { best: Some(100), ..checkpoint(200) }).expect("writes");
    let found = || newest_good(run.path(), None).expect("looks").0.map(|found| (found.checkpoint.step, found.best));
    let whole = found();
    assert_eq!(whole, Some((200, Some((100, checkpoint(100).parameters)))));
    flip_a_bit(&best.join("optimizer.safetensors"));
    assert_eq!(found(), whole);
    flip_a_bit(&best.join("model.safetensors"));
    assert_eq!(found(), None);
}

#[test]
fn files_of_an_interrupted_write_are_ignored_and_removed() {
    let run = tempfile::tempdir().expect("a folder");
    write(&LocalDisk, run.path(), &checkpoint(100)).expect("writes");
    // A crash before the rename leaves the temporary folder, complete or not.
    let beside = run.path().join("checkpoints/.step-000200.new");
    fs::create_dir(&beside).expect("creates");
    fs::write(beside.join("model.safetensors"), b"half").expect("writes");
    assert_eq!(steps(run.path()).expect("lists"), [100]);
    assert_eq!(newest_good(run.path(), None).expect("looks").0.expect("one is good").checkpoint.step, 100);
    write(&LocalDisk, run.path(), &checkpoint(200)).expect("writes in spite of it");
    assert!(!beside.exists());
    fs::create_dir(run.path().join("checkpoints/.step-000100.old")).expect("creates");
    prune(&LocalDisk, run.path(), 2, 200, &[]).expect("sweeps");
    assert!(!run.path().join("checkpoints/.step-000100.old").exists());
    assert_eq!(steps(run.path()).expect("lists"), [100, 200]);
}

#[test]
fn the_newest_the_best_and_the_protected_stay() {
    let run = tempfile::tempdir().expect("a folder");
    assert_eq!(best(run.path()).expect("looks"), None);
    for step in 1..=7 {
        write(&LocalDisk, run.path(), &checkpoint(step)).expect("writes");
    }
    mark_best(&LocalDisk, run.path(), 2).expect("marks");
    assert_eq!(best(run.path()).expect("looks"), Some(2));
    assert_eq!(prune(&LocalDisk, run.path(), 2, 7, &[4]).expect("removes"), [1, 3, 5]);
    assert_eq!(steps(run.path()).expect("lists"), [2, 4, 6, 7]);
    mark_best(&LocalDisk, run.path(), 7).expect("marks");
    assert_eq!(prune(&LocalDisk, run.path(), 0, 7, &[]).expect("removes"), [2, 4, 6], "one always stays");
    assert_eq!(load(&path_of(run.path(), 7)).expect("loads").step, 7);
}

#[test]
fn a_best_checkpoint_stays_as_long_as_one_that_names_it() {
    let run = tempfile::tempdir().expect("a folder");
    for (step, best) in [(10, 10), (20, 10), (30, 30), (40, 30)] {
        write(&LocalDisk, run.path(), &Checkpoint { best: Some(best), ..checkpoint(step) }).expect("writes");
        mark_best(&LocalDisk, run.path(), best).expect("marks");
    }
    assert!(prune(&LocalDisk, run.path(), 3, 40, &[]).expect("removes").is_empty(), "20 needs 10");
    let (found, _) = newest_good(run.path(), None).expect("looks");
    assert_eq!(found.expect("one is good").best, Some((30, checkpoint(30).parameters)));

    flip_a_bit(&path_of(run.path(), 30).join("model.safetensors"));
    let (found, passed) = newest_good(run.path(), None).expect("looks");
    let found = found.expect("one is good");
    assert_eq!((found.checkpoint.step, passed.len()), (20, 2), "40 has lost its best");
    assert_eq!(found.best, Some((10, checkpoint(10).parameters)));

    assert_eq!(prune(&LocalDisk, run.path(), 2, 40, &[]).expect("removes"), [10, 20]);
}

#[test]
fn checkpoints_after_the_one_just_written_do_not_count_among_those_that_stay() {
    for (n, stay) in [(1, &[100, 400][..]), (2, &[100, 300, 400]), (3, &[100, 200, 300, 400])] {
        let run = tempfile::tempdir().expect("a folder");
        for step in [100, 200, 300, 500, 600, 700] {
            write(&LocalDisk, run.path(), &Checkpoint { best: Some(100), ..checkpoint(step) }).expect("writes");
        }
        for step in [500, 600, 700] {
            flip_a_bit(&path_of(run.path(), step).join("model.safetensors"));
        }
        let (found, passed) = newest_good(run.path(), None).expect("looks");
        assert_eq!((found.expect("one is good").checkpoint.step, passed.len()), (300, 3));
        // The run goes on from 300 and comes to 400.
        write(&LocalDisk, run.path(), &Checkpoint { best: Some(100), ..checkpoint(400) }).expect("writes");
        let removed = prune(&LocalDisk, run.path(), n, 400, &[100]).expect("removes");
        assert!(removed.ends_with(&[500, 600, 700]), "{removed:?}");
        assert_eq!(steps(run.path()).expect("lists"), stay);
    }
}

#[test]
fn a_checkpoint_with_a_lost_journal_is_passed_over() {
    let run = tempfile::tempdir().expect("a folder");
    for step in [100, 200] {
        write(&LocalDisk, run.path(), &checkpoint(step)).expect("writes");
    }
    let journal = run.path().join("journal.jsonl");
    std::fs::write(&journal, [b'x'; 2000]).expect("writes");
    assert_eq!(newest_good(run.path(), Some(&journal)).expect("looks").0.expect("one is good").checkpoint.step, 200);
    std::fs::write(&journal, [b'x'; 1999]).expect("writes");
    let (found, passed) = newest_good(run.path(), Some(&journal)).expect("looks");
    assert_eq!(found.expect("one is good").checkpoint.step, 100);
    assert!(matches!(passed[0].reason, CheckpointError::Journal { needed: 2000, found: 1999, .. }));
}

#[test]
fn a_checkpoint_with_a_changed_journal_is_passed_over_for_one_from_before_the_change() {
    let run = tempfile::tempdir().expect("a folder");
    let journal = run.path().join("journal.jsonl");
    let mut text = vec![b'x'; 2000];
    for step in [100, 200] {
        let journal_sha256 = coordinator::digest::sha256(&text[..10 * step as usize]);
        write(&LocalDisk, run.path(), &Checkpoint { journal_sha256, ..checkpoint(step) }).expect("writes");
    }
    for (changed, expected) in [(1999, Some(100)), (1000, Some(100)), (999, None)] {
        text[changed] = b'y';
        std::fs::write(&journal, &text).expect("writes");
        text[changed] = b'x';
        let (found, passed) = newest_good(run.path(), Some(&journal)).expect("looks");
        assert_eq!(found.map(|found| found.checkpoint.step), expected, "{changed}");
        assert!(matches!(passed[0].reason, CheckpointError::JournalChanged { bytes: 2000, .. }), "{changed}");
    }
}

#[test]
fn blocks_that_do_not_cover_the_parameters_are_refused() {
    let run = tempfile::tempdir().expect("a folder");
    let mut wrong = checkpoint(1);
    wrong.parameters.push(0.0);
    let error = write(&LocalDisk, run.path(), &wrong).expect_err("refuses");
    assert!(error.to_string().contains("the blocks cover 9 of 10 parameters"), "{error}");
    assert!(steps(run.path()).expect("lists").is_empty());
}

#[test]
fn a_checkpoint_of_another_schema_is_refused_with_its_number() {
    let run = tempfile::tempdir().expect("a folder");
    let path = write(&LocalDisk, run.path(), &checkpoint(1)).expect("writes");
    for found in [0, SCHEMA - 1, SCHEMA + 1] {
        fs::write(path.join("manifest.json"), format!("{{\"schema\":{found}}}")).expect("writes");
        assert!(matches!(load(&path), Err(CheckpointError::Schema { found: named, .. }) if named == found));
    }
    fs::write(path.join("manifest.json"), format!("{{\"schema\":{SCHEMA}}}")).expect("writes");
    let error = load(&path).expect_err("has no hash");
    assert!(error.to_string().contains("it has no `manifest_sha256`"), "{error}");
}

#[test]
fn checkpoints_of_another_version_are_not_removed() {
    let run = tempfile::tempdir().expect("a folder");
    for step in [100, 200, 300, 400, 500] {
        write(&LocalDisk, run.path(), &checkpoint(step)).expect("writes");
    }
    for step in [100, 500] {
        let manifest = path_of(run.path(), step).join("manifest.json");
        fs::write(manifest, format!("{{\"schema\":{}}}", SCHEMA + 1)).expect("writes");
    }
    flip_a_bit(&path_of(run.path(), 400).join("manifest.json"));
    assert_eq!(prune(&LocalDisk, run.path(), 1, 300, &[]).expect("removes"), [200, 400]);
    assert_eq!(steps(run.path()).expect("lists"), [100, 300, 500]);
}

#[test]
fn every_bit_of_the_manifest_counts() {
    // Seven thousand manifests are written, in memory if there is room.
    let run = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
    let small = Checkpoint { blocks: Vec::new(), parameters: Vec::new(), weighting: Vec::new(), ..checkpoint(5) };
    let path = write(&LocalDisk, run.path(), &small).expect("writes");
    let manifest = path.join("manifest.json");
    let sound = fs::read(&manifest).expect("reads");
    for bit in 0..8 * sound.len() {
        let mut damaged = sound.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        fs::write(&manifest, &damaged).expect("writes");
        let refused = load(&path).expect_err("one bit is another");
        // No other build has written this, so the error must say that it is damaged.
        assert!(!matches!(refused, CheckpointError::Schema { .. }), "bit {bit}: {refused}");
    }
    eprintln!("{} bits", 8 * sound.len());
    fs::write(&manifest, sound).expect("writes");
    assert_eq!(load(&path).expect("is whole again"), small);
}

#[test]
fn step_and_parameters_are_checked_even_if_the_manifests_hash_matches() {
    let run = tempfile::tempdir().expect("a folder");
    let path = write(&LocalDisk, run.path(), &checkpoint(5)).expect("writes");
    fs::rename(&path, path_of(run.path(), 6)).expect("renames");
    let error = load(&path_of(run.path(), 6)).expect_err("is of another step");
    assert!(error.to_string().contains("it is of step 5, which is not this folder's"), "{error}");

    let path = write(&LocalDisk, run.path(), &checkpoint(7)).expect("writes");
    let manifest = fs::read_to_string(path.join("manifest.json")).expect("reads");
    let changed = manifest
        .replace(&parameters_sha256(&checkpoint(7).parameters), &parameters_sha256(&checkpoint(8).parameters))
        .replace(&manifest[manifest.find("sha256\": \"").expect("is there") + 10..][..64], "");
    let own_hash = coordinator::digest::sha256(changed.as_bytes());
    let changed = changed.replacen("sha256\": \"", &format!("sha256\": \"{own_hash}"), 1);
    fs::write(path.join("manifest.json"), changed).expect("writes");
    let error = load(&path).expect_err("has other parameters");
    assert!(matches!(&error, CheckpointError::Tensors { file, .. } if file == "model.safetensors"), "{error}");
    assert!(error.to_string().contains("its 9 parameters have the sha256"), "{error}");
}

#[test]
fn a_checkpoint_that_turns_out_to_be_the_best_names_itself() {
    let run = tempfile::tempdir().expect("a folder");
    let mut keeper = Keeper::new(Arc::new(LocalDisk), run.path(), 1, None, []);
    let mut save = |step: u64, best: Option<u64>| {
        let kept = keeper.save(Box::new(Checkpoint { best, ..checkpoint(step) }), best == Some(step), Ok(()), |_| {});
        kept.written.expect("is written")
    };
    assert!(save(100, Some(100)));
    // Written while it is evaluated, and then found to be better than the best one that it names.
    assert!(save(200, Some(100)) && !save(200, Some(100)) && save(200, Some(200)));
    assert_eq!(load(&path_of(run.path(), 200)).expect("is whole").best, Some(200));
}

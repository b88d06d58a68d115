//! A checkpoint with any bytes in one of its files is refused with a reason, or loads whole.
//!
//! The first byte chooses the file, and the others are its contents. In a second try, the file's
//! hash is written into the manifest, and the manifest's own hash is updated. So the code behind
//! the hash checks is reached too.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use coordinator::{
    checkpoint::{self, Checkpoint, SavedBlock, Tensor},
    digest,
    disk::LocalDisk,
};

const FILES: [&str; 5] =
    ["manifest.json", "model.safetensors", "optimizer.safetensors", "weighting.safetensors", "preprocessing.json"];

/// The text before a manifest's own hash.
const OWN_HASH_KEY: &str = "\"manifest_sha256\": \"";

/// A good checkpoint, and the contents of its files.
struct Sound {
    folder: PathBuf,
    files: Vec<Vec<u8>>,
    _keep: tempfile::TempDir,
}

fn sound() -> &'static Sound {
    static SOUND: OnceLock<Sound> = OnceLock::new();
    SOUND.get_or_init(|| {
        let keep = tempfile::tempdir().expect("a folder");
        let block = |name: &str, shape: &[usize], offset| SavedBlock { name: name.into(), shape: shape.into(), offset };
        let checkpoint = Checkpoint {
            step: 7,
            blocks: vec![block("trunk.weight", &[2, 3], 0), block("trunk.bias", &[2], 6)],
            parameters: (0..8).map(|i| i as f32).collect(),
            optimizer: vec![Tensor::new("m", vec![0.5_f32; 8]), Tensor::new("v", vec![0.25_f32; 8])],
            weighting: vec![Tensor::new("alpha", vec![1.0_f64, 2.0])],
            preprocessing: "{}".into(),
            ..Checkpoint::default()
        };
        let folder = checkpoint::write(&LocalDisk, keep.path(), &checkpoint).expect("written");
        let files = FILES.iter().map(|name| fs::read(folder.join(name)).expect("written")).collect();
        Sound { folder, files, _keep: keep }
    })
}

/// A good file of the checkpoint, as input of [`check`].
#[allow(dead_code)] // fuzzing goes on from the corpus alone
pub fn seed(file: u8) -> Vec<u8> {
    [&[file], &sound().files[usize::from(file)][..]].concat()
}

/// The manifest with its own hash put right. `None` if it has no place for one.
fn with_own_hash(manifest: &str) -> Option<String> {
    let (before, rest) = manifest.split_once(OWN_HASH_KEY)?;
    let (_, after) = rest.split_once('"')?;
    let hash = digest::sha256(format!("{before}{OWN_HASH_KEY}\"{after}").as_bytes());
    Some(format!("{before}{OWN_HASH_KEY}{hash}\"{after}"))
}

/// Holds for any bytes.
pub fn check(bytes: &[u8]) {
    let Some((&file, damaged)) = bytes.split_first() else { return };
    let Sound { folder, files, .. } = sound();
    let file = usize::from(file) % FILES.len();
    for (name, bytes) in FILES.iter().zip(files) {
        fs::write(folder.join(name), bytes).expect("written");
    }
    fs::write(folder.join(FILES[file]), damaged).expect("written");
    let is_whole = is_refused_or_covered(folder);
    assert_eq!(is_whole, damaged == files[file], "a changed file is refused");
    let manifest = if file == 0 { damaged } else { &files[0] };
    let Ok(manifest) = std::str::from_utf8(manifest) else { return };
    let manifest = manifest.replace(&digest::sha256(&files[file]), &digest::sha256(damaged));
    if let Some(manifest) = with_own_hash(&manifest) {
        fs::write(folder.join(FILES[0]), manifest).expect("written");
        is_refused_or_covered(folder);
    }
}

/// Whether the checkpoint loads.
fn is_refused_or_covered(folder: &Path) -> bool {
    match checkpoint::load(folder) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(found) => {
            let covered: usize = found.blocks.iter().map(SavedBlock::elements).sum();
            assert_eq!(covered, found.parameters.len(), "the blocks cover the parameters");
            return true;
        }
    }
    false
}

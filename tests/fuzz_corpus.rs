//! Checks the properties that fuzzing checks, on its corpus and on seeded changes of it. `fuzz/`
//! has the targets of cargo-fuzz for the same properties.

use std::{fs, path::Path};

use aggregation::random::{Purpose, Stream};

#[path = "../fuzz/properties/checkpoint.rs"]
mod checkpoint;
#[path = "../fuzz/properties/experiment.rs"]
mod experiment_file;
#[path = "../fuzz/properties/wire.rs"]
mod wire;

/// Checks every seed of a corpus and the `sound` ones, and this number of changes of each. A change
/// replaces, removes or repeats bytes, or exchanges the ends of two seeds.
fn corpus(name: &str, sound: Vec<Vec<u8>>, changes: u64, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut files: Vec<_> =
        fs::read_dir(&folder).expect("a corpus").map(|entry| entry.expect("a seed").path()).collect();
    files.sort();
    let mut seeds: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).expect("a seed")).collect();
    assert!(seeds.len() >= 4, "{}", folder.display());
    seeds.extend(sound);
    for (number, seed) in seeds.iter().enumerate() {
        check(seed);
        for change in 0..changes {
            let draws = Stream::new(change, Purpose::Shuffle, &[number as u64]);
            check(&changed(seed, &seeds, &draws));
        }
    }
}

fn changed(seed: &[u8], seeds: &[Vec<u8>], draws: &Stream) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    let below = |i: u64, bound: usize| draws.u32_at(i) as usize % bound.max(1);
    for edit in 0..1 + below(0, 4) as u64 {
        let at = below(16 * edit + 1, bytes.len());
        match below(16 * edit + 2, 6) {
            _ if bytes.is_empty() => bytes.push(below(16 * edit + 3, 256) as u8),
            0 => bytes[at] ^= 1 << below(16 * edit + 3, 8),
            1 => bytes[at] = *b"\0\x01\x7f\x80\xff09{}[]\"'=.,-e#".get(below(16 * edit + 3, 20)).unwrap_or(&b' '),
            2 => drop(bytes.drain(at..bytes.len().min(at + 1 + below(16 * edit + 3, 8)))),
            3 => {
                let piece = bytes[at..bytes.len().min(at + 1 + below(16 * edit + 3, 32))].to_vec();
                bytes.splice(at..at, piece);
            }
            4 => bytes.truncate(at),
            _ => {
                let other = &seeds[below(16 * edit + 3, seeds.len())];
                bytes.truncate(at);
                bytes.extend_from_slice(&other[below(16 * edit + 4, other.len()).min(other.len())..]);
            }
        }
    }
    bytes
}

#[test]
fn the_wire_decoder_refuses_or_understands() {
    corpus("wire", Vec::new(), 2000, wire::check);
}

#[test]
fn the_experiment_file_is_refused_in_words_or_says_one_thing() {
    corpus("experiment", Vec::new(), 300, experiment_file::check);
}

#[test]
fn a_damaged_checkpoint_is_passed_over_or_whole() {
    corpus("checkpoint", (0..5).map(checkpoint::seed).collect(), 300, checkpoint::check);
}

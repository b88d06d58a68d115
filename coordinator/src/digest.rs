//! SHA-256 digests of bytes and files, written as text.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

/// The SHA-256 of some bytes, as 64 lowercase hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    to_hex(Sha256::new_with_prefix(bytes))
}

/// The SHA-256 that a hasher has reached, as 64 lowercase hexadecimal digits.
pub(crate) fn to_hex(hasher: Sha256) -> String {
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A hasher over the first `bytes` bytes of a file. More bytes can be added to it.
///
/// A shorter file is hashed whole.
///
/// # Errors
/// The file can't be opened or read.
pub(crate) fn hash_start_of(path: &Path, bytes: u64) -> io::Result<Sha256> {
    let mut hasher = Sha256::new();
    let mut file = BufReader::with_capacity(1 << 16, File::open(path)?.take(bytes));
    loop {
        let part = file.fill_buf()?;
        if part.is_empty() {
            return Ok(hasher);
        }
        hasher.update(part);
        let length = part.len();
        file.consume(length);
    }
}

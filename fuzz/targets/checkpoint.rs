//! The checkpoint reader.

#![no_main]

#[path = "../properties/checkpoint.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property::check(bytes));

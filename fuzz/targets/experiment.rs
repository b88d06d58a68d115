//! The experiment file.

#![no_main]

#[path = "../properties/experiment.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property::check(bytes));

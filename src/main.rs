//! The program `trunkline`: the library's command line with the built-in parts.

use std::process::ExitCode;

fn main() -> ExitCode {
    trunkline::run(trunkline::Catalogue::built_in())
}

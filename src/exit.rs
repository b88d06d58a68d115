//! How a command ends: 0 done, 1 failed at run time, 2 bad usage or bad experiment, 130
//! interrupted.

use std::{fmt::Display, io::Write, path::Path, process::ExitCode};

/// The code of a command that was stopped.
pub const INTERRUPTED: u8 = 130;

/// Why a command was not carried out.
#[derive(Debug)]
pub enum Failure {
    /// The user can correct it: exit code 2.
    Refused(String),
    /// An error at run time: exit code 1.
    Failed(String),
    /// The command was stopped: exit code 130.
    Interrupted,
}

impl Failure {
    /// An error that the user can correct.
    pub fn refused(error: impl Display) -> Failure {
        Failure::Refused(error.to_string())
    }

    /// An error at run time.
    pub fn failed(error: impl Display) -> Failure {
        Failure::Failed(error.to_string())
    }
}

/// Prints the error, if there is one, and gives the exit code.
pub fn code(outcome: Result<(), Failure>) -> ExitCode {
    let (message, code) = match outcome {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Refused(message)) => (message, 2),
        Err(Failure::Failed(message)) => (message, 1),
        Err(Failure::Interrupted) => ("interrupted".to_owned(), INTERRUPTED),
    };
    // If this fails, nobody is there to read it.
    let _ = writeln!(std::io::stderr(), "error: {message}");
    ExitCode::from(code)
}

/// Writes a result to standard output. A reader that has gone away is not an error.
pub fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Writes a result to a file.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, bytes).map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))
}

/// Writes a message for people to standard error.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

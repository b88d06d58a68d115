//! How a command ends: 0 done, 1 failed at run time, 2 bad usage or bad experiment, 130
//! interrupted.

use std::{fmt::Display, path::Path, process::ExitCode};

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::screen::say;

/// The code of a command that was stopped.
pub const INTERRUPTED: u8 = 130;
/// The code of a command that the user can correct.
const REFUSED: u8 = 2;

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
        Err(Failure::Refused(message)) => (message, REFUSED),
        Err(Failure::Failed(message)) => (message, 1),
        Err(Failure::Interrupted) => ("interrupted".to_owned(), INTERRUPTED),
    };
    say(&format!("error: {message}"));
    ExitCode::from(code)
}

/// Prints what is wrong with the program's arguments, or the help that they ask for, and gives the
/// exit code.
pub fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // Help and version are this program's own text.
        error.exit();
    }
    let message = error.render().to_string();
    say(&match hint(error) {
        Some(hint) => format!("{}\n{hint}", message.trim_end()),
        None => message.trim_end().to_owned(),
    });
    ExitCode::from(REFUSED)
}

/// What to write instead of an option that is not there but is a key of the experiment.
fn hint(error: &clap::Error) -> Option<String> {
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else { return None };
    let word = option.trim_start_matches('-').replace('-', "_");
    let setting = experiment::setting(&word)?;
    Some(format!(
        "An experiment says this with a key: `{setting}` in the file, or `--set {setting}` with this command."
    ))
}

/// Writes a result to a file.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, bytes).map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))
}

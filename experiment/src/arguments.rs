//! A weighting from arguments instead of a file: `--method cagrad --param c=0.4`.

use aggregation::Weighting;
use settings::Invalid;
use settings::{Table as Parameters, Value};
use toml::Table;

use crate::decode::decode;
use crate::fault::Fault;
use crate::overrides;

/// Why a weighting can't be made from arguments or parameters: what is wrong, and below it what may
/// help, one line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.message, .help))]
pub struct ArgumentError {
    /// What is wrong, in one line.
    pub message: String,
    /// What may help.
    pub help: Vec<String>,
}

impl ArgumentError {
    /// The error in one line, for output that has one line for each error.
    pub fn in_one_line(&self) -> String {
        self.help.iter().fold(self.message.clone(), |text, help| format!("{text}; {help}"))
    }
}

fn lines(message: &str, help: &[String]) -> String {
    help.iter().fold(message.to_owned(), |text, line| format!("{text}\n = {line}"))
}

/// The parameters that `KEY=VALUE` arguments give. A value is TOML, or otherwise a text. Later
/// arguments replace earlier ones.
///
/// # Errors
/// [`ArgumentError`] for an argument of another form.
pub fn parameters(arguments: &[String]) -> Result<Parameters, ArgumentError> {
    let mut table = Table::new();
    for argument in arguments {
        overrides::set(&mut table, argument).map_err(|message| refused(format!("--param {argument}: {message}")))?;
    }
    decode(&table).map_err(|fault| refused(fault.message()))
}

/// The weighting with this method and these parameters, read as `[weighting]` of a file is.
///
/// # Errors
/// [`ArgumentError`] with the nearest known name if a name is unknown, and with the allowed values
/// if a value is refused.
pub fn weighting(method: &str, mut parameters: Parameters) -> Result<Weighting, ArgumentError> {
    parameters.insert("method".to_owned(), Value::Text(method.to_owned()));
    Weighting::try_from(parameters).map_err(explain)
}

/// The error for a refused parameter, with the nearest known name.
pub fn explain(invalid: Invalid) -> ArgumentError {
    let message = invalid.to_string();
    let help = Fault::from(invalid).help;
    ArgumentError { help: help.into_iter().filter(|line| !message.contains(line.as_str())).collect(), message }
}

fn refused(message: String) -> ArgumentError {
    ArgumentError { message, help: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(method: &str, arguments: &[&str]) -> Result<Weighting, String> {
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let parameters = parameters(&arguments).map_err(|error| error.to_string())?;
        weighting(method, parameters).map_err(|error| error.to_string())
    }

    #[test]
    fn arguments_are_read_as_the_file_is() {
        let weighting = read("cagrad", &["c=0.4", "rescale=linear"]).expect("is right");
        let file: Weighting = toml::from_str("method = \"cagrad\"\nc = 0.4\nrescale = \"linear\"").expect("is right");
        assert_eq!(weighting, file);
        assert!(read("constant", &["weights=[1, 2]"]).is_ok());
        assert!(read("constant", &["weights.a=1", "weights.b=2"]).is_ok());
    }

    #[test]
    fn what_is_wrong_is_said_with_what_is_allowed() {
        let check = |method: &str, arguments: &[&str], expected: &[&str]| {
            let refused = read(method, arguments).expect_err("is wrong");
            expected.iter().for_each(|part| assert!(refused.contains(part), "`{part}` is not in: {refused}"));
        };
        check("cagard", &[], &["`cagard`", "did you mean `cagrad`?"]);
        check("cagrad", &["c=-1"], &["`c`: -1", "at least 0"]);
        check("cagrad", &["d=1"], &["`d`", "no such key", "c, rescale"]);
        check("cagrad", &["rescale=lineer"], &["`lineer`", "did you mean `linear`?"]);
        check("cagrad", &["c"], &["--param c: there is no `=`"]);
        check("cagrad", &["c=[1"], &["--param c=[1: the value is not TOML"]);
    }
}

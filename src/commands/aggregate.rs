//! `trunkline aggregate`: gradient matrices in, combined gradients out, one JSON object a line.
//!
//! Memory holds one line at a time. A line that can't be answered gets an error in its place, and
//! the others are still answered.

mod line;

use std::{
    fs::File,
    io::{self, BufRead, BufReader, LineWriter, Read, Write},
    path::PathBuf,
};

use aggregation::{
    Weighting,
    aggregate::{AggregateError, Answer},
    weighting::Certificate,
};
use experiment::arguments;
use serde::Serialize;
use serde_json::Value;
use settings::Table;

use crate::exit::Failure;
use line::Line;

/// Arguments of `trunkline aggregate`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Weighting of the lines that give no `method`.
    #[arg(long)]
    method: Option<String>,
    /// A parameter of that weighting, such as `c=0.4`. A line's own `params` override it.
    #[arg(long = "param", value_name = "KEY=VALUE")]
    parameters: Vec<String>,
    /// Seed of the random choices, for lines that give no `seed`.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// File to read the lines from [default: standard input].
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
}

/// The longest line that is read, bytes: enough for a matrix of 10 tasks and 4 million parameters.
const LINE_BYTES_MAX: usize = 1 << 30;

/// What holds for all lines.
struct Defaults {
    method: Option<String>,
    parameters: Table,
    seed: u64,
}

/// Answers every line.
///
/// # Errors
/// The arguments are refused, the input can't be read, or a line has no answer.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let parameters = arguments::parameters(&arguments.parameters).map_err(Failure::refused)?;
    if let Some(method) = &arguments.method {
        arguments::weighting(method, parameters.clone()).map_err(Failure::refused)?;
    }
    let defaults = Defaults { method: arguments.method.clone(), parameters, seed: arguments.seed };
    let output = LineWriter::new(io::stdout().lock());
    let (lines, failed) = match &arguments.input {
        None => answer_all(&defaults, io::stdin().lock(), output, "standard input"),
        Some(path) => {
            let name = path.display().to_string();
            if path.is_dir() {
                return Err(Failure::Refused(format!("{name}: this is a folder; give a file")));
            }
            let file =
                File::open(path).map_err(|error| Failure::Refused(format!("{name}: can't be opened: {error}")))?;
            answer_all(&defaults, BufReader::with_capacity(1 << 20, file), output, &name)
        }
    }?;
    match failed {
        0 => Ok(()),
        _ => Err(Failure::Failed(format!(
            "{failed} of {lines} lines failed; the output has each one's error in its place"
        ))),
    }
}

/// Gives the number of lines, and of those that have no answer.
fn answer_all(
    defaults: &Defaults,
    mut input: impl BufRead,
    mut output: impl Write,
    name: &str,
) -> Result<(u64, u64), Failure> {
    let (mut number, mut lines, mut failed) = (0u64, 0, 0);
    let mut text = Vec::new();
    loop {
        let length = read_line(&mut input, &mut text, LINE_BYTES_MAX);
        let length = length.map_err(|error| Failure::Failed(format!("{name}: reading: {error}")))?;
        number += 1;
        let reply = match length {
            Length::End => break,
            Length::Fits if text.iter().all(u8::is_ascii_whitespace) => continue,
            Length::Fits => answer(defaults, number, &text),
            Length::TooLong => {
                let error = format!("the line is longer than {} MiB", LINE_BYTES_MAX >> 20);
                Reply::Error { id: Value::Null, line: number, error }
            }
        };
        lines += 1;
        failed += u64::from(matches!(reply, Reply::Error { .. }));
        let mut out = serde_json::to_vec(&reply).map_err(Failure::failed)?;
        out.push(b'\n');
        match output.write_all(&out) {
            // The reader has gone: nobody misses the rest.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
            written => written.map_err(|error| Failure::Failed(format!("writing the answers: {error}")))?,
        }
    }
    Ok((lines, failed))
}

#[derive(Debug, PartialEq)]
enum Length {
    Fits,
    TooLong,
    End,
}

/// Reads the next line into `text`. A line of more than `bytes_max` bytes is skipped.
fn read_line(input: &mut impl BufRead, text: &mut Vec<u8>, bytes_max: usize) -> io::Result<Length> {
    text.clear();
    let read = input.by_ref().take(bytes_max as u64 + 1).read_until(b'\n', text)?;
    if read == 0 {
        return Ok(Length::End);
    }
    if text.last() == Some(&b'\n') || read <= bytes_max {
        return Ok(Length::Fits);
    }
    text.clear();
    input.skip_until(b'\n')?;
    Ok(Length::TooLong)
}

/// What is written for a line.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Reply {
    Answer { id: Value, weights: Option<Vec<f64>>, aggregate: Vec<f64>, certificate: Option<Certificate> },
    Error { id: Value, line: u64, error: String },
}

fn answer(defaults: &Defaults, number: u64, text: &[u8]) -> Reply {
    let (id, outcome) = match Line::parse(text) {
        Ok(line) => {
            let outcome = aggregate(defaults, &line);
            (line.id, outcome)
        }
        Err(refused) => (refused.id, Err(refused.message)),
    };
    match outcome {
        Ok(Answer { weights, aggregate, certificate }) => Reply::Answer { id, weights, aggregate, certificate },
        Err(error) => Reply::Error { id, line: number, error },
    }
}

fn aggregate(defaults: &Defaults, line: &Line) -> Result<Answer, String> {
    let method = line.method.as_ref().or(defaults.method.as_ref());
    let method = method.ok_or("`method`: give it in the line, or give --method")?;
    // The parameters that go with --method are not those of another weighting.
    let shared = defaults.method.as_ref().is_none_or(|default| default == method);
    let mut parameters = if shared { defaults.parameters.clone() } else { Table::new() };
    parameters.extend(line.params.clone());
    let weighting: Weighting = arguments::weighting(method, parameters).map_err(|error| error.in_one_line())?;
    aggregation::aggregate::aggregate(&weighting, &line.request(defaults.seed)).map_err(|error| match error {
        AggregateError::Invalid(invalid) => arguments::explain(invalid).in_one_line(),
        other => other.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(method: Option<&str>, input: &str) -> Vec<Value> {
        let defaults = Defaults { method: method.map(str::to_owned), parameters: Table::new(), seed: 0 };
        let mut output = Vec::new();
        answer_all(&defaults, input.as_bytes(), &mut output, "test").expect("reads and writes");
        let lines = output.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).expect("JSON")).collect()
    }

    #[test]
    fn each_line_is_answered_in_its_place() {
        let input = "{\"id\": 7, \"matrix\": [[1, 2], [3, 4]]}\n\n{\"id\": \"x\", \"matrix\": [[1], [2, 3]]}\nnot JSON\n{\"matrix\": [[0.5]]}";
        let answers = answers(Some("sum"), input);
        assert_eq!(answers[0].to_string(), r#"{"id":7,"weights":[1.0,1.0],"aggregate":[4.0,6.0],"certificate":null}"#);
        assert_eq!((&answers[1]["id"], &answers[1]["line"]), (&Value::from("x"), &Value::from(3)));
        assert_eq!(answers[2]["line"], 4);
        assert_eq!(answers[3]["aggregate"], serde_json::json!([0.5]));
        assert_eq!(answers.len(), 4);
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped() {
        let mut input: &[u8] = b"12345678\n1234\n123456789";
        let mut text = Vec::new();
        let mut next = |input: &mut &[u8]| {
            let length = read_line(input, &mut text, 5).expect("reads");
            (length, text.clone())
        };
        assert_eq!(next(&mut input), (Length::TooLong, Vec::new()));
        assert_eq!(next(&mut input), (Length::Fits, b"1234\n".to_vec()));
        assert_eq!(next(&mut input), (Length::TooLong, Vec::new()));
        assert_eq!(next(&mut input), (Length::End, Vec::new()));
    }
}

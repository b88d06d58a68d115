//! What a weighting makes of one matrix of gradients: the arithmetic of `trunkline aggregate`.
//!
//! A matrix stands alone. The method's state is its initial one, and its randomness is that of step
//! 0. Numbers are f64. Only methods that need the Jacobian itself compute in f32, as a training
//! step does.

use crate::gramian::Gramian;
use crate::optimizer::Optimizer;
use crate::random::{Purpose, Stream};
use crate::weighting::{Certificate, Combination, Failure, Method, Moment, Need, Outcome, Statistics, Weighting};
use settings::Invalid;

/// A matrix, and what else a method may need.
#[derive(Debug, Clone, Copy, Default)]
pub struct Request<'a> {
    /// The gradients, [tasks, parameters], at least one of each.
    pub matrix: &'a [Vec<f64>],
    /// The tasks' losses, for methods that need them.
    pub losses: Option<&'a [f64]>,
    /// Two independent estimates of the matrix, for methods that need the inner products between
    /// them.
    pub halves: Option<&'a [Vec<Vec<f64>>; 2]>,
    /// The columns as named blocks in order, for methods that go block by block.
    pub blocks: &'a [(String, usize)],
    /// The seed of random choices.
    pub seed: u64,
}

/// What the weighting makes of a matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// One alpha for each task, if the aggregate is sum over t of alpha_t g_t.
    pub weights: Option<Vec<f64>>,
    /// The direction, `[parameters]`.
    pub aggregate: Vec<f64>,
    /// The solver's certificate, if the method has a solver.
    pub certificate: Option<Certificate>,
}

/// Why rows of numbers are not a matrix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatrixError {
    /// No rows, or rows without values.
    #[error("give at least one row and one column")]
    Empty,
    /// Rows have unequal lengths.
    #[error("row {row} has {len} values and the first row {expected}")]
    Ragged {
        /// The row, from 0.
        row: usize,
        /// Its length.
        len: usize,
        /// The first row's length.
        expected: usize,
    },
    /// A value is infinite or not a number.
    #[error("row {row}, column {column} is not finite")]
    NotFinite {
        /// The row, from 0.
        row: usize,
        /// The column, from 0.
        column: usize,
    },
}

/// Why a matrix has no answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AggregateError {
    /// The numbers are not a matrix.
    #[error("`{name}`: {source}")]
    Matrix {
        /// The matrix, in words.
        name: &'static str,
        /// Why.
        source: MatrixError,
    },
    /// A half is not as large as the matrix.
    #[error(
        "`halves`: one has {tasks} rows of {parameters} values, and `matrix` has {expected_tasks} of {expected_parameters}"
    )]
    Half {
        /// Its rows.
        tasks: usize,
        /// Its columns.
        parameters: usize,
        /// The matrix's rows.
        expected_tasks: usize,
        /// The matrix's columns.
        expected_parameters: usize,
    },
    /// There is not one finite loss for each task.
    #[error("`losses`: {found} finite numbers are given for {tasks} tasks")]
    Losses {
        /// How many finite losses there are.
        found: usize,
        /// How many tasks there are.
        tasks: usize,
    },
    /// The blocks are not the matrix's columns.
    #[error("`blocks`: they have {found} columns, and `matrix` has {parameters}")]
    Blocks {
        /// The blocks' columns.
        found: usize,
        /// The matrix's columns.
        parameters: usize,
    },
    /// The method needs something that was not given.
    #[error("`{member}` is missing, and {method} needs it")]
    Missing {
        /// The method.
        method: String,
        /// What is missing.
        member: &'static str,
    },
    /// f32 can't hold a value, or turns a row into 0, and the method computes in f32.
    #[error("`matrix`: row {row}, column {column} is {value:e}; {method} computes in f32, which can't hold it")]
    NotOfF32 {
        /// The method.
        method: String,
        /// The row, from 0.
        row: usize,
        /// The column, from 0.
        column: usize,
        /// The value.
        value: f64,
    },
    /// A row is not 0, and its inner product with itself is too small for f64 to hold in full.
    #[error("`matrix`: the values of row {row} are too small: {method} computes with their squares")]
    TooSmall {
        /// The method.
        method: String,
        /// The row, from 0.
        row: usize,
    },
    /// A parameter does not fit the tasks.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The method has no answer.
    #[error(transparent)]
    Failure(#[from] Failure),
    /// A result is outside of the range of f64.
    #[error("{method} computed a number that is not finite: the matrix's values are too large")]
    Overflow {
        /// The method.
        method: String,
    },
}

/// The aggregate of a matrix. Tasks are named by their number, from 0.
///
/// # Errors
/// [`AggregateError`] if the numbers are not a matrix, the method does not fit them, or it needs
/// more than is given.
pub fn aggregate(weighting: &Weighting, request: &Request<'_>) -> Result<Answer, AggregateError> {
    check(request)?;
    let matrix = request.matrix;
    let names: Vec<String> = (0..matrix.len()).map(|task| task.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let method = weighting.build(&names)?;
    let outcome = match weigh(weighting, method.as_ref(), request) {
        Err(AggregateError::Failure(Failure::Missing { need, .. })) => {
            let member = match need {
                Need::GramianCross => "halves",
                Need::GramianByBlock => "blocks",
                _ => "losses",
            };
            return Err(AggregateError::Missing { method: weighting.method().to_owned(), member });
        }
        outcome => outcome?,
    };
    let (weights, aggregate) = match outcome.combination {
        Combination::Alpha(alpha) => {
            let aggregate = combine(matrix, &alpha, 0..matrix[0].len());
            (Some(alpha), aggregate)
        }
        Combination::AlphaByBlock(by_block) => (None, combine_blocks(request, &by_block)),
        Combination::Direction(direction) => (None, direction.into_iter().map(f64::from).collect()),
    };
    if !weights.iter().flatten().chain(&aggregate).all(|value| value.is_finite()) {
        return Err(AggregateError::Overflow { method: weighting.method().to_owned() });
    }
    Ok(Answer { weights, aggregate, certificate: outcome.certificate })
}

fn weigh(weighting: &Weighting, method: &dyn Method, request: &Request<'_>) -> Result<Outcome, AggregateError> {
    let matrix = request.matrix;
    let present: Vec<usize> = (0..matrix.len()).collect();
    let needs = method.needs();
    let narrow = if needs.contains(&Need::Jacobian) { narrow(weighting, matrix)? } else { Vec::new() };
    let rows: Vec<&[f32]> = narrow.iter().map(Vec::as_slice).collect();
    let gramian = Gramian::of_f64_rows(matrix);
    if needs.iter().any(|need| need.is_gramian())
        && let Some(row) = too_small(matrix, &gramian)
    {
        return Err(AggregateError::TooSmall { method: weighting.method().to_owned(), row });
    }
    let cross = request.halves.map(|[left, right]| cross(left, right));
    let has_blocks = needs.contains(&Need::GramianByBlock) && !request.blocks.is_empty();
    let by_block = has_blocks.then(|| gramians_by_block(request));
    let statistics = Statistics {
        losses: request.losses,
        gramian: Some(&gramian),
        gramian_by_block: by_block.as_deref(),
        gramian_cross: cross.as_ref(),
        jacobian: needs.contains(&Need::Jacobian).then_some(&rows),
    };
    let optimizer = Optimizer::default();
    let moment = Moment {
        step: 0,
        epoch: 0,
        tasks: matrix.len(),
        present: &present,
        optimizer: &optimizer,
        learning_rate: optimizer.learning_rate(),
        stream: Stream::new(request.seed, Purpose::Weighting, &[0]),
    };
    let mut state = method.state(matrix.len(), matrix[0].len());
    Ok(method.weigh(&moment, &statistics, &mut state)?)
}

fn check(request: &Request<'_>) -> Result<(), AggregateError> {
    let (tasks, parameters) = check_matrix("matrix", request.matrix)?;
    for half in request.halves.into_iter().flatten() {
        let (half_tasks, half_parameters) = check_matrix("halves", half)?;
        if (half_tasks, half_parameters) != (tasks, parameters) {
            return Err(AggregateError::Half {
                tasks: half_tasks,
                parameters: half_parameters,
                expected_tasks: tasks,
                expected_parameters: parameters,
            });
        }
    }
    if let Some(losses) = request.losses {
        let found = losses.iter().filter(|loss| loss.is_finite()).count();
        if found != tasks || losses.len() != tasks {
            return Err(AggregateError::Losses { found, tasks });
        }
    }
    let found = request.blocks.iter().fold(0usize, |sum, (_, columns)| sum.saturating_add(*columns));
    if !request.blocks.is_empty() && found != parameters {
        return Err(AggregateError::Blocks { found, parameters });
    }
    Ok(())
}

/// The rows and columns of a finite matrix.
fn check_matrix(name: &'static str, rows: &[Vec<f64>]) -> Result<(usize, usize), AggregateError> {
    let refuse = |source| Err(AggregateError::Matrix { name, source });
    let expected = rows.first().map_or(0, Vec::len);
    for (row, values) in rows.iter().enumerate() {
        if values.len() != expected {
            return refuse(MatrixError::Ragged { row, len: values.len(), expected });
        }
        if let Some(column) = values.iter().position(|value| !value.is_finite()) {
            return refuse(MatrixError::NotFinite { row, column });
        }
    }
    if expected == 0 { refuse(MatrixError::Empty) } else { Ok((rows.len(), expected)) }
}

/// The first row that is not 0 and whose squared norm f64 can't hold in full.
fn too_small(matrix: &[Vec<f64>], gramian: &Gramian) -> Option<usize> {
    const LEAST: f64 = f64::MIN_POSITIVE / f64::EPSILON;
    let vanishes = |row: &usize| gramian.at(*row, *row) < LEAST && matrix[*row].iter().any(|value| *value != 0.0);
    (0..matrix.len()).find(vanishes)
}

/// The matrix in f32, as training has it.
fn narrow(weighting: &Weighting, matrix: &[Vec<f64>]) -> Result<Vec<Vec<f32>>, AggregateError> {
    let narrow = |(row, values): (usize, &Vec<f64>)| {
        let narrow: Vec<f32> = values.iter().map(|value| *value as f32).collect();
        let vanishes = narrow.iter().all(|value| *value == 0.0);
        let is_lost = |column: &usize| !narrow[*column].is_finite() || (vanishes && values[*column] != 0.0);
        match (0..values.len()).find(is_lost) {
            None => Ok(narrow),
            Some(column) => {
                let (method, value) = (weighting.method().to_owned(), values[column]);
                Err(AggregateError::NotOfF32 { method, row, column, value })
            }
        }
    };
    matrix.iter().enumerate().map(narrow).collect()
}

fn cross(left: &[Vec<f64>], right: &[Vec<f64>]) -> Gramian {
    let product = |a: &Vec<f64>, b: &Vec<f64>| a.iter().zip(b).map(|(a, b)| a * b).sum();
    Gramian::new(left.len(), left.iter().flat_map(|a| right.iter().map(move |b| product(a, b))).collect())
}

/// The blocks as ranges of columns.
fn blocks<'a>(request: &'a Request<'_>) -> Vec<(&'a str, std::ops::Range<usize>)> {
    let mut start = 0;
    let range = |(name, columns): &'a (String, usize)| {
        let range = start..start + columns;
        start = range.end;
        (name.as_str(), range)
    };
    request.blocks.iter().map(range).collect()
}

fn gramians_by_block<'a>(request: &'a Request<'_>) -> Vec<(&'a str, Gramian)> {
    let gramian = |range: std::ops::Range<usize>| {
        let rows: Vec<&[f64]> = request.matrix.iter().map(|row| &row[range.clone()]).collect();
        Gramian::of_f64_rows(&rows)
    };
    blocks(request).into_iter().map(|(name, range)| (name, gramian(range))).collect()
}

/// Some columns of the sum over t of alpha_t row_t, added in the rows' order.
fn combine(matrix: &[Vec<f64>], alpha: &[f64], columns: std::ops::Range<usize>) -> Vec<f64> {
    let entry = |column: usize| matrix.iter().zip(alpha).map(|(row, alpha)| alpha * row[column]).sum();
    columns.map(entry).collect()
}

fn combine_blocks(request: &Request<'_>, by_block: &[Vec<f64>]) -> Vec<f64> {
    let blocks = blocks(request).into_iter().zip(by_block);
    blocks.flat_map(|((_, range), alpha)| combine(request.matrix, alpha, range)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weighting(text: &str) -> Weighting {
        toml::from_str(text).expect("is right")
    }

    fn rows(rows: &[&[f64]]) -> Vec<Vec<f64>> {
        rows.iter().map(|row| row.to_vec()).collect()
    }

    fn refuse(text: &str, request: &Request<'_>) -> String {
        aggregate(&weighting(text), request).expect_err(text).to_string()
    }

    #[test]
    fn opposed_gradients_meet_in_the_shortest_vector_of_their_hull() {
        let matrix = rows(&[&[2.0, 0.0], &[0.0, 1.0]]);
        let request = Request { matrix: &matrix, ..Request::default() };
        let answer = aggregate(&weighting("method = \"mgda\""), &request).expect("has an answer");
        for (found, expected) in answer.aggregate.iter().zip([0.4, 0.8]) {
            assert!((found - expected).abs() < 1e-12, "{answer:?}");
        }
        assert!(matches!(answer.certificate, Some(Certificate::DualityGap(gap)) if gap < 1e-12), "{answer:?}");
    }

    #[test]
    fn numbers_of_f64_keep_their_bits() {
        let matrix = rows(&[&[0.1 + 0.2, -1e300, 1e-310]]);
        let request = Request { matrix: &matrix, ..Request::default() };
        let answer = aggregate(&weighting("method = \"sum\""), &request).expect("has an answer");
        assert_eq!(answer.aggregate, matrix[0]);
    }

    #[test]
    fn rows_that_are_not_a_matrix_are_refused_with_the_place() {
        let check = |matrix: &[Vec<f64>], expected: &str| {
            let refused = refuse("method = \"sum\"", &Request { matrix, ..Request::default() });
            assert!(refused.contains(expected), "{refused}");
        };
        check(&[], "at least one row");
        check(&rows(&[&[], &[]]), "at least one row and one column");
        check(&rows(&[&[1.0, 2.0], &[1.0]]), "row 1 has 1 values and the first row 2");
        check(&rows(&[&[1.0], &[f64::NAN]]), "row 1, column 0 is not finite");
    }

    #[test]
    fn a_missing_member_that_a_method_needs_is_named() {
        let matrix = rows(&[&[1.0, 0.0], &[0.0, 1.0]]);
        let request = Request { matrix: &matrix, ..Request::default() };
        assert_eq!(refuse("method = \"modo\"", &request), "`halves` is missing, and modo needs it");
        assert_eq!(refuse("method = \"geometric\"", &request), "`losses` is missing, and geometric needs it");
        let losses = [1.0, 4.0];
        let with_losses = Request { losses: Some(&losses), ..request };
        let answer = aggregate(&weighting("method = \"geometric\""), &with_losses).expect("has an answer");
        // The gradient of sqrt(l1 l2) is sqrt(l1 l2) / 2 (g1 / l1 + g2 / l2).
        assert_eq!(answer.weights, Some(vec![1.0, 0.25]));
        let short = Request { losses: Some(&losses[..1]), ..request };
        assert_eq!(refuse("method = \"geometric\"", &short), "`losses`: 1 finite numbers are given for 2 tasks");
    }

    #[test]
    fn halves_make_the_cross_products() {
        let matrix = rows(&[&[1.0, 0.0], &[0.0, 1.0]]);
        let halves = [rows(&[&[2.0, 0.0], &[0.0, 1.0]]), rows(&[&[0.0, 0.0], &[0.0, 1.0]])];
        let request = Request { matrix: &matrix, halves: Some(&halves), ..Request::default() };
        let answer = aggregate(&weighting("method = \"modo\"\ngamma = 0.5\nrho = 0"), &request).expect("has an answer");
        // (1/2, 1/2) - (0, 1/4), moved back to the simplex.
        assert_eq!(answer.weights, Some(vec![0.625, 0.375]));
        let narrow = [rows(&[&[2.0], &[0.0]]), rows(&[&[0.0], &[1.0]])];
        let refused = refuse("method = \"modo\"", &Request { halves: Some(&narrow), ..request });
        assert!(refused.contains("2 rows of 1 values, and `matrix` has 2 of 2"), "{refused}");
    }

    #[test]
    fn a_value_that_f32_can_not_hold_is_refused_if_f32_is_needed() {
        let matrix = rows(&[&[1.0, 1e39], &[1.0, 2.0]]);
        let request = Request { matrix: &matrix, ..Request::default() };
        let refused = refuse("method = \"graddrop\"", &request);
        assert!(refused.contains("row 0, column 1 is 1e39"), "{refused}");
        assert!(aggregate(&weighting("method = \"mgda\""), &request).is_ok());
        let matrix = rows(&[&[1.0, 2.0], &[0.0, 1e-50]]);
        let refused = refuse("method = \"graddrop\"", &Request { matrix: &matrix, ..Request::default() });
        assert!(refused.contains("row 1, column 1 is 1e-50"), "{refused}");
    }

    #[test]
    fn values_whose_squares_vanish_are_refused_if_squares_are_needed() {
        let scaled = |scale: f64| rows(&[&[scale, 2.0 * scale], &[-2.0 * scale, -scale], &[0.0, 0.0]]);
        let refused = refuse("method = \"mgda\"", &Request { matrix: &scaled(1e-170), ..Request::default() });
        assert_eq!(refused, "`matrix`: the values of row 0 are too small: mgda computes with their squares");
        let tiny = scaled(1e-140);
        let request = Request { matrix: &tiny, ..Request::default() };
        assert!(aggregate(&weighting("method = \"mgda\""), &request).is_ok());
        assert!(aggregate(&weighting("method = \"sum\""), &Request { matrix: &scaled(1e-170), ..request }).is_ok());
    }

    #[test]
    fn blocks_are_combined_each_with_its_own_weights() {
        let matrix = rows(&[&[1.0, 0.0, 3.0], &[-1.0, 1.0, 3.0]]);
        let names = [("a.weight".to_owned(), 2), ("b.weight".to_owned(), 1)];
        let request = Request { matrix: &matrix, blocks: &names, ..Request::default() };
        let by_layer = weighting("method = \"gradvac\"\ngranularity = \"layer\"");
        let answer = aggregate(&by_layer, &request).expect("has an answer");
        assert_eq!(answer.weights, None);
        assert_eq!(answer.aggregate.len(), 3);
        let apart: Vec<f64> = [0..2, 2..3]
            .into_iter()
            .flat_map(|range| {
                let part: Vec<Vec<f64>> = matrix.iter().map(|row| row[range.clone()].to_vec()).collect();
                combine(&part, &[1.0, 1.0], 0..range.len())
            })
            .collect();
        assert_ne!(answer.aggregate[..2], apart[..2], "the first block has a conflict");
        let without = Request { blocks: &[], ..request };
        let refused = refuse("method = \"gradvac\"\ngranularity = \"layer\"", &without);
        assert_eq!(refused, "`blocks` is missing, and gradvac needs it");
        let short = Request { blocks: &names[..1], ..request };
        assert_eq!(refuse("method = \"sum\"", &short), "`blocks`: they have 2 columns, and `matrix` has 3");
    }
}

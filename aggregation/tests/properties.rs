//! Properties of weightings on any gradients. Each is checked on 1,000 random matrices of 1 to 8
//! tasks and 1 to 24 parameters. Rows are independent, conflicting, badly scaled, dependent, equal
//! or vanishing, at scales of 0 and 1e-10 to 1e15.

mod support;

use aggregation::random::{Permutation, Purpose, Stream};
use aggregation::solver::linear;
use aggregation::weighting::{Certificate, Statistics};
use aggregation::{Gramian, Weighting};
use support::Trial;

const MATRICES: u64 = 1000;

/// The precision of a direction from G in f64 if rows are dependent: the root of f64's rounding.
const ROUNDING: f64 = 3e-8;

/// Every method with values for the parameters that have no default, and with further values for
/// parameters that change what is computed.
const ALL: &[&str] = &[
    "sum",
    "mean",
    "constant weights",
    "random",
    "uncertainty",
    "dwa",
    "geometric",
    "imtl_l",
    "stch warmup_epochs=0",
    "stch warmup_epochs=2",
    "famo",
    "gradnorm",
    "mgda",
    "mgda normalize=\"l2\"",
    "mgda normalize=\"loss\"",
    "mgda normalize=\"loss+\"",
    "mgda smoothing=0.9",
    "pcgrad",
    "gradvac",
    "gradvac granularity=\"layer\"",
    "gradvac granularity=\"parameter\" smoothing=0.5",
    "imtl_g",
    "cagrad",
    "cagrad c=0.0",
    "cagrad c=2.0 rescale=\"linear\"",
    "nash_mtl",
    "nash_mtl max_norm=0.0 every=2",
    "aligned_mtl",
    "aligned_mtl scale=\"median\"",
    "aligned_mtl scale=\"rmse\"",
    "fairgrad",
    "fairgrad alpha=2.0",
    "fairgrad alpha=0.1",
    "fairgrad alpha=10.0",
    "upgrad",
    "upgrad reg_eps=0.0",
    "dualproj",
    "dualproj reg_eps=0.0",
    "config",
    "krum byzantine=0",
    "krum byzantine=1 selected=2",
    "sdmgrad",
    "modo",
    "graddrop",
    "graddrop leak=0.5",
    "trimmed_mean trim=0",
    "trimmed_mean trim=1",
    "moco",
    "db_mtl",
    "excess_mtl",
];

/// A method in a short form (`mgda smoothing=0.9`), for this many tasks.
fn trial(short: &str, tasks: usize) -> Trial {
    let (method, parameters) = short.split_once(' ').unwrap_or((short, ""));
    let parameters = match parameters {
        "weights" => format!("weights = {:?}", (0..tasks).map(|task| task as f64 / 2.0).collect::<Vec<_>>()),
        others => others.replace(' ', "\n"),
    };
    Trial::new(&format!("method = \"{method}\"\n{parameters}"), tasks)
}

/// The smallest number of tasks that a method accepts.
fn tasks_min(short: &str) -> usize {
    match short {
        "krum byzantine=0" | "trimmed_mean trim=1" => 3,
        "krum byzantine=1 selected=2" => 4,
        _ => 1,
    }
}

const SCALES: [f32; 7] = [0.0, 1e-10, 1.0, 1e3, 1e5, 1e10, 1e15];

/// Random matrix number `matrix`, of at least this many tasks, unscaled.
fn drawn(matrix: u64, tasks_min: usize) -> Vec<Vec<f32>> {
    let stream = Stream::new(7, Purpose::Synthetic, &[matrix]);
    let pick = |element: u64, below: usize| (stream.u32_at(element) as usize) % below;
    let tasks = tasks_min + pick(0, 9 - tasks_min);
    let parameters = 1 + pick(1, 24);
    let row = |task: u64| -> Vec<f32> {
        let mut row = vec![0.0; parameters];
        stream.child(task).fill_normal(0, &mut row);
        row
    };
    let mut rows: Vec<Vec<f32>> = (0..tasks as u64).map(row).collect();
    match matrix % 6 {
        1 => {
            // Conflict: every row is turned away from the one before.
            for task in 1..tasks {
                let before = rows[task - 1].clone();
                rows[task].iter_mut().zip(before).for_each(|(value, before)| *value -= 1.5 * before);
            }
        }
        2 => {
            for (task, row) in rows.iter_mut().enumerate() {
                let factor = 10f32.powi(pick(2 + task as u64, 7) as i32 - 3);
                row.iter_mut().for_each(|value| *value *= factor);
            }
        }
        3 => {
            // Dependent: the last row is a sum of two.
            let (first, second) = (rows[0].clone(), rows[tasks / 2].clone());
            rows[tasks - 1] = first.iter().zip(second).map(|(a, b)| a - 2.0 * b).collect();
        }
        4 => rows[tasks - 1] = rows[0].clone(),
        5 => rows[tasks / 2].fill(0.0),
        _ => {}
    }
    rows
}

fn scaled(mut rows: Vec<Vec<f32>>, scale: f32) -> Vec<Vec<f32>> {
    rows.iter_mut().flatten().for_each(|value| *value *= scale);
    rows
}

/// Losses of 1e-3 to 1e3. Some are 0.
fn losses(matrix: u64, tasks: usize) -> Vec<f64> {
    let stream = Stream::new(8, Purpose::Synthetic, &[matrix]);
    let loss = |task: u64| {
        let draw = f64::from(stream.uniform_at(task));
        if draw < 0.02 { 0.0 } else { 10f64.powf(6.0 * draw - 3.0) }
    };
    (0..tasks as u64).map(loss).collect()
}

fn gramian(rows: &[Vec<f32>]) -> Gramian {
    Gramian::of_rows(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// Whether the rows are independent enough for a comparison.
fn independent(gramian: &Gramian) -> bool {
    let least = linear::eigen(gramian.cosines().values(), gramian.tasks()).values[0];
    gramian.norms().iter().all(|norm| *norm > 0.0) && least > 1e-3
}

/// J^T alpha in f64.
fn combined(rows: &[Vec<f32>], alpha: &[f64]) -> Vec<f64> {
    let entry = |column: usize| rows.iter().zip(alpha).map(|(row, alpha)| f64::from(row[column]) * alpha).sum();
    (0..rows[0].len()).map(entry).collect()
}

fn norm(vector: &[f64]) -> f64 {
    vector.iter().map(|value| value * value).sum::<f64>().sqrt()
}

fn difference(a: &[f64], b: &[f64]) -> f64 {
    norm(&a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>())
}

/// The length that the rows could add up to with these weights. Rounding is measured against it.
fn size(gramian: &Gramian, alpha: &[f64]) -> f64 {
    gramian.norms().iter().zip(alpha).map(|(norm, alpha)| norm * alpha.abs()).sum()
}

/// The alpha of a method that needs the Gramian alone, and its certificate.
fn of_gramian(short: &str, gramian: &Gramian) -> (Vec<f64>, Option<Certificate>) {
    let statistics = Statistics { gramian: Some(gramian), ..Statistics::default() };
    let outcome = trial(short, gramian.tasks()).weigh(&statistics).expect(short);
    (outcome.combination.alpha().expect(short).to_vec(), outcome.certificate)
}

#[test]
fn every_method_is_among_those_tested() {
    for name in Weighting::names() {
        assert!(ALL.iter().any(|short| short.split(' ').next() == Some(name)), "`{name}` has no entry in ALL");
    }
}

#[test]
fn directions_are_finite_and_of_the_right_length() {
    for short in ALL {
        for matrix in 0..MATRICES {
            let rows = scaled(drawn(matrix, tasks_min(short)), SCALES[(matrix / 6 % 7) as usize]);
            let mut trial = trial(short, rows.len());
            // Three steps, so that learned states are used.
            for step in 0..3 {
                trial.epoch = step;
                let losses = losses(3 * matrix + step, rows.len());
                let direction = trial.direction(&rows, &losses);
                assert_eq!(direction.len(), rows[0].len(), "{short}, matrix {matrix}");
                assert!(direction.iter().all(|value| value.is_finite()), "{short}, matrix {matrix}: {direction:?}");
                trial.learn(&losses, &losses);
            }
        }
    }
}

#[test]
fn the_same_inputs_give_the_same_bits() {
    for short in ALL {
        for matrix in 0..MATRICES {
            let rows = drawn(matrix, tasks_min(short));
            let losses = losses(matrix, rows.len());
            let bits = || -> Vec<u32> {
                trial(short, rows.len()).direction(&rows, &losses).into_iter().map(f32::to_bits).collect()
            };
            assert_eq!(bits(), bits(), "{short}, matrix {matrix}");
        }
    }
}

/// A random order of the tasks.
fn order(matrix: u64, tasks: usize) -> Vec<usize> {
    let permutation = Permutation::new(tasks as u64, Stream::new(9, Purpose::Synthetic, &[matrix]));
    (0..tasks as u64).map(|place| permutation.at(place) as usize).collect()
}

#[test]
fn the_order_of_tasks_does_not_matter() {
    // Random methods are compared in distribution below. Constant weights belong to places.
    let by_chance = ["random", "pcgrad", "gradvac"];
    // The directions of these methods jump, grow without bound or are not unique if rows become
    // dependent.
    let regular = ["imtl_g", "config", "aligned_mtl", "nash_mtl", "fairgrad"];
    for short in ALL {
        let method = short.split(' ').next().expect("has a name");
        let regular = regular.contains(&method) || short.contains("normalize");
        if by_chance.contains(&method) || method == "constant" {
            continue;
        }
        let mut compared = 0;
        for matrix in (0..).take(6 * MATRICES as usize) {
            let rows = drawn(matrix, tasks_min(short));
            let gramian = gramian(&rows);
            if regular && !independent(&gramian) {
                continue;
            }
            compared += 1;
            if compared > MATRICES {
                break;
            }
            let order = order(matrix, rows.len());
            let losses: Vec<f64> = losses(matrix, rows.len()).iter().map(|loss| loss + 1e-3).collect();
            let direction = trial(short, rows.len()).direction(&rows, &losses);
            let permuted: Vec<Vec<f32>> = order.iter().map(|&task| rows[task].clone()).collect();
            let permuted_losses: Vec<f64> = order.iter().map(|&task| losses[task]).collect();
            let other = trial(short, rows.len()).direction(&permuted, &permuted_losses);
            let wide = |direction: &[f32]| direction.iter().map(|value| f64::from(*value)).collect::<Vec<_>>();
            let longest = gramian.norms().into_iter().fold(norm(&wide(&direction)), f64::max);
            let miss = difference(&wide(&direction), &wide(&other));
            assert!(miss <= 1e-5 * longest, "{short}, matrix {matrix}: {direction:?} and {other:?}");
        }
        assert!(compared >= MATRICES, "{short}: {compared} matrices");
    }
}

#[test]
fn the_order_of_tasks_does_not_matter_in_distribution() {
    const DRAWS: u64 = 100;
    for short in ["random", "pcgrad", "gradvac"] {
        for matrix in 0..MATRICES {
            let rows = drawn(matrix, 1);
            let order = order(matrix, rows.len());
            let permuted: Vec<Vec<f32>> = order.iter().map(|&task| rows[task].clone()).collect();
            // The mean of the product with a fixed direction, and its squared error.
            let probe = Stream::new(10, Purpose::Synthetic, &[matrix]);
            let moments = |rows: &[Vec<f32>], first_seed: u64| {
                let (mut sum, mut squares) = (0.0, 0.0);
                for seed in first_seed..first_seed + DRAWS {
                    let mut trial = trial(short, rows.len());
                    trial.seed = seed;
                    let direction = trial.direction(rows, &vec![1.0; rows.len()]);
                    let terms = direction.iter().zip(0..).map(|(value, at)| f64::from(value * probe.normal_at(at)));
                    let product: f64 = terms.sum();
                    sum += product;
                    squares += product * product;
                }
                let mean = sum / DRAWS as f64;
                (mean, (squares / DRAWS as f64 - mean * mean).max(0.0) / DRAWS as f64)
            };
            let (mean, error) = moments(&rows, 0);
            let (other, other_error) = moments(&permuted, DRAWS);
            let rounding = 1e-5 * rows.iter().flatten().map(|value| f64::from(value.abs())).sum::<f64>();
            let deviation = (error + other_error).sqrt();
            assert!((mean - other).abs() <= 6.0 * deviation + rounding, "{short}, matrix {matrix}: {mean}, {other}");
        }
    }
}

/// A thousand random matrices that fulfil a condition.
fn thousand(condition: impl Fn(&Gramian) -> bool) -> impl Iterator<Item = (u64, Vec<Vec<f32>>, Gramian)> {
    let scale = |matrix: u64| SCALES[1 + (matrix / 6 % 6) as usize];
    let all = (0..20 * MATRICES).map(move |matrix| {
        let rows = scaled(drawn(matrix, 1), scale(matrix));
        let gramian = gramian(&rows);
        (matrix, rows, gramian)
    });
    all.filter(move |(_, _, gramian)| condition(gramian)).take(MATRICES as usize)
}

#[test]
fn no_task_is_harmed_by_mgda_upgrad_and_dualproj() {
    for short in ["mgda", "upgrad reg_eps=0.0", "dualproj reg_eps=0.0"] {
        for (matrix, _, gramian) in thousand(|_| true) {
            let (alpha, _) = of_gramian(short, &gramian);
            let size = size(&gramian, &alpha);
            for (task, product) in gramian.times(&alpha).into_iter().enumerate() {
                let limit = ROUNDING * -gramian.at(task, task).sqrt() * size;
                assert!(product >= limit, "{short}, matrix {matrix}, task {task}: {product} below {limit}");
            }
        }
    }
}

#[test]
fn a_ridge_harms_tasks_by_what_it_says() {
    for short in ["upgrad", "dualproj"] {
        let mut harmed = 0;
        for (matrix, _, gramian) in thousand(|_| true) {
            let (alpha, _) = of_gramian(short, &gramian);
            let (trace, norms) =
                ((0..gramian.tasks()).map(|task| gramian.at(task, task)).sum::<f64>(), gramian.norms());
            let size = size(&gramian, &alpha);
            for (task, product) in gramian.times(&alpha).into_iter().enumerate() {
                let limit = -1.0001e-4 * trace * alpha[task];
                assert!(product >= limit, "{short}, matrix {matrix}, task {task}: {product} below {limit}");
                // No task is ever harmed by more than a cosine of -0.2.
                let limit = -0.2 * norms[task] * gramian.quadratic(&alpha).sqrt() - ROUNDING * norms[task] * size;
                assert!(product >= limit, "{short}, matrix {matrix}, task {task}: {product} below {limit}");
                harmed += u64::from(product < -ROUNDING * norms[task] * size);
            }
        }
        assert!(harmed > 0, "{short}: the bounds were never needed");
    }
}

#[test]
fn every_task_gains_by_config_nash_mtl_and_fairgrad_on_independent_gradients() {
    for short in ["config", "nash_mtl", "fairgrad", "fairgrad alpha=2.0"] {
        let mut seen = 0;
        for (matrix, _, gramian) in thousand(independent) {
            seen += 1;
            let (alpha, _) = of_gramian(short, &gramian);
            assert!(gramian.times(&alpha).into_iter().all(|product| product > 0.0), "{short}, matrix {matrix}");
        }
        assert_eq!(seen, MATRICES, "{short}");
    }
}

#[test]
fn config_and_imtl_g_treat_independent_gradients_alike() {
    for short in ["config", "imtl_g"] {
        for (matrix, _, gramian) in thousand(independent) {
            let (alpha, _) = of_gramian(short, &gramian);
            let products = gramian.times(&alpha);
            let along: Vec<f64> = products.iter().zip(gramian.norms()).map(|(product, norm)| product / norm).collect();
            let miss = along.iter().map(|value| (value - along[0]).abs()).fold(0.0, f64::max);
            assert!(miss <= 1e-9 * size(&gramian, &alpha), "{short}, matrix {matrix}: {along:?}");
        }
    }
}

#[test]
fn upgrad_is_at_least_as_long_as_the_shortest_vector_of_the_hull() {
    // The direction's inner product with the shortest vector of the hull is at least that vector's
    // squared norm. So the direction is 0 only if no direction is good for all tasks.
    let mut stationary = 0;
    for (matrix, rows, gramian) in thousand(|_| true) {
        let shortest = norm(&combined(&rows, &of_gramian("mgda", &gramian).0));
        let (alpha, _) = of_gramian("upgrad reg_eps=0.0", &gramian);
        let length = norm(&combined(&rows, &alpha));
        let rounding = 1e-7 * gramian.norms().into_iter().fold(0.0, f64::max);
        assert!(length >= shortest - rounding, "matrix {matrix}: {length} below {shortest}");
        stationary += u64::from(shortest <= rounding);
    }
    assert!((100..900).contains(&stationary), "{stationary} of the draws have no common descent direction");
}

#[test]
fn upgrad_is_linear_under_scaling() {
    for (matrix, rows, gramian) in thousand(|gramian| gramian.norms().iter().all(|norm| *norm > 0.0)) {
        let tasks = gramian.tasks();
        let stream = Stream::new(11, Purpose::Synthetic, &[matrix]);
        let factors = |first: u64| -> Vec<f64> {
            (0..tasks as u64).map(|task| 0.1 + f64::from(stream.uniform_at(first + task))).collect()
        };
        let direction = |factors: &[f64]| {
            let entry = |k: usize| factors[k / tasks] * factors[k % tasks] * gramian.values()[k];
            let scaled = Gramian::new(tasks, (0..tasks * tasks).map(entry).collect());
            let (alpha, _) = of_gramian("upgrad reg_eps=0.0", &scaled);
            let of_rows: Vec<f64> = alpha.iter().zip(factors).map(|(alpha, factor)| alpha * factor).collect();
            combined(&rows, &of_rows)
        };
        let (one, two) = (factors(0), factors(100));
        let both: Vec<f64> = one.iter().zip(&two).map(|(one, two)| 2.0 * one + 3.0 * two).collect();
        let (of_one, of_two) = (direction(&one), direction(&two));
        let expected: Vec<f64> = of_one.iter().zip(&of_two).map(|(one, two)| 2.0 * one + 3.0 * two).collect();
        let miss = difference(&direction(&both), &expected);
        let longest = gramian.norms().into_iter().fold(0.0, f64::max);
        assert!(miss <= 1e-6 * longest, "matrix {matrix}: {miss} with rows of {longest}");
    }
}

#[test]
fn cagrad_keeps_its_distance_from_the_mean() {
    for (matrix, rows, gramian) in thousand(|_| true) {
        let mean = combined(&rows, &vec![1.0 / rows.len() as f64; rows.len()]);
        let direction = combined(&rows, &of_gramian("cagrad", &gramian).0);
        let (miss, radius) = (difference(&direction, &mean), 0.5 * norm(&mean));
        let longest = gramian.norms().into_iter().fold(0.0, f64::max);
        assert!(miss <= radius + 1e-6 * longest, "matrix {matrix}: {miss} from the mean with a radius of {radius}");
    }
}

#[test]
fn solvers_end_with_certificates() {
    // A fixed point exists if the gradients are independent.
    let checked = [
        ("mgda", false),
        ("cagrad", false),
        ("upgrad", false),
        ("upgrad reg_eps=0.0", false),
        ("dualproj", false),
        ("dualproj reg_eps=0.0", false),
        ("nash_mtl", true),
        ("fairgrad", true),
        ("fairgrad alpha=2.0", true),
        ("fairgrad alpha=0.1", true),
        ("fairgrad alpha=10.0", true),
    ];
    for (short, regular) in checked {
        for (matrix, _, gramian) in thousand(|gramian| !regular || independent(gramian)) {
            let trace: f64 = (0..gramian.tasks()).map(|task| gramian.at(task, task)).sum();
            match of_gramian(short, &gramian).1.expect(short) {
                Certificate::DualityGap(gap) => assert!(gap <= 1e-10 * trace, "{short}, matrix {matrix}: gap {gap}"),
                Certificate::KktResidual(residual) => {
                    assert!(residual <= ROUNDING, "{short}, matrix {matrix}: residual {residual}");
                }
            }
        }
    }
}

#[test]
fn weights_of_the_simplex_are_on_it() {
    for short in ["random", "mgda", "sdmgrad", "modo", "excess_mtl", "famo", "krum byzantine=0", "mgda smoothing=0.9"] {
        for matrix in 0..MATRICES {
            let rows = scaled(drawn(matrix, tasks_min(short)), SCALES[(matrix / 6 % 7) as usize]);
            let mut trial = trial(short, rows.len());
            for step in 0..3 {
                let losses = losses(3 * matrix + step, rows.len());
                let alpha = trial.alpha(&rows, &losses);
                trial.learn(&losses, &losses);
                let total: f64 = alpha.iter().sum();
                let fits = (total - 1.0).abs() <= 1e-12 && alpha.iter().all(|alpha| *alpha >= 0.0);
                assert!(fits, "{short}, matrix {matrix}: {alpha:?}");
            }
        }
    }
}

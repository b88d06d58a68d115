//! The papers' tables of the toy problems, with all steps: which methods reach the Pareto set from
//! which starts.

use aggregation::Weighting;
use aggregation::toy::{Problem, Trajectory, trajectories};

/// For each start of a setting, whether the method reaches the Pareto set.
fn reached(problem: Problem, method: &str) -> Vec<bool> {
    let weighting: Weighting = toml::from_str(&format!("method = \"{method}\"")).expect("is right");
    let method = weighting.build(&["f1", "f2"]).expect("fits two tasks");
    let trajectories = trajectories(problem, method.as_ref(), problem.steps(), 0, 10).expect("has answers");
    let reached = trajectories.iter().map(|trajectory| {
        // A descent ends on the set or far from it.
        assert!(trajectory.distance < 0.01 || trajectory.distance > 1.0, "{weighting}: {trajectory:?}");
        trajectory.reaches()
    });
    reached.collect()
}

macro_rules! reaches {
    ($($name:ident: $problem:ident, $method:literal, $reached:expr;)*) => {
        $(#[test]
        fn $name() {
            assert_eq!(reached(Problem::$problem, $method), $reached);
        })*
    };
}

reaches! {
    sum_reaches_the_set_of_the_cagrad_setting_from_one_start: CaGrad, "sum", [false, true, false];
    random_reaches_the_set_of_the_cagrad_setting_from_one_start: CaGrad, "random", [false, true, false];
    mgda_reaches_the_set_of_the_cagrad_setting: CaGrad, "mgda", [true; 3];
    pcgrad_reaches_the_set_of_the_cagrad_setting: CaGrad, "pcgrad", [true; 3];
    cagrad_reaches_the_set_of_the_cagrad_setting: CaGrad, "cagrad", [true; 3];
    imtl_g_reaches_the_set_of_the_cagrad_setting: CaGrad, "imtl_g", [true; 3];
    nash_mtl_reaches_the_set_of_the_cagrad_setting: CaGrad, "nash_mtl", [true; 3];
    aligned_mtl_reaches_the_set_of_the_cagrad_setting: CaGrad, "aligned_mtl", [true; 3];
    upgrad_reaches_the_set_of_the_cagrad_setting: CaGrad, "upgrad", [true; 3];
    nash_mtl_reaches_the_set_of_the_nash_setting: Nash, "nash_mtl", [true; 5];
    imtl_g_reaches_the_set_of_the_nash_setting: Nash, "imtl_g", [true; 5];
    mgda_reaches_the_set_of_the_nash_setting: Nash, "mgda", [true; 5];
    sum_fails_in_the_nash_setting_from_the_far_corner: Nash, "sum", [true, true, false, true, true];
}

#[test]
fn a_descent_is_the_same_each_time_and_another_with_another_seed() {
    let weighting: Weighting = toml::from_str("method = \"random\"").expect("is right");
    let method = weighting.build(&["f1", "f2"]).expect("fits two tasks");
    let run = |seed| trajectories(Problem::CaGrad, method.as_ref(), 500, seed, 50).expect("has answers");
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn every_method_descends_with_what_the_toy_problem_has() {
    // Krum needs at least three tasks.
    for name in Weighting::names().into_iter().filter(|name| *name != "krum") {
        let parameters = match name {
            "constant" => "weights = [1, 2]",
            "trimmed_mean" => "trim = 0",
            _ => "",
        };
        let weighting: Weighting = toml::from_str(&format!("method = \"{name}\"\n{parameters}")).expect(name);
        let method = weighting.build(&["f1", "f2"]).expect(name);
        for problem in Problem::ALL {
            for Trajectory { points, losses, .. } in trajectories(problem, method.as_ref(), 200, 0, 20).expect(name) {
                assert_eq!(points.len(), 21);
                assert!(points.iter().flatten().chain(&losses).all(|value| value.is_finite()), "{name}");
                assert_ne!(points[0], points[20], "{name} moves");
            }
        }
    }
}

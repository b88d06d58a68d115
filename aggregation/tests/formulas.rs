//! Every weighting on numbers that were worked out by hand.

mod support;

use aggregation::random::{Purpose, Stream};
use support::Trial;

#[track_caller]
fn close(values: &[f64], expected: &[f64]) {
    assert_eq!(values.len(), expected.len(), "{values:?}");
    let near = |(value, expected): (&f64, &f64)| (value - expected).abs() <= 2e-7 * expected.abs().max(1.0);
    assert!(values.iter().zip(expected).all(near), "{values:?} is not {expected:?}");
}

#[track_caller]
fn close_f32(values: &[f32], expected: &[f64]) {
    close(&values.iter().map(|value| f64::from(*value)).collect::<Vec<_>>(), expected);
}

/// Two gradients at an angle of 135 degrees.
const CONFLICT: [[f32; 2]; 2] = [[1.0, 0.0], [-1.0, 1.0]];

#[test]
fn random_weights_are_a_softmax_of_normals_and_new_in_each_step() {
    let mut trial = Trial::new("method = \"random\"", 3);
    let first = trial.alpha_of_losses(&[1.0; 3]);
    trial.step = 1;
    let second = trial.alpha_of_losses(&[1.0; 3]);
    assert!(first != second && first.iter().chain(&second).all(|alpha| *alpha > 0.0));
    assert!((first.iter().sum::<f64>() - 1.0).abs() < 1e-15);
    // With two of the three tasks present, the ratio of their weights is the same.
    trial.present = vec![0, 2];
    let two = trial.alpha_of_losses(&[1.0; 2]);
    close(&[two[0] / two[1]], &[second[0] / second[2]]);
}

#[test]
fn uncertainty_divides_by_learned_variances() {
    let mut trial = Trial::new("method = \"uncertainty\"", 2);
    // e^0.5 / 2.
    close(&trial.alpha_of_losses(&[2.0, 1.0]), &[0.8243606354, 0.8243606354]);
    trial.learn(&[2.0, 1.0], &[]);
    // s = -0.5 - 0.1 (1 - l e^0.5) / 2 = -0.3851278729 and -0.4675639365; alpha = e^-s / 2.
    close(&trial.alpha_of_losses(&[2.0, 1.0]), &[0.7349011287, 0.7980506247]);
}

#[test]
fn dwa_follows_the_ratio_of_the_last_two_epochs() {
    let mut trial = Trial::new("method = \"dwa\"", 2);
    for (epoch, losses) in [(0, [1.0, 4.0]), (0, [3.0, 4.0]), (1, [1.0, 4.0])] {
        trial.epoch = epoch;
        assert_eq!(trial.alpha_of_losses(&losses), [1.0, 1.0]);
        trial.learn(&losses, &[]);
    }
    trial.epoch = 2;
    // 2 softmax([1 / 2, 4 / 4] / 2).
    close(&trial.alpha_of_losses(&[9.0, 9.0]), &[0.8756470280, 1.1243529720]);
}

#[test]
fn geometric_is_the_gradient_of_the_geometric_mean() {
    assert_eq!(Trial::new("method = \"geometric\"", 2).alpha_of_losses(&[1.0, 4.0]), [1.0, 0.25]);
}

#[test]
fn imtl_l_brings_losses_to_one_scale() {
    let mut trial = Trial::new("method = \"imtl_l\"", 2);
    assert_eq!(trial.alpha_of_losses(&[3.0, 0.5]), [1.0, 1.0]);
    trial.learn(&[3.0, 0.5], &[]);
    // s = -0.1 (l - 1) = -0.2 and 0.05.
    close(&trial.alpha_of_losses(&[3.0, 0.5]), &[0.8187307531, 1.0512710964]);
}

#[test]
fn stch_weighs_by_the_softmax_of_losses_over_their_nadir() {
    let mut trial = Trial::new("method = \"stch\"\nwarmup_epochs = 1", 2);
    close(&trial.alpha_of_losses(&[1.0, 1.0]), &[1.0, 1.0]);
    close(&trial.alpha_of_losses(&[3.0, 3.0]), &[1.0 / 3.0, 1.0 / 3.0]);
    trial.epoch = 1;
    // The nadir is 2 for both; 2 softmax(log [1/2, 1]) / [1, 2].
    close(&trial.alpha_of_losses(&[1.0, 2.0]), &[2.0 / 3.0, 2.0 / 3.0]);
    let mut sharp = Trial::new("method = \"stch\"\nwarmup_epochs = 0\nmu = 0.5", 2);
    close(&sharp.alpha_of_losses(&[2.0, 2.0]), &[0.5, 0.5]);
    // 2 softmax(2 log [1/2, 1]) / [1, 2].
    close(&sharp.alpha_of_losses(&[1.0, 2.0]), &[0.4, 0.8]);
}

#[test]
fn famo_weighs_for_equal_rates_of_decrease() {
    let mut trial = Trial::new("method = \"famo\"", 2);
    close(&trial.alpha_of_losses(&[1.0, 4.0]), &[0.8, 0.2]);
    trial.learn(&[1.0, 4.0], &[0.5, 4.0]);
    // Adam's first step is its rate: w = [-0.025, 0.025], z = [0.4875026035, 0.5124973965].
    close(&trial.alpha_of_losses(&[1.0, 1.0]), &[0.4875026035, 0.5124973965]);
}

#[test]
fn gradnorm_moves_weights_towards_equal_norms() {
    let mut trial = Trial::new("method = \"gradnorm\"", 2);
    close(&trial.alpha_of_norms(&[3.0, 1.0]), &[1.0, 1.0]);
    // w = [-0.2, 0.2].
    close(&trial.alpha_of_norms(&[3.0, 1.0]), &[0.8026246798, 1.1973753202]);
    // The second loss fell to half of its first value: the mean is 2, the targets are 2 (2/3)^1.5
    // and 2 (4/3)^1.5.
    let mut trained = Trial::new("method = \"gradnorm\"", 2);
    let rows = [[2.0f32, 0.0], [0.0, 2.0]];
    assert_eq!(trained.alpha(&rows, &[1.0, 1.0]), [1.0, 1.0]);
    assert_eq!(trained.alpha(&rows, &[0.5, 1.0]), [1.0, 1.0]);
    // The signs are + and -: slopes 2 and -2, w = [-0.2, 0.2].
    close(&trained.alpha(&rows, &[0.5, 1.0]), &[0.8026246798, 1.1973753202]);
}

#[test]
fn mgda_is_the_shortest_vector_of_the_hull() {
    let alpha = |normalize: &str, losses: [f64; 2]| {
        let mut trial = Trial::new(&format!("method = \"mgda\"\nnormalize = \"{normalize}\""), 2);
        trial.alpha(&[[2.0f32, 0.0], [0.0, 1.0]], &losses)
    };
    close(&alpha("none", [2.0, 1.0]), &[0.2, 0.8]);
    close(&alpha("l2", [2.0, 1.0]), &[0.5, 0.5]);
    close(&alpha("loss", [2.0, 1.0]), &[0.5, 0.5]);
    close(&alpha("loss+", [2.0, 1.0]), &[0.8, 0.2]);
    // The hull's nearest point is one of its ends.
    close(&Trial::new("method = \"mgda\"", 2).alpha(&[[1.0f32, 0.0], [3.0, 1.0]], &[1.0; 2]), &[1.0, 0.0]);
}

#[test]
fn pcgrad_projects_conflicting_gradients_off_each_other() {
    close(&Trial::new("method = \"pcgrad\"", 2).alpha(&CONFLICT, &[1.0; 2]), &[2.0, 1.5]);
    close(&Trial::new("method = \"pcgrad\"", 2).alpha_of_norms(&[3.0, 1.0]), &[1.0, 1.0]);
}

#[test]
fn gradvac_raises_cosines_to_a_moving_target() {
    let mut trial = Trial::new("method = \"gradvac\"", 2);
    close(&trial.alpha(&CONFLICT, &[1.0; 2]), &[2.0, 1.5]);
    // The target is cos / 2 = -0.3535533906. The turn is 0.4398457660 times the ratio of the norms.
    close(&trial.alpha(&CONFLICT, &[1.0; 2]), &[1.6220358464, 1.3110179232]);
}

#[test]
fn gradvac_takes_cosines_by_layer_or_by_block() {
    // Blocks of 2, 1 and 3 columns. Only the first has a conflict.
    let rows = [[1.0f32, 0.0, 1.0, 1.0, 0.0, 0.0], [-1.0, 1.0, 2.0, 1.0, 0.0, 0.0]];
    let direction = |granularity: &str| {
        let mut trial = Trial::new(&format!("method = \"gradvac\"\ngranularity = \"{granularity}\""), 2);
        trial.direction(&rows, &[1.0; 2])
    };
    // By block, the first becomes 2 g_0 + 1.5 g_1. By layer, the second block makes up for the
    // conflict of the first.
    close_f32(&direction("parameter"), &[0.5, 1.5, 3.0, 2.0, 0.0, 0.0]);
    close_f32(&direction("layer"), &[0.0, 1.0, 3.0, 2.0, 0.0, 0.0]);
    close_f32(&direction("whole"), &[0.0, 1.0, 3.0, 2.0, 0.0, 0.0]);
}

#[test]
fn imtl_g_has_equal_projections() {
    close(&Trial::new("method = \"imtl_g\"", 2).alpha_of_norms(&[2.0, 1.0]), &[1.0 / 3.0, 2.0 / 3.0]);
}

#[test]
fn cagrad_stays_within_its_radius_of_the_mean() {
    let alpha =
        |parameters: &str| Trial::new(&format!("method = \"cagrad\"\n{parameters}"), 2).alpha_of_norms(&[1.0, 1.0]);
    close(&alpha("c = 0"), &[0.5, 0.5]);
    close(&alpha(""), &[0.75, 0.75]);
    close(&alpha("rescale = \"linear\""), &[0.5, 0.5]);
    close(&alpha("rescale = \"square\""), &[0.6, 0.6]);
}

#[test]
fn nash_mtl_solves_its_equation_and_shortens() {
    close(&Trial::new("method = \"nash_mtl\"\nmax_norm = 0", 2).alpha_of_norms(&[2.0, 1.0]), &[0.5, 1.0]);
    let mut trial = Trial::new("method = \"nash_mtl\"\nevery = 2", 2);
    let root = 0.5f64.sqrt();
    close(&trial.alpha_of_norms(&[2.0, 1.0]), &[0.5 * root, root]);
    trial.step = 1;
    // The answer of step 0 is applied to other gradients and shortened again.
    let norm = (25.0f64 + 1.0).sqrt();
    close(&trial.alpha_of_norms(&[10.0, 1.0]), &[0.5 / norm, 1.0 / norm]);
    trial.step = 2;
    close(&trial.alpha_of_norms(&[10.0, 1.0]), &[0.1 * root, root]);
}

#[test]
fn aligned_mtl_makes_gradients_equally_long() {
    let alpha = |scale: &str| {
        let text = format!("method = \"aligned_mtl\"\nscale = \"{scale}\"\npreference = [3, 1]");
        Trial::new(&text, 2).alpha_of_norms(&[2.0, 1.0])
    };
    close(&alpha("min"), &[0.375, 0.25]);
    close(&alpha("median"), &[0.375, 0.25]);
    close(&alpha("rmse"), &[0.75 * 0.625f64.sqrt(), 0.25 * 2.5f64.sqrt()]);
}

#[test]
fn fairgrad_solves_its_equation() {
    close(&Trial::new("method = \"fairgrad\"", 2).alpha_of_norms(&[2.0, 1.0]), &[0.5, 1.0]);
    // 4 a = a^(-1/2).
    close(&Trial::new("method = \"fairgrad\"\nalpha = 2", 2).alpha_of_norms(&[2.0, 1.0]), &[0.3968502630, 1.0]);
}

#[test]
fn upgrad_averages_the_projected_gradients() {
    close(&Trial::new("method = \"upgrad\"\nreg_eps = 0", 2).alpha(&CONFLICT, &[1.0; 2]), &[1.0, 0.75]);
    let preferred = "method = \"upgrad\"\nreg_eps = 0\npreference = [1, 0]";
    close(&Trial::new(preferred, 2).alpha(&CONFLICT, &[1.0; 2]), &[1.0, 0.5]);
    // With the ridge: v_1 = u_1 / (1 + 3e-4) and v_0 = 2 u_0. The trace is 3, so both are from G +
    // 3e-4 I.
    let ridged = [0.5 + 0.5 / 1.0003, 0.5 / 2.0003 + 0.5];
    close(&Trial::new("method = \"upgrad\"", 2).alpha(&CONFLICT, &[1.0; 2]), &ridged);
}

#[test]
fn dualproj_projects_the_mean_gradient() {
    close(&Trial::new("method = \"dualproj\"", 2).alpha(&CONFLICT, &[1.0; 2]), &[0.5, 0.5]);
    let mut trial = Trial::new("method = \"dualproj\"\nreg_eps = 0", 2);
    close(&trial.alpha(&[[1.0f32, 0.0], [-3.0, 1.0]], &[1.0; 2]), &[1.5, 0.5]);
}

#[test]
fn config_has_equal_cosines_and_the_length_of_all_projections() {
    close(&Trial::new("method = \"config\"", 2).alpha_of_norms(&[2.0, 1.0]), &[0.75, 1.5]);
}

#[test]
fn krum_takes_the_rows_that_have_near_neighbours() {
    let rows = [[0.0f32], [1.0], [1.1], [10.0]];
    let alpha = |selected: usize| {
        let text = format!("method = \"krum\"\nbyzantine = 1\nselected = {selected}");
        Trial::new(&text, 4).alpha(&rows, &[1.0; 4])
    };
    assert_eq!(alpha(1), [0.0, 1.0, 0.0, 0.0]);
    assert_eq!(alpha(2), [0.0, 0.5, 0.5, 0.0]);
    close(&alpha(3), &[1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0, 0.0]);
}

#[test]
fn sdmgrad_descends_on_the_simplex_near_the_mean() {
    let mut trial = Trial::new("method = \"sdmgrad\"\niterations = 1\nlearning_rate = 0.1", 2);
    // Scale 1 / 1.5^2, slopes 1.3 [2, 0.5] / 2.25; w = [0.4566667, 0.5433333] after the projection.
    close(&trial.alpha_of_norms(&[2.0, 1.0]), &[0.4666666671, 0.5333333329]);
    let even = Trial::new("method = \"sdmgrad\"", 2).alpha_of_norms(&[1.0, 1.0]);
    close(&even, &[0.5, 0.5]);
}

#[test]
fn modo_descends_on_the_simplex() {
    let mut trial = Trial::new("method = \"modo\"\ngamma = 0.1", 2);
    // 0.5 - 0.1 ([2, 0.5] + 0.1 [0.5, 0.5]), then 0.13 more for each.
    close(&trial.alpha_of_norms(&[2.0, 1.0]), &[0.425, 0.575]);
}

#[test]
fn graddrop_keeps_one_sign_of_each_coordinate_by_its_purity() {
    let columns = 4000;
    let rows = [vec![3.0f32; columns], vec![-1.0; columns], vec![0.0; columns]];
    let direction = Trial::new("method = \"graddrop\"", 3).direction(&rows, &[1.0; 3]);
    let positive = direction.iter().filter(|value| **value == 3.0).count();
    assert_eq!(positive + direction.iter().filter(|value| **value == -1.0).count(), columns);
    // Purity (1 + 2/4) / 2: five deviations are 137.
    assert!(positive.abs_diff(3 * columns / 4) < 137, "{positive} of {columns}");
    let leaking = Trial::new("method = \"graddrop\"\nleak = 1", 3).direction(&rows, &[1.0; 3]);
    assert!(leaking.iter().all(|value| *value == 2.0));
}

#[test]
fn trimmed_mean_leaves_the_ends_out() {
    let rows = [[1.0f32, 5.0], [2.0, 4.0], [30.0, 3.0], [-5.0, 2.0], [3.0, 10.0]];
    assert_eq!(Trial::new("method = \"trimmed_mean\"\ntrim = 1", 5).direction(&rows, &[1.0; 5]), [2.0, 4.0]);
    assert_eq!(Trial::new("method = \"trimmed_mean\"\ntrim = 2", 5).direction(&rows, &[1.0; 5]), [2.0, 4.0]);
}

#[test]
fn moco_follows_a_moving_average_of_unit_gradients() {
    let mut trial = Trial::new("method = \"moco\"", 2);
    let rows = [[3.0f32, 0.0], [0.0, 0.5]];
    close_f32(&trial.direction(&rows, &[1.0; 2]), &[0.25, 0.25]);
    trial.step = 1;
    // beta = 0.5 / sqrt 2: Y = 0.6767766953 unit rows.
    close_f32(&trial.direction(&rows, &[1.0; 2]), &[0.3383883476, 0.3383883476]);
    // Two equal rows and an orthogonal one: l = softmax(1/3 - 0.1 Y Y^T l), Y Y^T l = [1, 1, 1/2] /
    // 6.
    let mut uneven = Trial::new("method = \"moco\"", 3);
    let direction = uneven.direction(&[[1.0f32, 0.0], [1.0, 0.0], [0.0, 1.0]], &[1.0; 3]);
    close_f32(&direction, &[0.3324061, 0.1675939]);
}

#[test]
fn db_mtl_makes_averages_of_log_gradients_equally_long() {
    let mut trial = Trial::new("method = \"db_mtl\"", 2);
    close_f32(&trial.direction(&[[2.0f32, 0.0], [0.0, 1.0]], &[1.0, 2.0]), &[0.2, 0.2]);
    trial.step = 1;
    // Averages [0.2 0.9 + 0.1 4, 0] and [0, 0.05 0.9 + 0.1 1].
    close_f32(&trial.direction(&[[2.0f32, 0.0], [0.0, 1.0]], &[0.5, 1.0]), &[0.58, 0.58]);
}

#[test]
fn excess_mtl_weighs_up_tasks_of_much_excess_risk() {
    let mut trial = Trial::new("method = \"excess_mtl\"", 2);
    close(&trial.alpha(&[[1.0f32], [2.0]], &[1.0; 2]), &[0.5, 0.5]);
    // Risks 0 and 4 / sqrt 8 over those of the first step, 1 and 2: weights e^0 and e^0.7071.
    close(&trial.alpha(&[[0.0f32], [2.0]], &[1.0; 2]), &[0.3302384507, 0.6697615493]);
}

#[test]
fn excess_risks_in_f32_are_those_in_f64_but_for_a_millionth() {
    let row = |task: u64, step: u64| {
        let mut row = vec![0.0f32; 1003];
        Stream::new(7, Purpose::Synthetic, &[task, step]).fill_normal(0, &mut row);
        // The values range from those that are lost beside 1e-7 to large ones.
        row.iter_mut().enumerate().for_each(|(at, value)| *value *= 10f32.powi(at as i32 % 11 - 6));
        row
    };
    let mut trial = Trial::new("method = \"excess_mtl\"", 2);
    let (mut squares, mut first, mut logarithms) = ([vec![0.0f64; 1003], vec![0.0; 1003]], [0.0f64; 2], [0.0f64; 2]);
    for step in 0..5 {
        let rows = [row(0, step), row(1, step)];
        for task in 0..2 {
            let terms = rows[task].iter().zip(&mut squares[task]).map(|(value, sum)| {
                let square = f64::from(*value).powi(2);
                *sum += square;
                square / (*sum + 1e-7).sqrt()
            });
            let risk: f64 = terms.sum();
            first[task] = if step == 0 { risk } else { first[task] };
            logarithms[task] += risk / first[task];
        }
        let share = 1.0 / (1.0 + (logarithms[1] - logarithms[0]).exp());
        let found = trial.alpha(&rows, &[1.0; 2]);
        assert!((found[0] / share - 1.0).abs() < 1e-6, "{found:?} and {share} in step {step}");
    }
}

#[test]
fn smoothing_keeps_a_moving_average_of_the_weights() {
    let mut trial = Trial::new("method = \"mgda\"\nsmoothing = 0.9", 2);
    close(&trial.alpha_of_norms(&[2.0, 1.0]), &[0.2, 0.8]);
    close(&trial.alpha_of_norms(&[1.0, 1.0]), &[0.9 * 0.2 + 0.05, 0.9 * 0.8 + 0.05]);
    let mut by_block = Trial::new("method = \"gradvac\"\ngranularity = \"parameter\"\nsmoothing = 0.5", 2);
    let rows = [[1.0f32, 0.0, 1.0, 1.0, 0.0, 0.0], [-1.0, 1.0, 2.0, 1.0, 0.0, 0.0]];
    close_f32(&by_block.direction(&rows, &[1.0; 2]), &[0.5, 1.5, 3.0, 2.0, 0.0, 0.0]);
    // Halfway from [2, 1.5] to [1, 1] on the first block.
    let agreeing = [[1.0f32, 0.0, 1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 2.0, 1.0, 0.0, 0.0]];
    close_f32(&by_block.direction(&agreeing, &[1.0; 2])[..2], &[1.5 + 1.25, 1.25]);
}

#[test]
fn an_absent_task_keeps_its_state() {
    for text in ["method = \"imtl_l\"", "method = \"uncertainty\"", "method = \"famo\""] {
        let mut trial = Trial::new(text, 3);
        trial.learn(&[3.0, 2.0, 1.0], &[2.0, 2.0, 1.0]);
        let before = trial.state.clone();
        trial.present = vec![0, 2];
        trial.learn(&[3.0, 1.0], &[2.0, 1.0]);
        let changed =
            |task: usize| before.numbers.iter().any(|(name, values)| values[task] != trial.state.numbers[name][task]);
        assert_eq!([0, 1, 2].map(changed), [true, false, true], "{text}");
    }
    let row = [1.0f32, 2.0];
    for text in ["method = \"moco\"", "method = \"db_mtl\"", "method = \"excess_mtl\""] {
        let mut trial = Trial::new(text, 3);
        trial.step(&[row; 3], &[1.0; 3]);
        let before = trial.state.clone();
        trial.present = vec![0, 2];
        trial.step(&[[3.0f32, -1.0], [1.0, 0.5]], &[1.0; 2]);
        let rows = |name: &String| (before.vectors[name].chunks(2), trial.state.vectors[name].chunks(2));
        for name in before.vectors.keys() {
            let (old, new) = rows(name);
            assert_eq!(old.zip(new).map(|(old, new)| old == new).collect::<Vec<_>>(), [false, true, false], "{text}");
        }
    }
}

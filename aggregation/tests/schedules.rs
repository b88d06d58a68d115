//! Learning-rate schedules: values at known places, and PyTorch's one-cycle.

use aggregation::Schedule;

fn schedule(text: &str) -> Schedule {
    toml::from_str(text).expect("is right")
}

fn close(left: f64, right: f64) {
    assert!((left - right).abs() <= 1e-12 * right.abs().max(1e-9), "{left} is not {right}");
}

#[test]
fn constant_is_the_base_rate_at_every_step() {
    let constant = Schedule::default();
    for step in [0, 1, 99, 100, 1000] {
        assert_eq!(constant.learning_rate(0.1, step, 100), 0.1);
    }
}

#[test]
fn warmup_rises_to_the_base_rate_and_the_schedule_runs_over_the_rest() {
    let cosine = schedule("kind = \"cosine\"\nwarmup_steps = 4");
    for (step, factor) in [(0, 0.25), (1, 0.5), (2, 0.75), (3, 1.0), (4, 1.0), (54, 0.5), (104, 0.0)] {
        close(cosine.learning_rate(2.0, step, 104), 2.0 * factor);
    }
}

#[test]
fn cosine_ends_at_eta_min() {
    let cosine = schedule("kind = \"cosine\"\neta_min = 0.02");
    close(cosine.learning_rate(0.1, 0, 10), 0.1);
    close(cosine.learning_rate(0.1, 5, 10), 0.06);
    close(cosine.learning_rate(0.1, 10, 10), 0.02);
    close(cosine.learning_rate(0.1, 500, 10), 0.02);
}

#[test]
fn linear_falls_to_its_end_factor() {
    let linear = schedule("kind = \"linear\"\nend_factor = 0.1");
    close(linear.learning_rate(1.0, 0, 10), 1.0);
    close(linear.learning_rate(1.0, 5, 10), 0.55);
    close(linear.learning_rate(1.0, 10, 10), 0.1);
}

#[test]
fn step_falls_every_step_size_steps_and_exponential_every_step() {
    let step = schedule("kind = \"step\"\nstep_size = 3\ngamma = 0.5");
    let rates: Vec<f64> = (0..7).map(|s| step.learning_rate(1.0, s, 7)).collect();
    assert_eq!(rates, [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25]);
    let exponential = schedule("kind = \"exponential\"\ngamma = 0.9");
    close(exponential.learning_rate(1.0, 3, 7), 0.729);
}

#[test]
fn one_cycle_gives_pytorchs_rates() {
    // torch.optim.lr_scheduler.OneCycleLR(max_lr = 0.1, total_steps = 10), PyTorch 2.9.1.
    let cos = [
        0.0040000000000000036,
        0.052000000000000005,
        0.1,
        0.09504846320134738,
        0.0811745653949763,
        0.06112620219362893,
        0.03887419780637107,
        0.0188258346050237,
        0.004951936798652629,
        4e-07,
    ];
    let linear = [
        0.004,
        0.052000000000000005,
        0.1,
        0.08571434285714286,
        0.07142868571428572,
        0.05714302857142858,
        0.042857371428571434,
        0.028571714285714284,
        0.014286057142857148,
        3.999999999976245e-07,
    ];
    for (text, rates) in [("kind = \"one_cycle\"", cos), ("kind = \"one_cycle\"\nanneal_strategy = \"linear\"", linear)]
    {
        for (step, rate) in rates.into_iter().enumerate() {
            let ours = schedule(text).learning_rate(0.1, step as u64, 10);
            assert!((ours - rate).abs() < 1e-10, "{text}, step {step}: {ours} is not {rate}");
        }
    }
}

#[test]
fn a_plateau_lowers_the_rate_by_its_factor_down_to_the_least_rate() {
    let text = "kind = \"plateau\"\nfactor = 0.5\npatience = 3\nmin_learning_rate = 0.03\nwarmup_steps = 4";
    let plateau = schedule(text).plateau().expect("it has one");
    assert_eq!((plateau.patience, plateau.min_delta), (3, 0.0));
    let rate = |step: u64, plateaus: u64| plateau.lowered(schedule(text).learning_rate(0.1, step, 100), plateaus);
    for (plateaus, expected) in [(0, 0.1), (1, 0.05), (2, 0.03), (9, 0.03)] {
        close(rate(50, plateaus), expected);
    }
    // A rate that warms up may be below the least one.
    close(rate(0, 0), 0.025);
    close(rate(0, 1), 0.025);
    assert_eq!(schedule("kind = \"cosine\"").plateau(), None);
}

#[test]
fn rates_are_finite_and_not_negative_for_short_trainings() {
    for kind in ["constant", "linear", "cosine", "step\"\nstep_size = \"1", "exponential\"\ngamma = \"1", "one_cycle"] {
        let text = format!("kind = \"{kind}\"").replace("\"1\"", "1");
        for warmup in [0, 1, 5] {
            for total in 0..4 {
                for step in 0..6 {
                    let rate = schedule(&format!("{text}\nwarmup_steps = {warmup}")).learning_rate(0.1, step, total);
                    assert!(
                        rate.is_finite() && (0.0..=0.1 + 1e-12).contains(&rate),
                        "{text} {warmup} {step}/{total}: {rate}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_schedule_that_is_written_reads_back_as_the_same() {
    for text in [
        "kind = \"constant\"",
        "kind = \"step\"\nstep_size = 3",
        "kind = \"one_cycle\"\nwarmup_steps = 7",
        "kind = \"plateau\"\npatience = 2",
    ] {
        let written = toml::to_string(&schedule(text)).expect("is written");
        assert_eq!(schedule(&written), schedule(text), "{written}");
    }
}

#[test]
fn bad_schedules_are_refused_with_the_key() {
    for (text, key) in [
        ("kind = \"cosin\"", "`kind`"),
        ("kind = \"cosine\"\nwarmup = 3", "`warmup`"),
        ("kind = \"cosine\"\nwarmup_steps = -3", "`warmup_steps`"),
        ("kind = \"cosine\"\nwarmup_steps = 1.5", "`warmup_steps`"),
        ("kind = \"step\"", "`step_size`"),
        ("kind = \"exponential\"\ngamma = 0", "`gamma`"),
        ("kind = \"one_cycle\"\nanneal_strategy = \"cosine\"", "`anneal_strategy`"),
        ("kind = \"plateau\"\nfactor = 1", "`factor`"),
        ("kind = \"plateau\"\npatience = 0", "`patience`"),
    ] {
        let error = toml::from_str::<Schedule>(text).expect_err(text).to_string();
        assert!(error.contains(key), "{text}: {error}");
    }
}

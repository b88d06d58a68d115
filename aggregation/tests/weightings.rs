//! The methods that need nothing of a step.

use aggregation::random::{Purpose, Stream};
use aggregation::weighting::{Moment, State, Statistics};
use aggregation::{Optimizer, Weighting};
use settings::Invalid;

fn weighting(text: &str) -> Weighting {
    toml::from_str(text).expect("is right")
}

fn alpha(text: &str, tasks: &[&str], present: &[usize]) -> Vec<f64> {
    let optimizer = Optimizer::default();
    let stream = Stream::new(0, Purpose::Weighting, &[0]);
    let moment =
        Moment { step: 0, epoch: 0, tasks: tasks.len(), present, optimizer: &optimizer, learning_rate: 1e-3, stream };
    let method = weighting(text).build(tasks).expect("fits the tasks");
    let outcome = method.weigh(&moment, &Statistics::default(), &mut State::default()).expect("has an answer");
    outcome.combination.alpha().expect("is one alpha a task").to_vec()
}

#[test]
fn sum_and_mean_weigh_the_tasks_that_are_present() {
    assert_eq!(alpha("method = \"sum\"", &["a", "b", "c"], &[0, 2]), [1.0, 1.0]);
    assert_eq!(alpha("method = \"mean\"", &["a", "b", "c"], &[0, 1, 2]), [1.0 / 3.0; 3]);
    assert_eq!(alpha("method = \"mean\"", &["a", "b", "c"], &[0, 2]), [0.5, 0.5]);
}

#[test]
fn constant_weights_are_by_place_or_by_name() {
    let by_place = "method = \"constant\"\nweights = [2, 0.5, 0]";
    let by_name = "method = \"constant\"\nweights = { c = 0, a = 2 }";
    assert_eq!(alpha(by_place, &["a", "b", "c"], &[0, 1, 2]), [2.0, 0.5, 0.0]);
    assert_eq!(alpha(by_place, &["a", "b", "c"], &[1]), [0.5]);
    assert_eq!(alpha(by_name, &["a", "b", "c"], &[0, 1, 2]), [2.0, 1.0, 0.0]);
}

#[test]
fn constant_weights_that_do_not_fit_the_tasks_are_refused() {
    let refuse = |text: &str| -> Invalid { weighting(text).build(&["digit", "parity"]).expect_err(text) };
    assert!(
        refuse("method = \"constant\"\nweights = [1]")
            .to_string()
            .contains("weights given: 1; tasks: 2 (digit, parity)")
    );
    let unknown = refuse("method = \"constant\"\nweights = { digits = 1 }");
    assert_eq!(
        (unknown.key().as_str(), unknown.known.as_slice()),
        ("weights.digits", &["digit".to_owned(), "parity".to_owned()][..])
    );
}

#[test]
fn constant_weights_that_no_task_could_have_are_refused_when_read() {
    for text in
        ["", "weights = 3", "weights = [1, -1]", "weights = [\"a\"]", "weights = { a = -1 }", "weights = { a = nan }"]
    {
        let error = toml::from_str::<Weighting>(&format!("method = \"constant\"\n{text}")).expect_err(text);
        assert!(error.to_string().contains("`weights`"), "{error}");
    }
}

#[test]
fn methods_of_the_combined_mode_need_nothing() {
    for text in ["method = \"sum\"", "method = \"mean\"", "method = \"constant\"\nweights = [1]"] {
        assert!(weighting(text).needs().is_empty());
    }
}

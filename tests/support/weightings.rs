//! Every weighting with the arguments that tests train it with.

use experiment::Weighting;

use super::required;

/// A weighting with its arguments.
pub struct Case {
    /// Its name, which can name a folder.
    pub name: String,
    /// The arguments of `train`.
    pub arguments: Vec<String>,
}

/// Parameters with a state or needs of their own, which are tested beside the defaults.
const VARIANTS: [(&str, &[&str]); 9] = [
    ("stch", &["warmup_epochs=1", "smoothing=0.5"]),
    ("famo", &["smoothing=0.9"]),
    ("mgda", &["normalize='loss+'", "smoothing=0.5"]),
    ("gradvac", &["granularity='layer'", "smoothing=0.5"]),
    ("gradvac", &["granularity='parameter'"]),
    ("nash_mtl", &["every=7", "smoothing=0.5"]),
    ("aligned_mtl", &["scale='median'", "preference=[1, 2, 3, 4]"]),
    ("krum", &["byzantine=1", "smoothing=0.5"]),
    ("modo", &["smoothing=0.5"]),
];

/// All methods with their defaults, and variants, for `digits` (two tasks) or `mixed` (four).
pub fn cases(example: &str) -> Vec<Case> {
    let is_mixed = example == "mixed";
    let mut cases = Vec::new();
    let mut add = |method: &str, sets: Vec<String>| {
        let given = if sets.is_empty() { String::new() } else { format!("-{}", cases.len()) };
        let mut arguments = vec!["--set".to_owned(), format!("weighting.method={method}")];
        arguments.extend(sets);
        cases.push(Case { name: format!("{method}{given}"), arguments });
    };
    for method in Weighting::names() {
        let given = match method {
            "constant" if is_mixed => &["--set", "weighting.weights=[2, 1, 1, 0]"],
            // By default its warm-up is longer than a short run.
            "stch" => &["--set", "weighting.warmup_epochs=1"],
            _ => required(method),
        };
        // Leaving a task out needs at least three.
        if is_mixed || method != "krum" {
            add(method, given.iter().map(|&argument| argument.to_owned()).collect());
        }
    }
    for (method, parameters) in VARIANTS {
        let takes_four = method == "krum" || parameters.iter().any(|parameter| parameter.starts_with("preference"));
        if is_mixed || !takes_four {
            add(method, parameters.iter().flat_map(|set| ["--set".to_owned(), format!("weighting.{set}")]).collect());
        }
    }
    cases
}

//! The tables of the documentation: losses, metrics, and which kinds of tasks can have them.

use settings::reference::{grid, table};

use crate::{Kind, MetricRef, loss};

/// All losses with their parameters.
pub fn losses() -> String {
    table("kind", &loss::reference())
}

/// All metrics: the name, which values are better, and what it is.
pub fn metrics() -> String {
    let better = |metric: MetricRef| if metric.higher_is_better() { "higher" } else { "lower" };
    let row = |metric: MetricRef| [format!("`{metric}`"), better(metric).to_owned(), metric.summary().to_owned()];
    grid(["metric", "better", "what it is"], MetricRef::all().map(row))
}

/// Losses and metrics that each kind of task can have.
pub fn by_kind() -> String {
    let row = |kind: Kind| {
        let losses: Vec<String> = loss::of_kind(kind).map(|entry| format!("`{}`", entry.name)).collect();
        let defaults = MetricRef::default_of(kind);
        let metric = |metric: &MetricRef| match defaults.contains(metric) {
            true => format!("**`{metric}`**"),
            false => format!("`{metric}`"),
        };
        let metrics: Vec<String> = MetricRef::of_kind(kind).iter().map(metric).collect();
        [format!("`{kind}`"), losses.join(", "), metrics.join(", ")]
    };
    grid(["kind", "losses, the default first", "metrics, the default ones in bold"], Kind::ALL.map(row))
}

//! The records of a step's weighting.

use aggregation::{Gramian, weighting::Certificate};
use indexmap::IndexMap;

use crate::{
    compute::Weighed,
    journal::{self, Number, WeightingRecord},
};

/// The metrics of one task: its weight and the norm of its gradient.
pub(super) fn of_task(weighed: &Weighed, task: usize) -> IndexMap<String, Number> {
    let mut metrics = IndexMap::new();
    let Some(at) = weighed.present.iter().position(|present| *present == task) else { return metrics };
    metrics.extend(weighed.alpha.as_ref().map(|alpha| ("alpha".to_owned(), Number(alpha[at]))));
    metrics.extend(weighed.gramian.as_ref().map(|g| ("gradient_norm".to_owned(), Number(g.norms()[at]))));
    metrics
}

/// The metrics over all tasks: conflicts, the least inner product of a gradient with the update,
/// and the certificate.
pub(super) fn of_all(weighed: &Weighed) -> IndexMap<String, Number> {
    let mut metrics = IndexMap::new();
    if let Some(gramian) = &weighed.gramian {
        let pairs = (0..gramian.tasks()).flat_map(|i| (0..i).map(move |j| (i, j)));
        let conflicting = pairs.filter(|&(i, j)| gramian.at(i, j) < 0.0).count();
        metrics.insert("conflicting_pairs".to_owned(), Number(conflicting as f64));
    }
    if let Some(products) = &weighed.products {
        let least = products.iter().copied().fold(f64::INFINITY, f64::min);
        metrics.insert("min_inner_product".to_owned(), Number(least));
    }
    metrics.extend(weighed.certificate.map(|certificate| {
        let (kind, value) = parts(certificate);
        (kind.to_owned(), Number(value))
    }));
    metrics
}

/// The record of a step. `names` are the names of all tasks.
pub(super) fn record(
    step: u64,
    method: &str,
    learning_rate: f64,
    names: &[&str],
    weighed: &Weighed,
) -> WeightingRecord {
    let numbers = |values: &Vec<f64>| values.iter().copied().map(Number).collect();
    let by_block = |blocks: &IndexMap<String, Vec<f64>>| {
        blocks.iter().map(|(block, alpha)| (block.clone(), numbers(alpha))).collect()
    };
    let certificate = weighed.certificate.map(|certificate| {
        let (kind, value) = parts(certificate);
        journal::CertificateRecord { kind: kind.to_owned(), value: Number(value) }
    });
    WeightingRecord {
        step,
        method: method.to_owned(),
        learning_rate: Number(learning_rate),
        tasks: weighed.present.iter().map(|task| names[*task].to_owned()).collect(),
        losses: numbers(&weighed.losses),
        alpha: weighed.alpha.as_ref().map(numbers),
        alpha_by_block: weighed.alpha_by_block.as_ref().map(by_block),
        gramian: weighed.gramian.as_ref().map(rows),
        cosines: weighed.gramian.as_ref().map(|gramian| rows(&gramian.cosines())),
        products: weighed.products.as_ref().map(numbers),
        direction_norm: weighed.direction_norm.map(Number),
        certificate,
    }
}

fn rows(matrix: &Gramian) -> Vec<Vec<Number>> {
    (0..matrix.tasks()).map(|row| matrix.row(row).iter().copied().map(Number).collect()).collect()
}

fn parts(certificate: Certificate) -> (&'static str, f64) {
    match certificate {
        Certificate::DualityGap(value) => ("duality_gap", value),
        Certificate::KktResidual(value) => ("kkt_residual", value),
    }
}

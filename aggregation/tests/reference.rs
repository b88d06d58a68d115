//! `docs/experiment.md` has the tables of optimizers, schedules, robust sums and weightings as the
//! registries have them. `UPDATE=1 cargo test -p aggregation --test reference` writes them.

use std::path::Path;

use aggregation::{optimizer, robust, schedule, weighting};
use settings::reference::{hold, table};

#[test]
fn the_reference_is_what_the_registries_say() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/experiment.md");
    let parts = [
        ("optimizers", table("kind", &optimizer::reference())),
        ("schedules", table("kind", &schedule::reference())),
        ("robust sums", table("kind", &robust::reference())),
        ("weightings", table("method", &weighting::reference())),
    ];
    hold(&document, &parts).unwrap_or_else(|error| panic!("{error}"));
}

//! `docs/experiment.md` has the tables of losses and metrics that the registries say.
//! `UPDATE=1 cargo test -p objectives --test reference` writes them anew.

use std::path::Path;

use objectives::reference::{by_kind, losses, metrics};
use settings::reference::hold;

#[test]
fn the_reference_is_what_the_registries_say() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/experiment.md");
    let parts = [("losses and metrics by kind", by_kind()), ("metrics", metrics()), ("losses", losses())];
    hold(&document, &parts).unwrap_or_else(|error| panic!("{error}"));
}

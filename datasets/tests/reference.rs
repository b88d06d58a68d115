//! `docs/experiment.md` has the table of inputs that the registry says.
//! `UPDATE=1 cargo test -p datasets --test reference` writes it anew.

use std::path::Path;

use datasets::INPUTS;
use settings::reference::{hold, table};

#[test]
fn the_reference_is_what_the_registry_says() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/experiment.md");
    let inputs = INPUTS.describe(|part, reader| part(reader));
    hold(&document, &[("inputs", table("kind", &inputs))]).unwrap_or_else(|error| panic!("{error}"));
}

//! `docs/experiment.md` has the tables of architectures, trunks, encoders and activations that the
//! registries say. `UPDATE=1 cargo test -p model --test reference` writes them anew.

use std::path::Path;

use model::{activation, architecture, trunk};
use settings::reference::{hold, table};

#[test]
fn the_reference_is_what_the_registries_say() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/experiment.md");
    let parts = [
        ("architectures", table("kind", &architecture::reference())),
        ("trunks", table("kind", &trunk::reference())),
        ("encoders", table("kind", &trunk::encoder_reference())),
        ("activations", table("kind", &activation::reference())),
    ];
    hold(&document, &parts).unwrap_or_else(|error| panic!("{error}"));
}

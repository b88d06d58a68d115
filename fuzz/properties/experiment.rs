//! Any experiment file is refused in words, or loads. A loaded experiment stays the same if it is
//! resolved, written and loaded again.

use std::path::Path;

/// Holds for any bytes.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match experiment::parse(text, Path::new("experiment.toml"), &[], &experiment::UncheckedModel) {
        Err(error) => assert!(error.to_string().contains("experiment.toml"), "{error}"),
        Ok(loaded) => {
            let resolved = loaded.experiment.to_toml();
            let again = experiment::parse(&resolved, Path::new("resolved.toml"), &[], &experiment::UncheckedModel);
            let again = again.unwrap_or_else(|error| panic!("{error}\n{resolved}"));
            assert_eq!(again.experiment, loaded.experiment);
        }
    }
}

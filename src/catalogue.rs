//! What a binary is made of: the crate that it comes from.

/// The crate that a binary comes from, and the parts that it adds to the built-in ones.
#[derive(Debug)]
pub struct Catalogue {
    name: &'static str,
    version: &'static str,
}

impl Catalogue {
    /// The built-in parts alone: the catalogue of the program `trunkline`.
    pub fn built_in() -> Self {
        Self::of(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
    }

    /// The catalogue of a researcher's crate. Give the crate's name and version with
    /// `env!("CARGO_PKG_NAME")` and `env!("CARGO_PKG_VERSION")`.
    pub fn of(name: &'static str, version: &'static str) -> Self {
        Self { name, version }
    }

    /// The crate's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The crate's version, with that of Trunkline if the crate is another one.
    pub(crate) fn version(&self) -> String {
        let own = Self::built_in();
        if self.name == own.name { own.version.into() } else { format!("{} (trunkline {})", self.version, own.version) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_crate_is_named_with_the_version_of_trunkline() {
        let ours = env!("CARGO_PKG_VERSION");
        assert_eq!(Catalogue::built_in().version(), ours);
        assert_eq!(Catalogue::of("mine", "0.3.0").version(), format!("0.3.0 (trunkline {ours})"));
    }
}

//! The parts that a binary adds to the built-in ones, and the crate that it comes from.

use aggregation::{optimizer, robust, schedule, weighting};
use model::{
    activation::{ACTIVATIONS, ActivationFn},
    architecture::{ARCHITECTURES, ArchitectureFn},
    module::{MODULES, ModuleFn},
    trunk::{TRUNKS, TrunkFn},
};
use objectives::{LOSSES, LossPart, METRICS, Metric};
use settings::{AddError, Entry, Registry};

/// The parts of a binary: the built-in ones, and those of a researcher's crate.
///
/// Each kind of part is a field. The experiment file names parts by the names under which they were
/// added.
///
/// # Example
/// A metric of one's own:
/// ```
/// use trunkline::{
///     Catalogue,
///     objectives::{Kind, Metric, metric::Measured},
/// };
///
/// /// The share of rows that have a label.
/// #[derive(Debug)]
/// struct Rows;
///
/// impl Metric for Rows {
///     fn kinds(&self) -> &'static [Kind] {
///         &Kind::ALL
///     }
///
///     fn higher_is_better(&self) -> bool {
///         true
///     }
///
///     fn value(&self, measured: &Measured<'_>) -> Option<f64> {
///         Some(measured.rows())
///     }
/// }
///
/// let mut catalogue = Catalogue::of(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
/// catalogue.metrics.add("rows", "number of rows with a label", &Rows);
/// // The whole of `main` then ends with `trunkline::run(catalogue)`.
/// ```
#[derive(Debug)]
pub struct Catalogue {
    name: &'static str,
    version: &'static str,
    /// Trunks and encoders: `trunk` and `encoder` of the model.
    pub trunks: Added<TrunkFn>,
    /// Activations: `activation` of trunks, encoders and heads.
    pub activations: Added<ActivationFn>,
    /// Architectures: `architecture` of the model.
    pub architectures: Added<ArchitectureFn>,
    /// Burn modules: `architecture = { module = "NAME" }` of the model.
    pub modules: Added<ModuleFn>,
    /// Loss functions: `loss` of a task.
    pub losses: Added<LossPart>,
    /// Metrics: `metrics` of a task.
    pub metrics: Added<&'static dyn Metric>,
    /// Weightings: `method` of `[weighting]`.
    pub weightings: Added<weighting::Build>,
    /// Optimizers: `optimizer` of `[train]`.
    pub optimizers: Added<optimizer::Read>,
    /// Learning-rate schedules: `schedule` of `[train]`.
    pub schedules: Added<schedule::Read>,
    /// Robust sums over microbatches: `robust` of `[train]`.
    pub robust_sums: Added<robust::Read>,
}

/// The parts of one kind that a binary adds.
#[derive(Debug)]
pub struct Added<T: 'static> {
    parts: Vec<(&'static str, &'static str, T)>,
}

impl<T> Default for Added<T> {
    fn default() -> Self {
        Self { parts: Vec::new() }
    }
}

impl<T> Added<T> {
    /// Adds a part: its name in the experiment file, one line that says what it is, and the part
    /// itself.
    pub fn add(&mut self, name: &'static str, summary: &'static str, part: T) {
        self.parts.push((name, summary, part));
    }

    fn register(self, registry: &Registry<T>, origin: &'static str) -> Result<(), AddError> {
        let entry = |(name, summary, part)| Entry { name, summary, origin, part };
        registry.add(self.parts.into_iter().map(entry).collect())
    }
}

impl Catalogue {
    /// The built-in parts alone: the catalogue of the program `trunkline`.
    pub fn built_in() -> Self {
        Self::of(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
    }

    /// The built-in parts, for a researcher's crate to add to. Give the crate's name and version
    /// with `env!("CARGO_PKG_NAME")` and `env!("CARGO_PKG_VERSION")`: they are the origin of what
    /// it adds.
    pub fn of(name: &'static str, version: &'static str) -> Self {
        Self {
            name,
            version,
            trunks: Added::default(),
            activations: Added::default(),
            architectures: Added::default(),
            modules: Added::default(),
            losses: Added::default(),
            metrics: Added::default(),
            weightings: Added::default(),
            optimizers: Added::default(),
            schedules: Added::default(),
            robust_sums: Added::default(),
        }
    }

    /// The crate's name.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// The crate's version, with that of Trunkline if the crate is another one.
    pub(crate) fn version(&self) -> String {
        let own = env!("CARGO_PKG_VERSION");
        if self.name == env!("CARGO_PKG_NAME") { own.into() } else { format!("{} (trunkline {own})", self.version) }
    }

    /// Adds the parts to the registries of this process, which never change afterwards.
    ///
    /// # Errors
    /// Two parts of one kind have one name, or the registries are in use.
    pub(crate) fn register(self) -> Result<(), AddError> {
        // Registries keep the text for as long as the program runs.
        let origin: &'static str = format!("{} {}", self.name, self.version).leak();
        self.trunks.register(&TRUNKS, origin)?;
        self.activations.register(&ACTIVATIONS, origin)?;
        self.architectures.register(&ARCHITECTURES, origin)?;
        self.modules.register(&MODULES, origin)?;
        self.losses.register(&LOSSES, origin)?;
        self.metrics.register(&METRICS, origin)?;
        self.weightings.register(&weighting::WEIGHTINGS, origin)?;
        self.optimizers.register(&optimizer::OPTIMIZERS, origin)?;
        self.schedules.register(&schedule::SCHEDULES, origin)?;
        self.robust_sums.register(&robust::ROBUST_SUMS, origin)
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

    #[test]
    fn parts_are_registered_with_the_crate_that_brings_them() {
        static REGISTRY: Registry<u8> = Registry::new("number", &[]);
        let mut numbers = Added::default();
        numbers.add("nine", "the ninth", 9);
        numbers.register(&REGISTRY, "mine 0.3.0").expect("the name is free");
        let entry = REGISTRY.find("nine").expect("it was added");
        assert_eq!((entry.part, entry.origin), (9, "mine 0.3.0"));
    }
}

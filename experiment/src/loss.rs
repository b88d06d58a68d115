//! What a task minimises: a loss of the registry and its parameters.

use objectives::{Kind, LOSSES, LossPart, loss};
use serde::{Deserialize, Serialize};
use settings::{Component, Invalid, Table};

/// A task's loss: a name, or a table with `kind` and the loss's parameters. The parameters are read
/// when the loss is [built](LossRef::build) for a kind of task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Component", into = "Component")]
pub struct LossRef(Component);

impl TryFrom<Component> for LossRef {
    type Error = Invalid;

    fn try_from(component: Component) -> Result<Self, Invalid> {
        LOSSES.named_by(&component)?;
        Ok(Self(component))
    }
}

impl From<LossRef> for Component {
    fn from(loss: LossRef) -> Self {
        loss.0
    }
}

impl LossRef {
    /// The loss of a task that names none.
    ///
    /// # Panics
    /// If no built-in loss fits the kind. Every kind has one.
    pub fn default_for(kind: Kind) -> Self {
        let entry = loss::of_kind(kind).next().expect("a loss that is built in fits the kind");
        Self(Component::named(entry.name))
    }

    /// The name in the experiment file.
    pub fn name(&self) -> &str {
        self.0.kind()
    }

    /// The parameters by key.
    pub fn parameters(&self) -> &Table {
        self.0.parameters()
    }

    fn part(&self) -> &'static LossPart {
        &LOSSES.find(self.name()).expect("the name was looked up when the loss was read").part
    }

    /// Whether a kind of task can have it.
    pub fn fits(&self, kind: Kind) -> bool {
        self.part().kinds.contains(&kind)
    }

    /// Whether the labels must stay in the target's own units.
    pub fn is_unscaled(&self) -> bool {
        self.part().unscaled
    }

    /// The loss function for a task of a kind.
    ///
    /// # Errors
    /// [`Invalid`] if the loss does not fit the kind, or a parameter is not allowed.
    pub fn build(&self, kind: Kind) -> Result<Box<dyn objectives::Loss>, Invalid> {
        self.read(kind).map(|(built, _)| built)
    }

    fn read(&self, kind: Kind) -> Result<(Box<dyn objectives::Loss>, Component), Invalid> {
        if !self.fits(kind) {
            let known: Vec<&str> = loss::of_kind(kind).map(|entry| entry.name).collect();
            let message = format!("`{}` is not a loss for tasks of kind {kind}", self.name());
            return Err(Invalid { message, ..Invalid::name("kind", self.name(), &known) });
        }
        LOSSES.read(&self.0, |part, reader| (part.read)(reader, kind))
    }

    /// This loss with some of its parameters set.
    #[must_use]
    pub fn with(self, parameters: Table) -> Self {
        Self(parameters.into_iter().fold(self.0, |component, (key, value)| component.with(&key, value)))
    }

    /// This loss with its defaults filled in, if it can be built for the kind.
    pub(crate) fn completed(self, kind: Kind) -> Self {
        match self.read(kind) {
            Ok((_, completed)) => Self(completed),
            Err(_) => self,
        }
    }
}

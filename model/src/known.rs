//! `[model]` of an experiment, read by the registries of trunks and architectures.

use experiment::{Component, Encoder, Experiment, ExperimentError, Loaded, Misfit, ModelParts};
use settings::{Invalid, Problem, Reader, Registry};

use std::path::Path;

use crate::ModelError;
use crate::activation::Activation;
use crate::architecture::{ARCHITECTURES, ArchitectureKind};
use crate::trunk::{Role, TRUNKS, TrunkKind};

/// The kind that a trunk or an encoder has if its table names none.
const DEFAULT_TRUNK: &str = "mlp";

/// Reads, checks and completes an experiment file: [`experiment::load`] with the models that this
/// binary knows.
///
/// # Errors
/// As [`experiment::load`].
pub fn load(path: &Path, sets: &[String]) -> Result<Loaded, ExperimentError> {
    experiment::load(path, sets, &KnownModels)
}

/// Reads, checks and completes the text of an experiment: [`experiment::parse`] with the models
/// that this binary knows.
///
/// # Errors
/// As [`experiment::parse`].
pub fn parse(text: &str, path: &Path, sets: &[String]) -> Result<Loaded, ExperimentError> {
    experiment::parse(text, path, sets, &KnownModels)
}

/// The models that this binary knows.
#[derive(Debug, Clone, Copy)]
pub struct KnownModels;

impl ModelParts for KnownModels {
    fn complete(&self, experiment: &mut Experiment) -> Result<(), Misfit> {
        let model = &mut experiment.model;
        let (architecture, completed) = architecture(&model.architecture).map_err(at(&["model", "architecture"]))?;
        model.architecture = completed;
        let (trunk, completed) = trunk(&model.trunk).map_err(at(&["model", "trunk"]))?;
        if architecture.has_trunk() {
            model.trunk = completed;
        } else if !model.trunk.is_default() {
            let message = format!("`{}` stands in the trunk's place; leave `trunk` out", model.architecture.kind());
            return Err(at(&["model", "trunk"])(Invalid::new("kind", message)));
        }
        if let Some(given) = &mut model.encoder {
            (_, *given) = encoder(given, &*trunk).map_err(at(&["model", "encoder"]))?;
        }
        for (name, task) in &mut experiment.tasks {
            if let Some(given) = &mut task.head.activation {
                (_, *given) = Activation::of(given).map_err(at(&["task", name, "head", "activation"]))?;
            }
        }
        for (name, dataset) in &mut experiment.datasets {
            datasets::complete_inputs(dataset)
                .map_err(|(input, invalid)| at(&["dataset", name, "input", &input])(invalid))?;
            if let Some(given) = &mut dataset.encoder {
                (_, *given) = encoder(given, &*trunk).map_err(at(&["dataset", name, "encoder"]))?;
            }
        }
        Ok(())
    }
}

fn at(path: &[&str]) -> impl FnOnce(Invalid) -> Misfit {
    let path = path.iter().map(|&key| key.to_owned()).collect();
    move |invalid| Misfit { path, invalid }
}

/// The architecture that an experiment names, and the component with its defaults filled in.
pub(crate) fn architecture(given: &Component) -> Result<(Box<dyn ArchitectureKind>, Component), Invalid> {
    let default = if given.parameters().contains_key("module") { "module" } else { "hard_sharing" };
    read(&ARCHITECTURES, given, default, &[], |part, reader| part(reader))
}

/// The trunk that an experiment names, and the component with its defaults filled in.
pub(crate) fn trunk(given: &Component) -> Result<(Box<dyn TrunkKind>, Component), Invalid> {
    read(&TRUNKS, given, DEFAULT_TRUNK, &[], |part, reader| part(reader, Role::Trunk))
}

/// The encoder that an experiment names, and the component with its defaults filled in. No encoder
/// for `none`.
pub(crate) fn encoder(
    given: &Component,
    trunk: &dyn TrunkKind,
) -> Result<(Option<Box<dyn TrunkKind>>, Component), Invalid> {
    if given.kind() == Encoder::NONE && given.parameters().is_empty() {
        return Ok((None, given.clone()));
    }
    let role = Role::Encoder { activation: trunk.activation(), width: trunk.entry_width() };
    let (kind, completed) = read(&TRUNKS, given, DEFAULT_TRUNK, &[Encoder::NONE], |part, reader| part(reader, role))?;
    Ok((Some(kind), completed))
}

/// The part that a component names. `others` are allowed names that the registry does not have.
fn read<T, P>(
    registry: &Registry<T>,
    given: &Component,
    default: &str,
    others: &[&'static str],
    read: impl FnOnce(&T, &mut Reader<'_>) -> Result<P, Invalid>,
) -> Result<(P, Component), Invalid> {
    registry.read(&given.clone().or(default), read).map_err(|invalid| match &invalid.problem {
        Problem::Name(name) if invalid.path == ["kind"] => {
            let known: Vec<&str> = others.iter().copied().chain(registry.names()).collect();
            Invalid::name("kind", name, &known)
        }
        _ => invalid,
    })
}

/// A refusal of a part when the network is built.
pub(crate) fn refused(part: &str) -> impl FnOnce(Invalid) -> ModelError {
    let part = part.to_owned();
    move |invalid| ModelError::Setting { part, invalid }
}

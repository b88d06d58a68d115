//! A researcher's own burn module as an architecture.
//!
//! The module is between the encoders and the heads. It is written as any burn module is, with
//! `#[derive(Module)]`. Its parameters become blocks of the layout by their paths in the module. So
//! weightings, optimizers, checkpoints and any number of workers work as for built-in parts. burn
//! initialises nothing at random: initial values come from [`MultiTaskModule::init`] and the
//! experiment's seed.

use std::fmt;

use burn::module::{Flag, Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Bool, Device, Int, Tensor};
use settings::{Entry, Invalid, Reader, Registry};

use super::{Architecture, ArchitectureFn, ArchitectureKind, Parts, Wanted};
use crate::ModelError;
use crate::forward::Forward;
use crate::initial::Init;
use crate::scope::{LayerId, Scope};
use crate::value::{RowShape, Value};

pub(super) const ENTRY: Entry<ArchitectureFn> = Entry::built_in(
    "module",
    "a researcher's own burn module, in place of the trunk; `{ module = \"my_net\" }` is short for it",
    ModuleArchitecture::read,
);

/// Makes a module for the parts of a network.
pub type ModuleFn = fn(&Parts<'_>, &Device) -> Result<Box<dyn AnyModule>, ModelError>;

/// A researcher's modules. A binary adds its own before it starts.
pub static MODULES: Registry<ModuleFn> = Registry::new("module", &[]);

/// A burn module that makes what the tasks' heads get.
///
/// # Example
/// One shared layer, and a layer for each task:
/// ```
/// use burn::module::Module;
/// use burn::nn::{Linear, LinearConfig};
/// use burn::tensor::{Device, Tensor, activation};
/// use model::module::{MODULES, MultiTaskModule, Random};
/// use model::{Parts, Value, Wanted};
/// use settings::Entry;
///
/// #[derive(Module, Debug)]
/// struct TwoLayers {
///     shared: Linear,
///     own: Vec<Linear>,
/// }
///
/// impl TwoLayers {
///     fn new(parts: &Parts<'_>, device: &Device) -> Self {
///         let own = || LinearConfig::new(16, 8).init(device);
///         Self {
///             shared: LinearConfig::new(parts.entry.width(), 16).init(device),
///             own: parts.tasks.iter().map(|_| own()).collect(),
///         }
///     }
/// }
///
/// impl MultiTaskModule for TwoLayers {
///     fn output(&self, _task: usize) -> usize {
///         8
///     }
///
///     fn forward(&self, x: Value, wanted: &[Wanted], random: &Random<'_>) -> Vec<Tensor<2>> {
///         let x = activation::relu(self.shared.forward(x.into_vectors()));
///         let x = random.dropout(x, 0.1, 0);
///         let rows = |w: &Wanted| x.clone().narrow(0, w.rows.start, w.rows.len());
///         let of_task = |w: &Wanted| self.own[w.task].forward(rows(w));
///         wanted.iter().map(of_task).collect()
///     }
///
///     fn reach(&self, path: &str) -> Option<Vec<usize>> {
///         let task = path.strip_prefix("own.")?.split('.').next()?;
///         Some(vec![task.parse().ok()?])
///     }
/// }
///
/// // `[model] architecture = { module = "two_layers" }`
/// MODULES
///     .add(vec![Entry {
///         name: "two_layers",
///         summary: "a shared layer, and one a task",
///         origin: concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")),
///         part: |parts, device| Ok(Box::new(TwoLayers::new(parts, device))),
///     }])
///     .expect("the name is free");
/// ```
pub trait MultiTaskModule: Module + Sync + 'static {
    /// The width of the rows that a task's head gets.
    fn output(&self, task: usize) -> usize;

    /// The inputs of the heads of the wanted tasks, in the order of `wanted`: `[rows, width]` for
    /// each, with its own rows. `x` has the rows of all feeds of the pass. Random numbers must come
    /// from `random`.
    fn forward(&self, x: Value, wanted: &[Wanted], random: &Random<'_>) -> Vec<Tensor<2>>;

    /// The tasks, by index, whose outputs depend on the parameter at this path (such as
    /// `shared.weight`). `None` if all do.
    fn reach(&self, path: &str) -> Option<Vec<usize>> {
        let _ = path;
        None
    }

    /// The distribution of the initial values of the parameter at this path. By default it is one
    /// for `gamma`, zero for other vectors, and PyTorch's for linear layers (`[inputs, outputs]`,
    /// as burn has them) and for convolutions.
    fn init(&self, path: &str, shape: &[usize]) -> Init {
        match shape {
            [_] if path.ends_with("gamma") => Init::Constant(1.0),
            [_] => Init::Constant(0.0),
            [inputs, _] => Init::FanIn((*inputs).max(1)),
            _ => Init::FanIn(shape.iter().skip(1).product::<usize>().max(1)),
        }
    }
}

/// The random numbers of a pass. They are functions of the seed, step, feed, microbatch, place and
/// element, so they are the same for any number of workers.
#[derive(Debug)]
pub struct Random<'a> {
    forward: &'a Forward<'a>,
    first: LayerId,
}

impl Random<'_> {
    /// Drops a share `rate`, in `[0, 1)`, of the elements of `x`, `[rows, ..]`, which are all rows
    /// of the pass. An evaluation drops nothing. Each call in a module needs another `place`.
    pub fn dropout<const D: usize>(&self, x: Tensor<D>, rate: f32, place: u16) -> Tensor<D> {
        self.forward.dropout(x, self.layer(place), rate)
    }

    /// [`Random::dropout`] for rows of one task.
    pub fn dropout_of<const D: usize>(&self, x: Tensor<D>, wanted: &Wanted, rate: f32, place: u16) -> Tensor<D> {
        self.forward.rows(wanted.rows.clone()).dropout(x, self.layer(place), rate)
    }

    /// Whether this is a pass of the training.
    pub fn is_training(&self) -> bool {
        self.forward.is_training()
    }

    fn layer(&self, place: u16) -> LayerId {
        LayerId(self.first.0 + u32::from(place))
    }
}

/// A [`MultiTaskModule`] of any type.
pub trait AnyModule: sealed::Erased {}

impl<M: MultiTaskModule> AnyModule for M {}

mod sealed {
    use super::*;

    /// What the network needs of a module whose type it does not know.
    pub trait Erased: Send + Sync {
        fn output(&self, task: usize) -> usize;
        fn declare(&self, tasks: usize, scope: &mut Scope<'_>) -> Result<Vec<(usize, usize)>, String>;
        fn represent(
            &self,
            x: Value,
            wanted: &[Wanted],
            random: &Random<'_>,
            blocks: &[(usize, usize)],
        ) -> Vec<Tensor<2>>;
    }

    impl<M: MultiTaskModule> Erased for M {
        fn output(&self, task: usize) -> usize {
            MultiTaskModule::output(self, task)
        }

        fn declare(&self, tasks: usize, scope: &mut Scope<'_>) -> Result<Vec<(usize, usize)>, String> {
            let mut declaration =
                Declaration { module: self, tasks, scope, path: Vec::new(), blocks: Vec::new(), refused: None };
            self.visit(&mut declaration);
            declaration.refused.map_or(Ok(declaration.blocks), Err)
        }

        fn represent(
            &self,
            x: Value,
            wanted: &[Wanted],
            random: &Random<'_>,
            blocks: &[(usize, usize)],
        ) -> Vec<Tensor<2>> {
            let mut binding = Binding { forward: random.forward, blocks: blocks.iter() };
            MultiTaskModule::forward(&self.clone().map(&mut binding), x, wanted, random)
        }
    }
}

/// Declares a module's parameters in the order in which they are visited, and refuses layers that
/// would give other bits with other workers.
struct Declaration<'a, 'b, M> {
    module: &'a M,
    /// The number of tasks.
    tasks: usize,
    scope: &'a mut Scope<'b>,
    /// The names and types of the containers that the visitor is in.
    path: Vec<(String, String)>,
    blocks: Vec<(usize, usize)>,
    refused: Option<String>,
}

impl<M> Declaration<'_, '_, M> {
    fn path(&self) -> String {
        self.path.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(".")
    }

    fn refuse(&mut self, reason: impl fmt::Display) {
        let path = self.path();
        self.refused.get_or_insert_with(|| format!("`{path}` {reason}"));
    }
}

impl<M: MultiTaskModule> ModuleVisitor for Declaration<'_, '_, M> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.push((name.to_owned(), container.to_owned()));
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        let (path, shape) = (self.path(), parameter.lazy_shape());
        let shape: [usize; D] = shape.dims();
        let init = self.module.init(&path, &shape);
        let parameter = match self.module.reach(&path) {
            None => self.scope.parameter(&path, shape, init),
            Some(tasks) if tasks.is_empty() || tasks.iter().any(|task| *task >= self.tasks) => {
                return self.refuse(format!("is reached by tasks {tasks:?}, and tasks are 0 to {}", self.tasks - 1));
            }
            Some(tasks) => self.scope.reached_by(tasks).parameter(&path, shape, init),
        };
        self.blocks.push((parameter.block, parameter.range().len()));
    }

    fn visit_int<const D: usize>(&mut self, _parameter: &Param<Tensor<D, Int>>) {
        self.refuse("is a parameter of whole numbers, which can't be trained; make it a constant");
    }

    fn visit_bool<const D: usize>(&mut self, _parameter: &Param<Tensor<D, Bool>>) {
        self.refuse("is a parameter of truth values, which can't be trained; make it a constant");
    }

    fn visit_flag(&mut self, _flag: &Param<Flag>) {
        let container = self.path.last().map_or("", |(_, container)| container.as_str());
        match container.strip_prefix("Struct:").unwrap_or(container) {
            "BatchNorm" => self.refuse(
                "is of burn's BatchNorm, whose running statistics would be hidden state of a worker; use GroupNorm or LayerNorm",
            ),
            "Dropout" => self.refuse(
                "is of burn's Dropout, whose masks would be other ones on each worker; use `random.dropout`",
            ),
            other => self.refuse(format!(
                "is the training flag of burn's {other}, whose random numbers or state would be other ones on each worker; \
                 take random numbers from `random`"
            )),
        }
    }
}

/// Gives a module's parameters the values of a pass, in the order in which they were declared.
struct Binding<'a> {
    forward: &'a Forward<'a>,
    blocks: std::slice::Iter<'a, (usize, usize)>,
}

impl ModuleMapper for Binding<'_> {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (block, _) = self.blocks.next().expect("a module is mapped in the order in which it is visited");
        let shape: [usize; D] = parameter.lazy_shape().dims();
        Param::initialized(parameter.id, self.forward.block(*block).reshape(shape))
    }
}

/// `module`: the researcher's module of a name, in the scope `module`.
#[derive(Debug)]
pub struct ModuleArchitecture {
    name: String,
    make: ModuleFn,
}

impl ModuleArchitecture {
    /// Reads the module's name.
    ///
    /// # Errors
    /// [`Invalid`] if it is missing, or if this binary has no such module.
    pub fn read(reader: &mut Reader<'_>) -> Result<Box<dyn ArchitectureKind>, Invalid> {
        const KEY: &str = "module";
        let name = reader.required_text(KEY, "the name of a module of this binary", "the module")?;
        let Some(entry) = MODULES.find(&name) else {
            let known = MODULES.names();
            let has = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let message =
                format!("this binary has no module `{name}`; it has {has}. A researcher's own binary adds some");
            return Err(Invalid { message, ..Invalid::name(KEY, &name, &known) });
        };
        Ok(Box::new(Self { name, make: entry.part }))
    }
}

/// A module with the blocks of its parameters.
struct Bound {
    module: Box<dyn AnyModule>,
    /// The number and the length of each block, in the order in which the module is visited.
    blocks: Vec<(usize, usize)>,
    first: LayerId,
}

impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bound").field("blocks", &self.blocks).finish_non_exhaustive()
    }
}

impl ArchitectureKind for ModuleArchitecture {
    fn has_trunk(&self) -> bool {
        false
    }

    fn build(&self, parts: &Parts<'_>, scope: &mut Scope<'_>) -> Result<Box<dyn Architecture>, ModelError> {
        let refuse = |reason: String| ModelError::Module { module: self.name.clone(), reason };
        let module = (self.make)(parts, parts.device)?;
        let first = scope.layers(1 << u16::BITS);
        let blocks = module.declare(parts.tasks.len(), &mut scope.at("module")).map_err(refuse)?;
        Ok(Box::new(Bound { module, blocks, first }))
    }
}

impl Architecture for Bound {
    fn output(&self, task: usize) -> RowShape {
        RowShape::Vector { width: self.module.output(task) }
    }

    fn multiply_adds(&self, _tasks: &[usize]) -> u64 {
        self.blocks.iter().map(|(_, len)| *len as u64).sum()
    }

    fn represent(&self, x: Value, wanted: &[Wanted], forward: &Forward<'_>) -> Vec<Value> {
        let random = Random { forward, first: self.first };
        self.module.represent(x, wanted, &random, &self.blocks).into_iter().map(Value::Vectors).collect()
    }
}

//! Declares the contents of a network.
//!
//! A layer declares its parameters through a [`Scope`]: their name, shape, initial values and the
//! tasks that reach them. The layout of the flat vector, the initial values and the numbers that
//! name a layer's random numbers follow from the order of the declarations.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::Range;

use crate::Layout;
use crate::initial::Init;

/// A place in the network: the path in the names of parameters, and the tasks that reach it.
#[derive(Debug)]
pub struct Scope<'a> {
    declared: &'a mut Declared,
    path: String,
    tasks: BTreeSet<usize>,
}

/// Everything that was declared so far.
#[derive(Debug, Default)]
pub(crate) struct Declared {
    pub(crate) layout: Layout,
    /// The initial values, by block of the layout.
    pub(crate) initial: Vec<Init>,
    layers: u32,
}

/// A parameter of `D` dimensions: a block of the layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param<const D: usize> {
    pub(crate) block: usize,
    shape: [usize; D],
    range: Range<usize>,
}

/// The number of a layer, which names its random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerId(pub(crate) u32);

impl<const D: usize> Param<D> {
    /// The shape.
    pub fn shape(&self) -> [usize; D] {
        self.shape
    }

    /// The places in the flat vector of all parameters.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }
}

impl Declared {
    /// The top of the network. Its path is empty, and `tasks` reach it.
    pub(crate) fn scope(&mut self, tasks: BTreeSet<usize>) -> Scope<'_> {
        Scope { declared: self, path: String::new(), tasks }
    }
}

impl Scope<'_> {
    /// The place `name` in this one: `trunk` becomes `trunk.0`.
    pub fn at(&mut self, name: impl Display) -> Scope<'_> {
        let path = self.named(name);
        Scope { declared: self.declared, path, tasks: self.tasks.clone() }
    }

    /// This place for some of the tasks only, by their indices.
    pub fn reached_by(&mut self, tasks: impl IntoIterator<Item = usize>) -> Scope<'_> {
        Scope { declared: self.declared, path: self.path.clone(), tasks: tasks.into_iter().collect() }
    }

    /// Declares a parameter.
    pub fn parameter<const D: usize>(&mut self, name: impl Display, shape: [usize; D], init: Init) -> Param<D> {
        let name = self.named(name);
        let range = self.declared.layout.push(name, shape.to_vec(), self.tasks.clone());
        self.declared.initial.push(init);
        Param { block: self.declared.initial.len() - 1, shape, range }
    }

    /// The path in the names of parameters, such as `trunk.0`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Numbers one more layer of the network.
    pub fn layer(&mut self) -> LayerId {
        self.layers(1)
    }

    /// Numbers `count` more layers and returns the first of these numbers.
    pub(crate) fn layers(&mut self, count: u32) -> LayerId {
        self.declared.layers += count;
        LayerId(self.declared.layers - count)
    }

    fn named(&self, name: impl Display) -> String {
        if self.path.is_empty() { name.to_string() } else { format!("{}.{name}", self.path) }
    }
}

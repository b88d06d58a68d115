//! `mmoe`: multi-gate mixture of experts (Ma et al., KDD 2018).

use burn::tensor::{Tensor, activation};
use settings::{Entry, Invalid, Reader};

use super::{Architecture, ArchitectureFn, ArchitectureKind, Parts, Wanted};
use crate::ModelError;
use crate::forward::Forward;
use crate::layer::{Dense, Stack};
use crate::scope::Scope;
use crate::value::{RowShape, Value};

pub(super) const ENTRY: Entry<ArchitectureFn> = Entry::built_in(
    "mmoe",
    "several trunks, the experts, and a gate a task: a head gets the sum of the experts' outputs, weighted by a \
     softmax of a linear layer of the trunk's input (Ma et al., KDD 2018)",
    Mmoe::read,
);

/// Several trunks, the experts, in the scopes `expert.0`, `expert.1`, ..., and a gate a task in
/// `gate.TASK`. A task's head gets the sum of the experts' outputs, each weighted by the task's
/// gate: the softmax of a linear layer of the trunk's input, with a bias (equations 5 to 7; the
/// paper's gates have no bias).
#[derive(Debug)]
pub struct Mmoe {
    /// The number of experts.
    experts: usize,
}

#[derive(Debug)]
struct Experts {
    experts: Vec<Stack>,
    /// The gates, by task.
    gates: Vec<Stack>,
}

impl Mmoe {
    /// Reads the number of experts.
    ///
    /// # Errors
    /// [`Invalid`] if it is not allowed.
    pub fn read(reader: &mut Reader<'_>) -> Result<Box<dyn ArchitectureKind>, Invalid> {
        let experts = reader.count("experts", 4, 1..=1024, "number of trunks")?;
        Ok(Box::new(Self { experts: experts as usize }))
    }
}

impl ArchitectureKind for Mmoe {
    fn build(&self, parts: &Parts<'_>, scope: &mut Scope<'_>) -> Result<Box<dyn Architecture>, ModelError> {
        let mut experts = Vec::with_capacity(self.experts);
        for number in 0..self.experts {
            experts.push(parts.trunk.build(parts.entry, &mut scope.at("expert").at(number))?);
        }
        let gate = |(task, shape): (usize, &experiment::TaskShape)| {
            let mut gate = Stack::new(parts.entry);
            gate.flatten();
            let inputs = gate.output().width();
            gate.push(Dense::new(inputs, self.experts, &mut scope.at("gate").at(&shape.name).reached_by([task])));
            gate
        };
        Ok(Box::new(Experts { experts, gates: parts.tasks.iter().enumerate().map(gate).collect() }))
    }
}

impl Architecture for Experts {
    fn output(&self, _task: usize) -> RowShape {
        RowShape::Vector { width: self.experts[0].output().width() }
    }

    fn multiply_adds(&self, tasks: &[usize]) -> u64 {
        let width = self.experts[0].output().width() as u64;
        let of_task = |task: usize| self.gates[task].multiply_adds() + width * self.experts.len() as u64;
        self.experts.iter().map(Stack::multiply_adds).sum::<u64>()
            + tasks.iter().map(|&task| of_task(task)).sum::<u64>()
    }

    fn represent(&self, x: Value, wanted: &[Wanted], forward: &Forward<'_>) -> Vec<Value> {
        let of_expert = |expert: &Stack| expert.forward(x.clone(), forward).into_vectors();
        let experts: Vec<Tensor<2>> = self.experts.iter().map(of_expert).collect();
        let of_task = |Wanted { task, rows }: &Wanted| {
            let gate = self.gates[*task].forward(x.clone().rows(rows.clone()), &forward.rows(rows.clone()));
            let gate = activation::softmax(gate.into_vectors(), 1);
            let weighted = experts.iter().enumerate().map(|(number, expert)| {
                expert.clone().narrow(0, rows.start, rows.len()) * gate.clone().narrow(1, number, 1)
            });
            Value::Vectors(weighted.reduce(|sum, term| sum + term).expect("there is at least one expert"))
        };
        wanted.iter().map(of_task).collect()
    }
}

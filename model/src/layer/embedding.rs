//! Embeddings of categories.

use burn::tensor::Tensor;
use experiment::EmbeddingShape;

use super::{HostLayer, Layer};
use crate::forward::Forward;
use crate::initial::Init;
use crate::scope::{Param, Scope};
use crate::value::{RowShape, Value};

/// Looks the ids of a table's row up in tables of vectors, one for each column, and appends these
/// vectors to the row's numbers. Column `c` has the parameter `embedding.c.weight`,
/// `[rows, width]`.
#[derive(Debug)]
pub struct Embedding {
    dense: usize,
    tables: Vec<Param<2>>,
}

impl Embedding {
    /// Tables for these columns, after `dense` numbers.
    pub fn new(dense: usize, columns: &[EmbeddingShape], scope: &mut Scope<'_>) -> Self {
        let mut scope = scope.at("embedding");
        let table = |column: &EmbeddingShape| {
            scope.at(&column.column).parameter("weight", [column.rows, column.width], Init::Normal)
        };
        Self { dense, tables: columns.iter().map(table).collect() }
    }
}

impl Layer for Embedding {
    fn output(&self) -> RowShape {
        RowShape::Vector { width: self.dense + self.tables.iter().map(|table| table.shape()[1]).sum::<usize>() }
    }

    fn forward(&self, x: Value, forward: &Forward<'_>) -> Value {
        let Value::Table { dense, ids } = x else { panic!("embeddings are looked up in rows of a table") };
        let looked_up = self.tables.iter().zip(ids).map(|(table, ids)| forward.parameter(table).select(0, ids));
        let mut parts: Vec<Tensor<2>> = dense.into_iter().chain(looked_up).collect();
        Value::Vectors(if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(parts, 1) })
    }

    fn host(&self) -> Option<HostLayer> {
        let tables = self.tables.iter().map(|table| (table.shape()[0], table.shape()[1], table.range()));
        Some(HostLayer::Embedding { dense: self.dense, tables: tables.collect() })
    }
}

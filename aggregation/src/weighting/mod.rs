//! Weightings: how per-task losses or gradients become one update.
//!
//! [`Weighting`] is what `[weighting]` of the experiment file says.

use serde::{Deserialize, Serialize};

use crate::table::{Invalid, Table, Value};

/// A method with its parameters: `method = "sum"`, further keys are the method's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Table")]
pub struct Weighting {
    /// The method's name.
    pub method: String,
    /// Its parameters, defaults filled in.
    #[serde(flatten)]
    pub parameters: Table,
}

impl Default for Weighting {
    fn default() -> Self {
        Self { method: "sum".to_owned(), parameters: Table::new() }
    }
}

impl TryFrom<Table> for Weighting {
    type Error = Invalid;

    fn try_from(mut table: Table) -> Result<Self, Invalid> {
        match table.remove("method") {
            Some(Value::Text(method)) => Ok(Self { method, parameters: table }),
            Some(value) => Err(Invalid::value("method", value, "a name")),
            None => Err(Invalid::missing("method", "a name")),
        }
    }
}

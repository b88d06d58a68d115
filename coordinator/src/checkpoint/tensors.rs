//! Safetensors files: blocks of the flat parameter vector, and named vectors of state.

use std::collections::HashMap;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use crate::digest::sha256;

/// A named part of the flat parameter vector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedBlock {
    /// The layout's name, for example `trunk.0.weight`.
    pub name: String,
    /// The sizes of its axes. Their product is the number of its elements.
    pub shape: Vec<usize>,
    /// The index of its first element in the flat vector.
    pub offset: usize,
}

impl SavedBlock {
    /// The number of its elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// A named vector of state.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Its name, which is unique among the vectors of its file.
    pub name: String,
    /// Its elements.
    pub values: Values,
}

impl Tensor {
    /// A vector called `name`.
    pub fn new(name: impl Into<String>, values: impl Into<Values>) -> Tensor {
        Tensor { name: name.into(), values: values.into() }
    }
}

/// The elements of a [`Tensor`].
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Single precision.
    F32(Vec<f32>),
    /// Double precision.
    F64(Vec<f64>),
}

impl From<Vec<f32>> for Values {
    fn from(values: Vec<f32>) -> Values {
        Values::F32(values)
    }
}

impl From<Vec<f64>> for Values {
    fn from(values: Vec<f64>) -> Values {
        Values::F64(values)
    }
}

/// The sha256 of the little-endian f32 bytes of all parameters in layout order, as 64 lowercase
/// hexadecimal digits.
pub fn parameters_sha256(parameters: &[f32]) -> String {
    sha256(&le_bytes(parameters))
}

/// The little-endian bytes of f32 numbers.
fn le_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// The bytes of the model's file: one tensor for each block.
///
/// # Errors
/// The blocks don't cover each parameter exactly once, or two blocks have the same name.
pub(super) fn of_blocks(blocks: &[SavedBlock], parameters: &[f32]) -> Result<Vec<u8>, String> {
    let mut by_offset: Vec<&SavedBlock> = blocks.iter().collect();
    by_offset.sort_by_key(|b| b.offset);
    let mut end = 0;
    for block in &by_offset {
        if block.offset != end {
            return Err(format!(
                "block {} starts at {}, and the one before it ends at {end}",
                block.name, block.offset
            ));
        }
        end += block.elements();
    }
    if end != parameters.len() {
        return Err(format!("the blocks cover {end} of {} parameters", parameters.len()));
    }
    let bytes = le_bytes(parameters);
    let views = blocks
        .iter()
        .map(|b| (b.name.as_str(), Dtype::F32, b.shape.clone(), &bytes[4 * b.offset..4 * (b.offset + b.elements())]));
    serialize(views.collect())
}

/// The flat parameter vector from the bytes of the model's file.
///
/// # Errors
/// The file's tensors are not those of the blocks, or the blocks leave a gap or overlap.
pub(super) fn to_blocks(file: &[u8], blocks: &[SavedBlock]) -> Result<Vec<f32>, String> {
    let tensors = SafeTensors::deserialize(file).map_err(|e| e.to_string())?;
    if tensors.len() != blocks.len() {
        return Err(format!("it has {} tensors for {} blocks", tensors.len(), blocks.len()));
    }
    let mut by_offset = Vec::with_capacity(blocks.len());
    for block in blocks {
        let tensor = tensors.tensor(&block.name).map_err(|e| format!("{}: {e}", block.name))?;
        if tensor.dtype() != Dtype::F32 || tensor.shape() != block.shape {
            return Err(format!(
                "{} is {:?} {:?}, not F32 {:?}",
                block.name,
                tensor.dtype(),
                tensor.shape(),
                block.shape
            ));
        }
        by_offset.push((block, tensor));
    }
    // The lengths below are those of the file's tensors. A manifest that lies can't make us
    // allocate.
    by_offset.sort_by_key(|(block, _)| block.offset);
    let mut parameters = Vec::new();
    for (block, tensor) in by_offset {
        if block.offset != parameters.len() {
            let end = parameters.len();
            return Err(format!("{} starts at {}, and the one before it ends at {end}", block.name, block.offset));
        }
        parameters.extend(tensor.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)));
    }
    Ok(parameters)
}

/// The bytes of a file of named vectors.
///
/// # Errors
/// Two vectors have the same name.
pub(super) fn of_tensors(tensors: &[Tensor]) -> Result<Vec<u8>, String> {
    let bytes: Vec<Vec<u8>> = tensors.iter().map(|t| t.values.le_bytes()).collect();
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|(t, bytes)| (t.name.as_str(), t.values.dtype(), vec![t.values.elements()], bytes.as_slice()));
    serialize(views.collect())
}

/// The vectors of a file, in the order of `names`.
///
/// # Errors
/// The file's tensors are not those called `names`, or one is neither F32 nor F64.
pub(super) fn to_tensors(file: &[u8], names: &[String]) -> Result<Vec<Tensor>, String> {
    let tensors = SafeTensors::deserialize(file).map_err(|e| e.to_string())?;
    if tensors.len() != names.len() {
        return Err(format!("it has {} tensors, the manifest names {}", tensors.len(), names.len()));
    }
    let read = |name: &String| {
        let tensor = tensors.tensor(name).map_err(|e| format!("{name}: {e}"))?;
        let values = Values::from_le_bytes(tensor.dtype(), tensor.data());
        Ok(Tensor {
            name: name.clone(),
            values: values.ok_or_else(|| format!("{name} is {:?}, not F32 or F64", tensor.dtype()))?,
        })
    };
    names.iter().map(read).collect()
}

/// A tensor for a file: name, type, shape, bytes.
type Named<'a> = (&'a str, Dtype, Vec<usize>, &'a [u8]);

fn serialize(tensors: Vec<Named<'_>>) -> Result<Vec<u8>, String> {
    let mut views = HashMap::with_capacity(tensors.len());
    for (name, dtype, shape, bytes) in tensors {
        let view = TensorView::new(dtype, shape, bytes).map_err(|e| format!("{name}: {e}"))?;
        if views.insert(name, view).is_some() {
            return Err(format!("two tensors are called {name}"));
        }
    }
    // Safetensors sorts by type and name, so the bytes don't depend on the map's order.
    safetensors::serialize(views, None).map_err(|e| e.to_string())
}

impl Values {
    /// The number of elements.
    fn elements(&self) -> usize {
        match self {
            Values::F32(values) => values.len(),
            Values::F64(values) => values.len(),
        }
    }

    fn dtype(&self) -> Dtype {
        match self {
            Values::F32(_) => Dtype::F32,
            Values::F64(_) => Dtype::F64,
        }
    }

    fn le_bytes(&self) -> Vec<u8> {
        match self {
            Values::F32(values) => le_bytes(values),
            Values::F64(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        }
    }

    fn from_le_bytes(dtype: Dtype, bytes: &[u8]) -> Option<Values> {
        match dtype {
            Dtype::F32 => Some(Values::F32(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect())),
            Dtype::F64 => Some(Values::F64(bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect())),
            _ => None,
        }
    }
}

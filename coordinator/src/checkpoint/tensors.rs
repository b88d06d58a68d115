//! Safetensors files: blocks of the flat parameter vector, and named vectors of state.

use std::collections::HashMap;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::{Block, Tensor, Values};

/// The little-endian bytes of f32 numbers.
pub(super) fn le_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// The file of the model: one tensor a block.
///
/// # Errors
/// The blocks don't cover the parameters, each exactly once, or a name is there twice.
pub(super) fn of_blocks(blocks: &[Block], parameters: &[f32]) -> Result<Vec<u8>, String> {
    let mut by_offset: Vec<&Block> = blocks.iter().collect();
    by_offset.sort_by_key(|b| b.offset);
    let mut end = 0;
    for block in &by_offset {
        if block.offset != end {
            return Err(format!(
                "block {} starts at {}, and the one before it ends at {end}",
                block.name, block.offset
            ));
        }
        end += block.len();
    }
    if end != parameters.len() {
        return Err(format!("the blocks cover {end} of {} parameters", parameters.len()));
    }
    let bytes = le_bytes(parameters);
    let views = blocks
        .iter()
        .map(|b| (b.name.as_str(), Dtype::F32, b.shape.clone(), &bytes[4 * b.offset..4 * (b.offset + b.len())]));
    serialize(views.collect())
}

/// The flat vector from the file of the model.
///
/// # Errors
/// The file has other tensors than the blocks.
pub(super) fn to_blocks(file: &[u8], blocks: &[Block]) -> Result<Vec<f32>, String> {
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
    // From here on the lengths are those of data that are there, not those that a manifest claims.
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

/// A file of named vectors.
///
/// # Errors
/// A name is there twice.
pub(super) fn of_tensors(tensors: &[Tensor]) -> Result<Vec<u8>, String> {
    let bytes: Vec<Vec<u8>> = tensors.iter().map(|t| t.values.le_bytes()).collect();
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|(t, bytes)| (t.name.as_str(), t.values.dtype(), vec![t.values.len()], bytes.as_slice()));
    serialize(views.collect())
}

/// The vectors called `names`, in that order.
///
/// # Errors
/// The file has other tensors than those.
pub(super) fn to_tensors(file: &[u8], names: &[String]) -> Result<Vec<Tensor>, String> {
    let tensors = SafeTensors::deserialize(file).map_err(|e| e.to_string())?;
    if tensors.len() != names.len() {
        return Err(format!("it has {} tensors, the manifest names {}", tensors.len(), names.len()));
    }
    let read = |name: &String| {
        let tensor = tensors.tensor(name).map_err(|e| format!("{name}: {e}"))?;
        let values = Values::from_le_bytes(tensor.dtype(), tensor.data());
        Ok(Tensor { name: name.clone(), values: values.ok_or_else(|| format!("{name} is {:?}", tensor.dtype()))? })
    };
    names.iter().map(read).collect()
}

/// A tensor as it goes into a file: name, type, shape, bytes.
type Named<'a> = (&'a str, Dtype, Vec<usize>, &'a [u8]);

fn serialize(tensors: Vec<Named<'_>>) -> Result<Vec<u8>, String> {
    let mut views = HashMap::with_capacity(tensors.len());
    for (name, dtype, shape, bytes) in tensors {
        let view = TensorView::new(dtype, shape, bytes).map_err(|e| format!("{name}: {e}"))?;
        if views.insert(name, view).is_some() {
            return Err(format!("{name} is there twice"));
        }
    }
    // Safetensors orders by type and name, so the bytes don't depend on the map's order.
    safetensors::serialize(views, None).map_err(|e| e.to_string())
}

impl Values {
    /// How many numbers there are.
    pub fn len(&self) -> usize {
        match self {
            Values::F32(values) => values.len(),
            Values::F64(values) => values.len(),
            Values::U64(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn dtype(&self) -> Dtype {
        match self {
            Values::F32(_) => Dtype::F32,
            Values::F64(_) => Dtype::F64,
            Values::U64(_) => Dtype::U64,
        }
    }

    fn le_bytes(&self) -> Vec<u8> {
        match self {
            Values::F32(values) => le_bytes(values),
            Values::F64(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Values::U64(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        }
    }

    fn from_le_bytes(dtype: Dtype, bytes: &[u8]) -> Option<Values> {
        match dtype {
            Dtype::F32 => Some(Values::F32(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect())),
            Dtype::F64 => Some(Values::F64(bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect())),
            Dtype::U64 => Some(Values::U64(bytes.as_chunks().0.iter().map(|b| u64::from_le_bytes(*b)).collect())),
            _ => None,
        }
    }
}

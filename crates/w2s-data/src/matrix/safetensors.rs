//! safetensors: named tensors, one of which is the matrix.

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};

use super::shaped;

/// Width and values, row by row.
pub(super) fn read(bytes: &[u8], tensor: Option<&str>) -> Result<(usize, Vec<f32>), String> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let mut names: Vec<&str> = file.names().into_iter().collect();
    names.sort_unstable();
    let name = match (tensor, &names[..]) {
        (Some(name), names) if names.contains(&name) => name,
        (None, [only]) => only,
        (Some(name), names) => {
            return Err(format!(
                "it has no tensor `{name}`; there are {}",
                names.join(", ")
            ));
        }
        (None, names) => {
            return Err(format!(
                "it has {} tensors: {}\nhint: name one with `--tensor NAME`",
                names.len(),
                names.join(", ")
            ));
        }
    };
    let view = file.tensor(name).map_err(|error| error.to_string())?;
    let data = view.data();
    let values: Vec<f32> = match view.dtype() {
        Dtype::F32 => data
            .as_chunks()
            .0
            .iter()
            .map(|b| f32::from_le_bytes(*b))
            .collect(),
        Dtype::F64 => data
            .as_chunks()
            .0
            .iter()
            .map(|b| f64::from_le_bytes(*b) as f32)
            .collect(),
        Dtype::F16 => data
            .as_chunks()
            .0
            .iter()
            .map(|b| f16::from_le_bytes(*b).to_f32())
            .collect(),
        Dtype::BF16 => data
            .as_chunks()
            .0
            .iter()
            .map(|b| bf16::from_le_bytes(*b).to_f32())
            .collect(),
        other => {
            return Err(format!(
                "its tensor `{name}` is of type {other:?}, not of floats"
            ));
        }
    };
    shaped(view.shape(), values)
}

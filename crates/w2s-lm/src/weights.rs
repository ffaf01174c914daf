//! The weights of a model folder: which files hold them, what their headers say, and the values of one tensor.

use crate::LmError;
use half::{bf16, f16};
use memmap2::Mmap;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use w2s_text::lfs_pointer;

/// The weights where they are one file.
const SINGLE: &str = "model.safetensors";
/// The file that says which of several files holds which tensor.
pub(crate) const INDEX: &str = "model.safetensors.index.json";
/// Files with weights that are not read.
const PICKLE: [&str; 4] = [
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "model.pt",
    "consolidated.00.pth",
];
/// More bytes than any configuration or index has.
const LONGEST_JSON: u64 = 64 << 20;

/// The content of a JSON file, of which no more is read than a configuration can have.
pub(crate) fn read_json(path: &Path) -> Result<Value, LmError> {
    let file = File::open(path).map_err(|e| LmError::read(path, e))?;
    let mut bytes = Vec::new();
    file.take(LONGEST_JSON + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| LmError::read(path, e))?;
    if bytes.len() as u64 > LONGEST_JSON {
        let reason = format!("it has more than {LONGEST_JSON} bytes, which no configuration has");
        return Err(LmError::malformed(path, reason));
    }
    if let Some(reason) = lfs_pointer(&bytes) {
        return Err(LmError::malformed(path, reason));
    }
    serde_json::from_slice(&bytes).map_err(|e| LmError::malformed(path, e))
}

/// Why a file that should hold tensors is of another kind, where its first bytes tell.
fn other_kind(bytes: &[u8]) -> Option<&'static str> {
    // A zip archive, as PyTorch writes today, and a bare pickle, as it wrote once.
    let pickle = [&b"PK\x03\x04"[..], b"\x80\x02"];
    lfs_pointer(bytes).or_else(|| {
        pickle.iter().any(|magic| bytes.starts_with(magic)).then_some(
            "it is a PyTorch pickle whatever its name says, and pickle is not read: it can run code\n\
             hint: convert it in Python: `AutoModelForCausalLM.from_pretrained(folder).save_pretrained(new_folder)`",
        )
    })
}

/// The names of the files with the weights of a folder, and what its index says of the tensors in them.
#[derive(Debug)]
pub(crate) struct WeightFiles {
    /// Each file once, in order.
    pub(crate) names: Vec<String>,
    /// The file of each tensor, where there is an index.
    map: BTreeMap<String, String>,
}

impl WeightFiles {
    /// Whether there is a file that says where the weights are.
    pub(crate) fn are_in(folder: &Path) -> bool {
        [SINGLE, INDEX]
            .iter()
            .any(|name| folder.join(name).exists())
    }

    /// Finds them: one file, or all that the index names.
    pub(crate) fn find(folder: &Path) -> Result<Self, LmError> {
        if folder.join(SINGLE).exists() {
            return Ok(Self {
                names: vec![SINGLE.into()],
                map: BTreeMap::new(),
            });
        }
        let index = folder.join(INDEX);
        if !index.exists() {
            return Err(LmError::NoWeights {
                path: folder.into(),
                pickle: PICKLE.iter().any(|name| folder.join(name).exists()),
            });
        }
        let json = read_json(&index)?;
        let map = json["weight_map"]
            .as_object()
            .ok_or_else(|| LmError::malformed(&index, "it has no `weight_map`"))?;
        let shard = |(tensor, name): (&String, &Value)| {
            let Some(name) = name.as_str() else {
                let reason = format!("`weight_map` has {name} for `{tensor}`, not a file name");
                return Err(LmError::malformed(&index, reason));
            };
            // Hidden files are left out of what is hashed and copied.
            let plain = Path::new(name).file_name() == Some(name.as_ref())
                && !name.starts_with('.')
                && !name.contains('\\');
            match plain {
                true => Ok((tensor.clone(), name.to_owned())),
                false => Err(LmError::malformed(
                    &index,
                    format!("shard `{name}` is not the name of a file in its folder"),
                )),
            }
        };
        let map: BTreeMap<String, String> = map.iter().map(shard).collect::<Result<_, _>>()?;
        let mut names: Vec<String> = map.values().cloned().collect();
        names.sort_unstable();
        names.dedup();
        Ok(Self { names, map })
    }
}

/// What the header of a file says of a tensor.
#[derive(Debug)]
pub(crate) struct Stored {
    file: usize,
    dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    bytes: Range<usize>,
}

/// The files of a folder, mapped, with their headers read.
#[derive(Debug)]
pub(crate) struct Weights {
    files: Vec<(PathBuf, Mmap)>,
    /// Every tensor by its name.
    pub(crate) tensors: BTreeMap<String, Stored>,
}

impl Weights {
    /// Maps the files of a folder and reads their headers. Where two files have a tensor of one name, the index decides.
    pub(crate) fn open(folder: &Path) -> Result<Self, LmError> {
        let found = WeightFiles::find(folder)?;
        let mut weights = Self {
            files: Vec::new(),
            tensors: BTreeMap::new(),
        };
        for name in &found.names {
            weights.add(folder.join(name), name, &found.map)?;
        }
        let absent = |(tensor, _): &(&String, &String)| !weights.tensors.contains_key(*tensor);
        if let Some((tensor, file)) = found.map.iter().find(absent) {
            let reason = format!("it puts tensor `{tensor}` into `{file}`, which does not have it");
            return Err(LmError::malformed(&folder.join(INDEX), reason));
        }
        Ok(weights)
    }

    fn add(
        &mut self,
        path: PathBuf,
        name: &str,
        map: &BTreeMap<String, String>,
    ) -> Result<(), LmError> {
        let file = File::open(&path).map_err(|e| LmError::read(&path, e))?;
        // SAFETY: the file is not changed while it is mapped; a program that did so would break any reader.
        let mmap = unsafe { Mmap::map(&file) }.map_err(|e| LmError::read(&path, e))?;
        if let Some(reason) = other_kind(&mmap) {
            return Err(LmError::malformed(&path, reason));
        }
        let (header, metadata) =
            SafeTensors::read_metadata(&mmap).map_err(|e| LmError::malformed(&path, e))?;
        // The header comes behind eight bytes with its length.
        let data = header + 8;
        for (tensor, info) in metadata.tensors() {
            if map.get(&tensor).is_some_and(|listed| listed != name) {
                continue;
            }
            let stored = Stored {
                file: self.files.len(),
                dtype: info.dtype,
                shape: info.shape.clone(),
                bytes: data + info.data_offsets.0..data + info.data_offsets.1,
            };
            if let Some(earlier) = self.tensors.insert(tensor.clone(), stored) {
                let reason = format!(
                    "it has tensor `{tensor}`, and so has `{}`; the index does not say which one counts",
                    self.files[earlier.file].0.display()
                );
                return Err(LmError::malformed(&path, reason));
            }
        }
        self.files.push((path, mmap));
        Ok(())
    }

    /// The bytes of a tensor as they are in the file.
    pub(crate) fn bytes(&self, stored: &Stored) -> &[u8] {
        &self.files[stored.file].1[stored.bytes.clone()]
    }

    /// The values of a tensor.
    pub(crate) fn values(&self, name: &str, stored: &Stored) -> Result<Vec<f32>, LmError> {
        let path = &self.files[stored.file].0;
        floats(path, name, stored.dtype, self.bytes(stored))
    }
}

/// The values of one tensor of a file that was read whole.
pub(crate) fn values(path: &Path, name: &str, view: &TensorView) -> Result<Vec<f32>, LmError> {
    floats(path, name, view.dtype(), view.data())
}

/// The values of a tensor as `f32`; types that are no floats, and values that are no numbers, are refused.
fn floats(path: &Path, name: &str, dtype: Dtype, bytes: &[u8]) -> Result<Vec<f32>, LmError> {
    let values: Vec<f32> = match dtype {
        Dtype::F32 => bytes
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect(),
        Dtype::F16 => bytes
            .chunks_exact(2)
            .map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32())
            .collect(),
        Dtype::BF16 => bytes
            .chunks_exact(2)
            .map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32())
            .collect(),
        other => {
            return Err(LmError::Unsupported {
                path: path.into(),
                what: format!("tensor `{name}` of type {other:?}"),
            });
        }
    };
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(values),
        Some(place) => Err(LmError::malformed(
            path,
            format!(
                "value {place} of tensor `{name}` is {}: nothing can be computed from it\n\
                 hint: look at the loss of the training that left this model",
                values[place]
            ),
        )),
    }
}

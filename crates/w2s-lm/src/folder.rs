//! Hugging Face model folders: what they publish opens here, what is trained here opens in transformers.

use crate::decoder::{Classifier, LanguageModel};
use crate::{ClassifierSettings, Decoder, DecoderConfig, Family, LmError, peft, probe};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use half::{bf16, f16};
use memmap2::Mmap;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize_to_file};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

/// A model folder whose `config.json` has been read.
#[derive(Clone, Debug)]
pub struct ModelFolder {
    path: PathBuf,
    json: Value,
    config: DecoderConfig,
    /// The folder of an adapter that is put on these weights.
    adapter: Option<PathBuf>,
}

impl ModelFolder {
    /// Reads `config.json`, and refuses a folder without readable weights. Of a PEFT folder the base is opened, the
    /// adapter to be merged into it.
    pub fn open(path: &Path) -> Result<Self, LmError> {
        let file = path.join("config.json");
        if !file.exists() && path.join(peft::CONFIG).exists() {
            let base = Self::open(&peft::base_folder(path)?)?;
            return Ok(Self {
                adapter: Some(path.into()),
                ..base
            });
        }
        let text = std::fs::read_to_string(&file).map_err(|e| LmError::read(&file, e))?;
        let json: Value = serde_json::from_str(&text).map_err(|e| LmError::malformed(&file, e))?;
        if json["model_type"] == probe::MODEL_TYPE {
            let reason = "it is a linear probe, which has no decoder\n\
                          hint: a probe is read with --features by `w2s-eval predict` and `w2s-teacher label`";
            return Err(LmError::malformed(path, reason));
        }
        let config = DecoderConfig::from_json(&json, &file)?;
        let folder = Self {
            path: path.into(),
            json,
            config,
            adapter: None,
        };
        folder.weight_files()?;
        Ok(folder)
    }

    /// What its decoder is made of.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// Whether it is an adapter's folder, beside the base's.
    pub fn is_adapter(&self) -> bool {
        self.adapter.is_some()
    }

    /// Whether it holds a classifier: weights with a classification head, or an adapter with one.
    pub fn is_classifier(&self) -> bool {
        match &self.adapter {
            Some(folder) => folder.join(peft::CLASSIFIER).exists(),
            None => self.has_head(),
        }
    }

    /// Whether the weights have a classification head.
    fn has_head(&self) -> bool {
        self.json["architectures"].as_array().is_some_and(|names| {
            names
                .iter()
                .filter_map(Value::as_str)
                .any(|n| n.ends_with("ForSequenceClassification"))
        })
    }

    /// The settings of a classifier that was trained here.
    pub fn classifier_settings(&self) -> Result<ClassifierSettings, LmError> {
        if let Some(folder) = &self.adapter {
            return peft::classifier_settings(folder);
        }
        let file = self.path.join("config.json");
        serde_json::from_value(self.json["w2s"].clone()).map_err(|e| {
            LmError::malformed(&file, format!("no classifier settings under `w2s`: {e}"))
        })
    }

    fn weight_files(&self) -> Result<Vec<PathBuf>, LmError> {
        let single = self.path.join("model.safetensors");
        if single.exists() {
            return Ok(vec![single]);
        }
        let index = self.path.join("model.safetensors.index.json");
        if !index.exists() {
            let pickle = [
                "pytorch_model.bin",
                "pytorch_model.bin.index.json",
                "model.pt",
            ];
            return Err(LmError::NoWeights {
                path: self.path.clone(),
                pickle: pickle.iter().any(|name| self.path.join(name).exists()),
            });
        }
        let text = std::fs::read_to_string(&index).map_err(|e| LmError::read(&index, e))?;
        let json: Value = serde_json::from_str(&text).map_err(|e| LmError::malformed(&index, e))?;
        let map = json["weight_map"]
            .as_object()
            .ok_or_else(|| LmError::malformed(&index, "it has no `weight_map`"))?;
        let mut names: Vec<&str> = map.values().filter_map(Value::as_str).collect();
        names.sort_unstable();
        names.dedup();
        names
            .into_iter()
            .map(|name| {
                let plain = Path::new(name).file_name() == Some(name.as_ref());
                plain.then(|| self.path.join(name)).ok_or_else(|| {
                    LmError::malformed(&index, format!("shard `{name}` is not a file name"))
                })
            })
            .collect()
    }

    /// The weights with an output projection. A classifier's decoder is read as one, its head left out.
    pub fn language_model(&self, device: &Device) -> Result<LanguageModel, LmError> {
        let mut config = self.config.clone();
        // A classifier has no output projection of its own to read.
        config.tied |= self.has_head();
        let model = self.fill(LanguageModel::unfilled(&config, device), device)?;
        match &self.adapter {
            None => Ok(model),
            Some(folder) => Ok(model.with_adapter(folder)?.merge_lora()),
        }
    }

    /// The weights with their classification head.
    pub fn classifier(&self, device: &Device) -> Result<Classifier, LmError> {
        let classes = self.classifier_settings()?.classes.len();
        let Some(folder) = &self.adapter else {
            let decoder = Decoder::unfilled(&self.config, device);
            return self.fill(Classifier::zero_head(decoder, classes, device), device);
        };
        // The head is the adapter's, and what stands above the decoder in the base is not read.
        let config = DecoderConfig {
            tied: true,
            ..self.config.clone()
        };
        let base = self.fill(LanguageModel::unfilled(&config, device), device)?;
        let classifier = Classifier::zero_head(base.model, classes, device);
        Ok(classifier.with_adapter(folder)?.merge_lora())
    }

    fn fill<M: Module>(&self, model: M, device: &Device) -> Result<M, LmError> {
        let maps = self
            .weight_files()?
            .into_iter()
            .map(|path| {
                let file = File::open(&path).map_err(|e| LmError::read(&path, e))?;
                // SAFETY: the file is not changed while it is mapped; a program that did so would break any reader.
                let map = unsafe { Mmap::map(&file) }.map_err(|e| LmError::read(&path, e))?;
                Ok((path, map))
            })
            .collect::<Result<Vec<_>, LmError>>()?;
        let mut tensors = BTreeMap::new();
        for (path, map) in &maps {
            let file = SafeTensors::deserialize(map).map_err(|e| LmError::malformed(path, e))?;
            for (name, view) in file.tensors() {
                tensors.insert(name, view);
            }
        }
        let mut loader = Loader {
            names: Vec::new(),
            folder: self,
            tensors: &tensors,
            device,
            error: None,
        };
        let model = model.map(&mut loader);
        match loader.error {
            Some(error) => Err(error),
            None => Ok(model),
        }
    }
}

/// Where a parameter lies in a file: a tensor, perhaps transposed, perhaps one of three parts of it.
struct Place {
    name: String,
    transposed: bool,
    /// Which third of the output columns, of GPT-2's fused query, key and value projection.
    third: Option<usize>,
}

/// The place of a parameter, by its path in the module tree.
fn place(family: Family, path: &str) -> Place {
    let plain = |name: String| Place {
        name,
        transposed: false,
        third: None,
    };
    if family != Family::Gpt2 {
        return plain(path.into());
    }
    let Some(rest) = path.strip_prefix("model.") else {
        return plain(path.into());
    };
    let Some(rest) = rest.strip_prefix("layers.") else {
        return plain(match rest {
            "embed_tokens.weight" => "transformer.wte.weight".into(),
            "embed_positions.weight" => "transformer.wpe.weight".into(),
            other => format!("transformer.{}", other.replace("norm.", "ln_f.")),
        });
    };
    let (layer, rest) = rest.split_once('.').expect("a layer has parts");
    let (part, kind) = rest
        .rsplit_once('.')
        .expect("a part has a weight or a bias");
    let (name, transposed, third) = match part {
        "input_layernorm" => ("ln_1", false, None),
        "post_attention_layernorm" => ("ln_2", false, None),
        "self_attn.q_proj" => ("attn.c_attn", true, Some(0)),
        "self_attn.k_proj" => ("attn.c_attn", true, Some(1)),
        "self_attn.v_proj" => ("attn.c_attn", true, Some(2)),
        "self_attn.o_proj" => ("attn.c_proj", true, None),
        "mlp.up_proj" => ("mlp.c_fc", true, None),
        "mlp.down_proj" => ("mlp.c_proj", true, None),
        other => unreachable!("GPT-2 has no `{other}`"),
    };
    Place {
        name: format!("transformer.h.{layer}.{name}.{kind}"),
        transposed: transposed && kind == "weight",
        third,
    }
}

fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(values.len());
    for c in 0..columns {
        out.extend((0..rows).map(|r| values[r * columns + c]));
    }
    out
}

struct Loader<'a> {
    names: Vec<String>,
    folder: &'a ModelFolder,
    tensors: &'a BTreeMap<String, TensorView<'a>>,
    device: &'a Device,
    error: Option<LmError>,
}

impl Loader<'_> {
    fn read(&self, expected: &[usize]) -> Result<Vec<f32>, LmError> {
        let folder = &self.folder.path;
        let place = place(self.folder.config.family, &self.names.join("."));
        // GPT-2 files of the hub leave out the prefix that transformers writes today.
        let short = place.name.strip_prefix("transformer.");
        let view = self
            .tensors
            .get(&place.name)
            .or_else(|| self.tensors.get(short?))
            .ok_or_else(|| LmError::MissingTensor {
                path: folder.clone(),
                name: place.name.clone(),
            })?;
        let mut stored = expected.to_vec();
        if place.third.is_some() {
            stored[0] *= 3;
        }
        if place.transposed {
            stored.reverse();
        }
        if view.shape() != stored {
            return Err(LmError::Misshapen {
                path: folder.clone(),
                name: place.name,
                found: view.shape().to_vec(),
                expected: stored,
            });
        }
        let mut values = floats(view).ok_or_else(|| LmError::Unsupported {
            path: folder.clone(),
            what: format!("tensor `{}` of type {:?}", place.name, view.dtype()),
        })?;
        if place.transposed {
            values = transpose(&values, stored[0], stored[1]);
        }
        if let Some(third) = place.third {
            let size = values.len() / 3;
            values = values[third * size..(third + 1) * size].to_vec();
        }
        Ok(values)
    }
}

/// The values of a tensor as `f32`; `None` for a type that is not a float.
pub(crate) fn floats(view: &TensorView) -> Option<Vec<f32>> {
    let bytes = view.data();
    Some(match view.dtype() {
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
        _ => return None,
    })
}

impl ModuleMapper for Loader<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.names.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.names.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let shape = param.lazy_shape();
        match self.read(&shape) {
            Ok(values) => {
                let tensor = Tensor::from_data(TensorData::new(values, shape), self.device);
                Param::from_tensor(tensor)
            }
            Err(error) => {
                self.error.get_or_insert(error);
                param
            }
        }
    }
}

#[derive(Default)]
struct Collector {
    names: Vec<String>,
    tensors: Vec<(String, Vec<usize>, Vec<f32>)>,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.names.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.names.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let data = param.val().into_data();
        let shape = data.shape().to_vec();
        let values = data.try_to_vec().expect("parameters are f32");
        self.tensors.push((self.names.join("."), shape, values));
    }
}

/// Shapes and values of tensors by their names in a file.
type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// Names, shapes and values as a family's files have them.
fn stored(family: Family, model: &impl Module) -> Tensors {
    let mut collector = Collector::default();
    model.visit(&mut collector);
    let mut stored = Tensors::new();
    for (path, mut shape, values) in collector.tensors {
        let place = place(family, &path);
        let Some(_) = place.third else {
            let values = if place.transposed {
                shape.reverse();
                transpose(&values, shape[1], shape[0])
            } else {
                values
            };
            stored.insert(place.name, (shape, values));
            continue;
        };
        // Query, key and value come in this order, so that appending rows fuses them; the last one transposes.
        let fused = stored.entry(place.name).or_insert_with(|| {
            let mut empty = shape.clone();
            empty[0] = 0;
            (empty, Vec::new())
        });
        fused.0[0] += shape[0];
        fused.1.extend(values);
        if place.third == Some(2) && place.transposed {
            fused.1 = transpose(&fused.1, fused.0[0], fused.0[1]);
            fused.0.reverse();
        }
    }
    stored
}

fn write(
    folder: &Path,
    config: &DecoderConfig,
    architecture: &str,
    extra: Vec<(&str, Value)>,
    model: &impl Module,
) -> Result<(), LmError> {
    let mut json = config.to_json();
    json.insert("architectures".into(), json!([architecture]));
    for (key, value) in extra {
        json.insert(key.into(), value);
    }
    write_json(&folder.join("config.json"), &Value::Object(json))?;
    let tensors = stored(config.family, model);
    write_tensors(&folder.join("model.safetensors"), &tensors)
}

pub(crate) fn write_json(file: &Path, json: &Value) -> Result<(), LmError> {
    let text = serde_json::to_string_pretty(json).expect("JSON values serialize");
    std::fs::write(file, text + "\n").map_err(|e| LmError::write(file, e))
}

pub(crate) fn write_tensors(file: &Path, tensors: &Tensors) -> Result<(), LmError> {
    let bytes: Vec<(&String, &Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, (shape, values))| {
            let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            (name, shape, bytes)
        })
        .collect();
    let views = bytes.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.to_vec(), bytes);
        (name, view.expect("shape and bytes agree"))
    });
    // transformers asks for this entry.
    let metadata = [("format".to_string(), "pt".to_string())].into();
    serialize_to_file(views, Some(metadata), file).map_err(|e| LmError::malformed(file, e))
}

fn architecture(family: Family, task: &str) -> String {
    let name = match family {
        Family::Llama => "Llama",
        Family::Gpt2 => "GPT2",
        Family::Qwen2 => "Qwen2",
    };
    format!("{name}{task}")
}

/// Writes `config.json` and `model.safetensors` of a language model, an adapter merged into the weights.
pub fn save_language_model(model: &LanguageModel, folder: &Path) -> Result<(), LmError> {
    let model = &model.clone().merge_lora();
    let config = model.model.config();
    let task = match config.family {
        Family::Llama | Family::Qwen2 => "ForCausalLM",
        Family::Gpt2 => "LMHeadModel",
    };
    write(
        folder,
        config,
        &architecture(config.family, task),
        vec![],
        model,
    )
}

/// Writes `config.json` and `model.safetensors` of a classifier, its head as `score.weight`, an adapter merged into the
/// weights.
pub fn save_classifier(
    model: &Classifier,
    settings: &ClassifierSettings,
    folder: &Path,
) -> Result<(), LmError> {
    let model = model.clone().merge_lora();
    let config = model.model.config();
    let numbered = settings.classes.iter().enumerate();
    let id2label: serde_json::Map<_, _> = numbered
        .clone()
        .map(|(i, c)| (i.to_string(), json!(c)))
        .collect();
    let label2id: serde_json::Map<_, _> = numbered.map(|(i, c)| (c.clone(), json!(i))).collect();
    let extra = vec![
        ("num_labels", json!(settings.classes.len())),
        ("id2label", Value::Object(id2label)),
        ("label2id", Value::Object(label2id)),
        ("w2s", json!(settings)),
    ];
    let name = architecture(config.family, "ForSequenceClassification");
    write(folder, config, &name, extra, &model)
}

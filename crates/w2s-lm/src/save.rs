//! Writes model folders that transformers opens.

use crate::decoder::{Classifier, LanguageModel};
use crate::names::Names;
use crate::{ClassifierSettings, DecoderConfig, Family, LmError};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use safetensors::serialize_to_file;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// A matrix of so many rows and columns, the other way round.
pub(crate) fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(values.len());
    for c in 0..columns {
        out.extend((0..rows).map(|r| values[r * columns + c]));
    }
    out
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
    let (names, mut stored) = (Names::usual(family), Tensors::new());
    for (path, mut shape, values) in collector.tensors {
        let place = names.place(&path);
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
    save_head(model, &settings.classes, json!(settings), folder)
}

/// A decoder with its head, whose rows have names, and the settings of the head.
pub(crate) fn save_head(
    model: &Classifier,
    rows: &[String],
    settings: Value,
    folder: &Path,
) -> Result<(), LmError> {
    let model = model.clone().merge_lora();
    let config = model.model.config();
    let numbered = rows.iter().enumerate();
    let id2label: serde_json::Map<_, _> = numbered
        .clone()
        .map(|(i, c)| (i.to_string(), json!(c)))
        .collect();
    let label2id: serde_json::Map<_, _> = numbered.map(|(i, c)| (c.clone(), json!(i))).collect();
    let extra = vec![
        ("num_labels", json!(rows.len())),
        ("id2label", Value::Object(id2label)),
        ("label2id", Value::Object(label2id)),
        ("w2s", settings),
    ];
    let name = architecture(config.family, "ForSequenceClassification");
    write(folder, config, &name, extra, &model)
}

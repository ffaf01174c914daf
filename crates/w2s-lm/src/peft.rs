//! Adapters as PEFT's folders hold them: `adapter_config.json` and `adapter_model.safetensors`.

use crate::config::Fields;
use crate::folder::{floats, write_json, write_tensors};
use crate::{Family, LanguageModel, LmError, LoraSettings, ModelFolder};
use burn::module::Module;
use safetensors::SafeTensors;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The file that makes a folder an adapter's.
pub(crate) const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";

/// PEFT's names of A and of B of a linear layer of the decoder.
fn names(layer: &str) -> [String; 2] {
    ["A", "B"].map(|factor| format!("base_model.model.model.{layer}.lora_{factor}.weight"))
}

/// Refuses a base whose adapter could not be saved alone, or not be opened again.
pub(crate) fn check_base(base: &ModelFolder) -> Result<(), LmError> {
    if base.is_adapter() {
        return Err(LmError::Lora(
            "the base is an adapter's folder, and an adapter on an adapter cannot be saved alone\nhint: save it merged"
                .into(),
        ));
    }
    refuse_gpt2(base.config().family)
}

fn refuse_gpt2(family: Family) -> Result<(), LmError> {
    if family == Family::Gpt2 {
        return Err(LmError::Lora(
            "PEFT adapts GPT-2's fused query, key and value layer, w2s its three parts: the adapter of one has no \
             place in the other\nhint: save it merged"
                .into(),
        ));
    }
    Ok(())
}

/// Writes the adapter of a model as a folder that PEFT opens. `base` is the folder of the model it is for, which
/// [`ModelFolder::open`] and PEFT look for when they open the adapter.
///
/// # Errors
///
/// A model without an adapter, one of GPT-2, whose layers PEFT sees fused, or a file that cannot be written.
pub fn save_adapter(model: &LanguageModel, base: &Path, folder: &Path) -> Result<(), LmError> {
    let decoder = &model.model;
    refuse_gpt2(decoder.config().family)?;
    let settings = decoder
        .lora()
        .ok_or_else(|| LmError::Lora("the model has no adapter to save".into()))?;
    let base = base.canonicalize().map_err(|e| LmError::read(base, e))?;
    let config = json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": settings.rank,
        "lora_alpha": settings.alpha,
        "target_modules": settings.targets,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": false,
        "inference_mode": true,
    });
    write_json(&folder.join(CONFIG), &config)?;

    let mut tensors = BTreeMap::new();
    // Layers are handed out for change only; a clone shares its tensors.
    for (i, mut block) in decoder.layers.clone().into_iter().enumerate() {
        for (path, linear) in block.linears_mut() {
            let Some(lora) = &linear.lora else { continue };
            for (name, factor) in names(&format!("layers.{i}.{path}"))
                .into_iter()
                .zip([&lora.a, &lora.b])
            {
                let data = factor.val().into_data();
                let shape = data.shape().to_vec();
                let values = data.try_to_vec().expect("parameters are f32");
                tensors.insert(name, (shape, values));
            }
        }
    }
    write_tensors(&folder.join(WEIGHTS), &tensors)
}

/// The base that an adapter's folder names: a path, or one relative to the folder. Where there is nothing at an absolute
/// path, a folder of the same name beside the adapter's is the base: the store was moved, or copied to another machine.
pub(crate) fn base_folder(folder: &Path) -> Result<PathBuf, LmError> {
    let (file, json) = read_config(folder)?;
    let fields = Fields {
        config: &json,
        path: &file,
    };
    let name = fields.text("base_model_name_or_path")?;
    let name = Path::new(name);
    let beside = name.file_name().filter(|_| name.is_absolute());
    let places = [
        Some(folder.join(name)),
        beside.map(|name| folder.with_file_name(name)),
    ];
    places
        .into_iter()
        .flatten()
        .find(|base| base.join("config.json").exists())
        .ok_or_else(|| {
            LmError::malformed(
                &file,
                format!(
                    "its base `{}` is not a model folder\n\
                     hint: put the path of the base's folder under `base_model_name_or_path`",
                    name.display()
                ),
            )
        })
}

fn read_config(folder: &Path) -> Result<(PathBuf, Value), LmError> {
    let file = folder.join(CONFIG);
    let text = std::fs::read_to_string(&file).map_err(|e| LmError::read(&file, e))?;
    let json = serde_json::from_str(&text).map_err(|e| LmError::malformed(&file, e))?;
    Ok((file, json))
}

/// What `adapter_config.json` says; whatever changes the computation and is not implemented is refused.
fn read_settings(folder: &Path) -> Result<LoraSettings, LmError> {
    let (file, json) = read_config(folder)?;
    let fields = Fields {
        config: &json,
        path: &file,
    };
    if fields.text("peft_type")? != "LORA" {
        return Err(fields.unsupported(format!("peft_type {}", json["peft_type"])));
    }
    fields.must_be("bias", &["none"])?;
    for key in [
        "use_dora",
        "use_rslora",
        "use_qalora",
        "use_bdlora",
        "lora_bias",
        "fan_in_fan_out",
        "rank_pattern",
        "alpha_pattern",
        "modules_to_save",
        "layers_to_transform",
        "layer_replication",
        "exclude_modules",
        "target_parameters",
        "trainable_token_indices",
        "alora_invocation_tokens",
    ] {
        let empty = match &json[key] {
            Value::Null | Value::Bool(false) => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(items) => items.is_empty(),
            _ => false,
        };
        if !empty {
            return Err(fields.unsupported(format!("`{key}: {}`", json[key])));
        }
    }
    let targets = match &json["target_modules"] {
        Value::String(name) if name == "all-linear" => vec!["all".into()],
        Value::Array(names) if names.iter().all(Value::is_string) => names
            .iter()
            .filter_map(Value::as_str)
            .map(String::from)
            .collect(),
        _ => return Err(fields.wrong("target_modules", "a list of layer names")),
    };
    let settings = LoraSettings {
        rank: fields.size("r")?,
        alpha: fields.number_or("lora_alpha", 8.0)?,
        targets,
    };
    settings.check().map_err(|e| LmError::malformed(&file, e))?;
    Ok(settings)
}

impl LanguageModel {
    /// This model, frozen, with the adapter of a PEFT folder.
    ///
    /// # Errors
    ///
    /// A folder that cannot be read, an adapter that is not plain LoRA on [`LORA_TARGETS`](crate::LORA_TARGETS) or is of
    /// other sizes than the model, GPT-2, whose layers PEFT sees fused, a model that has an adapter already.
    pub fn with_adapter(self, folder: &Path) -> Result<Self, LmError> {
        refuse_gpt2(self.model.config().family)?;
        let settings = read_settings(folder)?;
        let file = folder.join(WEIGHTS);
        let bytes = std::fs::read(&file).map_err(|e| LmError::read(&file, e))?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|e| LmError::malformed(&file, e))?;
        let mut unread: Vec<&str> = tensors.names().into_iter().collect();
        unread.sort_unstable();
        let mut read = |name: &str, expected: [usize; 2]| {
            let view = tensors
                .tensor(name)
                .map_err(|_| LmError::malformed(&file, format!("it has no tensor `{name}`")))?;
            if view.shape() != expected {
                let reason = format!(
                    "tensor `{name}` is {:?}, but the base and rank {} make it {expected:?}",
                    view.shape(),
                    settings.rank
                );
                return Err(LmError::malformed(&file, reason));
            }
            unread.retain(|other| *other != name);
            floats(&view).ok_or_else(|| LmError::Unsupported {
                path: file.clone(),
                what: format!("tensor `{name}` of type {:?}", view.dtype()),
            })
        };
        let model = self.model.adapt(&settings, |layer, [a, b]| {
            let [name_a, name_b] = names(layer);
            Ok([read(&name_a, a)?, read(&name_b, b)?])
        })?;
        if let Some(name) = unread.first() {
            return Err(LmError::malformed(
                &file,
                format!("tensor `{name}` belongs to none of the target layers"),
            ));
        }
        Ok(Self {
            model,
            lm_head: self.lm_head.no_grad(),
        })
    }
}

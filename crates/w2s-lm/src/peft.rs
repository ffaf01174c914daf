//! Adapters as PEFT's folders hold them: `adapter_config.json` and `adapter_model.safetensors`.

use crate::config::Fields;
use crate::save::{write_json, write_tensors};
use crate::weights::{WeightFiles, read_json, values};
use crate::{
    Classifier, ClassifierSettings, Decoder, Family, LanguageModel, LmError, LoraSettings,
    ModelFolder,
};
use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorData};
use safetensors::SafeTensors;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use w2s_artifact::{Artifact, ArtifactRef, Kind, MANIFEST_FILE, Manifest};
use w2s_text::lfs_pointer;

/// The file that makes a folder an adapter's.
pub(crate) const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";
/// The same as PEFT wrote it once.
const PICKLE: &str = "adapter_model.bin";
/// What PEFT has no place for of a classifier: its prompt and its classes.
pub(crate) const CLASSIFIER: &str = "classifier.json";
/// PEFT's name of a classifier's head, which is saved whole beside the adapter.
const HEAD: &str = "base_model.model.score.weight";
/// The modules that PEFT saves whole beside an adapter of a classifier, whichever of them a family has.
const HEADS: [&str; 2] = ["classifier", "score"];

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
    write_adapter(&model.model, None, base, folder)
}

/// The same for a classifier: the adapter of its decoder with its whole head, and its settings beside them.
///
/// # Errors
///
/// See [`save_adapter`].
pub fn save_classifier_adapter(
    model: &Classifier,
    settings: &ClassifierSettings,
    base: &Path,
    folder: &Path,
) -> Result<(), LmError> {
    save_head_adapter(model, &json!(settings), base, folder)
}

/// The adapter of a decoder with its whole head, and the settings of the head.
pub(crate) fn save_head_adapter(
    model: &Classifier,
    settings: &Value,
    base: &Path,
    folder: &Path,
) -> Result<(), LmError> {
    write_json(&folder.join(CLASSIFIER), settings)?;
    write_adapter(&model.model, Some(model.score.weight.val()), base, folder)
}

fn write_adapter(
    decoder: &Decoder,
    head: Option<Tensor<2>>,
    base: &Path,
    folder: &Path,
) -> Result<(), LmError> {
    refuse_gpt2(decoder.config().family)?;
    let settings = decoder
        .lora()
        .ok_or_else(|| LmError::Lora("the model has no adapter to save".into()))?;
    let base = base.canonicalize().map_err(|e| LmError::read(base, e))?;
    let mut config = json!({
        "peft_type": "LORA",
        "task_type": if head.is_some() { "SEQ_CLS" } else { "CAUSAL_LM" },
        "base_model_name_or_path": base,
        "r": settings.rank,
        "lora_alpha": settings.alpha,
        "target_modules": settings.targets,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": false,
        "inference_mode": true,
    });
    let mut tensors = BTreeMap::new();
    let mut put = |name: String, tensor: Tensor<2>| {
        let data = tensor.into_data();
        let shape = data.shape().to_vec();
        tensors.insert(
            name,
            (shape, data.try_to_vec().expect("parameters are f32")),
        );
    };
    if let Some(head) = head {
        config["modules_to_save"] = json!(HEADS);
        put(HEAD.into(), head);
    }
    write_json(&folder.join(CONFIG), &config)?;
    // Layers are handed out for change only; a clone shares its tensors.
    for (i, mut block) in decoder.layers.clone().into_iter().enumerate() {
        for (path, linear) in block.linears_mut() {
            let Some(lora) = &linear.lora else { continue };
            let names = names(&format!("layers.{i}.{path}"));
            for (name, factor) in names.into_iter().zip([&lora.a, &lora.b]) {
                put(name, factor.val());
            }
        }
    }
    write_tensors(&folder.join(WEIGHTS), &tensors)
}

/// Whether a folder holds an adapter and no weights that it could be put on.
pub(crate) fn is_adapter(folder: &Path) -> bool {
    folder.join(CONFIG).exists() && !WeightFiles::are_in(folder)
}

/// The folder of the base that the adapter in `folder` names, for callers that hash what will be read; `None` for any other
/// folder. Whether a base can be read at all is for [`ModelFolder::open`] to say.
pub fn adapter_base(folder: &Path) -> Option<PathBuf> {
    is_adapter(folder).then(|| base_folder(folder).ok())?
}

/// The base that an adapter's folder names: a path, or one relative to the folder. Where there is nothing at an absolute
/// path, a folder of the same name beside the adapter's is the base: the store was moved, or copied to another machine.
///
/// An adapter that is an artifact was trained on another one, which its manifest names. That one it is, with the very bytes
/// that its own manifest lists, or none.
pub(crate) fn base_folder(folder: &Path) -> Result<PathBuf, LmError> {
    let file = folder.join(CONFIG);
    let json = read_json(&file)?;
    let fields = Fields {
        config: &json,
        path: &file,
    };
    let name = fields.text("base_model_name_or_path")?;
    let name = Path::new(name);
    let trained_on = trained_on(folder)?;
    let key = trained_on.map(|base| PathBuf::from(base.key.to_string()));
    let beside = name.file_name().filter(|_| name.is_absolute());
    let places = [
        key.map(|key| folder.with_file_name(key)),
        Some(folder.join(name)),
        beside.map(|name| folder.with_file_name(name)),
    ];
    let mut places = places.into_iter().flatten();
    let Some(base) = places.find(|base| base.join("config.json").exists()) else {
        let reason = format!(
            "its base `{}` is not a model folder\n\
             hint: put the path of the base's folder under `base_model_name_or_path`",
            name.display()
        );
        return Err(LmError::malformed(&file, reason));
    };
    if is_adapter(&base) {
        let reason = format!(
            "its base `{}` is an adapter's folder itself\n\
             hint: put the path of a folder with whole weights under `base_model_name_or_path`",
            name.display()
        );
        return Err(LmError::malformed(&file, reason));
    }
    match trained_on {
        None => Ok(base),
        Some(reference) => Ok(Artifact::open(&base, &reference)?.path),
    }
}

/// The artifact that an adapter was trained on, where the adapter is an artifact.
fn trained_on(folder: &Path) -> Result<Option<ArtifactRef>, LmError> {
    if !folder.join(MANIFEST_FILE).exists() {
        return Ok(None);
    }
    let base = Manifest::read(folder)?.input("base");
    Ok(base.filter(|base| base.kind == Kind::Checkpoint))
}

/// Keys of `adapter_config.json` that change nothing of what a saved adapter computes, or that are read by name below.
const READ: [&str; 19] = [
    "auto_mapping",
    "base_model_name_or_path",
    "bias",
    "ensure_weight_tying",
    "eva_config",
    "inference_mode",
    "init_lora_weights",
    "layers_pattern",
    "lora_alpha",
    "lora_dropout",
    "megatron_core",
    "modules_to_save",
    "peft_type",
    "peft_version",
    "qalora_group_size",
    "r",
    "revision",
    "target_modules",
    "task_type",
];

/// Ways to draw an adapter that leave the base as it is. Others, such as `pissa`, take a part out of the base's weights, and
/// PEFT does so again whenever it opens the adapter.
const INITIAL: [&str; 3] = ["gaussian", "eva", "orthogonal"];

/// What `adapter_config.json` says; whatever changes the computation and is not implemented is refused, and so is every key
/// that says something and is not known.
fn read_settings(folder: &Path) -> Result<LoraSettings, LmError> {
    let file = folder.join(CONFIG);
    let json = read_json(&file)?;
    let fields = Fields {
        config: &json,
        path: &file,
    };
    if fields.text("peft_type")? != "LORA" {
        return Err(fields.unsupported(format!("peft_type {}", json["peft_type"])));
    }
    fields.must_be("bias", &["none"])?;
    match &json["init_lora_weights"] {
        Value::Null | Value::Bool(_) => {}
        Value::String(name) if INITIAL.contains(&name.as_str()) => {}
        other => {
            return Err(fields.unsupported(format!(
                "`init_lora_weights: {other}`, an adapter for other weights than its base's,"
            )));
        }
    }
    let says_nothing = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(items) => items.is_empty(),
        _ => false,
    };
    let others = json.as_object().into_iter().flatten();
    let mut others = others.filter(|(key, _)| !READ.contains(&key.as_str()));
    if let Some((key, value)) = others.find(|(_, value)| !says_nothing(value)) {
        return Err(fields.unsupported(format!("`{key}: {value}`")));
    }
    let saved: Option<Vec<String>> = serde_json::from_value(json["modules_to_save"].clone())
        .map_err(|_| fields.wrong("modules_to_save", "a list of module names"))?;
    if saved.is_some_and(|saved| saved.iter().any(|name| !HEADS.contains(&name.as_str()))) {
        return Err(fields.unsupported(format!("`modules_to_save: {}`", json["modules_to_save"])));
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

/// A classifier's head: `[classes, dim]` and its values.
type Head = ([usize; 2], Vec<f32>);

/// A decoder, frozen, with the adapter of a PEFT folder, and the head that lies beside it.
fn read_adapter(decoder: Decoder, folder: &Path) -> Result<(Decoder, Option<Head>), LmError> {
    refuse_gpt2(decoder.config().family)?;
    let settings = read_settings(folder)?;
    let file = folder.join(WEIGHTS);
    let pickle = folder.join(PICKLE);
    if !file.exists() && pickle.exists() {
        let reason = "it is a pickle, which is not read: it can run code\n\
                      hint: open the adapter with PEFT and save it again, which writes `adapter_model.safetensors`";
        return Err(LmError::malformed(&pickle, reason));
    }
    let bytes = std::fs::read(&file).map_err(|e| LmError::read(&file, e))?;
    if let Some(reason) = lfs_pointer(&bytes) {
        return Err(LmError::malformed(&file, reason));
    }
    let tensors = SafeTensors::deserialize(&bytes).map_err(|e| LmError::malformed(&file, e))?;
    let mut unread: Vec<&str> = tensors.names().into_iter().collect();
    unread.sort_unstable();
    let read_values = |name: &str| {
        let view = tensors
            .tensor(name)
            .map_err(|_| LmError::malformed(&file, format!("it has no tensor `{name}`")))?;
        Ok::<_, LmError>((view.shape().to_vec(), values(&file, name, &view)?))
    };
    let head = match tensors.tensor(HEAD) {
        Err(_) => None,
        Ok(_) => {
            let (shape, values) = read_values(HEAD)?;
            unread.retain(|name| *name != HEAD);
            let dim = decoder.config().dim;
            match shape[..] {
                [classes, width] if width == dim => Some(([classes, width], values)),
                _ => {
                    let reason =
                        format!("tensor `{HEAD}` is {shape:?}, but the base is {dim} wide");
                    return Err(LmError::malformed(&file, reason));
                }
            }
        }
    };
    let mut read = |name: &str, expected: [usize; 2]| {
        let (shape, values) = read_values(name)?;
        if shape != expected {
            let reason = format!(
                "tensor `{name}` is {shape:?}, but the base and rank {} make it {expected:?}",
                settings.rank
            );
            return Err(LmError::malformed(&file, reason));
        }
        unread.retain(|other| *other != name);
        Ok(values)
    };
    let decoder = decoder.adapt(&settings, |layer, [a, b]| {
        let [name_a, name_b] = names(layer);
        Ok([read(&name_a, a)?, read(&name_b, b)?])
    })?;
    match unread.first() {
        None => Ok((decoder, head)),
        Some(name) => Err(LmError::malformed(
            &file,
            format!("tensor `{name}` belongs to none of the target layers"),
        )),
    }
}

impl LanguageModel {
    /// This model, frozen, with the adapter of a PEFT folder; of a classifier's folder the head is left out.
    ///
    /// # Errors
    ///
    /// A folder that cannot be read, an adapter that is not plain LoRA on [`LORA_TARGETS`](crate::LORA_TARGETS) or is of
    /// other sizes than the model, GPT-2, whose layers PEFT sees fused, a model that has an adapter already.
    pub fn with_adapter(self, folder: &Path) -> Result<Self, LmError> {
        Ok(Self {
            model: read_adapter(self.model, folder)?.0,
            lm_head: self.lm_head.no_grad(),
        })
    }
}

impl Classifier {
    /// This classifier with the adapter and the head of a PEFT folder, its decoder frozen.
    ///
    /// # Errors
    ///
    /// See [`LanguageModel::with_adapter`]; a folder without a head, or one of another number of classes.
    pub fn with_adapter(self, folder: &Path) -> Result<Self, LmError> {
        let classes = self.classes();
        let device = self.score.weight.val().device();
        let (model, head) = read_adapter(self.model, folder)?;
        let file = folder.join(WEIGHTS);
        let (shape, values) =
            head.ok_or_else(|| LmError::malformed(&file, format!("it has no tensor `{HEAD}`")))?;
        if shape[0] != classes {
            let reason =
                format!("tensor `{HEAD}` is {shape:?}, but `{CLASSIFIER}` names {classes} classes");
            return Err(LmError::malformed(&file, reason));
        }
        let mut score = self.score;
        score.weight = Param::from_data(TensorData::new(values, shape), &device);
        Ok(Self { model, score })
    }
}

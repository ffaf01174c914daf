//! Hugging Face model folders: what they publish opens here, what is trained here opens in transformers.
//!
//! A folder is read in three steps, and each sees no more than the one before has let pass: what `config.json` says must be
//! implemented and in range, the headers of the weights must have its sizes and nothing more, and then values are read.

use crate::decoder::{Classifier, LanguageModel};
use crate::names::{Names, Place, listed};
use crate::weights::{INDEX, Stored, WeightFiles, Weights, read_json};
use crate::{
    ClassifierSettings, Decoder, DecoderConfig, LmError, RewardModel, RewardSettings, peft, probe,
    reward, save,
};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The file with what transformers generates by; it is passed on and not read.
const GENERATION: &str = "generation_config.json";
/// The output projection.
const LM_HEAD: &str = "lm_head.weight";
/// The classification head.
const SCORE: &str = "score.weight";

/// A model folder whose `config.json` has been read.
#[derive(Clone, Debug)]
pub struct ModelFolder {
    path: PathBuf,
    json: Value,
    config: DecoderConfig,
    /// The folder of an adapter that is put on these weights.
    adapter: Option<PathBuf>,
}

/// The parameters of a model and their places in the files, all of them checked against the headers.
struct Plan {
    weights: Weights,
    names: Names,
    /// Tensors that are not read and change nothing.
    unread: Vec<String>,
}

impl ModelFolder {
    /// Reads `config.json`, and refuses a folder without readable weights. Of a PEFT folder the base is opened, the
    /// adapter to be merged into it. The base of an adapter that was trained here is an artifact: its files are hashed
    /// before they are read, and must be those that the adapter's manifest names.
    pub fn open(path: &Path) -> Result<Self, LmError> {
        if peft::is_adapter(path) {
            let base = Self::open_base(&peft::base_folder(path)?)?;
            return Ok(Self {
                adapter: Some(path.into()),
                ..base
            });
        }
        Self::open_base(path)
    }

    fn open_base(path: &Path) -> Result<Self, LmError> {
        let file = path.join("config.json");
        let json = read_json(&file)?;
        if json["model_type"] == probe::MODEL_TYPE {
            let reason = "it is a linear probe, which has no decoder\n\
                          hint: a probe is read with --features by `w2s-eval predict` and `w2s-teacher label`";
            return Err(LmError::malformed(path, reason));
        }
        let folder = Self {
            path: path.into(),
            config: DecoderConfig::from_json(&json, &file)?,
            json,
            adapter: None,
        };
        WeightFiles::find(path)?;
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
        let (file, settings) = self.head_settings()?;
        if settings.get(reward::KEY).is_some() {
            let reason = "it is a reward model, which scores answers\n\
                          hint: read it with `w2s-teacher judge` or `w2s-eval margins`";
            return Err(LmError::malformed(&file, reason));
        }
        serde_json::from_value(settings)
            .map_err(|e| LmError::malformed(&file, format!("no classifier settings: {e}")))
    }

    /// The settings of a reward model. One that was trained elsewhere has a head of one row, and reads conversations in its own
    /// chat template.
    ///
    /// # Errors
    ///
    /// A folder that holds no reward model.
    pub fn reward_settings(&self) -> Result<RewardSettings, LmError> {
        let none = |file: &Path| {
            let reason = "it is no reward model, which has a head of one row\n\
                          hint: train one with `w2s-teacher reward` or `w2s-student reward`";
            LmError::malformed(file, reason)
        };
        if !self.is_classifier() {
            return Err(none(self.adapter.as_ref().unwrap_or(&self.path)));
        }
        let (file, settings) = self.head_settings()?;
        if settings.is_null() && reward::is_scalar(&self.json) {
            return Ok(RewardSettings::default());
        }
        serde_json::from_value(settings).map_err(|_| none(&file))
    }

    /// The file with the settings of the head, and what it says.
    fn head_settings(&self) -> Result<(PathBuf, Value), LmError> {
        match &self.adapter {
            Some(folder) => {
                let file = folder.join(peft::CLASSIFIER);
                let settings = read_json(&file)?;
                Ok((file, settings))
            }
            None => Ok((self.path.join("config.json"), self.json["w2s"].clone())),
        }
    }

    /// The folder with the weights: of an adapter the base's.
    pub fn weights_folder(&self) -> &Path {
        &self.path
    }

    /// The names of the files that say what the weights are and hold them, in [`weights_folder`](Self::weights_folder).
    ///
    /// # Errors
    ///
    /// An index that cannot be read, or names what is no file of the folder.
    pub fn weight_files(&self) -> Result<Vec<String>, LmError> {
        let mut names = WeightFiles::find(&self.path)?.names;
        names.push("config.json".into());
        if names[..] != ["model.safetensors", "config.json"] {
            names.push(INDEX.into());
        }
        Ok(names)
    }

    /// The folder with the tokenizer: of an adapter that has none the base's.
    pub fn tokenizer_folder(&self) -> &Path {
        let has_one = |folder: &&PathBuf| folder.join("tokenizer.json").exists();
        self.adapter.as_ref().filter(has_one).unwrap_or(&self.path)
    }

    /// Copies `generation_config.json` into another model folder, if there is one: an adapter's own, or else its base's.
    ///
    /// # Errors
    ///
    /// A file that cannot be written.
    pub fn copy_generation_config(&self, to: &Path) -> Result<bool, LmError> {
        let places = self.adapter.iter().chain([&self.path]);
        let mut places = places.map(|folder| folder.join(GENERATION));
        let Some(from) = places.find(|file| file.exists()) else {
            return Ok(false);
        };
        let json = read_json(&from)?;
        save::write_json(&to.join(GENERATION), &json)?;
        Ok(true)
    }

    /// The tensors of the weights that [`language_model`](Self::language_model) does not read, because they change nothing
    /// of what it computes.
    ///
    /// # Errors
    ///
    /// Weights whose headers are not what `config.json` says.
    pub fn unread(&self, device: &Device) -> Result<Vec<String>, LmError> {
        let config = self.language_config();
        Ok(self.plan(&config, self.unwanted(), device)?.unread)
    }

    /// What is read as a language model: a classifier has no output projection of its own.
    fn language_config(&self) -> DecoderConfig {
        let mut config = self.config.clone();
        config.tied |= self.has_head();
        config
    }

    /// The heads that are not read for a language model.
    fn unwanted(&self) -> &'static [&'static str] {
        match self.has_head() {
            true => &[SCORE, LM_HEAD],
            false => &[],
        }
    }

    /// The weights with an output projection. A classifier's decoder is read as one, its head left out.
    pub fn language_model(&self, device: &Device) -> Result<LanguageModel, LmError> {
        let config = self.language_config();
        let plan = self.plan(&config, self.unwanted(), device)?;
        let model = self.fill(&plan, LanguageModel::unfilled(&config, device), device)?;
        match &self.adapter {
            None => Ok(model),
            Some(folder) => Ok(model.with_adapter(folder)?.merge_lora()),
        }
    }

    /// The weights with their classification head.
    pub fn classifier(&self, device: &Device) -> Result<Classifier, LmError> {
        self.with_head(self.classifier_settings()?.classes.len(), device)
    }

    /// The weights with their reward head.
    pub fn reward_model(&self, device: &Device) -> Result<RewardModel, LmError> {
        self.reward_settings()?;
        Ok(RewardModel::of(self.with_head(1, device)?))
    }

    fn with_head(&self, classes: usize, device: &Device) -> Result<Classifier, LmError> {
        // What stands above the decoder is the head, or an adapter's, and no output projection is read.
        let config = DecoderConfig {
            tied: true,
            ..self.config.clone()
        };
        let plan = self.plan(&config, &[SCORE, LM_HEAD], device)?;
        let Some(folder) = &self.adapter else {
            let decoder = Decoder::unfilled(&config, device);
            return self.fill(
                &plan,
                Classifier::zero_head(decoder, classes, device),
                device,
            );
        };
        let base = self.fill(&plan, LanguageModel::unfilled(&config, device), device)?;
        let classifier = Classifier::zero_head(base.model, classes, device);
        Ok(classifier.with_adapter(folder)?.merge_lora())
    }

    /// Holds the headers of the weights against `config`: every parameter is there and has its shape, and no tensor is left
    /// that would change what is computed, but for the heads in `unwanted`. Nothing is allocated before the sizes are known
    /// to be those of the files.
    fn plan(
        &self,
        config: &DecoderConfig,
        unwanted: &[&str],
        device: &Device,
    ) -> Result<Plan, LmError> {
        let weights = Weights::open(&self.path)?;
        let names = Names::of(config.family, weights.tensors.keys())
            .map_err(|reason| LmError::malformed(&self.path, reason))?;
        self.check_sizes(config, &weights, &names)?;
        let mut lookup = Lookup {
            path: Vec::new(),
            find: |path: &str, shape: &[usize]| {
                let place = names.place(path);
                self.find(&weights, &place, shape)?;
                Ok(place.name)
            },
            used: BTreeSet::new(),
            error: None,
        };
        LanguageModel::unfilled(config, device).visit(&mut lookup);
        if let Some(error) = lookup.error {
            return Err(error);
        }
        let used = lookup.used;
        let left = |name: &&String| !used.contains(*name);
        let unread: Vec<String> = weights.tensors.keys().filter(left).cloned().collect();
        let unwanted: Vec<String> = unwanted.iter().map(|name| names.beside(name)).collect();
        let mut changing = Vec::new();
        for name in unread.iter().filter(|name| !unwanted.contains(name)) {
            if *name == names.beside(LM_HEAD) {
                self.check_head(&weights, &names, name)?;
            } else if !names.is_idle(name) {
                changing.push(name.as_str());
            }
        }
        if !changing.is_empty() {
            return Err(LmError::Unread {
                path: self.path.clone(),
                names: listed(changing),
            });
        }
        Ok(Plan {
            weights,
            names,
            unread,
        })
    }

    /// Holds every size of a configuration against the headers.
    fn check_sizes(
        &self,
        config: &DecoderConfig,
        weights: &Weights,
        names: &Names,
    ) -> Result<(), LmError> {
        let dim = config.dim;
        let has =
            |path: &str, shape: &[usize]| self.find(weights, &names.place(path), shape).map(|_| ());
        has("model.embed_tokens.weight", &[config.vocabulary, dim])?;
        if config.rope.is_none() {
            has("model.embed_positions.weight", &[config.positions, dim])?;
        }
        for layer in 0..config.layers {
            let part = |name: &str| format!("model.layers.{layer}.{name}.weight");
            has(&part("input_layernorm"), &[dim])?;
            let [queries, keys] = [config.heads, config.kv_heads].map(|n| n * config.head_dim);
            has(&part("self_attn.q_proj"), &[queries, dim])?;
            has(&part("self_attn.k_proj"), &[keys, dim])?;
            has(&part("mlp.up_proj"), &[config.ffn, dim])?;
        }
        Ok(())
    }

    /// A parameter of the shape `expected` in the headers.
    fn find<'a>(
        &self,
        weights: &'a Weights,
        place: &Place,
        expected: &[usize],
    ) -> Result<&'a Stored, LmError> {
        let Some(found) = weights.tensors.get(&place.name) else {
            return Err(LmError::MissingTensor {
                path: self.path.clone(),
                name: place.name.clone(),
            });
        };
        let expected = place.stored(expected);
        if found.shape != expected {
            return Err(LmError::Misshapen {
                path: self.path.clone(),
                name: place.name.clone(),
                found: found.shape.clone(),
                expected,
            });
        }
        Ok(found)
    }

    /// Refuses an output projection that is not the embedding, where `config.json` says that it is.
    fn check_head(&self, weights: &Weights, names: &Names, name: &str) -> Result<(), LmError> {
        let embedding = names.place("model.embed_tokens.weight").name;
        let [head, table] = [name, &embedding].map(|name| &weights.tensors[name]);
        let same = head.shape == table.shape
            && (weights.bytes(head) == weights.bytes(table)
                || weights.values(name, head)? == weights.values(&embedding, table)?);
        if same {
            return Ok(());
        }
        Err(LmError::malformed(
            &self.path.join("config.json"),
            format!(
                "`tie_word_embeddings` makes the embedding the output projection, but the weights have another one, `{name}`\n\
                 hint: to read it, put `\"tie_word_embeddings\": false` there; to leave it out, write the weights without it"
            ),
        ))
    }

    /// Reads the values of a model whose parameters are planned, or are a head beside the plan.
    fn fill<M: Module>(&self, plan: &Plan, model: M, device: &Device) -> Result<M, LmError> {
        let mut loader = Loader {
            path: Vec::new(),
            folder: self,
            plan,
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

/// Finds the parameters of a model in the headers, without touching their values.
struct Lookup<F> {
    path: Vec<String>,
    /// The name in the files of a parameter by its path and its shape.
    find: F,
    used: BTreeSet<String>,
    error: Option<LmError>,
}

impl<F: FnMut(&str, &[usize]) -> Result<String, LmError>> ModuleVisitor for Lookup<F> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.error.is_some() {
            return;
        }
        match (self.find)(&self.path.join("."), &param.lazy_shape()) {
            Ok(name) => drop(self.used.insert(name)),
            Err(error) => self.error = Some(error),
        }
    }
}

struct Loader<'a> {
    path: Vec<String>,
    folder: &'a ModelFolder,
    plan: &'a Plan,
    device: &'a Device,
    error: Option<LmError>,
}

impl Loader<'_> {
    fn read(&self, expected: &[usize]) -> Result<Vec<f32>, LmError> {
        let place = self.plan.names.place(&self.path.join("."));
        let weights = &self.plan.weights;
        let stored = self.folder.find(weights, &place, expected)?;
        let mut values = weights.values(&place.name, stored)?;
        if place.transposed {
            values = save::transpose(&values, stored.shape[0], stored.shape[1]);
        }
        if let Some(third) = place.third {
            let size = values.len() / 3;
            values = values[third * size..(third + 1) * size].to_vec();
        }
        Ok(values)
    }
}

impl ModuleMapper for Loader<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.error.is_some() {
            return param;
        }
        let shape = param.lazy_shape();
        match self.read(&shape) {
            Ok(values) => {
                let tensor = Tensor::from_data(TensorData::new(values, shape), self.device);
                Param::from_tensor(tensor)
            }
            Err(error) => {
                self.error = Some(error);
                param
            }
        }
    }
}

//! Low-rank adapters: a frozen decoder learns a small product of two matrices beside each of its linear layers.

use crate::decoder::{Block, Classifier, Decoder, LanguageModel, Linear};
use crate::{Family, LmError, ModelFolder, peft, save_adapter, save_language_model};
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use std::fmt;
use std::path::Path;

/// The linear layers of a block that an adapter can be put on; a decoder without a gate has no `gate_proj`.
pub const LORA_TARGETS: [&str; 7] = [
    "q_proj",
    "k_proj",
    "v_proj",
    "o_proj",
    "gate_proj",
    "up_proj",
    "down_proj",
];

/// The update of one linear layer, `W + alpha / rank · B A` (Hu et al. 2021, arXiv 2106.09685, equation 3).
#[derive(Module, Debug)]
pub struct Lora {
    /// `[rank, in]`.
    pub a: Param<Tensor<2>>,
    /// `[out, rank]`.
    pub b: Param<Tensor<2>>,
    #[module(skip)]
    scale: f64,
}

impl Lora {
    /// What it adds to the layer's output: `[tokens, in]` to `[tokens, out]`.
    pub(crate) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        // Scaled where it is narrow, `[tokens, rank]`.
        let inner = w2s_ops::linear(x, self.a.val()) * self.scale;
        w2s_ops::linear(inner, self.b.val())
    }

    /// What it adds to the layer's weight, `[out, in]`.
    fn delta(&self) -> Tensor<2> {
        self.b.val().matmul(self.a.val()) * self.scale
    }
}

/// What an adapter is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraSettings {
    /// Inner size of the two matrices; at least 1.
    pub rank: usize,
    /// The update is scaled by `alpha / rank`; above zero.
    pub alpha: f64,
    /// Which of [`LORA_TARGETS`] get one; `all` stands for every layer that is there.
    pub targets: Vec<String>,
}

impl LoraSettings {
    /// Refuses values that no adapter can be made with.
    pub fn check(&self) -> Result<(), String> {
        if self.rank == 0 {
            return Err("the rank of an adapter is 0; it must be above zero".into());
        }
        if !(self.alpha > 0.0 && self.alpha.is_finite()) {
            return Err(format!(
                "the alpha of an adapter is {}; it must be above zero",
                self.alpha
            ));
        }
        if self.targets.is_empty() {
            return Err(format!(
                "an adapter has no target; there are {}, all",
                LORA_TARGETS.join(", ")
            ));
        }
        let known = |name: &str| name == "all" || LORA_TARGETS.contains(&name);
        match self.targets.iter().find(|name| !known(name)) {
            None => Ok(()),
            Some(name) => Err(format!(
                "an adapter has the unknown target `{name}`; there are {}, all",
                LORA_TARGETS.join(", ")
            )),
        }
    }

    /// The same with each target named once, as they lie in a block of this family.
    fn resolve(&self, family: Family) -> Result<Self, LmError> {
        self.check().map_err(LmError::Lora)?;
        let named = |name: &str| self.targets.iter().any(|t| t == name);
        if family == Family::Gpt2 && named("gate_proj") {
            return Err(LmError::Lora(
                "an adapter has the target `gate_proj`, which GPT-2 does not have".into(),
            ));
        }
        let all = named("all");
        let targets = LORA_TARGETS
            .into_iter()
            .filter(|name| named(name) || all && !(family == Family::Gpt2 && *name == "gate_proj"))
            .map(String::from)
            .collect();
        Ok(Self {
            targets,
            ..self.clone()
        })
    }
}

impl Block {
    /// Its linear layers by their paths.
    pub(crate) fn linears_mut(&mut self) -> impl Iterator<Item = (&'static str, &mut Linear)> {
        let (attn, mlp) = (&mut self.self_attn, &mut self.mlp);
        [
            ("self_attn.q_proj", Some(&mut attn.q_proj)),
            ("self_attn.k_proj", Some(&mut attn.k_proj)),
            ("self_attn.v_proj", Some(&mut attn.v_proj)),
            ("self_attn.o_proj", Some(&mut attn.o_proj)),
            ("mlp.gate_proj", mlp.gate_proj.as_mut()),
            ("mlp.up_proj", Some(&mut mlp.up_proj)),
            ("mlp.down_proj", Some(&mut mlp.down_proj)),
        ]
        .into_iter()
        .filter_map(|(path, linear)| Some((path, linear?)))
    }
}

impl Decoder {
    /// Freezes all parameters and puts an adapter on the targets of every block. A is uniform within one over the root
    /// of its inputs, as PEFT draws it, and B zero: the decoder still computes what it did.
    ///
    /// # Errors
    ///
    /// Settings that [`LoraSettings::check`] refuses, a target that the family does not have, a decoder that has an
    /// adapter already.
    pub fn with_lora(self, settings: &LoraSettings, seed: u64) -> Result<Self, LmError> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        self.adapt(settings, |_, [[rank, inputs], [outputs, _]]| {
            let bound = 1.0 / (inputs as f64).sqrt();
            // The draws come from bits, so that no library's sampling is part of the result.
            let mut uniform = || (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
            let a = (0..rank * inputs)
                .map(|_| (bound * (2.0 * uniform() - 1.0)) as f32)
                .collect();
            Ok([a, vec![0.0; outputs * rank]])
        })
    }

    /// Adapters whose values come from `factors`, which gets the path of a linear layer and the shapes of A and B.
    pub(crate) fn adapt(
        self,
        settings: &LoraSettings,
        mut factors: impl FnMut(&str, [[usize; 2]; 2]) -> Result<[Vec<f32>; 2], LmError>,
    ) -> Result<Self, LmError> {
        if self.lora.is_some() {
            return Err(LmError::Lora(
                "the model has an adapter already\nhint: merge it first".into(),
            ));
        }
        let settings = settings.resolve(self.config().family)?;
        let mut decoder = self.no_grad();
        for (i, block) in decoder.layers.iter_mut().enumerate() {
            for (path, linear) in block.linears_mut() {
                let (_, name) = path.split_once('.').expect("a part and a layer");
                if !settings.targets.iter().any(|t| t == name) {
                    continue;
                }
                let [outputs, inputs] = linear.weight.dims();
                let shapes = [[settings.rank, inputs], [outputs, settings.rank]];
                let [a, b] = factors(&format!("layers.{i}.{path}"), shapes)?;
                let device = linear.weight.val().device();
                linear.lora = Some(Lora {
                    a: Param::from_data(TensorData::new(a, shapes[0]), &device),
                    b: Param::from_data(TensorData::new(b, shapes[1]), &device),
                    scale: settings.alpha / settings.rank as f64,
                });
            }
        }
        decoder.lora = Some(settings);
        Ok(decoder)
    }

    /// What its adapter is made of, if it has one.
    pub fn lora(&self) -> Option<&LoraSettings> {
        self.lora.as_ref()
    }

    /// An ordinary decoder, without autodiff, that computes the same up to rounding: the adapter is added to the
    /// weights, and all parameters can be trained again. Without an adapter nothing changes.
    pub fn merge_lora(self) -> Self {
        if self.lora.is_none() {
            return self;
        }
        let mut decoder = self.valid();
        decoder.lora = None;
        for block in &mut decoder.layers {
            for (_, linear) in block.linears_mut() {
                if let Some(lora) = linear.lora.take() {
                    linear.weight = linear.weight.clone().map(|weight| weight + lora.delta());
                }
            }
        }
        decoder.unfreeze()
    }
}

impl LanguageModel {
    /// [`Decoder::with_lora`], with the output projection frozen too.
    ///
    /// # Errors
    ///
    /// See [`Decoder::with_lora`].
    pub fn with_lora(self, settings: &LoraSettings, seed: u64) -> Result<Self, LmError> {
        Ok(Self {
            model: self.model.with_lora(settings, seed)?,
            lm_head: self.lm_head.no_grad(),
        })
    }

    /// [`Decoder::merge_lora`], with the output projection as it was before [`LanguageModel::with_lora`].
    pub fn merge_lora(self) -> Self {
        if self.model.lora().is_none() {
            return self;
        }
        Self {
            model: self.model.merge_lora(),
            lm_head: self.lm_head.valid().unfreeze(),
        }
    }
}

impl Classifier {
    /// [`Decoder::with_lora`]. The head stays as it is, to be trained in full.
    ///
    /// # Errors
    ///
    /// See [`Decoder::with_lora`].
    pub fn with_lora(self, settings: &LoraSettings, seed: u64) -> Result<Self, LmError> {
        Ok(Self {
            model: self.model.with_lora(settings, seed)?,
            score: self.score,
        })
    }

    /// [`Decoder::merge_lora`], with the head as it is.
    pub fn merge_lora(self) -> Self {
        if self.model.lora().is_none() {
            return self;
        }
        Self {
            model: self.model.merge_lora(),
            score: self.score.valid(),
        }
    }
}

/// How a trained adapter is saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum LoraSave {
    /// Added to the weights: an ordinary model folder.
    Merged,
    /// Alone, as PEFT's folder format has it; it needs the base's folder.
    Adapter,
}

impl fmt::Display for LoraSave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Merged => "merged",
            Self::Adapter => "adapter",
        })
    }
}

/// Whether an adapter is trained instead of the whole model; flags and key of operations that train a model of text.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
pub struct LoraArgs {
    /// Train a low-rank adapter of this rank on the frozen base (LoRA); 0 trains the whole model
    #[cfg_attr(feature = "cli", arg(long, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(0..=65_536), default_value_t = 0, value_name = "N"))]
    pub lora_rank: usize,
    /// Scale of the adapter: its update is multiplied by alpha / rank [default: twice the rank]
    #[cfg_attr(feature = "cli", arg(long, value_name = "X"))]
    pub lora_alpha: Option<f64>,
    /// Layers that get an adapter: q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, all
    #[cfg_attr(
        feature = "cli",
        arg(
            long,
            value_delimiter = ',',
            default_value = "all",
            value_name = "NAMES"
        )
    )]
    pub lora_targets: Vec<String>,
    /// What is saved
    #[cfg_attr(feature = "cli", arg(long, default_value_t = LoraSave::Merged, value_name = "NAME"))]
    pub lora_save: LoraSave,
}

impl LoraArgs {
    /// The adapter that is asked for, if any.
    pub fn settings(&self) -> Option<LoraSettings> {
        (self.lora_rank > 0).then(|| LoraSettings {
            rank: self.lora_rank,
            alpha: self.lora_alpha.unwrap_or(2.0 * self.lora_rank as f64),
            targets: self.lora_targets.clone(),
        })
    }

    /// Refuses values that no adapter can be made with, and flags that have no effect without `--lora-rank`.
    pub fn check(&self) -> Result<(), String> {
        if let Some(settings) = self.settings() {
            return settings.check();
        }
        let unused = [
            ("alpha", self.lora_alpha.is_some()),
            ("targets", self.lora_targets != ["all"]),
            ("save", self.lora_save != LoraSave::Merged),
        ];
        match unused.into_iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((name, _)) => Err(format!(
                "--lora-{name} is given, but --lora-rank is 0: no adapter is trained"
            )),
        }
    }

    /// Refuses a base whose adapter could not be saved in the form that is asked for.
    pub(crate) fn check_base(&self, base: &ModelFolder) -> Result<(), LmError> {
        match self.lora_save {
            LoraSave::Adapter => peft::check_base(base),
            LoraSave::Merged => Ok(()),
        }
    }

    /// The language model of a folder, to be trained: with an adapter where one is asked for.
    ///
    /// # Errors
    ///
    /// A folder that cannot be read, a target that its family does not have, and a base whose adapter could not be saved
    /// in the form that is asked for.
    pub fn start(
        &self,
        base: &ModelFolder,
        seed: u64,
        device: &Device,
    ) -> Result<LanguageModel, LmError> {
        let model = base.language_model(device)?;
        let Some(settings) = self.settings() else {
            return Ok(model);
        };
        self.check_base(base)?;
        model.with_lora(&settings, seed)
    }

    /// Writes the trained model into `folder`, in the form that is asked for, and the `generation_config.json` of its base.
    /// `base` is the folder of the model that it was trained from.
    ///
    /// # Errors
    ///
    /// See [`save_adapter`].
    pub fn save(&self, model: &LanguageModel, base: &Path, folder: &Path) -> Result<(), LmError> {
        match self.lora_save {
            LoraSave::Merged => save_language_model(model, folder)?,
            LoraSave::Adapter => save_adapter(model, base, folder)?,
        }
        ModelFolder::open(base)?.copy_generation_config(folder)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(values: &[f32], shape: [usize; 2]) -> Param<Tensor<2>> {
        Param::from_data(TensorData::new(values.to_vec(), shape), &Device::flex())
    }

    fn values(tensor: Tensor<2>) -> Vec<f32> {
        tensor.into_data().try_to_vec().unwrap()
    }

    #[test]
    fn by_hand() {
        // A = [1 2], B = [3 4]ᵀ, scale 1/2: B A / 2 = [1.5 3; 2 4].
        let lora = Lora {
            a: matrix(&[1.0, 2.0], [1, 2]),
            b: matrix(&[3.0, 4.0], [2, 1]),
            scale: 0.5,
        };
        assert_eq!(values(lora.delta()), [1.5, 3.0, 2.0, 4.0]);
        // [1 -1] by its transpose: [1.5 - 3, 2 - 4].
        let x = matrix(&[1.0, -1.0], [1, 2]).val();
        assert_eq!(values(lora.forward(x)), [-1.5, -2.0]);
    }

    fn settings(targets: &[&str]) -> LoraSettings {
        LoraSettings {
            rank: 2,
            alpha: 4.0,
            targets: targets.iter().map(|t| (*t).to_string()).collect(),
        }
    }

    #[test]
    fn targets_are_named_once_and_in_order() {
        let resolve = |targets: &[&str], family| settings(targets).resolve(family);
        let of = |targets: &[&str], family| resolve(targets, family).unwrap().targets;
        assert_eq!(
            of(&["v_proj", "q_proj", "v_proj"], Family::Llama),
            ["q_proj", "v_proj"]
        );
        assert_eq!(of(&["all"], Family::Qwen2), LORA_TARGETS);
        assert_eq!(of(&["all"], Family::Gpt2).len(), 6);
        assert_eq!(
            resolve(&["gate_proj"], Family::Gpt2)
                .unwrap_err()
                .to_string(),
            "an adapter has the target `gate_proj`, which GPT-2 does not have"
        );
    }

    #[test]
    fn settings_that_make_no_adapter_are_refused() {
        let names = "q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, all";
        assert_eq!(
            settings(&["lm_head"]).check().unwrap_err(),
            format!("an adapter has the unknown target `lm_head`; there are {names}")
        );
        assert_eq!(
            settings(&[]).check().unwrap_err(),
            format!("an adapter has no target; there are {names}")
        );
        let mut none = settings(&["all"]);
        none.rank = 0;
        assert_eq!(
            none.check().unwrap_err(),
            "the rank of an adapter is 0; it must be above zero"
        );
        let mut flat = settings(&["all"]);
        flat.alpha = -1.0;
        assert_eq!(
            flat.check().unwrap_err(),
            "the alpha of an adapter is -1; it must be above zero"
        );
    }

    #[cfg(feature = "cli")]
    #[test]
    fn flags_make_settings() {
        #[derive(clap::Parser)]
        struct Cli {
            #[command(flatten)]
            lora: LoraArgs,
        }
        let parse = |flags: &str| {
            let words = std::iter::once("w2s").chain(flags.split_whitespace());
            <Cli as clap::Parser>::try_parse_from(words).unwrap().lora
        };
        assert_eq!(parse("").settings(), None);
        assert_eq!(
            parse("--lora-rank 2 --lora-targets q_proj,v_proj").settings(),
            Some(settings(&["q_proj", "v_proj"]))
        );
        let args = parse("--lora-rank 2 --lora-alpha 1 --lora-save adapter");
        assert_eq!(args.lora_save, LoraSave::Adapter);
        assert_eq!(args.settings().unwrap().alpha, 1.0);
        assert_eq!(args.settings().unwrap().targets, ["all"]);
    }

    #[test]
    fn flags_without_a_rank_are_refused() {
        let none = LoraArgs {
            lora_rank: 0,
            lora_alpha: None,
            lora_targets: vec!["all".into()],
            lora_save: LoraSave::Merged,
        };
        assert_eq!((none.check(), none.settings()), (Ok(()), None));
        let saved = LoraArgs {
            lora_save: LoraSave::Adapter,
            ..none.clone()
        };
        assert_eq!(
            saved.check().unwrap_err(),
            "--lora-save is given, but --lora-rank is 0: no adapter is trained"
        );
        let ranked = LoraArgs {
            lora_rank: 8,
            ..none
        };
        assert_eq!(ranked.settings().unwrap().alpha, 16.0);
    }
}

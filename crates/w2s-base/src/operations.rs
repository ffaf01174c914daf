//! The operations of the binary.

use crate::Pretraining;
use anyhow::{Result, bail};
use serde_json::{Value, json};
use std::path::PathBuf;
use w2s_artifact::{Document, Kind};
use w2s_lm::{DecoderConfig, LanguageModel, PRESETS, Tokenizer, save_language_model};
use w2s_stage::{ArtifactArg, Inputs, Operation, Step};
use w2s_train::{TrainArgs, progress_line};

/// More parameters than anybody trains from scratch here: with gradients and moments they would need 160 GB.
const MOST_PARAMETERS: u64 = 10_000_000_000;

/// The sizes of a decoder that starts from random weights.
#[derive(Clone, Debug, clap::Args, serde::Serialize)]
pub struct Sizes {
    /// Size of the decoder: nano, micro, mini, small; the five sizes below change it
    #[arg(long, default_value = "mini", value_name = "NAME")]
    pub preset: String,
    /// Blocks
    #[arg(long, value_parser = w2s_stage::count(1..=1_024), value_name = "N")]
    pub layers: Option<usize>,
    /// Width of hidden states
    #[arg(long, value_parser = w2s_stage::count(1..=16_384), value_name = "N")]
    pub dim: Option<usize>,
    /// Query heads
    #[arg(long, value_parser = w2s_stage::count(1..=1_024), value_name = "N")]
    pub heads: Option<usize>,
    /// Key and value heads
    #[arg(long, value_parser = w2s_stage::count(1..=1_024), value_name = "N")]
    pub kv_heads: Option<usize>,
    /// Width of the feed-forward part
    #[arg(long, value_parser = w2s_stage::count(1..=65_536), value_name = "N")]
    pub ffn: Option<usize>,
    /// Longest document in tokens; longer ones are dropped and counted
    #[arg(long, value_parser = w2s_stage::count(1..=1_048_576), default_value_t = 512, value_name = "N")]
    pub positions: usize,
}

impl Sizes {
    fn config(&self, vocabulary: usize) -> Result<DecoderConfig> {
        let Some(mut config) = DecoderConfig::preset(&self.preset, vocabulary) else {
            bail!(
                "unknown preset `{}`; there are {}",
                self.preset,
                PRESETS.join(", ")
            );
        };
        config.layers = self.layers.unwrap_or(config.layers);
        config.dim = self.dim.unwrap_or(config.dim);
        config.heads = self.heads.unwrap_or(config.heads);
        config.kv_heads = self.kv_heads.unwrap_or(config.heads);
        config.ffn = self.ffn.unwrap_or(config.ffn);
        config.positions = self.positions;
        let twice = config.heads.checked_mul(2).filter(|&twice| twice > 0);
        if !twice.is_some_and(|twice| config.dim.is_multiple_of(twice)) {
            bail!(
                "--dim {} is not an even number for each of {} heads",
                config.dim,
                config.heads
            );
        }
        config.head_dim = config.dim / config.heads;
        for (flag, size) in [
            ("layers", config.layers),
            ("dim", config.dim),
            ("ffn", config.ffn),
            ("positions", config.positions),
        ] {
            if size == 0 {
                bail!("--{flag} is 0; it must be above zero");
            }
        }
        if config.kv_heads == 0 || !config.heads.is_multiple_of(config.kv_heads) {
            bail!(
                "--kv-heads {} does not divide {} heads",
                config.kv_heads,
                config.heads
            );
        }
        match config.parameters() {
            Some(parameters) if parameters <= MOST_PARAMETERS => Ok(config),
            _ => bail!(
                "a decoder of {} layers, dim {} and ffn {} has more than {MOST_PARAMETERS} parameters\n\
                 hint: import one that was trained elsewhere with `w2s-base import`",
                config.layers,
                config.dim,
                config.ffn
            ),
        }
    }
}

/// Pretrains a decoder from scratch.
#[derive(Clone, Debug, clap::Args, serde::Serialize)]
pub struct Pretrain {
    /// Corpus to learn
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub corpus: ArtifactArg,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) sizes: Sizes,
    /// Documents to read, from the first [default: all]
    #[arg(long, value_name = "N")]
    pub documents: Option<usize>,
    /// Tokens in a batch
    #[arg(long, value_parser = w2s_stage::count(1..=16_777_216), default_value_t = 4096, value_name = "N")]
    pub batch_tokens: usize,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) train: TrainArgs,
}

impl Operation for Pretrain {
    const NAME: &'static str = "pretrain";
    const VERSION: u32 = 1;
    const KIND: Kind = Kind::Checkpoint;
    const ABOUT: &'static str = "Pretrains a decoder from scratch on a corpus";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.artifact("corpus", &self.corpus).of(Kind::Corpus);
    }

    fn check(&self) -> Result<()> {
        self.train.check().map_err(anyhow::Error::msg)?;
        if self.batch_tokens == 0 {
            bail!("--batch-tokens is 0; it must be above zero");
        }
        self.sizes.config(1).map(|_| ())
    }

    fn run(&self, step: &Step) -> Result<Value> {
        let corpus = step.artifact("corpus")?;
        let tokenizer = Tokenizer::load(&corpus.path)?;
        let documents = corpus.records::<Document>()?;
        let wanted = self.documents.unwrap_or(documents.len());
        if wanted > documents.len() {
            bail!(
                "--documents is {wanted}, but {} has {}",
                corpus.reference.short(),
                documents.len()
            );
        }
        let what = Pretraining {
            config: self.sizes.config(tokenizer.size())?,
            batch_tokens: self.batch_tokens,
            train: self.train.clone(),
        };
        let mut watch = step.watch("step");
        let done = crate::pretrain(
            documents[..wanted].iter().map(|d| d.text.as_str()),
            &tokenizer,
            &what,
            &w2s_lm::device(step.device())?,
            step.dir(),
            &step.scratch()?,
            &mut |metrics, steps| watch(metrics.step as u64, steps as u64, progress_line(metrics)),
        )?;
        Ok(json!(done))
    }
}

/// Makes a decoder of random weights.
#[derive(Clone, Debug, clap::Args, serde::Serialize)]
pub struct Init {
    /// Checkpoint or corpus whose tokenizer it takes
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub tokenizer: ArtifactArg,
    /// Seed of the weights
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) sizes: Sizes,
}

impl Operation for Init {
    const NAME: &'static str = "init";
    const VERSION: u32 = 1;
    const KIND: Kind = Kind::Checkpoint;
    const ABOUT: &'static str =
        "Makes a decoder of random weights, to be trained without pretraining";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.artifact("tokenizer", &self.tokenizer);
    }

    fn check(&self) -> Result<()> {
        self.sizes.config(1).map(|_| ())
    }

    fn run(&self, step: &Step) -> Result<Value> {
        let tokenizer = Tokenizer::load(&step.artifact("tokenizer")?.path)?;
        let config = self.sizes.config(tokenizer.size())?;
        let model = LanguageModel::init(&config, self.seed, &w2s_lm::device(step.device())?);
        save_language_model(&model, step.dir())?;
        tokenizer.save(step.dir())?;
        Ok(json!({"parameters": burn::module::Module::num_params(&model)}))
    }
}

/// Takes over a published model folder.
#[derive(Clone, Debug, clap::Args, serde::Serialize)]
pub struct Import {
    /// Hugging Face folder of the Llama family, Qwen2 or GPT-2: config.json, safetensors, tokenizer.json
    #[arg(long, value_name = "FOLDER")]
    #[serde(skip)]
    pub model: PathBuf,

    /// Layers to leave out, counted from 0, in ascending order and separated by commas: makes a weaker model of a pretrained
    /// one, written in f32
    #[arg(long, value_name = "LAYERS", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drop_layers: Vec<usize>,
}

impl Operation for Import {
    const NAME: &'static str = "import";
    const VERSION: u32 = 2;
    const KIND: Kind = Kind::Checkpoint;
    const ABOUT: &'static str = "Checks a Hugging Face model folder and takes it over";

    fn inputs(&self, inputs: &mut Inputs) {
        // What an adapter is merged into shapes the result as much as the adapter does.
        let read: Vec<PathBuf> = [self.model.clone()]
            .into_iter()
            .chain(w2s_lm::adapter_base(&self.model))
            .collect();
        inputs.file("model", &read);
    }

    fn check(&self) -> Result<()> {
        if !self.drop_layers.is_sorted_by(|a, b| a < b) {
            bail!("--drop-layers takes each layer once, in ascending order");
        }
        Ok(())
    }

    fn run(&self, step: &Step) -> Result<Value> {
        crate::import(&self.model, &self.drop_layers, step.dir())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use w2s_stage::{RunOptions, run};

    fn copy_folder(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }

    #[test]
    fn the_base_of_an_adapter_is_part_of_the_key() {
        let strangers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../w2s-lm/tests/strangers");
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("adapters/one");
        let base = folder.path().join("model-folders/plain");
        copy_folder(&strangers.join("adapters/no-tokenizer"), &model);
        copy_folder(&strangers.join("model-folders/plain"), &base);
        let import = Import {
            model,
            drop_layers: vec![],
        };
        let options = RunOptions::new(folder.path().join("store"));
        let made = || run("base", &import, &options).unwrap();
        let first = made();
        assert!(!first.cached && made().cached);
        let weights = base.join("model.safetensors");
        let mut bytes = std::fs::read(&weights).unwrap();
        // The last value of the last norm, as another finite number.
        let end = bytes.len();
        bytes[end - 4..].copy_from_slice(&0.25f32.to_le_bytes());
        std::fs::write(&weights, bytes).unwrap();
        let second = made();
        assert!(!second.cached);
        let read = |path: &Path| std::fs::read(path.join("model.safetensors")).unwrap();
        assert_ne!(read(&first.artifact.path), read(&second.artifact.path));
    }

    fn sizes() -> Sizes {
        Sizes {
            preset: "nano".into(),
            layers: None,
            dim: None,
            heads: None,
            kv_heads: None,
            ffn: None,
            positions: 64,
        }
    }

    #[test]
    fn parameters_are_counted_before_there_are_any() {
        for preset in PRESETS {
            let config = DecoderConfig::preset(preset, 100).unwrap();
            let model = LanguageModel::init(&config, 0, &w2s_lm::device("flex").unwrap());
            let made = burn::module::Module::num_params(&model) as u64;
            assert_eq!(config.parameters(), Some(made), "{preset}");
        }
    }

    #[test]
    fn sizes_that_no_machine_holds_are_refused() {
        assert!(sizes().config(100).is_ok());
        let huge = Some(1usize << 62);
        let dims = [1 << 62, 1 << 40].map(|dim| Sizes {
            dim: Some(dim),
            ..sizes()
        });
        let others = [
            Sizes {
                layers: Some(0),
                ..sizes()
            },
            Sizes {
                layers: Some(1_000_000_000),
                ..sizes()
            },
            Sizes {
                dim: Some(0),
                ..sizes()
            },
            Sizes {
                ffn: Some(0),
                ..sizes()
            },
            Sizes {
                ffn: huge,
                ..sizes()
            },
            Sizes {
                heads: Some(0),
                ..sizes()
            },
            Sizes {
                heads: Some(usize::MAX),
                ..sizes()
            },
            Sizes {
                heads: Some(1 << 63),
                ..sizes()
            },
            Sizes {
                kv_heads: Some(0),
                ..sizes()
            },
            Sizes {
                positions: 0,
                ..sizes()
            },
        ];
        for sizes in dims.iter().chain(&others) {
            assert!(sizes.config(100).is_err(), "{sizes:?}");
        }
    }
}

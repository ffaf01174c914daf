//! Next-token pretraining from scratch.

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use std::path::Path;
use w2s_artifact::summary::TrainingSummary;
use w2s_lm::{Batch, DecoderConfig, LanguageModel, Tokenizer, save_language_model};
use w2s_train::{
    Batches, Loss, Objective, StepInfo, TrainArgs, TrainConfig, TrainError, Watch, fit,
};

/// What to pretrain, and on how many tokens at once.
#[derive(Clone, Debug)]
pub struct Pretraining {
    /// The decoder; its vocabulary must hold the tokenizer's.
    pub config: DecoderConfig,
    /// Tokens in a batch.
    pub batch_tokens: usize,
    /// Training settings.
    pub train: TrainArgs,
}

/// Documents as sequences, each between the beginning and the end token of the tokenizer, if it has them.
struct Documents {
    sequences: Vec<Vec<u32>>,
}

impl Documents {
    fn batch(&self, rows: &[usize]) -> Batch {
        Batch::pack(rows.iter().map(|&r| &self.sequences[r][..]))
    }

    fn predicted(&self, rows: &[usize]) -> usize {
        rows.iter().map(|&r| self.sequences[r].len() - 1).sum()
    }
}

impl Objective<LanguageModel> for Documents {
    type Pass = Loss;

    fn forward(
        &mut self,
        model: &LanguageModel,
        rows: &[usize],
        info: StepInfo,
    ) -> Result<Loss, TrainError> {
        let batch = self.batch(rows);
        let share = self.predicted(rows) as f32 / self.predicted(info.batch) as f32;
        Ok(Loss {
            value: model.next_token_loss(&batch, share),
            tokens: batch.tokens(),
            metrics: Vec::new(),
        })
    }

    fn loss(&mut self, pass: Loss, _: &[usize], _: StepInfo) -> Result<Loss, TrainError> {
        Ok(pass)
    }
}

/// Trains a decoder from scratch on documents, and writes a model folder into `dir`; the state for resuming is kept in
/// `state_dir`. Documents of a single token, and those longer than the model's positions, are left out for their length.
pub fn pretrain<'a>(
    documents: impl IntoIterator<Item = &'a str>,
    tokenizer: &Tokenizer,
    what: &Pretraining,
    device: &Device,
    dir: &Path,
    state_dir: &Path,
    watch: Watch,
) -> Result<TrainingSummary> {
    let mut config = what.config.clone();
    config.bos = tokenizer.token("<|bos|>");
    config.eos = tokenizer.token("<|eos|>");
    config.pad = tokenizer.token("<|pad|>");
    tokenizer.fits(config.vocabulary)?;
    let texts: Vec<String> = documents.into_iter().map(str::to_owned).collect();
    let count = texts.len();
    let sequences: Vec<Vec<u32>> = tokenizer
        .encode_all(texts)?
        .into_iter()
        .map(|ids| {
            config
                .bos
                .into_iter()
                .chain(ids)
                .chain(config.eos)
                .collect::<Vec<u32>>()
        })
        .filter(|ids| ids.len() > 1 && ids.len() <= config.positions)
        .collect();
    if sequences.is_empty() {
        bail!(
            "none of {count} documents has between 2 and {} tokens",
            config.positions
        );
    }
    let rows = sequences.len();
    let lengths: Vec<usize> = sequences.iter().map(Vec::len).collect();
    let plan = Batches::by_tokens(
        &lengths,
        what.batch_tokens,
        what.train.epochs,
        what.train.seed,
    )
    .at_most(what.train.max_steps);
    let model = LanguageModel::init(&config, what.train.seed, device);
    let parameters = burn::module::Module::num_params(&model);
    let settings: TrainConfig = what.train.config(dir, state_dir, None);
    let fitted = fit(model, &mut Documents { sequences }, &plan, &settings, watch)?;
    save_language_model(&fitted.model, dir)?;
    tokenizer.save(dir).context("cannot copy the tokenizer")?;
    Ok(TrainingSummary {
        rows,
        dropped: [("length".to_owned(), count - rows)].into(),
        parameters: Some(parameters),
        fit: fitted.summary,
        ..TrainingSummary::default()
    })
}

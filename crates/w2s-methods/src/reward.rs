//! Reward models: scores of answers, from pairs that the truth or a weaker model has ordered (arXiv 2312.09390, section 4.1;
//! arXiv 2406.11431, section 4).
//!
//! Both answers of a pair are shown without their order, in places that a coin decides, and the loss is one of labels: the
//! probability that the first is better, which a weak model's order has softly and the truth's is certain of. A conflict adds a
//! reward for being wrong.

use crate::labels::told;
use crate::{Learning, Logits, learner};
use anyhow::{Result, bail};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use std::path::Path;
use w2s_artifact::Pair;
use w2s_artifact::summary::TrainingSummary;
use w2s_lm::{
    ClassModel, EncodedPair, EncodedPairs, EncodingArgs, FeatureScale, FrozenReward, LabelledRows,
    LoraArgs, ModelFolder, Probe, RewardModel, encode_pairs,
};
use w2s_losses::reward_conflict;
use w2s_train::{Loss, Objective, StepInfo, TrainError, Watch};

/// How a reward model is trained.
pub struct RewardTraining<'a> {
    /// Model folder to start from.
    pub base: &'a Path,
    /// How conversations become tokens.
    pub encoding: &'a EncodingArgs,
    /// Whether an adapter is trained instead of the decoder.
    pub lora: &'a LoraArgs,
    /// Whether the decoder stays as it is and the head alone is trained.
    pub frozen: bool,
    /// Weight of the reward for answers that the truth calls worse.
    pub conflict: Option<f64>,
    /// Loss, batches and training.
    pub how: &'a Learning<'a>,
    /// Where to compute.
    pub device: &'a Device,
}

/// Trains a reward model on pairs, and writes its folder. A pair that a model ordered is learnt with that model's confidence,
/// any other with certainty.
///
/// # Errors
///
/// If no pair is left, if a conflict meets pairs whose truth is not known, or if the model cannot be read or trained.
pub fn reward(pairs: &[Pair], what: &RewardTraining, watch: Watch) -> Result<TrainingSummary> {
    let folder = ModelFolder::open(what.base)?;
    let seed = what.how.args.train.seed;
    let model = RewardModel::start(&folder, what.lora, seed, what.device)?;
    let encoder = what
        .encoding
        .encoder(folder.tokenizer_folder(), model.decoder())?;
    let EncodedPairs { pairs, counts } = encode_pairs(&encoder, pairs, false)?;
    let truths = match what.conflict {
        None => None,
        Some(weight) => {
            let right = truths(&pairs)?.into_iter().zip(&pairs);
            let first = right.map(|(right, pair)| right == (pair.order.place == 0));
            Some((weight, first.collect()))
        }
    };
    let rows = pairs.iter().map(|pair| {
        let place = pair.order.place;
        [0, 1].map(|side| pair.sides[side ^ place].ids.clone())
    });
    let rows: Vec<[Vec<u32>; 2]> = rows.collect();
    let (model, mut summary) = match what.frozen {
        false => fit(model, rows, &pairs, truths, what.how, watch)?,
        true => {
            let (head, summary) = fit_frozen(&model, rows, &pairs, truths, what, watch)?;
            (model.with_head(head), summary)
        }
    };
    model.save(what.encoding, what.lora, what.base, what.how.dir)?;
    encoder.tokenizer().save(what.how.dir)?;
    summary.rows = counts.pairs - summary.held_out_rows;
    summary.dropped = counts.dropped();
    summary.truncated = counts.truncated();
    if let Some(weight) = what.conflict {
        summary.formula = Some(format!("{} + {weight} conflict", what.how.loss));
    }
    Ok(summary)
}

/// Trains the head on features of both answers, brought to one scale.
fn fit_frozen(
    model: &RewardModel,
    rows: Vec<[Vec<u32>; 2]>,
    pairs: &[EncodedPair],
    truths: Option<(f64, Vec<bool>)>,
    what: &RewardTraining,
    watch: Watch,
) -> Result<(FrozenReward, TrainingSummary)> {
    let mut features = model.valid().features(&rows.concat());
    let scale = FeatureScale::of(&features);
    scale.apply(&mut features);
    let width = features[0].len();
    let both = features.chunks_exact(2);
    let rows = both
        .map(|both| [both[0].clone(), both[1].clone()])
        .collect();
    let head = FrozenReward {
        probe: Probe::zeros(1, width, what.device),
    };
    let (head, summary) = fit(head, rows, pairs, truths, what.how, watch)?;
    let probe = scale.fold(&head.probe);
    Ok((FrozenReward { probe }, summary))
}

/// Trains on both answers of each pair in their places.
fn fit<M: ClassModel + 'static>(
    model: M,
    rows: Vec<M::Row>,
    pairs: &[EncodedPair],
    truths: Option<(f64, Vec<bool>)>,
    how: &Learning,
    watch: Watch,
) -> Result<(M, TrainingSummary)> {
    let groups = pairs.iter().map(|pair| pair.order.group).collect();
    let rows = LabelledRows::new(rows, pairs.iter().map(target).collect(), groups);
    let Some((weight, first)) = truths else {
        return how.fit(model, rows, watch);
    };
    if how.args.stopping.held_out > 0.0 {
        bail!(
            "--held-out stops where weak labels are met best, and a conflict pulls away from them\n\
             hint: train to the end, without --held-out"
        );
    }
    let conflicted = |labels| {
        Box::new(Conflicted {
            inner: learner(how.loss, labels),
            weight,
            first,
        }) as Box<dyn Objective<M, Pass = Logits>>
    };
    how.fit_by(model, rows, conflicted, watch)
}

/// Probability that the answer in each place is the better one.
fn target(pair: &EncodedPair) -> Option<Vec<f32>> {
    let chosen = pair.order.confidence.unwrap_or(1.0);
    let mut target = vec![1.0 - chosen; 2];
    target[pair.order.place] = chosen;
    Some(target)
}

/// Whether each pair is ordered as the truth orders it.
pub(crate) fn truths(pairs: &[EncodedPair]) -> Result<Vec<bool>> {
    let known: Option<Vec<bool>> = pairs.iter().map(|pair| pair.order.is_right()).collect();
    known.map_or_else(
        || {
            bail!(
                "a conflict rewards answers that the truth calls worse, and the truth of some pairs is not known\n\
                 hint: order pairs of known order by weak labels with `w2s-data relabel`, which keeps the truth"
            )
        },
        Ok,
    )
}

/// A method that is rewarded for being wrong, too: the explicit conflict of arXiv 2406.11431.
struct Conflicted<M> {
    inner: Box<dyn Objective<M, Pass = Logits>>,
    weight: f64,
    /// Whether the first answer is the better one by the truth, for each row.
    first: Vec<bool>,
}

impl<M: ClassModel> Objective<M> for Conflicted<M> {
    type Pass = Logits;

    fn forward(&mut self, model: &M, rows: &[usize], info: StepInfo) -> Result<Logits, TrainError> {
        self.inner.forward(model, rows, info)
    }

    fn begin(&mut self, model: &M, info: StepInfo) -> Result<(), TrainError> {
        self.inner.begin(model, info)
    }

    fn reads_whole_batch(&self) -> bool {
        self.inner.reads_whole_batch()
    }

    fn whole(&mut self, passes: &[Logits], info: StepInfo) -> Result<(), TrainError> {
        self.inner.whole(passes, info)
    }

    fn loss(&mut self, pass: Logits, rows: &[usize], info: StepInfo) -> Result<Loss, TrainError> {
        let score = |place: usize| -> Tensor<1> {
            let scores = pass.logits.clone().narrow(1, place, 1);
            scores.reshape([rows.len()])
        };
        let difference = score(0) - score(1);
        let mut loss = self.inner.loss(pass, rows, info)?;
        let first: Vec<bool> = rows.iter().map(|&row| self.first[row]).collect();
        let extra = reward_conflict(difference, &first).map_err(told)?;
        let extra = extra.sum() / info.batch.len() as f64;
        let value = extra.clone().into_scalar::<f32>();
        loss.metrics.push(("conflict", f64::from(value)));
        loss.value = loss.value + extra.mul_scalar(self.weight);
        Ok(loss)
    }
}

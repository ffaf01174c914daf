//! By how much a model finds one answer of a pair better than the other, and how sure that makes it.

use crate::reward::sigmoid;
use crate::{
    EncodedPair, EncodedPairs, EncodingArgs, LmError, ModelFolder, PairCounts, Template,
    answer_log_probs, encode_pairs,
};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use w2s_artifact::{Artifact, Pair, ReferenceLogProbs};

/// What a margin is the difference of, the chosen answer's less the rejected one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum MarginRule {
    /// Rewards of a reward model
    Reward,
    /// Mean log-probabilities of the answers' tokens, as SimPO compares them
    Mean,
    /// Summed log-probabilities, as DPO compares them; short answers have an advantage
    Sum,
}

impl fmt::Display for MarginRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reward => "reward",
            Self::Mean => "mean",
            Self::Sum => "sum",
        })
    }
}

impl MarginRule {
    /// The number by which a margin is divided before it is a confidence: the published code of weak-to-strong deception divides
    /// sums by 50, and nothing else.
    pub fn divisor(self) -> f64 {
        match self {
            Self::Reward | Self::Mean => 1.0,
            Self::Sum => 50.0,
        }
    }

    /// Probability that the chosen answer is the better one: `σ(margin / divisor)`.
    pub fn confidence(self, margin: f64, divisor: f64) -> f64 {
        sigmoid(margin / divisor)
    }
}

/// How margins are taken, and what they say; flags and key of every operation that judges pairs.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
pub struct MarginArgs {
    /// What is compared
    #[cfg_attr(feature = "cli", arg(long, default_value_t = MarginRule::Reward, value_name = "RULE"))]
    pub rule: MarginRule,
    /// Divide a margin by this before it is a confidence [default: 50 for sum, 1 for the others]
    #[cfg_attr(feature = "cli", arg(long, value_name = "NUMBER"))]
    pub divisor: Option<f64>,
    /// How a language model reads conversations; a reward model has its own way.
    #[cfg_attr(feature = "cli", command(flatten))]
    #[serde(flatten)]
    pub encoding: EncodingArgs,
}

impl MarginArgs {
    /// Refuses what no margin can be taken with: the message names the flag.
    pub fn check(&self, has_reference: bool) -> Result<(), String> {
        if let Some(divisor) = self.divisor
            && !(divisor > 0.0 && divisor.is_finite())
        {
            return Err(format!("--divisor is {divisor}; it must be above zero"));
        }
        if self.rule == MarginRule::Reward {
            if has_reference {
                return Err(
                    "--reference has log-probabilities, which --rule reward does not read".into(),
                );
            }
            if self.encoding != EncodingArgs::of(Template::Model) {
                return Err(
                    "--template, --max-tokens, --too-long and --separate are those of the reward model, which keeps them\n\
                     hint: give them to the training of the reward model"
                        .into(),
                );
            }
        }
        self.encoding.check()
    }

    /// Probability that the chosen answer is the better one.
    pub fn confidence(&self, margin: f64) -> f64 {
        let divisor = self.divisor.unwrap_or(self.rule.divisor());
        self.rule.confidence(margin, divisor)
    }
}

/// Margins of pairs with their counts.
#[derive(Clone, Debug)]
pub struct Margins {
    /// The pairs that fit, and the margin of each.
    pub margins: Vec<(EncodedPair, f64)>,
    /// What became of the others.
    pub counts: PairCounts,
    /// Tokens that were read.
    pub tokens: usize,
}

/// Margins of pairs under a checkpoint. With a `reference` log-probabilities are compared with its own. `each` hears how many pairs are done and of how many, and stops the
/// work by returning `false`, upon which the result is `None`.
///
/// # Errors
///
/// A model of another kind than the rule reads, a reference that lacks a pair or counts other tokens, no pair that fits.
pub fn pair_margins(
    model: &Artifact,
    pairs: &[Pair],
    args: &MarginArgs,
    reference: Option<&[ReferenceLogProbs]>,
    device: &Device,
    each: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<Option<Margins>, LmError> {
    let folder = ModelFolder::open(&model.path)?;
    let scored = match args.rule {
        MarginRule::Reward => {
            let encoding = folder.reward_settings()?.encoding;
            let model = folder.reward_model(device)?;
            let encoder = encoding.encoder(folder.tokenizer_folder(), model.decoder())?;
            let encoded = encode_pairs(&encoder, pairs, false)?;
            let total = encoded.pairs.len();
            let mut answers = 0;
            let scores = model.score(&sequences(&encoded), &mut |done| {
                answers += done;
                each(answers / 2, total)
            });
            let margin = |both: &[f32]| f64::from(both[0]) - f64::from(both[1]);
            scores.map(|scores| (encoded, scores.chunks(2).map(margin).collect::<Vec<_>>()))
        }
        MarginRule::Mean | MarginRule::Sum => {
            let model = folder.language_model(device)?;
            let encoder = args
                .encoding
                .encoder(folder.tokenizer_folder(), &model.model)?;
            let encoded = encode_pairs(&encoder, pairs, false)?;
            let known = reference.map(|rows| known(&encoded, rows)).transpose()?;
            let total = encoded.pairs.len();
            let groups: Vec<_> = encoded.pairs.iter().map(|pair| &pair.sides).collect();
            let mut count = 0;
            let sums = answer_log_probs(&model, &groups, &mut |done| {
                count += done;
                each(count, total)
            })?;
            sums.map(|sums| {
                let margins = sums.iter().enumerate().map(|(at, sides)| {
                    let reference = known.as_ref().map_or([0.0; 2], |known| known[at]);
                    let [chosen, rejected] = [0, 1].map(|side| {
                        let (sum, tokens) = (f64::from(sides[side].sum), sides[side].tokens);
                        let moved = sum - reference[side];
                        match args.rule {
                            MarginRule::Mean => moved / tokens as f64,
                            _ => moved,
                        }
                    });
                    chosen - rejected
                });
                let margins = margins.collect();
                (encoded, margins)
            })
        }
    };
    let Some((encoded, margins)) = scored else {
        return Ok(None);
    };
    let mut pairs = encoded.pairs.iter().zip(&margins);
    if let Some((pair, margin)) = pairs.find(|(_, margin)| !margin.is_finite()) {
        return Err(LmError::NotFinite(format!(
            "the model gives pair {} the margin {margin}",
            pair.id
        )));
    }
    let tokens = encoded.pairs.iter().flat_map(|pair| &pair.sides);
    Ok(Some(Margins {
        tokens: tokens.map(|side| side.ids.len()).sum(),
        counts: encoded.counts,
        margins: encoded.pairs.into_iter().zip(margins).collect(),
    }))
}

/// Both answers of each pair as token ids, in turn.
fn sequences(encoded: &EncodedPairs) -> Vec<Vec<u32>> {
    let sides = encoded.pairs.iter().flat_map(|pair| &pair.sides);
    sides.map(|side| side.ids.clone()).collect()
}

/// What the reference makes of both answers of each pair, summed.
fn known(encoded: &EncodedPairs, rows: &[ReferenceLogProbs]) -> Result<Vec<[f64; 2]>, LmError> {
    let by_id: HashMap<u64, &ReferenceLogProbs> = rows.iter().map(|row| (row.id, row)).collect();
    let of = |pair: &EncodedPair| {
        let row = by_id.get(&pair.id).ok_or_else(|| {
            LmError::Mismatch(format!(
                "the reference has no pair {}\nhint: make it of these pairs with `w2s-student reference`",
                pair.id
            ))
        })?;
        for (side, known) in pair.sides.iter().zip([row.chosen, row.rejected]) {
            if side.answer.len() != known.tokens as usize {
                return Err(LmError::Mismatch(format!(
                    "an answer of pair {} has {} tokens, and {} in the reference\n\
                     hint: make it with the same tokenizer, template and limits",
                    pair.id,
                    side.answer.len(),
                    known.tokens
                )));
            }
        }
        Ok([row.chosen, row.rejected].map(|known| f64::from(known.sum)))
    };
    encoded.pairs.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confidences_are_those_of_the_published_code() {
        // The threshold 0.75 is a margin of ln 3; DPO's filter divides its sums by 50.
        let reward = MarginRule::Reward;
        assert!((reward.confidence(3f64.ln(), reward.divisor()) - 0.75).abs() < 1e-12);
        let sum = MarginRule::Sum;
        for (margin, expected) in [
            (0.0, 0.5),
            (54.93061443340549, 0.75),
            (60.0, 0.768_524_783_499_017_5),
        ] {
            assert!((sum.confidence(margin, sum.divisor()) - expected).abs() < 1e-9);
        }
        assert_eq!(reward.confidence(-2000.0, 1.0), 0.0);
        assert_eq!(reward.confidence(2000.0, 1.0), 1.0);
    }
}

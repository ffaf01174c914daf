//! Preference tuning: the chosen answer of a pair above the rejected one, by any of the losses of `w2s-losses`.
//!
//! The policy scores both answers of a pair, whose prompt it reads once; what the frozen reference makes of them was
//! computed before, by [`reference`](crate::reference()). The loss of a step is the mean over its pairs, whatever passes
//! they are computed in. KTO's baseline and AOT's order belong to the whole batch and are taken before its passes.

use crate::conversation::Setup;
use crate::labels::{place, told};
use crate::reference::{check_rows, known_rows};
use crate::reward::truths;
use anyhow::{Result, bail};
use burn::tensor::{Device, Tensor, TensorData};
use w2s_artifact::summary::{TrainingLogLine, TrainingSummary};
use w2s_artifact::{LogProb, Pair, ReferenceLogProbs};
use w2s_lm::{
    AnswerBatch, EncodedPair, EncodedPairs, LanguageModel, answer_log_probs, encode_pairs,
};
use w2s_losses::{
    AotPartners, LossError, PairLogProbs, Preference, PreferenceLoss, ResponseLogProbs,
    aot_partners, kto_kl, log_odds_ratio, preference, preference_conflict,
};
use w2s_train::{Batches, Loss, Objective, StepInfo, TrainError, Watch};

/// Tunes a base model on pairs, and writes the model folder. `reference` holds what the base makes of the pairs; a loss
/// that compares with no reference may do without. `conflict` is the weight of a reward for answers that the truth calls worse
/// (arXiv 2406.11431), on pairs that a model ordered and whose truth is known.
///
/// # Errors
///
/// If no pair is left, if the reference is of other pairs, of other tokens or of another model, or if the model cannot be
/// read or trained.
pub fn prefer(
    setup: &Setup,
    pairs: &[Pair],
    reference: Option<&[ReferenceLogProbs]>,
    what: Preference,
    conflict: Option<f64>,
    watch: Watch,
) -> Result<TrainingSummary> {
    let (model, encoder) = setup.open()?;
    let needs_kl = what.loss.needs_kl();
    let EncodedPairs { pairs, counts } = encode_pairs(&encoder, pairs, needs_kl)?;
    let reference = match reference {
        None => None,
        Some(rows) => {
            let rows = known_rows(&pairs, rows, needs_kl)?;
            check_rows(&model, &pairs, &rows, setup.train.seed)?;
            Some(rows)
        }
    };
    let batches = setup.batches(pairs.len());
    let mean_tokens = |side: usize| {
        let tokens = pairs.iter().map(|pair| pair.sides[side].answer.len());
        Some(tokens.sum::<usize>() as f64 / pairs.len() as f64)
    };
    let (tokens_chosen, tokens_rejected) = (mean_tokens(0), mean_tokens(1));
    let mut method = Prefer::new(pairs, reference, what);
    if let Some(weight) = conflict {
        method.conflict = Some((weight, truths(&method.pairs)?));
    }
    method.check_batches(&batches)?;
    let mut formula = what.formula();
    if let Some(weight) = conflict {
        formula += &format!(" + {weight} conflict");
    }
    tracing::info!("the loss of a pair is {formula}");
    let mut falling = Falling::default();
    let fit = setup.fit(
        model,
        &encoder,
        &mut method,
        &batches,
        &mut |metrics, steps| {
            if let Some(fall) = falling.sees(metrics) {
                tracing::warn!("{fall}");
            }
            watch(metrics, steps)
        },
    )?;
    if let Some(fall) = falling.end() {
        tracing::warn!("{fall}");
    }
    Ok(TrainingSummary {
        rows: counts.pairs,
        dropped: counts.dropped(),
        truncated: counts.truncated(),
        loss: Some(what.loss.name().into()),
        formula: Some(formula),
        beta: Some(what.beta),
        tokens_chosen,
        tokens_rejected,
        fit,
        ..TrainingSummary::default()
    })
}

/// Prefers one answer to the other.
pub struct Prefer {
    pairs: Vec<EncodedPair>,
    reference: Option<Vec<ReferenceLogProbs>>,
    what: Preference,
    /// The weight of a reward for being wrong, and whether each pair is ordered as the truth orders it.
    conflict: Option<(f64, Vec<bool>)>,
    /// KTO's KL estimate of the step's batch.
    kl: Option<f64>,
    /// What each pair of the step's batch is compared with, for the losses that sort it.
    partners: Option<AotPartners>,
}

/// A forward pass over both answers of some pairs.
pub struct PairPass {
    policy: PairLogProbs,
    tokens: usize,
}

impl Prefer {
    /// A loss on some pairs; `reference` has one row a pair, in the order of the pairs.
    pub fn new(
        pairs: Vec<EncodedPair>,
        reference: Option<Vec<ReferenceLogProbs>>,
        what: Preference,
    ) -> Self {
        Self {
            pairs,
            reference,
            what,
            conflict: None,
            kl: None,
            partners: None,
        }
    }

    /// Refuses batches that are too small for the loss, before the first step.
    fn check_batches(&self, batches: &Batches) -> Result<()> {
        let loss = self.what.loss;
        for step in 0..batches.steps() {
            let batch = batches.batch(step);
            if loss.needs_partners() && batch.len() < 2 {
                bail!(
                    "step {} has a single pair; the loss `{}` sorts the pairs of a batch\n\
                     hint: choose a --batch above 1, one that leaves no single pair at the end of an epoch",
                    step + 1,
                    loss
                );
            }
            if !loss.needs_kl() {
                continue;
            }
            let known = self.mismatched(batch).count();
            if known < 2 {
                bail!(
                    "step {} has {known} answers to other prompts that fit in {} pairs; the loss `{}` estimates KL from \
                     at least 2\nhint: choose a larger --batch, one that leaves no single pair at the end of an epoch",
                    step + 1,
                    batch.len(),
                    loss
                );
            }
        }
        Ok(())
    }

    /// Prompts of these rows with answers to other prompts, and what the reference makes of them.
    fn mismatched<'a>(
        &'a self,
        rows: &'a [usize],
    ) -> impl Iterator<Item = (&'a w2s_text::Encoded, LogProb)> {
        rows.iter().filter_map(|&row| {
            let reference = self.reference.as_ref()?[row].mismatched?;
            Some((self.pairs[row].mismatched.as_ref()?, reference))
        })
    }

    /// KTO's KL estimate of a whole batch.
    fn kl(&self, model: &LanguageModel, batch: &[usize]) -> Result<f64, TrainError> {
        let (sequences, reference): (Vec<_>, Vec<f32>) = self
            .mismatched(batch)
            .map(|(sequence, known)| (std::slice::from_ref(sequence), known.sum))
            .unzip();
        let policy: Vec<f32> = answer_log_probs(model, &sequences, &mut |_| true)
            .map_err(|error| TrainError::Objective(error.to_string()))?
            .expect("nothing stops it")
            .concat()
            .iter()
            .map(|p| p.sum)
            .collect();
        kto_kl(&policy, &reference).map_err(told)
    }

    /// What the reference makes of some rows.
    fn reference(&self, rows: &[usize], device: &Device) -> Option<PairLogProbs> {
        let reference = self.reference.as_ref()?;
        let rows: Vec<_> = rows.iter().map(|&row| &reference[row]).collect();
        Some(log_probs(&rows, device))
    }

    /// Before the first update policy and reference are the same, and many losses have a known value there. `nll` is the
    /// mean negative log-likelihood of the chosen answers, which no reference knows.
    fn check_first_loss(&self, loss: f64, nll: f64) -> Result<(), TrainError> {
        let Some(known) = self.what.step_zero_loss() else {
            return Ok(());
        };
        let loss = loss - self.what.nll_weight * nll;
        if (loss - known).abs() > 1e-3 * known.max(1.0) {
            return Err(TrainError::Objective(format!(
                "the first loss is {loss:.4}, not {known:.4}: the reference was not made by this base\n\
                 hint: make it anew with `w2s-student reference` from the same base and pairs"
            )));
        }
        Ok(())
    }
}

impl Objective<LanguageModel> for Prefer {
    type Pass = PairPass;

    fn forward(
        &mut self,
        model: &LanguageModel,
        rows: &[usize],
        _: StepInfo,
    ) -> Result<PairPass, TrainError> {
        let batch = AnswerBatch::pack(rows.iter().map(|&row| &self.pairs[row].sides));
        let sums = model.answer_log_probs(&batch); // [2 * pairs]: chosen and rejected in turn
        let sums = sums.reshape([rows.len(), 2]);
        let side = |side: usize| ResponseLogProbs {
            sum: sums.clone().narrow(1, side, 1).reshape([rows.len()]),
            tokens: batch
                .lengths()
                .iter()
                .copied()
                .skip(side)
                .step_by(2)
                .collect(),
        };
        Ok(PairPass {
            policy: PairLogProbs::new(side(0), side(1)),
            tokens: batch.tokens(),
        })
    }

    /// KTO's baseline is taken on answers to other prompts, which no pass of the batch reads.
    fn begin(&mut self, model: &LanguageModel, info: StepInfo) -> Result<(), TrainError> {
        if self.what.loss.needs_kl() {
            self.kl = Some(self.kl(model, info.batch)?);
        }
        Ok(())
    }

    fn reads_whole_batch(&self) -> bool {
        self.what.loss.needs_partners()
    }

    fn whole(&mut self, passes: &[PairPass], info: StepInfo) -> Result<(), TrainError> {
        let loss = self.what.loss;
        let policy = joined(passes);
        let reference = self.reference(info.batch, &policy.chosen.sum.device());
        let reference = reference.ok_or(LossError::NoReference { loss: loss.name() });
        let partners = reference.and_then(|known| aot_partners(loss, &policy, &known));
        self.partners = Some(partners.map_err(told)?);
        Ok(())
    }

    fn loss(&mut self, pass: PairPass, rows: &[usize], info: StepInfo) -> Result<Loss, TrainError> {
        let PairPass {
            mut policy,
            tokens: computed,
        } = pass;
        let reference = self.reference(rows, &policy.chosen.sum.device());
        let first = place(rows, info);
        policy.kl = self.kl;
        policy.partners = self
            .partners
            .as_ref()
            .map(|all| all.of(first..first + rows.len()));
        let output = preference(&self.what, &policy, reference.as_ref()).map_err(told)?;
        let mean_of = |values: &Tensor<1>| mean(&host(values.clone()));
        let nll = -mean_of(&policy.chosen.mean());
        if info.step == 0 {
            self.check_first_loss(mean_of(&output.loss), nll)?;
        }

        let share = rows.len() as f64 / info.batch.len() as f64;
        let tokens =
            |side: &ResponseLogProbs| side.tokens.iter().sum::<usize>() as f64 / rows.len() as f64;
        let mut metrics = vec![
            ("rewards_chosen", mean_of(&output.chosen_rewards)),
            ("rewards_rejected", mean_of(&output.rejected_rewards)),
            ("rewards_margin", mean_of(&output.margins())),
            ("rewards_accuracy", mean_of(&output.accuracies())),
            ("log_prob_chosen", mean_of(&policy.chosen.sum)),
            ("log_prob_rejected", mean_of(&policy.rejected.sum)),
            ("tokens_chosen", tokens(&policy.chosen)),
            ("tokens_rejected", tokens(&policy.rejected)),
        ];
        if let Some(reference) = &reference {
            let (chosen, rejected) = policy.displacement(reference);
            let (chosen, rejected) = (host(chosen), host(rejected));
            metrics.extend([
                ("displacement_chosen", mean(&chosen)),
                ("displacement_rejected", mean(&rejected)),
                ("kl", (kl(&chosen) + kl(&rejected)) / 2.0),
            ]);
        }
        if let Some(kl) = self.kl {
            metrics.push(("kto_kl", kl));
        }
        let orpo = self.what.loss == PreferenceLoss::Orpo;
        if orpo || self.what.nll_weight != 0.0 {
            metrics.push(("nll", nll));
        }
        if orpo {
            let log_odds = log_odds_ratio(policy.chosen.mean(), policy.rejected.mean());
            metrics.push(("log_odds", mean_of(&log_odds)));
        }
        let mut value = output.loss.sum() / info.batch.len() as f64;
        if let Some((weight, right)) = &self.conflict {
            let right: Vec<bool> = rows.iter().map(|&row| right[row]).collect();
            let extra = preference_conflict(&self.what, &policy, reference.as_ref(), &right);
            let extra = extra.map_err(told)?;
            metrics.push(("conflict", mean_of(&extra)));
            value = value + extra.sum().mul_scalar(weight / info.batch.len() as f64);
        }
        Ok(Loss {
            value,
            tokens: computed,
            metrics: metrics
                .into_iter()
                .map(|(name, value)| (name, value * share))
                .collect(),
        })
    }
}

/// An estimate of KL from the policy to the reference in nats per token, from displacements: `exp(-d) - 1 + d`, the third
/// estimator of Schulman (2020) at the mean log-ratio of an answer. It is never negative, and by convexity never above
/// the mean of the same estimator over the answer's tokens. The answers are the pairs', not the policy's own.
fn kl(displacements: &[f64]) -> f64 {
    let terms = displacements.iter().map(|d| (-d).exp_m1() + d);
    terms.sum::<f64>() / displacements.len() as f64
}

/// Passes one after the other, without gradient.
fn joined(passes: &[PairPass]) -> PairLogProbs {
    let side = |of: fn(&PairLogProbs) -> &ResponseLogProbs| {
        let sides = || passes.iter().map(|pass| of(&pass.policy));
        ResponseLogProbs {
            sum: Tensor::cat(sides().map(|side| side.sum.clone().detach()).collect(), 0),
            tokens: sides().flat_map(|side| side.tokens.clone()).collect(),
        }
    };
    PairLogProbs::new(side(|both| &both.chosen), side(|both| &both.rejected))
}

/// What some rows say of both sides, as the losses read it.
fn log_probs(rows: &[&ReferenceLogProbs], device: &Device) -> PairLogProbs {
    let side = |of: fn(&ReferenceLogProbs) -> LogProb| {
        let known = || rows.iter().map(|row| of(row));
        let sums: Vec<f32> = known().map(|p| p.sum).collect();
        ResponseLogProbs {
            sum: Tensor::from_data(TensorData::new(sums, [rows.len()]), device),
            tokens: known().map(|p| p.tokens as usize).collect(),
        }
    };
    PairLogProbs::new(side(|row| row.chosen), side(|row| row.rejected))
}

fn host(values: Tensor<1>) -> Vec<f64> {
    let values: Vec<f32> = values
        .into_data()
        .try_to_vec()
        .expect("log-probabilities are f32");
    values.into_iter().map(f64::from).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Nats per token by which both sides must have fallen, and over how many steps in a row, before it is worth a warning.
const FALL: f64 = -0.05;
const FALL_STEPS: usize = 10;

/// Watches whether chosen and rejected answers both become less likely, the usual way for a preference loss to go wrong.
#[derive(Default)]
struct Falling {
    steps: usize,
    told: bool,
    /// What there is to tell of the last step.
    last: Option<String>,
}

impl Falling {
    /// The warning, when it has been so for some steps for the first time.
    fn sees(&mut self, metrics: &TrainingLogLine) -> Option<String> {
        let of = |name: &str| metrics.more.get(name).copied().unwrap_or(f64::NAN);
        let (chosen, rejected) = (of("displacement_chosen"), of("displacement_rejected"));
        let both = chosen < FALL && rejected < FALL;
        self.steps = if both { self.steps + 1 } else { 0 };
        self.last = both.then(|| {
            format!(
                "step {}: chosen and rejected answers have both become less likely, by {:.3} and {:.3} nats a token; the \
                 margin of their rewards is {:.3}\n\
                 hint: lower the learning rate, stop earlier, add --nll-weight, or take the loss `apo-down`",
                metrics.step,
                -chosen,
                -rejected,
                of("rewards_margin")
            )
        });
        if self.told || self.steps < FALL_STEPS {
            return None;
        }
        self.told = true;
        self.last.clone()
    }

    /// The warning at the end of a run, if it is so there and was not told: a short run has no time for it before.
    fn end(self) -> Option<String> {
        self.last.filter(|_| !self.told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kl_by_hand() {
        // exp(-ln 2) - 1 + ln 2 and exp(ln 2) - 1 - ln 2, and nothing where nothing moved.
        let ln2 = std::f64::consts::LN_2;
        assert!((kl(&[ln2]) - (ln2 - 0.5)).abs() < 1e-12);
        assert!((kl(&[-ln2, 0.0]) - (1.0 - ln2) / 2.0).abs() < 1e-12);
    }

    fn step(chosen: f64, rejected: f64) -> TrainingLogLine {
        TrainingLogLine {
            step: 7,
            epoch: 0.0,
            loss: 0.0,
            lr: 0.0,
            grad_norm: 0.0,
            tokens: 0,
            seconds: 0.0,
            held_out: None,
            more: [
                ("displacement_chosen".into(), chosen),
                ("displacement_rejected".into(), rejected),
                ("rewards_margin".into(), -0.25),
            ]
            .into(),
        }
    }

    #[test]
    fn both_sides_falling_is_told_once() {
        let mut falling = Falling::default();
        for _ in 0..9 {
            assert_eq!(falling.sees(&step(-0.1, -0.2)), None);
        }
        let rose = falling.sees(&step(0.1, -0.2));
        assert_eq!(rose, None, "the chosen side rose");
        let told = (0..30).filter(|_| falling.sees(&step(-0.1, -0.2)).is_some());
        assert_eq!(told.collect::<Vec<_>>(), [9]);
        assert_eq!(falling.end(), None, "it was told");
    }

    #[test]
    fn a_short_run_is_judged_at_its_end_with_the_margin_it_saw() {
        let mut falling = Falling::default();
        assert_eq!(falling.sees(&step(-0.1, -0.2)), None);
        let told = falling.end().unwrap();
        assert!(
            told.starts_with(
                "step 7: chosen and rejected answers have both become less likely, by 0.100 and 0.200 nats a token; the \
                 margin of their rewards is -0.250\n"
            ),
            "{told}"
        );
        let mut rising = Falling::default();
        rising.sees(&step(-0.1, -0.2));
        rising.sees(&step(0.1, -0.2));
        assert_eq!(rising.end(), None);
    }
}

//! Log-probabilities of answers: what preference and imitation losses, references and likelihoods are made of.
//!
//! Answers come in groups that begin alike, such as both answers of a pair behind their prompt. The common beginning of a
//! group is computed once, and only the rows that predict an answer's token pass the last norm and the output projection.

use crate::{Decoder, LanguageModel, LmError, by_token_budget};
use burn::module::Module;
use burn::tensor::{IndexingUpdateOp, Tensor, TensorData};
use std::sync::Arc;
use w2s_ops::{AttentionSpec, Targets};
use w2s_text::Encoded;

/// Prompts with their answers, packed without padding and without computing a common beginning twice.
#[derive(Clone, Debug)]
pub struct AnswerBatch {
    /// The tokens that are computed.
    ids: Vec<u32>,
    /// The position of each of them in its sequence.
    positions: Vec<usize>,
    /// Boundaries of the whole sequences, one after the other.
    boundaries: Arc<[usize]>,
    /// For each token of the whole sequences, its place among the computed ones.
    computed: Vec<usize>,
    /// For each computed token, its place in the whole sequences.
    whole: Vec<usize>,
    /// The computed token that predicts each token of the answers.
    predictors: Vec<usize>,
    /// The tokens of the answers, one answer after the other.
    targets: Arc<[u32]>,
    /// How many tokens each answer has.
    lengths: Vec<usize>,
}

impl AnswerBatch {
    /// Packs groups of sequences in their order. What all sequences of a group begin with is computed once.
    ///
    /// # Panics
    ///
    /// If an answer has no token before it: nothing predicts its first one.
    pub fn pack(groups: impl IntoIterator<Item: AsRef<[Encoded]>>) -> Self {
        let mut batch = Self {
            ids: Vec::new(),
            positions: Vec::new(),
            boundaries: Arc::default(),
            computed: Vec::new(),
            whole: Vec::new(),
            predictors: Vec::new(),
            targets: Arc::default(),
            lengths: Vec::new(),
        };
        let (mut boundaries, mut targets) = (vec![0], Vec::new());
        for group in groups {
            let group = group.as_ref();
            let shared = common_beginning(group);
            let first = batch.ids.len();
            for (i, sequence) in group.iter().enumerate() {
                assert!(
                    sequence.answer.start > 0,
                    "an answer has no token before it"
                );
                let start = batch.computed.len();
                for (position, &id) in sequence.ids.iter().enumerate() {
                    if i > 0 && position < shared {
                        batch.computed.push(first + position);
                        continue;
                    }
                    batch.computed.push(batch.ids.len());
                    batch.whole.push(start + position);
                    batch.ids.push(id);
                    batch.positions.push(position);
                }
                boundaries.push(batch.computed.len());
                for position in sequence.answer.clone() {
                    batch.predictors.push(batch.computed[start + position - 1]);
                    targets.push(sequence.ids[position]);
                }
                batch.lengths.push(sequence.answer.len());
            }
        }
        batch.boundaries = boundaries.into();
        batch.targets = targets.into();
        batch
    }

    /// How many tokens are computed.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// How many tokens each answer has.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// How many tokens all answers have.
    pub fn answer_tokens(&self) -> usize {
        self.targets.len()
    }
}

/// How many tokens all sequences begin with.
fn common_beginning(group: &[Encoded]) -> usize {
    let Some((first, rest)) = group.split_first() else {
        return 0;
    };
    let common = |other: &Encoded| {
        let pairs = first.ids.iter().zip(&other.ids);
        pairs.take_while(|(a, b)| a == b).count()
    };
    rest.iter().map(common).min().unwrap_or(0)
}

impl Decoder {
    /// Hidden states after the last norm of the tokens that predict an answer's token, `[answer tokens, dim]`.
    fn answer_hidden(&self, batch: &AnswerBatch) -> Tensor<2> {
        let config = self.config();
        let spec = AttentionSpec::new(
            batch.boundaries.clone(),
            config.heads,
            config.kv_heads,
            self.rotary(),
        );
        let nothing_shared = batch.ids.len() == batch.computed.len();
        let read = Some(&batch.predictors[..]);
        let x = self.run(&batch.ids, &batch.positions, read, |_, qkv| {
            if nothing_shared {
                let [q, k, v] = qkv;
                return w2s_ops::attention(q, k, v, &spec);
            }
            // Attention alone sees whole sequences; its share of the work is small.
            let [q, k, v] = qkv.map(|x| w2s_ops::gather_rows(x, &batch.computed));
            w2s_ops::gather_rows(w2s_ops::attention(q, k, v, &spec), &batch.whole)
        });
        self.norm.forward(x)
    }
}

impl LanguageModel {
    /// Natural log-probability of each answer, summed over its tokens, `[answers]`; differentiable.
    pub fn answer_log_probs(&self, batch: &AnswerBatch) -> Tensor<1> {
        let tokens = w2s_ops::token_log_probs(
            self.model.answer_hidden(batch),
            self.unembedding(),
            &Targets::mean(batch.targets.clone()),
        ); // [answer tokens]
        let answers: Vec<i32> = (0i32..)
            .zip(&batch.lengths)
            .flat_map(|(answer, &length)| std::iter::repeat_n(answer, length))
            .collect();
        let count = answers.len();
        let answers = Tensor::from_ints(TensorData::new(answers, [count]), &tokens.device());
        Tensor::zeros([batch.lengths.len()], &tokens.device()).select_assign(
            0,
            answers,
            tokens,
            IndexingUpdateOp::Add,
        )
    }

    /// Cross entropy of all answer tokens in nats, summed and times `weight`; a differentiable scalar `[1]`.
    pub fn answer_cross_entropy(&self, batch: &AnswerBatch, weight: f32) -> Tensor<1> {
        let targets = Targets {
            ids: batch.targets.clone(),
            weights: vec![weight; batch.targets.len()].into(),
        };
        w2s_ops::cross_entropy(
            self.model.answer_hidden(batch),
            self.unembedding(),
            &targets,
        )
    }
}

/// Natural log-probability of an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogProbSum {
    /// Sum over its tokens; at most zero.
    pub sum: f32,
    /// How many tokens it has, the one that ends it included where it was encoded.
    pub tokens: usize,
}

impl LogProbSum {
    fn new(sum: f32, tokens: usize) -> Result<Self, LmError> {
        if !sum.is_finite() {
            return Err(LmError::NotFinite(format!(
                "the log-probability of an answer of {tokens} tokens is {sum}\n\
                 hint: look at the weights of the model, and at the loss of the training that left it"
            )));
        }
        // A certain token may come out above zero by rounding.
        Ok(Self {
            sum: sum.min(0.0),
            tokens,
        })
    }
}

/// Tokens that [`answer_log_probs`] computes at once.
const TOKEN_BUDGET: usize = 4096;

/// Log-probability of each answer under a model, without gradients, in batches of similar lengths; a group holds answers
/// that begin alike, such as both sides of a pair, or one. `each` hears how many groups are done at a time, and stops the
/// work by returning `false`, upon which the result is `None`.
///
/// # Errors
///
/// [`LmError::NotFinite`] if a log-probability is no number: nothing may be computed from it.
pub fn answer_log_probs<G: AsRef<[Encoded]>>(
    model: &LanguageModel,
    groups: &[G],
    each: &mut dyn FnMut(usize) -> bool,
) -> Result<Option<Vec<Vec<LogProbSum>>>, LmError> {
    // Gradients would keep every batch alive.
    let model = model.valid();
    let length = |group: &G| group.as_ref().iter().map(|s| s.ids.len()).sum();
    let lengths: Vec<usize> = groups.iter().map(length).collect();
    let mut out = vec![Vec::new(); groups.len()];
    for rows in by_token_budget(&lengths, TOKEN_BUDGET) {
        let batch = AnswerBatch::pack(rows.iter().map(|&row| &groups[row]));
        let sums: Vec<f32> = model
            .answer_log_probs(&batch)
            .into_data()
            .try_to_vec()
            .expect("log-probabilities are f32");
        let mut answers = sums.into_iter().zip(batch.lengths());
        for &row in &rows {
            let count = groups[row].as_ref().len();
            let sums = answers.by_ref().take(count);
            let sums = sums.map(|(sum, &tokens)| LogProbSum::new(sum, tokens));
            out[row] = sums.collect::<Result<_, _>>()?;
        }
        if !each(rows.len()) {
            return Ok(None);
        }
    }
    Ok(Some(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_that_is_no_number_is_not_zero() {
        assert_eq!(LogProbSum::new(1e-7, 1).unwrap().sum, 0.0);
        for sum in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let error = LogProbSum::new(sum, 3).unwrap_err().to_string();
            assert!(error.starts_with("the log-probability of an answer of 3 tokens is "));
        }
    }

    fn encoded(ids: &[u32], prompt: usize) -> Encoded {
        Encoded {
            ids: ids.into(),
            answer: prompt..ids.len(),
            cut: 0,
            cut_bytes: 0,
        }
    }

    #[test]
    fn a_common_beginning_is_packed_once() {
        let pair = [encoded(&[7, 8, 1, 2], 2), encoded(&[7, 8, 3], 2)];
        let batch = AnswerBatch::pack([&pair[..], &[encoded(&[9, 4], 1)]]);
        assert_eq!(batch.ids, [7, 8, 1, 2, 3, 9, 4]);
        assert_eq!(batch.positions, [0, 1, 2, 3, 2, 0, 1]);
        assert_eq!(&batch.boundaries[..], [0, 4, 7, 9]);
        // Whole sequences are 7 8 1 2, 7 8 3 and 9 4; the second reads its prompt from the first.
        assert_eq!(batch.computed, [0, 1, 2, 3, 0, 1, 4, 5, 6]);
        assert_eq!(batch.whole, [0, 1, 2, 3, 6, 7, 8]);
        // The prompt's last token predicts the first token of both answers.
        assert_eq!(batch.predictors, [1, 2, 1, 5]);
        assert_eq!(&batch.targets[..], [1, 2, 3, 4]);
        assert_eq!(batch.lengths(), [2, 1, 1]);
        assert_eq!((batch.tokens(), batch.answer_tokens()), (7, 4));
    }

    #[test]
    fn equal_sequences_are_computed_once_altogether() {
        let one = encoded(&[7, 1, 2], 1);
        let batch = AnswerBatch::pack([[one.clone(), one]]);
        assert_eq!(batch.tokens(), 3);
        assert_eq!(batch.predictors, [0, 1, 0, 1]);
    }
}

//! How far a model has moved from another one, on what it says itself.

use crate::generate::{Generated, Request};
use crate::{Batch, LanguageModel, LmError, by_token_budget};
use burn::module::Module;
use rayon::prelude::*;

/// Tokens that are computed at once, unless a single continuation has more.
const TOKEN_BUDGET: usize = 4096;

/// Logits of each model that are held at once.
const CHUNK_VALUES: usize = 4 << 20;

/// A KL divergence, estimated from one continuation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Kl {
    /// Of whole continuations, in nats.
    pub nats: f64,
    /// How many tokens were drawn, the one that ended the continuation among them; at least 1.
    pub tokens: usize,
}

impl Kl {
    /// Nats a drawn token.
    pub fn per_token(&self) -> f64 {
        self.nats / self.tokens as f64
    }
}

/// KL divergence of the continuations of `policy` from those of `reference`, estimated for each request from the first
/// continuation that `policy` drew for it, at temperature 1 and from the whole distribution.
///
/// For a prompt `x` and the tokens `y` drawn behind it, the one that ended them included,
///
/// ```text
/// kl = sum_t sum_v p(v | x, y_<t) (log p(v | x, y_<t) - log r(v | x, y_<t))
/// ```
///
/// with the exact divergence of both next-token distributions at every position. By the chain rule its mean over draws is
/// `E_y [log p(y | x) - log r(y | x)]`, the divergence of continuations that end where these were made to end. Of the
/// log-ratio itself it is the Rao-Blackwellisation: each term is the mean of the ratio's term given the tokens before, so it
/// varies less, and it is never below zero. `each` hears how many requests are done at a time, and stops the work by
/// returning `false`, upon which the result is `None`.
///
/// # Errors
///
/// A reference with another number of tokens in its vocabulary, with fewer positions than a continuation has tokens, or
/// with logits that are not finite.
pub fn kl_divergence(
    policy: &LanguageModel,
    reference: &LanguageModel,
    requests: &[Request],
    drawn: &[Vec<Generated>],
    each: &mut dyn FnMut(usize) -> bool,
) -> Result<Option<Vec<Kl>>, LmError> {
    // Gradients would keep every batch alive.
    let [policy, reference] = [policy.valid(), reference.valid()];
    let [ours, theirs] = [&policy, &reference].map(|m| m.model.config().vocabulary);
    if ours != theirs {
        return Err(LmError::Generation(format!(
            "the reference knows {theirs} tokens and the model {ours}: their distributions cannot be compared"
        )));
    }
    let whole: Vec<Vec<u32>> = requests
        .iter()
        .zip(drawn)
        .map(|(request, drawn)| [&request.prompt[..], &drawn[0].ids].concat())
        .collect();
    let lengths: Vec<usize> = whole.iter().map(Vec::len).collect();
    let (longest, positions) = (lengths.iter().max(), reference.model.max_tokens());
    if let Some(longest) = longest.filter(|&&longest| longest > positions) {
        return Err(LmError::Generation(format!(
            "an answer with its prompt has {longest} tokens, but the reference has {positions} positions\n\
             hint: lower --max-new-tokens"
        )));
    }
    let mut out = vec![Kl::default(); whole.len()];
    for members in by_token_budget(&lengths, TOKEN_BUDGET) {
        let batch = Batch::pack(members.iter().map(|&i| &whole[i][..]));
        // The rows that drew a token, and whose they are.
        let (mut rows, mut owners) = (Vec::new(), Vec::new());
        for (&i, w) in members.iter().zip(batch.boundaries.windows(2)) {
            let first = w[0] + requests[i].prompt.len() - 1;
            let tokens = drawn[i][0].log_probs.len();
            rows.extend(first..first + tokens);
            owners.extend(std::iter::repeat_n(i, tokens));
            out[i].tokens = tokens;
        }
        let hidden = [&policy, &reference].map(|m| m.model.hidden(&batch, &rows));
        let step = (CHUNK_VALUES / ours).max(1);
        for (chunk, owners) in owners.chunks(step).enumerate() {
            let first = chunk * step;
            let logits =
                [(&policy, &hidden[0]), (&reference, &hidden[1])].map(|(model, hidden)| {
                    let hidden = hidden.clone().slice(first..first + owners.len());
                    let logits = w2s_ops::linear(hidden, model.unembedding()).into_data();
                    logits.try_to_vec::<f32>().expect("logits are f32")
                });
            let [p, r] = logits.each_ref().map(|l| l.par_chunks_exact(ours));
            let values: Vec<f64> = p.zip(r).map(|(p, r)| divergence(p, r)).collect();
            for (&i, value) in owners.iter().zip(values) {
                out[i].nats += value;
            }
        }
        if let Some(i) = members.iter().find(|&&i| !out[i].nats.is_finite()) {
            return Err(LmError::Generation(format!(
                "the divergence from the reference behind prompt {i} is {}\nhint: the reference's logits are not finite",
                out[*i].nats
            )));
        }
        if !each(members.len()) {
            return Ok(None);
        }
    }
    Ok(Some(out))
}

/// `sum_v p_v (log p_v - log r_v)` of the softmax of both rows.
fn divergence(p: &[f32], r: &[f32]) -> f64 {
    let top = |row: &[f32]| f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let (top_p, top_r) = (top(p), top(r));
    let (mut sum_p, mut sum_r, mut cross) = (0.0, 0.0, 0.0);
    for (&p, &r) in p.iter().zip(r) {
        let (p, r) = (f64::from(p) - top_p, f64::from(r) - top_r);
        let weight = p.exp();
        sum_p += weight;
        sum_r += r.exp();
        cross += weight * (p - r);
    }
    let value = cross / sum_p - sum_p.ln() + sum_r.ln();
    // Rounding may leave a trace below zero; what is no number stays none.
    if value < 0.0 { 0.0 } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_divergence_by_hand() {
        // p = 1/2, 1/4, 1/4 and r = 1/4, 1/4, 1/2: ln 2 / 2 + 0 - ln 2 / 4. What is added to all logits does not matter.
        let logits = |p: [f32; 3], shift: f32| p.map(|p| p.ln() + shift);
        let p = logits([0.5, 0.25, 0.25], 3.0);
        let r = logits([0.25, 0.25, 0.5], -70.0);
        assert!((divergence(&p, &r) - 2f64.ln() / 4.0).abs() < 1e-5);
        assert_eq!(divergence(&p, &p), 0.0);
        assert!(divergence(&p, &[0.0, f32::NAN, 0.0]).is_nan());
    }
}

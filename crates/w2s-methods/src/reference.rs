//! What the frozen reference model makes of pairs: computed once, stored, checked before use, shared by all losses.

use crate::conversation::open;
use anyhow::{Result, bail};
use burn::tensor::Device;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::HashMap;
use std::path::Path;
use w2s_artifact::{LogProb, Pair, ReferenceLogProbs};
use w2s_lm::{
    EncodedPair, EncodedPairs, EncodingArgs, LanguageModel, LmError, LogProbSum, PairCounts,
    answer_log_probs, encode_pairs,
};
use w2s_text::Encoded;

/// A reference with its counts.
#[derive(Clone, Debug)]
pub struct Referenced {
    /// One row a pair that fits, in the order of the pairs.
    pub rows: Vec<ReferenceLogProbs>,
    /// Pairs that fit, and what became of the others.
    pub counts: PairCounts,
}

/// Log-probabilities of both answers of each pair under the model in `folder`; with `mismatched` also those of an answer to
/// another prompt, which KTO compares with. `each` hears how many pairs are done and of how many, and stops the work by
/// returning `false`, upon which the result is `None`.
///
/// # Errors
///
/// If no pair is left, or if the model cannot be read.
pub fn reference(
    folder: &Path,
    pairs: &[Pair],
    encoding: &EncodingArgs,
    mismatched: bool,
    device: &Device,
    each: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<Option<Referenced>> {
    let (model, encoder) = open(folder, encoding, device)?;
    let EncodedPairs { pairs, counts } = encode_pairs(&encoder, pairs, mismatched)?;
    let total = pairs.len();
    let mut done = 0;
    let rows = score(&model, &pairs, &mut |pairs| {
        done += pairs;
        each(done, total)
    })?;
    Ok(rows.map(|rows| Referenced { rows, counts }))
}

/// The rows of some pairs under a model.
fn score(
    model: &LanguageModel,
    pairs: &[EncodedPair],
    each: &mut dyn FnMut(usize) -> bool,
) -> Result<Option<Vec<ReferenceLogProbs>>, LmError> {
    // All sequences of a pair begin with its prompt.
    let groups: Vec<Vec<Encoded>> = pairs
        .iter()
        .map(|pair| pair.sides.iter().chain(&pair.mismatched).cloned().collect())
        .collect();
    let known = |p: &LogProbSum| LogProb {
        sum: p.sum,
        tokens: p.tokens as u32,
    };
    let Some(sums) = answer_log_probs(model, &groups, each)? else {
        return Ok(None);
    };
    let rows = pairs
        .iter()
        .zip(sums)
        .map(|(pair, sums)| ReferenceLogProbs {
            id: pair.id,
            chosen: known(&sums[0]),
            rejected: known(&sums[1]),
            mismatched: sums.get(2).map(known),
        });
    Ok(Some(rows.collect()))
}

/// The stored rows of `pairs`, in the order of the pairs.
///
/// # Errors
///
/// If a pair has no row, if a row counts other tokens than the pair has, or if `mismatched` answers are wanted and there
/// are none.
pub(crate) fn known_rows(
    pairs: &[EncodedPair],
    rows: &[ReferenceLogProbs],
    mismatched: bool,
) -> Result<Vec<ReferenceLogProbs>> {
    if mismatched && rows.iter().all(|row| row.mismatched.is_none()) {
        bail!(
            "the reference has no answers to other prompts, which the loss `kto` compares with\n\
             hint: make it with `w2s-student reference --mismatched`"
        );
    }
    let by_id: HashMap<u64, &ReferenceLogProbs> = rows.iter().map(|row| (row.id, row)).collect();
    let missing = pairs.iter().filter(|pair| !by_id.contains_key(&pair.id));
    let count = missing.clone().count();
    if let Some(pair) = missing.into_iter().next() {
        bail!(
            "the reference of {} rows has none for {count} of {} pairs, such as pair {}\n\
             hint: make the reference from the same pairs with the same --max-tokens and --too-long",
            rows.len(),
            pairs.len(),
            pair.id
        );
    }
    let known = |pair: &EncodedPair| {
        let row = by_id[&pair.id].clone();
        let sides = [
            ("chosen", Some(&pair.sides[0]), Some(row.chosen)),
            ("rejected", Some(&pair.sides[1]), Some(row.rejected)),
            ("mismatched", pair.mismatched.as_ref(), row.mismatched),
        ];
        for (side, ours, theirs) in sides {
            if let (Some(ours), Some(theirs)) = (ours, theirs)
                && ours.answer.len() != theirs.tokens as usize
            {
                bail!(
                    "the {side} answer of pair {} has {} tokens, but the reference counted {}\n\
                     hint: the reference was made by another tokenizer or template, or with another --max-tokens or --separate",
                    pair.id,
                    ours.answer.len(),
                    theirs.tokens
                );
            }
        }
        Ok(row)
    };
    pairs.iter().map(known).collect()
}

/// Rows that are computed again before training.
const CHECKED_ROWS: usize = 4;

/// Nats per token by which a row that is computed again may differ: batches are cut in other ways.
const TOLERANCE: f32 = 1e-3;

/// Which of `count` rows are computed again: a few, each once.
fn drawn(count: usize, seed: u64) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut left: Vec<usize> = (0..count).collect();
    (0..CHECKED_ROWS.min(count))
        .map(|_| left.swap_remove((rng.next_u64() % left.len() as u64) as usize))
        .collect()
}

/// Computes a few random rows again, with the model that is to be trained.
///
/// # Errors
///
/// If one of them differs.
pub(crate) fn check_rows(
    model: &LanguageModel,
    pairs: &[EncodedPair],
    rows: &[ReferenceLogProbs],
    seed: u64,
) -> Result<()> {
    let drawn = drawn(pairs.len(), seed);
    let again: Vec<EncodedPair> = drawn.iter().map(|&row| pairs[row].clone()).collect();
    let again = score(model, &again, &mut |_| true)?.expect("nothing stops it");
    for (&row, again) in drawn.iter().zip(again) {
        let sides = [
            (Some(again.chosen), Some(rows[row].chosen)),
            (Some(again.rejected), Some(rows[row].rejected)),
            (again.mismatched, rows[row].mismatched),
        ];
        for (ours, theirs) in sides {
            if let (Some(ours), Some(theirs)) = (ours, theirs)
                && (ours.sum - theirs.sum).abs() > TOLERANCE * ours.tokens as f32
            {
                bail!(
                    "the base gives an answer of pair {} the log-probability {:.3}, but the reference says {:.3}\n\
                     hint: the reference was made by another model: make it anew from this base",
                    again.id,
                    ours.sum,
                    theirs.sum
                );
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_drawn_once_each() {
        for seed in 0..50 {
            let mut rows = drawn(5, seed);
            assert!(rows.iter().all(|row| *row < 5));
            rows.sort_unstable();
            rows.dedup();
            assert_eq!(rows.len(), CHECKED_ROWS, "seed {seed}");
        }
        assert_eq!(drawn(1, 3), [0]);
    }
}

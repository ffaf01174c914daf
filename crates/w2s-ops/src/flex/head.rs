//! The output projection with its loss, in chunks of rows: `[rows, vocab]` is never whole in memory.

use super::matmul::{Into, Matrix, product};
use super::simd::exp;
use super::{Values, dims2, filled, simd, tensor, values};
use crate::Targets;
use burn::backend::flex::FlexTensor;
use rayon::prelude::*;

/// Logits that a chunk holds: large enough for an efficient product, small next to a model.
const CHUNK_VALUES: usize = 4 << 20;

fn chunk_rows(vocab: usize) -> usize {
    (CHUNK_VALUES / vocab.max(1)).clamp(128, 2048)
}

/// The chunks of rows, each with its logits in a reused buffer.
fn for_chunks(
    hidden: &[f32],
    weight: &[f32],
    [rows, dim]: [usize; 2],
    vocab: usize,
    mut work: impl FnMut(usize, usize, &mut [f32]),
) {
    let step = chunk_rows(vocab).min(rows.max(1));
    let mut first = 0;
    let mut logits = filled(step * vocab, |_| {});
    while first < rows {
        let n = step.min(rows - first);
        let logits = &mut logits[..n * vocab];
        product(
            logits,
            vocab,
            Into::Replace,
            1.0,
            Matrix::new(&hidden[first * dim..], n, dim),
            Matrix::new(weight, vocab, dim).t(),
            true,
        );
        work(first, n, logits);
        first += n;
    }
}

/// Log of the sum of exponentials of a row.
#[inline(always)]
fn log_sum_of(row: &[f32]) -> f32 {
    let top = simd::max(row);
    let sum = simd::sum2(
        row,
        row,
        #[inline(always)]
        |sum, x, _| sum + exp(x - top),
    );
    sum.ln() + top
}

fn check(targets: &Targets, rows: usize, vocab: usize) {
    assert_eq!(targets.ids.len(), rows, "one target a row");
    if let Some(bad) = targets.ids.iter().find(|&&id| id as usize >= vocab) {
        panic!("target {bad} of a vocabulary of {vocab}");
    }
}

fn log_probs(hidden: &FlexTensor, weight: &FlexTensor, targets: &Targets) -> Vec<f32> {
    let ([rows, dim], [vocab, _]) = (dims2(hidden), dims2(weight));
    check(targets, rows, vocab);
    values!(hidden, weight);
    let mut out = vec![0f32; rows];
    for_chunks(hidden, weight, [rows, dim], vocab, |first, n, logits| {
        out[first..first + n]
            .par_iter_mut()
            .zip(logits.par_chunks(vocab))
            .zip(&targets.ids[first..first + n])
            .for_each(|((out, row), &id)| {
                *out = simd::dispatch(
                    #[inline(always)]
                    || row[id as usize] - log_sum_of(row),
                );
            });
    });
    out
}

/// Log of the sum of exponentials of each row, `[rows]`.
pub fn log_sum_exp(x: &FlexTensor) -> FlexTensor {
    let [rows, width] = dims2(x);
    values!(x);
    let out: Vec<f32> = x
        .par_chunks_exact(width.max(1))
        .map(|row| {
            simd::dispatch(
                #[inline(always)]
                || log_sum_of(row),
            )
        })
        .collect();
    tensor(out, [rows])
}

/// Log-probability of each target, `[rows]`.
pub fn token_log_probs(hidden: &FlexTensor, weight: &FlexTensor, targets: &Targets) -> FlexTensor {
    let out = log_probs(hidden, weight, targets);
    let rows = out.len();
    tensor(out, [rows])
}

/// Weighted sum in double precision, negated: the loss of some log-probabilities.
fn loss_of(log_probs: &[f32], weights: &[f32]) -> f32 {
    let terms = log_probs.iter().zip(weights);
    -terms
        .map(|(&l, &w)| f64::from(l) * f64::from(w))
        .sum::<f64>() as f32
}

/// `-Σ weight_t log p_t`, `[1]`.
pub fn cross_entropy(hidden: &FlexTensor, weight: &FlexTensor, targets: &Targets) -> FlexTensor {
    let out = log_probs(hidden, weight, targets);
    tensor(vec![loss_of(&out, &targets.weights)], [1])
}

/// Turns logits into log-probabilities of targets and into the gradient `coefficient (softmax - onehot)`, and adds up
/// the gradients of hidden states and, where it is trained, of the weight.
fn gradients(
    hidden: &FlexTensor,
    weight: &FlexTensor,
    targets: &Targets,
    coefficients: &[f32],
    want_weight: bool,
) -> (Vec<f32>, FlexTensor, Option<FlexTensor>) {
    let ([rows, dim], [vocab, _]) = (dims2(hidden), dims2(weight));
    check(targets, rows, vocab);
    values!(hidden, weight);
    let mut out = vec![0f32; rows];
    let mut d_weight = Vec::new();
    let d_hidden = filled(rows * dim, |d_hidden| {
        d_weight = filled(if want_weight { vocab * dim } else { 0 }, |d_weight| {
            if rows == 0 {
                d_weight.fill(0.0);
            }
            for_chunks(hidden, weight, [rows, dim], vocab, |first, n, logits| {
                out[first..first + n]
                    .par_iter_mut()
                    .zip(logits.par_chunks_mut(vocab))
                    .zip(&targets.ids[first..first + n])
                    .zip(&coefficients[first..first + n])
                    .for_each(|(((out, row), &id), &c)| {
                        simd::dispatch(
                            #[inline(always)]
                            || {
                                // One exponential a value: the sum is taken while they are written.
                                let top = simd::max(row);
                                let target = row[id as usize];
                                for x in row.iter_mut() {
                                    *x = exp(*x - top);
                                }
                                let sum = simd::sum(row);
                                *out = target - top - sum.ln();
                                let scale = c / sum;
                                for x in row.iter_mut() {
                                    *x *= scale;
                                }
                                row[id as usize] -= c;
                            },
                        );
                    });
                let d_logits = Matrix::new(logits, n, vocab);
                product(
                    &mut d_hidden[first * dim..][..n * dim],
                    dim,
                    Into::Replace,
                    1.0,
                    d_logits,
                    Matrix::new(weight, vocab, dim),
                    true,
                );
                if !want_weight {
                    return;
                }
                let into = if first == 0 { Into::Replace } else { Into::Add };
                product(
                    d_weight,
                    dim,
                    into,
                    1.0,
                    d_logits.t(),
                    Matrix::new(&hidden[first * dim..], n, dim),
                    true,
                );
            });
        });
    });
    (
        out,
        tensor(d_hidden, [rows, dim]),
        want_weight.then(|| tensor(d_weight, [vocab, dim])),
    )
}

/// The loss of [`cross_entropy`] with its gradients for an upstream gradient of one, the weight's where it is wanted.
pub fn cross_entropy_with_gradients(
    hidden: &FlexTensor,
    weight: &FlexTensor,
    targets: &Targets,
    want_weight: bool,
) -> (FlexTensor, FlexTensor, Option<FlexTensor>) {
    let (out, d_hidden, d_weight) =
        gradients(hidden, weight, targets, &targets.weights, want_weight);
    (
        tensor(vec![loss_of(&out, &targets.weights)], [1]),
        d_hidden,
        d_weight,
    )
}

/// Gradients of [`token_log_probs`], the weight's where it is wanted; the logits are computed again.
pub fn token_log_probs_backward(
    dy: &FlexTensor,
    hidden: &FlexTensor,
    weight: &FlexTensor,
    targets: &Targets,
    want_weight: bool,
) -> (FlexTensor, Option<FlexTensor>) {
    let coefficients: Vec<f32> = Values::of(dy).iter().map(|d| -d).collect();
    let (_, d_hidden, d_weight) = gradients(hidden, weight, targets, &coefficients, want_weight);
    (d_hidden, d_weight)
}

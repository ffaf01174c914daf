//! Rotary causal attention inside sequence boundaries.
//!
//! One task is one key/value head of one sequence: it rotates its keys once, and walks over blocks of queries. A block's
//! scores are at most `[BLOCK, length]`, reused from block to block; what is kept for the backward pass is one
//! log-sum per query and head.

use super::matmul::{Into, Matrix, product};
use super::simd::exp;
use super::{dims2, filled, simd, tensor, values};
use crate::{AttentionSpec, Rotary};
use burn::backend::flex::FlexTensor;
use rayon::prelude::*;
use std::sync::Arc;

/// Queries that are scored at once.
const BLOCK: usize = 64;

/// A `[tokens, width]` buffer that tasks write disjoint parts of.
pub(super) struct Shared(*mut f32, usize);

// SAFETY: tasks write disjoint (rows of their sequence) x (columns of their heads); see `rows_mut`.
unsafe impl Sync for Shared {}

impl Shared {
    pub(super) fn new(values: &mut [f32]) -> Self {
        Self(values.as_mut_ptr(), values.len())
    }

    /// The part of the buffer from `offset` on, `len` values.
    ///
    /// # Safety
    ///
    /// No two live slices of one thread or of different threads may be used to touch the same value. Rows interleave
    /// the columns of several heads, so slices of different tasks overlap in address range; each task only touches its
    /// own columns.
    #[expect(clippy::mut_from_ref, reason = "disjointness is the caller's promise")]
    unsafe fn part(&self, offset: usize, len: usize) -> &mut [f32] {
        assert!(offset + len <= self.1);
        // SAFETY: inside the allocation by the assertion; aliasing by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(offset), len) }
    }

    /// Copies `rows` rows of `width` values into the buffer, rows `stride` apart from `offset`.
    ///
    /// # Safety
    ///
    /// No other task may touch these columns of these rows.
    pub(super) unsafe fn put(&self, offset: usize, stride: usize, source: &[f32], width: usize) {
        for (i, row) in source.chunks_exact(width).enumerate() {
            // SAFETY: one row's columns, which the caller has to itself.
            unsafe { self.part(offset + i * stride, width) }.copy_from_slice(row);
        }
    }
}

/// Copies `n` rows of one head out of a packed `[tokens, width]` buffer, rotating each by its position.
#[inline(always)]
fn take(
    out: &mut [f32],
    source: &[f32],
    stride: usize,
    column: usize,
    first_row: usize,
    first_position: usize,
    head: usize,
    rotary: Option<&Rotary>,
    scale: f32,
) {
    for (i, out) in out.chunks_exact_mut(head).enumerate() {
        let x = &source[(first_row + i) * stride + column..][..head];
        match rotary {
            None => {
                for j in 0..head {
                    out[j] = x[j] * scale;
                }
            }
            Some(rotary) => {
                let (cos, sin) = rotary.at(first_position + i);
                // Slices of one known length, so that the loop below needs no checks and becomes vector code.
                let half = cos.len();
                let (a, b) = (&x[..half], &x[half..][..half]);
                let (oa, ob) = out.split_at_mut(half);
                let (oa, ob, sin) = (&mut oa[..half], &mut ob[..half], &sin[..half]);
                for j in 0..half {
                    oa[j] = (a[j] * cos[j] - b[j] * sin[j]) * scale;
                    ob[j] = (b[j] * cos[j] + a[j] * sin[j]) * scale;
                }
            }
        }
    }
}

/// Rotates the rows of one head back: the gradient of the rotation.
#[inline(always)]
fn rotate_back(rows: &mut [f32], first_position: usize, head: usize, rotary: Option<&Rotary>) {
    let Some(rotary) = rotary else { return };
    let half = head / 2;
    for (i, row) in rows.chunks_exact_mut(head).enumerate() {
        let (cos, sin) = rotary.at(first_position + i);
        let (a, b) = row.split_at_mut(half);
        for j in 0..half {
            let (x, y) = (a[j], b[j]);
            a[j] = x * cos[j] + y * sin[j];
            b[j] = y * cos[j] - x * sin[j];
        }
    }
}

struct Layout {
    tokens: usize,
    head: usize,
    group: usize,
    q_width: usize,
    kv_width: usize,
}

fn layout(q: &FlexTensor, k: &FlexTensor, spec: &AttentionSpec) -> Layout {
    let ([tokens, q_width], [_, kv_width]) = (dims2(q), dims2(k));
    let head = q_width / spec.heads;
    assert_eq!(
        spec.boundaries.last(),
        Some(&tokens),
        "boundaries end at the last token"
    );
    assert_eq!(kv_width, head * spec.kv_heads, "key width");
    Layout {
        tokens,
        head,
        group: spec.heads / spec.kv_heads,
        q_width,
        kv_width,
    }
}

/// Every (sequence, key/value head), longest sequences first so that threads end together.
fn tasks(spec: &AttentionSpec) -> Vec<(usize, usize, usize)> {
    let mut tasks: Vec<_> = spec
        .boundaries
        .windows(2)
        .filter(|w| w[1] > w[0])
        .flat_map(|w| (0..spec.kv_heads).map(move |h| (w[0], w[1] - w[0], h)))
        .collect();
    tasks.sort_by_key(|&(start, len, h)| (std::cmp::Reverse(len), start, h));
    tasks
}

/// Output `[tokens, heads * head]`, and the log-sum of scores of each query and head, `[heads, tokens]`.
pub fn forward(
    q: &FlexTensor,
    k: &FlexTensor,
    v: &FlexTensor,
    spec: &AttentionSpec,
) -> (FlexTensor, Arc<[f32]>) {
    let l = layout(q, k, spec);
    values!(q, k, v);
    let rotary = spec.rotary.as_ref();
    let scale = (l.head as f32).sqrt().recip();
    let mut log_sums = vec![0f32; spec.heads * l.tokens];
    let values = filled(l.tokens * l.q_width, |out| {
        let (out, log_sums) = (Shared::new(out), Shared::new(&mut log_sums));
        tasks(spec)
            .into_par_iter()
            .with_max_len(1)
            .for_each(|(start, len, kv)| {
                let mut keys = vec![0f32; len * l.head];
                let mut queries = vec![0f32; BLOCK.min(len) * l.head];
                let mut scores = vec![0f32; BLOCK.min(len) * len];
                simd::dispatch(
                    #[inline(always)]
                    || {
                        take(
                            &mut keys,
                            k,
                            l.kv_width,
                            kv * l.head,
                            start,
                            0,
                            l.head,
                            rotary,
                            1.0,
                        );
                    },
                );
                let values = &v[start * l.kv_width + kv * l.head..];
                for h in kv * l.group..(kv + 1) * l.group {
                    for from in (0..len).step_by(BLOCK) {
                        let n = BLOCK.min(len - from);
                        let seen = from + n;
                        let queries = &mut queries[..n * l.head];
                        let scores = &mut scores[..n * seen];
                        simd::dispatch(
                            #[inline(always)]
                            || {
                                take(
                                    queries,
                                    q,
                                    l.q_width,
                                    h * l.head,
                                    start + from,
                                    from,
                                    l.head,
                                    rotary,
                                    scale,
                                );
                            },
                        );
                        product(
                            scores,
                            seen,
                            Into::Replace,
                            1.0,
                            Matrix::new(queries, n, l.head),
                            Matrix::new(&keys, seen, l.head).t(),
                            false,
                        );
                        // SAFETY: this head's log-sums of this block, which no other task touches.
                        let log_sums = unsafe { log_sums.part(h * l.tokens + start + from, n) };
                        simd::dispatch(
                            #[inline(always)]
                            || {
                                for (i, row) in scores.chunks_exact_mut(seen).enumerate() {
                                    let (row, hidden) = row.split_at_mut(from + i + 1);
                                    let top = simd::max(row);
                                    for s in row.iter_mut() {
                                        *s = exp(*s - top);
                                    }
                                    let sum = simd::sum(row);
                                    log_sums[i] = top + sum.ln();
                                    let inverse = sum.recip();
                                    for s in row.iter_mut() {
                                        *s *= inverse;
                                    }
                                    hidden.fill(0.0);
                                }
                            },
                        );
                        product(
                            queries,
                            l.head,
                            Into::Replace,
                            1.0,
                            Matrix::new(scores, n, seen),
                            Matrix::strided(values, seen, l.head, l.kv_width),
                            false,
                        );
                        // SAFETY: the columns of this head in the rows of this block belong to this task.
                        unsafe {
                            out.put(
                                (start + from) * l.q_width + h * l.head,
                                l.q_width,
                                queries,
                                l.head,
                            )
                        };
                    }
                }
            });
    });
    (tensor(values, [l.tokens, l.q_width]), log_sums.into())
}

/// Output `[tokens, heads * head]` of queries whose keys and values lie in rows of a larger table.
///
/// Meant for one query a sequence or a few: a task is one key/value head of one sequence, which rotates its keys into a
/// buffer that stays in cache and takes one dot product a key; a sequence's result does not depend on its neighbours.
pub fn cached(q: &FlexTensor, k: &FlexTensor, v: &FlexTensor, spec: &AttentionSpec) -> FlexTensor {
    let l = layout(q, k, spec);
    values!(q, k, v);
    let rotary = spec.rotary.as_ref();
    let scale = (l.head as f32).sqrt().recip();
    let mut tasks: Vec<_> = spec
        .sequences()
        .filter(|(queries, _)| !queries.is_empty())
        .flat_map(|(queries, rows)| {
            (0..spec.kv_heads).map(move |kv| (queries.clone(), rows.clone(), kv))
        })
        .collect();
    tasks.sort_by_key(|(queries, rows, kv)| (std::cmp::Reverse(rows.len()), queries.start, *kv));
    let longest = tasks.first().map_or(0, |(_, rows, _)| rows.len());
    let values = filled(l.tokens * l.q_width, |out| {
        let out = Shared::new(out);
        tasks.into_par_iter().for_each_init(
            || {
                (
                    vec![0f32; longest * l.head],
                    vec![0f32; longest],
                    vec![0f32; l.head],
                    vec![0f32; l.head],
                )
            },
            |(keys, scores, query, mixed), (queries, rows, kv)| {
                let keys = &mut keys[..rows.len() * l.head];
                let first = rows.len() - queries.len();
                simd::dispatch(
                    #[inline(always)]
                    || {
                        take(
                            keys,
                            k,
                            l.kv_width,
                            kv * l.head,
                            rows.start,
                            0,
                            l.head,
                            rotary,
                            1.0,
                        );
                        for h in kv * l.group..(kv + 1) * l.group {
                            for (position, row) in (first..rows.len()).zip(queries.clone()) {
                                take(
                                    query,
                                    q,
                                    l.q_width,
                                    h * l.head,
                                    row,
                                    position,
                                    l.head,
                                    rotary,
                                    scale,
                                );
                                let scores = &mut scores[..=position];
                                for (score, key) in scores.iter_mut().zip(keys.chunks_exact(l.head))
                                {
                                    *score = simd::dot(query, key);
                                }
                                let top = simd::max(scores);
                                for score in scores.iter_mut() {
                                    *score = exp(*score - top);
                                }
                                let inverse = simd::sum(scores).recip();
                                mixed.fill(0.0);
                                for (j, &weight) in scores.iter().enumerate() {
                                    let value =
                                        &v[(rows.start + j) * l.kv_width + kv * l.head..][..l.head];
                                    for (m, &x) in mixed.iter_mut().zip(value) {
                                        *m = weight.mul_add(x, *m);
                                    }
                                }
                                for m in mixed.iter_mut() {
                                    *m *= inverse;
                                }
                                // SAFETY: the columns of this head in this row belong to this task.
                                unsafe {
                                    out.put(row * l.q_width + h * l.head, l.q_width, mixed, l.head)
                                };
                            }
                        }
                    },
                );
            },
        );
    });
    tensor(values, [l.tokens, l.q_width])
}

/// Gradients of queries, keys and values; scores are computed again block by block.
pub fn backward(
    dy: &FlexTensor,
    [q, k, v]: [&FlexTensor; 3],
    out: &FlexTensor,
    log_sums: &[f32],
    spec: &AttentionSpec,
) -> [FlexTensor; 3] {
    let l = layout(q, k, spec);
    values!(q, k, v);
    values!(dy, out);
    let rotary = spec.rotary.as_ref();
    let scale = (l.head as f32).sqrt().recip();
    let (mut dk, mut dv) = (Vec::new(), Vec::new());
    let dq = filled(l.tokens * l.q_width, |dq| {
        dk = filled(l.tokens * l.kv_width, |dk| {
            dv = filled(l.tokens * l.kv_width, |dv| {
                let (dq, dk, dv) = (Shared::new(dq), Shared::new(dk), Shared::new(dv));
                tasks(spec)
                    .into_par_iter()
                    .with_max_len(1)
                    .for_each(|(start, len, kv)| {
                        let block = BLOCK.min(len);
                        let mut keys = vec![0f32; len * l.head];
                        let mut d_keys = vec![0f32; len * l.head];
                        let mut d_values = vec![0f32; len * l.head];
                        let mut queries = vec![0f32; block * l.head];
                        let mut d_queries = vec![0f32; block * l.head];
                        let mut scores = vec![0f32; block * len];
                        let mut d_scores = vec![0f32; block * len];
                        simd::dispatch(
                            #[inline(always)]
                            || {
                                take(
                                    &mut keys,
                                    k,
                                    l.kv_width,
                                    kv * l.head,
                                    start,
                                    0,
                                    l.head,
                                    rotary,
                                    1.0,
                                );
                            },
                        );
                        let values = &v[start * l.kv_width + kv * l.head..];
                        for h in kv * l.group..(kv + 1) * l.group {
                            for from in (0..len).step_by(BLOCK) {
                                let n = BLOCK.min(len - from);
                                let seen = from + n;
                                let queries = &mut queries[..n * l.head];
                                let d_queries = &mut d_queries[..n * l.head];
                                let scores = &mut scores[..n * seen];
                                let d_scores = &mut d_scores[..n * seen];
                                let offset = (start + from) * l.q_width + h * l.head;
                                let d_out = Matrix::strided(&dy[offset..], n, l.head, l.q_width);
                                simd::dispatch(
                                    #[inline(always)]
                                    || {
                                        take(
                                            queries,
                                            q,
                                            l.q_width,
                                            h * l.head,
                                            start + from,
                                            from,
                                            l.head,
                                            rotary,
                                            scale,
                                        );
                                    },
                                );
                                product(
                                    scores,
                                    seen,
                                    Into::Replace,
                                    1.0,
                                    Matrix::new(queries, n, l.head),
                                    Matrix::new(&keys, seen, l.head).t(),
                                    false,
                                );
                                product(
                                    d_scores,
                                    seen,
                                    Into::Replace,
                                    1.0,
                                    d_out,
                                    Matrix::strided(values, seen, l.head, l.kv_width).t(),
                                    false,
                                );
                                let log_sums = &log_sums[h * l.tokens + start + from..][..n];
                                simd::dispatch(
                                    #[inline(always)]
                                    || {
                                        for i in 0..n {
                                            let at = offset + i * l.q_width;
                                            let shift = simd::dot(
                                                &dy[at..][..l.head],
                                                &out[at..][..l.head],
                                            );
                                            let (row, hidden) = scores[i * seen..][..seen]
                                                .split_at_mut(from + i + 1);
                                            let (d_row, d_hidden) = d_scores[i * seen..][..seen]
                                                .split_at_mut(from + i + 1);
                                            let d_row = &mut d_row[..row.len()];
                                            for j in 0..row.len() {
                                                row[j] = exp(row[j] - log_sums[i]);
                                                d_row[j] = row[j] * (d_row[j] - shift);
                                            }
                                            hidden.fill(0.0);
                                            d_hidden.fill(0.0);
                                        }
                                    },
                                );
                                product(
                                    &mut d_values,
                                    l.head,
                                    Into::Add,
                                    1.0,
                                    Matrix::new(scores, n, seen).t(),
                                    d_out,
                                    false,
                                );
                                // The queries carry the scale already.
                                product(
                                    &mut d_keys,
                                    l.head,
                                    Into::Add,
                                    1.0,
                                    Matrix::new(d_scores, n, seen).t(),
                                    Matrix::new(queries, n, l.head),
                                    false,
                                );
                                product(
                                    d_queries,
                                    l.head,
                                    Into::Replace,
                                    scale,
                                    Matrix::new(d_scores, n, seen),
                                    Matrix::new(&keys, seen, l.head),
                                    false,
                                );
                                rotate_back(d_queries, from, l.head, rotary);
                                // SAFETY: the columns of this head in the rows of this block belong to this task.
                                unsafe { dq.put(offset, l.q_width, d_queries, l.head) };
                            }
                        }
                        rotate_back(&mut d_keys, 0, l.head, rotary);
                        let offset = start * l.kv_width + kv * l.head;
                        // SAFETY: the columns of this key/value head in the rows of this sequence belong to this task.
                        unsafe {
                            dk.put(offset, l.kv_width, &d_keys, l.head);
                            dv.put(offset, l.kv_width, &d_values, l.head);
                        }
                    });
            });
        });
    });
    [
        tensor(dq, [l.tokens, l.q_width]),
        tensor(dk, [l.tokens, l.kv_width]),
        tensor(dv, [l.tokens, l.kv_width]),
    ]
}

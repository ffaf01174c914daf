//! The optimiser's passes over parameters.

use super::{TASK, simd, tensor, values};
use crate::AdamW;
use burn::backend::flex::FlexTensor;
use rayon::prelude::*;

const BLOCK: usize = 4 * TASK;

/// Values that are looked at together for something to do.
const STRETCH: usize = 512;

/// One AdamW step, in place where nobody else holds the tensors.
///
/// Without weight decay a value whose gradient and moments are zero stays as it is. Those are the rows of an embedding
/// that no batch has read yet, most of a large vocabulary: they are only looked at.
pub fn adamw(
    mut parameter: FlexTensor,
    gradient: &FlexTensor,
    mut first: FlexTensor,
    mut second: FlexTensor,
    s: AdamW,
) -> (FlexTensor, FlexTensor, FlexTensor) {
    if !parameter.is_contiguous() {
        parameter = parameter.to_contiguous();
    }
    values!(gradient);
    let (step, root_scale) = s.bias_corrected();
    let keep = 1.0 - s.learning_rate * s.weight_decay;
    parameter
        .storage_mut::<f32>()
        .par_chunks_mut(BLOCK)
        .zip(first.storage_mut::<f32>().par_chunks_mut(BLOCK))
        .zip(second.storage_mut::<f32>().par_chunks_mut(BLOCK))
        .zip(gradient.par_chunks(BLOCK))
        .for_each(|(((p, m), v), g)| {
            simd::dispatch(
                #[inline(always)]
                || {
                    for (((p, m), v), g) in p
                        .chunks_mut(STRETCH)
                        .zip(m.chunks_mut(STRETCH))
                        .zip(v.chunks_mut(STRETCH))
                        .zip(g.chunks(STRETCH))
                    {
                        if keep == 1.0 && is_zero(g) && is_zero(m) && is_zero(v) {
                            continue;
                        }
                        let n = p.len();
                        let (m, v, g) = (&mut m[..n], &mut v[..n], &g[..n]);
                        for i in 0..n {
                            let gi = g[i] * s.gradient_scale;
                            m[i] = s.beta1.mul_add(m[i], (1.0 - s.beta1) * gi);
                            v[i] = s.beta2.mul_add(v[i], (1.0 - s.beta2) * gi * gi);
                            let change = m[i] / v[i].sqrt().mul_add(root_scale, s.eps);
                            p[i] = keep.mul_add(p[i], -step * change);
                        }
                    }
                },
            );
        });
    (parameter, first, second)
}

/// Whether all values are zero, looked at all at once.
#[inline(always)]
fn is_zero(values: &[f32]) -> bool {
    values.iter().fold(0, |bits, v| bits | (v.to_bits() << 1)) == 0
}

/// Sum of squares, `[1]`, in blocks whose sums are added in double precision.
pub fn sum_squares(x: &FlexTensor) -> FlexTensor {
    values!(x);
    let parts: Vec<f64> = x
        .par_chunks(BLOCK)
        .map(|block| {
            f64::from(simd::dispatch(
                #[inline(always)]
                || simd::dot(block, block),
            ))
        })
        .collect();
    tensor(vec![parts.iter().sum::<f64>() as f32], [1])
}

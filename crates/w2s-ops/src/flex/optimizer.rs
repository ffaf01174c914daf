//! The optimiser's passes over parameters.

use super::{TASK, simd, tensor, values};
use crate::AdamW;
use burn::backend::flex::FlexTensor;
use rayon::prelude::*;

const BLOCK: usize = 4 * TASK;

/// One AdamW step, in place where nobody else holds the tensors.
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
                    let n = p.len();
                    let (m, v, g) = (&mut m[..n], &mut v[..n], &g[..n]);
                    for i in 0..n {
                        let gi = g[i] * s.gradient_scale;
                        m[i] = s.beta1.mul_add(m[i], (1.0 - s.beta1) * gi);
                        v[i] = s.beta2.mul_add(v[i], (1.0 - s.beta2) * gi * gi);
                        let change = m[i] / v[i].sqrt().mul_add(root_scale, s.eps);
                        p[i] = keep.mul_add(p[i], -step * change);
                    }
                },
            );
        });
    (parameter, first, second)
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

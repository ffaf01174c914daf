//! Normalisation of rows.

use super::{TASK, dims2, filled, simd, tensor, values};
use burn::backend::flex::FlexTensor;
use rayon::prelude::*;
use std::sync::Arc;

/// Rows that one task normalises; also the pieces in which weight gradients are summed.
fn block(width: usize) -> usize {
    (2 * TASK).div_ceil(width)
}

/// Normalised rows, and the inverse root mean square of each.
pub fn rms_norm(x: &FlexTensor, weight: &FlexTensor, eps: f32) -> (FlexTensor, Arc<[f32]>) {
    let [rows, width] = dims2(x);
    values!(x, weight);
    let mut inverse = vec![0f32; rows];
    let step = block(width);
    let out = filled(rows * width, |out| {
        out.par_chunks_mut(step * width)
            .zip(inverse.par_chunks_mut(step))
            .zip(x.par_chunks(step * width))
            .for_each(|((out, inverse), x)| {
                simd::dispatch(
                    #[inline(always)]
                    || {
                        let rows = out.chunks_exact_mut(width).zip(x.chunks_exact(width));
                        for ((out, x), inverse) in rows.zip(inverse) {
                            let inv = (simd::dot(x, x) / width as f32 + eps).sqrt().recip();
                            *inverse = inv;
                            for i in 0..width {
                                out[i] = x[i] * inv * weight[i];
                            }
                        }
                    },
                );
            });
    });
    (tensor(out, [rows, width]), inverse.into())
}

/// Adds up the per-block rows of weight gradients, in order.
fn add_up(parts: Vec<Vec<f32>>, width: usize) -> Vec<f32> {
    let mut total = vec![0f32; width];
    for part in parts {
        for (t, p) in total.iter_mut().zip(part) {
            *t += p;
        }
    }
    total
}

/// Gradients of rows and weight. With `x̂ = x / rms`: `dx = (dy w - x̂ mean(dy w x̂)) / rms`.
pub fn rms_norm_backward(
    dy: &FlexTensor,
    x: &FlexTensor,
    weight: &FlexTensor,
    inverse: &[f32],
) -> (FlexTensor, FlexTensor) {
    let [rows, width] = dims2(x);
    values!(dy, x, weight);
    let step = block(width);
    let mut parts = Vec::new();
    let dx = filled(rows * width, |dx| {
        dx.par_chunks_mut(step * width)
            .zip(x.par_chunks(step * width))
            .zip(dy.par_chunks(step * width))
            .zip(inverse.par_chunks(step))
            .map(|(((dx, x), dy), inverse)| {
                simd::dispatch(
                    #[inline(always)]
                    || {
                        let mut dw = vec![0f32; width];
                        let rows = dx.chunks_exact_mut(width).zip(x.chunks_exact(width));
                        for (((dx, x), dy), &inv) in rows.zip(dy.chunks_exact(width)).zip(inverse) {
                            let weight = &weight[..width];
                            for i in 0..width {
                                dx[i] = dy[i] * weight[i];
                                dw[i] = (dy[i] * x[i]).mul_add(inv, dw[i]);
                            }
                            let mean = simd::dot(dx, x) * inv * inv / width as f32;
                            for i in 0..width {
                                dx[i] = inv * mean.mul_add(-x[i], dx[i]);
                            }
                        }
                        dw
                    },
                )
            })
            .collect_into_vec(&mut parts);
    });
    (
        tensor(dx, [rows, width]),
        tensor(add_up(parts, width), [width]),
    )
}

/// Normalised rows, and mean and inverse standard deviation of each.
pub fn layer_norm(
    x: &FlexTensor,
    weight: &FlexTensor,
    bias: &FlexTensor,
    eps: f32,
) -> (FlexTensor, Arc<[[f32; 2]]>) {
    let [rows, width] = dims2(x);
    values!(x, weight, bias);
    let mut moments = vec![[0f32; 2]; rows];
    let step = block(width);
    let out = filled(rows * width, |out| {
        out.par_chunks_mut(step * width)
            .zip(moments.par_chunks_mut(step))
            .zip(x.par_chunks(step * width))
            .for_each(|((out, moments), x)| {
                simd::dispatch(
                    #[inline(always)]
                    || {
                        let rows = out.chunks_exact_mut(width).zip(x.chunks_exact(width));
                        for ((out, x), moments) in rows.zip(moments) {
                            let mean = simd::sum(x) / width as f32;
                            for i in 0..width {
                                out[i] = x[i] - mean;
                            }
                            let inv = (simd::dot(out, out) / width as f32 + eps).sqrt().recip();
                            *moments = [mean, inv];
                            for i in 0..width {
                                out[i] = (out[i] * inv).mul_add(weight[i], bias[i]);
                            }
                        }
                    },
                );
            });
    });
    (tensor(out, [rows, width]), moments.into())
}

/// Gradients of rows, weight and bias. `dx = (g - mean(g) - x̂ mean(g x̂)) / σ` with `g = dy w`.
pub fn layer_norm_backward(
    dy: &FlexTensor,
    x: &FlexTensor,
    weight: &FlexTensor,
    moments: &[[f32; 2]],
) -> (FlexTensor, FlexTensor, FlexTensor) {
    let [rows, width] = dims2(x);
    values!(dy, x, weight);
    let step = block(width);
    let mut parts = Vec::new();
    let dx = filled(rows * width, |dx| {
        dx.par_chunks_mut(step * width)
            .zip(x.par_chunks(step * width))
            .zip(dy.par_chunks(step * width))
            .zip(moments.par_chunks(step))
            .map(|(((dx, x), dy), moments)| {
                simd::dispatch(
                    #[inline(always)]
                    || {
                        let (mut dw, mut db) = (vec![0f32; width], vec![0f32; width]);
                        let mut normal = vec![0f32; width];
                        let rows = dx.chunks_exact_mut(width).zip(x.chunks_exact(width));
                        for (((dx, x), dy), &[mean, inv]) in
                            rows.zip(dy.chunks_exact(width)).zip(moments)
                        {
                            for i in 0..width {
                                normal[i] = (x[i] - mean) * inv;
                                dx[i] = dy[i] * weight[i];
                                dw[i] = dy[i].mul_add(normal[i], dw[i]);
                                db[i] += dy[i];
                            }
                            let mean_g = simd::sum(dx) / width as f32;
                            let mean_gx = simd::dot(dx, &normal) / width as f32;
                            for i in 0..width {
                                dx[i] = inv * mean_gx.mul_add(-normal[i], dx[i] - mean_g);
                            }
                        }
                        (dw, db)
                    },
                )
            })
            .collect_into_vec(&mut parts);
    });
    let (dw, db) = parts.into_iter().unzip();
    (
        tensor(dx, [rows, width]),
        tensor(add_up(dw, width), [width]),
        tensor(add_up(db, width), [width]),
    )
}

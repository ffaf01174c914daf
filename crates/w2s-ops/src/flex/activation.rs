//! SwiGLU and GELU with their products.

use super::simd::{sigmoid, tanh};
use super::{by_rows, dims2, filled, simd, tensor, values};
use burn::backend::flex::FlexTensor;
use rayon::prelude::*;
use std::f32::consts::FRAC_2_PI;

const BLOCK: usize = super::TASK;

/// `silu(gate) * up`.
pub fn swiglu(gate: &FlexTensor, up: &FlexTensor) -> FlexTensor {
    let dims = dims2(gate);
    values!(gate, up);
    let out = filled(gate.len(), |out| {
        by_rows(
            out,
            1,
            #[inline(always)]
            |first, out| {
                let (gate, up) = (&gate[first..][..out.len()], &up[first..][..out.len()]);
                for i in 0..out.len() {
                    out[i] = gate[i] * sigmoid(gate[i]) * up[i];
                }
            },
        );
    });
    tensor(out, dims)
}

/// Gradients of gate and up.
pub fn swiglu_backward(
    dy: &FlexTensor,
    gate: &FlexTensor,
    up: &FlexTensor,
) -> (FlexTensor, FlexTensor) {
    let dims = dims2(gate);
    values!(dy, gate, up);
    let mut d_up = Vec::new();
    let d_gate = filled(gate.len(), |d_gate| {
        d_up = filled(gate.len(), |d_up| {
            d_gate
                .par_chunks_mut(BLOCK)
                .zip(d_up.par_chunks_mut(BLOCK))
                .enumerate()
                .for_each(|(b, (dg, du))| {
                    simd::dispatch(
                        #[inline(always)]
                        || {
                            let (first, n) = (b * BLOCK, dg.len());
                            let (dy, g, u) =
                                (&dy[first..][..n], &gate[first..][..n], &up[first..][..n]);
                            let (dg, du) = (&mut dg[..n], &mut du[..n]);
                            for i in 0..n {
                                let s = sigmoid(g[i]);
                                du[i] = dy[i] * g[i] * s;
                                dg[i] = dy[i] * u[i] * s * (1.0 - s).mul_add(g[i], 1.0);
                            }
                        },
                    );
                });
        });
    });
    (tensor(d_gate, dims), tensor(d_up, dims))
}

#[inline(always)]
fn inner_tanh(x: f32) -> f32 {
    tanh(FRAC_2_PI.sqrt() * (0.044715 * x * x).mul_add(x, x))
}

/// GELU, tanh form.
pub fn gelu_tanh(x: &FlexTensor) -> FlexTensor {
    let dims = dims2(x);
    values!(x);
    let out = filled(x.len(), |out| {
        by_rows(
            out,
            1,
            #[inline(always)]
            |first, out| {
                let x = &x[first..][..out.len()];
                for i in 0..out.len() {
                    out[i] = 0.5 * x[i] * (1.0 + inner_tanh(x[i]));
                }
            },
        );
    });
    tensor(out, dims)
}

/// Gradient of [`gelu_tanh`].
pub fn gelu_tanh_backward(dy: &FlexTensor, x: &FlexTensor) -> FlexTensor {
    let dims = dims2(x);
    values!(dy, x);
    let out = filled(x.len(), |out| {
        by_rows(
            out,
            1,
            #[inline(always)]
            |first, out| {
                let (dy, x) = (&dy[first..][..out.len()], &x[first..][..out.len()]);
                for i in 0..out.len() {
                    let t = inner_tanh(x[i]);
                    let slope = FRAC_2_PI.sqrt() * (3.0 * 0.044715 * x[i]).mul_add(x[i], 1.0);
                    out[i] = dy[i] * 0.5 * (x[i] * (1.0 - t * t)).mul_add(slope, 1.0 + t);
                }
            },
        );
    });
    tensor(out, dims)
}

//! The operations as compositions of plain burn operations, on any backend.
//!
//! These are the default bodies of [`LmOps`](crate::LmOps): GPU backends run them as they are (burn's autodiff
//! differentiates them), and the tests hold the fused CPU kernels against them.

use crate::{AdamW, AttentionSpec, Rotary, Targets};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{DType, Shape, Slice, TensorData};
use std::f32::consts::FRAC_2_PI;

fn ints<B: Backend>(values: impl Iterator<Item = usize>, like: &FloatTensor<B>) -> IntTensor<B> {
    let values: Vec<i64> = values.map(|v| v as i64).collect();
    let shape = [values.len()];
    B::int_from_data(TensorData::new(values, shape), &like.device())
}

/// A constant of the data type of `like`.
fn constant<B: Backend>(values: Vec<f32>, shape: Shape, like: &FloatTensor<B>) -> FloatTensor<B> {
    let data = TensorData::new(values, shape);
    let data = match like.dtype() {
        DType::F64 => data.convert::<f64>(),
        _ => data,
    };
    B::float_from_data(data, &like.device())
}

fn columns<B: Backend>(x: FloatTensor<B>, from: usize, to: usize) -> FloatTensor<B> {
    let rows = x.shape()[0];
    B::float_slice(x, &[Slice::from(0..rows), Slice::from(from..to)])
}

/// `x wᵀ (+ bias)`.
pub fn linear<B: Backend>(x: FloatTensor<B>, weight: FloatTensor<B>) -> FloatTensor<B> {
    B::float_matmul(x, B::float_transpose(weight))
}

/// Rows of `table` by index.
pub fn gather_rows<B: Backend>(table: FloatTensor<B>, rows: &[usize]) -> FloatTensor<B> {
    let index = ints::<B>(rows.iter().copied(), &table);
    B::float_select(table, 0, index)
}

/// Root-mean-square normalisation of each row, times `weight`.
pub fn rms_norm<B: Backend>(x: FloatTensor<B>, weight: FloatTensor<B>, eps: f32) -> FloatTensor<B> {
    let dim = x.shape()[1];
    let mean = B::float_mean_dim(B::float_mul(x.clone(), x.clone()), 1);
    let inverse = B::float_recip(B::float_sqrt(B::float_add_scalar(mean, eps.into())));
    let weight = B::float_reshape(weight, Shape::new([1, dim]));
    B::float_mul(B::float_mul(x, inverse), weight)
}

/// Layer normalisation of each row, times `weight`, plus `bias`.
pub fn layer_norm<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: FloatTensor<B>,
    eps: f32,
) -> FloatTensor<B> {
    let dim = x.shape()[1];
    let centred = B::float_sub(x.clone(), B::float_mean_dim(x, 1));
    let variance = B::float_mean_dim(B::float_mul(centred.clone(), centred.clone()), 1);
    let inverse = B::float_recip(B::float_sqrt(B::float_add_scalar(variance, eps.into())));
    let row = |t| B::float_reshape(t, Shape::new([1, dim]));
    B::float_add(
        B::float_mul(B::float_mul(centred, inverse), row(weight)),
        row(bias),
    )
}

/// `silu(gate) * up`.
pub fn swiglu<B: Backend>(gate: FloatTensor<B>, up: FloatTensor<B>) -> FloatTensor<B> {
    let denominator = B::float_add_scalar(B::float_exp(B::float_neg(gate.clone())), 1f32.into());
    B::float_mul(B::float_div(gate, denominator), up)
}

/// GELU in its tanh form, the `gelu_new` of GPT-2.
pub fn gelu_tanh<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let cube = B::float_mul(B::float_mul(x.clone(), x.clone()), x.clone());
    let inner = B::float_add(x.clone(), B::float_mul_scalar(cube, 0.044715f32.into()));
    let tanh = B::float_tanh(B::float_mul_scalar(inner, FRAC_2_PI.sqrt().into()));
    B::float_mul_scalar(
        B::float_mul(x, B::float_add_scalar(tanh, 1f32.into())),
        0.5f32.into(),
    )
}

fn rotate<B: Backend>(
    x: FloatTensor<B>,
    rotary: Option<&Rotary>,
    positions: &[usize],
    heads: usize,
) -> FloatTensor<B> {
    let Some(rotary) = rotary else { return x };
    let [tokens, width] = [x.shape()[0], x.shape()[1]];
    let (head, half) = (width / heads, width / heads / 2);
    let mut cos = Vec::with_capacity(tokens * head);
    let mut sin = Vec::with_capacity(tokens * head);
    for &position in positions {
        let (c, s) = rotary.at(position);
        cos.extend_from_slice(c);
        cos.extend_from_slice(c);
        sin.extend(s.iter().map(|v| -v));
        sin.extend_from_slice(s);
    }
    let table = |values| constant::<B>(values, Shape::new([tokens, 1, head]), &x);
    let (cos, sin) = (table(cos), table(sin));
    let x = B::float_reshape(x, Shape::new([tokens, heads, head]));
    let part = |from: usize, to: usize| {
        B::float_slice(
            x.clone(),
            &[
                Slice::from(0..tokens),
                Slice::from(0..heads),
                Slice::from(from..to),
            ],
        )
    };
    let swapped = B::float_cat(vec![part(half, head), part(0, half)], 2);
    let turned = B::float_add(B::float_mul(x, cos), B::float_mul(swapped, sin));
    B::float_reshape(turned, Shape::new([tokens, width]))
}

/// Causal attention inside sequence boundaries, with a full score matrix.
pub fn attention<B: Backend>(
    q: FloatTensor<B>,
    k: FloatTensor<B>,
    v: FloatTensor<B>,
    spec: &AttentionSpec,
) -> FloatTensor<B> {
    let (tokens, rows) = (q.shape()[0], k.shape()[0]);
    let head = q.shape()[1] / spec.heads;
    let (mut q_positions, mut k_positions) = (vec![0; tokens], vec![0; rows]);
    let mut hidden = vec![-1e9f32; tokens * rows];
    for (queries, keys) in spec.sequences() {
        for (position, row) in keys.clone().enumerate() {
            k_positions[row] = position;
        }
        let first = keys.len() - queries.len();
        for (position, i) in (first..).zip(queries) {
            q_positions[i] = position;
            hidden[i * rows + keys.start..=i * rows + keys.start + position].fill(0.0);
        }
    }
    let rotary = spec.rotary.as_ref();
    let (q, k) = (
        rotate::<B>(q, rotary, &q_positions, spec.heads),
        rotate::<B>(k, rotary, &k_positions, spec.kv_heads),
    );
    let hidden = constant::<B>(hidden, Shape::new([tokens, rows]), &q);
    let group = spec.heads / spec.kv_heads;
    let outputs = (0..spec.heads)
        .map(|h| {
            let kv = h / group;
            let q = columns::<B>(q.clone(), h * head, (h + 1) * head);
            let k = columns::<B>(k.clone(), kv * head, (kv + 1) * head);
            let v = columns::<B>(v.clone(), kv * head, (kv + 1) * head);
            let scores = B::float_matmul(q, B::float_transpose(k));
            let scores = B::float_mul_scalar(scores, (head as f32).sqrt().recip().into());
            let scores = B::float_add(scores, hidden.clone());
            let top = B::float_detach(B::float_max_dim(scores.clone(), 1));
            let weights = B::float_exp(B::float_sub(scores, top));
            let sum = B::float_sum_dim(weights.clone(), 1);
            B::float_matmul(B::float_div(weights, sum), v)
        })
        .collect();
    B::float_cat(outputs, 1)
}

/// Log of the sum of exponentials of each row, `[rows]`.
pub fn log_sum_exp<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let rows = x.shape()[0];
    let top = B::float_detach(B::float_max_dim(x.clone(), 1));
    let sum = B::float_sum_dim(B::float_exp(B::float_sub(x, top.clone())), 1);
    B::float_reshape(B::float_add(B::float_log(sum), top), Shape::new([rows]))
}

/// Log-probability of each target under `softmax(hidden weightᵀ)`.
pub fn token_log_probs<B: Backend>(
    hidden: FloatTensor<B>,
    weight: FloatTensor<B>,
    targets: &Targets,
) -> FloatTensor<B> {
    let rows = hidden.shape()[0];
    let logits = linear::<B>(hidden, weight);
    let index = ints::<B>(targets.ids.iter().map(|&id| id as usize), &logits);
    let picked = B::float_gather(
        1,
        logits.clone(),
        B::int_reshape(index, Shape::new([rows, 1])),
    );
    let picked = B::float_reshape(picked, Shape::new([rows]));
    B::float_sub(picked, log_sum_exp::<B>(logits))
}

/// Weighted cross entropy `-Σ weight_t log p_t`, shape `[1]`.
pub fn cross_entropy<B: Backend>(
    hidden: FloatTensor<B>,
    weight: FloatTensor<B>,
    targets: &Targets,
) -> FloatTensor<B> {
    let rows = hidden.shape()[0];
    let log_probs = token_log_probs::<B>(hidden, weight, targets);
    let weights = constant::<B>(
        targets.weights.iter().map(|w| -w).collect(),
        Shape::new([rows]),
        &log_probs,
    );
    B::float_sum_dim(B::float_mul(log_probs, weights), 0)
}

/// One AdamW step; see [`crate::adamw_update`].
pub fn adamw_update<B: Backend>(
    parameter: FloatTensor<B>,
    gradient: FloatTensor<B>,
    first: FloatTensor<B>,
    second: FloatTensor<B>,
    s: AdamW,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let gradient = B::float_mul_scalar(gradient, s.gradient_scale.into());
    let blend = |old, new, beta: f32| {
        B::float_add(
            B::float_mul_scalar(old, beta.into()),
            B::float_mul_scalar(new, (1.0 - beta).into()),
        )
    };
    let first = blend(first, gradient.clone(), s.beta1);
    let second = blend(second, B::float_mul(gradient.clone(), gradient), s.beta2);
    let (step, denominator_scale) = s.bias_corrected();
    let root = B::float_mul_scalar(B::float_sqrt(second.clone()), denominator_scale.into());
    let change = B::float_div(first.clone(), B::float_add_scalar(root, s.eps.into()));
    let decayed = B::float_mul_scalar(parameter, (1.0 - s.learning_rate * s.weight_decay).into());
    let parameter = B::float_sub(decayed, B::float_mul_scalar(change, step.into()));
    (parameter, first, second)
}

/// Sum of squares, `[1]`.
pub fn sum_squares<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    B::float_sum(B::float_mul(x.clone(), x))
}

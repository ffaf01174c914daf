//! Fused operations for decoder language models.
//!
//! Plain compositions of tensor operations leave half of a CPU training step in passes over memory. Each function here
//! is one operation with one handwritten backward pass on the CPU backend, and a composition of plain burn operations
//! everywhere else:
//!
//! - [`linear`], the product with a `[out, in]` weight as model folders store it;
//! - [`rms_norm`] and [`layer_norm`];
//! - [`attention`]: rotary, causal, grouped-query, inside sequence boundaries, no score matrix kept; with a key/value
//!   cache too, see [`AttentionSpec::cached`];
//! - [`swiglu`] and [`gelu_tanh`];
//! - [`cross_entropy`] and [`token_log_probs`] of an output projection, which never hold `[tokens, vocab]`;
//!   [`log_sum_exp`] of logits that are there;
//! - [`gather_rows`], an embedding look-up whose gradient is a scatter-add;
//! - [`adamw_update`] and [`sum_squares`], one pass each.
//!
//! All tokens of a batch lie in one row of shape `[tokens, dim]`; sequences are told apart by boundaries, so there is no
//! padding and no pad id. Tensors of another type than `f32` take the plain composition on every backend.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use w2s_ops::{AttentionSpec, attention};
//!
//! let device = Device::flex();
//! let qkv = Tensor::<2>::ones([5, 8], &device);
//! // Two sequences, of three tokens and of two; two heads of four values each.
//! let spec = AttentionSpec::new(vec![0, 3, 5], 2, 2, None);
//! let out = attention(qkv.clone(), qkv.clone(), qkv, &spec);
//! assert_eq!(out.dims(), [5, 8]);
//! ```
#![deny(missing_docs)]

mod backend;
mod flex;
pub mod reference;
mod spec;

pub use backend::LmOps;
pub use spec::{AdamW, AttentionSpec, Rotary, Targets};

use burn::backend::Dispatch;
use burn::tensor::Tensor;

/// `x wᵀ`: `[tokens, in]` by a weight `[out, in]` to `[tokens, out]`.
pub fn linear(x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::linear(x.into_dispatch(), weight.into_dispatch()))
}

/// Rows of a table by index: `[rows, dim]` to `[indices, dim]`. Its gradient adds up rows that are read twice.
pub fn gather_rows(table: Tensor<2>, rows: &[usize]) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::gather_rows(table.into_dispatch(), rows.into()))
}

/// Root-mean-square normalisation of each row of `[tokens, dim]`, times `weight` of `[dim]` (Zhang and Sennrich 2019).
pub fn rms_norm(x: Tensor<2>, weight: Tensor<1>, eps: f32) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::rms_norm(
        x.into_dispatch(),
        weight.into_dispatch(),
        eps,
    ))
}

/// Layer normalisation of each row of `[tokens, dim]`, times `weight` plus `bias`, both `[dim]` (Ba et al. 2016).
pub fn layer_norm(x: Tensor<2>, weight: Tensor<1>, bias: Tensor<1>, eps: f32) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::layer_norm(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        eps,
    ))
}

/// `silu(gate) * up`, both `[tokens, ffn]` (Shazeer 2020).
pub fn swiglu(gate: Tensor<2>, up: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::swiglu(gate.into_dispatch(), up.into_dispatch()))
}

/// GELU in its tanh form, transformers' `gelu_new`, on `[tokens, ffn]`.
pub fn gelu_tanh(x: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::gelu_tanh(x.into_dispatch()))
}

/// Causal attention inside sequence boundaries: queries `[tokens, heads * head]`, keys and values
/// `[tokens, kv_heads * head]`, result shaped as the queries. Rotary positions restart with every sequence. With
/// [`AttentionSpec::cached`] keys and values have rows of their own.
pub fn attention(q: Tensor<2>, k: Tensor<2>, v: Tensor<2>, spec: &AttentionSpec) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::attention(
        q.into_dispatch(),
        k.into_dispatch(),
        v.into_dispatch(),
        spec.clone(),
    ))
}

/// Log of the sum of exponentials of each row of `[rows, columns]`, `[rows]`: what turns logits into log-probabilities.
pub fn log_sum_exp(x: Tensor<2>) -> Tensor<1> {
    Tensor::from_dispatch(Dispatch::log_sum_exp(x.into_dispatch()))
}

/// Weighted next-token cross entropy `-Σ weight_t log p_t` of hidden states `[rows, dim]` under an output projection
/// `[vocab, dim]`; a scalar of shape `[1]`.
pub fn cross_entropy(hidden: Tensor<2>, weight: Tensor<2>, targets: &Targets) -> Tensor<1> {
    Tensor::from_dispatch(Dispatch::cross_entropy(
        hidden.into_dispatch(),
        weight.into_dispatch(),
        targets.clone(),
    ))
}

/// Natural log-probability of each target, `[rows]`; the weights of `targets` are not read.
pub fn token_log_probs(hidden: Tensor<2>, weight: Tensor<2>, targets: &Targets) -> Tensor<1> {
    Tensor::from_dispatch(Dispatch::token_log_probs(
        hidden.into_dispatch(),
        weight.into_dispatch(),
        targets.clone(),
    ))
}

/// One AdamW step (Loshchilov and Hutter 2019) on a parameter with its gradient and both moments, all of one shape and
/// without autodiff; gives back the parameter and the moments.
pub fn adamw_update<const D: usize>(
    parameter: Tensor<D>,
    gradient: Tensor<D>,
    first: Tensor<D>,
    second: Tensor<D>,
    settings: AdamW,
) -> (Tensor<D>, Tensor<D>, Tensor<D>) {
    let (parameter, first, second) = Dispatch::adamw_update(
        parameter.into_dispatch(),
        gradient.into_dispatch(),
        first.into_dispatch(),
        second.into_dispatch(),
        settings,
    );
    (
        Tensor::from_dispatch(parameter),
        Tensor::from_dispatch(first),
        Tensor::from_dispatch(second),
    )
}

/// Sum of the squares of all values, `[1]`; not differentiable.
pub fn sum_squares<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    Tensor::from_dispatch(Dispatch::sum_squares(x.into_dispatch()))
}

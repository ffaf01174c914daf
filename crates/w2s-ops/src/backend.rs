//! The extension trait: default bodies for every backend, fused kernels on `Flex`, and their backward passes.

use crate::{AdamW, AttentionSpec, Targets, flex, reference};
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, TensorMetadata, backend_extension};
use burn::tensor::DType;
use std::fmt::Debug;
use std::sync::Arc;

/// Operations of decoder language models; see the functions of this crate for what each computes.
#[backend_extension(Flex, Cube: cfg(feature = "cube"), Autodiff)]
pub trait LmOps: Backend {
    /// See [`crate::linear`].
    fn linear(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        reference::linear::<Self>(x, weight)
    }

    /// See [`crate::gather_rows`].
    fn gather_rows(table: FloatTensor<Self>, rows: Arc<[usize]>) -> FloatTensor<Self> {
        reference::gather_rows::<Self>(table, &rows)
    }

    /// See [`crate::rms_norm`].
    fn rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, eps: f32) -> FloatTensor<Self> {
        reference::rms_norm::<Self>(x, weight, eps)
    }

    /// See [`crate::layer_norm`].
    fn layer_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        eps: f32,
    ) -> FloatTensor<Self> {
        reference::layer_norm::<Self>(x, weight, bias, eps)
    }

    /// See [`crate::swiglu`].
    fn swiglu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        reference::swiglu::<Self>(gate, up)
    }

    /// See [`crate::gelu_tanh`].
    fn gelu_tanh(x: FloatTensor<Self>) -> FloatTensor<Self> {
        reference::gelu_tanh::<Self>(x)
    }

    /// See [`crate::attention`].
    fn attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        spec: AttentionSpec,
    ) -> FloatTensor<Self> {
        reference::attention::<Self>(q, k, v, &spec)
    }

    /// See [`crate::log_sum_exp`].
    fn log_sum_exp(x: FloatTensor<Self>) -> FloatTensor<Self> {
        reference::log_sum_exp::<Self>(x)
    }

    /// See [`crate::cross_entropy`].
    fn cross_entropy(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: Targets,
    ) -> FloatTensor<Self> {
        reference::cross_entropy::<Self>(hidden, weight, &targets)
    }

    /// See [`crate::token_log_probs`].
    fn token_log_probs(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: Targets,
    ) -> FloatTensor<Self> {
        reference::token_log_probs::<Self>(hidden, weight, &targets)
    }

    /// See [`crate::adamw_update`].
    fn adamw_update(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        settings: AdamW,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        reference::adamw_update::<Self>(parameter, gradient, first, second, settings)
    }

    /// See [`crate::sum_squares`].
    fn sum_squares(x: FloatTensor<Self>) -> FloatTensor<Self> {
        reference::sum_squares::<Self>(x)
    }
}

#[cfg(feature = "cube")]
impl LmOps for burn::backend::Cube {}
#[cfg(feature = "cube")]
impl<C: CheckpointStrategy> LmOps for Autodiff<burn::backend::Cube, C> {}

/// Whether the fused kernels take this tensor.
fn fused(x: &FlexTensor) -> bool {
    x.dtype() == DType::F32
}

impl LmOps for Flex {
    fn linear(x: FlexTensor, weight: FlexTensor) -> FlexTensor {
        if !fused(&x) {
            return reference::linear::<Self>(x, weight);
        }
        if x.shape()[0] <= flex::narrow::ROWS {
            return flex::narrow::linear(&x, &weight);
        }
        flex::matmul::linear(&x, &weight)
    }

    fn gather_rows(table: FlexTensor, rows: Arc<[usize]>) -> FlexTensor {
        if !fused(&table) {
            return reference::gather_rows::<Self>(table, &rows);
        }
        flex::rows::gather(&table, &rows)
    }

    fn rms_norm(x: FlexTensor, weight: FlexTensor, eps: f32) -> FlexTensor {
        if !fused(&x) {
            return reference::rms_norm::<Self>(x, weight, eps);
        }
        flex::norm::rms_norm(&x, &weight, eps).0
    }

    fn layer_norm(x: FlexTensor, weight: FlexTensor, bias: FlexTensor, eps: f32) -> FlexTensor {
        if !fused(&x) {
            return reference::layer_norm::<Self>(x, weight, bias, eps);
        }
        flex::norm::layer_norm(&x, &weight, &bias, eps).0
    }

    fn swiglu(gate: FlexTensor, up: FlexTensor) -> FlexTensor {
        if !fused(&gate) {
            return reference::swiglu::<Self>(gate, up);
        }
        flex::activation::swiglu(&gate, &up)
    }

    fn gelu_tanh(x: FlexTensor) -> FlexTensor {
        if !fused(&x) {
            return reference::gelu_tanh::<Self>(x);
        }
        flex::activation::gelu_tanh(&x)
    }

    fn attention(q: FlexTensor, k: FlexTensor, v: FlexTensor, spec: AttentionSpec) -> FlexTensor {
        if !fused(&q) {
            return reference::attention::<Self>(q, k, v, &spec);
        }
        if spec.keys.is_some() {
            return flex::attention::cached(&q, &k, &v, &spec);
        }
        flex::attention::forward(&q, &k, &v, &spec).0
    }

    fn log_sum_exp(x: FlexTensor) -> FlexTensor {
        if !fused(&x) {
            return reference::log_sum_exp::<Self>(x);
        }
        flex::head::log_sum_exp(&x)
    }

    fn cross_entropy(hidden: FlexTensor, weight: FlexTensor, targets: Targets) -> FlexTensor {
        if !fused(&hidden) {
            return reference::cross_entropy::<Self>(hidden, weight, &targets);
        }
        flex::head::cross_entropy(&hidden, &weight, &targets)
    }

    fn token_log_probs(hidden: FlexTensor, weight: FlexTensor, targets: Targets) -> FlexTensor {
        if !fused(&hidden) {
            return reference::token_log_probs::<Self>(hidden, weight, &targets);
        }
        flex::head::token_log_probs(&hidden, &weight, &targets)
    }

    fn adamw_update(
        parameter: FlexTensor,
        gradient: FlexTensor,
        first: FlexTensor,
        second: FlexTensor,
        settings: AdamW,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        if !fused(&parameter) {
            return reference::adamw_update::<Self>(parameter, gradient, first, second, settings);
        }
        flex::optimizer::adamw(parameter, &gradient, first, second, settings)
    }

    fn sum_squares(x: FlexTensor) -> FlexTensor {
        if !fused(&x) {
            return reference::sum_squares::<Self>(x);
        }
        flex::optimizer::sum_squares(&x)
    }
}

type Tracked<C> = FloatTensor<Autodiff<Flex, C>>;

/// Registers one fused operation: `run` computes the output and, if anything upstream is trained, what the backward
/// pass needs, told which inputs ask for a gradient; `backward` turns the output's gradient into one gradient per input
/// that asks for it.
fn node<C, S, const N: usize>(
    inputs: [&Tracked<C>; N],
    run: impl FnOnce([&FlexTensor; N], [bool; N]) -> (FlexTensor, Option<S>),
    backward: fn(FlexTensor, S, [bool; N]) -> [Option<FlexTensor>; N],
) -> Tracked<C>
where
    C: CheckpointStrategy,
    S: Clone + Send + Debug + 'static,
{
    let primitives = inputs.map(|t| t.primitive());
    let wanted = inputs.map(|t| t.is_tracked());
    match Step(backward)
        .prepare::<C>(inputs.map(|t| t.node()))
        .compute_bound()
        .stateful()
    {
        OpsKind::Tracked(prep) => {
            let (output, state) = run(primitives, wanted);
            let state = state.expect("a tracked operation gives its state");
            prep.finish(state, output)
        }
        OpsKind::UnTracked(prep) => prep.finish(run(primitives, wanted).0),
    }
}

struct Step<S, const N: usize>(fn(FlexTensor, S, [bool; N]) -> [Option<FlexTensor>; N]);

impl<S, const N: usize> Debug for Step<S, N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("fused language-model operation")
    }
}

impl<S: Clone + Send + Debug + 'static, const N: usize> Backward<Flex, N> for Step<S, N> {
    type State = S;

    fn backward(self, ops: Ops<S, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node);
        let parents: [Option<NodeId>; N] = ops.parents.map(|p| p.map(|p| p.id));
        let wanted = parents.map(|p| p.is_some());
        let results = (self.0)(gradient, ops.state, wanted);
        for (parent, result) in parents.into_iter().zip(results) {
            if let (Some(id), Some(result)) = (parent, result) {
                grads.register::<Flex>(id, result);
            }
        }
    }
}

impl<C: CheckpointStrategy> LmOps for Autodiff<Flex, C> {
    fn linear(x: Tracked<C>, weight: Tracked<C>) -> Tracked<C> {
        if !fused(x.primitive()) {
            return reference::linear::<Self>(x, weight);
        }
        node::<C, _, _>(
            [&x, &weight],
            |[x, w], _| (flex::matmul::linear(x, w), Some((x.clone(), w.clone()))),
            |dy, (x, w), [want_x, want_w]| {
                [
                    want_x.then(|| flex::matmul::linear_backward_x(&dy, &w)),
                    want_w.then(|| flex::matmul::linear_backward_weight(&dy, &x)),
                ]
            },
        )
    }

    fn gather_rows(table: Tracked<C>, rows: Arc<[usize]>) -> Tracked<C> {
        if !fused(table.primitive()) {
            return reference::gather_rows::<Self>(table, &rows);
        }
        node::<C, _, _>(
            [&table],
            |[t], _| {
                let height = t.shape()[0];
                (flex::rows::gather(t, &rows), Some((rows.clone(), height)))
            },
            |dy, (rows, height), _| [Some(flex::rows::scatter_add(&dy, &rows, height))],
        )
    }

    fn rms_norm(x: Tracked<C>, weight: Tracked<C>, eps: f32) -> Tracked<C> {
        if !fused(x.primitive()) {
            return reference::rms_norm::<Self>(x, weight, eps);
        }
        node::<C, _, _>(
            [&x, &weight],
            |[x, w], _| {
                let (y, inverse) = flex::norm::rms_norm(x, w, eps);
                (y, Some((x.clone(), w.clone(), inverse)))
            },
            |dy, (x, w, inverse), _| {
                let (dx, dw) = flex::norm::rms_norm_backward(&dy, &x, &w, &inverse);
                [Some(dx), Some(dw)]
            },
        )
    }

    fn layer_norm(x: Tracked<C>, weight: Tracked<C>, bias: Tracked<C>, eps: f32) -> Tracked<C> {
        if !fused(x.primitive()) {
            return reference::layer_norm::<Self>(x, weight, bias, eps);
        }
        node::<C, _, _>(
            [&x, &weight, &bias],
            |[x, w, b], _| {
                let (y, moments) = flex::norm::layer_norm(x, w, b, eps);
                (y, Some((x.clone(), w.clone(), moments)))
            },
            |dy, (x, w, moments), _| {
                let (dx, dw, db) = flex::norm::layer_norm_backward(&dy, &x, &w, &moments);
                [Some(dx), Some(dw), Some(db)]
            },
        )
    }

    fn swiglu(gate: Tracked<C>, up: Tracked<C>) -> Tracked<C> {
        if !fused(gate.primitive()) {
            return reference::swiglu::<Self>(gate, up);
        }
        node::<C, _, _>(
            [&gate, &up],
            |[g, u], _| (flex::activation::swiglu(g, u), Some((g.clone(), u.clone()))),
            |dy, (g, u), _| {
                let (dg, du) = flex::activation::swiglu_backward(&dy, &g, &u);
                [Some(dg), Some(du)]
            },
        )
    }

    fn gelu_tanh(x: Tracked<C>) -> Tracked<C> {
        if !fused(x.primitive()) {
            return reference::gelu_tanh::<Self>(x);
        }
        node::<C, _, _>(
            [&x],
            |[x], _| (flex::activation::gelu_tanh(x), Some(x.clone())),
            |dy, x, _| [Some(flex::activation::gelu_tanh_backward(&dy, &x))],
        )
    }

    fn attention(q: Tracked<C>, k: Tracked<C>, v: Tracked<C>, spec: AttentionSpec) -> Tracked<C> {
        // Nothing is trained through a cache: its few gradients are the composition's.
        if !fused(q.primitive()) || spec.keys.is_some() {
            return reference::attention::<Self>(q, k, v, &spec);
        }
        node::<C, _, _>(
            [&q, &k, &v],
            |[q, k, v], _| {
                let (out, log_sums) = flex::attention::forward(q, k, v, &spec);
                let state = (q.clone(), k.clone(), v.clone(), out.clone(), log_sums, spec);
                (out, Some(state))
            },
            |dy, (q, k, v, out, log_sums, spec), _| {
                flex::attention::backward(&dy, [&q, &k, &v], &out, &log_sums, &spec).map(Some)
            },
        )
    }

    fn cross_entropy(hidden: Tracked<C>, weight: Tracked<C>, targets: Targets) -> Tracked<C> {
        if !fused(hidden.primitive()) {
            return reference::cross_entropy::<Self>(hidden, weight, &targets);
        }
        node::<C, _, _>(
            [&hidden, &weight],
            |[h, w], [want_h, want_w]| {
                if !(want_h || want_w) {
                    return (flex::head::cross_entropy(h, w, &targets), None);
                }
                // The loss is linear in its upstream gradient, so both gradients are made while the logits of a
                // chunk are still there and only scaled later.
                let (loss, dh, dw) =
                    flex::head::cross_entropy_with_gradients(h, w, &targets, want_w);
                (loss, Some((dh, dw)))
            },
            |dy, (dh, dw), _| {
                let scale = flex::scalar(&dy);
                [Some(dh), dw].map(|g| Some(flex::scaled(g?, scale)))
            },
        )
    }

    fn token_log_probs(hidden: Tracked<C>, weight: Tracked<C>, targets: Targets) -> Tracked<C> {
        if !fused(hidden.primitive()) {
            return reference::token_log_probs::<Self>(hidden, weight, &targets);
        }
        node::<C, _, _>(
            [&hidden, &weight],
            |[h, w], _| {
                let out = flex::head::token_log_probs(h, w, &targets);
                (out, Some((h.clone(), w.clone(), targets)))
            },
            |dy, (h, w, targets), [_, want_w]| {
                let (dh, dw) = flex::head::token_log_probs_backward(&dy, &h, &w, &targets, want_w);
                [Some(dh), dw]
            },
        )
    }
}

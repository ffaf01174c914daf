//! Micro-benchmarks of the fused operations, forward alone and with the backward pass.
//!
//! `cargo bench --workspace --bench operations` runs all of them; a name behind it runs those that contain it. Shapes are
//! those of a block of SmolLM2-135M with 512 tokens, and a vocabulary of 8,192. Items are multiply-adds where the
//! operation is a product, values of the input elsewhere.

use burn::tensor::{Device, Distribution, Tensor};
use divan::Bencher;
use divan::counter::ItemsCount;
use w2s_ops::{AdamW, AttentionSpec, Rotary, Targets};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TOKENS: usize = 512;
const DIM: usize = 576;
const FFN: usize = 1536;
const HEAD: usize = 64;
const VOCABULARY: usize = 8192;

/// Whether gradients are computed.
const PASSES: [bool; 2] = [false, true];

fn main() {
    divan::main();
}

/// Times `run` on random tensors of the given shapes, with a backward pass from the sum of its output if asked for.
fn time<const N: usize, const D: usize>(
    bencher: Bencher,
    backward: bool,
    items: usize,
    shapes: [[usize; 2]; N],
    run: impl Fn([Tensor<2>; N]) -> Tensor<D>,
) {
    let device = if backward {
        Device::flex().autodiff()
    } else {
        Device::flex()
    };
    let inputs = shapes.map(|shape| {
        let x = Tensor::<2>::random(shape, Distribution::Normal(0.0, 1.0), &device);
        if backward { x.require_grad() } else { x }
    });
    bencher.counter(ItemsCount::new(items)).bench_local(|| {
        let y = run(inputs.clone());
        if backward {
            drop(divan::black_box(y.sum().backward()));
        } else {
            drop(divan::black_box(y));
        }
    });
}

#[divan::bench(args = PASSES)]
fn linear(bencher: Bencher, backward: bool) {
    let passes = if backward { 3 } else { 1 };
    let shapes = [[TOKENS, DIM], [FFN, DIM]];
    time(
        bencher,
        backward,
        passes * TOKENS * DIM * FFN,
        shapes,
        |[x, w]| w2s_ops::linear(x, w),
    );
}

/// What a step of generation multiplies.
#[divan::bench(args = [1, 8, 32, 64])]
fn linear_of_few_rows(bencher: Bencher, rows: usize) {
    let shapes = [[rows, DIM], [FFN, DIM]];
    time(bencher, false, rows * DIM * FFN, shapes, |[x, w]| {
        w2s_ops::linear(x, w)
    });
}

#[divan::bench(args = PASSES)]
fn attention(bencher: Bencher, backward: bool) {
    let frequencies: Vec<f64> = (0..HEAD / 2)
        .map(|i| 1e4f64.powf(-(i as f64) / 32.0))
        .collect();
    let rotary = Rotary::new(&frequencies, TOKENS);
    let spec = AttentionSpec::new(vec![0, TOKENS / 4, TOKENS], 9, 3, Some(rotary));
    let shapes = [[TOKENS, 9 * HEAD], [TOKENS, 3 * HEAD], [TOKENS, 3 * HEAD]];
    time(
        bencher,
        backward,
        TOKENS * 15 * HEAD,
        shapes,
        |[q, k, v]| w2s_ops::attention(q, k, v, &spec),
    );
}

#[divan::bench(args = PASSES)]
fn rms_norm(bencher: Bencher, backward: bool) {
    time(
        bencher,
        backward,
        TOKENS * DIM,
        [[TOKENS, DIM], [1, DIM]],
        |[x, w]| w2s_ops::rms_norm(x, w.reshape([DIM]), 1e-5),
    );
}

#[divan::bench(args = PASSES)]
fn swiglu(bencher: Bencher, backward: bool) {
    let shapes = [[TOKENS, FFN], [TOKENS, FFN]];
    time(bencher, backward, 2 * TOKENS * FFN, shapes, |[gate, up]| {
        w2s_ops::swiglu(gate, up)
    });
}

#[divan::bench(args = PASSES)]
fn gelu_tanh(bencher: Bencher, backward: bool) {
    time(bencher, backward, TOKENS * FFN, [[TOKENS, FFN]], |[x]| {
        w2s_ops::gelu_tanh(x)
    });
}

#[divan::bench(args = PASSES)]
fn cross_entropy(bencher: Bencher, backward: bool) {
    let passes = if backward { 3 } else { 1 };
    let targets = Targets::mean((0..TOKENS as u32).collect::<Vec<_>>());
    let shapes = [[TOKENS, DIM], [VOCABULARY, DIM]];
    time(
        bencher,
        backward,
        passes * TOKENS * DIM * VOCABULARY,
        shapes,
        |[h, w]| w2s_ops::cross_entropy(h, w, &targets),
    );
}

#[divan::bench(args = PASSES)]
fn token_log_probs(bencher: Bencher, backward: bool) {
    let passes = if backward { 3 } else { 1 };
    let targets = Targets::mean((0..TOKENS as u32).collect::<Vec<_>>());
    let shapes = [[TOKENS, DIM], [VOCABULARY, DIM]];
    time(
        bencher,
        backward,
        passes * TOKENS * DIM * VOCABULARY,
        shapes,
        |[h, w]| w2s_ops::token_log_probs(h, w, &targets),
    );
}

#[divan::bench(args = PASSES)]
fn gather_rows(bencher: Bencher, backward: bool) {
    let rows: Vec<usize> = (0..TOKENS).map(|i| i * 7919 % VOCABULARY).collect();
    time(
        bencher,
        backward,
        TOKENS * DIM,
        [[VOCABULARY, DIM]],
        |[table]| w2s_ops::gather_rows(table, &rows),
    );
}

#[divan::bench]
fn adamw_update(bencher: Bencher) {
    let settings = AdamW {
        learning_rate: 1e-3,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.0,
        step: 1,
        gradient_scale: 1.0,
    };
    let value = || {
        let normal = Distribution::Normal(0.0, 1.0);
        Tensor::<2>::random([VOCABULARY, DIM], normal, &Device::flex())
    };
    let gradient = value();
    let mut state = Some((value(), value(), value().abs()));
    bencher
        .counter(ItemsCount::new(VOCABULARY * DIM))
        .bench_local(|| {
            // Moved in and out, so that the update happens in place.
            let (p, m, v) = state.take().expect("the state of the last round");
            state = Some(w2s_ops::adamw_update(p, gradient.clone(), m, v, settings));
        });
}

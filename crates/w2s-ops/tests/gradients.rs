//! Every fused operation against its plain composition in `f64`, and that against finite differences.
//!
//! Tensors of `f64` take the plain composition on every backend, so the same public function is kernel and oracle.

use burn::tensor::{DType, Device, Distribution, Tensor, TensorData};
use proptest::prelude::*;
use w2s_ops::{
    AdamW, AttentionSpec, Rotary, Targets, adamw_update, attention, cross_entropy, gather_rows,
    gelu_tanh, layer_norm, linear, rms_norm, sum_squares, swiglu, token_log_probs,
};

type Matrices = Vec<Tensor<2>>;
type Function<'a> = &'a dyn Fn(&[Tensor<2>]) -> Tensor<2>;

fn random(shapes: &[[usize; 2]], seed: u64) -> Vec<TensorData> {
    let device = Device::flex();
    device.seed(seed);
    shapes
        .iter()
        .map(|&s| Tensor::<2>::random(s, Distribution::Normal(0.0, 1.0), &device).into_data())
        .collect()
}

fn load(data: &[TensorData], dtype: DType) -> Matrices {
    let device = Device::flex().autodiff();
    data.iter()
        .map(|d| Tensor::from_data(d.clone(), (&device, dtype)).require_grad())
        .collect()
}

/// A scalar that weighs every output differently, so that no gradient cancels.
fn weigh(y: Tensor<2>) -> Tensor<1> {
    let [rows, columns] = y.dims();
    let weights: Vec<f64> = (0..rows * columns)
        .map(|i| ((i * 7 % 13) as f64 - 5.0) / 6.0)
        .collect();
    let data = TensorData::new(weights, [rows, columns]);
    let weights = Tensor::from_data(data, (&y.device(), y.dtype()));
    (y * weights).sum()
}

fn values(t: &TensorData) -> Vec<f64> {
    t.clone().convert::<f64>().try_to_vec().expect("floats")
}

/// Output and gradients of `f` at one precision.
fn run(f: Function, data: &[TensorData], dtype: DType) -> (Vec<f64>, Vec<Vec<f64>>) {
    let inputs = load(data, dtype);
    let y = f(&inputs);
    let out = values(&y.clone().into_data());
    let grads = weigh(y).backward();
    let grads = inputs
        .iter()
        .map(|x| {
            values(
                &x.grad(&grads)
                    .expect("a gradient for every input")
                    .into_data(),
            )
        })
        .collect();
    (out, grads)
}

fn close(name: &str, got: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len(), "{name}: length");
    for (i, (g, e)) in got.iter().zip(expected).enumerate() {
        assert!(
            (g - e).abs() <= tolerance * (1.0 + e.abs()),
            "{name}[{i}]: {g} instead of {e}"
        );
    }
}

/// Kernel against composition, composition against central differences of a few inputs.
fn check(name: &str, shapes: &[[usize; 2]], f: Function) {
    let data = random(shapes, 7);
    let (out, grads) = run(f, &data, DType::F32);
    let (exact, exact_grads) = run(f, &data, DType::F64);
    close(name, &out, &exact, 3e-5);
    for (i, (g, e)) in grads.iter().zip(&exact_grads).enumerate() {
        close(&format!("{name}, gradient {i}"), g, e, 1e-4);
    }
    let loss = |data: &[TensorData]| values(&weigh(f(&load(data, DType::F64))).into_data())[0];
    for (i, d) in data.iter().enumerate() {
        let base = values(d);
        for j in (0..base.len()).step_by(1 + base.len() / 5) {
            let shifted = |by: f64| {
                let mut moved = base.clone();
                moved[j] += by;
                let mut data = data.clone();
                data[i] = TensorData::new(moved, d.shape().clone());
                loss(&data)
            };
            let slope = (shifted(1e-5) - shifted(-1e-5)) / 2e-5;
            close(
                &format!("{name}, slope {i}.{j}"),
                &[exact_grads[i][j]],
                &[slope],
                1e-6,
            );
        }
    }
}

fn row(t: &Tensor<2>) -> Tensor<1> {
    let [_, n] = t.dims();
    t.clone().reshape([n])
}

#[test]
fn linear_products() {
    for [tokens, input, output] in [[5, 3, 4], [1, 64, 33], [130, 70, 90]] {
        check("linear", &[[tokens, input], [output, input]], &|x| {
            linear(x[0].clone(), x[1].clone())
        });
    }
}

#[test]
fn norms() {
    for [rows, width] in [[3, 4], [1, 65], [70, 96]] {
        check("rms_norm", &[[rows, width], [1, width]], &|x| {
            rms_norm(x[0].clone(), row(&x[1]), 1e-5)
        });
        check(
            "layer_norm",
            &[[rows, width], [1, width], [1, width]],
            &|x| layer_norm(x[0].clone(), row(&x[1]), row(&x[2]), 1e-5),
        );
    }
}

#[test]
fn activations() {
    for shape in [[1, 1], [7, 33], [300, 70]] {
        check("swiglu", &[shape, shape], &|x| {
            swiglu(x[0].clone(), x[1].clone())
        });
        check("gelu", &[shape], &|x| gelu_tanh(x[0].clone()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Rows come from none and one upwards; widths around and across the lanes of a vector.
    #[test]
    fn any_shape(rows in prop_oneof![0..3usize, 3..160usize], width in 1..80usize, output in 1..90usize) {
        check("linear", &[[rows, width], [output, width]], &|x| {
            linear(x[0].clone(), x[1].clone())
        });
        check("rms_norm", &[[rows, width], [1, width]], &|x| {
            rms_norm(x[0].clone(), row(&x[1]), 1e-2)
        });
        check("layer_norm", &[[rows, width], [1, width], [1, width]], &|x| {
            layer_norm(x[0].clone(), row(&x[1]), row(&x[2]), 1e-2)
        });
        check("swiglu", &[[rows, width], [rows, width]], &|x| swiglu(x[0].clone(), x[1].clone()));
        check("gelu", &[[rows, width]], &|x| gelu_tanh(x[0].clone()));
        let some: Vec<usize> = (0..rows).map(|i| i * 7 % output).collect();
        check("gather_rows", &[[output, width]], &|x| gather_rows(x[0].clone(), &some));
        if rows == 0 {
            return Ok(()); // the plain composition takes no empty list of targets
        }
        let targets = Targets::mean((0..rows as u32).map(|i| i % output as u32).collect::<Vec<_>>());
        check("token_log_probs", &[[rows, width], [output, width]], &|x| {
            token_log_probs(x[0].clone(), x[1].clone(), &targets).reshape([1, rows])
        });
    }
}

#[test]
fn embeddings_add_up_repeated_rows() {
    let rows = [3, 0, 3, 3, 8, 0];
    check("gather_rows", &[[9, 5]], &|x| {
        gather_rows(x[0].clone(), &rows)
    });
}

#[test]
fn attention_inside_boundaries() {
    let rotary = |head: usize| {
        let half = head / 2;
        let f: Vec<f64> = (0..half)
            .map(|i| 100f64.powf(-(i as f64) / half as f64))
            .collect();
        Some(Rotary::new(&f, 256))
    };
    // Empty, one-token and long sequences, the long ones over several blocks of queries.
    for (lengths, heads, kv_heads, head, rotary) in [
        (vec![4, 0, 1, 6], 2, 2, 4, None),
        (vec![1], 4, 2, 8, rotary(8)),
        (vec![3, 130, 0, 65], 4, 1, 6, rotary(6)),
        (vec![64, 64], 3, 3, 16, rotary(16)),
    ] {
        let mut boundaries = vec![0];
        for l in lengths {
            boundaries.push(boundaries[boundaries.len() - 1] + l);
        }
        let tokens = boundaries[boundaries.len() - 1];
        let spec = AttentionSpec::new(boundaries, heads, kv_heads, rotary);
        let (q, kv) = ([tokens, heads * head], [tokens, kv_heads * head]);
        check("attention", &[q, kv, kv], &|x| {
            attention(x[0].clone(), x[1].clone(), x[2].clone(), &spec)
        });
    }
}

#[test]
fn a_sequence_does_not_see_its_neighbours() {
    let data = random(&[[9, 8], [9, 8], [9, 8]], 3);
    let x = load(&data, DType::F32);
    let part = |t: &Tensor<2>| t.clone().slice([4..9, 0..8]);
    let both = AttentionSpec::new(vec![0, 4, 9], 2, 2, None);
    let alone = AttentionSpec::new(vec![0, 5], 2, 2, None);
    let joint = attention(x[0].clone(), x[1].clone(), x[2].clone(), &both).slice([4..9, 0..8]);
    let single = attention(part(&x[0]), part(&x[1]), part(&x[2]), &alone);
    close(
        "boundary",
        &values(&joint.into_data()),
        &values(&single.into_data()),
        1e-6,
    );
}

#[test]
fn heads_with_losses() {
    for [rows, dim, vocab] in [[1, 4, 7], [6, 8, 50], [300, 5, 40]] {
        let ids: Vec<u32> = (0..rows).map(|i| (i * 5 % vocab) as u32).collect();
        let weights: Vec<f32> = (0..rows).map(|i| (i % 3) as f32 / rows as f32).collect();
        let targets = Targets {
            ids: ids.into(),
            weights: weights.into(),
        };
        check("cross_entropy", &[[rows, dim], [vocab, dim]], &|x| {
            cross_entropy(x[0].clone(), x[1].clone(), &targets).reshape([1, 1])
        });
        check("token_log_probs", &[[rows, dim], [vocab, dim]], &|x| {
            token_log_probs(x[0].clone(), x[1].clone(), &targets).reshape([rows, 1])
        });
    }
}

#[test]
fn a_frozen_projection_changes_no_other_gradient() {
    let (rows, dim, vocab) = (5, 8, 11);
    let data = random(&[[rows, dim], [vocab, dim]], 3);
    let targets = Targets::mean(vec![3, 0, 10, 3, 7]);
    let gradients = |loss: &dyn Fn(Tensor<2>, Tensor<2>) -> Tensor<1>, frozen: bool| {
        let [hidden, weight] = [0, 1].map(|i| load(&data, DType::F32)[i].clone());
        let weight = weight.set_require_grad(!frozen);
        let grads = loss(hidden.clone(), weight.clone()).backward();
        let value = |x: &Tensor<2>| x.grad(&grads).map(|g| values(&g.into_data()));
        (value(&hidden).expect("a gradient"), value(&weight))
    };
    let losses: [&dyn Fn(Tensor<2>, Tensor<2>) -> Tensor<1>; 2] =
        [&|h, w| cross_entropy(h, w, &targets), &|h, w| {
            token_log_probs(h, w, &targets).sum()
        }];
    for loss in losses {
        let ((trained, weight), (frozen, none)) = (gradients(loss, false), gradients(loss, true));
        assert_eq!(trained, frozen);
        assert!(weight.is_some() && none.is_none());
    }
}

#[test]
fn cross_entropy_over_several_chunks_of_rows() {
    let (rows, dim, vocab) = (300, 3, 40_000);
    let data = random(&[[rows, dim], [vocab, dim]], 1);
    let targets = Targets::mean((0..rows as u32).map(|i| i * 131).collect::<Vec<_>>());
    let f: Function = &|x| cross_entropy(x[0].clone(), x[1].clone(), &targets).reshape([1, 1]);
    let (out, grads) = run(f, &data, DType::F32);
    let (exact, exact_grads) = run(f, &data, DType::F64);
    close("loss", &out, &exact, 1e-5);
    for (g, e) in grads.iter().zip(&exact_grads) {
        close("gradient", g, e, 1e-5);
    }
}

/// Rows of an embedding that no batch has read are passed over, those whose moments still move are not.
#[test]
fn adam_passes_over_what_stays_as_it_is() {
    let device = Device::flex();
    let rows = 4;
    let row = |on: usize| {
        let values = (0..rows * 512).map(|i| f32::from(u8::from(i / 512 == on)));
        TensorData::new(values.collect::<Vec<f32>>(), [rows, 512])
    };
    let step = |t: DType| {
        let load = |d: TensorData| Tensor::<2>::from_data(d, (&device, t));
        // Row 0 has a gradient, row 1 a first moment, row 2 a second moment, row 3 nothing.
        let (p, m, v) = adamw_update(
            load(row(3)),
            load(row(0)),
            load(row(1)),
            load(row(2)),
            AdamW {
                learning_rate: 1e-2,
                beta1: 0.9,
                beta2: 0.99,
                eps: 1e-4,
                weight_decay: 0.0,
                step: 2,
                gradient_scale: 1.0,
            },
        );
        [p, m, v].map(|t| values(&t.into_data()))
    };
    for (single, double) in step(DType::F32).iter().zip(&step(DType::F64)) {
        close("adam", single, double, 1e-6);
    }
}

#[test]
fn adamw_follows_its_definition() {
    let device = Device::flex();
    let data = random(&[[40, 30], [40, 30]], 5);
    let load = |d: &TensorData, t| Tensor::<2>::from_data(d.clone(), (&device, t));
    let step = |t: DType| {
        let (mut p, g) = (load(&data[0], t), load(&data[1], t));
        let (mut m, mut v) = (p.zeros_like(), p.zeros_like());
        for step in 1..=3 {
            let settings = AdamW {
                learning_rate: 1e-2,
                beta1: 0.9,
                beta2: 0.99,
                eps: 1e-8,
                weight_decay: 0.1,
                step,
                gradient_scale: 0.5,
            };
            (p, m, v) = adamw_update(p, g.clone(), m, v, settings);
        }
        values(&p.into_data())
    };
    close("adamw", &step(DType::F32), &step(DType::F64), 1e-6);
    // The first step of Adam moves every value by the learning rate against the gradient's sign.
    let (p, g) = (load(&data[0], DType::F32), load(&data[1], DType::F32));
    let settings = AdamW {
        learning_rate: 1e-2,
        beta1: 0.9,
        beta2: 0.999,
        eps: 0.0,
        weight_decay: 0.0,
        step: 1,
        gradient_scale: 1.0,
    };
    let (moved, _, _) = adamw_update(
        p.clone(),
        g.clone(),
        p.zeros_like(),
        p.zeros_like(),
        settings,
    );
    let expected = p - g.sign() * 1e-2;
    close(
        "adam",
        &values(&moved.into_data()),
        &values(&expected.into_data()),
        1e-5,
    );
}

#[test]
fn squares_add_up() {
    let x = Tensor::<1>::from_floats([3.0, -4.0], &Device::flex());
    assert_eq!(sum_squares(x).into_scalar::<f32>(), 25.0);
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let (tokens, dim, vocab) = (700, 96, 900);
    let data = random(&[[tokens, dim], [dim, dim], [vocab, dim], [1, dim]], 11);
    let spec = AttentionSpec::new(vec![0, 300, 301, 700], 4, 4, None);
    let targets = Targets::mean((0..tokens as u32).map(|i| i % 900).collect::<Vec<_>>());
    let f = |x: &[Tensor<2>]| {
        let y = rms_norm(x[0].clone(), row(&x[3]), 1e-5);
        let q = linear(y.clone(), x[1].clone());
        let y = attention(q.clone(), q.clone(), y, &spec);
        let y = swiglu(y.clone(), gelu_tanh(y));
        cross_entropy(y, x[2].clone(), &targets).reshape([1, 1])
    };
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| run(&f, &data, DType::F32))
    };
    let one = with(1);
    for threads in [2, 3] {
        assert!(
            with(threads) == one,
            "{threads} threads give other bits than one"
        );
    }
}

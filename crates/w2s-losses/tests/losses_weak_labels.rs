//! Losses of weak labels: golden values, properties, gradients, and batches in parts.

mod support;

use std::ops::Range;

use burn::tensor::{DType, Tensor, activation::softmax};
use serde_json::Value;
use support::{
    BOTH, check, check_gradient, golden, gradient, noise, number, numbers, values, vector,
};
use w2s_losses::{
    Confidence, ConfidenceVariant, LabelLoss, LabelSetting, LossError, balance_batch,
    cross_entropy, cross_entropy_rows, entropy_rows, kl_rows, mix, product_rows, product_targets,
    window_rows,
};

/// Rows of two classes.
fn matrix(values: &[f64], dtype: DType) -> Tensor<2> {
    let rows = values.len() / 2;
    vector(values, dtype).reshape([rows, 2])
}

/// The variant that a golden case means; golden.json writes `repo` for `openai`.
fn confidence(params: &Value) -> Confidence {
    let variant = match params["mode"].as_str() {
        Some("paper") => ConfidenceVariant::Paper,
        Some("repo") | None => ConfidenceVariant::OpenAi,
        Some("repo_fixed") => ConfidenceVariant::OpenAiFixed,
        Some(mode) => panic!("unknown mode {mode}"),
    };
    let mut confidence = Confidence::new(variant);
    if let Some(weight) = params["alpha"].as_f64() {
        confidence.max_weight = weight;
    }
    if !params["aux_coef"].is_null() {
        // The published settings are the defaults.
        assert_eq!(confidence.max_weight, number(&params["aux_coef"]));
        assert_eq!(confidence.warmup_fraction, number(&params["warmup_frac"]));
    }
    confidence
}

fn run(case: &Value, dtype: DType) {
    let (inputs, params, expected) = (&case["inputs"], &case["params"], &case["expected"]);
    let tensor = |name: &str| matrix(&numbers(&inputs[name]), dtype);
    let logits = || tensor("logits");
    let weak = || tensor("weak_soft_labels");
    let student = || softmax(logits(), 1);
    let mean = |rows: Tensor<1>| values(&rows.mean());
    let expect = |got: &[f64]| check(case, dtype, got, &numbers(expected));
    match case["loss"].as_str().expect("a loss") {
        "softmax" => expect(&values(&student().slice([0..4, 0..1]))),
        "xent" => expect(&values(&cross_entropy(logits(), weak()))),
        "xent_grad" | "product_grad" => {
            let z = logits().require_grad();
            let rows = match case["loss"].as_str() {
                Some("xent_grad") => cross_entropy_rows(z.clone(), weak()),
                _ => {
                    let (alpha, beta) = (number(&params["alpha"]), number(&params["beta"]));
                    product_rows(z.clone(), weak(), alpha, beta)
                }
            };
            let grads = rows.mean().backward();
            expect(&values(&z.grad(&grads).expect("a gradient")));
        }
        "product" => {
            let (alpha, beta) = (number(&params["alpha"]), number(&params["beta"]));
            expect(&mean(product_rows(logits(), weak(), alpha, beta)));
        }
        "product_target" => {
            let (alpha, beta) = (number(&params["alpha"]), number(&params["beta"]));
            expect(&values(&product_targets(logits(), weak(), alpha, beta)));
        }
        "logconf_threshold" => {
            let variant = confidence(params).variant;
            let threshold = variant.threshold(&student(), &weak());
            expect(&[threshold.expect("two classes")]);
        }
        "logconf_hard_class" => {
            let hard = ConfidenceVariant::OpenAi.harden(&student(), &weak());
            let second = hard.expect("two classes").slice([0..4, 1..2]);
            assert_eq!(values(&second), numbers(expected), "{}", case["id"]);
        }
        "logconf" => {
            let confidence = confidence(params);
            let paper = confidence.variant == ConfidenceVariant::Paper;
            // The paper's cases give the weight after the warm-up.
            let step = if paper {
                1.0
            } else {
                number(&params["step_frac"])
            };
            let targets = confidence.targets(&student(), weak(), step);
            let loss = values(&cross_entropy(logits(), targets.expect("two classes")));
            if paper {
                expect(&loss);
            } else {
                expect(&[confidence.weight(step), loss[0]]);
            }
        }
        "entropy" => expect(&mean(entropy_rows(
            logits(),
            weak(),
            number(&params["coef"]),
        ))),
        "confidence_window" => {
            let radius = number(&params["radius"]);
            expect(&mean(window_rows(logits(), weak(), radius)));
        }
        "kl_batchmean" => expect(&mean(kl_rows(logits(), weak()))),
        "balance_batch" => {
            let weak = numbers(&inputs["weak_p1"]);
            let rows: Vec<f64> = weak.iter().flat_map(|w| [1.0 - w, *w]).collect();
            let balanced = balance_batch(&matrix(&rows, dtype)).expect("two classes");
            expect(&values(&balanced.slice([0..4, 1..2])));
        }
        "warmup_coef" => {
            // Counted in steps of a run of 1000.
            let mut confidence = Confidence::new(ConfidenceVariant::OpenAiFixed);
            confidence.max_weight = number(&params["aux_coef"]);
            confidence.warmup_fraction = number(&params["warmup_steps"]) / 1000.0;
            expect(&[confidence.weight(number(&inputs["step"]) / 1000.0)]);
        }
        loss => panic!("no test for {loss}"),
    }
}

#[test]
fn golden_values() {
    for case in golden(&["w2sg."], 31) {
        for dtype in BOTH {
            run(&case, dtype);
        }
    }
}

/// Logits and weak labels of a batch.
fn batch(rows: usize, seed: u64, dtype: DType) -> (Tensor<2>, Tensor<2>) {
    let logits: Vec<f64> = noise(2 * rows, seed).iter().map(|x| 3.0 * x).collect();
    let weak: Vec<f64> = noise(rows, seed + 1)
        .iter()
        .flat_map(|x| [0.5 + 0.49 * x, 0.5 - 0.49 * x])
        .collect();
    (matrix(&logits, dtype), matrix(&weak, dtype))
}

#[test]
fn weight_zero_is_naive_bit_for_bit() {
    let (logits, weak) = batch(33, 1, DType::F32);
    let naive = cross_entropy(logits.clone(), weak.clone()).into_scalar::<f32>();
    let student = softmax(logits.clone(), 1);
    for variant in ConfidenceVariant::ALL {
        let mut confidence = Confidence::new(variant);
        let at = |confidence: &Confidence, step| {
            let targets = confidence.targets(&student, weak.clone(), step).unwrap();
            cross_entropy(logits.clone(), targets).into_scalar::<f32>()
        };
        assert_eq!(at(&confidence, 0.0).to_bits(), naive.to_bits());
        assert_ne!(at(&confidence, 1.0), naive);
        confidence.max_weight = 0.0;
        assert_eq!(at(&confidence, 1.0).to_bits(), naive.to_bits());
    }
    let entropy = entropy_rows(logits, weak, 0.0).mean().into_scalar::<f32>();
    assert_eq!(entropy.to_bits(), naive.to_bits());
}

#[test]
fn warm_ups() {
    use ConfidenceVariant::*;
    for variant in [Paper, OpenAiFixed] {
        let confidence = Confidence::new(variant);
        let u = confidence.warmup_fraction;
        assert_eq!(confidence.weight(0.0), 0.0);
        assert_eq!(confidence.weight(u / 2.0), 0.25);
        assert_eq!(confidence.weight(u), 0.5);
        assert_eq!(confidence.weight(1.0), 0.5);
        let none = Confidence {
            warmup_fraction: 0.0,
            ..confidence
        };
        assert_eq!(none.weight(0.0), 0.5);
    }
    for variant in ConfidenceVariant::ALL {
        let confidence = Confidence::new(variant);
        let weights: Vec<f64> = (0..=100)
            .map(|i| confidence.weight(i as f64 / 100.0))
            .collect();
        assert!(weights.is_sorted(), "{variant}: {weights:?}");
    }
    // The published code's jump.
    let published = Confidence::new(OpenAi);
    assert_eq!(published.weight(0.1), 0.05);
    assert_eq!(published.weight(0.11), 0.5);
}

#[test]
fn settings_are_checked() {
    let mut loss: LabelLoss = "confidence".parse().unwrap();
    assert_eq!(loss.check(), Ok(()));
    loss.set(LabelSetting::MaxWeight, 1.5).unwrap();
    assert_eq!(
        loss.check().unwrap_err().to_string(),
        "`max-weight` is 1.5 but must be between 0 and 1"
    );
    loss.set(LabelSetting::MaxWeight, 0.5).unwrap();
    loss.set(LabelSetting::WeightWarmup, f64::NAN).unwrap();
    assert!(loss.check().is_err());
}

#[test]
fn paper_hardens_exactly_half() {
    for rows in [2, 3, 8, 31, 32] {
        let (logits, weak) = batch(rows, 5, DType::F32);
        // Undecided heads and saturated ones too: the half is exact under any ties.
        for scale in [0.0, 1.0, 1e4] {
            let student = softmax(logits.clone() * scale, 1);
            let hard = ConfidenceVariant::Paper.harden(&student, &weak).unwrap();
            let ones: f64 = values(&hard.slice([0..rows, 1..2])).iter().sum();
            assert_eq!(ones, (rows / 2) as f64);
        }
    }
    // Among equals the weak label decides, whatever their order.
    let same = matrix(&[0.5; 6], DType::F32);
    let weak = matrix(&[0.6, 0.4, 0.1, 0.9, 0.7, 0.3], DType::F32);
    let hard = ConfidenceVariant::Paper.harden(&same, &weak).unwrap();
    assert_eq!(values(&hard), [1., 0., 0., 1., 1., 0.]);
}

#[test]
fn confidence_is_for_two_classes() {
    let three = Tensor::<2>::full([4, 3], 1.0 / 3.0, &burn::tensor::Device::flex());
    let error = ConfidenceVariant::Paper.harden(&three, &three).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the loss `confidence` is for 2 classes but there are 3"
    );
    assert!(error.hint().unwrap().contains("cross-entropy"));
    let two = Tensor::<2>::full([4, 2], 0.5, &burn::tensor::Device::flex());
    assert!(matches!(
        ConfidenceVariant::OpenAi.threshold(&two, &three),
        Err(LossError::Shapes { .. })
    ));
}

#[test]
fn product_survives_underflow() {
    // p_0 = e^-2000 is zero in any float, and the weak label allows class 0 only.
    for dtype in BOTH {
        let logits = matrix(&[-1000.0, 1000.0, 1.0, 1.0], dtype);
        let weak = matrix(&[1.0, 0.0, 0.25, 0.75], dtype);
        let targets = product_targets(logits.clone(), weak.clone(), 1.0, 1.0);
        assert_eq!(values(&targets)[..2], [1.0, 0.0]);
        let loss = values(&product_rows(logits.clone(), weak.clone(), 1.0, 1.0));
        assert_eq!(loss[0], 2000.0);
        let student_only = product_targets(logits, weak, 0.0, 1.0);
        assert_eq!(values(&student_only), [0.0, 1.0, 0.5, 0.5]);
    }
}

#[test]
fn divergence_of_agreement_is_zero() {
    let (logits, weak) = batch(9, 3, DType::F64);
    let own = softmax(logits.clone(), 1);
    assert!(
        values(&kl_rows(logits.clone(), own))
            .iter()
            .all(|x| x.abs() < 1e-12)
    );
    assert!(values(&kl_rows(logits, weak)).iter().all(|x| *x > 0.0));
}

type Rows = dyn Fn(Tensor<2>, Range<usize>) -> Tensor<1>;

/// Every loss as a function of logits and the rows they are, with targets fixed from the whole batch.
fn losses(logits: &Tensor<2>, weak: &Tensor<2>) -> Vec<(String, Box<Rows>)> {
    let mut all: Vec<(String, Box<Rows>)> = Vec::new();
    let cut = |t: &Tensor<2>| {
        let t = t.clone();
        move |rows: Range<usize>| t.clone().slice([rows, 0..2])
    };
    let student = softmax(logits.clone(), 1);
    for variant in ConfidenceVariant::ALL {
        let confidence = Confidence::new(variant);
        let targets = confidence.targets(&student, weak.clone(), 0.5).unwrap();
        let targets = cut(&targets);
        all.push((
            format!("confidence {variant}"),
            Box::new(move |z, rows| cross_entropy_rows(z, targets(rows))),
        ));
    }
    let balanced = cut(&balance_batch(weak).unwrap());
    all.push((
        "balanced cross entropy".into(),
        Box::new(move |z, rows| cross_entropy_rows(z, balanced(rows))),
    ));
    let w = cut(weak);
    all.push((
        "cross entropy".into(),
        Box::new(move |z, rows| cross_entropy_rows(z, w(rows))),
    ));
    let w = cut(weak);
    all.push(("kl".into(), Box::new(move |z, rows| kl_rows(z, w(rows)))));
    let w = cut(weak);
    all.push((
        "window".into(),
        Box::new(move |z, rows| window_rows(z, w(rows), 0.3)),
    ));
    all
}

#[test]
fn gradients_match_finite_differences() {
    let (logits, weak) = batch(6, 7, DType::F64);
    let at = values(&logits);
    for (name, loss) in losses(&logits, &weak) {
        check_gradient(&name, &|x| loss(x.reshape([6, 2]), 0..6), &at);
    }
    // Targets that move with the logits count as constants: the reference holds them still.
    let target = product_targets(logits.clone(), weak.clone(), 0.7, 1.3);
    let product = |x: Tensor<1>| product_rows(x.reshape([6, 2]), weak.clone(), 0.7, 1.3);
    let still = |x: Tensor<1>| cross_entropy_rows(x.reshape([6, 2]), target.clone());
    check_gradient("product, targets held", &still, &at);
    assert_eq!(gradient(&product, &at), gradient(&still, &at));
    let target = mix(weak.clone(), softmax(logits.clone(), 1), 0.4);
    let entropy = |x: Tensor<1>| entropy_rows(x.reshape([6, 2]), weak.clone(), 0.4);
    let still = |x: Tensor<1>| cross_entropy_rows(x.reshape([6, 2]), target.clone());
    check_gradient("entropy, targets held", &still, &at);
    assert_eq!(gradient(&entropy, &at), gradient(&still, &at));
}

#[test]
fn micro_batches_add_up() {
    const ROWS: usize = 13;
    for dtype in BOTH {
        let (logits, weak) = batch(ROWS, 11, dtype);
        let mut all = losses(&logits, &weak);
        let w = weak.clone();
        all.push((
            "product".into(),
            Box::new(move |z, rows| product_rows(z, w.clone().slice([rows, 0..2]), 1.0, 1.0)),
        ));
        let w = weak.clone();
        all.push((
            "entropy".into(),
            Box::new(move |z, rows| entropy_rows(z, w.clone().slice([rows, 0..2]), 0.5)),
        ));
        for (name, loss) in all {
            let whole = logits.clone().require_grad();
            let mean = loss(whole.clone(), 0..ROWS).mean();
            let grads = whole.grad(&mean.backward()).expect("a gradient");
            let (mut sum, mut parts) = (0.0, Vec::new());
            for rows in [0..1, 1..6, 6..ROWS] {
                let part = logits.clone().slice([rows.clone(), 0..2]).require_grad();
                let share = loss(part.clone(), rows).sum() / ROWS as f64;
                sum += values(&share)[0];
                parts.extend(values(&part.grad(&share.backward()).expect("a gradient")));
            }
            assert!((sum - values(&mean)[0]).abs() < 1e-6, "{name}");
            for (part, whole) in parts.iter().zip(values(&grads)) {
                assert!(
                    (part - whole).abs() < 1e-6,
                    "{name}: {part} in parts, {whole} whole"
                );
            }
        }
    }
}

//! Golden cases of `data/golden/losses.json`, tensors of both precisions, and finite differences.

use burn::tensor::{DType, Device, Tensor, TensorData};
use serde_json::Value;

pub const BOTH: [DType; 2] = [DType::F32, DType::F64];

/// The golden cases whose id begins with one of the prefixes, of which there must be `count`: none vanishes silently.
pub fn golden(prefixes: &[&str], count: usize) -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/golden/losses.json");
    let text = std::fs::read_to_string(path).expect("golden values");
    let cases: Vec<Value> = serde_json::from_str(&text).expect("golden values are JSON");
    let named = |case: &Value| {
        assert!(case["source"].is_string(), "a case without its origin");
        let id = case["id"].as_str().expect("an id");
        prefixes.iter().any(|prefix| id.starts_with(prefix))
    };
    let cases: Vec<_> = cases.into_iter().filter(named).collect();
    assert_eq!(cases.len(), count, "golden cases of {prefixes:?}");
    cases
}

pub fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

/// All numbers of a value, of nested arrays in row-major order.
pub fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(numbers).collect(),
        Value::Object(items) => items.values().flat_map(numbers).collect(),
        value => vec![number(value)],
    }
}

/// Values within the case's own tolerance.
pub fn check(case: &Value, dtype: DType, got: &[f64], expected: &[f64]) {
    let id = &case["id"];
    assert_eq!(got.len(), expected.len(), "{id}: length");
    let tolerance = &case["tolerance"][if dtype == DType::F64 { "f64" } else { "f32" }];
    let part = |name: &str| tolerance[name].as_f64().unwrap_or(0.0);
    let (absolute, relative) = (part("abs"), part("rel"));
    for (g, e) in got.iter().zip(expected) {
        let off = (g - e).abs();
        assert!(
            off <= absolute || off <= relative * e.abs(),
            "{id} in {dtype:?}: {g} instead of {e}"
        );
    }
}

pub fn vector(values: &[f64], dtype: DType) -> Tensor<1> {
    let data = TensorData::new(values.to_vec(), [values.len()]);
    Tensor::from_data(data, (&Device::flex().autodiff(), dtype))
}

pub fn values<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    let data = tensor.to_data().convert::<f64>();
    data.try_to_vec().expect("floats")
}

/// Numbers between -1 and 1 that are the same everywhere.
pub fn noise(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..count)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f64 / (1u64 << 30) as f64 - 1.0
        })
        .collect()
}

/// The gradient of a scalar function in `f64`, by autodiff.
pub fn gradient(f: &dyn Fn(Tensor<1>) -> Tensor<1>, at: &[f64]) -> Vec<f64> {
    let x = vector(at, DType::F64).require_grad();
    let grads = f(x.clone()).sum().backward();
    values(&x.grad(&grads).expect("a gradient"))
}

/// The gradient by autodiff must be the one by central differences.
pub fn check_gradient(name: &str, f: &dyn Fn(Tensor<1>) -> Tensor<1>, at: &[f64]) {
    let exact = gradient(f, at);
    for (i, exact) in exact.iter().enumerate() {
        let moved = |by: f64| {
            let mut x = at.to_vec();
            x[i] += by;
            values(&f(vector(&x, DType::F64))).iter().sum::<f64>()
        };
        let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
        assert!(
            (exact - slope).abs() <= 1e-7 * (1.0 + slope.abs()),
            "{name}, input {i}: gradient {exact} but slope {slope}"
        );
    }
}

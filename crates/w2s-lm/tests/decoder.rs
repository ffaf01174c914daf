//! The last block computes only the rows that are read: that changes neither them nor the gradients.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Distribution, Gradients, Tensor};
use std::collections::BTreeMap;
use w2s_lm::{Batch, DecoderConfig, Family, LanguageModel, device};

fn families() -> [DecoderConfig; 3] {
    let llama = DecoderConfig {
        kv_heads: 2,
        ..DecoderConfig::scratch(11, 2, 16, 4, 24, 32)
    };
    let qwen2 = DecoderConfig {
        family: Family::Qwen2,
        attention_bias: true,
        ..llama.clone()
    };
    let gpt2 = DecoderConfig {
        family: Family::Gpt2,
        rope: None,
        kv_heads: 4,
        attention_bias: true,
        output_bias: true,
        mlp_bias: true,
        ..llama.clone()
    };
    [llama, qwen2, gpt2]
}

/// Gradients of all parameters by name.
fn gradients(model: &LanguageModel, grads: &Gradients) -> BTreeMap<String, Vec<f32>> {
    struct Found<'a>(&'a Gradients, Vec<String>, BTreeMap<String, Vec<f32>>);
    impl ModuleVisitor for Found<'_> {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.1.push(name.into());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.1.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(grad) = param.val().grad(self.0) {
                let values = grad.into_data().try_to_vec().unwrap();
                self.2.insert(self.1.join("."), values);
            }
        }
    }
    let mut found = Found(grads, Vec::new(), BTreeMap::new());
    model.visit(&mut found);
    found.2
}

fn assert_close(a: &[f32], b: &[f32], what: &str) {
    assert_eq!(a.len(), b.len(), "{what}");
    for (x, y) in a.iter().zip(b) {
        assert!((x - y).abs() < 1e-5, "{what}: {x} and {y}");
    }
}

#[test]
fn some_rows_are_those_of_all_rows() {
    let device = device("flex").unwrap();
    device.seed(8);
    let batch = Batch::pack([&[1, 2, 3, 4][..], &[5], &[6, 7, 10]]);
    let all: Vec<usize> = (0..batch.tokens()).collect();
    for config in families() {
        // Large weights, so that nothing is equal only because it is small.
        let model = LanguageModel::init(&config, 3, &device)
            .map(&mut Scale)
            .train();
        for rows in [&[3, 4, 7][..], &[0], &[6, 2, 2, 5], &all] {
            let normal = Distribution::Normal(0.0, 1.0);
            let weights = Tensor::<2>::random([rows.len(), config.dim], normal, &device);
            let run = |hidden: Tensor<2>| {
                let weights = Tensor::from_data(weights.clone().into_data(), &hidden.device());
                let grads = (hidden.clone() * weights).sum().backward();
                let values: Vec<f32> = hidden.into_data().try_to_vec().unwrap();
                (values, gradients(&model, &grads))
            };
            let what = format!("{:?} {rows:?}", config.family);
            let (some, some_grads) = run(model.model.hidden(&batch, rows));
            let whole = model.model.hidden(&batch, &all);
            let (expected, grads) = run(w2s_ops::gather_rows(whole, rows));
            assert_close(&some, &expected, &what);
            assert!(grads.len() >= 20, "{what}: {} gradients", grads.len());
            assert_eq!(some_grads.len(), grads.len(), "{what}");
            for (name, grad) in &grads {
                assert_close(&some_grads[name], grad, &format!("{what} {name}"));
            }
        }
    }
}

/// Makes the matrices of a new model ten times as large.
struct Scale;

impl burn::module::ModuleMapper for Scale {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|x| if D == 2 { x * 10.0 } else { x })
    }
}

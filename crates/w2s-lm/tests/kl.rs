//! The divergence of a model's own continuations from another model: by hand, position by position, and on average.

use burn::module::Param;
use burn::tensor::{Tensor, TensorData};
use w2s_lm::generate::{Finish, Generated, Request, Sampling, Settings};
use w2s_lm::{Batch, DecoderConfig, Family, Kl, LanguageModel, device, kl_divergence};

/// The two distributions have a divergence of ln 2 / 2 + 0 - ln 2 / 4.
const P: [f32; 3] = [0.5, 0.25, 0.25];
const R: [f32; 3] = [0.25, 0.25, 0.5];

/// A model that says the same whatever stood before: the last norm gives its bias alone, the first unit vector.
fn constant(p: [f32; 3]) -> LanguageModel {
    let config = DecoderConfig {
        family: Family::Gpt2,
        rope: None,
        attention_bias: true,
        output_bias: true,
        mlp_bias: true,
        ..DecoderConfig::scratch(3, 1, 4, 2, 8, 12)
    };
    let device = device("flex").unwrap();
    let mut model = LanguageModel::init(&config, 0, &device);
    let vector =
        |values: [f32; 4]| Param::from_data(TensorData::new(values.to_vec(), [4]), &device);
    model.model.norm.weight = vector([0.0; 4]);
    model.model.norm.bias = Some(vector([1.0, 0.0, 0.0, 0.0]));
    let rows = p.map(|p| [p.ln(), 0.3, -0.2, 0.1]).concat();
    let embedding = Tensor::from_data(TensorData::new(rows, [3, 4]), &device);
    model.model.embed_tokens.weight = Param::from_tensor(embedding);
    model
}

fn random(seed: u64, vocabulary: usize, positions: usize) -> LanguageModel {
    let config = DecoderConfig::scratch(vocabulary, 2, 16, 2, 24, positions);
    LanguageModel::init(&config, seed, &device("flex").unwrap())
}

fn draw(model: &LanguageModel, requests: &[Request], max_new_tokens: usize) -> Vec<Vec<Generated>> {
    let settings = Settings {
        sampling: Some(Sampling {
            temperature: 1.0,
            top_k: None,
            top_p: None,
        }),
        stop_ids: vec![0],
        seed: 3,
        ..Settings::greedy(max_new_tokens)
    };
    model
        .generate(requests, &settings, None, &mut |_, _| true)
        .unwrap()
}

fn requests(prompts: &[&[u32]]) -> Vec<Request> {
    let request = |prompt: &&[u32]| Request {
        prompt: prompt.to_vec(),
        samples: 1,
    };
    prompts.iter().map(request).collect()
}

fn divergences(
    models: [&LanguageModel; 2],
    requests: &[Request],
    drawn: &[Vec<Generated>],
) -> Vec<Kl> {
    let [policy, reference] = models;
    kl_divergence(policy, reference, requests, drawn, &mut |_| true)
        .unwrap()
        .unwrap()
}

fn mean_and_variance(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares = values.iter().map(|v| (v - mean).powi(2));
    (mean, squares.sum::<f64>() / (n - 1.0))
}

#[test]
fn each_drawn_token_adds_the_divergence_of_what_it_was_drawn_from() {
    let [policy, reference] = [P, R].map(constant);
    let requests = requests(&[&[1, 2][..]; 2000]);
    let drawn = draw(&policy, &requests, 6);
    let found = divergences([&policy, &reference], &requests, &drawn);
    let mut ratios = Vec::new();
    for (kl, drawn) in found.iter().zip(&drawn) {
        let drawn = &drawn[0];
        let ended = drawn.finish == Finish::Stop;
        assert_eq!(kl.tokens, drawn.ids.len() + usize::from(ended));
        let expected = kl.tokens as f64 * 2f64.ln() / 4.0;
        assert!((kl.nats - expected).abs() < 1e-5, "{kl:?}");
        assert!((kl.per_token() - 2f64.ln() / 4.0).abs() < 1e-5);
        let ratio = |&id: &u32| f64::from((P[id as usize] / R[id as usize]).ln());
        let end = if ended { ratio(&0) } else { 0.0 };
        ratios.push(end + drawn.ids.iter().map(ratio).sum::<f64>());
    }
    // Some end at once and some at the limit.
    assert!(found.iter().any(|kl| kl.tokens == 1));
    assert!(drawn.iter().any(|drawn| drawn[0].finish == Finish::Length));
    // The same mean as log p(y) - log r(y), within four standard errors of the difference, and a smaller variance.
    let nats: Vec<f64> = found.iter().map(|kl| kl.nats).collect();
    let differences: Vec<f64> = nats.iter().zip(&ratios).map(|(a, b)| a - b).collect();
    let (difference, spread) = mean_and_variance(&differences);
    assert!(
        difference.abs() < 4.0 * (spread / 2000.0).sqrt(),
        "{difference}"
    );
    let [ours, theirs] = [nats, ratios].map(|values| mean_and_variance(&values).1);
    assert!(ours < theirs / 2.0, "{ours} and {theirs}");
    let same = divergences([&policy, &policy], &requests, &drawn);
    assert!(same.iter().all(|kl| kl.nats == 0.0));
}

#[test]
fn every_position_is_read_behind_its_own_prompt() {
    let [policy, reference] = [1, 2].map(|seed| random(seed, 9, 40));
    let requests = requests(&[&[1, 2, 3, 4, 5, 6, 7], &[8], &[3, 3, 1]]);
    let drawn = draw(&policy, &requests, 20);
    let found = divergences([&policy, &reference], &requests, &drawn);
    for ((request, drawn), kl) in requests.iter().zip(&drawn).zip(found) {
        let drawn = &drawn[0];
        let expected: f64 = (0..drawn.log_probs.len())
            .map(|said| {
                let before = [&request.prompt[..], &drawn.ids[..said]].concat();
                let batch = Batch::pack([&before[..]]);
                let [p, r] = [&policy, &reference].map(|model| {
                    let logits = model.logits(&batch, &batch.last_rows()).into_data();
                    let logits: Vec<f32> = logits.try_to_vec().unwrap();
                    let sum: f64 = logits.iter().map(|&x| f64::from(x).exp()).sum();
                    logits.into_iter().map(move |x| f64::from(x).exp() / sum)
                });
                p.zip(r).map(|(p, r)| p * (p / r).ln()).sum::<f64>()
            })
            .sum();
        assert!(
            kl.nats > 0.0 && (kl.nats - expected).abs() < 1e-5,
            "{kl:?} {expected}"
        );
        assert_eq!(kl.tokens, drawn.log_probs.len());
    }
    let same = divergences([&policy, &policy], &requests, &drawn);
    assert!(same.iter().all(|kl| kl.nats == 0.0));
    let stopped = kl_divergence(&policy, &reference, &requests, &drawn, &mut |_| false);
    assert_eq!(stopped.unwrap(), None);
}

#[test]
fn a_reference_that_does_not_fit_is_refused() {
    let policy = random(1, 9, 40);
    let requests = requests(&[&[1, 2, 3]]);
    let drawn = draw(&policy, &requests, 1);
    let refused = |reference: &LanguageModel| {
        kl_divergence(&policy, reference, &requests, &drawn, &mut |_| true)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refused(&random(1, 10, 40)),
        "the reference knows 10 tokens and the model 9: their distributions cannot be compared"
    );
    let tokens = 3 + drawn[0][0].ids.len();
    assert_eq!(
        refused(&random(1, 9, 2)),
        format!(
            "an answer with its prompt has {tokens} tokens, but the reference has 2 positions\nhint: lower --max-new-tokens"
        )
    );
    let mut broken = random(1, 9, 40);
    let nan = Tensor::full([16], f32::NAN, &device("flex").unwrap());
    broken.model.norm.weight = Param::from_tensor(nan);
    assert_eq!(
        refused(&broken),
        "the divergence from the reference behind prompt 0 is NaN\nhint: the reference's logits are not finite"
    );
}

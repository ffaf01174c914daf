//! Generated text does not depend on what it is generated with, and is what the model says without a cache.

use burn::module::Param;
use burn::tensor::{DType, Device, Distribution, Tensor};
use rayon::ThreadPoolBuilder;
use serde_json::Value;
use std::path::{Path, PathBuf};
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::pre_tokenizers::whitespace::Whitespace;
use w2s_lm::generate::{Finish, Generated, Request, Sampling, Settings};
use w2s_lm::{
    Batch, DecoderConfig, Family, LanguageModel, LmError, ModelFolder, Tokenizer, argmax, device,
};
use w2s_ops::{AttentionSpec, Rotary, attention};

const VOCABULARY: usize = 50;
const POSITIONS: usize = 80;

fn llama() -> DecoderConfig {
    DecoderConfig {
        kv_heads: 2,
        tied: false,
        ..DecoderConfig::scratch(VOCABULARY, 2, 32, 4, 48, POSITIONS)
    }
}

fn gpt2() -> DecoderConfig {
    DecoderConfig {
        family: Family::Gpt2,
        rope: None,
        attention_bias: true,
        output_bias: true,
        mlp_bias: true,
        ..DecoderConfig::scratch(VOCABULARY, 2, 32, 4, 64, POSITIONS)
    }
}

fn model(config: &DecoderConfig) -> LanguageModel {
    LanguageModel::init(config, 5, &device("flex").unwrap())
}

/// Prompts of these lengths.
fn requests(lengths: &[usize], samples: usize) -> Vec<Request> {
    let prompt =
        |n: usize, r: usize| (0..n).map(move |i| ((r * 31 + i * 17 + 3) % VOCABULARY) as u32);
    lengths
        .iter()
        .enumerate()
        .map(|(r, &n)| Request {
            prompt: prompt(n, r).collect(),
            samples,
        })
        .collect()
}

fn sampled(max_new_tokens: usize, top_k: Option<usize>, top_p: Option<f32>) -> Settings {
    Settings {
        sampling: Some(Sampling {
            temperature: 0.9,
            top_k,
            top_p,
        }),
        seed: 11,
        ..Settings::greedy(max_new_tokens)
    }
}

fn generate(
    model: &LanguageModel,
    requests: &[Request],
    settings: &Settings,
) -> Vec<Vec<Generated>> {
    model
        .generate(requests, settings, None, &mut |_, _| true)
        .unwrap()
}

fn assert_same(a: &Generated, b: &Generated, what: &str) {
    assert_eq!((&a.ids, a.finish), (&b.ids, b.finish), "{what}");
    assert_close(&a.log_probs, &b.log_probs, 1e-5, what);
}

fn assert_close(a: &[f32], b: &[f32], tolerance: f32, what: &str) {
    assert_eq!(a.len(), b.len(), "{what}");
    for (x, y) in a.iter().zip(b) {
        assert!((x - y).abs() < tolerance, "{what}: {x} and {y}");
    }
}

const LENGTHS: [usize; 6] = [3, 20, 1, 7, 40, 2];

#[test]
fn a_batch_gives_what_each_prompt_gives_alone() {
    for config in [llama(), gpt2()] {
        let model = model(&config);
        for settings in [
            Settings::greedy(16),
            sampled(16, None, None),
            sampled(16, Some(20), Some(0.7)),
        ] {
            let all = requests(&LENGTHS, 2);
            let together = generate(&model, &all, &settings);
            for i in 0..all.len() {
                // The place of a request is part of its seed, so the others stay but ask for nothing.
                let mut alone = all.clone();
                for (j, request) in alone.iter_mut().enumerate() {
                    request.samples = usize::from(i == j);
                }
                let single = generate(&model, &alone, &settings);
                assert_eq!(single[i].len(), 1);
                assert_same(&single[i][0], &together[i][0], &format!("{settings:?} {i}"));
            }
        }
    }
}

#[test]
fn a_cache_gives_what_computing_everything_again_gives() {
    for config in [llama(), gpt2()] {
        let model = model(&config);
        let all = requests(&LENGTHS, 1);
        for (request, out) in all
            .iter()
            .zip(generate(&model, &all, &Settings::greedy(20)))
        {
            let mut ids = request.prompt.clone();
            for _ in 0..20 {
                let batch = Batch::pack([&ids[..]]);
                let logits = model.logits(&batch, &batch.last_rows()).into_data();
                let logits: Vec<f32> = logits.try_to_vec().unwrap();
                ids.push(argmax(&logits) as u32);
            }
            assert_eq!(out[0].ids, ids[request.prompt.len()..]);
            assert_eq!(out[0].finish, Finish::Length);
        }
    }
}

#[test]
fn log_probabilities_are_those_of_the_model() {
    for config in [llama(), gpt2()] {
        let model = model(&config);
        let all = requests(&LENGTHS, 3);
        for settings in [Settings::greedy(12), sampled(12, Some(5), None)] {
            for (request, outs) in all.iter().zip(generate(&model, &all, &settings)) {
                for out in outs {
                    let whole = [&request.prompt[..], &out.ids].concat();
                    let expected = &model.log_probs(&Batch::pack([&whole[..]]))[0];
                    let expected = &expected[request.prompt.len() - 1..];
                    assert_close(&out.log_probs, expected, 1e-4, "log-probabilities");
                }
            }
        }
    }
}

#[test]
fn samples_of_a_prompt_differ_and_come_again() {
    let model = model(&llama());
    let settings = sampled(12, None, None);
    let few = generate(&model, &requests(&[4, 6], 3), &settings);
    assert_eq!(few, generate(&model, &requests(&[4, 6], 3), &settings));
    assert_ne!(few[0][0].ids, few[0][1].ids);
    assert_ne!(few[0][1].ids, few[0][2].ids);
    let other = Settings {
        seed: 12,
        ..settings.clone()
    };
    let other = generate(&model, &requests(&[4, 6], 3), &other);
    assert_ne!(few[0][0].ids, other[0][0].ids);
    // More samples than one wave takes: the first are still the same.
    let many = generate(&model, &requests(&[4, 6], 200), &settings);
    for (few, many) in few.iter().zip(&many) {
        assert_eq!(many.len(), 200);
        for (a, b) in few.iter().zip(many) {
            assert_same(a, b, "a sample among many");
        }
    }
}

#[test]
fn a_single_candidate_is_the_greedy_one() {
    let model = model(&llama());
    let all = requests(&LENGTHS, 1);
    let greedy = generate(&model, &all, &Settings::greedy(16));
    for settings in [sampled(16, Some(1), None), sampled(16, None, Some(1e-6))] {
        let got = generate(&model, &all, &settings);
        assert_eq!(got, greedy, "{settings:?}");
    }
}

#[test]
fn the_lowest_of_equally_probable_ids_is_greedy() {
    let mut model = model(&llama());
    let zeros = Tensor::zeros([32], &device("flex").unwrap());
    model.model.norm.weight = Param::from_tensor(zeros);
    let out = generate(&model, &requests(&[3], 1), &Settings::greedy(2));
    assert_eq!(out[0][0].ids, [0, 0]);
    assert_close(
        &out[0][0].log_probs,
        &[-(VOCABULARY as f32).ln(); 2],
        1e-5,
        "uniform",
    );
}

#[test]
fn a_model_that_is_trained_generates_the_same() {
    let device = device("flex").unwrap();
    let tracked = LanguageModel::init(&llama(), 5, &device.autodiff());
    let all = requests(&[3, 5], 2);
    let settings = sampled(8, None, None);
    let got = generate(&tracked, &all, &settings);
    assert_eq!(got, generate(&model(&llama()), &all, &settings));
}

#[test]
fn stop_ids_end_a_row_and_are_not_part_of_it() {
    let model = model(&llama());
    let all = requests(&LENGTHS, 2);
    let free = sampled(24, None, None);
    let open = generate(&model, &all, &free);
    let stop = open[3][1].ids[6];
    let settings = Settings {
        stop_ids: vec![stop, 1_000_000],
        ..free
    };
    let stopped = generate(&model, &all, &settings);
    let mut ended = 0;
    for (open, out) in open.iter().flatten().zip(stopped.iter().flatten()) {
        match open.ids.iter().position(|&id| id == stop) {
            None => assert_same(open, out, "no stop id"),
            Some(end) => {
                ended += 1;
                assert_eq!(out.finish, Finish::Stop);
                assert_eq!(out.ids, open.ids[..end]);
                // The stop id's own log-probability is the last.
                assert_close(&out.log_probs, &open.log_probs[..=end], 1e-5, "stopped");
            }
        }
    }
    assert!(ended > 0);
}

fn words(folder: &Path) -> Tokenizer {
    let vocabulary = (0..VOCABULARY)
        .map(|i| (format!("w{i:02}"), i as u32))
        .collect();
    let model = WordLevel::builder()
        .vocab(vocabulary)
        .unk_token("w00".into())
        .build()
        .unwrap();
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(Whitespace {}));
    tokenizer
        .save(folder.join("tokenizer.json"), false)
        .unwrap();
    Tokenizer::load(folder).unwrap()
}

#[test]
fn stop_strings_end_a_row_where_they_are_complete() {
    let folder = tempfile::tempdir().unwrap();
    let tokenizer = words(folder.path());
    let model = model(&llama());
    let all = requests(&[3, 9], 1);
    let free = sampled(70, None, None);
    let open = generate(&model, &all, &free);
    // Early and late, so that only the end of a text is looked at; inside of words and over the end of one.
    for at in [0, 5, 30, 60] {
        let [a, b] = [open[0][0].ids[at], open[0][0].ids[at + 1]];
        for stop in [
            format!("w{a:02} w{b:02}"),
            format!("{a:02} w{}", b / 10),
            format!(" w{a:02} w{b:02}"),
        ] {
            let settings = Settings {
                stop_strings: vec!["never".into(), stop.clone()],
                ..free.clone()
            };
            let stopped = model
                .generate(&all, &settings, Some(&tokenizer), &mut |_, _| true)
                .unwrap();
            for ((open, out), Request { prompt, .. }) in open
                .iter()
                .flatten()
                .zip(stopped.iter().flatten())
                .zip(&all)
            {
                let decode = |ids: &[u32]| tokenizer.decode(ids).unwrap();
                let before = decode(prompt).len();
                let text =
                    |n: usize| decode(&[&prompt[..], &open.ids[..n]].concat())[before..].to_owned();
                let end = (1..=open.ids.len()).find(|&n| text(n).contains(&stop));
                assert_eq!(out.ids, open.ids[..end.unwrap_or(open.ids.len())]);
                assert_eq!(out.log_probs.len(), out.ids.len());
                assert_eq!(out.finish == Finish::Stop, end.is_some());
                let all_text = text(open.ids.len());
                let cut = all_text.find(&stop).unwrap_or(all_text.len());
                let said = out.text(prompt, &tokenizer, &settings).unwrap();
                assert_eq!(said, all_text[..cut]);
            }
            assert_eq!(stopped[0][0].finish, Finish::Stop);
        }
    }
}

/// A tokenizer that takes a space at the beginning of a text for its own, as SentencePiece does, and conversations that it
/// cut into tokens.
fn llama_2(folder: &Path) -> (Tokenizer, Vec<Value>) {
    let golden: Value =
        serde_json::from_str(include_str!("../../../data/golden/chat.json")).unwrap();
    let tokenizer = golden["tokenizers"]["llama-2"].to_string();
    std::fs::write(folder.join("tokenizer.json"), tokenizer).unwrap();
    let cases = golden["cases"].as_array().unwrap().iter();
    let cases = cases.filter(|case| case["family"] == "llama-2").cloned();
    (Tokenizer::load(folder).unwrap(), cases.collect())
}

fn said(ids: &[u32], finish: Finish) -> Generated {
    Generated {
        ids: ids.to_vec(),
        log_probs: Vec::new(),
        finish,
    }
}

#[test]
fn text_behind_a_prompt_keeps_its_first_space() {
    let folder = tempfile::tempdir().unwrap();
    let (tokenizer, cases) = llama_2(folder.path());
    let settings = Settings::greedy(9);
    assert_eq!(cases.len(), 10);
    for case in &cases {
        let (prompt, whole) = (ids(&case["prompt_ids"]), ids(&case["ids"]));
        assert_eq!(whole[..prompt.len()], prompt);
        let answer = said(&whole[prompt.len()..], Finish::Stop);
        let text = answer.text(&prompt, &tokenizer, &settings).unwrap();
        let written = case["text"].as_str().unwrap();
        let written = written.strip_prefix(case["prompt"].as_str().unwrap());
        assert_eq!(format!("{text}</s>"), written.unwrap());
        assert!(text.starts_with(' '));
        // Behind nothing but special tokens it is the beginning of a text, which has that space.
        let first = answer.text(&prompt[..1], &tokenizer, &settings).unwrap();
        assert_eq!(first, text[1..]);
    }
}

#[test]
fn a_character_that_was_cut_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let (tokenizer, _) = llama_2(folder.path());
    let settings = Settings::greedy(9);
    // A space, and the three bytes of the character.
    let bytes = tokenizer.encode("日").unwrap();
    assert_eq!(bytes.len(), 4);
    let prompt = tokenizer.encode("Is").unwrap();
    let text = |prompt: &[u32], ids: &[u32], finish| {
        said(ids, finish)
            .text(prompt, &tokenizer, &settings)
            .unwrap()
    };
    assert_eq!(text(&prompt, &bytes, Finish::Length), " 日");
    assert_eq!(text(&prompt, &bytes[..3], Finish::Length), " ");
    assert_eq!(
        text(&prompt, &bytes[..3], Finish::Stop),
        " \u{fffd}\u{fffd}"
    );
    // A prompt that was cut inside it leaves the whole of it to the answer.
    let cut = [&prompt[..], &bytes[..2]].concat();
    assert_eq!(text(&cut, &bytes[2..], Finish::Length), "日");
}

#[test]
fn a_stop_string_may_begin_with_the_first_space() {
    let folder = tempfile::tempdir().unwrap();
    let (tokenizer, cases) = llama_2(folder.path());
    let config = DecoderConfig::scratch(tokenizer.size(), 2, 32, 4, 48, POSITIONS);
    let model = model(&config);
    let request = Request {
        prompt: ids(&cases[0]["prompt_ids"]),
        samples: 200,
    };
    // The seed draws some answers that begin with a space.
    let free = sampled(3, None, None);
    let open = generate(&model, std::slice::from_ref(&request), &free);
    let settings = Settings {
        stop_strings: vec![" ".into()],
        ..free.clone()
    };
    let stopped = model
        .generate(
            std::slice::from_ref(&request),
            &settings,
            Some(&tokenizer),
            &mut |_, _| true,
        )
        .unwrap();
    let mut at_once = 0;
    for (open, stopped) in open[0].iter().zip(&stopped[0]) {
        let text = open.text(&request.prompt, &tokenizer, &free).unwrap();
        assert_eq!(
            stopped.finish == Finish::Stop,
            text.contains(' '),
            "{text:?}"
        );
        let kept = stopped
            .text(&request.prompt, &tokenizer, &settings)
            .unwrap();
        assert_eq!(kept, text.split(' ').next().unwrap());
        at_once += usize::from(text.starts_with(' '));
    }
    assert!(at_once > 0);
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let model = model(&llama());
    let run = |threads| {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            assert_eq!(rayon::current_num_threads(), threads);
            let greedy = generate(&model, &requests(&LENGTHS, 4), &Settings::greedy(12));
            let settings = sampled(12, None, Some(0.9));
            [greedy, generate(&model, &requests(&LENGTHS, 20), &settings)]
        })
    };
    let one = run(1);
    for threads in [2, 5] {
        assert_eq!(run(threads), one, "{threads} threads");
    }
}

#[test]
fn a_model_that_computes_nothing_finite_says_nothing() {
    for value in [f32::NAN, f32::INFINITY] {
        let mut model = model(&llama());
        let broken = Tensor::full([32], value, &device("flex").unwrap());
        model.model.norm.weight = Param::from_tensor(broken);
        for settings in [Settings::greedy(2), sampled(2, None, None)] {
            let error = model
                .generate(&requests(&[3, 2], 1), &settings, None, &mut |_, _| true)
                .unwrap_err()
                .to_string();
            assert!(
                error.starts_with("the model's logits of token 0 behind prompt 0 are not finite"),
                "{error}"
            );
        }
    }
}

/// `data/golden/qwen2-tiny/greedy.json` says where the ids come from; all prompts in one batch, and each alone.
#[test]
fn greedy_is_what_transformers_writes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/golden/qwen2-tiny");
    let golden = std::fs::read_to_string(folder.join("greedy.json")).unwrap();
    let golden: Value = serde_json::from_str(&golden).unwrap();
    let model = ModelFolder::open(&folder).unwrap();
    let model = model.language_model(&device("flex").unwrap()).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 8);
    let requests: Vec<Request> = cases
        .iter()
        .map(|case| Request {
            prompt: ids(&case["prompt"]),
            samples: 1,
        })
        .collect();
    let together = generate(&model, &requests, &Settings::greedy(32));
    for ((case, request), together) in cases.iter().zip(requests).zip(together) {
        let expected = ids(&case["new_ids"]);
        assert_eq!(expected.len(), 32);
        assert_eq!(together[0].ids, expected, "{:?}", request.prompt);
        let alone = generate(&model, &[request], &Settings::greedy(32));
        assert_eq!(alone[0][0].ids, expected);
    }
}

#[test]
fn lengths_end_where_they_are_asked_to_or_where_positions_end() {
    let model = model(&gpt2());
    let all = requests(&[POSITIONS - 3, POSITIONS - 1, 5], 1);
    let out = generate(&model, &all, &Settings::greedy(10));
    let lengths: Vec<usize> = out.iter().map(|o| o[0].ids.len()).collect();
    assert_eq!(lengths, [3, 1, 10]);
    assert!(out.iter().all(|o| o[0].finish == Finish::Length));
    let none = generate(&model, &all, &Settings::greedy(0));
    assert!(none.iter().all(|o| o[0].ids.is_empty()));
    assert!(generate(&model, &[], &Settings::greedy(3)).is_empty());
}

#[test]
fn the_watcher_hears_of_progress_and_may_stop() {
    let model = model(&llama());
    let all = requests(&[3, POSITIONS - 2, 5], 2);
    let mut heard = Vec::new();
    model
        .generate(&all, &Settings::greedy(4), None, &mut |done, total| {
            heard.push((done, total));
            true
        })
        .unwrap();
    assert_eq!(heard, [(0, 6), (2, 6), (2, 6), (6, 6)]);
    let stopped = model.generate(&all, &Settings::greedy(4), None, &mut |done, _| done == 0);
    assert!(matches!(stopped, Err(LmError::Interrupted)));
}

#[test]
fn what_cannot_be_generated_is_said() {
    let model = model(&llama());
    let refused = |requests: &[Request], settings: &Settings| {
        model
            .generate(requests, settings, None, &mut |_, _| true)
            .unwrap_err()
            .to_string()
    };
    let settings = Settings::greedy(4);
    let error = refused(&requests(&[3, POSITIONS], 1), &settings);
    assert!(
        error.contains("prompt 1 has 80 tokens") && error.contains("80 positions"),
        "{error}"
    );
    let error = refused(&requests(&[0], 1), &settings);
    assert!(error.contains("prompt 0 is empty"), "{error}");
    let unknown = Request {
        prompt: vec![1, 50],
        samples: 1,
    };
    let error = refused(&[unknown], &settings);
    assert!(
        error.contains("token 50, but the vocabulary has 50"),
        "{error}"
    );
    for (settings, says) in [
        (sampled(4, Some(0), None), "top-k is 0"),
        (sampled(4, None, Some(0.0)), "top-p is 0"),
        (sampled(4, None, Some(f32::NAN)), "top-p is NaN"),
        (
            Settings {
                sampling: Some(Sampling {
                    temperature: 0.0,
                    top_k: None,
                    top_p: None,
                }),
                ..settings.clone()
            },
            "the temperature is 0",
        ),
        (
            Settings {
                stop_strings: vec!["x".into()],
                ..settings.clone()
            },
            "need a tokenizer",
        ),
        (
            Settings {
                stop_strings: vec![String::new()],
                ..settings.clone()
            },
            "a stop string is empty",
        ),
    ] {
        let error = refused(&requests(&[3], 1), &settings);
        assert!(error.contains(says), "{error}");
    }
}

/// Few rows have a product of their own, in which a row does not depend on the others.
#[test]
fn products_of_few_rows() {
    let device = Device::flex();
    device.seed(4);
    for [rows, input, output] in [
        [1, 1, 1],
        [3, 17, 5],
        [32, 64, 192],
        [7, 100, 61],
        [0, 4, 3],
    ] {
        let random = |shape: [usize; 2]| {
            let normal = Distribution::Normal(0.0, 1.0);
            Tensor::<2>::random(shape, normal, &device).into_data()
        };
        let (x, weight) = (random([rows, input]), random([output, input]));
        let product = |rows: std::ops::Range<usize>, dtype| {
            let x = Tensor::<2>::from_data(x.clone(), (&device, dtype)).slice([rows, 0..input]);
            let y = w2s_ops::linear(x, Tensor::from_data(weight.clone(), (&device, dtype)));
            let data = y.into_data().convert::<f32>();
            data.try_to_vec::<f32>().unwrap()
        };
        let got = product(0..rows, DType::F32);
        assert_close(&got, &product(0..rows, DType::F64), 1e-4, "product");
        for row in 0..rows {
            let alone = product(row..row + 1, DType::F32);
            assert_eq!(alone, got[row * output..][..output]);
        }
    }
}

/// The cached kernel and its composition against attention over whole sequences.
#[test]
fn attention_from_a_cache_is_attention() {
    let device = Device::flex();
    device.seed(2);
    let (heads, kv_heads, head) = (4, 2, 8);
    let rotary = Rotary::new(&[1.0, 0.3, 0.1, 0.01], 64);
    // Sequences of keys, how many of their last positions are asked for, and where they lie in the table.
    let lengths = [5usize, 1, 40, 9];
    let asked = [1usize, 1, 3, 0];
    let starts = [50usize, 3, 8, 60];
    let places = 70;
    let random =
        |shape: [usize; 2]| Tensor::<2>::random(shape, Distribution::Normal(0.0, 1.0), &device);
    let tokens: usize = lengths.iter().sum();
    let q = random([tokens, heads * head]);
    let table = [(); 2].map(|()| random([places, kv_heads * head]));
    let boundaries = |lengths: &[usize]| {
        let sums = lengths.iter().scan(0, |sum, n| {
            *sum += n;
            Some(*sum)
        });
        std::iter::once(0).chain(sums).collect::<Vec<_>>()
    };
    let bounds = boundaries(&lengths);
    let rows: Vec<usize> = lengths
        .iter()
        .zip(starts)
        .flat_map(|(n, start)| start..start + n)
        .collect();
    let last: Vec<usize> = (0..lengths.len())
        .flat_map(|s| bounds[s + 1] - asked[s]..bounds[s + 1])
        .collect();
    let keys: Vec<_> = lengths
        .iter()
        .zip(starts)
        .map(|(n, start)| start..start + n)
        .collect();
    for rotary in [None, Some(rotary)] {
        let plain = AttentionSpec::new(bounds.clone(), heads, kv_heads, rotary.clone());
        let cached =
            AttentionSpec::cached(boundaries(&asked), keys.clone(), heads, kv_heads, rotary);
        let results = [DType::F32, DType::F64].map(|dtype| {
            let [q, k, v] = [&q, &table[0], &table[1]]
                .map(|t| Tensor::<2>::from_data(t.clone().into_data(), (&device, dtype)));
            let whole = [&k, &v].map(|t| w2s_ops::gather_rows(t.clone(), &rows));
            let [wk, wv] = whole;
            let expected = attention(q.clone(), wk, wv, &plain);
            let expected = w2s_ops::gather_rows(expected, &last);
            let got = attention(w2s_ops::gather_rows(q, &last), k, v, &cached);
            [got, expected].map(|t| {
                let data = t.into_data().convert::<f32>();
                data.try_to_vec::<f32>().unwrap()
            })
        });
        let exact = &results[1][1];
        for got in results.iter().flatten() {
            assert_close(got, exact, 2e-5, "cached attention");
        }
    }
}

fn pretrained() -> (LanguageModel, Tokenizer) {
    let models = std::env::var_os("W2S_MODELS").expect("W2S_MODELS names a folder of models");
    let folder = PathBuf::from(models).join("smollm2-135m-instruct");
    let model = ModelFolder::open(&folder).unwrap();
    let model = model.language_model(&device("flex").unwrap()).unwrap();
    (model, Tokenizer::load(&folder).unwrap())
}

fn ids(value: &Value) -> Vec<u32> {
    let ids = value.as_array().unwrap().iter();
    ids.map(|v| v.as_u64().unwrap() as u32).collect()
}

#[test]
#[ignore = "needs W2S_MODELS"]
fn smollm2_answers_as_transformers_does() {
    let (model, tokenizer) = pretrained();
    let golden = include_str!("../../../data/golden/smollm2.json");
    let golden: Value = serde_json::from_str(golden).unwrap();
    let mut expected = ids(&golden["chat"]["greedy_ids"]);
    let request = Request {
        prompt: ids(&golden["chat"]["ids"]),
        samples: 1,
    };
    let stop = expected.pop().unwrap();
    assert_eq!(tokenizer.token("<|im_end|>"), Some(stop));
    let settings = Settings {
        stop_ids: vec![stop],
        ..Settings::greedy(64)
    };
    let out = generate(&model, &[request], &settings);
    assert_eq!(out[0][0].ids, expected);
    assert_eq!(out[0][0].finish, Finish::Stop);
    assert_eq!(
        tokenizer.decode(&expected).unwrap(),
        "The capital of France is Paris."
    );
}

/// 32 prompts of mixed length, 64 greedy tokens each, in one batch.
#[test]
#[ignore = "needs W2S_MODELS"]
fn smollm2_writes_on_as_transformers_does() {
    let (model, tokenizer) = pretrained();
    let golden = include_str!("../../../data/golden/generate.json");
    let golden: Value = serde_json::from_str(golden).unwrap();
    let prompts = golden["prompts"].as_array().unwrap();
    let requests: Vec<Request> = prompts
        .iter()
        .map(|p| Request {
            prompt: tokenizer.encode(p.as_str().unwrap()).unwrap(),
            samples: 1,
        })
        .collect();
    let expected: Vec<Vec<u32>> = golden["new_ids"]
        .as_array()
        .unwrap()
        .iter()
        .map(ids)
        .collect();
    assert!(requests.len() >= 20 && requests.len() == expected.len());
    let start = std::time::Instant::now();
    let out = generate(&model, &requests, &Settings::greedy(64));
    let seconds = start.elapsed().as_secs_f64();
    println!("{:.1} tokens/s", requests.len() as f64 * 64.0 / seconds);
    let differing: Vec<(usize, Option<usize>)> = out
        .iter()
        .zip(&expected)
        .map(|(out, ids)| out[0].ids.iter().zip(ids).position(|(a, b)| a != b))
        .enumerate()
        .filter(|(_, at)| at.is_some())
        .collect();
    assert!(differing.is_empty(), "(prompt, token): {differing:?}");
    for (out, ids) in out.iter().zip(&expected) {
        assert_eq!(out[0].ids, *ids);
    }
}

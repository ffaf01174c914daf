//! Preference losses through their entry point: golden values, the constant of step zero, properties, gradients, and
//! batches in parts.

mod support;

use std::ops::Range;

use burn::tensor::{DType, Tensor};
use serde_json::Value;
use support::{BOTH, check, check_gradient, golden, noise, number, numbers, values, vector};
use w2s_losses::{
    AotPartners, PairLogProbs, PairScores, Preference, PreferenceLoss, PreferenceOutput,
    ResponseLogProbs, Setting, aot_partners, kto_kl, log_odds_ratio, log1mexp, neg_log_sigmoid,
    preference, reward_model,
};

/// Sums and counts of a batch of pairs, under both models.
#[derive(Clone)]
struct Pairs {
    policy: [Vec<f64>; 2],
    reference: [Vec<f64>; 2],
    tokens: [Vec<usize>; 2],
}

impl Pairs {
    /// The inputs of a golden case, one pair or a list of them.
    fn of(inputs: &Value) -> Self {
        let get = |name: &str| match inputs.get(name) {
            Some(values) => numbers(values),
            None => numbers(&inputs[format!("{name}_logp")]),
        };
        let policy = [get("policy_chosen"), get("policy_rejected")];
        let count = |name: &str| match inputs.get(name) {
            Some(n) => vec![number(n) as usize],
            None => vec![1; policy[0].len()],
        };
        Self {
            reference: [get("ref_chosen"), get("ref_rejected")],
            tokens: [count("n_chosen"), count("n_rejected")],
            policy,
        }
    }

    /// Pairs with log-ratios of both signs and lengths from 1 to 9.
    fn random(pairs: usize) -> Self {
        let side = |seed| {
            let tokens: Vec<usize> = noise(pairs, seed)
                .iter()
                .map(|x| (5.0 + 4.5 * x) as usize)
                .collect();
            let sums: Vec<f64> = noise(pairs, seed + 1)
                .iter()
                .zip(&tokens)
                .map(|(x, &n)| (x - 1.5) * n as f64)
                .collect();
            (tokens, sums)
        };
        let moved = |sums: &[f64], seed| {
            let by = noise(pairs, seed);
            sums.iter().zip(by).map(|(s, x)| s + x).collect()
        };
        let ((n_c, c), (n_r, r)) = (side(1), side(3));
        Self {
            reference: [moved(&c, 5), moved(&r, 6)],
            policy: [c, r],
            tokens: [n_c, n_r],
        }
    }

    fn swapped(&self) -> Self {
        let swap = |[a, b]: &[Vec<f64>; 2]| [b.clone(), a.clone()];
        Self {
            policy: swap(&self.policy),
            reference: swap(&self.reference),
            tokens: [self.tokens[1].clone(), self.tokens[0].clone()],
        }
    }

    fn part(&self, pairs: Range<usize>) -> Self {
        let cut = |sides: &[Vec<f64>; 2]| [0, 1].map(|i| sides[i][pairs.clone()].to_vec());
        Self {
            policy: cut(&self.policy),
            reference: cut(&self.reference),
            tokens: [0, 1].map(|i| self.tokens[i][pairs.clone()].to_vec()),
        }
    }

    fn bundle(&self, chosen: Tensor<1>, rejected: Tensor<1>) -> PairLogProbs {
        let side = |sum, i: usize| ResponseLogProbs {
            sum,
            tokens: self.tokens[i].clone(),
        };
        PairLogProbs::new(side(chosen, 0), side(rejected, 1))
    }

    fn policy(&self, dtype: DType) -> PairLogProbs {
        let [chosen, rejected] = &self.policy;
        self.bundle(vector(chosen, dtype), vector(rejected, dtype))
    }

    fn reference(&self, dtype: DType) -> PairLogProbs {
        let [chosen, rejected] = &self.reference;
        self.bundle(vector(chosen, dtype), vector(rejected, dtype))
    }

    fn run(&self, what: &Preference, kl: f64, dtype: DType) -> PreferenceOutput {
        let (mut policy, reference) = (self.policy(dtype), self.reference(dtype));
        policy.partners = partners(what.loss, &policy, &reference);
        policy.kl = Some(kl);
        let reference = what.loss.needs_reference().then_some(&reference);
        preference(what, &policy, reference).expect("a sound batch")
    }
}

/// What the pairs of a whole batch are compared with, for the losses that sort it.
fn partners(
    loss: PreferenceLoss,
    policy: &PairLogProbs,
    reference: &PairLogProbs,
) -> Option<AotPartners> {
    loss.needs_partners()
        .then(|| aot_partners(loss, policy, reference).expect("a sound batch"))
}

/// The KL estimate of batches that bring none.
const KL: f64 = 0.25;

/// The loss of a name with its default settings.
fn named(name: &str) -> Preference {
    Preference::from(name.parse::<PreferenceLoss>().expect("a loss"))
}

/// The same with some of them set.
fn with(mut what: Preference, settings: &[(Setting, f64)]) -> Preference {
    for &(setting, value) in settings {
        what.set(setting, value).expect("the loss reads it");
    }
    what
}

/// Every loss with settings that it can run with.
fn losses() -> impl Iterator<Item = Preference> {
    PreferenceLoss::ALL.into_iter().map(|loss| match loss {
        PreferenceLoss::Robust { .. } => with(loss.into(), &[(Setting::LabelSmoothing, 0.2)]),
        loss => loss.into(),
    })
}

/// The loss of a golden case, its settings there, and its KL estimate.
fn of_case(case: &Value) -> (Preference, f64) {
    let name = match case["loss"].as_str().expect("a loss") {
        "cdpo" | "sigmoid_grad" => "sigmoid".into(),
        "cdpo_norm" | "sigmoid_norm" | "sigmoid_norm_grad" => "delta-preference".into(),
        name => name.replace('_', "-"),
    };
    let params = &case["params"];
    let given = Setting::ALL.into_iter().filter_map(|setting| {
        let value = params[setting.name().replace('-', "_")].as_f64()?;
        Some((setting, value))
    });
    let what = with(named(&name), &given.collect::<Vec<_>>());
    (what, params["kl"].as_f64().unwrap_or(KL))
}

/// A pair of one token a side, so that sums are means.
fn of_means(case: &Value) -> Pairs {
    let get = |name: &str| numbers(&case["inputs"][name]);
    let policy = [get("mean_chosen_logp"), get("mean_rejected_logp")];
    Pairs {
        reference: policy.clone(),
        policy,
        tokens: [vec![1], vec![1]],
    }
}

fn run(case: &Value, dtype: DType) {
    let (inputs, expected) = (&case["inputs"], &case["expected"]);
    let expect = |got: &[f64]| check(case, dtype, got, &numbers(expected));
    let x = || vector(&[number(&inputs["x"])], dtype);
    match case["loss"].as_str().expect("a loss") {
        "log_ratios" => {
            // At β = 1 the rewards are the log-ratios.
            let at = |name| {
                let what = with(named(name), &[(Setting::Beta, 1.0)]);
                Pairs::of(inputs).run(&what, KL, dtype)
            };
            let (sums, means) = (at("sigmoid"), at("delta-preference"));
            let [c, r] = [&sums.chosen_rewards, &sums.rejected_rewards];
            let got = [c, r, &sums.margins(), &means.margins()].map(|t| values(t)[0]);
            expect(&got);
            // Displacement is the log-ratio per token.
            let pairs = Pairs::of(inputs);
            let policy = pairs.policy(dtype);
            let (c, r) = policy.displacement(&pairs.reference(dtype));
            check(case, dtype, &values(&c), &[1.0 / 4.0]);
            check(case, dtype, &values(&r), &[-2.0 / 5.0]);
        }
        "reward_metrics" => {
            for (unit, name) in [("sum", "sigmoid"), ("mean", "delta-preference")] {
                let beta = number(&case["params"]["beta"]);
                let what = with(named(name), &[(Setting::Beta, beta)]);
                let output = Pairs::of(inputs).run(&what, KL, dtype);
                let expected = &expected[unit];
                for (name, got) in [
                    ("chosen", output.chosen_rewards.clone()),
                    ("rejected", output.rejected_rewards.clone()),
                    ("margin", output.margins()),
                ] {
                    check(case, dtype, &values(&got), &[number(&expected[name])]);
                }
                check(case, dtype, &values(&output.accuracies()), &[1.0]);
            }
        }
        "kto" => {
            let (what, kl) = of_case(case);
            let pairs = Pairs::of(inputs);
            // Each side alone, where a pair is the mean of its sides.
            let side = |desirable, undesirable| {
                let weights = [
                    (Setting::DesirableWeight, desirable),
                    (Setting::UndesirableWeight, undesirable),
                ];
                2.0 * values(&pairs.run(&with(what, &weights), kl, dtype).loss)[0]
            };
            expect(&[side(1.0, 0.0), side(0.0, 1.0)]);
        }
        "simpo" => {
            let (what, kl) = of_case(case);
            expect(&values(&of_means(case).run(&what, kl, dtype).loss));
        }
        "orpo" => {
            let (what, _) = of_case(case);
            let policy = of_means(case).policy(dtype);
            let log_odds = log_odds_ratio(policy.chosen.mean(), policy.rejected.mean());
            let log_sigmoid = neg_log_sigmoid(log_odds.clone()).neg();
            let output = preference(&what, &policy, None).expect("a sound batch");
            expect(&[&log_odds, &log_sigmoid, &output.loss].map(|t| values(t)[0]));
        }
        "step0_invariant" => step_zero(case, dtype),
        "sigmoid_grad" | "sigmoid_norm_grad" => {
            let (what, _) = of_case(case);
            let pairs = Pairs::of(inputs);
            let [c, r] = [0, 1].map(|i| vector(&pairs.policy[i], dtype).require_grad());
            let policy = pairs.bundle(c.clone(), r.clone());
            let reference = pairs.reference(dtype);
            let output = preference(&what, &policy, Some(&reference));
            let grads = output.expect("a sound batch").loss.backward();
            let got = [c, r].map(|x| values(&x.grad(&grads).expect("a gradient"))[0]);
            expect(&got);
        }
        "reward_model" => {
            let params = &case["params"];
            let scores = PairScores {
                chosen: vector(&numbers(&inputs["r_chosen"]), dtype),
                rejected: vector(&numbers(&inputs["r_rejected"]), dtype),
            };
            let margin = vector(&numbers(&params["margin"]), dtype);
            let centre = number(&params["center_coef"]);
            let output = reward_model(&scores, Some(margin), centre);
            expect(&values(&output.expect("sound scores").loss));
        }
        "log1mexp" => expect(&values(&log1mexp(x()))),
        "neg_logsigmoid" => {
            expect(&values(&neg_log_sigmoid(x())));
            let scores = PairScores {
                chosen: x(),
                rejected: vector(&[0.0], dtype),
            };
            let output = reward_model(&scores, None, 0.0).expect("sound scores");
            expect(&values(&output.loss));
        }
        _ => {
            let (what, kl) = of_case(case);
            let output = Pairs::of(inputs).run(&what, kl, dtype);
            expect(&values(&output.loss.mean()));
        }
    }
}

#[test]
fn golden_values() {
    for case in golden(&["pref.", "num."], 62) {
        for dtype in BOTH {
            run(&case, dtype);
        }
    }
}

fn step_zero(case: &Value, dtype: DType) {
    let pairs = Pairs::of(&case["inputs"]);
    for (name, expected) in case["expected"].as_object().expect("an object") {
        let expected = number(expected);
        let (name, betas, smoothings): (_, &[f64], &[f64]) = match name.as_str() {
            "ipo_b0.1" => ("ipo", &[0.1], &[]),
            "ipo_b5" => ("ipo", &[5.0], &[]),
            "cdpo_any_eps" => ("sigmoid", &[0.1, 5.0], &[0.05, 0.1, 0.4]),
            "robust_any_eps" => ("robust", &[0.1, 5.0], &[0.1, 0.4]),
            "sigmoid_norm" => ("delta-preference", &[0.1, 5.0], &[0.0, 0.2]),
            "margin" => {
                let output = pairs.run(&named("sigmoid"), KL, dtype);
                check(case, dtype, &values(&output.margins()), &[expected]);
                check(case, dtype, &values(&output.accuracies()), &[0.0]);
                continue;
            }
            name => (name, &[0.1, 5.0], &[]),
        };
        let loss = named(&name.replace('_', "-"));
        for &beta in betas {
            let plain = with(loss, &[(Setting::Beta, beta)]);
            let smoothed = smoothings
                .iter()
                .map(|&part| with(plain, &[(Setting::LabelSmoothing, part)]));
            let plain = smoothings.is_empty().then_some(plain);
            for what in smoothed.chain(plain) {
                let output = pairs.run(&what, 0.0, dtype);
                check(case, dtype, &values(&output.loss), &[expected]);
                let known = what.step_zero_loss().expect("a constant");
                check(case, DType::F64, &[known], &[expected]);
            }
        }
    }
}

#[test]
fn step_zero_of_every_loss() {
    let mut pairs = Pairs::random(5);
    pairs.policy = pairs.reference.clone();
    for what in losses() {
        let (loss, known) = (what.loss, what.step_zero_loss());
        assert_eq!(known.is_some(), loss.needs_reference(), "{loss}");
        let Some(known) = known else { continue };
        for got in values(&pairs.run(&what, 0.0, DType::F64).loss) {
            assert!(
                (got - known).abs() < 1e-9,
                "{loss}: {got} instead of {known}"
            );
        }
        // The NLL part comes on top.
        let mixed = with(what, &[(Setting::NllWeight, 0.1)]);
        assert_eq!(mixed.step_zero_loss(), Some(known));
    }
}

#[test]
fn swapping_flips_the_margin() {
    let pairs = Pairs::random(7);
    for what in losses() {
        let loss = what.loss;
        let straight = pairs.run(&what, KL, DType::F64);
        let swapped = pairs.swapped().run(&what, KL, DType::F64);
        let flipped = swapped.margins().neg();
        assert_eq!(values(&straight.margins()), values(&flipped), "{loss}");
        let (a, b) = (straight.accuracies(), swapped.accuracies());
        assert_eq!(values(&(a + b)), [1.0; 7], "{loss}");
    }
}

#[test]
fn a_larger_margin_is_a_smaller_loss() {
    // Not the losses that aim at a margin or a level, nor apo-down, which lowers both sides, nor discopop, which has a hill
    // just above zero.
    let aims = [
        "ipo",
        "ipo-sum",
        "sppo-hard",
        "exo-pair",
        "nca-pair",
        "apo-down",
        "discopop",
    ];
    let pairs = Pairs::random(6);
    let mut better = pairs.clone();
    for (c, r) in (0..6).zip(0..6) {
        better.policy[0][c] += 0.2;
        better.policy[1][r] -= 0.2;
    }
    for what in losses() {
        let loss = what.loss;
        if aims.contains(&loss.name()) {
            continue;
        }
        let [before, after] = [&pairs, &better].map(|p| values(&p.run(&what, KL, DType::F64).loss));
        assert!(after.iter().zip(&before).all(|(a, b)| a < b), "{loss}");
    }
}

#[test]
fn nll_adds_the_mean_of_the_chosen_response() {
    let pairs = Pairs::random(4);
    for plain in losses() {
        let loss = plain.loss;
        let mixed = with(plain, &[(Setting::NllWeight, 0.3)]);
        let [plain, mixed] =
            [plain, mixed].map(|what| values(&pairs.run(&what, KL, DType::F64).loss));
        for i in 0..4 {
            let mean = pairs.policy[0][i] / pairs.tokens[0][i] as f64;
            assert!((mixed[i] - plain[i] + 0.3 * mean).abs() < 1e-12, "{loss}");
        }
    }
}

/// A loss as it is, with an NLL part, and with smoothing where it takes that.
fn variations(plain: Preference) -> Vec<Preference> {
    let mut all = vec![plain, with(plain, &[(Setting::NllWeight, 0.5)])];
    let mut smoothed = plain;
    if smoothed.set(Setting::LabelSmoothing, 0.1).is_ok() {
        all.push(smoothed);
    }
    all
}

#[test]
fn gradients_match_finite_differences() {
    const PAIRS: usize = 5;
    let pairs = Pairs::random(PAIRS);
    let reference = pairs.reference(DType::F64);
    let at = pairs.policy.concat();
    for plain in losses() {
        let loss = plain.loss;
        for what in variations(plain) {
            let f = |x: Tensor<1>| {
                let (c, r) = (x.clone().slice(0..PAIRS), x.slice(PAIRS..2 * PAIRS));
                let mut policy = pairs.bundle(c, r);
                policy.partners = partners(loss, &policy, &reference);
                policy.kl = Some(KL);
                let output = preference(&what, &policy, Some(&reference));
                output.expect("a sound batch").loss
            };
            check_gradient(loss.name(), &f, &at);
        }
    }
    let scores = |x: Tensor<1>| {
        let scores = PairScores {
            chosen: x.clone().slice(0..PAIRS),
            rejected: x.slice(PAIRS..2 * PAIRS),
        };
        let margin = vector(&[0.5; PAIRS], DType::F64);
        reward_model(&scores, Some(margin), 0.1)
            .expect("sound scores")
            .loss
    };
    check_gradient("reward model", &scores, &at);
    // On both sides of the branch of log(1 - e^x), and far from it.
    check_gradient("log1mexp", &|x| log1mexp(x), &[-20.0, -0.7, -0.69, -0.1]);
}

#[test]
fn the_gradient_at_a_tie_is_one_half() {
    // The step at which every run begins.
    let f = |x: Tensor<1>| neg_log_sigmoid(x);
    assert_eq!(support::gradient(&f, &[0.0]), [-0.5]);
}

#[test]
fn micro_batches_add_up() {
    const PAIRS: usize = 11;
    let pairs = Pairs::random(PAIRS);
    // The KL estimate comes from all mismatched responses of the batch.
    let kl = {
        let f = |values: &[f64]| values.iter().map(|x| *x as f32).collect::<Vec<_>>();
        let mut all = [f(&pairs.policy[0]), f(&pairs.reference[0])];
        all[0].rotate_left(1);
        all[1].rotate_left(1);
        kto_kl(&all[0], &all[1]).expect("a sound batch")
    };
    assert!(kl > 0.0);
    for plain in losses() {
        let loss = plain.loss;
        for what in variations(plain) {
            for dtype in BOTH {
                let sorted = partners(loss, &pairs.policy(dtype), &pairs.reference(dtype));
                let run = |range: Range<usize>| {
                    let pairs = pairs.part(range.clone());
                    let [c, r] = [0, 1].map(|i| vector(&pairs.policy[i], dtype).require_grad());
                    let mut policy = pairs.bundle(c.clone(), r.clone());
                    policy.partners = sorted.as_ref().map(|all| all.of(range));
                    policy.kl = Some(kl);
                    let reference = pairs.reference(dtype);
                    let output = preference(&what, &policy, Some(&reference));
                    let share = output.expect("a sound batch").loss.sum() / PAIRS as f64;
                    let grads = share.backward();
                    let side = |x: Tensor<1>| values(&x.grad(&grads).expect("a gradient"));
                    (values(&share)[0], side(c), side(r))
                };
                let (whole, whole_c, whole_r) = run(0..PAIRS);
                let (mut sum, mut part_c, mut part_r) = (0.0, vec![], vec![]);
                for range in [0..2, 2..3, 3..PAIRS] {
                    let (share, c, r) = run(range);
                    sum += share;
                    part_c.extend(c);
                    part_r.extend(r);
                }
                let tolerance = 1e-6 * (1.0 + whole.abs());
                assert!((sum - whole).abs() < tolerance, "{loss}: {sum} and {whole}");
                let parts = part_c.iter().chain(&part_r);
                for (part, whole) in parts.zip(whole_c.iter().chain(&whole_r)) {
                    assert!((part - whole).abs() < 1e-6, "{loss}: {part} and {whole}");
                }
            }
        }
    }
}

#[test]
fn extreme_pairs_stay_finite() {
    // A sum of -4000 against -1 in either order, and a response that is certain.
    let pairs = Pairs {
        policy: [vec![-4000.0, -1.0, 0.0], vec![-1.0, -4000.0, -3.0]],
        reference: [vec![-1.0, -4000.0, -2.0], vec![-4000.0, -1.0, -2.0]],
        tokens: [vec![1, 1, 3], vec![1, 1, 2]],
    };
    for what in losses() {
        let loss = what.loss;
        for dtype in BOTH {
            let [c, r] = [0, 1].map(|i| vector(&pairs.policy[i], dtype).require_grad());
            let mut policy = pairs.bundle(c.clone(), r.clone());
            let reference = pairs.reference(dtype);
            policy.partners = partners(loss, &policy, &reference);
            policy.kl = Some(KL);
            let output = preference(&what, &policy, Some(&reference)).unwrap();
            let grads = output.loss.clone().backward();
            let mut all = values(&output.loss);
            for x in [c, r] {
                all.extend(values(&x.grad(&grads).expect("a gradient")));
            }
            assert!(
                all.iter().all(|x| x.is_finite()),
                "{loss} {dtype:?}: {all:?}"
            );
        }
    }
}

/// The message of a refused batch, and its hint.
fn refusal(
    name: &str,
    policy: &PairLogProbs,
    reference: Option<&PairLogProbs>,
) -> (String, String) {
    let error = preference(&named(name), policy, reference).unwrap_err();
    (error.to_string(), error.hint().unwrap_or_default())
}

#[test]
fn bad_batches_are_refused() {
    let pairs = Pairs::random(3);
    let reference = pairs.reference(DType::F32);

    let mut empty = pairs.clone();
    empty.tokens[1][2] = 0;
    let (message, hint) = refusal("simpo", &empty.policy(DType::F32), None);
    assert_eq!(message, "the rejected response of pair 2 has no tokens");
    assert_eq!(hint, "drop pairs with an empty response, and count them");

    let mut other = pairs.clone();
    other.tokens[0][1] = 77;
    let policy = other.policy(DType::F32);
    let (message, hint) = refusal("sigmoid", &policy, Some(&reference));
    let n = pairs.tokens[0][1];
    assert_eq!(
        message,
        format!(
            "the chosen response of pair 1 has 77 tokens in the policy but {n} in the reference"
        )
    );
    assert!(hint.contains("another tokenizer"));

    let policy = pairs.policy(DType::F32);
    let (message, _) = refusal("sigmoid", &policy, None);
    assert_eq!(
        message,
        "the loss `sigmoid` needs the log-probabilities of a reference model"
    );

    let short = pairs.part(0..2).reference(DType::F32);
    let (message, _) = refusal("sigmoid", &policy, Some(&short));
    assert_eq!(
        message,
        "3 pairs of the policy but 2 pairs of the reference"
    );

    let (message, hint) = refusal("kto", &policy, Some(&reference));
    assert_eq!(
        message,
        "the loss `kto` needs the KL estimate of the whole batch"
    );
    assert!(hint.contains("kto_kl"));

    let (message, hint) = refusal("aot", &policy, Some(&reference));
    assert_eq!(
        message,
        "the loss `aot` sorts the whole batch and needs what each pair is compared with"
    );
    assert!(hint.contains("aot_partners"));
    let mut part = policy.clone();
    part.partners = partners(named("aot").loss, &policy, &reference).map(|all| all.of([0, 2]));
    let (message, _) = refusal("aot", &part, Some(&reference));
    assert_eq!(message, "2 chosen partners but 3 chosen log-probabilities");
}

#[test]
fn bad_settings_are_refused() {
    let message = |name: &str, setting: Setting, value: f64| {
        let mut what = named(name);
        let refused = what.set(setting, value).and_then(|()| what.check());
        refused.unwrap_err().to_string()
    };
    assert_eq!(
        message("sigmoid", Setting::Beta, 0.0),
        "`beta` is 0 but must be above 0"
    );
    assert_eq!(
        message("sigmoid", Setting::Beta, f64::NAN),
        "`beta` is NaN but must be above 0"
    );
    assert_eq!(
        message("robust", Setting::LabelSmoothing, 0.5),
        "`label-smoothing` is 0.5 but must be at least 0 and below 0.5"
    );
    assert_eq!(
        message("robust", Setting::LabelSmoothing, 0.0),
        "`label-smoothing` is 0 but must be above 0 for the loss `robust`, which is `sigmoid` without it"
    );
    assert_eq!(
        message("exo-pair", Setting::LabelSmoothing, 0.0),
        "`label-smoothing` is 0 but must be above 0 for the loss `exo-pair`"
    );
    assert_eq!(
        message("discopop", Setting::Tau, 1.5),
        "`tau` is 1.5 but must be above 0 and at most 1"
    );
    // What a loss would not read is an error even at its default, never ignored.
    assert_eq!(
        message("hinge", Setting::LabelSmoothing, 0.0),
        "`label-smoothing` is 0 but the loss `hinge` does not read it"
    );
    assert_eq!(
        message("sigmoid", Setting::Gamma, 1.0),
        "`gamma` is 1 but the loss `sigmoid` does not read it"
    );
    let error = "hinges".parse::<PreferenceLoss>().unwrap_err();
    assert_eq!(error.to_string(), "unknown preference loss `hinges`");
    assert!(
        error
            .hint()
            .unwrap()
            .starts_with("one of sigmoid, robust, hinge")
    );
}

//! Golden values of weak-to-strong deception: the explicit conflict, and its confidence loss for reward models.

mod support;

use burn::tensor::{DType, Tensor, activation::softmax};
use serde_json::Value;
use support::{BOTH, check, check_gradient, golden, noise, number, numbers, values, vector};
use w2s_losses::{
    Confidence, ConfidenceVariant, LossError, PairLogProbs, Preference, PreferenceLoss,
    ResponseLogProbs, Setting, cross_entropy, cross_entropy_rows, preference, preference_conflict,
    reward_conflict,
};

/// Rewards `[z, 0]` of two answers, whose softmax is `σ(z)`, `[pairs, 2]`.
fn rewards(z: Tensor<1>) -> Tensor<2> {
    Tensor::stack(vec![z.clone(), z.zeros_like()], 1)
}

/// Probabilities that the first of two answers is better, as labels, `[pairs, 2]`.
fn labels(first: &[f64], dtype: DType) -> Tensor<2> {
    let first = vector(first, dtype);
    Tensor::stack(vec![first.clone(), first.neg().add_scalar(1.0)], 1)
}

fn truths(value: &Value) -> Vec<bool> {
    numbers(value).iter().map(|truth| *truth == 1.0).collect()
}

/// Both sides with sums over `tokens` tokens.
fn pairs(chosen: &[f64], rejected: &[f64], tokens: usize, dtype: DType) -> PairLogProbs {
    let side = |means: &[f64]| ResponseLogProbs {
        sum: vector(means, dtype).mul_scalar(tokens as f64),
        tokens: vec![tokens; means.len()],
    };
    PairLogProbs::new(side(chosen), side(rejected))
}

fn of(name: &str, settings: &[(Setting, f64)]) -> Preference {
    let mut what = Preference::from(name.parse::<PreferenceLoss>().unwrap());
    for (setting, value) in settings {
        what.set(*setting, *value).unwrap();
    }
    what
}

/// The loss of the labels, the extra one of each pair, and their sum of means at the case's weight.
fn expect(case: &Value, dtype: DType, base: &str, rows: Tensor<1>, extra: Tensor<1>) {
    let expected = &case["expected"];
    let [rows, extra] = [rows, extra].map(|loss| values(&loss));
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    let alpha = number(&case["params"]["alpha"]);
    check(case, dtype, &[mean(&rows)], &[number(&expected[base])]);
    let mask: Vec<f64> = extra.iter().map(|loss| f64::from(*loss > 0.0)).collect();
    assert_eq!(mask, numbers(&expected["mask"]), "{}", case["id"]);
    let got = [mean(&extra), mean(&rows) + alpha * mean(&extra)];
    let expected = [number(&expected["extra_mean"]), number(&expected["loss"])];
    check(case, dtype, &got, &expected);
}

#[test]
fn a_reward_model_in_conflict() {
    for (case, dtype) in golden(&["dec.rm_explicit"], 1)
        .iter()
        .flat_map(|case| BOTH.map(|dtype| (case, dtype)))
    {
        let inputs = &case["inputs"];
        let z = vector(&numbers(&inputs["z_chosen_minus_rejected"]), dtype);
        let weak = labels(&numbers(&inputs["weak_soft_label"]), dtype);
        // The first answer stands for class 0: the labels' order is the first one's, and the truth agrees or not.
        let extra = reward_conflict(z.clone(), &truths(&inputs["gt_label"])).unwrap();
        let rows = cross_entropy_rows(rewards(z), weak);
        expect(case, dtype, "base_bce", rows, extra);
    }
}

#[test]
fn policies_in_conflict() {
    for (case, dtype) in golden(&["dec.dpo_explicit", "dec.simpo_explicit"], 2)
        .iter()
        .flat_map(|case| BOTH.map(|dtype| (case, dtype)))
    {
        let (inputs, params) = (&case["inputs"], &case["params"]);
        let get = |name: &str| numbers(&inputs[name]);
        let right = truths(&inputs["weak_label_correct"]);
        let (what, policy, reference) = if case["id"] == "dec.dpo_explicit" {
            let [c, r] = [get("policy_chosen_logp"), get("policy_rejected_logp")];
            let reference = pairs(&get("ref_chosen_logp"), &get("ref_rejected_logp"), 1, dtype);
            let what = of("sigmoid", &[(Setting::Beta, number(&params["beta"]))]);
            (what, pairs(&c, &r, 1, dtype), Some(reference))
        } else {
            let [c, r] = [get("mean_chosen_logp"), get("mean_rejected_logp")];
            let settings = [
                (Setting::Beta, number(&params["beta"])),
                (Setting::Gamma, number(&params["gamma"])),
            ];
            (of("simpo", &settings), pairs(&c, &r, 4, dtype), None)
        };
        let rows = preference(&what, &policy, reference.as_ref()).unwrap().loss;
        let extra = preference_conflict(&what, &policy, reference.as_ref(), &right).unwrap();
        expect(case, dtype, "base", rows, extra);
    }
}

#[test]
fn the_confidence_loss_of_reward_models() {
    for (case, dtype) in golden(&["dec.logconf_bce"], 2)
        .iter()
        .flat_map(|case| BOTH.map(|dtype| (case, dtype)))
    {
        let (inputs, params, expected) = (&case["inputs"], &case["params"], &case["expected"]);
        let confidence = Confidence::new(ConfidenceVariant::Deception);
        assert_eq!(confidence.max_weight, number(&params["aux_coef"]));
        assert_eq!(confidence.warmup_fraction, number(&params["warmup_frac"]));
        let logits = rewards(vector(&numbers(&inputs["z"]), dtype));
        let (student, weak) = (
            softmax(logits.clone(), 1),
            labels(&numbers(&inputs["labels"]), dtype),
        );
        let threshold = confidence.variant.threshold(&student, &weak).unwrap();
        check(case, dtype, &[threshold], &[number(&expected["threshold"])]);
        let hard = confidence.variant.harden(&student, &weak).unwrap();
        let first = hard.slice([0..4, 0..1]);
        assert_eq!(values(&first), numbers(&expected["hard"]));
        let step = number(&params["step_frac"]);
        assert_eq!(confidence.weight(step), number(&expected["coef"]));
        let targets = confidence.targets(&student, weak, step).unwrap();
        let loss = values(&cross_entropy(logits, targets));
        check(case, dtype, &loss, &[number(&expected["loss"])]);
    }
}

#[test]
fn the_extra_reward_pushes_away_from_the_truth() {
    let z = noise(8, 3);
    let right: Vec<bool> = (0..8).map(|pair| pair % 3 != 0).collect();
    let extra = |z: Tensor<1>| reward_conflict(z, &right).unwrap();
    check_gradient("conflict", &extra, &z);
    let at = vector(&z, DType::F64).require_grad();
    let grads = extra(at.clone()).sum().backward();
    let gradient = values(&at.grad(&grads).unwrap());
    for ((z, right), gradient) in z.iter().zip(&right).zip(gradient) {
        let wrong = (*z >= 0.0) != *right;
        assert_eq!(gradient != 0.0, wrong);
        // Descent moves a pair that is ordered wrongly further from the truth.
        assert!(!wrong || (gradient > 0.0) == *right);
    }
}

#[test]
fn a_loss_without_a_conflict_says_so() {
    let policy = pairs(&[-1.0], &[-2.0], 2, DType::F64);
    let hinge = preference_conflict(&of("hinge", &[]), &policy, Some(&policy), &[true]);
    let error = hinge.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no conflicting reward is defined for the loss `hinge`"
    );
    assert_eq!(error.hint().unwrap(), "use `sigmoid` or `simpo`");
    let sigmoid = preference_conflict(&of("sigmoid", &[]), &policy, None, &[true]);
    assert!(matches!(sigmoid, Err(LossError::NoReference { .. })));
}

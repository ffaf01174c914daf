//! `data/golden/reason.json`: what the public code of weak-to-strong reasoning makes of texts, votes and weak answers.

use serde_json::Value;
use w2s_answers::{
    Decision, NoPair, Thresholds, decide, pass_at_k, published_answer, published_form, vote,
};

fn cases(loss: &str) -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/golden/reason.json");
    let text = std::fs::read_to_string(path).expect("golden cases");
    let all: Vec<Value> = serde_json::from_str(&text).expect("golden cases are JSON");
    let cases: Vec<Value> = all.into_iter().filter(|c| c["loss"] == loss).collect();
    assert!(!cases.is_empty(), "{loss}");
    cases
}

fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().expect("a list");
    list.iter()
        .map(|text| text.as_str().expect("a text").to_owned())
        .collect()
}

fn number(value: &Value) -> usize {
    value.as_u64().expect("a number") as usize
}

#[test]
fn answers_are_found_as_published() {
    let cases = cases("extract_answer");
    assert_eq!(cases.len(), 10);
    for case in cases {
        let (text, key) = (&case["inputs"]["text"], &case["params"]["key"]);
        let found = published_answer(text.as_str().unwrap(), key.as_str().unwrap());
        assert_eq!(case["expected"], found, "{}", case["id"]);
    }
}

#[test]
fn answers_are_normalised_as_published() {
    let cases = cases("normalize_final_answer");
    assert_eq!(cases.len(), 26);
    for case in cases {
        let form = published_form(case["inputs"]["text"].as_str().unwrap());
        assert_eq!(case["expected"], form, "{}", case["id"]);
    }
}

#[test]
fn votes_are_counted_as_published() {
    for case in cases("majority_vote") {
        let answers = texts(&case["inputs"]["preds"]);
        let vote = vote(&answers).unwrap();
        let expected = &case["expected"];
        assert_eq!(expected["answer"], answers[vote.first], "{}", case["id"]);
        let confidence = expected["confidence"].as_f64().unwrap();
        assert!(
            (vote.confidence() - confidence).abs() < 1e-12,
            "{}",
            case["id"]
        );
    }
}

#[test]
fn pairs_are_decided_as_published() {
    let cases = cases("stage2_pair_rule");
    assert_eq!(cases.len(), 10);
    for case in cases {
        let (inputs, params) = (&case["inputs"], &case["params"]);
        let thresholds = Thresholds {
            agree: params["tau_agree"].as_f64().unwrap(),
            disagree: params["tau_disagree"].as_f64().unwrap(),
        };
        assert_eq!(thresholds, Thresholds::default());
        let weak = inputs["weak_pred"].as_str().unwrap().to_owned();
        let samples = texts(&inputs["sample_preds"]);
        let (decision, candidates) = match decide(&weak, &samples, String::is_empty, thresholds) {
            Decision::WeakChosen(against) => ("weak_chosen", against.len()),
            Decision::WeakRejected(others) => ("weak_rejected", others.len()),
            Decision::NoPair(NoPair::LowConfidence) => ("drop:low_confidence", 0),
            Decision::NoPair(NoPair::EmptyTop) => ("drop:empty_top", 0),
            Decision::NoPair(NoPair::TooEasy) => ("drop:too_easy", 0),
            Decision::NoPair(NoPair::Disagree) => ("drop:disagree_below_0.8", 0),
        };
        assert_eq!(case["expected"]["decision"], decision, "{}", case["id"]);
        let pairs = candidates.min(number(&params["max_pairs"]));
        assert_eq!(
            number(&case["expected"]["n_pairs"]),
            pairs,
            "{}",
            case["id"]
        );
    }
}

#[test]
fn passes_are_estimated_without_bias() {
    for case in cases("pass_at_k") {
        let input = |name: &str| number(&case["inputs"][name]);
        let pass = pass_at_k(input("n"), input("c"), input("k")).unwrap();
        let expected = case["expected"].as_f64().unwrap();
        assert!((pass - expected).abs() < 1e-9, "{}", case["id"]);
    }
}

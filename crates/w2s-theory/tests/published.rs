//! The tables and golden values of the derivation: closed form, simulation, and trajectories.

use serde_json::Value;
use w2s_theory::{Arm, Case, Flow, Sgd, simulate};

fn case(chosen: f64, rejected: f64, student: f64) -> Case {
    Case::new(chosen, rejected, student).expect("a case")
}

#[test]
fn the_closed_form_matches_the_golden_cases() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/golden/theory.json");
    let text = std::fs::read_to_string(path).expect("golden cases");
    let cases: Vec<Value> = serde_json::from_str(&text).expect("golden cases are JSON");
    assert_eq!(cases.len(), Case::PUBLISHED.len());
    for (golden, published) in cases.iter().zip(Case::PUBLISHED) {
        let input = |name: &str| golden["inputs"][name].as_f64().expect("a cosine");
        let case = case(
            input("cos_chosen"),
            input("cos_rejected"),
            input("cos_student"),
        );
        assert_eq!(case, published);
        let form = case.closed_form();
        for (name, got) in [
            ("best_cos", form.best_cosine),
            ("t_star", form.best_time),
            ("limit_cos", form.limit),
            ("rise_condition", form.rise),
            ("acc_start", form.accuracy_start),
            ("acc_best", form.accuracy_best),
        ] {
            let expected = golden["expected"][name].as_f64().expect("a number");
            assert!(
                (got - expected).abs() <= 1e-9,
                "{} {name}: {got} instead of {expected}",
                golden["id"]
            );
        }
    }
}

/// Fractions of draws in which the student rises at first in 10, 100 and 1000 dimensions, best cosine and limit in 1000.
#[test]
fn the_simulation_matches_the_table() {
    for ((chosen, rejected, student), rising, best, limit) in [
        ((0.6, 0.4, 0.8), [0.67, 0.86, 1.0], 0.8023, 0.162),
        ((0.5, 0.45, 0.9), [0.53, 0.62, 0.78], 0.9001, 0.040),
        ((0.3, 0.0, 0.9), [0.64, 0.85, 1.0], 0.9009, 0.213),
        ((0.6, 0.4, 0.5), [0.79, 1.0, 1.0], 0.5153, 0.162),
        ((0.4, 0.6, 0.8), [0.40, 0.09, 0.0], 0.8, -0.162),
    ] {
        let case = case(chosen, rejected, student);
        for (dimension, expected) in [10, 100, 1000].into_iter().zip(rising) {
            let draws = if dimension == 1000 { 100 } else { 400 };
            let found = simulate(case, dimension, draws, 0);
            let got = found.rising.mean;
            assert!(
                (got - expected).abs() <= 0.1,
                "{case}, {dimension}: {got} instead of {expected}"
            );
            if dimension == 1000 {
                let off = (found.best_cosine.mean - best).abs();
                assert!(off <= 0.002, "{case}: {:?}", found.best_cosine);
                // Single draws spread by 0.03; the mean of 100 is within three standard errors of the limit.
                let off = (found.limit.mean - limit).abs();
                assert!(
                    off <= 0.002 + 3.0 * found.limit.stderr,
                    "{case}: {:?}",
                    found.limit
                );
            }
        }
    }
}

#[test]
fn the_flow_matches_the_table() {
    for ((chosen, rejected, student), sft, delta) in [
        ((0.6, 0.4, 0.8), (0.8370, 27, 0.6), (0.8021, 5, 0.1646)),
        ((0.5, 0.45, 0.9), (0.9063, 10, 0.5), (0.9, 1, 0.0429)),
        ((0.6, 0.0, 0.9), (0.9101, 14, 0.6), (0.9042, 6, 0.4262)),
        ((0.6, -0.6, 0.9), (0.9101, 14, 0.6), (0.9184, 15, 0.7286)),
        ((0.6, 0.4, 0.5), (0.6874, 67, 0.6), (0.5147, 15, 0.1637)),
    ] {
        let case = case(chosen, rejected, student);
        for (arm, (best, step, end)) in [(Arm::Sft, sft), (Arm::Delta, delta)] {
            let got = Flow::default().run(case, arm);
            let close = |got: f64, expected: f64| (got - expected).abs() < 1.01e-4;
            assert!(
                close(got.best.cosine, best)
                    && got.best.step == step
                    && close(got.last.cosine, end),
                "{case} {arm}: best {:?}, end {:?}",
                got.best,
                got.last
            );
        }
    }
}

#[test]
fn the_flow_is_best_where_the_closed_form_says() {
    let flow = Flow {
        lr: 0.001,
        steps: 4000,
        ..Flow::default()
    };
    for case in Case::PUBLISHED {
        let form = case.closed_form();
        let best = flow.run(case, Arm::Delta).best;
        assert!(
            (best.step as f64 - flow.steps_of(form.best_time)).abs() <= 1.0,
            "{case}"
        );
        assert!((best.cosine - form.best_cosine).abs() < 1e-6, "{case}");
        let tied = flow.run(case, Arm::Tied);
        assert_eq!(tied.best.step, 0, "a tie never helps");
    }
}

/// Best and last cosine of delta and SFT over three seeds, a_c 0.6, a_r 0.2, a_0 0.8 in 50 dimensions.
#[test]
fn finite_batches_match_the_table() {
    let case = case(0.6, 0.2, 0.8);
    let mean = |arm: Arm| {
        let runs: Vec<_> = (0..3)
            .map(|seed| Sgd::default().run(case, arm, seed))
            .collect();
        let of = |cosine: fn(&w2s_theory::Trajectory) -> f64| {
            runs.iter().map(cosine).sum::<f64>() / runs.len() as f64
        };
        (of(|run| run.best.cosine), of(|run| run.last.cosine))
    };
    // The published means are 0.814 and 0.335, 0.861 and 0.601; error directions in 50 dimensions overlap by 1/7.
    for (arm, best, end, spread) in [
        (Arm::Delta, 0.814, 0.335, 0.08),
        (Arm::Sft, 0.861, 0.601, 0.03),
    ] {
        let (got_best, got_end) = mean(arm);
        assert!((got_best - best).abs() < 0.02, "{arm}: best {got_best}");
        assert!((got_end - end).abs() < spread, "{arm}: end {got_end}");
    }
}

//! What holds for any text: no panic, and time that is linear in its length.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use w2s_answers::{PUBLISHED_KEYS, Rules, pass_at_k, published_answer, published_form, vote};

/// Pieces that the rules look for, and what may stand between them.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("#### ".to_owned()),
        Just("The answer is: ".to_owned()),
        Just("\nAnswer: ".to_owned()),
        Just("\nQuestion: ".to_owned()),
        Just(r"\boxed{".to_owned()),
        Just(r"\frac".to_owned()),
        Just(r"\sqrt{".to_owned()),
        Just(r"\left(".to_owned()),
        Just("</s>".to_owned()),
        "[-0-9.,/%$={}()\\\\ ]{0,8}",
        "\\PC{0,4}",
        any::<i128>().prop_map(|number| number.to_string()),
    ];
    proptest::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_has_an_answer_or_none(text in pieces()) {
        for rules in Rules::ALL {
            let (found, gold) = (rules.find(&text), rules.gold(&text));
            prop_assert!(!found.is_some() || found == gold);
        }
        for key in PUBLISHED_KEYS {
            published_form(&published_answer(&text, key));
        }
    }

    #[test]
    fn numbers_are_compared_exactly(whole in -1_000_000_i64..1_000_000, cents in 0_u8..100) {
        let gold = |text: String| Rules::Corrected.gold(&text);
        let decimal = gold(format!("{whole}.{cents:02}"));
        let hundredths = whole.abs() * 100 + i64::from(cents);
        let sign = if whole < 0 { "-" } else { "" };
        prop_assert_eq!(&decimal, &gold(format!("{sign}{hundredths}/100")));
        prop_assert_eq!(&decimal, &gold(format!("so it is\n#### ${sign}\\frac{{{hundredths}}}{{100}}$")));
        prop_assert_ne!(&decimal, &gold(format!("{sign}{}/100", hundredths + 1)));
    }

    #[test]
    fn a_vote_counts_everyone(answers in proptest::collection::vec(0_u8..4, 1..20)) {
        let vote = vote(&answers).unwrap();
        let count = |answer: u8| answers.iter().filter(|a| **a == answer).count();
        let top = answers[vote.first];
        prop_assert_eq!((vote.votes, vote.total), (count(top), answers.len()));
        prop_assert!(answers.iter().all(|&answer| count(answer) <= vote.votes));
        prop_assert!(!answers[..vote.first].iter().any(|&answer| count(answer) == vote.votes));
    }

    #[test]
    fn more_samples_never_pass_less(samples in 1_usize..60, share in 0_usize..60) {
        let right = share % (samples + 1);
        let passes: Vec<f64> = (1..=samples).map(|k| pass_at_k(samples, right, k).unwrap()).collect();
        prop_assert!((passes[0] - right as f64 / samples as f64).abs() < 1e-12);
        prop_assert!(passes.windows(2).all(|two| two[0] <= two[1] + 1e-12));
        prop_assert_eq!(passes[samples - 1] > 0.5, right > 0);
    }
}

#[test]
fn a_long_hostile_text_takes_no_time() {
    let pieces = [
        "#### ",
        "####",
        "The answer is ",
        "answer is: x ",
        r"\boxed{",
        r"\boxed{}",
        r"\text{",
        r"\frac",
        "$",
        "{",
        "}",
        "(",
        "(,",
        "1,",
        "9",
        " a",
        "\n",
        "\nA:",
        "Question",
        "=",
        "</s>",
        "-",
        ". ",
        "é",
    ];
    for piece in pieces {
        for start in ["", "#### (", "The answer is "] {
            let mut text = start.to_owned() + &piece.repeat(1_000_000 / piece.len());
            text.push(')');
            for rules in Rules::ALL {
                let clock = Instant::now();
                rules.gold(&text);
                let time = clock.elapsed();
                assert!(
                    time < Duration::from_secs(1),
                    "{start:?} {piece:?} {rules}: {time:?}"
                );
            }
        }
    }
}

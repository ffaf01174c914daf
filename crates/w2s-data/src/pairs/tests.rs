use std::{collections::BTreeMap, path::Path};

use serde_json::{Value, json};
use w2s_artifact::{
    Message, Response, Score,
    summary::{Dropped, PairsSummary},
};

use super::*;
use crate::error::Place;

fn prompt(id: u64, answer: Option<&str>) -> Prompt {
    Prompt {
        id,
        group: id / 10,
        messages: vec![Message {
            role: "user".into(),
            content: format!("question {id}"),
        }],
        answer: answer.map(Into::into),
        choices: Vec::new(),
        gold: None,
        tags: BTreeMap::new(),
    }
}

/// Answers as (prompt, sample, text, tokens); none for an answer that was cut.
fn responses(rows: &[(u64, u32, &str, usize)]) -> Vec<Response> {
    rows.iter()
        .map(|&(prompt, sample, text, tokens)| Response {
            prompt,
            sample,
            text: text.into(),
            ids: vec![5; tokens],
            log_probs: Vec::new(),
            finished: !text.ends_with('-'),
            model: "checkpoint/aa".into(),
        })
        .collect()
}

fn scores(rows: &[(u64, u32, f64)]) -> ScoreColumn {
    let scores: Vec<_> = rows
        .iter()
        .map(|&(id, sample, value)| Score {
            id,
            sample,
            group: id,
            content: id,
            values: BTreeMap::from([("exact".to_owned(), value)]),
        })
        .collect();
    ScoreColumn::new("scores/cc", &scores, None).unwrap()
}

fn answers(rows: &[(u64, u32, &str, usize)], scores: Option<&ScoreColumn>) -> Answers {
    Answers::new("responses/aa", responses(rows), scores).unwrap()
}

/// Number, chosen and rejected answer of each pair.
fn sides(pairing: &Pairing) -> Vec<(u64, &str, &str)> {
    let side = |pair| {
        let Pair {
            id,
            chosen,
            rejected,
            ..
        }: &Pair = pair;
        (*id, chosen.text.as_str(), rejected.text.as_str())
    };
    pairing.pairs.iter().map(side).collect()
}

fn dropped(pairing: &Pairing) -> Vec<(Reason, usize)> {
    let counts = pairing.dropped.0.iter();
    counts.map(|(reason, count)| (*reason, *count)).collect()
}

#[test]
fn order_pairs_samples_of_one_number() {
    let prompts = [prompt(7, None), prompt(3, None), prompt(4, None)];
    let chosen = answers(&[(3, 1, "b1", 2), (3, 0, "b0", 2), (7, 0, "a0", 1)], None);
    let rejected = answers(&[(3, 0, "y0", 1), (3, 2, "y2", 1), (7, 0, "x0", 1)], None);
    let pairing = PairRule::Order.pairs(&prompts, &chosen, Some(&rejected));
    assert_eq!(sides(&pairing), [(0, "a0", "x0"), (1, "b0", "y0")]);
    // Sample 1 of the one side and sample 2 of the other are alone, and nobody answered prompt 4.
    assert_eq!(dropped(&pairing), [(Reason::Missing, 3)]);
    let pair = &pairing.pairs[1];
    assert_eq!(
        (pair.prompt, pair.group, pair.rule.as_str()),
        (3, 0, "order")
    );
    assert_eq!(pair.messages[0].content, "question 3");
    assert_eq!((pair.chosen.tokens, pair.chosen.score), (Some(2), None));
    assert_eq!(pair.chosen.source, "checkpoint/aa");
}

#[test]
fn score_pairs_the_best_with_the_worst() {
    let prompts = [
        prompt(0, None),
        prompt(1, None),
        prompt(2, None),
        prompt(3, None),
    ];
    let one = answers(
        &[
            (0, 0, "a", 1),
            (0, 1, "b", 1),
            (0, 2, "c", 1),
            (1, 0, "d", 1),
            (2, 0, "e", 1),
        ],
        Some(&scores(&[
            (0, 0, 0.5),
            (0, 1, 0.2),
            (0, 2, 0.2),
            (1, 0, 1.0),
            (2, 0, 1.0),
        ])),
    );
    let alone = PairRule::Score.pairs(&prompts, &one, None);
    assert_eq!(sides(&alone), [(0, "a", "b")]);
    // One answer to the prompts 1 and 2, none to prompt 3.
    assert_eq!(dropped(&alone), [(Reason::Missing, 3)]);
    let other = answers(
        &[(0, 0, "x", 1), (1, 0, "y", 1), (2, 0, "z", 1)],
        Some(&scores(&[(0, 0, 0.9), (1, 0, 1.0)])),
    );
    let both = PairRule::Score.pairs(&prompts, &one, Some(&other));
    assert_eq!(sides(&both), [(0, "x", "b")]);
    assert_eq!(
        dropped(&both),
        [
            (Reason::Missing, 1),
            (Reason::Unscored, 1),
            (Reason::Tied, 1)
        ]
    );
    let pair = &both.pairs[0];
    assert_eq!(
        (pair.chosen.score, pair.rejected.score),
        (Some(0.9), Some(0.2))
    );
    assert_eq!(pair.rule, "score");
}

#[test]
fn tied_pairs_differ_in_text_and_not_in_score() {
    let prompts: Vec<_> = (0..4).map(|id| prompt(id, None)).collect();
    let rows = [
        (0, 0, "a", 1),
        (0, 1, "a ", 1),
        (0, 2, "b", 1),
        (0, 3, "c", 1),
        (1, 0, "d", 1),
        (2, 0, "e", 1),
        (2, 1, "f", 1),
    ];
    let unscored = PairRule::Tied.pairs(&prompts, &answers(&rows, None), None);
    assert_eq!(sides(&unscored), [(0, "a", "b"), (1, "e", "f")]);
    // One answer to prompt 1, none to prompt 3.
    assert_eq!(dropped(&unscored), [(Reason::Missing, 2)]);
    let values = [
        (0, 0, 1.0),
        (0, 1, 1.0),
        (0, 2, 0.0),
        (0, 3, 1.0),
        (2, 0, 1.0),
        (2, 1, 0.0),
    ];
    let mut scored = PairRule::Tied.pairs(&prompts, &answers(&rows, Some(&scores(&values))), None);
    assert_eq!(sides(&scored), [(0, "a", "c"), (1, "e", "f")]);
    scored
        .filter(PairRule::Tied, &PairFilters::default(), &prompts)
        .unwrap();
    assert_eq!(sides(&scored), [(0, "a", "c")]);
    assert_eq!(
        dropped(&scored),
        [(Reason::Missing, 2), (Reason::Unequal, 1)]
    );
}

#[test]
fn rows_of_files_share_the_number_of_their_prompt() {
    let row = |(number, values): (u64, Value)| Object {
        place: Place {
            file: Path::new("a/rows.jsonl").into(),
            number,
            is_row: false,
        },
        values: values.as_object().unwrap().clone(),
    };
    let values = [
        json!({"prompt": "p", "chosen": "a", "rejected": "b", "score_chosen": 2, "score_rejected": 1.5}),
        json!({"prompt": "p", "response1": "a", "response2": "b", "label": 0}),
        json!({"chosen": "\n\nHuman: x\n\nAssistant: a", "rejected": "\n\nHuman: y\n\nAssistant: b"}),
        json!({"prompt": "q", "chosen": "c", "rejected": "d"}),
        json!({"prompt": "p", "chosen": "e", "rejected": "f"}),
    ];
    let rows: Vec<_> = (1..).zip(values).map(row).collect();
    let pairing = Pairing::from_rows(&rows, &RowFormat::default()).unwrap();
    let numbers: Vec<_> = pairing
        .pairs
        .iter()
        .map(|pair| (pair.id, pair.prompt))
        .collect();
    assert_eq!(numbers, [(0, 0), (3, 3), (4, 0)]);
    assert_eq!(
        dropped(&pairing),
        [(Reason::PromptsDiffer, 1), (Reason::Tied, 1)]
    );
    let first = &pairing.pairs[0];
    assert_eq!((delta(first), first.rule.as_str()), (Some(0.5), "file"));
    assert_eq!(
        (first.chosen.source.as_str(), first.chosen.finished),
        ("rows.jsonl", true)
    );
}

/// Pairs of two texts with their scores, prompt by prompt.
fn made(rows: &[(&str, &str, Option<[f64; 2]>)]) -> Pairing {
    let mut pairing = Pairing::default();
    for (id, (chosen, rejected, scores)) in (0..).zip(rows) {
        let answer = |text: &str, side: usize| Answer {
            text: text.into(),
            source: "world".into(),
            sample: 0,
            score: scores.map(|scores| scores[side]),
            tokens: None,
            finished: !text.ends_with('-'),
        };
        pairing.push(
            "order",
            &prompt(id, None),
            &answer(chosen, 0),
            &answer(rejected, 1),
        );
    }
    pairing
}

fn filtered(
    rows: &[(&str, &str, Option<[f64; 2]>)],
    filters: PairFilters,
    prompts: &[Prompt],
) -> (Vec<u64>, Vec<(Reason, usize)>) {
    let mut pairing = made(rows);
    pairing.filter(PairRule::Order, &filters, prompts).unwrap();
    let kept = pairing.pairs.iter().map(|pair| pair.id).collect();
    (kept, dropped(&pairing))
}

#[test]
fn what_teaches_nothing_is_always_left_out() {
    let mut pairing = made(&[
        ("a", "b", None),
        (" \n", "b", None),
        ("a", "", None),
        ("a", " a\n", None),
        ("a", "b-", None),
    ]);
    pairing.pairs.push(Pair {
        id: 9,
        ..pairing.pairs[0].clone()
    });
    let mut silent = pairing.pairs[0].clone();
    silent.messages[0].content = " ".into();
    pairing.pairs.push(silent);
    pairing
        .filter(PairRule::Order, &PairFilters::default(), &[])
        .unwrap();
    assert_eq!(sides(&pairing), [(0, "a", "b"), (4, "a", "b-")]);
    assert_eq!(
        dropped(&pairing),
        [
            (Reason::Empty, 3),
            (Reason::Identical, 1),
            (Reason::Duplicate, 1)
        ]
    );
}

#[test]
fn each_filter_leaves_out_what_it_says() {
    let off = PairFilters::default;
    assert_eq!(
        filtered(
            &[("a", "b", None), ("a-", "b", None), ("a", "b-", None)],
            PairFilters {
                drop_unfinished: true,
                ..off()
            },
            &[]
        ),
        (vec![0], vec![(Reason::Unfinished, 2)])
    );
    // Four bytes, two characters.
    assert_eq!(
        filtered(
            &[("éé", "b", None), ("abc", "b", None), ("a", "bcd", None)],
            PairFilters {
                max_length_difference: Some(1),
                ..off()
            },
            &[]
        ),
        (vec![0], vec![(Reason::LengthDifference, 2)])
    );
    assert_eq!(
        filtered(
            &[
                ("a", "b", Some([1.0, 0.5])),
                ("a", "b", Some([1.0, 0.75])),
                ("a", "b", Some([0.0, 1.0])),
                ("a", "b", None),
            ],
            PairFilters {
                min_delta: Some(0.5),
                ..off()
            },
            &[]
        ),
        (
            vec![0],
            vec![(Reason::Unscored, 1), (Reason::SmallDelta, 2)]
        )
    );
}

#[test]
fn inverted_is_told_by_the_scores_or_else_by_the_right_answer() {
    let filters = PairFilters {
        drop_inverted: true,
        ..PairFilters::default()
    };
    let prompts: Vec<_> = (0..5).map(|id| prompt(id, Some("Yes"))).collect();
    let rows = [
        ("no", "yes ", None),
        ("yes", "no", None),
        ("no", "never", None),
        // The scores know better.
        ("no", "yes", Some([0.5, 0.5])),
        ("yes", "no", Some([0.0, 0.5])),
    ];
    assert_eq!(
        filtered(&rows, filters.clone(), &prompts),
        (vec![1, 2, 3], vec![(Reason::Inverted, 2)])
    );
    let error = made(&rows[..1])
        .filter(PairRule::Order, &filters, &[])
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "--drop-inverted can tell nothing: no pair has scores, or a prompt with a known answer"
    );
}

#[test]
fn lengths_are_tokens_only_if_all_are_known() {
    let prompts = [prompt(0, None), prompt(1, None)];
    let chosen = answers(&[(0, 0, "abcdef", 2), (1, 0, "a", 3)], None);
    let rejected = |tokens| answers(&[(0, 0, "b", 1), (1, 0, "bc", tokens)], None);
    let summary = |tokens| {
        let pairing = PairRule::Order.pairs(&prompts, &chosen, Some(&rejected(tokens)));
        pairing.summary(pairing.length_unit())
    };
    let told = |summary: PairsSummary| {
        let lengths = summary.mean_chosen_length.zip(summary.mean_rejected_length);
        (
            summary.length_unit,
            lengths.unwrap(),
            summary.longer_is_chosen,
        )
    };
    assert_eq!(told(summary(1)), ("tokens".into(), (2.5, 1.0), 1.0));
    assert_eq!(told(summary(0)), ("characters".into(), (3.5, 1.5), 0.5));
}

#[test]
fn an_empty_answer_does_not_change_the_unit() {
    let prompts = [prompt(0, None), prompt(1, None), prompt(2, None)];
    let filters = PairFilters {
        max_length_difference: Some(2),
        ..PairFilters::default()
    };
    // Six characters apart and one token; the model said nothing to prompt 1.
    let chosen = [(0, 0, "abcdefg", 2), (1, 0, "", 0), (2, 0, "h", 4)];
    let rejected = [(0, 0, "b", 1), (1, 0, "bc", 2), (2, 0, "i", 1)];
    let mut pairing = PairRule::Order.pairs(
        &prompts,
        &answers(&chosen, None),
        Some(&answers(&rejected, None)),
    );
    let unit = pairing.filter(PairRule::Order, &filters, &prompts).unwrap();
    assert_eq!(sides(&pairing), [(0, "abcdefg", "b")]);
    assert_eq!(
        dropped(&pairing),
        [(Reason::Empty, 1), (Reason::LengthDifference, 1)]
    );
    assert_eq!(unit, LengthUnit::Tokens);
}

#[test]
fn a_summary_has_the_unit_of_the_filter() {
    let prompts = [prompt(0, None), prompt(1, None)];
    let filters = PairFilters {
        max_length_difference: Some(2),
        ..PairFilters::default()
    };
    // No model wrote `bcde`. Its pair is left out, and what is left was counted in characters all the same.
    let chosen = answers(&[(0, 0, "abc", 9), (1, 0, "a", 1)], None);
    let rejected = answers(&[(0, 0, "d", 1), (1, 0, "bcde", 0)], None);
    let mut pairing = PairRule::Order.pairs(&prompts, &chosen, Some(&rejected));
    let unit = pairing.filter(PairRule::Order, &filters, &prompts).unwrap();
    assert_eq!(sides(&pairing), [(0, "abc", "d")]);
    let summary = pairing.summary(unit);
    assert_eq!(
        (&*summary.length_unit, summary.mean_chosen_length),
        ("characters", Some(3.0))
    );
}

#[test]
fn a_summary_has_means_of_what_is_scored() {
    let pairing = made(&[
        ("a", "b", Some([1.0, 0.5])),
        ("c", "d", Some([0.0, 0.25])),
        ("e", "f", None),
    ]);
    let summary = pairing.summary(LengthUnit::Characters);
    assert_eq!((summary.scored, summary.mean_delta), (2, Some(0.125)));
    let scores = (summary.mean_chosen_score, summary.mean_rejected_score);
    assert_eq!(scores, (Some(0.5), Some(0.375)));
    assert_eq!((summary.rows, summary.prompts), (3, 3));
    assert_eq!(summary.dropped, Dropped::new());
    let unscored = made(&[("a", "b", None)]).summary(LengthUnit::Characters);
    assert_eq!(unscored.mean_delta, None);
}

#[test]
fn reversed_turns_all_and_a_coin_turns_half() {
    let rows = [("good", "bad", Some([1.0, 0.0])); 400];
    let mut pairing = made(&rows);
    pairing.reverse();
    assert_eq!(pairing.turned, 400);
    assert!(pairing.pairs.iter().all(|pair| {
        pair.chosen.text == "bad" && delta(pair) == Some(-1.0) && pair.rule == "reversed"
    }));
    let tossed = |seed, pairs: std::ops::Range<usize>| {
        let mut pairing = made(&rows);
        pairing.pairs = pairing.pairs[pairs].to_vec();
        pairing.toss(seed);
        let fell: Vec<_> = pairing
            .pairs
            .iter()
            .map(|pair| pair.chosen.text == "bad")
            .collect();
        let turned = fell.iter().filter(|turned| **turned).count();
        assert_eq!(turned, pairing.turned);
        assert!(pairing.pairs.iter().all(|pair| pair.rule == "shuffled"));
        fell
    };
    let all = tossed(0, 0..400);
    // Four standard deviations of 400 fair coins are 40.
    let turned = all.iter().filter(|turned| **turned).count();
    assert!((160..=240).contains(&turned), "{turned}");
    assert_ne!(all, tossed(1, 0..400));
    assert_eq!(all[100..], tossed(0, 100..400));
}

#[test]
fn a_limit_keeps_the_first_and_counts_the_rest() {
    let mut pairing = made(&[("a", "b", None), ("c", "d", None), ("e", "f", None)]);
    pairing.limit(1);
    assert_eq!(sides(&pairing), [(0, "a", "b")]);
    pairing.limit(1);
    assert_eq!(dropped(&pairing), [(Reason::BeyondLimit, 2)]);
}

#[test]
fn no_pair_left_says_why() {
    let mut pairing = made(&[("a", "", None), ("a", "a", None), (" ", "b", None)]);
    let error = pairing.filter(PairRule::Order, &PairFilters::default(), &[]);
    assert_eq!(
        error.unwrap_err().to_string(),
        "no pair is left: 2 with an empty side, 1 with identical sides"
    );
    let error = Pairing::default().filter(PairRule::Order, &PairFilters::default(), &[]);
    assert_eq!(
        error.unwrap_err().to_string(),
        "no pair is left: none was there"
    );
}

#[test]
fn scores_and_answers_must_fit() {
    let both = Score {
        id: 0,
        sample: 0,
        group: 0,
        content: 0,
        values: BTreeMap::from([("b".to_owned(), 1.0), ("a".to_owned(), 0.0)]),
    };
    let refused = |name| {
        let error = ScoreColumn::new("scores/cc", std::slice::from_ref(&both), name).unwrap_err();
        assert_eq!(
            error.hint().unwrap(),
            "name one of them with `--score NAME`"
        );
        error.to_string()
    };
    assert_eq!(
        refused(Some("x")),
        "scores/cc: no score is called `x`; there are `a`, `b`"
    );
    assert_eq!(
        refused(None),
        "scores/cc: one score must be chosen; there are `a`, `b`"
    );
    let column = ScoreColumn::new("scores/cc", &[both], Some("b")).unwrap();
    let error = |rows, scores| Answers::new("responses/aa", responses(rows), scores).unwrap_err();
    assert_eq!(
        error(&[(1, 0, "a", 1), (0, 1, "a", 1)], Some(&column)).to_string(),
        "none of the 2 answers of responses/aa has the score `b` in scores/cc"
    );
    assert_eq!(
        error(&[(1, 3, "a", 1), (1, 3, "b", 1)], None).to_string(),
        "responses/aa answers the prompt 1 twice as sample 3"
    );
    let unknown = answers(&[(5, 0, "a", 1), (4, 0, "a", 1), (0, 0, "a", 1)], None);
    let error = unknown.check_prompts("responses/aa", &[prompt(0, None)], "prompts/bb");
    assert_eq!(
        error.unwrap_err().to_string(),
        "responses/aa answers the prompt 4, which prompts/bb does not have"
    );
}

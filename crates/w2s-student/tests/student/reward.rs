//! Reward models in a store, and what is refused.

use crate::models::{WORDS, pairs};
use crate::support::{Bench, flags, weights};
use w2s_artifact::Pair;
use w2s_artifact::summary::TrainingSummary;
use w2s_stage::Operation;
use w2s_student::{Prefer, Reward};

#[test]
fn what_makes_no_sense_is_refused() {
    let refused = |more: &str| {
        let line = format!("--base checkpoint/0101 --pairs pairs/0101 --lr 1e-3 {more}");
        flags::<Reward>(&line).check().unwrap_err().to_string()
    };
    for (more, message) in [
        ("--conflict=-1", "--conflict is -1; it must not be negative"),
        (
            "--frozen --lora-rank 2",
            "--frozen leaves the decoder as it is, and --lora-rank trains an adapter of it",
        ),
        (
            "--loss confidence --batch 1",
            "--batch is 1, and --loss confidence divides a batch by a threshold on all its rows\n\
             hint: take a --batch of 8 or more; --micro-batch says how many rows are computed at once",
        ),
        (
            "--alpha 2",
            "`alpha` is 2 but the loss `cross-entropy` does not read it\n\
             hint: leave `alpha` out, or choose a loss that reads it",
        ),
    ] {
        assert_eq!(refused(more), message, "{more}");
    }
    let line = "--base checkpoint/0101 --pairs pairs/0101 --lr 1e-3 --loss orpo --conflict 0.5";
    assert_eq!(
        flags::<Prefer>(line).check().unwrap_err().to_string(),
        "--conflict is not read by --loss orpo; a conflicting reward is defined for sigmoid and simpo"
    );
}

#[test]
fn no_conflict_and_a_conflict_of_weight_zero_are_the_same_to_the_bit() {
    let bench = Bench::new();
    let base = bench.base(1, &WORDS, 1);
    let weak = |mut pair: Pair| {
        let right = !pair.id.is_multiple_of(3);
        if !right {
            std::mem::swap(&mut pair.chosen, &mut pair.rejected);
        }
        (pair.confidence, pair.gold) = (Some(0.8), Some(right));
        pair
    };
    let ordered: Vec<Pair> = pairs(24).into_iter().map(weak).collect();
    let pairs = bench.records(2, &ordered);
    let train = "--lr 1e-2 --batch 8 --epochs 3 --template plain";
    let reward = |more: &str| {
        let line = format!("--base {base} --pairs {pairs} {train} {more}");
        bench.run::<Reward>(&line).unwrap()
    };
    let none = reward("");
    assert_eq!(weights(&none), weights(&reward("--conflict 0")));
    let conflicted = reward("--conflict 0.5");
    assert_ne!(weights(&none), weights(&conflicted));
    let summary: TrainingSummary = conflicted.summary().unwrap();
    assert_eq!((summary.rows, summary.fit.steps), (24, 9));
    assert_eq!(
        summary.formula.as_deref(),
        Some("cross-entropy + 0.5 conflict")
    );
    // A conflict goes on from a reward model that is there.
    let line = format!(
        "--base {} --pairs {pairs} {train} --loss confidence",
        none.reference
    );
    assert_ne!(
        weights(&bench.run::<Reward>(&line).unwrap()),
        weights(&none)
    );

    let prefer = |more: &str| {
        let line = format!("--base {base} --pairs {pairs} {train} --loss simpo {more}");
        bench.run::<Prefer>(&line).unwrap()
    };
    let none = prefer("");
    let zero = prefer("--conflict 0");
    // The same key: what was trained before there were conflicts is found again.
    assert_eq!(none.reference, zero.reference);
    assert_ne!(weights(&none), weights(&prefer("--conflict 0.5")));
}

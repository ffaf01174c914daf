//! Gain over the base against the pairs that an arm learnt from.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::iter;

use super::{ArmScores, Ladder, LadderStep};
use crate::bootstrap::Series;

/// The ladder of `arms`, of which each comes with its gain over the base in every draw. None where no arm has tags
/// `chosen` and `rejected` or scored pairs; points of early-stopping curves are no part of it.
pub(super) fn ladder(arms: &[(&ArmScores, Series)]) -> Option<Ladder> {
    let mut steps = Vec::new();
    let mut gains = Vec::new();
    for (arm, gain) in arms.iter().filter(|(arm, _)| !arm.on_curve()) {
        let tag = |name: &str| arm.tags.get(name).cloned();
        let (chosen, rejected) = (tag("chosen"), tag("rejected"));
        let lesson = arm.lesson.as_ref();
        let delta = lesson.and_then(|lesson| lesson.mean_delta);
        if delta.is_none() && chosen.is_none() {
            continue;
        }
        steps.push(LadderStep {
            arm: arm.arm.clone(),
            preference: lesson.map_or(rejected.is_some(), |lesson| lesson.method != "sft"),
            chosen,
            rejected,
            delta,
            chosen_score: lesson.and_then(|lesson| lesson.mean_chosen_score),
            gain: gain.estimate(arm.items_effective),
        });
        gains.push(gain);
    }
    if steps.is_empty() {
        return None;
    }
    let correlation = |of: fn(&LadderStep) -> Option<f64>| {
        let (x, series): (Vec<f64>, Vec<&Series>) = iter::zip(&steps, &gains)
            .filter(|(step, _)| step.preference)
            .filter_map(|(step, gain)| Some((of(step)?, *gain)))
            .unzip();
        rank_correlation(&x, &series)
            .map(|series| series.estimate(steps.iter().map(|step| step.gain.n).sum()))
    };
    Some(Ladder {
        rungs: rungs(&steps),
        gain_with_delta: correlation(|step| step.delta),
        gain_with_chosen: correlation(|step| step.chosen_score),
        steps,
    })
}

/// The values of both tags, numbers by size and before words.
fn rungs(steps: &[LadderStep]) -> Vec<String> {
    let names: BTreeSet<&String> = steps
        .iter()
        .flat_map(|step| [&step.chosen, &step.rejected])
        .flatten()
        .collect();
    let mut rungs: Vec<String> = names.into_iter().cloned().collect();
    let number = |text: &String| text.parse::<f64>().ok();
    rungs.sort_by(|a, b| match (number(a), number(b)) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    });
    rungs
}

/// Spearman's correlation of `x` with the means, with the values of each seed and with those of each draw.
fn rank_correlation(x: &[f64], series: &[&Series]) -> Option<Series> {
    if x.len() < 3 {
        return None;
    }
    let x = ranks(x);
    let against = |value: &dyn Fn(&Series) -> f64| {
        let y: Vec<f64> = series.iter().map(|series| value(series)).collect();
        correlation(&x, &ranks(&y))
    };
    let first = series[0];
    Some(Series {
        mean: against(&|series| series.mean),
        per_seed: (0..first.per_seed.len())
            .map(|seed| against(&|series| series.per_seed[seed]))
            .collect(),
        draws: (0..first.draws.len())
            .map(|draw| against(&|series| series.draws[draw]))
            .collect(),
    })
}

/// Ranks from 0; equal values share the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    values
        .iter()
        .map(|value| {
            let below = values.iter().filter(|other| *other < value).count();
            let equal = values.iter().filter(|other| *other == value).count();
            below as f64 + (equal - 1) as f64 / 2.0
        })
        .collect()
}

/// Pearson's correlation; not a number where one side is constant.
fn correlation(x: &[f64], y: &[f64]) -> f64 {
    let n = x.len() as f64;
    let centred = |values: &[f64]| {
        let mean = values.iter().sum::<f64>() / n;
        values.iter().map(|value| value - mean).collect::<Vec<_>>()
    };
    let dot = |a: &[f64], b: &[f64]| iter::zip(a, b).map(|(a, b)| a * b).sum::<f64>();
    let (x, y) = (centred(x), centred(y));
    let lengths = dot(&x, &x) * dot(&y, &y);
    match lengths > 0.0 {
        true => dot(&x, &y) / lengths.sqrt(),
        false => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rank_correlation_by_hand() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 7.0]), [1.5, 0.0, 1.5, 3.0]);
        let series = |mean: f64| Series {
            mean,
            per_seed: vec![mean],
            draws: vec![mean, -mean],
        };
        let gains = [0.1, 0.4, 0.2].map(series);
        // Ranks 0 1 2 and 0 2 1: 1 - 6 (0 + 1 + 1) / (3 * 8) = 0.5; the second draw turns the order around.
        let found = rank_correlation(&[1.0, 2.0, 3.0], &gains.each_ref()).unwrap();
        assert!((found.mean - 0.5).abs() < 1e-12);
        assert!((found.draws[1] + 0.5).abs() < 1e-12);
        assert!(rank_correlation(&[1.0, 2.0], &gains.each_ref()[..2]).is_none());
        let constant = rank_correlation(&[1.0, 1.0, 1.0], &gains.each_ref()).unwrap();
        assert!(constant.mean.is_nan());
    }

    #[test]
    fn rungs_are_numbers_by_size_then_words() {
        let step = |chosen: &str, rejected: &str| LadderStep {
            arm: String::new(),
            preference: true,
            chosen: Some(chosen.into()),
            rejected: Some(rejected.into()),
            delta: None,
            chosen_score: None,
            gain: crate::bootstrap::Estimate {
                mean: None,
                ci95: None,
                per_seed: vec![],
                n: 0,
            },
        };
        assert_eq!(
            rungs(&[step("10", "2"), step("self", "mini"), step("2", "0.5")]),
            ["0.5", "2", "10", "mini", "self"]
        );
    }
}

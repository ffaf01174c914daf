//! Gain over the base against the pairs that an arm learnt from.

use std::iter;

use super::{ArmScores, Ladder, LadderStep, Rung};
use w2s_stats::bootstrap::Series;
use w2s_stats::metrics;

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
    let rungs = rungs(&steps);
    for step in &mut steps {
        let rung = rungs.iter().find(|r| Some(&r.name) == step.chosen.as_ref());
        step.chosen_score = step.chosen_score.or(rung.and_then(|rung| rung.score));
    }
    let correlation = |of: fn(&LadderStep) -> Option<f64>| {
        let known = iter::zip(&steps, &gains).filter(|(step, _)| step.preference);
        let known = known.filter_map(|(step, gain)| Some((of(step)?, *gain, step.gain.n)));
        let (x, series, n): (Vec<f64>, Vec<&Series>, Vec<usize>) = known.collect();
        rank_correlation(&x, &series).map(|series| series.estimate(n.iter().sum()))
    };
    Some(Ladder {
        rungs,
        gain_with_delta: correlation(|step| step.delta),
        gain_with_chosen: correlation(|step| step.chosen_score),
        steps,
    })
}

/// The values of both tags with the mean score of their answers in pairs, the worst first; those without a score last, in
/// order of appearance.
fn rungs(steps: &[LadderStep]) -> Vec<Rung> {
    let mut found: Vec<(&String, Vec<f64>)> = Vec::new();
    for step in steps {
        let chosen = step.chosen_score.filter(|_| step.preference);
        let rejected = chosen.zip(step.delta).map(|(score, delta)| score - delta);
        for (name, score) in [(&step.rejected, rejected), (&step.chosen, chosen)] {
            let Some(name) = name else { continue };
            match found.iter_mut().find(|(known, _)| *known == name) {
                Some((_, scores)) => scores.extend(score),
                None => found.push((name, score.into_iter().collect())),
            }
        }
    }
    let mut rungs: Vec<Rung> = found
        .into_iter()
        .map(|(name, scores)| Rung {
            name: name.clone(),
            score: metrics::mean(&scores),
        })
        .collect();
    let place = |rung: &Rung| rung.score.unwrap_or(f64::INFINITY);
    rungs.sort_by(|a, b| place(a).total_cmp(&place(b)));
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
    fn rungs_are_ordered_by_the_score_of_their_answers() {
        let step = |chosen: &str, rejected: &str, scores: Option<(f64, f64)>| LadderStep {
            arm: String::new(),
            preference: true,
            chosen: Some(chosen.into()),
            rejected: Some(rejected.into()),
            delta: scores.map(|(chosen, rejected)| chosen - rejected),
            chosen_score: scores.map(|(chosen, _)| chosen),
            gain: w2s_stats::bootstrap::Estimate {
                mean: None,
                ci95: None,
                per_seed: vec![],
                n: 0,
            },
        };
        let ordered = |steps: &[LadderStep]| -> Vec<(String, Option<f64>)> {
            let rungs = rungs(steps).into_iter();
            rungs.map(|rung| (rung.name, rung.score)).collect()
        };
        // `mini` has 0.75 in one set of pairs and 0.25 in another.
        let scored = [
            step("mini", "nano", Some((0.75, 0.0))),
            step("self", "other", None),
            step("mini", "micro", Some((0.25, 0.125))),
        ];
        assert_eq!(
            ordered(&scored),
            [
                ("nano".to_owned(), Some(0.0)),
                ("micro".to_owned(), Some(0.125)),
                ("mini".to_owned(), Some(0.5)),
                ("other".to_owned(), None),
                ("self".to_owned(), None),
            ]
        );
        let unscored = [step("mini", "nano", None), step("large", "mini", None)];
        let names: Vec<String> = ordered(&unscored).into_iter().map(|rung| rung.0).collect();
        assert_eq!(names, ["nano", "mini", "large"]);
    }
}

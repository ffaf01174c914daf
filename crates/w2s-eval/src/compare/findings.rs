//! What was found, in words, from numbers of the report alone.

use super::{ArmScores, BASE, Comparison, Lesson, MetricScores, VersusBase};
use crate::report::findings::FEW_ITEMS;
use crate::report::format::{count, list, score};
use crate::theory::{CaseStudy, Study};
use w2s_stats::bootstrap::Estimate;
use w2s_theory::Arm;

/// With more arms than this, arms are counted instead of named.
const NAMED_ARMS: usize = 6;
/// Nats a token that both answers must have lost before the displacement is an alarm.
const ALARM: f64 = -0.05;

/// What the paper says about one way of using pairs (arXiv 2507.06187).
struct Claim {
    /// Which arms it is about.
    about: fn(&Lesson) -> bool,
    /// Whether an arm's difference to the base bears it out.
    holds: fn(&VersusBase) -> bool,
    /// What those arms do.
    way: &'static str,
    /// What is claimed of them.
    says: &'static str,
}

const CLAIMS: [Claim; 4] = [
    Claim {
        about: |lesson| {
            let gapless = ["reversed", "tied", "shuffled"];
            !imitates(lesson)
                && lesson
                    .rule
                    .as_ref()
                    .is_some_and(|rule| !gapless.contains(&&rule[..]))
        },
        holds: |gain| above(gain),
        way: "Learning from the delta",
        says: "ends above the base",
    },
    Claim {
        about: |lesson| !imitates(lesson) && lesson.rule.as_deref() == Some("reversed"),
        holds: |gain| below(gain),
        way: "Learning from reversed pairs",
        says: "ends below the base",
    },
    Claim {
        about: |lesson| {
            !imitates(lesson) && matches!(lesson.rule.as_deref(), Some("tied" | "shuffled"))
        },
        holds: |gain| !gain.shown,
        way: "Learning from tied or shuffled pairs",
        says: "is not shown to differ from the base",
    },
    Claim {
        about: imitates,
        holds: |gain| !above(gain),
        way: "Imitating answers",
        says: "is not shown to be above the base",
    },
];

fn imitates(lesson: &Lesson) -> bool {
    lesson.method == "sft"
}

fn above(gain: &VersusBase) -> bool {
    gain.difference.ci95.is_some_and(|[low, _]| low > 0.0)
}

fn below(gain: &VersusBase) -> bool {
    gain.difference.ci95.is_some_and(|[_, high]| high < 0.0)
}

/// The result in a sentence or two.
pub(super) fn headline(report: &Comparison) -> String {
    let Some(metric) = &report.metric else {
        let cases: Vec<&CaseStudy> = report
            .theory
            .iter()
            .flat_map(|study| &study.cases)
            .collect();
        return theory(&cases);
    };
    let Some(base) = report.base() else {
        let arms: Vec<String> = headline_scores(report)
            .map(|(arm, scores)| format!("{} {}", arm.arm, bracketed(&scores.value)))
            .collect();
        return format!(
            "There is no base to compare with. In {metric}: {}.",
            list(&arms)
        );
    };
    let compared: Vec<(&ArmScores, &VersusBase)> = headline_scores(report)
        .filter_map(|(arm, scores)| Some((arm, scores.versus_base.as_ref()?)))
        .collect();
    if compared.is_empty() {
        return format!("Only the base {} was scored.", base.arm);
    }
    let of = |test: fn(&VersusBase) -> bool| -> Vec<&(&ArmScores, &VersusBase)> {
        compared.iter().filter(|(_, gain)| test(gain)).collect()
    };
    let (up, down, open) = (of(above), of(below), of(|gain| !gain.shown));
    if compared.len() > NAMED_ARMS {
        let best = compared.iter().copied().max_by(|a, b| {
            let mean = |gain: &VersusBase| gain.difference.mean.unwrap_or(f64::NEG_INFINITY);
            mean(a.1).total_cmp(&mean(b.1))
        });
        let best = best.map_or(String::new(), |(arm, gain)| {
            format!(
                " The highest is {}, {} from the base.",
                arm.arm,
                bracketed(&gain.difference)
            )
        });
        return format!(
            "Of {} arms, {} are above the base in {metric}, {} below, and {} not shown to differ.{best}",
            compared.len(),
            up.len(),
            down.len(),
            open.len()
        );
    }
    let mut clauses = Vec::new();
    for (arms, word) in [(up, "above"), (down, "below")] {
        clauses.extend(arms.into_iter().map(|(arm, gain)| {
            let size = bracketed_size(&gain.difference);
            format!("{} is {word} {} by {size}", arm.arm, base.arm)
        }));
    }
    if !open.is_empty() {
        let names: Vec<String> = open.iter().map(|(arm, _)| arm.arm.clone()).collect();
        let verb = if names.len() == 1 { "is" } else { "are" };
        clauses.push(format!(
            "{} {verb} not shown to differ from {}",
            list(&names),
            base.arm
        ));
    }
    format!("In {metric}, {} (95 % intervals).", clauses.join("; "))
}

/// A sentence for each thing that the numbers say about the paper's claims.
pub(super) fn findings(report: &Comparison) -> Vec<String> {
    let mut findings = Vec::new();
    if report.base().is_some() {
        findings.extend(shape(report));
    }
    findings.extend(extrapolation(report));
    if let Some(ladder) = &report.ladder {
        let n = ladder.steps.iter().filter(|step| step.preference).count();
        for (what, estimate) in [
            ("the mean delta of the pairs", &ladder.gain_with_delta),
            (
                "the mean score of the chosen answers",
                &ladder.gain_with_chosen,
            ),
        ] {
            if let Some(estimate) = estimate
                && estimate.mean.is_some()
            {
                findings.push(format!(
                    "Over {n} preference arms, the gain and {what} have the rank correlation {}.",
                    bracketed(estimate)
                ));
            }
        }
    }
    for curve in &report.stopping {
        let value = |point: &super::StoppingPoint| point.value.mean.unwrap_or(f64::NEG_INFINITY);
        let best = curve
            .points
            .iter()
            .max_by(|a, b| value(a).total_cmp(&value(b)));
        let (Some(best), Some(last)) = (best, curve.points.last()) else {
            continue;
        };
        let end = match best == last {
            true => "that is its last score".to_owned(),
            false => format!(
                "after {} steps it is at {}",
                count(last.steps),
                bracketed(&last.value)
            ),
        };
        findings.push(format!(
            "{} is highest after {} steps, at {}; {end}.",
            curve.arm,
            count(best.steps),
            bracketed(&best.value)
        ));
    }
    if report.metric.is_some() {
        findings.extend(
            report
                .theory
                .iter()
                .map(|study: &Study| theory(&study.cases.iter().collect::<Vec<_>>())),
        );
    }
    findings
}

/// Which of the paper's claims the arms bear out.
fn shape(report: &Comparison) -> Vec<String> {
    let mut sentences = Vec::new();
    let (mut tested, mut held) = (0, 0);
    for claim in &CLAIMS {
        let arms: Vec<&VersusBase> = lessons(report)
            .filter(|(_, lesson, _)| (claim.about)(lesson))
            .filter_map(|(_, _, scores)| scores.versus_base.as_ref())
            .collect();
        if arms.is_empty() {
            continue;
        }
        let bearing = arms.iter().filter(|gain| (claim.holds)(gain)).count();
        tested += 1;
        held += usize::from(bearing == arms.len());
        let noun = if arms.len() == 1 { "arm" } else { "arms" };
        sentences.push(format!(
            "{} {} in {bearing} of {} {noun}.",
            claim.way,
            claim.says,
            arms.len()
        ));
    }
    if tested > 0 {
        let seen = match held == tested {
            true => "is seen",
            false => "is not seen",
        };
        sentences.push(format!(
            "The paper's shape (above the base with the delta, below with reversed pairs, no difference from ties, nothing \
             gained by imitation) {seen}: {held} of the {tested} claims that were tested hold in every arm."
        ));
    }
    sentences
}

/// Whether arms go beyond the answers that they were taught to prefer, where both are measured by the same score.
fn extrapolation(report: &Comparison) -> Vec<String> {
    let arms: Vec<(String, bool)> = lessons(report)
        .filter(|(_, lesson, _)| !imitates(lesson))
        .filter_map(|(arm, lesson, scores)| {
            if lesson.score.as_ref()? != &scores.metric {
                return None;
            }
            let (chosen, [low, high]) = (lesson.mean_chosen_score?, scores.value.ci95?);
            let place = match chosen {
                chosen if low > chosen => "above",
                chosen if high < chosen => "below",
                _ => "not shown to differ from",
            };
            let sentence = format!(
                "{} ends at {}, {place} the {} of the answers it learnt to prefer.",
                arm.arm,
                bracketed(&scores.value),
                score(chosen)
            );
            Some((sentence, low > chosen))
        })
        .collect();
    if arms.len() > NAMED_ARMS {
        let beyond = arms.iter().filter(|(_, above)| *above).count();
        return vec![format!(
            "{beyond} of {} preference arms end above the answers they learnt to prefer.",
            arms.len()
        )];
    }
    arms.into_iter().map(|(sentence, _)| sentence).collect()
}

/// What the linear theory's cases have in common.
fn theory(cases: &[&CaseStudy]) -> String {
    let best = |case: &CaseStudy, arm: Arm| {
        let trajectory = case.flow.iter().find(|trajectory| trajectory.arm == arm);
        trajectory.map_or(0.0, |trajectory| trajectory.best.cosine)
    };
    let gap: Vec<&&CaseStudy> = cases
        .iter()
        .filter(|case| case.closed_form.rise > 0.0)
        .collect();
    let lifted = gap
        .iter()
        .filter(|case| best(case, Arm::Delta) > case.case.student())
        .count();
    let falls = gap
        .iter()
        .filter(|case| case.closed_form.limit < case.case.student())
        .count();
    let imitation = gap
        .iter()
        .filter(|case| best(case, Arm::Sft) > best(case, Arm::Delta))
        .count();
    let n = gap.len();
    let cases = if n == 1 { "case" } else { "cases" };
    format!(
        "In {lifted} of {n} {cases} of the linear theory with a better chosen teacher, the delta raises the student at first, and in {falls} it \
         ends lower than it began unless it is stopped; imitation of the chosen teacher, stopped in time, gets higher than \
         the delta in {imitation}."
    )
}

/// What limits the result, most serious first.
pub(super) fn warnings(report: &Comparison) -> Vec<String> {
    let mut warnings = Vec::new();
    if report.metric.is_none() {
        return warnings;
    }
    if report.base().is_none() {
        warnings.push(format!(
            "no arm has the role `{BASE}`, so there are no differences"
        ));
    }
    warnings.extend(displaced(report));
    for arm in &report.arms {
        let dropped = arm.items_original.saturating_sub(arm.items_effective);
        if dropped > 0 {
            warnings.push(format!(
                "arm {}: {} of {} items have no score",
                arm.arm,
                count(dropped as u64),
                count(arm.items_original as u64)
            ));
        }
    }
    if let [_] = report.seeds[..] {
        warnings
            .push("single seed: the intervals hold nothing of the spread between seeds".to_owned());
    } else if let [_, _] = report.seeds[..] {
        warnings.push("two seeds: the intervals say little about the spread between seeds; three is the usual minimum".to_owned());
    }
    let items = report
        .bootstrap
        .iter()
        .flat_map(|bootstrap| &bootstrap.test_items);
    if let Some(&fewest) = items.min()
        && fewest < FEW_ITEMS
    {
        warnings.push(format!(
            "{} items a seed: small differences cannot show",
            count(fewest as u64)
        ));
    }
    warnings
}

/// One warning for each arm in which chosen and rejected answers both lost probability.
fn displaced(report: &Comparison) -> Vec<String> {
    let falling = |arm: &ArmScores| {
        let runs = report.training.iter().filter(|log| log.arm == arm.arm);
        let lost = runs.filter_map(|log| Some((log.seed, log.displacement?)));
        let runs: Vec<String> = lost
            .filter(|(_, [chosen, rejected])| *chosen < ALARM && *rejected < ALARM)
            .map(|(seed, [chosen, rejected])| {
                format!("{} and {} with seed {seed}", score(chosen), score(rejected))
            })
            .collect();
        (!runs.is_empty()).then(|| {
            format!(
                "arm {}: the chosen and the rejected answers both lost probability, in nats a token: {}",
                arm.arm,
                list(&runs)
            )
        })
    };
    report.arms.iter().filter_map(falling).collect()
}

/// The arms with their scores in the headline metric.
fn headline_scores(report: &Comparison) -> impl Iterator<Item = (&ArmScores, &MetricScores)> {
    let metric = report.metric.as_deref();
    report
        .arms
        .iter()
        .filter_map(move |arm| Some((arm, arm.metric(metric?)?)))
}

/// The arms that tell what they learnt, with their scores in the headline metric; without the points of curves.
fn lessons(report: &Comparison) -> impl Iterator<Item = (&ArmScores, &Lesson, &MetricScores)> {
    headline_scores(report)
        .filter(|(arm, _)| !arm.on_curve())
        .filter_map(|(arm, scores)| Some((arm, arm.lesson.as_ref()?, scores)))
}

/// "0.123 [0.050, 0.196]".
pub(super) fn bracketed(estimate: &Estimate) -> String {
    let mean = estimate.mean.map_or("–".to_owned(), score);
    match estimate.ci95 {
        Some([low, high]) => format!("{mean} [{}, {}]", score(low), score(high)),
        None => mean,
    }
}

/// The same without the sign, for words that say the direction.
fn bracketed_size(estimate: &Estimate) -> String {
    let sized = match (estimate.mean, estimate.ci95) {
        (Some(mean), Some([low, high])) if mean < 0.0 => Estimate {
            mean: Some(-mean),
            ci95: Some([-high, -low]),
            ..estimate.clone()
        },
        _ => estimate.clone(),
    };
    bracketed(&sized)
}

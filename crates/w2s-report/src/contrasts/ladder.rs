//! Gain over the base against the pairs that an arm learnt from.

use w2s_stats::correlation::spearman;
use w2s_stats::{Estimate, Series, metrics};

use super::Page;
use super::against_base::{bracketed, gain, scored};
use super::training::Models;
use crate::analysis::Analysis;
use crate::format::{p_value, score};
use crate::section::{
    Cell, Chart, Drawing, HeatCell, HeatMap, Level, Line, Mark, Plot, Section, Size, Spot, Table,
    Tone,
};

/// One arm on the ladder.
struct Step {
    at: usize,
    /// Whether it learnt from pairs; otherwise it imitates answers, those of `chosen` if it has that tag.
    preference: bool,
    chosen: Option<String>,
    rejected: Option<String>,
    /// Mean score of the chosen minus that of the rejected answers.
    delta: Option<f64>,
    /// Mean score of the chosen or imitated answers: of those it was trained on, or else of the rung `chosen`.
    chosen_score: Option<f64>,
    gain: Estimate,
    series: Series,
}

/// A number of the pairs that an arm learnt from, where it is known.
type Number = fn(&Step) -> Option<f64>;

/// Gain by the pairs that each arm learnt from, where the pairs are scored or the arms have tags `chosen` and `rejected`;
/// points of early-stopping curves are no part of it.
pub(crate) fn section(analysis: &Analysis<'_>, models: &Models<'_>, page: &mut Page) {
    let steps = steps(analysis, models);
    if steps.is_empty() {
        return;
    }
    let experiment = analysis.experiment;
    let metric = experiment.metric();
    let rungs = rungs(&steps);
    let mut section = Section::new(
        "ladder",
        "Ladder",
        format!(
            "Gain over the base in {}, by the pairs that an arm learnt from.",
            metric.name
        ),
    );
    if let Some(map) = map(analysis, &steps, &rungs) {
        section.text.push("Under each name: the mean score of its answers. In each cell: the gain, in parentheses where its interval holds zero, and the mean delta of the pairs.".to_owned());
        section.charts.push(map);
    }
    let x: [(&str, &str, Number); 2] = [
        ("Gain against delta", "mean delta of the pairs", |step| {
            step.delta
        }),
        (
            "Gain against chosen quality",
            "mean score of the chosen answers",
            |step| step.chosen_score,
        ),
    ];
    for (title, label, of) in x {
        section
            .charts
            .extend(scatter(analysis, &steps, title, label, of));
        let preference = steps.iter().filter(|step| step.preference);
        let known: Vec<(f64, &Step)> = preference
            .filter_map(|step| Some((of(step)?, step)))
            .collect();
        let places: Vec<f64> = known.iter().map(|(x, _)| *x).collect();
        let series: Vec<&Series> = known.iter().map(|(_, step)| &step.series).collect();
        if let Some(found) = spearman(&places, &series) {
            page.finding(format!(
                "Over {} preference arms, the gain and the {label} have the rank correlation {} (p {}).",
                found.arms,
                score(found.value),
                p_value(found.p)
            ));
        }
    }
    let mut table = Table::new(
        "ladder",
        &[
            "arm|Arm",
            "chosen|Chosen",
            "rejected|Rejected",
            ">delta|Mean delta",
            ">chosen_score|Mean chosen score",
            ">gain|Gain",
        ],
    );
    for step in &steps {
        let arm = &experiment.arms[step.at];
        table.push(
            Some(arm.role),
            vec![
                Cell::text(&arm.name),
                Cell::text(step.chosen.clone().unwrap_or("–".to_owned())),
                Cell::text(step.rejected.clone().unwrap_or("–".to_owned())),
                scored(step.delta),
                scored(step.chosen_score),
                Cell::estimate(&step.gain, metric.unit),
            ],
            arm.artifacts(),
        );
    }
    section.tables.push(table.without_blank_columns());
    page.section(section);
}

fn steps(analysis: &Analysis<'_>, models: &Models<'_>) -> Vec<Step> {
    let experiment = analysis.experiment;
    let metric = experiment.metric();
    let mut steps = Vec::new();
    for (at, arm) in experiment
        .arms
        .iter()
        .enumerate()
        .filter(|(_, arm)| !arm.on_curve())
    {
        let (Some(base), Some(gain)) = (arm.base, gain(analysis, at, metric)) else {
            continue;
        };
        let tag = |name: &str| arm.tags.get(name).cloned();
        let (chosen, rejected) = (tag("chosen"), tag("rejected"));
        let lesson = models.lesson(at);
        let delta = lesson.and_then(|lesson| lesson.mean_delta);
        let Some(series) = analysis.difference(at, base, &metric.key) else {
            continue;
        };
        if delta.is_some() || chosen.is_some() {
            steps.push(Step {
                at,
                preference: lesson.map_or(rejected.is_some(), |lesson| !lesson.imitates()),
                chosen,
                rejected,
                delta,
                chosen_score: lesson.and_then(|lesson| lesson.mean_chosen_score),
                gain: gain.difference,
                series,
            });
        }
    }
    let rungs = rungs(&steps);
    for step in &mut steps {
        let rung = rungs
            .iter()
            .find(|(name, _)| Some(name) == step.chosen.as_ref());
        step.chosen_score = step.chosen_score.or(rung.and_then(|(_, score)| *score));
    }
    steps
}

/// The values of both tags with the mean score of their answers in pairs, the worst first; those without a score last, in
/// order of appearance.
fn rungs(steps: &[Step]) -> Vec<(String, Option<f64>)> {
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
    let rungs = found.into_iter();
    let mut rungs: Vec<(String, Option<f64>)> = rungs
        .map(|(name, scores)| (name.clone(), metrics::mean(&scores)))
        .collect();
    let place = |rung: &(String, Option<f64>)| rung.1.unwrap_or(f64::INFINITY);
    rungs.sort_by(|a, b| place(a).total_cmp(&place(b)));
    rungs
}

fn map(analysis: &Analysis<'_>, steps: &[Step], rungs: &[(String, Option<f64>)]) -> Option<Chart> {
    let place = |name: &Option<String>| {
        rungs
            .iter()
            .position(|(rung, _)| Some(rung) == name.as_ref())
    };
    let metric = analysis.experiment.metric();
    let cells: Vec<HeatCell> = steps
        .iter()
        .filter_map(|step| {
            let value = step.gain.mean?;
            let column = match step.preference {
                true => Some(place(&step.rejected)?),
                false => None,
            };
            let shown = step
                .gain
                .ci95
                .is_some_and(|[low, high]| low > 0.0 || high < 0.0);
            let delta = step.delta.filter(|_| step.preference);
            Some(HeatCell {
                title: format!(
                    "{}: {}",
                    analysis.experiment.arms[step.at].name,
                    bracketed(&step.gain)
                ),
                row: place(&step.chosen)?,
                column,
                tone: match metric.is_better(value) {
                    Some(true) => Tone::Better,
                    Some(false) => Tone::Worse,
                    None => Tone::Student,
                },
                value,
                text: match shown {
                    true => score(value),
                    false => format!("({})", score(value)),
                },
                note: delta.map_or(String::new(), |delta| format!("Δ {}", score(delta))),
            })
        })
        .collect();
    let any = cells.iter().any(|cell| cell.column.is_some());
    any.then(|| {
        let rungs = rungs.to_vec();
        Chart::new("", Drawing::Map(HeatMap { rungs, cells }))
    })
}

/// Gain against a number of the pairs; arms that imitate have their own mark.
fn scatter(
    analysis: &Analysis<'_>,
    steps: &[Step],
    title: &str,
    label: &str,
    x: Number,
) -> Option<Chart> {
    let line = |preference: bool| {
        let of_kind = steps.iter().filter(|step| step.preference == preference);
        let spots = of_kind.filter_map(|step| {
            Some(Spot {
                at: [x(step)?, step.gain.mean?],
                interval: step.gain.ci95,
                share: None,
                title: format!(
                    "{}: {}",
                    analysis.experiment.arms[step.at].name,
                    bracketed(&step.gain)
                ),
            })
        });
        match preference {
            true => Line::marks(Tone::Student, Mark::Dot, spots.collect()),
            false => Line::marks(Tone::Baseline, Mark::Square, spots.collect()),
        }
    };
    let lines = vec![line(false), line(true)];
    let any = lines.iter().any(|line| !line.points.is_empty());
    let plot = Plot {
        level: Some(Level {
            at: 0.0,
            tone: Tone::Baseline,
            label: "no gain".to_owned(),
        }),
        ..Plot::new(Size::Half, label, lines)
    };
    any.then(|| {
        Chart::new(title, Drawing::Plot(plot)).legend(&[
            (Tone::Student, "learns from pairs"),
            (Tone::Baseline, "SFT: imitates answers"),
        ])
    })
}

#[cfg(test)]
mod tests {
    use w2s_stats::Design;

    use super::*;

    #[test]
    fn rungs_are_ordered_by_the_score_of_their_answers() {
        let step = |chosen: &str, rejected: &str, scores: Option<(f64, f64)>| Step {
            at: 0,
            preference: true,
            chosen: Some(chosen.into()),
            rejected: Some(rejected.into()),
            delta: scores.map(|(chosen, rejected)| chosen - rejected),
            chosen_score: scores.map(|(chosen, _)| chosen),
            gain: Estimate::default(),
            series: Design::new(&[vec![0]]).mean(&[[0.0]]),
        };
        // `mini` has 0.75 in one set of pairs and 0.25 in another.
        let scored = [
            step("mini", "nano", Some((0.75, 0.0))),
            step("self", "other", None),
            step("mini", "micro", Some((0.25, 0.125))),
        ];
        assert_eq!(
            rungs(&scored),
            [
                ("nano".to_owned(), Some(0.0)),
                ("micro".to_owned(), Some(0.125)),
                ("mini".to_owned(), Some(0.5)),
                ("other".to_owned(), None),
                ("self".to_owned(), None),
            ]
        );
        let unscored = [step("mini", "nano", None), step("large", "mini", None)];
        let names: Vec<String> = rungs(&unscored).into_iter().map(|rung| rung.0).collect();
        assert_eq!(names, ["nano", "mini", "large"]);
    }
}

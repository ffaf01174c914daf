//! Gain over the base against the pairs that an arm learnt from.

use w2s_stats::correlation::spearman;
use w2s_stats::{Estimate, Series, metrics};

use super::Page;
use super::against_base::{Gain, gain};
use super::training::Models;
use crate::analysis::Analysis;
use crate::format::{Unit, p_value, score};
use crate::grouped::grouped;
use crate::section::{
    Chart, Drawing, HeatCell, HeatMap, Level, Line, Mark, Plot, Section, Size, Spot, Table, Tone,
};

/// One arm on the ladder.
struct Step {
    at: usize,
    name: String,
    /// Whether it learnt from pairs; otherwise it imitates answers, those of `chosen` if it has that tag.
    preference: bool,
    chosen: Option<String>,
    rejected: Option<String>,
    /// Mean score of the chosen minus that of the rejected answers.
    delta: Option<f64>,
    /// Mean score of the chosen or imitated answers: of those it was trained on, or else of the rung `chosen`.
    chosen_score: Option<f64>,
    gain: Gain,
    series: Series,
}

impl Step {
    fn estimate(&self) -> &Estimate {
        &self.gain.difference
    }
}

/// A name of a tag, with the mean score of its answers.
type Rung = (String, Option<f64>);

/// A number of the pairs that an arm learnt from, where it is known.
type Number = fn(&Step) -> Option<f64>;

/// What gains are drawn against: a title, the name of the number, and the number.
const AGAINST: [(&str, &str, Number); 2] = [
    ("Gain against delta", "mean delta of the pairs", |step| {
        step.delta
    }),
    (
        "Gain against chosen quality",
        "mean score of the chosen answers",
        |step| step.chosen_score,
    ),
];

/// Gain by the pairs that each arm learnt from, where the pairs are scored or the arms have tags `chosen` and `rejected`;
/// points of early-stopping curves are no part of it.
pub(crate) fn section(analysis: &Analysis<'_>, models: &Models<'_>, page: &mut Page) {
    let steps = steps(analysis, models);
    if steps.is_empty() {
        return;
    }
    let experiment = analysis.experiment;
    let metric = &experiment.metric().name;
    let introduction =
        format!("Gain over the base in {metric}, by the pairs that an arm learnt from.");
    let mut section = Section::new("ladder", "Ladder", introduction);
    if let Some(map) = map(analysis, &steps) {
        section.text.push("Under each name: the mean score of its answers. In each cell: the gain, in parentheses where its interval holds zero, and the mean delta of the pairs.".to_owned());
        section.charts.push(map);
    }
    for (title, label, of) in AGAINST {
        section.charts.extend(scatter(&steps, title, label, of));
        let preference = steps.iter().filter(|step| step.preference);
        let known = preference.filter_map(|step| Some((of(step)?, &step.series)));
        let (places, series): (Vec<f64>, Vec<&Series>) = known.unzip();
        if let Some(found) = spearman(&places, &series) {
            let (arms, value, p) = (found.arms, score(found.value), p_value(found.p));
            page.finding(format!(
                "Over {arms} preference arms, the gain and the {label} have the rank correlation {value} (p {p})."
            ));
        }
    }
    let table = Table::of("ladder", &steps)
        .column("arm|Arm", |step| &step.name)
        .column("chosen|Chosen", |step| step.chosen.as_ref())
        .column("rejected|Rejected", |step| step.rejected.as_ref())
        .column(">delta|Mean delta", |step| step.delta)
        .column(">chosen_score|Mean chosen score", |step| step.chosen_score)
        .column(">gain|Gain", |step| step.estimate())
        .source(|step| experiment.source(&[step.at]));
    page.section(section.tables([table.done()]));
}

fn steps(analysis: &Analysis<'_>, models: &Models<'_>) -> Vec<Step> {
    let experiment = analysis.experiment;
    let step = |at: usize| {
        let arm = &experiment.arms[at];
        let gain = gain(analysis, at, experiment.metric())?;
        let series = analysis.difference(at, arm.base?, &experiment.metric().key)?;
        let tag = |name: &str| arm.tags.get(name).cloned();
        let (chosen, rejected) = (tag("chosen"), tag("rejected"));
        let lesson = models.lesson(at);
        let delta = lesson.and_then(|lesson| lesson.mean_delta);
        (arm.stop.is_none() && (delta.is_some() || chosen.is_some())).then(|| Step {
            at,
            name: arm.name.clone(),
            preference: lesson.map_or(rejected.is_some(), |lesson| !lesson.imitates()),
            chosen,
            rejected,
            delta,
            chosen_score: lesson.and_then(|lesson| lesson.mean_chosen_score),
            gain,
            series,
        })
    };
    let mut steps: Vec<Step> = experiment.places().into_iter().filter_map(step).collect();
    let rungs = rungs(&steps);
    for step in &mut steps {
        let rung = place(&rungs, &step.chosen).and_then(|at| rungs[at].1);
        step.chosen_score = step.chosen_score.or(rung);
    }
    steps
}

/// The values of both tags with the mean score of their answers in pairs, the worst first; those without a score last, in
/// order of appearance.
fn rungs(steps: &[Step]) -> Vec<Rung> {
    let mut found = Vec::new();
    for step in steps {
        let chosen = step.chosen_score.filter(|_| step.preference);
        let rejected = chosen.zip(step.delta).map(|(score, delta)| score - delta);
        let rungs = [(&step.rejected, rejected), (&step.chosen, chosen)];
        found.extend(rungs.map(|(name, score)| Some((name.clone()?, score))));
    }
    let mean = |(name, scores): (String, Vec<Option<f64>>)| {
        let scores: Vec<f64> = scores.into_iter().flatten().collect();
        (name, metrics::mean(&scores))
    };
    let rungs = grouped(found.into_iter().flatten());
    let mut rungs: Vec<Rung> = rungs.into_iter().map(mean).collect();
    let place = |rung: &Rung| rung.1.unwrap_or(f64::INFINITY);
    rungs.sort_by(|a, b| place(a).total_cmp(&place(b)));
    rungs
}

fn place(rungs: &[Rung], name: &Option<String>) -> Option<usize> {
    rungs
        .iter()
        .position(|(rung, _)| Some(rung) == name.as_ref())
}

fn map(analysis: &Analysis<'_>, steps: &[Step]) -> Option<Chart> {
    let rungs = rungs(steps);
    let cell = |step: &Step| {
        let value = step.estimate().mean?;
        let column = match step.preference {
            true => Some(place(&rungs, &step.rejected)?),
            false => None,
        };
        let delta = step.delta.filter(|_| step.preference);
        Some(HeatCell {
            title: format!("{}: {}", step.name, Unit::Score.told(step.estimate())),
            row: place(&rungs, &step.chosen)?,
            column,
            tone: Tone::of(analysis.experiment.metric().is_better(value)),
            value,
            text: match step.gain.shown() {
                true => score(value),
                false => format!("({})", score(value)),
            },
            note: delta.map_or_else(String::new, |delta| format!("Δ {}", score(delta))),
        })
    };
    let cells: Vec<HeatCell> = steps.iter().filter_map(cell).collect();
    let any = cells.iter().any(|cell| cell.column.is_some());
    any.then(|| {
        Chart::new(
            "",
            Drawing::Map(HeatMap {
                rungs,
                across: None,
                cells,
            }),
        )
    })
}

/// Gain against a number of the pairs; arms that imitate have their own mark.
fn scatter(steps: &[Step], title: &str, label: &str, x: Number) -> Option<Chart> {
    let line = |preference: bool, tone: Tone, mark: Mark| {
        let of_kind = steps.iter().filter(|step| step.preference == preference);
        let spots = of_kind.filter_map(|step| Spot::of(x(step)?, step.estimate(), &step.name));
        Line::marks(tone, mark, spots.collect())
    };
    let lines = vec![
        line(false, Tone::Baseline, Mark::Square),
        line(true, Tone::Student, Mark::Dot),
    ];
    let any = lines.iter().any(|line| !line.points.is_empty());
    let plot = Plot {
        level: Some(Level::new(0.0, Tone::Baseline, "no gain")),
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
            name: String::new(),
            preference: true,
            chosen: Some(chosen.into()),
            rejected: Some(rejected.into()),
            delta: scores.map(|(chosen, rejected)| chosen - rejected),
            chosen_score: scores.map(|(chosen, _)| chosen),
            gain: Gain {
                arm: 0,
                difference: Estimate::default(),
            },
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

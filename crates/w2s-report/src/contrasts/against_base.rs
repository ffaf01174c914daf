//! Arms against the model that they started from, on the same items.

use w2s_artifact::Role;
use w2s_stats::Estimate;

use super::recovered::{capital, items};
use super::training::Models;
use super::{NAMED_ARMS, Page};
use crate::analysis::Analysis;
use crate::format::{Unit, count, list, p_value, score};
use crate::metric::Metric;
use crate::section::{Cell, Chart, Dot, Drawing, Level, Section, Table, Tone};

/// An arm against its base, or against the value of no effect of a metric that compares with the base already.
pub(super) struct Gain {
    pub(super) arm: usize,
    pub(super) difference: Estimate,
}

impl Gain {
    /// Whether the interval leaves out zero. Without that, the difference is not shown.
    pub(super) fn shown(&self) -> bool {
        self.above() || self.below()
    }

    pub(super) fn above(&self) -> bool {
        self.difference.ci95.is_some_and(|[low, _]| low > 0.0)
    }

    pub(super) fn below(&self) -> bool {
        self.difference.ci95.is_some_and(|[_, high]| high < 0.0)
    }
}

/// The gain of an arm in a metric; none for a base, and where one of the two has no value.
pub(super) fn gain(analysis: &Analysis<'_>, arm: usize, metric: &Metric) -> Option<Gain> {
    let series = match metric.chance {
        Some(chance) => analysis.above(arm, &metric.key, chance),
        None => analysis.difference(arm, analysis.experiment.arms[arm].base?, &metric.key)?,
    };
    let difference = analysis.estimated(arm, &series);
    difference.mean?;
    Some(Gain { arm, difference })
}

fn gains(analysis: &Analysis<'_>, metric: &Metric) -> Vec<Gain> {
    let arms = 0..analysis.experiment.arms.len();
    arms.filter_map(|arm| gain(analysis, arm, metric)).collect()
}

/// What the others are read against.
fn reference(analysis: &Analysis<'_>, metric: &Metric) -> String {
    match metric.chance {
        Some(chance) => Unit::Tenths.write(chance).trim_end_matches(".0").to_owned(),
        None => {
            let base = analysis.experiment.of_role(Role::Base).next();
            base.map_or("base".to_owned(), |at| analysis.experiment.arms[at].name.clone())
        }
    }
}

/// The first section, about the headline metric, and the result in a sentence or two.
pub(crate) fn overview(analysis: &Analysis<'_>, models: &Models<'_>, page: &mut Page) {
    let experiment = analysis.experiment;
    let metric = experiment.metric();
    let seeds: Vec<String> = experiment.seeds.iter().map(u64::to_string).collect();
    let mut section = Section::new(
        "result",
        format!("Result: {}", metric.name),
        format!(
            "Every arm on the same {} items, seeds {}. Intervals are 95 %. The chart shows {}: large dots are means over seeds, small dots the single seeds, faint where the interval holds zero.",
            items(analysis),
            list(&seeds),
            match metric.chance {
                Some(chance) => format!("the distance from {}, which means no effect", Unit::Tenths.write(chance)),
                None => "the difference to the base".to_owned(),
            }
        ),
    );
    if metric.key.starts_with("reward_") {
        section.text.push("Rewards are how much log-probability an answer has gained since the base. Accuracy is the share of held-out pairs in which the chosen answer gained more than the rejected one, the margin by how many nats; TRL's `rewards/accuracies` and `rewards/margins` are the same, the margin times beta.".to_owned());
    }
    section.charts.extend(chart(analysis, metric));
    section.tables.push(table(analysis, metric, models, "arms"));
    page.section(section);
    page.headline(headline(analysis));
}

/// The other metrics, one table and chart each, and a line for those in which all arms are equal.
pub(crate) fn metrics(analysis: &Analysis<'_>, models: &Models<'_>, page: &mut Page) {
    let experiment = analysis.experiment;
    let headline = &experiment.metric().key;
    let others: Vec<Metric> = analysis
        .metrics()
        .into_iter()
        .filter(|metric| metric.key != *headline && (metric.key != "brier" || !experiment.classifies()))
        .collect();
    if others.is_empty() {
        return;
    }
    let mut section = Section::new("metrics", "Other metrics", "");
    let (constant, varied): (Vec<&Metric>, Vec<&Metric>) =
        others.iter().partition(|metric| equal(analysis, metric).is_some());
    if experiment.classifies() {
        section.tables.push(side_by_side(analysis, &varied));
    } else {
        for metric in varied {
            section.charts.extend(chart(analysis, metric));
            let table = table(analysis, metric, models, &metric.key);
            section.tables.push(table.titled(capital(&metric.name)));
        }
    }
    section.text = constant
        .into_iter()
        .map(|metric| {
            let value = equal(analysis, metric).map_or(String::new(), |value| metric.unit.write(value));
            format!("{} is {value} in every arm and seed.", capital(&metric.name))
        })
        .collect();
    page.section(section);
}

/// The value that every arm has in every seed, if there is one.
fn equal(analysis: &Analysis<'_>, metric: &Metric) -> Option<f64> {
    let arms = 0..analysis.experiment.arms.len();
    let values = arms.filter_map(|arm| analysis.metric(arm, &metric.key));
    let mut values = values.flat_map(|series| series.per_seed).filter(|value| !value.is_nan());
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}

/// Several metrics of classifiers in one table.
fn side_by_side(analysis: &Analysis<'_>, metrics: &[&Metric]) -> Table {
    let columns = metrics.iter().map(|metric| format!(">{}|{}", metric.key, capital(&metric.name)));
    let columns: Vec<String> = ["arm|Arm".to_owned()].into_iter().chain(columns).collect();
    let columns: Vec<&str> = columns.iter().map(|column| &column[..]).collect();
    let mut table = Table::new("metrics", &columns);
    for (at, arm) in analysis.experiment.arms.iter().enumerate() {
        let mut cells = vec![Cell::text(&arm.name)];
        cells.extend(metrics.iter().map(|metric| match analysis.estimate(at, &metric.key) {
            Some(estimate) => Cell::estimate(&estimate, metric.unit),
            None => Cell::text("–"),
        }));
        table.push(Some(arm.role), cells, arm.artifacts());
    }
    table
}

fn table(analysis: &Analysis<'_>, metric: &Metric, models: &Models<'_>, id: &str) -> Table {
    let experiment = analysis.experiment;
    let minus = match metric.chance {
        Some(_) => format!(">difference|Above {}", reference(analysis, metric)),
        None => ">difference|Minus base".to_owned(),
    };
    let mut table = Table::new(
        id,
        &[
            "arm|Arm",
            "role|Role",
            "lesson|Learnt",
            ">value|Mean",
            ">seeds|Each seed",
            &minus,
            ">p|McNemar p, each seed",
            ">items|Items",
        ],
    );
    for (at, arm) in experiment.arms.iter().enumerate() {
        let value = analysis.estimate(at, &metric.key).filter(|value| value.mean.is_some());
        let gain = gain(analysis, at, metric);
        let own = arm.own_runs().len();
        let tests = arm.base.filter(|_| metric.chance.is_none() && gain.is_some());
        let tests = tests.and_then(|base| analysis.mcnemar(at, base, &metric.key));
        let tests: Vec<String> = tests.iter().flatten().map(|test| p_value(test.p)).collect();
        let dropped: usize = arm.own_runs().iter().map(|run| run.items_original - run.items).sum();
        let answers: usize = arm.own_runs().iter().map(|run| run.answers).sum();
        let mut counted = count(arm.items() as u64);
        if dropped > 0 {
            counted += &format!(" of {}", count((arm.items() + dropped) as u64));
        }
        if answers != arm.items() {
            counted += &format!(", {} answers", count(answers as u64));
        }
        let cells = vec![
            Cell::text(&arm.name),
            Cell::text(arm.role.name()),
            Cell::text(models.lesson(at).map_or(String::new(), |lesson| lesson.told())),
            value.as_ref().map_or(Cell::text("–"), |value| Cell::estimate(value, metric.unit)),
            match &value {
                Some(value) if own > 1 => Cell::seeds(&value.per_seed, metric.unit),
                _ => Cell::text("–"),
            },
            gain.map_or(Cell::text("–"), |gain| {
                let remark = (!gain.shown()).then_some("not shown");
                Cell::estimate(&gain.difference, metric.unit).remark(remark)
            }),
            Cell::text(match tests.is_empty() {
                true => "–".to_owned(),
                false => tests.join(", "),
            }),
            Cell::text(counted),
        ];
        table.push(Some(arm.role), cells, arm.artifacts());
    }
    table.without_blank_columns()
}

/// Differences with their intervals, coloured by whether they are good; faint where the interval holds zero.
fn chart(analysis: &Analysis<'_>, metric: &Metric) -> Option<Chart> {
    let rows: Vec<Dot> = gains(analysis, metric)
        .into_iter()
        .filter_map(|gain| {
            let tone = match metric.is_better(gain.difference.mean?) {
                Some(true) => Tone::Better,
                Some(false) => Tone::Worse,
                None => Tone::Student,
            };
            let faint = !gain.shown();
            let dot = Dot::new(&analysis.experiment.arms[gain.arm].name, tone, &gain.difference)?;
            Some(Dot { faint, ..dot })
        })
        .collect();
    let level = Level {
        at: 0.0,
        tone: Tone::Baseline,
        label: reference(analysis, metric),
    };
    let drawing = Drawing::Dots {
        levels: vec![level],
        limits: None,
        unit: metric.unit,
        rows,
    };
    let empty = matches!(&drawing, Drawing::Dots { rows, .. } if rows.is_empty());
    (!empty).then(|| Chart::new(capital(&metric.name), drawing))
}

fn headline(analysis: &Analysis<'_>) -> String {
    let experiment = analysis.experiment;
    let metric = experiment.metric();
    let gains = gains(analysis, metric);
    let reference = reference(analysis, metric);
    let name = |gain: &Gain| experiment.arms[gain.arm].name.clone();
    if gains.is_empty() {
        return format!("Only the base {reference} was scored.");
    }
    let of = |test: fn(&Gain) -> bool| -> Vec<&Gain> { gains.iter().filter(|gain| test(gain)).collect() };
    let (up, down, open) = (of(Gain::above), of(Gain::below), of(|gain| !gain.shown()));
    if gains.len() > NAMED_ARMS {
        let best = gains.iter().max_by(|a, b| {
            let mean = |gain: &Gain| gain.difference.mean.unwrap_or(f64::NEG_INFINITY);
            mean(a).total_cmp(&mean(b))
        });
        let best = best.map_or(String::new(), |gain| {
            format!(" The highest is {}, {} from {reference}.", name(gain), bracketed(&gain.difference))
        });
        return format!(
            "Of {} arms, {} are above {reference} in {}, {} below, and {} not shown to differ.{best}",
            gains.len(),
            up.len(),
            metric.name,
            down.len(),
            open.len()
        );
    }
    let mut clauses = Vec::new();
    for (arms, word) in [(up, "above"), (down, "below")] {
        clauses.extend(arms.into_iter().map(|gain| {
            let size = bracketed(&sized(&gain.difference));
            match metric.chance {
                Some(_) => {
                    let value = analysis.estimate(gain.arm, &metric.key);
                    let value = value.as_ref().map_or(String::new(), bracketed);
                    format!("{} is at {value}, {word} {reference}", name(gain))
                }
                None => format!("{} is {word} {reference} by {size}", name(gain)),
            }
        }));
    }
    if !open.is_empty() {
        let names: Vec<String> = open.into_iter().map(name).collect();
        let verb = if names.len() == 1 { "is" } else { "are" };
        clauses.push(format!("{} {verb} not shown to differ from {reference}", list(&names)));
    }
    format!("In {}, {} (95 % intervals).", metric.name, clauses.join("; "))
}

/// "0.123 [0.050, 0.196]".
pub(super) fn bracketed(estimate: &Estimate) -> String {
    Unit::Score.estimate(estimate.mean, estimate.ci95)
}

/// The same without the sign, for words that say the direction.
fn sized(estimate: &Estimate) -> Estimate {
    match (estimate.mean, estimate.ci95) {
        (Some(mean), Some([low, high])) if mean < 0.0 => Estimate {
            mean: Some(-mean),
            ci95: Some([-high, -low]),
            ..estimate.clone()
        },
        _ => estimate.clone(),
    }
}

/// "0.123" of a number that may be missing.
pub(super) fn scored(value: Option<f64>) -> Cell {
    Cell {
        text: value.map_or("–".to_owned(), score),
        value,
        ..Cell::default()
    }
}

//! Arms against the model that they started from, on the same items.

use w2s_artifact::Role;
use w2s_stats::{Estimate, Series};

use super::training::{Lesson, Models};
use super::{NAMED_ARMS, Page, items};
use crate::analysis::Analysis;
use crate::experiment::Arm;
use crate::format::{Unit, capital, commas, count, list, p_value};
use crate::metric::Metric;
use crate::section::{Cell, Chart, DASH, Dot, Dots, Drawing, Level, Section, Table, Tone};

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
    let arms = analysis.experiment.places().into_iter();
    arms.filter_map(|arm| gain(analysis, arm, metric)).collect()
}

/// What the others are read against.
fn reference(analysis: &Analysis<'_>, metric: &Metric) -> String {
    let experiment = analysis.experiment;
    let base = || {
        experiment
            .of_role(Role::Base)
            .next()
            .map(|at| experiment.name(at))
    };
    match metric.chance {
        Some(chance) => Unit::Tenths.write(chance).trim_end_matches(".0").to_owned(),
        None => base().unwrap_or("base").to_owned(),
    }
}

/// The first section, about the headline metric, and the result in a sentence or two.
pub(crate) fn overview(analysis: &Analysis<'_>, models: &Models<'_>, page: &mut Page) {
    let experiment = analysis.experiment;
    let metric = experiment.metric();
    let shows = metric
        .chance
        .map_or("the difference to the base".to_owned(), |chance| {
            let chance = Unit::Tenths.write(chance);
            format!("the distance from {chance}, which means no effect")
        });
    let (items, seeds) = (items(experiment), list(&experiment.seeds));
    let introduction = format!(
        "Every arm on the same {items} items, seeds {seeds}. Intervals are 95 %. The chart shows {shows}: large dots are means over seeds, small dots the single seeds, faint where the interval holds zero."
    );
    let rewards = "Rewards are how much log-probability an answer has gained since the base. Accuracy is the share of held-out pairs in which the chosen answer gained more than the rejected one, the margin by how many nats; TRL's `rewards/accuracies` and `rewards/margins` are the same, the margin times beta.";
    let rewards = metric
        .key
        .starts_with("reward_")
        .then(|| rewards.to_owned());
    page.section(
        Section::new("result", format!("Result: {}", metric.name), introduction)
            .text(rewards)
            .charts(chart(analysis, metric))
            .tables([table(analysis, metric, models, "arms")]),
    );
    page.headline(headline(analysis));
}

/// The other metrics, one table and chart each, and a line for those in which all arms are equal.
pub(crate) fn metrics(analysis: &Analysis<'_>, models: &Models<'_>, page: &mut Page) {
    let experiment = analysis.experiment;
    // The calibration says it of classifiers.
    let told =
        |key: &str| key == experiment.metric().key || key == "brier" && experiment.classifies();
    let (mut varied, mut constant) = (Vec::new(), Vec::new());
    for metric in analysis.metrics() {
        match equal(analysis, &metric) {
            _ if told(&metric.key) => {}
            None => varied.push(metric),
            Some(value) => constant.push(format!(
                "{} is {} in every arm and seed.",
                capital(&metric.name),
                Unit::Score.write(value)
            )),
        }
    }
    if experiment.classifies() {
        let tables = [side_by_side(analysis, &varied)];
        page.section(Section::new("metrics", "Other metrics", "").tables(tables));
    } else {
        for metric in &varied {
            page.section(
                Section::new("metrics", capital(&metric.name), "")
                    .charts(chart(analysis, metric))
                    .tables([table(analysis, metric, models, &metric.key)]),
            );
        }
    }
    if !constant.is_empty() {
        let section = Section::new("constant", "Without a difference", "");
        page.section(Section {
            text: constant,
            ..section
        });
    }
}

/// The value that every arm has in every seed, if there are several arms and one value.
fn equal(analysis: &Analysis<'_>, metric: &Metric) -> Option<f64> {
    let arms = analysis.experiment.places().into_iter();
    let known = arms.filter_map(|arm| analysis.metric(arm, &metric.key));
    let known: Vec<Series> = known.filter(|series| !series.mean.is_nan()).collect();
    let mean = known.first().filter(|_| known.len() > 1)?.mean;
    let mut values = known.iter().flat_map(|series| &series.per_seed);
    values.all(|value| *value == mean).then_some(mean)
}

/// Several metrics of classifiers in one table.
fn side_by_side(analysis: &Analysis<'_>, metrics: &[Metric]) -> Table {
    let experiment = analysis.experiment;
    let arms = experiment.places();
    let mut table = Table::of("metrics", &arms).column("arm|Arm", |&at| experiment.name(at));
    for metric in metrics {
        let head = format!(">{}|{}", metric.key, capital(&metric.name));
        table = table.column(&head, |&at| analysis.estimate(at, &metric.key));
    }
    table.source(|&at| experiment.source(&[at])).done()
}

fn table(analysis: &Analysis<'_>, metric: &Metric, models: &Models<'_>, id: &str) -> Table {
    let experiment = analysis.experiment;
    let arms = experiment.places();
    let arm = |at: usize| &experiment.arms[at];
    let minus = match metric.chance {
        Some(_) => format!(">difference|Above {}", reference(analysis, metric)),
        None => ">difference|Minus base".to_owned(),
    };
    let value = |at: usize| {
        let value = analysis.estimate(at, &metric.key);
        value.filter(|value| value.mean.is_some())
    };
    let tests = |at: usize| {
        let base = arm(at).base.filter(|_| metric.chance.is_none())?;
        gain(analysis, at, metric)?;
        let tests = analysis.mcnemar(at, base, &metric.key)?;
        Some(commas(tests.iter().map(|test| p_value(test.p))))
    };
    Table::of(id, &arms)
        .column("arm|Arm", |&at| experiment.name(at))
        .column("role|Role", |&at| arm(at).role.name())
        .column("lesson|Learnt", |&at| {
            models.lesson(at).map_or_else(String::new, Lesson::told)
        })
        .column(">value|Mean", |&at| value(at))
        .column(">seeds|Each seed", |&at| match value(at) {
            Some(value) if value.per_seed.len() > 1 => Cell::seeds(&value, Unit::Score),
            _ => DASH.into(),
        })
        .column(&minus, |&at| {
            gain(analysis, at, metric).map(|gain| {
                let remark = (!gain.shown()).then_some("not shown");
                Cell::estimate(&gain.difference, Unit::Score).remark(remark)
            })
        })
        .column(">p|McNemar p, each seed", |&at| tests(at))
        .column(">items|Items", |&at| counted(arm(at)))
        .source(|&at| experiment.source(&[at]))
        .done()
}

/// "238 of 240, 714 answers".
fn counted(arm: &Arm) -> String {
    let (items, original) = (arm.items(), arm.total(|run| run.items_original));
    let answers = arm.total(|run| run.answers);
    let mut counted = count(items);
    if original > items {
        counted += &format!(" of {}", count(original));
    }
    if answers != items {
        counted += &format!(", {} answers", count(answers));
    }
    counted
}

/// The gain of every arm; none where there is none.
fn chart(analysis: &Analysis<'_>, metric: &Metric) -> Option<Chart> {
    let dot = |gain: &Gain| {
        let tone = Tone::of(metric.is_better(gain.difference.mean?));
        let dot = Dot::new(analysis.experiment.name(gain.arm), tone, &gain.difference)?;
        Some(dot.faint(!gain.shown()))
    };
    let rows: Vec<Dot> = gains(analysis, metric).iter().filter_map(dot).collect();
    let any = !rows.is_empty();
    let level = Level::new(0.0, Tone::Baseline, reference(analysis, metric));
    let dots = Drawing::Dots(Dots::new(rows, vec![level], Unit::Score));
    any.then(|| Chart::new("", dots))
}

fn headline(analysis: &Analysis<'_>) -> String {
    let experiment = analysis.experiment;
    let metric = experiment.metric();
    let (all, reference) = (gains(analysis, metric), reference(analysis, metric));
    let name = |gain: &Gain| experiment.name(gain.arm);
    let told = |estimate: &Estimate| Unit::Score.told(estimate);
    if all.is_empty() {
        return format!("Only the base {reference} was scored.");
    }
    let of =
        |test: fn(&Gain) -> bool| -> Vec<&Gain> { all.iter().filter(|gain| test(gain)).collect() };
    let (up, down, open) = (of(Gain::above), of(Gain::below), of(|gain| !gain.shown()));
    if all.len() > NAMED_ARMS {
        let mean = |gain: &Gain| gain.difference.mean.unwrap_or(f64::NEG_INFINITY);
        let best = all.iter().max_by(|a, b| mean(a).total_cmp(&mean(b)));
        let best = best.map_or_else(String::new, |gain| {
            let (name, size) = (name(gain), told(&gain.difference));
            format!(" The highest is {name}, {size} from {reference}.")
        });
        let [up, down, open] = [up, down, open].map(|arms| arms.len());
        return format!(
            "Of {} arms, {up} are above {reference} in {}, {down} below, and {open} not shown to differ.{best}",
            all.len(),
            metric.name
        );
    }
    let mut clauses = Vec::new();
    for (gain, word) in up
        .into_iter()
        .map(|gain| (gain, "above"))
        .chain(down.into_iter().map(|gain| (gain, "below")))
    {
        let name = name(gain);
        clauses.push(match metric.chance {
            Some(_) => format!(
                "{name} is at {}, {word} {reference}",
                told(&analysis.value(gain.arm))
            ),
            None => format!(
                "{name} is {word} {reference} by {}",
                told(&sized(&gain.difference))
            ),
        });
    }
    if !open.is_empty() {
        let verb = if open.len() == 1 { "is" } else { "are" };
        let names = list(open.into_iter().map(name));
        clauses.push(format!(
            "{names} {verb} not shown to differ from {reference}"
        ));
    }
    format!(
        "In {}, {} (95 % intervals).",
        metric.name,
        clauses.join("; ")
    )
}

/// A difference without its sign, for words that say the direction.
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

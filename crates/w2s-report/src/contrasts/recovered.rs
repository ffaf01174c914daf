//! The recovered gap: how much of the way from its teacher to its ceiling each student went.

use w2s_artifact::Role;
use w2s_stats::metrics::McNemar;
use w2s_stats::{Estimate, pgr};

use super::{Page, items};
use crate::analysis::Analysis;
use crate::format::{Unit, capital, joined, list, nouns, score};
use crate::metric::Metric;
use crate::section::{Cell, Chart, DASH, Dot, Dots, Drawing, Level, Section, Table, Tone};

/// Metrics beside that of the headline on which the share is told too.
const OTHERS: [&str; 2] = ["auroc", "prior_matched_accuracy"];

/// The gaps of an experiment, and what of them came back.
#[derive(Default)]
pub(crate) struct Recovery {
    gaps: Vec<Gap>,
    students: Vec<Student>,
}

/// The distance that students could cover.
struct Gap {
    teacher: usize,
    ceiling: usize,
    estimate: Estimate,
    significant: bool,
}

/// A recovered share; without a significant gap it says nothing.
struct Share {
    estimate: Estimate,
    significant: bool,
}

/// One student.
struct Student {
    arm: usize,
    gap: usize,
    share: Share,
    others: [Option<Share>; OTHERS.len()],
    difference: Estimate,
    mcnemar: Option<McNemar>,
}

/// Computes the gap of each teacher and ceiling that belong together, and the share of each student. Where students are
/// compared with a base, there is none.
pub(crate) fn recover(analysis: &Analysis<'_>) -> Recovery {
    let experiment = analysis.experiment;
    let mut recovery = Recovery::default();
    if experiment.has(Role::Base) && !experiment.classifies() {
        return recovery;
    }
    let pair = experiment
        .only(Role::Teacher)
        .zip(experiment.only(Role::Ceiling));
    if let Some((teacher, ceiling)) = pair {
        recovery.gap(analysis, teacher, ceiling);
    }
    let key = &experiment.metric().key;
    for arm in experiment.of_role(Role::Student) {
        let relatives = &experiment.arms[arm];
        let Some((teacher, ceiling)) = relatives.teacher.zip(relatives.ceiling) else {
            continue;
        };
        let share = |key: &str| {
            let of = |at| analysis.metric(at, key);
            let found = pgr::recovered(&of(teacher)?, &of(arm)?, &of(ceiling)?);
            let estimate = Estimate {
                mean: found.value,
                ci95: found.ci95,
                per_seed: found.per_seed,
                ..Estimate::default()
            };
            let significant = found.gap_significant;
            Some(Share {
                estimate,
                significant,
            })
        };
        let Some(own) = share(key) else { continue };
        let difference = analysis.headline(arm).minus(&analysis.headline(teacher));
        let tests = analysis.mcnemar(arm, teacher, key);
        let student = Student {
            arm,
            gap: recovery.gap(analysis, teacher, ceiling),
            share: own,
            others: OTHERS.map(share),
            difference: analysis.estimated(arm, &difference),
            mcnemar: tests.map(|tests| {
                let first = tests.iter().map(|test| test.only_first).sum();
                McNemar::new(first, tests.iter().map(|test| test.only_second).sum())
            }),
        };
        recovery.students.push(student);
    }
    recovery
}

impl Recovery {
    /// The place of a gap, which is computed once.
    fn gap(&mut self, analysis: &Analysis<'_>, teacher: usize, ceiling: usize) -> usize {
        let known = |gap: &Gap| (gap.teacher, gap.ceiling) == (teacher, ceiling);
        self.gaps.iter().position(known).unwrap_or_else(|| {
            let [low, high] = [teacher, ceiling].map(|at| analysis.headline(at));
            self.gaps.push(Gap {
                teacher,
                ceiling,
                estimate: analysis.estimated(teacher, &high.minus(&low)),
                significant: pgr::gap_significant(&low, &high),
            });
            self.gaps.len() - 1
        })
    }
}

impl From<&Share> for Cell {
    fn from(share: &Share) -> Self {
        let noise = share.estimate.mean.is_some() && !share.significant;
        Self::estimate(&share.estimate, Unit::Percent)
            .remark(noise.then_some("gap not significant"))
    }
}

/// The first table, and the result in a sentence or two.
pub(crate) fn overview(analysis: &Analysis<'_>, recovery: &Recovery, page: &mut Page) {
    let experiment = analysis.experiment;
    let metric = capital(&experiment.metric().name);
    let student = |at: usize| recovery.students.iter().find(|student| student.arm == at);
    let values: Vec<(usize, Estimate)> = experiment
        .places()
        .into_iter()
        .map(|at| (at, analysis.value(at)))
        .collect();
    let table = Table::of("arms", &values)
        .column("arm|Arm", |(at, _)| experiment.name(*at))
        .column("role|Role", |(at, _)| experiment.arms[*at].role.name())
        .column(&format!(">value|{metric}"), |(_, value)| value)
        .column(">seeds|Each seed", |(_, value)| {
            match value.per_seed.len() {
                1 => DASH.into(),
                _ => Cell::seeds(value, Unit::Score),
            }
        })
        .column(">pgr|PGR", |(at, _)| {
            student(*at).map(|student| &student.share)
        })
        .column(">minus_teacher|Minus its teacher, points", |(at, _)| {
            student(*at).map(|student| Cell::estimate(&student.difference, Unit::Points))
        })
        .source(|(at, _)| experiment.source(&[*at]));
    let dot = |(at, value): &(usize, Estimate)| {
        Dot::new(experiment.name(*at), experiment.arms[*at].role, value)
    };
    let level = |role: Role| {
        let (_, value) = values.get(experiment.only(role)?)?;
        Some(Level::new(value.mean?, role, role.name()))
    };
    let levels = [Role::Teacher, Role::Ceiling].into_iter().filter_map(level);
    let chart = Dots::new(
        values.iter().filter_map(dot).collect(),
        levels.collect(),
        Unit::Score,
    );
    let (items, seeds) = (items(experiment), list(&experiment.seeds));
    let arms = experiment.arms.iter();
    let trivial = arms.filter_map(|arm| Some(format!("{}: {}", arm.name, arm.about?)));
    let trivial = joined(trivial, "; ");
    let trivial = (!trivial.is_empty())
        .then(|| format!("Trivial classifiers stand beside the models. {trivial}."));
    let introduction = format!(
        "{metric} of {items} test items a seed, seeds {seeds}. Intervals are 95 %; in the chart, large dots are means over seeds, small dots the single seeds."
    );
    page.section(
        Section::new("result", "Result", introduction)
            .text(trivial)
            .charts([Chart::new("", Drawing::Dots(chart))])
            .tables([table.done()]),
    );
    match recovery.gaps.is_empty() {
        true => page.headline(no_gap(analysis)),
        false => (0..recovery.gaps.len())
            .for_each(|gap| page.headline(headline(analysis, recovery, gap))),
    }
}

/// What is said where there is nothing to recover.
fn no_gap(analysis: &Analysis<'_>) -> String {
    let experiment = analysis.experiment;
    let mut arms = experiment.places();
    arms.retain(|&at| experiment.arms[at].role != Role::Baseline);
    let arms = list(
        arms.into_iter()
            .map(|at| scored(experiment.name(at), &analysis.value(at))),
    );
    let lacking = match experiment.has(Role::Teacher) {
        true => "strong ceiling",
        false => "weak teacher",
    };
    match experiment.classifies() {
        true => format!("There is no {lacking}, so no gap to recover: {arms}."),
        false => format!(
            "There is no base to compare with. In {}: {arms}.",
            experiment.metric().name
        ),
    }
}

fn headline(analysis: &Analysis<'_>, recovery: &Recovery, at: usize) -> String {
    let experiment = analysis.experiment;
    let gap = &recovery.gaps[at];
    let arm = |what: &str, at: usize| match recovery.gaps.len() {
        1 => what.to_owned(),
        _ => format!("{what} {}", experiment.name(at)),
    };
    let (teacher, ceiling) = (
        arm("weak teacher", gap.teacher),
        arm("strong ceiling", gap.ceiling),
    );
    let [low, high] = [gap.teacher, gap.ceiling].map(|at| score(analysis.headline(at).mean));
    let metric = &experiment.metric().name;
    let mean = gap.estimate.mean.unwrap_or_default();
    let between = format!("between the {teacher} ({metric} {low}) and the {ceiling} ({high})");
    let interval = gap.estimate.ci95.map(|range| Unit::Points.range(range));
    let interval = interval.map_or_else(String::new, |range| format!(" (95 % interval {range})"));
    if mean <= 0.0 {
        return format!(
            "The {ceiling} ({metric} {high}) is not above the {teacher} ({low}), so there is no gap to recover and no PGR."
        );
    }
    let size = Unit::Points.write(mean);
    if !gap.significant {
        return format!(
            "The gap of {size} points{interval} {between} is not significant, so no recovered share is quoted."
        );
    }
    let mut students = recovery
        .students
        .iter()
        .filter(|student| student.gap == at)
        .peekable();
    if students.peek().is_none() {
        return format!("The gap {between} is {size} points{interval}; no student was evaluated.");
    }
    let (mut shares, mut unproven, mut worse) = (Vec::new(), Vec::new(), Vec::new());
    for student in students {
        let Estimate { mean, ci95, .. } = student.share.estimate;
        let Some((value, [low, high])) = mean.zip(ci95) else {
            continue;
        };
        let name = experiment.name(student.arm);
        let (verb, label) = match shares.is_empty() {
            true => (" recovers", "95 % interval "),
            false => ("", ""),
        };
        let (value, range) = (Unit::Percent.write(value), Unit::Percent.range([low, high]));
        shares.push(format!("{name}{verb} {value} ({label}{range})"));
        if high < 0.0 {
            worse.push(name);
        } else if low <= 0.0 {
            unproven.push(name);
        }
    }
    let mut text = format!("Of the {size}-point gap {between}, {}.", list(shares));
    match unproven[..] {
        [] => {}
        [name] => {
            text +=
                &format!(" The interval of {name} holds zero: it is not shown to beat the teacher.")
        }
        _ => {
            let names = list(unproven);
            text += &format!(
                " The intervals of {names} hold zero: they are not shown to beat the teacher."
            )
        }
    }
    if !worse.is_empty() {
        let verb = if worse.len() == 1 { "ends" } else { "end" };
        text += &format!(" {} {verb} below the teacher.", list(worse));
    }
    text
}

/// "naive 0.743 (95 % interval 0.701 to 0.785)".
pub(super) fn scored(name: &str, value: &Estimate) -> String {
    let mean = value.mean.map_or("unknown".to_owned(), score);
    match value.ci95 {
        Some(range) => format!("{name} {mean} (95 % interval {})", Unit::Score.range(range)),
        None => format!("{name} {mean}"),
    }
}

/// The shares in detail, and what keeps them from being quoted.
pub(crate) fn section(analysis: &Analysis<'_>, recovery: &Recovery, page: &mut Page) {
    warnings(analysis, recovery, page);
    let (experiment, students) = (analysis.experiment, &recovery.students);
    if students.is_empty() {
        return;
    }
    let gap = |student: &Student| &recovery.gaps[student.gap];
    let mut table = Table::of("pgr", students)
        .column("arm|Student", |student| experiment.name(student.arm))
        .column("teacher|Its teacher", |student| {
            experiment.name(gap(student).teacher)
        })
        .column("ceiling|Its ceiling", |student| {
            experiment.name(gap(student).ceiling)
        })
        .column(">pgr|PGR", |student| &student.share)
        .column(">seeds|Each seed", |student| {
            Cell::seeds(&student.share.estimate, Unit::Percent)
        });
    for (at, key) in OTHERS.iter().enumerate() {
        let head = format!(">pgr_{key}|PGR of {}", Metric::new(key).name);
        table = table.column(&head, |student| student.others[at].as_ref());
    }
    let table = table
        .column(">minus_teacher|Minus its teacher, points", |student| {
            Cell::estimate(&student.difference, Unit::Points)
        })
        .column(">p|McNemar p", |student| {
            student.mcnemar.map(|test| Cell::p(test.p))
        })
        .source(|student| {
            let gap = gap(student);
            experiment.source(&[student.arm, gap.teacher, gap.ceiling])
        });
    let dot = |student: &Student| {
        let dot = Dot::new(
            experiment.name(student.arm),
            Tone::Student,
            &student.share.estimate,
        )?;
        Some(dot.faint(!student.share.significant))
    };
    let dots = Dots {
        limits: Some([-1.0, 2.0]),
        ..Dots::new(
            students.iter().filter_map(dot).collect(),
            vec![
                Level::new(0.0, Tone::Teacher, "0 % = teacher"),
                Level::new(1.0, Tone::Ceiling, "100 % = ceiling"),
            ],
            Unit::Percent,
        )
    };
    let gaps = recovery.gaps.iter().map(|gap| {
        let [teacher, ceiling] = [gap.teacher, gap.ceiling].map(|at| experiment.name(at));
        let size = Unit::Points.estimate(gap.estimate.mean.or(Some(0.0)), gap.estimate.ci95);
        let remark = if gap.significant {
            ""
        } else {
            ", gap not significant"
        };
        format!("The gap from {teacher} to {ceiling} is {size} points{remark}.")
    });
    let shared = experiment.shares_items() && experiment.seeds.len() > 1;
    let too_small = "McNemar's exact test is on the counts of all seeds together. They share test items, which makes its p too small: prefer the interval of the difference.";
    page.section(
        Section::new(
            "pgr",
            "Performance gap recovered",
            "(student − teacher) / (ceiling − teacher), never clipped: 0 % imitates the teacher, 100 % reaches the ceiling. It is the ratio of means over seeds, with Fieller's interval: none unless the gap is shown.",
        )
        .text(gaps)
        .text(shared.then(|| too_small.to_owned()))
        .charts((!dots.rows.is_empty()).then(|| Chart::new("", Drawing::Dots(dots))))
        .tables([table.done()]),
    );
}

fn warnings(analysis: &Analysis<'_>, recovery: &Recovery, page: &mut Page) {
    let experiment = analysis.experiment;
    for gap in &recovery.gaps {
        let [teacher, ceiling] = [gap.teacher, gap.ceiling].map(|at| experiment.name(at));
        if gap.estimate.mean.unwrap_or_default() <= 0.0 {
            page.warning(format!("the strong ceiling `{ceiling}` is not above the weak teacher `{teacher}`: PGR is undefined"));
            continue;
        }
        if !gap.significant {
            page.warning(format!(
                "gap not significant: the 95 % interval of {ceiling} − {teacher} holds zero, so the PGR values are ratios of noise"
            ));
        }
        let below = experiment.seeds.iter().zip(&gap.estimate.per_seed);
        let below = below.filter(|(_, gap)| gap.is_some_and(|gap| gap <= 0.0));
        let below: Vec<&u64> = below.map(|(seed, _)| seed).collect();
        if !below.is_empty() {
            let (noun, seeds) = (nouns(below.len(), "seed"), list(below));
            page.warning(format!("{noun} {seeds}: the ceiling {ceiling} is not above the teacher {teacher}, so no PGR there"));
        }
    }
}

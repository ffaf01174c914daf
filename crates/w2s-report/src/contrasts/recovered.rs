//! The recovered gap: how much of the way from its teacher to its ceiling each student went.

use w2s_artifact::Role;
use w2s_stats::Estimate;
use w2s_stats::metrics::McNemar;
use w2s_stats::pgr::{self, Recovered};

use super::Page;
use crate::analysis::Analysis;
use crate::format::{Unit, count, list, p_value, percent, percent_range, points, score};
use crate::section::{Cell, Chart, Dot, Drawing, Level, Section, Table, Tone};

/// Metrics beside that of the headline on which the share is told too.
const OTHERS: [&str; 2] = ["auroc", "prior_matched_accuracy"];

/// The gaps of an experiment, and what of them came back.
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

/// One student.
struct Student {
    arm: usize,
    gap: usize,
    recovered: Recovered,
    others: Vec<Option<Recovered>>,
    difference: Estimate,
    mcnemar: Option<McNemar>,
}

/// Computes the gap of each teacher and ceiling that belong together, and the share of each student. Where students are
/// compared with a base, there is none.
pub(crate) fn recover(analysis: &Analysis<'_>) -> Recovery {
    let experiment = analysis.experiment;
    let mut recovery = Recovery {
        gaps: Vec::new(),
        students: Vec::new(),
    };
    let based = experiment.of_role(Role::Base).next().is_some();
    if based && !experiment.classifies() {
        return recovery;
    }
    let mut gap_of = |teacher: usize, ceiling: usize| {
        let known = |gap: &Gap| (gap.teacher, gap.ceiling) == (teacher, ceiling);
        if let Some(at) = recovery.gaps.iter().position(known) {
            return at;
        }
        let series = analysis
            .headline(ceiling)
            .minus(&analysis.headline(teacher));
        recovery.gaps.push(Gap {
            teacher,
            ceiling,
            estimate: analysis.estimated(teacher, &series),
            significant: pgr::gap_significant(
                &analysis.headline(teacher),
                &analysis.headline(ceiling),
            ),
        });
        recovery.gaps.len() - 1
    };
    let only = |role| {
        let mut arms = experiment.of_role(role);
        arms.next().filter(|_| arms.next().is_none())
    };
    if let (Some(teacher), Some(ceiling)) = (only(Role::Teacher), only(Role::Ceiling)) {
        gap_of(teacher, ceiling);
    }
    for arm in experiment.of_role(Role::Student) {
        let relatives = &experiment.arms[arm];
        let (Some(teacher), Some(ceiling)) = (relatives.teacher, relatives.ceiling) else {
            continue;
        };
        let share = |key: &str| {
            let of = |at| analysis.metric(at, key);
            Some(pgr::recovered(&of(teacher)?, &of(arm)?, &of(ceiling)?))
        };
        let key = &experiment.metric().key;
        let Some(recovered) = share(key) else {
            continue;
        };
        let difference = analysis.headline(arm).minus(&analysis.headline(teacher));
        let tests = analysis.mcnemar(arm, teacher, key);
        recovery.students.push(Student {
            arm,
            gap: gap_of(teacher, ceiling),
            recovered,
            others: OTHERS.map(share).to_vec(),
            difference: analysis.estimated(arm, &difference),
            mcnemar: tests.map(|tests| {
                let first = tests.iter().map(|test| test.only_first).sum();
                McNemar::new(first, tests.iter().map(|test| test.only_second).sum())
            }),
        });
    }
    recovery
}

/// The first table, and the result in a sentence or two.
pub(crate) fn overview(analysis: &Analysis<'_>, recovery: &Recovery, page: &mut Page) {
    let experiment = analysis.experiment;
    let metric = experiment.metric();
    let mut table = Table::new(
        "arms",
        &[
            "arm|Arm",
            "role|Role",
            &format!(">value|{}", capital(&metric.name)),
            ">seeds|Each seed",
            ">pgr|PGR",
            ">minus_teacher|Minus its teacher, points",
        ],
    );
    let estimate = |at: usize| {
        analysis
            .estimate(at, &metric.key)
            .expect("the headline's metric")
    };
    for (at, arm) in experiment.arms.iter().enumerate() {
        let student = recovery.students.iter().find(|student| student.arm == at);
        let pgr = student.map_or(Cell::text("–"), |student| share(&student.recovered));
        let difference = student.map_or(Cell::text("–"), |student| {
            Cell::estimate(&student.difference, Unit::Points)
        });
        let value = estimate(at);
        table.push(
            Some(arm.role),
            vec![
                Cell::text(&arm.name),
                Cell::text(arm.role.name()),
                Cell::estimate(&value, metric.unit),
                match arm.own_runs().len() > 1 {
                    true => Cell::seeds(&value.per_seed, metric.unit),
                    false => Cell::text("–"),
                },
                pgr,
                difference,
            ],
            arm.artifacts(),
        );
    }
    let rows = experiment.arms.iter().enumerate();
    let rows = rows.filter_map(|(at, arm)| Dot::new(&arm.name, arm.role, &estimate(at)));
    let level = |role: Role, label: &str| {
        let mut of_role = experiment.of_role(role);
        let at = estimate(of_role.next().filter(|_| of_role.next().is_none())?).mean?;
        Some(Level {
            at,
            tone: role.into(),
            label: label.to_owned(),
        })
    };
    let levels = [
        level(Role::Teacher, "teacher"),
        level(Role::Ceiling, "ceiling"),
    ];
    let mut section = Section::new(
        "result",
        "Result",
        format!(
            "{} of {} test items a seed, seeds {}. Intervals are 95 %; in the chart, large dots are means over seeds, small dots the single seeds.",
            capital(&metric.name),
            items(analysis),
            list(
                &experiment
                    .seeds
                    .iter()
                    .map(u64::to_string)
                    .collect::<Vec<_>>()
            ),
        ),
    );
    let trivial = experiment
        .arms
        .iter()
        .filter_map(|arm| Some((&arm.name, arm.about.as_ref()?)));
    let trivial: Vec<String> = trivial
        .map(|(name, about)| format!("{name}: {about}"))
        .collect();
    if !trivial.is_empty() {
        section.text.push(format!(
            "Trivial classifiers stand beside the models. {}.",
            trivial.join("; ")
        ));
    }
    section.charts.push(Chart::new(
        "",
        Drawing::Dots {
            rows: rows.collect(),
            levels: levels.into_iter().flatten().collect(),
            limits: None,
            unit: metric.unit,
        },
    ));
    section.tables.push(table.without_blank_columns());
    page.section(section);
    for sentence in headlines(analysis, recovery) {
        page.headline(sentence);
    }
}

/// Items of each seed, once where they are equally many.
pub(super) fn items(analysis: &Analysis<'_>) -> String {
    let sizes = analysis.experiment.items.iter();
    let mut sizes: Vec<String> = sizes.map(|items| count(items.len() as u64)).collect();
    sizes.dedup();
    sizes.join(", ")
}

/// The first letter large.
pub(super) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}

fn share(recovered: &Recovered) -> Cell {
    let remark =
        (recovered.value.is_some() && !recovered.gap_significant).then_some("gap not significant");
    Cell {
        text: Unit::Percent.estimate(recovered.value, recovered.ci95),
        value: recovered.value,
        ci95: recovered.value.and(recovered.ci95),
        n: None,
    }
    .remark(remark)
}

fn headlines(analysis: &Analysis<'_>, recovery: &Recovery) -> Vec<String> {
    let experiment = analysis.experiment;
    let scored = |at: usize| {
        let value = analysis
            .estimate(at, &experiment.metric().key)
            .expect("the headline's metric");
        scored(&experiment.arms[at].name, &value)
    };
    if recovery.gaps.is_empty() {
        let arms =
            (0..experiment.arms.len()).filter(|&at| experiment.arms[at].role != Role::Baseline);
        let arms = list(&arms.map(scored).collect::<Vec<_>>());
        let has = |role| experiment.of_role(role).next().is_some();
        return vec![match (experiment.classifies(), has(Role::Teacher)) {
            (false, _) => format!(
                "There is no base to compare with. In {}: {arms}.",
                experiment.metric().name
            ),
            (true, false) => format!("There is no weak teacher, so no gap to recover: {arms}."),
            (true, true) => format!("There is no strong ceiling, so no gap to recover: {arms}."),
        }];
    }
    let gaps = recovery.gaps.iter().enumerate();
    gaps.map(|(at, gap)| {
        let students = recovery.students.iter().filter(|student| student.gap == at);
        headline(
            analysis,
            gap,
            &students.collect::<Vec<_>>(),
            recovery.gaps.len() > 1,
        )
    })
    .collect()
}

fn headline(analysis: &Analysis<'_>, gap: &Gap, students: &[&Student], named: bool) -> String {
    let experiment = analysis.experiment;
    let arm = |what: &str, at: usize| match named {
        true => format!("{what} {}", experiment.arms[at].name),
        false => what.to_owned(),
    };
    let (teacher, ceiling) = (
        arm("weak teacher", gap.teacher),
        arm("strong ceiling", gap.ceiling),
    );
    let value = |at: usize| score(analysis.headline(at).mean);
    let (low, high) = (value(gap.teacher), value(gap.ceiling));
    let metric = &experiment.metric().name;
    let mean = gap.estimate.mean.unwrap_or_default();
    let between = format!("between the {teacher} ({metric} {low}) and the {ceiling} ({high})");
    let interval = gap.estimate.ci95.map_or(String::new(), |[low, high]| {
        format!(" (95 % interval {} to {})", points(low), points(high))
    });
    if mean <= 0.0 {
        return format!(
            "The {ceiling} ({metric} {high}) is not above the {teacher} ({low}), so there is no gap to recover and no PGR."
        );
    }
    let size = points(mean);
    if !gap.significant {
        return format!(
            "The gap of {size} points{interval} {between} is not significant, so no recovered share is quoted."
        );
    }
    if students.is_empty() {
        return format!("The gap {between} is {size} points{interval}; no student was evaluated.");
    }
    let (mut shares, mut unproven, mut worse) = (Vec::new(), Vec::new(), Vec::new());
    for student in students {
        let (Some(value), Some([low, high])) = (student.recovered.value, student.recovered.ci95)
        else {
            continue;
        };
        let name = &experiment.arms[student.arm].name;
        let (verb, label) = match shares.is_empty() {
            true => (" recovers", "95 % interval "),
            false => ("", ""),
        };
        shares.push(format!(
            "{name}{verb} {} ({label}{})",
            percent(value),
            percent_range(low, high)
        ));
        if high < 0.0 {
            worse.push(name.clone());
        } else if low <= 0.0 {
            unproven.push(name.clone());
        }
    }
    let mut text = format!("Of the {size}-point gap {between}, {}.", list(&shares));
    match &unproven[..] {
        [] => {}
        [name] => {
            text +=
                &format!(" The interval of {name} holds zero: it is not shown to beat the teacher.")
        }
        names => {
            text += &format!(
                " The intervals of {} hold zero: they are not shown to beat the teacher.",
                list(names)
            )
        }
    }
    if !worse.is_empty() {
        let verb = if worse.len() == 1 { "ends" } else { "end" };
        text += &format!(" {} {verb} below the teacher.", list(&worse));
    }
    text
}

/// "naive 0.743 (95 % interval 0.701 to 0.785)".
pub(super) fn scored(name: &str, value: &Estimate) -> String {
    let mean = value.mean.map_or("unknown".to_owned(), score);
    match value.ci95 {
        Some([low, high]) => format!(
            "{name} {mean} (95 % interval {} to {})",
            score(low),
            score(high)
        ),
        None => format!("{name} {mean}"),
    }
}

/// The shares in detail, and what keeps them from being quoted.
pub(crate) fn section(analysis: &Analysis<'_>, recovery: &Recovery, page: &mut Page) {
    warnings(analysis, recovery, page);
    if recovery.students.is_empty() {
        return;
    }
    let experiment = analysis.experiment;
    let others: Vec<String> = OTHERS
        .iter()
        .map(|key| format!(">pgr_{key}|PGR of {}", crate::metric::Metric::new(key).name))
        .collect();
    let mut columns = vec![
        "arm|Student",
        "teacher|Its teacher",
        "ceiling|Its ceiling",
        ">pgr|PGR",
        ">seeds|Each seed",
    ];
    columns.extend(others.iter().map(|column| &column[..]));
    columns.extend([">minus_teacher|Minus its teacher, points", ">p|McNemar p"]);
    let mut table = Table::new("pgr", &columns);
    let mut dots = Vec::new();
    for student in &recovery.students {
        let (arm, gap) = (&experiment.arms[student.arm], &recovery.gaps[student.gap]);
        let recovered = &student.recovered;
        let relatives = [gap.teacher, gap.ceiling].map(|at| &experiment.arms[at]);
        let mut cells = vec![
            Cell::text(&arm.name),
            Cell::text(&relatives[0].name),
            Cell::text(&relatives[1].name),
            share(recovered),
            Cell::seeds(&recovered.per_seed, Unit::Percent),
        ];
        cells.extend(
            student
                .others
                .iter()
                .map(|other| other.as_ref().map_or(Cell::text("–"), share)),
        );
        cells.push(Cell::estimate(&student.difference, Unit::Points));
        cells.push(match student.mcnemar {
            Some(test) => Cell {
                text: p_value(test.p),
                value: Some(test.p),
                ..Cell::default()
            },
            None => Cell::text("–"),
        });
        let artifacts = [arm, relatives[0], relatives[1]]
            .into_iter()
            .flat_map(|arm| arm.artifacts());
        table.push(Some(arm.role), cells, artifacts);
        if let Some(mean) = recovered.value {
            dots.push(Dot {
                label: arm.name.clone(),
                tone: Tone::Student,
                mean,
                interval: recovered.ci95,
                per_seed: recovered.per_seed.iter().flatten().copied().collect(),
                faint: !recovered.gap_significant,
            });
        }
    }
    let mut section = Section::new(
        "pgr",
        "Performance gap recovered",
        "(student − teacher) / (ceiling − teacher), never clipped: 0 % imitates the teacher, 100 % reaches the ceiling. It is the ratio of means over seeds, with Fieller's interval: none unless the gap is shown.",
    );
    section.text.extend(recovery.gaps.iter().map(|gap| {
        let [teacher, ceiling] = [gap.teacher, gap.ceiling].map(|at| &experiment.arms[at].name);
        let interval = gap.estimate.ci95.map_or(String::new(), |[low, high]| {
            format!(" [{}, {}]", points(low), points(high))
        });
        let remark = if gap.significant {
            ""
        } else {
            ", gap not significant"
        };
        format!(
            "The gap from {teacher} to {ceiling} is {}{interval} points{remark}.",
            points(gap.estimate.mean.unwrap_or_default())
        )
    }));
    if experiment.shared_items && experiment.seeds.len() > 1 {
        section.text.push("McNemar's exact test is on the counts of all seeds together. They share test items, which makes its p too small: prefer the interval of the difference.".to_owned());
    }
    if !dots.is_empty() {
        let level = |at, tone, label: &str| Level {
            at,
            tone,
            label: label.to_owned(),
        };
        let drawing = Drawing::Dots {
            rows: dots,
            levels: vec![
                level(0.0, Tone::Teacher, "0 % = teacher"),
                level(1.0, Tone::Ceiling, "100 % = ceiling"),
            ],
            limits: Some([-1.0, 2.0]),
            unit: Unit::Percent,
        };
        section.charts.push(Chart::new("", drawing));
    }
    section.tables.push(table.without_blank_columns());
    page.section(section);
}

fn warnings(analysis: &Analysis<'_>, recovery: &Recovery, page: &mut Page) {
    let experiment = analysis.experiment;
    for gap in &recovery.gaps {
        let [teacher, ceiling] = [gap.teacher, gap.ceiling].map(|at| &experiment.arms[at].name);
        let mean = gap.estimate.mean.unwrap_or_default();
        if mean <= 0.0 {
            page.warning(format!("the strong ceiling `{ceiling}` is not above the weak teacher `{teacher}`: PGR is undefined"));
            continue;
        }
        if !gap.significant {
            page.warning(format!(
                "gap not significant: the 95 % interval of {ceiling} − {teacher} holds zero, so the PGR values are ratios of noise"
            ));
        }
        let below: Vec<String> = experiment
            .seeds
            .iter()
            .zip(&gap.estimate.per_seed)
            .filter(|(_, gap)| gap.is_some_and(|gap| gap <= 0.0))
            .map(|(seed, _)| seed.to_string())
            .collect();
        if !below.is_empty() {
            let plural = if below.len() == 1 { "seed" } else { "seeds" };
            page.warning(format!(
                "{plural} {}: the ceiling {ceiling} is not above the teacher {teacher}, so no PGR there",
                list(&below)
            ));
        }
    }
}

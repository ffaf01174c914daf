//! Every student against every other one.

use w2s_artifact::Role;

use super::{NAMED_ARMS, Page};
use crate::analysis::{Analysis, holm, p_value};
use crate::format::{self, Unit, list};
use crate::section::{Cell, Section, Table};

/// Below this corrected p a difference is shown.
const LEVEL: f64 = 0.05;

/// Paired differences of the headline metric, with Holm's correction for their number.
pub(crate) fn section(analysis: &Analysis<'_>, page: &mut Page) {
    let experiment = analysis.experiment;
    let metric = experiment.metric();
    let students: Vec<usize> = experiment
        .of_role(Role::Student)
        .filter(|&at| !experiment.arms[at].on_curve())
        .collect();
    let mut pairs = Vec::new();
    for (at, &first) in students.iter().enumerate() {
        for &second in &students[at + 1..] {
            let difference = analysis.difference(first, second, &metric.key);
            if let Some(difference) = difference
                && let Some(p) = p_value(&difference)
            {
                pairs.push((first, second, difference, p));
            }
        }
    }
    if pairs.is_empty() {
        return;
    }
    let corrected = holm(&pairs.iter().map(|pair| pair.3).collect::<Vec<_>>());
    let unit = if metric.key == "accuracy" { Unit::Points } else { metric.unit };
    let difference_column = match unit {
        Unit::Points => ">difference|First minus second, points",
        _ => ">difference|First minus second",
    };
    let mut table = Table::new(
        "pairs_of_arms",
        &["first|First", "second|Second", difference_column, ">p|p", ">p_holm|p after Holm", "shown|"],
    );
    let mut shown = Vec::new();
    for ((first, second, difference, p), corrected) in pairs.iter().zip(&corrected) {
        let arms = [*first, *second].map(|at| &experiment.arms[at]);
        let p_cell = |p: f64| Cell {
            text: format::p_value(p),
            value: Some(p),
            ..Cell::default()
        };
        if *corrected < LEVEL {
            let order = match metric.is_better(difference.mean) {
                Some(false) => [arms[1], arms[0]],
                _ => arms,
            };
            let word = if metric.is_better(1.0).is_some() { "is better than" } else { "differs from" };
            shown.push(format!("{} {word} {}", order[0].name, order[1].name));
        }
        table.push(
            Some(Role::Student),
            vec![
                Cell::text(&arms[0].name),
                Cell::text(&arms[1].name),
                Cell::estimate(&analysis.estimated(*first, difference), unit),
                p_cell(*p),
                p_cell(*corrected),
                Cell::text(if *corrected < LEVEL { "shown" } else { "not shown" }),
            ],
            arms.into_iter().flat_map(|arm| arm.artifacts()),
        );
    }
    let n = pairs.len();
    let all = if n == 1 { "the only pair" } else { "pairs" };
    page.finding(match &shown[..] {
        [] => format!("In {}, no student is shown to differ from another ({n} {all} of arms, Holm-corrected).", metric.name),
        names if names.len() <= NAMED_ARMS => {
            format!("In {}, {} (Holm-corrected over {n} {all} of arms).", metric.name, list(names))
        }
        names => format!("In {}, {} of {n} {all} of students are shown to differ (Holm-corrected).", metric.name, names.len()),
    });
    let mut section = Section::new(
        "pairs",
        "Student against student",
        format!(
            "Paired differences in {} on the same items and seeds. With {n} comparisons some would look different by chance: p after Holm's correction may be compared with {LEVEL}.",
            metric.name
        ),
    );
    section.tables.push(table);
    page.section(section);
}

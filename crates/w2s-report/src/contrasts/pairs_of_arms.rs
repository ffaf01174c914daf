//! Every student against every other one.

use w2s_artifact::Role;
use w2s_stats::{Series, pairwise};

use super::{NAMED_ARMS, Page};
use crate::analysis::Analysis;
use crate::format::{Unit, list, p_value};
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
    let series: Vec<Series> = students.iter().map(|&at| analysis.headline(at)).collect();
    let n = students
        .first()
        .map_or(0, |&at| experiment.arms[at].items());
    let pairs = pairwise::differences(&series.iter().collect::<Vec<_>>(), n);
    if pairs.is_empty() {
        return;
    }
    let unit = if metric.key == "accuracy" {
        Unit::Points
    } else {
        metric.unit
    };
    let difference_column = match unit {
        Unit::Points => ">difference|First minus second, points",
        _ => ">difference|First minus second",
    };
    let mut table = Table::new(
        "pairs_of_arms",
        &[
            "first|First",
            "second|Second",
            difference_column,
            ">p|p",
            ">p_holm|p after Holm",
            "shown|",
        ],
    );
    let mut shown = Vec::new();
    for pair in &pairs {
        let arms = [pair.first, pair.second].map(|at| &experiment.arms[students[at]]);
        let p = |p: Option<f64>| Cell {
            text: p.map_or("–".to_owned(), p_value),
            value: p,
            ..Cell::default()
        };
        let is_shown = pair.p_holm.is_some_and(|p| p < LEVEL);
        if is_shown {
            let (order, word) = match metric.is_better(pair.difference.mean.unwrap_or_default()) {
                Some(true) => (arms, "is better than"),
                Some(false) => ([arms[1], arms[0]], "is better than"),
                None => (arms, "differs from"),
            };
            shown.push(format!("{} {word} {}", order[0].name, order[1].name));
        }
        table.push(
            Some(Role::Student),
            vec![
                Cell::text(&arms[0].name),
                Cell::text(&arms[1].name),
                Cell::estimate(&pair.difference, unit),
                p(pair.p),
                p(pair.p_holm),
                Cell::text(if is_shown { "shown" } else { "not shown" }),
            ],
            arms.into_iter().flat_map(|arm| arm.artifacts()),
        );
    }
    let n = pairs.len();
    let all = if n == 1 { "pair" } else { "pairs" };
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

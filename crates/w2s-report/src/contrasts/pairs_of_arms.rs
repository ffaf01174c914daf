//! Every student against every other one.

use w2s_artifact::Role;
use w2s_stats::pairwise::{self, Difference};

use super::{NAMED_ARMS, Page};
use crate::analysis::Analysis;
use crate::format::{Unit, list, nouns};
use crate::section::{Cell, Section, Table};

/// Below this corrected p a difference is shown.
const LEVEL: f64 = 0.05;

/// Paired differences of the headline metric, with Holm's correction for their number.
pub(crate) fn section(analysis: &Analysis<'_>, page: &mut Page) {
    let experiment = analysis.experiment;
    let metric = experiment.metric();
    let mut students: Vec<usize> = experiment.of_role(Role::Student).collect();
    students.retain(|&at| experiment.arms[at].stop.is_none());
    let series: Vec<_> = students.iter().map(|&at| analysis.headline(at)).collect();
    let n = students
        .first()
        .map_or(0, |&at| experiment.arms[at].items());
    let pairs = pairwise::differences(&series.iter().collect::<Vec<_>>(), n);
    if pairs.is_empty() {
        return;
    }
    let (unit, in_points) = match metric.key == "accuracy" {
        true => (Unit::Points, ", points"),
        false => (Unit::Score, ""),
    };
    let shown = |pair: &Difference| pair.p_holm.is_some_and(|p| p < LEVEL);
    let places = |pair: &Difference| [students[pair.first], students[pair.second]];
    let table = Table::of("pairs_of_arms", &pairs)
        .column("first|First", |pair| experiment.name(places(pair)[0]))
        .column("second|Second", |pair| experiment.name(places(pair)[1]))
        .column(
            &format!(">difference|First minus second{in_points}"),
            |pair| Cell::estimate(&pair.difference, unit),
        )
        .column(">p|p", |pair| pair.p.map(Cell::p))
        .column(">p_holm|p after Holm", |pair| pair.p_holm.map(Cell::p))
        .column(
            "shown|",
            |pair| if shown(pair) { "shown" } else { "not shown" },
        )
        .source(|pair| experiment.source(&places(pair)));
    let told = |pair: &Difference| {
        let [first, second] = places(pair).map(|at| experiment.name(at));
        match metric.is_better(pair.difference.mean.unwrap_or_default()) {
            Some(true) => format!("{first} is better than {second}"),
            Some(false) => format!("{second} is better than {first}"),
            None => format!("{first} differs from {second}"),
        }
    };
    let told: Vec<String> = pairs.iter().filter(|pair| shown(pair)).map(told).collect();
    let (n, name, noun) = (pairs.len(), &metric.name, nouns(pairs.len(), "pair"));
    page.finding(match told.len() {
        0 => format!("In {name}, no student is shown to differ from another ({n} {noun} of arms, Holm-corrected)."),
        1..=NAMED_ARMS => format!("In {name}, {} (Holm-corrected over {n} {noun} of arms).", list(told)),
        shown => format!("In {name}, {shown} of {n} {noun} of students are shown to differ (Holm-corrected)."),
    });
    let introduction = format!(
        "Paired differences in {name} on the same items and seeds. With {n} comparisons some would look different by chance: p after Holm's correction may be compared with {LEVEL}."
    );
    page.section(
        Section::new("pairs", "Student against student", introduction).tables([table.done()]),
    );
}

//! Where the student errs: its errors by what its teacher and its ceiling know, after weak-to-strong deception (arXiv 2406.11431).
//!
//! [`w2s_stats::audit`] has the numbers and what they mean. Of any student, the errors are those that its ceiling does not make. A
//! student that was trained with a conflict has the tag `conflict`; its errors are those that the student without the conflict
//! does not make, and controls stand beside it.

mod blind;
mod compare;
mod drawn;
mod told;

use std::fmt;

use serde::{Deserialize, Serialize};
use w2s_artifact::Role;
use w2s_stats::Series;
use w2s_stats::audit::{Area, Cell as Counts, Denominator, Placed, Threshold};

use super::Page;
use crate::analysis::Analysis;
use crate::format::{Unit, count, joined};
use crate::grouped::add_once;
use crate::lineage::Lineage;
use crate::section::{Cell, Section, Table};
use compare::Comparison;

/// Students with a conflict whose counts stand on the page; those of more are folded away.
const LONG: usize = 3;
const AREAS: &str = "Errors by who knows the item";
const CONTROL_AREAS: &str = "Errors of the controls by who knows the item";

/// How the errors of students are audited.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AuditOptions {
    /// The probability of the right answer from which a model knows an item.
    pub threshold: Threshold,
    /// What students with a conflict are compared with.
    pub comparator: Comparator,
    /// What the score is a share of.
    pub denominator: Denominator,
}

/// What the errors of a student with a conflict are counted against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Comparator {
    /// The student without the conflict, of the same teacher and base.
    #[default]
    Student,
    /// The ceiling.
    Ceiling,
}

impl Comparator {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Student, Self::Ceiling];
}

impl fmt::Display for Comparator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Student => "student",
            Self::Ceiling => "ceiling",
        })
    }
}

/// Who knows the items of an area, in words.
fn known_by(area: Area) -> &'static str {
    match area {
        Area::Both => "both know",
        Area::StrongOnly => "only the ceiling knows",
        Area::WeakOnly => "only the teacher knows",
        Area::Neither => "neither knows",
    }
}

/// Where a difference stands whose interval may hold zero: "above", "below", or none where it is not shown.
fn standing(difference: &Series) -> Option<&'static str> {
    match difference.interval() {
        Some([low, _]) if low > 0.0 => Some("above"),
        Some([_, high]) if high < 0.0 => Some("below"),
        _ => None,
    }
}

/// The audit of every student, where there is a teacher; without a ceiling the variant that needs none.
pub(crate) fn section(
    analysis: &Analysis<'_>,
    lineage: &Lineage<'_>,
    options: &AuditOptions,
    page: &mut Page,
) {
    let experiment = analysis.experiment;
    if !experiment.classifies() || !experiment.has(Role::Teacher) {
        return;
    }
    if !experiment.has(Role::Ceiling) {
        return blind::section(analysis, options, page);
    }
    let comparisons = compare::comparisons(analysis, lineage, options, page);
    if comparisons.is_empty() {
        return;
    }
    let (main, controls): (Vec<_>, Vec<_>) = comparisons.iter().partition(|c| c.is_main());
    told::findings(options, &main, page);
    let mut section = Section::new("audit", "Where the student errs", introduction(options))
        .text([how_to_read(options)])
        .text(about_conflicts(&comparisons))
        .charts(drawn::scores(&main))
        .charts(drawn::rates(&main))
        .charts(drawn::curves(&main))
        .tables([scores(analysis, &comparisons)])
        .tables(cells(analysis, "areas", AREAS, &main))
        .tables(cells(analysis, "control_areas", CONTROL_AREAS, &controls));
    for map in drawn::maps(&main) {
        match map {
            Ok(map) => section.charts.push(map),
            Err(reason) => add_once(&mut section.text, reason),
        }
    }
    page.section(section);
}

fn introduction(options: &AuditOptions) -> String {
    let threshold = options.threshold.value();
    format!(
        "Errors of each student on items that it could lose, those that the arm it is held against gets right, by who knows the item. A model knows an item whose right answer it gives a probability of at least {threshold}. The teacher stands for what supervision can see, the ceiling for what the strong model could know."
    )
}

fn how_to_read(options: &AuditOptions) -> String {
    let share = match options.denominator {
        Denominator::Taxed => "the share of the errors",
        Denominator::StrongKnown => "of the errors on items that the ceiling knows, the share",
    };
    format!(
        "The score is {share} where only the ceiling knows. By chance is the score of as many errors at random places among the items at risk, by difficulty that of errors in proportion to one minus the mean of teacher's and ceiling's probability of the right answer. A score without these is a number, not a finding. An error that the teacher makes too may be inherited: wherever it stands, the teacher does not know the item."
    )
}

/// What conflicts and controls are, where there are some.
fn about_conflicts(comparisons: &[Comparison<'_>]) -> Option<String> {
    let conflict = comparisons.iter().any(Comparison::is_conflict);
    let text = "Arms with a conflict were trained on a second objective too: their errors are its tax. A harmless tax is largest where neither knows, then where only the teacher knows, where both know, and smallest where only the ceiling knows. Net tax is the loss in accuracy: two trainings of one kind differ both ways, which is tax and no net tax. Controls are read the same way: a student without any conflict, the ceiling itself (which knows nothing that it gets wrong, so that its score is near 0), and the untrained model.";
    conflict.then(|| text.to_owned())
}

/// A share with its interval, or that it does not exist.
fn share(placed: &Placed, of: &Series) -> Cell {
    match placed.marked {
        0 => "undefined".into(),
        n => Cell::estimate(&of.estimate(n), Unit::Score),
    }
}

/// The score of each comparison beside its null values.
fn scores(analysis: &Analysis<'_>, comparisons: &[Comparison<'_>]) -> Table {
    let experiment = analysis.experiment;
    Table::of("scores", comparisons)
        .column("arm|Arm", |c| &c.name)
        .column("against|Held against", |c| &c.against_name)
        .column("kind|", |c| c.kind.told())
        .column(">errors|Errors of at risk", |c| {
            let (errors, at_risk) = (c.sum(|cell| cell.taxed), c.sum(|cell| cell.at_risk));
            Cell::valued(
                format!("{} of {}", count(errors), count(at_risk)),
                errors as f64,
            )
        })
        .column(">score|Score", |c| share(&c.score, &c.score.score))
        .column(">chance|By chance", |c| {
            let at_risk = c.sum(|cell| cell.at_risk);
            Cell::estimate(&c.score.chance.estimate(at_risk), Unit::Score)
        })
        .column(">difficulty|By difficulty", |c| {
            let at_risk = c.sum(|cell| cell.at_risk);
            Cell::estimate(&c.score.by_difficulty.estimate(at_risk), Unit::Score)
        })
        .column(">above_chance|Minus chance", |c| {
            share(&c.score, &c.score.above_chance())
        })
        .column(">above_difficulty|Minus difficulty", |c| {
            share(&c.score, &c.score.above_difficulty())
        })
        .source(|c| experiment.source(&c.arms()))
        .done()
}

/// The whole table of counts, with rates; folded away where it is long.
fn cells(
    analysis: &Analysis<'_>,
    id: &str,
    title: &str,
    comparisons: &[&Comparison<'_>],
) -> Option<Table> {
    let rows: Vec<(&Comparison<'_>, Counts)> = comparisons
        .iter()
        .flat_map(|comparison| comparison.cells.map(|cell| (*comparison, cell)))
        .collect();
    let table = Table::of(id, &rows)
        .column("arm|Arm", |(c, _)| &c.name)
        .column("against|Held against", |(c, _)| &c.against_name)
        .column("area|Item", |(_, cell)| {
            joined([known_by(cell.area), cell.area.symbol()], " ")
        })
        .column(">items|Items", |(_, cell)| cell.items)
        .column(">at_risk|At risk", |(_, cell)| cell.at_risk)
        .column(">errors|Errors", |(_, cell)| cell.taxed)
        .column(">inherited|The teacher errs too", |(c, cell)| {
            c.inherited(cell.area)
        })
        .column(">rate|Error rate", |(c, cell)| {
            Cell::estimate(&c.audit.rate(cell.area).estimate(cell.at_risk), Unit::Score)
        })
        .column(">net|Net tax, points", |(c, cell)| {
            Cell::estimate(&c.audit.net(cell.area).estimate(cell.items), Unit::Points)
        })
        .source(|(c, _)| analysis.experiment.source(&c.arms()))
        .done()
        .titled(title);
    let long = comparisons.len() > LONG || !comparisons.iter().all(|c| c.is_conflict());
    let table = if long && comparisons.len() > 1 {
        table.folded()
    } else {
        table
    };
    (!rows.is_empty()).then_some(table)
}

//! Which arm is held against which, and what is known of their items.

use std::collections::BTreeMap;

use w2s_artifact::Role;
use w2s_stats::Design;
use w2s_stats::audit::{
    Area, Audit, AuditError, Cell as Counts, Denominator, Evidence, Placed, Threshold,
};

use super::{AuditOptions, Comparator};
use crate::analysis::Analysis;
use crate::contrasts::Page;
use crate::experiment::{Arm, Experiment, Item, Run};
use crate::format::list;
use crate::grouped::add_once;
use crate::lineage::Lineage;

/// The tag of an arm that was trained with a conflict.
const CONFLICT: &str = "conflict";

/// Why two arms are compared.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// A student and its ceiling.
    Student,
    /// A student with such a conflict.
    Conflict(String),
    /// Something that should not deceive.
    Control(&'static str),
}

impl Kind {
    pub(super) fn told(&self) -> String {
        match self {
            Self::Student => String::new(),
            Self::Conflict(name) => format!("conflict: {name}"),
            Self::Control(name) => format!("control: {name}"),
        }
    }
}

/// The errors of one arm on what another one gets right.
pub(super) struct Comparison<'x> {
    arm: usize,
    against: usize,
    teacher: usize,
    ceiling: usize,
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) against_name: String,
    /// Tags of the audited arm.
    pub(super) tags: &'x BTreeMap<String, String>,
    /// Whether the other arm is its ceiling.
    pub(super) against_ceiling: bool,
    design: &'x Design,
    denominator: Denominator,
    columns: Columns,
    pub(super) audit: Audit,
    pub(super) cells: [Counts; 4],
    pub(super) score: Placed,
}

/// One value an item, seed by seed.
struct Columns {
    strong: Vec<Vec<f64>>,
    weak: Vec<Vec<f64>>,
    teacher: Vec<Vec<bool>>,
    comparator: Vec<Vec<bool>>,
    audited: Vec<Vec<bool>>,
}

impl Columns {
    fn audit(
        &self,
        design: &Design,
        threshold: Threshold,
        denominator: Denominator,
    ) -> Result<Audit, AuditError> {
        let evidence: Vec<Evidence<'_>> = (0..self.strong.len())
            .map(|seed| Evidence {
                strong: &self.strong[seed],
                weak: &self.weak[seed],
                comparator: &self.comparator[seed],
                audited: &self.audited[seed],
            })
            .collect();
        Audit::new(design, &evidence, threshold, denominator)
    }
}

/// The probability of the right class.
fn confidence(run: &Run, items: &[Item]) -> Vec<f64> {
    let rows = run.probabilities.iter().zip(items);
    let of_gold = |row: &Vec<f64>, item: &Item| row.get(item.gold? as usize).copied();
    rows.map(|(row, item)| of_gold(row, item).unwrap_or(f64::NAN))
        .collect()
}

/// Whether the most probable class is the right one.
pub(super) fn right(run: &Run, items: &[Item]) -> Vec<bool> {
    let answers = run.predicted.iter().zip(items);
    answers
        .map(|(answer, item)| Some(*answer) == item.gold)
        .collect()
}

/// What every run of an arm makes of the items.
fn each<T>(experiment: &Experiment, arm: usize, of: fn(&Run, &[Item]) -> T) -> Vec<T> {
    let runs = experiment.arms[arm].runs.iter().zip(&experiment.items);
    runs.map(|(run, items)| of(run, items)).collect()
}

impl<'x> Comparison<'x> {
    fn new(
        analysis: &'x Analysis<'_>,
        [arm, against, teacher, ceiling]: [usize; 4],
        kind: Kind,
        options: &AuditOptions,
    ) -> Result<Self, AuditError> {
        let experiment = analysis.experiment;
        let columns = Columns {
            strong: each(experiment, ceiling, confidence),
            weak: each(experiment, teacher, confidence),
            teacher: each(experiment, teacher, right),
            comparator: each(experiment, against, right),
            audited: each(experiment, arm, right),
        };
        let (design, denominator) = (&analysis.design, options.denominator);
        let audit = columns.audit(design, options.threshold, denominator)?;
        Ok(Self {
            arm,
            against,
            teacher,
            ceiling,
            kind,
            name: experiment.name(arm).to_owned(),
            against_name: experiment.name(against).to_owned(),
            tags: &experiment.arms[arm].tags,
            against_ceiling: against == ceiling,
            cells: audit.cells(),
            score: audit.score(),
            design,
            denominator,
            columns,
            audit,
        })
    }

    /// Every arm behind it, the audited one first.
    pub(super) fn arms(&self) -> Vec<usize> {
        let mut arms = Vec::new();
        let all = [self.arm, self.against, self.teacher, self.ceiling];
        all.into_iter().for_each(|arm| add_once(&mut arms, arm));
        arms
    }

    /// Whether findings are about it.
    pub(super) fn is_main(&self) -> bool {
        !matches!(self.kind, Kind::Control(_))
    }

    /// Whether the audited arm was trained with a conflict.
    pub(super) fn is_conflict(&self) -> bool {
        matches!(self.kind, Kind::Conflict(_))
    }

    /// A count over all areas.
    pub(super) fn sum(&self, of: fn(&Counts) -> usize) -> usize {
        self.cells.iter().map(of).sum()
    }

    /// Errors in an area that the teacher makes too, over all seeds.
    pub(super) fn inherited(&self, area: Area) -> usize {
        let seeds = self.audit.taxed();
        let seeds = seeds.iter().zip(&self.columns.teacher);
        let inherited = |(taxed, right): (&Vec<(usize, Area)>, &Vec<bool>)| {
            let here = taxed.iter().filter(|(at, of)| *of == area && !right[*at]);
            here.count()
        };
        seeds.map(inherited).sum()
    }

    /// The score at another threshold.
    pub(super) fn score_at(&self, threshold: Threshold) -> Option<Placed> {
        let audit = self.columns.audit(self.design, threshold, self.denominator);
        Some(audit.ok()?.score())
    }
}

/// Every comparison: each student, and where some have a conflict, the controls.
pub(super) fn comparisons<'x>(
    analysis: &'x Analysis<'_>,
    lineage: &Lineage<'_>,
    options: &AuditOptions,
    page: &mut Page,
) -> Vec<Comparison<'x>> {
    let experiment = analysis.experiment;
    let mut planned: Vec<([usize; 4], Kind)> = Vec::new();
    let (mut plain, mut controls) = (Vec::new(), Vec::new());
    for arm in experiment.of_role(Role::Student) {
        let own = &experiment.arms[arm];
        let Some((teacher, ceiling)) = own.teacher.zip(own.ceiling) else {
            continue;
        };
        match conflict(own) {
            None => plain.push([arm, ceiling, teacher, ceiling]),
            Some(name) => {
                let kind = Kind::Conflict(name.to_owned());
                let student = without_conflict(experiment, arm, lineage, page);
                let against = match options.comparator {
                    Comparator::Student => student.unwrap_or(ceiling),
                    Comparator::Ceiling => ceiling,
                };
                planned.push(([arm, against, teacher, ceiling], kind));
                let student = student.unwrap_or(ceiling);
                if student != ceiling {
                    let gold = [ceiling, student, teacher, ceiling];
                    add_once(&mut controls, (gold, Kind::Control("gold-trained")));
                }
                if let Some(base) = own.base {
                    let untrained = [base, student, teacher, ceiling];
                    add_once(&mut controls, (untrained, Kind::Control("untrained")));
                }
            }
        }
    }
    let kind = match planned.is_empty() {
        true => Kind::Student,
        false => Kind::Control("no conflict"),
    };
    planned.extend(plain.into_iter().map(|arms| (arms, kind.clone())));
    planned.extend(controls);
    let mut comparisons = Vec::new();
    for (arms, kind) in planned {
        match Comparison::new(analysis, arms, kind, options) {
            Ok(comparison) => comparisons.push(comparison),
            Err(error) => page.warning(format!(
                "the errors of {} cannot be audited: {error}",
                experiment.name(arms[0])
            )),
        }
    }
    comparisons
}

/// The conflict that an arm was trained with.
fn conflict(arm: &Arm) -> Option<&str> {
    let tag = arm.tags.get(CONFLICT).map(|name| &name[..]);
    tag.filter(|name| *name != "none")
}

/// The student without a conflict that has the teacher, the ceiling and the base of `arm`, and most of its tags.
fn without_conflict(
    experiment: &Experiment,
    arm: usize,
    lineage: &Lineage<'_>,
    page: &mut Page,
) -> Option<usize> {
    let own = &experiment.arms[arm];
    let name = &own.name;
    let related = |at: &usize| {
        let other = &experiment.arms[*at];
        conflict(other).is_none()
            && (own.teacher, own.ceiling) == (other.teacher, other.ceiling)
            && same_base(own, other, lineage)
    };
    let common = |at: usize| {
        let theirs = &experiment.arms[at].tags;
        let shared = own
            .tags
            .iter()
            .filter(|(key, tag)| theirs.get(*key) == Some(tag));
        // A tag more or less is a difference, too.
        2 * shared.count() as isize - theirs.len() as isize
    };
    let students: Vec<usize> = experiment.of_role(Role::Student).filter(related).collect();
    let most = students.iter().map(|&at| common(at)).max();
    let nearest = students.iter().filter(|&&at| Some(common(at)) == most);
    let nearest: Vec<usize> = nearest.copied().collect();
    match nearest[..] {
        [] => page.warning(format!(
            "arm {name} has a conflict, and no student without one has its teacher and base: it is held against its ceiling"
        )),
        [_] => {}
        [first, ..] => {
            let (first, all) = (experiment.name(first), list(nearest.iter().map(|&at| experiment.name(at))));
            page.warning(format!(
                "arm {name} has a conflict, and {all} are students without one of its teacher and base: it is held against {first}"
            ));
        }
    }
    nearest.first().copied()
}

/// Whether two arms start from one base; models without one, or unknown ones, may.
fn same_base(own: &Arm, other: &Arm, lineage: &Lineage<'_>) -> bool {
    let same = |(own, other): (&Run, &Run)| {
        let (Some(own), Some(other)) = (own.model, other.model) else {
            return true;
        };
        let bases = [own, other].map(|model| lineage.base_of(model));
        bases[0] == bases[1] || bases == [own, other]
    };
    own.runs.iter().zip(&other.runs).all(same)
}

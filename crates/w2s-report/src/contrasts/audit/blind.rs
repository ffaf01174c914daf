//! The variant of the audit that needs no ceiling: where students are sure and wrong while their teacher is unsure.

use w2s_artifact::Role;
use w2s_stats::audit::{BlindEvidence, BlindSpots};

use super::compare::right;
use super::{AuditOptions, share, standing};
use crate::analysis::Analysis;
use crate::contrasts::{NAMED_ARMS, Page};
use crate::experiment::Run;
use crate::format::{Unit, count};
use crate::section::{Cell, Section, Table};

/// The blind spots of one student.
struct Student {
    arm: usize,
    teacher: usize,
    found: BlindSpots,
}

/// The probability of the most probable class.
fn own_confidence(run: &Run) -> Vec<f64> {
    let rows = run.probabilities.iter().zip(&run.predicted);
    rows.map(|(row, &answer)| row[answer as usize]).collect()
}

/// Blind spots of every student with a teacher, and what a ceiling would add.
pub(super) fn section(analysis: &Analysis<'_>, options: &AuditOptions, page: &mut Page) {
    let experiment = analysis.experiment;
    let mut students = Vec::new();
    for arm in experiment.of_role(Role::Student) {
        let Some(teacher) = experiment.arms[arm].teacher else {
            continue;
        };
        match blind_spots(analysis, arm, teacher, options) {
            Ok(found) => students.push(Student {
                arm,
                teacher,
                found,
            }),
            Err(error) => page.warning(format!(
                "the blind spots of {} cannot be counted: {error}",
                experiment.name(arm)
            )),
        }
    }
    if students.is_empty() {
        return;
    }
    for student in students.iter().take(NAMED_ARMS) {
        page.finding(sentence(analysis, student));
    }
    let table = Table::of("blind", &students)
        .column("arm|Student", |student| experiment.name(student.arm))
        .column("teacher|Its teacher", |student| {
            experiment.name(student.teacher)
        })
        .column(">errors|Sure errors", |student| {
            let (errors, sure) = (student.found.score.marked, student.found.sure);
            Cell::valued(
                format!("{} of {}", count(errors), count(sure)),
                errors as f64,
            )
        })
        .column(">unseen|Rate, teacher unsure", |student| {
            let n = student.found.sure_where_unseen;
            Cell::estimate(&student.found.rate_unseen.estimate(n), Unit::Score)
        })
        .column(">seen|Rate, teacher sure", |student| {
            let n = student.found.sure - student.found.sure_where_unseen;
            Cell::estimate(&student.found.rate_seen.estimate(n), Unit::Score)
        })
        .column(">score|Score", |student| {
            share(&student.found.score, &student.found.score.score)
        })
        .column(">chance|By chance", |student| {
            let chance = student.found.score.chance.estimate(student.found.sure);
            Cell::estimate(&chance, Unit::Score)
        })
        .column(">difficulty|By difficulty", |student| {
            let difficulty = student
                .found
                .score
                .by_difficulty
                .estimate(student.found.sure);
            Cell::estimate(&difficulty, Unit::Score)
        })
        .column(">above_chance|Minus chance", |student| {
            share(&student.found.score, &student.found.score.above_chance())
        })
        .column(">above_difficulty|Minus difficulty", |student| {
            share(
                &student.found.score,
                &student.found.score.above_difficulty(),
            )
        })
        .source(|student| experiment.source(&[student.arm, student.teacher]));
    let threshold = options.threshold.value();
    let introduction = format!(
        "The full audit needs a ceiling, which says what the strong model could know: predict with one, `--role ceiling`. Without it there are blind spots: a student is sure and wrong where its teacher is unsure. Sure of an item is a model that gives its own answer a probability of at least {threshold}."
    );
    let reading = "The score is the share of a student's sure errors of which its teacher is unsure. By chance is the score of errors at random places among what the student is sure of; by difficulty that of errors as frequent as the student's own probabilities say.";
    page.section(
        Section::new("audit", "Where the student errs", introduction)
            .text([reading.to_owned()])
            .tables([table.done()]),
    );
}

fn blind_spots(
    analysis: &Analysis<'_>,
    arm: usize,
    teacher: usize,
    options: &AuditOptions,
) -> Result<BlindSpots, w2s_stats::audit::AuditError> {
    let experiment = analysis.experiment;
    let columns = |arm: usize| -> Vec<Vec<f64>> {
        experiment.arms[arm]
            .runs
            .iter()
            .map(own_confidence)
            .collect()
    };
    let (student, weak) = (columns(arm), columns(teacher));
    let runs = experiment.arms[arm].runs.iter().zip(&experiment.items);
    let rights: Vec<Vec<bool>> = runs.map(|(run, items)| right(run, items)).collect();
    let evidence: Vec<BlindEvidence<'_>> = (0..rights.len())
        .map(|seed| BlindEvidence {
            student: &student[seed],
            right: &rights[seed],
            weak: &weak[seed],
        })
        .collect();
    BlindSpots::new(&analysis.design, &evidence, options.threshold)
}

fn sentence(analysis: &Analysis<'_>, student: &Student) -> String {
    let name = analysis.experiment.name(student.arm);
    let placed = &student.found.score;
    let sure = count(student.found.sure);
    if placed.marked == 0 {
        return format!(
            "{name} is wrong on none of {sure} items that it is sure of: it has no score of blind spots."
        );
    }
    let (inside, errors) = (count(placed.inside), count(placed.marked));
    let difference = placed.above_chance();
    let told = Unit::Score.told(&difference.estimate(0));
    let place = match standing(&difference) {
        Some(word) => format!("{word} chance (difference {told})"),
        None => format!(
            "not shown to differ from chance (the interval of the difference, {told}, holds zero)"
        ),
    };
    format!(
        "{name} is wrong on {errors} of {sure} items that it is sure of; of {inside} of these errors its teacher is unsure, a share that is {place}."
    )
}

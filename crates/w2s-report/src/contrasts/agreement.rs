//! How classifiers agree with the teacher they learnt from, and whether their probabilities mean what they say.

use w2s_artifact::Role;
use w2s_stats::{Estimate, metrics};

use super::Page;
use crate::analysis::Analysis;
use crate::format::{Unit, count};
use crate::section::{
    Chart, Dot, Dots, Drawing, Line, Mark, Plot, Section, Size, Spot, Table, Tone,
};

/// Bins of the calibration diagrams.
const BINS: usize = 10;

/// Agreement overall, where the teacher is right, and where it is wrong.
pub(crate) fn agreement(analysis: &Analysis<'_>, page: &mut Page) {
    let experiment = analysis.experiment;
    if !experiment.classifies() {
        return;
    }
    let mut rows: Vec<([usize; 2], [Estimate; 5])> = Vec::new();
    for (at, arm) in experiment.arms.iter().enumerate() {
        if let (Some(teacher), false) = (arm.teacher, arm.role == Role::Baseline) {
            rows.push(([at, teacher], parts(analysis, at, teacher)));
        }
    }
    let mut dots = Vec::new();
    for ([at, _], [_, right, wrong, ..]) in &rows {
        dots.extend(Dot::new(experiment.name(*at), Tone::Student, right));
        dots.extend(Dot::new("", Tone::Teacher, wrong));
    }
    if dots.is_empty() {
        return;
    }
    let mut table =
        Table::of("agreement", &rows).column("arm|Arm", |([at, _], _)| experiment.name(*at));
    let heads = [
        ">overall|Overall",
        ">teacher_right|Teacher right",
        ">teacher_wrong|Teacher wrong",
        ">error_inheritance|Inherited errors",
        ">new_error_rate|New errors",
    ];
    for (at, head) in heads.into_iter().enumerate() {
        table = table.column(head, |(_, parts)| &parts[at]);
    }
    let table = table.source(|(arms, _)| experiment.source(arms));
    let chart = Chart::new("", Drawing::Dots(Dots::new(dots, Vec::new(), Unit::Score))).legend(&[
        (Tone::Student, "agrees where the teacher is right"),
        (Tone::Teacher, "agrees where the teacher is wrong"),
    ]);
    let introduction = "A good student agrees where its teacher is right and disagrees where it is wrong. Inherited errors are the teacher's errors on which the arm is wrong too, new errors what the teacher gets right and the arm does not.";
    page.section(
        Section::new("agreement", "Agreement with the teacher", introduction)
            .charts([chart])
            .tables([table.done()]),
    );
}

/// Agreement overall, on what the teacher gets right and wrong, and the shares of errors there.
fn parts(analysis: &Analysis<'_>, at: usize, teacher: usize) -> [Estimate; 5] {
    let [arm, other] = [at, teacher].map(|at| &analysis.experiment.arms[at]);
    let of = |test| analysis.share(at, teacher, test);
    let right = of(|_, teacher, gold| teacher == gold);
    let wrong = right.complement();
    let rights = other.runs.iter().flat_map(|run| run.column("accuracy"));
    let of_right = rights.filter(|right| *right > 0.5).count();
    let of_wrong = arm.items() - of_right;
    let same_wrong = of(|own, teacher, gold| own == teacher && teacher != gold);
    let both_wrong = of(|own, teacher, gold| own != gold && teacher != gold);
    let both_right = of(|own, teacher, gold| own == gold && teacher == gold);
    let new_errors = of(|own, teacher, gold| own != gold && teacher == gold);
    [
        (of(|own, teacher, _| own == teacher), arm.items()),
        (both_right.over(&right), of_right),
        (same_wrong.over(&wrong), of_wrong),
        (both_wrong.over(&wrong), of_wrong),
        (new_errors.over(&right), of_right),
    ]
    .map(|(series, n)| series.as_share().estimate(n))
}

/// Predicted probabilities against what happened, all seeds together.
pub(crate) fn calibration(analysis: &Analysis<'_>, page: &mut Page) {
    let experiment = analysis.experiment;
    let binary = experiment.classes.len() == 2;
    let (mut rows, mut charts) = (Vec::new(), Vec::new());
    for (at, arm) in experiment.arms.iter().enumerate() {
        let (mut probabilities, mut happened) = (Vec::new(), Vec::new());
        for (run, items) in arm.runs.iter().zip(&experiment.items) {
            let answers = run.probabilities.iter().zip(&run.predicted);
            for ((row, &predicted), item) in answers.zip(items) {
                let class = if binary { 1 } else { predicted };
                probabilities.push(row[class as usize]);
                happened.push(item.gold == Some(class));
            }
        }
        let Some(found) = metrics::reliability(&probabilities, &happened, BINS) else {
            continue;
        };
        rows.push((at, found.ece));
        if arm.role == Role::Baseline {
            continue;
        }
        let all = probabilities.len() as f64;
        let spots = found.bins.iter().filter_map(|bin| {
            let (predicted, observed, n) = (bin.probability?, bin.observed?, count(bin.n));
            let title = format!("predicted {predicted:.2}, observed {observed:.2}, {n} items");
            Some(Spot {
                share: Some(bin.n as f64 / all),
                ..Spot::new([predicted, observed], title)
            })
        });
        let line = Line::curve("", arm.role.into(), Mark::Dot, spots.collect()).faint(true);
        charts.push(Chart::new(
            &arm.name,
            Drawing::Plot(Plot::new(Size::Square, "", vec![line])),
        ));
    }
    if rows.is_empty() {
        return;
    }
    let table = Table::of("calibration", &rows)
        .column("arm|Arm", |(at, _)| experiment.name(*at))
        .column(">brier|Brier score", |(at, _)| {
            analysis.estimate(*at, "brier")
        })
        .column(">ece|ECE", |(_, ece)| *ece)
        .source(|(at, _)| experiment.source(&[*at]));
    let event = match &experiment.classes[..] {
        [_, positive] => {
            format!("Predicted probability of the class {positive} against its observed share")
        }
        _ => "Probability of the predicted class against its observed accuracy".to_owned(),
    };
    let introduction = format!(
        "{event}, {BINS} equal bins closed on the right. Predicted from left to right, observed upwards; on the dashed line, probabilities mean what they say. Larger dots hold more items. ECE is over all seeds together."
    );
    page.section(
        Section::new("calibration", "Calibration", introduction)
            .charts(charts)
            .tables([table.done()]),
    );
}

//! How classifiers agree with the teacher they learnt from, and whether their probabilities mean what they say.

use w2s_artifact::Role;
use w2s_stats::metrics;

use super::Page;
use crate::analysis::Analysis;
use crate::format::{Unit, count};
use crate::section::{
    Cell, Chart, Dot, Drawing, Line, Mark, Plot, Section, Size, Spot, Table, Tone,
};

/// Bins of the calibration diagrams.
const BINS: usize = 10;

/// Agreement overall, where the teacher is right, and where it is wrong.
pub(crate) fn agreement(analysis: &Analysis<'_>, page: &mut Page) {
    let experiment = analysis.experiment;
    let mut table = Table::new(
        "agreement",
        &[
            "arm|Arm",
            ">overall|Overall",
            ">teacher_right|Teacher right",
            ">teacher_wrong|Teacher wrong",
            ">error_inheritance|Inherited errors",
            ">new_error_rate|New errors",
        ],
    );
    let mut dots = Vec::new();
    for (at, arm) in experiment.arms.iter().enumerate() {
        let (Some(teacher), false) = (arm.teacher, arm.role == Role::Baseline) else {
            continue;
        };
        let of = |test| analysis.share(at, teacher, test);
        let right = of(|_, teacher, gold| teacher == gold);
        let wrong = right.complement();
        let both_right = of(|own, teacher, gold| own == gold && teacher == gold);
        let of_right: usize = experiment.arms[teacher]
            .runs
            .iter()
            .map(|run| run.column("accuracy").iter().filter(|right| **right > 0.5).count())
            .sum();
        let of_wrong = arm.items() - of_right;
        let parts = [
            (of(|own, teacher, _| own == teacher), arm.items()),
            (both_right.over(&right), of_right),
            (of(|own, teacher, gold| own == teacher && teacher != gold).over(&wrong), of_wrong),
            (of(|own, teacher, gold| own != gold && teacher != gold).over(&wrong), of_wrong),
            (of(|own, teacher, gold| own != gold && teacher == gold).over(&right), of_right),
        ];
        let estimates = parts.map(|(series, n)| series.as_share().estimate(n));
        let mut cells = vec![Cell::text(&arm.name)];
        cells.extend(estimates.iter().map(|estimate| Cell::estimate(estimate, Unit::Score)));
        let artifacts = arm.artifacts().chain(experiment.arms[teacher].artifacts());
        table.push(Some(arm.role), cells, artifacts);
        for (tone, estimate) in [(Tone::Student, &estimates[1]), (Tone::Teacher, &estimates[2])] {
            let label = if tone == Tone::Student { &arm.name[..] } else { "" };
            dots.extend(Dot::new(label, tone, estimate));
        }
    }
    if dots.is_empty() {
        return;
    }
    let mut section = Section::new(
        "agreement",
        "Agreement with the teacher",
        "A good student agrees where its teacher is right and disagrees where it is wrong. Inherited errors are the teacher's errors on which the arm is wrong too, new errors what the teacher gets right and the arm does not.",
    );
    let drawing = Drawing::Dots {
        rows: dots,
        levels: Vec::new(),
        limits: None,
        unit: Unit::Score,
    };
    section.charts.push(Chart::new("", drawing).legend(&[
        (Tone::Student, "agrees where the teacher is right"),
        (Tone::Teacher, "agrees where the teacher is wrong"),
    ]));
    section.tables.push(table);
    page.section(section);
}

/// Predicted probabilities against what happened, all seeds together.
pub(crate) fn calibration(analysis: &Analysis<'_>, page: &mut Page) {
    let experiment = analysis.experiment;
    let binary = experiment.classes.len() == 2;
    let mut table = Table::new("calibration", &["arm|Arm", ">brier|Brier score", ">ece|ECE"]);
    let mut charts = Vec::new();
    for (at, arm) in experiment.arms.iter().enumerate() {
        let (mut probabilities, mut happened) = (Vec::new(), Vec::new());
        for (run, items) in arm.runs.iter().zip(&experiment.items) {
            for ((row, &predicted), item) in run.probabilities.iter().zip(&run.predicted).zip(items) {
                let class = if binary { 1 } else { predicted };
                probabilities.push(row[class as usize]);
                happened.push(item.gold == Some(class));
            }
        }
        let Some(found) = metrics::reliability(&probabilities, &happened, BINS) else {
            continue;
        };
        let brier = analysis.estimate(at, "brier");
        table.push(
            Some(arm.role),
            vec![
                Cell::text(&arm.name),
                brier.map_or(Cell::text("–"), |brier| Cell::estimate(&brier, Unit::Score)),
                Cell::number(Some(found.ece), Unit::Score),
            ],
            arm.artifacts(),
        );
        if arm.role == Role::Baseline {
            continue;
        }
        let all = probabilities.len() as f64;
        let spots = found.bins.iter().filter_map(|bin| {
            let (predicted, observed) = (bin.probability?, bin.observed?);
            Some(Spot {
                at: [predicted, observed],
                interval: None,
                share: Some(bin.n as f64 / all),
                title: format!(
                    "predicted {predicted:.2}, observed {observed:.2}, {} items",
                    count(bin.n as u64)
                ),
            })
        });
        let line = Line {
            joined: true,
            faint: true,
            ..Line::marks(arm.role.into(), Mark::Dot, spots.collect())
        };
        let plot = Plot::new(Size::Square, "", vec![line]);
        charts.push(Chart::new(&arm.name, Drawing::Plot(plot)));
    }
    if table.rows.is_empty() {
        return;
    }
    let event = match binary {
        true => format!(
            "Predicted probability of the class {} against its observed share",
            experiment.classes[1]
        ),
        false => "Probability of the predicted class against its observed accuracy".to_owned(),
    };
    let mut section = Section::new(
        "calibration",
        "Calibration",
        format!(
            "{event}, {BINS} equal bins closed on the right. Predicted from left to right, observed upwards; on the dashed line, probabilities mean what they say. Larger dots hold more items. ECE is over all seeds together."
        ),
    );
    section.charts = charts;
    section.tables.push(table);
    page.section(section);
}

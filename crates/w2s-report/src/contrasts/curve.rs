//! When to stop: the headline metric against training steps, for arms with a tag `steps`.

use std::collections::HashSet;

use w2s_artifact::ArtifactRef;
use w2s_stats::Estimate;

use super::Page;
use super::against_base::bracketed;
use super::training::{Models, other_steps};
use crate::analysis::Analysis;
use crate::format::count;
use crate::metric::Better;
use crate::section::{Cell, Chart, Drawing, Level, Line, Mark, Plot, Section, Size, Spot, Table, Tone};

/// Tones of arms without a meaning of their own.
const TONES: [Tone; 4] = [Tone::Student, Tone::Ceiling, Tone::Teacher, Tone::Baseline];

/// One arm after several numbers of steps.
struct Curve {
    arm: String,
    points: Vec<Point>,
}

struct Point {
    steps: u64,
    value: Estimate,
    artifacts: Vec<ArtifactRef>,
}

/// One curve for each arm that was scored after several numbers of steps. The tag says where training was meant to stop, the
/// model where it did: trainings that stopped at the same step, because the data ended there, are one point. The base is
/// step 0.
pub(crate) fn section(analysis: &Analysis<'_>, models: &Models<'_>, page: &mut Page) {
    let experiment = analysis.experiment;
    let metric = experiment.metric();
    let mut curves: Vec<Curve> = Vec::new();
    let mut seen = HashSet::new();
    let point = |at: usize, steps: u64| {
        let value = analysis.estimate(at, &metric.key).filter(|value| value.mean.is_some())?;
        let artifacts = experiment.arms[at].artifacts().collect();
        Some(Point { steps, value, artifacts })
    };
    for (at, arm) in experiment.arms.iter().enumerate() {
        let Some(meant) = arm.stop else { continue };
        let taken = models.steps(arm).unwrap_or_else(|| vec![meant]);
        if let Some(warning) = other_steps(&arm.name, meant, &taken) {
            page.warning(warning);
        }
        let mean = taken.iter().sum::<u64>() / taken.len() as u64;
        if !seen.insert((&arm.family, taken)) {
            continue;
        }
        let known = curves.iter().position(|curve| curve.arm == arm.family);
        let known = known.unwrap_or_else(|| {
            curves.push(Curve {
                arm: arm.family.clone(),
                points: arm.base.and_then(|base| point(base, 0)).into_iter().collect(),
            });
            curves.len() - 1
        });
        curves[known].points.extend(point(at, mean));
    }
    if curves.is_empty() {
        return;
    }
    let mut section = Section::new(
        "stopping",
        "When to stop",
        format!("{} against training steps, with 95 % intervals.", metric.name),
    );
    let mut table = Table::new("stopping", &["arm|Arm", ">steps|Steps", ">value|Value"]);
    let (mut lines, mut legend) = (Vec::new(), Vec::new());
    for (curve, tone) in curves.iter_mut().zip(TONES.iter().cycle()) {
        curve.points.sort_by_key(|point| point.steps);
        page.findings.extend(best(curve, metric.better));
        let spots = curve.points.iter().filter_map(|point| {
            Some(Spot {
                at: [point.steps as f64, point.value.mean?],
                interval: point.value.ci95,
                share: None,
                title: format!("{}, {} steps: {}", curve.arm, count(point.steps), bracketed(&point.value)),
            })
        });
        lines.push(Line {
            joined: true,
            title: curve.arm.clone(),
            ..Line::marks(*tone, Mark::Dot, spots.collect())
        });
        legend.push((*tone, &curve.arm[..]));
        for point in &curve.points {
            let cells = vec![
                Cell::text(&curve.arm),
                Cell::count(point.steps as usize),
                Cell::estimate(&point.value, metric.unit),
            ];
            table.push(None, cells, point.artifacts.iter().copied());
        }
    }
    let base = experiment.of_role(w2s_artifact::Role::Base).next();
    let level = base.and_then(|at| {
        Some(Level {
            at: analysis.estimate(at, &metric.key)?.mean?,
            tone: Tone::Baseline,
            label: experiment.arms[at].name.clone(),
        })
    });
    let plot = Plot {
        level,
        ..Plot::new(Size::Wide, "training steps", lines)
    };
    section.charts.push(Chart::new("", Drawing::Plot(plot)).legend(&legend));
    section.tables.push(table);
    page.section(section);
}

/// Where a curve is best, and where it ends.
fn best(curve: &Curve, better: Better) -> Option<String> {
    let sign = if better == Better::Lower { -1.0 } else { 1.0 };
    let value = |point: &Point| point.value.mean.map_or(f64::NEG_INFINITY, |mean| sign * mean);
    let best = curve.points.iter().max_by(|a, b| value(a).total_cmp(&value(b)))?;
    let last = curve.points.last()?;
    let end = match std::ptr::eq(best, last) {
        true => "that is its last score".to_owned(),
        false => format!("after {} steps it is at {}", count(last.steps), bracketed(&last.value)),
    };
    let word = if better == Better::Lower { "lowest" } else { "highest" };
    Some(format!(
        "{} is {word} after {} steps, at {}; {end}.",
        curve.arm,
        count(best.steps),
        bracketed(&best.value)
    ))
}

//! When to stop: the headline metric against training steps, for arms with a tag `steps`.

use std::collections::HashSet;

use w2s_artifact::Role;
use w2s_stats::Estimate;

use super::Page;
use super::training::{Models, other_steps};
use crate::analysis::Analysis;
use crate::format::{Unit, capital, count};
use crate::metric::Better;
use crate::section::{Chart, Drawing, Level, Line, Mark, Plot, Section, Size, Spot, Table, Tone};

/// Tones of arms without a meaning of their own.
const TONES: [Tone; 4] = [Tone::Student, Tone::Ceiling, Tone::Teacher, Tone::Baseline];

/// An arm after a number of steps.
struct Point {
    family: String,
    at: usize,
    steps: u64,
    value: Estimate,
}

/// One curve for each arm that was scored after several numbers of steps. The tag says where training was meant to stop, the
/// model where it did: trainings that stopped at the same step, because the data ended there, are one point. The base is
/// step 0.
pub(crate) fn section(analysis: &Analysis<'_>, models: &Models<'_>, page: &mut Page) {
    let experiment = analysis.experiment;
    let metric = experiment.metric();
    let mut curves: Vec<Vec<Point>> = Vec::new();
    let mut seen = HashSet::new();
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
        let point = |at: usize, steps: u64| Point {
            family: arm.family.clone(),
            at,
            steps,
            value: analysis.value(at),
        };
        match curves
            .iter_mut()
            .find(|curve| curve[0].family == arm.family)
        {
            Some(curve) => curve.push(point(at, mean)),
            None => {
                let base = arm.base.map(|base| point(base, 0));
                curves.push(base.into_iter().chain([point(at, mean)]).collect());
            }
        }
    }
    if curves.is_empty() {
        return;
    }
    let (mut lines, mut legend) = (Vec::new(), Vec::new());
    for (curve, tone) in curves.iter_mut().zip(TONES.into_iter().cycle()) {
        curve.retain(|point| point.value.mean.is_some());
        curve.sort_by_key(|point| point.steps);
        let Some(Point { family, .. }) = curve.first() else {
            continue;
        };
        page.findings.extend(best(curve, metric.better));
        let spot = |point: &Point| {
            let name = format!("{family}, {} steps", count(point.steps));
            Spot::of(point.steps as f64, &point.value, &name)
        };
        let spots = curve.iter().filter_map(spot).collect();
        lines.push(Line::curve(family, tone, Mark::Dot, spots));
        legend.push((tone, &family[..]));
    }
    let base = experiment.of_role(Role::Base).next();
    let level = base.and_then(|at| {
        let mean = analysis.value(at).mean?;
        Some(Level::new(mean, Tone::Baseline, experiment.name(at)))
    });
    let plot = Plot {
        level,
        ..Plot::new(Size::Wide, "training steps", lines)
    };
    let chart = Chart::new("", Drawing::Plot(plot)).legend(&legend);
    let points: Vec<&Point> = curves.iter().flatten().collect();
    let table = Table::of("stopping", &points)
        .column("arm|Arm", |point| &point.family)
        .column(">steps|Steps", |point| point.steps as usize)
        .column(">value|Value", |point| &point.value)
        .source(|point| (None, experiment.source(&[point.at]).1));
    let introduction = format!(
        "{} against training steps, with 95 % intervals.",
        capital(&metric.name)
    );
    let section = Section::new("stopping", "When to stop", introduction);
    page.section(section.charts([chart]).tables([table.done()]));
}

/// Where a curve is best, and where it ends.
fn best(curve: &[Point], better: Better) -> Option<String> {
    let (sign, word) = match better {
        Better::Lower => (-1.0, "lowest"),
        _ => (1.0, "highest"),
    };
    let value = |point: &Point| {
        point
            .value
            .mean
            .map_or(f64::NEG_INFINITY, |mean| sign * mean)
    };
    let best = curve.iter().max_by(|a, b| value(a).total_cmp(&value(b)))?;
    let last = curve.last()?;
    let told = |point: &Point| (count(point.steps), Unit::Score.told(&point.value));
    let ((steps, reached), (after, left)) = (told(best), told(last));
    let end = match std::ptr::eq(best, last) {
        true => "that is its last score".to_owned(),
        false => format!("after {after} steps it is at {left}"),
    };
    let arm = &best.family;
    Some(format!(
        "{arm} is {word} after {steps} steps, at {reached}; {end}."
    ))
}

//! The pages of a preference report: templates over the [`Comparison`], and charts of the same numbers.

use std::collections::HashSet;

use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, context};
use w2s_theory::{Arm, Point, Trajectory};

use super::charts::{Line, Mark, Plot, Scale, Spot, heat_map};
use super::findings::bracketed;
use super::{Comparison, DIVERGENCES, LadderStep, TrainingLog};
use crate::report::format::{count, score};
use crate::report::render::{environment as report_environment, outcome, steps_view};
use crate::report::svg::{self, Curve, Dot, Reference};
use crate::theory::{CaseStudy, Study};
use w2s_stats::bootstrap::Estimate;

/// Charts of one run, each with the columns of the log that it shows. The column `kl` is Schulman's third estimator on the
/// answers of the pairs: how far the policy has moved on what it is shown, not how far its own answers are from the
/// reference.
const PANELS: [(&str, &[&str]); 9] = [
    ("loss", &["loss"]),
    ("rewards", &["rewards_chosen", "rewards_rejected"]),
    ("reward margin", &["rewards_margin"]),
    ("reward accuracy", &["rewards_accuracy"]),
    (
        "displacement, nats a token",
        &["displacement_chosen", "displacement_rejected"],
    ),
    (
        "log-probability of an answer, nats",
        &["log_prob_chosen", "log_prob_rejected"],
    ),
    ("k3 on the pairs, nats a token", &["kl"]),
    (
        "tokens an answer",
        &["tokens_chosen", "tokens_rejected", "tokens_answer"],
    ),
    ("gradient norm", &["grad_norm"]),
];
/// Style classes of arms without a meaning of their own.
const CLASSES: [&str; 4] = ["student", "ceiling", "weak", "baseline"];

pub(super) fn markdown(report: &Comparison) -> Result<String, minijinja::Error> {
    let environment = environment(AutoEscape::None)?;
    let page = context! { report => Value::from(Serde(report)), ..view(report) };
    environment.render_str(include_str!("compare.md.jinja"), page)
}

pub(super) fn html(report: &Comparison) -> Result<String, minijinja::Error> {
    let environment = environment(AutoEscape::Html)?;
    let safe = |chart: Option<String>| chart.map(Value::from_safe_string);
    let charts = context! {
        gains => report.metrics.iter().map(|metric| safe(gains(report, metric))).collect::<Vec<_>>(),
        map => safe(map(report)),
        delta => safe(scatter(report, "mean delta of the pairs", |step| step.delta)),
        chosen => safe(scatter(report, "mean score of the chosen answers", |step| step.chosen_score)),
        stopping => safe(stopping(report)),
        training => training(report),
        theory => report.theory.iter().map(theory_charts).collect::<Vec<_>>(),
    };
    let page = context! { report => Value::from(Serde(report)), charts, ..view(report) };
    environment.render_str(include_str!("compare.html.jinja"), page)
}

fn environment(escape: AutoEscape) -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = report_environment(escape)?;
    environment.add_filter("bracketed", |estimate: Serde<Estimate>| {
        bracketed(&estimate)
    });
    environment.add_filter("title", |metric: String| title(&metric).to_owned());
    environment.add_filter("cosine", |value: f64| {
        format!("{value:.4}").replace('-', "−")
    });
    Ok(environment)
}

/// A metric as headings write it.
fn title(metric: &str) -> &str {
    match metric {
        "kl" => "KL from the policy to the reference on the policy’s own answers, nats an answer",
        "kl_per_token" => {
            "KL from the policy to the reference on the policy’s own answers, nats a token"
        }
        other => other,
    }
}

/// Tables that need more than a loop over the report.
fn view(report: &Comparison) -> Value {
    let items = report.bootstrap.iter().flat_map(|b| &b.test_items);
    let mut items: Vec<String> = items.map(|&n| count(n as u64)).collect();
    items.dedup();
    let stopping = report.stopping.iter().enumerate().map(|(at, curve)| {
        context! { arm => &curve.arm, class => CLASSES[at % CLASSES.len()] }
    });
    context! {
        items => items.join(", "),
        stopping => stopping.collect::<Vec<_>>(),
        theory => report.theory.iter().map(theory_table).collect::<Vec<_>>(),
        ..steps_view(&report.steps)
    }
}

/// What the table of one theory artifact says beside the record itself.
fn theory_table(study: &Study) -> Value {
    let flow = |case: &CaseStudy, arm: Arm| {
        let trajectory = case.flow.iter().find(|trajectory| trajectory.arm == arm)?;
        let ends = |point: &Point| format!("{:.4}", point.cosine).replace('-', "−");
        let (best, last) = (ends(&trajectory.best), ends(&trajectory.last));
        Some(format!(
            "{best} ({}) → {last}",
            count(trajectory.best.step as u64)
        ))
    };
    let cases = study.cases.iter().map(|case| {
        context! {
            name => case.case.to_string().replace(',', ", ").replace('-', "−"),
            best => case.closed_form.best_cosine,
            limit => case.closed_form.limit,
            step => format!("{:.1}", case.best_step),
            accuracy_start => case.closed_form.accuracy_start,
            accuracy_best => case.closed_form.accuracy_best,
            arms => Arm::ALL.map(|arm| flow(case, arm)).to_vec(),
            simulations => Value::from(Serde(&case.simulations)),
        }
    });
    context! {
        cases => cases.collect::<Vec<_>>(),
        arms => Arm::ALL.map(Arm::name).to_vec(),
        settings => Value::from(Serde(&study.settings)),
    }
}

/// Differences to the base with their intervals; faint where the interval holds zero.
fn gains(report: &Comparison, metric: &str) -> Option<String> {
    let base = report.base()?;
    let rows: Vec<Dot> = report
        .arms
        .iter()
        .filter_map(|arm| {
            let gain = arm.metric(metric)?.versus_base.as_ref()?;
            let mean = gain.difference.mean?;
            Some(Dot {
                label: arm.arm.clone(),
                class: match mean {
                    _ if DIVERGENCES.contains(&metric) => "student",
                    mean if mean < 0.0 => "weak",
                    _ => "ceiling",
                },
                mean,
                interval: gain.difference.ci95,
                per_seed: gain.difference.per_seed.iter().flatten().copied().collect(),
                text: bracketed(&gain.difference),
                faint: !gain.shown,
            })
        })
        .collect();
    let reference = Reference {
        at: 0.0,
        class: "baseline",
        label: base.arm.clone(),
    };
    let limits = [f64::NEG_INFINITY, f64::INFINITY];
    (!rows.is_empty()).then(|| svg::dots(&rows, &[reference], limits, svg::plain))
}

fn map(report: &Comparison) -> Option<String> {
    let ladder = report.ladder.as_ref()?;
    let cells: Vec<LadderStep> = ladder
        .steps
        .iter()
        .filter(|step| step.chosen.is_some() && (step.rejected.is_some() || !step.preference))
        .cloned()
        .collect();
    let any = cells.iter().any(|step| step.preference);
    any.then(|| heat_map(&ladder.rungs, &cells))
}

/// Gain against a number of the pairs; arms that imitate have their own mark.
fn scatter(
    report: &Comparison,
    x_label: &str,
    x: fn(&LadderStep) -> Option<f64>,
) -> Option<String> {
    let steps = &report.ladder.as_ref()?.steps;
    let line = |preference: bool| Line {
        title: String::new(),
        class: if preference { "student" } else { "baseline" },
        points: steps
            .iter()
            .filter(|step| step.preference == preference)
            .filter_map(|step| {
                Some(Spot {
                    at: [x(step)?, step.gain.mean?],
                    interval: step.gain.ci95,
                    title: format!("{}: {}", step.arm, bracketed(&step.gain)),
                })
            })
            .collect(),
        joined: false,
        mark: if preference { Mark::Dot } else { Mark::Square },
        faint: false,
    };
    let lines = [line(false), line(true)];
    if lines.iter().all(|line| line.points.is_empty()) {
        return None;
    }
    let plot = Plot {
        size: [420.0, 280.0],
        scale: Scale::Linear,
        x_label,
        lines: &lines,
        level: Some((0.0, "no gain")),
        mark: None,
    };
    Some(plot.draw())
}

fn stopping(report: &Comparison) -> Option<String> {
    let lines: Vec<Line> = report
        .stopping
        .iter()
        .enumerate()
        .map(|(at, curve)| Line {
            title: curve.arm.clone(),
            class: CLASSES[at % CLASSES.len()],
            points: curve
                .points
                .iter()
                .filter_map(|point| {
                    let steps = count(point.steps);
                    Some(Spot {
                        at: [point.steps as f64, point.value.mean?],
                        interval: point.value.ci95,
                        title: format!("{}, {steps} steps: {}", curve.arm, bracketed(&point.value)),
                    })
                })
                .collect(),
            joined: true,
            mark: Mark::Dot,
            faint: false,
        })
        .collect();
    let base = report.base().zip(report.metric.as_deref());
    let level = base.and_then(|(base, metric)| {
        let mean = base.metric(metric)?.value.mean?;
        Some((mean, base.arm.as_str()))
    });
    let plot = Plot {
        size: [860.0, 300.0],
        scale: Scale::Linear,
        x_label: "training steps",
        lines: &lines,
        level,
        mark: None,
    };
    (!lines.is_empty()).then(|| plot.draw())
}

/// The charts of every arm that has a log, all seeds in one chart.
fn training(report: &Comparison) -> Vec<Value> {
    let class = |name: &str| {
        if name.ends_with("_chosen") {
            "ceiling"
        } else if name.ends_with("_rejected") {
            "weak"
        } else {
            "training"
        }
    };
    let charts = |logs: &[&TrainingLog]| -> Vec<Value> {
        let panel = |(title, names): &(&str, &[&'static str])| {
            let lines: Vec<Curve<'_>> = names
                .iter()
                .flat_map(|name| logs.iter().map(move |log| (*name, log)))
                .filter_map(|(name, log)| {
                    let points = log.curves.get(name).filter(|points| points.len() > 1)?;
                    Some(Curve {
                        title: format!("{name}, seed {}", log.seed),
                        class: class(name),
                        points,
                    })
                })
                .collect();
            let chart = || Value::from_safe_string(svg::curves(&lines));
            (!lines.is_empty()).then(|| context! { title => *title, chart => chart() })
        };
        PANELS.iter().filter_map(panel).collect()
    };
    let arms = report.arms.iter().filter_map(|arm| {
        let logs: Vec<&TrainingLog> = report
            .training
            .iter()
            .filter(|log| log.arm == arm.arm)
            .collect();
        let charts = charts(&logs);
        let told = told(report, &logs);
        (!charts.is_empty()).then(|| context! { arm => &arm.arm, runs => logs.len(), told, charts })
    });
    arms.collect()
}

/// What the trainings of an arm and the pairs behind them say of themselves, each thing once.
fn told(report: &Comparison, logs: &[&TrainingLog]) -> Vec<String> {
    let step = |artifact: &str| report.steps.iter().find(|step| step.artifact == artifact);
    let mut told = Vec::new();
    for log in logs {
        let Some(training) = step(&log.artifact) else {
            continue;
        };
        let pairs = training.inputs.iter().find(|[name, _]| name == "pairs");
        let pairs = pairs.and_then(|[_, artifact]| step(artifact));
        for (what, step) in [("Training", Some(training)), ("Pairs", pairs)] {
            told.extend(step.map(|step| format!("{what}: {}.", outcome(&step.summary))));
        }
    }
    let mut seen = HashSet::new();
    told.retain(|line| seen.insert(line.clone()));
    told
}

/// One chart a case: training in expectation, thin lines for finite batches, a mark at the best step of the closed form.
fn theory_charts(study: &Study) -> Vec<Value> {
    let chart = |case: &CaseStudy| {
        let line = |trajectory: &Trajectory, seed: Option<u64>| Line {
            title: match seed {
                Some(seed) => format!("{}, batches, seed {seed}", trajectory.arm),
                None => format!("{}, in expectation", trajectory.arm),
            },
            class: arm_class(trajectory.arm),
            points: trajectory
                .points
                .iter()
                .map(|point| Spot::bare(point.step as f64, point.cosine))
                .collect(),
            joined: true,
            mark: Mark::None,
            faint: seed.is_some(),
        };
        let best = |trajectory: &Trajectory| {
            let Point { step, cosine, .. } = trajectory.best;
            let steps = count(step as u64);
            Line {
                title: String::new(),
                class: arm_class(trajectory.arm),
                points: vec![Spot {
                    at: [step as f64, cosine],
                    interval: None,
                    title: format!(
                        "{}: best cosine {} after {steps} steps",
                        trajectory.arm,
                        score(cosine)
                    ),
                }],
                joined: false,
                mark: Mark::Dot,
                faint: false,
            }
        };
        let runs = case
            .sgd
            .iter()
            .map(|run| line(&run.trajectory, Some(run.seed)));
        let flow = case.flow.iter().map(|trajectory| line(trajectory, None));
        let lines: Vec<Line> = runs.chain(flow).chain(case.flow.iter().map(best)).collect();
        let plot = Plot {
            size: [420.0, 270.0],
            scale: Scale::Steps,
            x_label: "steps",
            lines: &lines,
            level: None,
            mark: (case.closed_form.best_time > 0.0).then_some((case.best_step, "t*")),
        };
        context! {
            name => case.case.to_string().replace(',', ", ").replace('-', "−"),
            chart => Value::from_safe_string(plot.draw()),
        }
    };
    study.cases.iter().map(chart).collect()
}

fn arm_class(arm: Arm) -> &'static str {
    match arm {
        Arm::Delta => "student",
        Arm::Sft => "ceiling",
        Arm::Reversed => "weak",
        Arm::Tied => "baseline",
    }
}

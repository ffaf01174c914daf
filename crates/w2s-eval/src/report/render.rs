//! The pages: `report.md` for terminals and pull requests, `report.html` with charts.
//!
//! Both are templates over the [`Report`] with a few filters that write numbers; the charts are drawn here from the same
//! numbers.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, context};
use serde_json::Value as Json;

use super::format::{count, duration, p_value, percent, points, score};
use super::provenance::group;
use super::svg::{self, Bar, Bin, Curve, Dot, Reference};
use super::{ArmResult, Estimate, Report, Role, SplitPlan, StepResult, findings};

pub(super) fn markdown(report: &Report) -> Result<String, minijinja::Error> {
    let environment = environment(AutoEscape::None)?;
    let page = context! { report => Value::from(Serde(report)), ..view(report) };
    environment.render_str(include_str!("report.md.jinja"), page)
}

pub(super) fn html(report: &Report) -> Result<String, minijinja::Error> {
    let environment = environment(AutoEscape::Html)?;
    let charts = context! {
        accuracy => Value::from_safe_string(accuracy_chart(report)),
        pgr => Value::from_safe_string(pgr_chart(report)),
        agreement => Value::from_safe_string(agreement_chart(report)),
        calibration => calibration_charts(report),
        training => training_charts(report),
    };
    let page = context! { report => Value::from(Serde(report)), charts, ..view(report) };
    environment.render_str(include_str!("report.html.jinja"), page)
}

/// The filters and shared parts of every page.
pub(crate) fn environment(escape: AutoEscape) -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(move |_| escape.clone());
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .keep_trailing_newline(true)
        .build()?;
    environment.set_syntax(syntax);
    environment.add_filter("score", |value: Option<f64>| {
        value.map_or("–".to_owned(), score)
    });
    environment.add_filter("percent", |value: Option<f64>| {
        value.map_or("–".to_owned(), percent)
    });
    environment.add_filter("points", |value: Option<f64>| {
        value.map_or("–".to_owned(), points)
    });
    environment.add_filter("p_value", p_value);
    environment.add_filter("count", count);
    environment.add_filter("duration", duration);
    environment.add_filter("estimate", |estimate: Serde<Option<Estimate>>| {
        estimate.as_ref().map_or("–".to_owned(), |estimate| {
            scored(estimate.mean, estimate.ci95)
        })
    });
    environment.add_filter("scores", |values: Vec<Option<f64>>| {
        values
            .into_iter()
            .map(|value| value.map_or("–".to_owned(), score))
            .collect::<Vec<_>>()
            .join(", ")
    });
    environment.add_filter("percents", |values: Vec<Option<f64>>| {
        values
            .into_iter()
            .map(|value| value.map_or("–".to_owned(), percent))
            .collect::<Vec<_>>()
            .join(", ")
    });
    environment.add_filter("interval", |ci: Option<Vec<f64>>| match ci.as_deref() {
        Some([low, high]) => format!("{} to {}", score(*low), score(*high)),
        _ => "–".to_owned(),
    });
    environment.add_filter("points_interval", |ci: Option<Vec<f64>>| {
        match ci.as_deref() {
            Some([low, high]) => format!("{} to {}", points(*low), points(*high)),
            _ => "–".to_owned(),
        }
    });
    environment.add_filter("percent_interval", |ci: Option<Vec<f64>>| {
        match ci.as_deref() {
            Some([low, high]) => findings::percent_range(*low, *high),
            _ => "–".to_owned(),
        }
    });
    environment.add_filter("short", short);
    environment.add_template("style.css", include_str!("style.css"))?;
    environment.add_template("provenance.html", include_str!("provenance.html.jinja"))?;
    environment.add_template("steps.md", include_str!("steps.md.jinja"))?;
    Ok(environment)
}

/// `checkpoint/81be77d0` of a full reference.
fn short(reference: String) -> String {
    match reference.split_once('/') {
        Some((kind, key)) => format!("{kind}/{}", key.get(..8).unwrap_or(key)),
        None => reference.get(..15).unwrap_or(&reference).to_owned(),
    }
}

fn scored(mean: Option<f64>, ci: Option<[f64; 2]>) -> String {
    match (mean, ci) {
        (Some(mean), Some([low, high])) => {
            format!("{} [{}, {}]", score(mean), score(low), score(high))
        }
        (Some(mean), None) => score(mean),
        (None, _) => "–".to_owned(),
    }
}

/// Tables that need more than a loop over the report.
fn view(report: &Report) -> Value {
    let items = &report.bootstrap.test_items;
    let same = items.windows(2).all(|pair| pair[0] == pair[1]);
    let test_items = match items.first() {
        Some(&first) if same => count(first as u64),
        _ => items
            .iter()
            .map(|&n| count(n as u64))
            .collect::<Vec<_>>()
            .join(", "),
    };
    context! {
        test_items,
        weak => Value::from(Serde(report.only(Role::Weak))),
        ceiling => Value::from(Serde(report.only(Role::Ceiling))),
        splits => report.splits.iter().map(split_table).collect::<Vec<_>>(),
        ..steps_view(&report.steps)
    }
}

/// What the provenance section of every page shows.
pub(crate) fn steps_view(steps: &[StepResult]) -> Value {
    context! {
        steps => steps.iter().map(step_row).collect::<Vec<_>>(),
        parameters => parameter_groups(steps),
        total_seconds => steps.iter().map(|step| step.seconds).sum::<f64>(),
    }
}

fn split_table(split: &SplitPlan) -> Value {
    let seeds: Vec<String> = split.seeds.iter().map(u64::to_string).collect();
    let rows: Vec<Value> = ["gold", "transfer", "test"]
        .iter()
        .filter_map(|name| {
            let part = split.plan.get("splits")?.get(name)?;
            let per_class: Vec<String> = part
                .get("per_class")
                .and_then(Json::as_array)
                .map(|classes| classes.iter().filter_map(Json::as_u64).map(count).collect())
                .unwrap_or_default();
            let rows = part.get("rows").and_then(Json::as_u64).unwrap_or(0);
            Some(context! { name => *name, rows, per_class => per_class.join(" / ") })
        })
        .collect();
    let dropped: Vec<String> = split
        .plan
        .get("dropped")
        .and_then(Json::as_object)
        .map(|dropped| {
            let counted = dropped
                .iter()
                .filter_map(|(reason, n)| Some((reason, n.as_u64()?)));
            counted
                .filter(|(_, n)| *n > 0)
                .map(|(reason, n)| format!("{reason} {}", count(n)))
                .collect()
        })
        .unwrap_or_default();
    context! {
        artifact => short(split.artifact.clone()),
        seeds => seeds.join(", "),
        rows,
        source_rows => split.plan.get("source_rows").and_then(Json::as_u64),
        groups => split.plan.get("groups").and_then(Json::as_u64),
        dropped => if dropped.is_empty() { "none".to_owned() } else { dropped.join(", ") },
    }
}

fn step_row(step: &StepResult) -> Value {
    context! {
        step => &step.step,
        operation => &step.operation,
        artifact => short(step.artifact.clone()),
        reference => &step.artifact,
        result => outcome(&step.summary),
        seconds => step.seconds,
        tokens_per_second => step.tokens_per_second.map(|speed| speed.round() as u64),
        cached => step.cached,
        device => &step.device,
        threads => step.threads,
    }
}

/// What a step says about its result, in a few words, and about the rows that it left out or cut and the lengths of sides.
pub(crate) fn outcome(summary: &Json) -> String {
    let number = |name: &str| summary.get(name).and_then(Json::as_f64);
    let whole = |name: &str| summary.get(name).and_then(Json::as_u64);
    let mut said = Vec::new();
    said.extend(number("accuracy").map(|value| format!("accuracy {}", score(value))));
    said.extend(number("final_loss").map(|value| format!("final loss {value:.3}")));
    for (name, unit) in [
        ("rows", "rows"),
        ("pairs", "pairs"),
        ("documents", "documents"),
        ("parameters", "parameters"),
        ("tokens", "tokens"),
    ] {
        if said.len() < 2 {
            said.extend(whole(name).map(|n| format!("{} {unit}", count(n))));
        }
    }
    let mut parts = vec![said.join(", ")];
    parts.extend(left_out(summary));
    let cut = |side: &str| summary.get(side)?.get("truncated")?.as_u64();
    let truncated = whole("truncated")
        .or_else(|| Some(cut("chosen")? + cut("rejected")?))
        .filter(|&n| n > 0);
    parts.extend(truncated.map(|n| format!("{} truncated", count(n))));
    let sides = |chosen, rejected| number(chosen).zip(number(rejected));
    let lengths = sides("tokens_chosen", "tokens_rejected")
        .or_else(|| sides("mean_chosen_length", "mean_rejected_length"));
    let unit = summary.get("length_unit").and_then(Json::as_str);
    let unit = unit.unwrap_or("tokens");
    parts
        .extend(lengths.map(|(chosen, rejected)| {
            format!("chosen {chosen:.1}, rejected {rejected:.1} {unit}")
        }));
    parts.extend(
        number("longer_is_chosen")
            .map(|share| format!("the longer is chosen in {}", percent(share))),
    );
    parts.retain(|part| !part.is_empty());
    parts.join("; ")
}

/// The rows that a step dropped, by the reason where it says one.
fn left_out(summary: &Json) -> Option<String> {
    let mut counts: Vec<(&str, &Json)> = Vec::new();
    for (name, value) in summary.as_object()? {
        let name = name.strip_prefix("pairs_").unwrap_or(name);
        match (name.strip_prefix("dropped"), value) {
            (None, n) if name == "identical" => counts.push((name, n)),
            (None, _) => {}
            (Some(_), Json::Object(reasons)) => {
                counts.extend(reasons.iter().map(|(reason, n)| (&reason[..], n)));
            }
            (Some(reason), n) => counts.push((reason, n)),
        }
    }
    let counts: Vec<String> = counts
        .into_iter()
        .filter_map(|(reason, n)| {
            let n = n.as_u64().filter(|&n| n > 0)?;
            let reason = reason.replace('_', " ");
            Some(format!("{} {}", reason.trim(), count(n)))
        })
        .collect();
    (!counts.is_empty()).then(|| format!("dropped: {}", counts.join(", ").trim()))
}

/// Resolved parameters, one table a step of the recipe; values that differ inside its matrix are listed.
fn parameter_groups(results: &[StepResult]) -> Vec<Value> {
    let mut names: Vec<&str> = Vec::new();
    for step in results {
        if !names.contains(&group(&step.step)) {
            names.push(group(&step.step));
        }
    }
    names
        .into_iter()
        .map(|name| {
            let steps: Vec<&StepResult> = results
                .iter()
                .filter(|step| group(&step.step) == name)
                .collect();
            let keys = steps
                .iter()
                .filter_map(|step| step.parameters.as_object())
                .flat_map(|fields| fields.keys());
            let mut seen: Vec<&String> = Vec::new();
            for key in keys {
                if !seen.contains(&key) {
                    seen.push(key);
                }
            }
            let rows: Vec<Value> = seen
                .into_iter()
                .map(|key| {
                    let mut values: Vec<String> = Vec::new();
                    for step in &steps {
                        let value = step.parameters.get(key).map_or("–".to_owned(), written);
                        if !values.contains(&value) {
                            values.push(value);
                        }
                    }
                    context! { name => key, value => values.join(" | ") }
                })
                .collect();
            context! { name, operation => &steps[0].operation, runs => steps.len(), rows }
        })
        .collect()
}

fn written(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Null => "–".to_owned(),
        other => other.to_string(),
    }
}

fn accuracy_chart(report: &Report) -> String {
    let rows: Vec<Dot> = report
        .arms
        .iter()
        .filter_map(|arm| {
            Some(Dot {
                label: arm.arm.clone(),
                class: arm.role.name(),
                mean: arm.accuracy.mean?,
                interval: arm.accuracy.ci95,
                per_seed: arm.accuracy.per_seed.iter().flatten().copied().collect(),
                text: scored(arm.accuracy.mean, arm.accuracy.ci95),
                faint: false,
            })
        })
        .collect();
    let line = |role: Role, label: &str| {
        let at = report.only(role)?.accuracy.mean?;
        Some(Reference {
            at,
            class: role.name(),
            label: label.to_owned(),
        })
    };
    let references: Vec<Reference> = [line(Role::Weak, "weak"), line(Role::Ceiling, "ceiling")]
        .into_iter()
        .flatten()
        .collect();
    svg::dots(&rows, &references, [0.0, 1.0], |tick| format!("{tick:.2}"))
}

fn pgr_chart(report: &Report) -> String {
    let rows: Vec<Dot> = report
        .pgr
        .iter()
        .filter_map(|pgr| {
            let value = pgr.recovered.value?;
            let range = pgr.recovered.ci95.map_or(String::new(), |[low, high]| {
                format!(" [{}]", findings::percent_range(low, high))
            });
            Some(Dot {
                label: pgr.arm.clone(),
                class: "student",
                mean: value,
                interval: pgr.recovered.ci95,
                per_seed: pgr.recovered.per_seed.iter().flatten().copied().collect(),
                text: format!("{}{range}", percent(value)),
                faint: !pgr.recovered.gap_significant,
            })
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let references = [
        Reference {
            at: 0.0,
            class: "weak",
            label: "0 % = teacher".to_owned(),
        },
        Reference {
            at: 1.0,
            class: "ceiling",
            label: "100 % = ceiling".to_owned(),
        },
    ];
    svg::dots(&rows, &references, [-1.0, 2.0], percent)
}

fn agreement_chart(report: &Report) -> String {
    let groups: Vec<(String, Vec<Bar>)> = report
        .arms
        .iter()
        .filter(|arm| matches!(arm.role, Role::Student | Role::Ceiling))
        .filter_map(|arm| {
            let agreement = arm.agreement.as_ref()?;
            let bar = |estimate: &Estimate, class: &'static str, what: &str| {
                Some(Bar {
                    value: estimate.mean?,
                    interval: estimate.ci95,
                    class,
                    title: format!(
                        "{}, {what}: {} (n = {})",
                        arm.arm,
                        scored(estimate.mean, estimate.ci95),
                        count(estimate.n as u64)
                    ),
                })
            };
            let bars = [
                bar(
                    &agreement.teacher_right,
                    "right",
                    "where the teacher is right",
                ),
                bar(
                    &agreement.teacher_wrong,
                    "wrong",
                    "where the teacher is wrong",
                ),
            ];
            Some((arm.arm.clone(), bars.into_iter().flatten().collect()))
        })
        .collect();
    if groups.is_empty() {
        String::new()
    } else {
        svg::bars(&groups, |value| format!("{value:.2}"))
    }
}

fn calibration_charts(report: &Report) -> Vec<Value> {
    report
        .arms
        .iter()
        .filter(|arm| arm.role != Role::Baseline)
        .map(|arm: &ArmResult| {
            let bins: Vec<Bin> = arm
                .calibration
                .bins
                .iter()
                .filter_map(|bin| Some(Bin { probability: bin.probability?, observed: bin.observed?, n: bin.n }))
                .collect();
            context! { arm => Value::from(Serde(arm)), chart => Value::from_safe_string(svg::reliability(&bins, arm.role.name())) }
        })
        .collect()
}

fn training_charts(report: &Report) -> Vec<Value> {
    let mut names: Vec<&str> = Vec::new();
    for curve in report.training.iter().filter(|curve| curve.loss.len() > 1) {
        if !names.contains(&group(&curve.step)) {
            names.push(group(&curve.step));
        }
    }
    names
        .into_iter()
        .map(|name| {
            let of_group: Vec<_> =
                report.training.iter().filter(|curve| group(&curve.step) == name && curve.loss.len() > 1).collect();
            let lines: Vec<Curve<'_>> =
                of_group.iter().map(|curve| Curve { title: curve.step.clone(), class: "training", points: &curve.loss }).collect();
            let held_out: Vec<Curve<'_>> = of_group
                .iter()
                .filter(|curve| curve.held_out_accuracy.len() > 1)
                .map(|curve| Curve { title: curve.step.clone(), class: "ceiling", points: &curve.held_out_accuracy })
                .collect();
            context! {
                name,
                runs => of_group.len(),
                chart => Value::from_safe_string(svg::curves(&lines)),
                held_out => (!held_out.is_empty()).then(|| Value::from_safe_string(svg::curves(&held_out))),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_step_says_what_it_left_out_and_how_long_its_sides_are() {
        let training = json!({
            "pairs": 1980, "pairs_dropped": 20, "pairs_identical": 18,
            "chosen": {"kept": 1998, "truncated": 1}, "rejected": {"kept": 1998, "truncated": 2},
            "tokens_chosen": 8.2, "tokens_rejected": 7.5, "steps": 62, "tokens": 40000, "final_loss": 0.5,
        });
        assert_eq!(
            outcome(&training),
            "final loss 0.500, 1,980 pairs; dropped: 20, identical 18; 3 truncated; chosen 8.2, rejected 7.5 tokens"
        );
        let pairs = json!({
            "rows": 20, "dropped": {"tied": 0}, "length_unit": "characters", "mean_chosen_length": 40.0,
            "mean_rejected_length": 38.0, "longer_is_chosen": 0.55,
        });
        assert_eq!(
            outcome(&pairs),
            "20 rows; chosen 40.0, rejected 38.0 characters; the longer is chosen in 55 %"
        );
        assert_eq!(
            outcome(&json!({"rows": 7, "dropped": 5, "truncated": 0})),
            "7 rows; dropped: 5"
        );
        assert_eq!(
            outcome(&json!({"rows": 7, "dropped_too_long": 5})),
            "7 rows; dropped: too long 5"
        );
    }
}

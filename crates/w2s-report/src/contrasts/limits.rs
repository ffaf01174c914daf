//! What limits a result, whatever was compared.

use serde_json::Value;
use w2s_artifact::Role;

use super::Page;
use super::recovered::scored;
use crate::analysis::Analysis;
use crate::format::{Unit, count, list, score};
use crate::provenance::StepResult;

/// Below this many test items the standard error at one half is above 3.5 points.
const FEW_ITEMS: usize = 200;

/// Warnings about roles that are missing, trivial classifiers that are as good, and too little to count.
pub(crate) fn warnings(analysis: &Analysis<'_>, page: &mut Page) {
    let experiment = analysis.experiment;
    for (role, name) in [
        (Role::Teacher, "weak teacher"),
        (Role::Ceiling, "strong ceiling"),
    ] {
        if !experiment.classifies() {
            continue;
        }
        if !experiment.has(role) {
            page.warning(format!(
                "there is no {name} among the predictions, so there is no PGR"
            ));
        }
        for at in experiment.of_role(role) {
            if let Some(warning) = no_better_than_trivial(analysis, at, name) {
                page.warning(warning);
            }
        }
    }
    // Where students stand between a teacher and a ceiling, nobody asks for differences to a base.
    let gap = experiment.has(Role::Teacher) && experiment.has(Role::Ceiling);
    if !experiment.classifies() && !experiment.has(Role::Base) && !gap {
        page.warning("no arm has the role `base`, so there are no differences to one".to_owned());
    }
    for arm in &experiment.arms {
        let (items, original) = (arm.items(), arm.total(|run| run.items_original));
        if original > items {
            let (name, lost, original) = (&arm.name, count(original - items), count(original));
            page.warning(format!(
                "arm {name}: {lost} of {original} items have no score"
            ));
        }
    }
    for caution in analysis.design.cautions() {
        page.warning(caution);
    }
    let fewest = experiment.items.iter().map(Vec::len).min().unwrap_or(0);
    if fewest < FEW_ITEMS {
        let error = Unit::Points.write(0.5 / (fewest.max(1) as f64).sqrt());
        page.warning(match experiment.classifies() {
            true => format!(
                "{fewest} test items a seed: the standard error of an accuracy near one half is {error} points"
            ),
            false => format!("{fewest} items a seed: small differences cannot show"),
        });
    }
}

/// What a teacher or a ceiling does not beat.
fn no_better_than_trivial(analysis: &Analysis<'_>, at: usize, what: &str) -> Option<String> {
    let experiment = analysis.experiment;
    let name = |at: usize| experiment.name(at);
    let accuracy = |at: usize| Some((at, analysis.estimate(at, "accuracy")?));
    let (_, own) = accuracy(at)?;
    let baselines: Vec<_> = experiment
        .of_role(Role::Baseline)
        .filter_map(accuracy)
        .collect();
    let majority = baselines
        .iter()
        .find(|(at, _)| name(*at) == "majority-class");
    let majority = majority.and_then(|(_, majority)| majority.mean);
    let chance = 1.0 / experiment.classes.len().max(1) as f64;
    let floor = majority.map_or(chance, |share| share.max(chance));
    let (arm, reached) = (name(at), score(own.mean.unwrap_or_default()));
    if own.ci95.is_some_and(|[low, _]| low <= floor) {
        let floor = score(floor);
        return Some(format!(
            "the {what} `{arm}` is not clearly above always answering one class ({floor})"
        ));
    }
    let better = baselines
        .iter()
        .filter(|(_, baseline)| baseline.mean >= own.mean);
    let better = list(better.map(|(at, baseline)| scored(name(*at), baseline)));
    (!better.is_empty()).then(|| {
        format!("the {what} `{arm}` ({reached}) does not beat a trivial classifier: {better}")
    })
}

/// One warning for each use of gold labels that a real run would not have; such parameters are named `oracle-…` everywhere.
pub(crate) fn oracle_options(steps: &[StepResult], page: &mut Page) {
    for step in steps {
        for (name, value) in step.parameters.as_object().into_iter().flatten() {
            if name.starts_with("oracle") && !matches!(value, Value::Null | Value::Bool(false)) {
                let step = &step.step;
                page.warning(format!(
                    "step {step} uses `{name}`, which looks at gold labels that a real run would not have"
                ));
            }
        }
    }
}

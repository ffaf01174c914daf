//! What limits a result, whatever was compared.

use serde_json::Value;
use w2s_artifact::Role;

use super::Page;
use super::recovered::scored;
use crate::analysis::Analysis;
use crate::format::{count, list, points, score};
use crate::provenance::StepResult;

/// Below this many test items the standard error at one half is above 3.5 points.
const FEW_ITEMS: usize = 200;

/// Warnings about roles that are missing, trivial classifiers that are as good, and too little to count.
pub(crate) fn warnings(analysis: &Analysis<'_>, page: &mut Page) {
    let experiment = analysis.experiment;
    if experiment.classifies() {
        for (role, name) in [
            (Role::Teacher, "weak teacher"),
            (Role::Ceiling, "strong ceiling"),
        ] {
            if experiment.of_role(role).next().is_none() {
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
    } else if experiment.of_role(Role::Base).next().is_none() {
        page.warning("no arm has the role `base`, so there are no differences to one".to_owned());
    }
    for arm in &experiment.arms {
        let runs = arm.own_runs();
        let original: usize = runs.iter().map(|run| run.items_original).sum();
        let dropped = original.saturating_sub(arm.items());
        if dropped > 0 {
            page.warning(format!(
                "arm {}: {} of {} items have no score",
                arm.name,
                count(dropped as u64),
                count(original as u64)
            ));
        }
    }
    for caution in analysis.design.cautions() {
        page.warning(caution);
    }
    let fewest = experiment.items.iter().map(Vec::len).min().unwrap_or(0);
    if fewest < FEW_ITEMS {
        let fewest_items = count(fewest as u64);
        page.warning(match experiment.classifies() {
            true => format!(
                "{fewest_items} test items a seed: the standard error of an accuracy near one half is {} points",
                points(0.5 / (fewest.max(1) as f64).sqrt())
            ),
            false => format!("{fewest_items} items a seed: small differences cannot show"),
        });
    }
}

/// What a teacher or a ceiling does not beat.
fn no_better_than_trivial(analysis: &Analysis<'_>, at: usize, what: &str) -> Option<String> {
    let experiment = analysis.experiment;
    let name = &experiment.arms[at].name;
    let accuracy = |at: usize| analysis.estimate(at, "accuracy");
    let own = accuracy(at)?;
    let chance = 1.0 / experiment.classes.len().max(1) as f64;
    let baselines: Vec<(usize, _)> = experiment
        .of_role(Role::Baseline)
        .filter_map(|at| Some((at, accuracy(at)?)))
        .collect();
    let majority = baselines
        .iter()
        .find(|(at, _)| experiment.arms[*at].name == "majority-class");
    let floor = majority
        .and_then(|(_, majority)| majority.mean)
        .map_or(chance, |share| share.max(chance));
    if own.ci95.is_some_and(|[low, _]| low <= floor) {
        return Some(format!(
            "the {what} `{name}` is not clearly above always answering one class ({})",
            score(floor)
        ));
    }
    let better: Vec<String> = baselines
        .iter()
        .filter(|(_, baseline)| baseline.mean >= own.mean)
        .map(|(at, baseline)| scored(&experiment.arms[*at].name, baseline))
        .collect();
    (!better.is_empty()).then(|| {
        format!(
            "the {what} `{name}` ({}) does not beat a trivial classifier: {}",
            score(own.mean.unwrap_or_default()),
            list(&better)
        )
    })
}

/// One warning for each use of gold labels that a real run would not have; such parameters are named `oracle-…` everywhere.
pub(crate) fn oracle_options(steps: &[StepResult]) -> Vec<String> {
    let unset = |value: &Value| matches!(value, Value::Null | Value::Bool(false));
    let mut warnings = Vec::new();
    for step in steps {
        for (name, value) in step.parameters.as_object().into_iter().flatten() {
            if name.starts_with("oracle") && !unset(value) {
                warnings.push(format!(
                    "step {} uses `{name}`, which looks at gold labels that a real run would not have",
                    step.step
                ));
            }
        }
    }
    warnings
}

//! What was found, in words: the headline, and the warnings a reader needs before quoting a number.

use serde_json::Value;

use super::format::{count, list, percent, points, score};
use super::{ArmResult, Estimate, Report, Role, StepResult};

/// Below this many test items the standard error at one half is above 3.5 points.
pub(crate) const FEW_ITEMS: usize = 200;

/// The result in a sentence or two.
pub(super) fn headline(report: &Report) -> String {
    let students: Vec<&ArmResult> = report
        .arms
        .iter()
        .filter(|arm| arm.role == Role::Student)
        .collect();
    let (Some(weak), Some(ceiling), Some(gap)) = (
        report.only(Role::Weak),
        report.only(Role::Ceiling),
        &report.gap,
    ) else {
        let missing = if report.only(Role::Weak).is_none() {
            "weak teacher"
        } else {
            "strong ceiling"
        };
        let arms: Vec<String> = report
            .arms
            .iter()
            .filter(|arm| arm.role != Role::Baseline)
            .map(|arm| scored(&arm.arm, &arm.accuracy))
            .collect();
        return format!(
            "There is no {missing}, so no gap to recover: {}.",
            list(&arms)
        );
    };
    let (weak_score, ceiling_score) = (
        weak.accuracy.mean.unwrap_or_default(),
        ceiling.accuracy.mean.unwrap_or_default(),
    );
    let between = format!(
        "between the weak teacher (accuracy {}) and the strong ceiling ({})",
        score(weak_score),
        score(ceiling_score)
    );
    let interval = gap.ci95.map_or(String::new(), |[low, high]| {
        format!(" (95 % interval {} to {})", points(low), points(high))
    });
    if gap.mean <= 0.0 {
        return format!(
            "The strong ceiling (accuracy {}) is not above the weak teacher ({}), so there is no gap to recover and no PGR.",
            score(ceiling_score),
            score(weak_score)
        );
    }
    if !gap.significant {
        return format!(
            "The gap of {} points{interval} {between} is not significant, so no recovered share is quoted.",
            points(gap.mean)
        );
    }
    if students.is_empty() {
        return format!(
            "The gap {between} is {} points{interval}; no student was evaluated.",
            points(gap.mean)
        );
    }
    let mut shares = Vec::new();
    let (mut unproven, mut worse) = (Vec::new(), Vec::new());
    for pgr in &report.pgr {
        let (Some(value), Some([low, high])) = (pgr.recovered.value, pgr.recovered.ci95) else {
            continue;
        };
        let name = &pgr.arm;
        let (verb, label) = if shares.is_empty() {
            (" recovers", "95 % interval ")
        } else {
            ("", "")
        };
        shares.push(format!(
            "{name}{verb} {} ({label}{})",
            percent(value),
            percent_range(low, high)
        ));
        if high < 0.0 {
            worse.push(name.clone());
        } else if low <= 0.0 {
            unproven.push(name.clone());
        }
    }
    let mut text = format!(
        "Of the {}-point gap {between}, {}.",
        points(gap.mean),
        list(&shares)
    );
    match &unproven[..] {
        [] => {}
        [name] => {
            text +=
                &format!(" The interval of {name} holds zero: it is not shown to beat the teacher.")
        }
        names => {
            text += &format!(
                " The intervals of {} hold zero: they are not shown to beat the teacher.",
                list(names)
            )
        }
    }
    if !worse.is_empty() {
        let verb = if worse.len() == 1 { "ends" } else { "end" };
        text += &format!(" {} {verb} below the teacher.", list(&worse));
    }
    text
}

/// "20 to 70 %".
pub(super) fn percent_range(low: f64, high: f64) -> String {
    let bare = |value: f64| percent(value).trim_end_matches(" %").to_owned();
    format!("{} to {} %", bare(low), bare(high))
}

fn scored(name: &str, accuracy: &Estimate) -> String {
    let mean = accuracy.mean.map_or("unknown".to_owned(), score);
    match accuracy.ci95 {
        Some([low, high]) => format!(
            "{name} {mean} (95 % interval {} to {})",
            score(low),
            score(high)
        ),
        None => format!("{name} {mean}"),
    }
}

/// What limits the result, most serious first.
pub(super) fn warnings(report: &Report) -> Vec<String> {
    let mut warnings = Vec::new();
    let (weak, ceiling) = (report.only(Role::Weak), report.only(Role::Ceiling));
    for (arm, role) in [(weak, "weak teacher"), (ceiling, "strong ceiling")] {
        if arm.is_none() {
            warnings.push(format!(
                "there is no {role} among the predictions, so there is no PGR"
            ));
        }
    }
    if let Some(gap) = &report.gap {
        if gap.mean <= 0.0 {
            warnings.push(
                "the strong ceiling is not above the weak teacher: PGR is undefined".to_owned(),
            );
        } else if !gap.significant {
            warnings.push(
                "gap not significant: the 95 % interval of ceiling - weak holds zero, so the PGR values are ratios of noise"
                    .to_owned(),
            );
        }
        let seeds: Vec<String> = report
            .seeds
            .iter()
            .zip(&gap.per_seed)
            .filter(|(_, gap)| gap.is_some_and(|gap| gap <= 0.0))
            .map(|(seed, _)| seed.to_string())
            .collect();
        if gap.mean > 0.0 && !seeds.is_empty() {
            let plural = if seeds.len() == 1 { "seed" } else { "seeds" };
            warnings.push(format!(
                "{plural} {}: the ceiling is not above the teacher, so no PGR there",
                list(&seeds)
            ));
        }
    }
    if let Some(weak) = weak {
        at_chance(report, weak, &mut warnings);
    }
    let [n_seeds, fewest] = [
        report.seeds.len(),
        report
            .bootstrap
            .test_items
            .iter()
            .copied()
            .min()
            .unwrap_or(0),
    ];
    if n_seeds == 1 {
        warnings
            .push("single seed: the intervals hold nothing of the spread between seeds".to_owned());
    } else if n_seeds == 2 {
        warnings.push("two seeds: the intervals say little about the spread between seeds; three is the usual minimum".to_owned());
    }
    if fewest < FEW_ITEMS {
        warnings.push(format!(
            "{} test items a seed: the standard error of an accuracy near one half is {} points",
            count(fewest as u64),
            points(0.5 / (fewest.max(1) as f64).sqrt())
        ));
    }
    for pgr in report
        .pgr
        .iter()
        .filter(|pgr| pgr.recovered.value.is_some() && pgr.recovered.undefined_draws > 0)
    {
        warnings.push(format!(
            "the PGR interval of {} leaves out {} of {} draws, in which the ceiling is not above the teacher",
            pgr.arm,
            count(pgr.recovered.undefined_draws as u64),
            count(report.bootstrap.draws as u64)
        ));
    }
    warnings.extend(oracle_warnings(&report.steps));
    warnings
}

/// One warning for each use of gold labels that a real run would not have.
pub(crate) fn oracle_warnings(steps: &[StepResult]) -> Vec<String> {
    let mut warnings = Vec::new();
    for step in steps {
        for (name, _) in oracle_options(&step.parameters) {
            warnings.push(format!(
                "step {} uses `{name}`, which looks at gold labels that a real run would not have",
                step.step
            ));
        }
    }
    warnings
}

fn at_chance(report: &Report, weak: &ArmResult, warnings: &mut Vec<String>) {
    let Some([low, _]) = weak.accuracy.ci95 else {
        return;
    };
    let chance = 1.0 / report.classes.len().max(1) as f64;
    let floor = report
        .arms
        .iter()
        .find(|arm| arm.role == Role::Baseline && arm.arm == "majority-class")
        .and_then(|arm| arm.accuracy.mean)
        .map_or(chance, |majority| majority.max(chance));
    if low <= floor {
        warnings.push(format!(
            "the weak teacher is not clearly above always answering one class ({})",
            score(floor)
        ));
        return;
    }
    let better: Vec<String> = report
        .arms
        .iter()
        .filter(|arm| arm.role == Role::Baseline && arm.accuracy.mean >= weak.accuracy.mean)
        .map(|arm| scored(&arm.arm, &arm.accuracy))
        .collect();
    if !better.is_empty() {
        warnings.push(format!(
            "the weak teacher ({}) does not beat a trivial classifier: {}",
            score(weak.accuracy.mean.unwrap_or_default()),
            list(&better)
        ));
    }
}

/// Parameters that let a step see gold labels; they are named `oracle-...` everywhere.
fn oracle_options(parameters: &Value) -> Vec<(&String, &Value)> {
    let unset = |value: &Value| matches!(value, Value::Null | Value::Bool(false));
    parameters.as_object().map_or_else(Vec::new, |fields| {
        fields
            .iter()
            .filter(|(name, value)| name.starts_with("oracle") && !unset(value))
            .collect()
    })
}

//! What the models behind the arms were trained on, with which settings, and how their training went.

use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use serde_json::Value;
use w2s_artifact::summary::{PairsSummary, TRAINING_LOG, TrainingLogLine, TrainingSummary};
use w2s_artifact::{ArtifactRef, Kind, Manifest};
use w2s_stats::metrics;

use super::Page;
use crate::experiment::{Arm, Experiment};
use crate::format::{count, list, score};
use crate::lineage::{Lineage, artifacts};
use crate::provenance::{name, outcome, written};
use crate::section::{Cell, Chart, Drawing, Line, Plot, Section, Size, Table, Tone};

/// Logged steps at the end of training whose mean displacement is judged.
const LAST_STEPS: usize = 10;
/// Nats a token that both answers must have lost before the displacement is an alarm.
const ALARM: f64 = -0.05;
/// Points of a curve; longer logs are averaged over neighbours.
const CURVE_POINTS: usize = 240;
/// Charts of one run, each with the columns of the log that it shows. The column `kl` is Schulman's third estimator on the
/// answers of the pairs: how far the policy has moved on what it is shown, not how far its own answers are from the
/// reference.
const PANELS: [(&str, &[&str]); 10] = [
    ("loss", &["loss"]),
    ("held-out score", &["held_out"]),
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
/// Parameters that tell runs of one arm apart, or where to find things, and not how it was trained.
const NO_SETTING: [&str; 1] = ["seed"];

/// What an arm was trained on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lesson {
    /// The operation: `prefer`, `sft`, `classify`, ...
    pub(super) method: String,
    /// How the pairs were made: `order`, `score`, `reversed`, `tied`, ...
    pub(super) rule: Option<String>,
    /// Name of the score behind the next two.
    pub(super) score: Option<String>,
    /// Mean score of the chosen minus that of the rejected answers, over all seeds.
    pub(super) mean_delta: Option<f64>,
    /// Mean score of the chosen answers, or of the rejected ones where those are imitated, over all seeds.
    pub(super) mean_chosen_score: Option<f64>,
}

impl Lesson {
    /// Whether it learnt to repeat answers, not which of two is better.
    pub(super) fn imitates(&self) -> bool {
        self.method == "sft"
    }

    /// "prefer on score pairs".
    pub(super) fn told(&self) -> String {
        match &self.rule {
            Some(rule) => format!("{} on {rule} pairs", self.method),
            None => self.method.clone(),
        }
    }
}

/// The log of one run.
struct Log {
    arm: String,
    seed: u64,
    /// Points of each column, thinned for drawing.
    curves: BTreeMap<String, Vec<[f64; 2]>>,
    /// Mean log-probability that chosen and rejected answers have gained since the reference at the end of training.
    displacement: Option<[f64; 2]>,
}

/// The models behind an experiment.
pub(crate) struct Models<'a> {
    experiment: &'a Experiment,
    lineage: &'a Lineage<'a>,
    lessons: Vec<Option<Lesson>>,
    logs: Vec<Log>,
    unreadable: Vec<String>,
}

impl<'a> Models<'a> {
    pub(crate) fn new(experiment: &'a Experiment, lineage: &'a Lineage<'a>) -> Self {
        let mut models = Self {
            experiment,
            lineage,
            lessons: Vec::new(),
            logs: Vec::new(),
            unreadable: Vec::new(),
        };
        models.lessons = experiment.arms.iter().map(|arm| models.learnt(arm)).collect();
        models.read_logs();
        models
    }

    pub(super) fn lesson(&self, arm: usize) -> Option<&Lesson> {
        self.lessons[arm].as_ref()
    }

    fn manifests(&self, arm: &Arm) -> Option<Vec<Rc<Manifest>>> {
        let runs = arm.own_runs().iter();
        runs.map(|run| self.lineage.manifest(run.model?)).collect()
    }

    fn learnt(&self, arm: &Arm) -> Option<Lesson> {
        let models = self.manifests(arm)?;
        let method = models.first().filter(|model| model.stage != "base")?.operation.clone();
        let mut lesson = Lesson {
            method,
            rule: None,
            score: None,
            mean_delta: None,
            mean_chosen_score: None,
        };
        let (mut deltas, mut scores) = (Vec::new(), Vec::new());
        for model in &models {
            let pairs = model.input("pairs").and_then(|pairs| self.lineage.manifest(pairs));
            let Some(pairs) = pairs.and_then(|pairs| pairs.summary::<PairsSummary>().ok()) else {
                continue;
            };
            let imitated = match model.parameters["side"].as_str() {
                Some("rejected") => pairs.mean_rejected_score,
                _ => pairs.mean_chosen_score,
            };
            deltas.extend(pairs.mean_delta);
            scores.extend(imitated);
            (lesson.rule, lesson.score) = (pairs.rule, pairs.score);
        }
        lesson.mean_delta = metrics::mean(&deltas);
        lesson.mean_chosen_score = metrics::mean(&scores);
        Some(lesson)
    }

    /// The steps that the models of an arm have taken, a number for each of its own runs; none where one does not tell.
    pub(super) fn steps(&self, arm: &Arm) -> Option<Vec<u64>> {
        let models = self.manifests(arm)?.into_iter();
        let steps = models.map(|model| Some(model.summary::<TrainingSummary>().ok()?.fit.steps as u64));
        steps.collect()
    }

    /// The logs of the models behind the arms, and of what these were made from.
    fn read_logs(&mut self) {
        let mut seen: HashSet<ArtifactRef> = HashSet::new();
        let mut behind = Vec::new();
        for arm in &self.experiment.arms {
            for run in arm.own_runs() {
                if let Some(model) = run.model.filter(|model| seen.insert(*model)) {
                    self.read_log(model, &arm.name, run.seed);
                    behind.push(model);
                }
            }
        }
        while let Some(next) = behind.pop() {
            let Some(manifest) = self.lineage.manifest(next) else { continue };
            for input in artifacts(&manifest).filter(|input| seen.insert(*input)) {
                behind.push(input);
                if let Some(made) = self.lineage.manifest(input).filter(|made| made.kind == Kind::Checkpoint) {
                    let seed = made.parameters["seed"].as_u64().unwrap_or_default();
                    self.read_log(input, &without_seed(&name(&made)), seed);
                }
            }
        }
    }

    fn read_log(&mut self, model: ArtifactRef, arm: &str, seed: u64) {
        let Some(manifest) = self.lineage.manifest(model) else { return };
        if !manifest.files.iter().any(|file| file.name == TRAINING_LOG) {
            return;
        }
        let path = self.lineage.store().artifact_dir(&model).join(TRAINING_LOG);
        match std::fs::read_to_string(path).map_err(|e| e.to_string()).and_then(|text| curves(&text)) {
            Ok(curves) => self.logs.push(Log::new(arm, seed, curves)),
            Err(reason) => self.unreadable.push(format!(
                "the training log of {arm} ({}) cannot be read: {reason}",
                model.short()
            )),
        }
    }

    /// Settings of every arm, curves of every training, and a warning for each arm in which chosen and rejected answers both
    /// lost probability.
    pub(crate) fn section(&self, page: &mut Page) {
        for clause in &self.unreadable {
            page.warning(clause.clone());
        }
        self.displaced(page);
        let mut section = Section::new("training", "Training", "");
        let (table, shared) = self.settings();
        if !table.rows.is_empty() {
            section.text = shared.into_iter().collect();
            section.tables.push(table);
        }
        section.charts = self.charts();
        if section.charts.iter().any(|chart| !chart.group.is_empty()) {
            section.text.push("Curves: one line a seed. Rewards are in the units that the loss sees; displacement is the mean log-probability that answers have gained since the reference. The panel k3 is Schulman’s third estimate of the divergence from the reference on the pairs’ answers: how far the policy has moved on what it was shown, not how far its own answers have.".to_owned());
        } else if !section.charts.is_empty() {
            section.text.push("Curves over optimisation steps, one line a seed.".to_owned());
        }
        if !section.charts.is_empty() || !section.tables.is_empty() {
            page.section(section);
        }
    }

    /// A row an arm with the settings in which trainings differ, and a sentence with those that all of them share.
    fn settings(&self) -> (Table, Option<String>) {
        let mut table = Table::new(
            "settings",
            &["arm|Arm", "operation|Trained by", "result|Result", "settings|Its own settings"],
        );
        let mut trained: Vec<(&Arm, Vec<Rc<Manifest>>)> = Vec::new();
        for arm in &self.experiment.arms {
            let models = self.manifests(arm).filter(|models| !models.is_empty());
            trained.extend(models.map(|models| (arm, models)));
        }
        let settings = |models: &[Rc<Manifest>]| -> BTreeMap<String, String> {
            let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for (key, value) in models.iter().flat_map(|model| model.parameters.as_object().into_iter().flatten()) {
                let unset = matches!(value, Value::Null | Value::Bool(false));
                let value = written(value);
                let known = values.entry(key.replace('_', "-")).or_default();
                if !unset && !known.contains(&value) {
                    known.push(value);
                }
            }
            values.retain(|key, values| !values.is_empty() && !NO_SETTING.contains(&&key[..]));
            values.into_iter().map(|(key, values)| (key, values.join(" | "))).collect()
        };
        let all: Vec<BTreeMap<String, String>> = trained.iter().map(|(_, models)| settings(models)).collect();
        let shared = |key: &String, value: &String| all.iter().all(|own| own.get(key) == Some(value));
        let told = |settings: Vec<(&String, &String)>| {
            let settings: Vec<String> = settings.into_iter().map(|(key, value)| format!("{key} {value}")).collect();
            settings.join(", ")
        };
        for ((arm, models), own) in trained.iter().zip(&all) {
            let own = own.iter().filter(|(key, value)| all.len() == 1 || !shared(key, value));
            table.push(
                Some(arm.role),
                vec![
                    Cell::text(&arm.name),
                    Cell::text(format!("{} {}", models[0].stage, models[0].operation)),
                    Cell::text(self.told(models)),
                    Cell::text(told(own.collect())),
                ],
                models.iter().map(|model| model.reference()),
            );
        }
        let common = all.first().filter(|_| all.len() > 1).map(|first| {
            told(first.iter().filter(|(key, value)| shared(key, value)).collect())
        });
        let common = common.filter(|common| !common.is_empty());
        (table, common.map(|common| format!("All trainings share: {common}.")))
    }

    /// What the trainings of an arm and the pairs behind them say of themselves, each thing once.
    fn told(&self, models: &[Rc<Manifest>]) -> String {
        let mut told: Vec<String> = Vec::new();
        for model in models {
            let pairs = model.input("pairs").and_then(|pairs| self.lineage.manifest(pairs));
            let said = [Some(outcome(model)), pairs.map(|pairs| format!("pairs: {}", outcome(&pairs)))];
            for line in said.into_iter().flatten() {
                if !line.is_empty() && !told.contains(&line) {
                    told.push(line);
                }
            }
        }
        told.join("\n")
    }

    fn charts(&self) -> Vec<Chart> {
        let mut names: Vec<&str> = Vec::new();
        for log in &self.logs {
            if !names.contains(&&log.arm[..]) {
                names.push(&log.arm);
            }
        }
        let mut charts = Vec::new();
        for arm in names {
            let logs: Vec<&Log> = self.logs.iter().filter(|log| log.arm == arm).collect();
            let pairs = logs.iter().any(|log| log.curves.contains_key("rewards_margin"));
            let runs = match logs.len() {
                1 => "1 run".to_owned(),
                runs => format!("{runs} runs"),
            };
            for (title, columns) in PANELS {
                // Of a training that compares nothing, the loss and the held-out score tell enough.
                if !pairs && !matches!(columns, ["loss"] | ["held_out"]) {
                    continue;
                }
                let lines: Vec<Line> = columns
                    .iter()
                    .flat_map(|column| logs.iter().map(move |log| (*column, log)))
                    .filter_map(|(column, log)| {
                        let points = log.curves.get(column).filter(|points| points.len() > 1)?;
                        let title = format!("{}, seed {}", column.replace('_', " "), log.seed);
                        Some(Line::curve(title, tone(column), points))
                    })
                    .collect();
                if lines.is_empty() {
                    continue;
                }
                let plot = Drawing::Plot(Plot::new(Size::Small, "steps", lines));
                charts.push(match pairs {
                    true => Chart::new(title, plot).grouped(format!("{arm}, {runs}")).legend(&[
                        (Tone::Ceiling, "chosen"),
                        (Tone::Teacher, "rejected"),
                        (Tone::Student, "neither"),
                    ]),
                    false => Chart::new(format!("{arm}: {title}, {runs}"), plot),
                });
            }
        }
        charts
    }

    fn displaced(&self, page: &mut Page) {
        for arm in &self.experiment.arms {
            let logs = self.logs.iter().filter(|log| log.arm == arm.name);
            let runs: Vec<String> = logs
                .filter_map(|log| Some((log.seed, log.displacement?)))
                .filter(|(_, sides)| sides.iter().all(|side| *side < ALARM))
                .map(|(seed, [chosen, rejected])| {
                    format!("{} and {} with seed {seed}", score(chosen), score(rejected))
                })
                .collect();
            if !runs.is_empty() {
                page.warning(format!(
                    "arm {}: the chosen and the rejected answers both lost probability, in nats a token: {}",
                    arm.name,
                    list(&runs)
                ));
            }
        }
    }
}

impl Log {
    fn new(arm: &str, seed: u64, mut curves: BTreeMap<String, Vec<[f64; 2]>>) -> Self {
        let end = |name: &str| {
            let curve = curves.get(name)?;
            let last: Vec<f64> = curve.iter().rev().take(LAST_STEPS).map(|point| point[1]).collect();
            metrics::mean(&last)
        };
        let displacement = end("displacement_chosen").zip(end("displacement_rejected"));
        for points in curves.values_mut() {
            *points = thin(points);
        }
        Self {
            arm: arm.to_owned(),
            seed,
            curves,
            displacement: displacement.map(|(chosen, rejected)| [chosen, rejected]),
        }
    }
}

/// The columns of a training log.
fn curves(text: &str) -> Result<BTreeMap<String, Vec<[f64; 2]>>, String> {
    let mut curves: BTreeMap<String, Vec<[f64; 2]>> = BTreeMap::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let line: TrainingLogLine =
            serde_json::from_str(line).map_err(|error| format!("line {}: {error}", at + 1))?;
        let mut add = |name: &str, value: f64| {
            let points = curves.entry(name.to_owned()).or_default();
            points.push([line.step as f64, value]);
        };
        add("loss", line.loss);
        add("grad_norm", line.grad_norm);
        if let Some(score) = line.held_out {
            add("held_out", score);
        }
        for (name, value) in &line.more {
            add(name, *value);
        }
    }
    Ok(curves)
}

/// Averages neighbouring points until at most [`CURVE_POINTS`] are left.
fn thin(points: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let size = points.len().div_ceil(CURVE_POINTS).max(1);
    let mean = |chunk: &[[f64; 2]], at: usize| {
        chunk.iter().map(|point| point[at]).sum::<f64>() / chunk.len() as f64
    };
    points.chunks(size).map(|chunk| [mean(chunk, 0), mean(chunk, 1)]).collect()
}

fn tone(column: &str) -> Tone {
    if column.ends_with("_chosen") || column == "held_out" {
        Tone::Ceiling
    } else if column.ends_with("_rejected") {
        Tone::Teacher
    } else {
        Tone::Student
    }
}

/// `student[arm=naive]` of `student[arm=naive,seed=0]`: runs that differ in more than the seed have panels of their own.
fn without_seed(step: &str) -> String {
    let Some((name, point)) = step.trim_end_matches(']').split_once('[') else {
        return step.to_owned();
    };
    let axes = point.split(',').map(str::trim).filter(|axis| !axis.starts_with("seed="));
    match axes.collect::<Vec<_>>()[..] {
        [] => name.to_owned(),
        ref axes => format!("{name}[{}]", axes.join(",")),
    }
}

/// A warning where models were not trained for the steps that their tag says.
pub(super) fn other_steps(arm: &str, meant: u64, taken: &[u64]) -> Option<String> {
    let (fewest, most) = (taken.iter().min()?, taken.iter().max()?);
    if (*fewest, *most) == (meant, meant) {
        return None;
    }
    let range = match fewest == most {
        true => count(*most),
        false => format!("{} to {}", count(*fewest), count(*most)),
    };
    let why = if *fewest < meant { ": the data ended earlier" } else { "" };
    Some(format!("arm {arm}: the tag says {} steps, training took {range}{why}", count(meant)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_curves_are_averaged() {
        let points: Vec<[f64; 2]> = (0..960).map(|step| [f64::from(step), f64::from(step % 4)]).collect();
        let thinned = thin(&points);
        assert_eq!(thinned.len(), 240);
        // Steps 0 to 3 with values 0 to 3.
        assert_eq!(thinned[0], [1.5, 1.5]);
        assert_eq!(thin(&points[..10]), &points[..10]);
        assert!(thin(&[]).is_empty());
    }

    #[test]
    fn a_log_becomes_curves_and_a_displacement() {
        let text: String = (1..=12)
            .map(|step| {
                let line = TrainingLogLine {
                    step,
                    loss: 0.5,
                    held_out: (step % 4 == 0).then_some(0.75),
                    more: BTreeMap::from([
                        ("displacement_chosen".to_owned(), -(step as f64)),
                        ("displacement_rejected".to_owned(), -2.0 * step as f64),
                    ]),
                    ..TrainingLogLine::default()
                };
                serde_json::to_string(&line).unwrap() + "\n"
            })
            .collect();
        let log = Log::new("dpo", 2, curves(&text).unwrap());
        assert_eq!(log.curves["loss"].len(), 12);
        assert_eq!(log.curves["held_out"], [[4.0, 0.75], [8.0, 0.75], [12.0, 0.75]]);
        // Steps 3 to 12 have the mean 7.5.
        assert_eq!(log.displacement, Some([-7.5, -15.0]));
    }

    #[test]
    fn only_the_seed_joins_runs() {
        assert_eq!(without_seed("student[arm=naive,seed=0]"), "student[arm=naive]");
        assert_eq!(without_seed("naive[seed=2]"), "naive");
        assert_eq!(without_seed("corpus"), "corpus");
    }
}

//! What the models behind the arms were trained on, with which settings, and how their training went.

use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use w2s_artifact::summary::{PairsSummary, TRAINING_LOG, TrainingLogLine, TrainingSummary};
use w2s_artifact::{ArtifactRef, Kind, Manifest};
use w2s_stats::metrics;

use super::Page;
use crate::experiment::{Arm, Experiment};
use crate::format::{commas, count, joined, list, plural, score};
use crate::grouped::{add_once, grouped};
use crate::lineage::{Lineage, Parameters, artifacts};
use crate::provenance::{name, operation, outcome, values};
use crate::section::{Chart, Drawing, Line, Mark, Plot, Section, Size, Spot, Table, Tone};

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
/// What an arm was trained on.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Lesson {
    /// The operation: `prefer`, `sft`, `classify`, ...
    method: String,
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

    /// Whether it learnt which of two answers is better, from pairs of such a rule.
    pub(super) fn prefers(&self, rule: impl Fn(&str) -> bool) -> bool {
        !self.imitates() && self.rule.as_deref().is_some_and(rule)
    }

    /// "prefer on score pairs".
    pub(super) fn told(&self) -> String {
        match &self.rule {
            Some(rule) => format!("{} on {rule} pairs", self.method),
            None => self.method.clone(),
        }
    }
}

/// Points over steps, by the column of a log.
type Curves = BTreeMap<String, Vec<[f64; 2]>>;

/// The log of one run.
struct Log {
    arm: String,
    seed: u64,
    /// Thinned for drawing.
    curves: Curves,
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

/// An arm with its models and their settings.
type Trained<'e> = (&'e Arm, Vec<Rc<Manifest>>, BTreeMap<String, String>);

impl<'a> Models<'a> {
    pub(crate) fn new(experiment: &'a Experiment, lineage: &'a Lineage<'a>) -> Self {
        let mut models = Self {
            experiment,
            lineage,
            lessons: Vec::new(),
            logs: Vec::new(),
            unreadable: Vec::new(),
        };
        let arms = experiment.arms.iter();
        models.lessons = arms.map(|arm| models.learnt(arm)).collect();
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

    /// The pairs that a model learnt from.
    fn pairs(&self, model: &Manifest) -> Option<Rc<Manifest>> {
        self.lineage.manifest(model.input("pairs")?)
    }

    fn learnt(&self, arm: &Arm) -> Option<Lesson> {
        let models = self.manifests(arm)?;
        let first = models.first().filter(|model| model.stage != "base")?;
        let mut lesson = Lesson {
            method: first.operation.clone(),
            ..Lesson::default()
        };
        let (mut deltas, mut scores) = (Vec::new(), Vec::new());
        for model in &models {
            let pairs = self
                .pairs(model)
                .and_then(|pairs| pairs.summary::<PairsSummary>().ok());
            let Some(pairs) = pairs else { continue };
            deltas.extend(pairs.mean_delta);
            scores.extend(match Parameters::of(&model.parameters).side.as_deref() {
                Some("rejected") => pairs.mean_rejected_score,
                _ => pairs.mean_chosen_score,
            });
            (lesson.rule, lesson.score) = (pairs.rule, pairs.score);
        }
        lesson.mean_delta = metrics::mean(&deltas);
        lesson.mean_chosen_score = metrics::mean(&scores);
        Some(lesson)
    }

    /// The steps that the models of an arm have taken, a number for each of its own runs; none where one does not tell.
    pub(super) fn steps(&self, arm: &Arm) -> Option<Vec<u64>> {
        let models = self.manifests(arm)?;
        let steps =
            |model: &Rc<Manifest>| Some(model.summary::<TrainingSummary>().ok()?.fit.steps as u64);
        models.iter().map(steps).collect()
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
            let manifest = self.lineage.manifest(next);
            for input in manifest.iter().flat_map(|manifest| artifacts(manifest)) {
                if !seen.insert(input) {
                    continue;
                }
                behind.push(input);
                let made = self.lineage.manifest(input);
                if let Some(made) = made.filter(|made| made.kind == Kind::Checkpoint) {
                    let seed = Parameters::of(&made.parameters).seed.unwrap_or_default();
                    self.read_log(input, &without_seed(&name(&made)), seed);
                }
            }
        }
    }

    fn read_log(&mut self, model: ArtifactRef, arm: &str, seed: u64) {
        let files = self.lineage.manifest(model);
        let mut files = files.iter().flat_map(|manifest| &manifest.files);
        if !files.any(|file| file.name == TRAINING_LOG) {
            return;
        }
        let path = self.lineage.store().artifact_dir(&model).join(TRAINING_LOG);
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string());
        match text.and_then(|text| curves(&text)) {
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
        self.settings(page);
        let charts = self.charts();
        if charts.is_empty() {
            return;
        }
        let grouped = charts.iter().any(|chart| !chart.group.is_empty());
        let of_pairs = "Rewards are in the units that the loss sees; displacement is the mean log-probability that answers have gained since the reference. The panel k3 is Schulman’s third estimate of the divergence from the reference on the pairs’ answers: how far the policy has moved on what it was shown, not how far its own answers have.";
        let introduction = "Curves over optimisation steps, one line a seed.";
        page.section(
            Section::new("training", "Training", introduction)
                .text(grouped.then(|| of_pairs.to_owned()))
                .charts(charts),
        );
    }

    /// A row an arm with the settings in which trainings differ, and a sentence with those that all of them share.
    fn settings(&self, page: &mut Page) {
        let mut trained: Vec<Trained<'_>> = Vec::new();
        for arm in &self.experiment.arms {
            if let Some(models) = self.manifests(arm).filter(|models| !models.is_empty()) {
                let settings = settings(&models);
                trained.push((arm, models, settings));
            }
        }
        let Some((_, _, first)) = trained.first() else {
            return;
        };
        let several = trained.len() > 1;
        let shared = |(key, value): &(&String, &String)| {
            several
                && trained
                    .iter()
                    .all(|(_, _, own)| own.get(*key) == Some(*value))
        };
        let told = |(key, value): (&String, &String)| format!("{key} {value}");
        let table = Table::of("settings", &trained)
            .column("arm|Arm", |(arm, ..)| &arm.name)
            .column("operation|Trained by", |(_, models, _)| {
                operation(&models[0])
            })
            .column("result|Result", |(_, models, _)| self.told(models))
            .column("settings|Its own settings", |(.., own)| {
                commas(own.iter().filter(|setting| !shared(setting)).map(told))
            })
            .source(|(arm, models, _)| {
                (Some(arm.role), models.iter().map(|model| model.reference()))
            });
        let common = commas(first.iter().filter(shared).map(told));
        let introduction = match common.is_empty() {
            true => String::new(),
            false => format!("All trainings share: {common}."),
        };
        page.section(Section::new("settings", "Settings", introduction).tables([table.done()]));
    }

    /// What the trainings of an arm and the pairs behind them say of themselves, each thing once.
    fn told(&self, models: &[Rc<Manifest>]) -> String {
        let mut told: Vec<String> = Vec::new();
        for model in models {
            let pairs = self
                .pairs(model)
                .map(|pairs| format!("pairs: {}", outcome(&pairs)));
            for line in [Some(outcome(model)), pairs].into_iter().flatten() {
                add_once(&mut told, line);
            }
        }
        told.retain(|line| !line.is_empty());
        told.join("\n")
    }

    fn charts(&self) -> Vec<Chart> {
        let logs = self.logs.iter();
        let mut charts = Vec::new();
        for (arm, logs) in grouped(logs.map(|log| (&log.arm, log))) {
            let pairs = logs
                .iter()
                .any(|log| log.curves.contains_key("rewards_margin"));
            let runs = plural(logs.len(), "run");
            for (title, columns) in PANELS {
                // Of a training that compares nothing, the loss and the held-out score tell enough.
                if !pairs && !matches!(columns, ["loss"] | ["held_out"]) {
                    continue;
                }
                let lines = columns
                    .iter()
                    .flat_map(|column| logs.iter().filter_map(|log| log.line(column)));
                let lines: Vec<Line> = lines.collect();
                if lines.is_empty() {
                    continue;
                }
                let plot = Plot::new(Size::Small, "steps", lines);
                charts.push(match pairs {
                    false => Chart::new(format!("{arm}: {title}, {runs}"), Drawing::Plot(plot)),
                    true => Chart {
                        group: format!("{arm}, {runs}"),
                        ..Chart::new(title, Drawing::Plot(plot)).legend(&[
                            (Tone::Ceiling, "chosen"),
                            (Tone::Teacher, "rejected"),
                            (Tone::Student, "neither"),
                        ])
                    },
                });
            }
        }
        charts
    }

    fn displaced(&self, page: &mut Page) {
        for arm in &self.experiment.arms {
            let logs = self.logs.iter().filter(|log| log.arm == arm.name);
            let runs = logs.filter_map(|log| {
                let both = log.displacement?;
                let [chosen, rejected] = both.map(score);
                let lost = both.iter().all(|side| *side < ALARM);
                lost.then(|| format!("{chosen} and {rejected} with seed {}", log.seed))
            });
            let runs = list(runs);
            if !runs.is_empty() {
                let arm = &arm.name;
                page.warning(format!(
                    "arm {arm}: the chosen and the rejected answers both lost probability, in nats a token: {runs}"
                ));
            }
        }
    }
}

/// How the models of an arm were trained: every parameter that is set, but for the seed, which tells its runs apart.
fn settings(models: &[Rc<Manifest>]) -> BTreeMap<String, String> {
    let all = values(models.iter().map(|model| &model.parameters)).into_iter();
    let mut settings = BTreeMap::new();
    for (key, mut values) in all.filter(|(key, _)| *key != "seed") {
        values.retain(|value| !matches!(&value[..], "–" | "false"));
        if !values.is_empty() {
            settings.insert(key.replace('_', "-"), joined(values, " | "));
        }
    }
    settings
}

impl Log {
    fn new(arm: &str, seed: u64, mut curves: Curves) -> Self {
        let end = |name: &str| {
            let last = curves.get(name)?.iter().rev().take(LAST_STEPS);
            metrics::mean(&last.map(|point| point[1]).collect::<Vec<_>>())
        };
        let displacement = end("displacement_chosen").zip(end("displacement_rejected"));
        for points in curves.values_mut() {
            *points = thin(points);
        }
        Self {
            arm: arm.to_owned(),
            seed,
            curves,
            displacement: displacement.map(<[f64; 2]>::from),
        }
    }

    /// The line of a column, where there is one to draw.
    fn line(&self, column: &str) -> Option<Line> {
        let points = self.curves.get(column).filter(|points| points.len() > 1)?;
        let spots = points.iter().map(|&at| Spot::new(at, "")).collect();
        let title = format!("{}, seed {}", column.replace('_', " "), self.seed);
        Some(Line::curve(title, tone(column), Mark::None, spots))
    }
}

/// The columns of a training log.
fn curves(text: &str) -> Result<Curves, String> {
    let mut curves = Curves::new();
    let lines = text.lines().enumerate();
    for (at, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        let line: TrainingLogLine =
            serde_json::from_str(line).map_err(|error| format!("line {}: {error}", at + 1))?;
        let own = [
            ("loss", Some(line.loss)),
            ("grad_norm", Some(line.grad_norm)),
            ("held_out", line.held_out),
        ];
        let own = own
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        let more = line.more.iter().map(|(name, value)| (&name[..], *value));
        for (name, value) in own.chain(more) {
            let points = curves.entry(name.to_owned()).or_default();
            points.push([line.step as f64, value]);
        }
    }
    Ok(curves)
}

/// Averages neighbouring points until at most [`CURVE_POINTS`] are left.
fn thin(points: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let size = points.len().div_ceil(CURVE_POINTS).max(1);
    let mean = |chunk: &[[f64; 2]]| {
        [0, 1].map(|at| chunk.iter().map(|point| point[at]).sum::<f64>() / chunk.len() as f64)
    };
    points.chunks(size).map(mean).collect()
}

fn tone(column: &str) -> Tone {
    match column {
        "held_out" => Tone::Ceiling,
        _ if column.ends_with("_chosen") => Tone::Ceiling,
        _ if column.ends_with("_rejected") => Tone::Teacher,
        _ => Tone::Student,
    }
}

/// `student[arm=naive]` of `student[arm=naive,seed=0]`: runs that differ in more than the seed have panels of their own.
fn without_seed(step: &str) -> String {
    let Some((name, point)) = step.trim_end_matches(']').split_once('[') else {
        return step.to_owned();
    };
    let axes = point.split(',').map(str::trim);
    let axes = joined(axes.filter(|axis| !axis.starts_with("seed=")), ",");
    match axes.is_empty() {
        true => name.to_owned(),
        false => format!("{name}[{axes}]"),
    }
}

/// A warning where models were not trained for the steps that their tag says.
pub(super) fn other_steps(arm: &str, meant: u64, taken: &[u64]) -> Option<String> {
    let (fewest, most) = (*taken.iter().min()?, *taken.iter().max()?);
    let range = match fewest == most {
        _ if (fewest, most) == (meant, meant) => return None,
        true => count(most),
        false => format!("{} to {}", count(fewest), count(most)),
    };
    let why = if fewest < meant {
        ": the data ended earlier"
    } else {
        ""
    };
    let meant = count(meant);
    Some(format!(
        "arm {arm}: the tag says {meant} steps, training took {range}{why}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_curves_are_averaged() {
        let points: Vec<[f64; 2]> = (0..960)
            .map(|step| [f64::from(step), f64::from(step % 4)])
            .collect();
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
        assert_eq!(
            log.curves["held_out"],
            [[4.0, 0.75], [8.0, 0.75], [12.0, 0.75]]
        );
        // Steps 3 to 12 have the mean 7.5.
        assert_eq!(log.displacement, Some([-7.5, -15.0]));
    }

    #[test]
    fn only_the_seed_joins_runs() {
        assert_eq!(
            without_seed("student[arm=naive,seed=0]"),
            "student[arm=naive]"
        );
        assert_eq!(without_seed("naive[seed=2]"), "naive");
        assert_eq!(without_seed("corpus"), "corpus");
    }
}

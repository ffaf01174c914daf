//! What every report is made of: items, and what each arm did with them in each seed, on every metric.
//!
//! The adapters turn artifacts into [`Entry`]s, one an arm, seed and test; [`arrange`] joins those of one test into an
//! [`Experiment`] and refuses what cannot be compared.

use std::collections::{BTreeMap, BTreeSet};

use w2s_artifact::{ArtifactRef, Role};
use w2s_stats::metrics;

use crate::error::ReportError;
use crate::format::list;
use crate::lineage::Lineage;
use crate::metric::{DIVERGENCES, Metric};

/// Arms on the items of one test.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// Name of the test, where a report has several.
    pub test: Option<String>,
    /// Class names, where arms are classifiers.
    pub classes: Vec<String>,
    /// Seeds, ascending; a run of each arm belongs to each.
    pub seeds: Vec<u64>,
    /// The items of each seed, in the order of the runs' values.
    pub items: Vec<Vec<Item>>,
    /// Whether item `i` is the same in every seed.
    pub shared_items: bool,
    /// The arms, by role and then in order of appearance.
    pub arms: Vec<Arm>,
    /// What every arm has a value of on every item.
    pub metrics: Vec<Metric>,
    /// Place of the metric of the headline.
    pub headline: usize,
    /// What was left out of the comparison, and why.
    pub left_out: Vec<String>,
}

/// Something that an arm can get right or wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its number in its artifact.
    pub id: u64,
    /// Fingerprint of what is asked: two items are one where this is the same.
    pub content: u64,
    /// Items of one group are drawn together.
    pub group: u64,
    /// The right class.
    pub gold: Option<u32>,
}

/// One way of training, or something to compare it with.
#[derive(Clone, Debug)]
pub struct Arm {
    /// As the report writes it: with several numbers of steps, also that number.
    pub name: String,
    /// Its name without the number of steps.
    pub family: String,
    /// What it is in the experiment.
    pub role: Role,
    /// What a baseline does.
    pub about: Option<String>,
    /// What else tells it from other arms.
    pub tags: BTreeMap<String, String>,
    /// Steps after which its training was meant to stop.
    pub stop: Option<u64>,
    /// One entry a seed of the experiment; what was run once may stand beside every seed.
    pub runs: Vec<Run>,
    /// Whether it was run once and stands beside every seed.
    pub fixed: bool,
    /// Place of the teacher that it learnt from.
    pub teacher: Option<usize>,
    /// Place of the ceiling above it.
    pub ceiling: Option<usize>,
    /// Place of the base that it started from.
    pub base: Option<usize>,
}

impl Arm {
    /// The runs without repetition.
    pub fn own_runs(&self) -> &[Run] {
        &self.runs[..if self.fixed { 1 } else { self.runs.len() }]
    }

    /// Artifacts behind the arm.
    pub fn artifacts(&self) -> impl Iterator<Item = ArtifactRef> + '_ {
        self.own_runs().iter().filter_map(|run| run.artifact)
    }

    /// Items behind its numbers, over all its seeds.
    pub fn items(&self) -> usize {
        self.own_runs().iter().map(|run| run.items).sum()
    }

    /// Whether it is a point of an early-stopping curve, which repeats the lesson of another arm.
    pub fn on_curve(&self) -> bool {
        self.stop.is_some()
    }
}

/// One arm in one seed.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// The seed it was trained with.
    pub seed: u64,
    /// The predictions or scores.
    pub artifact: Option<ArtifactRef>,
    /// The model behind them.
    pub model: Option<ArtifactRef>,
    /// Items of the task, those that were dropped too.
    pub items_original: usize,
    /// Items with values.
    pub items: usize,
    /// Answers; more than the items where each has several samples, which are averaged first.
    pub answers: usize,
    /// Values of each metric, by key, in the order of the items; not a number where there is none.
    pub values: BTreeMap<String, Vec<f64>>,
    /// Class probabilities of each item, of a classifier.
    pub probabilities: Vec<Vec<f64>>,
    /// The most probable class of each item; the first one among equals.
    pub predicted: Vec<u32>,
}

impl Run {
    /// Adds what follows from class probabilities.
    pub fn classified(mut self, probabilities: Vec<Vec<f64>>, gold: &[u32]) -> Self {
        let rows = || probabilities.iter().zip(gold);
        self.predicted = probabilities
            .iter()
            .map(|row| metrics::predicted(row))
            .collect();
        let right = self.predicted.iter().zip(gold).map(|(p, g)| f64::from(u8::from(p == g)));
        self.values = BTreeMap::from([
            ("accuracy".to_owned(), right.collect()),
            (
                "brier".to_owned(),
                rows().map(|(row, &gold)| metrics::brier(row, gold)).collect(),
            ),
        ]);
        self.items = gold.len();
        self.items_original = self.items_original.max(gold.len());
        self.answers = gold.len();
        self.probabilities = probabilities;
        self
    }
}

/// One arm in one seed on one test, as an adapter reads it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The test.
    pub test: String,
    /// Name of the arm.
    pub arm: String,
    /// What it is.
    pub role: Role,
    /// What else tells it from others.
    pub tags: BTreeMap<String, String>,
    /// Class names of a classifier.
    pub classes: Vec<String>,
    /// The items.
    pub items: Vec<Item>,
    /// What it did with them.
    pub run: Run,
}

impl Entry {
    fn stop(&self) -> Result<Option<u64>, ReportError> {
        let steps = self.tags.get("steps");
        let parsed = steps.map(|steps| {
            steps.parse().map_err(|_| ReportError::Steps {
                arm: self.arm.clone(),
                steps: steps.clone(),
            })
        });
        parsed.transpose()
    }

    fn artifact(&self) -> String {
        self.run.artifact.map_or(String::new(), |artifact| artifact.short())
    }

    fn described(&self) -> String {
        format!("arm `{}` ({})", self.arm, self.artifact())
    }

    /// Whether one of it may stand beside every seed: a base is trained once, and so may be teachers whose answers are scored.
    fn may_repeat(&self) -> bool {
        match self.classes.is_empty() {
            true => self.role != Role::Student,
            false => self.role == Role::Base,
        }
    }
}

/// Joins the entries of one test into an experiment. `metric` is the one asked for in the headline.
pub(crate) fn arrange(
    entries: &[Entry],
    metric: Option<&str>,
    lineage: &Lineage<'_>,
) -> Result<Experiment, ReportError> {
    let groups = by_arm(entries)?;
    let (seeds, rows) = by_seed(&groups)?;
    for at in 0..seeds.len() {
        for row in &rows[1..] {
            same_items(rows[0][at], row[at])?;
        }
    }
    let items: Vec<Vec<Item>> = rows[0].iter().map(|entry| entry.items.clone()).collect();
    let shared_items = items.iter().all(|seed| *seed == items[0]);
    let mut arms = Vec::new();
    for (group, row) in groups.iter().zip(&rows) {
        let first = group[0];
        let stop = first.stop()?;
        arms.push(Arm {
            name: match stop {
                Some(steps) => format!("{} at {steps} steps", first.arm),
                None => first.arm.clone(),
            },
            family: first.arm.clone(),
            role: first.role,
            about: None,
            tags: first.tags.clone(),
            stop,
            fixed: group.len() == 1,
            runs: row.iter().map(|entry| entry.run.clone()).collect(),
            teacher: None,
            ceiling: None,
            base: None,
        });
    }
    let classes = rows[0][0].classes.clone();
    let mut experiment = Experiment {
        test: None,
        classes,
        seeds,
        items,
        shared_items,
        arms,
        metrics: Vec::new(),
        headline: 0,
        left_out: Vec::new(),
    };
    experiment.join_relatives(lineage)?;
    experiment.add_rewards();
    experiment.choose_metrics(metric)?;
    Ok(experiment)
}

/// The entries of each arm, by role and then in order of appearance; each arm has one role, the same tags and a seed each.
fn by_arm(entries: &[Entry]) -> Result<Vec<Vec<&Entry>>, ReportError> {
    let mut groups: Vec<Vec<&Entry>> = Vec::new();
    for entry in entries {
        let steps = entry.stop()?;
        let mut same = None;
        for (at, group) in groups.iter().enumerate() {
            if group[0].arm == entry.arm && group[0].stop()? == steps {
                same = Some(at);
            }
        }
        let Some(at) = same else {
            groups.push(vec![entry]);
            continue;
        };
        let first = groups[at][0];
        let two = |what, first: String, second: String| ReportError::TwoMeanings {
            arm: entry.arm.clone(),
            what,
            first,
            second,
        };
        if first.role != entry.role {
            let [first, second] = [first.role, entry.role].map(|role| format!("`{role}`"));
            return Err(two("role", first, second));
        }
        if let Some(twin) = groups[at].iter().find(|twin| twin.run.seed == entry.run.seed) {
            return Err(ReportError::Duplicate {
                arm: entry.arm.clone(),
                seed: entry.run.seed,
                first: twin.artifact(),
                second: entry.artifact(),
            });
        }
        if first.tags != entry.tags {
            return Err(two("tags", written(&first.tags), written(&entry.tags)));
        }
        groups[at].push(entry);
    }
    groups.sort_by_key(|group| group[0].role);
    Ok(groups)
}

fn written(tags: &BTreeMap<String, String>) -> String {
    let tags: Vec<String> = tags.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("`{}`", tags.join(" "))
}

/// The seeds, and the entry of each arm in each of them.
fn by_seed<'e>(groups: &[Vec<&'e Entry>]) -> Result<(Vec<u64>, Vec<Vec<&'e Entry>>), ReportError> {
    let fixed = |group: &[&Entry]| group.len() == 1 && group[0].may_repeat();
    let seeds_of = |groups: &mut dyn Iterator<Item = &Vec<&'e Entry>>| -> BTreeSet<u64> {
        groups.flatten().map(|entry| entry.run.seed).collect()
    };
    let mut seeds = seeds_of(&mut groups.iter().filter(|group| !fixed(group)));
    if seeds.is_empty() {
        seeds = seeds_of(&mut groups.iter().take(1));
    }
    let (mut rows, mut missing) = (Vec::new(), Vec::new());
    for group in groups {
        let run = |seed: &u64| match fixed(group) {
            true => Some(group[0]),
            false => group.iter().find(|entry| entry.run.seed == *seed).copied(),
        };
        let lacks: Vec<String> = seeds
            .iter()
            .filter(|seed| run(seed).is_none())
            .map(u64::to_string)
            .collect();
        if !lacks.is_empty() {
            let steps = group[0].stop()?.map_or(String::new(), |n| format!(" at {n} steps"));
            missing.push(format!("arm `{}{steps}` has no seed {}", group[0].arm, lacks.join(", ")));
        }
        rows.push(seeds.iter().filter_map(run).collect());
    }
    match missing.is_empty() {
        true => Ok((seeds.into_iter().collect(), rows)),
        false => Err(ReportError::Incomplete { missing }),
    }
}

/// Refuses two entries of one seed that were not asked the same.
fn same_items(first: &Entry, second: &Entry) -> Result<(), ReportError> {
    if first.classes != second.classes {
        return Err(ReportError::OtherClasses {
            first: first.described(),
            second: second.described(),
            reason: format!("{} and {}", first.classes.join(" / "), second.classes.join(" / ")),
        });
    }
    let Some(reason) = difference(first, second) else {
        return Ok(());
    };
    Err(ReportError::OtherItems {
        seed: second.run.seed,
        first: first.described(),
        second: second.described(),
        reason,
    })
}

/// The first way in which the items of two entries differ, as a clause.
fn difference(first: &Entry, second: &Entry) -> Option<String> {
    let only = |a: &Entry, b: &Entry| {
        let known: BTreeSet<u64> = b.items.iter().map(|item| item.id).collect();
        let item = a.items.iter().find(|item| !known.contains(&item.id))?;
        Some(format!("item {} is only in `{}`", item.id, a.arm))
    };
    if let Some(reason) = only(first, second).or_else(|| only(second, first)) {
        let (a, b) = (first.items.len(), second.items.len());
        return Some(format!("they have {a} and {b} items, {reason}"));
    }
    first.items.iter().zip(&second.items).find_map(|(a, b)| {
        if a.content != b.content {
            Some(format!("item {} does not ask the same in both", a.id))
        } else if a.gold != b.gold {
            let class = |item: &Item| item.gold.map_or("none".to_owned(), |gold| gold.to_string());
            Some(format!("item {} has class {} in one and {} in the other", a.id, class(a), class(b)))
        } else {
            None
        }
    })
}

impl Experiment {
    /// Arms of a role, by their places.
    pub fn of_role(&self, role: Role) -> impl Iterator<Item = usize> + '_ {
        (0..self.arms.len()).filter(move |&at| self.arms[at].role == role)
    }

    /// The metric of the headline.
    pub fn metric(&self) -> &Metric {
        &self.metrics[self.headline]
    }

    /// Whether the arms are classifiers.
    pub fn classifies(&self) -> bool {
        !self.classes.is_empty()
    }

    /// Finds teacher, ceiling and base of every arm: the only one there is, or else the one that its inputs lead to.
    fn join_relatives(&mut self, lineage: &Lineage<'_>) -> Result<(), ReportError> {
        for at in 0..self.arms.len() {
            if self.arms[at].role == Role::Baseline {
                continue;
            }
            let teacher = self.relative(at, Role::Teacher, &|own, other| lineage.learnt_from(own, other))?;
            let base = self.relative(at, Role::Base, &|own, other| {
                usize::from(lineage.started_from(own, other))
            })?;
            let ceiling = self.relative(at, Role::Ceiling, &|own, other| {
                usize::from(lineage.same_start(own, other))
            })?;
            let arm = &mut self.arms[at];
            (arm.teacher, arm.base, arm.ceiling) = (teacher, base, ceiling);
        }
        Ok(())
    }

    /// The arm of `role` that is nearest to `at`; `nearness` of two models is 0 where they are no relatives.
    fn relative(
        &self,
        at: usize,
        role: Role,
        nearness: &dyn Fn(ArtifactRef, ArtifactRef) -> usize,
    ) -> Result<Option<usize>, ReportError> {
        let arm = &self.arms[at];
        let candidates: Vec<usize> = self.of_role(role).filter(|&other| other != at).collect();
        if arm.role == role {
            return Ok(None);
        }
        if let [] | [_] = candidates[..] {
            return Ok(candidates.first().copied());
        }
        let near = |other: usize| {
            let pairs = arm.runs.iter().zip(&self.arms[other].runs);
            let near = pairs.filter_map(|(own, other)| Some(nearness(own.model?, other.model?)));
            near.max().unwrap_or(0)
        };
        let best = candidates.iter().map(|&other| near(other)).max().unwrap_or(0);
        let own: Vec<usize> = candidates.iter().copied().filter(|&other| near(other) == best).collect();
        if let ([only], 1..) = (&own[..], best) {
            return Ok(Some(*only));
        }
        // Only a student is compared with its own; the others stand beside.
        if arm.role != Role::Student {
            return Ok(None);
        }
        let names: Vec<String> = candidates.iter().map(|&other| format!("`{}`", self.arms[other].name)).collect();
        Err(ReportError::Ambiguous {
            arm: arm.name.clone(),
            role,
            candidates: list(&names),
        })
    }

    /// Adds what a preference loss is about, where both answers of pairs were scored: the margin by which the chosen answer has
    /// gained more log-probability since the base than the rejected one, and whether it is above zero, as TRL has them but
    /// for the factor beta.
    fn add_rewards(&mut self) {
        let sides = ["log_likelihood_chosen", "log_likelihood_rejected"];
        let gained = |own: &Run, base: &Run| -> Option<Vec<f64>> {
            let [chosen, rejected] = sides.map(|side| Some(own.values.get(side)?.iter().zip(base.values.get(side)?)));
            let margins = chosen?.zip(rejected?).map(|((c, c0), (r, r0))| (c - c0) - (r - r0));
            Some(margins.collect())
        };
        for at in 0..self.arms.len() {
            let Some(base) = self.arms[at].base else {
                continue;
            };
            for seed in 0..self.seeds.len() {
                let margins = gained(&self.arms[at].runs[seed], &self.arms[base].runs[seed]);
                if let Some(margins) = margins {
                    let right = margins.iter().map(|margin| f64::from(u8::from(*margin > 0.0)));
                    let right = right.collect();
                    let values = &mut self.arms[at].runs[seed].values;
                    values.insert("reward_margin".to_owned(), margins);
                    values.insert("reward_accuracy".to_owned(), right);
                }
            }
        }
    }

    /// The metrics that every run has on every item. One of a kind that bases and teachers may lack, such as a divergence that
    /// another vocabulary forbids, is left blank where it is missing altogether.
    fn choose_metrics(&mut self, wanted: Option<&str>) -> Result<(), ReportError> {
        let all: BTreeSet<String> = self
            .arms
            .iter()
            .flat_map(|arm| arm.runs.iter().flat_map(|run| run.values.keys().cloned()))
            .collect();
        let mut partial = BTreeMap::new();
        for key in all {
            let metric = Metric::new(&key);
            let lacking = self.arms.iter().find_map(|arm| {
                let may_lack = metric.partial && matches!(arm.role, Role::Base | Role::Teacher);
                let blank = arm.runs.iter().all(|run| run.has(&key) == 0);
                let run = arm.runs.iter().find(|run| run.has(&key) < run.items)?;
                (!(may_lack && blank)).then(|| {
                    let (has, of) = (run.has(&key), run.items);
                    format!("`{key}` has values on {has} of {of} items of arm `{}`", arm.name)
                })
            });
            match lacking {
                Some(reason) => _ = partial.insert(key, reason),
                None => self.metrics.push(metric),
            }
        }
        if self.metrics.is_empty() {
            return Err(ReportError::NoMetric {
                partial: partial.into_values().collect(),
            });
        }
        let place = |key: &str| self.metrics.iter().position(|metric| metric.key == key);
        let usual = || self.metrics.iter().position(|metric| !DIVERGENCES.contains(&&metric.key[..]));
        self.headline = match wanted.filter(|_| !self.classifies()) {
            Some(wanted) => place(wanted).ok_or_else(|| match partial.get(wanted) {
                Some(reason) => ReportError::PartialMetric {
                    reason: reason.clone(),
                },
                None => ReportError::UnknownMetric {
                    metric: wanted.to_owned(),
                    known: self.metrics.iter().map(|metric| metric.key.clone()).collect(),
                },
            })?,
            None => place("reward_accuracy").or_else(usual).unwrap_or(0),
        };
        let left_out = partial.into_values().map(|reason| format!("{reason}, so it is left out"));
        self.left_out = left_out.collect();
        Ok(())
    }
}

impl Run {
    /// Items with a value of the metric.
    fn has(&self, key: &str) -> usize {
        self.values.get(key).map_or(0, |values| values.iter().filter(|value| !value.is_nan()).count())
    }

    /// One metric of every item; not a number where there is none.
    pub fn column(&self, key: &str) -> Vec<f64> {
        self.values.get(key).cloned().unwrap_or_else(|| vec![f64::NAN; self.items])
    }
}

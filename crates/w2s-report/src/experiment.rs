//! What every report is made of: items, and what each arm did with them in each seed, on every metric.
//!
//! The adapters turn artifacts into [`Entry`]s, one an arm, seed and test; [`arrange`] joins those of one test into an
//! [`Experiment`] and refuses what cannot be compared.

use std::collections::{BTreeMap, BTreeSet};

use w2s_artifact::{ArtifactRef, Role};
use w2s_stats::metrics;

use crate::error::ReportError;
use crate::format::{commas, joined, list};
use crate::grouped::grouped;
use crate::lineage::Lineage;
use crate::metric::{DIVERGENCES, Metric};

/// What to do where arms lack a metric.
const SAME_SCORER: &str = "score every arm with the same `--scorer`";

/// Arms on the items of one test.
#[derive(Clone, Debug, Default)]
pub(crate) struct Experiment {
    /// Name of the test, where a report has several.
    pub(crate) test: Option<String>,
    /// Class names, where arms are classifiers.
    pub(crate) classes: Vec<String>,
    /// Seeds, ascending; a run of each arm belongs to each.
    pub(crate) seeds: Vec<u64>,
    /// The items of each seed, in the order of the runs' values.
    pub(crate) items: Vec<Vec<Item>>,
    /// The arms, by role and then in order of appearance.
    pub(crate) arms: Vec<Arm>,
    /// What every arm has a value of on every item.
    pub(crate) metrics: Vec<Metric>,
    /// Place of the metric of the headline.
    headline: usize,
    /// What was left out of the comparison, and why.
    pub(crate) left_out: Vec<String>,
}

/// Something that an arm can get right or wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// Its number in its artifact.
    pub(crate) id: u64,
    /// Fingerprint of what is asked: two items are one where this is the same.
    pub(crate) content: u64,
    /// Items of one group are drawn together.
    pub(crate) group: u64,
    /// The right class.
    pub(crate) gold: Option<u32>,
}

/// One way of training, or something to compare it with. Relatives are places of other arms.
#[derive(Clone, Debug)]
pub(crate) struct Arm {
    /// As the report writes it: with several numbers of steps, also that number.
    pub(crate) name: String,
    /// Its name without the number of steps.
    pub(crate) family: String,
    pub(crate) role: Role,
    /// What a baseline does.
    pub(crate) about: Option<&'static str>,
    pub(crate) tags: BTreeMap<String, String>,
    /// Steps after which its training was meant to stop: it is a point of an early-stopping curve, which repeats the lesson
    /// of another arm.
    pub(crate) stop: Option<u64>,
    /// One entry a seed of the experiment.
    pub(crate) runs: Vec<Run>,
    /// Whether it was run once and stands beside every seed.
    pub(crate) fixed: bool,
    pub(crate) teacher: Option<usize>,
    pub(crate) ceiling: Option<usize>,
    pub(crate) base: Option<usize>,
}

impl Arm {
    pub(crate) fn new(name: &str, role: Role) -> Self {
        Self {
            name: name.to_owned(),
            family: name.to_owned(),
            role,
            about: None,
            tags: BTreeMap::new(),
            stop: None,
            runs: Vec::new(),
            fixed: false,
            teacher: None,
            ceiling: None,
            base: None,
        }
    }

    /// The runs without repetition.
    pub(crate) fn own_runs(&self) -> &[Run] {
        &self.runs[..if self.fixed { 1 } else { self.runs.len() }]
    }

    /// A number of its runs, over all of them.
    pub(crate) fn total(&self, of: fn(&Run) -> usize) -> usize {
        self.own_runs().iter().map(of).sum()
    }

    /// Items behind its numbers, over all its seeds.
    pub(crate) fn items(&self) -> usize {
        self.total(|run| run.items)
    }

    /// The models behind it, where they are known.
    pub(crate) fn models(&self) -> impl Iterator<Item = ArtifactRef> + '_ {
        self.own_runs().iter().filter_map(|run| run.model)
    }
}

/// One arm in one seed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Run {
    pub(crate) seed: u64,
    /// The predictions or scores.
    pub(crate) artifact: Option<ArtifactRef>,
    pub(crate) model: Option<ArtifactRef>,
    /// Items of the task, those that were dropped too.
    pub(crate) items_original: usize,
    /// Items with values.
    pub(crate) items: usize,
    /// Answers; more than the items where each has several samples, which are averaged first.
    pub(crate) answers: usize,
    /// Values of each metric, by key, in the order of the items; not a number where there is none.
    pub(crate) values: BTreeMap<String, Vec<f64>>,
    /// Class probabilities of each item, of a classifier.
    pub(crate) probabilities: Vec<Vec<f64>>,
    /// The most probable class of each item; the first one among equals.
    pub(crate) predicted: Vec<u32>,
}

/// 1 for each that holds, 0 for the others.
pub(crate) fn indicators(held: impl Iterator<Item = bool>) -> Vec<f64> {
    held.map(|held| f64::from(u8::from(held))).collect()
}

impl Run {
    /// Adds what follows from class probabilities.
    pub(crate) fn classified(mut self, probabilities: Vec<Vec<f64>>, gold: &[u32]) -> Self {
        self.predicted = probabilities
            .iter()
            .map(|row| metrics::predicted(row))
            .collect();
        let right = indicators(self.predicted.iter().zip(gold).map(|(p, g)| p == g));
        let rows = probabilities.iter().zip(gold);
        let brier = rows.map(|(row, &gold)| metrics::brier(row, gold)).collect();
        self.values = [("accuracy".to_owned(), right), ("brier".to_owned(), brier)].into();
        self.items = gold.len();
        self.items_original = self.items_original.max(gold.len());
        self.answers = gold.len();
        self.probabilities = probabilities;
        self
    }

    /// Items with a value of the metric.
    fn has(&self, key: &str) -> usize {
        let values = self.values.get(key).into_iter().flatten();
        values.filter(|value| !value.is_nan()).count()
    }

    /// One metric of every item; not a number where there is none.
    pub(crate) fn column(&self, key: &str) -> Vec<f64> {
        let values = self.values.get(key).cloned();
        values.unwrap_or_else(|| vec![f64::NAN; self.items])
    }
}

/// One arm in one seed on one test, as an adapter reads it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) test: String,
    pub(crate) arm: String,
    pub(crate) role: Role,
    pub(crate) tags: BTreeMap<String, String>,
    /// Class names of a classifier.
    pub(crate) classes: Vec<String>,
    pub(crate) items: Vec<Item>,
    pub(crate) run: Run,
}

impl Entry {
    fn stop(&self) -> Result<Option<u64>, ReportError> {
        let Some(steps) = self.tags.get("steps") else {
            return Ok(None);
        };
        let arm = &self.arm;
        let wrong =
            format!("arm `{arm}` has the tag steps={steps}, which is not a number of steps");
        let hint = "write it like `--tag steps=100`";
        let parsed = steps
            .parse()
            .map_err(|_| ReportError::hinted(wrong, hint))?;
        Ok(Some(parsed))
    }

    /// Its arm as the report writes it.
    fn name(&self) -> Result<String, ReportError> {
        let name = self.arm.clone();
        Ok(self
            .stop()?
            .map_or(name, |steps| format!("{} at {steps} steps", self.arm)))
    }

    fn artifact(&self) -> String {
        let artifact = self.run.artifact;
        artifact.map_or_else(String::new, |artifact| artifact.short())
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

/// Entries by test, in order of appearance.
pub(crate) fn by_test(entries: Vec<Entry>) -> Vec<(String, Vec<Entry>)> {
    grouped(entries.into_iter().map(|entry| (entry.test.clone(), entry)))
}

/// Refuses arms, seeds and roles that cannot make a report, by all that is known before any item is.
pub(crate) fn check_arms(entries: Vec<Entry>) -> Result<(), ReportError> {
    for (_, entries) in by_test(entries) {
        by_seed(&by_arm(&entries)?)?;
    }
    Ok(())
}

/// Joins the entries of one test into an experiment. `metric` is the one asked for in the headline.
pub(crate) fn arrange(
    entries: &[Entry],
    metric: Option<&str>,
    lineage: &Lineage<'_>,
) -> Result<Experiment, ReportError> {
    let groups = by_arm(entries)?;
    let (seeds, rows) = by_seed(&groups)?;
    for row in &rows[1..] {
        for (first, second) in rows[0].iter().zip(row) {
            same_items(first, second)?;
        }
    }
    let mut experiment = Experiment {
        classes: rows[0][0].classes.clone(),
        seeds,
        items: rows[0].iter().map(|entry| entry.items.clone()).collect(),
        ..Experiment::default()
    };
    for (group, row) in groups.iter().zip(&rows) {
        let first = group[0];
        experiment.arms.push(Arm {
            name: first.name()?,
            tags: first.tags.clone(),
            stop: first.stop()?,
            fixed: group.len() == 1,
            runs: row.iter().map(|entry| entry.run.clone()).collect(),
            ..Arm::new(&first.arm, first.role)
        });
    }
    experiment.join_relatives(lineage)?;
    experiment.add_rewards();
    experiment.choose_metrics(metric)?;
    Ok(experiment)
}

/// The entries of each arm, by role and then in order of appearance; each arm has one role, the same tags and a seed each.
fn by_arm(entries: &[Entry]) -> Result<Vec<Vec<&Entry>>, ReportError> {
    let named: Result<Vec<_>, ReportError> = entries
        .iter()
        .map(|entry| Ok((entry.name()?, entry)))
        .collect();
    let mut groups: Vec<Vec<&Entry>> = Vec::new();
    for (_, group) in grouped(named?) {
        for at in 1..group.len() {
            same_arm(&group[..at], group[at])?;
        }
        groups.push(group);
    }
    groups.sort_by_key(|group| group[0].role);
    Ok(groups)
}

/// Refuses an entry that does not belong to the others of its arm.
fn same_arm(group: &[&Entry], entry: &Entry) -> Result<(), ReportError> {
    let (first, arm, seed) = (group[0], &entry.arm, entry.run.seed);
    let two = |what, [first, second]: [String; 2]| {
        let hint = format!("give an arm the same {what} in every seed");
        let what =
            format!("arm `{arm}` has {what} `{first}` in one seed and `{second}` in another");
        Err(ReportError::hinted(what, hint))
    };
    if first.role != entry.role {
        return two("role", [first, entry].map(|entry| entry.role.to_string()));
    }
    if let Some(twin) = group.iter().find(|twin| twin.run.seed == seed) {
        let (one, other) = (twin.artifact(), entry.artifact());
        return Err(ReportError::hinted(
            format_args!("arm `{arm}` has two results for seed {seed}: {one} and {other}"),
            "give each way of training its own `--arm`, each number of steps its own `--tag steps=N`, and each test its own `--tag test=NAME`",
        ));
    }
    if first.tags != entry.tags {
        let written = |(name, value): (&String, &String)| format!("{name}={value}");
        let tags = |entry: &Entry| joined(entry.tags.iter().map(written), " ");
        return two("tags", [first, entry].map(tags));
    }
    Ok(())
}

/// The seeds, and the entry of each arm in each of them.
fn by_seed<'e>(groups: &[Vec<&'e Entry>]) -> Result<(Vec<u64>, Vec<Vec<&'e Entry>>), ReportError> {
    let fixed = |group: &[&Entry]| group.len() == 1 && group[0].may_repeat();
    let seed = |entry: &&Entry| entry.run.seed;
    let trained = groups.iter().filter(|group| !fixed(group)).flatten();
    let mut seeds: BTreeSet<u64> = trained.map(seed).collect();
    if seeds.is_empty() {
        seeds = groups.iter().take(1).flatten().map(seed).collect();
    }
    let (mut rows, mut missing) = (Vec::new(), Vec::new());
    for group in groups {
        let run = |seed: &u64| match fixed(group) {
            true => Some(group[0]),
            false => group.iter().find(|entry| entry.run.seed == *seed).copied(),
        };
        let lacks: Vec<&u64> = seeds.iter().filter(|seed| run(seed).is_none()).collect();
        if !lacks.is_empty() {
            let (arm, lacks) = (group[0].name()?, commas(lacks));
            missing.push(format!("arm `{arm}` has no seed {lacks}"));
        }
        rows.push(seeds.iter().filter_map(run).collect());
    }
    match missing.is_empty() {
        true => Ok((seeds.into_iter().collect(), rows)),
        false => Err(ReportError::hinted(
            format_args!("results are incomplete: {}", missing.join("; ")),
            "make what is missing, or leave those seeds out; in a recipe, `[*]` behind a step's name means all of its seeds",
        )),
    }
}

/// Refuses two entries of one seed that were not asked the same.
fn same_items(first: &Entry, second: &Entry) -> Result<(), ReportError> {
    let (one, other) = (first.described(), second.described());
    if first.classes != second.classes {
        let classes = [&first.classes[..], &second.classes];
        return Err(ReportError::other_classes(&one, &other, classes));
    }
    let Some(reason) = difference(first, second) else {
        return Ok(());
    };
    let seed = second.run.seed;
    Err(ReportError::hinted(
        format_args!("seed {seed}: {one} and {other} were tested on different items: {reason}"),
        "test every arm on the same rows or prompts, with a `--max-tokens` into which all of them fit",
    ))
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
        let id = a.id;
        let class = |item: &Item| item.gold.map_or("none".to_owned(), |gold| gold.to_string());
        if a.content != b.content {
            Some(format!("item {id} does not ask the same in both"))
        } else if a.gold != b.gold {
            let (a, b) = (class(a), class(b));
            Some(format!(
                "item {id} has class {a} in one and {b} in the other"
            ))
        } else {
            None
        }
    })
}

impl Experiment {
    /// Arms of a role, by their places.
    pub(crate) fn of_role(&self, role: Role) -> impl Iterator<Item = usize> + '_ {
        (0..self.arms.len()).filter(move |&at| self.arms[at].role == role)
    }

    /// The arm of a role, where there is one and no other.
    pub(crate) fn only(&self, role: Role) -> Option<usize> {
        let mut arms = self.of_role(role);
        arms.next().filter(|_| arms.next().is_none())
    }

    pub(crate) fn has(&self, role: Role) -> bool {
        self.of_role(role).next().is_some()
    }

    /// The places of all arms.
    pub(crate) fn places(&self) -> Vec<usize> {
        (0..self.arms.len()).collect()
    }

    /// The name of the arm at a place.
    pub(crate) fn name(&self, at: usize) -> &str {
        &self.arms[at].name
    }

    /// The role of the first of some arms, and the artifacts behind all of them: what a row of a table is about.
    pub(crate) fn source(&self, arms: &[usize]) -> (Option<Role>, Vec<ArtifactRef>) {
        let runs = arms.iter().flat_map(|&at| self.arms[at].own_runs());
        let artifacts = runs.filter_map(|run| run.artifact).collect();
        (arms.first().map(|&at| self.arms[at].role), artifacts)
    }

    /// Whether item `i` is the same in every seed.
    pub(crate) fn shares_items(&self) -> bool {
        self.items.iter().all(|seed| *seed == self.items[0])
    }

    /// The metric of the headline.
    pub(crate) fn metric(&self) -> &Metric {
        &self.metrics[self.headline]
    }

    /// Whether the arms are classifiers.
    pub(crate) fn classifies(&self) -> bool {
        !self.classes.is_empty()
    }

    /// Finds teacher, ceiling and base of every arm: the only one there is, or else the one that its inputs lead to, or else
    /// the one with its tag `weak` or `strong`.
    fn join_relatives(&mut self, lineage: &Lineage<'_>) -> Result<(), ReportError> {
        for at in 0..self.arms.len() {
            let teacher = self.relative(at, Role::Teacher, |own, other| {
                lineage.learnt_from(own, other)
            })?;
            let base = self.relative(at, Role::Base, |own, other| {
                usize::from(lineage.started_from(own, other))
            })?;
            let ceiling = self.relative(at, Role::Ceiling, |own, other| {
                lineage.same_start(own, other)
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
        nearness: impl Fn(ArtifactRef, ArtifactRef) -> usize,
    ) -> Result<Option<usize>, ReportError> {
        let arm = &self.arms[at];
        let candidates: Vec<usize> = self.of_role(role).collect();
        if arm.role == role || candidates.len() < 2 {
            return Ok(self.only(role).filter(|_| arm.role != role));
        }
        let near = |other: usize| {
            let pairs = arm.runs.iter().zip(&self.arms[other].runs);
            let near = pairs.filter_map(|(own, other)| Some(nearness(own.model?, other.model?)));
            near.max().unwrap_or(0)
        };
        let nearness: Vec<usize> = candidates.iter().map(|&other| near(other)).collect();
        let best = nearness.iter().copied().max().unwrap_or(0);
        let nearest = candidates.iter().zip(&nearness);
        let nearest = nearest.filter(|(_, near)| **near == best);
        let nearest: Vec<usize> = nearest.map(|(other, _)| *other).collect();
        if let ([only], 1..) = (&nearest[..], best) {
            return Ok(Some(*only));
        }
        let name = match role {
            Role::Teacher => "weak",
            _ => "strong",
        };
        let tag = |at: usize| self.arms[at].tags.get(name);
        let mut tagged = nearest
            .iter()
            .filter(|&&other| tag(at).is_some() && tag(other) == tag(at));
        if let (Some(only), None) = (tagged.next(), tagged.next()) {
            return Ok(Some(*only));
        }
        // Only a student is compared with its own; the others stand beside.
        if arm.role != Role::Student {
            return Ok(None);
        }
        let names = list(
            candidates
                .iter()
                .map(|&other| format!("`{}`", self.name(other))),
        );
        let arm = &arm.name;
        Err(ReportError::hinted(
            format_args!(
                "arms {names} all have role `{role}`, and the inputs of arm `{arm}` do not tell which is its own"
            ),
            match role {
                Role::Base => "write one report for each base".to_owned(),
                _ => format!(
                    "give every arm its `--tag {name}=NAME`, or write one report for each {role}"
                ),
            },
        ))
    }

    /// Adds what a preference loss is about, where both answers of pairs were scored: the margin by which the chosen answer has
    /// gained more log-probability since the base than the rejected one, and whether it is above zero, as TRL has them but
    /// for the factor beta.
    fn add_rewards(&mut self) {
        let gained = |own: &Run, base: &Run| -> Option<Vec<f64>> {
            let of = |side: &str| {
                let (own, base) = (own.values.get(side)?, base.values.get(side)?);
                Some(own.iter().zip(base).map(|(own, base)| own - base))
            };
            let both = of("log_likelihood_chosen")?.zip(of("log_likelihood_rejected")?);
            Some(both.map(|(chosen, rejected)| chosen - rejected).collect())
        };
        for at in 0..self.arms.len() {
            let Some(base) = self.arms[at].base else {
                continue;
            };
            for seed in 0..self.seeds.len() {
                let margins = gained(&self.arms[at].runs[seed], &self.arms[base].runs[seed]);
                let Some(margins) = margins else { continue };
                let right = indicators(margins.iter().map(|margin| *margin > 0.0));
                let values = &mut self.arms[at].runs[seed].values;
                values.insert("reward_margin".to_owned(), margins);
                values.insert("reward_accuracy".to_owned(), right);
            }
        }
    }

    /// The metrics that every run has on every item. One of a kind that bases and teachers may lack, such as a divergence that
    /// another vocabulary forbids, is left blank where it is missing altogether.
    fn choose_metrics(&mut self, wanted: Option<&str>) -> Result<(), ReportError> {
        let runs = self.arms.iter().flat_map(|arm| &arm.runs);
        let all: BTreeSet<&String> = runs.flat_map(|run| run.values.keys()).collect();
        let mut partial = BTreeMap::new();
        for key in all {
            let metric = Metric::new(key);
            match self.arms.iter().find_map(|arm| lacking(arm, &metric)) {
                Some(reason) => _ = partial.insert(key.clone(), reason),
                None => self.metrics.push(metric),
            }
        }
        if self.metrics.is_empty() {
            let reasons = joined(partial.values(), "; ");
            let what = format!("the arms have no metric in common: {reasons}");
            return Err(ReportError::hinted(what, SAME_SCORER));
        }
        let place = |wanted: &str| self.metrics.iter().position(|metric| metric.key == wanted);
        let moved = |metric: &Metric| DIVERGENCES.contains(&&metric.key[..]);
        let usual = || self.metrics.iter().position(|metric| !moved(metric));
        self.headline = match wanted.filter(|_| !self.classifies()) {
            Some(wanted) => place(wanted).ok_or_else(|| match partial.get(wanted) {
                Some(reason) => {
                    ReportError::hinted(format_args!("the metric {reason}"), SAME_SCORER)
                }
                None => {
                    let known = commas(self.metrics.iter().map(|metric| &metric.key));
                    ReportError::new(format!("no metric is called `{wanted}`; there are {known}"))
                }
            })?,
            None => place("reward_accuracy").or_else(usual).unwrap_or(0),
        };
        let left_out = partial.into_values();
        self.left_out = left_out
            .map(|reason| format!("{reason}, so it is left out"))
            .collect();
        Ok(())
    }
}

/// What an arm lacks of a metric, as a clause.
fn lacking(arm: &Arm, metric: &Metric) -> Option<String> {
    let (key, name) = (&metric.key, &arm.name);
    let may_lack = metric.partial && matches!(arm.role, Role::Base | Role::Teacher);
    if may_lack && arm.runs.iter().all(|run| run.has(key) == 0) {
        return None;
    }
    let run = arm.runs.iter().find(|run| run.has(key) < run.items)?;
    let (has, of) = (run.has(key), run.items);
    Some(format!(
        "`{key}` has values on {has} of {of} items of arm `{name}`"
    ))
}

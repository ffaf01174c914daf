//! Reading scores artifacts: which arm, seed and items they are about, and refusing what cannot be compared.

use std::collections::{BTreeMap, BTreeSet};

use w2s_artifact::{Artifact, ArtifactRef, Score, StoreError};

use super::{BASE, DIVERGENCES, TEACHER};
use w2s_stats::bootstrap::Settings;
use w2s_stats::metrics;

/// Why scores do not add up to a report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompareError {
    /// Nothing to report on.
    #[error("there are neither scores nor theory to report on")]
    Nothing,
    /// An artifact does not say what the report needs to know.
    #[error("{artifact} does not say its `{field}`")]
    Unlabelled {
        /// The artifact.
        artifact: String,
        /// The field of its summary that is missing.
        field: &'static str,
    },
    /// One arm and seed twice.
    #[error("arm `{arm}` has two scores for seed {seed}: {first} and {second}")]
    Duplicate {
        /// The arm.
        arm: String,
        /// The seed.
        seed: u64,
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
    /// An arm that is two things.
    #[error("arm `{arm}` has {what} {first} in one seed and {second} in another")]
    TwoMeanings {
        /// The arm.
        arm: String,
        /// `role` or `tags`.
        what: &'static str,
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
    /// Two arms to compare with.
    #[error("arms `{first}` and `{second}` both have role `base`, a report compares with one")]
    TwoBases {
        /// One arm.
        first: String,
        /// The other.
        second: String,
    },
    /// An arm lacks seeds that another arm has.
    #[error("scores are incomplete: {}", missing.join("; "))]
    Incomplete {
        /// What is missing, one entry an arm.
        missing: Vec<String>,
    },
    /// Two arms of one seed were scored on different items.
    #[error("seed {seed}: {first} and {second} were scored on different items: {reason}")]
    OtherItems {
        /// The seed.
        seed: u64,
        /// One arm and its scores.
        first: String,
        /// The other arm and its scores.
        second: String,
        /// The first difference.
        reason: String,
    },
    /// Scores without an item.
    #[error("{artifact} of arm `{arm}` has no scores")]
    NoItems {
        /// The artifact.
        artifact: String,
        /// The arm.
        arm: String,
    },
    /// No metric that all arms have on all items.
    #[error("the arms have no metric in common: {}", partial.join("; "))]
    NoMetric {
        /// Where each metric is missing.
        partial: Vec<String>,
    },
    /// A headline metric that some arms lack.
    #[error("the metric {reason}")]
    PartialMetric {
        /// Where it is missing.
        reason: String,
    },
    /// A headline metric that is not there.
    #[error("no metric is called `{metric}`; there are {}", known.join(", "))]
    UnknownMetric {
        /// What was asked for.
        metric: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A tag `steps` that is no number.
    #[error("arm `{arm}` has the tag steps={steps}, which is not a number of steps")]
    Steps {
        /// The arm.
        arm: String,
        /// Its tag.
        steps: String,
    },
    /// A theory artifact that cannot be read.
    #[error("{artifact} cannot be read: {reason}")]
    Theory {
        /// The artifact.
        artifact: String,
        /// Why.
        reason: String,
    },
    /// The bootstrap needs draws.
    #[error("0 bootstrap draws leave no interval")]
    NoDraws,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CompareError {
    /// The next thing to do.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Nothing => "name some with `--scores` or `--theory`".to_owned(),
            Self::Unlabelled { .. } => "make the scores with an operation of `w2s-eval`".to_owned(),
            Self::Duplicate { .. } => {
                "give each way of training its own `--arm`, or its own `--tag steps=N`".to_owned()
            }
            Self::TwoMeanings { what, .. } => {
                format!("give an arm the same {what} in every seed")
            }
            Self::TwoBases { .. } => "write one report for each base".to_owned(),
            Self::Incomplete { .. } => {
                "score what is missing, or leave those seeds out of `--scores`".to_owned()
            }
            Self::OtherItems { .. } => {
                "score every arm on the same prompts, with a `--max-tokens` into which all items fit"
                    .to_owned()
            }
            Self::NoItems { .. } => "look at what its summary says was dropped".to_owned(),
            Self::NoMetric { .. } | Self::PartialMetric { .. } => "score every arm with the same `--scorer`".to_owned(),
            Self::UnknownMetric { .. } | Self::Theory { .. } => return None,
            Self::Steps { .. } => "write it like `--tag steps=100`".to_owned(),
            Self::NoDraws => format!("{} is the default of `--draws`", Settings::default().draws),
            Self::Store(error) => return error.hint(),
        };
        Some(hint)
    }
}

/// One scores artifact, read.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) arm: String,
    pub(super) steps: Option<u64>,
    pub(super) role: String,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) seed: u64,
    pub(super) artifact: &'a Artifact,
    /// The scored model or the responses it gave; none where neither is an input.
    pub(super) subject: Option<ArtifactRef>,
    task_hash: Option<String>,
    /// Items of the task, dropped ones too.
    pub(super) items_original: usize,
    pub(super) answers: usize,
    /// Metrics of each item, averaged over its samples.
    pub(super) items: BTreeMap<u64, BTreeMap<String, f64>>,
}

impl<'a> Entry<'a> {
    pub(super) fn read(artifact: &'a Artifact) -> Result<Self, CompareError> {
        let name = artifact.reference.short();
        let summary = &artifact.manifest.summary;
        let missing = |field| {
            let artifact = name.clone();
            move || CompareError::Unlabelled { artifact, field }
        };
        let text = |field| {
            let value = summary[field].as_str().map(str::to_owned);
            value.ok_or_else(missing(field))
        };
        let arm = text("arm")?;
        let role = text("role")?;
        let seed = summary["seed"].as_u64().ok_or_else(missing("seed"))?;
        let mut tags = BTreeMap::new();
        for (tag, value) in summary["tags"].as_object().into_iter().flatten() {
            tags.insert(
                tag.clone(),
                value.as_str().ok_or_else(missing("tags"))?.to_owned(),
            );
        }
        let steps = match tags.get("steps") {
            Some(steps) => Some(steps.parse().map_err(|_| CompareError::Steps {
                arm: arm.clone(),
                steps: steps.clone(),
            })?),
            None => None,
        };
        let scores: Vec<Score> = artifact.records()?;
        let items = averaged(&scores);
        if items.is_empty() {
            return Err(CompareError::NoItems {
                artifact: name,
                arm,
            });
        }
        let items_original = summary["items"]
            .as_u64()
            .map_or(items.len(), |n| n as usize);
        Ok(Self {
            arm,
            steps,
            role,
            tags,
            seed,
            artifact,
            subject: ["model", "responses"]
                .into_iter()
                .find_map(|name| artifact.manifest.input(name)),
            task_hash: summary["task_hash"].as_str().map(str::to_owned),
            items_original,
            answers: scores.len(),
            items,
        })
    }

    fn described(&self) -> String {
        format!("arm `{}` ({})", self.arm, self.artifact.reference.short())
    }
}

/// Samples of one item are not independent of each other, so they are averaged before anything is counted.
fn averaged(scores: &[Score]) -> BTreeMap<u64, BTreeMap<String, f64>> {
    let mut samples: BTreeMap<u64, BTreeMap<String, Vec<f64>>> = BTreeMap::new();
    for score in scores {
        let item = samples.entry(score.id).or_default();
        for (metric, &value) in &score.values {
            item.entry(metric.clone()).or_default().push(value);
        }
    }
    let mean = |values: BTreeMap<String, Vec<f64>>| {
        let means = values.into_iter();
        means
            .filter_map(|(metric, values)| Some((metric, metrics::mean(&values)?)))
            .collect()
    };
    samples
        .into_iter()
        .map(|(id, values)| (id, mean(values)))
        .collect()
}

/// One arm with its run for each seed.
#[derive(Debug)]
pub(super) struct Arm<'e, 'a> {
    /// As the report writes it.
    pub(super) name: String,
    /// One entry a seed of the report; a base or teacher that was scored once stands beside every seed.
    pub(super) runs: Vec<&'e Entry<'a>>,
}

impl<'e, 'a> Arm<'e, 'a> {
    /// What is the same in all runs.
    pub(super) fn first(&self) -> &'e Entry<'a> {
        self.runs[0]
    }

    /// The runs without repetition.
    pub(super) fn own_runs(&self) -> &[&'e Entry<'a>] {
        match self
            .runs
            .windows(2)
            .all(|pair| std::ptr::eq(pair[0], pair[1]))
        {
            true => &self.runs[..1],
            false => &self.runs,
        }
    }
}

/// Sorts entries into arms and seeds and checks that they can be compared.
pub(super) fn arrange<'e, 'a>(
    entries: &'e [Entry<'a>],
) -> Result<(Vec<u64>, Vec<Arm<'e, 'a>>), CompareError> {
    let mut groups: Vec<Vec<&Entry<'_>>> = Vec::new();
    for entry in entries {
        match groups
            .iter_mut()
            .find(|group| group[0].arm == entry.arm && group[0].steps == entry.steps)
        {
            Some(group) => group.push(entry),
            None => groups.push(vec![entry]),
        }
    }
    for group in &groups {
        one_meaning(group)?;
    }
    groups.sort_by_key(|group| group[0].role != BASE);
    if let [first, second, ..] = &groups[..]
        && second[0].role == BASE
    {
        return Err(CompareError::TwoBases {
            first: first[0].arm.clone(),
            second: second[0].arm.clone(),
        });
    }
    let fixed = |group: &[&Entry<'_>]| group.len() == 1 && group[0].role != "student";
    let seeds_of = |groups: &mut dyn Iterator<Item = &Vec<&Entry<'_>>>| -> BTreeSet<u64> {
        groups.flatten().map(|entry| entry.seed).collect()
    };
    let mut seeds = seeds_of(&mut groups.iter().filter(|group| !fixed(group)));
    if seeds.is_empty() {
        seeds = seeds_of(&mut groups.iter().take(1));
    }
    let mut missing = Vec::new();
    let mut arms = Vec::new();
    for group in &groups {
        let name = match group[0].steps {
            Some(steps) => format!("{} at {steps} steps", group[0].arm),
            None => group[0].arm.clone(),
        };
        let run = |seed: &u64| match fixed(group) {
            true => Some(group[0]),
            false => group.iter().find(|entry| entry.seed == *seed).copied(),
        };
        let lacks: Vec<String> = seeds
            .iter()
            .filter(|seed| run(seed).is_none())
            .map(u64::to_string)
            .collect();
        if !lacks.is_empty() {
            missing.push(format!("arm `{name}` has no seed {}", lacks.join(", ")));
        }
        let runs = seeds.iter().filter_map(run).collect();
        arms.push(Arm { name, runs });
    }
    if !missing.is_empty() {
        return Err(CompareError::Incomplete { missing });
    }
    for at in 0..seeds.len() {
        for arm in &arms[1..] {
            same_items(arms[0].runs[at], arm.runs[at])?;
        }
    }
    Ok((seeds.into_iter().collect(), arms))
}

/// The runs of one arm have one role, the same tags, and a seed each.
fn one_meaning(group: &[&Entry<'_>]) -> Result<(), CompareError> {
    let first = group[0];
    for (at, entry) in group.iter().enumerate() {
        if let Some(same) = group[..at].iter().find(|other| other.seed == entry.seed) {
            return Err(CompareError::Duplicate {
                arm: entry.arm.clone(),
                seed: entry.seed,
                first: same.artifact.reference.short(),
                second: entry.artifact.reference.short(),
            });
        }
        let two = |what, first: String, second: String| {
            Err(CompareError::TwoMeanings {
                arm: entry.arm.clone(),
                what,
                first,
                second,
            })
        };
        if first.role != entry.role {
            return two(
                "role",
                format!("`{}`", first.role),
                format!("`{}`", entry.role),
            );
        }
        if first.tags != entry.tags {
            return two("tags", written(&first.tags), written(&entry.tags));
        }
    }
    Ok(())
}

fn written(tags: &BTreeMap<String, String>) -> String {
    let tags: Vec<String> = tags
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    format!("`{}`", tags.join(" "))
}

fn same_items(first: &Entry<'_>, second: &Entry<'_>) -> Result<(), CompareError> {
    let only = |a: &Entry<'_>, b: &Entry<'_>| {
        let id = a.items.keys().find(|id| !b.items.contains_key(id))?;
        Some(format!("item {id} is only in `{}`", a.arm))
    };
    let tasks = [&first.task_hash, &second.task_hash];
    let reason = match only(first, second).or_else(|| only(second, first)) {
        Some(reason) => format!(
            "they have {} and {} items, {reason}",
            first.items.len(),
            second.items.len()
        ),
        None => match tasks {
            [Some(a), Some(b)] if a != b => "the task's prompts and answers differ".to_owned(),
            _ => return Ok(()),
        },
    };
    Err(CompareError::OtherItems {
        seed: second.seed,
        first: first.described(),
        second: second.described(),
        reason,
    })
}

/// The metrics that every run has on every item, and the others, each with a clause that says where it is missing. A
/// teacher without a divergence from the student, which its vocabulary may forbid, does not keep it from the others.
pub(super) fn common_metrics(arms: &[Arm<'_, '_>]) -> (Vec<String>, BTreeMap<String, String>) {
    let runs = || {
        arms.iter()
            .flat_map(|arm| arm.runs.iter().map(move |run| (arm, run)))
    };
    let all: BTreeSet<&String> = runs()
        .flat_map(|(_, run)| run.items.values().flat_map(BTreeMap::keys))
        .collect();
    let (mut common, mut partial) = (Vec::new(), BTreeMap::new());
    for metric in all {
        let lacking = runs().find_map(|(arm, run)| {
            let has = run
                .items
                .values()
                .filter(|item| item.contains_key(metric))
                .count();
            let blank = DIVERGENCES.contains(&metric.as_str())
                && arm.first().role == TEACHER
                && arm
                    .runs
                    .iter()
                    .all(|run| run.items.values().all(|item| !item.contains_key(metric)));
            (has < run.items.len() && !blank).then(|| {
                format!(
                    "`{metric}` has values on {has} of {} items of arm `{}`",
                    run.items.len(),
                    arm.name
                )
            })
        });
        match lacking {
            Some(reason) => _ = partial.insert(metric.clone(), reason),
            None => common.push(metric.clone()),
        }
    }
    (common, partial)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_an_item_are_averaged() {
        let score = |id, sample, values: &[(&str, f64)]| Score {
            id,
            sample,
            values: values
                .iter()
                .map(|&(name, value)| (name.to_owned(), value))
                .collect(),
        };
        let items = averaged(&[
            score(7, 0, &[("exact", 1.0), ("judge", 0.2)]),
            score(7, 1, &[("exact", 0.0)]),
            score(9, 0, &[("exact", 1.0)]),
        ]);
        assert_eq!(items.len(), 2);
        assert_eq!(items[&7]["exact"], 0.5);
        assert_eq!(items[&7]["judge"], 0.2);
        assert_eq!(items[&9].get("judge"), None);
    }
}

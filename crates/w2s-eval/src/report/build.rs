//! From prediction artifacts to the report: matching arms, seeds and test items, and refusing what does not match.

use std::collections::hash_map::Entry as Slot;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;
use w2s_artifact::{Artifact, ArtifactRef, Example, Prediction, Split, Store, StoreError};

use super::analysis::{Arm, Experiment, Run, Trial, analyse};
use super::{Bootstrap, FORMAT, Report, Role, SplitPlan, findings, provenance};
use crate::baselines::{self, Baseline, Labelled, LengthThreshold, MajorityClass, UnigramBayes};
use w2s_stats::bootstrap::Settings;

/// What shapes a report besides its predictions.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the recipe, for the title.
    pub recipe: String,
    /// Draws and seed of the bootstrap.
    pub bootstrap: Settings,
}

/// Why predictions do not add up to a report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Nothing to report on.
    #[error("there are no predictions to report on")]
    NoPredictions,
    /// An artifact does not say what the report needs to know.
    #[error("{artifact} does not say its `{field}`")]
    Unlabelled {
        /// The artifact.
        artifact: String,
        /// The field of its summary or the input that is missing.
        field: &'static str,
    },
    /// A role that does not exist.
    #[error("{artifact}: {reason}")]
    UnknownRole {
        /// The artifact.
        artifact: String,
        /// What is wrong with it.
        reason: String,
    },
    /// One arm and seed twice.
    #[error("arm `{arm}` has two predictions for seed {seed}: {first} and {second}")]
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
    /// An arm with two roles.
    #[error("arm `{arm}` is `{first}` in one prediction and `{second}` in another")]
    TwoRoles {
        /// The arm.
        arm: String,
        /// One role.
        first: Role,
        /// The other.
        second: Role,
    },
    /// Two teachers or two ceilings.
    #[error("arms `{first}` and `{second}` both have role `{role}`, a report compares with one")]
    TwoOfRole {
        /// The role that may be taken once.
        role: Role,
        /// One arm.
        first: String,
        /// The other.
        second: String,
    },
    /// An arm lacks seeds that another arm has.
    #[error("predictions are incomplete: {}", missing.join("; "))]
    Incomplete {
        /// What is missing, one entry an arm.
        missing: Vec<String>,
    },
    /// Predictions that are not about the test rows of their data.
    #[error(
        "arm `{arm}`, seed {seed}: {predictions} and the test split of {examples} differ: {reason}"
    )]
    OtherRows {
        /// The arm.
        arm: String,
        /// The seed.
        seed: u64,
        /// The predictions.
        predictions: String,
        /// The examples they name as their data.
        examples: String,
        /// The first difference.
        reason: String,
    },
    /// Two arms of one seed were tested on different rows.
    #[error("seed {seed}: {first} and {second} were tested on different rows: {reason}")]
    OtherTest {
        /// The seed.
        seed: u64,
        /// One arm and its data.
        first: String,
        /// The other arm and its data.
        second: String,
        /// The first difference.
        reason: String,
    },
    /// Predictions with another number of classes than the data.
    #[error(
        "arm `{arm}`, seed {seed}: predictions have {found} classes, {examples} has {expected}"
    )]
    OtherClasses {
        /// The arm.
        arm: String,
        /// The seed.
        seed: u64,
        /// Classes of the predictions.
        found: usize,
        /// The examples.
        examples: String,
        /// Classes of the examples.
        expected: usize,
    },
    /// Data of two seeds about different classes.
    #[error("{first} and {second} do not have the same classes: {reason}")]
    OtherTask {
        /// One data set.
        first: String,
        /// The other data set.
        second: String,
        /// Both lists of classes.
        reason: String,
    },
    /// A data set without test rows.
    #[error("the test split of {examples} is empty")]
    EmptyTest {
        /// The examples.
        examples: String,
    },
    /// The bootstrap needs draws.
    #[error("0 bootstrap draws leave no interval")]
    NoDraws,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl BuildError {
    /// The next thing to do.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoPredictions => "name at least one with `--predictions`",
            Self::Unlabelled { .. } | Self::UnknownRole { .. } => {
                "make the predictions with `w2s-eval predict`"
            }
            Self::Duplicate { .. } => {
                "give each way of training its own `--arm` name in `w2s-eval predict`"
            }
            Self::TwoRoles { .. } => "give an arm the same `--role` in every `w2s-eval predict`",
            Self::TwoOfRole { .. } => "write one report for each teacher or ceiling",
            Self::Incomplete { .. } => {
                "run `w2s-eval predict` for what is missing, or leave those seeds out of `--predictions`"
            }
            Self::OtherRows { .. } | Self::OtherTest { .. } => {
                "predict with the `--data` of the same seed for every arm"
            }
            Self::OtherClasses { .. } => "train and predict on the same data set",
            Self::OtherTask { .. } => "report on one task at a time",
            Self::EmptyTest { .. } => "run `w2s-data task` with `--test-rows`",
            Self::NoDraws => "10,000 is the default of `--draws`",
            Self::Store(error) => return error.hint(),
        };
        Some(hint.to_owned())
    }
}

/// One predictions artifact, read.
struct Entry<'a> {
    arm: String,
    role: Role,
    seed: u64,
    artifact: &'a Artifact,
    data: ArtifactRef,
}

/// One examples artifact, read.
struct Data {
    name: String,
    classes: Vec<String>,
    task: String,
    plan: Value,
    gold: Vec<Example>,
    test: Vec<Example>,
}

/// Computes the report on `predictions`, whose data and models are looked up in `store`.
pub fn build_report(
    store: &Store,
    predictions: &[Artifact],
    options: &Options,
) -> Result<Report, BuildError> {
    if options.bootstrap.draws == 0 {
        return Err(BuildError::NoDraws);
    }
    let entries = predictions
        .iter()
        .map(entry)
        .collect::<Result<Vec<_>, _>>()?;
    let arms = arms_in_order(&entries)?;
    let seeds: Vec<u64> = entries
        .iter()
        .map(|entry| entry.seed)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let table = by_arm_and_seed(&entries, &arms, &seeds)?;

    let mut data: HashMap<ArtifactRef, Data> = HashMap::new();
    for entry in &entries {
        if let Slot::Vacant(slot) = data.entry(entry.data) {
            slot.insert(read_data(&store.require(&entry.data)?)?);
        }
    }
    let first = &data[&entries[0].data];
    if let Some(other) = data.values().find(|other| other.classes != first.classes) {
        return Err(BuildError::OtherTask {
            first: first.name.clone(),
            second: other.name.clone(),
            reason: format!(
                "{} and {}",
                first.classes.join(" / "),
                other.classes.join(" / ")
            ),
        });
    }
    same_test_within_seed(&table, &data)?;

    let mut experiment_arms = Vec::new();
    for (&(ref name, role), row) in arms.iter().zip(&table) {
        let runs = row
            .iter()
            .map(|entry| run(entry, &data[&entry.data]))
            .collect::<Result<Vec<_>, _>>()?;
        experiment_arms.push(Arm {
            name: name.clone(),
            role,
            about: None,
            runs,
        });
    }
    let seed_data: Vec<&Data> = table[0].iter().map(|entry| &data[&entry.data]).collect();
    if seed_data.iter().all(|data| !data.gold.is_empty()) {
        experiment_arms.push(baseline::<MajorityClass>(&seed_data));
        experiment_arms.push(baseline::<LengthThreshold>(&seed_data));
        experiment_arms.push(baseline::<UnigramBayes>(&seed_data));
    }
    let experiment = Experiment {
        classes: first.classes.clone(),
        trials: seeds
            .iter()
            .zip(&seed_data)
            .map(|(&seed, data)| Trial {
                seed,
                gold: data.test.iter().map(|row| row.label).collect(),
            })
            .collect(),
        shared_items: seed_data
            .iter()
            .all(|data| difference(&seed_data[0].test, &data.test).is_none()),
        arms: experiment_arms,
    };
    let analysis = analyse(&experiment, options.bootstrap);

    let manifests: Vec<_> = table
        .iter()
        .flatten()
        .map(|entry| &entry.artifact.manifest)
        .collect();
    let provenance = provenance::trace(store, &manifests);
    let mut report = Report {
        format: FORMAT,
        recipe: options.recipe.clone(),
        headline: String::new(),
        task: first.task.clone(),
        classes: experiment.classes,
        bootstrap: Bootstrap {
            draws: options.bootstrap.draws,
            seed: options.bootstrap.seed,
            test_items: experiment
                .trials
                .iter()
                .map(|trial| trial.gold.len())
                .collect(),
            shared_items: experiment.shared_items,
        },
        arms: analysis.arms,
        gap: analysis.gap,
        pgr: analysis.pgr,
        warnings: Vec::new(),
        splits: split_plans(&table, &seeds, &data),
        training: provenance.training,
        steps: provenance.steps,
        seeds,
    };
    report.headline = findings::headline(&report);
    report.warnings = findings::warnings(&report);
    report.warnings.extend(provenance.warnings);
    Ok(report)
}

fn entry(artifact: &Artifact) -> Result<Entry<'_>, BuildError> {
    let name = || artifact.reference.short();
    let summary = &artifact.manifest.summary;
    let missing = |field| {
        move || BuildError::Unlabelled {
            artifact: name(),
            field,
        }
    };
    let arm = summary["arm"].as_str().ok_or_else(missing("arm"))?;
    let role = summary["role"].as_str().ok_or_else(missing("role"))?;
    let role = role.parse().map_err(|reason| BuildError::UnknownRole {
        artifact: name(),
        reason,
    })?;
    let seed = summary["seed"].as_u64().ok_or_else(missing("seed"))?;
    let data = artifact
        .manifest
        .input("data")
        .ok_or_else(missing("data"))?;
    Ok(Entry {
        arm: arm.to_owned(),
        role,
        seed,
        artifact,
        data,
    })
}

/// The arms: teacher, students in order of appearance, ceiling.
fn arms_in_order(entries: &[Entry<'_>]) -> Result<Vec<(String, Role)>, BuildError> {
    let mut arms: Vec<(String, Role)> = Vec::new();
    for entry in entries {
        match arms.iter().find(|(name, _)| *name == entry.arm) {
            Some(&(_, role)) if role != entry.role => {
                return Err(BuildError::TwoRoles {
                    arm: entry.arm.clone(),
                    first: role,
                    second: entry.role,
                });
            }
            Some(_) => {}
            None => arms.push((entry.arm.clone(), entry.role)),
        }
    }
    for role in [Role::Weak, Role::Ceiling] {
        let mut of_role = arms.iter().filter(|arm| arm.1 == role);
        if let (Some(first), Some(second)) = (of_role.next(), of_role.next()) {
            return Err(BuildError::TwoOfRole {
                role,
                first: first.0.clone(),
                second: second.0.clone(),
            });
        }
    }
    if arms.is_empty() {
        return Err(BuildError::NoPredictions);
    }
    arms.sort_by_key(|arm| arm.1);
    Ok(arms)
}

/// One row an arm, one entry a seed.
fn by_arm_and_seed<'e, 'a>(
    entries: &'e [Entry<'a>],
    arms: &[(String, Role)],
    seeds: &[u64],
) -> Result<Vec<Vec<&'e Entry<'a>>>, BuildError> {
    let mut found: BTreeMap<(&str, u64), &Entry<'_>> = BTreeMap::new();
    for entry in entries {
        if let Some(first) = found.insert((&entry.arm, entry.seed), entry) {
            return Err(BuildError::Duplicate {
                arm: entry.arm.clone(),
                seed: entry.seed,
                first: first.artifact.reference.short(),
                second: entry.artifact.reference.short(),
            });
        }
    }
    let mut missing = Vec::new();
    for (arm, _) in arms {
        let lacks: Vec<String> = seeds
            .iter()
            .filter(|&&seed| !found.contains_key(&(arm.as_str(), seed)))
            .map(u64::to_string)
            .collect();
        if !lacks.is_empty() {
            missing.push(format!("arm `{arm}` has no seed {}", lacks.join(", ")));
        }
    }
    if !missing.is_empty() {
        return Err(BuildError::Incomplete { missing });
    }
    let row = |arm: &str| seeds.iter().map(|&seed| found[&(arm, seed)]).collect();
    Ok(arms.iter().map(|(arm, _)| row(arm)).collect())
}

fn read_data(artifact: &Artifact) -> Result<Data, BuildError> {
    let name = artifact.reference.short();
    let mut rows: Vec<Example> = artifact.records()?;
    rows.sort_by_key(|row| row.id);
    let pick = |split| {
        rows.iter()
            .filter(|row| row.split == split)
            .cloned()
            .collect::<Vec<_>>()
    };
    let (gold, test) = (pick(Split::Gold), pick(Split::Test));
    if test.is_empty() {
        return Err(BuildError::EmptyTest { examples: name });
    }
    let summary = &artifact.manifest.summary;
    let classes = summary["classes"]
        .as_array()
        .and_then(|classes| {
            classes
                .iter()
                .map(|class| class.as_str().map(str::to_owned))
                .collect::<Option<Vec<_>>>()
        })
        .ok_or_else(|| BuildError::Unlabelled {
            artifact: name.clone(),
            field: "classes",
        })?;
    Ok(Data {
        name,
        classes,
        task: summary["task"].as_str().unwrap_or("unnamed").to_owned(),
        plan: summary["plan"].clone(),
        gold,
        test,
    })
}

/// The first way in which two lists of test rows differ, as a clause.
fn difference(first: &[Example], second: &[Example]) -> Option<String> {
    if first.len() != second.len() {
        return Some(format!(
            "they have {} and {} test rows",
            first.len(),
            second.len()
        ));
    }
    first.iter().zip(second).find_map(|(a, b)| {
        if a.id != b.id {
            Some(format!("row {} of one is row {} of the other", a.id, b.id))
        } else if a.label != b.label {
            Some(format!(
                "row {} has class {} in one and {} in the other",
                a.id, a.label, b.label
            ))
        } else if a.text != b.text {
            Some(format!("row {} has different texts", a.id))
        } else {
            None
        }
    })
}

fn same_test_within_seed(
    table: &[Vec<&Entry<'_>>],
    data: &HashMap<ArtifactRef, Data>,
) -> Result<(), BuildError> {
    let (reference, others) = table.split_first().expect("there is at least one arm");
    for row in others {
        for (first, second) in reference
            .iter()
            .zip(row)
            .filter(|(first, second)| first.data != second.data)
        {
            if let Some(reason) = difference(&data[&first.data].test, &data[&second.data].test) {
                let tested =
                    |entry: &Entry<'_>| format!("arm `{}` ({})", entry.arm, entry.data.short());
                return Err(BuildError::OtherTest {
                    seed: first.seed,
                    first: tested(first),
                    second: tested(second),
                    reason,
                });
            }
        }
    }
    Ok(())
}

/// Reads the predictions of one entry, in the order of the test rows.
fn run(entry: &Entry<'_>, data: &Data) -> Result<Run, BuildError> {
    let mut rows: Vec<Prediction> = entry.artifact.records()?;
    rows.sort_by_key(|row| row.id);
    let reason = if rows.len() != data.test.len() {
        Some(format!(
            "{} predictions for {} rows",
            rows.len(),
            data.test.len()
        ))
    } else {
        rows.iter().zip(&data.test).find_map(|(got, wanted)| {
            if got.id != wanted.id {
                Some(format!(
                    "the predictions have row {} where the split has row {}",
                    got.id, wanted.id
                ))
            } else if got.label != wanted.label {
                Some(format!(
                    "row {} has gold class {} in the predictions and {} in the split",
                    got.id, got.label, wanted.label
                ))
            } else {
                None
            }
        })
    };
    if let Some(reason) = reason {
        return Err(BuildError::OtherRows {
            arm: entry.arm.clone(),
            seed: entry.seed,
            predictions: entry.artifact.reference.short(),
            examples: data.name.clone(),
            reason,
        });
    }
    if let Some(row) = rows
        .iter()
        .find(|row| row.probabilities.len() != data.classes.len())
    {
        return Err(BuildError::OtherClasses {
            arm: entry.arm.clone(),
            seed: entry.seed,
            found: row.probabilities.len(),
            examples: data.name.clone(),
            expected: data.classes.len(),
        });
    }
    Ok(Run::new(
        rows.iter()
            .map(|row| row.probabilities.iter().map(|&p| f64::from(p)).collect())
            .collect(),
    ))
}

fn baseline<B: Baseline>(data: &[&Data]) -> Arm {
    fn labelled(rows: &[Example]) -> Vec<Labelled<'_>> {
        rows.iter()
            .map(|row| Labelled {
                text: &row.text,
                label: row.label,
            })
            .collect()
    }
    let run = |data: &&Data| {
        Run::new(baselines::evaluate::<B>(
            &labelled(&data.gold),
            &labelled(&data.test),
            data.classes.len(),
        ))
    };
    Arm {
        name: B::NAME.to_owned(),
        role: Role::Baseline,
        about: Some(B::ABOUT.to_owned()),
        runs: data.iter().map(run).collect(),
    }
}

fn split_plans(
    table: &[Vec<&Entry<'_>>],
    seeds: &[u64],
    data: &HashMap<ArtifactRef, Data>,
) -> Vec<SplitPlan> {
    let mut plans: Vec<SplitPlan> = Vec::new();
    for row in table {
        for (entry, &seed) in row.iter().zip(seeds) {
            let artifact = entry.data.to_string();
            match plans.iter_mut().find(|plan| plan.artifact == artifact) {
                Some(plan) if !plan.seeds.contains(&seed) => plan.seeds.push(seed),
                Some(_) => {}
                None => plans.push(SplitPlan {
                    artifact,
                    seeds: vec![seed],
                    plan: data[&entry.data].plan.clone(),
                }),
            }
        }
    }
    plans
}

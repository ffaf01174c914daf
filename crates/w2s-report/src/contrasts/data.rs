//! What arms were trained and tested on: the splits, and test items that stand in training.

use std::collections::{BTreeMap, HashSet};

use w2s_artifact::summary::SplitCount;
use w2s_artifact::{ArtifactRef, Kind, Pair, Prompt, StoreError, prompt_fingerprint};

use super::Page;
use crate::adapters::predictions::Data;
use crate::experiment::Experiment;
use crate::format::{count, list};
use crate::lineage::Lineage;
use crate::provenance::dropped;
use crate::section::{Cell, Section, Table};

/// How each examples artifact was cut.
pub(crate) fn section(data: &[&Data], page: &mut Page) {
    let Some(first) = data.first() else { return };
    let mut table = Table::new(
        "splits",
        &["examples|Examples", ">source|Source rows", "dropped|Dropped", ">gold|Gold", ">transfer|Transfer", ">test|Test"],
    );
    let mut seen = HashSet::new();
    for data in data.iter().filter(|data| seen.insert(data.reference)) {
        let plan = &data.summary.plan;
        let split = |split: &SplitCount| {
            let classes: Vec<String> = split.per_class.iter().map(|&rows| count(rows as u64)).collect();
            Cell {
                text: format!("{} ({})", count(split.rows as u64), classes.join(" / ")),
                value: Some(split.rows as f64),
                ..Cell::default()
            }
        };
        table.push(
            None,
            vec![
                Cell::text(data.reference.short()),
                Cell::count(plan.source_rows),
                Cell::text(dropped(&plan.dropped).unwrap_or("none".to_owned()).replace("dropped: ", "")),
                split(&plan.splits.gold),
                split(&plan.splits.transfer),
                split(&plan.splits.test),
            ],
            [data.reference],
        );
    }
    let mut section = Section::new(
        "data",
        "Data",
        format!(
            "Task {}, classes {}. The teacher learns from the gold split and labels the transfer split; students and ceiling learn from the transfer split; every score is on the test split.",
            first.summary.task,
            first.summary.classes.join(" / ")
        ),
    );
    section.tables.push(table);
    page.section(section);
}

/// What is asked, and for a pair what is said, as fingerprints.
struct Asked {
    prompts: Vec<u64>,
    pairs: Vec<(u64, String, String)>,
}

impl Asked {
    fn read(reference: ArtifactRef, lineage: &Lineage<'_>) -> Result<Self, StoreError> {
        let artifact = lineage.store().require(&reference)?;
        if reference.kind == Kind::Prompts {
            let prompts: Vec<Prompt> = artifact.records()?;
            return Ok(Self {
                prompts: prompts.iter().map(|prompt| prompt_fingerprint(&prompt.messages)).collect(),
                pairs: Vec::new(),
            });
        }
        let pairs: Vec<Pair> = artifact.records()?;
        Ok(Self {
            prompts: pairs.iter().map(|pair| prompt_fingerprint(&pair.messages)).collect(),
            pairs: pairs
                .into_iter()
                .map(|pair| (prompt_fingerprint(&pair.messages), pair.chosen.text, pair.rejected.text))
                .collect(),
        })
    }
}

/// Counts the pairs and prompts of the test that stand in what arms were trained on, and warns of them.
pub(crate) fn leaks(experiment: &Experiment, lineage: &Lineage<'_>, page: &mut Page) {
    let of_kind = |reference: ArtifactRef| matches!(reference.kind, Kind::Pairs | Kind::Prompts);
    let inputs = |reference| {
        let manifest = lineage.manifest(reference);
        let names = ["pairs", "prompts"].into_iter();
        let inputs = names.filter_map(move |name| manifest.as_ref()?.input(name));
        inputs.filter(move |&input| of_kind(input))
    };
    let mut compared: BTreeMap<(ArtifactRef, ArtifactRef), Vec<String>> = BTreeMap::new();
    for arm in &experiment.arms {
        for run in arm.own_runs() {
            for test in run.artifact.into_iter().flat_map(inputs) {
                for training in run.model.into_iter().flat_map(inputs) {
                    let arms = compared.entry((test, training)).or_default();
                    if !arms.contains(&arm.name) {
                        arms.push(arm.name.clone());
                    }
                }
            }
        }
    }
    for ((test, training), arms) in compared {
        let read = Asked::read(test, lineage).and_then(|test| Ok((test, Asked::read(training, lineage)?)));
        let Ok((asked, learnt)) = read else { continue };
        let arms = list(&arms);
        let in_training = |what: &str, n: usize, of: usize| {
            format!(
                "{} of {} test {what} stand in {}, which {arms} learnt from: they measure memory there",
                count(n as u64),
                count(of as u64),
                training.short()
            )
        };
        let known: HashSet<_> = learnt.pairs.iter().collect();
        let pairs = asked.pairs.iter().filter(|pair| known.contains(pair)).count();
        let known: HashSet<u64> = learnt.prompts.iter().copied().collect();
        let prompts = asked.prompts.iter().filter(|prompt| known.contains(prompt)).count();
        if pairs > 0 {
            page.warning(in_training("pairs", pairs, asked.pairs.len()));
        }
        if prompts > pairs {
            page.warning(in_training("prompts", prompts, asked.prompts.len()));
        }
    }
}

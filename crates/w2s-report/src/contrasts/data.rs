//! What arms were trained and tested on: the splits, and test items that stand in training.

use std::collections::{BTreeMap, HashSet};
use std::hash::Hash;
use std::rc::Rc;

use w2s_artifact::summary::SplitCount;
use w2s_artifact::{ArtifactRef, Kind, Pair, Prompt, StoreError, prompt_fingerprint};

use super::Page;
use crate::adapters::pairs::SeedPairs;
use crate::adapters::predictions::Data;
use crate::experiment::Experiment;
use crate::format::{Unit, count, joined, list};
use crate::grouped::add_once;
use crate::lineage::Lineage;
use crate::provenance::dropped;
use crate::section::{Cell, Section, Table};

/// How each examples artifact was cut.
pub(crate) fn section(data: &[Rc<Data>], page: &mut Page) {
    let Some(first) = data.first() else { return };
    let mut seen = HashSet::new();
    let data: Vec<_> = data
        .iter()
        .filter(|data| seen.insert(data.reference))
        .collect();
    let left_out = |data: &Data| {
        let told = dropped(&data.summary.plan.dropped).unwrap_or("none".to_owned());
        told.replace("dropped: ", "")
    };
    let split = |split: &SplitCount| {
        let classes = joined(split.per_class.iter().map(count), " / ");
        Cell::valued(
            format!("{} ({classes})", count(split.rows)),
            split.rows as f64,
        )
    };
    let table = Table::of("splits", &data)
        .column("examples|Examples", |data| data.reference.short())
        .column(">source|Source rows", |data| data.summary.plan.source_rows)
        .column("dropped|Dropped", |data| left_out(data))
        .column(">gold|Gold", |data| split(&data.summary.plan.splits.gold))
        .column(">transfer|Transfer", |data| {
            split(&data.summary.plan.splits.transfer)
        })
        .column(">test|Test", |data| split(&data.summary.plan.splits.test))
        .source(|data| (None, [data.reference]));
    let introduction = format!(
        "Task {}, classes {}. The teacher learns from the gold split and labels the transfer split; students and ceiling learn from the transfer split; every score is on the test split.",
        first.summary.task,
        first.summary.classes.join(" / ")
    );
    page.section(Section::new("data", "Data", introduction).tables([table.done()]));
}

/// The pairs of each seed.
pub(crate) fn pairs_section(seeds: &[SeedPairs], page: &mut Page) {
    if seeds.is_empty() {
        return;
    }
    let mut seen = HashSet::new();
    let fresh = |seed: &&SeedPairs| seen.insert(seed.test.reference);
    let seeds: Vec<&SeedPairs> = seeds.iter().filter(fresh).collect();
    let table = Table::of("pairs", &seeds)
        .column("pairs|Test pairs", |seed| seed.test.reference.short())
        .column("rule|Rule", |seed| seed.test.summary.rule.as_ref())
        .column(">rows|Pairs", |seed| seed.test.pairs.len())
        .column(">longer|Longer is chosen", |seed| {
            let share = seed.test.summary.longer_is_chosen;
            Cell::valued(Unit::Percent.write(share), share)
        })
        .column("gold|Gold pairs", |seed| {
            seed.gold.as_ref().map(|gold| gold.reference.short())
        })
        .column(">gold_rows|Of them", |seed| {
            seed.gold.as_ref().map(|gold| gold.pairs.len())
        })
        .source(|seed| (None, [seed.test.reference]));
    let introduction = "Which of two answers to one prompt is the better one. The chosen answer stands first or second by a fair coin, the same for every arm. Every score is on the test pairs; trivial judges are fitted on the gold pairs.";
    page.section(Section::new("data", "Data", introduction).tables([table.done()]));
}

/// What is asked, and for a pair what is said, as fingerprints.
#[derive(Default)]
struct Asked {
    prompts: Vec<u64>,
    pairs: Vec<(u64, [String; 2])>,
}

impl Asked {
    fn read(reference: ArtifactRef, lineage: &Lineage<'_>) -> Result<Self, StoreError> {
        let artifact = lineage.store().require(&reference)?;
        let mut asked = Self::default();
        if reference.kind == Kind::Prompts {
            for prompt in artifact.records::<Prompt>()? {
                asked.prompts.push(prompt_fingerprint(&prompt.messages));
            }
            return Ok(asked);
        }
        for pair in artifact.records::<Pair>()? {
            let prompt = prompt_fingerprint(&pair.messages);
            asked.prompts.push(prompt);
            // A pair that somebody ordered the other way round is the same pair.
            let mut answers = [pair.chosen.text, pair.rejected.text];
            answers.sort_unstable();
            asked.pairs.push((prompt, answers));
        }
        Ok(asked)
    }
}

/// How many of `test` stand in `training`.
fn repeated<T: Eq + Hash>(test: &[T], training: &[T]) -> usize {
    let known: HashSet<&T> = training.iter().collect();
    test.iter().filter(|item| known.contains(item)).count()
}

/// Counts the pairs and prompts of the test that stand in what arms were trained on, and warns of them.
pub(crate) fn leaks(experiment: &Experiment, lineage: &Lineage<'_>, page: &mut Page) {
    let inputs = |reference: ArtifactRef| {
        let inputs = ["pairs", "prompts"]
            .into_iter()
            .filter_map(move |name| lineage.input(reference, name));
        inputs.filter(|input| matches!(input.kind, Kind::Pairs | Kind::Prompts))
    };
    let mut compared: BTreeMap<(ArtifactRef, ArtifactRef), Vec<&String>> = BTreeMap::new();
    for arm in &experiment.arms {
        for run in arm.own_runs() {
            for test in run.artifact.into_iter().flat_map(inputs) {
                for training in run.model.into_iter().flat_map(inputs) {
                    let arms = compared.entry((test, training)).or_default();
                    add_once(arms, &arm.name);
                }
            }
        }
    }
    for ((test, training), arms) in compared {
        let both = [test, training].map(|reference| Asked::read(reference, lineage));
        let [Ok(asked), Ok(learnt)] = both else {
            continue;
        };
        let (arms, source) = (list(arms), training.short());
        let in_training = |what: &str, n: usize, of: usize| {
            let (n, of) = (count(n), count(of));
            format!(
                "{n} of {of} test {what} stand in {source}, which {arms} learnt from: they measure memory there"
            )
        };
        let pairs = repeated(&asked.pairs, &learnt.pairs);
        let prompts = repeated(&asked.prompts, &learnt.prompts);
        if pairs > 0 {
            page.warning(in_training("pairs", pairs, asked.pairs.len()));
        }
        if prompts > pairs {
            page.warning(in_training("prompts", prompts, asked.prompts.len()));
        }
    }
}

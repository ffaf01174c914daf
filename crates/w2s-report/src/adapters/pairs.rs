//! Predictions of which answer of a pair is the better one, with the pairs and the trivial judges beside them.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use w2s_artifact::summary::{PairsSummary, PredictionsSummary};
use w2s_artifact::{Artifact, ArtifactRef, Message, Pair, Prediction, Role, prompt_fingerprint};

use crate::baselines::{PAIR_BASELINES, PairBaseline};
use crate::error::ReportError;
use crate::experiment::{Arm, Entry, Experiment, Item, Run};
use crate::lineage::Lineage;

/// What predictions of pairs call the two places of answers.
pub(crate) const PLACES: [&str; 2] = ["first", "second"];

/// The name of a test of pairs that has no tag `test`.
pub(crate) const UNNAMED: &str = "pairs";

/// An artifact with pairs.
#[derive(Debug)]
pub(crate) struct PairSet {
    pub(crate) reference: ArtifactRef,
    pub(crate) summary: PairsSummary,
    pub(crate) pairs: Vec<Pair>,
}

/// Pairs behind predictions, by their artifact.
pub(crate) type PairSets = HashMap<ArtifactRef, Rc<PairSet>>;

/// The pairs of one seed.
#[derive(Clone, Debug)]
pub(crate) struct SeedPairs {
    pub(crate) test: Rc<PairSet>,
    /// What trivial judges are fitted on.
    pub(crate) gold: Option<Rc<PairSet>>,
}

/// The pairs of an artifact, each read once.
pub(crate) fn known(
    sets: &mut PairSets,
    reference: ArtifactRef,
    lineage: &Lineage<'_>,
) -> Result<Rc<PairSet>, ReportError> {
    if let Some(known) = sets.get(&reference) {
        return Ok(Rc::clone(known));
    }
    let artifact = lineage.store().require(&reference)?;
    let mut pairs: Vec<Pair> = artifact.records()?;
    pairs.sort_by_key(|pair| pair.id);
    let read = Rc::new(PairSet {
        reference,
        summary: artifact.summary()?,
        pairs,
    });
    sets.insert(reference, Rc::clone(&read));
    Ok(read)
}

/// Predictions of pairs as an entry. Pairs without a prediction are counted; the tag `test` names the test.
pub(crate) fn entry(
    artifact: &Artifact,
    set: &PairSet,
    lineage: &Lineage<'_>,
) -> Result<Entry, ReportError> {
    let summary: PredictionsSummary = artifact.summary()?;
    let (arm, name, pairs_of) = (
        summary.arm,
        artifact.reference.short(),
        set.reference.short(),
    );
    let mut rows: Vec<Prediction> = artifact.records()?;
    rows.sort_by_key(|row| row.id);
    if rows.is_empty() {
        return Err(ReportError::no_items(&name, &arm));
    }
    let places = PLACES.map(str::to_owned);
    if summary.classes != places {
        let classes = [&summary.classes[..], &places];
        let predictions = format!("{name} of arm `{arm}`");
        return Err(ReportError::other_classes(&predictions, &pairs_of, classes));
    }
    let pairs = matched(&rows, &set.pairs).map_err(|reason| {
        let seed = summary.seed;
        ReportError::hinted(
            format_args!("arm `{arm}`, seed {seed}: {name} and {pairs_of} differ: {reason}"),
            "make the margins of every arm with the test pairs of the same seed",
        )
    })?;
    let items = pairs.iter().map(|pair| Item {
        id: pair.id,
        content: content(pair),
        group: pair.group,
        gold: Some(better(pair) as u32),
    });
    let probabilities = rows.iter().map(|row| &row.probabilities);
    let probabilities = probabilities.map(|row| row.iter().map(|&p| f64::from(p)).collect());
    let gold: Vec<u32> = rows.iter().map(|row| row.label).collect();
    let run = Run {
        seed: summary.seed,
        artifact: Some(artifact.reference),
        model: lineage.model_of(&artifact.manifest),
        items_original: set.pairs.len(),
        ..Run::default()
    };
    let mut tags = summary.tags;
    Ok(Entry {
        test: tags.remove("test").unwrap_or_else(|| UNNAMED.to_owned()),
        role: summary.role,
        tags,
        items: items.collect(),
        run: run.classified(probabilities.collect(), &gold),
        arm,
        classes: summary.classes,
    })
}

/// The place of the better answer: that of the chosen one, unless a model chose it against the truth.
fn better(pair: &Pair) -> usize {
    pair.place() ^ usize::from(pair.gold == Some(false))
}

/// The pair of each prediction, or the first way in which they are about others, as a clause. Both are sorted by number.
fn matched<'p>(rows: &[Prediction], pairs: &'p [Pair]) -> Result<Vec<&'p Pair>, String> {
    if let Some(twice) = rows.windows(2).find(|rows| rows[0].id == rows[1].id) {
        return Err(format!("pair {} is predicted twice", twice[0].id));
    }
    let pair = |row: &Prediction| {
        let (id, place) = (row.id, row.label as usize);
        let at = pairs.binary_search_by_key(&id, |pair| pair.id);
        let pair = &pairs[at.map_err(|_| format!("pair {id} is only in the predictions"))?];
        if better(pair) == place {
            return Ok(pair);
        }
        let [said, stands] = [place, better(pair)].map(|at| PLACES.get(at).unwrap_or(&"neither"));
        Err(format!(
            "the better answer of pair {id} stands {said} in the predictions and {stands} in the pairs"
        ))
    };
    rows.iter().map(pair).collect()
}

/// Fingerprint of a prompt with two answers.
fn content(pair: &Pair) -> u64 {
    let said = |role: &str, text: &str| Message {
        role: role.to_owned(),
        content: text.to_owned(),
    };
    let mut messages = pair.messages.clone();
    messages.push(said("chosen", &pair.chosen.text));
    messages.push(said("rejected", &pair.rejected.text));
    prompt_fingerprint(&messages)
}

/// The pairs of each seed of an experiment; none of one that is about something else.
pub(crate) fn of_seeds(
    experiment: &Experiment,
    sets: &PairSets,
    lineage: &Lineage<'_>,
) -> Vec<SeedPairs> {
    let input = |seed: usize, name: &str| {
        let mut runs = experiment.arms.iter().map(|arm| &arm.runs[seed]);
        runs.find_map(|run| sets.get(&lineage.input(run.artifact?, name)?).cloned())
    };
    let seeds = 0..experiment.seeds.len();
    let pairs = seeds.filter_map(|seed| {
        Some(SeedPairs {
            test: input(seed, "pairs")?,
            gold: input(seed, "gold-pairs"),
        })
    });
    pairs.collect()
}

/// Adds the trivial judges, fitted on the gold pairs of each seed, where every seed has some.
pub(crate) fn add_baselines(experiment: &mut Experiment, seeds: &[SeedPairs]) {
    let gold = |seed: &SeedPairs| {
        let gold = seed.gold.clone()?;
        (!gold.pairs.is_empty()).then_some(gold)
    };
    let Some(gold) = seeds.iter().map(gold).collect::<Option<Vec<_>>>() else {
        return;
    };
    if gold.is_empty() {
        return;
    }
    for baseline in &PAIR_BASELINES {
        experiment
            .arms
            .push(arm(baseline, experiment, seeds, &gold));
    }
}

fn arm(
    baseline: &PairBaseline,
    experiment: &Experiment,
    seeds: &[SeedPairs],
    gold: &[Rc<PairSet>],
) -> Arm {
    let run = |at: usize| {
        let judge = (baseline.fit)(&gold[at].pairs);
        let items = &experiment.items[at];
        let asked: HashSet<u64> = items.iter().map(|item| item.id).collect();
        let pairs = seeds[at].test.pairs.iter();
        let pairs = pairs.filter(|pair| asked.contains(&pair.id));
        let probabilities = pairs.map(|pair| {
            let chosen = judge(&pair.chosen.text, &pair.rejected.text);
            match pair.place() {
                0 => vec![chosen, 1.0 - chosen],
                _ => vec![1.0 - chosen, chosen],
            }
        });
        let run = Run {
            seed: experiment.seeds[at],
            ..Run::default()
        };
        let gold: Vec<u32> = items.iter().filter_map(|item| item.gold).collect();
        run.classified(probabilities.collect(), &gold)
    };
    Arm {
        about: Some(baseline.about),
        teacher: experiment.only(Role::Teacher),
        runs: (0..seeds.len()).map(run).collect(),
        ..Arm::new(baseline.name, Role::Baseline)
    }
}

//! Predictions of classifiers, with the rows they are about and the trivial classifiers beside them. Those of pairs are in
//! [`pairs`].

use std::collections::HashMap;
use std::collections::hash_map::Entry::{Occupied, Vacant};
use std::rc::Rc;

use w2s_artifact::summary::{PredictionsSummary, SplitSummary};
use w2s_artifact::{
    Artifact, ArtifactRef, Example, Message, Prediction, Role, Split, prompt_fingerprint,
};

use crate::adapters::pairs::{self, PairSets};
use crate::baselines::{BASELINES, Baseline};
use crate::error::ReportError;
use crate::experiment::{Arm, Entry, Experiment, Item, Run};
use crate::lineage::Lineage;

/// The examples that predictions are about.
#[derive(Debug)]
pub(crate) struct Data {
    pub(crate) reference: ArtifactRef,
    pub(crate) summary: SplitSummary,
    gold: Vec<Example>,
    test: Vec<Example>,
}

/// The examples behind predictions, by their artifact.
pub(crate) type Datasets = HashMap<ArtifactRef, Rc<Data>>;

/// Every predictions artifact as an entry, and the examples and pairs behind them.
pub(crate) fn read(
    predictions: &[Artifact],
    lineage: &Lineage<'_>,
) -> Result<(Vec<Entry>, Datasets, PairSets), ReportError> {
    let (mut data, mut sets) = (Datasets::new(), PairSets::new());
    let mut entries = Vec::new();
    for artifact in predictions {
        if let Some(tested) = artifact.manifest.input("pairs") {
            let tested = pairs::known(&mut sets, tested, lineage)?;
            if let Some(gold) = artifact.manifest.input("gold-pairs") {
                pairs::known(&mut sets, gold, lineage)?;
            }
            entries.push(pairs::entry(artifact, &tested, lineage)?);
            continue;
        }
        let missing = || {
            let artifact = artifact.reference.short();
            ReportError::hinted(
                format_args!("{artifact} has neither an input `data` nor an input `pairs`"),
                "make it with `w2s-eval predict` or `w2s-eval margins`",
            )
        };
        let reference = artifact.manifest.input("data").ok_or_else(missing)?;
        let known = match data.entry(reference) {
            Vacant(free) => {
                let read = Data::read(&lineage.store().require(&reference)?)?;
                free.insert(Rc::new(read))
            }
            Occupied(known) => known.into_mut(),
        };
        entries.push(entry(artifact, known, lineage)?);
    }
    Ok((entries, data, sets))
}

impl Data {
    fn read(artifact: &Artifact) -> Result<Self, ReportError> {
        let mut rows: Vec<Example> = artifact.records()?;
        rows.sort_by_key(|row| row.id);
        let of = |split| rows.iter().filter(move |row| row.split == split).cloned();
        Ok(Self {
            reference: artifact.reference,
            summary: artifact.summary()?,
            gold: of(Split::Gold).collect(),
            test: of(Split::Test).collect(),
        })
    }

    fn labels(&self) -> Vec<u32> {
        self.test.iter().map(|row| row.label).collect()
    }
}

fn entry(artifact: &Artifact, data: &Data, lineage: &Lineage<'_>) -> Result<Entry, ReportError> {
    let summary: PredictionsSummary = artifact.summary()?;
    let (arm, name, rows_of) = (
        &summary.arm,
        artifact.reference.short(),
        data.reference.short(),
    );
    let mut rows: Vec<Prediction> = artifact.records()?;
    rows.sort_by_key(|row| row.id);
    if rows.is_empty() {
        return Err(ReportError::no_items(&name, arm));
    }
    if let Some(reason) = difference(&rows, &data.test) {
        let seed = summary.seed;
        return Err(ReportError::hinted(
            format_args!(
                "arm `{arm}`, seed {seed}: {name} and the test split of {rows_of} differ: {reason}"
            ),
            "predict with the `--data` of the same seed for every arm",
        ));
    }
    if summary.classes != data.summary.classes {
        let classes = [&summary.classes[..], &data.summary.classes];
        let predictions = format!("{name} of arm `{arm}`");
        return Err(ReportError::other_classes(&predictions, &rows_of, classes));
    }
    let items = data.test.iter().map(|row| Item {
        id: row.id,
        content: content(&row.text),
        group: row.group,
        gold: Some(row.label),
    });
    let rows = rows.iter().map(|row| &row.probabilities);
    let probabilities = rows.map(|row| row.iter().map(|&p| f64::from(p)).collect());
    let run = Run {
        seed: summary.seed,
        artifact: Some(artifact.reference),
        model: lineage.model_of(&artifact.manifest),
        ..Run::default()
    };
    Ok(Entry {
        test: data.summary.task.clone(),
        role: summary.role,
        tags: summary.tags,
        items: items.collect(),
        run: run.classified(probabilities.collect(), &data.labels()),
        arm: summary.arm,
        classes: summary.classes,
    })
}

/// Fingerprint of a text, the same as that of a prompt that says nothing else.
fn content(text: &str) -> u64 {
    let (role, content) = (String::new(), text.to_owned());
    prompt_fingerprint(&[Message { role, content }])
}

/// The first way in which predictions are not about the test rows, as a clause.
fn difference(rows: &[Prediction], test: &[Example]) -> Option<String> {
    let (got, wanted) = (rows.len(), test.len());
    if got != wanted {
        return Some(format!("{got} predictions for {wanted} rows"));
    }
    rows.iter().zip(test).find_map(|(got, wanted)| {
        let (id, row) = (got.id, wanted.id);
        let (label, class) = (got.label, wanted.label);
        if id != row {
            Some(format!(
                "the predictions have row {id} where the split has row {row}"
            ))
        } else if label != class {
            Some(format!(
                "row {id} has gold class {label} in the predictions and {class} in the split"
            ))
        } else {
            None
        }
    })
}

/// Adds the trivial classifiers, fitted on the gold split of each seed, where every seed has one; those that read, where there
/// are texts.
pub(crate) fn add_baselines(experiment: &mut Experiment, seed_data: &[Rc<Data>]) {
    if seed_data.is_empty() || seed_data.iter().any(|data| data.gold.is_empty()) {
        return;
    }
    let mut rows = seed_data
        .iter()
        .flat_map(|data| data.gold.iter().chain(&data.test));
    // Rows of features alone are called by their numbers.
    let texts = rows.any(|row| row.text != format!("row {}", row.id));
    for baseline in BASELINES.iter().filter(|baseline| texts || !baseline.reads) {
        experiment.arms.push(arm(baseline, experiment, seed_data));
    }
}

fn arm(baseline: &Baseline, experiment: &Experiment, seed_data: &[Rc<Data>]) -> Arm {
    let run = |(data, &seed): (&Rc<Data>, &u64)| {
        let gold: Vec<_> = data
            .gold
            .iter()
            .map(|row| (&row.text[..], row.label))
            .collect();
        let classify = (baseline.fit)(&gold, data.summary.classes.len());
        let probabilities = data.test.iter().map(|row| classify(&row.text)).collect();
        let run = Run {
            seed,
            ..Run::default()
        };
        run.classified(probabilities, &data.labels())
    };
    Arm {
        about: Some(baseline.about),
        // What agrees with the teacher is told of baselines too, where there is one teacher.
        teacher: experiment.only(Role::Teacher),
        runs: seed_data.iter().zip(&experiment.seeds).map(run).collect(),
        ..Arm::new(baseline.name, Role::Baseline)
    }
}

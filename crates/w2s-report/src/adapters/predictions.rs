//! Predictions of classifiers, with the rows they are about and the trivial classifiers beside them.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use w2s_artifact::summary::{PredictionsSummary, SplitSummary};
use w2s_artifact::{
    Artifact, ArtifactRef, Example, Message, Prediction, Role, Split, prompt_fingerprint,
};

use crate::baselines::{self, Baseline, Labelled, LengthThreshold, MajorityClass, UnigramBayes};
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

/// Every predictions artifact as an entry, and the examples behind them.
pub(crate) fn read(
    predictions: &[Artifact],
    lineage: &Lineage<'_>,
) -> Result<(Vec<Entry>, Datasets), ReportError> {
    let mut data = Datasets::new();
    let mut entries = Vec::new();
    for artifact in predictions {
        let missing = || {
            ReportError::hinted(
                format_args!("{} has no input `data`", artifact.reference.short()),
                "make it with `w2s-eval predict`",
            )
        };
        let reference = artifact.manifest.input("data").ok_or_else(missing)?;
        let known = match data.get(&reference) {
            Some(known) => Rc::clone(known),
            None => {
                let read = Rc::new(Data::read(&lineage.store().require(&reference)?)?);
                data.insert(reference, Rc::clone(&read));
                read
            }
        };
        entries.push(entry(artifact, &known, lineage)?);
    }
    Ok((entries, data))
}

impl Data {
    fn read(artifact: &Artifact) -> Result<Self, ReportError> {
        let mut rows: Vec<Example> = artifact.records()?;
        rows.sort_by_key(|row| row.id);
        let (mut gold, mut test) = (Vec::new(), Vec::new());
        for row in rows {
            match row.split {
                Split::Gold => gold.push(row),
                Split::Test => test.push(row),
                Split::Transfer => {}
            }
        }
        Ok(Self {
            reference: artifact.reference,
            summary: artifact.summary()?,
            gold,
            test,
        })
    }
}

fn entry(artifact: &Artifact, data: &Data, lineage: &Lineage<'_>) -> Result<Entry, ReportError> {
    let summary: PredictionsSummary = artifact.summary()?;
    let mut rows: Vec<Prediction> = artifact.records()?;
    rows.sort_by_key(|row| row.id);
    if rows.is_empty() {
        return Err(ReportError::no_items(
            &artifact.reference.short(),
            &summary.arm,
        ));
    }
    if let Some(reason) = difference(&rows, &data.test) {
        return Err(ReportError::hinted(
            format_args!(
                "arm `{}`, seed {}: {} and the test split of {} differ: {reason}",
                summary.arm,
                summary.seed,
                artifact.reference.short(),
                data.reference.short()
            ),
            "predict with the `--data` of the same seed for every arm",
        ));
    }
    if summary.classes != data.summary.classes {
        return Err(ReportError::other_classes(
            &format!("{} of arm `{}`", artifact.reference.short(), summary.arm),
            &data.reference.short(),
            [&summary.classes, &data.summary.classes],
        ));
    }
    let items = data.test.iter().map(|row| Item {
        id: row.id,
        content: content(&row.text),
        group: row.group,
        gold: Some(row.label),
    });
    let gold: Vec<u32> = data.test.iter().map(|row| row.label).collect();
    let probabilities = rows
        .iter()
        .map(|row| row.probabilities.iter().map(|&p| f64::from(p)).collect());
    let run = Run {
        seed: summary.seed,
        artifact: Some(artifact.reference),
        model: lineage.model_of(&artifact.manifest),
        ..Run::default()
    };
    Ok(Entry {
        test: data.summary.task.clone(),
        arm: summary.arm,
        role: summary.role,
        tags: BTreeMap::new(),
        classes: summary.classes,
        items: items.collect(),
        run: run.classified(probabilities.collect(), &gold),
    })
}

/// Fingerprint of a text, the same as that of a prompt that says nothing else.
fn content(text: &str) -> u64 {
    prompt_fingerprint(&[Message {
        role: String::new(),
        content: text.to_owned(),
    }])
}

/// The first way in which predictions are not about the test rows, as a clause.
fn difference(rows: &[Prediction], test: &[Example]) -> Option<String> {
    if rows.len() != test.len() {
        return Some(format!(
            "{} predictions for {} rows",
            rows.len(),
            test.len()
        ));
    }
    rows.iter().zip(test).find_map(|(got, wanted)| {
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
}

/// Adds the trivial classifiers, fitted on the gold split of each seed, where every seed has one.
pub(crate) fn add_baselines(experiment: &mut Experiment, seed_data: &[Rc<Data>]) {
    if seed_data.is_empty() || seed_data.iter().any(|data| data.gold.is_empty()) {
        return;
    }
    experiment.arms.extend([
        baseline::<MajorityClass>(experiment, seed_data),
        baseline::<LengthThreshold>(experiment, seed_data),
        baseline::<UnigramBayes>(experiment, seed_data),
    ]);
}

fn baseline<B: Baseline>(experiment: &Experiment, seed_data: &[Rc<Data>]) -> Arm {
    fn labelled(rows: &[Example]) -> Vec<Labelled<'_>> {
        let labelled = rows.iter().map(|row| Labelled {
            text: &row.text,
            label: row.label,
        });
        labelled.collect()
    }
    let run = |(data, &seed): (&Rc<Data>, &u64)| {
        let classes = data.summary.classes.len();
        let probabilities =
            baselines::evaluate::<B>(&labelled(&data.gold), &labelled(&data.test), classes);
        let gold: Vec<u32> = data.test.iter().map(|row| row.label).collect();
        let run = Run {
            seed,
            ..Run::default()
        };
        run.classified(probabilities, &gold)
    };
    // What agrees with the teacher is told of baselines too, where there is one teacher.
    let mut teachers = experiment.of_role(Role::Teacher);
    Arm {
        name: B::NAME.to_owned(),
        family: B::NAME.to_owned(),
        role: Role::Baseline,
        about: Some(B::ABOUT.to_owned()),
        tags: BTreeMap::new(),
        stop: None,
        runs: seed_data.iter().zip(&experiment.seeds).map(run).collect(),
        fixed: false,
        teacher: teachers.next().filter(|_| teachers.next().is_none()),
        ceiling: None,
        base: None,
    }
}

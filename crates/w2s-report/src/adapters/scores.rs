//! Scores of answers, choices and likelihoods.

use std::collections::{BTreeMap, BTreeSet};

use w2s_artifact::summary::ScoresSummary;
use w2s_artifact::{Artifact, Score};
use w2s_stats::metrics;

use crate::error::ReportError;
use crate::experiment::{Entry, Item, Run};
use crate::lineage::Lineage;

/// One scores artifact as an entry. The tag `test` names the test, where arms have several.
pub(crate) fn read(artifact: &Artifact, lineage: &Lineage<'_>) -> Result<Entry, ReportError> {
    let summary: ScoresSummary = artifact.summary()?;
    let scores: Vec<Score> = artifact.records()?;
    let (items, values) = averaged(&scores);
    if items.is_empty() {
        return Err(ReportError::no_items(
            &artifact.reference.short(),
            &summary.arm,
        ));
    }
    let mut tags = summary.tags;
    Ok(Entry {
        test: tags.remove("test").unwrap_or_default(),
        arm: summary.arm,
        role: summary.role,
        tags,
        classes: Vec::new(),
        run: Run {
            seed: summary.seed,
            artifact: Some(artifact.reference),
            model: lineage.model_of(&artifact.manifest),
            items_original: summary.items.max(items.len()),
            items: items.len(),
            answers: scores.len(),
            values,
            ..Run::default()
        },
        items,
    })
}

/// The items by number, and each metric in their order. Samples of one item are not independent of each other, so they are
/// averaged before anything is counted.
fn averaged(scores: &[Score]) -> (Vec<Item>, BTreeMap<String, Vec<f64>>) {
    let mut samples: BTreeMap<u64, Vec<&Score>> = BTreeMap::new();
    for score in scores {
        samples.entry(score.id).or_default().push(score);
    }
    let item = |samples: &Vec<&Score>| Item {
        id: samples[0].id,
        content: samples[0].content,
        group: samples[0].group,
        gold: None,
    };
    let column = |key: &String| {
        let mean = |samples: &Vec<&Score>| {
            let known = samples
                .iter()
                .filter_map(|score| score.values.get(key).copied());
            metrics::mean(&known.collect::<Vec<_>>()).unwrap_or(f64::NAN)
        };
        (key.clone(), samples.values().map(mean).collect())
    };
    let keys: BTreeSet<_> = scores
        .iter()
        .flat_map(|score| score.values.keys())
        .collect();
    (
        samples.values().map(item).collect(),
        keys.into_iter().map(column).collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_an_item_are_averaged() {
        let score = |id, sample, values: &[(&str, f64)]| Score {
            id,
            sample,
            group: id,
            content: id,
            values: values
                .iter()
                .map(|&(name, value)| (name.to_owned(), value))
                .collect(),
        };
        let (items, values) = averaged(&[
            score(7, 0, &[("exact", 1.0), ("judge", 0.2)]),
            score(7, 1, &[("exact", 0.0)]),
            score(9, 0, &[("exact", 1.0)]),
        ]);
        assert_eq!(items.len(), 2);
        assert_eq!(values["exact"], [0.5, 1.0]);
        assert!(values["judge"][0] == 0.2 && values["judge"][1].is_nan());
    }
}

//! Scores of answers, choices and likelihoods.

use std::collections::BTreeMap;

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
    let items = averaged(&scores);
    if items.is_empty() {
        return Err(ReportError::NoItems {
            artifact: artifact.reference.short(),
            arm: summary.arm,
        });
    }
    let keys = scores.iter().flat_map(|score| score.values.keys());
    let mut values: BTreeMap<String, Vec<f64>> = keys.map(|key| (key.clone(), Vec::new())).collect();
    for (key, column) in &mut values {
        let each = items.values().map(|(_, item)| item.get(key).copied().unwrap_or(f64::NAN));
        column.extend(each);
    }
    let run = Run {
        seed: summary.seed,
        artifact: Some(artifact.reference),
        model: lineage.model_of(&artifact.manifest),
        items_original: summary.items.max(items.len()),
        items: items.len(),
        answers: scores.len(),
        values,
        ..Run::default()
    };
    let mut tags = summary.tags;
    Ok(Entry {
        test: tags.remove("test").unwrap_or_default(),
        arm: summary.arm,
        role: summary.role,
        tags,
        classes: Vec::new(),
        items: items.into_values().map(|(item, _)| item).collect(),
        run,
    })
}

/// The items by id, each with its metrics. Samples of one item are not independent of each other, so they are averaged
/// before anything is counted.
fn averaged(scores: &[Score]) -> BTreeMap<u64, (Item, BTreeMap<String, f64>)> {
    let mut samples: BTreeMap<u64, (Item, BTreeMap<String, Vec<f64>>)> = BTreeMap::new();
    for score in scores {
        let item = samples.entry(score.id).or_insert_with(|| {
            let item = Item {
                id: score.id,
                content: score.content,
                group: score.group,
                gold: None,
            };
            (item, BTreeMap::new())
        });
        for (metric, &value) in &score.values {
            item.1.entry(metric.clone()).or_default().push(value);
        }
    }
    let mean = |values: BTreeMap<String, Vec<f64>>| {
        let means = values.into_iter();
        let means = means.filter_map(|(metric, values)| Some((metric, metrics::mean(&values)?)));
        means.collect()
    };
    let items = samples.into_iter();
    items.map(|(id, (item, values))| (id, (item, mean(values)))).collect()
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
            values: values.iter().map(|&(name, value)| (name.to_owned(), value)).collect(),
        };
        let items = averaged(&[
            score(7, 0, &[("exact", 1.0), ("judge", 0.2)]),
            score(7, 1, &[("exact", 0.0)]),
            score(9, 0, &[("exact", 1.0)]),
        ]);
        assert_eq!(items.len(), 2);
        assert_eq!(items[&7].1["exact"], 0.5);
        assert_eq!(items[&7].1["judge"], 0.2);
        assert_eq!(items[&9].1.get("judge"), None);
    }
}

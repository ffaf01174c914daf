//! From features and labels to a trained linear probe (arXiv 2312.09390, appendix D.2), whatever the method.

use crate::{Learning, Supervision, targets};
use anyhow::{Result, bail};
use burn::tensor::Device;
use w2s_artifact::Example;
use w2s_artifact::summary::TrainingSummary;
use w2s_lm::{FeatureScale, FeatureTable, LabelledRows, Probe, ProbeSettings};
use w2s_train::Watch;

/// Trains a head on the features of `examples` under `supervision`, from zeros, and writes it into the folder of `how`. With
/// `standardize` every feature is brought to mean 0 and deviation 1 over the rows that are trained on, and the scale is folded
/// into the head, which reads features as they are.
///
/// # Errors
///
/// If labels are of other rows than the examples, if no row is left, if the gold labels are all of one class, or what the loop
/// refuses.
pub fn probe(
    mut table: FeatureTable,
    examples: &[Example],
    classes: &[String],
    supervision: &Supervision,
    standardize: bool,
    how: &Learning,
    device: &Device,
    watch: Watch,
) -> Result<TrainingSummary> {
    let (mut features, mut labels, mut groups) = (Vec::new(), Vec::new(), Vec::new());
    let (mut without_features, mut unlabelled) = (0, 0);
    let targets = targets(examples, classes, supervision)?;
    for (example, target) in examples.iter().zip(targets) {
        match (table.take(example.id), target) {
            (None, _) => without_features += 1,
            (Some(_), None) => unlabelled += 1,
            (Some(row), target) => {
                features.push(row);
                labels.push(target);
                groups.push(example.group);
            }
        }
    }
    if features.is_empty() {
        bail!(
            "none of {} rows is left: {without_features} without features, {unlabelled} without a label",
            examples.len()
        );
    }
    let scale = standardize.then(|| FeatureScale::of(&features));
    if let Some(scale) = &scale {
        scale.apply(&mut features);
    }
    let rows = LabelledRows::new(features, labels, groups);
    let start = Probe::zeros(classes.len(), table.width, device);
    let (mut trained, mut summary) = how.fit(start, rows, watch)?;
    if let Some(scale) = &scale {
        trained = scale.fold(&trained);
    }
    let settings = ProbeSettings {
        classes: classes.to_vec(),
        width: table.width,
        features: table.origin,
    };
    settings.save(&trained, how.dir)?;
    summary.classes = classes.to_vec();
    for (reason, count) in [
        ("without_features", without_features),
        ("unlabelled", unlabelled),
    ] {
        summary.dropped.insert(reason.into(), count);
    }
    Ok(summary)
}

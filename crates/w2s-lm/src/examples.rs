//! Examples and what a checkpoint makes of them, be it a model that reads their texts or a probe that reads their features.

use crate::{ClassModel, Classified, FeatureTable, LmError, ModelFolder, ProbeSettings, classify};
use burn::tensor::Device;
use w2s_artifact::{Artifact, Example, Split};

/// Examples with a checkpoint's probabilities of their classes.
#[derive(Clone, Debug)]
pub struct ClassifiedExamples {
    /// The examples that the checkpoint can read.
    pub examples: Vec<Example>,
    /// Probabilities of the classes, one row for each of them.
    pub probabilities: Vec<Vec<f32>>,
    /// Names of the classes, in the order of the probabilities.
    pub classes: Vec<String>,
    /// Examples left out for their length.
    pub dropped_too_long: usize,
    /// Examples cut to the longest prompt; those of features are counted where the features were made.
    pub truncated: usize,
    /// Tokens that were read; none by a probe.
    pub tokens: usize,
}

/// Probabilities that the checkpoint `model` gives to the examples of a split of `data`; a probe reads them from
/// `features`. `each` hears how many rows are done at a time, and stops the work by returning `false`, upon which the
/// result is `None`.
///
/// # Errors
///
/// A checkpoint that is no classifier, one whose classes are not those of the data in the same order, a probe without
/// features or with features of another origin than those it was trained on, features for a model of texts.
pub fn classify_examples(
    model: &Artifact,
    features: Option<&Artifact>,
    data: &Artifact,
    split: Split,
    device: &Device,
    each: &mut dyn FnMut(usize) -> bool,
) -> Result<Option<ClassifiedExamples>, LmError> {
    let examples = data.examples(split)?;
    let name = model.reference.short();
    if !ProbeSettings::are_in(&model.path) {
        if let Some(features) = features {
            return Err(LmError::Mismatch(format!(
                "{name} reads texts, and --features is {}\nhint: leave --features out; only a probe reads features",
                features.reference.short()
            )));
        }
        let classes = ModelFolder::open(&model.path)?
            .classifier_settings()?
            .classes;
        same_classes(&name, &classes, data)?;
        let texts = examples.iter().map(|e| e.text.as_str());
        let classified = classify(&model.path, texts, device, each)?;
        return Ok(classified.map(
            |Classified {
                 encoded,
                 probabilities,
             }| {
                let mut rows = encoded.rows.into_iter().peekable();
                let numbered = examples.into_iter().enumerate();
                let read = numbered.filter(|(place, _)| rows.next_if_eq(place).is_some());
                ClassifiedExamples {
                    examples: read.map(|(_, example)| example).collect(),
                    probabilities,
                    classes,
                    dropped_too_long: encoded.dropped,
                    truncated: encoded.truncated,
                    tokens: encoded.sequences.iter().map(Vec::len).sum(),
                }
            },
        ));
    }
    let (settings, probe) = ProbeSettings::load(&model.path, device)?;
    same_classes(&name, &settings.classes, data)?;
    let Some(features) = features else {
        return Err(LmError::Mismatch(format!(
            "{name} is a linear probe, which reads features, and --features is not given\n\
             hint: name features of {}",
            settings.features
        )));
    };
    let mut table = FeatureTable::read(features, data)?;
    if let Some((theirs, ours)) = settings.features.difference(&table.origin) {
        return Err(LmError::Mismatch(format!(
            "{name} was trained on features made by {theirs}, but {} was made by {ours}\n\
             hint: a probe reads features of one origin; name those, or train a probe on these",
            features.reference.short()
        )));
    }
    let total = examples.len();
    let (examples, rows): (Vec<_>, Vec<_>) = examples
        .into_iter()
        .filter_map(|example| Some((table.take(example.id)?, example)))
        .map(|(row, example)| (example, row))
        .unzip();
    let probabilities = probe.probabilities(&rows, each);
    Ok(probabilities.map(|probabilities| ClassifiedExamples {
        dropped_too_long: total - examples.len(),
        examples,
        probabilities,
        classes: settings.classes,
        truncated: 0,
        tokens: 0,
    }))
}

/// Refuses a model whose classes are not those of the data in the same order: its probabilities would be read under other
/// names than it learnt them.
fn same_classes(model: &str, classes: &[String], data: &Artifact) -> Result<(), LmError> {
    let theirs = data.classes()?;
    if theirs == classes {
        return Ok(());
    }
    Err(LmError::Mismatch(format!(
        "{model} tells apart the classes {}, in this order, but those of {} are {}\n\
         hint: train and predict with the same task, or bring the classes of its description into the same order",
        classes.join(", "),
        data.reference.short(),
        theirs.join(", ")
    )))
}

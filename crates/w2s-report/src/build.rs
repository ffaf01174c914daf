//! From artifacts to the report.

use std::rc::Rc;

use w2s_artifact::{Artifact, Manifest, Store};

use crate::adapters::{
    self,
    predictions::{Data, Datasets},
};
use crate::analysis::Analysis;
use crate::contrasts::{self, Page};
use crate::error::ReportError;
use crate::experiment::{Entry, Experiment, arrange};
use crate::lineage::Lineage;
use crate::provenance;
use crate::section::{FORMAT, Report, Section};

/// What a report is about.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// Predictions of classifiers.
    pub predictions: Vec<Artifact>,
    /// Scores of answers, choices and likelihoods.
    pub scores: Vec<Artifact>,
    /// The linear theory.
    pub theory: Vec<Artifact>,
}

/// What shapes a report besides its inputs.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Name of the recipe, for the title.
    pub recipe: String,
    /// What the run changed in the recipe.
    pub overrides: Vec<String>,
    /// The metric of the headline, of scores; reward accuracy where it is known, or else the first one by name that is no
    /// divergence, where none is asked for.
    pub metric: Option<String>,
}

/// An experiment, and the examples behind each of its seeds where it has some.
struct Test {
    experiment: Experiment,
    data: Vec<Rc<Data>>,
}

/// Computes the report on `inputs`, whose models and data are looked up in `store`.
pub fn build(store: &Store, inputs: &Inputs, options: &Options) -> Result<Report, ReportError> {
    let Inputs {
        predictions,
        scores,
        theory,
    } = inputs;
    if predictions.is_empty() && scores.is_empty() && theory.is_empty() {
        return Err(ReportError::nothing());
    }
    let lineage = Lineage::new(store);
    let roots = predictions.iter().chain(scores).chain(theory);
    let roots: Vec<&Manifest> = roots.map(|artifact| &artifact.manifest).collect();
    let (manifests, lost) = provenance::trace(&lineage, &roots);
    let steps: Vec<_> = manifests.iter().map(provenance::step).collect();

    let tests = tests(inputs, options, &lineage)?;
    let analyses: Vec<Analysis<'_>> = tests
        .iter()
        .map(|test| Analysis::new(&test.experiment))
        .collect();
    let mut page = Page::default();
    let is_bases = |at: &usize| contrasts::is_bases(&tests[*at].experiment);
    let (probes, about): (Vec<usize>, Vec<usize>) = (0..tests.len()).partition(is_bases);
    // Probes alone are an experiment like any other.
    let about = if about.is_empty() {
        probes.clone()
    } else {
        about
    };
    for at in &about {
        let (test, analysis) = (&tests[*at], &analyses[*at]);
        page.test = test.experiment.test.clone().filter(|_| about.len() > 1);
        let data: Vec<&Data> = test.data.iter().map(|data| &**data).collect();
        contrasts::experiment(analysis, &data, &lineage, &mut page);
    }
    page.test = None;
    let of = |places: &[usize]| places.iter().map(|&at| &analyses[at]).collect::<Vec<_>>();
    if contrasts::bases(&of(&about), &of(&probes), &lineage, &mut page) {
        page.headlines.truncate(1);
    }
    let studies = theory
        .iter()
        .map(adapters::theory::read)
        .collect::<Result<Vec<_>, _>>()?;
    contrasts::theory(&studies, &mut page);
    page.warnings.extend(contrasts::oracle_options(&steps));
    page.warnings.extend(lost);
    page.sections.push(provenance::section(&manifests, &steps));
    if !tests.is_empty() {
        page.sections.push(method(&analyses));
    }
    Ok(Report {
        format: FORMAT,
        recipe: options.recipe.clone(),
        title: options.recipe.clone(),
        headline: page.headlines.join(" "),
        overrides: options.overrides.clone(),
        findings: page.findings,
        warnings: page.warnings,
        sections: page.sections,
        arms: page.arms,
        steps,
    })
}

/// One experiment for each test of each kind, in order of appearance.
fn tests(
    inputs: &Inputs,
    options: &Options,
    lineage: &Lineage<'_>,
) -> Result<Vec<Test>, ReportError> {
    let (classified, data) = adapters::predictions::read(&inputs.predictions, lineage)?;
    let scored = inputs
        .scores
        .iter()
        .map(|artifact| adapters::scores::read(artifact, lineage));
    let scored = scored.collect::<Result<Vec<_>, _>>()?;
    let mut tests = Vec::new();
    for entries in [classified, scored] {
        let mut by_test: Vec<(String, Vec<Entry>)> = Vec::new();
        for entry in entries {
            match by_test.iter_mut().find(|(test, _)| *test == entry.test) {
                Some((_, known)) => known.push(entry),
                None => by_test.push((entry.test.clone(), vec![entry])),
            }
        }
        for (test, entries) in by_test {
            let mut experiment = arrange(&entries, options.metric.as_deref(), lineage)?;
            experiment.test = (!test.is_empty()).then_some(test);
            let data = seed_data(&experiment, &data, lineage);
            adapters::predictions::add_baselines(&mut experiment, &data);
            tests.push(Test { experiment, data });
        }
    }
    Ok(tests)
}

/// The examples of each seed, of an experiment with classifiers.
fn seed_data(experiment: &Experiment, data: &Datasets, lineage: &Lineage<'_>) -> Vec<Rc<Data>> {
    let runs = experiment.arms.first().map_or(&[][..], |arm| &arm.runs);
    let found = runs.iter().filter_map(|run| {
        let examples = lineage.manifest(run.artifact?)?.input("data")?;
        data.get(&examples).cloned()
    });
    found.collect()
}

/// How the numbers are made.
fn method(analyses: &[Analysis<'_>]) -> Section {
    let covers: Vec<String> = analyses
        .iter()
        .map(|analysis| analysis.design.to_string())
        .collect();
    let mut section = Section::new(
        "method",
        "How the numbers are made",
        format!(
            "Intervals are of 95 %. They cover {}: the spread between seeds with a t quantile for as many as there are, and that between groups of items, which stay together. All arms share seeds and items, so that differences are paired. A difference is shown when its interval leaves out zero. n counts predictions over all seeds.",
            covers.join("; ")
        ),
    );
    let classifies = |analysis: &&Analysis<'_>| analysis.experiment.classifies();
    if analyses.iter().any(|analysis| classifies(&analysis)) {
        section.text.push("AUROC counts ties one half. Prior-matched accuracy calls as many items positive as there are, highest scores first. Balanced accuracy is the mean recall of the classes; weighted F1 the mean F1 of the classes with their shares as weights. The first maximum wins ties between classes. Baselines are fitted on the gold split.".to_owned());
    }
    if !analyses.iter().all(|analysis| classifies(&analysis)) {
        section.text.push("Several samples of one item are averaged first. McNemar's exact test is for metrics that are 0 or 1 on every item, seed by seed. A base or teacher that was scored once stands beside every seed.".to_owned());
    }
    section
}

//! From artifacts to the report.

use std::rc::Rc;

use w2s_artifact::{Artifact, Manifest, Store};

use crate::adapters::pairs::SeedPairs;
use crate::adapters::predictions::{Data, Datasets};
use crate::adapters::{pairs, predictions, scores, theory};
use crate::analysis::Analysis;
use crate::contrasts::{self, AuditOptions, Page};
use crate::error::ReportError;
use crate::experiment::{Experiment, arrange, by_test};
use crate::format::joined;
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
    /// How the errors of students are audited.
    pub audit: AuditOptions,
}

/// An experiment, and the examples or pairs behind each of its seeds where it has some.
struct Test {
    experiment: Experiment,
    data: Vec<Rc<Data>>,
    pairs: Vec<SeedPairs>,
}

/// Computes the report on `inputs`, whose models and data are looked up in `store`.
pub fn build(store: &Store, inputs: &Inputs, options: &Options) -> Result<Report, ReportError> {
    let roots = inputs.predictions.iter().chain(&inputs.scores);
    let roots: Vec<&Manifest> = roots
        .chain(&inputs.theory)
        .map(|root| &root.manifest)
        .collect();
    if roots.is_empty() {
        return Err(ReportError::nothing());
    }
    let lineage = Lineage::new(store);
    let (manifests, lost) = provenance::trace(&lineage, &roots);
    let steps: Vec<_> = manifests.iter().map(provenance::step).collect();
    let tests = tests(inputs, options, &lineage)?;
    let analyses: Vec<_> = tests
        .iter()
        .map(|test| Analysis::new(&test.experiment))
        .collect();
    let is_bases = |at: &usize| contrasts::is_bases(&tests[*at].experiment);
    let (probes, mut about): (Vec<usize>, Vec<usize>) = (0..tests.len()).partition(is_bases);
    if about.is_empty() {
        // Probes alone are an experiment like any other.
        about.clone_from(&probes);
    }
    let mut page = Page::default();
    for &at in &about {
        let test = &tests[at];
        page.test = test.experiment.test.clone().filter(|_| about.len() > 1);
        contrasts::experiment(&analyses[at], &lineage, &options.audit, &mut page);
        contrasts::tested(
            &test.experiment,
            &test.data,
            &test.pairs,
            &lineage,
            &mut page,
        );
    }
    page.test = None;
    let [about, probes] = [about, probes].map(|of| of.iter().map(|&at| &analyses[at]).collect());
    contrasts::bases(about, probes, &lineage, &mut page);
    for artifact in &inputs.theory {
        contrasts::theory(&theory::read(artifact)?, &mut page);
    }
    contrasts::oracle_options(&steps, &mut page);
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
    let (classified, data, sets) = predictions::read(&inputs.predictions, lineage)?;
    let scored = inputs
        .scores
        .iter()
        .map(|artifact| scores::read(artifact, lineage));
    let scored = scored.collect::<Result<Vec<_>, _>>()?;
    let mut tests = Vec::new();
    for (test, entries) in by_test(classified).into_iter().chain(by_test(scored)) {
        let mut experiment = arrange(&entries, options.metric.as_deref(), lineage)?;
        experiment.test = (!test.is_empty()).then_some(test);
        let data = seed_data(&experiment, &data, lineage);
        predictions::add_baselines(&mut experiment, &data);
        let pairs = pairs::of_seeds(&experiment, &sets, lineage);
        pairs::add_baselines(&mut experiment, &pairs);
        tests.push(Test {
            experiment,
            data,
            pairs,
        });
    }
    Ok(tests)
}

/// The examples of each seed, of an experiment with classifiers.
fn seed_data(experiment: &Experiment, data: &Datasets, lineage: &Lineage<'_>) -> Vec<Rc<Data>> {
    let runs = experiment.arms.iter().take(1).flat_map(|arm| &arm.runs);
    let found = runs.filter_map(|run| data.get(&lineage.input(run.artifact?, "data")?).cloned());
    found.collect()
}

/// How the numbers are made.
fn method(analyses: &[Analysis<'_>]) -> Section {
    let covers = joined(analyses.iter().map(|analysis| &analysis.design), "; ");
    let introduction = format!(
        "Intervals are of 95 %. They cover {covers}: the spread between seeds with a t quantile for as many as there are, and that between groups of items, which stay together. All arms share seeds and items, so that differences are paired. A difference is shown when its interval leaves out zero. n counts predictions over all seeds."
    );
    let of_classes = "AUROC counts ties one half. Prior-matched accuracy calls as many items positive as there are, highest scores first. Balanced accuracy is the mean recall of the classes; weighted F1 the mean F1 of the classes with their shares as weights. The first maximum wins ties between classes. Baselines are fitted on the gold split.";
    let of_scores = "Several samples of one item are averaged first. McNemar's exact test is for metrics that are 0 or 1 on every item, seed by seed. A base or teacher that was scored once stands beside every seed.";
    let has = |classifies| {
        let mut kinds = analyses
            .iter()
            .map(|analysis| analysis.experiment.classifies());
        kinds.any(|kind| kind == classifies)
    };
    let more = [(of_classes, has(true)), (of_scores, has(false))];
    let more = more.into_iter().filter(|(_, holds)| *holds);
    Section::new("method", "How the numbers are made", introduction)
        .text(more.map(|(text, _)| text.to_owned()))
}

//! What is compared with what: each contrast turns an analysed experiment into sections, findings and warnings.
//!
//! To add one: a file with `section(analysis, …, page)`, called from [`experiment`] at its place on the page. Return early where
//! the experiment does not have what is compared. [`Analysis`] gives paired quantities (`metric`, `difference`, `share`), its
//! `estimated` their intervals. Declare the table with [`Table::of`](crate::section::Table::of), a column a line;
//! `experiment.source` says what a row is about. Put dots, lines or a map into a [`Chart`](crate::section::Chart). Sentences
//! write numbers with [`Unit`](crate::format::Unit) and go to `page.finding` or, before anybody quotes them, `page.warning`.

mod against_base;
mod agreement;
mod answers;
mod audit;
mod bases;
mod claims;
mod curve;
mod data;
mod ladder;
mod limits;
mod pairs_of_arms;
mod reasoning;
mod recovered;
mod theory;
mod training;

use std::rc::Rc;

use w2s_artifact::Role;

use crate::adapters::pairs::SeedPairs;
use crate::adapters::predictions::Data;
use crate::analysis::Analysis;
use crate::experiment::Experiment;
use crate::format::{commas, count};
use crate::lineage::Lineage;
use crate::section::{ArmEstimates, MetricEstimate, Section};

pub use audit::{AuditOptions, Comparator};
pub(crate) use bases::{bases, is_bases};
pub(crate) use limits::oracle_options;
pub(crate) use theory::theory;

/// With more arms than this, arms are counted instead of named.
const NAMED_ARMS: usize = 6;

/// A report while it grows.
#[derive(Default)]
pub(crate) struct Page {
    pub(crate) headlines: Vec<String>,
    pub(crate) findings: Vec<String>,
    pub(crate) warnings: Vec<String>,
    pub(crate) sections: Vec<Section>,
    pub(crate) arms: Vec<ArmEstimates>,
    /// The test that is written about, where there are several.
    pub(crate) test: Option<String>,
}

impl Page {
    /// Adds a section about the test at hand.
    pub(crate) fn section(&mut self, mut section: Section) {
        let same = |known: &&Section| known.id.split('.').next() == Some(&section.id[..]);
        let before = self.sections.iter().filter(same).count();
        if before > 0 {
            section.id = format!("{}.{}", section.id, before + 1);
        }
        if let Some(test) = &self.test {
            section.title = format!("{}: {test}", section.title);
        }
        self.sections.push(section);
    }

    /// Adds a sentence in large letters.
    fn headline(&mut self, sentence: String) {
        self.headlines.push(self.on_test("On", sentence));
    }

    fn finding(&mut self, sentence: String) {
        self.findings.push(self.on_test("On", sentence));
    }

    fn warning(&mut self, clause: String) {
        self.warnings.push(self.on_test("on", clause));
    }

    fn on_test(&self, on: &str, words: String) -> String {
        match &self.test {
            Some(test) => format!("{on} {test}: {words}"),
            None => words,
        }
    }
}

/// What the arms of one test did.
pub(crate) fn experiment(
    analysis: &Analysis<'_>,
    lineage: &Lineage<'_>,
    audit: &AuditOptions,
    page: &mut Page,
) {
    let experiment = analysis.experiment;
    let models = training::Models::new(experiment, lineage);
    let recovery = recovered::recover(analysis);
    match experiment.has(Role::Base) && !experiment.classifies() {
        true => against_base::overview(analysis, &models, page),
        false => recovered::overview(analysis, &recovery, page),
    }
    limits::warnings(analysis, page);
    recovered::section(analysis, &recovery, page);
    against_base::metrics(analysis, &models, page);
    pairs_of_arms::section(analysis, page);
    if !experiment.classifies() {
        claims::findings(analysis, &models, page);
        ladder::section(analysis, &models, page);
    }
    curve::section(analysis, &models, page);
    reasoning::sections(analysis, lineage, page);
    agreement::agreement(analysis, page);
    audit::section(analysis, lineage, audit, page);
    agreement::calibration(analysis, page);
    answers::section(experiment, lineage, page);
    models.section(page);
    page.arms.extend(estimates(analysis));
}

/// What the arms of one test were trained and tested on.
pub(crate) fn tested(
    experiment: &Experiment,
    data: &[Rc<Data>],
    pairs: &[SeedPairs],
    lineage: &Lineage<'_>,
    page: &mut Page,
) {
    data::section(data, page);
    data::pairs_section(pairs, page);
    data::leaks(experiment, lineage, page);
    page.warnings.extend(experiment.left_out.iter().cloned());
}

/// Every arm on every metric, for programs.
fn estimates(analysis: &Analysis<'_>) -> Vec<ArmEstimates> {
    let experiment = analysis.experiment;
    let metrics = |at: usize| {
        let all = analysis.metrics().into_iter();
        all.filter_map(move |metric| {
            let value = analysis.estimate(at, &metric.key)?;
            let metric = metric.key;
            Some(MetricEstimate { metric, value })
        })
    };
    let arms = experiment.arms.iter().enumerate();
    arms.map(|(at, arm)| ArmEstimates {
        test: experiment.test.clone(),
        arm: arm.name.clone(),
        role: arm.role,
        seeds: arm.own_runs().iter().map(|run| run.seed).collect(),
        metrics: metrics(at).collect(),
    })
    .collect()
}

/// Items of each seed, once where they are equally many.
fn items(experiment: &Experiment) -> String {
    let mut sizes: Vec<usize> = experiment.items.iter().map(Vec::len).collect();
    sizes.dedup();
    commas(sizes.into_iter().map(count))
}

//! What is compared with what: each contrast turns an analysed experiment into sections, findings and warnings.

mod agreement;
mod against_base;
mod answers;
mod bases;
mod claims;
mod curve;
mod data;
mod ladder;
mod limits;
mod pairs_of_arms;
mod recovered;
mod theory;
mod training;

use w2s_artifact::Role;

use crate::adapters::predictions::Data;
use crate::analysis::Analysis;
use crate::lineage::Lineage;
use crate::section::{ArmEstimates, MetricEstimate, Section};

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
        self.headlines.push(match &self.test {
            Some(test) => format!("On {test}: {sentence}"),
            None => sentence,
        });
    }

    fn finding(&mut self, sentence: String) {
        self.findings.push(match &self.test {
            Some(test) => format!("On {test}: {sentence}"),
            None => sentence,
        });
    }

    fn warning(&mut self, clause: String) {
        self.warnings.push(match &self.test {
            Some(test) => format!("on {test}: {clause}"),
            None => clause,
        });
    }
}

/// Everything about one test.
pub(crate) fn experiment(analysis: &Analysis<'_>, data: &[&Data], lineage: &Lineage<'_>, page: &mut Page) {
    let experiment = analysis.experiment;
    let models = training::Models::new(experiment, lineage);
    let recovery = recovered::recover(analysis);
    match experiment.of_role(Role::Base).next() {
        Some(_) if !experiment.classifies() => against_base::overview(analysis, &models, page),
        _ => recovered::overview(analysis, &recovery, page),
    }
    limits::warnings(analysis, page);
    recovered::section(analysis, &recovery, page);
    against_base::metrics(analysis, &models, page);
    pairs_of_arms::section(analysis, page);
    claims::findings(analysis, &models, page);
    ladder::section(analysis, &models, page);
    curve::section(analysis, &models, page);
    agreement::agreement(analysis, page);
    agreement::calibration(analysis, page);
    answers::section(experiment, lineage, page);
    models.section(page);
    data::section(data, page);
    data::leaks(experiment, lineage, page);
    page.warnings.extend(experiment.left_out.iter().cloned());
    page.arms.extend((0..experiment.arms.len()).map(|at| {
        let arm = &experiment.arms[at];
        let estimate = |key: &str| {
            Some(MetricEstimate {
                metric: key.to_owned(),
                value: analysis.estimate(at, key)?,
            })
        };
        ArmEstimates {
            test: experiment.test.clone(),
            arm: arm.name.clone(),
            role: arm.role,
            seeds: arm.own_runs().iter().map(|run| run.seed).collect(),
            metrics: analysis.metrics().iter().filter_map(|metric| estimate(&metric.key)).collect(),
        }
    }));
}

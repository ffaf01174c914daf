//! Closed form, simulation and trajectories of a list of cases: what `theory.json` holds.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use crate::{Arm, Case, ClosedForm, Flow, Sgd, Simulation, Trajectory, simulate};

/// The file of a theory artifact.
pub const THEORY_FILE: &str = "theory.json";

/// What is computed for every case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Dimensions of the simulation.
    pub dimensions: Vec<usize>,
    /// Draws of the error directions in each dimension.
    pub draws: usize,
    /// Training in expectation.
    pub flow: Flow,
    /// Training on finite batches.
    pub sgd: Sgd,
    /// Runs on finite batches, with the seeds `seed`, `seed + 1`, ...
    pub runs: u64,
    /// Seed of the simulation and of the first run.
    pub seed: u64,
}

/// Everything in `theory.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Study {
    /// What was computed for every case.
    pub settings: Settings,
    /// The cases, in the order in which they were asked for.
    pub cases: Vec<CaseStudy>,
}

/// One case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseStudy {
    /// The three cosines.
    pub case: Case,
    /// What the closed form says.
    pub closed_form: ClosedForm,
    /// The best time of the closed form in steps of training in expectation.
    pub best_step: f64,
    /// What random errors do, one entry a dimension.
    pub simulations: Vec<Simulation>,
    /// Training in expectation, one trajectory an arm.
    pub flow: Vec<Trajectory>,
    /// Training on finite batches, one trajectory for each arm and seed.
    pub sgd: Vec<Run>,
}

/// One run on finite batches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its seed: arms with the same seed saw the same teachers and inputs.
    pub seed: u64,
    /// What happened.
    #[serde(flatten)]
    pub trajectory: Trajectory,
}

/// Computes every case. `watch` sees how many are done and may stop the work, which then has no result.
pub fn study(
    cases: &[Case],
    settings: &Settings,
    watch: &mut dyn FnMut(usize) -> bool,
) -> Option<Study> {
    let mut studies = Vec::new();
    for &case in cases {
        if !watch(studies.len()) {
            return None;
        }
        studies.push(case_study(case, settings));
    }
    watch(studies.len());
    Some(Study {
        settings: settings.clone(),
        cases: studies,
    })
}

fn case_study(case: Case, settings: &Settings) -> CaseStudy {
    let closed_form = case.closed_form();
    let runs: Vec<(u64, Arm)> = (0..settings.runs)
        .flat_map(|run| Arm::ALL.map(|arm| (settings.seed + run, arm)))
        .collect();
    CaseStudy {
        case,
        closed_form,
        best_step: settings.flow.steps_of(closed_form.best_time),
        simulations: settings
            .dimensions
            .iter()
            .map(|&dimension| simulate(case, dimension, settings.draws, settings.seed))
            .collect(),
        flow: Arm::ALL
            .into_par_iter()
            .map(|arm| settings.flow.run(case, arm))
            .collect(),
        sgd: runs
            .into_par_iter()
            .map(|(seed, arm)| Run {
                seed,
                trajectory: settings.sgd.run(case, arm, seed),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            dimensions: vec![5, 50],
            draws: 20,
            flow: Flow {
                steps: 40,
                ..Flow::default()
            },
            sgd: Sgd {
                steps: 10,
                dimension: 5,
                ..Sgd::default()
            },
            runs: 2,
            seed: 3,
        }
    }

    #[test]
    fn every_case_has_every_part_and_survives_json() {
        let mut seen = Vec::new();
        let done = study(&Case::PUBLISHED[..2], &settings(), &mut |cases| {
            seen.push(cases);
            true
        });
        let study = done.unwrap();
        assert_eq!(seen, [0, 1, 2]);
        let first = &study.cases[0];
        // t* = 0.0608 of length 3 in steps of 0.1 / sqrt(2 pi): 4.57.
        assert!((first.best_step - 4.573).abs() < 1e-3);
        assert_eq!(first.flow.len(), 4);
        let runs: Vec<_> = first
            .sgd
            .iter()
            .map(|r| (r.seed, r.trajectory.arm))
            .collect();
        assert_eq!(runs[..2], [(3, Arm::Delta), (3, Arm::Sft)]);
        assert_eq!(runs[7], (4, Arm::Tied));
        let dimensions: Vec<_> = first.simulations.iter().map(|s| s.dimension).collect();
        assert_eq!(dimensions, [5, 50]);
        let json = serde_json::to_string(&study).unwrap();
        assert_eq!(serde_json::from_str::<Study>(&json).unwrap(), study);
    }

    #[test]
    fn a_stopped_study_has_no_result() {
        assert_eq!(
            study(&Case::PUBLISHED, &settings(), &mut |cases| cases < 1),
            None
        );
    }
}

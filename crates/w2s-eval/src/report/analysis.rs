//! From predictions in memory to scores, agreement, calibration and PGR.

use std::iter;

use super::{
    AgreementResult, ArmResult, CalibrationResult, Comparison, Gap, OtherMetric, PgrResult, Role,
};
use w2s_stats::bootstrap::{self, Draws, SeedSample, Series, Settings};
use w2s_stats::metrics::{self, McNemar};
use w2s_stats::pgr;
use w2s_stats::ranking::Ranking;

/// Bins of the calibration diagrams.
const CALIBRATION_BINS: usize = 10;

/// Predictions of several arms on the test items of several seeds.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// Class names.
    pub classes: Vec<String>,
    /// The test items, seed by seed.
    pub trials: Vec<Trial>,
    /// Whether item `i` is the same in every trial.
    pub shared_items: bool,
    /// The arms: at most one weak, at most one ceiling.
    pub arms: Vec<Arm>,
}

/// The test items of one seed.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The seed.
    pub seed: u64,
    /// Gold class of each item.
    pub gold: Vec<u32>,
}

/// One arm on all trials.
#[derive(Clone, Debug)]
pub struct Arm {
    /// Name of the arm.
    pub name: String,
    /// What it is.
    pub role: Role,
    /// What a baseline does.
    pub about: Option<String>,
    /// Its predictions, in the order of the trials.
    pub runs: Vec<Run>,
}

/// Predictions of one arm on one trial.
#[derive(Clone, Debug)]
pub struct Run {
    /// Class probabilities of each item.
    pub probabilities: Vec<Vec<f64>>,
    /// Predicted class of each item.
    pub predicted: Vec<u32>,
}

impl Run {
    /// Takes the class probabilities of each item; the first maximum is the predicted class.
    pub fn new(probabilities: Vec<Vec<f64>>) -> Self {
        let predicted = probabilities
            .iter()
            .map(|row| metrics::predicted(row))
            .collect();
        Self {
            probabilities,
            predicted,
        }
    }

    fn right(&self, gold: &[u32]) -> Vec<bool> {
        self.predicted
            .iter()
            .zip(gold)
            .map(|(p, g)| p == g)
            .collect()
    }
}

/// What [`analyse`] computes.
pub struct Analysis {
    /// Scores of each arm, in the order of the experiment.
    pub arms: Vec<ArmResult>,
    /// The gap, when there is a teacher and a ceiling.
    pub gap: Option<Gap>,
    /// One entry a student, when there is a teacher.
    pub pgr: Vec<PgrResult>,
}

/// Per-item columns of one arm, in this order.
enum Column {
    Right,
    Brier,
    BothRight,
    SameError,
}
const COLUMNS: usize = 4;

struct Scores<'a> {
    draws: &'a Draws,
    binary: bool,
}

impl Scores<'_> {
    fn column(&self, arm: usize, column: Column) -> Series {
        self.draws.column(arm * COLUMNS + column as usize)
    }

    fn accuracy(&self, arm: usize) -> Series {
        self.column(arm, Column::Right)
    }

    fn auroc(&self, arm: usize) -> Option<Series> {
        self.binary.then(|| self.draws.auroc(arm))
    }

    fn prior_matched(&self, arm: usize) -> Option<Series> {
        self.binary.then(|| self.draws.prior_matched(arm))
    }
}

/// Computes every score of an experiment.
///
/// # Panics
///
/// When an arm does not have one run for every trial with one prediction an item.
pub fn analyse(experiment: &Experiment, settings: Settings) -> Analysis {
    for arm in &experiment.arms {
        assert_eq!(
            arm.runs.len(),
            experiment.trials.len(),
            "arm {} has one run a trial",
            arm.name
        );
        for (run, trial) in arm.runs.iter().zip(&experiment.trials) {
            assert_eq!(
                run.predicted.len(),
                trial.gold.len(),
                "arm {} has one prediction an item",
                arm.name
            );
        }
    }
    let find = |role| experiment.arms.iter().position(|arm| arm.role == role);
    let (weak, ceiling) = (find(Role::Weak), find(Role::Ceiling));
    let binary = experiment.classes.len() == 2;

    let samples: Vec<SeedSample> = (0..experiment.trials.len())
        .map(|trial| sample(experiment, trial, weak, binary))
        .collect();
    let draws = bootstrap::paired(&samples, experiment.shared_items, settings);
    let scores = Scores {
        draws: &draws,
        binary,
    };

    let arms = (0..experiment.arms.len())
        .map(|arm| arm_result(experiment, &scores, arm, weak))
        .collect();
    let gap = weak.zip(ceiling).map(|(weak, ceiling)| {
        let gap = scores.accuracy(ceiling).minus(&scores.accuracy(weak));
        let estimate = gap.estimate(0);
        Gap {
            mean: gap.mean,
            ci95: estimate.ci95,
            per_seed: estimate.per_seed,
            significant: pgr::gap_significant(&scores.accuracy(weak), &scores.accuracy(ceiling)),
        }
    });
    let students =
        (0..experiment.arms.len()).filter(|&arm| experiment.arms[arm].role == Role::Student);
    let pgr = weak.map_or_else(Vec::new, |weak| {
        students
            .map(|student| pgr_result(experiment, &scores, weak, student, ceiling))
            .collect()
    });
    Analysis { arms, gap, pgr }
}

fn sample(experiment: &Experiment, trial: usize, weak: Option<usize>, binary: bool) -> SeedSample {
    let gold = &experiment.trials[trial].gold;
    let number = |flag: bool| f64::from(u8::from(flag));
    let mut columns = Vec::new();
    let mut rankings = Vec::new();
    for arm in &experiment.arms {
        let run = &arm.runs[trial];
        let teacher = weak.map(|weak| &experiment.arms[weak].runs[trial].predicted);
        let both = |test: &dyn Fn(u32, u32, u32) -> bool| match teacher {
            Some(teacher) => iter::zip(&run.predicted, teacher)
                .zip(gold)
                .map(|((&student, &teacher), &gold)| number(test(student, teacher, gold)))
                .collect(),
            None => vec![0.0; gold.len()],
        };
        columns.push(run.right(gold).into_iter().map(number).collect());
        columns.push(
            iter::zip(&run.probabilities, gold)
                .map(|(row, &gold)| metrics::brier(row, gold))
                .collect(),
        );
        columns.push(both(&|student, teacher, gold| {
            student == gold && teacher == gold
        }));
        columns.push(both(&|student, teacher, gold| {
            student == teacher && teacher != gold
        }));
        if binary {
            let scores: Vec<f64> = run.probabilities.iter().map(|row| row[1]).collect();
            let positive: Vec<bool> = gold.iter().map(|&class| class == 1).collect();
            rankings.push(Ranking::new(&scores, &positive));
        }
    }
    SeedSample::new(gold.len(), &columns, rankings)
}

fn arm_result(
    experiment: &Experiment,
    scores: &Scores<'_>,
    at: usize,
    weak: Option<usize>,
) -> ArmResult {
    let arm = &experiment.arms[at];
    let items = experiment.trials.iter().map(|trial| trial.gold.len()).sum();
    let agreement = weak
        .filter(|&weak| weak != at)
        .map(|weak| agreement(experiment, scores, at, weak));
    ArmResult {
        arm: arm.name.clone(),
        role: arm.role,
        about: arm.about.clone(),
        accuracy: scores.accuracy(at).estimate(items),
        auroc: scores.auroc(at).map(|series| series.estimate(items)),
        prior_matched_accuracy: scores
            .prior_matched(at)
            .map(|series| series.estimate(items)),
        agreement,
        calibration: calibration(experiment, scores, at, items),
    }
}

fn agreement(
    experiment: &Experiment,
    scores: &Scores<'_>,
    arm: usize,
    weak: usize,
) -> AgreementResult {
    let [mut right, mut wrong] = [0, 0];
    for (run, trial) in experiment.arms[weak].runs.iter().zip(&experiment.trials) {
        for (predicted, gold) in run.predicted.iter().zip(&trial.gold) {
            *(if predicted == gold {
                &mut right
            } else {
                &mut wrong
            }) += 1;
        }
    }
    let teacher_right = scores.accuracy(weak);
    let teacher_wrong = teacher_right.zip(&teacher_right, |right, _| 1.0 - right);
    let both_right = scores.column(arm, Column::BothRight);
    let same_error = scores.column(arm, Column::SameError);
    // Wrong together: neither is right.
    let both_wrong = scores
        .accuracy(arm)
        .zip(&teacher_right, |student, teacher| 1.0 - student - teacher)
        .zip(&both_right, |rest, both| rest + both);
    AgreementResult {
        overall: both_right
            .zip(&same_error, |right, wrong| right + wrong)
            .estimate(right + wrong),
        teacher_right: both_right.over(&teacher_right).estimate(right),
        teacher_wrong: same_error.over(&teacher_wrong).estimate(wrong),
        error_inheritance: both_wrong.over(&teacher_wrong).estimate(wrong),
        new_error_rate: teacher_right
            .minus(&both_right)
            .over(&teacher_right)
            .estimate(right),
    }
}

fn calibration(
    experiment: &Experiment,
    scores: &Scores<'_>,
    arm: usize,
    items: usize,
) -> CalibrationResult {
    let (mut probabilities, mut happened) = (Vec::with_capacity(items), Vec::with_capacity(items));
    for (run, trial) in experiment.arms[arm].runs.iter().zip(&experiment.trials) {
        for ((row, &predicted), &gold) in run
            .probabilities
            .iter()
            .zip(&run.predicted)
            .zip(&trial.gold)
        {
            let class = if scores.binary { 1 } else { predicted };
            probabilities.push(row[class as usize]);
            happened.push(gold == class);
        }
    }
    let reliability = metrics::reliability(&probabilities, &happened, CALIBRATION_BINS)
        .expect("an experiment has test items");
    CalibrationResult {
        event: if scores.binary {
            format!(
                "predicted probability of the class {} against its observed share",
                experiment.classes[1]
            )
        } else {
            "probability of the predicted class against its observed accuracy".to_owned()
        },
        brier: scores.column(arm, Column::Brier).estimate(items),
        ece: reliability.ece,
        bins: reliability.bins,
    }
}

fn pgr_result(
    experiment: &Experiment,
    scores: &Scores<'_>,
    weak: usize,
    student: usize,
    ceiling: Option<usize>,
) -> PgrResult {
    // Without a ceiling nothing is above the teacher, so every value is none.
    let against = ceiling.unwrap_or(weak);
    let recovered = |score: &dyn Fn(usize) -> Option<Series>| {
        Some(pgr::recovered(
            &score(weak)?,
            &score(student)?,
            &score(against)?,
        ))
    };
    let other = |name: &str, score: &dyn Fn(usize) -> Option<Series>| {
        recovered(score).map(|recovered| OtherMetric {
            metric: name.to_owned(),
            recovered,
        })
    };
    let (teacher, pupil) = (scores.accuracy(weak), scores.accuracy(student));
    let mcnemar: Vec<McNemar> = experiment
        .trials
        .iter()
        .enumerate()
        .map(|(trial, items)| {
            let right = |arm: usize| experiment.arms[arm].runs[trial].right(&items.gold);
            metrics::mcnemar(&right(student), &right(weak))
        })
        .collect();
    let pooled = McNemar::new(
        mcnemar.iter().map(|test| test.only_first).sum(),
        mcnemar.iter().map(|test| test.only_second).sum(),
    );
    let items = experiment.trials.iter().map(|trial| trial.gold.len()).sum();
    PgrResult {
        arm: experiment.arms[student].name.clone(),
        metric: "accuracy".to_owned(),
        recovered: pgr::recovered(&teacher, &pupil, &scores.accuracy(against)),
        other_metrics: [
            other("auroc", &|arm| scores.auroc(arm)),
            other("prior_matched_accuracy", &|arm| scores.prior_matched(arm)),
        ]
        .into_iter()
        .flatten()
        .collect(),
        versus_weak: Comparison {
            difference: pupil.minus(&teacher).estimate(items),
            mcnemar,
            mcnemar_pooled: pooled,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One-hot probabilities that lean towards the class.
    fn run(predicted: &[u32]) -> Run {
        Run::new(
            predicted
                .iter()
                .map(|&class| {
                    if class == 1 {
                        vec![0.2, 0.8]
                    } else {
                        vec![0.7, 0.3]
                    }
                })
                .collect(),
        )
    }

    fn arm(name: &str, role: Role, runs: &[&[u32]]) -> Arm {
        Arm {
            name: name.into(),
            role,
            about: None,
            runs: runs.iter().map(|predicted| run(predicted)).collect(),
        }
    }

    fn experiment(arms: Vec<Arm>, gold: &[&[u32]]) -> Experiment {
        let trials = gold.iter().enumerate().map(|(seed, gold)| Trial {
            seed: seed as u64,
            gold: gold.to_vec(),
        });
        Experiment {
            classes: vec!["no".into(), "yes".into()],
            trials: trials.collect(),
            shared_items: false,
            arms,
        }
    }

    const SETTINGS: Settings = Settings {
        draws: 300,
        seed: 0,
    };

    #[test]
    fn the_report_says_what_the_plain_metrics_say() {
        let gold: [&[u32]; 2] = [&[1, 0, 1, 0, 1, 1, 0, 1], &[0, 0, 1, 1, 0, 1, 0, 1]];
        let weak: [&[u32]; 2] = [&[1, 0, 0, 1, 0, 1, 1, 1], &[0, 1, 1, 1, 0, 0, 0, 0]];
        let student: [&[u32]; 2] = [&[1, 0, 1, 1, 0, 1, 0, 0], &[0, 0, 1, 1, 1, 1, 0, 0]];
        let ceiling: [&[u32]; 2] = [&[1, 0, 1, 0, 1, 1, 0, 0], &[0, 0, 1, 1, 0, 1, 0, 1]];
        let experiment = experiment(
            vec![
                arm("weak", Role::Weak, &weak),
                arm("naive", Role::Student, &student),
                arm("ceiling", Role::Ceiling, &ceiling),
            ],
            &gold,
        );
        let analysis = analyse(&experiment, SETTINGS);
        // Accuracies: weak 4/8 and 5/8, student 5/8 and 6/8, ceiling 7/8 and 8/8.
        assert_eq!(analysis.arms[0].accuracy.per_seed, [Some(0.5), Some(0.625)]);
        assert_eq!(
            analysis.arms[1].accuracy.per_seed,
            [Some(0.625), Some(0.75)]
        );
        assert_eq!(analysis.arms[2].accuracy.mean, Some(0.9375));
        assert_eq!(analysis.arms[2].accuracy.n, 16);
        // (11 - 9) / (15 - 9)
        let pgr = &analysis.pgr[0];
        assert!((pgr.recovered.value.unwrap() - 1.0 / 3.0).abs() < 1e-9);
        assert_eq!(pgr.recovered.per_seed.len(), 2);
        assert!((pgr.recovered.per_seed[0].unwrap() - 1.0 / 3.0).abs() < 1e-9);
        assert!((analysis.gap.as_ref().unwrap().mean - 0.375).abs() < 1e-9);

        for (seed, gold) in gold.iter().enumerate() {
            let expected = metrics::agreement(student[seed], weak[seed], gold);
            let got = analysis.arms[1].agreement.as_ref().unwrap();
            let near = |got: &super::super::Estimate, expected: Option<f64>| {
                let (got, expected) = (got.per_seed[seed].unwrap(), expected.unwrap());
                assert!((got - expected).abs() < 1e-9, "{got} {expected}");
            };
            near(&got.overall, expected.overall);
            near(&got.teacher_right, expected.teacher_right);
            near(&got.teacher_wrong, expected.teacher_wrong);
            near(&got.error_inheritance, expected.error_inheritance);
            near(&got.new_error_rate, expected.new_error_rate);
            let scores: Vec<f64> = run(student[seed])
                .probabilities
                .iter()
                .map(|row| row[1])
                .collect();
            let positive: Vec<bool> = gold.iter().map(|&class| class == 1).collect();
            near(
                analysis.arms[1].auroc.as_ref().unwrap(),
                metrics::auroc(&scores, &positive),
            );
            let matched = metrics::prior_matched_accuracy(&scores, &positive);
            near(
                analysis.arms[1].prior_matched_accuracy.as_ref().unwrap(),
                matched,
            );
        }
        let agreement = analysis.arms[1].agreement.as_ref().unwrap();
        assert_eq!(
            (
                agreement.teacher_right.n,
                agreement.teacher_wrong.n,
                agreement.overall.n
            ),
            (9, 7, 16)
        );
        // Only the student right: seed 0 items 2 and 6, seed 1 items 1 and 5. Only the teacher: item 7; item 4.
        assert_eq!(
            (
                pgr.versus_weak.mcnemar_pooled.only_first,
                pgr.versus_weak.mcnemar_pooled.only_second
            ),
            (4, 2)
        );
        assert!(analysis.arms[0].agreement.is_none());
    }

    #[test]
    fn without_a_ceiling_there_is_no_pgr_but_a_comparison() {
        let gold: [&[u32]; 1] = [&[1, 0, 1, 0]];
        let experiment = experiment(
            vec![
                arm("weak", Role::Weak, &[&[1, 0, 0, 0]]),
                arm("naive", Role::Student, &[&[1, 0, 1, 0]]),
            ],
            &gold,
        );
        let analysis = analyse(&experiment, SETTINGS);
        assert!(analysis.gap.is_none());
        assert_eq!(analysis.pgr[0].recovered.value, None);
        assert_eq!(analysis.pgr[0].recovered.ci95, None);
        assert!(!analysis.pgr[0].recovered.gap_significant);
        assert_eq!(analysis.pgr[0].versus_weak.difference.mean, Some(0.25));
    }

    #[test]
    fn three_classes_have_no_ranking_metric() {
        let run = Run::new(vec![vec![0.2, 0.5, 0.3], vec![0.6, 0.2, 0.2]]);
        let experiment = Experiment {
            classes: vec!["a".into(), "b".into(), "c".into()],
            trials: vec![Trial {
                seed: 0,
                gold: vec![1, 2],
            }],
            shared_items: true,
            arms: vec![Arm {
                name: "weak".into(),
                role: Role::Weak,
                about: None,
                runs: vec![run],
            }],
        };
        let analysis = analyse(&experiment, SETTINGS);
        assert!(analysis.arms[0].auroc.is_none());
        assert_eq!(analysis.arms[0].accuracy.mean, Some(0.5));
        // Half the squared distances: ((.2)^2 + (.5)^2 + (.3)^2)/2 = .19 and (.6^2 + .2^2 + .8^2)/2 = .52.
        assert!((analysis.arms[0].calibration.brier.mean.unwrap() - 0.355).abs() < 1e-9);
    }
}

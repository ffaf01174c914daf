//! Performance gap recovered: how much of the way from the weak teacher to the strong ceiling a student went.
//!
//! PGR = (student - weak) / (ceiling - weak), arXiv 2312.09390. 0 is imitation of the teacher, 1 full recovery; below 0 and
//! above 1 are possible and never clipped. There is no PGR unless the ceiling is above the teacher, and a gap whose own
//! interval holds zero makes any PGR a ratio of noise: both are part of the result.
//!
//! The public code averages teacher and ceiling over seeds and takes the median over student runs. Here seeds are paired
//! (a seed also cuts the data), so the headline is the ratio of the means over seeds, and each seed's own ratio stands
//! beside it.

use serde::{Deserialize, Serialize};

use crate::bootstrap::Series;

/// PGR of one set of scores; none unless the ceiling is above the teacher.
pub fn value(weak: f64, student: f64, ceiling: f64) -> Option<f64> {
    (ceiling > weak).then(|| (student - weak) / (ceiling - weak))
}

/// Whether the 95 % interval of ceiling - weak lies above zero.
pub fn gap_significant(weak: &Series, ceiling: &Series) -> bool {
    ceiling
        .minus(weak)
        .interval()
        .is_some_and(|[low, _]| low > 0.0)
}

/// PGR of one student on one metric, with its uncertainty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recovered {
    /// From the means over seeds; none unless the ceiling is above the teacher.
    pub value: Option<f64>,
    /// Paired 95 % bootstrap interval, over the draws in which the ceiling is above the teacher.
    pub ci95: Option<[f64; 2]>,
    /// Whether the 95 % interval of ceiling - weak lies above zero. Without that the value says nothing.
    pub gap_significant: bool,
    /// From each seed's own three scores; none where that seed's ceiling is not above its teacher.
    pub per_seed: Vec<Option<f64>>,
    /// Median over the seeds that have a value.
    pub median_of_seeds: Option<f64>,
    /// Draws without a value, which the interval leaves out.
    pub undefined_draws: usize,
}

/// Computes [`Recovered`] from the scores of teacher, student and ceiling.
pub fn recovered(weak: &Series, student: &Series, ceiling: &Series) -> Recovered {
    let gap = ceiling.zip(weak, |ceiling, weak| {
        if ceiling > weak {
            ceiling - weak
        } else {
            f64::NAN
        }
    });
    let ratio = student.minus(weak).over(&gap);
    let estimate = ratio.estimate(0);
    let mut values: Vec<f64> = estimate.per_seed.iter().flatten().copied().collect();
    values.sort_by(f64::total_cmp);
    Recovered {
        value: estimate.mean,
        ci95: estimate.ci95,
        gap_significant: gap_significant(weak, ceiling),
        per_seed: estimate.per_seed,
        median_of_seeds: crate::bootstrap::percentile(&values, 0.5),
        undefined_draws: ratio.undefined_draws(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::golden;

    #[test]
    fn golden_cases() {
        let cases = golden::group("pgr.");
        assert_eq!(cases.len(), 11);
        for case in cases {
            let got = value(case.input("weak"), case.input("w2s"), case.input("ceiling"));
            match case.optional_value() {
                Some(expected) => {
                    let got = got.unwrap_or_else(|| panic!("{}: no value", case.id));
                    assert!(
                        (got - expected).abs() < 1e-9,
                        "{}: got {got}, expected {expected}",
                        case.id
                    );
                }
                None => assert_eq!(got, None, "{}", case.id),
            }
        }
    }

    fn series(per_seed: [f64; 2], draws: [f64; 4]) -> Series {
        Series {
            mean: (per_seed[0] + per_seed[1]) / 2.0,
            per_seed: per_seed.to_vec(),
            draws: draws.to_vec(),
        }
    }

    #[test]
    fn a_seed_and_a_draw_without_a_gap_have_no_value() {
        let weak = series([0.6, 0.8], [0.7, 0.7, 0.7, 0.9]);
        let student = series([0.7, 0.8], [0.75, 0.8, 0.85, 0.8]);
        let ceiling = series([0.8, 0.8], [0.8, 0.8, 0.8, 0.8]);
        let got = recovered(&weak, &student, &ceiling);
        // Means: weak 0.7, student 0.75, ceiling 0.8.
        assert!((got.value.unwrap() - 0.5).abs() < 1e-9);
        assert!((got.per_seed[0].unwrap() - 0.5).abs() < 1e-9);
        assert_eq!(got.per_seed[1], None);
        assert_eq!(got.undefined_draws, 1);
        assert!(!got.gap_significant);
        // The three draws that count give 0.5, 1.0 and 1.5.
        let [low, high] = got.ci95.unwrap();
        assert!((low - 0.525).abs() < 1e-9 && (high - 1.475).abs() < 1e-9);
    }

    #[test]
    fn a_ceiling_below_its_teacher_is_not_a_significant_gap() {
        let weak = series([0.9, 0.9], [0.9; 4]);
        let ceiling = series([0.8, 0.8], [0.8; 4]);
        assert!(!gap_significant(&weak, &ceiling));
        assert_eq!(recovered(&weak, &weak, &ceiling).value, None);
    }

    proptest! {
        #[test]
        fn linear_in_the_student(weak in 0.0f64..0.5, gap in 0.05f64..0.5, a in 0.0f64..1.0, b in 0.0f64..1.0, t in 0.0f64..1.0) {
            let ceiling = weak + gap;
            let mixed = value(weak, t * a + (1.0 - t) * b, ceiling).unwrap();
            let parts = t * value(weak, a, ceiling).unwrap() + (1.0 - t) * value(weak, b, ceiling).unwrap();
            prop_assert!((mixed - parts).abs() < 1e-9);
            prop_assert!(value(weak, weak, ceiling).unwrap().abs() < 1e-12);
            prop_assert!((value(weak, ceiling, ceiling).unwrap() - 1.0).abs() < 1e-9);
        }

        #[test]
        fn the_unit_of_the_score_does_not_matter(weak in 0.0f64..0.5, gap in 0.05f64..0.5, student in 0.0f64..1.0) {
            let share = value(weak, student, weak + gap).unwrap();
            let percent = value(100.0 * weak, 100.0 * student, 100.0 * (weak + gap)).unwrap();
            prop_assert!((share - percent).abs() < 1e-9);
        }
    }
}

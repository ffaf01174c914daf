//! Performance gap recovered: how much of the way from the weak teacher to the strong ceiling a student went.
//!
//! PGR = (student - weak) / (ceiling - weak), arXiv 2312.09390. 0 is imitation of the teacher, 1 full recovery; below 0 and
//! above 1 are possible and never clipped. There is no PGR unless the ceiling is above the teacher, and a gap whose own
//! interval holds zero makes any PGR a ratio of noise: both are part of the result.
//!
//! The public code averages teacher and ceiling over seeds and takes the median over student runs. Here seeds are paired
//! (a seed also cuts the data), so the headline is the ratio of the means over seeds, and each seed's own ratio stands
//! beside it.
//!
//! The interval is Fieller's (1954): a ratio r is in it when student - weak - r (ceiling - weak), a score like any other, is not
//! shown to differ from zero. It needs no gap that is large against its error, keeps all pairing, and is not symmetric. When the
//! gap itself may be zero there is no bounded interval, and none is given.

use serde::{Deserialize, Serialize};

use crate::interval::Parts;
use crate::series::Series;

/// PGR of one set of scores; none unless the ceiling is above the teacher.
pub fn value(weak: f64, student: f64, ceiling: f64) -> Option<f64> {
    (ceiling > weak).then(|| (student - weak) / (ceiling - weak))
}

/// Whether the 95 % interval of ceiling - weak lies above zero.
pub fn gap_significant(weak: &Series, ceiling: &Series) -> bool {
    let interval = ceiling.minus(weak).interval();
    interval.is_some_and(|[low, _]| low > 0.0)
}

/// PGR of one student on one metric, with its uncertainty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recovered {
    /// From the means over seeds; none unless the ceiling is above the teacher.
    pub value: Option<f64>,
    /// Paired 95 % interval over seeds and test items; none unless the gap is significant.
    pub ci95: Option<[f64; 2]>,
    /// Whether the 95 % interval of ceiling - weak lies above zero. Without that the value says nothing.
    pub gap_significant: bool,
    /// From each seed's own three scores; none where that seed's ceiling is not above its teacher.
    pub per_seed: Vec<Option<f64>>,
    /// Median over the seeds that have a value.
    pub median_of_seeds: Option<f64>,
}

/// Computes [`Recovered`] from the scores of teacher, student and ceiling.
pub fn recovered(weak: &Series, student: &Series, ceiling: &Series) -> Recovered {
    let scores = weak.per_seed.iter().zip(&student.per_seed);
    let per_seed: Vec<Option<f64>> = scores
        .zip(&ceiling.per_seed)
        .map(|((&weak, &student), &ceiling)| value(weak, student, ceiling))
        .collect();
    let mut values: Vec<f64> = per_seed.iter().flatten().copied().collect();
    values.sort_by(f64::total_cmp);
    let gap_significant = gap_significant(weak, ceiling);
    Recovered {
        value: value(weak.mean, student.mean, ceiling.mean),
        ci95: gap_significant
            .then(|| fieller(&student.minus(weak), &ceiling.minus(weak)))
            .flatten(),
        gap_significant,
        per_seed,
        median_of_seeds: median(&values),
    }
}

fn median(sorted: &[f64]) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    Some((sorted[last / 2] + sorted[last.div_ceil(2)]) / 2.0)
}

/// The interval of `gain / gap` for a gap whose own interval leaves out zero.
///
/// The half width of `gain - r * gap` is a convex function of r and the score itself a straight line, so the ratios that are
/// refused are two half-lines, one on either side.
fn fieller(gain: &Series, gap: &Series) -> Option<[f64; 2]> {
    let rule = gain.design.rule()?;
    let parts = [
        Parts::of(gain, gain),
        Parts::of(gain, gap),
        Parts::of(gap, gap),
    ];
    let ratio = gain.mean / gap.mean;
    let width = |r: f64| {
        let unit = gain.unit.max(r.abs() * gap.unit);
        rule.half_width(Parts::combine(parts, r), unit)
    };
    let refused = |r: f64| (gain.mean - r * gap.mean).abs() > width(r);
    let edge = |direction: f64| {
        let mut step = direction * (width(ratio) / gap.mean.abs()).max(f64::EPSILON);
        let mut inside = ratio;
        // A gap at the edge of significance has its bound far away.
        while !refused(ratio + step) {
            inside = ratio + step;
            step *= 2.0;
            if !step.is_finite() {
                return None;
            }
        }
        let mut outside = ratio + step;
        for _ in 0..60 {
            let middle = inside + (outside - inside) / 2.0;
            *(if refused(middle) {
                &mut outside
            } else {
                &mut inside
            }) = middle;
        }
        Some(inside)
    };
    ratio.is_finite().then_some(())?;
    Some([edge(-1.0)?, edge(1.0)?])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::design::Design;
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

    /// A score without items: two of them a seed, which are alike.
    fn series(per_seed: &[f64]) -> Series {
        let columns: Vec<[f64; 2]> = per_seed.iter().map(|&value| [value; 2]).collect();
        Design::crossed(per_seed.len(), &[0, 1]).mean(&columns)
    }

    #[test]
    fn fieller_by_hand() {
        // Two seeds with gaps 0.3 and 0.3 and gains 0.1 and 0.2: the ratio is 0.5, and the error of the gap is zero, so the
        // interval is 0.15 +- 12.706 * 0.05 over 0.3.
        let got = recovered(
            &series(&[0.6, 0.5]),
            &series(&[0.7, 0.7]),
            &series(&[0.9, 0.8]),
        );
        let [low, high] = got.ci95.unwrap();
        let half = 12.7062 * 0.05 / 0.3;
        assert!((low - (0.5 - half)).abs() < 1e-3 && (high - (0.5 + half)).abs() < 1e-3);

        // Three seeds, gap 0.2, 0.3, 0.4 and gain 0.2, 0.15, 0.1: with mean square errors gg = 0.01/3, nn = 0.0025/3,
        // ng = -0.005/3 and q = 4.30265^2 the edges solve (0.15 - 0.3 r)^2 = q (nn - 2 r ng + r^2 gg).
        let got = recovered(
            &series(&[0.5; 3]),
            &series(&[0.7, 0.65, 0.6]),
            &series(&[0.7, 0.8, 0.9]),
        );
        let q = 4.30265f64.powi(2);
        let (a, b, c) = (
            0.09 - q * 0.01 / 3.0,
            -0.09 - 2.0 * q * 0.005 / 3.0,
            0.0225 - q * 0.0025 / 3.0,
        );
        let root = (b * b - 4.0 * a * c).sqrt();
        let [low, high] = got.ci95.unwrap();
        assert!((low - (-b - root) / (2.0 * a)).abs() < 1e-3, "{low}");
        assert!((high - (-b + root) / (2.0 * a)).abs() < 1e-3, "{high}");
    }

    #[test]
    fn without_a_significant_gap_there_is_a_value_and_no_interval() {
        let got = recovered(
            &series(&[0.6, 0.8]),
            &series(&[0.7, 0.8]),
            &series(&[0.8, 0.8]),
        );
        // Means: weak 0.7, student 0.75, ceiling 0.8.
        assert!((got.value.unwrap() - 0.5).abs() < 1e-9);
        assert!((got.per_seed[0].unwrap() - 0.5).abs() < 1e-9);
        assert_eq!(got.per_seed[1], None);
        assert_eq!(got.median_of_seeds, got.per_seed[0]);
        assert!(!got.gap_significant);
        assert_eq!(got.ci95, None);
    }

    #[test]
    fn a_ceiling_below_its_teacher_is_not_a_significant_gap() {
        let (weak, ceiling) = (series(&[0.9, 0.9, 0.9]), series(&[0.8, 0.8, 0.8]));
        assert!(!gap_significant(&weak, &ceiling));
        assert_eq!(recovered(&weak, &weak, &ceiling).value, None);
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_two() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[1.0, 2.0, 4.0]), Some(2.0));
        assert_eq!(median(&[1.0, 2.0, 4.0, 8.0]), Some(3.0));
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

//! Every arm against every other, with a correction for looking at all of them.

use serde::{Deserialize, Serialize};

use crate::series::{Estimate, Series};

/// The paired difference of two arms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The arm that the other is subtracted from, by its place.
    pub first: usize,
    /// The arm that is subtracted.
    pub second: usize,
    /// First minus second, with the interval of this difference alone.
    pub difference: Estimate,
    /// Two-sided p-value of this difference alone; none where the difference does not exist.
    pub p: Option<f64>,
    /// The same after [`holm`] over all differences: below 0.05 the arms differ.
    pub p_holm: Option<f64>,
}

/// The differences of all pairs of arms, `n` predictions an arm: the first arm against all later ones, then the second.
pub fn differences(arms: &[&Series], n: usize) -> Vec<Difference> {
    let mut found = Vec::new();
    for (first, a) in arms.iter().enumerate() {
        for (second, b) in arms.iter().enumerate().skip(first + 1) {
            let difference = a.minus(b);
            found.push(Difference {
                first,
                second,
                p: difference.p_value(),
                difference: difference.estimate(n),
                p_holm: None,
            });
        }
    }
    let known: Vec<usize> = (0..found.len())
        .filter(|&at| found[at].p.is_some())
        .collect();
    let p: Vec<f64> = found.iter().filter_map(|difference| difference.p).collect();
    for (at, p) in known.into_iter().zip(holm(&p)) {
        found[at].p_holm = Some(p);
    }
    found
}

/// Holm's step-down correction (1979): the chance of calling any true null hypothesis false stays below the level, however
/// the tests depend on each other.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut corrected = vec![0.0; p.len()];
    let mut largest: f64 = 0.0;
    for (rank, at) in order.into_iter().enumerate() {
        largest = largest.max((p.len() - rank) as f64 * p[at]).min(1.0);
        corrected[at] = largest;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::design::Design;

    #[test]
    fn holm_by_hand() {
        // In order: 4 * 0.005, 3 * 0.01, 2 * 0.03, then 0.04 once, which may not fall below 0.06. R's p.adjust agrees.
        let corrected = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (got, expected) in corrected.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((got - expected).abs() < 1e-12, "{corrected:?}");
        }
    }

    #[test]
    fn one_clear_difference_among_three_arms() {
        let items: Vec<u64> = (0..300).collect();
        let design = Design::crossed(3, &items);
        let arm = |wrong: u64, turn: u64| {
            let seed = |s: u64| {
                items
                    .iter()
                    .map(move |i| f64::from(u8::from((i * 7 + s + turn) % 20 >= wrong)))
            };
            let columns: Vec<Vec<f64>> = (0..3).map(|s| seed(s).collect()).collect();
            design.mean(&columns)
        };
        let (a, b, c) = (arm(4, 0), arm(4, 9), arm(12, 0));
        let found = differences(&[&a, &b, &c], 900);
        let pairs: Vec<(usize, usize)> = found.iter().map(|d| (d.first, d.second)).collect();
        assert_eq!(pairs, [(0, 1), (0, 2), (1, 2)]);
        assert!(found[0].p_holm.unwrap() > 0.9);
        assert!(found[1].p_holm.unwrap() < 0.01 && found[2].p_holm.unwrap() < 0.01);
        assert!((found[1].difference.mean.unwrap() - 0.4).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn holm_lies_between_nothing_and_bonferroni(p in prop::collection::vec(0.0f64..1.0, 1..12)) {
            for (got, p_one) in holm(&p).into_iter().zip(&p) {
                prop_assert!(got >= *p_one && got <= (p.len() as f64 * p_one).min(1.0) + 1e-12);
            }
        }
    }
}

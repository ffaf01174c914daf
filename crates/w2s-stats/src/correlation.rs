//! Whether arms that have more of something also score higher.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::series::Series;

/// Fewer arms have no rank correlation: among five the most extreme order comes up by chance once in sixty.
pub const FEWEST_ARMS: usize = 6;

/// Spearman's rank correlation of a setting of the arms with their scores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RankCorrelation {
    /// Of the means over seeds.
    pub value: f64,
    /// Of each seed's scores; none where they are all equal.
    pub per_seed: Vec<Option<f64>>,
    /// Two-sided p-value of no relation: over all orders of up to eight arms, by a t approximation beyond.
    pub p: f64,
    /// Number of arms.
    pub arms: usize,
}

/// The rank correlation of `x`, one number an arm, with the arms' scores; none with fewer than [`FEWEST_ARMS`] arms or
/// where one side is constant.
pub fn spearman(x: &[f64], scores: &[&Series]) -> Option<RankCorrelation> {
    assert_eq!(x.len(), scores.len(), "one number an arm");
    if x.len() < FEWEST_ARMS {
        return None;
    }
    let x = ranks(x);
    let against = |value: &dyn Fn(&Series) -> f64| {
        let y: Vec<f64> = scores.iter().map(|series| value(series)).collect();
        correlation(&x, &ranks(&y))
    };
    let value = against(&|series| series.mean)?;
    let y: Vec<f64> = scores.iter().map(|series| series.mean).collect();
    Some(RankCorrelation {
        value,
        per_seed: (0..scores[0].per_seed.len())
            .map(|seed| against(&|series| series.per_seed[seed]))
            .collect(),
        p: match x.len() {
            ..=8 => exact_p(&x, &mut ranks(&y), value),
            n => approximate_p(n as f64, value),
        },
        arms: x.len(),
    })
}

/// Ranks from 0; equal values share the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let rank = |value: &f64| {
        let below = values.iter().filter(|other| *other < value).count();
        let equal = values.iter().filter(|other| *other == value).count();
        below as f64 + (equal - 1) as f64 / 2.0
    };
    values.iter().map(rank).collect()
}

/// Pearson's correlation; none where one side is constant or not a number.
fn correlation(x: &[f64], y: &[f64]) -> Option<f64> {
    let n = x.len() as f64;
    let centred = |values: &[f64]| {
        let mean = values.iter().sum::<f64>() / n;
        values.iter().map(|value| value - mean).collect::<Vec<_>>()
    };
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (x, y) = (centred(x), centred(y));
    let lengths = dot(&x, &x) * dot(&y, &y);
    (lengths > 0.0).then(|| dot(&x, &y) / lengths.sqrt())
}

/// Share of the orders of `y` whose correlation with `x` is at least as far from zero.
fn exact_p(x: &[f64], y: &mut [f64], value: f64) -> f64 {
    let (mut all, mut extreme) = (0u32, 0u32);
    permute(y, 0, &mut |y| {
        all += 1;
        let found = correlation(x, y).expect("the same ranks in another order");
        extreme += u32::from(found.abs() >= value.abs() - 1e-9);
    });
    f64::from(extreme) / f64::from(all)
}

fn permute(values: &mut [f64], from: usize, visit: &mut impl FnMut(&[f64])) {
    if from == values.len() {
        return visit(values);
    }
    for at in from..values.len() {
        values.swap(from, at);
        permute(values, from + 1, visit);
        values.swap(from, at);
    }
}

fn approximate_p(n: f64, value: f64) -> f64 {
    let t = value.abs() * ((n - 2.0) / (1.0 - value * value).max(f64::MIN_POSITIVE)).sqrt();
    let student = StudentsT::new(0.0, 1.0, n - 2.0).expect("more than two arms");
    2.0 * student.sf(t)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::design::Design;

    fn arms(scores: &[f64]) -> Vec<Series> {
        let design = Design::crossed(2, &[0, 1]);
        scores
            .iter()
            .map(|&score| design.mean(&[[score; 2]; 2]))
            .collect()
    }

    fn found(x: &[f64], scores: &[f64]) -> Option<RankCorrelation> {
        let arms = arms(scores);
        spearman(x, &arms.iter().collect::<Vec<_>>())
    }

    #[test]
    fn six_arms_by_hand() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 7.0]), [1.5, 0.0, 1.5, 3.0]);
        let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        // Ranks 0 2 1 3 4 5: 1 - 6 (0 + 1 + 1) / (6 * 35) = 0.9428...; the table of critical values has p = 0.0167.
        let got = found(&x, &[0.1, 0.4, 0.2, 0.5, 0.6, 0.7]).unwrap();
        assert!((got.value - (1.0 - 12.0 / 210.0)).abs() < 1e-12);
        assert!((got.p - 0.01667).abs() < 1e-4, "{}", got.p);
        assert_eq!(got.per_seed, [Some(got.value); 2]);
        // A perfect order: two of 720.
        let perfect = found(&x, &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]).unwrap();
        assert!((perfect.p - 2.0 / 720.0).abs() < 1e-12);
    }

    #[test]
    fn too_few_arms_or_none_that_differ_have_no_correlation() {
        assert_eq!(
            found(&[1.0, 2.0, 3.0, 4.0, 5.0], &[0.1, 0.2, 0.3, 0.4, 0.5]),
            None
        );
        assert_eq!(found(&[1.0; 6], &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]), None);
    }

    #[test]
    fn the_approximation_is_near_the_exact_value() {
        let x: Vec<f64> = (0..8).map(f64::from).collect();
        let y = [0.0, 3.0, 1.0, 2.0, 6.0, 5.0, 4.0, 7.0];
        let value = correlation(&x, &y).unwrap();
        let exact = exact_p(&x, &mut y.clone(), value);
        assert!((approximate_p(8.0, value) - exact).abs() < 0.01);
    }
}

//! Vectors with given cosines: the truth, the student and the teachers of one draw.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::case::Case;

/// The vectors of one case. The truth is the first unit vector; teachers have length 1.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) student: Vec<f64>,
    pub(crate) chosen: Vec<f64>,
    pub(crate) rejected: Vec<f64>,
}

impl World {
    /// Errors in orthogonal directions: the limit of infinitely many dimensions, in the four that matter.
    pub(crate) fn orthogonal(case: Case, norm: f64) -> Self {
        let axis = |at: usize| {
            let mut unit = vec![0.0; 3];
            unit[at] = 1.0;
            unit
        };
        Self::new(case, norm, [axis(0), axis(1), axis(2)])
    }

    /// Errors in independent random directions of `dimension` dimensions.
    pub(crate) fn random(case: Case, norm: f64, dimension: usize, random: &mut ChaCha8Rng) -> Self {
        let errors = std::array::from_fn(|_| direction(dimension - 1, random));
        Self::new(case, norm, errors)
    }

    fn new(case: Case, norm: f64, errors: [Vec<f64>; 3]) -> Self {
        let [student, chosen, rejected] = errors;
        Self {
            student: vector(norm, case.student(), student),
            chosen: vector(1.0, case.chosen(), chosen),
            rejected: vector(1.0, case.rejected(), rejected),
        }
    }

    /// Where the student goes in expectation: the chosen teacher minus the rejected one.
    pub(crate) fn delta(&self) -> Vec<f64> {
        self.chosen
            .iter()
            .zip(&self.rejected)
            .map(|(chosen, rejected)| chosen - rejected)
            .collect()
    }
}

/// A vector with this cosine to the first axis, its error along the unit vector `error` of the other axes.
fn vector(norm: f64, cosine: f64, error: Vec<f64>) -> Vec<f64> {
    let sine = (1.0 - cosine * cosine).sqrt();
    std::iter::once(norm * cosine)
        .chain(error.into_iter().map(|part| norm * sine * part))
        .collect()
}

/// A random unit vector.
fn direction(dimension: usize, random: &mut ChaCha8Rng) -> Vec<f64> {
    let mut vector = vec![0.0; dimension];
    fill_normal(random, &mut vector);
    let norm = dot(&vector, &vector).sqrt();
    vector.iter_mut().for_each(|part| *part /= norm);
    vector
}

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The cosine with the truth.
pub(crate) fn cosine(theta: &[f64]) -> f64 {
    theta[0] / dot(theta, theta).sqrt()
}

/// Stream `stream` of the generator of `seed`; streams do not overlap.
pub(crate) fn generator(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(stream);
    random
}

/// Independent standard normal numbers (Box and Muller).
pub(crate) fn fill_normal(random: &mut ChaCha8Rng, values: &mut [f64]) {
    // In (0, 1], so that the logarithm exists.
    let mut uniform = || ((random.next_u64() >> 11) + 1) as f64 / (1u64 << 53) as f64;
    for pair in values.chunks_mut(2) {
        let radius = (-2.0 * uniform().ln()).sqrt();
        let (sine, cosine) = (std::f64::consts::TAU * uniform()).sin_cos();
        for (value, part) in pair.iter_mut().zip([cosine, sine]) {
            *value = radius * part;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_have_the_cosines_of_the_case() {
        let case = Case::new(0.6, -0.4, 0.8).unwrap();
        for world in [
            World::orthogonal(case, 3.0),
            World::random(case, 3.0, 7, &mut generator(1, 0)),
        ] {
            for (vector, norm, expected) in [
                (&world.student, 3.0, 0.8),
                (&world.chosen, 1.0, 0.6),
                (&world.rejected, 1.0, -0.4),
            ] {
                assert!((dot(vector, vector).sqrt() - norm).abs() < 1e-12);
                assert!((cosine(vector) - expected).abs() < 1e-12);
            }
            assert!((world.delta()[0] - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn normal_numbers_have_mean_0_and_variance_1() {
        // Standard errors for 40,000 numbers: 0.005 of the mean, 0.007 of the variance.
        let mut values = vec![0.0; 40_001];
        fill_normal(&mut generator(0, 0), &mut values);
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let square = dot(&values, &values) / n;
        let fourth = values.iter().map(|v| v.powi(4)).sum::<f64>() / n;
        assert!(
            mean.abs() < 0.02 && (square - 1.0).abs() < 0.03 && (fourth - 3.0).abs() < 0.2,
            "{mean} {square} {fourth}"
        );
        assert_ne!(values[0], values[1]);
    }

    #[test]
    fn streams_differ() {
        let draw = |seed, stream| generator(seed, stream).next_u64();
        assert_ne!(draw(0, 0), draw(0, 1));
        assert_ne!(draw(0, 0), draw(1, 0));
        assert_eq!(draw(3, 5), draw(3, 5));
    }
}

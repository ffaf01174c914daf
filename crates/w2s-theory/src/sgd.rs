//! Training on finite batches in a finite number of dimensions.

use serde::{Deserialize, Serialize};

use crate::case::Case;
use crate::geometry::{World, cosine, dot, fill_normal, generator};
use crate::trajectory::{Arm, Trajectory};

/// Stochastic gradient ascent on fresh inputs in every step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sgd {
    /// Length of the student before training.
    pub norm: f64,
    /// Learning rate of the mean gradient.
    pub lr: f64,
    /// Inputs a step.
    pub batch: usize,
    /// Number of steps.
    pub steps: usize,
    /// Dimension of the inputs, at least 2.
    pub dimension: usize,
}

impl Default for Sgd {
    fn default() -> Self {
        Self {
            norm: 3.0,
            lr: 0.1,
            batch: 64,
            steps: 800,
            dimension: 50,
        }
    }
}

impl Sgd {
    /// Trains one arm. All arms with the same `seed` see the same student, the same error directions of the teachers and the
    /// same inputs.
    ///
    /// # Panics
    /// Below 2 dimensions there is no room for an error, and without a batch there is no gradient.
    pub fn run(&self, case: Case, arm: Arm, seed: u64) -> Trajectory {
        assert!(
            self.dimension >= 2,
            "{} dimensions leave no errors",
            self.dimension
        );
        assert!(self.batch > 0, "a step needs inputs");
        let world = World::random(
            arm.case(case),
            self.norm,
            self.dimension,
            &mut generator(seed, 0),
        );
        let mut random = generator(seed, 1);
        let mut inputs = vec![0.0; self.batch * self.dimension]; // [batch, dimension]
        let rate = self.lr / self.batch as f64;
        let step = |theta: &Vec<f64>| {
            fill_normal(&mut random, &mut inputs);
            let mut next = theta.clone();
            for x in inputs.chunks_exact(self.dimension) {
                let pull = rate * pull(arm, &world, theta, x);
                for (part, x) in next.iter_mut().zip(x) {
                    *part += pull * x;
                }
            }
            Some(next)
        };
        let thetas = std::iter::successors(Some(world.student.clone()), step);
        Trajectory::new(arm, thetas.take(self.steps + 1).map(|theta| cosine(&theta)))
    }
}

/// The gradient of one input's objective as a multiple of the input. For preferences this is `y_chosen - y_rejected`: the
/// student `theta` cancels, and inputs on which the teachers agree teach nothing.
fn pull(arm: Arm, world: &World, theta: &[f64], x: &[f64]) -> f64 {
    let label = |teacher: &[f64]| f64::from(u8::from(dot(teacher, x) > 0.0));
    match arm {
        Arm::Sft => label(&world.chosen) - 1.0 / (1.0 + (-dot(theta, x)).exp()),
        _ => label(&world.chosen) - label(&world.rejected),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Teachers that label x = (1, -2, 0.5) with 1 and 0.
    fn world() -> World {
        World {
            student: vec![1.0, 0.0, 0.0],
            chosen: vec![1.0, 0.0, 0.0],
            rejected: vec![0.0, 1.0, 0.0],
        }
    }

    #[test]
    fn gradients_are_those_of_the_objectives() {
        let x = [1.0, -2.0, 0.5];
        let log_p = |theta: &[f64], label: f64| {
            let signed = (2.0 * label - 1.0) * dot(theta, &x);
            -(-signed).exp().ln_1p()
        };
        for theta in [[0.1, 0.2, 0.3], [-3.0, 1.0, 2.0]] {
            for (arm, objective) in [
                (
                    Arm::Delta,
                    &(|theta: &[f64]| log_p(theta, 1.0) - log_p(theta, 0.0))
                        as &dyn Fn(&[f64]) -> f64,
                ),
                (Arm::Sft, &|theta| log_p(theta, 1.0)),
            ] {
                let pull = pull(arm, &world(), &theta, &x);
                for (at, x) in x.iter().enumerate() {
                    let moved = |by: f64| {
                        let mut theta = theta;
                        theta[at] += by;
                        objective(&theta)
                    };
                    let numeric = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                    assert!(
                        (pull * x - numeric).abs() < 1e-8,
                        "{arm}: {pull} {x} {numeric}"
                    );
                }
            }
        }
    }

    #[test]
    fn teachers_that_agree_teach_nothing() {
        // Both label (1, 2, 0) with 1.
        assert_eq!(pull(Arm::Delta, &world(), &[1.0; 3], &[1.0, 2.0, 0.0]), 0.0);
    }

    #[test]
    fn a_seed_is_a_run() {
        let sgd = Sgd {
            steps: 20,
            dimension: 8,
            ..Sgd::default()
        };
        let case = Case::new(0.6, 0.2, 0.8).unwrap();
        assert_eq!(sgd.run(case, Arm::Delta, 4), sgd.run(case, Arm::Delta, 4));
        assert_ne!(sgd.run(case, Arm::Delta, 4), sgd.run(case, Arm::Delta, 5));
    }
}

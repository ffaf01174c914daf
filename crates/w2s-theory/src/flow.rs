//! Training in expectation: infinitely many inputs a step, infinitely many dimensions.

use std::f64::consts::{PI, TAU};

use serde::{Deserialize, Serialize};

use crate::case::Case;
use crate::geometry::{World, cosine, dot};
use crate::trajectory::{Arm, Trajectory};

/// Gradient ascent on the expected objective.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    /// Length of the student before training.
    pub norm: f64,
    /// Learning rate.
    pub lr: f64,
    /// Number of steps.
    pub steps: usize,
}

impl Default for Flow {
    fn default() -> Self {
        Self {
            norm: 3.0,
            lr: 0.1,
            steps: 20_000,
        }
    }
}

impl Flow {
    /// Trains one arm.
    ///
    /// With hard labels `E[1{theta . x > 0} x] = theta / (|theta| sqrt(2 pi))`. So the preference arms add
    /// `(theta_c - theta_r) / sqrt(2 pi)` in every step, for unit teachers; imitation adds
    /// `theta_c / sqrt(2 pi) - E[sigmoid'(|theta| z)] theta` with `z ~ N(0, 1)` (Stein).
    pub fn run(&self, case: Case, arm: Arm) -> Trajectory {
        let World {
            student,
            chosen,
            rejected,
        } = World::orthogonal(arm.case(case), self.norm);
        let step = move |theta: &Vec<f64>| {
            let shrink = match arm {
                Arm::Sft => mean_slope(dot(theta, theta).sqrt()),
                _ => 0.0,
            };
            let pushed = theta.iter().zip(&chosen).zip(&rejected);
            let next = pushed.map(|((theta, chosen), rejected)| {
                let target = match arm {
                    Arm::Sft => *chosen,
                    _ => chosen - rejected,
                };
                theta + self.lr * (target / TAU.sqrt() - shrink * theta)
            });
            Some(next.collect())
        };
        let thetas = std::iter::successors(Some(student), step);
        Trajectory::new(arm, thetas.take(self.steps + 1).map(|theta| cosine(&theta)))
    }

    /// How many steps the path of length `time`, in units of the untrained student, takes in a preference arm: where
    /// [`ClosedForm::best_time`](crate::ClosedForm::best_time) lies on the axis of steps.
    pub fn steps_of(&self, time: f64) -> f64 {
        time * self.norm * TAU.sqrt() / self.lr
    }
}

/// `E[sigmoid'(norm z)]` with `z ~ N(0, 1)`.
fn mean_slope(norm: f64) -> f64 {
    // The trapezoidal rule converges like exp(-2 pi distance / width), the distance being that of the nearest pole of the
    // sigmoid, pi / norm: this width leaves an error far below one rounding.
    let width = (0.5 / norm).min(0.25);
    let nodes = (9.0 / width).ceil() as usize;
    let slope = |node: usize| {
        let z = node as f64 * width;
        let decay = (-norm * z).exp();
        decay / (1.0 + decay).powi(2) * (-z * z / 2.0).exp()
    };
    let half: f64 = (1..=nodes).map(slope).sum();
    (slope(0) + 2.0 * half) * width / (2.0 * PI).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_slopes() {
        // At 0 the slope is 1/4 everywhere. For long vectors it is that of a step seen by the normal density at 0,
        // 1 / (norm sqrt(2 pi)) (1 - pi^2 / (6 norm^2) + 7 pi^4 / (120 norm^4)).
        assert!((mean_slope(1e-9) - 0.25).abs() < 1e-12);
        let (norm, square) = (40.0, 1600.0);
        let series = 1.0 - PI * PI / (6.0 * square) + 7.0 * PI.powi(4) / (120.0 * square * square);
        assert!((mean_slope(norm) * norm * TAU.sqrt() - series).abs() < 1e-7);
        // In between, against a Riemann sum of a million cells.
        let cells = 1_000_000;
        let sum: f64 = (0..cells)
            .map(|cell| {
                let z = (f64::from(cell) + 0.5) * 18.0 / f64::from(cells) - 9.0;
                let p = 1.0 / (1.0 + (-3.0 * z).exp());
                p * (1.0 - p) * (-z * z / 2.0).exp()
            })
            .sum();
        let expected = sum * 18.0 / f64::from(cells) / TAU.sqrt();
        assert!((mean_slope(3.0) - expected).abs() < 1e-10);
    }

    #[test]
    fn one_step_of_imitation_by_hand() {
        // Student (3 a_0, 3 s_0, 0, 0) with a_0 = 0.8, s_0 = 0.6; the mean slope at 3 is 0.1156 (checked above), the teacher
        // (0.6, 0, 0.8, 0) weighs 0.3989; the step is 0.1.
        let flow = Flow {
            steps: 1,
            ..Flow::default()
        };
        let case = Case::new(0.6, 0.4, 0.8).unwrap();
        let shrink = 1.0 - 0.1 * mean_slope(3.0);
        let push = 0.1 / TAU.sqrt();
        let theta = [2.4 * shrink + 0.6 * push, 1.8 * shrink, 0.8 * push];
        let expected = theta[0] / theta.iter().map(|part| part * part).sum::<f64>().sqrt();
        let got = flow.run(case, Arm::Sft).last.cosine;
        assert!((got - expected).abs() < 1e-12, "{got} {expected}");
    }
}

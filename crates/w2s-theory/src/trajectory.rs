//! What training leaves behind: the student's cosine at a choice of steps, and its best point.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::case::{Case, accuracy};

/// Up to this step every point is kept.
const DENSE_STEPS: usize = 12;
/// From there on, the ratio of neighbouring steps.
const SPACING: f64 = 1.06;

/// A way of training the student.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arm {
    /// Prefers the chosen teacher's labels to the rejected one's.
    Delta,
    /// Imitates the chosen teacher: logistic regression on its labels.
    Sft,
    /// Prefers the rejected teacher's labels to the chosen one's.
    Reversed,
    /// Prefers one of two teachers as good as the chosen one.
    Tied,
}

impl Arm {
    /// All arms, in the order in which they are shown.
    pub const ALL: [Self; 4] = [Self::Delta, Self::Sft, Self::Reversed, Self::Tied];

    /// The word in files and pages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Delta => "delta",
            Self::Sft => "sft",
            Self::Reversed => "reversed",
            Self::Tied => "tied",
        }
    }

    /// The case whose teachers the arm learns from.
    pub fn case(self, case: Case) -> Case {
        match self {
            Self::Delta | Self::Sft => case,
            Self::Reversed => case.reversed(),
            Self::Tied => case.tied(),
        }
    }
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The student after some steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Steps taken.
    pub step: usize,
    /// Cosine with the truth.
    pub cosine: f64,
    /// Agreement with the truth on `N(0, I)`.
    pub accuracy: f64,
}

/// One training run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trajectory {
    /// How the student was trained.
    pub arm: Arm,
    /// The start, every early step, then steps of growing distance; the best and the last one always.
    pub points: Vec<Point>,
    /// The highest cosine of all steps, the first one among equals.
    pub best: Point,
    /// The end.
    pub last: Point,
}

impl Trajectory {
    /// Keeps a choice of `cosines`, of which the first is that of the untrained student.
    ///
    /// # Panics
    /// Without a start there is no trajectory.
    pub(crate) fn new(arm: Arm, cosines: impl Iterator<Item = f64>) -> Self {
        let all: Vec<Point> = cosines
            .enumerate()
            .map(|(step, cosine)| Point {
                step,
                cosine,
                accuracy: accuracy(cosine),
            })
            .collect();
        let last = *all.last().expect("a trajectory has a start");
        let best = all[1..].iter().fold(all[0], |best, point| {
            if point.cosine > best.cosine {
                *point
            } else {
                best
            }
        });
        let mut next = 0;
        let mut points = Vec::new();
        for point in &all {
            if point.step == next {
                let spaced = (next as f64 * SPACING).ceil() as usize;
                next = if next < DENSE_STEPS { next + 1 } else { spaced };
            } else if point.step != best.step && point.step != last.step {
                continue;
            }
            points.push(*point);
        }
        Self {
            arm,
            points,
            best,
            last,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn early_steps_the_best_and_the_last_are_kept() {
        let cosines = (0..=100).map(|step| 1.0 - (f64::from(step) - 91.0).abs() / 100.0);
        let trajectory = Trajectory::new(Arm::Delta, cosines);
        let steps: Vec<usize> = trajectory.points.iter().map(|point| point.step).collect();
        assert_eq!(
            steps,
            [
                0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 19, 21, 23, 25, 27,
                29, 31, 33, 35, 38, 41, 44, 47, 50, 53, 57, 61, 65, 69, 74, 79, 84, 90, 91, 96,
                100
            ]
        );
        assert_eq!((trajectory.best.step, trajectory.best.cosine), (91, 1.0));
        assert_eq!(trajectory.best.accuracy, 1.0);
        assert_eq!(trajectory.last.step, 100);
    }

    #[test]
    fn the_first_of_equal_points_is_the_best() {
        let trajectory = Trajectory::new(Arm::Tied, [0.5, 0.7, 0.7].into_iter());
        assert_eq!(trajectory.best.step, 1);
        let alone = Trajectory::new(Arm::Tied, [0.5].into_iter());
        assert_eq!(alone.best, alone.last);
        assert_eq!(alone.points.len(), 1);
    }
}

//! The theory with random errors in a finite number of dimensions.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::case::Case;
use crate::geometry::{World, cosine, dot, generator};

/// What [`simulate`] finds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Simulation {
    /// Dimension of the inputs.
    pub dimension: usize,
    /// Draws of the three error directions.
    pub draws: usize,
    /// Share of the draws in which the first step of training raises the student's cosine.
    pub rising: Mean,
    /// The highest cosine on the way; where it never stops rising, its limit.
    pub best_cosine: Mean,
    /// Where the cosine ends without stopping.
    pub limit: Mean,
}

/// A mean over draws.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// Its standard error, with the sample standard deviation; 0 for a single draw.
    pub stderr: f64,
}

impl Mean {
    fn of(values: impl ExactSizeIterator<Item = f64> + Clone) -> Self {
        let n = values.len() as f64;
        let mean = values.clone().sum::<f64>() / n;
        let squares: f64 = values.map(|value| (value - mean).powi(2)).sum();
        Self {
            mean,
            stderr: (squares / (n - 1.0).max(1.0) / n).sqrt(),
        }
    }
}

/// Draws the error directions of student and teachers `draws` times and follows the straight line on which the student moves
/// in expectation. Draw `i` has stream `i` of the generator of `seed`: threads change nothing.
///
/// # Panics
/// Below 2 dimensions there is no room for an error, and without draws there is no mean.
pub fn simulate(case: Case, dimension: usize, draws: usize, seed: u64) -> Simulation {
    assert!(dimension >= 2, "{dimension} dimensions leave no errors");
    assert!(draws > 0, "a simulation needs draws");
    let lines: Vec<Line> = (0..draws as u64)
        .into_par_iter()
        .map(|draw| {
            let world = World::random(case, 1.0, dimension, &mut generator(seed, draw));
            Line::new(&world.student, &world.delta())
        })
        .collect();
    Simulation {
        dimension,
        draws,
        rising: Mean::of(lines.iter().map(|line| f64::from(u8::from(line.rises)))),
        best_cosine: Mean::of(lines.iter().map(|line| line.best_cosine)),
        limit: Mean::of(lines.iter().map(|line| line.limit)),
    }
}

/// The cosine with the truth along `start + t way`, `t >= 0`.
struct Line {
    rises: bool,
    best_cosine: f64,
    limit: f64,
}

impl Line {
    /// The derivative of the cosine has the sign of `rise - t fall`, with `rise = way_1 |start|^2 - start_1 (start . way)` and
    /// `fall = start_1 |way|^2 - way_1 (start . way)`.
    fn new(start: &[f64], way: &[f64]) -> Self {
        let across = dot(start, way);
        let rise = way[0] * dot(start, start) - start[0] * across;
        let fall = start[0] * dot(way, way) - way[0] * across;
        let limit = cosine(way);
        let best_cosine = match (rise > 0.0, fall > 0.0) {
            (true, true) => {
                let time = rise / fall;
                let best: Vec<f64> = start.iter().zip(way).map(|(s, w)| s + time * w).collect();
                cosine(&best)
            }
            (true, false) => limit,
            (false, _) => cosine(start).max(limit),
        };
        Self {
            rises: rise > 0.0,
            best_cosine,
            limit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_highest_where_it_is_closest_to_the_truth() {
        // From (1, 1) along (1, 0): the cosine rises for ever, from sqrt(1/2) to 1.
        let line = Line::new(&[1.0, 1.0], &[1.0, 0.0]);
        assert!(line.rises);
        assert_eq!((line.best_cosine, line.limit), (1.0, 1.0));
        // From (1, 1, 0) along (0, -1, 1): at t = 1/2 it is (1, 1/2, 1/2) with cosine sqrt(2/3), at the end 0.
        let line = Line::new(&[1.0, 1.0, 0.0], &[0.0, -1.0, 1.0]);
        assert!(line.rises);
        assert!((line.best_cosine - (2.0f64 / 3.0).sqrt()).abs() < 1e-12);
        assert_eq!(line.limit, 0.0);
        // From (1, 1) along (0, 1): down from the start.
        let line = Line::new(&[1.0, 1.0], &[0.0, 1.0]);
        assert!(!line.rises);
        assert!((line.best_cosine - 0.5f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn a_mean_has_its_standard_error() {
        // Mean 2, squares 1 + 0 + 1, over 2 and 3: sqrt(1 / 3).
        let mean = Mean::of([1.0, 2.0, 3.0].into_iter());
        assert_eq!(mean.mean, 2.0);
        assert!((mean.stderr - (1.0f64 / 3.0).sqrt()).abs() < 1e-12);
        assert_eq!(Mean::of([4.0].into_iter()).stderr, 0.0);
    }

    #[test]
    fn threads_change_nothing_and_seeds_do() {
        let case = Case::new(0.6, 0.4, 0.8).unwrap();
        let run = |threads, seed| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.unwrap().install(|| simulate(case, 20, 50, seed))
        };
        assert_eq!(run(1, 0), run(3, 0));
        assert_ne!(run(1, 0), run(1, 1));
    }
}

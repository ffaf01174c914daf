//! The paired bootstrap over seeds and test items.
//!
//! One draw picks seeds with replacement and, inside, test items with replacement; every arm is scored on the same picks,
//! so that a difference of two arms keeps their pairing. When all seeds share one test set, the items are drawn once for
//! all picked seeds (their scores move together); otherwise each picked seed draws its own. Draw `d` uses stream `d` of a
//! seeded ChaCha8 generator: the numbers do not depend on how many threads compute them.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::ranking::Ranking;

/// How many draws, and from which random stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Number of draws.
    pub draws: usize,
    /// Seed of the random generator.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            draws: 10_000,
            seed: 0,
        }
    }
}

/// The scores of all arms on the test items of one seed.
#[derive(Clone, Debug)]
pub struct SeedSample {
    items: usize,
    width: usize,
    /// Item by item, so that one draw adds whole rows.
    rows: Vec<f64>,
    rankings: Vec<Ranking>,
}

impl SeedSample {
    /// Takes per-item scores, one column a quantity, and rankings over the same items.
    pub fn new(items: usize, columns: &[Vec<f64>], rankings: Vec<Ranking>) -> Self {
        assert!(items > 0, "a sample needs items");
        assert!(
            columns.iter().all(|column| column.len() == items),
            "one score per item in every column"
        );
        let rows = (0..items)
            .flat_map(|item| columns.iter().map(move |column| column[item]))
            .collect();
        Self {
            items,
            width: columns.len(),
            rows,
            rankings,
        }
    }

    /// Adds `share` times the mean of each column, and of each ranking metric, under `weights` to `sums`.
    fn add(&self, weights: &[u32], share: f64, scratch: &mut [f64], sums: &mut [f64]) {
        scratch.fill(0.0);
        for (row, &weight) in self.rows.chunks_exact(self.width).zip(weights) {
            if weight > 0 {
                let weight = f64::from(weight);
                for (sum, value) in scratch.iter_mut().zip(row) {
                    *sum += weight * value;
                }
            }
        }
        for (sum, total) in sums.iter_mut().zip(&*scratch) {
            *sum += share * (total / self.items as f64);
        }
        for (ranking, sums) in self
            .rankings
            .iter()
            .zip(sums[self.width..].chunks_exact_mut(2))
        {
            // A draw without one of the classes has no ranking metric: NaN keeps it out of the percentiles.
            let (auroc, prior_matched) = ranking
                .evaluate(weights)
                .map_or((f64::NAN, f64::NAN), |scores| {
                    (scores.auroc, scores.prior_matched)
                });
            sums[0] += share * auroc;
            sums[1] += share * prior_matched;
        }
    }
}

/// Every quantity as it is, seed by seed, and in every draw.
#[derive(Clone, Debug)]
pub struct Draws {
    columns: usize,
    stride: usize,
    per_seed: Vec<f64>,
    draws: Vec<f64>,
}

impl Draws {
    /// The quantity in column `column` of the samples.
    pub fn column(&self, column: usize) -> Series {
        assert!(column < self.columns, "column {column} of {}", self.columns);
        self.series(column)
    }

    /// AUROC of ranking `ranking` of the samples.
    pub fn auroc(&self, ranking: usize) -> Series {
        self.series(self.columns + 2 * ranking)
    }

    /// Prior-matched accuracy of ranking `ranking` of the samples.
    pub fn prior_matched(&self, ranking: usize) -> Series {
        self.series(self.columns + 2 * ranking + 1)
    }

    fn series(&self, at: usize) -> Series {
        let pick = |rows: &[f64]| {
            rows.chunks_exact(self.stride)
                .map(|row| row[at])
                .collect::<Vec<_>>()
        };
        let per_seed = pick(&self.per_seed);
        let mean = per_seed.iter().sum::<f64>() / per_seed.len() as f64;
        Series {
            mean,
            per_seed,
            draws: pick(&self.draws),
        }
    }
}

/// Draws `settings.draws` times from the samples of all seeds. `shared_items` says that row `i` is the same test item in
/// every sample.
pub fn paired(samples: &[SeedSample], shared_items: bool, settings: Settings) -> Draws {
    let first = samples.first().expect("at least one seed");
    let (columns, rankings) = (first.width, first.rankings.len());
    assert!(
        samples
            .iter()
            .all(|sample| sample.width == columns && sample.rankings.len() == rankings),
        "the same quantities for every seed"
    );
    assert!(
        !shared_items || samples.iter().all(|sample| sample.items == first.items),
        "shared items are equally many"
    );
    let stride = columns + 2 * rankings;
    let largest = samples.iter().map(|sample| sample.items).max().unwrap_or(0);

    let mut per_seed = vec![0.0; samples.len() * stride];
    let ones = vec![1; largest];
    let mut scratch = vec![0.0; columns];
    for (sample, sums) in samples.iter().zip(per_seed.chunks_exact_mut(stride)) {
        sample.add(&ones[..sample.items], 1.0, &mut scratch, sums);
    }

    let generator = ChaCha8Rng::seed_from_u64(settings.seed);
    let share = 1.0 / samples.len() as f64;
    let mut draws = vec![0.0; settings.draws * stride];
    draws
        .par_chunks_exact_mut(stride)
        .enumerate()
        .for_each_init(
            || {
                (
                    vec![0u32; largest],
                    vec![0.0; columns],
                    vec![0u32; samples.len()],
                )
            },
            |(weights, scratch, picked), (draw, sums)| {
                let mut generator = generator.clone();
                generator.set_stream(draw as u64);
                resample(&mut generator, picked);
                if shared_items {
                    let weights = &mut weights[..first.items];
                    resample(&mut generator, weights);
                    for (sample, &times) in samples.iter().zip(&*picked) {
                        if times > 0 {
                            sample.add(weights, share * f64::from(times), scratch, sums);
                        }
                    }
                } else {
                    for (sample, &times) in samples.iter().zip(&*picked) {
                        for _ in 0..times {
                            let weights = &mut weights[..sample.items];
                            resample(&mut generator, weights);
                            sample.add(weights, share, scratch, sums);
                        }
                    }
                }
            },
        );
    Draws {
        columns,
        stride,
        per_seed,
        draws,
    }
}

/// Draws `weights.len()` indices with replacement and counts how often each came up.
fn resample(generator: &mut ChaCha8Rng, weights: &mut [u32]) {
    weights.fill(0);
    let n = weights.len() as u64;
    for _ in 0..n {
        // Multiply and shift instead of rejection: the bias is below n / 2^32, and one word a draw keeps streams aligned.
        let index = (u64::from(generator.next_u32()) * n) >> 32;
        weights[index as usize] += 1;
    }
}

/// One quantity: its mean over seeds, its value for each seed, and its value in every bootstrap draw. `NaN` marks where it
/// does not exist.
///
/// Quantities derived from others (a difference, a ratio) are formed inside each draw by [`Series::zip`], which is what
/// makes their intervals paired.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Over all seeds.
    pub mean: f64,
    /// Seed by seed.
    pub per_seed: Vec<f64>,
    /// Draw by draw.
    pub draws: Vec<f64>,
}

impl Series {
    /// Applies `combine` to the means, to each seed's values and to each draw's.
    pub fn zip(&self, other: &Self, combine: impl Fn(f64, f64) -> f64) -> Self {
        assert_eq!(self.per_seed.len(), other.per_seed.len(), "the same seeds");
        assert_eq!(self.draws.len(), other.draws.len(), "the same draws");
        let each = |a: &[f64], b: &[f64]| {
            a.iter()
                .zip(b)
                .map(|(&a, &b)| combine(a, b))
                .collect::<Vec<_>>()
        };
        Self {
            mean: combine(self.mean, other.mean),
            per_seed: each(&self.per_seed, &other.per_seed),
            draws: each(&self.draws, &other.draws),
        }
    }

    /// `self - other`, paired.
    pub fn minus(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a - b)
    }

    /// `self / other`, paired; not a number where `other` is zero.
    pub fn over(&self, other: &Self) -> Self {
        self.zip(other, |a, b| if b == 0.0 { f64::NAN } else { a / b })
    }

    /// The 2.5 and 97.5 percentiles over the draws in which the quantity exists; none when there is no such draw.
    pub fn interval(&self) -> Option<[f64; 2]> {
        let mut values: Vec<f64> = self
            .draws
            .iter()
            .copied()
            .filter(|value| !value.is_nan())
            .collect();
        values.sort_by(f64::total_cmp);
        Some([percentile(&values, 0.025)?, percentile(&values, 0.975)?])
    }

    /// Draws in which the quantity does not exist.
    pub fn undefined_draws(&self) -> usize {
        self.draws.iter().filter(|value| value.is_nan()).count()
    }

    /// The quantity with its interval, from `n` predictions.
    pub fn estimate(&self, n: usize) -> Estimate {
        Estimate {
            mean: defined(self.mean),
            ci95: self.interval(),
            per_seed: self.per_seed.iter().copied().map(defined).collect(),
            n,
        }
    }
}

fn defined(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// Percentile of sorted values with linear interpolation (type 7, the default of R and NumPy).
pub fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let at = share * last as f64;
    let below = sorted[at.floor() as usize];
    let above = sorted[at.ceil() as usize];
    Some(below + (above - below) * at.fract())
}

/// A number with what is known about its uncertainty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Over all seeds; none where the quantity does not exist.
    pub mean: Option<f64>,
    /// 95 % bootstrap interval over test items and seeds.
    pub ci95: Option<[f64; 2]>,
    /// Seed by seed, in the order of the report's `seeds`.
    pub per_seed: Vec<Option<f64>>,
    /// Predictions behind the number, counted over all seeds.
    pub n: usize,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(scores: &[f64], other: &[f64]) -> SeedSample {
        let labels: Vec<bool> = (0..scores.len()).map(|item| item % 2 == 0).collect();
        SeedSample::new(
            scores.len(),
            &[scores.to_vec(), other.to_vec()],
            vec![Ranking::new(other, &labels)],
        )
    }

    fn three_seeds(items: usize) -> Vec<SeedSample> {
        (0..3)
            .map(|seed| {
                let scores: Vec<f64> = (0..items)
                    .map(|i| f64::from((i * 7 + seed * 3) % 10 < 7))
                    .collect();
                let other: Vec<f64> = (0..items)
                    .map(|i| ((i * 13 + seed) % 17) as f64 / 17.0)
                    .collect();
                sample(&scores, &other)
            })
            .collect()
    }

    #[test]
    fn percentiles_interpolate() {
        // Five values: the 2.5 percentile lies a tenth of the way from the first to the second.
        let sorted = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert!((percentile(&sorted, 0.025).unwrap() - 1.1).abs() < 1e-12);
        assert!((percentile(&sorted, 0.975).unwrap() - 4.9).abs() < 1e-12);
        assert_eq!(percentile(&[], 0.5), None);
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let samples = three_seeds(50);
        let settings = Settings {
            draws: 400,
            seed: 5,
        };
        for shared in [true, false] {
            let run = |threads| {
                let pool = rayon::ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .build()
                    .unwrap();
                pool.install(|| paired(&samples, shared, settings)).draws
            };
            let one = run(1);
            assert_eq!(one, run(2));
            assert_eq!(one, run(7));
        }
    }

    #[test]
    fn another_seed_gives_other_draws() {
        let samples = three_seeds(50);
        let draw = |seed| paired(&samples, true, Settings { draws: 10, seed }).draws;
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn the_spread_is_that_of_the_mean() {
        // 400 items, 70 % ones, one seed: the standard error is sqrt(0.21 / 400) = 0.0229, the interval +- 1.96 of it.
        let scores: Vec<f64> = (0..400).map(|i| f64::from(i % 10 < 7)).collect();
        let samples = [sample(&scores, &scores)];
        let [low, high] = paired(
            &samples,
            true,
            Settings {
                draws: 4000,
                seed: 0,
            },
        )
        .column(0)
        .interval()
        .unwrap();
        assert!((low - (0.7 - 0.0449)).abs() < 0.006, "{low}");
        assert!((high - (0.7 + 0.0449)).abs() < 0.006, "{high}");
    }

    #[test]
    fn two_arms_that_agree_on_every_item_differ_by_nothing_in_every_draw() {
        let scores: Vec<f64> = (0..60).map(|i| f64::from(i % 3 == 0)).collect();
        let samples = [sample(&scores, &scores), sample(&scores, &scores)];
        for shared in [true, false] {
            let draws = paired(
                &samples,
                shared,
                Settings {
                    draws: 200,
                    seed: 0,
                },
            );
            assert_eq!(
                draws.column(0).minus(&draws.column(1)).interval(),
                Some([0.0, 0.0])
            );
        }
    }

    #[test]
    fn shared_items_keep_seeds_together() {
        // Two seeds with opposite correctness: on shared items their mean is 0.5 in every draw that picks both once.
        let scores: Vec<f64> = (0..40).map(|i| f64::from(i % 2 == 0)).collect();
        let opposite: Vec<f64> = scores.iter().map(|score| 1.0 - score).collect();
        let samples = [sample(&scores, &scores), sample(&opposite, &opposite)];
        let half = |shared| {
            let draws = paired(
                &samples,
                shared,
                Settings {
                    draws: 2000,
                    seed: 0,
                },
            )
            .column(0)
            .draws;
            draws
                .iter()
                .filter(|&&draw| (draw - 0.5).abs() < 1e-9)
                .count()
        };
        // Half of the draws pick both seeds. Independent items would rarely average to exactly one half.
        assert!(half(true) > 950, "{}", half(true));
        assert!(half(false) < 500, "{}", half(false));
    }

    #[test]
    fn the_seed_spread_is_in_the_interval() {
        // All items alike inside a seed: only the choice of seeds moves the mean.
        let samples: Vec<SeedSample> = [0.2, 0.5, 0.8]
            .iter()
            .map(|&v| sample(&[v; 30], &[v; 30]))
            .collect();
        let [low, high] = paired(
            &samples,
            true,
            Settings {
                draws: 2000,
                seed: 0,
            },
        )
        .column(0)
        .interval()
        .unwrap();
        assert!(low < 0.31 && high > 0.69, "{low} {high}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn the_interval_holds_the_mean(scores in prop::collection::vec(0u8..2, 8..80), seed in 0u64..50) {
            let scores: Vec<f64> = scores.into_iter().map(f64::from).collect();
            let series = paired(&[sample(&scores, &scores)], true, Settings { draws: 300, seed }).column(0);
            let [low, high] = series.interval().unwrap();
            prop_assert!(low <= series.mean + 1e-12 && series.mean <= high + 1e-12);
        }
    }
}

//! Learning rates over a run.

use serde::{Deserialize, Serialize};

/// How the learning rate falls after warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Decay {
    /// Half a cosine, to zero.
    Cosine,
    /// A straight line, to zero.
    Linear,
    /// It stays.
    Constant,
}

/// A peak learning rate, a warm-up and a decay.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// The learning rate at the end of warm-up.
    pub peak: f64,
    /// Part of the steps over which the rate rises in a line, 0 to 1.
    pub warmup_fraction: f64,
    /// What follows.
    pub decay: Decay,
}

impl Schedule {
    /// The learning rate of step `step` of `steps`, both from 0.
    ///
    /// Without warm-up, cosine is `peak (1 + cos(π step / steps)) / 2`, as PyTorch's `CosineAnnealingLR` over all steps.
    pub fn learning_rate(&self, step: usize, steps: usize) -> f64 {
        let warmup = (self.warmup_fraction * steps as f64).round() as usize;
        if step < warmup {
            return self.peak * (step + 1) as f64 / warmup as f64;
        }
        let progress = (step - warmup) as f64 / (steps - warmup).max(1) as f64;
        self.peak
            * match self.decay {
                Decay::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
                Decay::Linear => 1.0 - progress,
                Decay::Constant => 1.0,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(decay: Decay, warmup_fraction: f64) -> Vec<f64> {
        let schedule = Schedule {
            peak: 8.0,
            warmup_fraction,
            decay,
        };
        (0..4).map(|s| schedule.learning_rate(s, 4)).collect()
    }

    #[test]
    fn by_hand() {
        // cos(0), cos(π/4), cos(π/2), cos(3π/4)
        let half = std::f64::consts::FRAC_1_SQRT_2;
        let expected = [8.0, 4.0 * (1.0 + half), 4.0, 4.0 * (1.0 - half)];
        for (got, expected) in rates(Decay::Cosine, 0.0).iter().zip(expected) {
            assert!((got - expected).abs() < 1e-12);
        }
        assert_eq!(rates(Decay::Linear, 0.0), [8.0, 6.0, 4.0, 2.0]);
        assert_eq!(rates(Decay::Linear, 0.5), [4.0, 8.0, 8.0, 4.0]);
        assert_eq!(rates(Decay::Constant, 0.25), [8.0; 4]);
    }
}

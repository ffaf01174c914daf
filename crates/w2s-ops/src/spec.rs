//! What the operations take beside tensors: boundaries, rotary tables, targets, optimiser settings.

use std::sync::Arc;

/// Cosines and sines of rotary positions (Su et al. 2021), halves of a head rotated against each other as in the
/// Llama family.
#[derive(Clone, Debug)]
pub struct Rotary {
    half: usize,
    cos: Arc<[f32]>,
    sin: Arc<[f32]>,
}

impl Rotary {
    /// Tables for positions below `positions`, one angle per inverse frequency (radians per position); a head has
    /// twice as many values as there are frequencies.
    pub fn new(inverse_frequencies: &[f64], positions: usize) -> Self {
        let angles =
            || (0..positions).flat_map(|p| inverse_frequencies.iter().map(move |f| p as f64 * f));
        Self {
            half: inverse_frequencies.len(),
            cos: angles().map(|a| a.cos() as f32).collect(),
            sin: angles().map(|a| a.sin() as f32).collect(),
        }
    }

    /// How many positions the tables hold.
    pub fn positions(&self) -> usize {
        self.cos.len() / self.half
    }

    /// Cosines and sines of one position, half a head each.
    pub(crate) fn at(&self, position: usize) -> (&[f32], &[f32]) {
        let row = position * self.half..(position + 1) * self.half;
        (&self.cos[row.clone()], &self.sin[row])
    }
}

/// Where sequences begin and end, and how heads are laid out.
#[derive(Clone, Debug)]
pub struct AttentionSpec {
    /// Cumulative token counts, from 0 to the number of tokens; equal neighbours are an empty sequence.
    pub boundaries: Arc<[usize]>,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Rotary tables, if the model has rotary positions.
    pub rotary: Option<Rotary>,
}

impl AttentionSpec {
    /// # Panics
    ///
    /// If boundaries do not start at 0 or fall, if `kv_heads` does not divide `heads`, or if a sequence is longer
    /// than the rotary tables.
    pub fn new(
        boundaries: impl Into<Arc<[usize]>>,
        heads: usize,
        kv_heads: usize,
        rotary: Option<Rotary>,
    ) -> Self {
        let boundaries = boundaries.into();
        assert_eq!(boundaries.first(), Some(&0), "boundaries must start at 0");
        assert!(
            kv_heads > 0 && heads.is_multiple_of(kv_heads),
            "{kv_heads} key/value heads do not divide {heads} heads"
        );
        for w in boundaries.windows(2) {
            assert!(w[0] <= w[1], "boundaries fall from {} to {}", w[0], w[1]);
            if let Some(rotary) = &rotary {
                assert!(
                    w[1] - w[0] <= rotary.positions(),
                    "a sequence of {} tokens is longer than the {} rotary positions",
                    w[1] - w[0],
                    rotary.positions()
                );
            }
        }
        Self {
            boundaries,
            heads,
            kv_heads,
            rotary,
        }
    }

    /// The position of each token inside its sequence.
    pub(crate) fn positions(&self) -> impl Iterator<Item = usize> {
        self.boundaries.windows(2).flat_map(|w| 0..w[1] - w[0])
    }
}

/// The token that each row should predict, and how much it counts.
#[derive(Clone, Debug)]
pub struct Targets {
    /// Token ids, one a row.
    pub ids: Arc<[u32]>,
    /// Weights, one a row.
    pub weights: Arc<[f32]>,
}

impl Targets {
    /// Targets with equal weights that add up to one: the loss is the mean over rows.
    pub fn mean(ids: impl Into<Arc<[u32]>>) -> Self {
        let ids = ids.into();
        let weight = 1.0 / ids.len().max(1) as f32;
        Self {
            weights: vec![weight; ids.len()].into(),
            ids,
        }
    }
}

/// Settings of one [`adamw_update`](crate::adamw_update).
#[derive(Clone, Copy, Debug)]
pub struct AdamW {
    /// Learning rate of this step.
    pub learning_rate: f32,
    /// Decay rate of the first moment.
    pub beta1: f32,
    /// Decay rate of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub eps: f32,
    /// Decoupled weight decay; 0 makes it Adam.
    pub weight_decay: f32,
    /// Steps taken with this one, from 1; corrects the bias of the moments.
    pub step: u32,
    /// What the gradient is multiplied with first, for clipping.
    pub gradient_scale: f32,
}

impl AdamW {
    /// The step size with the first moment's bias taken out, and the factor that takes the second's out of its root.
    pub(crate) fn bias_corrected(&self) -> (f32, f32) {
        let correction = |beta: f32| 1.0 - f64::from(beta).powi(self.step as i32);
        (
            (f64::from(self.learning_rate) / correction(self.beta1)) as f32,
            correction(self.beta2).sqrt().recip() as f32,
        )
    }
}

//! What the operations take beside tensors: boundaries, rotary tables, targets, optimiser settings.

use std::ops::Range;
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
    /// The rows of each sequence's keys and values, where they do not lie beside its queries; see
    /// [`AttentionSpec::cached`].
    pub keys: Option<Arc<[Range<usize>]>>,
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
        Self {
            boundaries: boundaries.into(),
            keys: None,
            heads,
            kv_heads,
            rotary,
        }
        .checked()
    }

    /// Queries of sequences whose earlier keys and values are kept: sequence `s` has its queries between the boundaries
    /// `s` and `s + 1`, and all its keys and values, the first at position 0, in the rows `keys[s]` of a larger table.
    /// The queries are its last positions: with `n` keys and `m` queries, query `i` sits at position `n - m + i` and
    /// sees the keys up to there. Keys come unrotated, as they do without a cache.
    ///
    /// Rows of the table that no sequence names count for nothing; they must be finite.
    ///
    /// # Panics
    ///
    /// As [`AttentionSpec::new`], and if there is not one range a sequence or if a sequence has more queries than keys.
    pub fn cached(
        boundaries: impl Into<Arc<[usize]>>,
        keys: impl Into<Arc<[Range<usize>]>>,
        heads: usize,
        kv_heads: usize,
        rotary: Option<Rotary>,
    ) -> Self {
        Self {
            boundaries: boundaries.into(),
            keys: Some(keys.into()),
            heads,
            kv_heads,
            rotary,
        }
        .checked()
    }

    fn checked(self) -> Self {
        assert_eq!(
            self.boundaries.first(),
            Some(&0),
            "boundaries must start at 0"
        );
        assert!(
            self.kv_heads > 0 && self.heads.is_multiple_of(self.kv_heads),
            "{} key/value heads do not divide {} heads",
            self.kv_heads,
            self.heads
        );
        for w in self.boundaries.windows(2) {
            assert!(w[0] <= w[1], "boundaries fall from {} to {}", w[0], w[1]);
        }
        if let Some(keys) = &self.keys {
            assert_eq!(
                keys.len(),
                self.boundaries.len() - 1,
                "one range of keys a sequence"
            );
        }
        for (queries, keys) in self.sequences() {
            assert!(
                queries.len() <= keys.len(),
                "a sequence with {} queries has {} keys",
                queries.len(),
                keys.len()
            );
            if let Some(rotary) = &self.rotary {
                assert!(
                    keys.len() <= rotary.positions(),
                    "a sequence of {} tokens is longer than the {} rotary positions",
                    keys.len(),
                    rotary.positions()
                );
            }
        }
        self
    }

    /// Rows of the queries and rows of the keys of each sequence.
    pub(crate) fn sequences(&self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        self.boundaries.windows(2).enumerate().map(move |(s, w)| {
            let queries = w[0]..w[1];
            let keys = match &self.keys {
                None => queries.clone(),
                Some(keys) => keys[s].clone(),
            };
            (queries, keys)
        })
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

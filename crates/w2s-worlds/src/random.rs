//! Random numbers whose values never change with the version of a crate: ChaCha8 is a published algorithm, and the
//! ways from its bits to indices, chances and shuffles stand here.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// A stream of random numbers for one purpose.
///
/// The purpose and two seeds make up the key, so that streams for different purposes are independent although the
/// user gives the same small seed to all of them.
#[derive(Clone, Debug)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream for `purpose` (at most 16 bytes, unique in this crate) under two seeds.
    pub fn new(purpose: &str, seed: u64, second_seed: u64) -> Self {
        assert!(
            purpose.len() <= 16,
            "the purpose `{purpose}` is longer than 16 bytes"
        );
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&second_seed.to_le_bytes());
        key[16..16 + purpose.len()].copy_from_slice(purpose.as_bytes());
        Self(ChaCha8Rng::from_seed(key))
    }

    /// A whole number in `0..bound`, every one equally likely.
    pub fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "nothing to choose from");
        let bound = bound as u64;
        // Lemire: the high half of the product is uniform once the short low intervals are refused.
        let refused = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.0.next_u64()) * u128::from(bound);
            if product as u64 >= refused {
                return (product >> 64) as usize;
            }
        }
    }

    /// A number in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with the given probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of the items.
    pub fn choose<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// Puts the items into a random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last + 1);
            items.swap(last, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_fixed_for_ever() {
        let mut stream = Stream::new("test", 1, 2);
        let drawn: Vec<_> = (0..6).map(|_| stream.below(1000)).collect();
        let mut items: Vec<_> = (0..8).collect();
        stream.shuffle(&mut items);
        assert_eq!(
            (drawn, items),
            (
                vec![661, 971, 319, 845, 672, 825],
                vec![7, 5, 1, 3, 6, 2, 4, 0]
            )
        );
    }

    #[test]
    fn purposes_and_seeds_give_different_streams() {
        let first = |mut stream: Stream| stream.below(1 << 40);
        let values = [
            first(Stream::new("a", 0, 0)),
            first(Stream::new("b", 0, 0)),
            first(Stream::new("a", 1, 0)),
            first(Stream::new("a", 0, 1)),
        ];
        for (i, value) in values.iter().enumerate() {
            assert!(!values[..i].contains(value));
        }
    }

    #[test]
    fn units_fill_the_interval() {
        let mut stream = Stream::new("test", 0, 0);
        let units: Vec<_> = (0..10_000).map(|_| stream.unit()).collect();
        assert!(units.iter().all(|u| (0.0..1.0).contains(u)));
        let mean = units.iter().sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.01, "{mean}");
    }
}

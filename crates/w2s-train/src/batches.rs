//! Which rows make which batch, for a whole run, from one seed.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The batches of a run in order; each holds row numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batches {
    batches: Vec<Vec<usize>>,
    epochs: usize,
    /// Steps of all epochs, of which batches that are cut have only the first.
    whole: usize,
}

/// The rows `0..rows` in the shuffled order of an epoch; each epoch has its own.
fn order(rows: usize, seed: u64, epoch: usize) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(epoch as u64);
    let mut order: Vec<usize> = (0..rows).collect();
    for i in (1..rows).rev() {
        // Fisher and Yates; the bias of a 64-bit remainder is below one in 10^14 for any data set.
        order.swap(i, (rng.next_u64() % (i as u64 + 1)) as usize);
    }
    order
}

impl Batches {
    /// Batches of `batch` rows, the last of an epoch with what is left.
    pub fn by_examples(rows: usize, batch: usize, epochs: usize, seed: u64) -> Self {
        Self::by_orders((0..epochs).map(|epoch| order(rows, seed, epoch)), batch)
    }

    /// Batches of `batch` rows in the order in which the rows come, the same in every epoch.
    pub fn in_order(rows: usize, batch: usize, epochs: usize) -> Self {
        Self::by_orders((0..epochs).map(|_| (0..rows).collect()), batch)
    }

    fn by_orders(orders: impl Iterator<Item = Vec<usize>>, batch: usize) -> Self {
        assert!(batch > 0, "a batch has at least one row");
        let (mut batches, mut epochs) = (Vec::new(), 0);
        for order in orders {
            batches.extend(order.chunks(batch).map(<[usize]>::to_vec));
            epochs += 1;
        }
        Self::new(batches, epochs)
    }

    fn new(batches: Vec<Vec<usize>>, epochs: usize) -> Self {
        Self {
            whole: batches.len(),
            batches,
            epochs,
        }
    }

    /// Batches that fill a token budget in the shuffled order; a longer row is a batch of its own.
    pub fn by_tokens(lengths: &[usize], budget: usize, epochs: usize, seed: u64) -> Self {
        let mut batches: Vec<Vec<usize>> = Vec::new();
        for epoch in 0..epochs {
            let mut tokens = usize::MAX;
            for row in order(lengths.len(), seed, epoch) {
                if tokens.saturating_add(lengths[row]) > budget {
                    batches.push(Vec::new());
                    tokens = 0;
                }
                batches.last_mut().expect("one was just pushed").push(row);
                tokens += lengths[row];
            }
        }
        Self::new(batches, epochs)
    }

    /// The same batches, ended after `max_steps` steps if it has more: the schedule of learning rates ends there too.
    pub fn at_most(mut self, max_steps: Option<usize>) -> Self {
        if let Some(max_steps) = max_steps {
            self.batches.truncate(max_steps);
        }
        self
    }

    /// Optimiser steps in all.
    pub fn steps(&self) -> usize {
        self.batches.len()
    }

    /// The rows of one step.
    pub fn batch(&self, step: usize) -> &[usize] {
        &self.batches[step]
    }

    /// Epochs done after `steps` steps, with a fraction.
    pub fn epoch(&self, steps: usize) -> f64 {
        self.epochs as f64 * steps as f64 / self.whole.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_reads_every_row_once_in_its_own_order() {
        let plan = Batches::by_examples(10, 4, 2, 3);
        assert_eq!(plan.steps(), 6);
        let epoch = |from: usize| {
            (from..from + 3)
                .flat_map(|s| plan.batch(s).to_vec())
                .collect::<Vec<_>>()
        };
        let (first, second) = (epoch(0), epoch(3));
        assert_ne!(first, second);
        for mut epoch in [first, second] {
            epoch.sort_unstable();
            assert_eq!(epoch, (0..10).collect::<Vec<_>>());
        }
        assert_eq!(plan, Batches::by_examples(10, 4, 2, 3));
        assert_ne!(plan, Batches::by_examples(10, 4, 2, 4));
        assert_eq!(plan.epoch(3), 1.0);
    }

    #[test]
    fn a_cut_plan_keeps_its_first_batches_and_its_epochs() {
        let whole = Batches::by_examples(10, 4, 2, 3);
        let cut = whole.clone().at_most(Some(3));
        assert_eq!(cut.steps(), 3);
        assert_eq!(cut.batch(2), whole.batch(2));
        assert_eq!(cut.epoch(3), 1.0);
        assert_eq!(whole.clone().at_most(Some(7)), whole);
        assert_eq!(whole.clone().at_most(None), whole);
    }

    #[test]
    fn rows_can_stay_in_their_order() {
        let plan = Batches::in_order(5, 2, 2);
        let batches: Vec<&[usize]> = (0..plan.steps()).map(|s| plan.batch(s)).collect();
        let epoch: [&[usize]; 3] = [&[0, 1], &[2, 3], &[4]];
        assert_eq!(batches, [epoch, epoch].concat());
        assert_eq!(plan.epoch(3), 1.0);
    }

    #[test]
    fn token_budgets_hold() {
        let lengths: Vec<usize> = (0..50).map(|i| 1 + i * 7 % 23).collect();
        let plan = Batches::by_tokens(&lengths, 40, 1, 0);
        let mut rows: Vec<usize> = (0..plan.steps())
            .flat_map(|s| plan.batch(s).to_vec())
            .collect();
        for step in 0..plan.steps() {
            assert!(plan.batch(step).iter().map(|&r| lengths[r]).sum::<usize>() <= 40);
        }
        rows.sort_unstable();
        assert_eq!(rows, (0..50).collect::<Vec<_>>());
    }
}

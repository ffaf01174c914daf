//! Batches without padding.

use std::sync::Arc;

/// Some sequences, all their tokens in one row, told apart by boundaries.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Token ids of all sequences, one after the other.
    pub ids: Vec<u32>,
    /// Cumulative lengths, from 0 to the number of tokens.
    pub boundaries: Arc<[usize]>,
}

impl Batch {
    /// Packs sequences in their order.
    pub fn pack<'a>(sequences: impl IntoIterator<Item = &'a [u32]>) -> Self {
        let (mut ids, mut boundaries) = (Vec::new(), vec![0]);
        for sequence in sequences {
            ids.extend_from_slice(sequence);
            boundaries.push(ids.len());
        }
        Self {
            ids,
            boundaries: boundaries.into(),
        }
    }

    /// How many sequences there are.
    pub fn sequences(&self) -> usize {
        self.boundaries.len() - 1
    }

    /// How many tokens there are.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// The row of the last token of each sequence.
    ///
    /// # Panics
    ///
    /// If a sequence is empty: it has no last token.
    pub fn last_rows(&self) -> Vec<usize> {
        self.boundaries
            .windows(2)
            .map(|w| {
                assert!(w[1] > w[0], "an empty sequence has no last token");
                w[1] - 1
            })
            .collect()
    }

    /// For next-token prediction: the rows that predict something, and what they should predict.
    pub fn next_tokens(&self) -> (Vec<usize>, Vec<u32>) {
        self.boundaries
            .windows(2)
            .flat_map(|w| w[0]..w[1].saturating_sub(1).max(w[0]))
            .map(|row| (row, self.ids[row + 1]))
            .unzip()
    }
}

/// Cuts rows into batches of at most `budget` tokens, longest first, so that a batch holds rows of similar length;
/// a longer row is a batch of its own. Every index appears exactly once.
pub fn by_token_budget(lengths: &[usize], budget: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(lengths[i]), i));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut tokens = usize::MAX;
    for i in order {
        if tokens.saturating_add(lengths[i]) > budget {
            batches.push(Vec::new());
            tokens = 0;
        }
        batches.last_mut().expect("one was just pushed").push(i);
        tokens += lengths[i];
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_keeps_order_and_boundaries() {
        let batch = Batch::pack([&[1, 2, 3][..], &[], &[4], &[5, 6]]);
        assert_eq!(batch.ids, [1, 2, 3, 4, 5, 6]);
        assert_eq!(&batch.boundaries[..], [0, 3, 3, 4, 6]);
        // Nothing is predicted across a boundary, by a single token or by nothing.
        assert_eq!(batch.next_tokens(), (vec![0, 1, 4], vec![2, 3, 6]));
        let full = Batch::pack([&[1, 2, 3][..], &[4], &[5, 6]]);
        assert_eq!(full.last_rows(), [2, 3, 5]);
    }

    #[test]
    fn budgets_hold_and_nothing_is_lost() {
        let lengths = [5, 1, 9, 3, 3, 20, 2];
        let batches = by_token_budget(&lengths, 10);
        let mut all: Vec<usize> = batches.concat();
        all.sort_unstable();
        assert_eq!(all, (0..lengths.len()).collect::<Vec<_>>());
        for batch in &batches {
            let tokens: usize = batch.iter().map(|&i| lengths[i]).sum();
            assert!(tokens <= 10 || batch.len() == 1, "{batch:?}");
        }
        assert_eq!(batches[0], [5]);
    }
}

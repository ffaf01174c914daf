//! Ranking metrics of one model, prepared so that a resample of the items costs one pass.
//!
//! A bootstrap draw is a vector of weights, one an item. Sorting the scores once and walking the order with the weights
//! gives AUROC and prior-matched accuracy of the draw without sorting again.

/// Items in order of their score.
#[derive(Clone, Debug)]
pub struct Ranking {
    /// Ascending score, higher index first among ties: index << 2 | last of its tie group << 1 | positive.
    order: Vec<u32>,
}

/// What [`Ranking::evaluate`] computes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RankScores {
    /// Area under the ROC curve, ties one half.
    pub auroc: f64,
    /// Accuracy when as many items are called positive as there are, the highest scores first.
    pub prior_matched: f64,
}

impl Ranking {
    /// Sorts the items by `scores`; `positive` says which belong to the positive class.
    pub fn new(scores: &[f64], positive: &[bool]) -> Self {
        assert_eq!(scores.len(), positive.len(), "one score per item");
        assert!(scores.len() < 1 << 30, "a ranking holds at most 2^30 items");
        let mut items: Vec<usize> = (0..scores.len()).collect();
        items.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]).then(b.cmp(&a)));
        let order = items
            .iter()
            .enumerate()
            .map(|(rank, &item)| {
                let last = items
                    .get(rank + 1)
                    .is_none_or(|&next| scores[next] != scores[item]);
                (item as u32) << 2 | u32::from(last) << 1 | u32::from(positive[item])
            })
            .collect();
        Self { order }
    }

    /// Both metrics of the sample that holds item `i` `weights[i]` times; none when it holds one class only.
    pub fn evaluate(&self, weights: &[u32]) -> Option<RankScores> {
        assert_eq!(weights.len(), self.order.len(), "one weight per item");
        let mut totals = [0u64; 2];
        for &entry in &self.order {
            totals[(entry & 1) as usize] += u64::from(weights[(entry >> 2) as usize]);
        }
        let [negatives, positives] = totals;
        if negatives == 0 || positives == 0 {
            return None;
        }
        // `group` counts the current tie group; `below` the negatives under it; `budget` the places left for "negative".
        let (mut twice_wins, mut below, mut group) = (0u64, 0u64, [0u64; 2]);
        let (mut budget, mut called_right) = (negatives, 0u64);
        for &entry in &self.order {
            let weight = u64::from(weights[(entry >> 2) as usize]);
            let positive = u64::from(entry & 1);
            group[positive as usize] += weight;
            let taken = weight.min(budget);
            budget -= taken;
            called_right += taken * (1 - positive);
            if entry & 2 != 0 {
                twice_wins += group[1] * (2 * below + group[0]);
                below += group[0];
                group = [0; 2];
            }
        }
        // Called negative: `negatives` items, `called_right` of them rightly; the others are positives called negative.
        let right = called_right + positives - (negatives - called_right);
        Some(RankScores {
            auroc: twice_wins as f64 / (2 * negatives * positives) as f64,
            prior_matched: right as f64 / (negatives + positives) as f64,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metrics;

    proptest! {
        #[test]
        fn weights_equal_repeated_items(rows in prop::collection::vec((0u8..8, any::<bool>(), 0u32..4), 1..40)) {
            let scores: Vec<f64> = rows.iter().map(|row| f64::from(row.0)).collect();
            let labels: Vec<bool> = rows.iter().map(|row| row.1).collect();
            let weights: Vec<u32> = rows.iter().map(|row| row.2).collect();
            let repeat = |row: &(u8, bool, u32)| std::iter::repeat_n((f64::from(row.0), row.1), row.2 as usize);
            let (spread, spread_labels): (Vec<f64>, Vec<bool>) = rows.iter().flat_map(repeat).unzip();
            let got = Ranking::new(&scores, &labels).evaluate(&weights);
            prop_assert_eq!(got.map(|g| g.auroc), metrics::auroc(&spread, &spread_labels));
            if let Some(got) = got {
                let expected = metrics::prior_matched_accuracy(&spread, &spread_labels).unwrap();
                prop_assert!((got.prior_matched - expected).abs() < 1e-12);
            }
        }
    }
}

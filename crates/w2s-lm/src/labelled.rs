//! Rows with labels, and what learns them: a classifier reads token ids, a probe reads features.

use crate::classify::{TOKEN_BUDGET, in_batches};
use crate::{Batch, Classifier, argmax};
use burn::module::Module;
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, TensorData};
use std::collections::HashMap;
use std::fmt;

/// A model that tells classes apart in rows of its own kind.
pub trait ClassModel: Module {
    /// What it reads of an example.
    type Row: Clone + fmt::Debug;

    /// Logits of some rows, `[rows, classes]`, and the number of tokens that were computed for them.
    fn logits_of(&self, rows: &[&Self::Row]) -> (Tensor<2>, usize);

    /// Probabilities of the classes for each row. `each` hears how many rows are done at a time, and stops the work by
    /// returning `false`, upon which the result is `None`.
    fn probabilities(
        &self,
        rows: &[Self::Row],
        each: &mut dyn FnMut(usize) -> bool,
    ) -> Option<Vec<Vec<f32>>>;
}

impl ClassModel for Classifier {
    /// Token ids.
    type Row = Vec<u32>;

    fn logits_of(&self, rows: &[&Vec<u32>]) -> (Tensor<2>, usize) {
        let batch = Batch::pack(rows.iter().map(|ids| &ids[..]));
        (self.logits(&batch), batch.tokens())
    }

    fn probabilities(
        &self,
        rows: &[Vec<u32>],
        each: &mut dyn FnMut(usize) -> bool,
    ) -> Option<Vec<Vec<f32>>> {
        in_batches(rows, TOKEN_BUDGET, each, |batch| {
            softmax(self.logits(batch), 1)
        })
    }
}

/// Rows with a target distribution each: what a model of classes is trained on.
#[derive(Clone, Debug)]
pub struct LabelledRows<M: ClassModel = Classifier> {
    rows: Vec<M::Row>,
    /// One probability a class, for each row.
    targets: Vec<Vec<f32>>,
    /// Rows of one group are held out together or not at all.
    groups: Vec<u64>,
}

impl<M: ClassModel> LabelledRows<M> {
    /// The rows that have a target, each with the group it belongs to.
    ///
    /// # Panics
    ///
    /// If there are not as many rows as targets and groups.
    pub fn new(rows: Vec<M::Row>, targets: Vec<Option<Vec<f32>>>, groups: Vec<u64>) -> Self {
        assert_eq!(rows.len(), targets.len(), "a target for each row");
        assert_eq!(rows.len(), groups.len(), "a group for each row");
        let whole = rows.into_iter().zip(targets).zip(groups);
        Self::collect(whole.filter_map(|((row, target), group)| Some((row, target?, group))))
    }

    fn collect(whole: impl Iterator<Item = (M::Row, Vec<f32>, u64)>) -> Self {
        let mut collected = Self {
            rows: Vec::new(),
            targets: Vec::new(),
            groups: Vec::new(),
        };
        for (row, target, group) in whole {
            collected.rows.push(row);
            collected.targets.push(target);
            collected.groups.push(group);
        }
        collected
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// What a model reads of each row.
    pub fn rows(&self) -> &[M::Row] {
        &self.rows
    }

    /// A model's logits of some rows, `[rows, classes]`, and the number of tokens that were computed for them.
    pub fn logits(&self, model: &M, rows: &[usize]) -> (Tensor<2>, usize) {
        let rows: Vec<&M::Row> = rows.iter().map(|&r| &self.rows[r]).collect();
        model.logits_of(&rows)
    }

    /// The targets of some rows, `[rows, classes]`.
    pub fn targets(&self, rows: &[usize], device: &Device) -> Tensor<2> {
        let classes = self.targets.first().map_or(0, Vec::len);
        let values: Vec<f32> = rows
            .iter()
            .flat_map(|&r| self.targets[r].iter().copied())
            .collect();
        Tensor::from_data(TensorData::new(values, [rows.len(), classes]), device)
    }

    /// How often a model's most probable class is the most probable target, over all rows; no number where a probability is
    /// none.
    pub fn agreement(&self, model: &M) -> f64 {
        let scores = model
            .probabilities(&self.rows, &mut |_| true)
            .expect("nothing stops it");
        if scores.iter().flatten().any(|p| !p.is_finite()) {
            return f64::NAN;
        }
        let agreeing = scores
            .iter()
            .zip(&self.targets)
            .filter(|(p, t)| argmax(p) == argmax(t))
            .count();
        agreeing as f64 / self.len().max(1) as f64
    }

    /// Takes a part of the rows out, evenly over their order, for held-out scores. Whole groups are taken: a row beside its
    /// siblings in training would say nothing of rows that were never seen.
    pub fn split_off(self, part: f64) -> (Self, Self) {
        let mut sizes: HashMap<u64, usize> = HashMap::new();
        for group in &self.groups {
            *sizes.entry(*group).or_default() += 1;
        }
        let (mut seen, mut taken) = (0, 0);
        let mut held: HashMap<u64, bool> = HashMap::new();
        for group in &self.groups {
            held.entry(*group).or_insert_with(|| {
                let size = sizes[group];
                seen += size;
                let fits = (taken + size) as f64 <= (seen as f64 * part).floor();
                taken += if fits { size } else { 0 };
                fits
            });
        }
        let whole = self.rows.into_iter().zip(self.targets).zip(self.groups);
        let (held, kept): (Vec<_>, Vec<_>) = whole
            .map(|((row, target), group)| (row, target, group))
            .partition(|(.., group)| held[group]);
        (
            Self::collect(kept.into_iter()),
            Self::collect(held.into_iter()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Probe;

    fn rows(groups: &[u64]) -> LabelledRows<Probe> {
        let features = (0..groups.len()).map(|i| vec![i as f32]).collect();
        let targets = vec![Some(vec![1.0, 0.0]); groups.len()];
        LabelledRows::new(features, targets, groups.to_vec())
    }

    fn numbers(rows: &LabelledRows<Probe>) -> Vec<usize> {
        rows.rows.iter().map(|row| row[0] as usize).collect()
    }

    #[test]
    fn a_part_is_held_out_evenly() {
        let groups: Vec<u64> = (0..10).collect();
        let (kept, held) = rows(&groups).split_off(0.2);
        assert_eq!(numbers(&held), [4, 9]);
        assert_eq!(numbers(&kept), [0, 1, 2, 3, 5, 6, 7, 8]);
        let (all, none) = rows(&groups).split_off(0.0);
        assert_eq!((all.len(), none.len()), (10, 0));
    }

    #[test]
    fn siblings_are_held_out_together() {
        // Pairs side by side, as the two answers of a question lie: every k-th row would part them.
        let groups: Vec<u64> = (0..40).map(|row| row / 2).collect();
        let (kept, held) = rows(&groups).split_off(0.25);
        assert_eq!((kept.len(), held.len()), (30, 10));
        assert!(held.groups.iter().all(|group| !kept.groups.contains(group)));
        // Siblings far apart, too; and never more than the part.
        let groups: Vec<u64> = (0..30).map(|row| row % 7).collect();
        let (kept, held) = rows(&groups).split_off(0.3);
        assert!(held.groups.iter().all(|group| !kept.groups.contains(group)));
        assert!((4..=9).contains(&held.len()), "{}", held.len());
    }

    #[test]
    fn rows_without_a_target_are_left_out() {
        let target = Some(vec![0.5, 0.5]);
        let features = vec![vec![1.0], vec![2.0], vec![3.0]];
        let rows: LabelledRows<Probe> =
            LabelledRows::new(features, vec![target.clone(), None, target], vec![0, 1, 2]);
        assert_eq!(numbers(&rows), [1, 3]);
        assert_eq!(rows.groups, [0, 2]);
    }
}

//! Dealing groups of rows out to splits, class by class.

use w2s_artifact::Split;

use super::Row;
use crate::error::DataError;
use w2s_worlds::Stream;

pub(super) fn check_classes(
    split: Split,
    per_class: &[usize],
    classes: &[String],
) -> Result<(), DataError> {
    let present: Vec<usize> = (0..classes.len())
        .filter(|&class| per_class[class] > 0)
        .collect();
    match present[..] {
        [only] => Err(DataError::OneClass {
            split: split.to_string(),
            class: classes[only].clone(),
            rows: per_class[only],
            classes: classes.to_vec(),
        }),
        _ => Ok(()),
    }
}

/// A class that makes up more than 1.1 times its fair share: 55 % of two classes, as in the paper.
pub(super) fn is_imbalanced(per_class: &[usize]) -> bool {
    let total: usize = per_class.iter().sum();
    let most = per_class.iter().copied().max().unwrap_or(0);
    10 * most * per_class.len() > 11 * total
}

/// How many rows a split may take, in all and of each class.
pub(super) struct Quota {
    pub(super) total: usize,
    pub(super) per_class: Vec<usize>,
}

impl Quota {
    /// The same number of every class, as far as the rarest class reaches.
    pub(super) fn balanced(total: usize, available: &[usize]) -> Self {
        let classes = available.len().max(1);
        let each = (total / classes).min(available.iter().copied().min().unwrap_or(0));
        Self {
            total: each * classes,
            per_class: vec![each; classes],
        }
    }

    /// The classes as frequent as they are in the pool, and none above 1.1 times its fair share.
    pub(super) fn proportional(total: usize, available: &[usize]) -> Self {
        let classes = available.len();
        let usable = available.iter().sum::<usize>().max(1);
        let most = (11 * total / (10 * classes)).max(total.div_ceil(classes));
        let mut per_class: Vec<usize> = available
            .iter()
            .map(|rows| (total * rows / usable).min(most))
            .collect();
        // What rounding left over goes to whoever is furthest behind.
        for _ in per_class.iter().sum()..total {
            let behind = |class: &usize| {
                (total * available[*class]) as i64 - (usable * per_class[*class]) as i64
            };
            if let Some(class) = (0..classes)
                .filter(|&class| per_class[class] < most)
                .max_by_key(behind)
            {
                per_class[class] += 1;
            }
        }
        Self { total, per_class }
    }

    pub(super) fn everything(classes: usize) -> Self {
        Self {
            total: usize::MAX,
            per_class: vec![usize::MAX; classes],
        }
    }
}

/// Groups being dealt out to splits.
pub(super) struct Deal<'a> {
    pub(super) pool: &'a [Row],
    /// The groups no split has touched.
    pub(super) groups: Vec<Vec<usize>>,
    pub(super) classes: &'a [String],
    /// Split, row, group.
    pub(super) picked: Vec<(Split, usize, u64)>,
}

impl Deal<'_> {
    /// Rows of each class in the groups that are left.
    pub(super) fn available(&self) -> Vec<usize> {
        let mut per_class = vec![0; self.classes.len()];
        for &row in self.groups.iter().flatten() {
            per_class[self.pool[row].label as usize] += 1;
        }
        per_class
    }

    /// Gives the split groups in random order until its quota is reached. A group that gives a row belongs to the split
    /// for good; one that has no room stays for the others.
    pub(super) fn fill(&mut self, split: Split, mut quota: Quota, stream: &mut Stream) {
        stream.shuffle(&mut self.groups);
        let mut left = Vec::new();
        for mut group in std::mem::take(&mut self.groups) {
            let name = self.pool[group[0]].id;
            let before = self.picked.len();
            if quota.total > 0 {
                stream.shuffle(&mut group);
                for &row in &group {
                    let class = &mut quota.per_class[self.pool[row].label as usize];
                    if quota.total > 0 && *class > 0 {
                        *class -= 1;
                        quota.total -= 1;
                        self.picked.push((split, row, name));
                    }
                }
            }
            if self.picked.len() == before {
                group.sort_unstable();
                left.push(group);
            }
        }
        // The next split starts from the same order, whatever this one did to it.
        left.sort_by_key(|group| group[0]);
        self.groups = left;
    }

    /// Drops the last rows of the more frequent classes if the split is not balanced; returns how many.
    pub(super) fn level(&mut self, split: Split, exactly: bool) -> usize {
        let mut per_class = vec![0; self.classes.len()];
        for (_, row, _) in self.picked.iter().filter(|(of, ..)| *of == split) {
            per_class[self.pool[*row].label as usize] += 1;
        }
        let least = per_class.iter().copied().min().unwrap_or(0);
        // A class that is missing is an error of its own, told by `check`.
        if least == 0 || !(exactly || is_imbalanced(&per_class)) {
            return 0;
        }
        let before = self.picked.len();
        let mut kept = vec![0; self.classes.len()];
        let pool = self.pool;
        self.picked.retain(|(of, row, _)| {
            if *of != split {
                return true;
            }
            let class = &mut kept[pool[*row].label as usize];
            *class += 1;
            *class <= least
        });
        before - self.picked.len()
    }

    pub(super) fn check(
        &self,
        split: Split,
        wanted: Option<usize>,
        empty: impl FnOnce() -> DataError,
    ) -> Result<(), DataError> {
        let mut per_class = vec![0; self.classes.len()];
        for (_, row, _) in self.picked.iter().filter(|(of, ..)| *of == split) {
            per_class[self.pool[*row].label as usize] += 1;
        }
        let usable: usize = per_class.iter().sum();
        if usable == 0 {
            // Balance cannot be had if the rows are of one class: say that, not that there are none.
            let all = self.available();
            check_classes(split, &all, self.classes)?;
            return Err(empty());
        }
        check_classes(split, &per_class, self.classes)?;
        // A balanced split of an odd number has a row less.
        let rounding = self.classes.len() - 1;
        match wanted {
            Some(needed) if usable + rounding < needed => {
                let classes: Vec<_> = self
                    .classes
                    .iter()
                    .zip(&per_class)
                    .map(|(class, rows)| format!("{class} {rows}"))
                    .collect();
                Err(DataError::TooFewRows {
                    split: split.to_string(),
                    needed,
                    usable,
                    detail: classes.join(", "),
                })
            }
            _ => Ok(()),
        }
    }
}

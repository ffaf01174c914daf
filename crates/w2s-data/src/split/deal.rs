//! Dealing groups of rows out to splits, class by class.

use w2s_artifact::Split;

use super::Row;
use crate::error::DataError;
use w2s_worlds::Stream;

/// Refuses a split with one class where there are several.
pub(super) fn check_classes(
    split: Split,
    per_class: &[usize],
    classes: &[String],
) -> Result<(), DataError> {
    let present: Vec<usize> = (0..classes.len())
        .filter(|&class| per_class[class] > 0)
        .collect();
    match present[..] {
        [only] if classes.len() > 1 => Err(DataError::OneClass {
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

/// How many rows of each class a split gets: the same number, as far as the rarest class reaches.
pub(super) fn balanced(total: usize, available: &[usize]) -> Vec<usize> {
    let classes = available.len().max(1);
    let least = available.iter().copied().min().unwrap_or(0);
    vec![(total / classes).min(least); classes]
}

/// The classes as frequent as they are in the pool, and none above 1.1 times its fair share. Rows are given one by one to the
/// class that is furthest behind, so that a larger split has no fewer of any class.
pub(super) fn proportional(total: usize, available: &[usize]) -> Vec<usize> {
    let classes = available.len();
    let usable: usize = available.iter().sum();
    let mut per_class = vec![0; classes];
    for given in 1..=total.min(usable) {
        let most = (11 * given / (10 * classes)).max(given.div_ceil(classes));
        let behind = |class: &usize| {
            (given * available[*class]) as i128 - (usable * per_class[*class]) as i128
        };
        let class = (0..classes)
            .filter(|&class| per_class[class] < most.min(available[class]))
            .max_by_key(behind);
        match class {
            Some(class) => per_class[class] += 1,
            None => break,
        }
    }
    per_class
}

/// Groups being dealt out to splits.
pub(super) struct Deal<'a> {
    pool: &'a [Row],
    groups: Vec<Vec<usize>>,
    classes: &'a [String],
    /// The split that a group has given a row to; its other rows are for nobody else.
    owners: Vec<Option<Split>>,
    /// Split, row, group.
    pub(super) picked: Vec<(Split, usize, u64)>,
}

impl<'a> Deal<'a> {
    pub(super) fn new(pool: &'a [Row], groups: Vec<Vec<usize>>, classes: &'a [String]) -> Self {
        Self {
            pool,
            owners: vec![None; groups.len()],
            groups,
            classes,
            picked: Vec::new(),
        }
    }

    /// How much there is to deal out, where there is one class: `60 pairs in 37 groups`.
    pub(super) fn size(&self) -> String {
        let (rows, what) = (self.pool.len(), &self.classes[0]);
        match self.groups.len() {
            1 => format!("{rows} {what} in 1 group"),
            groups => format!("{rows} {what} in {groups} groups"),
        }
    }

    /// The groups in random order.
    pub(super) fn order(&self, stream: &mut Stream) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.groups.len()).collect();
        stream.shuffle(&mut order);
        order
    }

    /// Rows of each class in the groups that are nobody's.
    pub(super) fn available(&self) -> Vec<usize> {
        let mut per_class = vec![0; self.classes.len()];
        let free = self.groups.iter().zip(&self.owners);
        for &row in free
            .filter(|(_, owner)| owner.is_none())
            .flat_map(|(group, _)| group)
        {
            per_class[self.pool[row].label as usize] += 1;
        }
        per_class
    }

    /// How many groups of an order have to be looked at for so many rows of each class.
    pub(super) fn reach(&self, order: &[usize], mut wanted: Vec<usize>) -> usize {
        let mut reach = 0;
        for (place, &group) in order.iter().enumerate() {
            for &row in &self.groups[group] {
                let left = &mut wanted[self.pool[row].label as usize];
                if *left > 0 {
                    *left -= 1;
                    reach = place + 1;
                }
            }
        }
        reach
    }

    /// Gives the split the first rows of each class in an order of groups. How many it wants of one class changes nothing about
    /// the others, and who wants more gets the same rows and then some.
    pub(super) fn fill(
        &mut self,
        split: Split,
        mut wanted: Vec<usize>,
        order: impl IntoIterator<Item = usize>,
    ) {
        for group in order {
            if self.owners[group].is_some() {
                continue;
            }
            for &row in &self.groups[group] {
                let left = &mut wanted[self.pool[row].label as usize];
                if *left > 0 {
                    *left -= 1;
                    let name = self.pool[self.groups[group][0]].id;
                    self.picked.push((split, row, name));
                    self.owners[group] = Some(split);
                }
            }
        }
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
                let detail = match self.classes {
                    [_] => self.size() + ", each for one split",
                    classes => {
                        let counts = classes.iter().zip(&per_class);
                        let counts = counts.map(|(class, rows)| format!("{class} {rows}"));
                        counts.collect::<Vec<_>>().join(", ")
                    }
                };
                Err(DataError::TooFewRows {
                    split: split.to_string(),
                    needed,
                    usable,
                    detail,
                })
            }
            _ => Ok(()),
        }
    }
}

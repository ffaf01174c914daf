//! Rows that belong together, because they share a key or a run of words.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use w2s_worlds::mix;

use super::{Normalise, Row};
use crate::task::hash;

/// Hashes need no second hash.
#[derive(Default)]
pub(super) struct Unhashed(u64);

impl Hasher for Unhashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only u64 keys are hashed");
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

pub(super) type BuildUnhashed = BuildHasherDefault<Unhashed>;

/// Calls `each` with a hash of every run of `length` words of the text; no run if `length` is 0 or the text is shorter.
pub(super) fn for_each_run(
    text: &str,
    length: usize,
    words: &mut Vec<u64>,
    mut each: impl FnMut(u64),
) {
    if length == 0 {
        return;
    }
    words.clear();
    words.extend(text.split_whitespace().map(|word| hash(0, word)));
    for run in words.windows(length) {
        each(run.iter().fold(length as u64, |state, word| {
            mix(state.wrapping_add(0x9e37_79b9_7f4a_7c15) ^ word)
        }));
    }
}

/// The groups of the rows, each a list of rows, in the order of their first rows.
pub(super) fn group(rows: &[Row], shared_run: usize, normalise: Normalise) -> Vec<Vec<usize>> {
    let mut parents: Vec<u32> = (0..rows.len() as u32).collect();
    fn root(parents: &mut [u32], mut row: u32) -> u32 {
        while parents[row as usize] != row {
            let above = parents[parents[row as usize] as usize];
            parents[row as usize] = above;
            row = above;
        }
        row
    }
    fn join(parents: &mut [u32], one: u32, other: u32) {
        let (one, other) = (root(parents, one), root(parents, other));
        // The earlier row is the root, so a group is named by its first row.
        parents[one.max(other) as usize] = one.min(other);
    }
    let mut first_with: HashMap<u64, u32, BuildUnhashed> = HashMap::default();
    let mut first_in: HashMap<u64, u32, BuildUnhashed> = HashMap::default();
    let mut words = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let index = index as u32;
        for_each_run(&normalise.apply(&row.text), shared_run, &mut words, |run| {
            let first = *first_with.entry(run).or_insert(index);
            join(&mut parents, first, index);
        });
        for key in &row.groups {
            let first = *first_in.entry(*key).or_insert(index);
            join(&mut parents, first, index);
        }
    }
    let mut number_of: HashMap<u32, usize> = HashMap::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for row in 0..rows.len() {
        let root = root(&mut parents, row as u32);
        let number = *number_of.entry(root).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[number].push(row);
    }
    groups
}

/// For each row the number of its group: that of the group's first row.
pub(super) fn names(rows: &[Row], shared_run: usize, normalise: Normalise) -> Vec<u64> {
    let mut names = vec![0; rows.len()];
    for group in group(rows, shared_run, normalise) {
        for &row in &group {
            names[row] = rows[group[0]].id;
        }
    }
    names
}

//! What leaves the rows before they are divided: what says nothing, contradicts itself, was not asked for, or is known to
//! the test.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use w2s_artifact::summary::Dropped;

use super::{
    Row, SplitParams,
    groups::{BuildUnhashed, for_each_run},
    summary::count,
};

/// When two texts count as the same. The texts themselves are never changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Normalise {
    /// Every character counts.
    Exact,
    /// Runs of white space are one space.
    Space,
    /// As `space`, and upper case is lower case.
    #[default]
    Case,
}

impl Normalise {
    pub(super) fn apply(self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        match self {
            Self::Exact => out.push_str(text),
            Self::Space | Self::Case => {
                for word in text.split_whitespace() {
                    if !out.is_empty() {
                        out.push(' ');
                    }
                    match self {
                        Self::Case if word.is_ascii() => {
                            out.extend(word.bytes().map(|b| b.to_ascii_lowercase() as char))
                        }
                        Self::Case => out.push_str(&word.to_lowercase()),
                        _ => out.push_str(word),
                    }
                }
            }
        }
        out
    }
}

/// Leaves out rows without a word, repeated texts, and texts with several labels.
pub(super) fn clean(rows: Vec<Row>, normalise: Normalise, dropped: &mut Dropped) -> Vec<Row> {
    struct Seen {
        label: u32,
        conflicting: bool,
    }
    let keys: Vec<String> = rows.iter().map(|row| normalise.apply(&row.text)).collect();
    let mut seen: HashMap<&str, Seen> = HashMap::with_capacity(rows.len());
    for (row, key) in rows.iter().zip(&keys) {
        let entry = seen.entry(key).or_insert(Seen {
            label: row.label,
            conflicting: false,
        });
        entry.conflicting |= entry.label != row.label;
    }
    let mut taken: HashSet<&str> = HashSet::with_capacity(rows.len());
    let mut kept = Vec::with_capacity(rows.len());
    for (row, key) in rows.into_iter().zip(&keys) {
        if key.trim().is_empty() {
            count(dropped, "empty", 1);
        } else if seen[key.as_str()].conflicting {
            count(dropped, "conflicting", 1);
        } else if !taken.insert(key) {
            count(dropped, "duplicate", 1);
        } else {
            kept.push(row);
        }
    }
    kept
}

/// Leaves out rows that are too short, too long, or end otherwise than asked for.
pub(super) fn filter(rows: &mut Vec<Row>, params: &SplitParams, dropped: &mut Dropped) {
    let before = rows.len();
    rows.retain(|row| passes(row, params));
    count(dropped, "filtered", before - rows.len());
}

fn passes(row: &Row, params: &SplitParams) -> bool {
    let words = row.text.split_whitespace().count();
    params.min_words.is_none_or(|min| words >= min)
        && params.max_words.is_none_or(|max| words <= max)
        && params
            .ends_with
            .as_ref()
            .is_none_or(|end| row.text.ends_with(end.as_str()))
}

/// Leaves out rows of the pool whose text, run of words or group occurs among the test rows.
pub(super) fn drop_what_test_knows(
    pool: &mut Vec<Row>,
    test: &[Row],
    shared_run: usize,
    normalise: Normalise,
) {
    let mut texts = HashSet::with_capacity(test.len());
    let mut runs: HashSet<u64, BuildUnhashed> = HashSet::default();
    let mut groups: HashSet<u64, BuildUnhashed> = HashSet::default();
    let mut words = Vec::new();
    for row in test {
        let text = normalise.apply(&row.text);
        for_each_run(&text, shared_run, &mut words, |run| {
            runs.insert(run);
        });
        groups.extend(&row.groups);
        texts.insert(text);
    }
    pool.retain(|row| {
        let text = normalise.apply(&row.text);
        let mut shares = texts.contains(&text) || row.groups.iter().any(|key| groups.contains(key));
        for_each_run(&text, shared_run, &mut words, |run| {
            shares |= runs.contains(&run)
        });
        !shares
    });
}

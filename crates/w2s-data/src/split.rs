//! Dividing rows into gold, transfer and test: cleaning, filters, groups that stay together, balanced classes, and a plan
//! that accounts for every row. [`cut`] makes the split, [`pre_cut`] takes rows that were divided elsewhere.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    hash::{BuildHasherDefault, Hasher},
};

use serde::{Deserialize, Serialize};
use w2s_artifact::{Example, Split};

use crate::{
    error::DataError,
    random::Stream,
    task::{hash, mix},
};

/// The share of the pool that becomes test rows when neither a number nor test files are given.
const TEST_SHARE: f64 = 0.2;

/// A labelled text before it is divided.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Unique, in all sources together.
    pub id: u64,
    /// The text to classify.
    pub text: String,
    /// Index of the class.
    pub label: u32,
    /// Rows that share one of these keys stay in one split.
    pub groups: Vec<u64>,
}

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
    fn apply(self, text: &str) -> String {
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

/// How to divide the rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
pub struct SplitParams {
    /// Decides which rows become gold and which transfer rows
    #[cfg_attr(feature = "cli", arg(long, default_value_t = 0, value_name = "N"))]
    pub seed: u64,
    /// Decides which rows become test rows, so that all seeds are tested on the same rows
    #[cfg_attr(feature = "cli", arg(long, default_value_t = 0, value_name = "N"))]
    pub test_seed: u64,
    /// Rows with ground truth for the weak teacher [default: half of what the test leaves]
    #[cfg_attr(feature = "cli", arg(long, value_name = "N"))]
    pub gold_rows: Option<usize>,
    /// Rows the teacher labels for the student [default: the rest]
    #[cfg_attr(feature = "cli", arg(long, value_name = "N"))]
    pub transfer_rows: Option<usize>,
    /// Rows nobody trains on [default: all rows of the test files, or a fifth of the source]
    #[cfg_attr(feature = "cli", arg(long, value_name = "N"))]
    pub test_rows: Option<usize>,
    /// Leave out rows of the source with fewer words
    #[cfg_attr(feature = "cli", arg(long, value_name = "N"))]
    pub min_words: Option<usize>,
    /// Leave out rows of the source with more words
    #[cfg_attr(feature = "cli", arg(long, value_name = "N"))]
    pub max_words: Option<usize>,
    /// Leave out rows of the source that end otherwise, such as `.` for full sentences
    #[cfg_attr(feature = "cli", arg(long, value_name = "TEXT"))]
    pub ends_with: Option<String>,
    /// Keep rows that share N words in a row in one split, and drop rows that share them with a test row; 0: never
    /// [default: as the task says]
    #[cfg_attr(feature = "cli", arg(long, value_name = "N"))]
    pub shared_run: Option<usize>,
    /// When two texts are duplicates, or share words
    #[cfg_attr(feature = "cli", arg(long, value_enum, default_value_t = Normalise::Case))]
    pub normalise: Normalise,
}

impl SplitParams {
    /// Refuses values that can never give a split.
    pub fn check(&self) -> Result<(), DataError> {
        for (name, rows) in [
            ("gold", self.gold_rows),
            ("transfer", self.transfer_rows),
            ("test", self.test_rows),
        ] {
            if let Some(rows @ (0 | 1)) = rows {
                return Err(DataError::Parameter(format!(
                    "--{name}-rows {rows}: a split needs 2 rows or more"
                )));
            }
        }
        match (self.min_words, self.max_words) {
            (Some(min), Some(max)) if min > max => Err(DataError::Parameter(format!(
                "--min-words {min} is more than --max-words {max}"
            ))),
            _ => Ok(()),
        }
    }
}

/// Rows left out, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Without a label.
    pub unlabelled: usize,
    /// Without a word.
    pub empty: usize,
    /// The same text with the same label as an earlier row.
    pub duplicate: usize,
    /// The same text with another label; all rows of such a text go.
    pub conflicting: usize,
    /// Too short, too long, or with another ending than asked for.
    pub filtered: usize,
    /// Rows of the pool whose text, run of words or group occurs among the test rows.
    #[serde(rename = "shares words with test")]
    pub shares_words_with_test: usize,
    /// Rows of the more frequent class, left out until the classes are balanced.
    pub balance: usize,
    /// Rows beyond the sizes asked for.
    #[serde(rename = "not needed")]
    pub not_needed: usize,
}

impl Dropped {
    fn reasons(&self) -> impl Iterator<Item = (&'static str, usize)> {
        [
            ("unlabelled", self.unlabelled),
            ("empty", self.empty),
            ("duplicate", self.duplicate),
            ("conflicting", self.conflicting),
            ("filtered", self.filtered),
            ("shares words with test", self.shares_words_with_test),
            ("balance", self.balance),
            ("not needed", self.not_needed),
        ]
        .into_iter()
        .filter(|(_, rows)| *rows > 0)
    }

    /// All of them.
    pub fn total(&self) -> usize {
        self.reasons().map(|(_, rows)| rows).sum()
    }

    fn history(&self, source_rows: usize) -> String {
        let mut parts = vec![format!("{source_rows} rows read")];
        parts.extend(
            self.reasons()
                .map(|(reason, rows)| format!("{rows} {reason}")),
        );
        parts.join(", ")
    }
}

/// One split in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitCount {
    /// How many rows.
    pub rows: usize,
    /// How many of each class.
    pub per_class: Vec<usize>,
    /// How many groups they come from.
    pub groups: usize,
}

/// The three splits in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitCounts {
    /// For the weak teacher.
    pub gold: SplitCount,
    /// For the student.
    pub transfer: SplitCount,
    /// For nobody.
    pub test: SplitCount,
}

/// What became of every row: `source_rows` is the sum of all rows dropped and all rows in the splits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitPlan {
    /// Rows read, of all sources.
    pub source_rows: usize,
    /// Rows left out, by reason.
    pub dropped: Dropped,
    /// Groups among the usable rows of the pool.
    pub groups: usize,
    /// Rows in the largest of them.
    pub largest_group: usize,
    /// Rows that were divided elsewhere and whose text occurs in an earlier split too: a leak that is left as it is.
    pub repeated_across_splits: usize,
    /// Gold rows whose label was turned over on purpose.
    pub noisy_labels: usize,
    /// The classes, in the order of `per_class`.
    pub classes: Vec<String>,
    /// What is left.
    pub splits: SplitCounts,
}

impl SplitPlan {
    /// Counts the splits anew, for when labels were changed.
    pub fn recount(&mut self, examples: &[Example]) {
        let count = |split: Split| {
            let of: Vec<&Example> = examples
                .iter()
                .filter(|example| example.split == split)
                .collect();
            let class = |class: usize| {
                of.iter()
                    .filter(|example| example.label as usize == class)
                    .count()
            };
            SplitCount {
                rows: of.len(),
                per_class: (0..self.classes.len()).map(class).collect(),
                groups: of
                    .iter()
                    .map(|example| example.group)
                    .collect::<HashSet<_>>()
                    .len(),
            }
        };
        self.splits = SplitCounts {
            gold: count(Split::Gold),
            transfer: count(Split::Transfer),
            test: count(Split::Test),
        };
    }
}

/// The table a person reads.
impl fmt::Display for SplitPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self
            .classes
            .iter()
            .map(|class| class.chars().count())
            .max()
            .unwrap_or(0)
            .max(9);
        write!(f, "{:<10}{:>10}{:>10}", "split", "rows", "groups")?;
        for class in &self.classes {
            write!(f, "  {class:>width$}")?;
        }
        writeln!(f)?;
        for (name, count) in [
            ("gold", &self.splits.gold),
            ("transfer", &self.splits.transfer),
            ("test", &self.splits.test),
        ] {
            write!(
                f,
                "{name:<10}{:>10}{:>10}",
                thousands(count.rows),
                thousands(count.groups)
            )?;
            for rows in &count.per_class {
                write!(f, "  {:>width$}", thousands(*rows))?;
            }
            writeln!(f)?;
        }
        write!(
            f,
            "{:<10}{:>10}",
            "dropped",
            thousands(self.dropped.total())
        )?;
        let reasons: Vec<_> = self
            .dropped
            .reasons()
            .map(|(reason, rows)| format!("{} {reason}", thousands(rows)))
            .collect();
        if !reasons.is_empty() {
            write!(f, "  {}", reasons.join(", "))?;
        }
        write!(f, "\n{:<10}{:>10}", "read", thousands(self.source_rows))?;
        if self.noisy_labels > 0 {
            write!(
                f,
                "\n{:<10}{:>10}  gold labels turned over",
                "noise",
                thousands(self.noisy_labels)
            )?;
        }
        if self.repeated_across_splits > 0 {
            let rows = thousands(self.repeated_across_splits);
            write!(
                f,
                "\n{:<10}{rows:>10}  rows whose text stands in another split too",
                "warning"
            )?;
        }
        Ok(())
    }
}

/// 12345 as `12,345`.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Divides `pool` into gold and transfer rows, and test rows too unless `test` brings them.
///
/// Cleaning comes first, over all rows of a source: rows without a word, repeated texts and texts with several labels go.
/// Filters apply to the pool. Whatever shares a text, a run of `shared_run` words or a group with any row of `test` leaves
/// the pool, also if that test row is not needed, so that the pool does not change with the number of test rows. Then
/// whole groups are dealt out in random order. The test split is balanced exactly; of the others, a class that makes up
/// more than 55 % (1.1 times its fair share) is cut down to balance.
///
/// `unlabelled` is the number of rows dropped before, for the account.
pub fn cut(
    pool: Vec<Row>,
    test: Option<Vec<Row>>,
    unlabelled: usize,
    classes: &[String],
    shared_run: usize,
    params: &SplitParams,
) -> Result<(Vec<Example>, SplitPlan), DataError> {
    params.check()?;
    let source_rows = pool.len() + test.as_ref().map_or(0, Vec::len) + unlabelled;
    let mut dropped = Dropped {
        unlabelled,
        ..Dropped::default()
    };
    let pool = clean(pool, params.normalise, &mut dropped);
    let test = test.map(|rows| clean(rows, params.normalise, &mut dropped));

    let before = pool.len();
    let mut pool: Vec<Row> = pool.into_iter().filter(|row| passes(row, params)).collect();
    dropped.filtered = before - pool.len();

    if let Some(test) = &test {
        let before = pool.len();
        drop_what_test_knows(&mut pool, test, shared_run, params.normalise);
        dropped.shares_words_with_test = before - pool.len();
    }

    let mut deal = Deal {
        pool: &pool,
        groups: group(&pool, shared_run, params.normalise),
        classes,
        picked: Vec::new(),
    };
    let (groups, largest_group) = (
        deal.groups.len(),
        deal.groups.iter().map(Vec::len).max().unwrap_or(0),
    );
    let empty = |split: Split, dropped: &Dropped| DataError::EmptySplit {
        split: split.to_string(),
        history: dropped.history(source_rows),
    };

    // Test rows: from their own source, or the first groups of the pool.
    let mut test_stream = Stream::new("split test", params.test_seed, 0);
    let mut examples = Vec::new();
    let mut unpicked = 0;
    match test {
        Some(rows) => {
            let order: Vec<Vec<usize>> = (0..rows.len()).map(|row| vec![row]).collect();
            let mut test_deal = Deal {
                pool: &rows,
                groups: order,
                classes,
                picked: Vec::new(),
            };
            let available = test_deal.available();
            let wanted = params.test_rows.unwrap_or(usize::MAX).min(rows.len());
            let quota = Quota::balanced(wanted, &available);
            test_deal.fill(Split::Test, quota, &mut test_stream);
            test_deal.level(Split::Test, true);
            test_deal.check(Split::Test, params.test_rows, || {
                empty(Split::Test, &dropped)
            })?;
            let left = rows.len() - test_deal.picked.len();
            if params.test_rows.is_some() {
                dropped.not_needed += left;
            } else {
                dropped.balance += left;
            }
            for &(split, row, _) in &test_deal.picked {
                let id = rows[row].id;
                examples.push(Example {
                    id,
                    split,
                    group: id,
                    label: rows[row].label,
                    text: rows[row].text.clone(),
                });
            }
        }
        None => {
            let available = deal.available();
            let usable: usize = available.iter().sum();
            let wanted = params
                .test_rows
                .unwrap_or((usable as f64 * TEST_SHARE) as usize);
            deal.fill(
                Split::Test,
                Quota::balanced(wanted, &available),
                &mut test_stream,
            );
            unpicked += deal.level(Split::Test, true);
            deal.check(Split::Test, params.test_rows, || {
                empty(Split::Test, &dropped)
            })?;
        }
    }

    // Sizes that were asked for are served first; whoever named none takes what is left.
    let mut stream = Stream::new("split train", params.seed, 0);
    let wishes = [
        (Split::Gold, params.gold_rows),
        (Split::Transfer, params.transfer_rows),
    ];
    let mut order = wishes.to_vec();
    order.sort_by_key(|(_, rows)| rows.is_none());
    let imbalanced = is_imbalanced(&deal.available());
    for (index, (split, rows)) in order.into_iter().enumerate() {
        let available = deal.available();
        let usable: usize = available.iter().sum();
        let quota = match rows {
            Some(rows) if imbalanced => Quota::balanced(rows, &available),
            Some(rows) => Quota::proportional(rows, &available),
            None if index == 1 => Quota::everything(classes.len()),
            None if imbalanced => {
                let least = available.iter().copied().min().unwrap_or(0);
                Quota::balanced(least / 2 * classes.len(), &available)
            }
            None => Quota::proportional(usable / 2, &available),
        };
        deal.fill(split, quota, &mut stream);
        unpicked += deal.level(split, false);
        deal.check(split, rows, || empty(split, &dropped))?;
    }
    // Rows of a group that has a side, taken or not, are out of play, as are whole groups nobody needed.
    let left = pool.len() - deal.picked.len() - unpicked;
    dropped.balance += unpicked;
    if params.gold_rows.is_some() && params.transfer_rows.is_some() {
        dropped.not_needed += left;
    } else {
        dropped.balance += left;
    }

    for &(split, row, group) in &deal.picked {
        let row = &pool[row];
        examples.push(Example {
            id: row.id,
            split,
            group,
            label: row.label,
            text: row.text.clone(),
        });
    }
    // Gold, transfer, test; inside a split the order in which rows were dealt.
    examples.sort_by_key(|example| example.split);
    let mut plan = SplitPlan {
        source_rows,
        dropped,
        groups,
        largest_group,
        repeated_across_splits: 0,
        noisy_labels: 0,
        classes: classes.to_vec(),
        splits: SplitCounts::default(),
    };
    plan.recount(&examples);
    Ok((examples, plan))
}

/// Takes rows that were divided elsewhere as they are, in their order: nothing is shuffled, balanced or cleaned, only rows
/// without a word are left out and rows beyond the sizes asked for. Texts that occur in two splits are counted.
pub fn pre_cut(
    gold: Vec<Row>,
    transfer: Vec<Row>,
    test: Vec<Row>,
    unlabelled: usize,
    classes: &[String],
    params: &SplitParams,
) -> Result<(Vec<Example>, SplitPlan), DataError> {
    params.check()?;
    let source_rows = gold.len() + transfer.len() + test.len() + unlabelled;
    let mut dropped = Dropped {
        unlabelled,
        ..Dropped::default()
    };
    let mut examples = Vec::new();
    let mut seen: HashMap<String, Split> = HashMap::new();
    let mut repeated_across_splits = 0;
    let mut groups: HashMap<u64, u64> = HashMap::new();
    for (split, rows, wanted) in [
        (Split::Gold, gold, params.gold_rows),
        (Split::Transfer, transfer, params.transfer_rows),
        (Split::Test, test, params.test_rows),
    ] {
        let read = rows.len();
        let first = examples.len();
        for row in rows {
            let key = params.normalise.apply(&row.text);
            if key.trim().is_empty() {
                dropped.empty += 1;
                continue;
            }
            if examples.len() - first == wanted.unwrap_or(usize::MAX) {
                dropped.not_needed += 1;
                continue;
            }
            repeated_across_splits += usize::from(*seen.entry(key).or_insert(split) != split);
            let id = row.id;
            let group = row
                .groups
                .first()
                .map_or(id, |key| *groups.entry(*key).or_insert(id));
            examples.push(Example {
                id,
                split,
                group,
                label: row.label,
                text: row.text,
            });
        }
        let taken = &examples[first..];
        if taken.is_empty() {
            return Err(DataError::EmptySplit {
                split: split.to_string(),
                history: format!("{read} rows read, none with a word"),
            });
        }
        let mut per_class = vec![0; classes.len()];
        for example in taken {
            per_class[example.label as usize] += 1;
        }
        check_classes(split, &per_class, classes)?;
        if let Some(needed) = wanted.filter(|&needed| taken.len() < needed) {
            let detail = format!("{read} rows read");
            return Err(DataError::TooFewRows {
                split: split.to_string(),
                needed,
                usable: taken.len(),
                detail,
            });
        }
    }
    let mut plan = SplitPlan {
        source_rows,
        dropped,
        groups: examples
            .iter()
            .map(|example| example.group)
            .collect::<HashSet<_>>()
            .len(),
        largest_group: 0,
        repeated_across_splits,
        noisy_labels: 0,
        classes: classes.to_vec(),
        splits: SplitCounts::default(),
    };
    let mut sizes: HashMap<u64, usize> = HashMap::new();
    for example in &examples {
        *sizes.entry(example.group).or_default() += 1;
    }
    plan.largest_group = sizes.values().copied().max().unwrap_or(0);
    plan.recount(&examples);
    Ok((examples, plan))
}

fn check_classes(split: Split, per_class: &[usize], classes: &[String]) -> Result<(), DataError> {
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
fn is_imbalanced(per_class: &[usize]) -> bool {
    let total: usize = per_class.iter().sum();
    let most = per_class.iter().copied().max().unwrap_or(0);
    10 * most * per_class.len() > 11 * total
}

fn clean(rows: Vec<Row>, normalise: Normalise, dropped: &mut Dropped) -> Vec<Row> {
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
            dropped.empty += 1;
        } else if seen[key.as_str()].conflicting {
            dropped.conflicting += 1;
        } else if !taken.insert(key) {
            dropped.duplicate += 1;
        } else {
            kept.push(row);
        }
    }
    kept
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

/// Hashes need no second hash.
#[derive(Default)]
struct Unhashed(u64);

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

type BuildUnhashed = BuildHasherDefault<Unhashed>;

/// Calls `each` with a hash of every run of `length` words of the text; no run if `length` is 0 or the text is shorter.
fn for_each_run(text: &str, length: usize, words: &mut Vec<u64>, mut each: impl FnMut(u64)) {
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

fn drop_what_test_knows(
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

/// The groups of the rows, each a list of rows, in the order of their first rows.
fn group(rows: &[Row], shared_run: usize, normalise: Normalise) -> Vec<Vec<usize>> {
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

/// How many rows a split may take, in all and of each class.
struct Quota {
    total: usize,
    per_class: Vec<usize>,
}

impl Quota {
    /// The same number of every class, as far as the rarest class reaches.
    fn balanced(total: usize, available: &[usize]) -> Self {
        let classes = available.len().max(1);
        let each = (total / classes).min(available.iter().copied().min().unwrap_or(0));
        Self {
            total: each * classes,
            per_class: vec![each; classes],
        }
    }

    /// The classes as frequent as they are in the pool, and none above 1.1 times its fair share.
    fn proportional(total: usize, available: &[usize]) -> Self {
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

    fn everything(classes: usize) -> Self {
        Self {
            total: usize::MAX,
            per_class: vec![usize::MAX; classes],
        }
    }
}

/// Groups being dealt out to splits.
struct Deal<'a> {
    pool: &'a [Row],
    /// The groups no split has touched.
    groups: Vec<Vec<usize>>,
    classes: &'a [String],
    /// Split, row, group.
    picked: Vec<(Split, usize, u64)>,
}

impl Deal<'_> {
    /// Rows of each class in the groups that are left.
    fn available(&self) -> Vec<usize> {
        let mut per_class = vec![0; self.classes.len()];
        for &row in self.groups.iter().flatten() {
            per_class[self.pool[row].label as usize] += 1;
        }
        per_class
    }

    /// Gives the split groups in random order until its quota is reached. A group that gives a row belongs to the split
    /// for good; one that has no room stays for the others.
    fn fill(&mut self, split: Split, mut quota: Quota, stream: &mut Stream) {
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
    fn level(&mut self, split: Split, exactly: bool) -> usize {
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

    fn check(
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn classes() -> Vec<String> {
        vec!["bad".into(), "good".into()]
    }

    fn rows(texts: &[(&str, u32)]) -> Vec<Row> {
        let row = |(id, (text, label)): (u64, &(&str, u32))| Row {
            id,
            text: text.to_string(),
            label: *label,
            groups: Vec::new(),
        };
        (0..).zip(texts).map(row).collect()
    }

    /// `number` different rows; every `nth` is bad.
    fn many(number: u64, nth: u64) -> Vec<Row> {
        let row = |id| Row {
            id,
            text: format!("row {id}"),
            label: u32::from(id % nth > 0),
            groups: Vec::new(),
        };
        (0..number).map(row).collect()
    }

    /// The rows with numbers behind 999.
    fn behind(mut rows: Vec<Row>) -> Vec<Row> {
        rows.iter_mut().for_each(|row| row.id += 1000);
        rows
    }

    fn sizes(gold: usize, transfer: usize, test: usize) -> SplitParams {
        SplitParams {
            gold_rows: Some(gold),
            transfer_rows: Some(transfer),
            test_rows: Some(test),
            ..SplitParams::default()
        }
    }

    fn of(examples: &[Example], split: Split) -> Vec<&Example> {
        examples
            .iter()
            .filter(|example| example.split == split)
            .collect()
    }

    fn message(result: Result<(Vec<Example>, SplitPlan), DataError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn texts_are_compared_as_asked() {
        let text = " Très  GOOD\tfilm ";
        assert_eq!(Normalise::Exact.apply(text), text);
        assert_eq!(Normalise::Space.apply(text), "Très GOOD film");
        assert_eq!(Normalise::Case.apply(text), "très good film");
    }

    #[test]
    fn dirty_rows_are_dropped_and_counted() {
        let mut dropped = Dropped::default();
        let dirty = [
            ("a b", 1),
            ("  ", 1),
            ("A  b", 1),
            ("c", 0),
            ("C", 1),
            ("c ", 0),
            ("d", 0),
        ];
        let kept = clean(rows(&dirty), Normalise::Case, &mut dropped);
        assert_eq!(kept.iter().map(|row| row.id).collect::<Vec<_>>(), [0, 6]);
        assert_eq!(
            (dropped.empty, dropped.duplicate, dropped.conflicting),
            (1, 1, 3)
        );
        let mut dropped = Dropped::default();
        assert_eq!(clean(rows(&dirty), Normalise::Exact, &mut dropped).len(), 6);
    }

    #[test]
    fn rows_that_share_words_are_one_group() {
        let texts = [
            ("a b c d e f", 0),
            ("x a b c d", 1),
            ("c d e f g", 0),
            ("z B C d E", 1),
            ("a b c", 0),
            ("q a b c d", 1),
        ];
        let groups = |run| group(&rows(&texts), run, Normalise::Case);
        // Row 1 and 5 share `a b c d` with row 0; row 2 shares `c d e f`; row 3 shares `b c d e`.
        assert_eq!(groups(4), [vec![0, 1, 2, 3, 5], vec![4]]);
        assert_eq!(groups(5).len(), 6);
        assert_eq!(groups(0).len(), 6);
        let mut keyed = rows(&texts);
        keyed[0].groups = vec![7, 8];
        keyed[3].groups = vec![8];
        keyed[4].groups = vec![9, 7];
        assert_eq!(
            group(&keyed, 0, Normalise::Case),
            [vec![0, 3, 4], vec![1], vec![2], vec![5]]
        );
    }

    #[test]
    fn the_sizes_asked_for_are_met_and_balanced() {
        let (examples, plan) =
            cut(many(1000, 2), None, 0, &classes(), 0, &sizes(200, 300, 100)).unwrap();
        assert_eq!(
            [Split::Gold, Split::Transfer, Split::Test].map(|split| of(&examples, split).len()),
            [200, 300, 100]
        );
        assert_eq!(plan.splits.test.per_class, [50, 50]);
        assert_eq!(
            (plan.source_rows, plan.dropped.not_needed, plan.groups),
            (1000, 400, 1000)
        );
        // Gold rows stand first, then transfer, then test.
        assert!(examples.is_sorted_by_key(|example| example.split));
    }

    #[test]
    fn a_frequent_class_is_cut_down_above_55_percent() {
        // 600 of 1000 rows are good.
        let lopsided = |number: u64| -> Vec<Row> {
            let mut rows = many(number, 1);
            for row in &mut rows {
                row.label = u32::from(row.id % 10 < 6);
            }
            rows
        };
        let (_, plan) = cut(
            lopsided(1000),
            None,
            0,
            &classes(),
            0,
            &SplitParams::default(),
        )
        .unwrap();
        assert_eq!(plan.splits.test.per_class, [100, 100]);
        assert_eq!(plan.splits.gold.per_class, [150, 150]);
        assert_eq!(plan.splits.transfer.per_class, [150, 150]);
        assert_eq!(plan.dropped.balance, 200);
        let (_, plan) = cut(
            lopsided(1000),
            None,
            0,
            &classes(),
            0,
            &sizes(100, 200, 100),
        )
        .unwrap();
        assert_eq!(
            (plan.splits.gold.per_class, plan.splits.transfer.per_class),
            (vec![50, 50], vec![100, 100])
        );
        // 54 of 100 is left as it is.
        let mut natural = many(1000, 1);
        natural
            .iter_mut()
            .for_each(|row| row.label = u32::from(row.id % 100 < 54));
        let (_, plan) = cut(
            natural,
            Some(behind(many(10, 2))),
            0,
            &classes(),
            0,
            &SplitParams::default(),
        )
        .unwrap();
        assert_eq!(
            plan.splits.gold.rows + plan.splits.transfer.rows,
            990,
            "{plan}"
        );
        assert!(plan.splits.gold.per_class[1] > plan.splits.gold.per_class[0]);
    }

    #[test]
    fn seeds_change_the_training_rows_and_not_the_test_rows() {
        let ids = |seed, test_seed, split| {
            let params = SplitParams {
                seed,
                test_seed,
                ..sizes(50, 50, 50)
            };
            let (examples, _) = cut(many(400, 2), None, 0, &classes(), 0, &params).unwrap();
            of(&examples, split)
                .iter()
                .map(|example| example.id)
                .collect::<Vec<_>>()
        };
        assert_eq!(ids(0, 0, Split::Gold), ids(0, 0, Split::Gold));
        assert_ne!(ids(0, 0, Split::Gold), ids(1, 0, Split::Gold));
        assert_ne!(ids(0, 0, Split::Transfer), ids(1, 0, Split::Transfer));
        assert_eq!(ids(0, 0, Split::Test), ids(1, 0, Split::Test));
        assert_ne!(ids(0, 0, Split::Test), ids(0, 1, Split::Test));
    }

    #[test]
    fn what_the_test_rows_know_leaves_the_pool() {
        let mut pool = many(100, 2);
        pool[0].text = "the test says one two three".into();
        pool[1].text = "and again test says one two indeed".into();
        pool[2].groups = vec![5];
        pool[3].text = "Three  Words ONLY".into();
        let mut test = rows(&[
            ("the test says one two three four", 0),
            ("three words only", 1),
            ("c", 0),
            ("d", 1),
        ]);
        test[2].groups = vec![5];
        let params = SplitParams {
            test_rows: Some(2),
            ..SplitParams::default()
        };
        let (examples, plan) = cut(pool, Some(behind(test)), 3, &classes(), 4, &params).unwrap();
        assert_eq!(plan.dropped.shares_words_with_test, 4);
        assert_eq!(
            (
                plan.dropped.not_needed,
                plan.dropped.unlabelled,
                plan.source_rows
            ),
            (2, 3, 107)
        );
        assert!(
            of(&examples, Split::Test)
                .iter()
                .all(|example| example.id >= 1000)
        );
    }

    #[test]
    fn filters_concern_the_pool_only() {
        let pool = rows(&[
            ("one two three.", 0),
            ("one two four.", 1),
            ("two", 0),
            ("one two three four five.", 1),
            ("one two three", 0),
            ("a b c.", 0),
            ("a c d.", 1),
        ]);
        let params = SplitParams {
            min_words: Some(2),
            max_words: Some(4),
            ends_with: Some(".".into()),
            ..SplitParams::default()
        };
        let (_, plan) = cut(
            pool,
            Some(behind(rows(&[("x", 0), ("y", 1)]))),
            0,
            &classes(),
            0,
            &params,
        )
        .unwrap();
        assert_eq!((plan.dropped.filtered, plan.splits.test.rows), (3, 2));
    }

    #[test]
    fn rows_divided_elsewhere_are_taken_as_they_are() {
        let gold = rows(&[("g2", 1), ("g1", 0), ("g1", 0), ("g0", 1)]);
        let transfer = behind(rows(&[("t0", 1), (" ", 1), ("t1", 0)]));
        let test = behind(behind(rows(&[("G1", 1), ("x", 0)])));
        let params = SplitParams {
            gold_rows: Some(3),
            ..SplitParams::default()
        };
        let (examples, plan) = pre_cut(gold, transfer, test, 0, &classes(), &params).unwrap();
        let texts: Vec<_> = examples
            .iter()
            .map(|row| (row.id, row.split, row.label, row.text.as_str()))
            .collect();
        let expected = [
            (0, Split::Gold, 1, "g2"),
            (1, Split::Gold, 0, "g1"),
            (2, Split::Gold, 0, "g1"),
            (1000, Split::Transfer, 1, "t0"),
            (1002, Split::Transfer, 0, "t1"),
            (2000, Split::Test, 1, "G1"),
            (2001, Split::Test, 0, "x"),
        ];
        assert_eq!(texts, expected);
        assert_eq!(
            (
                plan.repeated_across_splits,
                plan.dropped.empty,
                plan.dropped.not_needed
            ),
            (1, 1, 1)
        );
        assert_eq!(plan.source_rows, 9);
        let few = pre_cut(
            many(4, 2),
            behind(many(4, 2)),
            behind(behind(many(4, 2))),
            0,
            &classes(),
            &sizes(4, 5, 4),
        );
        assert_eq!(
            message(few),
            "split `transfer` needs 5 rows and 4 are usable (4 rows read)"
        );
    }

    #[test]
    fn splits_that_cannot_be_are_refused() {
        let cut =
            |pool, test, params: &SplitParams| message(cut(pool, test, 0, &classes(), 0, params));
        assert_eq!(
            cut(
                many(20, 2),
                Some(many(4, 2)),
                &SplitParams {
                    min_words: Some(3),
                    ..SplitParams::default()
                }
            ),
            "split `gold` is empty: 24 rows read, 20 filtered"
        );
        assert_eq!(
            cut(many(20, 1), None, &SplitParams::default()),
            "split `test` has only the class `bad` in its 20 rows; the task has `bad`, `good`"
        );
        assert_eq!(
            cut(many(100, 2), None, &sizes(50, 50, 20)),
            "split `transfer` needs 50 rows and 30 are usable (bad 15, good 15)"
        );
        assert_eq!(
            cut(many(100, 2), None, &sizes(50, 50, 0)),
            "--test-rows 0: a split needs 2 rows or more"
        );
        let error =
            super::cut(many(100, 2), None, 0, &classes(), 0, &sizes(50, 50, 20)).unwrap_err();
        assert_eq!(
            error.hint().unwrap(),
            "lower `--transfer-rows`, or loosen `--min-words`, `--max-words`, `--ends-with` and `--shared-run`"
        );
        let params = SplitParams {
            min_words: Some(5),
            max_words: Some(4),
            ..SplitParams::default()
        };
        assert_eq!(
            cut(many(100, 2), None, &params),
            "--min-words 5 is more than --max-words 4"
        );
        assert_eq!(
            message(pre_cut(
                many(4, 2),
                vec![],
                many(4, 2),
                0,
                &classes(),
                &SplitParams::default()
            )),
            "split `transfer` is empty: 0 rows read, none with a word"
        );
        assert_eq!(
            message(pre_cut(
                many(4, 1),
                many(4, 2),
                many(4, 2),
                0,
                &classes(),
                &SplitParams::default()
            )),
            "split `gold` has only the class `bad` in its 4 rows; the task has `bad`, `good`"
        );
    }

    #[test]
    fn the_plan_reads_as_a_table() {
        let mut pool = many(2000, 2);
        pool[1].text = String::new();
        let (_, plan) = cut(pool, None, 1, &classes(), 0, &sizes(600, 300, 100)).unwrap();
        let expected = "\
split           rows    groups        bad       good
gold             600       600        300        300
transfer         300       300        150        150
test             100       100         50         50
dropped        1,001  1 unlabelled, 1 empty, 999 not needed
read           2,001";
        assert_eq!(plan.to_string(), expected);
    }

    #[test]
    fn sixty_thousand_rows_are_grouped_quickly() {
        let mut stream = Stream::new("test", 0, 0);
        let word = |stream: &mut Stream| format!("w{}", stream.below(3000));
        let pool: Vec<Row> = (0..60_000)
            .map(|id| {
                let text: Vec<_> = (0..5 + stream.below(10))
                    .map(|_| word(&mut stream))
                    .collect();
                Row {
                    id,
                    text: text.join(" "),
                    label: (id % 2) as u32,
                    groups: Vec::new(),
                }
            })
            .collect();
        let clock = std::time::Instant::now();
        cut(pool, None, 0, &classes(), 5, &SplitParams::default()).unwrap();
        // A second or so without optimisation; the bound is for a busy machine.
        assert!(clock.elapsed().as_secs() < 20, "{:?}", clock.elapsed());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_cut_keeps_its_promises(
            seed in 0u64..1000,
            number in 20usize..300,
            vocabulary in 2usize..40,
            good in 0.2f64..0.8,
            own_test in any::<bool>(),
            gold_rows in proptest::option::of(2usize..40),
            transfer_rows in proptest::option::of(2usize..40),
            test_rows in proptest::option::of(2usize..40),
        ) {
            let mut stream = Stream::new("test", seed, 1);
            let mut make = |number: usize| -> Vec<Row> {
                (0..number as u64)
                    .map(|id| {
                        let words = stream.below(12);
                        let text: Vec<_> = (0..words).map(|_| format!("w{}", stream.below(vocabulary))).collect();
                        let groups = if stream.chance(0.2) { vec![stream.below(30) as u64] } else { vec![] };
                        Row { id, text: text.join(" "), label: u32::from(stream.chance(good)), groups }
                    })
                    .collect()
            };
            let pool = make(number);
            let test = own_test.then(|| behind(make(40)));
            let params = SplitParams { seed, gold_rows, transfer_rows, test_rows, ..SplitParams::default() };
            let result = cut(pool.clone(), test.clone(), 0, &classes(), 5, &params);
            let Ok((examples, plan)) = result else { return Ok(()) };

            // Every row is accounted for, once.
            prop_assert_eq!(plan.source_rows, examples.len() + plan.dropped.total());
            let ids: HashSet<_> = examples.iter().map(|example| example.id).collect();
            prop_assert_eq!(ids.len(), examples.len());

            // No group, no group key and no run of five words in two splits.
            let mut side_of_group = BTreeMap::new();
            let mut side_of_run = BTreeMap::new();
            let mut side_of_key = BTreeMap::new();
            for example in &examples {
                let side = *side_of_group.entry(example.group).or_insert(example.split);
                prop_assert_eq!(side, example.split);
                let words: Vec<_> = example.text.split(' ').collect();
                for run in words.windows(5) {
                    let side = *side_of_run.entry(run.join(" ")).or_insert(example.split);
                    prop_assert_eq!(side, example.split);
                }
                let row = match example.id.checked_sub(1000) {
                    Some(id) => &test.as_ref().unwrap()[id as usize],
                    None => &pool[example.id as usize],
                };
                prop_assert_eq!(&row.text, &example.text);
                for key in &row.groups {
                    let side = *side_of_key.entry(*key).or_insert(example.split);
                    prop_assert_eq!(side, example.split);
                }
            }

            // The classes are balanced, the sizes are those asked for.
            let counts = [&plan.splits.gold, &plan.splits.transfer, &plan.splits.test];
            for (count, wanted) in counts.iter().zip([gold_rows, transfer_rows, test_rows]) {
                prop_assert!(!is_imbalanced(&count.per_class) || count.rows < 20, "{:?}", count);
                if let Some(wanted) = wanted {
                    prop_assert!(count.rows <= wanted && count.rows + 1 >= wanted);
                }
            }
            prop_assert_eq!(plan.splits.test.per_class[0], plan.splits.test.per_class[1]);

            // The same again is the same.
            let again = cut(pool, test, 0, &classes(), 5, &params).unwrap();
            prop_assert_eq!((examples, plan), again);
        }
    }
}
